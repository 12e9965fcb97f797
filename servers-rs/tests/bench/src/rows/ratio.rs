// SPDX-License-Identifier: PMPL-1.0-or-later
//! Calls between two CPUs beside calls on one, in wall time: on another day of the same host only the ratio is alike.

use super::ipc::time_ns;
use stage::{Give, POOL, PRIORITY, Stage};
use stage::{Trouble, console, must};
use sys::{Thread, start};

const ROUND_TRIPS: u64 = 200;
/// Of as many rounds the best of each counts: what a busy host adds is not the kernel's.
const ROUNDS: usize = 5;

pub fn ratio(stage: &Stage) -> Result<(), Trouble> {
    let endpoint = must("making an endpoint", POOL.create_endpoint())?;
    let partner = stage.partner("echo-4", &[Give::Serve(endpoint)])?;
    must("pinning", Thread(start::THREAD).schedule(u64::from(PRIORITY), 0, 0, 0))?;
    let mut best = [u64::MAX; 2];
    for _ in 0..ROUNDS {
        for (cpu, best) in best.iter_mut().enumerate() {
            must("pinning", partner.pin(PRIORITY, cpu as u64))?;
            time_ns(endpoint, 20)?;
            *best = time_ns(endpoint, ROUND_TRIPS)?.min(*best);
        }
    }
    partner.destroy();
    console::say(format_args!("bench ratio round_trips {ROUND_TRIPS} same_cpu_ns {} cross_cpu_ns {}", best[0], best[1]));
    Ok(())
}
