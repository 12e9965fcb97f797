// SPDX-License-Identifier: PMPL-1.0-or-later
//! Looks a name up at the resolvers that a router told of: by datagram, and over TCP where the answer does not fit one.
//!
//! Each resolver is asked in turn, twice at most; the first that answers decides. Nothing is kept for the next question.
//! An answer counts only if it repeats number and question (`lib/dns`), and the network server lets in only datagrams of
//! whom this socket asked.

use crate::{Datagrams, Error, Net, Stream};
use alloc::vec::Vec;
use api_socket::Peer;
use dns::{Answer, Kind, MAX_DATAGRAM_BYTES, Name};

/// Until the next resolver is asked.
const PATIENCE_NS: u64 = 2_000_000_000;
const ROUNDS: u32 = 2;

enum Way {
    Datagram,
    /// What came so far, behind two bytes of its length.
    Stream(Stream, Vec<u8>),
}

pub struct Lookup {
    name: Name,
    kind: Kind,
    number: u16,
    socket: Datagrams,
    way: Way,
    tries: u32,
    until_ns: u64,
}

impl Lookup {
    /// Begins. `number` is to be hard to guess. Errors: `NoName` for what is no name, those of `bind`.
    pub fn begin(net: &mut Net, name: &str, kind: Kind, number: u16) -> Result<Lookup, Error> {
        let name = Name::from_text(name).ok_or(Error::NoName)?;
        Ok(Lookup { name, kind, number, socket: net.bind(0)?, way: Way::Datagram, tries: 0, until_ns: 0 })
    }

    /// Moves on; called again after news of a socket, and when [`Lookup::until_ns`] has come. The result ends it: then
    /// [`Lookup::end`]. Errors: `NoName` when there is no such name or nobody answers.
    pub fn turn(&mut self, net: &mut Net, now_ns: u64) -> Option<Result<Vec<[u8; 16]>, Error>> {
        let said = match &mut self.way {
            Way::Datagram => self.receive(net),
            Way::Stream(stream, got) => {
                let whole = read(net, stream, got);
                let is_dead = !whole && stream.is_at_end(net);
                let said =
                    got.get(2..).filter(|_| whole).and_then(|bytes| dns::answer(bytes, self.number, &self.name, self.kind));
                // A resolver that cuts this one as well, or says something else, has no answer.
                said.filter(|said| *said != Answer::Truncated).or_else(|| (whole || is_dead).then_some(Answer::Refused))
            }
        };
        match said {
            Some(Answer::Addresses(found)) => return Some(Ok(found)),
            Some(Answer::NoName) => return Some(Err(Error::NoName)),
            Some(Answer::Truncated) => match self.call(net) {
                Ok(()) => self.until_ns = now_ns + PATIENCE_NS,
                Err(_) => self.until_ns = now_ns,
            },
            Some(Answer::Refused) => self.until_ns = now_ns,
            None => {}
        }
        if now_ns < self.until_ns { None } else { self.ask(net, now_ns).err().map(Err) }
    }
    /// When the next resolver is to be asked.
    pub fn until_ns(&self) -> u64 {
        self.until_ns
    }
    /// Gives its sockets up.
    pub fn end(mut self, net: &mut Net) {
        self.hang_up(net);
        net.close(self.socket.0);
    }

    /// The resolver whose turn it is.
    fn resolver(&self, net: &Net) -> Result<Peer, Error> {
        let count = (0..).take_while(|&n| net.resolver(n).is_ok()).count() as u32;
        let turn = self.tries.saturating_sub(1);
        if count == 0 || turn >= ROUNDS * count { Err(Error::NoName) } else { net.resolver(turn % count) }
    }
    fn ask(&mut self, net: &mut Net, now_ns: u64) -> Result<(), Error> {
        self.hang_up(net);
        self.tries += 1;
        let resolver = self.resolver(net)?;
        self.until_ns = now_ns + PATIENCE_NS;
        self.socket.send(net, resolver, &dns::question(self.number, &self.name, self.kind));
        net.flush();
        Ok(())
    }
    fn receive(&mut self, net: &Net) -> Option<Answer> {
        let mut bytes = [0; MAX_DATAGRAM_BYTES];
        while let Some((_, length)) = self.socket.receive(net, &mut bytes) {
            let said = dns::answer(bytes.get(..length)?, self.number, &self.name, self.kind);
            if said.is_some() {
                return said;
            }
        }
        None
    }
    /// Asks over TCP (RFC 7766, 5).
    fn call(&mut self, net: &mut Net) -> Result<(), Error> {
        let question = dns::question(self.number, &self.name, self.kind);
        let mut stream = net.connect(self.resolver(net)?)?;
        stream.write(net, &(question.len() as u16).to_be_bytes());
        stream.write(net, &question);
        net.flush();
        self.way = Way::Stream(stream, Vec::new());
        Ok(())
    }
    fn hang_up(&mut self, net: &mut Net) {
        if let Way::Stream(stream, _) = core::mem::replace(&mut self.way, Way::Datagram) {
            net.close(stream);
        }
    }
}

/// Takes what came of one message; true once it is whole.
fn read(net: &Net, stream: &mut Stream, got: &mut Vec<u8>) -> bool {
    loop {
        let wanted = got.first_chunk().map_or(2, |length| 2 + usize::from(u16::from_be_bytes(*length)));
        let mut bytes = [0; 512];
        let room = bytes.len().min(wanted - got.len());
        let count = bytes.get_mut(..room).map_or(0, |room| stream.read(net, room));
        got.extend_from_slice(bytes.get(..count).unwrap_or(&[]));
        if wanted > 2 && got.len() == wanted {
            return true;
        }
        if count == 0 {
            return false;
        }
    }
}
