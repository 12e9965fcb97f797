// SPDX-License-Identifier: PMPL-1.0-or-later
//! The way out: what OPOST makes of a byte, and echo.

use super::State;
use linux_raw_sys::general as raw;

const TAB: usize = 8;

impl State {
    pub(super) fn put_out(&mut self, byte: u8) {
        let flags = self.termios.output;
        if flags & raw::OPOST == 0 {
            self.output.push_back(byte);
            return;
        }
        match byte {
            b'\n' => {
                if flags & raw::ONLCR != 0 {
                    self.output.push_back(b'\r');
                }
                if flags & (raw::ONLCR | raw::ONLRET) != 0 {
                    self.column = 0;
                }
            }
            b'\r' if flags & raw::ONOCR != 0 && self.column == 0 => return,
            b'\r' if flags & raw::OCRNL != 0 => return self.output.push_back(b'\n'),
            b'\r' => self.column = 0,
            b'\t' => {
                let spaces = TAB - self.column % TAB;
                self.column += spaces;
                if flags & raw::TABDLY == raw::XTABS {
                    self.output.extend(core::iter::repeat_n(b' ', spaces));
                    return;
                }
            }
            8 => self.column = self.column.saturating_sub(1),
            32..=126 | 128.. => self.column += 1,
            _ => {}
        }
        self.output.push_back(byte);
    }
    /// Shows what was typed, as ECHO and ECHOCTL say.
    pub(super) fn echo(&mut self, byte: u8) {
        let is_control = byte < 32 && byte != b'\t' && byte != b'\n' || byte == 127;
        if is_control && self.termios.has_local(raw::ECHOCTL) {
            self.put_out(b'^');
            self.put_out(byte ^ 64);
        } else {
            self.put_out(byte);
        }
    }
    /// Takes what was shown of a byte off the screen.
    pub(super) fn unecho(&mut self, byte: u8) {
        let is_control = byte < 32 || byte == 127;
        // Of a character of several bytes only the first one has a width.
        let width = match byte {
            0x80..0xc0 => 0,
            _ if is_control && self.termios.has_local(raw::ECHOCTL) => 2,
            _ => 1,
        };
        for _ in 0..width {
            [8, b' ', 8].iter().for_each(|one| self.put_out(*one));
        }
    }
}
