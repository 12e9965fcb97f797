// SPDX-License-Identifier: PMPL-1.0-or-later
//! The loader's lines on COM1 and on every screen, each once.
//!
//! The firmware's ConOut may be a screen, COM1, both, or nothing. Writing to it alone is not enough: it breaks lines at
//! the console's width with CR LF, also on a serial line, where programs read them. So COM1 is written by its registers
//! and the other active consoles (EDK2 marks them with a protocol) through their own text output.

use super::com1::Com1;
use super::protocol;
use core::fmt;
use loader::device_path::is_first_serial_port;
use loader::voice::{Voice, printable};
use uefi::boot::{self, SearchType};
use uefi::proto::console::text::Output;
use uefi::proto::device_path::DevicePath;
use uefi::{CStr16, Guid, Handle, guid, system};

/// EDK2's gEfiConsoleOutDeviceGuid: installed on every handle that is a part of ConOut right now.
const CONSOLE_OUT_DEVICE: Guid = guid!("d3b36f2c-d551-11d4-9a46-0090273fc14d");
const MAX_SCREENS: usize = 8;

#[derive(Debug)]
pub struct Console {
    com1: Option<Com1>,
    screens: Screens,
}

#[derive(Debug)]
enum Screens {
    /// Active consoles that are not COM1.
    Handles([Option<Handle>; MAX_SCREENS]),
    /// The firmware does not say what ConOut is made of, and it is not COM1 itself.
    ConOut,
    /// Left the firmware.
    None,
}

impl Console {
    /// Looks for consoles. Allocates nothing on the loader's heap, so that a panic can use it,
    /// also after the firmware has gone.
    pub fn find() -> Self {
        let com1 = Com1::find();
        let screens = if super::is_there() { screens(com1) } else { Screens::None };
        let console = Console { com1, screens };
        // The firmware may have left the cursor in the middle of a line.
        console.com1_text(format_args!("\r\n"));
        console
    }

    /// After ExitBootServices only COM1's registers are left.
    pub fn without_firmware(&mut self) {
        self.screens = Screens::None;
    }

    fn com1_text(&self, text: fmt::Arguments<'_>) {
        if let Some(com1) = self.com1 {
            let _ = fmt::write(&mut Bytes(|byte| com1.send(byte)), text);
        }
    }
}

impl Voice for Console {
    fn line(&mut self, text: fmt::Arguments<'_>) {
        self.com1_text(format_args!("loader: "));
        if let Some(com1) = self.com1 {
            let _ = fmt::write(&mut Printable(|byte| com1.send(byte)), text);
        }
        self.com1_text(format_args!("\r\n"));
        match &self.screens {
            Screens::Handles(handles) => {
                for handle in handles.iter().flatten() {
                    if let Ok(mut output) = protocol::open::<Output>(*handle) {
                        screen_line(&mut output, text);
                    }
                }
            }
            Screens::ConOut => system::with_stdout(|output| screen_line(output, text)),
            Screens::None => {}
        }
    }
}

fn screens(com1: Option<Com1>) -> Screens {
    let is_com1 = |handle: Handle| {
        com1.is_some() && protocol::open::<DevicePath>(handle).is_ok_and(|path| is_first_serial_port(path.as_bytes()))
    };
    let Ok(active) = boot::locate_handle_buffer(SearchType::ByProtocol(&CONSOLE_OUT_DEVICE)) else {
        return Screens::ConOut;
    };
    let mut handles = [None; MAX_SCREENS];
    // The splitter that joins the others carries the mark too, but no device path: it would say everything twice.
    let screens = active.iter().filter(|&&handle| protocol::open::<DevicePath>(handle).is_ok() && !is_com1(handle));
    for (place, handle) in handles.iter_mut().zip(screens) {
        *place = Some(*handle);
    }
    Screens::Handles(handles)
}

fn screen_line(output: &mut Output, text: fmt::Arguments<'_>) {
    let mut send = |byte: u8| {
        let unit = [u16::from(byte), 0];
        if let Ok(string) = CStr16::from_u16_with_nul(&unit) {
            // A screen that fails has nowhere to complain to; COM1 has the line.
            let _ = output.output_string(string);
        }
    };
    let _ = fmt::write(&mut Bytes(&mut send), format_args!("loader: "));
    let _ = fmt::write(&mut Printable(&mut send), text);
    let _ = fmt::write(&mut Bytes(&mut send), format_args!("\r\n"));
}

/// Text as it is: only for our own constants.
struct Bytes<F>(F);

impl<F: FnMut(u8)> fmt::Write for Bytes<F> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(&mut self.0);
        Ok(())
    }
}

/// Text made harmless.
struct Printable<F>(F);

impl<F: FnMut(u8)> fmt::Write for Printable<F> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().map(printable).for_each(&mut self.0);
        Ok(())
    }
}
