// SPDX-License-Identifier: PMPL-1.0-or-later
//! Calls about the system as a whole: its names, its memory, random bytes.

use super::Clock;
use crate::cell::Cell;
use crate::errno::*;
use crate::task::Current;
use crate::user::{UserMemory, UserMemoryExt};
use crate::wait::Outcome;
use alloc::vec;
use alloc::vec::Vec;
use linux_raw_sys::general::*;

/// Length of a name in `struct utsname`, the zero at its end included.
const NAME_BYTES: usize = 65;
/// The Linux whose calls these are. The C library refuses to start on one that is too old for it.
const RELEASE: &[u8] = b"6.1.0-flatracoon";
/// Random bytes that are made at a time.
const RANDOM_BYTES: usize = 256;
/// As much as Linux gives at once.
const MAX_RANDOM_BYTES: u64 = 0x7fff_ffff;

/// What programs call this machine; each cell has its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Names {
    pub host: Vec<u8>,
    pub domain: Vec<u8>,
}

impl Default for Names {
    fn default() -> Names {
        Names { host: b"flatracoon".to_vec(), domain: b"(none)".to_vec() }
    }
}

impl Names {
    /// `struct utsname`.
    fn to_bytes(&self) -> [u8; 6 * NAME_BYTES] {
        let mut bytes = [0; 6 * NAME_BYTES];
        let names: [&[u8]; 6] = [b"Linux", &self.host, RELEASE, b"#1 SMP", b"x86_64", &self.domain];
        for (place, name) in bytes.chunks_mut(NAME_BYTES).zip(names) {
            let length = name.len().min(NAME_BYTES - 1);
            place[..length].copy_from_slice(&name[..length]);
        }
        bytes
    }
}

/// `names`.
pub fn uname(current: &mut Current, cell: &mut Cell, [names, ..]: [u64; 6]) -> Outcome {
    current.memory.lock().write(names, &cell.names.to_bytes()).map(|()| 0).into()
}

/// `name, length`.
pub fn sethostname(current: &mut Current, cell: &mut Cell, arguments: [u64; 6]) -> Outcome {
    new_name(current, arguments).map(|name| cell.names.host = name).map(|()| 0).into()
}
pub fn setdomainname(current: &mut Current, cell: &mut Cell, arguments: [u64; 6]) -> Outcome {
    new_name(current, arguments).map(|name| cell.names.domain = name).map(|()| 0).into()
}
fn new_name(current: &Current, [name, length, ..]: [u64; 6]) -> Result<Vec<u8>> {
    if !current.credentials.can(CAP_SYS_ADMIN) {
        return Err(EPERM);
    }
    if length >= NAME_BYTES as u64 {
        return Err(EINVAL);
    }
    current.memory.lock().read_bytes(name, length as usize)
}

/// `information`: what is shown is what the cell may have.
pub fn sysinfo(current: &mut Current, cell: &mut Cell, [information, ..]: [u64; 6]) -> Outcome {
    let (total, free) = cell.memory_bytes();
    let mut bytes = [0; 112];
    let mut put = |at: usize, value: u64| bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    put(0, current.clocks.now_ns(Clock::Monotonic) / crate::time::NS_PER_S);
    put(32, total);
    put(40, free);
    put(80, cell.threads.len().min(u16::MAX.into()) as u64);
    // The unit of the sizes is a byte.
    put(104, 1);
    current.memory.lock().write(information, &bytes).map(|()| 0).into()
}

/// `bytes, count, flags`. The generator is seeded before a cell starts: nothing waits for it.
pub fn getrandom(current: &mut Current, cell: &mut Cell, [address, count, flags, ..]: [u64; 6]) -> Outcome {
    let known = GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE;
    let contrary = GRND_RANDOM | GRND_INSECURE;
    if flags & !u64::from(known) != 0 || flags as u32 & contrary == contrary {
        return EINVAL.into();
    }
    let count = count.min(MAX_RANDOM_BYTES);
    let mut bytes = vec![0; RANDOM_BYTES.min(count as usize)];
    let mut done = 0;
    while done < count {
        let part = &mut bytes[..RANDOM_BYTES.min((count - done) as usize)];
        cell.random.fill(part);
        match current.memory.lock().write(address.wrapping_add(done), part) {
            Ok(()) => done += part.len() as u64,
            Err(_) if done > 0 => break,
            Err(error) => return error.into(),
        }
    }
    Ok(done).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_where_programs_look_and_end_in_time() {
        let names = Names { host: vec![b'x'; 100], ..Names::default() };
        let bytes = names.to_bytes();
        assert_eq!(&bytes[..6], b"Linux\0");
        assert_eq!(bytes[NAME_BYTES..2 * NAME_BYTES].iter().filter(|byte| **byte == b'x').count(), NAME_BYTES - 1);
        assert!(bytes[4 * NAME_BYTES..].starts_with(b"x86_64\0") && bytes[5 * NAME_BYTES..].starts_with(b"(none)\0"));
    }
}
