use super::*;
use proptest::prelude::*;

fn peer(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 514))
}

fn pool(ports: RangeInclusive<u16>) -> PortPool {
    PortPool::new(ports.collect(), 1)
}

fn kernel(port: u16, peer: SocketAddr, state: KernelState) -> KernelSocket {
    KernelSocket {
        local: SocketAddr::from(([10, 9, 9, 9], port)),
        peer,
        state,
    }
}

#[tokio::test(start_paused = true)]
async fn every_peer_has_the_whole_range() {
    let pool = pool(600..=603);
    let leases: Vec<PortLease> = (0..=255)
        .flat_map(|n| (0..4).map(move |_| n))
        .map(|n| pool.lease(peer(n)).unwrap())
        .collect();
    for chunk in leases.chunks(4) {
        let mut ports: Vec<u16> = chunk.iter().map(PortLease::port).collect();
        ports.sort_unstable();
        assert_eq!(ports, [600, 601, 602, 603]);
    }
    assert!(
        pool.lease(peer(7)).unwrap_err().deadline().is_none(),
        "waits for a release alone"
    );
}

#[tokio::test(start_paused = true)]
async fn a_release_wakes_exactly_one_waiter_and_is_never_missed() {
    let pool = pool(600..=600);
    let held = pool.lease(peer(1)).unwrap();
    let waits: Vec<PortWait> = (0..3).map(|_| pool.lease(peer(1)).unwrap_err()).collect();
    // The ports are released before any waiter is polled.
    drop(held);
    let mut served = 0;
    for wait in waits {
        tokio::time::timeout(Duration::from_secs(1), wait.wait())
            .await
            .unwrap();
        drop(pool.lease(peer(1)).unwrap());
        served += 1;
    }
    assert_eq!(served, 3);
}

#[tokio::test(start_paused = true)]
async fn a_port_that_the_peer_closed_first_is_used_last_for_that_peer() {
    let pool = pool(600..=602);
    let mut first = pool.lease(peer(1)).unwrap();
    let cooled = first.port();
    first.remote_closed_first();
    drop(first);
    let others: Vec<PortLease> = (0..2).map(|_| pool.lease(peer(1)).unwrap()).collect();
    assert!(others.iter().all(|l| l.port() != cooled));
    // No other port is left, so the cooling port is used early instead of a wait.
    assert_eq!(pool.lease(peer(1)).unwrap().port(), cooled);
}

#[tokio::test(start_paused = true)]
async fn a_port_that_this_side_closed_first_is_tried_last_and_then_waited_for() {
    let pool = pool(600..=600);
    let mut lease = pool.lease(peer(1)).unwrap();
    lease.local_closed_first();
    drop(lease);
    let closed = Instant::now();
    assert_eq!(
        pool.lease(peer(2)).unwrap().port(),
        600,
        "another peer is not concerned"
    );

    // With TCP timestamps the kernel would allow the connection. In this test it refuses.
    pool.lease(peer(1)).unwrap().pair_in_use();
    let wait = pool.lease(peer(1)).unwrap_err();
    assert_eq!(wait.deadline(), Some(closed + TIME_WAIT));
    wait.wait().await;
    assert_eq!(Instant::now() - closed, TIME_WAIT);
    assert_eq!(pool.lease(peer(1)).unwrap().port(), 600);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_port_is_left_for_a_while_and_tried_again() {
    let pool = pool(600..=601);
    let lease = pool.lease(peer(1)).unwrap();
    let taken = lease.port();
    lease.port_is_foreign();
    let other = pool.lease(peer(2)).unwrap();
    assert_ne!(other.port(), taken);
    let wait = pool.lease(peer(2)).unwrap_err();
    assert_eq!(wait.deadline(), Some(Instant::now() + RETRY));
    wait.wait().await;
    assert_eq!(pool.lease(peer(2)).unwrap().port(), taken);
}

#[tokio::test(start_paused = true)]
async fn the_pool_starts_with_the_sockets_that_the_kernel_lists() {
    let pool = pool(600..=603);
    let left = Duration::from_secs(20);
    pool.observe(&[
        kernel(600, peer(1), KernelState::Waiting(left)),
        kernel(
            601,
            SocketAddr::from(([0, 0, 0, 0], 0)),
            KernelState::Listen,
        ),
        kernel(602, peer(1), KernelState::Live),
        kernel(9999, peer(1), KernelState::Live),
    ]);
    let one: Vec<u16> = (0..2)
        .map(|_| pool.lease(peer(1)).unwrap())
        .map(|l| {
            let port = l.port();
            std::mem::forget(l);
            port
        })
        .collect();
    assert_eq!(
        one,
        [603, 600],
        "the clean one, then the one in TIME_WAIT, which may work"
    );
    assert!(pool.lease(peer(1)).is_err());
    // For another peer, the unused port comes first, then ports with connections to other peers.
    let two = pool.lease(peer(2)).unwrap();
    assert_eq!(two.port(), 603);
    let doubtful = pool.lease(peer(2)).unwrap();
    assert!([600, 602].contains(&doubtful.port()));
}

#[tokio::test(start_paused = true)]
async fn the_port_of_a_listener_is_not_leased_until_the_listener_ends() {
    let pool = pool(600..=601);
    let listener = pool.lease_listener(&|_| true).unwrap();
    let lease = pool.lease(peer(1)).unwrap();
    assert_ne!(lease.port(), listener.port());
    let second = pool.lease_listener(&|_| true).unwrap();
    assert_eq!(
        second.port(),
        lease.port(),
        "a port with connections may be listened on"
    );
    assert!(pool.lease_listener(&|_| true).is_none());
    drop(second);
    drop(lease);
    drop(listener);
    assert_eq!(pool.capacity(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_an_ephemeral_port_is_short() {
    let pool = PortPool::ephemeral();
    let lease = pool.lease(peer(1)).unwrap();
    assert_eq!(lease.port(), 0);
    lease.pair_in_use();
    pool.lease(peer(1)).unwrap_err().wait().await;
    assert!(pool.lease(peer(1)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn two_seeds_use_the_ports_in_different_orders() {
    let walk = |seed| {
        let pool = PortPool::new((512..=1023).collect(), seed);
        (0..64)
            .map(|_| pool.lease(peer(1)).map(|l| l.port()).unwrap())
            .collect::<Vec<_>>()
    };
    assert_ne!(walk(1), walk(2));
    assert_eq!(walk(1), walk(1));
}

#[tokio::test(start_paused = true)]
async fn different_peers_share_a_few_ports() {
    let pool = PortPool::new((512..=1023).collect(), 7);
    let leases: Vec<PortLease> = (0..=255).map(|n| pool.lease(peer(n)).unwrap()).collect();
    let used: HashSet<u16> = leases.iter().map(PortLease::port).collect();
    assert_eq!(used.len(), WINDOW);
    // Listeners do not take these ports.
    let listeners: Vec<ListenerLease> = (0..64)
        .map(|_| pool.lease_listener(&|_| true).unwrap())
        .collect();
    assert!(listeners.iter().all(|l| !used.contains(&l.port())));
    // One peer takes all other ports. Other peers still get ports of the window only.
    let rest = 512 - 64 - 1;
    let many: Vec<PortLease> = (0..rest).map(|_| pool.lease(peer(1)).unwrap()).collect();
    assert!(pool.lease(peer(1)).is_err());
    let other = pool.lease(SocketAddr::from(([10, 0, 1, 1], 514))).unwrap();
    assert!(used.contains(&other.port()));
    drop(many);
}

#[tokio::test(start_paused = true)]
async fn a_window_of_ports_in_use_is_left_at_once() {
    let pool = PortPool::new((512..=1023).collect(), 7);
    for _ in 0..WINDOW {
        pool.lease(peer(1)).unwrap().port_is_foreign();
    }
    let leases: Vec<PortLease> = (0..=255).map(|n| pool.lease(peer(n)).unwrap()).collect();
    let used: HashSet<u16> = leases.iter().map(PortLease::port).collect();
    assert_eq!(used.len(), 1, "the next one serves all");
}

#[tokio::test(start_paused = true)]
async fn only_peers_with_a_lease_are_listed() {
    let pool = pool(600..=602);
    pool.observe(&[kernel(600, peer(1), KernelState::Waiting(TIME_WAIT))]);
    drop(pool.lease(peer(2)).unwrap());
    assert_eq!(pool.peers(), HashSet::from([peer(2).ip()]));
}

#[tokio::test(start_paused = true)]
async fn peers_without_ports_in_use_are_forgotten() {
    let pool = pool(600..=700);
    for round in 0..40_u32 {
        for n in 0..200_u32 {
            let address = SocketAddr::from((std::net::Ipv4Addr::from(round * 1000 + n), 514));
            let mut lease = pool.lease(address).unwrap();
            lease.remote_closed_first();
        }
        tokio::time::advance(Duration::from_secs(30)).await;
    }
    let kept = pool.lock().peers.len();
    assert!(
        kept < 3000,
        "{kept} of 8000 peers remembered; 600 peers are still cooling"
    );
}

/// One step of a random schedule.
#[derive(Clone, Debug)]
enum Act {
    Lease(u8),
    Listen,
    Close(usize, u8),
    CloseListener(usize),
    Pass(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => (0..3_u8).prop_map(Act::Lease),
        1 => Just(Act::Listen),
        5 => (any::<usize>(), 0..5_u8).prop_map(|(i, how)| Act::Close(i, how)),
        1 => any::<usize>().prop_map(Act::CloseListener),
        2 => (0..70_000_u64).prop_map(Act::Pass),
    ]
}

proptest! {
    /// Compares the pool with a plain model: no pair is leased twice, no port with a listener is leased, and nothing is
    /// leased before its time. A refusal always has a reason that passes.
    #[test]
    fn never_leases_a_used_pair_and_never_refuses_for_ever(acts in prop::collection::vec(act(), 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async move {
            let pool = pool(600..=603);
            let mut leases: Vec<PortLease> = Vec::new();
            let mut listeners: Vec<ListenerLease> = Vec::new();
            let mut blocked: HashMap<(u16, SocketAddr), Instant> = HashMap::new();
            let mut foreign: HashMap<u16, Instant> = HashMap::new();
            for act in acts {
                let now = Instant::now();
                match act {
                    Act::Lease(n) => match pool.lease(peer(n)) {
                        Ok(lease) => {
                            let port = lease.port();
                            assert!(!leases.iter().any(|l| l.port == port && l.peer == lease.peer));
                            assert!(!listeners.iter().any(|l| l.port == port));
                            assert!(blocked.get(&(port, peer(n))).is_none_or(|&t| t <= now));
                            assert!(foreign.get(&port).is_none_or(|&t| t <= now));
                            leases.push(lease);
                        }
                        Err(wait) => {
                            let held = leases.iter().any(|l| l.peer == peer(n)) || !listeners.is_empty();
                            let timed = wait.deadline().is_some_and(|t| t > now && t <= now + TIME_WAIT);
                            assert!(held || timed, "refused without a reason that passes");
                        }
                    },
                    Act::Listen => {
                        if let Some(lease) = pool.lease_listener(&|_| true) {
                            assert!(!listeners.iter().any(|l| l.port == lease.port));
                            assert!(foreign.get(&lease.port).is_none_or(|&t| t <= now));
                            listeners.push(lease);
                        }
                    }
                    Act::Close(i, how) if !leases.is_empty() => {
                        let mut lease = leases.swap_remove(i % leases.len());
                        let (port, to) = (lease.port, lease.peer);
                        match how {
                            0 => {}
                            1 => lease.remote_closed_first(),
                            2 => lease.local_closed_first(),
                            3 => {
                                lease.pair_in_use();
                                blocked.insert((port, to), now + RETRY);
                            }
                            _ => {
                                lease.port_is_foreign();
                                foreign.insert(port, now + RETRY);
                            }
                        }
                    }
                    Act::CloseListener(i) if !listeners.is_empty() => {
                        let listener = listeners.swap_remove(i % listeners.len());
                        // This pool had the listener on the port, so the port is free now.
                        foreign.remove(&listener.port);
                    }
                    Act::Pass(ms) => tokio::time::advance(Duration::from_millis(ms)).await,
                    Act::Close(..) | Act::CloseListener(_) => {}
                }
            }
            // Everything ends: after the longest wait each peer has all four ports.
            drop(leases);
            drop(listeners);
            tokio::time::advance(TIME_WAIT).await;
            for n in 0..3 {
                let all: Vec<PortLease> = (0..4).map(|_| pool.lease(peer(n)).unwrap()).collect();
                assert!(pool.lease(peer(n)).is_err());
                drop(all);
            }
        });
    }
}
