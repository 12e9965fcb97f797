// SPDX-License-Identifier: PMPL-1.0-or-later
//! The machine as it is: one x86_64 CPU and its devices. Same functions as `hosted`.
//!
//! Read `boot` for the way in, `entry` for the way in and out of the kernel ever after.

mod apic;
pub mod boot;
mod clock;
mod console;
mod cpu;
mod entry;
mod failing;
mod fatal;
mod guest;
mod kernel_space;
mod machine_check;
mod per_cpu;
mod ports;
mod pvh;
mod smp;
mod tables;
mod user_state;

pub use crate::acpi::Acpi;
pub use apic::{FIRST_VECTOR, Trigger, VECTORS, mask_gsi, msi, route_gsi};
pub use boot::{Boot, Settings, boot, pvh_boot_info};
pub use clock::{now_ns, set_timer, timer_fires_by};
pub use console::{enable as enable_console, print};
pub(crate) use cpu::copy_words;
pub use entry::{Handler, SystemCall, run};
pub use failing::fail;
pub use fatal::{panic, set_symbols};
pub use guest::has_guests;
pub(crate) use guest::{bases, pin_roots, set_bases};
pub(crate) use kernel_space::kernel_root_entry;
pub use per_cpu::{KernelLock, activate, activate_kernel, has_user_space, kick, run_nothing};
pub(crate) use per_cpu::{flush, forget_loaded, loaded, loaded_on, retire, set_loaded};
pub use ports::{Power, Width, device_is_kernels, port_in, port_is_kernels, port_out, power};
pub use user_state::{begin_vector, forget_user, load_user, save_user, set_fs_base, switch_user};
pub(crate) use user_state::{load_vector, save_vector, vector_limits};
