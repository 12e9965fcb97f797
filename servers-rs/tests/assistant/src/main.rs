// SPDX-License-Identifier: PMPL-1.0-or-later
//! The partner of the test programs: faults, dies and answers late on request. `api/assistant` says what it does.
#![cfg_attr(target_os = "none", no_std)]

use api_assistant::{Error, Serve};
use ipc::{Badge, Cap, Text};
use rt::channel::Event;
use rt::memory::Private;
use rt::start::grant;
use rt::{clock, provoke};
use sys::{Capability, Pool, Rights};

struct Assistant {
    born_ns: u64,
}

/// As an argument: it dies at its start, with this code.
const POISONED: &str = "poisoned";
const POISONED_CODE: u64 = 77;

fn main() {
    if rt::start::startup().arguments.iter().any(|argument| argument == POISONED) {
        sys::thread_exit(POISONED_CODE);
    }
    let (endpoint, _, _) = grant::serve().expect("the manifest says that this component serves assistant");
    let mut assistant = Assistant { born_ns: clock::now_ns() };
    grant::say_ready();
    rt::channel::serve(endpoint, |event| match event {
        Event::Call(_, client, request) => Some(api_assistant::dispatch(&mut assistant, client, &request)),
        Event::Bits(_) => None,
    });
}

impl Serve for Assistant {
    fn echo(&mut self, client: Badge, value: u64) -> Result<(u64, u64), Error> {
        Ok((value, client.0))
    }
    fn repeat(&mut self, _: Badge, text: Text) -> Result<Text, Error> {
        Ok(text)
    }
    fn born(&mut self, _: Badge) -> Result<u64, Error> {
        Ok(self.born_ns)
    }
    fn late(&mut self, _: Badge, ms: u32) -> Result<(), Error> {
        let nobody = Pool(sys::start::POOL).create_notification().map_err(|_| Error::Unknown)?;
        let _ = nobody.wait(u64::from(ms) * 1_000_000);
        Ok(())
    }
    fn fault(&mut self, _: Badge, kind: u32) -> Result<(), Error> {
        match kind {
            0 => provoke::read_null_page(0x123),
            1 => provoke::write_code(),
            2 => provoke::invalid_opcode(),
            3 => drop(core::hint::black_box(provoke::overflow_stack())),
            _ => return Err(Error::Unknown),
        }
        Ok(())
    }
    fn exit(&mut self, _: Badge, code: u32) -> Result<(), Error> {
        sys::thread_exit(u64::from(code))
    }
    fn panic(&mut self, _: Badge) -> Result<(), Error> {
        panic!("because a test asked for it")
    }
    fn hang(&mut self, _: Badge, kind: u32) -> Result<(), Error> {
        let nobody = Pool(sys::start::POOL).create_notification().map_err(|_| Error::Unknown)?;
        loop {
            match kind {
                0 => core::hint::spin_loop(),
                1 => {
                    (0..10_000_000).for_each(|_| core::hint::spin_loop());
                    let _ = nobody.wait(100_000);
                }
                2 => sys::yield_now(),
                _ => return Err(Error::Unknown),
            }
        }
    }
    fn poison(&mut self, client: Badge, kind: u32) -> Result<(), Error> {
        self.fault(client, kind)
    }
    fn toil(&mut self, _: Badge, ms: u32) -> Result<(), Error> {
        let until = clock::now_ns() + u64::from(ms) * 1_000_000;
        while clock::now_ns() < until {
            rt::health::beat();
        }
        Ok(())
    }
    fn lend(&mut self, _: Badge, mark: u64) -> Result<Cap, Error> {
        let mut page = Private::new(Pool(sys::start::POOL), sys::PAGE_BYTES).map_err(|_| Error::Unknown)?;
        page.as_mut_slice().iter_mut().zip(mark.to_le_bytes()).for_each(|(to, from)| *to = from);
        let lent = page.into_memory().copy(Rights::READ | Rights::COPY, 0).map_err(|_| Error::Unknown)?;
        Ok(Cap(lent.handle()))
    }
}
