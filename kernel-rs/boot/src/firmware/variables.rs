// SPDX-License-Identifier: PMPL-1.0-or-later
//! The firmware's variables that the loader reads or keeps: Secure Boot's state, and the rollback floor.

use loader::rollback::{RollbackStore, StoredFloor};
use uefi::runtime::{self, VariableAttributes, VariableVendor};
use uefi::{CStr16, Status, cstr16, guid};

const ROLLBACK: &CStr16 = cstr16!("FlatRacoonRollback");
const VENDOR: VariableVendor = VariableVendor(guid!("6d1c2a60-7f4e-4d0b-9a55-46524f530001"));

/// No access at run time: only a program that Secure Boot lets run before the system can lower it.
fn attributes() -> VariableAttributes {
    VariableAttributes::NON_VOLATILE | VariableAttributes::BOOTSERVICE_ACCESS
}

/// Whether the firmware enforces Secure Boot: `SecureBoot` = 1 and `SetupMode` = 0 (UEFI 2.10, section 3.3).
pub fn secure_boot() -> bool {
    byte(cstr16!("SecureBoot")) == Some(1) && byte(cstr16!("SetupMode")) == Some(0)
}

fn byte(name: &CStr16) -> Option<u8> {
    let mut value = [0];
    match runtime::get_variable(name, &VariableVendor::GLOBAL_VARIABLE, &mut value) {
        Ok((value, _)) => value.first().copied(),
        Err(_) => None,
    }
}

/// The variable `FlatRacoonRollback`.
#[derive(Debug)]
pub struct Rollback;

impl RollbackStore for Rollback {
    type Error = Status;

    fn read(&mut self) -> StoredFloor {
        let mut value = [0; 8];
        match runtime::get_variable(ROLLBACK, &VENDOR, &mut value) {
            // A variable of this name that a running system could write says nothing: it was not made by a loader.
            Ok((_, found)) if found != attributes() => StoredFloor::NotOurs,
            Ok((bytes, _)) => match <[u8; 8]>::try_from(&*bytes) {
                Ok(bytes) => StoredFloor::Index(u64::from_le_bytes(bytes)),
                Err(_) => StoredFloor::NotOurs,
            },
            Err(error) if error.status() == Status::NOT_FOUND => StoredFloor::None,
            Err(error) if error.status() == Status::BUFFER_TOO_SMALL => StoredFloor::NotOurs,
            Err(_) => StoredFloor::Unreadable,
        }
    }

    fn write(&mut self, index: u64) -> Result<(), Status> {
        if self.read() == StoredFloor::NotOurs {
            // Other attributes cannot be changed in place (UEFI 2.10, section 8.2.3).
            runtime::delete_variable(ROLLBACK, &VENDOR).map_err(|error| error.status())?;
        }
        runtime::set_variable(ROLLBACK, &VENDOR, attributes(), &index.to_le_bytes()).map_err(|error| error.status())
    }
}
