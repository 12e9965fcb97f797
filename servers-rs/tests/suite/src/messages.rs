// SPDX-License-Identifier: PMPL-1.0-or-later
//! Calls between two threads of this program: words, badges, capabilities that travel, replies kept for later.

use crate::report::{Found, Test, equal, must, that};
use alloc::string::String;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use ipc::Message;
use rt::channel::{put, take};
use rt::thread::spawn;
use sys::{Capability, Endpoint, Error, FOREVER, Handle, Notification, POLL, Pool, Rights, Tag, start};

const POOL: Pool = Pool(start::POOL);
const STACK: u64 = 32 * 1024;
/// The suite's own; a thread gets none above it.
const PRIORITY: u8 = 10;
/// What the second thread works with: it has no arguments.
static ENDPOINT: AtomicU32 = AtomicU32::new(0);
static RESULT: AtomicU64 = AtomicU64::new(0);

pub const TESTS: &[Test] = &[
    Test { promise: "a call brings its words and its badge, and the reply its own", run: echo },
    Test { promise: "64 words travel through the buffer unchanged", run: long },
    Test { promise: "a capability travels with no more rights than were sent", run: transfer },
    Test {
        promise: "a capability without the copy right, or through an endpoint without the transfer right, does not travel",
        run: no_transfer,
    },
    Test { promise: "a tag that claims too much is refused", run: bad_tag },
    Test { promise: "a reply that was kept is used once, later", run: kept_reply },
    Test { promise: "a caller whose server is destroyed hears that it is gone", run: server_gone },
    Test { promise: "a caller waiting at an endpoint hears that it was closed", run: endpoint_closed },
    Test { promise: "a send waits for no answer", run: send },
    Test { promise: "one wait serves messages and the bound notification", run: bound },
];

fn endpoint() -> Result<Endpoint, String> {
    must("making an endpoint", POOL.create_endpoint())
}
/// Starts a thread that finds `endpoint` in `ENDPOINT`.
fn with(endpoint: Endpoint, work: fn()) -> Result<sys::Thread, String> {
    ENDPOINT.store(endpoint.handle().0, Ordering::SeqCst);
    RESULT.store(u64::MAX, Ordering::SeqCst);
    must("starting a thread", spawn("partner", PRIORITY, STACK, None, work))
}
fn given() -> Endpoint {
    Endpoint(Handle(ENDPOINT.load(Ordering::SeqCst)))
}
/// What the other thread found; `u64::MAX` if it says nothing for ten seconds.
fn result() -> u64 {
    // It has a lower priority, so this one must really wait, not only give up its slice.
    let Ok(nobody) = POOL.create_notification() else { return u64::MAX };
    for _ in 0..10_000 {
        let value = RESULT.load(Ordering::SeqCst);
        if value != u64::MAX {
            return value;
        }
        let _ = nobody.wait(1_000_000);
    }
    u64::MAX
}
/// A number for an answer, so that a thread can hand it over.
fn number<T>(answer: Result<T, Error>) -> u64 {
    match answer {
        Ok(_) => 0,
        Err(error) => error as u64,
    }
}

fn echo() -> Found {
    let it = endpoint()?;
    let badged = must("badging", it.copy(Rights::WRITE | Rights::READ, 0xbeef))?;
    with(badged, || {
        let sum = given().call(Tag::new(9, 4, 0), [1, 2, 3, 4]).map_or(0, |r| r.words[0] * 100 + u64::from(r.tag.label()));
        RESULT.store(sum, Ordering::SeqCst);
    })?;
    let call = must("receiving", it.receive(FOREVER))?;
    equal((call.badge, call.tag.label(), call.words), (0xbeef, 9, [1, 2, 3, 4]))?;
    must("replying", sys::reply(Tag::new(5, 1, 0), [call.words.iter().sum(), 0, 0, 0]))?;
    equal(result(), 1005)
}
fn long() -> Found {
    let it = endpoint()?;
    with(it, || {
        let mut message = Message::new(1);
        (0..64).for_each(|n| message.put_word(n * n + 1));
        let words = put(&message);
        let answer = given().call(message.tag(), words);
        let right = answer.is_ok_and(|r| take(&r).words().iter().enumerate().all(|(n, w)| *w == (n as u64) * 3));
        RESULT.store(u64::from(right), Ordering::SeqCst);
    })?;
    let request = take(&must("receiving", it.receive(FOREVER))?);
    equal(request.words().len(), 64)?;
    that(request.words().iter().enumerate().all(|(n, w)| *w == (n as u64) * (n as u64) + 1), "words were changed")?;
    let mut reply = Message::new(0);
    (0..64).for_each(|n| reply.put_word(n * 3));
    let words = put(&reply);
    must("replying", sys::reply(reply.tag(), words))?;
    equal(result(), 1)
}
fn transfer() -> Found {
    let it = endpoint()?;
    with(it, || {
        let sent = POOL.create_notification().and_then(|n| n.copy(Rights::WRITE | Rights::COPY, 0));
        let mut message = Message::new(1);
        if let Ok(sent) = sent {
            message.put_cap(sent.handle());
        }
        let words = put(&message);
        RESULT.store(number(given().call(message.tag(), words)), Ordering::SeqCst);
    })?;
    let request = take(&must("receiving", it.receive(FOREVER))?);
    equal(request.caps().len(), 1)?;
    let got = Notification(request.caps()[0]);
    must("signalling what arrived", got.signal(1))?;
    equal(got.wait(POLL), Err(Error::NoRight))?;
    must("replying", sys::reply(Tag::new(0, 0, 0), [0; 4]))?;
    equal(result(), 0)
}
fn no_transfer() -> Found {
    let it = endpoint()?;
    let dull = must("copying", it.copy(Rights::WRITE, 0))?;
    let whole = must("making a notification", POOL.create_notification())?;
    let fixed = must("copying", whole.copy(Rights::WRITE, 0))?;
    let call = |through: Endpoint, what: Notification| {
        let mut message = Message::new(1);
        message.put_cap(what.handle());
        let words = put(&message);
        through.call(message.tag(), words).err()
    };
    equal(call(dull, whole), Some(Error::NotTransferable))?;
    // What travels is looked at when somebody takes it.
    with(it, || RESULT.store(given().receive(FOREVER).map_or(0, |r| u64::from(r.tag.label())), Ordering::SeqCst))?;
    equal(call(it, fixed), Some(Error::NotTransferable))?;
    must("sending without it", it.send(Tag::new(4, 0, 0), [0; 4]))?;
    equal(result(), 4)
}
fn bad_tag() -> Found {
    let it = endpoint()?;
    // 65 words, 5 capabilities, and a bit that means nothing.
    for tag in [Tag(65), Tag(5 << 8), Tag(1 << 12)] {
        equal(it.call(tag, [0; 4]).err(), Some(Error::BadArgument))?;
        equal(it.send(tag, [0; 4]), Err(Error::BadArgument))?;
    }
    Ok(())
}
fn kept_reply() -> Found {
    let it = endpoint()?;
    with(it, || {
        RESULT.store(given().call(Tag::new(1, 0, 0), [0; 4]).map_or(0, |r| r.words[0]), Ordering::SeqCst);
    })?;
    must("receiving", it.receive(FOREVER))?;
    let kept = must("keeping the reply", sys::reply_save())?;
    equal(sys::reply(Tag::new(0, 0, 0), [0; 4]), Err(Error::NoReply))?;
    equal(it.receive(POLL).err(), Some(Error::WouldBlock))?;
    must("replying later", kept.reply(Tag::new(0, 1, 0), [77, 0, 0, 0]))?;
    equal(result(), 77)?;
    that(kept.reply(Tag::new(0, 1, 0), [78, 0, 0, 0]).is_err(), "it was used twice")
}
fn server_gone() -> Found {
    let it = endpoint()?;
    // The server is the other thread: it takes the call and is ended before it answers.
    let server = with(it, || {
        let _ = given().receive(FOREVER);
        RESULT.store(1, Ordering::SeqCst);
        let _ = POOL.create_notification().map(|n| n.wait(FOREVER));
    })?;
    SERVER.store(server.handle().0, Ordering::SeqCst);
    must("starting a thread", spawn("killer", PRIORITY, STACK, None, kill_when_taken))?;
    equal(it.call(Tag::new(1, 0, 0), [0; 4]).err(), Some(Error::Gone))
}
static SERVER: AtomicU32 = AtomicU32::new(0);
fn kill_when_taken() {
    result();
    let _ = sys::Thread(Handle(SERVER.load(Ordering::SeqCst))).end();
}
fn endpoint_closed() -> Found {
    let it = endpoint()?;
    with(it, || RESULT.store(number(given().call(Tag::new(1, 0, 0), [0; 4])), Ordering::SeqCst))?;
    // Time for the other thread to wait there; if it has not come yet it hears the same.
    let nobody = must("making a notification", POOL.create_notification())?;
    let _ = nobody.wait(5_000_000);
    must("closing", it.close())?;
    let heard = result();
    that([Error::Gone as u64, Error::BadHandle as u64, Error::StaleHandle as u64].contains(&heard), "it heard something else")
}
fn send() -> Found {
    let it = endpoint()?;
    with(it, || RESULT.store(number(given().send(Tag::new(3, 1, 0), [42, 0, 0, 0])), Ordering::SeqCst))?;
    let got = must("receiving", it.receive(FOREVER))?;
    equal((got.tag.label(), got.words[0]), (3, 42))?;
    equal(sys::reply(Tag::new(0, 0, 0), [0; 4]), Err(Error::NoReply))?;
    equal(result(), 0)
}
fn bound() -> Found {
    let it = endpoint()?;
    let bell = must("making a notification", POOL.create_notification())?;
    let me = sys::Thread(start::THREAD);
    must("binding", me.bind(Some(bell)))?;
    must("signalling", bell.signal(8))?;
    let got = it.receive(FOREVER);
    must("unbinding", me.bind(None))?;
    equal(must("receiving", got)?.notification(), Some(8))
}
