// SPDX-License-Identifier: PMPL-1.0-or-later
//! Prints the reference page of the kernel's operations, made from the table that the kernel itself is made from:
//! `cargo run -p abi --example operations > ../docs/reference/operations.adoc`. `just check` refuses a page that differs.

use abi::op::{FIRST_DEBUG_OPERATION, Row, TABLE};
use abi::right::Rights;

/// Registers of the arguments, in order, and of the values.
const ARGUMENTS: [&str; 5] = ["rsi", "rdx", "r10", "r8", "r9"];
const VALUES: [&str; 6] = ["rdi", "rsi", "rdx", "r10", "r8", "r9"];

fn main() {
    println!("// SPDX-License-Identifier: PMPL-1.0-or-later");
    println!("= Operations of the kernel\n");
    println!("Made from `kernel-rs/abi/src/op.rs` by `cargo run -p abi --example operations`; do not edit.\n");
    println!(
        "An operation is a `syscall` with its number in `rax` and a handle, or 0, in `rdi`. `rax` comes back as 0, or as the"
    );
    println!(
        "number of an error; then `rsi` is the number of the argument that the error is about (0 = `rsi`), if it is about one."
    );
    println!("A failed operation leaves everything as it was, unless its text says otherwise.\n");
    println!(
        "Errors that any operation can give are not repeated: `BadHandle`, `StaleHandle`, `WrongKind`, `NoRight` for a handle;"
    );
    println!("`BadArgument`, `Misaligned`, `OutOfRange` for an argument; `UnknownOperation` for a number that is not here.\n");
    println!("Operations from {FIRST_DEBUG_OPERATION} on exist in the dev profile only.");
    TABLE.iter().for_each(print);
}

fn print(row: &Row) {
    println!("\n== {} {}\n", row.op as u64, row.name);
    println!("{}\n", row.doc.lines().map(str::trim).collect::<Vec<_>>().join("\n"));
    let on = row.kind.map_or("nothing, or what the text says".into(), |kind| format!("{kind:?}"));
    println!("[cols=\"1,4\"]\n|===");
    println!("| handle in `rdi` | {on}");
    println!("| rights needed | {}", rights(row.rights));
    list("arguments", row.arguments, &ARGUMENTS);
    list("values", row.returns, &VALUES);
    if !row.errors.is_empty() {
        println!("| errors | {}", row.errors.iter().map(|error| escaped(error)).collect::<Vec<_>>().join(" +\n"));
    }
    println!("|===");
}

fn list(name: &str, items: &[&str], registers: &[&str]) {
    if !items.is_empty() {
        let all = items.iter().zip(registers).map(|(item, register)| format!("`{register}`: {}", escaped(item)));
        println!("| {name} | {}", all.collect::<Vec<_>>().join(" +\n"));
    }
}

/// A bar would end the cell.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}

fn rights(rights: Rights) -> String {
    let names = [
        (Rights::READ, "read"),
        (Rights::WRITE, "write"),
        (Rights::EXECUTE, "execute"),
        (Rights::COPY, "copy"),
        (Rights::TRANSFER, "transfer"),
        (Rights::EDIT, "edit"),
        (Rights::DESTROY, "destroy"),
        (Rights::DMA, "DMA"),
    ];
    let needed: Vec<_> = names.iter().filter(|(right, _)| rights.contains(*right)).map(|(_, name)| *name).collect();
    if needed.is_empty() { "none".into() } else { needed.join(", ") }
}
