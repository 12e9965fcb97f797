// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a description may not say. All problems are collected; each names its field and its value.
//! The orchestrator checks more, with file and line; this is what would make a bundle that cannot start.

use crate::input::{Component, Input};
use manifest::component::{MAX_COMPONENTS, Profile};
use std::collections::{BTreeMap, BTreeSet};

const PAGE: u64 = program::PAGE_BYTES;
/// Served by the process server, which stands in no component's `serves`.
const OF_PROCESS: [&str; 4] = ["process", "supervisor", "power", INJECTOR];
/// Faults on purpose: not in production.
const INJECTOR: &str = "injector";
/// `Origin::version` has 64 bytes and ends with a zero.
const MAX_VERSION_BYTES: usize = 63;

pub fn problems(input: &Input) -> Vec<String> {
    let mut found = Vec::new();
    if input.version.len() > MAX_VERSION_BYTES {
        found.push(format!("version: \"{}\" is longer than {MAX_VERSION_BYTES} bytes", input.version));
    }
    if !input.kernel.reserve.is_multiple_of(PAGE) {
        found.push(format!("kernel.reserve: {} is not a multiple of {PAGE}", input.kernel.reserve));
    }
    if input.kernel.root_priority > 255 {
        found.push(format!("kernel.root_priority: {} is above 255", input.kernel.root_priority));
    }
    if input.components.len() > MAX_COMPONENTS {
        found.push(format!("components: {} are more than {MAX_COMPONENTS}", input.components.len()));
    }
    input.components.iter().for_each(|c| component(c, &mut found));
    if input.profile == Profile::Prod {
        for c in input.components.iter().filter(|c| c.calls.iter().any(|call| call.interface == INJECTOR)) {
            found.push(format!("components.{}.calls: \"{INJECTOR}\" is not granted in production", c.name));
        }
    }
    names_and_order(input, &mut found);
    interfaces(input, &mut found);
    found
}

fn component(c: &Component, found: &mut Vec<String>) {
    let name = &c.name;
    for (field, value) in [("memory", c.memory), ("stack", c.stack), ("dma", c.dma), ("heap", c.heap.unwrap_or(0))] {
        if !value.is_multiple_of(PAGE) {
            found.push(format!("components.{name}.{field}: {value} is not a multiple of {PAGE}"));
        }
    }
    if c.memory < PAGE || c.stack < PAGE {
        found.push(format!("components.{name}: memory and stack need a page of {PAGE} bytes at least"));
    }
    if c.stack.saturating_add(c.heap.unwrap_or(0)) >= c.memory {
        found.push(format!("components.{name}.memory: {} holds no more than its stack and heap", c.memory));
    }
    if c.budget_us > c.period_us {
        found.push(format!("components.{name}.budget_us: {} is above period_us {}", c.budget_us, c.period_us));
    }
    match (c.from.as_str(), c.from.strip_prefix("root:"), &c.elf) {
        ("bundle", _, None) => found.push(format!("components.{name}.elf: missing, and from is \"bundle\"")),
        ("bundle", _, Some(_)) => {}
        (_, Some(path), _) if path.starts_with('/') => {
            if name == "process" {
                found.push("components.process.from: the process server comes from the bundle".into());
            }
        }
        _ => found.push(format!("components.{name}.from: found \"{}\", allowed are: bundle, root:/<path>", c.from)),
    }
    for ports in c.io_ports.iter().filter(|p| p.first > p.last) {
        found.push(format!("components.{name}.io_ports: {} is after {}", ports.first, ports.last));
    }
    let reasons = c.devices.iter().map(|d| &d.because);
    let reasons = reasons.chain(c.io_ports.iter().map(|p| &p.because)).chain(c.interrupts.iter().map(|i| &i.because));
    let mut reasons = reasons.chain(c.calls.iter().map(|i| &i.because)).chain(c.inbound.iter().map(|i| &i.because));
    if reasons.any(|because| because.trim().is_empty()) {
        found.push(format!("components.{name}: a grant without a because"));
    }
}

fn names_and_order(input: &Input, found: &mut Vec<String>) {
    let mut names = BTreeSet::new();
    for c in &input.components {
        if !names.insert(c.name.as_str()) {
            found.push(format!("components: two are named \"{}\"", c.name));
        }
    }
    if !names.remove("process") {
        found.push("components: there is no \"process\"".into());
    }
    let mut ordered = BTreeSet::new();
    for name in input.order.iter().map(String::as_str).filter(|&n| n != "process" && n != "root") {
        if !names.contains(name) {
            found.push(format!("order: \"{name}\" is no component"));
        }
        if !ordered.insert(name) {
            found.push(format!("order: \"{name}\" stands twice"));
        }
    }
    for name in names.difference(&ordered) {
        found.push(format!("order: \"{name}\" is missing"));
    }
}

fn interfaces(input: &Input, found: &mut Vec<String>) {
    let mut servers = BTreeMap::new();
    for c in &input.components {
        for interface in &c.serves {
            if let Some(other) = servers.insert(interface.as_str(), c.name.as_str()) {
                found.push(format!("components.{}.serves: \"{interface}\" is served by {other} already", c.name));
            }
        }
    }
    for c in &input.components {
        for call in &c.calls {
            if !OF_PROCESS.contains(&call.interface.as_str()) && !servers.contains_key(call.interface.as_str()) {
                found.push(format!("components.{}.calls: nobody serves \"{}\"", c.name, call.interface));
            }
        }
    }
}
