use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use proptest::prelude::*;

use super::caller::Caller;
use super::table::{CallbackMessage, ListenerTable, Registration};
use crate::targets::Network;

/// A callback, represented by its source address.
type CallerAddress = IpAddr;

fn ip(n: u16) -> IpAddr {
    let [high, low] = n.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, 0, high, low))
}

fn from(n: u16) -> SocketAddr {
    SocketAddr::new(ip(n), 1023)
}

fn host(n: u16) -> Caller {
    Caller::new(ip(n), &[], None, false)
}

fn with_networks(n: u16, networks: &[&str]) -> Caller {
    let networks: Arc<[Network]> = networks.iter().map(|net| net.parse().unwrap()).collect();
    Caller::new(ip(n), &[], Some(networks), false)
}

fn needing_own_listener(n: u16) -> Caller {
    Caller::new(ip(n), &[], None, true)
}

/// A table with listeners on the ports 600, 601 and so on.
struct TestTable {
    table: ListenerTable<u16, CallerAddress>,
    ports: u16,
}

impl TestTable {
    fn new(most: usize, ports: u16) -> TestTable {
        TestTable {
            table: ListenerTable::new(most, ports.into(), true),
            ports,
        }
    }

    fn with<T>(
        &mut self,
        act: impl FnOnce(
            &mut ListenerTable<u16, CallerAddress>,
            &mut dyn FnMut(&dyn Fn(u16) -> Option<usize>) -> Option<(u16, u16)>,
        ) -> T,
    ) -> T {
        let ports = self.ports;
        act(&mut self.table, &mut |index| {
            let port = (600..600 + ports).find(|&port| index(port).is_some())?;
            Some((port, port))
        })
    }

    fn register(&mut self, caller: Caller) -> Option<Registration<CallerAddress>> {
        self.with(|table, open| table.register(caller, open).ok())
    }

    fn call(&mut self, registration: &Registration<CallerAddress>, n: u16) {
        let listener = registration.listener;
        self.with(|table, open| table.dispatch(listener, ip(n), from(n), open));
    }

    fn claim(&mut self, registration: &Registration<CallerAddress>) -> Option<CallerAddress> {
        self.with(|table, open| table.claim(registration, open))
    }

    fn leave(&mut self, registration: Registration<CallerAddress>) {
        self.with(|table, open| table.leave(&registration, open));
    }

    fn strays(&self) -> u64 {
        self.table.strays().count
    }
}

/// Returns the callback that a session has received.
fn received(registration: &mut Registration<CallerAddress>) -> Option<CallerAddress> {
    loop {
        match registration.messages.try_recv() {
            Ok(CallbackMessage::Connection(call)) => return Some(call),
            Ok(CallbackMessage::UnknownAddress(more)) => registration.messages = more,
            Err(_) => return None,
        }
    }
}

/// True if a session knows of a callback from an unknown address.
fn knows_of_unknown_address(registration: &mut Registration<CallerAddress>) -> bool {
    matches!(
        registration.messages.try_recv(),
        Ok(CallbackMessage::UnknownAddress(_))
    )
}

#[test]
fn an_unknown_address_is_taken_on_a_private_listener_after_the_answer() {
    let mut table = TestTable::new(4, 8);
    let mut registration = table.register(host(1)).unwrap();
    assert!(registration.private && registration.at_once);
    table.call(&registration, 900);
    assert_eq!(
        received(&mut registration),
        None,
        "its own address may still call"
    );
    assert_eq!(table.claim(&registration), Some(ip(900)));
    assert_eq!(table.strays(), 0);
}

#[test]
fn the_hosts_own_address_takes_precedence_over_an_unknown_one() {
    let mut table = TestTable::new(4, 8);
    let mut registration = table.register(host(1)).unwrap();
    table.call(&registration, 900);
    table.call(&registration, 1);
    assert_eq!(received(&mut registration), Some(ip(1)));
    assert_eq!(table.claim(&registration), None);
    assert_eq!(table.strays(), 1);
}

#[test]
fn none_of_two_unknown_addresses_is_taken() {
    let mut table = TestTable::new(4, 8);
    let registration = table.register(host(1)).unwrap();
    table.call(&registration, 900);
    table.call(&registration, 901);
    assert_eq!(table.claim(&registration), None);
    table.leave(registration);
    assert_eq!(table.strays(), 2);
}

#[test]
fn a_third_callback_from_an_unknown_address_is_not_taken_either() {
    let mut table = TestTable::new(4, 8);
    let mut registration = table.register(host(1)).unwrap();
    table.call(&registration, 666);
    table.call(&registration, 900);
    assert_eq!(table.claim(&registration), None);
    table.call(&registration, 666);
    assert_eq!(received(&mut registration), None, "it may be anybody's");
    table.call(&registration, 1);
    assert_eq!(
        received(&mut registration),
        Some(ip(1)),
        "its own is better"
    );
}

#[test]
fn a_second_callback_of_a_host_goes_to_no_other_session() {
    let mut table = TestTable::new(1, 1);
    let mut first = table.register(host(1)).unwrap();
    table.call(&first, 1);
    assert_eq!(received(&mut first), Some(ip(1)));
    let mut second = table.register(host(2)).unwrap();
    assert_eq!(second.port, first.port);
    assert!(!second.private && !second.at_once);
    for caller in [1, 900] {
        table.call(&second, caller);
        assert_eq!(table.claim(&second), None, "{caller}");
    }
    assert!(knows_of_unknown_address(&mut second));
    assert_eq!(table.strays(), 2);
}

#[test]
fn a_closed_port_does_not_count_as_unused() {
    let mut table = TestTable::new(40, 40);
    let mut registrations: Vec<_> = (1..=40)
        .map(|n| table.register(needing_own_listener(n)).unwrap())
        .collect();
    assert!(
        table.register(needing_own_listener(41)).is_none(),
        "it has to wait"
    );
    for (n, registration) in (1..=40).zip(&mut registrations) {
        table.call(registration, n);
        assert_eq!(received(registration), Some(ip(n)));
    }
    // All ports have been used, so no port is left for this host alone.
    assert!(!table.register(needing_own_listener(42)).unwrap().private);
}

#[test]
fn hosts_that_could_be_confused_do_not_share_a_listener() {
    let mut table = TestTable::new(3, 3);
    let several = |n, others: &[u16]| {
        let others: Vec<IpAddr> = others.iter().map(|&n| ip(n)).collect();
        // The session has a network. Without one, the first session would have its listener alone.
        let networks: Arc<[Network]> = ["192.0.2.1".parse().unwrap()].into();
        Caller::new(ip(n), &others, Some(networks), false)
    };
    let one = table.register(with_networks(1, &["10.9.0.0/16"])).unwrap();
    let shares = table.register(with_networks(2, &["10.8.0.0/16"])).unwrap();
    assert_eq!(one.port, shares.port);
    let same_net = table.register(with_networks(3, &["10.9.1.0/24"])).unwrap();
    assert_ne!(one.port, same_net.port);
    let names = table.register(several(4, &[4, 2])).unwrap();
    assert_ne!(names.port, shares.port);
    let same_host = table.register(host(1)).unwrap();
    assert_ne!(same_host.port, one.port);
}

#[test]
fn an_address_of_the_run_is_not_taken_for_another_host_of_its_network() {
    let mut table = TestTable::new(1, 1);
    let mut first = table.register(host(1)).unwrap();
    table.call(&first, 1);
    assert_eq!(received(&mut first), Some(ip(1)));
    let mut second = table.register(with_networks(2, &["10.0.0.0/16"])).unwrap();
    table.call(&second, 1);
    assert_eq!(received(&mut second), None, "it is the first host's");
    // The first callback made this message; the next message is the callback.
    table.call(&second, 900);
    assert_eq!(received(&mut second), Some(ip(900)));
    // The address is accepted if the user has named it as a network.
    let mut third = table.register(with_networks(3, &["10.0.0.1"])).unwrap();
    table.call(&third, 1);
    assert_eq!(received(&mut third), Some(ip(1)));
}

#[test]
fn sessions_get_listeners_in_order_of_arrival() {
    let mut table = TestTable::new(1, 2);
    let network = ["10.1.0.0/16"];
    let first = table.register(with_networks(1, &network)).unwrap();
    assert!(table.register(with_networks(2, &network)).is_none());
    let mut second = table.table.queue(with_networks(2, &network));
    let mut third = table.table.queue(with_networks(3, &network));
    table.leave(first);
    let registration = second.try_recv().unwrap();
    assert!(third.try_recv().is_err());
    drop(third);
    let mut fourth = table.table.queue(with_networks(4, &network));
    table.call(&registration, 2);
    assert!(fourth.try_recv().is_ok(), "after one that gave up");
}

#[test]
fn commands_are_sent_before_the_callback_while_all_addresses_are_known() {
    let mut table = TestTable::new(1, 1);
    for n in 1..=300 {
        let mut registration = table.register(host(n)).unwrap();
        assert_eq!(registration.at_once, n == 1 || n > 256, "{n}");
        table.call(&registration, n);
        assert_eq!(received(&mut registration), Some(ip(n)));
    }
    let registration = table.register(host(400)).unwrap();
    assert!(registration.at_once);
    table.call(&registration, 900);
    assert!(!table.register(host(401)).unwrap().at_once);
}

#[test]
fn a_large_run_needs_few_listeners() {
    let mut table = TestTable::new(239, 478);
    let registrations: Vec<_> = (1..=4000)
        .map(|n| table.register(host(n)).unwrap())
        .collect();
    let mut crowds = BTreeMap::<u16, usize>::new();
    for registration in &registrations {
        *crowds.entry(registration.port).or_default() += 1;
    }
    assert!(crowds.len() <= 33, "{crowds:?}");
}

#[derive(Clone, Debug)]
enum TestStep {
    Start(u16, u8),
    CallerAddress(usize, u16),
    Answer(usize),
    End(usize),
}

fn test_step() -> impl Strategy<Value = TestStep> {
    prop_oneof![
        3 => (1..9_u16, 0..4_u8).prop_map(|(n, kind)| TestStep::Start(n, kind)),
        4 => (any::<usize>(), 1..14_u16).prop_map(|(i, n)| TestStep::CallerAddress(i, n)),
        2 => any::<usize>().prop_map(TestStep::Answer),
        2 => any::<usize>().prop_map(TestStep::End),
    ]
}

proptest! {
    /// On every schedule a session gets a callback only from its host's addresses and networks, or from an unknown
    /// address on a port that no other host knows.
    #[test]
    fn no_callback_is_given_to_another_hosts_session(steps in prop::collection::vec(test_step(), 0..120)) {
        let mut table = TestTable::new(3, 6);
        let mut sessions: Vec<(u16, u8, Registration<CallerAddress>)> = Vec::new();
        let mut told: BTreeMap<u16, Vec<u16>> = BTreeMap::new();
        let check = |n: u16, kind: u8, port: u16, call: CallerAddress, told: &BTreeMap<u16, Vec<u16>>| {
            let network: Network = "10.0.0.12/30".parse().unwrap();
            let expected = call == ip(n) || (kind == 2 && network.contains(call));
            let private = told[&port].iter().all(|&host| host == n);
            assert!(expected || private, "host {n} on {port} was given {call}");
        };
        for test_step in steps {
            match test_step {
                TestStep::Start(n, kind) => {
                    let caller = match kind {
                        2 => with_networks(n, &["10.0.0.12/30"]),
                        3 => needing_own_listener(n),
                        _ => host(n),
                    };
                    if let Some(registration) = table.register(caller) {
                        told.entry(registration.port).or_default().push(n);
                        sessions.push((n, kind, registration));
                    }
                }
                TestStep::CallerAddress(i, n) if !sessions.is_empty() => {
                    let i = i % sessions.len();
                    table.call(&sessions[i].2, n);
                    let mut still = Vec::new();
                    for (n, kind, mut registration) in sessions {
                        match received(&mut registration) {
                            Some(call) => check(n, kind, registration.port, call, &told),
                            None => still.push((n, kind, registration)),
                        }
                    }
                    sessions = still;
                }
                TestStep::Answer(i) if !sessions.is_empty() => {
                    let i = i % sessions.len();
                    if let Some(call) = table.claim(&sessions[i].2) {
                        let (n, kind, registration) = sessions.swap_remove(i);
                        check(n, kind, registration.port, call, &told);
                    }
                }
                TestStep::End(i) if !sessions.is_empty() => {
                    let i = i % sessions.len();
                    let (_, _, registration) = sessions.swap_remove(i);
                    table.leave(registration);
                }
                TestStep::CallerAddress(..) | TestStep::Answer(_) | TestStep::End(_) => {}
            }
        }
    }
}
