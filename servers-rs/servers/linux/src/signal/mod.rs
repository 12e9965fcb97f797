// SPDX-License-Identifier: PMPL-1.0-or-later
//! Signals: raised, kept, delivered (signal(7)). Pure: what a thread and a process hold of them and what becomes of them.
//!
//! `state.rs` decides; the task loop sends with it, asks it what comes next before a guest goes on, and does what it says.

pub mod action;
pub mod frame;
pub mod info;
pub mod pending;
pub mod request;
pub mod set;
pub mod stack;
pub mod state;
