// SPDX-License-Identifier: PMPL-1.0-or-later
//! Time from a death to the first good reply of the next incarnation, and what deaths leave behind.

use crate::supervisor::{self, status};
use crate::targets::{TARGETS, Target};
use crate::{Trouble, busy, say};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use api_injector::{Client, Kind};
use api_supervisor::{Condition, Status};
use ipc::Text;
use rt::channel::Channel;
use rt::clock::now_ns;
use rt::start::grant;
use stage::Random;
use sys::{Pool, start};

/// The death comes within that time, at any instruction.
const WITHIN_NS: u64 = 2_000_000;
/// Beyond that it did not come back.
const MOST_NS: u64 = 5_000_000_000;

pub fn all(kills: u64, random: &mut Random) -> Result<(), Trouble> {
    // Twice, so that what a first death alone makes (such as the page tables of a back-trace) is there before the count.
    for target in TARGETS {
        kill(target, random)?;
    }
    let before = settled()?;
    for target in TARGETS {
        let mut took = Vec::with_capacity(kills as usize);
        for _ in 0..kills {
            took.push(kill(target, random)?);
        }
        took.sort_unstable();
        let at = |percent: usize| took.get((took.len() * percent / 100).min(took.len().saturating_sub(1))).copied().unwrap_or(0);
        let name = target.name;
        say(format_args!("kills {name} {kills} p50_ns {} p99_ns {} max_ns {}", at(50), at(99), at(100)));
    }
    let after = settled()?;
    for (old, new) in before.iter().zip(&after) {
        let name = new.name.as_str();
        say(format_args!("frames {name} before {} after {}", old.used_frames, new.used_frames));
        let killed = TARGETS.iter().any(|t| t.name == name);
        if !killed && new.deaths != old.deaths {
            return Err(format!("{name} died as well, {} times", new.deaths - old.deaths));
        }
        if killed && u64::from(new.deaths - old.deaths) != kills {
            return Err(format!("{name} died {} times instead of {kills}", new.deaths - old.deaths));
        }
    }
    Ok(())
}

/// Everybody, once nobody is on the way.
pub fn settled() -> Result<Vec<Status>, Trouble> {
    let began = now_ns();
    loop {
        let all = supervisor::everybody()?;
        if !all
            .iter()
            .any(|s| matches!(s.condition, Condition::Waiting) || s.condition == Condition::Starting && s.name.as_str() != own())
        {
            return Ok(all);
        }
        if now_ns() - began > MOST_NS {
            return Err("they do not come to rest".to_string());
        }
        sys::yield_now();
    }
}

pub fn own() -> &'static str {
    &rt::start::startup().name
}

pub fn inject(name: &str, kind: Kind, at_ns: u64, seed: u64) -> Result<(), Trouble> {
    let (endpoint, _) = grant::call(api_injector::NAME).ok_or("injector is not granted")?;
    let mut client = Client(Channel(endpoint));
    client.inject(Text::clipped(name), kind, at_ns, seed).map_err(|error| format!("injecting into {name}: {error:?}"))
}

/// Returns the time in nanoseconds from the death to the end of the first call that was begun after it and was answered well.
fn kill(target: &Target, random: &mut Random) -> Result<u64, Trouble> {
    let number = supervisor::number(target.name)?;
    if number.is_none() {
        rest(REST_NS)?;
    }
    let deaths = number.map(status).transpose()?.map(|s| s.deaths);
    busy::begin();
    let took = death(target, number, deaths, random);
    busy::end();
    took
}

fn death(target: &Target, number: Option<u32>, deaths: Option<u32>, random: &mut Random) -> Result<u64, Trouble> {
    let due = now_ns() + SOON_NS + random.below(WITHIN_NS);
    inject(target.name, Kind::Kill, due, random.draw())?;
    loop {
        let began = now_ns();
        let good = (target.serves)();
        let ended = now_ns();
        // The timer may be a little late, so that a call after the instant is still the old one's. The process server does not
        // count its own deaths.
        let died = match number {
            _ if !good || began <= due => false,
            Some(n) => Some(status(n)?.deaths) != deaths,
            None => began > due + LATE_NS,
        };
        if died {
            return Ok(ended - due);
        }
        if ended > due + MOST_NS {
            return Err(format!("{} does not come back", target.name));
        }
    }
}

/// Does nothing for so long.
fn rest(ns: u64) -> Result<(), Trouble> {
    let nobody = Pool(start::POOL).create_notification().map_err(|e| format!("a notification: {e:?}"))?;
    let _ = nobody.wait(ns);
    rt::child::destroy_notification(nobody).map_err(|e| format!("a notification: {e:?}"))
}

/// Root bears three deaths of the process server in a minute.
const REST_NS: u64 = 21_000_000_000;
/// Until the process server has heard of it.
const SOON_NS: u64 = 200_000;
const LATE_NS: u64 = 50_000;
