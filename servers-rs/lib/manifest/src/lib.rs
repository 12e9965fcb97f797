// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a system is made of, as bytes: the boot bundle with its manifest, and the startup block of one component.
//!
//! One encoder and one decoder for the whole project. Decoding foreign bytes never panics and trusts no length.
//! It grants nothing and loads nothing; `root` and `process` do.
//!
//! Read `component.rs` for what a manifest says, `bundle.rs` for the file, `startup.rs` for what a program finds when
//! it starts, `layout.rs` for where it finds it.
#![no_std]

extern crate alloc;

pub mod bundle;
pub mod component;
pub mod layout;
pub mod startup;
pub mod symbols;

pub use component::{Component, Kind, Manifest, Profile, Program};
pub use startup::{Facts, Grant, Startup, What};
