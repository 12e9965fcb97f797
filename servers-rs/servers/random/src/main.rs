// SPDX-License-Identifier: PMPL-1.0-or-later
//! The server of `random`: one generator for everyone, seeded from a device and from the CPU.
//!
//! Read `generator.rs` for how one answer says nothing of another.
#![cfg_attr(target_os = "none", no_std)]

mod generator;

use api_entropy::{Bits, Client};
use api_random::{Bytes, Error, Serve};
use generator::{Generator, Seed};
use ipc::Badge;
use rt::channel::{Channel, Event};
use rt::start::grant;

/// Answers after which fresh entropy is mixed in.
const RESEED_EVERY: u32 = 4096;
const NS_PER_S: u64 = 1_000_000_000;
/// So is it after this time.
const RESEED_S: u64 = 300;

struct Service {
    generator: Option<Generator>,
    answers: u32,
    seeded_ns: u64,
}

fn main() {
    let (endpoint, _, _) = grant::serve().expect("the manifest says that this component serves random");
    let mut service = Service { generator: None, answers: 0, seeded_ns: 0 };
    service.seed();
    grant::say_ready();
    rt::channel::serve(endpoint, |event| match event {
        Event::Call(_, client, request) => Some(api_random::dispatch(&mut service, client, &request)),
        Event::Bits(_) => None,
    });
}

impl Service {
    /// Mixes in what the sources give now; either alone will do, and a source that lies takes nothing from the other.
    fn seed(&mut self) {
        let device = grant::call(api_entropy::NAME).and_then(|(endpoint, _)| Client(Channel(endpoint)).bits().ok());
        let sources = [device.map(|Bits(bits)| bits), of_cpu()];
        if self.generator.is_none() {
            let word = |there: bool| if there { "yes" } else { "no" };
            let [device, cpu] = sources.map(|s| word(s.is_some()));
            rt::info!("entropy from a device: {device}, from the CPU: {cpu}");
        }
        for source in sources.into_iter().flatten() {
            match &mut self.generator {
                Some(generator) => generator.mix(source),
                None => self.generator = Some(Generator::new(source)),
            }
        }
        self.answers = 0;
        self.seeded_ns = rt::clock::now_ns();
    }
}

fn of_cpu() -> Option<Seed> {
    let mut seed = Seed::default();
    for eight in seed.as_chunks_mut::<8>().0 {
        *eight = rt::cpu::random()?.to_le_bytes();
    }
    Some(seed)
}

impl Serve for Service {
    fn bytes(&mut self, _: Badge) -> Result<Bytes, Error> {
        let old = rt::clock::now_ns().saturating_sub(self.seeded_ns) > RESEED_S * NS_PER_S;
        if self.generator.is_none() || self.answers >= RESEED_EVERY || old {
            self.seed();
        }
        self.answers += 1;
        Ok(Bytes(self.generator.as_mut().ok_or(Error::NotSeeded)?.bytes()))
    }
}
