//! Daemons that run commands.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener};
use std::os::fd::OwnedFd;

use fake_rshd::{Daemons, Shell, TOKEN_MAX};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open, test_kill_process};

use crate::client::{DEADLINE, Session, TOKEN, connect};

fn daemons() -> Daemons {
    Daemons::run_commands(Shell::new(TOKEN, ["first", "second"])).unwrap()
}

fn merged(daemons: &Daemons, index: u32, command: &str) -> Vec<u8> {
    let request = format!("0\0{TOKEN}\0you\0{command}\0");
    let (out, _) = Session::merged(daemons, index, request.as_bytes()).finish();
    out
}

/// Returns a process and its descriptor, which becomes readable when the process ends.
fn process(pid: &str) -> (Pid, OwnedFd) {
    let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
    (pid, pidfd_open(pid, PidfdFlags::empty()).unwrap())
}

fn await_end(process: &OwnedFd) {
    let limit = DEADLINE.try_into().unwrap();
    let ready = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&limit)).unwrap();
    assert_eq!(ready, 1, "the process is still there");
}

#[test]
fn without_a_callback_both_streams_are_one() {
    let daemons = daemons();
    let out = merged(&daemons, 0, "echo out; echo err >&2; echo out");
    assert_eq!(out, b"\0out\nerr\nout\n");
}

#[test]
fn with_a_callback_the_streams_are_apart() {
    let daemons = daemons();
    let session = Session::separate(&daemons, 1, "echo out; echo err >&2");
    assert_eq!(session.finish(), (b"\0out\n".to_vec(), b"err\n".to_vec()));
}

#[test]
fn commands_find_their_label_and_little_else() {
    let daemons = daemons();
    assert_eq!(merged(&daemons, 0, "echo $RSH_HOST"), b"\0first\n");
    assert_eq!(merged(&daemons, 1, "echo $RSH_HOST"), b"\0second\n");
    let out = merged(
        &daemons,
        0,
        r"env | sed 's/=.*//' | sort | tr '\n' ' '; pwd",
    );
    let home = uzers::get_user_by_uid(uzers::get_current_uid())
        .map(|user| uzers::os::unix::UserExt::home_dir(&user).to_owned())
        .filter(|home| home.is_dir())
        .unwrap_or("/".into());
    let expected = format!("\0HOME PATH PWD RSH_HOST SHELL USER {}\n", home.display());
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn strangers_are_denied() {
    let daemons = daemons();
    for token in ["", "sesam", "sesame!", "Sesame"] {
        let request = format!("0\0{token}\0you\0echo hello\0");
        let (out, _) = Session::merged(&daemons, 0, request.as_bytes()).finish();
        assert_eq!(out, b"\x01Permission denied.\n");
    }
    let mut main = connect(&daemons, Ipv4Addr::LOCALHOST);
    main.write_all(b"0\0sesame\0you\0echo hello\0").unwrap();
    let session = Session {
        main,
        callback: None,
    };
    assert_eq!(session.finish().0, b"\x01Permission denied.\n");
}

#[test]
fn malformed_requests_are_refused() {
    let daemons = daemons();
    let (out, _) = Session::merged(&daemons, 0, b"port\0\0\0\0").finish();
    assert_eq!(out, b"\x01bad port number\n");
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let long = "x".repeat(TOKEN_MAX + 1);
    let mut bad: Vec<Shell> = ["", "a\0b", &long]
        .map(|token| Shell::new(token, ["label"]))
        .into();
    bad.extend(["", "A=B", "A\0"].map(|name| Shell::new(TOKEN, ["label"]).label_variable(name)));
    for shell in bad {
        let error = Daemons::run_commands(shell.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{shell:?}");
    }
}

#[test]
fn the_variable_of_the_label_can_be_chosen() {
    let shell = Shell::new(TOKEN, ["first"]).label_variable("NODE");
    let daemons = Daemons::run_commands(shell).unwrap();
    assert_eq!(merged(&daemons, 0, "echo $NODE$RSH_HOST"), b"\0first\n");
}

#[test]
fn bytes_after_the_request_are_standard_input() {
    let daemons = daemons();
    let request = format!("0\0{TOKEN}\0you\0cat\0first\n");
    let mut session = Session::merged(&daemons, 0, request.as_bytes());
    assert_eq!(session.line(), "first");
    session.main.write_all(b"second\n").unwrap();
    session.main.shutdown(Shutdown::Write).unwrap();
    assert_eq!(session.finish().0, b"second\n");
}

#[test]
fn a_command_too_long_for_the_system_fails_after_the_status() {
    let daemons = daemons();
    let session = Session::separate(&daemons, 0, &format!(": {}", "x".repeat(200_000)));
    let (out, err) = session.finish();
    assert_eq!(out, b"\0");
    let err = String::from_utf8(err).unwrap();
    assert!(err.contains("Argument list too long"), "{err}");
}

#[test]
fn both_streams_can_be_large() {
    let daemons = daemons();
    let mut session = Session::separate(
        &daemons,
        0,
        "head -c 3000000 /dev/zero >&2 & head -c 3000000 /dev/zero; wait",
    );
    let mut err = session.callback.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        err.read_to_end(&mut bytes).unwrap();
        bytes.len()
    });
    assert_eq!(session.finish().0.len(), 3_000_001);
    assert_eq!(reader.join().unwrap(), 3_000_000);
}

#[test]
fn the_server_closes_first() {
    let daemons = daemons();
    let session = Session::separate(&daemons, 0, "echo");
    let ours = session.main.local_addr().unwrap();
    session.finish();
    // With a TIME_WAIT on this side the port could not be bound.
    TcpListener::bind(ours).unwrap();
}

#[test]
fn standard_error_may_end_before_the_command() {
    let daemons = daemons();
    let mut session = Session::separate(&daemons, 0, "exec 2>&-; echo; cat");
    assert_eq!(session.line(), "");
    let mut err = session.callback.take().unwrap();
    assert_eq!(err.read(&mut [0; 8]).unwrap(), 0);
    session.main.shutdown(Shutdown::Write).unwrap();
    assert_eq!(session.finish().0, b"");
}

#[test]
fn signals_reach_the_whole_group() {
    let daemons = daemons();
    // The inner shell prints its own number, because before its exec it still has the trap of the outer shell.
    let command = "trap 'echo caught; exit' TERM; sh -c 'echo $$; exec sleep 1000' & wait";
    let mut session = Session::separate(&daemons, 0, command);
    let (_, sleep) = process(&session.line());
    // Numbers that are no signal are ignored.
    let signals = session.callback.as_mut().unwrap();
    signals.write_all(&[0, 200, 15]).unwrap();
    await_end(&sleep);
    let (out, err) = session.finish();
    assert_eq!(out, b"caught\n");
    assert_eq!(err, b"");
}

#[test]
fn a_signal_right_before_a_reset_still_arrives() {
    let daemons = daemons();
    let path = std::env::temp_dir().join(format!("fake-rshd-{}", std::process::id()));
    let file = path.display();
    let command = format!("trap 'echo caught >{file}; exit' TERM; echo $$; cat");
    let is_caught = || {
        let mut session = Session::separate(&daemons, 0, &command);
        let (_, shell) = process(&session.line());
        session.callback.as_mut().unwrap().write_all(&[15]).unwrap();
        session.reset();
        await_end(&shell);
        std::fs::read(&path).is_ok_and(|text| text == b"caught\n")
    };
    // The command has a second for its reaction, in which a shell on a busy machine may not run.
    assert!((0..5).any(|_| is_caught()), "the signal never arrives");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn commands_of_disconnected_clients_are_ended() {
    let daemons = daemons();
    let stubborn = "trap '' HUP TERM; echo $$; exec sleep 1000";
    let request = format!("0\0{TOKEN}\0you\0{stubborn}\0");
    for mut session in [
        Session::separate(&daemons, 0, stubborn),
        Session::merged(&daemons, 0, request.as_bytes()),
    ] {
        let (_, sleep) = process(&session.line());
        session.reset();
        await_end(&sleep);
    }
}

#[test]
fn dropping_the_daemons_ends_and_reaps_all_commands() {
    let daemons = daemons();
    let stubborn = "trap '' HUP TERM; echo $$; exec sleep 1000";
    let request = format!("0\0{TOKEN}\0you\0{stubborn}\0");
    let mut sessions = [
        Session::separate(&daemons, 0, stubborn),
        Session::merged(&daemons, 1, request.as_bytes()),
    ];
    let watches = sessions.each_mut().map(|session| process(&session.line()));
    drop(daemons);
    for (pid, _) in watches {
        assert!(test_kill_process(pid).is_err(), "not reaped: {pid:?}");
    }
}

#[test]
fn many_callbacks_share_port_1023() {
    let labels = (0..100).map(|index| index.to_string());
    let daemons = Daemons::run_commands(Shell::new(TOKEN, labels)).unwrap();
    let sessions: Vec<Session> = (0..100)
        .map(|index| Session::separate(&daemons, index, "echo $RSH_HOST"))
        .collect();
    for (index, session) in sessions.into_iter().enumerate() {
        assert_eq!(session.finish().0, format!("\0{index}\n").as_bytes());
    }
}
