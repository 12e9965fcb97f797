// SPDX-License-Identifier: PMPL-1.0-or-later
//! Faults on purpose, for tests: what interface `injector` does, in the dev profile alone. The process server is more important
//! than any component, so its timer stops that one at any instruction.

use crate::report::Death;
use crate::state::State;
use crate::supervise::Supervisor;
use api_injector::{Error, Kind, Serve};
use ipc::{Badge, Text};
use manifest::Manifest;
use manifest::component::Profile;
use rt::child::Running;
use rt::memory::Shared;
use sys::{Memory, PAGE_BYTES, Rights};

/// Exit code of a process server that was killed so.
const KILLED: u64 = 105;
/// A jump to itself (Intel SDM volume 2, JMP rel8).
const JUMP_TO_ITSELF: [u8; 2] = [0xeb, 0xfe];
/// Of the heap, where most of what is used lies.
const HEAP_PAGES: u64 = 16;

pub fn is_allowed(manifest: &Manifest) -> bool {
    manifest.profile == Profile::Dev
}

/// A fault that is still to come.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    /// `None`: the process server itself.
    victim: Option<usize>,
    kind: Kind,
    pub at_ns: u64,
    seed: u64,
}

impl Serve for Supervisor {
    fn inject(&mut self, _: Badge, name: Text, kind: Kind, at_ns: u64, seed: u64) -> Result<(), Error> {
        if !is_allowed(self.board.manifest) {
            return Err(Error::Malformed);
        }
        if self.planned.is_some() {
            return Err(Error::Busy);
        }
        let victim = self.board.manifest.components.iter().position(|c| c.name == name.as_str());
        let known = victim.is_some() || kind == Kind::Kill && name.as_str() == self.board.manifest.process.name;
        self.planned = Some(Planned { victim, kind, at_ns, seed }).filter(|_| known);
        if known { Ok(()) } else { Err(Error::Unknown) }
    }
}

impl Supervisor {
    /// Does what is due; a victim that does not run just then is spared.
    pub fn inject_what_is_due(&mut self) {
        let Some(it) = self.planned.take_if(|it| it.at_ns <= rt::clock::now_ns()) else { return };
        let Some(n) = it.victim else { sys::thread_exit(KILLED) };
        let Some(record) = self.records.get(n).filter(|r| matches!(r.state, State::Up | State::Starting { .. })) else { return };
        let Some(child) = record.child else { return };
        let done = match it.kind {
            Kind::Kill => {
                self.dead(n, Death::Ended);
                Ok(())
            }
            Kind::Reply => {
                self.vitals.mutate(n, (it.seed as u32).max(1));
                Ok(())
            }
            Kind::Registers => child.flip_register(it.seed),
            Kind::Stall => stall(&child),
            Kind::Code => child.code.ok_or(sys::Error::BadHandle).and_then(|(memory, _)| flip(memory, 0, u64::MAX, it.seed)),
            Kind::Stack => flip(child.stack, child.stack_bytes - PAGE_BYTES, 1, it.seed),
            Kind::Heap => flip(child.stack, child.stack_bytes, HEAP_PAGES, it.seed),
        };
        if let Err(error) = done {
            rt::debug!("{:?} is not injected: {error:?}", it.kind);
        }
    }
}

/// Flips a bit in one of at most `pages` pages from `offset_bytes` on.
fn flip(memory: Memory, offset_bytes: u64, pages: u64, seed: u64) -> sys::Result<()> {
    let pages = pages.min(memory.size_bytes()?.saturating_sub(offset_bytes) / PAGE_BYTES).max(1);
    let page = Shared::map_from(memory, offset_bytes + seed % pages * PAGE_BYTES, PAGE_BYTES, Rights::READ | Rights::WRITE)?;
    let (place, mut byte) = (((seed >> 16) % PAGE_BYTES) as usize, [0]);
    let _ = page.read(place, &mut byte);
    let _ = page.write(place, &[byte[0] ^ 1 << ((seed >> 32) % 8)]);
    Ok(())
}

fn stall(child: &Running) -> sys::Result<()> {
    let (memory, address) = child.code.ok_or(sys::Error::BadHandle)?;
    let offset = child
        .instruction()?
        .checked_sub(address)
        .filter(|o| *o < memory.size_bytes().unwrap_or(0))
        .ok_or(sys::Error::OutOfRange)?;
    // Two pages, since the two bytes may lie on both.
    let page = offset / PAGE_BYTES * PAGE_BYTES;
    let length = (memory.size_bytes()? - page).min(2 * PAGE_BYTES);
    let code = Shared::map_from(memory, page, length, Rights::READ | Rights::WRITE)?;
    code.write((offset - page) as usize, &JUMP_TO_ITSELF).ok_or(sys::Error::OutOfRange)
}
