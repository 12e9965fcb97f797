// SPDX-License-Identifier: PMPL-1.0-or-later
//! The smallest Linux personality: an executable's segments in an address space, `write`, `getpid` and `exit`, and whatever
//! else is ENOSYS. It never follows a guest's pointer: it looks it up in its own list of what is mapped where.

use alloc::string::String;
use alloc::vec::Vec;
use program::{Access, Program};
use rt::field;
use rt::guest::{Page, Space};
use rt::memory::Shared;
use sys::guest::{reason, resume};
use sys::{Error, PAGE_BYTES, Pool, Rights, start};

const STACK: u64 = 0x7ffe_0000_0000;
/// Memory for a guest's data, in every guest.
pub const DATA: u64 = 0x5000_0000;
pub const DATA_BYTES: u64 = 4 * PAGE_BYTES;
const READ_WRITE: Rights = Rights(Rights::READ.0 | Rights::WRITE.0);

mod call {
    pub const WRITE: u64 = 1;
    pub const GETPID: u64 = 39;
    pub const EXIT: u64 = 60;
}
const ENOSYS: u64 = -38i64 as u64;
const EFAULT: u64 = -14i64 as u64;

/// A loaded program, which any number of threads may run.
pub struct Guest {
    pub space: Space,
    pub entry: u64,
    mapped: Vec<(u64, Shared)>,
}

impl Guest {
    pub fn load(file: &[u8]) -> Result<Guest, Error> {
        let parsed = Program::parse(file).map_err(|_| Error::BadArgument)?;
        let mut guest = Guest { space: Space::new(Pool(start::POOL))?, entry: parsed.entry, mapped: Vec::new() };
        for segment in parsed.segments() {
            let access = match segment.access {
                Access::Read => Rights::READ,
                Access::ReadWrite => READ_WRITE,
                Access::ReadExecute => Rights::READ | Rights::EXECUTE,
            };
            let memory = guest.map(segment.address, segment.memory_bytes, access)?;
            memory.write(segment.lead_bytes as usize, segment.bytes(file)).ok_or(Error::OutOfRange)?;
        }
        guest.map(STACK, PAGE_BYTES, READ_WRITE)?;
        guest.map(DATA, DATA_BYTES, READ_WRITE)?;
        Ok(guest)
    }

    /// New memory, in the guest and here.
    fn map(&mut self, address: u64, length_bytes: u64, access: Rights) -> Result<&Shared, Error> {
        let memory = Pool(start::POOL).create_memory(length_bytes)?;
        self.space.map(memory, 0, address, length_bytes, access)?;
        self.mapped.push((address, Shared::map(memory, length_bytes, READ_WRITE)?));
        self.mapped.last().map(|(_, memory)| memory).ok_or(Error::BadState)
    }

    fn find(&self, address: u64) -> Option<(&Shared, usize)> {
        self.mapped.iter().find_map(|(at, memory)| {
            let offset = address.checked_sub(*at).filter(|o| *o < memory.length_bytes())?;
            Some((memory, offset as usize))
        })
    }

    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Option<()> {
        self.find(address).and_then(|(memory, offset)| memory.read(offset, bytes))
    }

    pub fn write(&self, address: u64, bytes: &[u8]) -> Option<()> {
        self.find(address).and_then(|(memory, offset)| memory.write(offset, bytes))
    }

    pub fn word(&self, address: u64) -> u64 {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes).map_or(u64::MAX, |()| u64::from_le_bytes(bytes))
    }
}

/// How a thread of a guest ended, or stopped for somebody to look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Exited(u64),
    Exception { vector: u64, error: u64, address: u64 },
    Kicked,
    Failed { error: Error, word: u64 },
}

/// A thread of a guest: the calling thread, from `attach` on.
pub struct Task<'a> {
    pub guest: &'a Guest,
    pub page: Page,
    pub output: String,
    pub calls: u64,
}

impl<'a> Task<'a> {
    /// Ready to start at the entry, with `rdi`, `rsi` and `rdx`.
    pub fn attach(guest: &'a Guest, arguments: [u64; 3]) -> Result<Task<'a>, Error> {
        let page = Page::new(Pool(start::POOL))?;
        guest.space.attach(&page)?;
        let task = Task { guest, page, output: String::new(), calls: 0 };
        task.start(arguments);
        Ok(task)
    }

    pub fn start(&self, [rdi, rsi, rdx]: [u64; 3]) {
        (0..25).for_each(|n| self.page.set_word(n, 0));
        let stack = STACK + PAGE_BYTES - 16;
        let all = resume::ALL;
        for (field, value) in [(field!(rdi), rdi), (field!(rsi), rsi), (field!(rdx), rdx), (field!(resume), all)] {
            self.page.set(field, value);
        }
        self.page.set(field!(rip), self.guest.entry);
        self.page.set(field!(rsp), stack);
    }

    /// Serves the guest's system calls until something else happens.
    pub fn serve(&mut self) -> End {
        loop {
            match sys::guest::run() {
                Ok(reason::SYSCALL) => {
                    if let Some(end) = self.system_call() {
                        return end;
                    }
                }
                Ok(reason::EXCEPTION) => {
                    let [vector, error, address] = [field!(vector), field!(error), field!(address)].map(|f| self.page.get(f));
                    return End::Exception { vector, error, address };
                }
                Ok(_) => return End::Kicked,
                Err(refused) => return End::Failed { error: refused.error, word: refused.word },
            }
        }
    }

    fn system_call(&mut self) -> Option<End> {
        let page = &self.page;
        let [number, first, second, third] = [field!(rax), field!(rdi), field!(rsi), field!(rdx)].map(|f| page.get(f));
        self.calls += 1;
        let result = match (number, first) {
            (call::WRITE, 1) => {
                let mut bytes = [0; 64];
                let length = bytes.len().min(third as usize);
                match self.guest.read(second, &mut bytes[..length]) {
                    Some(()) => {
                        self.output.push_str(&String::from_utf8_lossy(&bytes[..length]));
                        length as u64
                    }
                    None => EFAULT,
                }
            }
            (call::GETPID, _) => 1,
            (call::EXIT, code) => return Some(End::Exited(code)),
            _ => ENOSYS,
        };
        self.page.set(field!(rax), result);
        None
    }
}
