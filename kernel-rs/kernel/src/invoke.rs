// SPDX-License-Identifier: PMPL-1.0-or-later
//! From registers to an operation on an object: the only dispatch. An operation checks everything first, the right
//! before anything else, and changes nothing unless all is well.

use crate::objects::{Endpoint, Interrupt, Memory, Notification, Pool, Slot, Space, Table, Thread};
use crate::{Kernel, Object};
use abi::error::Error;
use abi::handle::Handle;
use abi::op::Op;
use abi::right::{Kind, Rights};
use machine::memory::Ref;

/// One system call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub cpu: usize,
    pub thread: Ref<Thread>,
    pub table: Ref<Table>,
    pub handle: Handle,
    pub arguments: [u64; 5],
}

/// How an operation that did not fail goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// The thread gets these values.
    Done([u64; 4]),
    /// The thread waits, or its registers are set already.
    Blocked,
    /// There is more to do: the thread executes the same operation again. Others may come between.
    Again,
}

impl Flow {
    pub const NOTHING: Flow = Flow::Done([0; 4]);

    pub fn value(value: u64) -> Flow {
        Flow::Done([value, 0, 0, 0])
    }
}

/// Why an operation did nothing; `argument` is told for the errors that name one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failure {
    pub error: Error,
    pub argument: u64,
    /// No failure: nothing was done yet, the thread executes the same operation again.
    again: bool,
}

impl Failure {
    /// As [`Flow::Again`], from where values of another kind are returned.
    pub const AGAIN: Failure = Failure { error: Error::WouldBlock, argument: 0, again: true };
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { error, argument: 0, again: false }
    }
}

/// The error, with the number of the argument that is wrong.
pub fn at(error: Error, argument: u64) -> Failure {
    Failure { error, argument, again: false }
}

pub type Done = Result<Flow, Failure>;

impl Call {
    /// An argument as a handle.
    pub fn handle_argument(&self, number: u64, value: u64) -> Result<Handle, Failure> {
        u32::try_from(value).map(Handle).map_err(|_| at(Error::BadHandle, number))
    }
}

impl Kernel {
    /// The object that the call's handle names.
    #[inline(always)]
    pub(crate) fn object<T: Object>(&self, call: &Call, kind: Kind, rights: Rights) -> Result<(Ref<T>, Slot), Failure> {
        self.object_of(call.table, call.handle, kind, rights)
    }

    /// The object that argument `number` names.
    #[inline(always)]
    pub(crate) fn object_argument<T: Object>(
        &self,
        call: &Call,
        number: usize,
        kind: Kind,
        rights: Rights,
    ) -> Result<(Ref<T>, Slot), Failure> {
        let handle = call.handle_argument(number as u64, call.arguments[number])?;
        self.object_of(call.table, handle, kind, rights).map_err(|f| at(f.error, number as u64))
    }

    #[inline(always)]
    fn object_of<T: Object>(
        &self,
        table: Ref<Table>,
        handle: Handle,
        kind: Kind,
        rights: Rights,
    ) -> Result<(Ref<T>, Slot), Failure> {
        if let Some(slot) = self.tables.get(table).and_then(|t| t.present(handle.0 as u64))
            && slot.kind == kind
            && slot.rights().contains(rights)
            && let Some(object) = Ref::from_raw(slot.object)
            && T::store(self).get(object).is_some()
        {
            return Ok((object, *slot));
        }
        Err(self.why_not(table, handle, kind, rights).into())
    }

    /// What is wrong with a handle that does not name an object of that kind with those rights.
    #[cold]
    #[inline(never)]
    fn why_not(&self, table: Ref<Table>, handle: Handle, kind: Kind, rights: Rights) -> Error {
        match self.slot(table, handle) {
            Err(error) => error,
            Ok(slot) if slot.kind != kind => Error::WrongKind,
            Ok(slot) if !slot.rights().contains(rights) => Error::NoRight,
            Ok(_) => Error::BadHandle,
        }
    }

    /// Whether what a slot names still exists.
    #[inline]
    pub(crate) fn is_alive(&self, slot: &Slot) -> bool {
        fn there<T: Object>(kernel: &Kernel, slot: &Slot) -> bool {
            Ref::from_raw(slot.object).is_some_and(|r| T::store(kernel).get(r).is_some())
        }
        match slot.kind {
            Kind::Pool => there::<Pool>(self, slot),
            Kind::Table => there::<Table>(self, slot),
            Kind::AddressSpace => there::<Space>(self, slot),
            Kind::Memory => there::<Memory>(self, slot),
            Kind::Thread => there::<Thread>(self, slot),
            Kind::Endpoint => there::<Endpoint>(self, slot),
            Kind::Notification => there::<Notification>(self, slot),
            Kind::Interrupt => there::<Interrupt>(self, slot),
            Kind::Reply => self.reply_is_open(slot),
            Kind::PortRange | Kind::InterruptControl | Kind::DeviceRange | Kind::Power => true,
            Kind::Null | Kind::Guest | Kind::DmaDomain => false,
        }
    }

    /// Executes the operation that stands in the thread's registers.
    pub(crate) fn invoke(&mut self, cpu: usize, thread: Ref<Thread>) -> Done {
        match self.execute(cpu, thread) {
            Err(failure) if failure.again => Ok(Flow::Again),
            done => done,
        }
    }

    fn execute(&mut self, cpu: usize, thread: Ref<Thread>) -> Done {
        let t = self.get(thread)?;
        let r = &t.registers;
        let op = Op::from_u64(r.rax).ok_or(Error::UnknownOperation)?;
        let (handle, arguments) = (r.rdi, [r.rsi, r.rdx, r.r10, r.r8, r.r9]);
        let table = t.table.filter(|t| self.tables.get(*t).is_some()).ok_or(Error::BadHandle)?;
        let handle = Handle(u32::try_from(handle).map_err(|_| Error::BadHandle)?);
        let call = &Call { cpu, thread, table, handle, arguments };
        match op {
            Op::Null => Ok(Flow::NOTHING),
            Op::Yield => self.thread_yield(call),
            Op::ClockNow => Ok(Flow::value(machine::now_ns())),
            Op::Call => self.endpoint_call(call),
            Op::Send => self.endpoint_send(call),
            Op::Receive => self.endpoint_receive(call),
            Op::ReplyReceive => self.endpoint_reply_receive(call),
            Op::Reply => self.reply(call),
            Op::ReplySave => self.reply_save(call),
            Op::Signal => self.notification_signal(call),
            Op::Wait => self.notification_wait(call),
            Op::Arm => self.notification_arm(call),
            Op::Create => self.pool_create(call),
            Op::PoolSplit => self.pool_split(call),
            Op::PoolDestroy => self.pool_destroy(call),
            Op::PoolUsage => self.pool_usage(call),
            Op::Destroy => self.destroy(call),
            Op::Copy => self.copy(call),
            Op::TableInsert => self.table_insert(call),
            Op::Delete => self.delete(call),
            Op::Revoke => self.revoke(call),
            Op::Inspect => self.inspect(call),
            Op::Map => self.space_map(call),
            Op::MapMany => self.space_map_many(call),
            Op::Unmap => self.space_unmap(call),
            Op::Protect => self.space_protect(call),
            Op::MemorySize => self.memory_size(call),
            Op::MemoryPhysical => self.memory_physical(call),
            Op::DeviceMemory => self.device_memory(call),
            Op::ThreadConfigure => self.thread_configure(call),
            Op::ThreadSchedule => self.thread_schedule(call),
            Op::ThreadStart => self.thread_start(call),
            Op::ThreadStop => self.thread_stop(call),
            Op::ThreadResume => self.thread_resume(call),
            Op::ThreadBind => self.thread_bind(call),
            Op::ThreadReadRegisters => self.thread_read_registers(call),
            Op::ThreadWriteRegisters => self.thread_write_registers(call),
            Op::ThreadUsage => self.thread_usage(call),
            Op::ThreadExit => self.thread_exit(call),
            Op::ThreadFsBase => self.thread_fs_base(call),
            Op::InterruptGsi => self.interrupt_gsi(call),
            Op::InterruptMsi => self.interrupt_msi(call),
            Op::InterruptBind => self.interrupt_bind(call),
            Op::InterruptAcknowledge => self.interrupt_acknowledge(call),
            Op::PortNarrow => self.port_narrow(call),
            Op::PortIn => self.port_in(call),
            Op::PortOut => self.port_out(call),
            Op::PowerControl => self.power_control(call),
            Op::GuestAttach => self.guest_attach(call),
            Op::GuestRun => self.guest_run(call),
            Op::GuestKick => self.guest_kick(call),
            Op::GuestSaveVector => self.guest_save_vector(call),
            Op::GuestLoadVector => self.guest_load_vector(call),
            #[cfg(feature = "debug")]
            Op::DebugLog => self.debug_log(call),
            #[cfg(feature = "debug")]
            Op::DebugDump => self.debug_dump(call),
            #[cfg(feature = "debug")]
            Op::DebugFail => self.debug_fail(call),
            #[cfg(not(feature = "debug"))]
            Op::DebugLog | Op::DebugDump | Op::DebugFail => Err(Error::UnknownOperation.into()),
        }
    }
}
