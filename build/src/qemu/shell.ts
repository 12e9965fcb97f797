// SPDX-License-Identifier: PMPL-1.0-or-later
// A command as a person can paste it into a shell. Pure. Nothing here runs anything.

/** One word: quoted only where a POSIX shell would change it. */
export function shellWord(word: string): string {
  if (/^[A-Za-z0-9_@%+=:,./-]+$/.test(word)) return word;
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** Words joined by spaces, with a line break before each option, so that a long command can be read. */
export function shellCommand(words: readonly string[]): string {
  return words.map((word, index) => (index > 0 && word.startsWith('-') ? `\\\n  ${shellWord(word)}` : shellWord(word))).join(' ');
}
