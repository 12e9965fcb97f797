// SPDX-License-Identifier: PMPL-1.0-or-later
//! Calls about whose a thread is (credentials(7), capabilities(7)). Credentials are a thread's own on Linux; the C library changes those of
//! all. File capabilities and user namespaces are not there: what `uid` 0 gives up it does not get back.

use crate::cell::Cell;
use crate::errno::*;
use crate::task::Current;
use crate::task::change::Which;
use crate::task::credentials::{ALL, Credentials};
use crate::user::UserMemoryExt;
use crate::wait::Outcome;
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux_raw_sys::general::{CAP_SETGID, CAP_SETPCAP, CAP_SETUID};

/// Most supplementary groups: NGROUPS_MAX.
const MAX_GROUPS: u64 = 65536;
/// `_LINUX_CAPABILITY_VERSION_3`: two words of 32 bits for each set; version 1 has one.
const CAPABILITIES_3: u32 = 0x2008_0522;
const CAPABILITIES_1: u32 = 0x1998_0330;

/// Changes a copy, which the thread has from then on: nobody else sees half a change.
pub(super) fn change_credentials(
    current: &mut Current,
    cell: &mut Cell,
    how: impl FnOnce(&mut Credentials) -> Result<u64>,
) -> Result<u64> {
    let mut wanted = (*current.credentials).clone();
    let answer = how(&mut wanted)?;
    current.credentials = Arc::new(wanted);
    cell.thread(current.tid)?.credentials = current.credentials.clone();
    Ok(answer)
}

fn change(current: &mut Current, cell: &mut Cell, how: impl FnOnce(&mut Credentials) -> Result<u64>) -> Outcome {
    change_credentials(current, cell, how).into()
}

const UID: Which = Which { capability: CAP_SETUID, of: |c| [&mut c.uid, &mut c.euid, &mut c.suid, &mut c.fsuid] };
const GID: Which = Which { capability: CAP_SETGID, of: |c| [&mut c.gid, &mut c.egid, &mut c.sgid, &mut c.fsgid] };

/// `uid`.
pub fn setuid(current: &mut Current, cell: &mut Cell, [id, ..]: [u64; 6]) -> Outcome {
    change(current, cell, |it| UID.set(it, id as u32))
}
pub fn setgid(current: &mut Current, cell: &mut Cell, [id, ..]: [u64; 6]) -> Outcome {
    change(current, cell, |it| GID.set(it, id as u32))
}
/// `real, effective`.
pub fn setreuid(current: &mut Current, cell: &mut Cell, [real, effective, ..]: [u64; 6]) -> Outcome {
    change(current, cell, |it| UID.set_two(it, real as u32, effective as u32))
}
pub fn setregid(current: &mut Current, cell: &mut Cell, [real, effective, ..]: [u64; 6]) -> Outcome {
    change(current, cell, |it| GID.set_two(it, real as u32, effective as u32))
}
/// `real, effective, saved`.
pub fn setresuid(current: &mut Current, cell: &mut Cell, [real, effective, saved, ..]: [u64; 6]) -> Outcome {
    change(current, cell, |it| UID.set_three(it, [real as u32, effective as u32, saved as u32]))
}
pub fn setresgid(current: &mut Current, cell: &mut Cell, [real, effective, saved, ..]: [u64; 6]) -> Outcome {
    change(current, cell, |it| GID.set_three(it, [real as u32, effective as u32, saved as u32]))
}
/// `id`; answers the one of before, whether it was changed or not.
pub fn setfsuid(current: &mut Current, cell: &mut Cell, [id, ..]: [u64; 6]) -> Outcome {
    change(current, cell, |it| UID.set_of_files(it, id as u32))
}
pub fn setfsgid(current: &mut Current, cell: &mut Cell, [id, ..]: [u64; 6]) -> Outcome {
    change(current, cell, |it| GID.set_of_files(it, id as u32))
}

/// `real, effective, saved`.
pub fn getresuid(current: &mut Current, _: &mut Cell, addresses: [u64; 6]) -> Outcome {
    let Credentials { uid, euid, suid, .. } = *current.credentials;
    tell(current, addresses, [uid, euid, suid])
}
pub fn getresgid(current: &mut Current, _: &mut Cell, addresses: [u64; 6]) -> Outcome {
    let Credentials { gid, egid, sgid, .. } = *current.credentials;
    tell(current, addresses, [gid, egid, sgid])
}
fn tell(current: &mut Current, addresses: [u64; 6], ids: [u32; 3]) -> Outcome {
    let mut memory = current.memory.lock();
    addresses.into_iter().zip(ids).try_for_each(|(address, id)| memory.write_u32(address, id)).map(|()| 0).into()
}

/// `length, list`.
pub fn getgroups(current: &mut Current, _: &mut Cell, [length, list, ..]: [u64; 6]) -> Outcome {
    let groups = &current.credentials.groups;
    let count = groups.len() as u64;
    let length = length as i32;
    if length == 0 {
        return Ok(count).into();
    }
    if length < 0 || (length as u64) < count {
        return EINVAL.into();
    }
    let bytes: Vec<u8> = groups.iter().flat_map(|group| group.to_le_bytes()).collect();
    crate::user::UserMemory::write(&mut *current.memory.lock(), list, &bytes).map(|()| count).into()
}

/// `length, list`.
pub fn setgroups(current: &mut Current, cell: &mut Cell, [length, list, ..]: [u64; 6]) -> Outcome {
    if !current.credentials.can(CAP_SETGID) {
        return EPERM.into();
    }
    if length > MAX_GROUPS {
        return EINVAL.into();
    }
    let read = current.memory.lock().read_bytes(list, length as usize * 4);
    match read {
        Ok(bytes) => change(current, cell, |it| {
            it.groups = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
            Ok(0)
        }),
        Err(error) => error.into(),
    }
}

/// The header of capget(2) and capset(2): version and thread. Answers how many words a set has. An unknown version is answered with the
/// one that is known, which is how programs find it out.
fn header(current: &Current, header: u64) -> Result<(usize, u32)> {
    let mut memory = current.memory.lock();
    let (version, tid) = (memory.read_u32(header)?, memory.read_u32(header.wrapping_add(4))?);
    let words = match version {
        CAPABILITIES_3 | 0x2007_1026 => 2,
        CAPABILITIES_1 => 1,
        _ => {
            memory.write_u32(header, CAPABILITIES_3)?;
            return Err(EINVAL);
        }
    };
    Ok((words, if tid == 0 { current.tid } else { tid }))
}

/// `header, data`; without data it only asks for the version.
pub fn capget(current: &mut Current, cell: &mut Cell, [head, data, ..]: [u64; 6]) -> Outcome {
    let told = |current: &mut Current, cell: &mut Cell| {
        let (words, tid) = match header(current, head) {
            Err(EINVAL) if data == 0 => return Ok(0),
            other => other?,
        };
        let of = cell.thread(tid)?.credentials.clone();
        if data == 0 {
            return Ok(0);
        }
        let mut memory = current.memory.lock();
        for word in 0..words {
            for (n, set) in [of.effective, of.permitted, of.inheritable].into_iter().enumerate() {
                memory.write_u32(data.wrapping_add((word * 12 + n * 4) as u64), (set >> (word * 32)) as u32)?;
            }
        }
        Ok(0)
    };
    told(current, cell).into()
}

/// `header, data`, of the calling thread alone.
pub fn capset(current: &mut Current, cell: &mut Cell, [head, data, ..]: [u64; 6]) -> Outcome {
    let asked = (|| {
        let (words, tid) = header(current, head)?;
        if tid != current.tid && tid != current.process.pid {
            return Err(EPERM);
        }
        let mut memory = current.memory.lock();
        let mut sets = [0; 3];
        for word in 0..words {
            for (n, set) in sets.iter_mut().enumerate() {
                let part = memory.read_u32(data.wrapping_add((word * 12 + n * 4) as u64))?;
                *set |= u64::from(part) << (word * 32);
            }
        }
        Ok(sets.map(|set| set & ALL))
    })();
    match asked {
        Ok([effective, permitted, inheritable]) => change(current, cell, |it| {
            let may_inherit = it.permitted | it.inheritable | if it.can(CAP_SETPCAP) { it.bounding } else { 0 };
            if permitted & !it.permitted != 0 || effective & !permitted != 0 || inheritable & !may_inherit != 0 {
                return Err(EPERM);
            }
            (it.effective, it.permitted, it.inheritable) = (effective, permitted, inheritable);
            it.ambient &= permitted & inheritable;
            Ok(0)
        }),
        Err(error) => error.into(),
    }
}
