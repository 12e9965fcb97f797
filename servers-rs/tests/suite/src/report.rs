// SPDX-License-Identifier: PMPL-1.0-or-later
//! TAP version 14 on the kernel's debug console, so that a line does not depend on the servers under test.

use core::fmt::{Arguments, Debug, Write};
use rt::log::Line;

/// What was found instead, as text.
pub type Found = Result<(), Line>;

pub struct Test {
    pub promise: &'static str,
    pub run: fn() -> Found,
}

pub struct Tap {
    count: usize,
    failed: usize,
}

impl Tap {
    pub fn begin() -> Tap {
        say(format_args!("TAP version 14"));
        Tap { count: 0, failed: 0 }
    }
    pub fn run(&mut self, test: &Test) {
        self.check(test.promise, (test.run)());
    }
    pub fn check(&mut self, promise: &str, found: Found) {
        self.count += 1;
        match found {
            Ok(()) => say(format_args!("ok {} - {promise}", self.count)),
            Err(instead) => {
                self.failed += 1;
                say(format_args!("not ok {} - {promise}", self.count));
                say(format_args!("  ---"));
                say(format_args!("  message: {:?}", instead.as_str()));
                say(format_args!("  ..."));
            }
        }
    }
    /// The plan at the end, since only then it is known; returns how many failed.
    pub fn end(self) -> usize {
        say(format_args!("1..{}", self.count));
        self.failed
    }
}

fn say(arguments: Arguments<'_>) {
    let mut line = Line::default();
    let _ = line.write_fmt(arguments);
    // Longer lines are cut by the console at 256 bytes.
    let bytes = line.as_str().as_bytes();
    let _ = sys::debug_log(bytes.get(..256.min(bytes.len())).unwrap_or(&[]));
}

/// `Ok` if both are equal, else both as text.
pub fn equal<T: PartialEq + Debug>(found: T, wanted: T) -> Found {
    if found == wanted { Ok(()) } else { Err(text(format_args!("found {found:?}, wanted {wanted:?}"))) }
}
pub fn that(condition: bool, otherwise: &str) -> Found {
    if condition { Ok(()) } else { Err(text(format_args!("{otherwise}"))) }
}
/// Something that had to work did not.
pub fn must<T, E: Debug>(what: &str, result: Result<T, E>) -> Result<T, Line> {
    result.map_err(|error| text(format_args!("{what}: {error:?}")))
}
pub fn text(arguments: Arguments<'_>) -> Line {
    let mut line = Line::default();
    let _ = line.write_fmt(arguments);
    line
}
