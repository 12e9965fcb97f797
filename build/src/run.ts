#!/usr/bin/env node
// SPDX-License-Identifier: PMPL-1.0-or-later
// Runs the command line. Compiled to build/dist/run.js by scripts/bootstrap.sh; the recipes of the Justfile call that.
import { main } from './cli.ts';

process.setSourceMapsEnabled(true);
process.exitCode = await main(process.argv.slice(2));
