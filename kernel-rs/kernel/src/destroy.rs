// SPDX-License-Identifier: PMPL-1.0-or-later
//! The end of objects, in bounded steps: an operation that has more to destroy is executed again, and others may come
//! between. Whoever waited for the object gets `Gone`; handles to it find nothing from then on.

use crate::Kernel;
use crate::invoke::{Call, Done, Failure, Flow};
use crate::objects::{Endpoint, Interrupt, Notification, Pool, Space, State, Table, Thread};
use abi::error::Error;
use abi::right::{Kind, Rights};
use machine::memory::{RawRef, Ref};

/// Waiters handled in one step.
const STEP: u32 = 6;

/// A pool's objects are destroyed in this order: first what runs.
const ORDER: [Kind; 7] =
    [Kind::Thread, Kind::Interrupt, Kind::Table, Kind::Endpoint, Kind::Notification, Kind::AddressSpace, Kind::Memory];

impl Kernel {
    /// `Op::Destroy`.
    pub(crate) fn destroy(&mut self, call: &Call) -> Done {
        let slot = self.slot(call.table, call.handle)?;
        if !slot.rights().contains(Rights::DESTROY) {
            return Err(Error::NoRight.into());
        }
        if !self.is_alive(&slot) {
            return Err(Error::BadHandle.into());
        }
        self.refuse_own(call, slot.kind, slot.object)?;
        if self.destroy_step(call.cpu, slot.kind, slot.object) {
            self.clear_slot(call.table, call.handle.index());
            return Ok(Flow::NOTHING);
        }
        Ok(Flow::Again)
    }

    /// A thread does not destroy what it stands on.
    fn refuse_own(&self, call: &Call, kind: Kind, object: RawRef) -> Result<(), Failure> {
        let t = self.get(call.thread)?;
        let own = match kind {
            Kind::Thread => call.thread.to_raw() == object,
            Kind::Table => call.table.to_raw() == object,
            Kind::AddressSpace => t.space.is_some_and(|s| s.to_raw() == object),
            Kind::Pool => true,
            Kind::Memory | Kind::Endpoint | Kind::Notification | Kind::Interrupt => false,
            _ => return Err(Error::WrongKind.into()),
        };
        if own { Err(Error::BadState.into()) } else { Ok(()) }
    }

    /// `Op::PoolDestroy`.
    pub(crate) fn pool_destroy(&mut self, call: &Call) -> Done {
        let (pool, _) = self.object::<Pool>(call, Kind::Pool, Rights::DESTROY)?;
        let t = self.get(call.thread)?;
        let payers =
            [Some(t.pool), self.tables.get(call.table).map(|t| t.pool), t.space.and_then(|s| self.spaces.get(s)).map(|s| s.pool)];
        if payers.into_iter().flatten().any(|payer| self.is_within(payer, pool)) {
            return Err(Error::BadState.into());
        }
        Ok(if self.pool_step(call.cpu, pool) { Flow::NOTHING } else { Flow::Again })
    }

    /// Whether a pool is another one or below it.
    fn is_within(&self, pool: Ref<Pool>, above: Ref<Pool>) -> bool {
        let mut at = Some(pool);
        while let Some(p) = at {
            if p == above {
                return true;
            }
            at = self.pools.get(p).and_then(|p| p.parent);
        }
        false
    }

    /// Destroys a little of a pool; true when it is gone.
    fn pool_step(&mut self, cpu: usize, pool: Ref<Pool>) -> bool {
        let mut at = pool;
        loop {
            let Some(p) = self.pools.get_mut(at) else { return true };
            p.dying = true;
            let slabs = p.slabs.pools;
            match self.pools.any(&slabs) {
                Some(child) => at = child,
                None => break,
            }
        }
        let Some(&Pool { parent, limit, slabs, .. }) = self.pools.get(at) else { return true };
        for kind in ORDER {
            let object = match kind {
                Kind::Thread => self.threads.any(&slabs.threads).map(Ref::to_raw),
                Kind::Interrupt => self.interrupts.any(&slabs.interrupts).map(Ref::to_raw),
                Kind::Table => self.tables.any(&slabs.tables).map(Ref::to_raw),
                Kind::Endpoint => self.endpoints.any(&slabs.endpoints).map(Ref::to_raw),
                Kind::Notification => self.notifications.any(&slabs.notifications).map(Ref::to_raw),
                Kind::AddressSpace => self.spaces.any(&slabs.spaces).map(Ref::to_raw),
                _ => self.memories.any(&slabs.memories).map(Ref::to_raw),
            };
            if let Some(object) = object {
                self.destroy_step(cpu, kind, object);
                return false;
            }
        }
        debug_assert_eq!(self.pools.get(at).map(|p| p.used), Some(0), "everything that was charged is given back");
        if let Some(parent) = parent {
            self.remove(parent, at);
            self.refund(parent, limit);
        }
        at == pool
    }

    /// Destroys a little of an object; true when it is gone.
    fn destroy_step(&mut self, cpu: usize, kind: Kind, object: RawRef) -> bool {
        match kind {
            Kind::Thread => Ref::from_raw(object).is_none_or(|t| self.destroy_thread(cpu, t)),
            Kind::Interrupt => Ref::from_raw(object).is_none_or(|i| self.destroy_interrupt(i)),
            Kind::Table => Ref::from_raw(object).is_none_or(|t| self.destroy_table(t)),
            Kind::Endpoint => Ref::from_raw(object).is_none_or(|e| self.destroy_endpoint(cpu, e)),
            Kind::Notification => Ref::from_raw(object).is_none_or(|n| self.destroy_notification(cpu, n)),
            Kind::AddressSpace => Ref::from_raw(object).is_none_or(|s| self.destroy_space(s)),
            Kind::Memory => Ref::from_raw(object).is_none_or(|m| self.destroy_memory(m)),
            _ => true,
        }
    }

    fn destroy_thread(&mut self, cpu: usize, thread: Ref<Thread>) -> bool {
        let Some(t) = self.threads.get(thread) else { return true };
        let (pool, notification) = (t.pool, t.notification);
        self.end_wait(thread);
        self.threads.set_home(thread, None);
        if let Some(other) = self.running_on(thread).filter(|c| *c != cpu) {
            // It runs there until that CPU enters the kernel.
            machine::kick(other);
            return false;
        }
        self.drop_reply(cpu, thread);
        if let Some(n) = notification.and_then(|n| self.notifications.get_mut(n)) {
            n.bound = None;
        }
        if self.cpus[cpu].current == Some(thread) {
            self.cpus[cpu].current = None;
            machine::forget_user();
        }
        let freed = self.threads.get_mut(thread).map_or(0, |t| t.user.release(&mut self.frames));
        self.refund(pool, freed);
        self.remove(pool, thread);
        true
    }

    fn destroy_interrupt(&mut self, interrupt: Ref<Interrupt>) -> bool {
        let Some(pool) = self.interrupts.get(interrupt).map(|i| i.pool) else { return true };
        self.release_interrupt(interrupt);
        self.remove(pool, interrupt);
        true
    }

    fn destroy_table(&mut self, table: Ref<Table>) -> bool {
        let Some(t) = self.tables.get_mut(table) else { return true };
        t.dying = true;
        let pool = t.pool;
        if !self.clear_table_step(table) {
            return false;
        }
        if let Some(t) = self.tables.get_mut(table) {
            let (given, done) = t.shrink(&mut self.frames);
            t.paid -= given;
            self.refund(pool, given);
            if !done {
                return false;
            }
        }
        // What was paid for and never came, if it was still being made.
        let unfilled = self.remove(pool, table).map_or(0, |t| t.paid);
        self.refund(pool, unfilled);
        true
    }

    fn fail(&mut self, cpu: usize, thread: Ref<Thread>) {
        self.end_wait(thread);
        let fault = self.threads.get(thread).map(|t| t.outgoing);
        match fault {
            Some(crate::objects::Outgoing::Fault(fault)) => self.end_faulted(thread, fault),
            Some(crate::objects::Outgoing::Exit(_)) => {
                if let Some(t) = self.threads.get_mut(thread) {
                    t.state = State::Inactive;
                }
            }
            _ => {
                self.set_error(thread, Error::Gone);
                self.wake(cpu, thread);
            }
        }
    }

    fn destroy_endpoint(&mut self, cpu: usize, endpoint: Ref<Endpoint>) -> bool {
        for _ in 0..STEP {
            let Some(e) = self.endpoints.get(endpoint) else { return true };
            let pool = e.pool;
            if let Some(sender) = e.senders.front() {
                self.fail(cpu, sender);
            } else if let Some(receiver) = e.receivers.front() {
                self.end_wait(receiver);
                self.set_error(receiver, Error::Gone);
                self.wake(cpu, receiver);
            } else {
                self.remove(pool, endpoint);
                return true;
            }
        }
        false
    }

    fn destroy_notification(&mut self, cpu: usize, notification: Ref<Notification>) -> bool {
        for _ in 0..STEP {
            let Some(n) = self.notifications.get(notification) else { return true };
            let (pool, bound) = (n.pool, n.bound);
            if let Some(waiter) = n.waiters.front() {
                self.end_wait(waiter);
                self.set_error(waiter, Error::Gone);
                self.wake(cpu, waiter);
                continue;
            }
            if let Some(t) = bound.and_then(|t| self.threads.get_mut(t)) {
                t.notification = None;
            }
            self.notification_alarms.clear(&mut self.notifications, notification);
            self.remove(pool, notification);
            return true;
        }
        false
    }

    fn destroy_space(&mut self, space: Ref<Space>) -> bool {
        let Some(s) = self.spaces.get_mut(space) else { return true };
        s.dying = true;
        let pool = s.pool;
        if let Some(record) = s.mappings.any() {
            self.unmap_record_step(record);
            return false;
        }
        if let Some(table) = s.table.take() {
            let (given, rest) = table.destroy(&mut self.frames);
            self.refund(pool, given);
            let more = rest.is_some();
            if let Some(s) = self.spaces.get_mut(space) {
                s.table = rest;
            }
            if more {
                return false;
            }
        }
        self.remove(pool, space);
        true
    }
}
