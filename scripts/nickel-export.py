#!/usr/bin/env python3
# SPDX-License-Identifier: PMPL-1.0-or-later
"""`nickel export --format json FILES`, on the evaluator inside the py-nickel wheel.

It is not the command-line program: `export` to JSON with -I and -o is all it knows. Several files are merged, as the real one does.
Set up by scripts/bootstrap.sh; called as .toolchain/bin/nickel by build/src/toolchain/nickel.ts. It must not be named nickel.py,
which would hide the module.
"""
import argparse
import json
import os
import sys

import nickel

parser = argparse.ArgumentParser(prog="nickel")
commands = parser.add_subparsers(dest="command", required=True)
export = commands.add_parser("export")
export.add_argument("files", nargs="*")
export.add_argument("--format", "-f", default="json", choices=["json"])
export.add_argument("--import-path", "-I", action="append", default=[])
export.add_argument("--output", "-o")
arguments = parser.parse_args()

paths = arguments.import_path + [path for path in os.environ.get("NICKEL_IMPORT_PATH", "").split(":") if path]
if arguments.files:
    expression = " & ".join(f"(import {json.dumps(os.path.abspath(name))})" for name in arguments.files)
else:
    expression = sys.stdin.read()
try:
    result = nickel.run(expression, paths)
except nickel.NickelException as error:
    print(error, file=sys.stderr)
    sys.exit(1)
text = json.dumps(json.loads(result), indent=2, ensure_ascii=False) + "\n"
if arguments.output:
    with open(arguments.output, "w", encoding="utf-8") as file:
        file.write(text)
else:
    sys.stdout.write(text)
