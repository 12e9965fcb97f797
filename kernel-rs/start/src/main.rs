// SPDX-License-Identifier: PMPL-1.0-or-later
//! The kernel binary: joins `machine`, which knows the hardware, and `kernel`, which knows what it is for.
//!
//! `entry.s` leads here from the loader or from a direct boot. Nothing is decided here.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod bare {
    use kernel::{Kernel, config};
    use machine::registers::Registers;
    use machine::{Event, KernelLock, Next, Settings};

    core::arch::global_asm!(include_str!("entry.s"), main = sym main, pvh = sym pvh, options(att_syntax));

    static KERNEL: KernelLock<Kernel> = KernelLock::new();

    /// From the start info of a direct boot to the physical address of `BootInfo`.
    extern "C" fn pvh(start_info: u64) -> u64 {
        machine::pvh_boot_info(start_info)
    }

    extern "C" fn main(boot_info: u64) -> ! {
        // SAFETY: 1. `entry.s` comes here once, with what the loader or `pvh` gave, in the state that `abi` describes.
        let boot = unsafe { machine::boot(boot_info, settings) };
        KERNEL.set(kernel::start(boot_to_start(boot)));
        machine::run(&KERNEL, enter, system_call)
    }

    fn settings(bundle: &[u8]) -> Option<Settings> {
        let head = config::head(bundle)?;
        Some(Settings { max_cpus: head.kernel.max_cpus as usize, serial_console: head.kernel.serial_console != 0 })
    }

    fn boot_to_start(mut boot: machine::Boot) -> kernel::Start<'static> {
        let head = config::head(boot.bundle).expect("read before");
        let symbols = boot.bundle.get(head.symbols_offset as usize..).and_then(|b| b.get(..head.symbols_length_bytes as usize));
        machine::set_symbols(symbols.unwrap_or(&[]));
        let first = (boot.info.bundle_base / 4096) as u32;
        let count = boot.info.bundle_length_bytes.div_ceil(4096) as u32;
        // SAFETY: 1. `bundle` is only read, by code that takes any bytes; user code gets it read-only.
        assert!(unsafe { boot.frames.publish(first, count) }, "the bundle's frames are the boot's");
        kernel::Start {
            frames: boot.frames,
            bundle: boot.bundle,
            bundle_frame: machine::memory::Frame(first),
            info: boot.info,
            ecam_base: boot.acpi.ecam_base,
            ecam_length_bytes: boot.acpi.ecam_length_bytes,
            cpus: boot.cpus,
            clock_offset_ns: boot.clock_offset_ns,
        }
    }

    fn enter(cpu: usize, from_user: bool, event: Event, registers: &mut Registers) -> Next {
        KERNEL.with(|kernel| kernel.enter(cpu, from_user, event, registers))
    }

    fn system_call(cpu: usize, registers: &mut Registers) -> Next {
        KERNEL.with(|kernel| kernel.enter_call(cpu, registers))
    }

    #[panic_handler]
    fn panic(info: &core::panic::PanicInfo) -> ! {
        machine::panic(info)
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the kernel runs on --target x86_64-unknown-none; on the host there are only tests");
}
