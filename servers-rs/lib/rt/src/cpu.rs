// SPDX-License-Identifier: PMPL-1.0-or-later
//! What the CPU gives without the kernel: random numbers.

use core::arch::x86_64::{__cpuid, _rdrand64_step};

/// Leaf 1, ECX (Intel SDM 2A, CPUID).
const RDRAND: u32 = 1 << 30;
/// Intel SDM 1, 7.3.17: ten failures in a row mean that it does not work.
const TRIES: usize = 10;

/// 64 bits of the CPU's own random numbers. `None`: it makes none, or not now.
pub fn random() -> Option<u64> {
    if __cpuid(1).ecx & RDRAND == 0 {
        return None;
    }
    (0..TRIES).find_map(|_| {
        // SAFETY: the CPU has the instruction, as CPUID just said.
        unsafe { step() }
    })
}

/// # Safety
/// The CPU has RDRAND.
#[target_feature(enable = "rdrand")]
unsafe fn step() -> Option<u64> {
    let mut bits = 0;
    (_rdrand64_step(&mut bits) == 1).then_some(bits)
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_numbers_are_not_the_same() {
        if let (Some(one), Some(other)) = (super::random(), super::random()) {
            assert_ne!(one, other);
        }
    }
}
