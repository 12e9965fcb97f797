// SPDX-License-Identifier: PMPL-1.0-or-later
//! Makes the guest's program: a static Linux executable, by the C compiler that every build host of ours has. It is the
//! same file that runs on the host's Linux.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=program/guest.S");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it")).join("guest-program");
    let flags = ["-nostdlib", "-static", "-no-pie", "-s", "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,-z,separate-code"];
    let status = Command::new("cc").args(flags).arg("-o").arg(&out).arg("program/guest.S").status();
    assert!(status.is_ok_and(|s| s.success()), "cc could not make the guest's program");
}
