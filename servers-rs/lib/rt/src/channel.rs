// SPDX-License-Identifier: PMPL-1.0-or-later
//! Joins `ipc` to the kernel: the client's end of an endpoint, and the loop that serves one.

use abi::message::REGISTER_WORDS;
use ipc::{Badge, Lost, Message, Transport};
use sys::{Capability, Endpoint, Error, FOREVER, MessageBuffer, Received, Tag};

/// The client's end.
#[derive(Clone, Copy, Debug)]
pub struct Channel(pub Endpoint);

impl Transport for Channel {
    fn call(&mut self, request: &Message) -> Result<Message, Lost> {
        let words = put(request);
        match self.0.call(request.tag(), words) {
            Ok(received) => Ok(take(&received)),
            Err(Error::Gone | Error::Cancelled) => Err(Lost::Gone),
            Err(_) => Err(Lost::Refused),
        }
    }
}

/// What a server wakes up for.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "it lives on the stack of one loop")]
pub enum Event {
    /// A call: interface number, client, request. Answer it.
    Call(u32, Badge, Message),
    /// Bits of the notification bound to this thread. The answer is ignored.
    Bits(u64),
}

/// Serves for ever: `handle` makes the answer, `None` leaves the caller without one for now.
/// Returns when the endpoint is gone. Capabilities that come with a request are dropped.
pub fn serve(endpoint: Endpoint, mut handle: impl FnMut(Event) -> Option<Message>) -> Error {
    serve_keeping(endpoint, |event| {
        if let Event::Call(_, _, request) = &event {
            drop_caps(request);
        }
        handle(event)
    })
}

/// As [`serve`], for an interface whose methods take capabilities: what came with a request is the handler's to keep or drop.
pub fn serve_keeping(endpoint: Endpoint, mut handle: impl FnMut(Event) -> Option<Message>) -> Error {
    let mut next = endpoint.receive(FOREVER);
    loop {
        crate::health::beat();
        let received = match next {
            Ok(received) => received,
            Err(error) => return error,
        };
        let event = event(&received);
        let asked = matches!(event, Event::Call(..));
        next = match crate::health::mutated(handle(event).filter(|_| asked)) {
            Some(answer) => {
                let words = put(&answer);
                endpoint.reply_receive(answer.tag(), words)
            }
            None => endpoint.receive(FOREVER),
        };
    }
}

/// What was received, as [`serve`] tells it. Capabilities that came with it are the caller's to keep or drop.
pub fn event(received: &Received) -> Event {
    if let Some(bits) = received.notification() {
        return Event::Bits(bits);
    }
    let (interface, client) = manifest::layout::unbadge(received.badge);
    Event::Call(interface, Badge(u64::from(client)), take(received))
}

/// Gives up the capabilities that came with a request.
pub fn drop_caps(request: &Message) {
    for &cap in request.caps() {
        let _ = sys::Memory(cap).delete();
    }
}

/// Puts what does not fit in registers into this thread's buffer; returns what does.
pub fn put(message: &Message) -> [u64; REGISTER_WORDS] {
    let mut registers = [0; REGISTER_WORDS];
    registers.iter_mut().zip(message.words()).for_each(|(to, from)| *to = *from);
    if message.words().len() > REGISTER_WORDS || !message.caps().is_empty() {
        let mut buffer = current_buffer();
        for (n, word) in message.words().iter().enumerate().skip(REGISTER_WORDS) {
            buffer.set_word(n, *word);
        }
        for (n, cap) in message.caps().iter().enumerate() {
            buffer.set_cap(n, *cap);
        }
    }
    registers
}

/// The message that was just received, buffer included.
pub fn take(received: &Received) -> Message {
    let tag: Tag = received.tag;
    let mut message = Message::new(tag.label());
    received.words.iter().take(tag.words()).for_each(|w| message.put_word(*w));
    if tag.words() > REGISTER_WORDS || tag.caps() > 0 {
        let buffer = current_buffer();
        (REGISTER_WORDS..tag.words()).for_each(|n| message.put_word(buffer.word(n)));
        (0..tag.caps()).for_each(|n| message.put_cap(buffer.cap(n)));
    }
    message
}

/// Lends this thread's message buffer, for loops that put and take words without a [`Message`] between.
pub fn with_buffer<R>(work: impl FnOnce(&mut MessageBuffer) -> R) -> R {
    work(&mut current_buffer())
}

/// The message buffer of the thread that runs this, told from where its stack is.
fn current_buffer() -> MessageBuffer {
    let marker = 0u8;
    let address = crate::thread::buffer_of_stack(&raw const marker as u64);
    // SAFETY: 1. `thread` maps a buffer for each further thread, and the starter one for the first; none is ever unmapped.
    // 2. The value does not leave this file but as a borrow, and holds a pointer that is only read and written volatile:
    // two of them on one thread may mix their words up, and do no other harm.
    unsafe { MessageBuffer::new(address) }
}
