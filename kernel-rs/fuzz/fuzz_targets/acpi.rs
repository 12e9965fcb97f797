// SPDX-License-Identifier: PMPL-1.0-or-later
//! libFuzzer's way into `acpi`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kernel_fuzz::CASES.iter().find(|c| c.0 == "acpi").unwrap().1(data));
