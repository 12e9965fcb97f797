// SPDX-License-Identifier: PMPL-1.0-or-later
//! The line discipline as somebody who types sees it, and job control.

use super::*;
use crate::errno::*;
use crate::vfs::{BytesSink, BytesSource};
use crate::world::{World, world};
use linux_raw_sys::ioctl;
use std::string::String;

#[derive(Default)]
struct Log(Mutex<Vec<(To, u32)>>);
impl Jobs for Log {
    fn send(&self, to: To, signal: u32, _: i32) {
        self.0.lock().push((to, signal));
    }
    fn session_of(&self, group: u32) -> Option<u32> {
        (group < 100).then_some(10)
    }
}
#[derive(Default)]
struct Screen(Mutex<Vec<u8>>);
impl ConsolePort for Screen {
    fn write(&self, bytes: &[u8]) {
        self.0.lock().extend(bytes);
    }
}

struct Desk {
    world: World,
    log: Arc<Log>,
    screen: Arc<Screen>,
    terminals: Terminals,
    end: Arc<dyn File>,
}

fn desk() -> Desk {
    let (log, screen, world) = (Arc::new(Log::default()), Arc::new(Screen::default()), world());
    let terminals = Terminals::new(screen.clone(), log.clone());
    let end = terminals.open(crate::fs::device::number(4, 64), raw::O_RDWR, &world.caller()).unwrap();
    Desk { world, log, screen, terminals, end }
}

impl Desk {
    fn types(&self, text: &str) {
        self.terminals.console().input(text.as_bytes());
    }
    fn read(&self) -> Result<String> {
        read(&self.world, &*self.end)
    }
    fn shown(&self) -> String {
        String::from_utf8(core::mem::take(&mut *self.screen.0.lock())).unwrap()
    }
    fn local(&mut self, change: impl Fn(u32) -> u32) {
        let address = self.world.room(36);
        let caller = Caller { ..self.world.caller() };
        let mut memory = crate::world::Memory(std::vec![0; 64]);
        self.end.ioctl(&caller, &mut memory, ioctl::TCGETS, crate::world::BASE).unwrap();
        let local = u32::from_le_bytes(memory.0[12..16].try_into().unwrap());
        memory.0[12..16].copy_from_slice(&change(local).to_le_bytes());
        self.end.ioctl(&caller, &mut memory, ioctl::TCSETS, crate::world::BASE).unwrap();
        assert!(address > 0);
    }
}
fn read(world: &World, end: &dyn File) -> Result<String> {
    let mut sink = BytesSink::new(100);
    end.read(&world.caller(), 0, &mut sink)?;
    Ok(String::from_utf8(sink.bytes).unwrap())
}

#[test]
fn a_line_is_edited_before_it_is_read_and_one_read_is_one_line() {
    let desk = desk();
    desk.types("lx\x7fs -z\x17l\r");
    assert_eq!(desk.shown(), "lx\x08 \x08s -z\x08 \x08l\r\n");
    desk.types("second");
    assert_eq!(desk.read().unwrap(), "ls -l\n");
    assert_eq!(desk.read(), Err(EAGAIN));
    desk.types(" try\x15third\n\x04");
    assert_eq!([desk.read().unwrap(), desk.read().unwrap()], ["third\n", ""]);
}

#[test]
fn control_characters_become_signals_and_drop_what_was_typed() {
    let desk = desk();
    desk.types("half\x03");
    assert_eq!(desk.log.0.lock().as_slice(), [(To::Group(10), raw::SIGINT)]);
    assert!(desk.shown().ends_with("^C"));
    desk.types("\n");
    assert_eq!(desk.read().unwrap(), "\n");
    desk.types("\x16\x03\n");
    assert_eq!(desk.read().unwrap(), "\x03\n");
}

#[test]
fn raw_mode_gives_bytes_at_once_and_without_echo() {
    let mut desk = desk();
    desk.types("ab");
    desk.local(|local| local & !(raw::ICANON | raw::ECHO | raw::ISIG));
    desk.shown();
    desk.types("\x03c");
    assert_eq!(desk.read().unwrap(), "ab\x03c");
    assert_eq!(desk.shown(), "");
    assert_eq!(desk.read(), Err(EAGAIN));
}

#[test]
fn output_has_its_line_ends_made() {
    let desk = desk();
    desk.end.write(&desk.world.caller(), 0, &mut BytesSource(b"a\nb")).unwrap();
    assert_eq!(desk.shown(), "a\r\nb");
}

#[test]
fn who_is_in_the_background_is_stopped_when_it_reads() {
    let mut desk = desk();
    desk.types("x\n");
    desk.world.ids.group = 11;
    assert_eq!(desk.read(), Err(ERESTART));
    assert_eq!(desk.world.signals.take()[0].signal, raw::SIGTTIN);
    desk.world.signals.deaf = 1 << (raw::SIGTTIN - 1);
    assert_eq!(desk.read(), Err(EIO));
    desk.world.signals.deaf = 0;
    desk.world.signals.orphaned = true;
    assert_eq!(desk.read(), Err(EIO));
}

#[test]
fn a_pty_carries_both_ways_and_hangs_up() {
    let desk = desk();
    let caller = desk.world.caller();
    let master = desk.terminals.open(crate::fs::device::number(5, 2), raw::O_RDWR, &caller).unwrap();
    let pts = crate::fs::device::number(136, 0);
    assert!(desk.terminals.open(pts, raw::O_RDWR, &caller).is_err_and(|error| error == EIO));
    let mut memory = crate::world::Memory(std::vec![0; 8]);
    master.ioctl(&caller, &mut memory, ioctl::TIOCSPTLCK, crate::world::BASE).unwrap();
    let slave = desk.terminals.open(pts, raw::O_RDWR | raw::O_NOCTTY, &caller).unwrap();
    master.write(&caller, 0, &mut BytesSource(b"hi\n")).unwrap();
    assert_eq!(read(&desk.world, &*slave).unwrap(), "hi\n");
    assert_eq!(read(&desk.world, &*master).unwrap(), "hi\r\n");
    slave.write(&caller, 0, &mut BytesSource(b"there\n")).unwrap();
    assert_eq!(read(&desk.world, &*master).unwrap(), "there\r\n");
    assert_eq!(read(&desk.world, &*master), Err(EAGAIN));
    drop(master);
    assert_eq!(read(&desk.world, &*slave).unwrap(), "");
    assert_eq!(slave.write(&caller, 0, &mut BytesSource(b"x")), Err(EIO));
    assert!(desk.terminals.open(pts, raw::O_RDWR, &caller).is_err());
    let master = desk.terminals.open(crate::fs::device::number(5, 2), raw::O_RDWR, &caller).unwrap();
    master.ioctl(&caller, &mut memory, ioctl::TIOCSPTLCK, crate::world::BASE).unwrap();
    drop(desk.terminals.open(pts, raw::O_RDWR | raw::O_NOCTTY, &caller).unwrap());
    assert_eq!(read(&desk.world, &*master), Err(EIO));
}

#[test]
fn a_session_ends_with_a_hang_up_for_its_foreground() {
    let desk = desk();
    desk.terminals.session_ended(10);
    assert_eq!(desk.log.0.lock().as_slice(), [(To::Group(10), raw::SIGHUP), (To::Group(10), raw::SIGCONT)]);
    assert!(desk.terminals.of_session(10).is_none());
}

#[test]
fn who_was_held_back_goes_on_when_the_line_is_let_go() {
    let desk = desk();
    desk.types("\x13");
    assert_eq!(desk.end.write(&desk.world.caller(), 0, &mut BytesSource(b"x")), Err(EAGAIN));
    let woken = Arc::new(crate::world::Woken::default());
    let waker: Arc<dyn crate::wait::Waker> = woken.clone();
    desk.end.queue(Side::Output).unwrap().add(&waker);
    desk.types("\x11");
    assert_eq!(woken.0.load(core::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!(desk.end.write(&desk.world.caller(), 0, &mut BytesSource(b"x")), Ok(1));
}
