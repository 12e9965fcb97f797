// SPDX-License-Identifier: PMPL-1.0-or-later
import { test } from 'vitest';
import { expectOne, refusal } from '../support/config.ts';

const file = 'configs/base.ncl';

test('Flatcar as the source of the base is refused with the reason that it comes later', async () => {
  const found = await refusal({ file, old: 'source = "Debian"', new: 'source = "Flatcar"' });
  expectOne(found, 'base/source-later', /base\.ncl:\d+, field source$/, /Flatcar is a source that the build cannot read yet/);
});

test('a source that nobody has heard of is refused with those that there are', async () => {
  const found = await refusal({ file, old: 'source = "Debian"', new: 'source = "Slackware"' });
  expectOne(found, 'config/wrong-value', /base\.ncl:\d+, field source$/, /allowed is one of "Debian", "Flatcar"/);
});
