// SPDX-License-Identifier: PMPL-1.0-or-later
//! The file systems, and files that have no name.

pub mod dev;
pub mod device;
pub mod epoll;
pub mod eventfd;
pub mod inotify;
pub mod overlay;
pub mod pipe;
pub mod proc;
pub mod root;
pub mod sys;
pub mod text;
pub mod timerfd;
pub mod tmpfs;
pub mod tree;
pub mod tty;
