// SPDX-License-Identifier: PMPL-1.0-or-later
//! One file per command: its flags, then what it does.

pub mod attach;
pub mod attributes;
pub mod build;
pub mod embed;
pub mod extract;
pub mod inspect;
pub mod keygen;
pub mod verify;
