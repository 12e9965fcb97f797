// SPDX-License-Identifier: PMPL-1.0-or-later
//! Slots chosen, refused and counted down on a disk in memory, with power cut after every write.

use super::*;
use crate::testing::{Lines, TestDisk, bits};

fn two(a: u64, b: u64) -> TestDisk {
    TestDisk::new(&[("ROOT-A", a), ("ROOT-B", b)])
}

/// Boots with every slot in `bad` refused; the letter that won and what was said.
fn boot(disk: &mut TestDisk, bad: &[Letter]) -> (Option<Letter>, Vec<String>) {
    let mut lines = Lines::default();
    let won = first_good(disk, &mut lines, |_, _, slot| {
        if bad.contains(&slot.letter) { Err(Refused::new("signature", "not signed")) } else { Ok(()) }
    });
    (won.map(|(slot, ())| slot.letter), lines.0)
}

fn has(lines: &[String], wanted: &str) -> bool {
    lines.iter().any(|line| line == wanted)
}

#[test]
fn a_confirmed_slot_boots_without_a_write() {
    let mut disk = two(bits(1, 0, 1), 0);
    assert_eq!(boot(&mut disk, &[]).0, Some(Letter::A));
    assert_eq!(disk.writes, 0);
}

#[test]
fn the_higher_priority_is_tried_first_and_a_try_is_counted() {
    let mut disk = two(bits(1, 0, 1), bits(2, 3, 0));
    let (won, lines) = boot(&mut disk, &[]);
    assert_eq!(won, Some(Letter::B));
    assert!(has(&lines, "slot=B tries=2 (was 3)"), "{lines:?}");
    assert_eq!(disk.attributes(), [bits(1, 0, 1), bits(2, 2, 0)]);
}

#[test]
fn tries_count_down_exactly_and_then_the_other_slot_boots() {
    let mut disk = two(bits(1, 0, 1), bits(2, 2, 0));
    let won: Vec<_> = (0..3).map(|_| boot(&mut disk, &[]).0).collect();
    assert_eq!(won, [Some(Letter::B), Some(Letter::B), Some(Letter::A)]);
    assert_eq!(disk.attributes(), [bits(1, 0, 1), bits(2, 0, 0)]);
}

#[test]
fn a_refused_slot_falls_back_to_the_other_and_nothing_else_is_marked() {
    let mut disk = two(bits(1, 0, 1), bits(2, 1, 0));
    let (won, lines) = boot(&mut disk, &[Letter::B]);
    assert_eq!(won, Some(Letter::A));
    assert!(has(&lines, "refused slot=B check=signature detail=\"not signed\""), "{lines:?}");
    assert_eq!(disk.attributes(), [bits(1, 0, 1), bits(2, 0, 0)]);
}

#[test]
fn both_bad_says_a_line_for_each() {
    let mut disk = two(bits(1, 0, 1), bits(2, 1, 0));
    let (won, lines) = boot(&mut disk, &[Letter::A, Letter::B]);
    assert_eq!(won, None);
    assert_eq!(lines.iter().filter(|line| line.starts_with("refused slot=")).count(), 2, "{lines:?}");
}

#[test]
fn slots_that_may_not_boot_are_named_when_nothing_boots() {
    let mut disk = two(bits(0, 0, 1), bits(3, 0, 0));
    let (won, lines) = boot(&mut disk, &[]);
    assert_eq!(won, None);
    assert!(has(&lines, "refused slot=A check=attributes detail=\"priority 0: never to be booted\""), "{lines:?}");
    assert!(has(&lines, "refused slot=B check=attributes detail=\"no tries left and never successful\""), "{lines:?}");
}

#[test]
fn on_a_tie_the_first_entry_wins() {
    assert_eq!(boot(&mut two(bits(2, 1, 0), bits(2, 0, 1)), &[]).0, Some(Letter::A));
}

#[test]
fn a_damaged_primary_is_repaired_from_the_backup() {
    let mut disk = two(bits(1, 0, 1), 0);
    let whole = disk.bytes.clone();
    disk.break_primary();
    let (won, lines) = boot(&mut disk, &[]);
    assert_eq!(won, Some(Letter::A));
    assert!(has(&lines, "gpt repaired copy=primary"), "{lines:?}");
    assert!(disk.bytes == whole, "the repair gives the same bytes");
}

#[test]
fn a_damaged_backup_is_repaired_from_the_primary() {
    let mut disk = two(bits(1, 0, 1), 0);
    let whole = disk.bytes.clone();
    disk.break_backup();
    let (won, lines) = boot(&mut disk, &[]);
    assert_eq!(won, Some(Letter::A));
    assert!(has(&lines, "gpt repaired copy=backup"), "{lines:?}");
    assert!(disk.bytes == whole, "the repair gives the same bytes");
}

#[test]
fn both_tables_damaged_says_what_is_wrong_with_each() {
    let mut disk = two(bits(1, 0, 1), 0);
    disk.break_primary();
    disk.break_backup();
    let (won, lines) = boot(&mut disk, &[]);
    assert_eq!(won, None);
    assert!(lines[0].starts_with("gpt primary damaged detail=\"") && lines[1].starts_with("gpt backup damaged detail=\""));
}

#[test]
fn no_slot_on_the_disk_is_said() {
    let mut disk = TestDisk::new(&[("OTHER", bits(1, 0, 1))]);
    let (won, lines) = boot(&mut disk, &[]);
    assert_eq!(won, None);
    assert!(lines.iter().any(|line| line.starts_with("ignored partition=1 label=\"OTHER\"")), "{lines:?}");
}

#[test]
fn a_disk_that_cannot_be_written_boots_only_a_confirmed_slot() {
    let mut disk = two(bits(1, 0, 1), bits(2, 1, 0));
    disk.writes_left = 0;
    let (won, lines) = boot(&mut disk, &[]);
    assert_eq!(won, Some(Letter::A));
    assert!(lines.iter().any(|line| line.starts_with("refused slot=B check=tries")), "{lines:?}");
}

/// The attributes after each cut are the old or the new ones, never others, and the next boot comes up.
#[test]
fn power_cut_after_every_write_of_the_count_down() {
    for broken in ["none", "primary", "backup"] {
        for cut in 0..8 {
            let mut disk = two(bits(1, 0, 1), bits(2, 2, 0));
            match broken {
                "primary" => disk.break_primary(),
                "backup" => disk.break_backup(),
                _ => {}
            }
            disk.writes_left = cut;
            let _ = boot(&mut disk, &[]);
            disk.writes_left = u64::MAX;
            let (won, lines) = boot(&mut disk, &[]);
            let after = disk.attributes();
            let expected = [[bits(1, 0, 1), bits(2, 1, 0)], [bits(1, 0, 1), bits(2, 0, 0)]];
            assert!(expected.iter().any(|wanted| after == wanted), "{broken} cut={cut} {after:x?} {lines:?}");
            assert_eq!(won, Some(Letter::B), "{broken} cut={cut}");
        }
    }
}
