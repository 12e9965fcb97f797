// SPDX-License-Identifier: PMPL-1.0-or-later
import { expect, test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

const rule = (ports: string) =>
  `{ protocol = "tcp", ${ports}, from = "link", because = "a test opens a port to its neighbours" }`;
/** `network` calls no `socket`; nothing that is shipped does. */
const calls = 'calls = [\n        { interface = "log", because = "says which addresses it has" },';
const withRules = (rules: string, more = '') => ({
  file: 'configs/servers.ncl',
  old: calls,
  new: `inbound = [${rules}],\n      ${calls}${more}`,
});

test('a port that is opened for who has no address is refused', async () => {
  const found = await refusal(withRules(rule('first = 22')));
  const where = /servers\.ncl:\d+, field components\.network\.inbound\.0$/;
  expectOne(found, 'manifest/inbound-without-socket', where, /tcp 22-22, but it calls no `socket`/);
});

test('a rule without a port, and a port that stands twice, are refused', async () => {
  const socket = '\n        { interface = "socket", because = "a test gives it an address" },';
  const found = await refusal(
    withRules([rule('first = 22, last = 21'), rule('first = 80, last = 90'), rule('first = 85')].join(', '), socket),
  );
  expect(found.codes).toContain('manifest/no-ports');
  expect(found.codes).toContain('manifest/port-twice');
});

test('a port beyond the last one is refused', async () => {
  const found = await refusal(withRules(rule('first = 65536')));
  expect(found.text).toMatch(/servers\.ncl:\d+/);
  expect(found.codes).toHaveLength(1);
});
