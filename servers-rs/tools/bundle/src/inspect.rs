// SPDX-License-Identifier: PMPL-1.0-or-later
//! What is in a bundle, as JSON: sizes, digests, grants.

use crate::Failure;
use manifest::bundle::Bundle;
use manifest::component::{Component, Inbound, Program, Span};
use manifest::symbols;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

pub fn describe(path: &str, bytes: &[u8]) -> Result<Value, Failure> {
    let bundle = Bundle::parse(bytes).map_err(|fault| Failure::Input(format!("{path}: {fault}")))?;
    let (head, said) = (&bundle.head, &bundle.manifest);
    let segments = head.root_segments.iter().take(head.root_segment_count as usize);
    let root: Vec<Value> = segments
        .map(|s| {
            let piece = bundle.bytes(Span { offset: s.file_offset, length_bytes: s.file_bytes });
            json!({ "address": s.address, "memory": s.memory_bytes, "bytes": s.file_bytes, "access": s.access, "sha256": digest(piece) })
        })
        .collect();
    let kernel_symbols = bundle.bytes(Span { offset: head.symbols_offset, length_bytes: head.symbols_length_bytes });
    let components = std::iter::once(&said.process).chain(&said.components);
    Ok(json!({
        "file": path,
        "bytes": bytes.len(),
        "sha256": digest(bytes),
        "profile": format!("{:?}", said.profile).to_lowercase(),
        "version": said.version,
        "kernel": {
            "max_cpus": head.kernel.max_cpus, "timer_slice_us": head.kernel.timer_slice_us, "log_level": head.kernel.log_level,
            "reserve": u64::from(head.kernel.reserve_frames) * 4096, "root_table_slots": head.kernel.root_table_slots,
            "serial_console": head.kernel.serial_console == 1, "root_priority": head.kernel.root_priority,
        },
        "kernel_symbols": symbols::count(kernel_symbols),
        "root": { "entry": head.root_entry, "stack": head.root_stack_bytes, "segments": root },
        "components": components.map(|c| component(&bundle, c)).collect::<Vec<Value>>(),
    }))
}

fn component(bundle: &Bundle<'_>, c: &Component) -> Value {
    let program = match &c.program {
        Program::Bundle(span) => {
            let file = bundle.bytes(*span);
            let needs = program::Program::parse(file).map_or(0, |p| p.memory_bytes());
            json!({ "from": "bundle", "bytes": file.len(), "sha256": digest(file), "memory": needs })
        }
        Program::Root(path) => json!({ "from": format!("root:{path}") }),
    };
    json!({
        "name": c.name, "kind": format!("{:?}", c.kind).to_lowercase(), "program": program,
        "memory": c.memory_bytes, "stack": c.stack_bytes, "heap": c.heap_bytes, "table_slots": c.table_slots, "priority": c.priority,
        "budget_us": c.budget_us, "period_us": c.period_us, "log_level": c.log_level, "ready_within_ms": c.ready_within_ms, "heartbeat_ms": c.heartbeat_ms, "restart": c.restart,
        "devices": c.devices.iter().map(|d| json!({ "vendor": d.vendor, "devices": d.devices })).collect::<Vec<Value>>(),
        "io_ports": c.io_ports.iter().map(|p| json!([p.first, p.last])).collect::<Vec<Value>>(),
        "interrupts": c.interrupts, "dma": c.dma_bytes, "serves": c.serves,
        "calls": c.calls.iter().map(|call| call.interface.as_str()).collect::<Vec<&str>>(),
        "inbound": c.inbound.iter().map(inbound).collect::<Vec<String>>(),
        "symbols": c.symbols.map_or(0, |span| symbols::count(bundle.bytes(span))),
    })
}

/// As `tcp 22-22 from link`.
fn inbound(rule: &Inbound) -> String {
    let word = |debug: String| debug.to_lowercase();
    format!("{} {}-{} from {}", word(format!("{:?}", rule.protocol)), rule.first, rule.last, word(format!("{:?}", rule.from)))
}
