// SPDX-License-Identifier: PMPL-1.0-or-later
use super::*;
use crate::advert::MAX_OPTIONS;

#[derive(Default)]
struct Counted(Vec<u32>);
impl Identifiers for Counted {
    fn owners(&self) -> &[u32] {
        &self.0
    }
    fn identifier(&self, _: Ipv6Address, owner: u32, tries: u8) -> [u8; 8] {
        [0, 0, 0, 0, 0, 0, owner as u8, 0x10 + tries]
    }
}
const LINK: Ipv6Address = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x10);
const GLOBAL: Ipv6Address = Ipv6Address::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10);
const ROUTER: Ipv6Address = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const PREFIX: Prefix = Prefix {
    prefix: Ipv6Address::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
    length_bits: 64,
    on_link: true,
    autonomous: true,
    valid_s: 86400,
    preferred_s: 14400,
};
fn advert(lifetime_s: u16, prefix: Option<Prefix>) -> RouterAdvert {
    let mut prefixes = [None; MAX_OPTIONS];
    prefixes[0] = prefix;
    RouterAdvert { router: ROUTER, lifetime_s, preference: 0, mtu_bytes: None, prefixes, resolvers: [None; MAX_OPTIONS] }
}
fn fresh() -> Autoconf<Counted> {
    Autoconf::new(Counted::default(), 1500)
}
fn all(it: &mut Autoconf<Counted>, now_ms: u64) -> Vec<Action> {
    core::iter::from_fn(|| it.poll(now_ms)).collect()
}
/// With an address of the link, at 1000 ms.
fn up() -> Autoconf<Counted> {
    let mut it = fresh();
    all(&mut it, 0);
    all(&mut it, 1000);
    it
}
fn addresses(it: &Autoconf<Counted>) -> Vec<Ipv6Address> {
    it.addresses().collect()
}

#[test]
fn an_address_is_probed_first_and_ours_a_second_later() {
    let mut it = fresh();
    assert_eq!(all(&mut it, 0), [Action::Probe(LINK)]);
    assert_eq!(it.next_ms(), Some(1000));
    assert_eq!(all(&mut it, 999), []);
    assert!(addresses(&it).is_empty());
    assert_eq!(all(&mut it, 1000), [Action::Solicit(LINK)]);
    assert_eq!(addresses(&it), [LINK]);
    assert!(it.take_changed());
    assert!(!it.take_changed());
}

#[test]
fn an_address_that_somebody_has_or_wants_too_is_given_up_for_another_and_three_times_at_most() {
    for news in [News::Claimed { target: LINK }, News::Asked { target: LINK, checking: true }] {
        let mut it = fresh();
        all(&mut it, 0);
        assert_eq!(it.heard(news, 10), None);
        let next = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x11);
        assert_eq!(all(&mut it, 10), [Action::Probe(next)]);
        it.heard(News::Claimed { target: next }, 20);
        all(&mut it, 20);
        it.heard(News::Claimed { target: Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x12) }, 30);
        assert_eq!(all(&mut it, 5000), []);
        assert_eq!((addresses(&it), it.conflicts, it.next_ms()), (vec![], 3, None));
    }
}

#[test]
fn who_wants_an_address_of_ours_is_told_and_who_claims_it_is_not_obeyed() {
    let mut it = up();
    assert_eq!(it.heard(News::Asked { target: LINK, checking: true }, 2000), Some(Action::Defend(LINK)));
    assert_eq!(it.heard(News::Claimed { target: LINK }, 2000), None);
    assert_eq!(it.heard(News::Asked { target: LINK, checking: false }, 2000), None);
    assert_eq!(addresses(&it), [LINK]);
}

#[test]
fn routers_are_asked_three_times_and_no_more_once_one_spoke() {
    let mut it = up();
    assert_eq!(all(&mut it, 5000), [Action::Solicit(LINK)]);
    assert_eq!(all(&mut it, 9000), [Action::Solicit(LINK)]);
    assert_eq!(all(&mut it, 99_000), []);
    let mut it = up();
    it.heard(News::Router(advert(1800, None)), 1100);
    assert_eq!(all(&mut it, 5000), []);
}

#[test]
fn a_prefix_gives_an_address_after_a_probe_of_its_own() {
    let mut it = up();
    it.heard(News::Router(advert(1800, Some(PREFIX))), 2000);
    assert_eq!(all(&mut it, 2000), [Action::Probe(GLOBAL)]);
    all(&mut it, 3000);
    assert_eq!(addresses(&it), [LINK, GLOBAL]);
    assert_eq!(it.router(), Some(ROUTER));
    // Nothing is learnt twice.
    it.heard(News::Router(advert(1800, Some(PREFIX))), 4000);
    assert_eq!(all(&mut it, 5000), []);
}

#[test]
fn prefixes_that_give_no_address_are_passed_over() {
    let odd = [
        Prefix { length_bits: 63, ..PREFIX },
        Prefix { length_bits: 255, ..PREFIX },
        Prefix { autonomous: false, ..PREFIX },
        Prefix { preferred_s: 10, valid_s: 9, ..PREFIX },
        Prefix { valid_s: 0, preferred_s: 0, ..PREFIX },
        Prefix { prefix: LINK, ..PREFIX },
        Prefix { prefix: Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 1), ..PREFIX },
    ];
    for prefix in odd {
        let mut it = up();
        it.heard(News::Router(advert(1800, Some(prefix))), 2000);
        assert_eq!(all(&mut it, 4000), [], "{prefix:?}");
    }
}

#[test]
fn an_advertisement_does_not_cut_a_life_below_two_hours() {
    let mut it = up();
    it.heard(News::Router(advert(9000, Some(PREFIX))), 0);
    all(&mut it, 2000);
    all(&mut it, 4000);
    it.heard(News::Router(advert(9000, Some(Prefix { valid_s: 1, preferred_s: 0, ..PREFIX }))), 4000);
    all(&mut it, 7_203_000);
    assert_eq!(addresses(&it), [LINK, GLOBAL], "two hours are not over");
    all(&mut it, 7_204_001);
    assert_eq!(addresses(&it), [LINK]);
    assert!(it.take_changed());
}

#[test]
fn the_more_preferred_router_is_taken_and_a_router_that_goes_is_forgotten() {
    let mut it = up();
    let other = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
    it.heard(News::Router(advert(10, None)), 1000);
    it.heard(News::Router(RouterAdvert { router: other, preference: 1, lifetime_s: 5, ..advert(0, None) }), 1000);
    assert_eq!(it.router(), Some(other));
    all(&mut it, 6000);
    assert_eq!(it.router(), Some(ROUTER), "the other one's time is over");
    it.heard(News::Router(advert(0, None)), 6500);
    assert_eq!(it.router(), None, "it says that it is no router any more");
}

#[test]
fn resolvers_live_as_long_as_they_were_told_to() {
    let mut it = up();
    let resolver = Ipv6Address::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53);
    let mut with = advert(1800, None);
    with.resolvers[0] = Some((resolver, 60));
    it.heard(News::Router(with), 1000);
    it.heard(News::Router(with), 2000);
    assert_eq!(it.resolvers().collect::<Vec<_>>(), [resolver]);
    all(&mut it, 62_000);
    assert_eq!(it.resolvers().count(), 0);
}

#[test]
fn an_mtu_counts_between_the_least_and_the_devices_own() {
    let mut it = up();
    for (said, then) in [(9000, 1500), (1279, 1500), (1400, 1400), (1450, 1400), (0, 1400)] {
        it.heard(News::Router(RouterAdvert { mtu_bytes: Some(said), ..advert(1800, None) }), 1000);
        assert_eq!(it.mtu_bytes(), then, "{said}");
    }
}

#[test]
fn a_flood_of_advertisements_fills_the_tables_and_no_more() {
    let mut it = up();
    for n in 0..10_000u16 {
        let prefix = Ipv6Address::new(0x2001, n, n, n, 0, 0, 0, 0);
        let router = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 1, n);
        let mut flood = RouterAdvert { router, ..advert(1800, Some(Prefix { prefix, ..PREFIX })) };
        flood.resolvers[0] = Some((router, 60));
        it.heard(News::Router(flood), 1000);
    }
    all(&mut it, 1000);
    all(&mut it, 3000);
    assert_eq!(addresses(&it).len(), 1 + MAX_PREFIXES);
    assert_eq!(addresses(&it)[0], LINK);
    assert_eq!((it.routers.len(), it.resolvers().count()), (MAX_ROUTERS, MAX_RESOLVERS));
}

#[test]
fn each_client_has_an_address_of_its_own_out_of_each_prefix_and_shares_the_links() {
    let mut it = Autoconf::new(Counted(vec![5, 9]), 1500);
    all(&mut it, 0);
    all(&mut it, 1000);
    let second = Prefix { prefix: Ipv6Address::new(0xfd00, 7, 0, 0, 0, 0, 0, 0), preferred_s: 0, ..PREFIX };
    for prefix in [second, PREFIX] {
        it.heard(News::Router(advert(1800, Some(prefix))), 1000);
    }
    let probes = all(&mut it, 1000);
    assert_eq!(
        probes.iter().filter(|a| matches!(a, Action::Probe(_))).count(),
        6,
        "the host's and two clients', of two prefixes"
    );
    all(&mut it, 2000);
    let own = |prefix: Prefix, owner: u128| Ipv6Address::from_bits(prefix.prefix.to_bits() | owner << 8 | 0x10);
    let of = |owner| it.addresses_of(owner, 2000).collect::<Vec<_>>();
    assert_eq!(of(5), [own(PREFIX, 5), own(second, 5), LINK], "those to be preferred first");
    assert_eq!(of(7), [LINK]);
    assert_eq!(it.owner_of(own(PREFIX, 9)), Some(9));
    assert_eq!(it.owner_of(own(PREFIX, 7)), None);
    assert_eq!(it.source(9, ROUTER, 2000), Some(LINK));
    assert_eq!(it.source(9, Ipv6Address::new(0x2002, 0, 0, 0, 0, 0, 0, 1), 2000), Some(own(PREFIX, 9)));
    assert_eq!(it.source(9, own(second, 5), 2000), Some(own(second, 9)), "the one with the peer's prefix");
    assert_eq!(it.source(7, own(second, 5), 2000), None);
}
