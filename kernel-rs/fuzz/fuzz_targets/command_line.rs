// SPDX-License-Identifier: PMPL-1.0-or-later
//! libFuzzer's way into `command_line`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kernel_fuzz::CASES.iter().find(|c| c.0 == "command_line").unwrap().1(data));
