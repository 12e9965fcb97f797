// SPDX-License-Identifier: PMPL-1.0-or-later
//! libFuzzer's way into `cases::ostree`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| formats_fuzz::cases::ostree(data));
