// SPDX-License-Identifier: PMPL-1.0-or-later
//! The kernel's start: its own state, and the root task, which gets everything there is.

use crate::alarm::Alarms;
use crate::objects::{Backing, Memory, Pool, Request, Thread, port_badge};
use crate::schedule::Cpu;
use crate::{Kernel, Level, config, fast};
use abi::boot_info::{BootInfo, Framebuffer, MAGIC, Origin, RootInfo};
use abi::bundle::Head;
use abi::error::Error;
use abi::handle::{Handle, start as slots};
use abi::right::{Kind, Rights};
#[cfg(test)]
use machine::MAX_CPUS;
use machine::memory::paging::Access;
use machine::memory::{EachCpu, FRAME_BYTES, Frame, Frames, RawRef, Ref, Slabs, Store};
use machine::registers::Registers;

/// What the kernel starts from.
pub struct Start<'a> {
    pub frames: Frames,
    /// The boot bundle; its frames are user frames from `bundle_frame` on.
    pub bundle: &'a [u8],
    pub bundle_frame: Frame,
    pub info: &'a BootInfo,
    pub ecam_base: u64,
    pub ecam_length_bytes: u64,
    pub cpus: usize,
    pub clock_offset_ns: u64,
}

/// Where the kernel maps what root did not bring: above all that `config` lets its image use.
const ROOT_INFO: u64 = 0x7000_0000_0000;
const MESSAGE_BUFFER: u64 = 0x7000_0001_0000;
const STACK_TOP: u64 = 0x7000_1000_0000;
const BUNDLE: u64 = 0x7100_0000_0000;

const READ_ONLY: Access = Access { write: false, execute: false };
const READ_WRITE: Access = Access { write: true, execute: false };

/// Makes the kernel's state with root ready to run. A machine or a bundle that cannot start it is a panic.
pub fn start(start: Start) -> Kernel {
    let head = config::head(start.bundle).expect("the boot bundle has no valid head");
    let bundle = start.bundle;
    let mut kernel = Kernel::new(start.frames, start.cpus, &head);
    let info = RootInfo {
        magic: MAGIC,
        origin: start.info.origin,
        bundle_address: BUNDLE,
        bundle_length_bytes: bundle.len() as u64,
        cpu_count: start.cpus as u64,
        rsdp: start.info.rsdp,
        ecam_base: start.ecam_base,
        ecam_length_bytes: start.ecam_length_bytes,
        clock_offset_ns: start.clock_offset_ns,
        message_buffer: MESSAGE_BUFFER,
        framebuffer: start.info.framebuffer,
    };
    kernel.log(Level::Info, format_args!("{} CPUs, {} MiB free", start.cpus, kernel.frames.free() / 256));
    kernel.make_root(&head, bundle, start.bundle_frame, &info).unwrap_or_else(|e| panic!("root cannot start: {e:?}"));
    kernel
}

impl Kernel {
    pub(crate) fn new(mut frames: Frames, cpus: usize, head: &Head) -> Kernel {
        let c = &head.kernel;
        Kernel {
            pools: Store::new(&mut frames),
            tables: Store::new(&mut frames),
            spaces: Store::new(&mut frames),
            memories: Store::new(&mut frames),
            threads: Store::new(&mut frames),
            endpoints: Store::new(&mut frames),
            notifications: Store::new(&mut frames),
            interrupts: Store::new(&mut frames),
            mappings: Store::new(&mut frames),
            cpus: EachCpu::new(&mut frames, cpus, || Cpu::NEW).expect("frames for the CPUs"),
            cpu_count: cpus,
            here: 0,
            thread_alarms: Alarms::new(),
            notification_alarms: Alarms::new(),
            vectors: [None; 256],
            slice_ns: c.timer_slice_us as u64 * 1000,
            log_level: c.log_level,
            last_reply: fast::FIRST_REPLY,
            #[cfg(test)]
            long_way: false,
            #[cfg(test)]
            own: [const { None }; MAX_CPUS],
            frames,
        }
    }

    /// The pool that everything is paid from: all free frames but `reserve`.
    pub(crate) fn root_pool(&mut self, reserve: u32) -> Result<Ref<Pool>, Error> {
        let mut slabs = Slabs::default();
        let pool = self.pools.create(&mut self.frames, &mut slabs, Pool::new(None, 0, 0)).ok_or(Error::NoQuota)?;
        let free = self.frames.free();
        let p = self.get_mut(pool)?;
        // Its own frame is the first that it pays for.
        (p.limit, p.used) = (free.saturating_sub(reserve) + 1, 1);
        p.slabs.pools = slabs;
        Ok(pool)
    }

    fn make_root(&mut self, head: &Head, bundle: &[u8], bundle_frame: Frame, info: &RootInfo) -> Result<(), Error> {
        let pool = self.root_pool(head.kernel.reserve_frames)?;
        let table = self.new_table(pool, head.kernel.root_table_slots)?;
        let space = self.new_space(pool)?;
        let thread = self.create(pool, Thread::new(pool))?;
        for segment in &head.root_segments[..head.root_segment_count as usize] {
            let rights = Rights(segment.access as u16);
            let access = Access { write: rights.contains(Rights::WRITE), execute: rights.contains(Rights::EXECUTE) };
            let memory = self.root_memory(pool, space, segment.address, segment.memory_bytes, access)?;
            let bytes = bundle
                .get(segment.file_offset as usize..)
                .and_then(|b| b.get(..segment.file_bytes as usize))
                .ok_or(Error::OutOfRange)?;
            self.write_memory(memory, bytes);
        }
        let stack_bytes = head.root_stack_bytes.next_multiple_of(FRAME_BYTES as u64);
        self.root_memory(pool, space, STACK_TOP - stack_bytes, stack_bytes, READ_WRITE)?;
        let buffer = self.root_memory(pool, space, MESSAGE_BUFFER, FRAME_BYTES as u64, READ_WRITE)?;
        let info_memory = self.root_memory(pool, space, ROOT_INFO, FRAME_BYTES as u64, READ_ONLY)?;
        self.write_root_info(info_memory, info);
        let pages = (bundle.len() as u64).div_ceil(FRAME_BYTES as u64) as u32;
        let bundle_memory = self.create(pool, Memory::new(pool, pages, Backing::Kept(bundle_frame)))?;
        self.map_all(&Request {
            space,
            memory: bundle_memory,
            offset_pages: 0,
            address: BUNDLE,
            pages,
            access: READ_ONLY,
            most: READ_ONLY,
        })?;

        let read_copy = Rights::READ | Rights::COPY;
        let nothing = RawRef::default();
        let grants: [(Handle, Kind, RawRef, Rights, u64); 10] = [
            (slots::TABLE, Kind::Table, table.to_raw(), Rights::ALL, 0),
            (slots::ADDRESS_SPACE, Kind::AddressSpace, space.to_raw(), Rights::ALL, 0),
            (slots::POOL, Kind::Pool, pool.to_raw(), Rights::ALL, 0),
            (slots::THREAD, Kind::Thread, thread.to_raw(), Rights::ALL, 0),
            (slots::INTERRUPT_CONTROL, Kind::InterruptControl, nothing, Rights::ALL, 0),
            (slots::PORTS, Kind::PortRange, nothing, Rights::ALL, port_badge(0, u16::MAX)),
            (slots::DEVICE_RANGE, Kind::DeviceRange, nothing, Rights::ALL, 0),
            // Programs may be mapped from the bundle as they stand in it; nobody ever writes it.
            (slots::BUNDLE, Kind::Memory, bundle_memory.to_raw(), read_copy | Rights::EXECUTE, 0),
            (slots::ROOT_INFO, Kind::Memory, info_memory.to_raw(), read_copy, 0),
            (slots::POWER, Kind::Power, nothing, Rights::ALL, 0),
        ];
        for (expected, kind, object, rights, badge) in grants {
            let handle = self.insert_new(table, kind, object, rights, badge)?;
            assert_eq!(handle, expected, "an empty table is filled from slot 1 on");
        }
        let buffer_frame = self.get(buffer)?.frame(0).ok_or(Error::NoQuota)?;
        let t = self.get_mut(thread)?;
        (t.space, t.table, t.buffer) = (Some(space), Some(table), Some(buffer));
        t.buffer_frame = buffer_frame;
        t.priority = head.kernel.root_priority as u8;
        t.name = *b"root\0\0\0\0";
        t.registers = Registers::start(head.root_entry, STACK_TOP, ROOT_INFO);
        self.wake(0, thread);
        Ok(())
    }

    fn root_memory(
        &mut self,
        pool: Ref<Pool>,
        space: Ref<crate::objects::Space>,
        address: u64,
        bytes: u64,
        access: Access,
    ) -> Result<Ref<Memory>, Error> {
        let pages = u32::try_from(bytes.div_ceil(FRAME_BYTES as u64)).map_err(|_| Error::NoQuota)?;
        let memory = self.new_memory(pool, pages)?;
        self.map_all(&Request { space, memory, offset_pages: 0, address, pages, access, most: access })?;
        Ok(memory)
    }

    /// Copies bytes to the start of a memory object.
    pub(crate) fn write_memory(&mut self, memory: Ref<Memory>, bytes: &[u8]) {
        for (n, piece) in bytes.chunks(FRAME_BYTES).enumerate() {
            if let Some(frame) = self.memories.get(memory).and_then(|m| m.frame(n as u32)) {
                self.frames.write_user(frame, 0, piece);
            }
        }
    }

    fn write_root_info(&mut self, memory: Ref<Memory>, info: &RootInfo) {
        const { assert!(size_of::<RootInfo>() <= FRAME_BYTES) };
        let mut page = Page { bytes: [0; size_of::<RootInfo>()], at: 0 };
        let RootInfo {
            magic,
            origin,
            bundle_address,
            bundle_length_bytes,
            cpu_count,
            rsdp,
            ecam_base,
            ecam_length_bytes,
            clock_offset_ns,
            message_buffer,
            framebuffer,
        } = *info;
        let Origin {
            slot,
            flags,
            verity_root,
            commit,
            version,
            partition_guid,
            loader_tsc,
            wall_clock_s,
            seed,
            verity_salt_len,
            reserved,
            verity_salt,
            verity_data_blocks,
        } = origin;
        let Framebuffer { base, width, height, stride, format } = framebuffer;
        page.u64(magic).u32(slot).u32(flags).bytes(&verity_root).bytes(&commit).bytes(&version).bytes(&partition_guid);
        page.u64(loader_tsc)
            .u64(wall_clock_s)
            .bytes(&seed)
            .u32(verity_salt_len)
            .u32(reserved)
            .bytes(&verity_salt)
            .u64(verity_data_blocks);
        for word in [
            bundle_address,
            bundle_length_bytes,
            cpu_count,
            rsdp,
            ecam_base,
            ecam_length_bytes,
            clock_offset_ns,
            message_buffer,
            base,
        ] {
            page.u64(word);
        }
        page.u32(width).u32(height).u32(stride).u32(format);
        assert_eq!(page.at, page.bytes.len(), "RootInfo has no padding");
        self.write_memory(memory, &page.bytes);
    }
}

/// `RootInfo` as bytes, field by field in the order of `repr(C)`.
struct Page {
    bytes: [u8; size_of::<RootInfo>()],
    at: usize,
}

impl Page {
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
        self
    }
    fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }
    fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }
}
