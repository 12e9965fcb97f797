// SPDX-License-Identifier: PMPL-1.0-or-later
//! One function a row, in the order of the table in `build/src/bench/kernel-rows.ts`.

mod fault;
mod guest;
mod interrupt;
mod ipc;
mod long;
mod memory;
mod object;
mod ratio;

pub use ratio::ratio;
use stage::Stage;
use stage::Trouble;

pub fn all(stage: &Stage) -> Result<(), Trouble> {
    ipc::null()?;
    ipc::words_0(stage)?;
    ipc::words_4(stage)?;
    ipc::words_10(stage)?;
    ipc::capability(stage)?;
    ipc::same_space()?;
    ipc::ping_pong(stage)?;
    fault::user_exception(stage)?;
    fault::page_to_pager(stage)?;
    memory::map_unmap()?;
    memory::map_many()?;
    object::thread()?;
    object::pool()?;
    guest::system_call()?;
    guest::page_fault()?;
    interrupt::to_user_thread(stage)?;
    long::all()
}
