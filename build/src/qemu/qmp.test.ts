// SPDX-License-Identifier: PMPL-1.0-or-later
// Against a stand-in for the emulator: a unix socket that answers as the specification says.
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Qmp, type QmpEvent } from './qmp.ts';
import { temporaryFolder } from './workspace.ts';

const undo: (() => void)[] = [];
afterEach(() => {
  for (const one of undo.splice(0).reverse()) one();
});

function standIn(answer: (message: { execute: string; id: number; arguments: unknown }, socket: Socket) => void): string {
  const folder = temporaryFolder();
  const path = join(folder.path, 'qmp');
  const server: Server = createServer((socket) => {
    socket.write('{"QMP": {"version": {}, "capabilities": []}}\r\n');
    socket.on('data', (data) => {
      for (const line of data.toString().split('\n').filter(Boolean)) answer(JSON.parse(line), socket);
    });
    undo.push(() => socket.destroy());
  }).listen(path);
  undo.push(
    () => folder.remove(),
    () => void server.close(),
  );
  return path;
}
const say = (socket: Socket, message: unknown) => socket.write(`${JSON.stringify(message)}\r\n`);

describe('the control client', () => {
  it('negotiates, sends and takes answers by their id, in any order', async () => {
    const late: (() => void)[] = [];
    const path = standIn(({ execute, id }, socket) => {
      if (execute === 'first') late.push(() => say(socket, { return: 'one', id }));
      else say(socket, { return: execute === 'second' ? 'two' : {}, id });
      if (execute === 'second') for (const one of late) one();
    });
    const qmp = await Qmp.connect(path, { timeoutMs: 2_000 });
    expect(await Promise.all([qmp.execute('first'), qmp.execute('second')])).toEqual(['one', 'two']);
    qmp.close();
  });

  it('hands over events, also one cut in two', async () => {
    const events: QmpEvent[] = [];
    const path = standIn(({ id }, socket) => {
      socket.write('{"event": "STOP", "da');
      setTimeout(() => {
        socket.write('ta": {"x": 1}}\n');
        say(socket, { return: {}, id });
      }, 10);
    });
    const qmp = await Qmp.connect(path, { timeoutMs: 2_000, onEvent: (event) => events.push(event) });
    expect(events).toEqual([{ event: 'STOP', data: { x: 1 } }]);
    qmp.close();
  });

  it('turns a refusal into an error with its class', async () => {
    const path = standIn(({ execute, id }, socket) =>
      say(
        socket,
        execute === 'qmp_capabilities'
          ? { return: {}, id }
          : { error: { class: 'CommandNotFound', desc: 'no such command' }, id },
      ),
    );
    const qmp = await Qmp.connect(path, { timeoutMs: 2_000 });
    await expect(qmp.execute('fly')).rejects.toMatchObject({ kind: 'CommandNotFound', message: 'qmp fly: no such command' });
    qmp.close();
  });

  it('fails what is under way when the emulator goes', async () => {
    const path = standIn(({ execute, id }, socket) => {
      if (execute === 'qmp_capabilities') say(socket, { return: {}, id });
      else socket.destroy();
    });
    const qmp = await Qmp.connect(path, { timeoutMs: 2_000 });
    await expect(qmp.execute('query-status')).rejects.toThrow('the emulator is gone');
    await expect(qmp.execute('query-status')).rejects.toThrow('the emulator is gone');
  });

  it('gives up on a socket that nobody makes', async () => {
    await expect(Qmp.connect('/nonexistent/qmp', { timeoutMs: 50 })).rejects.toThrow('ENOENT');
  });
});
