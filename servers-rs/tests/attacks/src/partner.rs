// SPDX-License-Identifier: PMPL-1.0-or-later
//! What this program does in another address space: the role is its name there.

use crate::migration::{CALLS, WRONG, calls_done, calls_served};
use core::sync::atomic::Ordering;
use rt::memory::Shared;
use rt::start::grant;
use sys::{AddressSpace, Capability, Endpoint, Error, FOREVER, PAGE_BYTES, Pool, Rights, Table, Tag, ThreadSetup, start};

/// Where the page of the attack on unmapping is; nothing of `manifest::layout` lies there.
pub const PAGE: u64 = 0x6800_0000_0000;
pub const COUNTER: &str = "counter";
pub const SERVER: &str = "server";
pub const OTHER: &str = "other";

pub fn play() {
    let startup = rt::start::startup();
    let number = startup.arguments.first().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    match startup.name.as_str() {
        "touch" => rt::provoke::touch(number),
        "port" => rt::provoke::port_in(),
        "table" => rt::provoke::table_address(),
        "halt" => rt::provoke::privileged(),
        "toucher" => toucher(),
        "bomb" => bomb(),
        "echo" => echo(),
        "caller" => caller(),
        "counting server" => counting_server(number as usize),
        "counting caller" => counting_caller(number as usize),
        _ => {}
    }
}

/// Touches one page for ever and counts.
fn toucher() {
    let Some((memory, length_bytes)) = grant::memory(COUNTER) else { return };
    let Ok(shared) = Shared::map(memory, length_bytes, Rights::READ | Rights::WRITE) else { return };
    let Some(counter) = shared.atomic(0) else { return };
    loop {
        rt::provoke::touch(PAGE);
        counter.fetch_add(1, Ordering::SeqCst);
    }
}

/// Threads until the pool is empty, each of which spins; then more, for ever.
fn bomb() {
    let (pool, space, table) = (Pool(start::POOL), AddressSpace(start::ADDRESS_SPACE), Table(start::TABLE));
    let Ok(buffer) = pool.create_memory(PAGE_BYTES) else { return };
    let Some((memory, length_bytes)) = grant::memory(COUNTER) else { return };
    let Ok(shared) = Shared::map(memory, length_bytes, Rights::READ | Rights::WRITE) else { return };
    let Some(counter) = shared.atomic(0) else { return };
    loop {
        match pool.create_thread() {
            Ok(thread) => {
                let setup = ThreadSetup { space, table, fault: None, buffer, name: *b"bomb\0\0\0\0" };
                let set = thread.configure(setup).and_then(|()| thread.schedule(40, 0, 0, u64::MAX));
                counter.fetch_add(1, Ordering::SeqCst);
                if set.is_err() || rt::thread::spawn("spin", 40, 4096, None, spin) == Err(Error::NoQuota) {
                    continue;
                }
            }
            Err(_) => sys::yield_now(),
        }
    }
}

fn spin() {
    loop {
        core::hint::spin_loop();
    }
}

fn echo() {
    let Some((endpoint, ..)) = grant::serve() else { return };
    let mut next = endpoint.receive(FOREVER);
    while let Ok(message) = next {
        next = endpoint.reply_receive(Tag::new(0, 4, 0), message.words);
    }
}

fn counting_server(number: usize) {
    let Some((endpoint, ..)) = grant::serve() else { return };
    let Some((memory, length_bytes)) = grant::memory(COUNTER) else { return };
    let Ok(shared) = Shared::map(memory, length_bytes, Rights::READ | Rights::WRITE) else { return };
    let Some(served) = shared.atomic(calls_served(number)) else { return };
    let mut next = endpoint.receive(FOREVER);
    while let Ok(message) = next {
        served.fetch_add(1, Ordering::SeqCst);
        next = endpoint.reply_receive(Tag::new(0, 4, 0), message.words);
    }
}

/// Calls two servers in turn so many times, then ends.
fn counting_caller(number: usize) {
    let (Some((server, _)), Some((other, _))) = (grant::call(SERVER), grant::call(OTHER)) else { return };
    let Some((memory, length_bytes)) = grant::memory(COUNTER) else { return };
    let Ok(shared) = Shared::map(memory, length_bytes, Rights::READ | Rights::WRITE) else { return };
    let (Some(done), Some(wrong)) = (shared.atomic(calls_done(number)), shared.atomic(WRONG)) else { return };
    for n in 1..=u64::from(CALLS) {
        let callee = if n % 2 == 0 { server } else { other };
        let words = [n, number as u64, !n, n];
        let answer = callee.call(Tag::new(0, 4, 0), words);
        let count = if answer.is_ok_and(|answer| answer.words == words) { done } else { wrong };
        count.fetch_add(1, Ordering::SeqCst);
    }
}

/// Calls for ever, through copies that it makes and deletes; what fails is tried again.
fn caller() {
    let Some((server, _)) = grant::call(SERVER) else { return };
    let Some((memory, length_bytes)) = grant::memory(COUNTER) else { return };
    let Ok(shared) = Shared::map(memory, length_bytes, Rights::READ | Rights::WRITE) else { return };
    let (Some(counter), Some(wrong)) = (shared.atomic(0), shared.atomic(4)) else { return };
    let mut n = 0;
    loop {
        n += 1;
        match server.call(Tag::new(0, 4, 0), [n; 4]) {
            Ok(answer) if answer.words == [n; 4] => {
                counter.fetch_add(1, Ordering::Relaxed);
            }
            Ok(_) => {
                wrong.fetch_add(1, Ordering::Relaxed);
            }
            // Revoked, or the server's pool went while it had the call.
            Err(_) => return wait_for_the_end(server),
        }
    }
}

fn wait_for_the_end(endpoint: Endpoint) {
    let _ = endpoint.delete();
    loop {
        sys::yield_now();
    }
}
