// SPDX-License-Identifier: PMPL-1.0-or-later
//! Measured boot: what the loader hands control to is extended into the TPM first (TCG EFI protocol, TPM 2.0).
//!
//! The firmware has measured the loader itself, its embedded keys included, into PCR 4. PCR 11 takes what will run
//! (as systemd's stub has it for kernels), PCR 12 the commit object, whose sha256 is the commit id: a policy may bind to
//! the programs of the first minute, or to the whole of the system.

use super::protocol;
use alloc::format;
use loader::say;
use loader::voice::Voice;
use uefi::proto::tcg::v2::{HashLogExtendEventFlags, PcrEventInputs, Tcg};
use uefi::proto::tcg::{EventType, PcrIndex};

pub const RUNS_PCR: u32 = 11;
pub const COMMIT_PCR: u32 = 12;

/// One thing to measure.
#[derive(Debug)]
pub struct Measured<'a> {
    pub pcr: u32,
    /// For the event log: what the bytes are.
    pub name: &'a str,
    pub bytes: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// All of it was extended.
    Measured,
    /// No TPM, or it failed: then nothing that is sealed to these PCRs opens.
    NotMeasured,
}

/// Extends each of `things` in order, and says so.
pub fn measure(voice: &mut impl Voice, things: &[Measured<'_>]) -> Outcome {
    let Ok(mut tcg) = protocol::first::<Tcg>() else {
        say!(voice, "tpm none");
        return Outcome::NotMeasured;
    };
    if !tcg.get_capability().is_ok_and(|capability| capability.tpm_present()) {
        say!(voice, "tpm none");
        return Outcome::NotMeasured;
    }
    for thing in things {
        if let Err(error) = extend(&mut tcg, thing) {
            say!(voice, "tpm failed pcr={} measuring={} status={}", thing.pcr, thing.name, error.status());
            return Outcome::NotMeasured;
        }
        say!(voice, "tpm measured {} bytes={} pcr={}", thing.name, thing.bytes.len(), thing.pcr);
    }
    Outcome::Measured
}

fn extend(tcg: &mut Tcg, thing: &Measured<'_>) -> uefi::Result {
    let description = format!("FlatRacoon {}", thing.name);
    let event = PcrEventInputs::new_in_box(PcrIndex(thing.pcr), EventType::IPL, description.as_bytes())?;
    tcg.hash_log_extend_event(HashLogExtendEventFlags::empty(), thing.bytes, &event)
}
