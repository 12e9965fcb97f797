// SPDX-License-Identifier: PMPL-1.0-or-later
// The build as one list, in an order that a person can follow: from source to disk. Each step is one function of its own file.
import type { Step } from '../engine/types.ts';
import { baseStep } from './base.ts';
import type { Build } from './build.ts';
import { bundleStep } from './bundle.ts';
import { diskStep, formatSteps } from './disk.ts';
import { publishStep } from './publish.ts';
import { rootFsStep } from './root-fs.ts';
import { kernelStep, loaderStep, serversStep, toolsStep } from './rust.ts';
import { firmwareVarsStep, signedLoaderStep } from './signed-loader.ts';
import { slotStep } from './slot.ts';

export function allSteps(build: Build): Step[] {
  const formats = formatSteps(build);
  return [
    kernelStep(build),
    loaderStep(build),
    serversStep(build),
    toolsStep(build),
    baseStep(build),
    bundleStep(build),
    rootFsStep(build),
    slotStep(build),
    signedLoaderStep(build),
    firmwareVarsStep(build),
    diskStep(build),
    ...formats,
    publishStep(
      build,
      formats.map((step) => step.name),
    ),
  ];
}
