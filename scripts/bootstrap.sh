#!/usr/bin/env bash
# SPDX-License-Identifier: PMPL-1.0-or-later
# Sets up what the recipes of the Justfile need, each item pinned and announced in a line; a second run takes a moment.
# usage: scripts/bootstrap.sh [--check]    --check: say what is missing, change nothing (exit 2 if anything is)
# Touches: Debian or Ubuntu packages (root or sudo), node_modules/, .toolchain/, build/dist/. Nothing else, nothing global.
# Environment: FR_RUST=rustup|debian forces a toolchain, FR_RUSTUP_FETCH=1|0 allows or forbids rustup to download,
# FR_SKIP_PACKAGES=1 leaves system packages alone. Read next: build/src/toolchain/host.ts, which reads .toolchain/env.json.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
state=$root/.toolchain
rust_pin=1.96.0
nickel_pin=1.18.0
node_least=20.19.0
apt_packages=(
  qemu-system-x86 qemu-utils ovmf swtpm sbsigntool            # machines, firmware and Secure Boot
  gdisk dosfstools mtools erofs-utils cryptsetup-bin ostree   # disks: FAT is made, all else is a second opinion in tests
  libvirt-clients libxml2-utils graphviz                      # virt-xml-validate and the xmllint that it calls, pictures
  opensc softhsm2 faketime                                    # tests: keys in a token, another clock
  gdb                                                         # asks a running kernel: scripts/gdb
  python3-venv openssl xz-utils cpio gcc libc6-dev git ca-certificates
)
rust_packages=(rustc-web cargo-web rust-web-src rust-web-llvm rustfmt-web rust-web-clippy lld-22)

say() { printf 'setup: %s\n' "$*" >&2; }
stop() { printf 'setup: %s\n' "$@" >&2; exit 2; }

main() {
  local key
  key=$(digest)
  if [ "${1:-}" = --check ]; then check; return; fi
  if [ -f "$state/stamp" ] && [ "$(<"$state/stamp")" = "$key" ] && still_there; then compile; return; fi
  mkdir -p "$state"
  exec 9>"$state/lock"
  command -v flock >/dev/null && ! flock -n 9 && { say "another set-up runs; waiting for it"; flock 9; }
  node_new_enough
  packages "${apt_packages[@]}"
  set_up_node_modules
  set_up_rust
  set_up_nickel
  compile
  printf '%s' "$key" >"$state/stamp"
  say "ready"
}

# What the stamp stands for. A change of any of these sets up again.
digest() { cat "${BASH_SOURCE[0]}" "$root/package-lock.json" "$root/scripts/nickel-requirements.txt" "$root/scripts/nickel-export.py" | sha256sum | cut -c1-64; }

# The stamp may outlive what it speaks of: the few files that prove each item.
still_there() {
  [ -e "$root/node_modules/.package-lock.json" ] && [ -x "$state/bin/nickel" ] && [ -f "$state/env.json" ] &&
    [ -x "$(sed -n 's/.*"rustc": *"\([^"]*\)".*/\1/p' "$state/env.json")" ] && [ -e /usr/bin/qemu-system-x86_64 ] || return 1
}

# --- Node -------------------------------------------------------------------------------------------------------------------

node_new_enough() {
  command -v node >/dev/null || stop "Node $node_least or newer is missing: install the package nodejs, or from nodejs.org"
  local have
  have=$(node -p process.versions.node)
  [ "$(printf '%s\n' "$node_least" "$have" | sort -V | head -n1)" = "$node_least" ] ||
    stop "Node $have is too old: $node_least or newer is needed (Debian: see nodejs.org for newer packages)"
}

set_up_node_modules() {
  local want have=
  want=$(sha256sum <"$root/package-lock.json")
  if [ -f "$state/npm.stamp" ]; then have=$(<"$state/npm.stamp"); fi
  [ "$want" = "$have" ] && [ -e "$root/node_modules/.package-lock.json" ] && return 0
  say "npm packages: npm ci (versions from package-lock.json)"
  (cd "$root" && npm ci --no-audit --no-fund --loglevel=error >&2) || stop "npm ci failed; its message stands above. Mend it and run the same command again"
  printf '%s' "$want" >"$state/npm.stamp"
}

# TypeScript -> build/dist, when a source is newer. Types are checked by `just check`, not here: this runs before every recipe.
compile() {
  local stamp=$root/build/dist/.stamp
  [ -f "$stamp" ] && [ -z "$(find "$root/build/src" "$root/build/tsconfig.json" "$root/tsconfig.json" -newer "$stamp" -print -quit)" ] && return 0
  mkdir -p "$state" "$root/build/dist"
  (
    command -v flock >/dev/null && flock 8
    local now
    now=$(mktemp "$root/build/dist/.stamp.XXXXXX")
    "$root/node_modules/.bin/tsc" -p "$root/build/tsconfig.json" --noCheck >&2 || { rm -f "$now"; stop "the orchestrator does not compile"; }
    mv -f "$now" "$stamp"
  ) 8>"$state/compile.lock"
}

# --- System packages --------------------------------------------------------------------------------------------------------

# Prints those of the arguments that are not installed.
not_installed() {
  local installed
  installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p' || true)
  printf '%s\n' "$@" | grep -vxF -f <(printf '%s\n' "$installed") || true
}

# Installs what is missing, or says exactly what to install and stops with 2.
packages() {
  [ "${FR_SKIP_PACKAGES:-0}" = 1 ] && return 0
  local missing
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    stop "this machine has no apt. Install what these Debian packages hold, then set FR_SKIP_PACKAGES=1:" "  ${apt_packages[*]}"
  fi
  mapfile -t missing < <(not_installed "$@")
  [ "${#missing[@]}" -eq 0 ] && return 0
  if ! as_root true; then
    stop "${#missing[@]} packages are missing and this is neither root nor a user with sudo. As root, run:" \
      "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
  fi
  say "system packages: ${missing[*]}"
  update_lists
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 -qq install -y --no-install-recommends \
    "${missing[@]}" </dev/null >"$state/apt.log" 2>&1 ||
    stop "apt-get could not install them. Its last lines (all of them: .toolchain/apt.log):" "$(tail -n 5 "$state/apt.log")" "The packages are:" "  ${missing[*]}"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; return; fi
  command -v sudo >/dev/null || return 1
  if sudo -n true 2>/dev/null; then sudo -n "$@"; return; fi
  [ -t 0 ] && sudo "$@"
}

lists_updated=no
update_lists() {
  [ "$lists_updated" = no ] || return 0
  lists_updated=yes
  as_root apt-get -o DPkg::Lock::Timeout=600 -qq update </dev/null >"$state/apt-update.log" 2>&1 || say "apt-get update had errors (.toolchain/apt-update.log); going on with the lists that are there"
}

# Whether apt knows the package, after one update of its lists if it must be.
apt_has() {
  apt-cache show "$1" >/dev/null 2>&1 && return 0
  update_lists
  apt-cache show "$1" >/dev/null 2>&1
}

# --- Rust -------------------------------------------------------------------------------------------------------------------
# rustup when it has, or may fetch, the pinned toolchain with rust-src; else Debian's packages. Children get cargo by full path,
# RUSTC set and the toolchain first on PATH (build/src/toolchain/host.ts): with rustup's proxies first on PATH, Debian's cargo
# would take rustup's rustc and fail for want of rust-src.

set_up_rust() {
  local kind='' bin='' why='' refused=''
  [ "${FR_RUST:-auto}" = debian ] || try_rustup || true
  if [ -z "$kind" ] && [ "${FR_RUST:-auto}" != rustup ]; then try_debian || true; fi
  if [ -z "$kind" ] && ! command -v rustup >/dev/null && command -v apt-get >/dev/null && apt_has rustup; then
    packages rustup # Ubuntu 24.04 has no new enough Rust, but it has rustup.
    try_rustup || true
  fi
  [ -n "$kind" ] || stop "no usable Rust $rust_pin: $refused" \
    "  either: rustup toolchain install $rust_pin --profile minimal -c rust-src,rustfmt,clippy" "  or, on Debian 12: apt-get install ${rust_packages[*]}"
  local version std
  version=$("$bin/rustc" --version)
  std=$("$bin/rustc" --print sysroot)/lib/rustlib/src/rust/library
  printf '{\n  "kind": "%s",\n  "cargo": "%s/cargo",\n  "rustc": "%s/rustc",\n  "bin": "%s",\n  "stdSource": "%s",\n  "version": "%s",\n  "why": "%s"\n}\n' \
    "$kind" "$bin" "$bin" "$bin" "$std" "$version" "$why" >"$state/env.json.new"
  mv -f "$state/env.json.new" "$state/env.json"
  say "Rust: $version, from $kind: $why"
}

try_rustup() {
  if ! command -v rustup >/dev/null; then refused="rustup is not installed"; return 1; fi
  local sysroot fetched=already
  if ! rustup toolchain list 2>/dev/null | grep -q "^$rust_pin-"; then
    local may=${FR_RUSTUP_FETCH:-1}
    if [ -z "${FR_RUSTUP_FETCH:-}" ] && { [ "${RUSTUP_AUTO_INSTALL:-1}" = 0 ] || [ -n "${CI:-}" ]; }; then may=0; fi
    if [ "$may" != 1 ]; then refused="rustup lacks $rust_pin and may not fetch it here: RUSTUP_AUTO_INSTALL=0, CI or FR_RUSTUP_FETCH=0 is set"; return 1; fi
    say "Rust: rustup fetches $rust_pin"
    RUSTUP_MAX_RETRIES=0 timeout 600 rustup toolchain install "$rust_pin" --profile minimal --component rust-src,rustfmt,clippy \
      --target x86_64-unknown-none,x86_64-unknown-uefi </dev/null >&2 || { refused="rustup could not fetch $rust_pin"; return 1; }
    fetched=now
  fi
  sysroot=$(rustup run "$rust_pin" rustc --print sysroot 2>/dev/null) || { refused="rustup's $rust_pin does not run"; return 1; }
  if [ ! -f "$sysroot/lib/rustlib/src/rust/library/Cargo.lock" ]; then refused="rustup's $rust_pin lacks rust-src"; return 1; fi
  kind=rustup bin=$sysroot/bin why="rustup has the pinned $rust_pin with rust-src ($fetched installed)"
}

try_debian() {
  command -v apt-get >/dev/null || { refused="$refused; no apt for Debian's packages"; return 1; }
  if [ -n "$(not_installed "${rust_packages[@]}")" ]; then
    apt_has rustc-web || { refused="$refused; apt has no rustc-web (Debian 12 has)"; return 1; }
    packages "${rust_packages[@]}"
  fi
  [ -e /usr/bin/rust-lld ] || { refused="$refused; /usr/bin/rust-lld is a dangling link (install lld-22)"; return 1; }
  /usr/bin/rustc --version | grep -qF "rustc $rust_pin" || { refused="$refused; Debian's rustc is $(/usr/bin/rustc --version), not $rust_pin"; return 1; }
  [ -f "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/Cargo.lock" ] || { refused="$refused; rust-web-src is missing"; return 1; }
  kind=debian bin=/usr/bin why="${refused:-FR_RUST=debian}, so Debian's packages"
}

# --- Nickel -----------------------------------------------------------------------------------------------------------------
# The real program when the pinned version is on PATH; else the same evaluator from a Python wheel, checked by its digest, behind
# scripts/nickel-export.py, which knows only `export`.

set_up_nickel() {
  mkdir -p "$state/bin"
  local real
  real=$(PATH=${PATH//$state\/bin:/} type -P nickel || true)
  if [ -n "$real" ] && "$real" --version 2>/dev/null | grep -qF "$nickel_pin"; then
    ln -sfn "$real" "$state/bin/nickel"
    printf 'nickel %s, the real program, %s\n' "$nickel_pin" "$real" >"$state/nickel.txt"
    say "Nickel: $(<"$state/nickel.txt")"
    return 0
  fi
  local python=/usr/bin/python3 venv=$state/nickel want
  [ -x "$python" ] || python=$(command -v python3) || stop "python3 is missing: install the package python3-venv"
  want=$(sha256sum <"$root/scripts/nickel-requirements.txt")
  if [ ! -f "$venv/.stamp" ] || [ "$(<"$venv/.stamp")" != "$want" ]; then
    say "Nickel: py-nickel $nickel_pin in .toolchain/nickel ($("$python" --version))"
    rm -rf "$venv"
    "$python" -m venv "$venv" >&2 || stop "no Python venv: install the package python3-venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
      -r "$root/scripts/nickel-requirements.txt" >&2 ||
      stop "py-nickel $nickel_pin could not be installed. Python 3.11, 3.12 or 3.13 on x86_64 is needed, or nickel $nickel_pin itself on PATH"
    printf '%s' "$want" >"$venv/.stamp"
  fi
  rm -f "$state/bin/nickel"
  printf '#!/bin/sh\nexec "%s" -I "%s" "$@"\n' "$venv/bin/python" "$root/scripts/nickel-export.py" >"$state/bin/nickel"
  chmod +x "$state/bin/nickel"
  printf "nickel %s, the evaluator of the py-nickel wheel behind scripts/nickel-export.py (not the command-line program)\n" "$nickel_pin" >"$state/nickel.txt"
}

# --- What is missing, without touching anything ------------------------------------------------------------------------------

check() {
  local missing status=0
  if command -v dpkg-query >/dev/null; then
    mapfile -t missing < <(not_installed "${apt_packages[@]}")
    [ "${#missing[@]}" -eq 0 ] || { say "packages missing: ${missing[*]}"; status=2; }
  fi
  [ -e "$root/node_modules/.package-lock.json" ] || { say "npm packages missing"; status=2; }
  [ -f "$state/env.json" ] || { say "Rust not chosen yet"; status=2; }
  [ -x "$state/bin/nickel" ] || { say "Nickel missing"; status=2; }
  [ "$status" = 0 ] && say "nothing is missing" || say "mend it: scripts/bootstrap.sh"
  return "$status"
}

main "$@"
