// SPDX-License-Identifier: PMPL-1.0-or-later
//! From a checked description and its ELF files to the bundle's bytes. The same input gives the same bytes.

use crate::Failure;
use crate::input::{Component as Said, Input};
use crate::strip::strip;
use abi::bundle::{KernelConfig, Segment};
use manifest::bundle::{Builder, Piece, Root};
use manifest::component::{Call, FORMAT, Inbound, PciMatch, PortSpan, Program as Where, Restart};
use manifest::{Component, Manifest, Profile, symbols};
use program::{Access, PAGE_BYTES, Program};

/// Root's work is a loop over the manifest; its deepest frame holds no buffer.
const ROOT_STACK_BYTES: u64 = 64 * 1024;
/// The heap of a component that does not say: this part of its memory.
const HEAP_PART: u64 = 4;

pub fn bundle(input: &Input, read: &dyn Fn(&str) -> Result<Vec<u8>, Failure>) -> Result<Vec<u8>, Failure> {
    let dev = input.profile == Profile::Dev;
    let mut builder = Builder::default();
    let root = flatten(&mut builder, &input.root_elf, &read(&input.root_elf)?)?;
    let kernel = read(&input.kernel_elf)?;
    let kernel_symbols = dev.then(|| builder.add(&table(&kernel)));

    let mut pieces = Vec::new();
    for said in ordered(input) {
        let mut placed = Placed { program: None, symbols: None };
        if let Some(path) = said.elf.as_ref().filter(|_| said.from == "bundle") {
            let file = read(path)?;
            let small = strip(&file).map_err(|fault| {
                Failure::Input(format!("components.{}: program {}: {path}: {fault}", said.name, said.program))
            })?;
            fits(said, &small)?;
            placed.program = Some(builder.add(&small));
            placed.symbols = dev.then(|| builder.add(&table(&file)));
        }
        pieces.push((said, placed));
    }
    let config = KernelConfig {
        max_cpus: input.kernel.max_cpus,
        timer_slice_us: input.kernel.timer_slice_us,
        log_level: u32::from(input.kernel.log_level.number()),
        reserve_frames: u32::try_from(input.kernel.reserve / PAGE_BYTES)
            .map_err(|_| Failure::Input(format!("kernel.reserve: {} is too large", input.kernel.reserve)))?,
        root_table_slots: input.kernel.root_table_slots,
        serial_console: u32::from(input.kernel.serial_console),
        root_priority: input.kernel.root_priority,
        reserved: 0,
    };
    builder
        .finish(config, &root, kernel_symbols, |at| {
            let mut all: Vec<Component> = pieces.iter().map(|(said, placed)| component(said, placed, at)).collect();
            let process = all.remove(0);
            Manifest {
                format: FORMAT,
                profile: input.profile,
                version: input.version.clone(),
                serial_console: input.kernel.serial_console,
                process,
                components: all,
            }
        })
        .map_err(|fault| Failure::Input(fault.to_string()))
}

struct Placed {
    program: Option<Piece>,
    symbols: Option<Piece>,
}

/// The process server, then the others in their start order.
fn ordered(input: &Input) -> Vec<&Said> {
    let names = std::iter::once("process").chain(input.order.iter().map(String::as_str).filter(|&n| n != "process"));
    names.filter_map(|name| input.components.iter().find(|c| c.name == name)).collect()
}

/// Root as whole segments, since the kernel maps it and knows nothing of ELF.
fn flatten(builder: &mut Builder, path: &str, file: &[u8]) -> Result<Root, Failure> {
    let parsed = Program::parse(file).map_err(|fault| Failure::Input(format!("root_elf: {path}: {fault}")))?;
    let segments = parsed.segments().map(|s| {
        let mut bytes = vec![0; s.lead_bytes as usize];
        bytes.extend(s.bytes(file));
        // READ, WRITE, EXECUTE of `abi::right::Rights`.
        let access = match s.access {
            Access::Read => 1,
            Access::ReadWrite => 3,
            Access::ReadExecute => 5,
        };
        let segment = Segment { address: s.address, memory_bytes: s.memory_bytes, access, ..Segment::default() };
        (segment, builder.add(&bytes))
    });
    Ok(Root { entry: parsed.entry, stack_bytes: ROOT_STACK_BYTES, segments: segments.collect() })
}

/// A component whose memory does not hold its program would only be found out at the boot.
fn fits(said: &Said, file: &[u8]) -> Result<(), Failure> {
    let program = Program::parse(file).map_or(0, |p| p.memory_bytes());
    let needed = program + said.stack + heap(said);
    if needed >= said.memory {
        let name = &said.name;
        return Err(Failure::Input(format!(
            "components.{name}.memory: {} bytes, but program, stack and heap take {needed} before its tables",
            said.memory
        )));
    }
    Ok(())
}

fn heap(said: &Said) -> u64 {
    said.heap.unwrap_or(said.memory / HEAP_PART / PAGE_BYTES * PAGE_BYTES)
}

fn table(file: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    // `{:#}`: without the hash at the end.
    program::symbols::functions(file, |address, name| all.push((address, format!("{:#}", rustc_demangle::demangle(name)))));
    symbols::encode(all)
}

fn component(said: &Said, placed: &Placed, at: &dyn Fn(Piece) -> manifest::component::Span) -> Component {
    let program = match placed.program {
        Some(piece) => Where::Bundle(at(piece)),
        None => Where::Root(said.from.trim_start_matches("root:").to_string()),
    };
    Component {
        name: said.name.clone(),
        program,
        kind: said.kind,
        memory_bytes: said.memory,
        stack_bytes: said.stack,
        heap_bytes: heap(said),
        table_slots: said.table_slots,
        priority: said.priority,
        budget_us: said.budget_us,
        period_us: said.period_us,
        arguments: said.arguments.clone(),
        devices: said.devices.iter().map(|d| pci(&d.pci)).collect(),
        io_ports: said.io_ports.iter().map(|p| PortSpan { first: p.first, last: p.last }).collect(),
        interrupts: said.interrupts.iter().map(|i| i.gsi).collect(),
        dma_bytes: said.dma,
        serves: said.serves.clone(),
        calls: said.calls.iter().map(|c| call(&c.interface)).collect(),
        inbound: said.inbound.iter().map(inbound).collect(),
        restart: Restart {
            delay_ms: said.restart.delay_ms,
            max_delay_ms: said.restart.max_delay_ms,
            limit: said.restart.limit,
            window_ms: said.restart.window_ms,
            then: said.restart.then,
        },
        ready_within_ms: said.health.ready_within_ms,
        heartbeat_ms: said.health.heartbeat_ms,
        log_level: said.log_level.number(),
        symbols: placed.symbols.map(at),
    }
}

fn inbound(said: &crate::input::Inbound) -> Inbound {
    Inbound { protocol: said.protocol, first: said.first, last: said.last, from: said.from }
}

fn pci(said: &crate::input::Pci) -> PciMatch {
    PciMatch { vendor: said.vendor, devices: std::iter::once(said.device).chain(said.alternatives.iter().copied()).collect() }
}

/// Those whose data pass through a buffer between client and server; `block` and `net` have the driver's own.
fn call(interface: &str) -> Call {
    let buffer_bytes = match interface {
        api_data::NAME => api_data::BUFFER_BYTES,
        api_file::NAME => api_file::BUFFER_BYTES,
        api_socket::NAME => api_socket::BUFFER_BYTES,
        _ => 0,
    };
    Call { interface: interface.to_string(), buffer_bytes }
}
