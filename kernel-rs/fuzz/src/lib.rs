// SPDX-License-Identifier: PMPL-1.0-or-later
//! The fuzz targets' bodies. Each takes foreign bytes and panics when a promise is broken.
#![forbid(unsafe_code)]

mod decoders;
mod system_calls;

/// Name, which is its corpus' as well, and body.
pub const CASES: [(&str, fn(&[u8])); 4] = [
    ("acpi", decoders::acpi),
    ("bundle", decoders::bundle),
    ("command_line", decoders::command_line),
    ("system_calls", system_calls::run),
];
