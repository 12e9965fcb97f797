// SPDX-License-Identifier: PMPL-1.0-or-later
import { createHash, createPrivateKey, sign, X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UserError } from '../errors.ts';
import { run } from '../toolchain/exec.ts';
import { signProgram } from './authenticode.ts';
import { firstValue, integer, oid, sequence, values } from './der.ts';
import { developmentKeys, type KeyFiles } from './development.ts';
import { enrolledVars } from './enrolled-vars.ts';
import { hashUnsigned } from './pe.ts';

let scratch = '';
let files: KeyFiles;
let certificate: X509Certificate;
let signWith: (program: Buffer) => Promise<Buffer>;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'authenticode-'));
  files = await developmentKeys(join(scratch, 'keys'));
  const key = createPrivateKey(await readFile(files.loader.key));
  certificate = new X509Certificate(await readFile(files.loader.certificate));
  signWith = (program) => signProgram(program, certificate, async (message) => sign('sha256', message, key), 'test.efi');
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** A UEFI program that does nothing: one section, every header field that a verifier looks at. */
function program(text: Buffer = Buffer.alloc(512, 0xc3)): Buffer {
  const file = Buffer.alloc(0x200);
  file.write('MZ', 0);
  file.writeUInt32LE(0x40, 0x3c);
  file.write('PE\0\0', 0x40, 'latin1');
  file.writeUInt16LE(0x8664, 0x44);
  file.writeUInt16LE(1, 0x46); // sections
  file.writeUInt16LE(240, 0x54); // size of the optional header
  file.writeUInt16LE(0x22e, 0x56);
  const optional = 0x58;
  file.writeUInt16LE(0x20b, optional);
  file.writeUInt32LE(0x1000, optional + 32); // section alignment
  file.writeUInt32LE(0x200, optional + 36); // file alignment
  file.writeUInt32LE(0x2000, optional + 56); // size of the image
  file.writeUInt32LE(0x200, optional + 60); // size of the headers
  file.writeUInt16LE(10, optional + 68); // EFI application
  file.writeUInt32LE(16, optional + 108); // data directories
  const section = optional + 240;
  file.write('.text', section);
  file.writeUInt32LE(text.length, section + 8);
  file.writeUInt32LE(0x1000, section + 12);
  file.writeUInt32LE(text.length, section + 16);
  file.writeUInt32LE(0x200, section + 20);
  return Buffer.concat([file, text]);
}

describe('a signed program', () => {
  test('is accepted by sbverify with its certificate and refused with another', async () => {
    const path = join(scratch, 'signed.efi');
    await writeFile(path, await signWith(program()));
    const accepted = await run('sbverify', ['--cert', files.loader.certificate, path], { ok: 'any' });
    expect(accepted.stdout + accepted.stderr).toContain('Signature verification OK');
    const other = await run('sbverify', ['--cert', files.platform.certificate, path], { ok: 'any' });
    expect(other.code).not.toBe(0);
  });

  test('with one flipped bit is refused by sbverify', async () => {
    const signed = await signWith(program());
    signed.writeUInt8(signed.readUInt8(0x210) ^ 1, 0x210);
    const path = join(scratch, 'flipped.efi');
    await writeFile(path, signed);
    expect((await run('sbverify', ['--cert', files.loader.certificate, path], { ok: 'any' })).code).not.toBe(0);
  });

  test('is the same every time', async () => {
    const [one, other] = [await signWith(program()), await signWith(program())];
    expect(one.equals(other)).toBe(true);
  });

  test('of an odd length is padded before it is hashed', async () => {
    const odd = Buffer.concat([program(), Buffer.from([1, 2, 3])]);
    const path = join(scratch, 'odd.efi');
    await writeFile(path, await signWith(odd));
    expect((await run('sbverify', ['--cert', files.loader.certificate, path], { ok: 'any' })).code).toBe(0);
  });
});

describe('refused:', () => {
  const refused = async (bytes: Buffer) => signWith(bytes).then(String, (error: Error) => error.message);

  test('a program that is signed already', async () => {
    expect(await refused(await signWith(program()))).toContain('it is signed already');
  });

  test('a file that is no program', async () => {
    expect(await refused(Buffer.from('#!/bin/sh\n'))).toContain('does not begin with MZ');
    expect(await refused(Buffer.from('MZ'))).toContain('reach beyond its end');
  });

  test('a gap between sections, and a section beyond the end', async () => {
    const gap = program();
    gap.writeUInt32LE(0x208, 0x58 + 240 + 20);
    expect(await refused(gap)).toContain('gap or an overlap');
    const long = program();
    long.writeUInt32LE(0x10_0000, 0x58 + 240 + 16);
    expect(await refused(long)).toContain('reaches beyond its end');
  });

  test('any damaged program by a UserError, never by a crash', () => {
    const whole = program();
    fc.assert(
      fc.property(fc.nat(whole.length), fc.nat(255), fc.nat(whole.length - 1), (length, byte, at) => {
        const damaged = Buffer.from(whole);
        damaged.writeUInt8(byte, at);
        try {
          hashUnsigned(damaged.subarray(0, length), 'x');
        } catch (error) {
          expect(error).toBeInstanceOf(UserError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('DER', () => {
  test('numbers, identifiers and long lengths', () => {
    expect(integer(127).toString('hex')).toBe('02017f');
    expect(integer(Buffer.from([0, 0, 0x80])).toString('hex')).toBe('02020080');
    expect(oid('1.2.840.113549.1.7.2').toString('hex')).toBe('06092a864886f70d010702');
    expect(sequence(Buffer.alloc(300)).subarray(0, 4).toString('hex')).toBe('3082012c');
  });

  test('of random bytes is read or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          expect(Buffer.concat(values(Buffer.from(bytes)).map((value) => value.whole)).equals(Buffer.from(bytes))).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
    );
    expect(firstValue(Buffer.from('0201050000', 'hex')).content.toString('hex')).toBe('05');
  });
});

describe('enrolled variables', () => {
  /** As OVMF ships it: a volume header, a store header, nothing in it. */
  function template(store_bytes = 0x3ffb8): Buffer {
    const volume = Buffer.alloc(0x84000, 0xff);
    volume.write('_FVH', 40);
    volume.writeUInt16LE(72, 48);
    Buffer.from('782cf3aa7b949a43a1802e144ec37792', 'hex').copy(volume, 72);
    volume.writeUInt32LE(store_bytes, 88);
    return volume;
  }
  const certificates = () => ({ platform: certificate.raw, exchange: certificate.raw, programs: [certificate.raw] });

  test('are the same every time, and change nothing but free space', () => {
    const one = enrolledVars(template(), certificates());
    expect(createHash('sha256').update(one).digest()).toEqual(
      createHash('sha256').update(enrolledVars(template(), certificates())).digest(),
    );
    expect(one.subarray(0, 100).equals(template().subarray(0, 100))).toBe(true);
    expect(one.includes(Buffer.from('SecureBootEnable\0', 'utf16le'))).toBe(true);
    expect(one.subarray(0x40000).equals(template().subarray(0x40000))).toBe(true);
  });

  test('go behind variables that are there already', () => {
    const twice = enrolledVars(enrolledVars(template(), certificates()), certificates());
    expect(twice.indexOf(Buffer.from('PK\0', 'utf16le'))).toBe(
      enrolledVars(template(), certificates()).indexOf(Buffer.from('PK\0', 'utf16le')),
    );
    expect(twice.lastIndexOf(certificate.raw)).toBeGreaterThan(
      enrolledVars(template(), certificates()).lastIndexOf(certificate.raw),
    );
  });

  test('are refused for what is no variable store, or has no room', () => {
    expect(() => enrolledVars(Buffer.alloc(100), certificates())).toThrow('is no firmware volume');
    expect(() => enrolledVars(template(2000), certificates())).toThrow('has no room');
    expect(() => enrolledVars(template(0x90000), certificates())).toThrow('shorter than it says');
  });
});
