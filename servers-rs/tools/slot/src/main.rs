// SPDX-License-Identifier: PMPL-1.0-or-later
//! `slot`: everything that a person or the orchestrator does with a slot on a host. Prints one JSON object on standard output,
//! messages on standard error, and ends with 0, 1 (our fault) or 2 (the input's). The formats are in `lib/`; this is files and flags.
//! Read next: `commands/build.rs` for how a slot comes to be, `commands/verify.rs` for what is checked.
#![forbid(unsafe_code)]

mod commands;
mod disk;
mod fault;
mod files;
mod keys;
mod pe;
mod repository;
mod spec;
mod tree;
mod walk;

use clap::{Parser, Subcommand};
use commands::{attach, attributes, build, embed, extract, inspect, keygen, verify};
use fault::Fault;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "slot", about = "Builds, verifies and inspects FlatRacoon slots", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a slot image from a described tree, signed
    Build(build::Arguments),
    /// Add a signature that was made elsewhere to an image that was built without one
    AttachSignature(attach::Arguments),
    /// Check a whole disk or one slot: partition tables, signature, every block, and that the tree is the signed one
    Verify(verify::Arguments),
    /// Show what a slot says of itself, nothing checked
    Inspect(inspect::Arguments),
    /// Write a slot's files to a folder, with a tree.json that describes them
    Extract(extract::Arguments),
    /// Put the trusted keys into a loader, before it is signed
    EmbedKeys(embed::Arguments),
    /// Show or set the boot attributes of a disk's slots
    Attributes(attributes::Arguments),
    /// Make a signing key
    Keygen(keygen::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Build(arguments) => build::run(&arguments),
        Command::AttachSignature(arguments) => attach::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Extract(arguments) => extract::run(&arguments),
        Command::EmbedKeys(arguments) => embed::run(&arguments),
        Command::Attributes(arguments) => attributes::run(&arguments),
        Command::Keygen(arguments) => keygen::run(&arguments),
    };
    match result {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(fault) => fail(&fault),
    }
}

fn fail(fault: &Fault) -> ExitCode {
    println!("{}", fault.report());
    eprintln!("{fault}");
    ExitCode::from(fault.exit_code())
}
