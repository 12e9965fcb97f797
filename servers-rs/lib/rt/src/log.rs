// SPDX-License-Identifier: PMPL-1.0-or-later
//! A line of text to whoever watches the machine.
//!
//! It goes to the `log` grant, whose server puts this program's name before it. Without that grant it goes to the
//! kernel's debug console, which production does not have. The process server sets a sink of its own, since
//! it must never wait for a component that it may have to restart.

use api_log::Client;
pub use api_log::Level;
use core::fmt::{Arguments, Write};
use core::sync::atomic::{AtomicPtr, Ordering};
use ipc::Text;

static SINK: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Sends lines elsewhere from now on.
pub fn set_sink(sink: fn(Level, &str)) {
    SINK.store(sink as *mut (), Ordering::Release);
}

/// One line; cut at `Text::MAX_BYTES`. Never fails: a line that nobody takes is lost.
pub fn line(level: Level, arguments: Arguments<'_>) {
    if level as u8 > crate::start::startup().log_level {
        return;
    }
    let mut text = Line::default();
    let _ = text.write_fmt(arguments);
    let sink = SINK.load(Ordering::Acquire);
    if !sink.is_null() {
        // SAFETY: only `set_sink` stores here, and it stores a function of this type.
        let sink = unsafe { core::mem::transmute::<*mut (), fn(Level, &str)>(sink) };
        return sink(level, text.as_str());
    }
    match crate::start::grant::call(api_log::NAME) {
        Some((endpoint, _)) => {
            let _ = Client(crate::channel::Channel(endpoint)).write(level, Text::clipped(text.as_str()));
        }
        None => {
            debug(text.as_str());
        }
    }
}

/// A line before the end. A program with a sink of its own may not live to see its line taken from there, so the
/// kernel's console comes first, where there is one.
pub fn last_words(arguments: Arguments<'_>) {
    let mut text = Line::default();
    let _ = text.write_fmt(arguments);
    if SINK.load(Ordering::Acquire).is_null() || !debug(text.as_str()) {
        line(Level::Error, format_args!("{}", text.as_str()));
    }
}

/// To the kernel's console, with this program's name. False in production, which has no such operation.
fn debug(text: &str) -> bool {
    let mut line = Line::default();
    let _ = write!(line, "{}: {text}", crate::start::startup().name);
    sys::debug_log(line.as_str().as_bytes().get(..DEBUG_BYTES.min(line.length)).unwrap_or(&[])).is_ok()
}
/// Longest line of `Op::DebugLog`.
const DEBUG_BYTES: usize = 256;

/// Text that is cut where it no longer fits.
#[derive(Debug)]
pub struct Line {
    bytes: [u8; Text::MAX_BYTES],
    length: usize,
}
impl Default for Line {
    fn default() -> Self {
        Line { bytes: [0; Text::MAX_BYTES], length: 0 }
    }
}
impl Line {
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.length).unwrap_or(&[]);
        match core::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(e) => bytes.get(..e.valid_up_to()).and_then(|b| core::str::from_utf8(b).ok()).unwrap_or(""),
        }
    }
}
impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = self.bytes.get_mut(self.length..).unwrap_or(&mut []);
        let length = room.len().min(text.len());
        if let (Some(to), Some(from)) = (room.get_mut(..length), text.as_bytes().get(..length)) {
            to.copy_from_slice(from);
            self.length += length;
        }
        Ok(())
    }
}

#[macro_export]
macro_rules! error { ($($part:tt)*) => { $crate::log::line($crate::log::Level::Error, format_args!($($part)*)) }; }
#[macro_export]
macro_rules! warning { ($($part:tt)*) => { $crate::log::line($crate::log::Level::Warning, format_args!($($part)*)) }; }
#[macro_export]
macro_rules! info { ($($part:tt)*) => { $crate::log::line($crate::log::Level::Info, format_args!($($part)*)) }; }
#[macro_export]
macro_rules! debug { ($($part:tt)*) => { $crate::log::line($crate::log::Level::Debug, format_args!($($part)*)) }; }
