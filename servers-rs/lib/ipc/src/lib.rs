// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interfaces as tables: [`interface!`] makes the client, the server's trait, the dispatcher and a table of methods
//! out of one declaration, so the two sides cannot differ.
//!
//! This crate makes no system call. A client speaks through a [`Transport`]: `rt` joins one to the kernel, [`pair`]
//! joins one to a server in the same test. Bulk data never travels here; it lies in a shared buffer that a
//! message names by offset and length.
//!
//! Read `message.rs` for what a message is, `wire.rs` for how values lie in it, `interface.rs` for the macro.
#![no_std]

pub mod interface;
pub mod message;
pub mod pair;
pub mod wire;

pub use abi::handle::Handle;
pub use interface::{ApiError, Method, Repeat, call};
pub use message::{Message, Reader};
pub use wire::{Cap, Name, Place, Text, Wire};

/// Who calls: the badge that the process server gave to this client's capability. Not forgeable by the client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Badge(pub u64);

/// Why there was no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lost {
    /// The server died before it answered, or is not there. Whether it did the work is unknown.
    Gone,
    /// The message was not delivered: nothing happened.
    Refused,
}

/// The client's end.
pub trait Transport {
    /// Sends the request and waits for the answer.
    fn call(&mut self, request: &Message) -> Result<Message, Lost>;
}

impl<T: Transport + ?Sized> Transport for &mut T {
    fn call(&mut self, request: &Message) -> Result<Message, Lost> {
        (**self).call(request)
    }
}
