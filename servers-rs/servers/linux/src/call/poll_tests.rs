// SPDX-License-Identifier: PMPL-1.0-or-later
//! Waiting for many: poll, select, epoll, eventfd.

use super::*;
use crate::errno::*;
use crate::world::{World, world};
use linux_raw_sys::general as raw;
use std::vec::Vec;

fn event(w: &mut World) -> u64 {
    w.call(epoll::eventfd2, &[0, raw::EFD_NONBLOCK.into()]).unwrap()
}
fn ring(w: &mut World, fd: u64) {
    let one = w.put(&1u64.to_le_bytes());
    w.call(transfer::write, &[fd, one, 8]).unwrap();
}
fn hush(w: &mut World, fd: u64) {
    let buffer = w.room(8);
    w.call(transfer::read, &[fd, buffer, 8]).unwrap();
}
fn watch(w: &mut World, poller: u64, operation: u32, fd: u64, events: u32) -> Result<u64> {
    let event = w.put(&[&events.to_le_bytes()[..], &fd.to_le_bytes()].concat());
    w.call(epoll::epoll_ctl, &[poller, operation.into(), fd, event])
}
type Result<T> = core::result::Result<T, Errno>;
/// Events and data, without waiting.
fn news(w: &mut World, poller: u64) -> Vec<(u32, u64)> {
    let buffer = w.room(12 * 8);
    let n = w.call(epoll::epoll_wait, &[poller, buffer, 8, 0]).unwrap() as usize;
    let bytes = w.bytes(buffer, 12 * n);
    bytes
        .chunks(12)
        .map(|one| (u32::from_le_bytes(one[..4].try_into().unwrap()), u64::from_le_bytes(one[4..].try_into().unwrap())))
        .collect()
}

#[test]
fn levels_are_told_again_edges_once_and_single_shots_never_more() {
    let mut w = world();
    let poller = w.call(epoll::epoll_create1, &[0]).unwrap();
    let fds: Vec<u64> = (0..3).map(|_| event(&mut w)).collect();
    for (fd, mode) in fds.iter().zip([0, raw::EPOLLET, raw::EPOLLONESHOT]) {
        watch(&mut w, poller, raw::EPOLL_CTL_ADD, *fd, raw::EPOLLIN | mode).unwrap();
    }
    assert_eq!(news(&mut w, poller), []);
    fds.iter().for_each(|fd| ring(&mut w, *fd));
    let all: Vec<_> = fds.iter().map(|fd| (raw::EPOLLIN, *fd)).collect();
    assert_eq!(news(&mut w, poller), all);
    assert_eq!(news(&mut w, poller), all[..1]);
    fds.iter().for_each(|fd| ring(&mut w, *fd));
    assert_eq!(news(&mut w, poller), all[..2]);
    fds.iter().for_each(|fd| hush(&mut w, *fd));
    assert_eq!(news(&mut w, poller), []);
    watch(&mut w, poller, raw::EPOLL_CTL_MOD, fds[2], raw::EPOLLIN).unwrap();
    ring(&mut w, fds[2]);
    assert_eq!(news(&mut w, poller), all[2..]);
}

#[test]
fn epoll_refuses_what_linux_refuses() {
    let mut w = world();
    let poller = w.call(epoll::epoll_create1, &[0]).unwrap();
    let (file, fd) = (w.open("/f", raw::O_CREAT | raw::O_RDWR).unwrap(), event(&mut w));
    assert_eq!(watch(&mut w, poller, raw::EPOLL_CTL_ADD, file, raw::EPOLLIN), Err(EPERM));
    assert_eq!(watch(&mut w, poller, raw::EPOLL_CTL_ADD, poller, raw::EPOLLIN), Err(EINVAL));
    assert_eq!(watch(&mut w, poller, raw::EPOLL_CTL_MOD, fd, raw::EPOLLIN), Err(ENOENT));
    watch(&mut w, poller, raw::EPOLL_CTL_ADD, fd, raw::EPOLLIN).unwrap();
    assert_eq!(watch(&mut w, poller, raw::EPOLL_CTL_ADD, fd, raw::EPOLLIN), Err(EEXIST));
    assert_eq!(watch(&mut w, file, raw::EPOLL_CTL_ADD, fd, raw::EPOLLIN), Err(EINVAL));
    let second = w.call(epoll::epoll_create1, &[0]).unwrap();
    watch(&mut w, second, raw::EPOLL_CTL_ADD, poller, raw::EPOLLIN).unwrap();
    assert_eq!(watch(&mut w, poller, raw::EPOLL_CTL_ADD, second, raw::EPOLLIN), Err(ELOOP));
    ring(&mut w, fd);
    assert_eq!(news(&mut w, second), [(raw::EPOLLIN, poller)]);
    w.call(open::close, &[fd]).unwrap();
    assert_eq!(news(&mut w, poller), []);
}

#[test]
fn who_waits_is_woken_by_what_it_waits_for_alone() {
    let mut w = world();
    let poller = w.call(epoll::epoll_create1, &[0]).unwrap();
    let (fd, other) = (event(&mut w), event(&mut w));
    watch(&mut w, poller, raw::EPOLL_CTL_ADD, fd, raw::EPOLLIN).unwrap();
    let buffer = w.room(96);
    assert!(w.blocks(epoll::epoll_wait, &[poller, buffer, 8, u64::MAX]));
    let progress = core::mem::take(&mut w.progress);
    ring(&mut w, other);
    assert_eq!(w.waker.0.load(core::sync::atomic::Ordering::Relaxed), 0);
    ring(&mut w, fd);
    assert_eq!(w.waker.0.load(core::sync::atomic::Ordering::Relaxed), 1);
    w.progress = progress;
    assert_eq!(w.call(epoll::epoll_wait, &[poller, buffer, 8, u64::MAX]), Ok(1));
}

#[test]
fn poll_and_select_tell_what_is_ready_and_when_time_is_over() {
    let mut w = world();
    let (fd, other) = (event(&mut w), event(&mut w));
    ring(&mut w, other);
    let one = |fd: u64, events: u32| [&(fd as u32).to_le_bytes()[..], &(events as u16).to_le_bytes(), &[0; 2]].concat();
    let set = w.put(
        &[one(fd, raw::EPOLLIN), one(other, raw::EPOLLIN | raw::EPOLLOUT), one(99, raw::EPOLLIN), one(u64::MAX, 1)].concat(),
    );
    assert_eq!(w.call(poll::poll, &[set, 4, u64::MAX]), Ok(2));
    let seen: Vec<u16> = w.bytes(set, 32).chunks(8).map(|one| u16::from_le_bytes([one[6], one[7]])).collect();
    assert_eq!(seen, [0, 5, 32, 0]);
    assert!(w.blocks(poll::poll, &[set, 1, 1]));
    w.progress.deadline_ns = Some(0);
    assert_eq!(w.call(poll::poll, &[set, 1, 1]), Ok(0));
    let (read, write) = (w.put(&(1u64 << fd | 1 << other).to_le_bytes()), w.put(&(1u64 << fd).to_le_bytes()));
    assert_eq!(w.call(poll::select, &[8, read, write, 0, 0]), Ok(2));
    assert_eq!([w.bytes(read, 1)[0], w.bytes(write, 1)[0]], [1 << other, 1 << fd]);
    let bad = w.put(&(1u64 << 63).to_le_bytes());
    assert_eq!(w.call(poll::select, &[64, bad, 0, 0, 0]), Err(EBADF));
}

#[test]
fn an_eventfd_counts_and_a_semaphore_is_taken_one_by_one() {
    let mut w = world();
    let semaphore = w.call(epoll::eventfd2, &[2, u64::from(raw::EFD_SEMAPHORE | raw::EFD_NONBLOCK)]).unwrap();
    let buffer = w.room(8);
    for expected in [Ok(8), Ok(8), Err(EAGAIN)] {
        assert_eq!(w.call(transfer::read, &[semaphore, buffer, 8]), expected);
    }
    assert_eq!(w.call(transfer::read, &[semaphore, buffer, 7]), Err(EINVAL));
    let most = w.put(&(u64::MAX - 1).to_le_bytes());
    assert_eq!(w.call(transfer::write, &[semaphore, most, 8]), Ok(8));
    let one = w.put(&1u64.to_le_bytes());
    assert_eq!(w.call(transfer::write, &[semaphore, one, 8]), Err(EAGAIN));
}
