// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a Linux call answers when it fails: a number of errno(3), never made up here.

use core::fmt;
pub use linux_raw_sys::errno as number;

/// `Errno(number::ENOENT)`, or one of the constants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub u32);

pub type Result<T> = core::result::Result<T, Errno>;

impl Errno {
    /// As `rax` holds it: between -4095 and -1.
    pub const fn as_register(self) -> u64 {
        (self.0 as u64).wrapping_neg()
    }
}

/// The caller takes the signal that was just raised, then makes the call again. No guest ever sees it ([`crate::wait::Outcome`]).
pub const ERESTART: Errno = Errno(512);

/// The constants' own names, as types of ours.
macro_rules! names {
    ($($name:ident)*) => {
        $(pub const $name: Errno = Errno(number::$name);)*
        impl fmt::Debug for Errno {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $(number::$name => f.write_str(stringify!($name)),)*
                    other => write!(f, "errno {other}"),
                }
            }
        }
    };
}

names! {
    E2BIG EACCES EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EAGAIN EALREADY EBADF EBUSY ECHILD ECONNABORTED ECONNREFUSED
    ECONNRESET EDEADLK EDESTADDRREQ EDOM EDQUOT EEXIST EFAULT EFBIG EHOSTUNREACH EINPROGRESS EINTR EINVAL EIO EISCONN EISDIR
    ELIBBAD ELOOP EMFILE EMLINK EMSGSIZE ENAMETOOLONG ENETUNREACH ENFILE ENOBUFS ENODATA ENODEV ENOENT ENOEXEC ENOLCK ENOMEM
    ENOPROTOOPT ENOSPC ENOSYS ENOTBLK ENOTCONN ENOTDIR ENOTEMPTY ENOTSOCK ENOTTY ENXIO EOPNOTSUPP EOVERFLOW EOWNERDEAD EPERM
    EPIPE EPROTONOSUPPORT EPROTOTYPE ERANGE EROFS ESOCKTNOSUPPORT ESPIPE ESRCH ESTALE ETIMEDOUT ETOOMANYREFS ETXTBSY EUSERS EXDEV
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_the_negative_number_that_the_abi_wants() {
        assert_eq!(ENOENT.as_register() as i64, -2);
        assert_eq!(alloc::format!("{ENOSYS:?}"), "ENOSYS");
    }
}
