// SPDX-License-Identifier: PMPL-1.0-or-later
//! Names of functions of an ELF file, for back-traces.

use elf::ElfBytes;
use elf::abi::STT_FUNC;
use elf::endian::LittleEndian;

/// Calls `each` with address and (mangled) name of every function; a file without a symbol table has none.
pub fn functions<'a>(file: &'a [u8], mut each: impl FnMut(u64, &'a str)) {
    let Ok(elf) = ElfBytes::<LittleEndian>::minimal_parse(file) else { return };
    let Ok(Some((symbols, names))) = elf.symbol_table() else { return };
    for symbol in symbols.iter().filter(|s| s.st_symtype() == STT_FUNC && s.st_shndx != 0) {
        if let Ok(name) = names.get(symbol.st_name as usize) {
            each(symbol.st_value, name);
        }
    }
}
