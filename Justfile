# SPDX-License-Identifier: PMPL-1.0-or-later
# Every verb that a person types. A recipe is one line; what it does is in build/src/commands/<verb>.ts.
# Each sets up by itself what is missing (scripts/bootstrap.sh). `just VERB --help` says more, `just` lists them.

set positional-arguments := true
set shell := ["bash", "-euc"]

orchestrate := "node build/dist/run.js"

[private]
default:
    @just --justfile {{ quote(justfile()) }} --list --unsorted

[private]
bootstrap:
    @scripts/bootstrap.sh

# install what is missing: system packages, npm packages, Rust, Nickel
[group('set-up')]
setup: bootstrap
    @{{ orchestrate }} doctor

# which tools, which versions, what is missing and how to mend it
[group('set-up')]
doctor *args: bootstrap
    @{{ orchestrate }} doctor "$@"

# make the development keys, outside the repository; a build does it by itself
[group('set-up')]
keys *args: bootstrap
    @{{ orchestrate }} keys "$@"

# build the development image into out/dev
[group('build')]
build-dev *args: bootstrap
    @{{ orchestrate }} build-dev "$@"

# build the production image into out/prod
[group('build')]
build-prod *args: bootstrap
    @{{ orchestrate }} build-prod "$@"

# print every step with its inputs, and every partition; build nothing
[group('build')]
plan *args: bootstrap
    @{{ orchestrate }} plan "$@"

# say which input makes, or made, an artifact: `just why kernel`
[group('build')]
why *args: bootstrap
    @{{ orchestrate }} why "$@"

# write which packages the base image is made of, with digests, into configs/base.lock.json
[group('build')]
lock-base *args: bootstrap
    @{{ orchestrate }} lock-base "$@"

# remove out/ and compiled Rust
[group('build')]
clean *args: bootstrap
    @{{ orchestrate }} clean "$@"

# build and boot a node; its serial console is yours, Ctrl-C leaves
[group('run')]
run-qemu *args: bootstrap
    @{{ orchestrate }} run-qemu "$@"

# log in to a running node (comes later)
[group('run')]
ssh *args: bootstrap
    @{{ orchestrate }} ssh "$@"

# unit tests, Rust tests and boots
[group('verify')]
test *args: bootstrap
    @{{ orchestrate }} test "$@"

# all tests with every sample: all bits of a byte in each region of a slot, longer random runs
[group('verify')]
test-long *args: bootstrap
    @{{ orchestrate }} test-long "$@"

# types, formats, lints, licences, import rules
[group('verify')]
check *args: bootstrap
    @{{ orchestrate }} check "$@"

# check a built image with tools that are not ours
[group('verify')]
verify *args: bootstrap
    @{{ orchestrate }} verify "$@"

# measure: `just bench SUITE` (`just bench --help` has the list); each writes out/bench/<suite>.json
[group('verify')]
bench *args: bootstrap
    @{{ orchestrate }} bench "$@"

# draw who holds which capability in a running node: out/capabilities.svg
[group('look')]
capabilities *args: bootstrap
    @{{ orchestrate }} capabilities "$@"

# save what each CPU did last as a trace for ui.perfetto.dev
[group('look')]
trace *args: bootstrap
    @{{ orchestrate }} trace "$@"

# draw who calls whom and who holds what
[group('look')]
graph *args: bootstrap
    @{{ orchestrate }} graph "$@"

# print the module manifest of the FlatRacoon stack as JSON
[group('look')]
manifest *args: bootstrap
    @{{ orchestrate }} manifest "$@"

# what changed between two images: who may do more, which files: `just diff OLD NEW`
[group('look')]
diff *args: bootstrap
    @{{ orchestrate }} diff "$@"
