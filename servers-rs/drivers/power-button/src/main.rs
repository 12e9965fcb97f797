// SPDX-License-Identifier: PMPL-1.0-or-later
//! The power button of a PC. Hardware in `device.rs`; see README.adoc. It serves nobody: a press is told to the process server,
//! which ends everything in order and turns the machine off.
#![cfg_attr(target_os = "none", no_std)]

mod device;

use device::{Button, Registers};
use rt::channel::Channel;
use rt::manifest::What;
use rt::start::grant;
use sys::{Pool, PortRange};

/// An interrupt that was lost is made up for by looking.
const LOOK_NS: u64 = 5_000_000_000;

fn main() {
    let (power, _) = grant::call(api_power::NAME).expect("the manifest grants the call to power");
    let interrupt = grant::interrupt().expect("the manifest grants the interrupt of ACPI");
    let news = Pool(sys::start::POOL).create_notification().expect("the pool holds a notification");
    interrupt.bind(news, 1).expect("the interrupt is this component's alone");
    let Some(mut button) = Button::new(Ports) else {
        rt::warning!("the firmware does not hand over the power button");
        grant::say_ready();
        loop {
            let _ = news.wait(sys::FOREVER);
        }
    };
    grant::say_ready();
    loop {
        rt::health::beat();
        if button.take_press() {
            rt::info!("pressed");
            if let Err(error) = api_power::Client(Channel(power)).off() {
                rt::error!("the machine cannot be turned off: {error:?}");
            }
        }
        let _ = interrupt.acknowledge();
        // A time-out is no error here: the button is looked at either way.
        let _ = news.wait(LOOK_NS);
    }
}

/// The granted ports, by their numbers. Without a grant they read as a button that nobody presses.
struct Ports;

fn granted(port: u16) -> Option<PortRange> {
    rt::start::startup().grants.iter().find_map(|g| match g.what {
        What::Ports { ports, first, last } if (first..=last).contains(&port) => Some(grant::typed(ports)),
        _ => None,
    })
}

impl Registers for Ports {
    fn read16(&mut self, port: u16) -> u16 {
        granted(port).and_then(|ports| ports.read16(port).ok()).unwrap_or(0)
    }
    fn write16(&mut self, port: u16, value: u16) {
        let _ = granted(port).map(|ports| ports.write16(port, value));
    }
    fn write8(&mut self, port: u16, value: u8) {
        let _ = granted(port).map(|ports| ports.write8(port, value));
    }
}
