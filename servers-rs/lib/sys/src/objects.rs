// SPDX-License-Identifier: PMPL-1.0-or-later
//! One type per kind of capability, one method per operation. Errors and units: `abi::op`.

use crate::call::{invoke, invoke_any};
use crate::{Error, Result};
use abi::handle::Handle;
use abi::message::Tag;
use abi::op::Op;
use abi::right::{Kind, Rights};

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $name:ident)*) => { $(
        $(#[doc = $doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $name(pub Handle);
        impl From<$name> for Handle {
            fn from(it: $name) -> Handle { it.0 }
        }
        impl Capability for $name {
            fn handle(self) -> Handle { self.0 }
            fn of(handle: Handle) -> Self { $name(handle) }
        }
    )* };
}

kinds! {
    /// Frames as a quota; everything is made from one and dies with it.
    Pool
    /// A process's capabilities.
    Table
    /// Page tables.
    AddressSpace
    /// Frames that can be mapped.
    Memory
    Thread
    /// Where calls arrive.
    Endpoint
    /// A word of bits.
    Notification
    /// The right to answer one call, kept for later.
    Reply
    Interrupt
    PortRange
    InterruptControl
    DeviceRange
    Power
}

/// What any capability can do.
pub trait Capability: Copy {
    fn handle(self) -> Handle;
    fn of(handle: Handle) -> Self;

    /// A copy with `rights` at most and, for an endpoint or notification without one, a badge.
    fn copy(self, rights: Rights, badge: u64) -> Result<Self> {
        let v = invoke(Op::Copy, self.handle(), [u64::from(rights.0), badge, 0, 0, 0])?;
        Ok(Self::of(to_handle(v[0])))
    }
    /// Empties the slot.
    fn delete(self) -> Result<()> {
        invoke(Op::Delete, self.handle(), [0; 5]).map(drop)
    }
    /// Empties every slot derived from this one; returns how many.
    fn revoke(self) -> Result<u64> {
        Ok(invoke(Op::Revoke, self.handle(), [0; 5])?[0])
    }
    fn inspect(self) -> Result<(Kind, Rights, u64)> {
        let v = invoke(Op::Inspect, self.handle(), [0; 5])?;
        let kind = u8::try_from(v[0]).ok().and_then(Kind::from_u8).unwrap_or(Kind::Null);
        Ok((kind, Rights(v[1] as u16), v[2]))
    }
    /// Destroys the object.
    ///
    /// # Safety
    /// If it is memory or an address space: no Rust reference points into what it backs.
    unsafe fn destroy(self) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { invoke_any(Op::Destroy as u64, self.handle(), [0; 5]) }.map(drop)
    }
}

fn to_handle(value: u64) -> Handle {
    Handle(value as u32)
}

/// A message or a notification, as it arrived. Words 4 and up and handles are in the thread's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    pub badge: u64,
    pub tag: Tag,
    pub words: [u64; 4],
}

impl Received {
    fn new(v: [u64; 6]) -> Self {
        Received { badge: v[0], tag: Tag(v[1]), words: [v[2], v[3], v[4], v[5]] }
    }
    /// The bits, if it was the bound notification and not a message.
    pub fn notification(&self) -> Option<u64> {
        (self.tag.label() == abi::message::NOTIFICATION_LABEL).then_some(self.words[0])
    }
}

/// Does nothing.
pub fn null() -> Result<()> {
    invoke(Op::Null, Handle::NULL, [0; 5]).map(drop)
}
/// Gives up the rest of the time slice.
pub fn yield_now() {
    let _ = invoke(Op::Yield, Handle::NULL, [0; 5]);
}
/// Nanoseconds since the kernel started.
pub fn clock_now() -> u64 {
    invoke(Op::ClockNow, Handle::NULL, [0; 5]).map_or(0, |v| v[0])
}
/// Answers the caller whose reply right this thread holds.
pub fn reply(tag: Tag, words: [u64; 4]) -> Result<()> {
    invoke(Op::Reply, Handle::NULL, [tag.0, words[0], words[1], words[2], words[3]]).map(drop)
}
/// Keeps this thread's reply right for later.
pub fn reply_save() -> Result<Reply> {
    Ok(Reply(to_handle(invoke(Op::ReplySave, Handle::NULL, [0; 5])?[0])))
}
/// Ends the calling thread.
pub fn thread_exit(code: u64) -> ! {
    loop {
        let _ = invoke(Op::ThreadExit, Handle::NULL, [code, 0, 0, 0, 0]);
    }
}
/// Sets this thread's FS base.
///
/// # Safety
/// Code of this thread that finds its own data through FS finds it there.
pub unsafe fn set_fs_base(address: u64) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe { invoke_any(Op::ThreadFsBase as u64, Handle::NULL, [address, 0, 0, 0, 0]) }.map(drop)
}
/// Debug: a line on the kernel's console, in the dev profile. At most 256 bytes.
pub fn debug_log(line: &[u8]) -> Result<()> {
    invoke(Op::DebugLog, Handle::NULL, [line.as_ptr() as u64, line.len() as u64, 0, 0, 0]).map(drop)
}
/// Debug: prints the caller's capability table on the kernel's console.
pub fn debug_dump() -> Result<()> {
    invoke(Op::DebugDump, Handle::NULL, [0; 5]).map(drop)
}
/// Debug: prints every table, thread and pool on the kernel's console, as lines of JSON.
pub fn debug_dump_all() -> Result<()> {
    invoke(Op::DebugDump, Handle::NULL, [1, 0, 0, 0, 0]).map(drop)
}
/// Calls a number that is no operation; for tests of the refusal. `None`: it is one, and was not called.
pub fn call_unknown(number: u64) -> Option<Result<()>> {
    if Op::from_u64(number).is_some() {
        return None;
    }
    // SAFETY: the kernel refuses a number that is not in its table.
    Some(unsafe { invoke_any(number, Handle::NULL, [0; 5]) }.map(drop))
}

impl Endpoint {
    pub fn call(self, tag: Tag, words: [u64; 4]) -> Result<Received> {
        Ok(Received::new(invoke(Op::Call, self.0, [tag.0, words[0], words[1], words[2], words[3]])?))
    }
    pub fn send(self, tag: Tag, words: [u64; 4]) -> Result<()> {
        invoke(Op::Send, self.0, [tag.0, words[0], words[1], words[2], words[3]]).map(drop)
    }
    pub fn receive(self, timeout_ns: u64) -> Result<Received> {
        Ok(Received::new(invoke(Op::Receive, self.0, [timeout_ns, 0, 0, 0, 0])?))
    }
    pub fn reply_receive(self, tag: Tag, words: [u64; 4]) -> Result<Received> {
        Ok(Received::new(invoke(Op::ReplyReceive, self.0, [tag.0, words[0], words[1], words[2], words[3]])?))
    }
}

impl Endpoint {
    /// Destroys the endpoint: whoever waits there, or calls from now on, hears `Gone`.
    pub fn close(self) -> Result<()> {
        invoke(Op::Destroy, self.0, [0; 5]).map(drop)
    }
}

impl Reply {
    /// Uses the right up.
    pub fn reply(self, tag: Tag, words: [u64; 4]) -> Result<()> {
        invoke(Op::Reply, self.0, [tag.0, words[0], words[1], words[2], words[3]]).map(drop)
    }
}

impl Notification {
    pub fn signal(self, bits: u64) -> Result<()> {
        invoke(Op::Signal, self.0, [bits, 0, 0, 0, 0]).map(drop)
    }
    pub fn wait(self, timeout_ns: u64) -> Result<u64> {
        Ok(invoke(Op::Wait, self.0, [timeout_ns, 0, 0, 0, 0])?[0])
    }
    pub fn arm(self, deadline_ns: u64, bits: u64) -> Result<()> {
        invoke(Op::Arm, self.0, [deadline_ns, bits, 0, 0, 0]).map(drop)
    }
}

impl Pool {
    fn create(self, kind: Kind, argument: u64, flags: u64) -> Result<Handle> {
        Ok(to_handle(invoke(Op::Create, self.0, [kind as u64, argument, flags, 0, 0])?[0]))
    }
    /// Zeroed memory without the DMA right.
    pub fn create_memory(self, length_bytes: u64) -> Result<Memory> {
        self.create(Kind::Memory, length_bytes, 0).map(Memory)
    }
    /// Zeroed memory of pages of 2 MiB; `NoQuota` also if the free frames do not lie so.
    pub fn create_large_memory(self, length_bytes: u64) -> Result<Memory> {
        self.create(Kind::Memory, length_bytes, 2).map(Memory)
    }
    /// Zeroed, physically contiguous memory with the DMA right.
    pub fn create_dma_memory(self, length_bytes: u64) -> Result<Memory> {
        self.create(Kind::Memory, length_bytes, 1).map(Memory)
    }
    pub fn create_table(self, slots: u64) -> Result<Table> {
        self.create(Kind::Table, slots, 0).map(Table)
    }
    pub fn create_address_space(self) -> Result<AddressSpace> {
        self.create(Kind::AddressSpace, 0, 0).map(AddressSpace)
    }
    pub fn create_thread(self) -> Result<Thread> {
        self.create(Kind::Thread, 0, 0).map(Thread)
    }
    pub fn create_endpoint(self) -> Result<Endpoint> {
        self.create(Kind::Endpoint, 0, 0).map(Endpoint)
    }
    pub fn create_notification(self) -> Result<Notification> {
        self.create(Kind::Notification, 0, 0).map(Notification)
    }
    /// Any kind, also one that pools do not make: for tests of refusals.
    pub fn create_any(self, kind: u64, argument: u64, flags: u64) -> Result<Handle> {
        Ok(to_handle(invoke(Op::Create, self.0, [kind, argument, flags, 0, 0])?[0]))
    }
    pub fn split(self, frames: u64) -> Result<Pool> {
        Ok(Pool(to_handle(invoke(Op::PoolSplit, self.0, [frames, 0, 0, 0, 0])?[0])))
    }
    /// Frames of quota, frames in use.
    pub fn usage(self) -> Result<(u64, u64)> {
        let v = invoke(Op::PoolUsage, self.0, [0; 5])?;
        Ok((v[0], v[1]))
    }
    /// Destroys all that was made from the pool.
    ///
    /// # Safety
    /// No memory made from it, or from its children, backs anything that Rust code here holds a reference to.
    pub unsafe fn destroy_all(self) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { invoke_any(Op::PoolDestroy as u64, self.0, [0; 5]) }.map(drop)
    }
}

impl Table {
    /// Copies a capability of the caller's into this table; `slot` 0 takes any. The handle is the one its holder uses.
    pub fn insert(self, what: Handle, rights: Rights, badge: u64, slot: u32) -> Result<Handle> {
        let v = invoke(Op::TableInsert, self.0, [u64::from(what.0), u64::from(rights.0), badge, u64::from(slot), 0])?;
        Ok(to_handle(v[0]))
    }
}

impl AddressSpace {
    /// Maps into a free range; `access` is READ, WRITE, EXECUTE, never the last two at once.
    pub fn map(self, memory: Memory, offset_bytes: u64, address: u64, length_bytes: u64, access: Rights) -> Result<()> {
        let a = [u64::from(memory.0.0), offset_bytes, address, length_bytes, u64::from(access.0)];
        invoke(Op::Map, self.0, a).map(drop)
    }
    /// Maps what the first records of the message buffer say ([`crate::MessageBuffer::set_mapping`]), 128 at most. Those
    /// before a record that is refused stay mapped.
    pub fn map_many(self, records: u64) -> Result<()> {
        invoke(Op::MapMany, self.0, [records, 0, 0, 0, 0]).map(drop)
    }
    /// # Safety
    /// If this is the caller's own space: no Rust reference points into the range.
    pub unsafe fn unmap(self, address: u64, length_bytes: u64) -> Result<u64> {
        // SAFETY: the caller's promise.
        Ok(unsafe { invoke_any(Op::Unmap as u64, self.0, [address, length_bytes, 0, 0, 0]) }?[0])
    }
    /// # Safety
    /// If this is the caller's own space: no Rust reference needs the access that is taken away.
    pub unsafe fn protect(self, address: u64, length_bytes: u64, access: Rights) -> Result<()> {
        let a = [address, length_bytes, u64::from(access.0), 0, 0];
        // SAFETY: the caller's promise.
        unsafe { invoke_any(Op::Protect as u64, self.0, a) }.map(drop)
    }
}

impl Memory {
    pub fn size_bytes(self) -> Result<u64> {
        Ok(invoke(Op::MemorySize, self.0, [0; 5])?[0])
    }
    pub fn physical(self, offset_bytes: u64) -> Result<u64> {
        Ok(invoke(Op::MemoryPhysical, self.0, [offset_bytes, 0, 0, 0, 0])?[0])
    }
}

/// What a thread runs in: see `Op::ThreadConfigure`.
#[derive(Clone, Copy, Debug)]
pub struct ThreadSetup {
    pub space: AddressSpace,
    pub table: Table,
    /// Endpoint for its faults, in the caller's table; its badge is what the handler sees.
    pub fault: Option<Endpoint>,
    pub buffer: Memory,
    /// Up to 8 bytes, for the kernel's log.
    pub name: [u8; 8],
}

impl Thread {
    pub fn configure(self, it: ThreadSetup) -> Result<()> {
        let fault = it.fault.map_or(0, |e| u64::from(e.0.0));
        let handles = [u64::from(it.space.0.0), u64::from(it.table.0.0), fault, u64::from(it.buffer.0.0)];
        let a = [handles[0], handles[1], handles[2], handles[3], u64::from_le_bytes(it.name)];
        invoke(Op::ThreadConfigure, self.0, a).map(drop)
    }
    /// `cpu` all ones: any.
    pub fn schedule(self, priority: u64, budget_us: u64, period_us: u64, cpu: u64) -> Result<()> {
        invoke(Op::ThreadSchedule, self.0, [priority, budget_us, period_us, cpu, 0]).map(drop)
    }
    /// # Safety
    /// If the thread runs in the caller's own space: `rip` is a function that may start there with `argument`, and
    /// `rsp` is the top of a stack that nothing else uses.
    pub unsafe fn start(self, rip: u64, rsp: u64, argument: u64) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { invoke_any(Op::ThreadStart as u64, self.0, [rip, rsp, argument, 0, 0]) }.map(drop)
    }
    /// Destroys the thread, wherever it is. Its stack and its locks stay as they are.
    pub fn end(self) -> Result<()> {
        invoke(Op::Destroy, self.0, [0; 5]).map(drop)
    }
    pub fn stop(self) -> Result<()> {
        invoke(Op::ThreadStop, self.0, [0; 5]).map(drop)
    }
    pub fn resume(self) -> Result<()> {
        invoke(Op::ThreadResume, self.0, [0; 5]).map(drop)
    }
    /// Writes the registers of a stopped thread into the caller's message buffer (`abi::thread::WORD`).
    pub fn read_registers(self) -> Result<()> {
        invoke(Op::ThreadReadRegisters, self.0, [0; 5]).map(drop)
    }
    /// Gives a stopped thread the registers in the caller's message buffer.
    ///
    /// # Safety
    /// If the thread runs in the caller's own space: what it goes on with there may go on.
    pub unsafe fn write_registers(self) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { invoke_any(Op::ThreadWriteRegisters as u64, self.0, [0; 5]) }.map(drop)
    }
    /// What it does (`abi::thread::doing`), and for how long it ran, in nanoseconds.
    pub fn usage(self) -> Result<(u64, u64)> {
        let [doing, ran_ns, ..] = invoke(Op::ThreadUsage, self.0, [0; 5])?;
        Ok((doing, ran_ns))
    }
    /// `None` unbinds.
    pub fn bind(self, notification: Option<Notification>) -> Result<()> {
        let handle = notification.map_or(0, |n| u64::from(n.0.0));
        invoke(Op::ThreadBind, self.0, [handle, 0, 0, 0, 0]).map(drop)
    }
}

/// How an interrupt line behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// ISA: edge, active high.
    Edge,
    /// PCI: level, active low.
    LevelLow,
}

/// Where a device must write to raise a message-signalled interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message {
    pub address: u64,
    pub data: u32,
}

impl InterruptControl {
    pub fn line(self, gsi: u32, trigger: Trigger, pool: Pool) -> Result<Interrupt> {
        let flags = match trigger {
            Trigger::Edge => 0,
            Trigger::LevelLow => 3,
        };
        let v = invoke(Op::InterruptGsi, self.0, [u64::from(gsi), flags, u64::from(pool.0.0), 0, 0])?;
        Ok(Interrupt(to_handle(v[0])))
    }
    pub fn message(self, pool: Pool) -> Result<(Interrupt, Message)> {
        let v = invoke(Op::InterruptMsi, self.0, [u64::from(pool.0.0), 0, 0, 0, 0])?;
        Ok((Interrupt(to_handle(v[0])), Message { address: v[1], data: v[2] as u32 }))
    }
}

impl Interrupt {
    pub fn bind(self, notification: Notification, bits: u64) -> Result<()> {
        invoke(Op::InterruptBind, self.0, [u64::from(notification.0.0), bits, 0, 0, 0]).map(drop)
    }
    pub fn acknowledge(self) -> Result<()> {
        invoke(Op::InterruptAcknowledge, self.0, [0; 5]).map(drop)
    }
}

impl DeviceRange {
    /// Device registers as a memory object.
    pub fn memory(self, pool: Pool, physical_address: u64, length_bytes: u64) -> Result<Memory> {
        let v = invoke(Op::DeviceMemory, self.0, [u64::from(pool.0.0), physical_address, length_bytes, 0, 0])?;
        Ok(Memory(to_handle(v[0])))
    }
}

impl PortRange {
    pub fn narrow(self, first: u16, last: u16) -> Result<PortRange> {
        let v = invoke(Op::PortNarrow, self.0, [u64::from(first), u64::from(last), 0, 0, 0])?;
        Ok(PortRange(to_handle(v[0])))
    }
    pub fn read8(self, port: u16) -> Result<u8> {
        Ok(invoke(Op::PortIn, self.0, [u64::from(port), 1, 0, 0, 0])?[0] as u8)
    }
    pub fn read16(self, port: u16) -> Result<u16> {
        Ok(invoke(Op::PortIn, self.0, [u64::from(port), 2, 0, 0, 0])?[0] as u16)
    }
    pub fn write16(self, port: u16, value: u16) -> Result<()> {
        invoke(Op::PortOut, self.0, [u64::from(port), 2, u64::from(value), 0, 0]).map(drop)
    }
    pub fn write8(self, port: u16, value: u8) -> Result<()> {
        invoke(Op::PortOut, self.0, [u64::from(port), 1, u64::from(value), 0, 0]).map(drop)
    }
}

impl Power {
    /// Returns only if the machine cannot.
    pub fn reset(self) -> Error {
        self.control(0)
    }
    /// Returns only if the machine cannot.
    pub fn off(self) -> Error {
        self.control(1)
    }
    /// Debug: makes the kernel fail in that way, in the dev profile. Returns only if it did not.
    pub fn fail(self, how: u64) -> Result<()> {
        invoke(Op::DebugFail, self.0, [how, 0, 0, 0, 0]).map(drop)
    }
    fn control(self, action: u64) -> Error {
        invoke(Op::PowerControl, self.0, [action, 0, 0, 0, 0]).err().unwrap_or(Error::Unsupported)
    }
}

#[cfg(test)]
mod tests {
    /// The kernel's table is the source: a row without a stub here is a row that no program can use.
    #[test]
    fn every_operation_of_the_table_has_a_stub() {
        let stubs = concat!(include_str!("objects.rs"), include_str!("guest.rs"));
        for row in abi::op::TABLE {
            let (safe, any) = (std::format!("Op::{},", row.name), std::format!("Op::{} as u64", row.name));
            assert!(stubs.contains(&safe) || stubs.contains(&any), "{} has no stub", row.name);
        }
    }
}
