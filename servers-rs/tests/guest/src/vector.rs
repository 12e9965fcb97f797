// SPDX-License-Identifier: PMPL-1.0-or-later
//! Vector registers of guests: they stay across system calls, preemption and neighbours, and travel through the state page.

use crate::personality::{DATA, End, Guest, Task};
use crate::report::{Found, Test, equal, must, that};
use crate::run::{attach, command, load};
use crate::worker::{begin, step_down};
use alloc::sync::Arc;
use sys::Error;
use sys::guest::{load_vector, save_vector};

pub const TESTS: &[Test] = &[
    Test { promise: "AVX registers of guests and of a neighbour survive system calls and preemption", run: survive },
    Test { promise: "a new guest thread finds its vector registers empty", run: fresh },
    Test { promise: "vector registers go to the state page and come back, for signals and fork", run: round_trip },
    Test {
        promise: "attack: an image of vector registers with reserved bits, a missing component, or compacted",
        run: bad_images,
    },
];

/// Words of an image (SDM volume 1, 13.4): MXCSR, XMM0, header, upper half of YMM0.
const MXCSR: usize = 3;
const XMM0: usize = 20;
const COMPONENTS: usize = 64;
const COMPACTION: usize = 65;
const YMM0: usize = 72;

/// 512 bytes for the program at `DATA + offset`.
fn fill(guest: &Guest, offset: u64, seed: u8) -> Found {
    let bytes =
        [0; 512].map(|b: u8| b).iter().enumerate().map(|(n, _)| seed.wrapping_add(n as u8)).collect::<alloc::vec::Vec<u8>>();
    guest.write(DATA + offset, &bytes).ok_or_else(|| "no data page".into())
}

fn serve(task: &mut Task) -> u64 {
    match task.serve() {
        End::Exited(code) => code,
        _ => 1000,
    }
}

fn survive() -> Found {
    step_down()?;
    let guest = Arc::new(load()?);
    fill(&guest, 0, 3)?;
    fill(&guest, 512, 100)?;
    let one = begin(&guest, [command::VECTOR, DATA, 1500], 0, serve)?;
    let two = begin(&guest, [command::VECTOR, DATA + 512, 1500], 0, serve)?;
    // The neighbour is this thread, which has a guest as well but does not run it now.
    let mine = [[0xa5; 32]; 16];
    rt::vector::load(&mine);
    let mut well = true;
    while !(one.is_done() && two.is_done()) && well {
        sys::yield_now();
        well = rt::vector::read() == mine;
    }
    that(well, "the neighbour's registers changed")?;
    equal((one.result(20_000), two.result(20_000)), (Some(0), Some(0)))
}

fn fresh() -> Found {
    step_down()?;
    let guest = Arc::new(load()?);
    rt::vector::load(&[[0x77; 32]; 16]);
    let worker = begin(&guest, [command::FRESH, 0, 0], 0, serve)?;
    equal(worker.result(5_000), Some(0))
}

fn round_trip() -> Found {
    let guest = load()?;
    fill(&guest, 0, 9)?;
    let mut task = attach(&guest, [command::VECTOR, DATA, 1])?;
    equal(task.serve(), End::Exited(0))?;
    equal(must("saving", save_vector())?, 832)?;
    equal(task.page.vector(XMM0), guest.word(DATA))?;
    equal(task.page.vector(YMM0), guest.word(DATA + 16))?;
    equal(task.page.vector(COMPONENTS) & 6, 6)?;
    // As a signal's return would: other values, which the registers then hold.
    task.page.set_vector(XMM0, 0x1234_5678_9abc_def0);
    task.page.set_vector(YMM0 + 1, 0xfeed);
    must("loading", load_vector())?;
    let registers = rt::vector::read();
    equal(&registers[0][..8], &0x1234_5678_9abc_def0u64.to_le_bytes()[..])?;
    equal(&registers[0][24..], &0xfeedu64.to_le_bytes()[..])?;
    // As fork would: another thread's page gets the image, and a system call with another number in between changes none.
    (0..104).for_each(|n| task.page.set_vector(n, 0));
    must("saving", save_vector())?;
    equal((task.page.vector(XMM0), task.page.vector(YMM0 + 1)), (0x1234_5678_9abc_def0, 0xfeed))
}

fn bad_images() -> Found {
    let guest = load()?;
    let task = attach(&guest, [0; 3])?;
    must("saving", save_vector())?;
    let before = rt::vector::read();
    let bad = [
        (MXCSR, 1 << 16),
        (MXCSR, 1 << 31),
        (COMPONENTS, 1 << 9),
        (COMPONENTS, 1 << 63),
        (COMPACTION, 1 << 63),
        (COMPACTION, 1),
        (COMPACTION + 1, 1),
        (71, 1 << 63),
    ];
    for (word, bit) in bad {
        let good = task.page.vector(word);
        task.page.set_vector(word, good | bit);
        task.page.set_vector(XMM0, 0xbad);
        equal((word, bit, load_vector()), (word, bit, Err(Error::BadArgument)))?;
        task.page.set_vector(word, good);
    }
    that(rt::vector::read() == before, "a refused image changed a register")?;
    must("loading a good one", load_vector())
}
