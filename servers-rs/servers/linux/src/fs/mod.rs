// SPDX-License-Identifier: PMPL-1.0-or-later
//! The file systems, and files that have no name.

pub mod dev;
pub mod device;
pub mod pipe;
pub mod root;
pub mod timerfd;
pub mod tmpfs;
pub mod tty;
