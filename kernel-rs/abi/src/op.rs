// SPDX-License-Identifier: PMPL-1.0-or-later
//! The table of operations: the kernel's whole surface. Each row: number, name, kind of the handle in `rdi`, rights
//! needed on it, arguments with units, values returned, errors with causes, what is left after failure.
//!
//! Errors that any row can give are not repeated: `BadHandle`, `StaleHandle`, `WrongKind`, `NoRight` for the handle in
//! `rdi` and for each handle among the arguments; `BadArgument`, `Misaligned`, `OutOfRange` name their argument in
//! `rsi`. Arguments are numbered from 0 = `rsi`, 1 = `rdx`, 2 = `r10`, 3 = `r8`, 4 = `r9`.
//! Values come back as value 0 = `rdi`, value 1 = `rsi`, value 2 = `rdx`, value 3 = `r10`.

use crate::right::{Kind, Rights};

/// A row of the table.
pub struct Row {
    pub op: Op,
    pub name: &'static str,
    /// The kind that `rdi` must name, or `None` where `rdi` is not a handle.
    pub kind: Option<Kind>,
    pub rights: Rights,
    pub arguments: &'static [&'static str],
    pub returns: &'static [&'static str],
    pub errors: &'static [&'static str],
    pub doc: &'static str,
}

macro_rules! operations {
    ($( $(#[doc = $doc:literal])+ $number:literal $variant:ident on $kind:expr, needs $rights:expr;
        args [$($arg:literal),*] returns [$($ret:literal),*] errors [$($err:literal),*] )*) => {
        /// Operation numbers, as given in `rax`.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u64)]
        pub enum Op { $( $(#[doc = $doc])+ $variant = $number, )* }
        impl Op {
            pub const fn from_u64(n: u64) -> Option<Op> {
                match n { $( $number => Some(Op::$variant), )* _ => None }
            }
        }
        /// Every row, in order of number: the reference page and the decode tests are made from it.
        pub const TABLE: &[Row] = &[ $( Row {
            op: Op::$variant, name: stringify!($variant), kind: $kind, rights: $rights,
            arguments: &[$($arg),*], returns: &[$($ret),*], errors: &[$($err),*],
            doc: concat!($($doc, "\n"),+),
        }, )* ];
    };
}

operations! {
    /// Does nothing; the cost of entering and leaving.
    0 Null on None, needs Rights::NONE; args [] returns [] errors []
    /// Gives up the rest of the time slice.
    1 Yield on None, needs Rights::NONE; args [] returns [] errors []
    /// Monotonic time since the kernel started, in nanoseconds.
    2 ClockNow on None, needs Rights::NONE; args [] returns ["time_ns"] errors []

    /// Sends a message and waits for its reply; the caller's budget and priority are lent to the receiver meanwhile.
    /// If the receiver dies before it replies: `Gone`. Sent capabilities stay with the receiver all the same.
    8 Call on Some(Kind::Endpoint), needs Rights::WRITE;
        args ["tag", "word0", "word1", "word2", "word3"] returns ["badge of the reply (0)", "tag", "word0..3"]
        errors ["BadArgument: invalid tag", "NotTransferable: endpoint without the transfer right or a capability without copy", "ReceiverFull", "Gone: endpoint destroyed or receiver died", "Cycle"]
    /// Sends without waiting for an answer; waits for a receiver.
    9 Send on Some(Kind::Endpoint), needs Rights::WRITE;
        args ["tag", "word0", "word1", "word2", "word3"] returns []
        errors ["as Call"]
    /// Waits for a message, or for a bit of the bound notification. A call leaves the thread with one reply right.
    /// An older unused reply right is dropped, its caller gets `Gone`.
    10 Receive on Some(Kind::Endpoint), needs Rights::READ;
        args ["timeout_ns: 0 polls, all ones waits for ever"] returns ["badge", "tag", "word0..3"]
        errors ["WouldBlock: poll found nothing", "TimedOut", "Gone: endpoint destroyed"]
    /// Replies to the caller whose reply right this thread holds, then waits as Receive does, for ever.
    /// `NoReply` (nobody to answer: the caller died meanwhile) is not an error here: the reply is dropped.
    11 ReplyReceive on Some(Kind::Endpoint), needs Rights::READ;
        args ["tag", "word0", "word1", "word2", "word3"] returns ["badge", "tag", "word0..3"]
        errors ["BadArgument: invalid tag", "Gone: endpoint destroyed"]
    /// Replies and goes on. `rdi` is 0: the thread's own reply right is used; or a Reply capability, used up by it.
    12 Reply on None, needs Rights::NONE;
        args ["tag", "word0", "word1", "word2", "word3"] returns []
        errors ["NoReply", "BadArgument: invalid tag"]
    /// Turns the thread's reply right into a capability in its table, so that it can answer later.
    13 ReplySave on None, needs Rights::NONE; args [] returns ["handle of a Reply"] errors ["NoReply", "TableFull"]

    /// Sets bits; wakes the waiter.
    16 Signal on Some(Kind::Notification), needs Rights::WRITE; args ["bits: or-ed into the word"] returns [] errors []
    /// Waits until the word is not zero, then takes it (it becomes zero).
    17 Wait on Some(Kind::Notification), needs Rights::READ;
        args ["timeout_ns: 0 polls, all ones waits for ever"] returns ["bits"] errors ["WouldBlock", "TimedOut", "Gone"]
    /// Signals `bits` once when the clock reaches the deadline; one timer per notification, set again replaces it,
    /// all ones clears it.
    18 Arm on Some(Kind::Notification), needs Rights::EDIT; args ["deadline_ns: absolute", "bits"] returns [] errors []

    /// Makes an object paid by the pool and puts a capability with all rights in the caller's table.
    /// Argument 1 by kind: Memory: length in bytes (multiple of 4096); Table: slots; others: 0.
    /// Argument 2 by kind: Memory: 0 = ordinary, 1 = physically contiguous and holding the DMA right, 2 = of pages of 2 MiB
    /// (the length is a multiple of that; if the free frames do not lie so, `NoQuota`: ordinary memory may still be had).
    /// Memory is zeroed. Preemptible, and nothing is left after an error; contiguous memory needs the DMA right on the pool. DeviceRange, PortRange, Interrupt, Power and InterruptControl are not made here.
    24 Create on Some(Kind::Pool), needs Rights::EDIT;
        args ["kind", "argument by kind", "flags by kind"] returns ["handle"]
        errors ["NoQuota", "TableFull", "BadArgument: a kind that pools do not make"]
    /// Makes a child pool with `frames` frames of 4096 bytes of the parent's quota. The capability has all rights,
    /// the DMA right only if the parent's has it.
    25 PoolSplit on Some(Kind::Pool), needs Rights::EDIT;
        args ["frames"] returns ["handle"] errors ["NoQuota", "TableFull", "BadState: 31 pools above it already"]
    /// Destroys everything made from the pool and from its children, and gives the quota back to the parent.
    /// Preemptible: until it returns, the pool refuses to make anything.
    26 PoolDestroy on Some(Kind::Pool), needs Rights::DESTROY; args [] returns [] errors ["BadState: the pool that pays for the caller itself"]
    /// Frames of quota and frames in use (children count as used with their whole quota).
    27 PoolUsage on Some(Kind::Pool), needs Rights::READ; args [] returns ["limit_frames", "used_frames"] errors []
    /// Destroys one object. Capabilities to it become empty, waiters get `Gone`, its frames go back to its pool.
    28 Destroy on None, needs Rights::DESTROY; args [] returns [] errors ["BadState: the caller itself, or a pool (use PoolDestroy)"]

    /// Copies a capability within the caller's table, with rights removed and, if it has none yet, a badge.
    32 Copy on None, needs Rights::COPY;
        args ["rights to keep", "badge: 0 keeps; endpoints and notifications only"] returns ["handle"]
        errors ["TableFull", "BadState: it has a badge already"]
    /// Copies a capability of the caller's into another table, as Copy does; into the named slot, or any if 0.
    33 TableInsert on Some(Kind::Table), needs Rights::EDIT;
        args ["handle to copy", "rights to keep", "badge: 0 keeps", "slot index or 0"] returns ["handle, as that table's holder must name it"]
        errors ["TableFull", "Overlap: the slot is taken", "NoRight: the capability lacks copy"]
    /// Empties a slot. The last capability to an object does not destroy it; its pool does.
    34 Delete on None, needs Rights::NONE; args [] returns [] errors []
    /// Empties every slot, in any table, whose capability was derived from this one. Mappings that were made through them
    /// stay: who wants memory back destroys it. Preemptible: until it returns, some of them are still there.
    35 Revoke on None, needs Rights::EDIT; args [] returns ["slots emptied"] errors []
    /// Says what a handle names.
    36 Inspect on None, needs Rights::NONE; args [] returns ["kind", "rights", "badge"] errors []

    /// Maps part of a memory object. The range must be free. Where a whole 2 MiB of memory made of 2 MiB pages comes to lie
    /// at a multiple of 2 MiB it is mapped as one page. Page tables are paid by the space's pool; after `NoQuota` nothing
    /// is mapped. Preemptible: until it returns, part of the range faults, and no part of it can be unmapped or protected
    /// but the whole. A mapping that goes on where the one before it ends, in the space and in the memory object, may become
    /// part of it.
    40 Map on Some(Kind::AddressSpace), needs Rights::EDIT;
        args ["memory handle", "offset_bytes", "address", "length_bytes", "access: Rights bits 0..2, all of which the memory capability must have"]
        returns [] errors ["Overlap", "WriteAndExecute", "NoQuota", "BadState: the space or the memory is being destroyed"]
    /// Unmaps a range; parts of it that hold nothing are passed over. No CPU uses the old mapping after it returns. Cutting a
    /// mapping in two, or a 2 MiB page into small ones, is paid by the space's pool: after `NoQuota` nothing is unmapped.
    /// Preemptible: until it returns, some of the range is still mapped.
    41 Unmap on Some(Kind::AddressSpace), needs Rights::EDIT; args ["address", "length_bytes"] returns ["pages unmapped"] errors ["NoQuota", "BadState: a part of what is just being mapped"]
    /// Changes the access of a mapped range, never beyond what the mapping's capability allowed. No CPU uses the old access
    /// after it returns. After an error nothing changed. Preemptible: until it returns, some of the range has the old access.
    /// Cutting a 2 MiB page into small ones is paid by the space's pool.
    42 Protect on Some(Kind::AddressSpace), needs Rights::EDIT;
        args ["address", "length_bytes", "access"] returns [] errors ["NotMapped", "WriteAndExecute", "NoRight: beyond the mapping's capability", "NoQuota", "BadState: a part of it is just being mapped"]
    /// Length of a memory object in bytes.
    43 MemorySize on Some(Kind::Memory), needs Rights::NONE; args [] returns ["length_bytes"] errors []
    /// Physical address of a byte of a contiguous memory object.
    44 MemoryPhysical on Some(Kind::Memory), needs Rights::DMA; args ["offset_bytes"] returns ["physical_address"] errors ["BadState: not contiguous"]
    /// A memory object over device registers: never cached, paid by `pool`.
    45 DeviceMemory on Some(Kind::DeviceRange), needs Rights::EDIT;
        args ["pool handle", "physical_address", "length_bytes"] returns ["handle"] errors ["OutOfRange: touches RAM or leaves the range", "NoQuota", "TableFull"]
    /// As Map, many times: records of four words from the start of the caller's message buffer page on, 128 at most: memory
    /// handle (low half) and access (high half), offset_bytes, address, length_bytes. It stops at the first record that is
    /// refused: those before it stay mapped, and value 1 holds 256 times its number plus the number of Map's argument.
    46 MapMany on Some(Kind::AddressSpace), needs Rights::EDIT; args ["records"] returns ["records"] errors ["as Map", "BadState: no message buffer"]

    /// Says what the thread runs in. Fault handler: an endpoint capability with the write right, or 0 for none;
    /// the badge of that capability is what the handler sees.
    48 ThreadConfigure on Some(Kind::Thread), needs Rights::EDIT;
        args ["address space handle", "table handle", "fault endpoint handle or 0", "message buffer memory handle (first page of it)", "name: up to 8 bytes, little endian, for logs"] returns []
        errors ["BadState: it runs"]
    /// Priority 0 (idle work) to 255; budget and period in microseconds, budget 0 = no limit; CPU or all ones for any.
    49 ThreadSchedule on Some(Kind::Thread), needs Rights::EDIT;
        args ["priority", "budget_us", "period_us", "cpu"] returns [] errors ["BadArgument: budget over period, CPU that is not there, priority above the caller's"]
    /// Starts a stopped thread at an address with a stack and one argument (its `rdi`).
    50 ThreadStart on Some(Kind::Thread), needs Rights::WRITE; args ["rip", "rsp", "argument"] returns [] errors ["BadState: not configured, or it runs"]
    /// Stops a thread wherever it is; a wait it was in ends with `Cancelled` if it is resumed.
    /// One that has exited is not resumed: if its handler has not heard of it yet, it never will.
    51 ThreadStop on Some(Kind::Thread), needs Rights::WRITE; args [] returns [] errors []
    /// Goes on where ThreadStop stopped it.
    52 ThreadResume on Some(Kind::Thread), needs Rights::WRITE; args [] returns [] errors ["BadState: never started"]
    /// Binds a notification, so that Receive wakes for its bits as well; 0 unbinds.
    53 ThreadBind on Some(Kind::Thread), needs Rights::EDIT; args ["notification handle or 0"] returns [] errors ["BadState: bound to another thread"]
    /// Ends the calling thread and tells its fault handler.
    54 ThreadExit on None, needs Rights::NONE; args ["code"] returns [] errors []
    /// Sets the calling thread's FS base (thread-local storage).
    55 ThreadFsBase on None, needs Rights::NONE; args ["address"] returns [] errors ["OutOfRange: not a user address"]

    /// Takes a global system interrupt (I/O APIC input) and delivers it to no one yet.
    56 InterruptGsi on Some(Kind::InterruptControl), needs Rights::EDIT;
        args ["gsi", "flags: 1 = level, 2 = active low", "pool handle"] returns ["handle"] errors ["BadState: taken", "NoQuota", "TableFull"]
    /// Takes a message-signalled interrupt vector; the device must write `data` to `address`.
    57 InterruptMsi on Some(Kind::InterruptControl), needs Rights::EDIT;
        args ["pool handle"] returns ["handle", "address", "data"] errors ["Unsupported: no vector left", "NoQuota", "TableFull"]
    /// Says which notification gets which bits when the interrupt fires. Level interrupts stay masked until Acknowledge.
    58 InterruptBind on Some(Kind::Interrupt), needs Rights::EDIT; args ["notification handle", "bits"] returns [] errors []
    /// The device was served: unmasks the interrupt.
    59 InterruptAcknowledge on Some(Kind::Interrupt), needs Rights::WRITE; args [] returns [] errors []

    /// Writes all registers of a stopped thread into the caller's message buffer, in the order of `abi::thread::WORD`.
    60 ThreadReadRegisters on Some(Kind::Thread), needs Rights::READ;
        args [] returns ["words"] errors ["BadState: it is not stopped, or the caller has no message buffer"]
    /// Gives a stopped thread the registers that stand in the caller's message buffer, in that order: it goes on with them
    /// at ThreadResume. What an operation of it had begun is given up. Privileged flags are ignored.
    61 ThreadWriteRegisters on Some(Kind::Thread), needs Rights::WRITE;
        args [] returns [] errors ["BadState: as above", "OutOfRange: value 1 is the number of a word that is no user address"]

    /// What a thread does now (`abi::thread::doing`), and how long it ran on a CPU since it was made. Time that a CPU spent in a
    /// row of short calls may be charged to the last of those threads: it is exact for one that calls nobody.
    62 ThreadUsage on Some(Kind::Thread), needs Rights::READ; args [] returns ["doing", "ran_ns"] errors []

    /// A smaller range of ports.
    64 PortNarrow on Some(Kind::PortRange), needs Rights::COPY; args ["first", "last"] returns ["handle"] errors ["OutOfRange", "TableFull"]
    /// Reads a port of the range; width 1, 2 or 4 bytes.
    65 PortIn on Some(Kind::PortRange), needs Rights::READ; args ["port", "width"] returns ["value"] errors ["OutOfRange"]
    /// Writes a port of the range.
    66 PortOut on Some(Kind::PortRange), needs Rights::WRITE; args ["port", "width", "value"] returns [] errors ["OutOfRange"]
    /// Resets (0) or powers off (1) the machine; does not return.
    67 PowerControl on Some(Kind::Power), needs Rights::WRITE; args ["action"] returns [] errors ["Unsupported"]

    /// Gives the calling thread a guest: the address space that it runs in, and the page through which registers go in
    /// and out (`abi::guest`), the first of the memory object. Attaching again replaces both. The page stays what it is
    /// for as long as the thread is attached, also when its memory object is destroyed; the thread's pool pays a frame for
    /// that, and one for what the kernel keeps. The calling thread must not use vector registers itself from here on.
    72 GuestAttach on Some(Kind::AddressSpace), needs Rights::EDIT;
        args ["state page memory handle, with the read and write rights"] returns []
        errors ["BadState: the caller's own address space, or one that is being destroyed", "BadArgument: no RAM, or memory made for large pages", "NoQuota", "Unsupported: a CPU without FSGSBASE"]
    /// Goes on in the guest with the registers of the state page, until the guest comes out. Registers other than
    /// those that a call keeps are destroyed. After a failure nothing has changed but, with `Gone`, the page: it holds the
    /// guest's registers if it was in.
    73 GuestRun on None, needs Rights::NONE;
        args [] returns ["reason: abi::guest::reason"]
        errors ["BadState: not attached", "BadArgument: a word of the page (its number in rsi) is refused", "Gone: the guest's address space was destroyed"]
    /// Makes a thread's guest come out with `KICKED`, or not go in: now, or whenever the thread next would. Kicks are a latch:
    /// several before the thread is told are one, none is lost.
    74 GuestKick on Some(Kind::Thread), needs Rights::WRITE; args [] returns [] errors ["BadState: not attached"]
    /// Writes the vector registers of the calling thread, which are its guest's, to its state page.
    75 GuestSaveVector on None, needs Rights::NONE; args [] returns ["length_bytes of the image"] errors ["BadState: not attached"]
    /// Takes the vector registers from the state page. Nothing changes if the image is refused.
    76 GuestLoadVector on None, needs Rights::NONE;
        args [] returns []
        errors ["BadState: not attached", "BadArgument: not the standard form, a component that the CPU or kernel lacks, or a reserved bit"]

    /// Debug (dev profile only): writes a line to the kernel's console. At most 256 bytes.
    128 DebugLog on None, needs Rights::NONE; args ["address", "length_bytes"] returns [] errors ["OutOfRange"]
    /// Debug (dev profile only): prints the caller's capability table on the console (0), or every table, thread and pool
    /// as lines of JSON (1).
    129 DebugDump on None, needs Rights::NONE; args ["what: 0 or 1"] returns [] errors ["BadArgument"]
    /// Debug (dev profile only): makes the kernel fail, so that tests see how it ends: 0 overflows its stack, 1 touches
    /// what is not mapped, 2 faults without a stack, 3 executes an undefined instruction, 4 panics. Does not return.
    140 DebugFail on Some(Kind::Power), needs Rights::WRITE; args ["how"] returns [] errors []
}

/// Operations from this number on exist in the dev profile only.
pub const FIRST_DEBUG_OPERATION: u64 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_ordered_and_decode_to_themselves() {
        let mut last = None;
        for row in TABLE {
            let number = row.op as u64;
            assert!(last < Some(number), "{} is out of order", row.name);
            assert_eq!(Op::from_u64(number), Some(row.op));
            last = Some(number);
        }
    }

    #[test]
    fn a_number_between_the_rows_is_no_operation() {
        assert_eq!(Op::from_u64(3), None);
        assert_eq!(Op::from_u64(u64::MAX), None);
    }
}
