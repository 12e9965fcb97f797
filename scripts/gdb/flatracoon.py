# SPDX-License-Identifier: PMPL-1.0-or-later
"""Commands for a debugger at a running node, with a kernel of the dev profile:

    just run-qemu --direct --gdb, then: gdb out/dev/kernel.elf -x scripts/gdb/flatracoon.py -ex 'target remote :1234'

  flatracoon cpus          who runs on each CPU, and its back-trace
  flatracoon trace [N]     the last N records of each CPU's ring (10): calls, faults, interrupts, switches
  flatracoon threads       every thread seen in the rings, with the CPU and the time of its last run
  flatracoon dump          has the kernel print all tables, threads and pools on its console, at its next entry

Everything is read by symbols and layouts of kernel-rs/kernel/src/trace.rs, since a release kernel has no types for a
debugger; only `dump` writes, one word.
"""

import re
import struct

import gdb

CPUS, RECORDS, WORDS = 8, 2048, 4
RING_BYTES = 8 + RECORDS * WORDS * 8
KINDS = {1: "call", 2: "fault", 3: "interrupt", 4: "timer", 5: "kick", 6: "run"}


def address(name):
    text = gdb.execute(f"info variables {name.split('::')[-1]}", to_string=True)
    # Rust's names have a crate's digest in brackets behind its name.
    crate, rest = name.split("::", 1)
    found = re.search(rf"^(0x[0-9a-f]+)\s+{crate}(\[[0-9a-f]+\])?::{re.escape(rest)}", text, re.M)
    if found:
        return int(found.group(1), 16)
    raise gdb.GdbError(f"this kernel has no {name}: only the dev profile's has debug facilities")


def records(cpu):
    """Oldest first: time in nanoseconds, kind, number, thread, detail."""
    memory = gdb.selected_inferior().read_memory(address("kernel::trace::RINGS") + cpu * RING_BYTES, RING_BYTES).tobytes()
    (count,) = struct.unpack_from("<Q", memory)
    for n in range(max(0, count - RECORDS), count):
        time, what, name, detail = struct.unpack_from("<QQ8sQ", memory, 8 + n % RECORDS * WORDS * 8)
        yield time, KINDS.get(what & 0xFF, "?"), what >> 8, name.rstrip(b"\0").decode("latin-1"), detail


class Flatracoon(gdb.Command):
    """What a node of FlatRacoon OS does: cpus, trace, threads, dump."""

    def __init__(self):
        super().__init__("flatracoon", gdb.COMMAND_STATUS, prefix=True)


class Cpus(gdb.Command):
    """Who runs on each CPU, and its back-trace."""

    def __init__(self):
        super().__init__("flatracoon cpus", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        for cpu in gdb.selected_inferior().threads()[::-1]:
            cpu.switch()
            runs = [one for one in records(cpu.num - 1) if one[1] == "run"] if cpu.num <= CPUS else []
            who = f"{runs[-1][3] or 'nobody'} {runs[-1][4] or ''}".strip() if runs else "not traced yet"
            print(f"CPU {cpu.num - 1}: {who}")
            gdb.execute("backtrace 12")


class Trace(gdb.Command):
    """The last records of each CPU's ring: flatracoon trace [N]."""

    def __init__(self):
        super().__init__("flatracoon trace", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        count = int(argument or 10)
        for cpu in range(min(CPUS, len(gdb.selected_inferior().threads()))):
            for time, kind, number, thread, detail in list(records(cpu))[-count:]:
                print(f"CPU {cpu} {time:>14} ns {kind:<9} {number:<6} {thread:<8} {detail:#x}")


class Threads(gdb.Command):
    """Every thread seen in the rings, and when it ran last."""

    def __init__(self):
        super().__init__("flatracoon threads", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        last = {}
        for cpu in range(min(CPUS, len(gdb.selected_inferior().threads()))):
            for time, kind, _, thread, number in records(cpu):
                if kind == "run" and number and last.get(number, (0,))[0] < time:
                    last[number] = (time, cpu, thread)
        for number, (time, cpu, thread) in sorted(last.items()):
            print(f"thread {number:<6} {thread:<8} CPU {cpu} at {time} ns")


class Dump(gdb.Command):
    """Has the kernel print all tables, threads and pools on its console, at its next entry."""

    def __init__(self):
        super().__init__("flatracoon dump", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        gdb.selected_inferior().write_memory(address("kernel::dump::WANTED"), struct.pack("<Q", 1))


for command in (Flatracoon, Cpus, Trace, Threads, Dump):
    command()
