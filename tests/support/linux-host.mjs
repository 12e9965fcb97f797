// SPDX-License-Identifier: PMPL-1.0-or-later
// A Linux host at the other end of the wire, in a network namespace of its own: `linux-host.ts` starts it. Reads a job a line
// as JSON, writes its result a line as JSON. The programs that it talks to: servers-rs/tests/peer.
import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';

const block = Buffer.from(Array.from({ length: 2048 }, (_, n) => (((n * 31) >> 3) ^ n) & 255));

function fnv(sum, bytes) {
  for (const byte of bytes) sum = Math.imul(sum ^ byte, 0x01000193);
  return sum >>> 0;
}

function opened(host, port) {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true });
    socket.once('connect', () => resolve(socket));
    socket.once('error', reject);
  });
}

function text(socket) {
  return new Promise((resolve, reject) => {
    let all = '';
    socket.on('data', (bytes) => {
      all += bytes.toString('latin1');
    });
    socket.once('end', () => resolve(all));
    socket.once('error', reject);
  });
}

const jobs = {
  async sink({ host, count }) {
    const socket = await opened(host, 9);
    const answer = text(socket);
    let sum = 0x811c9dc5;
    for (let sent = 0; sent < count; sent += block.length) {
      const piece = block.subarray(0, Math.min(block.length, count - sent));
      sum = fnv(sum, piece);
      if (!socket.write(piece)) await new Promise((resolve) => socket.once('drain', resolve));
    }
    socket.end();
    return { said: (await answer).trim(), expected: `${count} ${sum.toString(16).padStart(8, '0')}` };
  },
  async source({ host, count }) {
    const socket = await opened(host, 19);
    socket.write(`${count}\n`);
    let [got, wrong] = [0, 0];
    for await (const bytes of socket) {
      for (let at = 0; at < bytes.length; at += 1) if (bytes[at] !== block[(got + at) % block.length]) wrong += 1;
      got += bytes.length;
    }
    return { got, wrong };
  },
  async echo({ host, say }) {
    const socket = await opened(host, 7);
    const answer = text(socket);
    socket.end(say);
    return { said: await answer };
  },
  /** The guest calls here. */
  async called({ host, own, count }) {
    const server = createServer((socket) => void socket.pipe(socket).on('error', () => undefined));
    await new Promise((resolve) => server.listen(0, own, resolve));
    const socket = await opened(host, 99);
    const answer = text(socket);
    socket.write(`${own} ${server.address().port} ${count}\n`);
    const said = (await answer).trim();
    server.close();
    return { said };
  },
  async many({ host, count }) {
    const sockets = await Promise.all(Array.from({ length: count }, () => opened(host, 7)));
    const answers = sockets.map(
      (socket, n) =>
        new Promise((resolve, reject) => {
          socket.once('error', reject);
          socket.once('data', (bytes) => resolve(bytes.toString() === `number ${n}`));
          socket.write(`number ${n}`);
        }),
    );
    const right = (await Promise.all(answers)).filter(Boolean).length;
    for (const socket of sockets) socket.destroy();
    return { right };
  },
  async datagram({ host, say }) {
    const socket = createSocket('udp6');
    const answer = new Promise((resolve) => socket.once('message', (bytes) => resolve(bytes.toString())));
    socket.send(say, 7, host);
    const said = await answer;
    socket.close();
    return { said };
  },
  /** Asks the guest for a name, and is the resolver that it asks: each answer is bytes in hex behind the question's number. */
  async named({ host, own, name, datagram, stream }) {
    const whole = (question, hex) => Buffer.concat([question.subarray(0, 2), Buffer.from(hex, 'hex')]);
    const asked = { datagrams: 0, streams: 0 };
    const udp = createSocket('udp6');
    udp.on('message', (question, from) => {
      asked.datagrams += 1;
      for (const hex of datagram) udp.send(whole(question, hex), from.port, from.address);
    });
    await new Promise((resolve) => udp.bind(53, own, resolve));
    const tcp = createServer((socket) => {
      asked.streams += 1;
      socket.on('error', () => undefined);
      socket.once('data', (bytes) => {
        const answer = whole(bytes.subarray(2), stream);
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        socket.end(Buffer.concat([length, answer]));
      });
    });
    await new Promise((resolve) => tcp.listen(53, own, resolve));
    const socket = await opened(host, 97);
    const answer = text(socket);
    socket.write(`${name}\n`);
    const said = (await answer).trim();
    udp.close();
    tcp.close();
    return { said, ...asked };
  },
  async end({ host, name }) {
    const socket = await opened(host, 98);
    const answer = text(socket);
    socket.write(`${name}\n`);
    return { said: (await answer).trim() };
  },
  /** A connection that stays: `ticks` bytes there and back, one after the other; gives the longest round in ms. */
  async steady({ host, ticks }) {
    const socket = await opened(host, 7);
    let worst = 0;
    for (let n = 0; n < ticks; n += 1) {
      const before = performance.now();
      const back = new Promise((resolve, reject) => {
        socket.once('data', resolve);
        socket.once('error', reject);
      });
      socket.write(Buffer.from([n & 255]));
      const bytes = await back;
      if (bytes[0] !== (n & 255)) throw new Error(`byte ${n} came back as ${bytes[0]}`);
      worst = Math.max(worst, performance.now() - before);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    socket.destroy();
    return { worst: Math.round(worst) };
  },
};

process.stdout.write('up\n');
createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, job, ...rest } = JSON.parse(line);
  jobs[job](rest).then(
    (result) => process.stdout.write(`${JSON.stringify({ id, result })}\n`),
    (error) => process.stdout.write(`${JSON.stringify({ id, error: String(error) })}\n`),
  );
});
