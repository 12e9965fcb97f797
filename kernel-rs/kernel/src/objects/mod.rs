// SPDX-License-Identifier: PMPL-1.0-or-later
//! The kinds of object: a file each. Each holds what the object is and its operations.

mod address_space;
mod endpoint;
mod guest;
mod interrupt;
mod io;
mod mapping;
pub use io::port_badge;
mod memory;
mod notification;
mod pool;
mod registers;
mod table;
mod thread;

pub use address_space::Space;
pub use endpoint::{Endpoint, Server};
pub use interrupt::Interrupt;
pub use mapping::{Mapping, Request};
pub use memory::{Backing, Layout, Memory};
pub use notification::Notification;
pub use pool::Pool;
pub use table::{Slot, Table};
pub use thread::{Making, Outgoing, ReplyRight, State, Thread};
