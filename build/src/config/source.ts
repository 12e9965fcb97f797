// SPDX-License-Identifier: PMPL-1.0-or-later
// Where a field stands in a Nickel file: field path -> line, and back. It understands the shape of our configuration (records, lists,
// field paths, metadata), not the language; what it does not understand it skips, and then a message has no line. It never fails.

export interface Field {
  /** `['components', 'uart', 'io_ports', '0', 'first']`; list elements by their number. */
  readonly path: readonly string[];
  /** Offsets of the first character of the key and of the value, and of the end of the value. */
  readonly keyStart: number;
  readonly valueStart: number;
  readonly end: number;
}

export interface Source {
  readonly text: string;
  readonly fields: readonly Field[];
}

interface Token {
  readonly kind: 'word' | 'text' | 'mark';
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

export function parseSource(text: string): Source {
  const parser = new Parser(tokens(text));
  parser.value([]);
  return { text, fields: parser.fields };
}

export function lineOf(source: Source, offset: number): number {
  let line = 1;
  for (let at = source.text.indexOf('\n'); at !== -1 && at < offset; at = source.text.indexOf('\n', at + 1)) line += 1;
  return line;
}

export function offsetOf(source: Source, line: number, column: number): number {
  let start = 0;
  for (let n = 1; n < line; n++) start = source.text.indexOf('\n', start) + 1;
  // Columns count characters, as do we; a configuration with letters beyond 16 bits would shift by one.
  return start + column - 1;
}

/** The field with exactly this path, or the nearest enclosing one. */
export function fieldAt(source: Source, path: readonly string[]): Field | undefined {
  for (let length = path.length; length > 0; length--) {
    const wanted = path.slice(0, length).join('\0');
    const found = source.fields.find((field) => field.path.join('\0') === wanted);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The innermost field whose key or value holds the offset. */
export function fieldHolding(source: Source, offset: number): Field | undefined {
  let best: Field | undefined;
  for (const field of source.fields) {
    if (field.keyStart <= offset && offset < field.end && (best === undefined || field.path.length > best.path.length))
      best = field;
  }
  return best;
}

/** The text with another value, every line where it was. */
export function withValue(source: Source, field: Field, value: string): string {
  const lines = source.text.slice(field.valueStart, field.end).split('\n').length - 1;
  return source.text.slice(0, field.valueStart) + value + '\n'.repeat(lines) + source.text.slice(field.end);
}

/** The text with another name for the field: the last part of its key, which is what was mistyped. */
export function renamed(source: Source, field: Field, name: string): string {
  const old = field.path.at(-1) ?? '';
  const at = source.text.indexOf(old, field.keyStart);
  return source.text.slice(0, at) + name + source.text.slice(at + old.length);
}

/** The text without the field, every line where it was. */
export function without(source: Source, field: Field): string {
  let end = field.end;
  const comma = /^\s*,/.exec(source.text.slice(end));
  if (comma !== null) end += comma[0].length;
  const blank = source.text.slice(field.keyStart, end).replace(/[^\n]/g, ' ');
  return source.text.slice(0, field.keyStart) + blank + source.text.slice(end);
}

class Parser {
  readonly fields: Field[] = [];
  #at = 0;
  readonly #tokens: readonly Token[];

  constructor(list: readonly Token[]) {
    this.#tokens = list;
  }

  /** Everything up to a `,` or closing mark of the enclosing bracket. Returns the end of its last token. */
  value(path: readonly string[]): number {
    let end = 0;
    for (let token = this.#peek(); token !== undefined; token = this.#peek()) {
      if (token.kind === 'mark' && (token.text === ',' || token.text === '}' || token.text === ']' || token.text === ')')) break;
      end = this.#piece(path, token);
    }
    return end;
  }

  #piece(path: readonly string[], token: Token): number {
    this.#at += 1;
    if (token.text === 'let' && token.kind === 'word') return this.#skipLet(token);
    if (token.kind !== 'mark') return token.end;
    if (token.text === '{') return this.#record(path);
    if (token.text === '[') return this.#list(path);
    if (token.text === '(') {
      while (this.#peek() !== undefined && this.#peek()?.text !== ')') {
        this.value(path);
        if (this.#peek()?.text === ',') this.#at += 1;
        else if (this.#peek()?.text !== ')') this.#at += 1;
      }
      return this.#close();
    }
    return token.end;
  }

  #record(path: readonly string[]): number {
    for (let token = this.#peek(); token !== undefined && token.text !== '}'; token = this.#peek()) {
      if (token.text === ',') this.#at += 1;
      else if (token.kind === 'mark') this.#piece(path, token);
      else this.#field(path, token);
    }
    return this.#close();
  }

  #field(path: readonly string[], key: Token): void {
    const keys = [key.text];
    this.#at += 1;
    while (this.#peek()?.text === '.' && this.#peek(1) !== undefined && this.#peek(1)?.kind !== 'mark') {
      keys.push(this.#peek(1)?.text ?? '');
      this.#at += 2;
    }
    const full = [...path, ...keys];
    const slot = this.fields.length;
    const valueStart = this.#skipMetadata(full) ?? key.start;
    const end = this.value(full) || this.#tokens[this.#at - 1]?.end || key.end;
    this.fields.splice(slot, 0, { path: full, keyStart: key.start, valueStart, end });
  }

  /** Steps over `| doc "…" | Contract … =`; returns where the value starts, if there is one. */
  #skipMetadata(path: readonly string[]): number | undefined {
    for (let token = this.#peek(); token !== undefined && !',}])'.includes(token.text); token = this.#peek()) {
      if (token.kind === 'mark' && token.text === '=') {
        this.#at += 1;
        return this.#peek()?.start;
      }
      this.#piece(path, token);
    }
    return undefined;
  }

  #list(path: readonly string[]): number {
    for (let index = 0; this.#peek() !== undefined && this.#peek()?.text !== ']'; index++) {
      const start = this.#peek()?.start ?? 0;
      const before = this.#at;
      const slot = this.fields.length;
      const full = [...path, String(index)];
      const end = this.value(full);
      if (end > 0) this.fields.splice(slot, 0, { path: full, keyStart: start, valueStart: start, end });
      if (this.#peek()?.text === ',' || this.#at === before) this.#at += 1;
    }
    return this.#close();
  }

  /** `let pattern = expression in`: its fields are not of this record. */
  #skipLet(token: Token): number {
    let depth = 1;
    for (let next = this.#peek(); next !== undefined && depth > 0; next = this.#peek()) {
      if (next.kind === 'word' && next.text === 'let') depth += 1;
      if (next.kind === 'word' && next.text === 'in') depth -= 1;
      this.#at += 1;
    }
    return this.#tokens[this.#at - 1]?.end ?? token.end;
  }

  #close(): number {
    const token = this.#peek();
    this.#at += 1;
    return token?.end ?? 0;
  }

  #peek(ahead = 0): Token | undefined {
    return this.#tokens[this.#at + ahead];
  }
}

const tokenPattern =
  /(#[^\n]*)|\s+|(m%+"[\s\S]*?"%+)|("(?:\\[\s\S]|[^"\\])*")|('?[A-Za-z_0-9][A-Za-z_0-9'-]*)|(=>|==|[^\sA-Za-z_0-9])/g;

function tokens(text: string): Token[] {
  const list: Token[] = [];
  for (const match of text.matchAll(tokenPattern)) {
    const start = match.index;
    const end = start + match[0].length;
    if (match[2] !== undefined || match[3] !== undefined)
      list.push({ kind: 'text', text: match[0].replace(/^m%+"|^"|"%*$/g, ''), start, end });
    else if (match[4] !== undefined) list.push({ kind: 'word', text: match[0], start, end });
    else if (match[5] !== undefined) list.push({ kind: 'mark', text: match[0], start, end });
  }
  return list;
}
