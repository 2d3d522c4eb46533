//! Servers that are no ssh servers, or that violate the protocol: each host ends in time, with the right failure class.
//! Faults after the handshake are tested with real servers, in tests/lab/cases/ssh_faults.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::sshd::{HostKey, METHODS, PASSWORD, Stage, Talk, known_hosts_line};
use crate::support::{Mrsh, finished, records};

/// The banner of a real server.
const BANNER: &[u8] = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n";

/// A server that handles every connection with the same function, on a port of its own, as long as the test runs.
fn serve(treat: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let treat = treat.clone();
            std::thread::spawn(move || treat(stream));
        }
    });
    port
}

/// Writes bytes. Errors are ignored, because the client may have closed.
fn say(mut stream: &TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
}

/// Reads and discards everything until the other side closes or resets.
fn listen(mut stream: &TcpStream) {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
}

/// Resets the connection.
fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

/// Returns the failure of one host at this port: class, phase and message. The run takes no longer than `most`.
#[track_caller]
fn failure(port: u16, timeout: &str, most: Duration) -> (String, String, String) {
    let begin = Instant::now();
    let ended = Mrsh::new()
        .args(&["-R", "ssh", "-F", "none", "--json", "-t", timeout, "-p"])
        .arg(port.to_string())
        .args(&[
            "-w",
            "127.0.0.1",
            "--ssh-option",
            "UserKnownHostsFile=none",
            "true",
        ])
        .run()
        .status(3);
    assert!(begin.elapsed() < most, "{:?}: {ended:?}", begin.elapsed());
    let records = records(&ended);
    let finished = records
        .iter()
        .find(|record| record["event"] == "finished")
        .unwrap();
    let field = |name: &str| finished["failure"][name].as_str().unwrap().to_owned();
    (field("class"), field("phase"), field("message"))
}

/// Asserts that a host fails at once with this class and phase, and with these words in the message.
#[track_caller]
fn fails_at_once(port: u16, class: &str, phase: &str, words: &str) {
    let found = failure(port, "20", Duration::from_secs(10));
    assert_eq!((&*found.0, &*found.1), (class, phase), "{}", found.2);
    assert!(found.2.contains(words), "{}", found.2);
}

/// Asserts the same of a host that fails at its timeout.
#[track_caller]
fn fails_in_time(port: u16, class: &str, phase: &str, words: &str) {
    let found = failure(port, "1.5", Duration::from_secs(15));
    assert_eq!((&*found.0, &*found.1), (class, phase), "{}", found.2);
    assert!(found.2.contains(words), "{}", found.2);
}

#[test]
fn a_server_that_sends_nothing() {
    let port = serve(|stream| listen(&stream));
    fails_in_time(
        port,
        "connect-timeout",
        "handshake",
        "timed out after 1.5 s while waiting for the ssh handshake",
    );
}

#[test]
fn a_banner_without_end() {
    let port = serve(|stream| while (&stream).write_all(&[b'x'; 1024]).is_ok() {});
    fails_at_once(port, "protocol", "handshake", "not an ssh server: xxxxx");
}

#[test]
fn lines_without_end() {
    let port = serve(|stream| while (&stream).write_all(b"hello\r\n").is_ok() {});
    fails_at_once(port, "protocol", "handshake", "not an ssh server: hello");
}

#[test]
fn the_old_protocol() {
    let port = serve(|stream| {
        say(&stream, b"SSH-1.5-OpenSSH_2.3\n");
        listen(&stream);
    });
    fails_at_once(port, "protocol", "handshake", "only the old protocol 1");
}

#[test]
fn a_web_server() {
    let port = serve(|stream| {
        say(
            &stream,
            b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        );
    });
    fails_at_once(port, "protocol", "handshake", "HTTP/1.1 400 Bad Request");
}

#[test]
fn a_line_and_then_silence() {
    let port = serve(|stream| {
        say(&stream, b"220 mail.example ESMTP\r\n");
        listen(&stream);
    });
    fails_in_time(port, "protocol", "handshake", "220 mail.example ESMTP");
}

#[test]
fn garbage_instead_of_packets() {
    let port = serve(|stream| {
        say(&stream, BANNER);
        say(&stream, &[0xa5; 4096]);
        listen(&stream);
    });
    let words = "not an ssh server: it sent a packet of an impossible length";
    fails_at_once(port, "protocol", "handshake", words);
}

#[test]
fn a_key_exchange_with_invalid_lists() {
    // A packet of the right form, whose name lists are not valid.
    let mut packet = vec![0, 0, 0, 60, 4, 20];
    packet.extend([0xff; 58]);
    let port = serve(move |stream| {
        say(&stream, BANNER);
        say(&stream, &packet);
        listen(&stream);
    });
    let words = "not an ssh server: it sent a malformed KEXINIT";
    fails_at_once(port, "protocol", "handshake", words);
}

#[test]
fn no_algorithm_in_common() {
    let mut packet = vec![20];
    packet.extend([7; 16]);
    for list in [
        "diffie-hellman-group1-sha1",
        "ssh-dss",
        "3des-cbc",
        "3des-cbc",
        "hmac-md5",
        "hmac-md5",
        "none",
        "none",
        "",
        "",
    ] {
        packet.extend(u32::try_from(list.len()).unwrap().to_be_bytes());
        packet.extend(list.as_bytes());
    }
    packet.extend([0; 5]);
    let padding = 8 - (packet.len() + 5) % 8 + 8;
    let mut whole = u32::try_from(packet.len() + 1 + padding)
        .unwrap()
        .to_be_bytes()
        .to_vec();
    whole.push(u8::try_from(padding).unwrap());
    whole.extend(packet);
    whole.extend(vec![0; padding]);
    let port = serve(move |stream| {
        say(&stream, BANNER);
        say(&stream, &whole);
        listen(&stream);
    });
    fails_at_once(port, "handshake", "handshake", "try -R openssh");
}

#[test]
fn messages_without_end() {
    // SSH_MSG_IGNORE. libssh2 would read such messages for ever.
    let mut packet = vec![0, 0, 0x10, 0x0c, 6, 2, 0, 0, 0x10, 0];
    packet.extend([0; 0x1000 + 6]);
    let port = serve(move |stream| {
        say(&stream, BANNER);
        while (&stream).write_all(&packet).is_ok() {}
    });
    let found = failure(port, "20", Duration::from_secs(10));
    assert!(found.0 == "protocol" || found.0 == "handshake", "{found:?}");
}

#[test]
fn a_server_that_has_too_many_connections() {
    let port = serve(|stream| {
        say(&stream, b"Exceeded MaxStartups\r\n");
    });
    fails_in_time(port, "busy", "handshake", "Exceeded MaxStartups");
}

#[test]
fn a_command_that_was_asked_for_is_not_asked_for_again() {
    // The server sheds the first connection, and is slow to start the command on the next one.
    let (connections, requests) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let (connections, counted) = (Arc::new(connections), Arc::clone(&requests));
    let port = serve(move |stream| {
        if connections.fetch_add(1, Ordering::Relaxed) == 0 {
            return;
        }
        let mut talk = Talk::new(Box::new(stream), HostKey::of_seed(1), Arc::default());
        let session = talk.greet().and_then(|()| talk.exchange(&METHODS));
        let _ = session.and_then(|()| {
            talk.serve(|talk, stage| {
                if stage == Stage::Asked {
                    counted.fetch_add(1, Ordering::Relaxed);
                    talk.listen();
                }
                Ok(())
            })
        });
    });
    let folder = tempfile::tempdir().unwrap();
    let known_hosts = folder.path().join("known_hosts");
    std::fs::write(&known_hosts, known_hosts_line(port, &HostKey::of_seed(1))).unwrap();
    let (password, mut write) = std::io::pipe().unwrap();
    writeln!(write, "{PASSWORD}").unwrap();
    drop(write);
    let ended = Mrsh::new()
        .args(&["-R", "ssh", "-F", "none", "--json", "-t", "3"])
        .args(&["--retries", "1", "--password-fd", "0", "--ssh-option"])
        .arg(format!("UserKnownHostsFile={}", known_hosts.display()))
        .args(&["-w", &format!("127.0.0.1:{port}"), "true"])
        .stdin(password)
        .run()
        .status(3);
    let end = finished(&ended).pop().unwrap();
    assert_eq!(end.class, "connect-timeout", "{end:?}");
    assert_eq!(requests.load(Ordering::Relaxed), 1);
}

#[test]
fn connections_that_are_closed_or_reset_at_once() {
    let port = serve(drop);
    fails_in_time(port, "busy", "handshake", "MaxStartups");
    let port = serve(reset);
    fails_in_time(port, "busy", "handshake", "MaxStartups");
}

#[test]
fn connections_that_are_closed_or_reset_after_the_banner() {
    let port = serve(|stream| say(&stream, BANNER));
    fails_in_time(port, "busy", "handshake", "MaxStartups");
    let port = serve(|stream| {
        say(&stream, BANNER);
        let mut buffer = [0; 4096];
        let _ = (&stream).read(&mut buffer);
        reset(stream);
    });
    fails_in_time(port, "busy", "handshake", "MaxStartups");
}

#[test]
fn a_server_that_sends_a_reason_with_its_disconnect() {
    let text = b"go away";
    let mut packet = vec![1, 0, 0, 0, 2, 0, 0, 0, 7];
    packet.extend(text);
    packet.extend([0; 4]);
    let padding = 8 - (packet.len() + 5) % 8 + 8;
    let mut whole = u32::try_from(packet.len() + 1 + padding)
        .unwrap()
        .to_be_bytes()
        .to_vec();
    whole.push(u8::try_from(padding).unwrap());
    whole.extend(packet);
    whole.extend(vec![0; padding]);
    let port = serve(move |stream| {
        say(&stream, BANNER);
        say(&stream, &whole);
    });
    fails_at_once(port, "closed", "handshake", "go away");
}

#[test]
fn a_configuration_with_unsupported_algorithms_is_an_error() {
    // The server sends a banner first, because the list is chosen for each connection.
    let port = serve(|stream| {
        say(&stream, BANNER);
        listen(&stream);
    });
    let target = format!("127.0.0.1:{port}");
    for (keyword, value) in [
        ("Ciphers", "cipher-of-tomorrow"),
        ("PubkeyAcceptedAlgorithms", "ssh-dss"),
    ] {
        let ended = Mrsh::new()
            .args(&["-R", "ssh", "-F", "none"])
            .args(&["--ssh-option", &format!("{keyword}={value}")])
            .args(&["--json", "-w", &target, "true"])
            .run()
            .status(3);
        let text = String::from_utf8(ended.stdout).unwrap();
        assert!(
            text.contains(r#""class":"config","phase":"resolve""#),
            "{text}"
        );
        let words = format!("{keyword}: none of {value} is known here");
        assert!(text.contains(&words), "{text}");
    }
}

#[test]
fn a_configuration_that_cannot_be_followed_for_one_host_is_an_error_before_any_connection() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let port = serve(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let path = file.to_str().unwrap();
    for (lines, words) in [
        (
            "Host bad\n  HostName 127.0.0.1\n  BindAddress 192.0.2.1\n",
            format!("bad: {path}:3: BindAddress is not supported by the built-in ssh"),
        ),
        // Behind a jump host it is an error too, although ssh ignores it there.
        (
            "Host bad\n  ProxyJump gate\n  BindAddress 192.0.2.1\n",
            format!("bad: {path}:3: BindAddress is not supported by the built-in ssh"),
        ),
        (
            "Host bad\n  ProxyJump gate\nHost gate\n  ProxyCommand nc x 22\n",
            format!("bad: {path}:4: ProxyCommand is not supported by the built-in ssh"),
        ),
    ] {
        std::fs::write(&file, lines).unwrap();
        let good = format!("127.0.0.1:{port}");
        for more in [&[][..], &["-n"]] {
            let ended = Mrsh::new()
                .args(&["-R", "ssh", "-F", path])
                .args(more)
                .args(&["-w", &good, "-w", "bad", "true"])
                .run()
                .status(2);
            let text = ended.stderr;
            assert!(text.contains(&words), "{text}");
            assert!(text.contains("-R openssh"), "{text}");
            assert_eq!(text.matches("not supported").count(), 1, "{text}");
        }
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[test]
fn the_configuration_decides_the_address_of_a_host() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let path = file.to_str().unwrap();
    std::fs::write(
        &file,
        "Host a d\n  HostName 127.0.0.1\n  User ada\n  Port 1\n\
         Host b\n  HostName b.invalid\n  ProxyJump admin@gate\n  User bea\n\
         Host gate\n  HostName 127.0.0.1\n  Port 1\n",
    )
    .unwrap();
    let with = |args: &[&str], status| {
        let mrsh = Mrsh::new().args(&["-R", "ssh", "-F", path]).args(args);
        let ended = mrsh.run().status(status);
        String::from_utf8(ended.stdout).unwrap()
    };
    let text = with(&["-n", "-w", "a,cy@d:2,b,openssh://c", "true"], 0);
    let lines: Vec<&str> = text.lines().take(4).collect();
    assert_eq!(
        lines,
        [
            "a: ssh to 127.0.0.1 port 1 as ada",
            "cy@d:2: ssh to 127.0.0.1 port 2 as cy",
            "b: ssh to b.invalid port 22 as bea, by way of admin@127.0.0.1 port 1",
            "c: openssh to c, and as its configuration says",
        ],
        "{text}"
    );
    let text = with(&["--json", "-w", "a,b", "true"], 3);
    let start: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(
        start["targets"],
        serde_json::json!([
            {"label": "a", "host": "127.0.0.1", "transport": "ssh", "user": "ada", "port": 1},
            {"label": "b", "host": "b.invalid", "transport": "ssh", "user": "bea", "port": 22,
             "by_way_of": "admin@127.0.0.1 port 1"},
        ])
    );
}

#[test]
fn the_configuration_may_make_the_time_for_a_host_shorter() {
    // The time counts from the start of the attempt, not only from the connection.
    let port = serve(|stream| listen(&stream)).to_string();
    for (typed, wanted) in [("20", "timed out after 1 s"), ("1", "timed out after 1 s")] {
        let limit = match typed {
            "20" => "ConnectTimeout=1",
            _ => "ConnectTimeout=20",
        };
        let before = Instant::now();
        let ended = Mrsh::new()
            .args(&["-R", "ssh", "-F", "none", "--ssh-option", limit])
            .args(&["-t", typed, "--port", &port, "-w", "127.0.0.1", "true"])
            .run()
            .status(3);
        let text = ended.stderr;
        assert!(text.contains(wanted), "{text}");
        assert!(before.elapsed() < Duration::from_secs(15));
    }
}

#[test]
fn a_cause_is_printed_once() {
    let call = crate::support::Mrsh::new().arg("--no-config");
    let ended = call.args(&["-R", "ssh", "--password-fd", "99", "-w", "a", "true"]);
    let ended = ended.run().status(2);
    assert_eq!(
        ended.stderr,
        "mrsh: cannot read the password: file descriptor 99: No such file or directory\n"
    );
}

#[test]
fn a_key_asked_for_by_name_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    let asked = |transport: &str| {
        let ended = Mrsh::new()
            .args(&["-R", transport, "-F", "none", "-n", "--identity"])
            .arg(&key)
            .args(&["-w", "127.0.0.1", "true"])
            .run();
        (ended.status, ended.stderr)
    };
    for transport in ["ssh", "openssh"] {
        let (status, text) = asked(transport);
        assert_eq!(status, Some(2), "{text}");
        let words = format!("cannot read the key {}: No such file", key.display());
        assert!(text.contains(&words), "{text}");
    }
    // The agent may have the private half.
    std::fs::write(key.with_extension("pub"), "").unwrap();
    assert_eq!(asked("ssh").0, Some(0));
}

#[test]
fn a_circle_of_jump_hosts_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let lines = "Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n";
    std::fs::write(&file, lines).unwrap();
    for more in [&[][..], &["-n"]] {
        let ended = Mrsh::new()
            .args(&["-R", "ssh", "-F"])
            .arg(&file)
            .args(more)
            .args(&["-w", "a", "true"])
            .run()
            .status(2);
        let words = "a: more than 8 jump hosts to reach a: ProxyJump forms a circle";
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}

#[test]
fn a_password_before_the_input_is_not_read_as_input() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let both = b"sesame\nthe rest\n";
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(both).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let (read, mut write) = std::io::pipe().unwrap();
    write.write_all(both).unwrap();
    drop(write);
    for stdin in [std::process::Stdio::from(file), read.into()] {
        let ended = Mrsh::new()
            .args(&["-R", "ssh", "-F", "none", "--password-fd", "0", "-i", "-w"])
            .arg(format!("127.0.0.1:{port}"))
            .arg("cat")
            .stdin(stdin)
            .run()
            .status(3);
        assert!(
            ended.stderr.contains("connection refused"),
            "{}",
            ended.stderr
        );
    }
}
