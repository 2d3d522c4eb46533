//! The daemons against a client of raw blocking sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open, test_kill_process};
use socket2::SockRef;

use super::*;

const TOKEN: &str = "sesame";
const DEADLINE: Duration = Duration::from_secs(20);

fn demo() -> Demo {
    let labels = ["first", "second"].map(Box::from).to_vec();
    Demo::start(labels, TOKEN.to_owned()).unwrap()
}

fn scripted(script: Script) -> (Demo, Receiver<Seen>) {
    let (sender, seen) = channel();
    (Demo::scripted(vec![script], sender).unwrap(), seen)
}

/// A client's end of one session.
struct Session {
    main: TcpStream,
    err: Option<TcpStream>,
}

fn dial(demo: &Demo, address: Ipv4Addr) -> TcpStream {
    let main = TcpStream::connect(SocketAddrV4::new(address, demo.port())).unwrap();
    main.set_read_timeout(Some(DEADLINE)).unwrap();
    main
}

impl Session {
    fn merged(demo: &Demo, target: u32, request: &[u8]) -> Session {
        let mut main = dial(demo, demo.address(TargetId(target)));
        main.write_all(request).unwrap();
        Session { main, err: None }
    }

    fn separate(demo: &Demo, target: u32, command: &str) -> Session {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let request = format!("{port}\0{TOKEN}\0you\0{command}\0");
        let mut session = Session::merged(demo, target, request.as_bytes());
        let (err, from) = listener.accept().unwrap();
        err.set_read_timeout(Some(DEADLINE)).unwrap();
        assert_eq!(from.ip(), demo.address(TargetId(target)));
        assert_eq!(demo.reserved(), (512..1024).contains(&from.port()));
        session.err = Some(err);
        session
    }

    /// Reads the first line after the status byte.
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            self.main.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        assert_eq!(line[0], 0, "status in {line:?}");
        String::from_utf8(line[1..line.len() - 1].to_vec()).unwrap()
    }

    /// Reads both connections to their end.
    fn finish(mut self) -> (Vec<u8>, Vec<u8>) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        self.main.read_to_end(&mut out).unwrap();
        if let Some(mut stream) = self.err.take() {
            stream.read_to_end(&mut err).unwrap();
        }
        (out, err)
    }

    fn reset(self) {
        for stream in [Some(self.main), self.err].into_iter().flatten() {
            SockRef::from(&stream)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        }
    }
}

fn merged(demo: &Demo, target: u32, command: &str) -> Vec<u8> {
    let request = format!("0\0{TOKEN}\0you\0{command}\0");
    let (out, _) = Session::merged(demo, target, request.as_bytes()).finish();
    out
}

/// A process to watch.
fn process(pid: &str) -> (Pid, std::os::fd::OwnedFd) {
    let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
    (pid, pidfd_open(pid, PidfdFlags::empty()).unwrap())
}

fn await_end(watch: &std::os::fd::OwnedFd) {
    let limit = DEADLINE.try_into().unwrap();
    let ready = poll(&mut [PollFd::new(watch, PollFlags::IN)], Some(&limit)).unwrap();
    assert_eq!(ready, 1, "the process is still there");
}

#[test]
fn addresses_count_up_and_stay_on_loopback() {
    assert_eq!(demo_address(0), Ipv4Addr::new(127, 77, 0, 1));
    assert_eq!(demo_address(300), Ipv4Addr::new(127, 77, 1, 45));
    assert_eq!(demo_address(u32::MAX), LAST);
    for index in [0, 1, 70_000, 999_999] {
        assert!(demo_address(index).is_loopback());
        assert_eq!(demo_index(demo_address(index)), Some(index as usize));
    }
    assert_eq!(demo_index(Ipv4Addr::LOCALHOST), None);
}

#[test]
fn without_a_second_connection_both_streams_are_one() {
    let demo = demo();
    let out = merged(&demo, 0, "echo out; echo err >&2; echo out");
    assert_eq!(out, b"\0out\nerr\nout\n");
}

#[test]
fn with_a_second_connection_the_streams_are_apart() {
    let demo = demo();
    let session = Session::separate(&demo, 1, "echo out; echo err >&2");
    assert_eq!(session.finish(), (b"\0out\n".to_vec(), b"err\n".to_vec()));
}

#[test]
fn each_target_knows_its_name_and_little_else() {
    let demo = demo();
    assert_eq!(merged(&demo, 0, "echo $MRSH_HOST"), b"\0first\n");
    assert_eq!(merged(&demo, 1, "echo $MRSH_HOST"), b"\0second\n");
    let out = merged(&demo, 0, r"env | sed 's/=.*//' | sort | tr '\n' ' '; pwd");
    let home = uzers::get_user_by_uid(uzers::get_current_uid())
        .map(|user| uzers::os::unix::UserExt::home_dir(&user).to_owned())
        .filter(|home| home.is_dir())
        .unwrap_or("/".into());
    let expected = format!("\0HOME MRSH_HOST PATH PWD SHELL USER {}\n", home.display());
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn strangers_are_denied() {
    let demo = demo();
    for token in ["", "sesam", "sesame!", "Sesame"] {
        let request = format!("0\0{token}\0you\0echo hello\0");
        let (out, _) = Session::merged(&demo, 0, request.as_bytes()).finish();
        assert_eq!(out, b"\x01Permission denied.\n");
    }
    let mut main = dial(&demo, Ipv4Addr::LOCALHOST);
    main.write_all(b"0\0sesame\0you\0echo hello\0").unwrap();
    let session = Session { main, err: None };
    assert_eq!(session.finish().0, b"\x01Permission denied.\n");
}

#[test]
fn requests_that_are_not_one_are_refused() {
    let demo = demo();
    let (out, _) = Session::merged(&demo, 0, b"port\0\0\0\0").finish();
    assert_eq!(out, b"\x01bad port number\n");
}

#[test]
fn tokens_must_fit_a_user_name() {
    for bad in [String::new(), "a\0b".to_owned(), "x".repeat(TOKEN_MAX + 1)] {
        let error = Demo::start(Vec::new(), bad).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn what_follows_the_request_is_standard_input() {
    let demo = demo();
    let request = format!("0\0{TOKEN}\0you\0cat\0first\n");
    let mut session = Session::merged(&demo, 0, request.as_bytes());
    assert_eq!(session.line(), "first");
    session.main.write_all(b"second\n").unwrap();
    session.main.shutdown(Shutdown::Write).unwrap();
    assert_eq!(session.finish().0, b"second\n");
}

#[test]
fn a_command_too_long_for_the_system_fails_after_the_status() {
    let demo = demo();
    let session = Session::separate(&demo, 0, &format!(": {}", "x".repeat(200_000)));
    let (out, err) = session.finish();
    assert_eq!(out, b"\0");
    let err = String::from_utf8(err).unwrap();
    assert!(err.contains("Argument list too long"), "{err}");
}

#[test]
fn both_streams_can_be_large() {
    let demo = demo();
    let mut session = Session::separate(
        &demo,
        0,
        "head -c 3000000 /dev/zero >&2 & head -c 3000000 /dev/zero; wait",
    );
    let mut err = session.err.take().unwrap();
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
    let demo = demo();
    let session = Session::separate(&demo, 0, "echo");
    let ours = session.main.local_addr().unwrap();
    session.finish();
    // With a TIME_WAIT on this side the port could not be bound.
    TcpListener::bind(ours).unwrap();
}

#[test]
fn standard_error_may_end_before_the_command() {
    let demo = demo();
    let mut session = Session::separate(&demo, 0, "exec 2>&-; echo; cat");
    assert_eq!(session.line(), "");
    let mut err = session.err.take().unwrap();
    assert_eq!(err.read(&mut [0; 8]).unwrap(), 0);
    session.main.shutdown(Shutdown::Write).unwrap();
    assert_eq!(session.finish().0, b"");
}

#[test]
fn signals_reach_the_whole_group() {
    let demo = demo();
    // The inner shell says its number itself: before its exec the outer one's trap is still set.
    let command = "trap 'echo caught; exit' TERM; sh -c 'echo $$; exec sleep 1000' & wait";
    let mut session = Session::separate(&demo, 0, command);
    let (_, sleep) = process(&session.line());
    // Numbers that are no signal are passed over.
    let err = session.err.as_mut().unwrap();
    err.write_all(&[0, 200, 15]).unwrap();
    await_end(&sleep);
    let (out, err) = session.finish();
    assert_eq!(out, b"caught\n");
    assert_eq!(err, b"");
}

#[test]
fn a_signal_right_before_a_reset_still_arrives() {
    let demo = demo();
    let path = std::env::temp_dir().join(format!("mrsh-demo-{}", std::process::id()));
    let file = path.display();
    let command = format!("trap 'echo caught >{file}; exit' TERM; echo $$; cat");
    let mut session = Session::separate(&demo, 0, &command);
    let (_, shell) = process(&session.line());
    session.err.as_mut().unwrap().write_all(&[15]).unwrap();
    session.reset();
    await_end(&shell);
    assert_eq!(std::fs::read(&path).unwrap(), b"caught\n");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn commands_of_clients_that_have_gone_are_ended() {
    let demo = demo();
    let stubborn = "trap '' HUP TERM; echo $$; exec sleep 1000";
    let request = format!("0\0{TOKEN}\0you\0{stubborn}\0");
    for mut session in [
        Session::separate(&demo, 0, stubborn),
        Session::merged(&demo, 0, request.as_bytes()),
    ] {
        let (_, sleep) = process(&session.line());
        session.reset();
        await_end(&sleep);
    }
}

#[test]
fn dropping_the_demo_ends_and_reaps_all_commands() {
    let demo = demo();
    let stubborn = "trap '' HUP TERM; echo $$; exec sleep 1000";
    let request = format!("0\0{TOKEN}\0you\0{stubborn}\0");
    let mut sessions = [
        Session::separate(&demo, 0, stubborn),
        Session::merged(&demo, 1, request.as_bytes()),
    ];
    let watches = sessions.each_mut().map(|session| process(&session.line()));
    drop(demo);
    for (pid, _) in watches {
        assert!(test_kill_process(pid).is_err(), "not reaped: {pid:?}");
    }
}

#[test]
fn many_at_once_share_port_1023() {
    let labels: Vec<Box<str>> = (0..100).map(|i| i.to_string().into()).collect();
    let demo = Demo::start(labels, TOKEN.to_owned()).unwrap();
    let sessions: Vec<Session> = (0..100)
        .map(|target| Session::separate(&demo, target, "echo $MRSH_HOST"))
        .collect();
    for (target, session) in sessions.into_iter().enumerate() {
        assert_eq!(session.finish().0, format!("\0{target}\n").as_bytes());
    }
}

/// The client's wrapper, as far as scripts look at it.
const WRAPPED: &str = r#"exec /bin/sh -c '...;printf "T0K:%d\n" $?' sh 'ls'"#;

/// Everything until the script is done.
fn told(seen: &Receiver<Seen>) -> Vec<Seen> {
    let mut told = Vec::new();
    while !matches!(told.last(), Some(Seen::Done | Seen::CutShort)) {
        told.push(seen.recv_timeout(DEADLINE).unwrap());
    }
    told
}

#[test]
fn scripts_say_what_they_see() {
    let (demo, seen) = scripted(
        Script::printing("out\n", 3)
            .send(Wire::Err, "err\n")
            .then(Step::AwaitSignal(15)),
    );
    let mut session = Session::separate(&demo, 0, WRAPPED);
    let port = session.main.local_addr().unwrap().port();
    session.err.as_mut().unwrap().write_all(&[2, 15]).unwrap();
    let (out, err) = session.finish();
    assert_eq!(out, b"\0out\nT0K:3\n");
    assert_eq!(err, b"err\n");
    let told = told(&seen);
    assert_eq!(told[0], Seen::Connected(port));
    assert!(matches!(&told[1], Seen::CalledBack(_)));
    assert!(matches!(&told[2], Seen::Request(r) if r.command == WRAPPED.as_bytes()));
    assert_eq!(told[3..], [Seen::Signal(2), Seen::Signal(15), Seen::Done]);
}

#[test]
fn scripts_reset_and_close_either_connection() {
    let (demo, _seen) = scripted(
        Script::started()
            .then(Step::Close(Wire::Err))
            .send(Wire::Main, "out")
            .then(Step::AwaitSignal(1))
            .then(Step::Reset(Wire::Main)),
    );
    let mut session = Session::separate(&demo, 0, WRAPPED);
    let mut err = session.err.take().unwrap();
    assert_eq!(err.read(&mut [0; 8]).unwrap(), 0);
    let mut out = Vec::new();
    let error = session.main.read_to_end(&mut out).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn scripts_repeat_to_both_connections() {
    let (demo, _seen) = scripted(Script::started().then(Step::Repeat {
        to: vec![Wire::Main, Wire::Err],
        piece: b"0123456789".to_vec(),
        times: 1000,
    }));
    let (out, err) = Session::separate(&demo, 0, WRAPPED).finish();
    assert_eq!((out.len(), err.len()), (10_001, 10_000));
}

#[test]
fn scripts_notice_that_the_client_has_gone() {
    let (demo, seen) = scripted(Script::started().then(Step::AwaitClient));
    let mut session = Session::separate(&demo, 0, WRAPPED);
    session.main.read_exact(&mut [0]).unwrap();
    session.reset();
    let told = told(&seen);
    assert!(told.contains(&Seen::WasReset(Wire::Main)), "{told:?}");
    assert!(told.contains(&Seen::WasReset(Wire::Err)), "{told:?}");
}

#[test]
fn a_stalled_script_does_not_hold_up_the_end() {
    let (demo, _seen) = scripted(Script::started().then(Step::Stall));
    let mut session = Session::separate(&demo, 0, WRAPPED);
    session.main.read_exact(&mut [0]).unwrap();
    drop(demo);
    assert_eq!(session.finish(), (vec![], vec![]));
}
