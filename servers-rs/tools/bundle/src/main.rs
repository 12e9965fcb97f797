// SPDX-License-Identifier: PMPL-1.0-or-later
//! `bundle build <bundle.json> <bundle.frb>`: makes a boot bundle; prints what is in it as JSON.
//! `bundle inspect <bundle.frb>`: prints what is in one.
//! `bundle strip <elf> <out>`: the ELF file without what only debuggers read.
//!
//! Exit status: 0, 1 (ours, or the file system's), 2 (the input's fault). Read `input.rs` for what `bundle.json` may
//! say, `check.rs` for what it may not, `assemble.rs` for the rest.

mod assemble;
mod check;
mod input;
mod inspect;
mod strip;

use std::process::ExitCode;

/// What went wrong, for a person: whose fault, and what to do.
#[derive(Debug)]
enum Failure {
    Input(String),
    Ours(String),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["build", description, output] => build(description, output),
        ["inspect", file] => read(file).and_then(|bytes| inspect::describe(file, &bytes)),
        ["strip", from, to] => strip_file(from, to),
        _ => Err(Failure::Input(
            "usage: bundle build <bundle.json> <bundle.frb> | bundle inspect <bundle.frb> | bundle strip <elf> <out>".into(),
        )),
    };
    match result {
        Ok(report) => {
            println!("{report:#}");
            ExitCode::SUCCESS
        }
        Err(Failure::Input(message)) => {
            eprintln!("bundle: {message}");
            ExitCode::from(2)
        }
        Err(Failure::Ours(message)) => {
            eprintln!("bundle: {message}");
            ExitCode::from(1)
        }
    }
}

fn build(description: &str, output: &str) -> Result<serde_json::Value, Failure> {
    let text = read(description)?;
    let input: input::Input = serde_json::from_slice(&text).map_err(|e| Failure::Input(format!("{description}: {e}")))?;
    let problems = check::problems(&input);
    if !problems.is_empty() {
        return Err(Failure::Input(format!("{description}:\n  {}", problems.join("\n  "))));
    }
    let bytes = assemble::bundle(&input, &read)?;
    write(output, &bytes)?;
    inspect::describe(output, &bytes)
}

fn strip_file(from: &str, to: &str) -> Result<serde_json::Value, Failure> {
    let file = read(from)?;
    let small = strip::strip(&file).map_err(|fault| Failure::Input(format!("{from}: {fault}")))?;
    write(to, &small)?;
    Ok(serde_json::json!({ "file": to, "bytes": small.len(), "sha256": inspect::digest(&small) }))
}

fn read(path: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|e| Failure::Input(format!("cannot read {path}: {e}")))
}

/// Whole or not at all: a file beside it that is renamed. Its name is this process's own, for two may make the same file at once.
fn write(path: &str, bytes: &[u8]) -> Result<(), Failure> {
    let partial = format!("{path}.{}.partial", std::process::id());
    std::fs::write(&partial, bytes)
        .and_then(|()| std::fs::rename(&partial, path))
        .map_err(|e| Failure::Ours(format!("cannot write {path}: {e}")))
}
