// SPDX-License-Identifier: PMPL-1.0-or-later
//! Faults that a handler in another address space answers: this program is the handler, so a pass is one fault.

use crate::meter::{ITERATIONS, row};
use crate::partner::PAGED;
use abi::fault::{Cause, label};
use stage::{POOL, Part, Stage};
use stage::{Trouble, must, same};
use sys::{Endpoint, FOREVER, PAGE_BYTES, Received, Rights, Tag};

const GO_ON: Tag = Tag::new(0, 0, 0);
/// The warm-ups and the first fault need pages too.
const PAGES: u64 = ITERATIONS + 200;

fn is(news: &sys::Result<Received>, cause: Cause) -> bool {
    news.is_ok_and(|news| news.tag.label() == label::FAULT && news.words[0] == cause as u64)
}

pub fn user_exception(stage: &Stage) -> Result<(), Trouble> {
    let faults: Endpoint = must("making an endpoint", POOL.create_endpoint())?;
    let partner = stage.start(&Part::new("undefined", &[], faults))?;
    let mut heard = u64::from(is(&faults.receive(FOREVER), Cause::InvalidOpcode));
    let passes = row("fault.user_exception.other_as", 1, || {
        heard += u64::from(is(&faults.reply_receive(GO_ON, [0; 4]), Cause::InvalidOpcode));
    });
    partner.destroy();
    same("faults heard", heard, passes + 1)
}

/// Pages are cleared before, when the memory object is made: a pass finds the fault, maps one and lets the thread go on.
pub fn page_to_pager(stage: &Stage) -> Result<(), Trouble> {
    let faults: Endpoint = must("making an endpoint", POOL.create_endpoint())?;
    let memory = must("making memory", POOL.create_memory(PAGES * PAGE_BYTES))?;
    let partner = stage.start(&Part { memory_bytes: 64 << 20, ..Part::new("toucher", &[], faults) })?;
    let access = Rights::READ | Rights::WRITE;
    let (mut page, mut mapped) = (PAGED, 0);
    let mut news = faults.receive(FOREVER);
    let passes = row("fault.page_to_pager.other_as", 1, || {
        if is(&news, Cause::PageFault) {
            page = news.map_or(page, |news| news.words[1]);
        }
        mapped += u64::from(partner.map_shared(memory, page - PAGED, page, PAGE_BYTES, access).is_ok());
        news = faults.reply_receive(GO_ON, [0; 4]);
    });
    partner.destroy();
    same("pages mapped", mapped, passes)?;
    same("the last page", page, PAGED + (passes - 1) * PAGE_BYTES)
}
