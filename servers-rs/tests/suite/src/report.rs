// SPDX-License-Identifier: PMPL-1.0-or-later
//! TAP version 14 on the kernel's debug console, so that a line does not depend on the servers under test.

use alloc::string::String;
use core::fmt::{Arguments, Debug, Write};
use ipc::Text;
use rt::channel::Channel;
use rt::log::{Level, Line};
use rt::start::grant;

/// What was found instead, as text.
pub type Found = Result<(), String>;

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
                say(format_args!("# {instead}"));
                say(format_args!("not ok {} - {promise}", self.count));
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
    let_others_finish();
    let mut line = Line::default();
    let _ = line.write_fmt(arguments);
    // Longer lines are cut by the console at 256 bytes.
    let bytes = line.as_str().as_bytes();
    let _ = sys::debug_log(bytes.get(..256.min(bytes.len())).unwrap_or(&[]));
}

/// The log's server, if there is one, writes to the same port. It answers a line after everything that came before it is
/// out, and a line at this level it does not print: so no other line is mixed into the next one.
fn let_others_finish() {
    if let Some((endpoint, _)) = grant::call(api_log::NAME) {
        let _ = api_log::Client(Channel(endpoint)).write(Level::Debug, Text::clipped(""));
    }
}

/// `Ok` if both are equal, else both as text.
pub fn equal<T: PartialEq + Debug>(found: T, wanted: T) -> Found {
    if found == wanted { Ok(()) } else { Err(text(format_args!("found {found:?}, wanted {wanted:?}"))) }
}
pub fn that(condition: bool, otherwise: &str) -> Found {
    if condition { Ok(()) } else { Err(text(format_args!("{otherwise}"))) }
}
/// Something that had to work did not.
pub fn must<T, E: Debug>(what: &str, result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| text(format_args!("{what}: {error:?}")))
}
pub fn text(arguments: Arguments<'_>) -> String {
    alloc::fmt::format(arguments)
}
