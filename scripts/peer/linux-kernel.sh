#!/usr/bin/env bash
# SPDX-License-Identifier: PMPL-1.0-or-later
# Debian's cloud kernel as a file to be started directly, from the machine's own apt sources.
#
#   linux-kernel.sh OUT/vmlinuz
#
# Prints the package's version. Needs apt and dpkg-deb, no root. Next: build/src/bench/linux-peer.ts, which boots it.
set -euo pipefail

out=${1:?usage: linux-kernel.sh OUT/vmlinuz}
package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
[ -n "$package" ] || { echo "linux-kernel: apt knows no linux-image-cloud-amd64; run: apt-get update" >&2; exit 2; }
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download "$package" >&2
dpkg-deb --fsys-tarfile ./*.deb | tar -x --wildcards './boot/vmlinuz-*'
cp "$work"/boot/vmlinuz-* "$out.partial"
mv "$out.partial" "$out"
dpkg-deb -f ./*.deb Version
