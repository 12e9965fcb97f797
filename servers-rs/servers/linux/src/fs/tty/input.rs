// SPDX-License-Identifier: PMPL-1.0-or-later
//! The way in: signals, editing of the line, echo (termios(3), "Canonical and noncanonical mode").

use super::{INPUT_BYTES, State};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use linux_raw_sys::general as raw;

impl State {
    /// A byte from the wire. Signals for the foreground are added to `signals`.
    pub(super) fn take_in(&mut self, byte: u8, signals: &mut Vec<u32>) {
        let byte = if self.termios.input & raw::ISTRIP != 0 { byte & 0x7f } else { byte };
        if core::mem::take(&mut self.is_literal) {
            if self.termios.has_local(raw::ECHO) {
                self.echo(byte);
            }
            return self.type_in(byte);
        }
        if self.termios.input & raw::IXON != 0 {
            if self.termios.is(byte, raw::VSTOP) {
                self.is_stopped = true;
                return;
            }
            if self.termios.is(byte, raw::VSTART) {
                self.is_stopped = false;
                return;
            }
            if self.termios.input & raw::IXANY != 0 {
                self.is_stopped = false;
            }
        }
        if self.termios.has_local(raw::ISIG) {
            let signal = [(raw::VINTR, raw::SIGINT), (raw::VQUIT, raw::SIGQUIT), (raw::VSUSP, raw::SIGTSTP)];
            if let Some((_, signal)) = signal.iter().find(|(control, _)| self.termios.is(byte, *control)) {
                if !self.termios.has_local(raw::NOFLSH) {
                    self.flush_input();
                    self.output.clear();
                }
                if self.termios.has_local(raw::ECHO) {
                    self.echo(byte);
                }
                self.is_stopped = false;
                return signals.push(*signal);
            }
        }
        let byte = match byte {
            b'\r' if self.termios.input & raw::IGNCR != 0 => return,
            b'\r' if self.termios.input & raw::ICRNL != 0 => b'\n',
            b'\n' if self.termios.input & raw::INLCR != 0 => b'\r',
            other => other,
        };
        if self.termios.is_canonical() {
            return self.edit(byte);
        }
        if self.termios.has_local(raw::ECHO) {
            self.echo(byte);
        }
        self.type_in(byte);
    }
    fn type_in(&mut self, byte: u8) {
        if self.typed.len() < INPUT_BYTES - 1 {
            self.typed.push_back(byte);
        } else if self.termios.input & raw::IMAXBEL != 0 {
            self.put_out(7);
        }
    }
    /// Canonical mode.
    fn edit(&mut self, byte: u8) {
        let shows = self.termios.has_local(raw::ECHO);
        let extends = self.termios.has_local(raw::IEXTEN);
        if self.termios.is(byte, raw::VERASE) {
            self.erase_character();
        } else if self.termios.is(byte, raw::VKILL) {
            while !self.typed.is_empty() {
                self.erase_byte();
            }
            if shows && self.termios.has_local(raw::ECHOK) && !self.termios.has_local(raw::ECHOKE) {
                self.put_out(b'\n');
            }
        } else if extends && self.termios.is(byte, raw::VWERASE) {
            let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 128;
            while self.typed.back().is_some_and(|last| !is_word(*last)) {
                self.erase_byte();
            }
            while self.typed.back().is_some_and(|last| is_word(*last)) {
                self.erase_byte();
            }
        } else if extends && self.termios.is(byte, raw::VREPRINT) {
            if shows {
                self.echo(byte);
                self.put_out(b'\n');
                let line: Vec<u8> = self.typed.iter().copied().collect();
                line.iter().for_each(|byte| self.echo(*byte));
            }
        } else if extends && self.termios.is(byte, raw::VLNEXT) {
            self.is_literal = true;
            if shows && self.termios.has_local(raw::ECHOCTL) {
                [b'^', 8].iter().for_each(|byte| self.put_out(*byte));
            }
        } else if self.termios.is(byte, raw::VEOF) {
            self.finish_line();
        } else if byte == b'\n' {
            if shows || self.termios.has_local(raw::ECHONL) {
                self.put_out(byte);
            }
            self.typed.push_back(byte);
            self.finish_line();
        } else {
            if shows {
                self.echo(byte);
            }
            if self.termios.is(byte, raw::VEOL) || extends && self.termios.is(byte, raw::VEOL2) {
                self.typed.push_back(byte);
                return self.finish_line();
            }
            self.type_in(byte);
        }
    }
    fn finish_line(&mut self) {
        let line = core::mem::take(&mut self.typed);
        if self.lines.len() < INPUT_BYTES {
            self.lines.push_back(line);
        }
    }
    /// One byte, and of a character of UTF-8 all of it.
    fn erase_character(&mut self) {
        while let Some(byte) = self.typed.back().copied() {
            self.erase_byte();
            let continues = self.termios.input & raw::IUTF8 != 0 && byte & 0xc0 == 0x80;
            if !continues {
                break;
            }
        }
    }
    fn erase_byte(&mut self) {
        let Some(byte) = self.typed.pop_back() else { return };
        if self.termios.has_local(raw::ECHO) && self.termios.has_local(raw::ECHOE) {
            self.unecho(byte);
        }
    }
    pub(super) fn flush_input(&mut self) {
        self.typed.clear();
        self.lines.clear();
    }
    /// What was typed goes over from one mode to the other.
    pub(super) fn change_mode(&mut self, was_canonical: bool) {
        match (was_canonical, self.termios.is_canonical()) {
            (true, false) => {
                let mut all: VecDeque<u8> = self.lines.drain(..).flatten().collect();
                all.append(&mut self.typed);
                self.typed = all;
            }
            (false, true) if !self.typed.is_empty() => self.finish_line(),
            _ => {}
        }
    }
}
