//! The daemon's connection for standard error: its start and its end.

use std::net::Ipv4Addr;
use std::time::Duration;

use fake_rshd::{Callback, CallbackPort, Connection, Observation, Script, Step};
use rustix::process::Signal;

use super::{failed, is_lost, line, run, run_with};
use crate::support::{Ended, FakeRshd, Mrsh, host, may_skip, reserved_ports};

fn call_back(address: Option<Ipv4Addr>, port: CallbackPort) -> Script {
    Script::after_request().then(Step::CallBack(Callback { address, port }))
}

/// The rest of a session that prints a line on each stream.
fn prints_both(script: Script) -> Script {
    script
        .send(Connection::Main, "\0out\n")
        .send(Connection::Callback, "err\n")
        .then(Step::EndMarker(0))
}

#[track_caller]
fn printed_both(ended: Ended) {
    let err = format!("{}: err\n", host(0));
    ended.status(0).stdout(line("out")).stderr(&err);
}

#[test]
fn a_daemon_that_starts_the_command_without_calling_back() {
    let script = Script::after_request()
        .send(Connection::Main, "\0out\n")
        .then(Step::AwaitClose);
    is_lost(run(script), "no call-back");
}

#[test]
fn a_call_back_from_another_address() {
    let elsewhere = Some(Ipv4Addr::new(127, 88, 0, 1));
    printed_both(run(prints_both(call_back(
        elsewhere,
        CallbackPort::Reserved,
    ))));
}

#[test]
fn a_call_back_from_a_port_that_anybody_can_use() {
    printed_both(run(prints_both(call_back(None, CallbackPort::Any))));
    if !reserved_ports() {
        return may_skip("no right to bind reserved ports");
    }
    let honest = FakeRshd::playing(prints_both(call_back(None, CallbackPort::Reserved)));
    printed_both(honest.mrsh_from("reserved").arg("true").run());
    let script = call_back(None, CallbackPort::Any).send(Connection::Main, [0]);
    let fake = FakeRshd::playing(script.then(Step::AwaitClose));
    let ended = fake.mrsh_from("reserved").arg("true").run();
    is_lost(ended, "no call-back");
    let observed = fake.observed();
    let reset = [
        Observation::CallbackFailed,
        Observation::Reset(Connection::Callback),
    ];
    assert!(
        reset.iter().any(|seen| observed.contains(seen)),
        "{observed:?}"
    );
}

#[test]
fn two_call_backs() {
    let again = Step::CallBack(Callback::default());
    let ended = run(prints_both(Script::after_callback().then(again))).status(0);
    let ended = ended.stdout(line("out"));
    // The second call-back is a stray. It is reported if it came before the end of the run.
    let err = format!("{}: err\n", host(0));
    let report = ended.stderr.strip_prefix(&err).unwrap_or("no err");
    assert!(
        report.is_empty() || report.contains("127.77.0.1:"),
        "{ended:?}"
    );
}

#[test]
fn a_call_back_that_comes_late() {
    let late = |millis| {
        Script::after_request()
            .then(Step::Sleep(Duration::from_millis(millis)))
            .then(Step::CallBack(Callback::default()))
    };
    printed_both(run(prints_both(late(400))));
    is_lost(
        run_with(prints_both(late(5_000)), &["-t", "0.5"]),
        "no call-back",
    );
}

#[test]
fn standard_error_that_ends_first() {
    let script = Script::after_start()
        .send(Connection::Callback, "err")
        .then(Step::Close(Connection::Callback))
        .then(Step::Sleep(Duration::from_millis(300)))
        .send(Connection::Main, "out\n")
        .then(Step::EndMarker(0));
    printed_both(run(script));
}

#[test]
fn standard_error_that_ends_last() {
    let script = Script::printing("out\n", 0)
        .then(Step::Close(Connection::Main))
        .then(Step::Sleep(Duration::from_millis(300)))
        .send(Connection::Callback, "err");
    printed_both(run(script));
}

#[test]
fn standard_error_that_ends_with_a_reset() {
    // If a daemon has not read the signals on this connection, its end is a reset.
    let script = prints_both(Script::after_callback())
        .then(Step::Close(Connection::Main))
        .then(Step::Reset(Connection::Callback));
    printed_both(run(script));
}

#[test]
fn standard_error_that_never_ends() {
    let script = Script::printing("out\n", 0)
        .then(Step::Close(Connection::Main))
        .then(Step::Stall);
    let ended = run_with(script, &["-u", "2"]).status(3);
    ended
        .stdout(line("out"))
        .says(&[&failed("command timed out after 2 s")]);
}

/// Hosts that call back from other addresses than the called ones, more hosts at once than there are
/// listeners: each must get its own stderr.
#[track_caller]
fn elsewhere(silent: usize, before_status: Duration) {
    const HOSTS: usize = 300;
    let own = |i: usize| {
        let address = Some(Ipv4Addr::new(127, 88, (i / 250) as u8, (i % 250 + 1) as u8));
        call_back(address, CallbackPort::Reserved)
            .then(Step::Sleep(before_status))
            .send(Connection::Main, "\0")
            .send(Connection::Callback, format!("{}\n", host(i as u32)))
            .then(Step::EndMarker(0))
    };
    let mut scripts: Vec<Script> = (0..HOSTS).map(own).collect();
    scripts.extend(vec![Script::after_request().then(Step::Stall); silent]);
    let fake = FakeRshd::playing_all(scripts);
    let fanout = (HOSTS + silent).to_string();
    let ended = fake.mrsh().args(&["-j", &fanout, "-t", "6", "true"]).run();
    for i in (0..HOSTS).map(|i| host(i as u32)) {
        let line = format!("{i}: {i}");
        assert!(ended.stderr.lines().any(|l| l == line), "{i}: {ended:?}");
    }
}

#[test]
fn call_backs_from_other_addresses_than_those_called() {
    elsewhere(0, Duration::ZERO);
    elsewhere(0, Duration::from_millis(100));
}

#[test]
fn call_backs_from_other_addresses_beside_daemons_that_never_call_back() {
    elsewhere(150, Duration::ZERO);
}

#[test]
fn daemons_that_never_call_back_do_not_hold_up_those_that_do() {
    // More daemons than there are listeners.
    let mut scripts = vec![Script::after_request().then(Step::Stall); 100];
    scripts.push(prints_both(Script::after_callback()));
    let fake = FakeRshd::playing_all(scripts);
    let mut running = fake.mrsh().args(&["-j", "101", "-t", "20", "true"]).start();
    running.has_printed(format!("{}: out\n", host(100)).as_bytes());
    running.signal(Signal::TERM);
    assert_eq!(running.finish().signal, Some(15));
}

#[test]
fn one_source_port_is_too_few_for_call_backs() {
    let mrsh = || Mrsh::new().args(&["--source-ports", "700-700", "-w", "127.0.0.1"]);
    let ended = mrsh().arg("true").run().status(2);
    ended.says(&[
        "mrsh: cannot use source ports 700-700: separate standard error needs at least 2, one to listen on \
         for the daemons' call-backs and one to connect from\n  = help: use --stderr merge, or a larger range\n",
    ]);
    // Without a listener, one port is enough.
    let dry = mrsh().args(&["-n", "--stderr", "merge", "true"]).run();
    assert_ne!(dry.status, Some(2), "{dry:?}");
}
