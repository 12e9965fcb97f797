// SPDX-License-Identifier: PMPL-1.0-or-later
//! The process server's lines. It must not call the log's server, which it may have to restart: lines go into a ring
//! in memory of its own, and a notification tells. Without a log server they go to the kernel's debug console.

use api_log::ring;
use core::sync::atomic::{AtomicBool, Ordering};
use rt::log::Level;
use rt::memory::Shared;
use rt::sync::Mutex;
use sys::{Memory, Notification, Rights};

/// What the log's server is granted. It is root's, so it outlives this program, and lines in it do too.
#[derive(Clone, Copy, Debug)]
pub struct Ring {
    pub memory: Memory,
    pub length_bytes: u64,
    pub bell: Notification,
}

struct Voice {
    shared: Shared,
    bell: Notification,
}

static VOICE: Mutex<Option<Voice>> = Mutex::new(None);
/// Lines that found no room.
static LOST: AtomicBool = AtomicBool::new(false);

/// Speaks into the ring from now on; `None`: there is no log server, and lines go to the debug console.
pub fn begin(ring: Option<Ring>) -> sys::Result<()> {
    rt::log::set_sink(|_: Level, text| line(&["process: ", text]));
    if let Some(ring) = ring {
        let shared = Shared::map(ring.memory, ring.length_bytes, Rights::READ | Rights::WRITE)?;
        VOICE.with(|voice| *voice = Some(Voice { shared, bell: ring.bell }));
    }
    Ok(())
}

/// One line, as it is.
pub fn line(parts: &[&str]) {
    let spoken = VOICE.with(|voice| voice.as_ref().map(|v| v.push(parts)));
    if spoken.is_none() {
        debug(parts);
    }
}

/// The log's server was given up: what is in the ring, and all that follows, goes to the debug console.
pub fn fall_back() {
    let Some(voice) = VOICE.with(Option::take) else { return };
    let mut text = rt::log::Line::default();
    while let Some(byte) = ring::pop(&voice.shared) {
        if byte == b'\n' {
            debug(&[text.as_str()]);
            text = rt::log::Line::default();
        } else {
            let _ = core::fmt::Write::write_char(&mut text, char::from(byte));
        }
    }
}

impl Voice {
    fn push(&self, parts: &[&str]) {
        let mut bytes: [&[u8]; 8] = [b""; 8];
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from.as_bytes());
        if LOST.load(Ordering::Relaxed) && ring::push(&self.shared, &[b"process: lines were lost"]) {
            LOST.store(false, Ordering::Relaxed);
        }
        if !ring::push(&self.shared, &bytes) {
            LOST.store(true, Ordering::Relaxed);
        }
        // Nobody listens while the server is restarted; it looks into the ring when it starts.
        let _ = self.bell.signal(1);
    }
}

fn debug(parts: &[&str]) {
    let mut text = rt::log::Line::default();
    for part in parts {
        let _ = core::fmt::Write::write_str(&mut text, part);
    }
    // `Op::DebugLog` takes 256 bytes. In production there is no such operation, and nobody to tell.
    for piece in text.as_str().as_bytes().chunks(256) {
        let _ = sys::debug_log(piece);
    }
}
