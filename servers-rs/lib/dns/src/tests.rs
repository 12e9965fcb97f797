// SPDX-License-Identifier: PMPL-1.0-or-later
extern crate std;
use super::*;
use std::vec;

fn name(text: &str) -> Name {
    Name::from_text(text).unwrap()
}
/// A record whose name is at that place of the message, or is this one.
fn written(name: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let head = [&kind.to_be_bytes()[..], &[0, 1, 0, 0, 0, 60], &(data.len() as u16).to_be_bytes()].concat();
    [name, &head, data].concat()
}
fn message(number: u16, flags: u16, of: &Name, kind: Kind, records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = question(number, of, kind);
    bytes.truncate(bytes.len() - 11);
    bytes[2..4].copy_from_slice(&(RESPONSE | flags).to_be_bytes());
    bytes[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
    bytes[10..12].fill(0);
    records.iter().for_each(|one| bytes.extend_from_slice(one));
    bytes
}
/// The question's name.
const ASKED: [u8; 2] = [0xc0, 12];

#[test]
fn a_question_is_as_the_standard_has_it() {
    let bytes = question(0x1234, &name("Www.Example."), Kind::V6);
    let mut wanted = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 3, b'w', b'w', b'w', 7];
    wanted.extend_from_slice(b"example\0\0\x1c\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0");
    assert_eq!(bytes, wanted);
}

#[test]
fn what_is_no_name_is_none() {
    let long = "a".repeat(64);
    let many = "abcdefg.".repeat(32);
    for bad in ["", ".", "a..b", "a b", "ä", "a\0", &long, &many] {
        assert_eq!(Name::from_text(bad), None, "{bad:?}");
    }
    assert_eq!(Name::from_text("a.b").unwrap().bytes(), [1, b'a', 1, b'b', 0]);
}

#[test]
fn addresses_are_found_through_aliases_and_those_of_others_are_not() {
    let of = name("www.example");
    let target = [3, b'c', b'd', b'n', 0xc0, 16];
    let records = [
        written(name("other.example").bytes(), 28, &[9; 16]),
        written(name("CDN.example").bytes(), 28, &[7; 16]),
        written(&ASKED, TYPE_CNAME, &target),
        written(name("cdn.example").bytes(), 1, &[1, 2, 3, 4]),
        written(name("cdn.example").bytes(), 28, &[8; 16]),
        written(name("cdn.example").bytes(), 28, &[8; 4]),
    ];
    let found = answer(&message(7, 0, &of, Kind::V6, &records), 7, &of, Kind::V6);
    assert_eq!(found, Some(Answer::Addresses(vec![[7; 16], [8; 16]])));
    let found = answer(&message(7, 0, &of, Kind::V4, &records), 7, &of, Kind::V4);
    let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4];
    assert_eq!(found, Some(Answer::Addresses(vec![mapped])));
}

#[test]
fn an_answer_to_something_else_is_none() {
    let of = name("www.example");
    let good = message(7, 0, &of, Kind::V6, &[written(&ASKED, 28, &[1; 16])]);
    assert!(answer(&good, 7, &of, Kind::V6).is_some());
    assert_eq!(answer(&good, 8, &of, Kind::V6), None);
    assert_eq!(answer(&good, 7, &name("ww2.example"), Kind::V6), None);
    assert_eq!(answer(&good, 7, &of, Kind::V4), None);
    let mut question = good.clone();
    question[2] &= 0x7f;
    assert_eq!(answer(&question, 7, &of, Kind::V6), None);
}

#[test]
fn codes_and_a_cut_answer_are_told() {
    let of = name("www.example");
    let said = |flags| answer(&message(7, flags, &of, Kind::V6, &[]), 7, &of, Kind::V6);
    assert_eq!(said(TRUNCATED), Some(Answer::Truncated));
    assert_eq!(said(3), Some(Answer::NoName));
    assert_eq!([said(1), said(2), said(5)], [Some(Answer::Refused), Some(Answer::Refused), Some(Answer::Refused)]);
    assert_eq!(said(0), Some(Answer::Addresses(vec![])));
}

#[test]
fn aliases_in_a_circle_and_floods_of_records_end() {
    let of = name("a.example");
    let circle = [written(&ASKED, TYPE_CNAME, name("b.example").bytes()), written(name("b.example").bytes(), TYPE_CNAME, &ASKED)];
    assert_eq!(answer(&message(7, 0, &of, Kind::V6, &circle), 7, &of, Kind::V6), None);
    let flood = vec![written(&ASKED, 28, &[1; 16]); 2000];
    let Some(Answer::Addresses(found)) = answer(&message(7, 0, &of, Kind::V6, &flood), 7, &of, Kind::V6) else { panic!() };
    assert_eq!(found.len(), MAX_ADDRESSES);
}

#[test]
fn pointers_to_themselves_forwards_and_in_a_long_chain_are_refused() {
    let mut bytes = vec![0u8; 64];
    bytes[20..22].copy_from_slice(&[0xc0, 20]);
    assert_eq!(Name::read(&bytes, 20), None);
    bytes[20..22].copy_from_slice(&[0xc0, 30]);
    assert_eq!(Name::read(&bytes, 20), None);
    let chain: Vec<u8> = (0..40u8).flat_map(|n| [0xc0, 2 * n.saturating_sub(1)]).collect();
    assert_eq!(Name::read(&chain, 78), None);
    let labels = [&[63u8; 64][..]; 5].concat();
    assert_eq!(Name::read(&labels, 0), None);
}

/// Every byte of a good answer with every value of a few, every length of it, and noise: nothing panics. Deterministic.
#[test]
fn no_answer_makes_it_panic() {
    let of = name("www.example");
    let records = [
        written(&ASKED, TYPE_CNAME, &[3, b'c', b'd', b'n', 0xc0, 16]),
        written(name("cdn.example").bytes(), 28, &[8; 16]),
        written(&[0], TYPE_OPT, &[0, 10, 0, 2, 1, 1]),
    ];
    let good = message(7, 0, &of, Kind::V6, &records);
    let mut state = 1u32;
    let mut random = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for at in 0..good.len() {
        let _ = answer(&good[..at], 7, &of, Kind::V6);
        for value in 0..=255 {
            let mut bad = good.clone();
            bad[at] = value;
            let _ = answer(&bad, 7, &of, Kind::V6);
        }
    }
    for _ in 0..200_000 {
        let mut bad = good.clone();
        for _ in 0..1 + random(6) {
            let at = 12 + random(bad.len() - 12);
            bad[at] = [0, 1, 12, 0x3f, 0xc0, 0xff, random(256) as u8][random(7)];
        }
        bad.truncate(12 + random(bad.len() - 11));
        let _ = answer(&bad, 7, &of, Kind::V6);
    }
}
