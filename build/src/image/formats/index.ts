// SPDX-License-Identifier: PMPL-1.0-or-later
//
// The formats by name, as `images/variants/*.ncl` ask for them. `raw` is what apply.ts writes; everything here is made from it.

import { UserError } from '../../errors.ts';
import type { Format } from './format.ts';
import { libvirt, libvirtSecureBoot } from './libvirt.ts';
import { qcow2 } from './qcow2.ts';

export type { Format, FormatRequest, ImageFacts, MachineFacts } from './format.ts';

export const formats: Readonly<Record<string, Format>> = {
  qcow2,
  libvirt,
  'libvirt-secure-boot': libvirtSecureBoot,
};

/** Errors: UserError `image/unknown-format`. `where` is the variant's file. */
export function formatNamed(name: string, where: string): Format {
  const found = formats[name];
  if (found !== undefined) return found;
  throw new UserError(`image: there is no format "${name}"`, {
    code: 'image/unknown-format',
    where,
    hint: `use one of: ${Object.keys(formats).join(', ')}`,
  });
}
