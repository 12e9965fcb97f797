#!/bin/sh
# SPDX-License-Identifier: PMPL-1.0-or-later
# Runs a program that was built with -Zsanitizer=address -Zexternal-clangrt: gcc's runtime must be there before any other
# library. Leaks are no finding: the made-up memory of the kernel's tests is leaked on purpose.
LD_PRELOAD=$(gcc -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0 exec "$@"
