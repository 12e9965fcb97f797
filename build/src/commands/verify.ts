// SPDX-License-Identifier: PMPL-1.0-or-later
// `verify`: checks a built image with tools that are not ours, and with the slot tool that thinks as the loader does. Prints a table.
// The checks are in `image/verify.ts`. Exit code 1 when one of them found something.
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import { type Check, verifyImage } from '../image/verify.ts';
import { keyFiles, keyFolder } from '../keys/index.ts';
import { artifactsOf, findTool } from '../qemu/artifacts.ts';
import { type Command, type CommandContext, text } from './command.ts';

export const command: Command = {
  usage: '[IMAGE] [--profile dev|prod] [--certificate FILE]',
  help: `Checks a raw image: partition table (sgdisk), ESP (fsck.fat), the loader's signature (sbverify), each slot's signature
and tree (slot verify), file system (fsck.erofs) and hash tree (veritysetup), and the digests of manifest.json beside it.

  IMAGE               another image than the profile's
  --profile dev|prod  which build (dev)
  --certificate FILE  who must have signed the loader (PEM); the development certificate by default`,
  options: { profile: { type: 'string' }, certificate: { type: 'string' } },
  positionals: 1,
  run: verify,
};

async function verify(context: CommandContext): Promise<number> {
  const profile = text(context.values, 'profile') ?? 'dev';
  if (profile !== 'dev' && profile !== 'prod') {
    throw new UserError(`--profile ${profile} is not one of dev, prod`, {
      code: 'verify/profile',
      hint: 'use --profile dev or --profile prod',
    });
  }
  const [given] = context.positionals;
  const image = given === undefined ? artifactsOf(context.root, profile).image : resolve(given);
  const scratch = await mkdtemp(join(tmpdir(), 'fr-verify-'));
  try {
    const checks = await verifyImage({
      image,
      scratch,
      slot_tool: slotTool(context.root, profile, image),
      certificate: text(context.values, 'certificate') ?? developmentCertificate(),
    });
    show(checks, image, context);
    return checks.every((check) => check.problems.length === 0) ? 0 : 1;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Left by a build; any profile's will do, but the image's own first. */
function slotTool(root: string, profile: 'dev' | 'prod', image: string): string {
  const found = findTool(root, 'slot', dirname(image));
  if (found !== undefined) return found;
  throw new UserError('the tool that judges slots is not built', {
    code: 'verify/not-built',
    hint: `run \`just build-${profile}\` first`,
  });
}

function developmentCertificate(): string | undefined {
  const { certificate } = keyFiles(keyFolder()).loader;
  return existsSync(certificate) ? certificate : undefined;
}

function show(checks: readonly Check[], image: string, context: CommandContext): void {
  const bad = checks.filter((check) => check.problems.length > 0);
  if (context.json) {
    for (const check of checks) context.log.event('check', { ...check, ok: check.problems.length === 0 });
    context.log.event('verify', { image, ok: bad.length === 0, checks: checks.length, failed: bad.length });
    return;
  }
  context.print(render(checks));
  context.print(
    bad.length === 0
      ? `${image}: all ${checks.length} checks are good`
      : `${image}: ${bad.length} of ${checks.length} checks found something`,
  );
}

function render(checks: readonly Check[]): string {
  const width = (of: (check: Check) => string): number => Math.max(...checks.map((check) => of(check).length));
  const [name, by] = [width((check) => check.name), width((check) => check.by)];
  return checks
    .flatMap((check) => {
      const verdict = check.problems.length === 0 ? 'good' : 'BAD ';
      const line = `${verdict}  ${check.name.padEnd(name)}  ${check.by.padEnd(by)}  ${check.note}`.trimEnd();
      return [line, ...check.problems.map((problem) => `      ${problem}`)];
    })
    .join('\n');
}
