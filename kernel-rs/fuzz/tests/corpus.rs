// SPDX-License-Identifier: PMPL-1.0-or-later
//! Every target over its corpus and over variations of it: what CI does without libFuzzer. The numbers are the same on every
//! machine; `FLATRACOON_FUZZ_RUNS` says how many variations each target gets.

use kernel_fuzz::CASES;
use std::path::Path;

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut paths: Vec<_> = std::fs::read_dir(&folder).expect("a corpus").map(|e| e.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.iter().map(|p| std::fs::read(p).unwrap()).collect()
}

/// Flips, overwrites, cuts, repeats, inserts a piece of another input.
fn vary(random: &mut Random, inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = inputs[random.below(inputs.len())].clone();
    for _ in 0..1 + random.below(8) {
        if bytes.is_empty() {
            bytes.push(0);
        }
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.below(256) as u8,
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            3 => bytes.truncate(at),
            4 => {
                let end = (at + random.below(64)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let other = &inputs[random.below(inputs.len())];
                let from = random.below(other.len().max(1));
                let end = (from + random.below(64)).min(other.len());
                bytes.splice(at..at, other[from.min(end)..end].iter().copied());
            }
        }
    }
    bytes.truncate(16_384);
    bytes
}

fn replay(name: &str) {
    let (_, case) = CASES.iter().find(|c| c.0 == name).unwrap();
    let runs = std::env::var("FLATRACOON_FUZZ_RUNS").map_or(20_000, |n| n.parse().expect("a number"));
    let inputs = corpus(name);
    inputs.iter().for_each(|input| case(input));
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for run in 0..runs {
        let input = vary(&mut random, &inputs);
        let outcome = std::panic::catch_unwind(|| case(&input));
        if let Err(problem) = outcome {
            let path = std::env::temp_dir().join(format!("{name}-{run}"));
            std::fs::write(&path, &input).unwrap();
            println!("variation {run} breaks a promise; it stands in {}", path.display());
            std::panic::resume_unwind(problem);
        }
    }
}

#[test]
fn acpi_tables_from_anywhere_never_panic() {
    replay("acpi");
}

#[test]
fn bundles_from_anywhere_never_panic_and_keep_their_limits() {
    replay("bundle");
}

#[test]
fn command_lines_from_anywhere_never_panic() {
    replay("command_line");
}

#[test]
fn hostile_system_calls_harm_nobody_and_leave_nothing() {
    replay("system_calls");
}
