// SPDX-License-Identifier: PMPL-1.0-or-later
//! The loop: one endpoint for what components say and for their deaths, one notification for programs that were read.

use crate::fetch;
use crate::launch::{Board, CALLS, Edge, FAULTS, SUPERVISES};
use crate::policy::{Policy, Verdict};
use crate::report::{self, Death, Victim};
use crate::state::{State, next_to_start, outcome};
use crate::voice;
use abi::fault::label;
use alloc::string::String;
use alloc::vec::Vec;
use api_process::{Error, Serve};
use ipc::{Badge, Message};
use manifest::bundle::Bundle;
use manifest::component::{Kind, Program, Then};
use manifest::{Manifest, What, layout};
use rt::child::Child;
use rt::start::grant;
use sys::{Capability, FOREVER, Pool, Power, Received, Reply, Rights, Thread, start};

const NS_PER_MS: u64 = 1_000_000;

pub struct Record {
    pub state: State,
    pub child: Option<Child>,
    policy: Policy,
    /// Since this program started.
    pub deaths: u32,
}

pub struct Supervisor {
    pub board: Board,
    pub records: Vec<Record>,
    /// Who asked whether all are up.
    waiting: Vec<Reply>,
    outcome: Option<bool>,
    line: String,
}

impl Supervisor {
    /// Makes everything that it will ever need.
    pub fn new(bundle: &'static Bundle<'static>, pool: Pool) -> sys::Result<Supervisor> {
        let manifest = &bundle.manifest;
        let count = manifest.components.len();
        let own = Pool(start::POOL);
        let ring = voice::begin(manifest.server_of(api_log::NAME).is_some())?;
        let endpoint = own.create_endpoint()?;
        let fault = |n| endpoint.copy(Rights::WRITE, layout::badge(FAULTS, Manifest::client_number(n)));
        let serve = |n: usize| {
            let serves = manifest.components.get(n).is_some_and(|c| !c.serves.is_empty());
            if serves { own.create_endpoint().map(Some) } else { Ok(None) }
        };
        let board = Board {
            manifest,
            bundle,
            pool,
            own: endpoint,
            faults: (0..count).map(fault).collect::<sys::Result<_>>()?,
            endpoints: (0..count).map(serve).collect::<sys::Result<_>>()?,
            edges: edges(manifest, pool)?,
            ring,
        };
        let record = |c: &manifest::Component| Record { state: State::Waiting, child: None, policy: Policy::new(c.restart), deaths: 0 };
        let records = manifest.components.iter().map(record).collect();
        let supervisor = Supervisor {
            board,
            records,
            waiting: Vec::with_capacity(count),
            outcome: None,
            line: String::with_capacity(report::LINE_BYTES),
        };
        supervisor.begin_fetching()?;
        Ok(supervisor)
    }

    /// The second thread, if a program comes from the verity root and somebody serves it.
    fn begin_fetching(&self) -> sys::Result<()> {
        let wanted = self.board.manifest.components.iter().any(|c| matches!(c.program, Program::Root(_)));
        let Some((server, interface)) = self.board.manifest.server_of(api_file::NAME).filter(|_| wanted) else { return Ok(()) };
        let edge = self.board.edges.iter().find(|e| e.client.is_none() && e.server == server);
        let (Some(Some(endpoint)), Some((buffer, _))) = (self.board.endpoints.get(server), edge.and_then(|e| e.buffer)) else {
            return Ok(());
        };
        let news = Pool(start::POOL).create_notification()?;
        Thread(start::THREAD).bind(Some(news))?;
        let file = endpoint.copy(Rights::WRITE | Rights::TRANSFER, layout::badge(interface, 0))?;
        let guardian = grant::call("guardian").map(|(endpoint, _)| endpoint);
        fetch::begin(file, buffer, news, self.board.manifest.process.priority, guardian)
    }

    /// Never returns while its endpoint is there.
    pub fn run(&mut self) {
        loop {
            self.start_what_is_due();
            self.announce();
            let timeout = match self.records.iter().filter_map(|r| r.state.deadline_ns()).min() {
                Some(deadline) => deadline.saturating_sub(rt::clock::now_ns()).max(1),
                None => FOREVER,
            };
            match self.board.own.receive(timeout) {
                Ok(received) => self.hear(&received),
                Err(sys::Error::TimedOut | sys::Error::WouldBlock) => {}
                Err(error) => panic!("the supervisor hears nothing any more: {error:?}"),
            }
        }
    }

    fn start_what_is_due(&mut self) {
        let now = rt::clock::now_ns();
        for n in 0..self.records.len() {
            match self.records[n].state {
                State::Delayed { at_ns } if at_ns <= now => self.start(n),
                State::Starting { until_ns } | State::Fetching { until_ns } if until_ns <= now => {
                    let ms = self.board.manifest.components[n].ready_within_ms;
                    self.dead(n, Death::Silent { ms });
                }
                _ => {}
            }
        }
        // One may settle at once (absent), so the next one's turn is looked for again.
        while let Some(n) = next_to_start(self.records.iter().map(|r| r.state)) {
            self.start(n);
        }
    }

    fn start(&mut self, n: usize) {
        let said = &self.board.manifest.components[n];
        let missing = if !self.board.is_present(n) {
            "its device is not in this machine"
        } else if matches!(said.program, Program::Root(_)) && rt::start::facts().slot == abi::boot_info::slot::NONE {
            "the system was not started from a slot, so there is no verity root"
        } else {
            ""
        };
        if !missing.is_empty() {
            rt::info!("{}: not started: {missing}", said.name);
            self.records[n].state = State::Absent;
            return self.close(n);
        }
        let until_ns = rt::clock::now_ns().saturating_add(u64::from(said.ready_within_ms) * NS_PER_MS);
        match &said.program {
            Program::Root(path) => {
                self.records[n].state = State::Fetching { until_ns };
                fetch::want(n, path);
            }
            Program::Bundle(span) => {
                let file = self.board.bundle.bytes(*span);
                self.launch(n, file, until_ns);
            }
        }
    }

    fn launch(&mut self, n: usize, file: &[u8], until_ns: u64) {
        match self.board.launch(n, file) {
            Ok(child) => {
                self.records[n].child = Some(child);
                self.records[n].state = State::Starting { until_ns };
            }
            Err(problem) => self.failed(n, &problem),
        }
    }

    fn hear(&mut self, received: &Received) {
        if received.notification().is_some() {
            return self.fetched();
        }
        let (interface, client) = layout::unbadge(received.badge);
        let n = (client as usize).wrapping_sub(1);
        match interface {
            FAULTS if n < self.records.len() => self.died(n, received),
            CALLS if received.tag.label() == api_process::label::wait_all_up && self.outcome.is_none() => {
                // Without a slot for it the caller hears `Gone`, and asks again.
                if let Ok(reply) = sys::reply_save() {
                    self.waiting.push(reply);
                }
            }
            CALLS => {
                let request = rt::channel::take(received);
                let answer = api_process::dispatch(self, Badge(u64::from(client)), &request);
                answer_with(&answer, None);
            }
            SUPERVISES => {
                let request = rt::channel::take(received);
                let answer = api_supervisor::dispatch(self, Badge(u64::from(client)), &request);
                answer_with(&answer, None);
            }
            _ => {}
        }
    }

    fn fetched(&mut self) {
        let Some((n, result)) = fetch::take() else { return };
        let State::Fetching { until_ns } = self.records[n].state else {
            // It came too late: that start was given up already.
            return;
        };
        match result {
            Ok(image) => self.launch(n, image.bytes(), until_ns),
            Err(error) => {
                let path = match &self.board.manifest.components[n].program {
                    Program::Root(path) => path,
                    Program::Bundle(_) => "its program",
                };
                let problem = alloc::format!("{path} cannot be read: {error:?}");
                self.failed(n, &problem)
            }
        }
    }

    fn died(&mut self, n: usize, received: &Received) {
        match received.tag.label() {
            label::EXIT => {
                let (code, kind) = (received.words[0], self.board.manifest.components[n].kind);
                if code == 0 && kind == Kind::Oneshot {
                    self.destroy(n);
                    self.records[n].state = State::Done;
                    return;
                }
                self.dead(n, Death::Exit(code))
            }
            label::FAULT => {
                let message = rt::channel::take(received);
                let mut words = [0; 21];
                words.iter_mut().zip(message.words()).for_each(|(to, from)| *to = *from);
                self.dead(n, Death::Fault(words))
            }
            _ => {}
        }
    }

    /// It cannot be started: counts as a death, so that the limit and the delay hold.
    fn failed(&mut self, n: usize, problem: &str) {
        rt::error!("{}: not started: {problem}", self.board.manifest.components[n].name);
        self.bury(n);
    }

    pub fn dead(&mut self, n: usize, death: Death) {
        let said = &self.board.manifest.components[n];
        let names = said.symbols.map_or(&[][..], |span| self.board.bundle.bytes(span));
        let record = &self.records[n];
        let (deaths, child) = (record.policy.deaths() + 1, record.child.as_ref());
        let victim = Victim { name: &said.name, death: &death, deaths, child, names };
        report::tell(&victim, &mut self.line, |line| voice::line(&[line]));
        self.bury(n);
    }

    fn destroy(&mut self, n: usize) {
        if let Some(child) = self.records[n].child.take() {
            child.destroy();
        }
    }

    fn bury(&mut self, n: usize) {
        self.destroy(n);
        self.records[n].deaths = self.records[n].deaths.saturating_add(1);
        let name = &self.board.manifest.components[n].name;
        match self.records[n].policy.died(rt::clock::now_ns()) {
            Verdict::At(at_ns) => self.records[n].state = State::Delayed { at_ns },
            Verdict::GiveUp(then) => {
                self.records[n].state = State::GivenUp;
                rt::error!("{name}: given up after {} deaths", self.records[n].policy.deaths());
                self.close(n);
                if then == Then::Reboot {
                    reboot();
                }
            }
        }
    }

    /// Nobody will serve there any more: its clients hear so instead of waiting.
    fn close(&mut self, n: usize) {
        if let Some(endpoint) = self.board.endpoints.get_mut(n).and_then(Option::take) {
            let _ = endpoint.close();
        }
        if self.board.manifest.components[n].serves.iter().any(|s| s == api_log::NAME) {
            voice::fall_back();
        }
    }

    /// Once, when the start has ended.
    fn announce(&mut self) {
        if self.outcome.is_some() {
            return;
        }
        let Some(well) = outcome(self.records.iter().map(|r| r.state)) else { return };
        self.outcome = Some(well);
        let facts = rt::start::facts();
        let word = if well { "ready" } else { "degraded" };
        let (version, slot, ms) = (&facts.version, facts.slot_name(), rt::clock::boot_ms());
        voice::line(&[&alloc::format!("flatracoon: {word} version={version} slot={slot} boot_ms={ms}")]);
        let answer = ipc::interface::answer::<bool, Error>(Ok(well));
        for reply in core::mem::take(&mut self.waiting) {
            answer_with(&answer, Some(reply));
        }
    }
}

impl Serve for Supervisor {
    fn ready(&mut self, client: Badge) -> Result<(), Error> {
        let n = usize::try_from(client.0).ok().and_then(|n| n.checked_sub(1)).ok_or(Error::Unknown)?;
        let record = self.records.get_mut(n).ok_or(Error::Unknown)?;
        // A oneshot is up when its work is done, which only its end tells.
        let kind = self.board.manifest.components.get(n).map(|c| c.kind);
        if matches!(record.state, State::Starting { .. }) && kind == Some(Kind::Service) {
            record.state = State::Up;
        }
        Ok(())
    }
    fn wait_all_up(&mut self, _: Badge) -> Result<bool, Error> {
        Ok(self.outcome == Some(true))
    }
}

/// Who calls whom, with the buffers between them.
fn edges(manifest: &'static Manifest, pool: Pool) -> sys::Result<Vec<Edge>> {
    let mut edges = Vec::new();
    let mut add = |client, interface: &str, length, pays: Pool| {
        let Some((server, interface)) = manifest.server_of(interface) else { return Ok(()) };
        let buffer = if length > 0 { Some((pays.create_memory(length)?, length)) } else { None };
        edges.push(Edge { client, server, interface, buffer });
        sys::Result::Ok(())
    };
    for (n, component) in manifest.components.iter().enumerate() {
        for call in &component.calls {
            add(Some(n), &call.interface, call.buffer_bytes, pool)?;
        }
    }
    // Its own, which needs no grant: it starts what the manifest says, and the manifest says where from.
    if manifest.components.iter().any(|c| matches!(c.program, Program::Root(_))) {
        add(None, api_file::NAME, api_file::BUFFER_BYTES, Pool(start::POOL))?;
    }
    Ok(edges)
}

/// A caller that is gone needs no answer.
fn answer_with(answer: &Message, to: Option<Reply>) {
    let words = rt::channel::put(answer);
    let _ = match to {
        Some(reply) => reply.reply(answer.tag(), words),
        None => sys::reply(answer.tag(), words),
    };
}

fn reboot() {
    let power = rt::start::startup().grants.iter().find_map(|g| match g.what {
        What::Power { power } => Some(Power::of(sys::Handle(power))),
        _ => None,
    });
    if let Some(power) = power {
        let error = power.reset();
        rt::error!("the machine cannot be reset: {error:?}");
    }
}
