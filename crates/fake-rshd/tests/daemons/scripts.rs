//! Daemons that play scripts.

use std::io::{ErrorKind, Read, Write};
use std::sync::mpsc::Receiver;

use fake_rshd::{Connection, Daemons, Observation, Script, Step};

use crate::client::{DEADLINE, Session};

fn scripted(script: Script) -> (Daemons, Receiver<Observation>) {
    Daemons::play_scripts(vec![script]).unwrap()
}

/// A client's wrapper, reduced to the part that scripts read.
const WRAPPED: &str = r#"exec /bin/sh -c '...;printf "T0K:%d\n" $?' sh 'ls'"#;

/// Receives all observations until the script has ended.
fn all(observations: &Receiver<Observation>) -> Vec<Observation> {
    let mut all = Vec::new();
    while !matches!(
        all.last(),
        Some(Observation::Finished | Observation::Aborted)
    ) {
        all.push(observations.recv_timeout(DEADLINE).unwrap());
    }
    all
}

#[test]
fn scripts_report_their_observations() {
    let (daemons, observations) = scripted(
        Script::printing("out\n", 3)
            .send(Connection::Callback, "err\n")
            .then(Step::AwaitSignal(15)),
    );
    let mut session = Session::separate(&daemons, 0, WRAPPED);
    let port = session.main.local_addr().unwrap().port();
    session
        .callback
        .as_mut()
        .unwrap()
        .write_all(&[2, 15])
        .unwrap();
    let (out, err) = session.finish();
    assert_eq!(out, b"\0out\nT0K:3\n");
    assert_eq!(err, b"err\n");
    let all = all(&observations);
    assert_eq!(all[0], Observation::Connected(port));
    assert!(matches!(&all[1], Observation::CalledBack(_)));
    assert!(matches!(&all[2], Observation::Request(r) if r.command == WRAPPED.as_bytes()));
    assert_eq!(
        all[3..],
        [
            Observation::Signal(2),
            Observation::Signal(15),
            Observation::Finished
        ]
    );
}

#[test]
fn scripts_reset_and_close_either_connection() {
    let (daemons, _observations) = scripted(
        Script::after_start()
            .then(Step::Close(Connection::Callback))
            .send(Connection::Main, "out")
            .then(Step::AwaitSignal(1))
            .then(Step::Reset(Connection::Main)),
    );
    let mut session = Session::separate(&daemons, 0, WRAPPED);
    let mut err = session.callback.take().unwrap();
    assert_eq!(err.read(&mut [0; 8]).unwrap(), 0);
    let mut out = Vec::new();
    let error = session.main.read_to_end(&mut out).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn scripts_repeat_to_both_connections() {
    let (daemons, _observations) = scripted(Script::after_start().then(Step::Repeat {
        to: vec![Connection::Main, Connection::Callback],
        bytes: b"0123456789".to_vec(),
        times: 1000,
    }));
    let (out, err) = Session::separate(&daemons, 0, WRAPPED).finish();
    assert_eq!((out.len(), err.len()), (10_001, 10_000));
}

#[test]
fn scripts_report_that_the_client_has_disconnected() {
    let (daemons, observations) = scripted(Script::after_start().then(Step::AwaitClose));
    let mut session = Session::separate(&daemons, 0, WRAPPED);
    session.main.read_exact(&mut [0]).unwrap();
    session.reset();
    let all = all(&observations);
    assert!(
        all.contains(&Observation::Reset(Connection::Main)),
        "{all:?}"
    );
    assert!(
        all.contains(&Observation::Reset(Connection::Callback)),
        "{all:?}"
    );
}

#[test]
fn a_stalled_script_does_not_delay_the_end() {
    let (daemons, _observations) = scripted(Script::after_start().then(Step::Stall));
    let mut session = Session::separate(&daemons, 0, WRAPPED);
    session.main.read_exact(&mut [0]).unwrap();
    drop(daemons);
    assert_eq!(session.finish(), (vec![], vec![]));
}
