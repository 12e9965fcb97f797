// SPDX-License-Identifier: PMPL-1.0-or-later
//! A folder per test with a small tree in it, and the `slot` program run on it.
#![allow(dead_code)]

use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
};

pub const PARTITION_BYTES: u64 = 4 << 20;

/// What a run of `slot` gave.
pub struct Outcome {
    pub code: i32,
    pub report: Value,
    pub stderr: String,
}

impl Outcome {
    /// The report of a run that must have worked.
    pub fn good(self) -> Value {
        assert_eq!(self.code, 0, "{}\n{}", self.report, self.stderr);
        self.report
    }

    /// The code of a refusal, which must be the input's fault and have a message.
    pub fn refused(self) -> String {
        assert_eq!(self.code, 2, "{}\n{}", self.report, self.stderr);
        assert!(self.stderr.starts_with("slot: "), "{}", self.stderr);
        self.report["error"]["code"].as_str().unwrap().to_string()
    }

    /// The check that a slot failed, for a run over one slot.
    pub fn failed_check(self) -> String {
        assert_eq!((self.code, self.report["error"]["code"].as_str()), (2, Some("verify/refused")), "{}", self.report);
        self.report["slots"][0]["check"].as_str().unwrap().to_string()
    }
}

pub struct Workshop {
    pub folder: PathBuf,
}

impl Workshop {
    /// A folder with sources, `tree.json`, `spec.json`, `key.pem` and `keys.json`.
    pub fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("flatracoon-slot-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("source")).unwrap();
        let workshop = Self { folder };
        workshop.write_json("tree.json", &json!({ "entries": workshop.entries() }));
        workshop.write_json("spec.json", &spec());
        workshop.slot(&["keygen", "--out", "key.pem", "--keys", "keys.json", "--development"]).good();
        workshop
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn name(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_string()
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn read_json(&self, name: &str) -> Value {
        serde_json::from_slice(&self.read(name)).unwrap()
    }

    pub fn write_json(&self, name: &str, value: &Value) {
        fs::write(self.path(name), value.to_string()).unwrap();
    }

    pub fn flip(&self, name: &str, at: u64) {
        let file = fs::OpenOptions::new().read(true).write(true).open(self.path(name)).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        byte[0] ^= 0x20;
        file.write_all_at(&byte, at).unwrap();
    }

    pub fn copy(&self, from: &str, to: &str) {
        fs::copy(self.path(from), self.path(to)).unwrap();
    }

    /// Runs `slot` in the folder.
    pub fn slot(&self, arguments: &[&str]) -> Outcome {
        let output = Command::new(env!("CARGO_BIN_EXE_slot")).args(arguments).current_dir(&self.folder).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let report = serde_json::from_str(&stdout).unwrap_or_else(|_| json!(stdout));
        Outcome { code: output.status.code().unwrap(), report, stderr: String::from_utf8(output.stderr).unwrap() }
    }

    pub fn build(&self, out: &str) -> Outcome {
        self.slot(&["build", "--tree", "tree.json", "--spec", "spec.json", "--key", "key.pem", "--out", out])
    }

    pub fn verify(&self, image: &str) -> Outcome {
        self.slot(&["verify", "--image", image, "--keys", "keys.json", "--now", "1700000001"])
    }

    /// A tree with one of everything that a system has.
    fn entries(&self) -> Vec<Value> {
        let directory =
            |path: &str| json!({ "path": path, "kind": "directory", "mode": "0755", "uid": 0, "gid": 0, "xattrs": {} });
        let file = |path: &str, content: &[u8]| {
            let source = self.path("source").join(path.replace('/', "_"));
            fs::write(&source, content).unwrap();
            json!({ "path": path, "kind": "file", "mode": "0644", "uid": 0, "gid": 0, "source": source, "xattrs": {} })
        };
        let mut suid = file("/usr/bin/a", &noise(9_000));
        suid["mode"] = json!("4755");
        suid["uid"] = json!(12);
        suid["xattrs"] = json!({ "user.note": "aGVsbG8=", "security.capability": "AQAAAgAEAAAAAAAAAAAAAAAAAAA=" });
        vec![
            directory("/"),
            directory("/boot"),
            file("/boot/bundle.frb", &noise(50_000)),
            file("/boot/kernel.elf", &noise(900_000)),
            directory("/dev"),
            json!({ "path": "/dev/null", "kind": "char", "mode": "0666", "uid": 0, "gid": 0, "major": 1, "minor": 3 }),
            json!({ "path": "/dev/pipe", "kind": "fifo", "mode": "0600", "uid": 0, "gid": 0 }),
            directory("/etc"),
            file("/etc/empty", b""),
            json!({ "path": "/etc/os-release", "kind": "symlink", "mode": "0777", "uid": 0, "gid": 0, "target": "../usr/lib/os-release" }),
            directory("/usr"),
            directory("/usr/bin"),
            suid,
            json!({ "path": "/usr/bin/b", "kind": "hardlink", "target": "/usr/bin/a" }),
            directory("/usr/lib"),
            file("/usr/lib/os-release", b"NAME=FlatRacoon\n"),
        ]
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // What a failed test left is worth looking at.
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

pub fn spec() -> Value {
    json!({
        "version": "0.1.0-test", "refs": ["flatracoon-os/x86_64/dev", "flatracoon-os/x86_64/beta"], "rollback_index": 3, "epoch": 1_700_000_000,
        "uuid_seed": "test", "partition_bytes": PARTITION_BYTES, "unreleased": true,
    })
}

/// Runs a stock tool.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output =
        Command::new(program).args(arguments).env("PATH", path).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
    text
}

/// Bytes without a pattern, the same each time.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64.wrapping_add(length as u64);
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(step).take(length).collect()
}

/// All files directly in a folder, by name.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
