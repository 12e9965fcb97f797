// SPDX-License-Identifier: PMPL-1.0-or-later
//! An executable of the host's, and the same with every byte of its headers changed.

use super::*;
use std::fs;

fn own() -> Vec<u8> {
    fs::read("/proc/self/exe").expect("this test is a program")
}

fn image(bytes: &[u8]) -> Result<Image> {
    let at = Image::headers_at(bytes)?;
    let entries = bytes.get(at.start as usize..at.end as usize).ok_or(ENOEXEC)?;
    Image::parse(bytes, entries)
}

#[test]
fn a_program_of_the_host_says_where_it_wants_to_be() {
    let bytes = own();
    let image = image(&bytes).unwrap();
    assert!(image.is_relative && image.loads.len() >= 2 && image.headers.1 > 4);
    assert!(image.loads.iter().any(|load| load.access == Access::READ.with(Access::EXECUTE)));
    let path = image.interpreter.unwrap();
    assert!(interpreter_path(&bytes[path.start as usize..path.end as usize]).unwrap().starts_with(b"/lib"));
}

#[test]
fn no_change_of_a_header_breaks_the_loader() {
    let bytes = own()[..4096].to_vec();
    let good = image(&bytes).unwrap();
    let end = Image::headers_at(&bytes).unwrap().end as usize;
    for at in 0..end {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] = value;
            if let Ok(image) = image(&changed) {
                assert!(image.span().start <= image.span().end && image.span().end <= END.next_multiple_of(4096), "{at}");
            }
        }
    }
    assert!(!good.loads.is_empty());
}

#[test]
fn what_is_no_program_of_this_machine_is_refused() {
    let bytes = own()[..4096].to_vec();
    let with = |at: usize, value: u8| {
        let mut changed = bytes.clone();
        changed[at] = value;
        image(&changed).err()
    };
    assert_eq!([with(0, 0), with(4, 1), with(5, 2), with(16, 1), with(18, 3), with(54, 0)], [Some(ENOEXEC); 6]);
    assert_eq!(image(&bytes[..63]), Err(ENOEXEC));
    assert_eq!(image(b"#!/bin/sh\n"), Err(ENOEXEC));
}
