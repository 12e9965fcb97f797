// SPDX-License-Identifier: PMPL-1.0-or-later
//! The loop: one endpoint for what components say and for their deaths, one notification for programs that were read.

use crate::launch::{Board, CALLS, FAULTS, INJECTS, POWERS, SUPERVISES};
use crate::policy::{Policy, Verdict};
use crate::report::{self, Death, Victim};
use crate::state::{State, next_to_start, outcome};
use crate::vault::{History, Vault, resume};
use crate::{fetch, inherit, inject, voice};
use abi::fault::label;
use alloc::string::String;
use alloc::vec::Vec;
use api_process::{Error, Serve};
use api_supervisor::Cause;
use ipc::{Badge, Message};
use manifest::bundle::Bundle;
use manifest::component::{Kind, Program, Then};
use manifest::{Manifest, What, layout};
use rt::child::Running;
use rt::health::{LOOKS, Pulse, Vitals};
use rt::start::grant;
use sys::{Capability, FOREVER, Pool, Power, Received, Reply, Rights, Thread, start};

const NS_PER_MS: u64 = 1_000_000;

pub struct Record {
    pub state: State,
    pub child: Option<Running>,
    pulse: Pulse,
    policy: Policy,
    pub history: History,
}

pub struct Supervisor {
    pub board: Board,
    pub records: Vec<Record>,
    /// Who asked whether all are up.
    waiting: Vec<Reply>,
    outcome: Option<bool>,
    line: String,
    pub vault: Vault,
    pub vitals: Vitals,
    /// A fault that somebody asked for.
    pub planned: Option<inject::Planned>,
    /// When the heartbeats are looked at next.
    look_ns: u64,
}

impl Supervisor {
    /// Takes over what root keeps. Components that run since a process server before this one run on.
    pub fn new(bundle: &'static Bundle<'static>) -> sys::Result<Supervisor> {
        let manifest = &bundle.manifest;
        let count = manifest.components.len();
        let ring = inherit::ring().filter(|_| manifest.server_of(api_log::NAME).is_some());
        voice::begin(ring)?;
        let endpoint = inherit::own()?;
        let fault = |n| endpoint.copy(Rights::WRITE, layout::badge(FAULTS, Manifest::client_number(n)));
        let board = Board {
            manifest,
            bundle,
            pools: inherit::pools(count)?,
            own: endpoint,
            faults: (0..count).map(fault).collect::<sys::Result<_>>()?,
            endpoints: inherit::endpoints(count),
            edges: inherit::edges(manifest),
            ring,
            vitals: inherit::vitals()?,
        };
        let vitals = Vitals::map(board.vitals.0, board.vitals.1)?;
        let vault = Vault::new(inherit::vault());
        let record = |(n, c): (usize, &manifest::Component)| {
            let until_ns = until(c);
            let runs = board.pools.get(n).is_some_and(|&pool| inherit::runs(pool));
            let state = if vault.is_inherited() { resume(vault.known(n), runs, until_ns) } else { State::Waiting };
            // One that was just being ended has a pool, but no thread any more: it will never say so.
            let runs = matches!(state, State::Up | State::Starting { .. });
            let child = inherit::running(n).filter(|child| runs && child.thread.usage().is_ok());
            let state = if runs && child.is_none() { State::Waiting } else { state };
            let history = if vault.is_inherited() { vault.history(n) } else { History::NONE };
            Record { state, child, pulse: Pulse::default(), policy: Policy::new(c.restart, history.window), history }
        };
        let records: Vec<Record> = manifest.components.iter().enumerate().map(record).collect();
        if vault.is_inherited() {
            let running = records.iter().filter(|r| r.state == State::Up).count();
            rt::warning!("a new process server takes over; {running} of {count} components run on");
        }
        vault.begin();
        let supervisor = Supervisor {
            outcome: vault.outcome(),
            vault,
            board,
            records,
            waiting: Vec::with_capacity(count),
            line: String::with_capacity(report::LINE_BYTES),
            vitals,
            planned: None,
            look_ns: 0,
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
            rt::health::beat();
            self.inject_what_is_due();
            self.start_what_is_due();
            self.announce();
            let look = self.look_for_hangs();
            let timeout = match self
                .records
                .iter()
                .filter_map(|r| r.state.deadline_ns())
                .chain(look)
                .chain(self.planned.map(|it| it.at_ns))
                .min()
            {
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

    /// Ends those that hang; says when to look again, if anybody is watched.
    fn look_for_hangs(&mut self) -> Option<u64> {
        let components = &self.board.manifest.components;
        let up = |n: &usize| self.records[*n].state == State::Up && components[*n].heartbeat_ms > 0;
        let shortest_ms = (0..components.len()).filter(up).map(|n| components[n].heartbeat_ms).min()?;
        let now_ns = rt::clock::now_ns();
        if now_ns < self.look_ns {
            return Some(self.look_ns);
        }
        for (n, said) in components.iter().enumerate() {
            let beats = self.vitals.beats(n);
            let record = &mut self.records[n];
            let Some(child) = record.child.as_ref().filter(|_| record.state == State::Up && said.heartbeat_ms > 0) else {
                continue;
            };
            if record.pulse.is_lost(beats, child.thread, u64::from(said.heartbeat_ms) * NS_PER_MS) {
                self.dead(n, Death::Hung { ms: said.heartbeat_ms });
            }
        }
        self.look_ns = now_ns + u64::from(shortest_ms) * NS_PER_MS / LOOKS;
        Some(self.look_ns)
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
            self.set(n, State::Absent);
            return self.close(n);
        }
        // Something that a process server before this one left there.
        if self.records[n].child.is_none() && inherit::runs(self.board.pools[n]) {
            self.destroy(n);
        }
        let until_ns = until(said);
        match &said.program {
            Program::Root(path) => {
                self.set(n, State::Fetching { until_ns });
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
                (self.records[n].child, self.records[n].pulse) = (Some(child), Pulse::default());
                self.set(n, State::Starting { until_ns });
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
            INJECTS => {
                let request = rt::channel::take(received);
                let answer = api_injector::dispatch(self, Badge(u64::from(client)), &request);
                answer_with(&answer, None);
            }
            POWERS => {
                let request = rt::channel::take(received);
                let answer = api_power::dispatch(self, Badge(u64::from(client)), &request);
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
                    self.set(n, State::Done);
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
        self.bury(n, Cause::NotStarted, 0);
    }

    pub fn dead(&mut self, n: usize, death: Death) {
        let said = &self.board.manifest.components[n];
        let names = said.symbols.map_or(&[][..], |span| self.board.bundle.bytes(span));
        let record = &self.records[n];
        let (deaths, child) = (record.policy.deaths() + 1, record.child.as_ref());
        let victim = Victim { name: &said.name, death: &death, deaths, child, names };
        let vault = &self.vault;
        report::tell(&victim, &mut self.line, |line| {
            voice::line(&[line]);
            // The last line is the one for machines.
            vault.keep_words(n, line);
        });
        let (cause, code) = death.cause();
        self.bury(n, cause, code);
    }

    pub fn set(&mut self, n: usize, state: State) {
        self.records[n].state = state;
        self.vault.keep(n, state);
    }

    /// Ends a component, also one that this process server did not start.
    pub fn destroy(&mut self, n: usize) {
        if let Some(child) = self.records[n].child.take() {
            return child.destroy();
        }
        if inherit::runs(self.board.pools[n]) {
            match inherit::renew(n) {
                Ok(pool) => self.board.pools[n] = pool,
                Err(error) => rt::error!("{}: its pool stays: {error:?}", self.board.manifest.components[n].name),
            }
        }
    }

    fn bury(&mut self, n: usize, cause: Cause, code: u64) {
        self.destroy(n);
        let record = &mut self.records[n];
        let verdict = record.policy.died(rt::clock::now_ns());
        let deaths = record.history.deaths.saturating_add(1);
        record.history = History { deaths, cause, code, window: record.policy.window() };
        self.vault.keep_history(n, &record.history);
        let name = &self.board.manifest.components[n].name;
        match verdict {
            Verdict::At(at_ns) => self.set(n, State::Delayed { at_ns }),
            Verdict::GiveUp(then) => {
                self.set(n, State::GivenUp);
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
        self.vault.keep_outcome(well);
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
        // A oneshot is up when its work is done, which only its end tells.
        let kind = self.board.manifest.components.get(n).ok_or(Error::Unknown)?.kind;
        let state = self.records.get(n).ok_or(Error::Unknown)?.state;
        if matches!(state, State::Starting { .. }) && kind == Kind::Service {
            self.set(n, State::Up);
        }
        Ok(())
    }
    fn wait_all_up(&mut self, _: Badge) -> Result<bool, Error> {
        Ok(self.outcome == Some(true))
    }
}

/// When a component that starts now must have said that it is ready.
fn until(said: &manifest::Component) -> u64 {
    rt::clock::now_ns().saturating_add(u64::from(said.ready_within_ms) * NS_PER_MS)
}

/// A caller that is gone needs no answer.
fn answer_with(answer: &Message, to: Option<Reply>) {
    let words = rt::channel::put(answer);
    let _ = match to {
        Some(reply) => reply.reply(answer.tag(), words),
        None => sys::reply(answer.tag(), words),
    };
}

/// The right over the machine's power, which root gives to the process server alone.
pub fn power() -> Option<Power> {
    rt::start::startup().grants.iter().find_map(|g| match g.what {
        What::Power { power } => Some(Power::of(sys::Handle(power))),
        _ => None,
    })
}

fn reboot() {
    if let Some(power) = power() {
        let error = power.reset();
        rt::error!("the machine cannot be reset: {error:?}");
    }
}
