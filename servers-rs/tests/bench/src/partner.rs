// SPDX-License-Identifier: PMPL-1.0-or-later
//! What this program does in another address space: the role is its name there.

use rt::measure::counter;
use rt::memory::Shared;
use rt::start::grant;
use sys::{Endpoint, FOREVER, Handle, Rights, Tag};

/// Where the pager's row maps; nothing of `manifest::layout` lies there.
pub const PAGED: u64 = 0x6800_0000_0000;
pub const PING: &str = "ping";
pub const PONG: &str = "pong";
pub const CLOCK: &str = "clock";

pub fn play() {
    match rt::start::startup().name.as_str() {
        "echo-0" => serve(echo_0),
        "echo-4" => serve(echo_4),
        "echo-10" => serve(echo_10),
        "keep" => serve(keep),
        "pong" => pong(),
        "undefined" => rt::provoke::invalid_opcode(),
        "toucher" => toucher(),
        "clock" => clock(),
        _ => {}
    }
}

fn serve(work: fn(Endpoint)) {
    if let Some((endpoint, ..)) = grant::serve() {
        work(endpoint);
    }
}

pub fn echo_0(endpoint: Endpoint) {
    let mut next = endpoint.receive(FOREVER);
    while next.is_ok() {
        next = endpoint.reply_receive(Tag::new(0, 0, 0), [0; 4]);
    }
}

/// Answers each word with the next number.
pub fn echo_4(endpoint: Endpoint) {
    let mut next = endpoint.receive(FOREVER);
    while let Ok(message) = next {
        next = endpoint.reply_receive(Tag::new(0, 4, 0), message.words.map(|word| word.wrapping_add(1)));
    }
}

pub fn echo_10(endpoint: Endpoint) {
    rt::channel::with_buffer(|buffer| {
        let mut next = endpoint.receive(FOREVER);
        while let Ok(message) = next {
            for n in 4..10 {
                buffer.set_word(n, buffer.word(n).wrapping_add(1));
            }
            next = endpoint.reply_receive(Tag::new(0, 10, 0), message.words.map(|word| word.wrapping_add(1)));
        }
    });
}

/// Keeps the capability that one call brings and moves it back with the answer to the next.
pub fn keep(endpoint: Endpoint) {
    let moved = Tag(Tag::new(0, 0, 1).0 | Tag::MOVE_CAPS);
    rt::channel::with_buffer(|buffer| {
        let mut kept = Handle::NULL;
        let mut next = endpoint.receive(FOREVER);
        while let Ok(message) = next {
            let answer = if message.tag.caps() == 1 {
                kept = buffer.cap(0);
                Tag::new(0, 0, 0)
            } else {
                buffer.set_cap(0, kept);
                moved
            };
            next = endpoint.reply_receive(answer, [0; 4]);
        }
    });
}

fn pong() {
    let (Some(ping), Some(pong)) = (grant::notification(PING), grant::notification(PONG)) else { return };
    while ping.wait(FOREVER).is_ok() {
        let _ = pong.signal(1);
    }
}

/// One page after the other, for ever.
fn toucher() {
    let mut page = PAGED;
    loop {
        rt::provoke::touch(page);
        page += sys::PAGE_BYTES;
    }
}

/// Writes down what the counter shows, for ever.
fn clock() {
    let Some((memory, length_bytes)) = grant::memory(CLOCK) else { return };
    let Ok(shared) = Shared::map(memory, length_bytes, Rights::READ | Rights::WRITE) else { return };
    let Some(place) = shared.atomic(0) else { return };
    loop {
        place.store(counter() as u32, core::sync::atomic::Ordering::Relaxed);
    }
}
