//! The main stream: the end marker, and output in small pieces and in large amounts.

use fake_rshd::{Connection, Script, Step};

use super::{KB, failed, line, run};
use crate::support::host;

// ---- the end marker

#[test]
fn an_end_marker_in_small_pieces() {
    for (status, ends_with) in [(0, 0), (7, 1), (255, 1)] {
        let script = Script::after_start()
            .then(Step::SendBytewise(Connection::Main, b"out\n".to_vec()))
            .then(Step::EndMarkerBytewise(status));
        run(script).status(ends_with).stdout(line("out"));
    }
}

#[test]
fn an_end_marker_after_half_a_line() {
    run(Script::printing("half", 0))
        .status(0)
        .stdout(line("half"))
        .stderr("");
}

#[test]
fn a_forged_end_marker() {
    // Only a program that has read the command can forge a marker. Then the status is unknown.
    let script = Script::printing("out\n", 0).then(Step::EndMarker(1));
    let ended = run(script).status(3);
    ended
        .stdout(line("out"))
        .says(&[&failed("ended without an exit status")]);
}

#[test]
fn output_after_the_end_marker() {
    let script = Script::printing("out\n", 7).send(Connection::Main, "late\n");
    let ended = run(script).status(1).says(&[&failed("exit 7")]);
    ended.stdout([line("out"), line("late")].concat());
}

// ---- output

#[test]
fn output_byte_by_byte() {
    let script = Script::after_callback()
        .then(Step::SendBytewise(
            Connection::Main,
            b"\0one\n\ntwo".to_vec(),
        ))
        .then(Step::SendBytewise(Connection::Callback, b"err\n".to_vec()))
        .then(Step::EndMarker(0));
    let ended = run(script).status(0).stderr(&format!("{}: err\n", host(0)));
    ended.stdout([line("one"), line(""), line("two")].concat());
}

#[test]
fn output_of_any_bytes() {
    let bytes: Vec<u8> = (0..=255).filter(|&byte| byte != b'\n').collect();
    run(Script::printing(&bytes, 0))
        .status(0)
        .stdout(line(&bytes))
        .stderr("");
}

#[test]
fn a_line_of_many_megabytes() {
    let piece = vec![b'x'; 64 * KB];
    let script = Script::after_start()
        .then(Step::Repeat {
            to: vec![Connection::Main],
            bytes: piece.clone(),
            times: 256,
        })
        .then(Step::EndMarker(0));
    run(script)
        .status(0)
        .stdout(line(piece.repeat(256)))
        .stderr("");
}

#[test]
fn many_megabytes_on_both_streams() {
    let text = format!("{}\n", "x".repeat(1023));
    let script = Script::after_start()
        .then(Step::Repeat {
            to: vec![Connection::Main, Connection::Callback],
            bytes: text.repeat(64).into_bytes(),
            times: 128,
        })
        .then(Step::EndMarker(0));
    let expected = format!("{}: {text}", host(0)).repeat(64 * 128);
    run(script).status(0).stdout(&expected).stderr(&expected);
}

#[test]
fn one_stream_after_the_other() {
    // A client that reads one stream to its end before the other hangs with one of these scripts.
    let piece = vec![b'x'; 64 * KB];
    let much = |to| Step::Repeat {
        to: vec![to],
        bytes: piece.clone(),
        times: 128,
    };
    for (first, second) in [
        (Connection::Main, Connection::Callback),
        (Connection::Callback, Connection::Main),
    ] {
        let script = Script::after_start().then(much(first)).then(much(second));
        let ended = run(script.then(Step::EndMarker(0))).status(0);
        assert_eq!(ended.stdout.len(), ended.stderr.len());
        ended.stdout(line(piece.repeat(128)));
    }
}
