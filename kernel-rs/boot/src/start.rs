// SPDX-License-Identifier: PMPL-1.0-or-later
//! The loader's one road, from the firmware's call to the kernel's first instruction.

use crate::firmware::console::Console;
use crate::firmware::disk::Disk;
use crate::firmware::tpm::{self, COMMIT_PCR, Measured, RUNS_PCR};
use crate::firmware::variables::{self, Rollback};
use crate::firmware::{self, facts};
use crate::frames::Frames;
use crate::handover::{self, Handover};
use crate::keys;
use abi::boot_info::{self, BootInfo, MAX_RANGES, Origin, Range, flag};
use alloc::format;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};
use loader::attempt::{self, BUNDLE_PATH, Good, KERNEL_PATH, Trust};
use loader::choice::{self, Letter, Refused, Slot};
use loader::kernel_image::Plan;
use loader::voice::Quoted;
use loader::{rollback, say};
use slot::KeySet;
use uefi::{Status, boot, entry, system};

#[entry]
fn main() -> Status {
    let loader_tsc = facts::time_stamp();
    let mut console = Console::find();
    let (handover, boots) = prepare(&mut console, loader_tsc);
    say!(&mut console, "boot slot={} version={}", boots.letter, boots.version());
    handover.enter(&mut console)
}

/// What the last line says: fixed size, since nothing may be dropped after it.
struct Boots {
    letter: Letter,
    version: [u8; 64],
}

impl Boots {
    fn version(&self) -> &str {
        let end = self.version.iter().position(|&byte| byte == 0).unwrap_or(self.version.len());
        self.version.get(..end).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or("?")
    }
}

/// Everything up to the point of no return. All protocols and heap values are gone when it returns.
fn prepare(console: &mut Console, loader_tsc: u64) -> (Handover, Boots) {
    // Whoever reads the last line must find it there: no reset while the loader works or has stopped.
    let _ = boot::set_watchdog_timer(0, 0x1_0000, None);
    let secure_boot = variables::secure_boot();
    say!(
        console,
        "FlatRacoon loader {} firmware={} secure-boot={}",
        env!("CARGO_PKG_VERSION"),
        Quoted(system::firmware_vendor()),
        if secure_boot { "on" } else { "off" }
    );
    let (slot, placed) = choose(console);
    let good = &placed.good;
    if slot.entry.slot_attributes().successful() {
        rollback::raise(&mut Rollback, good.verified.release.rollback_index, console);
    }
    let measured = measure(console, good);
    let flags = [
        (secure_boot, flag::SECURE_BOOT),
        (measured == tpm::Outcome::Measured, flag::MEASURED),
        (good.verified.release.unreleased, flag::UNRELEASED),
    ];
    let flags = flags.iter().filter(|(is_set, _)| *is_set).fold(0, |all, (_, bit)| all | bit);
    let origin = origin(&slot, good, flags, loader_tsc);
    let info = boot_info(origin, &placed);
    let boots = Boots { letter: slot.letter, version: origin.version };
    match hand_over(&info, placed) {
        Ok(handover) => (handover, boots),
        Err(failure) => {
            say!(console, "stopped: {failure}");
            firmware::stop()
        }
    }
}

/// A slot that passed, its kernel and bundle where they will run.
struct Placed {
    good: Good,
    kernel: Frames,
    bundle: Frames,
}

fn choose(console: &mut Console) -> (Slot, Placed) {
    let mut disk = match Disk::of_this_loader() {
        Ok((disk, path)) => {
            say!(console, "disk {path} mib={}", disk.size_mib());
            disk
        }
        Err(error) => {
            say!(console, "stopped: no disk detail={}", Quoted(error));
            firmware::stop()
        }
    };
    let keys = KeySet::from_section(&keys::section());
    let embedded = keys.as_ref().map_or(0, |keys| keys.minimal_rollback_index);
    let rollback_floor = rollback::floor(&mut Rollback, embedded, console);
    say!(console, "keys={} rollback-floor={rollback_floor}", keys.as_ref().map_or(0, |keys| keys.keys.len()));
    let trust = Trust { keys, rollback_floor, now_s: facts::wall_clock_s() };
    let found =
        choice::first_good(&mut disk, console, |disk, console, slot| place(attempt::attempt(disk, console, slot, &trust)?));
    found.unwrap_or_else(|| {
        say!(console, "stopped: no bootable slot");
        firmware::stop()
    })
}

fn place(good: Good) -> Result<Placed, Refused> {
    let too_little = |error: uefi::Error| Refused::new("memory", format!("no room for kernel and bundle ({})", error.status()));
    let mut kernel = Frames::new(good.plan.length_bytes).map_err(too_little)?;
    for segment in &good.plan.segments {
        copy(kernel.as_mut_slice(), segment.offset_bytes, &good.kernel, segment.file_offset, segment.file_bytes)
            .ok_or_else(|| Refused::new("kernel", "a segment lies outside the plan (a fault of the loader)"))?;
    }
    let mut bundle = Frames::new(good.bundle.len() as u64).map_err(too_little)?;
    copy(bundle.as_mut_slice(), 0, &good.bundle, 0, good.bundle.len() as u64)
        .ok_or_else(|| Refused::new("bundle", "the bundle lies outside its frames (a fault of the loader)"))?;
    Ok(Placed { good, kernel, bundle })
}

fn copy(to: &mut [u8], at: u64, from: &[u8], start: u64, length: u64) -> Option<()> {
    let range = |start: u64| Some(usize::try_from(start).ok()?..usize::try_from(start.checked_add(length)?).ok()?);
    to.get_mut(range(at)?)?.copy_from_slice(from.get(range(start)?)?);
    Some(())
}

fn measure(console: &mut Console, good: &Good) -> tpm::Outcome {
    let commit = format!("{}", good.verified.commit_id);
    let things = [
        Measured { pcr: RUNS_PCR, name: KERNEL_PATH, bytes: &good.kernel },
        Measured { pcr: RUNS_PCR, name: BUNDLE_PATH, bytes: &good.bundle },
        Measured { pcr: COMMIT_PCR, name: "commit", bytes: commit.as_bytes() },
    ];
    tpm::measure(console, &things)
}

fn origin(slot: &Slot, good: &Good, flags: u32, loader_tsc: u64) -> Origin {
    let release = &good.verified.release;
    Origin {
        slot: match slot.letter {
            Letter::A => boot_info::slot::A,
            Letter::B => boot_info::slot::B,
        },
        flags,
        verity_root: release.verity_root,
        commit: good.verified.commit_id.0,
        version: padded(release.version.as_bytes()),
        partition_guid: slot.entry.unique_guid.0,
        loader_tsc,
        wall_clock_s: facts::wall_clock_s(),
        seed: facts::seed(),
        verity_salt_len: release.verity_salt.len() as u32,
        reserved: 0,
        verity_salt: padded(&release.verity_salt),
        verity_data_blocks: release.data_blocks,
    }
}

/// `slot::verify` has refused what does not fit.
fn padded<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut all = [0; N];
    all.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    all
}

/// Complete but for the memory ranges.
fn boot_info(origin: Origin, placed: &Placed) -> BootInfo {
    BootInfo {
        magic: boot_info::MAGIC,
        size: size_of::<BootInfo>() as u64,
        kernel_base: placed.kernel.base(),
        kernel_length_bytes: placed.good.plan.length_bytes,
        bundle_base: placed.bundle.base(),
        bundle_length_bytes: placed.good.bundle.len() as u64,
        rsdp: facts::rsdp(),
        framebuffer: facts::framebuffer(),
        origin,
        range_count: 0,
        ranges: [Range::default(); MAX_RANGES],
    }
}

fn hand_over(info: &BootInfo, placed: Placed) -> Result<Handover, handover::Failure> {
    let Plan { segments, entry, .. } = &placed.good.plan;
    let (kernel, bundle) = (placed.kernel.region(), placed.bundle.region());
    let plan = handover::Plan { segments, entry: *entry, largest_page: facts::largest_page(), kernel, bundle };
    let handover = Handover::prepare(info, &plan)?;
    placed.kernel.keep();
    placed.bundle.keep();
    Ok(handover)
}

/// The loader's own fault: says where and stays there. A fault while saying it stops in silence.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    static PANICKED: AtomicBool = AtomicBool::new(false);
    if !PANICKED.swap(true, Ordering::Relaxed) {
        let mut console = Console::find();
        match info.location() {
            Some(place) => say!(&mut console, "stopped: fault of the loader at {place}: {}", info.message()),
            None => say!(&mut console, "stopped: fault of the loader: {}", info.message()),
        }
    }
    firmware::stop()
}
