// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a client sees of a server that dies, and what the process server does about it. The partner is `tests/assistant`.

use crate::report::{Found, Test, equal, must, that};
use alloc::string::String;
use api_assistant::{Client, Error};
use ipc::{Text, Transport};
use rt::channel::Channel;
use rt::clock::now_ns;
use rt::memory::Shared;
use rt::start::grant;
use sys::{Memory, PAGE_BYTES, Rights};

const MS: u64 = 1_000_000;

pub const TESTS: &[Test] = &[
    Test { promise: "a server sees its client's badge", run: badge },
    Test { promise: "a long text comes back unchanged", run: long_text },
    Test { promise: "an answer that takes its time is waited for", run: late },
    Test { promise: "memory that is lent can be read and not written", run: lent },
    Test { promise: "a call that kills its server is told that it restarted", run: fault },
    Test { promise: "after each kind of death the server is there again, a new one", run: again },
    Test { promise: "an idempotent call made while the server restarts is answered", run: during },
    Test { promise: "a method that the interface does not have is refused and kills nobody", run: malformed },
    Test { promise: "what was not granted is not there", run: not_granted },
];

fn client() -> Result<Client<Channel>, String> {
    let (endpoint, _) = must("the manifest", grant::call(api_assistant::NAME).ok_or("assistant is not granted"))?;
    Ok(Client(Channel(endpoint)))
}

fn badge() -> Found {
    let (value, client) = must("calling", client()?.echo(0x1234_5678_9abc))?;
    equal(value, 0x1234_5678_9abc)?;
    that(client > 0, "it has no number")
}
fn long_text() -> Found {
    let text = must("the text", Text::new(LONG).ok_or("is too long"))?;
    let back = must("calling", client()?.repeat(text.clone()))?;
    equal(back.as_str(), text.as_str())
}
/// 400 bytes, the longest that fits.
const LONG: &str = concat!(
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghij",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "ABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDEFGHIJ",
);
fn late() -> Found {
    let before = now_ns();
    must("calling", client()?.late(30))?;
    that(now_ns() - before >= 30 * MS, "it came too early")
}
fn lent() -> Found {
    let memory = Memory(must("calling", client()?.lend(0xfeed_f00d))?.0);
    that(Shared::map(memory, PAGE_BYTES, Rights::READ | Rights::WRITE).is_err(), "it can be written")?;
    let shared = must("mapping", Shared::map(memory, PAGE_BYTES, Rights::READ))?;
    let mut mark = [0; 8];
    that(shared.read(0, &mut mark).is_some(), "it cannot be read")?;
    equal(u64::from_le_bytes(mark), 0xfeed_f00d)
}
fn fault() -> Found {
    equal(client()?.fault(0), Err(Error::Restarted))
}
fn again() -> Found {
    let mut it = client()?;
    let mut born = must("calling", it.born())?;
    type Death = fn(&mut Client<Channel>) -> Result<(), Error>;
    let deaths: [Death; 3] = [|it| it.fault(3), |it| it.exit(0), |it| it.panic()];
    for death in deaths {
        equal(death(&mut it), Err(Error::Restarted))?;
        let new = must("calling the new one", it.born())?;
        that(new > born, "it is the old one")?;
        born = new;
    }
    Ok(())
}
fn during() -> Found {
    let mut it = client()?;
    equal(it.fault(1), Err(Error::Restarted))?;
    let before = now_ns();
    equal(must("calling", it.echo(5))?.0, 5)?;
    that(now_ns() - before < 1000 * MS, "it took more than a second")
}
fn malformed() -> Found {
    let mut it = client()?;
    let born = must("calling", it.born())?;
    let reply = must("calling", it.0.call(&ipc::Message::new(99)))?;
    equal(reply.label, ipc::interface::code::MALFORMED)?;
    equal(it.born(), Ok(born))
}
fn not_granted() -> Found {
    that(grant::call("slot").is_none() && grant::ports().is_none() && grant::device().is_none(), "it is")
}
