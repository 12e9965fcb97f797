// SPDX-License-Identifier: PMPL-1.0-or-later
//! The tool as a person runs it: a bundle is made, is the same twice, tells what is in it; each mistake is refused with
//! status 2, a message that names field and value, and no output file.

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Folder(PathBuf);
impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("flatracoon-bundle-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let it = Folder(path);
        for name in ["kernel", "root", "process", "uart"] {
            fs::write(it.file(name), elf(5)).unwrap();
        }
        it
    }
    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().into()
    }
    fn build(&self, description: &Value) -> Output {
        fs::write(self.file("bundle.json"), description.to_string()).unwrap();
        run(&["build", &self.file("bundle.json"), &self.file("bundle.frb")])
    }
    fn example(&self) -> Value {
        let component = |name: &str| {
            json!({
                "name": name, "program": name, "elf": self.file(name), "from": "bundle", "memory": 1048576, "stack": 65536,
                "table_slots": 128, "priority": 100, "budget_us": 0, "period_us": 0, "arguments": [], "devices": [],
                "io_ports": [{ "first": 1016, "last": 1023, "because": "COM1" }], "interrupts": [], "dma": 0, "serves": [], "calls": [],
                "restart": { "delay_ms": 10, "max_delay_ms": 1000, "limit": 5, "window_ms": 10000, "then": "degrade" },
                "health": { "ready_within_ms": 5000 }, "log_level": "info"
            })
        };
        let mut uart = component("uart");
        uart["serves"] = json!(["log"]);
        json!({
            "profile": "dev", "version": "0.1.0",
            "kernel": { "max_cpus": 64, "timer_slice_us": 10000, "log_level": "info", "reserve": 1048576, "root_table_slots": 4096,
                "serial_console": true, "root_priority": 250 },
            "kernel_elf": self.file("kernel"), "root_elf": self.file("root"),
            "components": [component("process"), uart], "order": ["uart"]
        })
    }
}
impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bundle")).args(arguments).output().unwrap()
}

/// One segment of a page with these flags (read 4, write 2, execute 1), entered at its start; then a section header's worth of nothing.
fn elf(flags: u32) -> Vec<u8> {
    let mut f = Vec::from(&b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0"[..]);
    f.extend(0x40_0000u64.to_le_bytes());
    f.extend(64u64.to_le_bytes());
    f.extend([0; 12]);
    for n in [64u16, 56, 1, 64, 0, 0] {
        f.extend(n.to_le_bytes());
    }
    f.extend([1u32, flags].iter().flat_map(|n| n.to_le_bytes()));
    f.extend([0u64, 0x40_0000, 0x40_0000, 512, 4096, 4096].iter().flat_map(|n| n.to_le_bytes()));
    f.resize(2048, 0x90);
    f
}

#[test]
fn a_bundle_is_made_is_the_same_twice_and_tells_what_is_in_it() {
    let folder = Folder::new("good");
    let made = folder.build(&folder.example());
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let first = fs::read(folder.file("bundle.frb")).unwrap();
    folder.build(&folder.example());
    assert_eq!(first, fs::read(folder.file("bundle.frb")).unwrap());
    let inspected = run(&["inspect", &folder.file("bundle.frb")]);
    assert_eq!(made.stdout, inspected.stdout);
    let said: Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!(said["components"][1]["name"], "uart");
    assert_eq!(said["components"][1]["program"]["bytes"], 512, "cut after the last segment");
    assert_eq!(said["kernel"]["root_priority"], 250);
}

#[test]
fn a_program_is_cut_after_its_last_segment() {
    let folder = Folder::new("strip");
    let done = run(&["strip", &folder.file("uart"), &folder.file("small")]);
    assert!(done.status.success());
    assert_eq!(fs::read(folder.file("small")).unwrap().len(), 512);
}

/// Changes the example and expects the refusal to say these words.
fn refused(name: &str, change: impl FnOnce(&mut Value, &Folder), words: &[&str]) {
    let folder = Folder::new(name);
    let mut description = folder.example();
    change(&mut description, &folder);
    let done = folder.build(&description);
    let message = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2), "{name}: {message}");
    assert!(words.iter().all(|w| message.contains(w)), "{name}: {message}");
    assert!(!Path::new(&folder.file("bundle.frb")).exists(), "{name}: a bundle was left");
    assert!(done.stdout.is_empty());
}

#[test]
fn each_mistake_is_refused_by_name() {
    refused("unknown-field", |d, _| d["kernel"]["colour"] = json!("red"), &["unknown field `colour`"]);
    refused("wrong-type", |d, _| d["components"][1]["memory"] = json!("1MiB"), &["invalid type: string"]);
    refused("wrong-profile", |d, _| d["profile"] = json!("test"), &["found \"test\"", "allowed are: dev, prod"]);
    refused("wrong-level", |d, _| d["components"][1]["log_level"] = json!("loud"), &["unknown variant `loud`", "warning"]);
    refused(
        "odd-memory",
        |d, _| d["components"][1]["memory"] = json!(1_000_000),
        &["components.uart.memory: 1000000 is not a multiple"],
    );
    refused("small-memory", |d, _| d["components"][1]["memory"] = json!(65536), &["components.uart.memory"]);
    refused(
        "budget-over-period",
        |d, _| d["components"][1]["budget_us"] = json!(5),
        &["components.uart.budget_us: 5 is above period_us 0"],
    );
    refused("no-elf", |d, _| drop(d["components"][1].as_object_mut().unwrap().remove("elf")), &["components.uart.elf: missing"]);
    refused("bad-from", |d, _| d["components"][1]["from"] = json!("moon"), &["found \"moon\"", "root:/<path>"]);
    refused("process-from-root", |d, _| d["components"][0]["from"] = json!("root:/programs/p"), &["comes from the bundle"]);
    refused(
        "no-reason",
        |d, _| d["components"][1]["io_ports"][0]["because"] = json!(" "),
        &["components.uart: a grant without a because"],
    );
    refused(
        "ports-backwards",
        |d, _| d["components"][1]["io_ports"][0]["last"] = json!(1),
        &["components.uart.io_ports: 1016 is after 1"],
    );
    refused("no-process", |d, _| drop(d["components"].as_array_mut().unwrap().remove(0)), &["there is no \"process\""]);
    refused("not-ordered", |d, _| d["order"] = json!([]), &["order: \"uart\" is missing"]);
    refused("ordered-twice", |d, _| d["order"] = json!(["uart", "uart"]), &["\"uart\" stands twice"]);
    refused("order-of-nobody", |d, _| d["order"] = json!(["uart", "ghost"]), &["order: \"ghost\" is no component"]);
    refused("two-of-a-name", |d, _| d["components"][0]["name"] = json!("uart"), &["two are named \"uart\""]);
    let call = json!([{ "interface": "blok", "because": "reads" }]);
    refused("call-to-nobody", |d, _| d["components"][1]["calls"] = call, &["components.uart.calls: nobody serves \"blok\""]);
    refused("two-servers", |d, _| d["components"][0]["serves"] = json!(["log"]), &["\"log\" is served by process already"]);
    refused("long-version", |d, _| d["version"] = json!("9".repeat(64)), &["version", "longer than 63 bytes"]);
    refused("missing-file", |d, _| d["root_elf"] = json!("/nowhere/root"), &["cannot read /nowhere/root"]);
}

#[test]
fn programs_that_cannot_run_are_refused_by_their_fault() {
    let put = |name: &'static str, bytes: Vec<u8>| move |_: &mut Value, f: &Folder| fs::write(f.file(name), bytes).unwrap();
    refused("root-writable-code", put("root", elf(7)), &["root_elf", "writable and executable"]);
    refused("program-writable-code", put("uart", elf(7)), &["components.uart", "writable and executable"]);
    refused("program-no-entry", put("uart", elf(4)), &["components.uart", "entry point 0x400000 is in no executable segment"]);
    refused("program-no-elf", put("uart", b"#!/bin/sh\n".to_vec()), &["components.uart", "not a 64-bit little-endian ELF file"]);
    refused(
        "program-too-large",
        |d, _| d["components"][1]["heap"] = json!(978_944),
        &["components.uart.memory", "program, stack and heap take"],
    );
}

#[test]
fn faults_on_purpose_are_refused_in_production_alone() {
    let folder = Folder::new("injector");
    for (profile, status) in [("dev", 0), ("prod", 2)] {
        let mut it = folder.example();
        it["profile"] = json!(profile);
        it["components"][1]["calls"] = json!([{ "interface": "injector", "because": "a test of healing" }]);
        let done = folder.build(&it);
        assert_eq!(done.status.code(), Some(status), "{profile}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

#[test]
fn what_is_no_bundle_is_refused() {
    let folder = Folder::new("inspect");
    for (name, bytes) in [("empty", vec![]), ("text", vec![b'x'; 5000])] {
        fs::write(folder.file(name), bytes).unwrap();
        let done = run(&["inspect", &folder.file(name)]);
        assert_eq!(done.status.code(), Some(2), "{name}");
    }
    assert_eq!(run(&["dance"]).status.code(), Some(2));
}
