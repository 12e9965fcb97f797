// SPDX-License-Identifier: PMPL-1.0-or-later
//! Settings of a terminal, in the layout of TCGETS and TCGETS2.

use linux_raw_sys::general as raw;

/// c_cc of the kernel.
const CONTROLS: usize = 19;
/// Without the speeds, and with them.
pub const SHORT_BYTES: usize = 36;
pub const LONG_BYTES: usize = 44;

/// What a control character is of none: _POSIX_VDISABLE.
const DISABLED: u8 = 0;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Termios {
    pub input: u32,
    pub output: u32,
    pub control: u32,
    pub local: u32,
    line: u8,
    controls: [u8; CONTROLS],
    speeds: [u32; 2],
}

impl Default for Termios {
    /// As Linux has it at boot (tty_std_termios).
    fn default() -> Termios {
        let mut controls = [DISABLED; CONTROLS];
        let set = [
            (raw::VINTR, 3),
            (raw::VQUIT, 28),
            (raw::VERASE, 127),
            (raw::VKILL, 21),
            (raw::VEOF, 4),
            (raw::VMIN, 1),
            (raw::VSTART, 17),
            (raw::VSTOP, 19),
            (raw::VSUSP, 26),
            (raw::VREPRINT, 18),
            (raw::VDISCARD, 15),
            (raw::VWERASE, 23),
            (raw::VLNEXT, 22),
        ];
        set.iter().for_each(|(at, byte)| controls[*at as usize] = *byte);
        Termios {
            input: raw::ICRNL | raw::IXON,
            output: raw::OPOST | raw::ONLCR,
            control: raw::B38400 | raw::CS8 | raw::CREAD | raw::HUPCL,
            local: raw::ISIG | raw::ICANON | raw::ECHO | raw::ECHOE | raw::ECHOK | raw::ECHOCTL | raw::ECHOKE | raw::IEXTEN,
            line: 0,
            controls,
            speeds: [38400; 2],
        }
    }
}

impl Termios {
    pub fn to_bytes(self) -> [u8; LONG_BYTES] {
        let mut bytes = [0; LONG_BYTES];
        let words = [self.input, self.output, self.control, self.local];
        for (n, word) in words.iter().enumerate() {
            bytes[4 * n..4 * n + 4].copy_from_slice(&word.to_le_bytes());
        }
        bytes[16] = self.line;
        bytes[17..SHORT_BYTES].copy_from_slice(&self.controls);
        for (n, word) in self.speeds.iter().enumerate() {
            bytes[SHORT_BYTES + 4 * n..SHORT_BYTES + 4 * n + 4].copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
    /// With the speeds where they are there.
    pub fn from_bytes(bytes: &[u8], before: &Termios) -> Termios {
        let word = |at: usize| bytes[at..].first_chunk().map_or(0, |chunk| u32::from_le_bytes(*chunk));
        let mut controls = [0; CONTROLS];
        controls.copy_from_slice(&bytes[17..SHORT_BYTES]);
        let speeds = if bytes.len() >= LONG_BYTES { [word(36), word(40)] } else { before.speeds };
        Termios { input: word(0), output: word(4), control: word(8), local: word(12), line: bytes[16], controls, speeds }
    }
    pub fn has_local(&self, bit: u32) -> bool {
        self.local & bit != 0
    }
    pub fn is_canonical(&self) -> bool {
        self.has_local(raw::ICANON)
    }
    pub fn stops_background(&self) -> bool {
        self.has_local(raw::TOSTOP)
    }
    /// Whether a byte is that control character.
    pub fn is(&self, byte: u8, control: u32) -> bool {
        byte != DISABLED && self.controls[control as usize] == byte
    }
    pub fn minimum(&self) -> usize {
        usize::from(self.controls[raw::VMIN as usize])
    }
    /// VTIME, which counts tenths of seconds.
    pub fn wait_ns(&self) -> Option<u64> {
        let tenths = u64::from(self.controls[raw::VTIME as usize]);
        (tenths > 0).then_some(tenths * 100_000_000)
    }
}
