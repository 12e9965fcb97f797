// SPDX-License-Identifier: PMPL-1.0-or-later
//! Endpoints: where callers meet servers. The object is two queues, of which one is empty; what passes is `ipc`'s.

use super::{Pool, Thread};
use crate::queue::Queue;
use machine::memory::Ref;

pub struct Endpoint {
    pub pool: Ref<Pool>,
    pub senders: Queue,
    pub receivers: Queue,
    /// The one thread that ever received here, for detecting cycles; `None` if there were several or none.
    pub server: Server,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Server {
    Nobody,
    One(Ref<Thread>),
    Several,
}

impl Endpoint {
    pub fn new(pool: Ref<Pool>) -> Endpoint {
        Endpoint { pool, senders: Queue::default(), receivers: Queue::default(), server: Server::Nobody }
    }

    pub fn receives(&mut self, thread: Ref<Thread>) {
        self.server = match self.server {
            Server::Nobody => Server::One(thread),
            Server::One(one) if one == thread => self.server,
            _ => Server::Several,
        };
    }
}
