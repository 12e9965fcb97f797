// SPDX-License-Identifier: PMPL-1.0-or-later
//! What there is, on the console: capabilities, threads, pools. In kernels with debug facilities only.
//!
//! A line of the whole begins with `GRAPH` and is JSON behind it; `build/src/trace/graph.ts` reads it. Numbers of objects
//! are those of their kind alone.

use crate::Kernel;
use crate::invoke::{Call, Done, Flow, at};
use crate::objects::{Pool, Table, Thread};
use abi::error::Error;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use machine::memory::Ref;
use machine::print;

/// Not 0: whoever looks from outside (a debugger, `just capabilities`) wants the whole at the next entry.
static WANTED: AtomicU64 = AtomicU64::new(0);

const CALLERS_TABLE: u64 = 0;
const ALL: u64 = 1;

impl Kernel {
    /// `Op::DebugDump`.
    pub(crate) fn debug_dump(&mut self, call: &Call) -> Done {
        match call.arguments[0] {
            CALLERS_TABLE => self.dump_table(call.table),
            ALL => self.dump_all(),
            _ => return Err(at(Error::BadArgument, 0)),
        }
        Ok(Flow::NOTHING)
    }

    /// Prints the whole if somebody outside asked for it.
    pub(crate) fn dump_if_wanted(&self) {
        if WANTED.load(Relaxed) != 0 && WANTED.swap(0, Relaxed) != 0 {
            self.dump_all();
        }
    }

    fn dump_table(&self, table: Ref<Table>) {
        for (handle, slot, _) in self.slots_of(table) {
            let gone = if self.is_alive(&slot) { "" } else { " (gone)" };
            print(format_args!("kernel: {handle:?} {:?} {:?} badge {:#x}{gone}", slot.kind, slot.rights(), slot.badge));
        }
    }

    fn dump_all(&self) {
        print(format_args!("GRAPH {{\"begin\":{}}}", machine::now_ns()));
        for frame in 0..self.frames.count() {
            self.pools.in_frame(frame).for_each(|pool| self.dump_pool(pool));
            self.threads.in_frame(frame).for_each(|thread| self.dump_thread(thread));
            self.tables.in_frame(frame).for_each(|table| self.dump_slots(table));
        }
        print(format_args!("GRAPH {{\"end\":{}}}", machine::now_ns()));
    }

    fn dump_pool(&self, pool: Ref<Pool>) {
        let Some(p) = self.pools.get(pool) else { return };
        let parent = p.parent.map_or(0, Ref::id);
        print(format_args!("GRAPH {{\"pool\":{},\"parent\":{parent},\"limit\":{},\"used\":{}}}", pool.id(), p.limit, p.used));
    }

    fn dump_thread(&self, thread: Ref<Thread>) {
        let Some(t) = self.threads.get(thread) else { return };
        // Whoever makes a thread names it as he likes; JSON must stay JSON.
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let name = if t.name().bytes().all(plain) { t.name() } else { "?" };
        print(format_args!(
            "GRAPH {{\"thread\":{},\"name\":\"{}\",\"pool\":{},\"table\":{},\"space\":{},\"priority\":{},\"state\":\"{:?}\"}}",
            thread.id(),
            name,
            t.pool.id(),
            t.table.map_or(0, Ref::id),
            t.space.map_or(0, Ref::id),
            t.effective_priority(),
            t.state
        ));
    }

    fn dump_slots(&self, table: Ref<Table>) {
        for (handle, slot, parent) in self.slots_of(table) {
            let (parent_table, parent_slot) = parent.map_or((0, 0), |(table, index)| (table.id(), index));
            print(format_args!(
                "GRAPH {{\"table\":{},\"slot\":{},\"kind\":\"{:?}\",\"object\":{},\"rights\":\"{:?}\",\"badge\":\"{:#x}\",\"alive\":{},\"from\":[{parent_table},{parent_slot}]}}",
                table.id(),
                handle.index(),
                slot.kind,
                slot.object.id(),
                slot.rights(),
                slot.badge,
                self.is_alive(&slot)
            ));
        }
    }
}
