// SPDX-License-Identifier: PMPL-1.0-or-later
//! What is done on one connection: see `main.rs`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use api_socket::{Peer, State};
use core::net::Ipv6Addr;
use ipc::Text;
use rt::channel::Channel;
use rt::start::grant;
use sockets::{Kind, Lookup, Net, Stream};

const FNV_START: u32 = 0x811c_9dc5;
const FNV_PRIME: u32 = 0x0100_0193;
/// Longest question of a peer.
const LINE_BYTES: usize = 128;

#[derive(PartialEq, Eq)]
pub enum Progress {
    Waits,
    Moved,
    Done,
}

enum Task {
    Echo { kept: Vec<u8> },
    Sink { count: u64, sum: u32 },
    Ask { line: Vec<u8>, port: u16 },
    Source { sent: u64, count: u64 },
    Call { other: Option<Stream>, sent: u64, back: u64, count: u64, wrong: bool },
    Look { lookup: Option<Lookup> },
    Say { text: Vec<u8> },
    Ending,
}

pub struct Job {
    stream: Stream,
    task: Task,
}

/// Byte number `n` of what a source sends.
fn pattern(n: u64) -> u8 {
    (n.wrapping_mul(31) >> 3) as u8 ^ n as u8
}
fn fnv(sum: u32, byte: u8) -> u32 {
    (sum ^ u32::from(byte)).wrapping_mul(FNV_PRIME)
}

impl Job {
    pub fn new(port: u16, stream: Stream) -> Job {
        let task = match port {
            7 => Task::Echo { kept: Vec::new() },
            9 => Task::Sink { count: 0, sum: FNV_START },
            port => Task::Ask { line: Vec::new(), port },
        };
        Job { stream, task }
    }

    pub fn end(self, net: &mut Net) {
        match self.task {
            Task::Call { other: Some(other), .. } => net.close(other),
            Task::Look { lookup: Some(lookup) } => lookup.end(net),
            _ => {}
        }
        net.close(self.stream);
    }

    pub fn turn(&mut self, net: &mut Net) -> Progress {
        if matches!(self.stream.state(net), Some(State::Failed | State::Closed)) {
            return Progress::Done;
        }
        let mut bytes = [0; 4096];
        let at_end = self.stream.is_at_end(net);
        match &mut self.task {
            Task::Echo { kept } => {
                if kept.is_empty() {
                    let count = self.stream.read(net, &mut bytes);
                    kept.extend_from_slice(bytes.get(..count).unwrap_or(&[]));
                }
                let count = self.stream.write(net, kept);
                kept.drain(..count);
                if at_end && kept.is_empty() { self.finish() } else { moved(count) }
            }
            Task::Sink { count, sum } => {
                let taken = self.stream.read(net, &mut bytes);
                *sum = bytes.get(..taken).unwrap_or(&[]).iter().fold(*sum, |sum, byte| fnv(sum, *byte));
                *count += taken as u64;
                if at_end {
                    self.task = Task::Say { text: format!("{count} {sum:08x}\n").into_bytes() };
                    return Progress::Moved;
                }
                moved(taken)
            }
            Task::Ask { line, port } => {
                let count = self.stream.read(net, &mut bytes);
                line.extend_from_slice(bytes.get(..count).unwrap_or(&[]));
                if line.contains(&b'\n') || line.len() > LINE_BYTES {
                    let text = String::from_utf8_lossy(line).into_owned();
                    let port = *port;
                    self.task = asked(port, text.trim(), net);
                    return Progress::Moved;
                }
                if at_end { Progress::Done } else { moved(count) }
            }
            Task::Source { sent, count } => {
                let next = bytes.len().min((*count - *sent) as usize).min(self.stream.room(net));
                let piece = bytes.get_mut(..next).unwrap_or(&mut []);
                piece.iter_mut().zip(*sent..).for_each(|(byte, n)| *byte = pattern(n));
                *sent += self.stream.write(net, piece) as u64;
                if *sent == *count { self.finish() } else { moved(next) }
            }
            Task::Look { lookup } => {
                let found = lookup.as_mut().and_then(|it| it.turn(net, rt::clock::now_ns()));
                let Some(found) = found else { return Progress::Waits };
                if let Some(lookup) = lookup.take() {
                    lookup.end(net);
                }
                let text = match found {
                    Ok(all) => all.iter().map(|octets| format!("{} ", Ipv6Addr::from(*octets))).collect(),
                    Err(error) => format!("{error:?}"),
                };
                self.task = Task::Say { text: format!("{}\n", text.trim()).into_bytes() };
                Progress::Moved
            }
            Task::Say { text } => {
                let count = self.stream.write(net, text);
                text.drain(..count);
                if text.is_empty() { self.finish() } else { moved(count) }
            }
            Task::Ending => Progress::Waits,
            Task::Call { other, sent, back, count, wrong } => {
                let Some(stream) = other else { return Progress::Done };
                let next = bytes.len().min((*count - *sent) as usize).min(stream.room(net));
                let piece = bytes.get_mut(..next).unwrap_or(&mut []);
                piece.iter_mut().zip(*sent..).for_each(|(byte, n)| *byte = pattern(n));
                *sent += stream.write(net, piece) as u64;
                let taken = stream.read(net, &mut bytes);
                *wrong |= bytes.get(..taken).unwrap_or(&[]).iter().zip(*back..).any(|(byte, n)| *byte != pattern(n));
                *back += taken as u64;
                let text = match stream.state(net) {
                    _ if *back >= *count => format!("{} {back}\n", if *wrong { "wrong" } else { "ok" }),
                    Some(state @ (State::Failed | State::Closed | State::PeerShut)) => format!("{state:?} after {back}\n"),
                    _ => return moved(next + taken),
                };
                if let Some(other) = other.take() {
                    net.close(other);
                }
                self.task = Task::Say { text: text.into_bytes() };
                Progress::Moved
            }
        }
    }

    /// No more is said; the connection is over when the peer says no more either.
    fn finish(&mut self) -> Progress {
        self.task = Task::Ending;
        if self.stream.shut().is_err() { Progress::Done } else { Progress::Moved }
    }
}

fn moved(count: usize) -> Progress {
    if count > 0 { Progress::Moved } else { Progress::Waits }
}

fn asked(port: u16, text: &str, net: &mut Net) -> Task {
    let say = |text: &str| Task::Say { text: format!("{text}\n").into_bytes() };
    if port == 19 {
        return text.parse().map_or_else(|_| say("how many?"), |count| Task::Source { sent: 0, count });
    }
    if port == 97 {
        let number = rt::clock::now_ns() as u16;
        return match Lookup::begin(net, text, Kind::V6, number) {
            Ok(lookup) => Task::Look { lookup: Some(lookup) },
            Err(error) => say(&format!("{error:?}")),
        };
    }
    if port == 98 {
        let ended = grant::call(api_supervisor::NAME)
            .map(|(endpoint, _)| api_supervisor::Client(Channel(endpoint)).end(Text::clipped(text)));
        return say(&format!("{ended:?}"));
    }
    let mut words = text.split(' ');
    let address = words.next().and_then(|w| w.parse::<Ipv6Addr>().ok());
    let port = words.next().and_then(|w| w.parse().ok());
    let count = words.next().and_then(|w| w.parse().ok());
    let (Some(address), Some(port), Some(count)) = (address, port, count) else { return say("address port count?") };
    match net.connect(Peer { address: address.octets(), port }) {
        Ok(stream) => Task::Call { other: Some(stream), sent: 0, back: 0, count, wrong: false },
        Err(error) => say(&format!("{error:?}")),
    }
}
