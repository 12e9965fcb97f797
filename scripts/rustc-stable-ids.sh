#!/usr/bin/env bash
# SPDX-License-Identifier: PMPL-1.0-or-later
# Cargo's RUSTC_WRAPPER in our builds: gives each crate of this repository an identity that does not depend on where the repository is.
# Cargo derives `-C metadata` of a crate outside the workspace's folder (kernel-rs/abi, seen from servers-rs) from its absolute path, and
# of whatever uses it from that; symbol names and with them the order of functions follow. So two clones would give two programs.
# Crates of the registry and of Rust itself keep what cargo says: it is the same everywhere. FR_ROOT: the repository.
# Called by cargo as `rustc-stable-ids.sh RUSTC ARGUMENT...`; set up by build/src/toolchain/cargo.ts.
set -euo pipefail

rustc=$1
shift
name='' source='' about='' previous=''
for word in "$@"; do
  case $previous in
    --crate-name) name=$word ;;
    --cfg | --target | --crate-type | --edition) about+=" $word" ;;
  esac
  case $word in
    -*) ;;
    *.rs) [ -n "$source" ] || source=$word ;;
  esac
  previous=$word
done

case $source in
  '') exec "$rustc" "$@" ;;
  /*) ;;
  *) source=$PWD/$source ;;
esac
case $source in
  "$FR_ROOT"/*) ;;
  *) exec "$rustc" "$@" ;;
esac

# A JSON target is given by its absolute path: its name is enough.
place=$(realpath -m --relative-to="$FR_ROOT" "$source")
identity=$(printf '%s|%s|%s' "$name" "$place" "${about//$FR_ROOT/}" | sha256sum | cut -c1-16)
arguments=()
for word in "$@"; do
  case $word in
    metadata=*) arguments+=("metadata=$identity") ;;
    *) arguments+=("$word") ;;
  esac
done
exec "$rustc" "${arguments[@]}"
