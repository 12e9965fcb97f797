// SPDX-License-Identifier: PMPL-1.0-or-later
//! Handles, rights, derivation.

use super::*;
use abi::right::Rights;

#[test]
fn null_foreign_and_reused_handles_are_told_apart() {
    let mut w = World::new();
    w.root(Op::Inspect, Handle::NULL, &[]).fails(Error::BadHandle);
    w.root(Op::Inspect, Handle::new(511, 1), &[]).fails(Error::BadHandle);
    w.root(Op::Inspect, Handle::new(100_000, 1), &[]).fails(Error::BadHandle);
    w.root(Op::Inspect, Handle::new(3, 0), &[]).fails(Error::BadHandle);
    w.root(Op::Inspect, Handle::new(3, 2), &[]).fails(Error::StaleHandle);
    let n = w.create(Kind::Notification);
    w.root(Op::Delete, n, &[]).ok();
    w.root(Op::Inspect, n, &[]).fails(Error::StaleHandle);
}

#[test]
fn a_copy_has_fewer_rights_and_never_more() {
    let mut w = World::new();
    let n = w.create(Kind::Notification);
    let keep = Rights::READ | Rights::COPY;
    let few = w.root(Op::Copy, n, &[keep.0 as u64, 0]).handle();
    let again = w.root(Op::Copy, few, &[ALL, 0]).handle();
    assert_eq!(w.root(Op::Inspect, again, &[]).values[1], keep.0 as u64);
    let fixed = w.root(Op::Copy, few, &[Rights::READ.0 as u64, 0]).handle();
    w.root(Op::Copy, fixed, &[ALL, 0]).fails(Error::NoRight);
    w.root(Op::Copy, n, &[0x100, 0]).fails_at(Error::BadArgument, 0);
}

#[test]
fn a_badge_is_given_once() {
    let mut w = World::new();
    let e = w.create(Kind::Endpoint);
    let badged = w.root(Op::Copy, e, &[ALL, 7]).handle();
    w.root(Op::Copy, badged, &[ALL, 8]).fails(Error::BadState);
    let same = w.root(Op::Copy, badged, &[ALL, 0]).handle();
    assert_eq!(w.root(Op::Inspect, same, &[]).values[2], 7);
    w.root(Op::Copy, POOL, &[ALL, 7]).fails_at(Error::BadArgument, 1);
}

#[test]
fn revoke_empties_all_that_was_derived_in_any_table_and_no_more() {
    let mut w = World::new();
    let e = w.create(Kind::Endpoint);
    let other = w.create_in(POOL, Kind::Table, 16);
    let child = w.root(Op::Copy, e, &[ALL, 1]).handle();
    let sibling = w.root(Op::Copy, e, &[ALL, 2]).handle();
    let grandchild = w.root(Op::Copy, child, &[ALL, 0]).handle();
    w.root(Op::TableInsert, other, &[child.0 as u64, ALL, 0, 5]).ok();
    assert_eq!(w.root(Op::Revoke, child, &[]).ok(), 2);
    w.root(Op::Inspect, grandchild, &[]).fails(Error::StaleHandle);
    for kept in [e, child, sibling] {
        w.root(Op::Inspect, kept, &[]).ok();
    }
    w.root(Op::TableInsert, other, &[child.0 as u64, ALL, 0, 5]).ok();
    assert_eq!(w.root(Op::Revoke, e, &[]).ok(), 3);
}

#[test]
fn what_a_deleted_capability_left_behind_is_still_revoked() {
    let mut w = World::new();
    let e = w.create(Kind::Endpoint);
    let child = w.root(Op::Copy, e, &[ALL, 0]).handle();
    let other_child = w.root(Op::Copy, e, &[ALL, 0]).handle();
    let grandchild = w.root(Op::Copy, child, &[ALL, 0]).handle();
    w.root(Op::Delete, child, &[]).ok();
    assert_eq!(w.root(Op::Revoke, other_child, &[]).ok(), 0, "it is not the sibling's");
    w.root(Op::Inspect, grandchild, &[]).ok();
    assert_eq!(w.root(Op::Revoke, e, &[]).ok(), 2);
}

#[test]
fn insert_says_what_stands_in_its_way() {
    let mut w = World::new();
    let (n, table) = (w.create(Kind::Notification), w.create_in(POOL, Kind::Table, 4));
    let n64 = n.0 as u64;
    assert_eq!(w.root(Op::TableInsert, table, &[n64, ALL, 0, 2]).handle(), Handle::new(2, 1));
    w.root(Op::TableInsert, table, &[n64, ALL, 0, 2]).fails(Error::Overlap);
    w.root(Op::TableInsert, table, &[n64, ALL, 0, 4]).fails_at(Error::OutOfRange, 3);
    w.root(Op::TableInsert, table, &[n64, ALL, 0, 0]).ok();
    w.root(Op::TableInsert, table, &[n64, ALL, 0, 0]).ok();
    w.root(Op::TableInsert, table, &[n64, ALL, 0, 0]).fails(Error::TableFull);
    let fixed = w.root(Op::Copy, n, &[0, 0]).handle();
    w.root(Op::TableInsert, table, &[fixed.0 as u64, ALL, 0, 0]).fails(Error::NoRight);
    let view = w.root(Op::Copy, table, &[Rights::READ.0 as u64, 0]).handle();
    w.root(Op::TableInsert, view, &[n64, ALL, 0, 0]).fails(Error::NoRight);
}

#[test]
fn a_full_table_makes_room_from_capabilities_to_what_is_gone() {
    let mut w = World::new();
    let (n, table) = (w.create(Kind::Notification), w.create_in(POOL, Kind::Table, 3));
    let m = w.create(Kind::Notification);
    for _ in 0..2 {
        w.root(Op::TableInsert, table, &[n.0 as u64, ALL, 0, 0]).ok();
    }
    w.root(Op::TableInsert, table, &[m.0 as u64, ALL, 0, 0]).fails(Error::TableFull);
    w.root(Op::Destroy, n, &[]).ok();
    w.root(Op::TableInsert, table, &[m.0 as u64, ALL, 0, 0]).ok();
}

#[test]
fn a_destroyed_table_takes_its_capabilities_out_of_the_derivation() {
    let mut w = World::new();
    let (n, table) = (w.create(Kind::Notification), w.create_in(POOL, Kind::Table, 200));
    for _ in 0..150 {
        w.root(Op::TableInsert, table, &[n.0 as u64, ALL, 0, 0]).ok();
    }
    w.root(Op::Destroy, table, &[]).ok();
    assert_eq!(w.root(Op::Revoke, n, &[]).ok(), 0);
}

#[test]
fn a_long_revoke_counts_all_its_steps() {
    let mut w = World::new();
    let (n, table) = (w.create(Kind::Notification), w.create_in(POOL, Kind::Table, 1000));
    for _ in 0..900 {
        w.root(Op::TableInsert, table, &[n.0 as u64, ALL, 0, 0]).ok();
    }
    assert_eq!(w.root(Op::Revoke, n, &[]).ok(), 900);
    assert_eq!(w.root(Op::Revoke, n, &[]).ok(), 0);
}
