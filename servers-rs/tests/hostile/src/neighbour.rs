// SPDX-License-Identifier: PMPL-1.0-or-later
//! The neighbour: answers calls with what was sent, looks after memory that it lends and memory that it keeps, and wants
//! to run every ten milliseconds.

use core::sync::atomic::{AtomicU64, Ordering};
use rt::memory::{Private, Shared};
use rt::start::grant;
use sys::{FOREVER, PAGE_BYTES, Pool, Rights, Tag, start};

pub const LENT: &str = "lent";
/// Above the attackers: it is what a server is to its clients.
pub const PRIORITY: u8 = 60;
const TICK_NS: u64 = 10_000_000;
/// Badge of the watcher; all others are attackers, whom it only answers.
pub const WATCHER: u64 = 1;
pub const ATTACKER: u64 = 2;

static TICKS: AtomicU64 = AtomicU64::new(0);

pub fn play() {
    let Some((endpoint, ..)) = grant::serve() else { return };
    let Some((memory, length_bytes)) = grant::memory(LENT) else { return };
    let Ok(lent) = Shared::map(memory, length_bytes, Rights::READ | Rights::WRITE) else { return };
    let Ok(mut kept) = Private::new(Pool(start::POOL), 16 * PAGE_BYTES) else { return };
    kept.as_mut_slice().iter_mut().enumerate().for_each(|(n, byte)| *byte = sign(n));
    let _ = lent.write(0, kept.as_slice().get(..PAGE_BYTES as usize).unwrap_or(&[]));
    if rt::thread::spawn("ticks", PRIORITY, 16384, None, ticks).is_err() {
        return;
    }
    let mut next = endpoint.receive(FOREVER);
    while let Ok(message) = next {
        let answer = if message.badge == WATCHER {
            let whole = kept.as_slice().iter().enumerate().all(|(n, byte)| *byte == sign(n)) && is_whole(&lent);
            [message.words[0], TICKS.load(Ordering::Relaxed), u64::from(whole), 0]
        } else {
            message.words
        };
        next = endpoint.reply_receive(Tag::new(0, 4, 0), answer);
    }
}

fn is_whole(lent: &Shared) -> bool {
    let mut bytes = [0; 512];
    lent.read(0, &mut bytes).is_some() && bytes.iter().enumerate().all(|(n, byte)| *byte == sign(n))
}

fn sign(n: usize) -> u8 {
    (n as u32).wrapping_mul(2_654_435_761).to_le_bytes()[2]
}

fn ticks() {
    let Ok(timer) = Pool(start::POOL).create_notification() else { return };
    let mut next = rt::clock::now_ns();
    loop {
        next = rt::clock::now_ns().max(next) + TICK_NS;
        if timer.arm(next, 1).and_then(|()| timer.wait(FOREVER)).is_err() {
            return;
        }
        TICKS.fetch_add(1, Ordering::Relaxed);
    }
}
