// SPDX-License-Identifier: PMPL-1.0-or-later
//
// qcow2, for QEMU and libvirt. The same bytes for the same disk (test: qcow2.test.ts). Compressed for production only: a developer waits for it.

import { convertToQcow2 } from '../../toolchain/qemu-img.ts';
import type { Format } from './format.ts';

export const qcow2: Format = {
  suffix: '.qcow2',
  makes: 'disk for QEMU and libvirt',
  async make({ raw, out, about, signal }) {
    await convertToQcow2({ raw, out, compress: about.profile === 'prod', ...(signal === undefined ? {} : { signal }) });
  },
};
