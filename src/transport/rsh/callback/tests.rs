use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use proptest::prelude::*;

use super::callee::Callee;
use super::table::{Place, Table, Word};
use crate::targets::Network;

/// A call, by the address that made it.
type Call = IpAddr;

fn ip(n: u16) -> IpAddr {
    let [high, low] = n.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, 0, high, low))
}

fn from(n: u16) -> SocketAddr {
    SocketAddr::new(ip(n), 1023)
}

fn host(n: u16) -> Callee {
    Callee::new(ip(n), &[], None, false)
}

fn named(n: u16, networks: &[&str]) -> Callee {
    let networks: Arc<[Network]> = networks.iter().map(|net| net.parse().unwrap()).collect();
    Callee::new(ip(n), &[], Some(networks), false)
}

fn alone(n: u16) -> Callee {
    Callee::new(ip(n), &[], None, true)
}

/// A table whose listeners are on the ports 600, 601 and so on.
struct World {
    table: Table<u16, Call>,
    ports: u16,
}

impl World {
    fn new(most: usize, ports: u16) -> World {
        World {
            table: Table::new(most, ports.into(), true),
            ports,
        }
    }

    fn with<T>(
        &mut self,
        act: impl FnOnce(
            &mut Table<u16, Call>,
            &mut dyn FnMut(&dyn Fn(u16) -> Option<usize>) -> Option<(u16, u16)>,
        ) -> T,
    ) -> T {
        let ports = self.ports;
        act(&mut self.table, &mut |index| {
            let port = (600..600 + ports).find(|&port| index(port).is_some())?;
            Some((port, port))
        })
    }

    fn place(&mut self, callee: Callee) -> Option<Place<Call>> {
        self.with(|table, open| table.place(callee, open).ok())
    }

    fn call(&mut self, place: &Place<Call>, n: u16) {
        let listener = place.listener;
        self.with(|table, open| table.dispatch(listener, ip(n), from(n), open));
    }

    fn claim(&mut self, place: &Place<Call>) -> Option<Call> {
        self.with(|table, open| table.claim(place, open))
    }

    fn leave(&mut self, place: Place<Call>) {
        self.with(|table, open| table.leave(&place, open));
    }

    fn strays(&self) -> u64 {
        self.table.strays().count
    }
}

/// The call that a session has been given.
fn given(place: &mut Place<Call>) -> Option<Call> {
    loop {
        match place.words.try_recv() {
            Ok(Word::Call(call)) => return Some(call),
            Ok(Word::Elsewhere(more)) => place.words = more,
            Err(_) => return None,
        }
    }
}

/// Tells whether a session knows of a call from elsewhere.
fn was_warned(place: &mut Place<Call>) -> bool {
    matches!(place.words.try_recv(), Ok(Word::Elsewhere(_)))
}

#[test]
fn an_unknown_address_is_taken_on_an_unshared_listener_once_the_daemon_has_answered() {
    let mut world = World::new(4, 8);
    let mut place = world.place(host(1)).unwrap();
    assert!(place.private && place.at_once);
    world.call(&place, 900);
    assert_eq!(given(&mut place), None, "its own address may still call");
    assert_eq!(world.claim(&place), Some(ip(900)));
    assert_eq!(world.strays(), 0);
}

#[test]
fn the_hosts_own_address_is_better_than_an_unknown_one() {
    let mut world = World::new(4, 8);
    let mut place = world.place(host(1)).unwrap();
    world.call(&place, 900);
    world.call(&place, 1);
    assert_eq!(given(&mut place), Some(ip(1)));
    assert_eq!(world.claim(&place), None);
    assert_eq!(world.strays(), 1);
}

#[test]
fn of_two_unknown_addresses_none_is_taken() {
    let mut world = World::new(4, 8);
    let place = world.place(host(1)).unwrap();
    world.call(&place, 900);
    world.call(&place, 901);
    assert_eq!(world.claim(&place), None);
    world.leave(place);
    assert_eq!(world.strays(), 2);
}

#[test]
fn a_further_call_after_two_unknown_ones_is_not_taken_either() {
    let mut world = World::new(4, 8);
    let mut place = world.place(host(1)).unwrap();
    world.call(&place, 666);
    world.call(&place, 900);
    assert_eq!(world.claim(&place), None);
    world.call(&place, 666);
    assert_eq!(given(&mut place), None, "it may be anybody's");
    world.call(&place, 1);
    assert_eq!(given(&mut place), Some(ip(1)), "its own is better");
}

#[test]
fn a_host_that_calls_again_is_nobody_elses() {
    let mut world = World::new(1, 1);
    let mut first = world.place(host(1)).unwrap();
    world.call(&first, 1);
    assert_eq!(given(&mut first), Some(ip(1)));
    let mut second = world.place(host(2)).unwrap();
    assert_eq!(second.port, first.port);
    assert!(!second.private && !second.at_once);
    for caller in [1, 900] {
        world.call(&second, caller);
        assert_eq!(world.claim(&second), None, "{caller}");
    }
    assert!(was_warned(&mut second));
    assert_eq!(world.strays(), 2);
}

#[test]
fn a_port_that_was_closed_is_not_taken_for_a_new_one() {
    let mut world = World::new(40, 40);
    let mut places: Vec<_> = (1..=40).map(|n| world.place(alone(n)).unwrap()).collect();
    assert!(world.place(alone(41)).is_none(), "it has to wait");
    for (n, place) in (1..=40).zip(&mut places) {
        world.call(place, n);
        assert_eq!(given(place), Some(ip(n)));
    }
    // All ports have been used, so that there is none for this host alone.
    assert!(!world.place(alone(42)).unwrap().private);
}

#[test]
fn hosts_that_could_be_confused_do_not_share_a_listener() {
    let mut world = World::new(3, 3);
    let several = |n, others: &[u16]| {
        let others: Vec<IpAddr> = others.iter().map(|&n| ip(n)).collect();
        // With a network, since the first session of a listener would have it to itself otherwise.
        let networks: Arc<[Network]> = ["192.0.2.1".parse().unwrap()].into();
        Callee::new(ip(n), &others, Some(networks), false)
    };
    let one = world.place(named(1, &["10.9.0.0/16"])).unwrap();
    let shares = world.place(named(2, &["10.8.0.0/16"])).unwrap();
    assert_eq!(one.port, shares.port);
    let same_net = world.place(named(3, &["10.9.1.0/24"])).unwrap();
    assert_ne!(one.port, same_net.port);
    let names = world.place(several(4, &[4, 2])).unwrap();
    assert_ne!(names.port, shares.port);
    let same_host = world.place(host(1)).unwrap();
    assert_ne!(same_host.port, one.port);
}

#[test]
fn an_address_of_the_run_speaks_for_no_other_host_of_its_network() {
    let mut world = World::new(1, 1);
    let mut first = world.place(host(1)).unwrap();
    world.call(&first, 1);
    assert_eq!(given(&mut first), Some(ip(1)));
    let mut second = world.place(named(2, &["10.0.0.0/16"])).unwrap();
    world.call(&second, 1);
    assert_eq!(given(&mut second), None, "it is the first host's");
    // The last call made this a warning; the next word is the call.
    world.call(&second, 900);
    assert_eq!(given(&mut second), Some(ip(900)));
    // Named by itself it may.
    let mut third = world.place(named(3, &["10.0.0.1"])).unwrap();
    world.call(&third, 1);
    assert_eq!(given(&mut third), Some(ip(1)));
}

#[test]
fn sessions_wait_for_a_listener_in_turn() {
    let mut world = World::new(1, 2);
    let network = ["10.1.0.0/16"];
    let first = world.place(named(1, &network)).unwrap();
    assert!(world.place(named(2, &network)).is_none());
    let mut second = world.table.queue(named(2, &network));
    let mut third = world.table.queue(named(3, &network));
    world.leave(first);
    let place = second.try_recv().unwrap();
    assert!(third.try_recv().is_err());
    drop(third);
    let mut fourth = world.table.queue(named(4, &network));
    world.call(&place, 2);
    assert!(fourth.try_recv().is_ok(), "after one that gave up");
}

#[test]
fn commands_are_sent_at_once_while_all_calls_come_from_known_addresses() {
    let mut world = World::new(1, 1);
    for n in 1..=300 {
        let mut place = world.place(host(n)).unwrap();
        assert_eq!(place.at_once, n == 1 || n > 256, "{n}");
        world.call(&place, n);
        assert_eq!(given(&mut place), Some(ip(n)));
    }
    let place = world.place(host(400)).unwrap();
    assert!(place.at_once);
    world.call(&place, 900);
    assert!(!world.place(host(401)).unwrap().at_once);
}

#[test]
fn a_large_run_needs_few_listeners() {
    let mut world = World::new(239, 478);
    let places: Vec<_> = (1..=4000).map(|n| world.place(host(n)).unwrap()).collect();
    let mut crowds = BTreeMap::<u16, usize>::new();
    for place in &places {
        *crowds.entry(place.port).or_default() += 1;
    }
    assert!(crowds.len() <= 33, "{crowds:?}");
}

#[derive(Clone, Debug)]
enum Act {
    Start(u16, u8),
    Call(usize, u16),
    Answer(usize),
    End(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (1..9_u16, 0..4_u8).prop_map(|(n, kind)| Act::Start(n, kind)),
        4 => (any::<usize>(), 1..14_u16).prop_map(|(i, n)| Act::Call(i, n)),
        2 => any::<usize>().prop_map(Act::Answer),
        2 => any::<usize>().prop_map(Act::End),
    ]
}

proptest! {
    /// On every schedule a session gets a call only from its host's addresses and networks, or from an unknown
    /// address on a port that no other host has been told of.
    #[test]
    fn no_call_is_given_to_another_hosts_session(acts in prop::collection::vec(act(), 0..120)) {
        let mut world = World::new(3, 6);
        let mut sessions: Vec<(u16, u8, Place<Call>)> = Vec::new();
        let mut told: BTreeMap<u16, Vec<u16>> = BTreeMap::new();
        let check = |n: u16, kind: u8, port: u16, call: Call, told: &BTreeMap<u16, Vec<u16>>| {
            let network: Network = "10.0.0.12/30".parse().unwrap();
            let expected = call == ip(n) || (kind == 2 && network.contains(call));
            let private = told[&port].iter().all(|&host| host == n);
            assert!(expected || private, "host {n} on {port} was given {call}");
        };
        for act in acts {
            match act {
                Act::Start(n, kind) => {
                    let callee = match kind {
                        2 => named(n, &["10.0.0.12/30"]),
                        3 => alone(n),
                        _ => host(n),
                    };
                    if let Some(place) = world.place(callee) {
                        told.entry(place.port).or_default().push(n);
                        sessions.push((n, kind, place));
                    }
                }
                Act::Call(i, n) if !sessions.is_empty() => {
                    let i = i % sessions.len();
                    world.call(&sessions[i].2, n);
                    let mut still = Vec::new();
                    for (n, kind, mut place) in sessions {
                        match given(&mut place) {
                            Some(call) => check(n, kind, place.port, call, &told),
                            None => still.push((n, kind, place)),
                        }
                    }
                    sessions = still;
                }
                Act::Answer(i) if !sessions.is_empty() => {
                    let i = i % sessions.len();
                    if let Some(call) = world.claim(&sessions[i].2) {
                        let (n, kind, place) = sessions.swap_remove(i);
                        check(n, kind, place.port, call, &told);
                    }
                }
                Act::End(i) if !sessions.is_empty() => {
                    let i = i % sessions.len();
                    let (_, _, place) = sessions.swap_remove(i);
                    world.leave(place);
                }
                Act::Call(..) | Act::Answer(_) | Act::End(_) => {}
            }
        }
    }
}
