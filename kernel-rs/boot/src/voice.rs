// SPDX-License-Identifier: PMPL-1.0-or-later
//! One line per decision. The decisions say it through this trait, so that tests can read what a person would.

use core::fmt::{self, Write};

/// Where the loader's lines go. An implementation adds `loader: ` before and a line end after.
pub trait Voice {
    fn line(&mut self, text: fmt::Arguments<'_>);
}

/// `say!(voice, "found {n} disks")` prints `loader: found 2 disks`.
#[macro_export]
macro_rules! say {
    ($voice:expr, $($text:tt)*) => { $crate::voice::Voice::line($voice, ::core::format_args!($($text)*)) };
}

/// Bytes as lower-case hexadecimal.
#[derive(Clone, Copy, Debug)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Text between double quotes, in which a quote becomes `'`: the value of `detail=`, one line and easy to match.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<T>(pub T);

impl<T: fmt::Display> fmt::Display for Quoted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        write!(WithoutQuotes(f), "{}", self.0)?;
        f.write_char('"')
    }
}

struct WithoutQuotes<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for WithoutQuotes<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.0.write_char(if c == '"' { '\'' } else { c }))
    }
}

/// What a console gets for `c`: what is not printable ASCII could move a terminal's cursor, or the eye, elsewhere.
pub fn printable(c: char) -> u8 {
    if (' '..='~').contains(&c) { c as u8 } else { b'?' }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_quote_inside_does_not_end_the_detail() {
        assert_eq!(Quoted("say \"no\"").to_string(), "\"say 'no'\"");
    }

    #[test]
    fn a_control_character_cannot_reach_a_terminal() {
        assert_eq!((printable('\n'), printable('\x1b'), printable('é'), printable('A')), (b'?', b'?', b'?', b'A'));
    }

    #[test]
    fn digests_are_lower_case() {
        assert_eq!(Hex(&[0, 0xab]).to_string(), "00ab");
    }
}
