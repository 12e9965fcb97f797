// SPDX-License-Identifier: PMPL-1.0-or-later
//! Clocks, sleeping, and timers that are read.

use super::*;
use crate::time::NS_PER_S;
use crate::user::UserMemory;
use crate::vfs::{BytesSink, Events};
use crate::world::{World, world};

/// A `struct timespec`, or two.
fn put_times(world: &mut World, times: &[(u64, u64)]) -> u64 {
    let at = world.room(times.len() * 16);
    for (n, (seconds, nanoseconds)) in times.iter().enumerate() {
        let here = at + n as u64 * 16;
        world.memory.write(here, &seconds.to_le_bytes()).unwrap();
        world.memory.write(here + 8, &nanoseconds.to_le_bytes()).unwrap();
    }
    at
}

#[test]
fn clocks_are_told_and_what_is_no_clock_is_refused() {
    let mut world = world();
    let at = world.room(16);
    for clock in [CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID] {
        assert_eq!(world.call(clock_gettime, &[clock.into(), at]), Ok(0), "{clock}");
        assert_eq!(world.call(clock_getres, &[clock.into(), at]), Ok(0), "{clock}");
    }
    assert_eq!(read_timespec(&mut world.memory, at), Ok(1));
    assert_eq!(world.call(clock_gettime, &[77, at]), Err(EINVAL));
    assert_eq!(world.call(clock_gettime, &[0, 8]), Err(EFAULT));
    assert_eq!(world.call(clock_settime, &[CLOCK_REALTIME.into(), at]), Err(EPERM));
    assert_eq!(world.call(clock_settime, &[CLOCK_MONOTONIC.into(), at]), Err(EINVAL));
}

#[test]
fn a_sleep_ends_when_its_time_has_passed_and_says_what_is_left_before() {
    let mut world = world();
    let (time, left) = (put_times(&mut world, &[(2, 0)]), world.room(16));
    assert_eq!(world.outcome(nanosleep, &[time, left]), Outcome::Blocked(Interrupted::RestartBlock));
    world.pass_ns(NS_PER_S);
    assert!(world.blocks(nanosleep, &[time, left]));
    let told = read_timespec(&mut world.memory, left).unwrap();
    assert!((NS_PER_S - 100_000..NS_PER_S).contains(&told), "{told}");
    world.pass_ns(NS_PER_S);
    assert_eq!(world.outcome(nanosleep, &[time, left]), Outcome::Done(Ok(0)));
    assert_eq!(world.call(nanosleep, &[8, 0]), Err(EFAULT));
}

#[test]
fn a_sleep_until_a_time_that_has_passed_does_not_wait() {
    let mut world = world();
    let past = put_times(&mut world, &[(0, 5)]);
    assert_eq!(world.call(clock_nanosleep, &[CLOCK_REALTIME.into(), TIMER_ABSTIME.into(), past, 0]), Ok(0));
    let thread = CLOCK_THREAD_CPUTIME_ID.into();
    assert_eq!(world.call(clock_nanosleep, &[thread, 0, past, 0]), Err(EINVAL));
}

#[test]
fn a_timer_that_is_read_says_how_often_it_has_expired() {
    let mut world = world();
    let fd = world.call(timerfd_create, &[CLOCK_MONOTONIC.into(), TFD_NONBLOCK.into()]).unwrap();
    let setting = put_times(&mut world, &[(1, 0), (3, 0)]);
    assert_eq!(world.call(timerfd_settime, &[fd, 0, setting, 0]), Ok(0));
    let open = world.files.lock().get(fd as u32).unwrap().clone();
    let read = |world: &World| {
        let mut sink = BytesSink::new(8);
        open.file.read(&world.caller(), 0, &mut sink).map(|_| u64::from_le_bytes(sink.bytes.as_slice().try_into().unwrap()))
    };
    assert_eq!((open.file.poll(), read(&world)), (Events(0), Err(EAGAIN)));
    world.pass_ns(5 * NS_PER_S);
    assert_eq!((open.file.poll(), read(&world), read(&world)), (Events::IN, Ok(3), Err(EAGAIN)));
    let told = world.room(32);
    assert_eq!(world.call(timerfd_gettime, &[fd, told]), Ok(0));
    assert_eq!(read_timespec(&mut world.memory, told), Ok(NS_PER_S));
}

#[test]
fn what_is_no_timer_or_no_flag_is_refused() {
    let mut world = world();
    let setting = put_times(&mut world, &[(0, 0), (0, NS_PER_S)]);
    let nothing = world.room(32);
    let fd = world.call(timerfd_create, &[CLOCK_REALTIME.into(), 0]).unwrap();
    for (call, arguments, errno) in [
        (timerfd_create as crate::call::Handler, [CLOCK_MONOTONIC.into(), 1, 0, 0], EINVAL),
        (timerfd_create, [CLOCK_PROCESS_CPUTIME_ID.into(), 0, 0, 0], EINVAL),
        (timerfd_settime, [fd, 0, setting, 0], EINVAL),
        (timerfd_settime, [fd, 4, setting, 0], EINVAL),
        (timerfd_settime, [99, 0, nothing, 0], EBADF),
        (timerfd_gettime, [99, setting, 0, 0], EBADF),
    ] {
        assert_eq!(world.call(call, &arguments), Err(errno), "{arguments:x?}");
    }
}
