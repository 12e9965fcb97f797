// SPDX-License-Identifier: PMPL-1.0-or-later
//! libFuzzer's way into `bundle`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kernel_fuzz::CASES.iter().find(|c| c.0 == "bundle").unwrap().1(data));
