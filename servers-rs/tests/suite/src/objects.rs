// SPDX-License-Identifier: PMPL-1.0-or-later
//! Handles, rights, revocation, notifications, time, pools.

use crate::report::{Found, Test, equal, must, that};
use abi::op::Op;
use alloc::string::String;
use rt::clock::now_ns;
use sys::{Capability, Endpoint, Error, FOREVER, Handle, Kind, Notification, POLL, Pool, Rights, Table, start};

const POOL: Pool = Pool(start::POOL);
const MS: u64 = 1_000_000;

pub const TESTS: &[Test] = &[
    Test { promise: "an operation that does nothing returns", run: null },
    Test { promise: "a number that is no operation is refused", run: unknown },
    Test { promise: "the null handle and one beyond the table name nothing", run: no_handle },
    Test { promise: "a handle whose slot was emptied and used again is stale", run: stale },
    Test { promise: "an operation on another kind of object is refused", run: wrong_kind },
    Test { promise: "a copy has the rights it was given and no others", run: fewer_rights },
    Test { promise: "a copy never gets back a right that was dropped", run: no_way_back },
    Test { promise: "a badge is given once", run: badge_once },
    Test { promise: "revoking empties every copy, and copies of copies, and nothing else", run: revoke },
    Test { promise: "a capability without the copy right is not copied", run: not_copied },
    Test { promise: "bits of a notification add up and are taken once", run: bits },
    Test { promise: "an empty notification is polled without waiting, and waited for until its time", run: times_out },
    Test { promise: "a timer signals at its time and not before", run: timer },
    Test { promise: "waiting for a message ends at its time", run: receive_times_out },
    Test { promise: "time does not go back", run: monotonic },
    Test { promise: "a pool gives what it has, refuses what it has not, and has it again after destruction", run: pool_round },
    Test { promise: "what was made from a destroyed pool is gone", run: dies_with_pool },
    Test { promise: "a pool cannot be destroyed by what lives from it", run: not_own_pool },
    Test { promise: "pools make no devices", run: no_devices },
    Test { promise: "a full table takes no more", run: full_table },
    Test { promise: "a taken slot is not taken again", run: taken_slot },
    Test { promise: "a thread gets no priority above its maker's", run: no_higher_priority },
    Test { promise: "a thousand objects made and destroyed leave the pool as it was", run: thousand },
];

fn null() -> Found {
    must("null", sys::null())
}
fn unknown() -> Found {
    for number in [3, 15, 127, 130, 255, 1 << 32, u64::MAX] {
        equal(sys::call_unknown(number), Some(Err(Error::UnknownOperation)))?;
    }
    Ok(())
}
fn no_handle() -> Found {
    equal(Notification(Handle::NULL).signal(1), Err(Error::BadHandle))?;
    equal(Notification(Handle::new((1 << 18) - 1, 1)).signal(1), Err(Error::BadHandle))?;
    equal(Notification(Handle(u32::MAX)).signal(1), Err(Error::BadHandle))
}
fn notification() -> Result<Notification, String> {
    must("making a notification", POOL.create_notification())
}
fn stale() -> Found {
    let old = notification()?;
    must("emptying its slot", old.delete())?;
    equal(old.signal(1).is_err(), true)?;
    // Until the slot is used again; the table is small enough.
    for _ in 0..4096 {
        let new = notification()?;
        let same = new.handle().index() == old.handle().index();
        let answer = old.signal(1);
        must("emptying its slot", new.delete())?;
        if same {
            return equal(answer, Err(Error::StaleHandle));
        }
    }
    // A table that fills other slots first keeps stale handles stale even longer.
    equal(old.signal(1).is_err(), true)
}
fn wrong_kind() -> Found {
    let it = notification()?;
    equal(Pool(it.handle()).usage().err(), Some(Error::WrongKind))?;
    equal(Endpoint(start::POOL).receive(POLL).err(), Some(Error::WrongKind))
}
fn fewer_rights() -> Found {
    let whole = notification()?;
    let wait_only = must("copying", whole.copy(Rights::READ, 0))?;
    equal(must("inspecting", wait_only.inspect())?, (Kind::Notification, Rights::READ, 0))?;
    equal(wait_only.signal(1), Err(Error::NoRight))?;
    must("signalling by the original", whole.signal(4))?;
    equal(wait_only.wait(POLL), Ok(4))
}
fn no_way_back() -> Found {
    let less = must("copying", notification()?.copy(Rights::READ | Rights::COPY, 0))?;
    let again = must("copying the copy", less.copy(Rights::ALL, 0))?;
    equal(must("inspecting", again.inspect())?.1, Rights::READ | Rights::COPY)
}
fn badge_once() -> Found {
    let badged = must("badging", notification()?.copy(Rights::ALL, 7))?;
    equal(must("inspecting", badged.inspect())?.2, 7)?;
    equal(badged.copy(Rights::ALL, 8).err(), Some(Error::BadState))?;
    let kept = must("copying", badged.copy(Rights::ALL, 0))?;
    equal(must("inspecting", kept.inspect())?.2, 7)
}
fn revoke() -> Found {
    let whole = notification()?;
    let bystander = notification()?;
    let copy = must("copying", whole.copy(Rights::ALL, 0))?;
    let grandchild = must("copying the copy", copy.copy(Rights::ALL, 0))?;
    let sibling = must("copying", whole.copy(Rights::ALL, 0))?;
    equal(must("revoking", copy.revoke())?, 1)?;
    that(grandchild.signal(1).is_err(), "a copy of the copy still works")?;
    must("the copy itself", copy.signal(1))?;
    equal(must("revoking", whole.revoke())?, 2)?;
    that(copy.signal(1).is_err() && sibling.signal(1).is_err(), "a copy still works")?;
    must("the original", whole.signal(1))?;
    must("a bystander", bystander.signal(1))
}
fn not_copied() -> Found {
    let fixed = must("copying", notification()?.copy(Rights::READ, 0))?;
    equal(fixed.copy(Rights::READ, 0).err(), Some(Error::NoRight))
}
fn bits() -> Found {
    let it = notification()?;
    must("signalling", it.signal(1))?;
    must("signalling", it.signal(6))?;
    equal(it.wait(FOREVER), Ok(7))?;
    equal(it.wait(POLL), Err(Error::WouldBlock))
}
fn times_out() -> Found {
    let it = notification()?;
    equal(it.wait(POLL), Err(Error::WouldBlock))?;
    let before = now_ns();
    equal(it.wait(20 * MS), Err(Error::TimedOut))?;
    let passed = now_ns() - before;
    that((20 * MS..5_000 * MS).contains(&passed), "it waited for another time than asked")
}
fn timer() -> Found {
    let it = notification()?;
    let deadline = now_ns() + 20 * MS;
    must("arming", it.arm(deadline, 2))?;
    equal(it.wait(POLL), Err(Error::WouldBlock))?;
    equal(it.wait(FOREVER), Ok(2))?;
    that(now_ns() >= deadline, "it came too early")?;
    must("arming", it.arm(now_ns() + 10 * MS, 2))?;
    must("clearing", it.arm(u64::MAX, 2))?;
    equal(it.wait(40 * MS), Err(Error::TimedOut))
}
fn receive_times_out() -> Found {
    let endpoint = must("making an endpoint", POOL.create_endpoint())?;
    equal(endpoint.receive(POLL).err(), Some(Error::WouldBlock))?;
    let before = now_ns();
    equal(endpoint.receive(20 * MS).err(), Some(Error::TimedOut))?;
    that(now_ns() - before >= 20 * MS, "it came back too early")
}
fn monotonic() -> Found {
    let mut last = now_ns();
    for _ in 0..1000 {
        let now = now_ns();
        that(now >= last, "it went back")?;
        last = now;
    }
    Ok(())
}
fn pool_round() -> Found {
    let before = must("usage", POOL.usage())?;
    let child = must("splitting", POOL.split(32))?;
    equal(must("usage of the child", child.usage())?.0, 32)?;
    equal(must("usage", POOL.usage())?.1 >= before.1 + 32, true)?;
    let mut made = 0;
    let refused = loop {
        match child.create_memory(4096) {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
        that(made <= 32, "more frames than it has")?;
    };
    equal(refused, Error::NoQuota)?;
    // Beside its page each object takes a record and a list of pages, and the pool a record of its own.
    that(made >= 8, "most of its frames were not usable")?;
    equal(child.split(64).err(), Some(Error::NoQuota))?;
    must("destroying", rt::child::destroy_pool(child))?;
    equal(must("usage", POOL.usage())?, before)
}
fn dies_with_pool() -> Found {
    let child = must("splitting", POOL.split(32))?;
    let endpoint = must("making an endpoint", child.create_endpoint())?;
    let grandchild = must("splitting again", child.split(8))?;
    let inner = must("making a notification", grandchild.create_notification())?;
    must("destroying", rt::child::destroy_pool(child))?;
    that(endpoint.receive(POLL).err() != Some(Error::WouldBlock), "the endpoint is still there")?;
    that(inner.signal(1).is_err(), "the notification is still there")?;
    that(grandchild.usage().is_err(), "the inner pool is still there")
}
fn not_own_pool() -> Found {
    equal(rt::child::destroy_pool(POOL).err(), Some(Error::BadState))
}
fn no_devices() -> Found {
    for kind in
        [Kind::PortRange, Kind::DeviceRange, Kind::Interrupt, Kind::InterruptControl, Kind::Power, Kind::Null, Kind::Reply]
    {
        equal(POOL.create_any(kind as u64, 0, 0).err(), Some(Error::BadArgument))?;
    }
    equal(POOL.create_any(99, 0, 0).err(), Some(Error::BadArgument))
}
fn full_table() -> Found {
    let child = must("splitting", POOL.split(32))?;
    let table = must("making a table", child.create_table(8))?;
    let it = notification()?;
    let mut filled = 0;
    let refused = loop {
        match table.insert(it.handle(), Rights::ALL, 0, 0) {
            Ok(_) => filled += 1,
            Err(error) => break error,
        }
        that(filled <= 4096, "it takes for ever")?;
    };
    equal(refused, Error::TableFull)?;
    that(filled >= 7, "most of its slots were not usable")?;
    must("destroying", rt::child::destroy_pool(child))
}
fn taken_slot() -> Found {
    let it = notification()?;
    equal(Table(start::TABLE).insert(it.handle(), Rights::ALL, 0, start::POOL.index()).err(), Some(Error::Overlap))
}
fn no_higher_priority() -> Found {
    let child = must("splitting", POOL.split(16))?;
    let thread = must("making a thread", child.create_thread())?;
    equal(thread.schedule(255, 0, 0, u64::MAX), Err(Error::BadArgument))?;
    equal(thread.schedule(1, 20, 10, u64::MAX), Err(Error::BadArgument))?;
    equal(thread.schedule(1, 0, 0, 1000), Err(Error::BadArgument))?;
    must("destroying", rt::child::destroy_pool(child))
}
fn thousand() -> Found {
    let before = must("usage", POOL.usage())?;
    for _ in 0..1000 {
        let child = must("splitting", POOL.split(24))?;
        must("making an endpoint", child.create_endpoint())?;
        must("making a space", child.create_address_space())?;
        must("making a thread", child.create_thread())?;
        must("making memory", child.create_memory(8192))?;
        must("destroying", rt::child::destroy_pool(child))?;
    }
    equal(must("usage", POOL.usage())?, before)?;
    equal(Op::from_u64(25).is_some(), true)
}
