// SPDX-License-Identifier: PMPL-1.0-or-later
//! Signals: raised, kept, delivered (signal(7)).

pub mod request;
