// SPDX-License-Identifier: PMPL-1.0-or-later
//! Addresses that a host gives itself (RFC 4862), routers and resolvers that it was told of (RFC 4861, 4191, 8106).
//!
//! Pure: news and time come in, actions and addresses go out. An address is nobody's until nobody objected to it for a second.
//! Each client has an address of its own out of each prefix, and the host has one. All tables are of fixed size; what does not fit is not learnt, so a flood of advertisements fills them and no more.

use crate::advert::{News, Prefix, RouterAdvert};
use alloc::vec::Vec;
use smoltcp::wire::Ipv6Address;

/// Of each prefix the host has an address, and so has each of its clients.
pub const MAX_PREFIXES: usize = 3;
pub const MAX_OWNERS: usize = 12;
pub const MAX_ADDRESSES: usize = 1 + MAX_PREFIXES * (1 + MAX_OWNERS);
/// The owner of addresses that are no client's: the link's, and one of each prefix.
pub const HOST: u32 = 0;
pub const MAX_ROUTERS: usize = 4;
pub const MAX_RESOLVERS: usize = 4;
/// RFC 4862, 5.1: one probe, and RFC 4861, 10: RetransTimer.
const PROBE_MS: u64 = 1000;
/// RFC 4861, 10.
const SOLICITATIONS: u8 = 3;
const SOLICITATION_MS: u64 = 4000;
/// RFC 4862, 5.5.3 e: an advertisement that nobody signed does not shorten a life below this.
const TWO_HOURS_S: u32 = 7200;
/// RFC 7217, 6: IDGEN_RETRIES.
const TRIES: u8 = 3;
const FOREVER: u64 = u64::MAX;
/// RFC 8200, 5.
const LEAST_MTU_BYTES: u32 = 1280;

/// What is to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Ask whether somebody has this address, from no address.
    Probe(Ipv6Address),
    /// Say to all that this address is ours.
    Defend(Ipv6Address),
    /// Ask routers to speak, from this address.
    Solicit(Ipv6Address),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// To be probed.
    New,
    /// Nobody may object until then.
    Tentative {
        until_ms: u64,
    },
    Ours,
}

/// What an address is made of.
#[derive(Clone, Copy, Debug)]
struct Draft {
    prefix: Ipv6Address,
    /// Whether neighbours with the same prefix are on this link.
    on_link: bool,
    preferred_until_ms: u64,
    valid_until_ms: u64,
    owner: u32,
    tries: u8,
}

#[derive(Clone, Copy, Debug)]
struct Address {
    address: Ipv6Address,
    state: State,
    draft: Draft,
}

#[derive(Clone, Copy, Debug)]
struct Router {
    address: Ipv6Address,
    preference: i8,
    until_ms: u64,
}

/// Makes interface identifiers.
pub trait Identifiers {
    /// Clients that have addresses of their own.
    fn owners(&self) -> &[u32];
    /// The `tries`-th one of an owner for a prefix (RFC 7217: the same prefix gives it the same one).
    fn identifier(&self, prefix: Ipv6Address, owner: u32, tries: u8) -> [u8; 8];
}

pub struct Autoconf<I> {
    pub identifiers: I,
    /// As many places as there will ever be.
    addresses: Vec<Option<Address>>,
    routers: [Option<Router>; MAX_ROUTERS],
    resolvers: [Option<(Ipv6Address, u64)>; MAX_RESOLVERS],
    solicitations: u8,
    next_solicitation_ms: u64,
    link_mtu_bytes: u32,
    changed: bool,
    /// Addresses that somebody else had.
    pub conflicts: u32,
}

const LINK_LOCAL: Ipv6Address = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);

impl<I: Identifiers> Autoconf<I> {
    /// Begins with an address of the link, not yet probed.
    pub fn new(identifiers: I, mtu_bytes: u16) -> Self {
        let places = 1 + MAX_PREFIXES * (1 + identifiers.owners().len().min(MAX_OWNERS));
        let mut it = Autoconf {
            identifiers,
            addresses: alloc::vec![None; places],
            routers: [None; MAX_ROUTERS],
            resolvers: [None; MAX_RESOLVERS],
            solicitations: SOLICITATIONS,
            next_solicitation_ms: 0,
            link_mtu_bytes: u32::from(mtu_bytes),
            changed: false,
            conflicts: 0,
        };
        let (preferred_until_ms, valid_until_ms) = (FOREVER, FOREVER);
        it.form(Draft { prefix: LINK_LOCAL, on_link: true, preferred_until_ms, valid_until_ms, owner: HOST, tries: 0 });
        it
    }

    /// There is no link: no address is ever to be had.
    pub fn give_up(&mut self) {
        self.addresses.fill(None);
        self.solicitations = 0;
    }

    /// Whether addresses, routers or the MTU are other than when this was asked last.
    pub fn take_changed(&mut self) -> bool {
        core::mem::take(&mut self.changed)
    }
    fn ours(&self) -> impl Iterator<Item = &Address> + '_ {
        self.addresses.iter().flatten().filter(|a| a.state == State::Ours)
    }
    /// Addresses that are ours, the link's first.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv6Address> + '_ {
        self.ours().map(|a| a.address)
    }
    /// With whose they are.
    pub fn owned(&self) -> impl Iterator<Item = (Ipv6Address, u32)> + '_ {
        self.ours().map(|a| (a.address, a.draft.owner))
    }
    pub fn owner_of(&self, address: Ipv6Address) -> Option<u32> {
        self.ours().find(|a| a.address == address).map(|a| a.draft.owner)
    }
    /// Addresses of a client, those to be preferred first; then the link's, which is everyone's.
    pub fn addresses_of(&self, owner: u32, now_ms: u64) -> impl Iterator<Item = Ipv6Address> + '_ {
        let own = move || self.ours().filter(move |a| a.draft.owner == owner && owner != HOST);
        let is_fresh = move |a: &&Address| a.draft.preferred_until_ms > now_ms;
        let of_link = self.ours().filter(|a| a.address.is_unicast_link_local());
        own().filter(is_fresh).chain(own().filter(move |a| !is_fresh(a))).chain(of_link).map(|a| a.address)
    }
    /// The address from which an owner speaks to a peer: the link's to the link, else one of its own with the peer's prefix if
    /// it has one (RFC 6724, 5, rules 2 and 8).
    pub fn source(&self, owner: u32, peer: Ipv6Address, now_ms: u64) -> Option<Ipv6Address> {
        let is_near = peer.is_unicast_link_local();
        let usable = || self.addresses_of(owner, now_ms).filter(move |a| a.is_unicast_link_local() == is_near);
        usable().find(|&a| masked(a) == masked(peer)).or_else(|| usable().next())
    }
    /// Whether an address is of this link.
    pub fn is_near(&self, address: Ipv6Address) -> bool {
        address.is_unicast_link_local() || self.ours().any(|a| a.draft.on_link && masked(a.address) == masked(address))
    }
    /// As [`Self::addresses`], with how many bits of them neighbours on this link share; those to be preferred first.
    pub fn prefixes(&self, now_ms: u64) -> impl Iterator<Item = (Ipv6Address, u8)> + '_ {
        let with = |it: &Address| (it.address, if it.draft.on_link { 64 } else { 128 });
        let fresh = move |it: &&Address| it.draft.preferred_until_ms > now_ms;
        self.ours().filter(fresh).chain(self.ours().filter(move |it| !fresh(it))).map(with)
    }
    /// The router to send through: the most preferred, then the first that spoke.
    pub fn router(&self) -> Option<Ipv6Address> {
        let best = self.routers.iter().flatten().map(|r| r.preference).max()?;
        self.routers.iter().flatten().find(|r| r.preference == best).map(|r| r.address)
    }
    pub fn resolvers(&self) -> impl Iterator<Item = Ipv6Address> + '_ {
        self.resolvers.iter().flatten().map(|r| r.0)
    }
    pub fn mtu_bytes(&self) -> u16 {
        u16::try_from(self.link_mtu_bytes).unwrap_or(u16::MAX)
    }

    pub fn heard(&mut self, news: News, now_ms: u64) -> Option<Action> {
        match news {
            News::Router(advert) => self.router_spoke(&advert, now_ms),
            News::Asked { target, checking: true } | News::Claimed { target } => return self.claimed(target, news),
            News::Asked { .. } | News::TooBig { .. } => {}
        }
        None
    }

    /// Somebody has the address, or wants it: RFC 4862, 5.4.3 to 5.4.5.
    fn claimed(&mut self, target: Ipv6Address, news: News) -> Option<Action> {
        let place = self.addresses.iter_mut().find(|p| p.is_some_and(|a| a.address == target))?;
        let it = (*place)?;
        if it.state == State::Ours {
            // Who checks is told; who claims is not argued with: RFC 4862 has no word for it after the check.
            return matches!(news, News::Asked { .. }).then_some(Action::Defend(target));
        }
        *place = None;
        self.conflicts = self.conflicts.saturating_add(1);
        if it.draft.tries + 1 < TRIES {
            self.form(Draft { tries: it.draft.tries + 1, ..it.draft });
        }
        None
    }

    fn form(&mut self, it: Draft) {
        let mut octets = it.prefix.octets();
        octets.split_at_mut(8).1.copy_from_slice(&self.identifiers.identifier(it.prefix, it.owner, it.tries));
        let address = Ipv6Address::from(octets);
        if let Some(place) = self.addresses.iter_mut().find(|p| p.is_none()) {
            *place = Some(Address { address, state: State::New, draft: it });
        }
    }

    fn router_spoke(&mut self, advert: &RouterAdvert, now_ms: u64) {
        self.solicitations = 0;
        self.keep_router(advert, now_ms);
        advert.prefixes.iter().flatten().for_each(|prefix| self.keep_prefix(prefix, now_ms));
        for &(resolver, lifetime_s) in advert.resolvers.iter().flatten() {
            let until_ms = after(now_ms, lifetime_s);
            let known = self.resolvers.iter().position(|p| p.is_some_and(|r| r.0 == resolver));
            let place = known.or_else(|| self.resolvers.iter().position(Option::is_none));
            if let Some(place) = place.and_then(|n| self.resolvers.get_mut(n)) {
                *place = (lifetime_s > 0).then_some((resolver, until_ms));
            }
        }
        // RFC 4861, 6.3.4: never above what the device does.
        if let Some(mtu) = advert.mtu_bytes.filter(|&mtu| mtu >= LEAST_MTU_BYTES && mtu < self.link_mtu_bytes) {
            self.link_mtu_bytes = mtu;
            self.changed = true;
        }
    }

    fn keep_router(&mut self, advert: &RouterAdvert, now_ms: u64) {
        let before = self.router();
        let router = Router {
            address: advert.router,
            preference: advert.preference,
            until_ms: after(now_ms, u32::from(advert.lifetime_s)),
        };
        let known = self.routers.iter().position(|p| p.is_some_and(|r| r.address == advert.router));
        let place = known.or_else(|| self.routers.iter().position(Option::is_none));
        if let Some(place) = place.and_then(|n| self.routers.get_mut(n)) {
            *place = (advert.lifetime_s > 0).then_some(router);
        }
        self.changed |= before != self.router();
    }

    /// RFC 4862, 5.5.3.
    fn keep_prefix(&mut self, said: &Prefix, now_ms: u64) {
        let is_ours_to_use = said.autonomous && said.length_bits == 64 && said.preferred_s <= said.valid_s;
        if !is_ours_to_use || said.prefix.is_unicast_link_local() || said.prefix.is_multicast() {
            return;
        }
        let prefix = masked(said.prefix);
        let (valid, preferred) = (after(now_ms, said.valid_s), after(now_ms, said.preferred_s));
        let two_hours = after(now_ms, TWO_HOURS_S);
        let mut is_known = false;
        for address in self.addresses.iter_mut().flatten().map(|a| &mut a.draft).filter(|a| a.prefix == prefix) {
            is_known = true;
            address.preferred_until_ms = preferred;
            if said.valid_s > TWO_HOURS_S || valid > address.valid_until_ms {
                address.valid_until_ms = valid;
            } else if address.valid_until_ms > two_hours {
                address.valid_until_ms = two_hours;
            }
        }
        let prefixes = self.addresses.iter().flatten().filter(|a| a.draft.owner == HOST).count();
        if is_known || said.valid_s == 0 || prefixes > MAX_PREFIXES {
            return;
        }
        let mut owners = [HOST; 1 + MAX_OWNERS];
        let own = self.identifiers.owners();
        owners.iter_mut().skip(1).zip(own).for_each(|(to, from)| *to = *from);
        for &owner in owners.iter().take(1 + own.len()) {
            let (on_link, tries) = (said.on_link, 0);
            self.form(Draft { prefix, on_link, preferred_until_ms: preferred, valid_until_ms: valid, owner, tries });
        }
    }

    /// What is due. Called until it gives nothing more.
    pub fn poll(&mut self, now_ms: u64) -> Option<Action> {
        for place in &mut self.addresses {
            let Some(it) = place else { continue };
            match it.state {
                _ if it.draft.valid_until_ms <= now_ms => {
                    self.changed |= it.state == State::Ours;
                    *place = None;
                }
                State::New => {
                    it.state = State::Tentative { until_ms: now_ms + PROBE_MS };
                    return Some(Action::Probe(it.address));
                }
                State::Tentative { until_ms } if until_ms <= now_ms => {
                    it.state = State::Ours;
                    self.changed = true;
                }
                _ => {}
            }
        }
        let before = self.router();
        self.routers.iter_mut().filter(|p| p.is_some_and(|r| r.until_ms <= now_ms)).for_each(|p| *p = None);
        self.changed |= before != self.router();
        self.resolvers.iter_mut().filter(|p| p.is_some_and(|r| r.1 <= now_ms)).for_each(|p| *p = None);
        let from = self.addresses().find(|a| a.is_unicast_link_local())?;
        if self.solicitations == 0 || self.next_solicitation_ms > now_ms {
            return None;
        }
        self.solicitations -= 1;
        self.next_solicitation_ms = now_ms + SOLICITATION_MS;
        Some(Action::Solicit(from))
    }

    /// When `poll` has something to do by itself.
    pub fn next_ms(&self) -> Option<u64> {
        let of_address = self.addresses.iter().flatten().map(|a| match a.state {
            State::New => 0,
            State::Tentative { until_ms } => until_ms,
            State::Ours => a.draft.valid_until_ms,
        });
        let of_router = self.routers.iter().flatten().map(|r| r.until_ms);
        let of_resolver = self.resolvers.iter().flatten().map(|r| r.1);
        let may_solicit = self.solicitations > 0 && self.addresses().next().is_some();
        let solicit = may_solicit.then_some(self.next_solicitation_ms);
        of_address.chain(of_router).chain(of_resolver).chain(solicit).filter(|&at| at != FOREVER).min()
    }
}

/// All ones is for ever (RFC 4861, 4.6.2).
fn after(now_ms: u64, seconds: u32) -> u64 {
    if seconds == u32::MAX { FOREVER } else { now_ms + u64::from(seconds) * 1000 }
}
fn masked(prefix: Ipv6Address) -> Ipv6Address {
    let mut octets = prefix.octets();
    octets.split_at_mut(8).1.fill(0);
    Ipv6Address::from(octets)
}

#[cfg(test)]
#[path = "autoconf_tests.rs"]
mod tests;
