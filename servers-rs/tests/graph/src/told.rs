// SPDX-License-Identifier: PMPL-1.0-or-later
//! The graph on the console, as the kernel tells its own, with the model's numbers of objects.

use super::shared::state::*;
use super::*;

impl Model {
    /// Both graphs, the kernel's first.
    pub fn tell(&self) {
        assert_eq!(sys::debug_dump_all(), Ok(()), "the kernel's dump");
        console::say(format_args!("MODEL {{\"begin\":{}}}", self.root.table));
        self.w.things.iter().enumerate().filter(|(_, t)| t.alive).for_each(|(n, thing)| match &thing.part {
            Part::Table { caps, .. } => caps.iter().for_each(|id| self.tell_capability(n, *id)),
            Part::Pool { limit } if n != self.top => {
                let (parent, used) = (thing.pool, self.usage[&n]);
                console::say(format_args!("MODEL {{\"pool\":{n},\"parent\":{parent},\"limit\":{limit},\"used\":{used}}}"));
            }
            Part::Thread(t) if n != self.root.thread => {
                let living =
                    |o: Option<Object>| o.filter(|o| self.w.things[*o].alive).map_or(String::from("null"), |o| o.to_string());
                console::say(format_args!(
                    "MODEL {{\"thread\":{n},\"pool\":{},\"table\":{},\"space\":{},\"priority\":{},\"state\":\"{:?}\"}}",
                    thing.pool,
                    living(t.table),
                    living(t.space),
                    t.priority,
                    t.state
                ));
            }
            _ => {}
        });
        console::say(format_args!("MODEL {{\"end\":true}}"));
    }

    fn tell_capability(&self, table: Object, id: CapId) {
        let cap = self.w.cap(id);
        let place = |c: &Cap| format!("[{},{}]", c.table, c.handle.index());
        let from = cap.parent.map_or(String::from("null"), |parent| place(self.w.cap(parent)));
        console::say(format_args!(
            "MODEL {{\"table\":{table},\"slot\":{},\"kind\":\"{:?}\",\"object\":{},\"rights\":\"{:?}\",\"badge\":\"{:#x}\",\"alive\":{},\"from\":{from}}}",
            cap.handle.index(),
            self.w.things[cap.object].kind,
            cap.object,
            Rights(cap.rights as u16),
            cap.badge,
            self.w.is_alive(cap.object)
        ));
    }
}
