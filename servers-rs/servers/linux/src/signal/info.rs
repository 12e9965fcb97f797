// SPDX-License-Identifier: PMPL-1.0-or-later
//! What came with a signal: `siginfo_t` as sigaction(2) describes it, in the two layouts that programs read.

use crate::errno::{EINVAL, Result};

/// Length of `siginfo_t` and of `struct signalfd_siginfo`.
pub const INFO_BYTES: usize = 128;

/// One signal that was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Info {
    pub signal: u32,
    /// `si_code`: above 0 only the kernel says it.
    pub code: i32,
    pub more: More,
}

/// The union of `siginfo_t`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum More {
    None,
    /// kill(2), tgkill(2).
    Sender {
        pid: u32,
        uid: u32,
    },
    /// sigqueue(3) and what else has a value.
    Value {
        pid: u32,
        uid: u32,
        value: u64,
    },
    /// A POSIX timer.
    Timer {
        id: u32,
        overrun: u32,
        value: u64,
    },
    /// SIGCHLD; times in clock ticks.
    Child {
        pid: u32,
        uid: u32,
        status: i32,
        user_ticks: u64,
        system_ticks: u64,
    },
    /// SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP.
    Fault {
        address: u64,
        address_lsb: u16,
    },
    /// SIGIO.
    Poll {
        band: i64,
        fd: i32,
    },
    /// SIGSYS.
    Call {
        address: u64,
        number: u32,
        architecture: u32,
    },
}

impl Info {
    /// What the kernel itself sends, about nothing in particular.
    pub const fn kernel(signal: u32) -> Info {
        Info { signal, code: linux_raw_sys::general::SI_KERNEL as i32, more: More::None }
    }

    /// `siginfo_t` (include/uapi/asm-generic/siginfo.h, 64 bits).
    pub fn to_bytes(&self) -> [u8; INFO_BYTES] {
        let mut out = Bytes([0; INFO_BYTES]);
        out.u32(0, self.signal);
        out.u32(8, self.code as u32);
        match self.more {
            More::None => {}
            More::Sender { pid, uid } => out.pair(16, pid, uid),
            More::Value { pid, uid, value } => {
                out.pair(16, pid, uid);
                out.u64(24, value);
            }
            More::Timer { id, overrun, value } => {
                out.pair(16, id, overrun);
                out.u64(24, value);
            }
            More::Child { pid, uid, status, user_ticks, system_ticks } => {
                out.pair(16, pid, uid);
                out.u32(24, status as u32);
                out.u64(32, user_ticks);
                out.u64(40, system_ticks);
            }
            More::Fault { address, address_lsb } => {
                out.u64(16, address);
                out.u32(24, address_lsb.into());
            }
            More::Poll { band, fd } => {
                out.u64(16, band as u64);
                out.u32(24, fd as u32);
            }
            More::Call { address, number, architecture } => {
                out.u64(16, address);
                out.pair(24, number, architecture);
            }
        }
        out.0
    }

    /// As a read of a signalfd(2) gives it.
    pub fn to_signalfd_bytes(&self) -> [u8; INFO_BYTES] {
        let mut out = Bytes([0; INFO_BYTES]);
        out.u32(0, self.signal);
        out.u32(8, self.code as u32);
        match self.more {
            More::None => {}
            More::Sender { pid, uid } => out.pair(12, pid, uid),
            More::Value { pid, uid, value } => {
                out.pair(12, pid, uid);
                out.u32(44, value as u32);
                out.u64(48, value);
            }
            More::Timer { id, overrun, value } => {
                out.u32(24, id);
                out.u32(32, overrun);
                out.u32(44, value as u32);
                out.u64(48, value);
            }
            More::Child { pid, uid, status, user_ticks, system_ticks } => {
                out.pair(12, pid, uid);
                out.u32(40, status as u32);
                out.u64(56, user_ticks);
                out.u64(64, system_ticks);
            }
            More::Fault { address, address_lsb } => {
                out.u64(72, address);
                out.u32(80, address_lsb.into());
            }
            More::Poll { band, fd } => {
                out.u32(20, fd as u32);
                out.u32(28, band as u32);
            }
            More::Call { address, number, architecture } => {
                out.u32(84, number);
                out.u64(88, address);
                out.u32(96, architecture);
            }
        }
        out.0
    }

    /// What rt_sigqueueinfo(2) was given for `signal`. Errors: `EINVAL` for a code that only the kernel may say; whether the
    /// caller may say any code at all, the caller checks ([`Info::claims_kill`]).
    pub fn from_bytes(signal: u32, bytes: &[u8; INFO_BYTES]) -> Result<Info> {
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let code = u32_at(8) as i32;
        if code > 0 {
            return Err(EINVAL);
        }
        let value = u64::from(u32_at(24)) | u64::from(u32_at(28)) << 32;
        Ok(Info { signal, code, more: More::Value { pid: u32_at(16), uid: u32_at(20), value } })
    }

    /// It pretends to come from kill(2), tgkill(2) or the kernel: a process may say that of itself only.
    pub const fn claims_kill(&self) -> bool {
        self.code >= 0 || self.code == linux_raw_sys::general::SI_TKILL
    }
}

struct Bytes([u8; INFO_BYTES]);

impl Bytes {
    fn u32(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    fn u64(&mut self, at: usize, value: u64) {
        self.0[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    fn pair(&mut self, at: usize, first: u32, second: u32) {
        self.u32(at, first);
        self.u32(at + 4, second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linux_raw_sys::general::{CLD_EXITED, SI_QUEUE, SIGCHLD, SIGRTMIN, SIGUSR1};

    #[test]
    fn what_was_queued_with_a_value_comes_out_as_it_went_in() {
        let sent = Info { signal: SIGRTMIN, code: SI_QUEUE, more: More::Value { pid: 7, uid: 8, value: 0x1122_3344_5566_7788 } };
        assert_eq!(Info::from_bytes(SIGRTMIN, &sent.to_bytes()), Ok(sent));
    }

    #[test]
    fn a_code_of_the_kernels_is_refused() {
        let forged = Info { signal: SIGUSR1, code: 1, more: More::None };
        assert_eq!(Info::from_bytes(SIGUSR1, &forged.to_bytes()), Err(EINVAL));
    }

    #[test]
    fn a_childs_end_stands_where_both_layouts_have_it() {
        let more = More::Child { pid: 5, uid: 6, status: 42, user_ticks: 3, system_ticks: 4 };
        let info = Info { signal: SIGCHLD, code: CLD_EXITED as i32, more };
        let (plain, fd) = (info.to_bytes(), info.to_signalfd_bytes());
        assert_eq!([plain[0], plain[8], plain[16], plain[20], plain[24], plain[32], plain[40]], [17, 1, 5, 6, 42, 3, 4]);
        assert_eq!([fd[0], fd[8], fd[12], fd[16], fd[40], fd[56], fd[64]], [17, 1, 5, 6, 42, 3, 4]);
    }
}
