//! Malformed packets, before keys are agreed, before login, and while the command runs.

use std::io;

use super::attack::at;
use super::impostor;
use crate::support::sshd::{METHODS, Stage, Talk, frame, framed, kind, to};

/// A server that sends bytes instead of its KEXINIT.
fn in_plain_text(test: &str, bytes: fn() -> Vec<u8>) {
    impostor(test, move |talk| {
        talk.greet()?;
        talk.wire.send_bytes(&bytes())?;
        talk.exchange(&METHODS)?;
        talk.serve(|_, _| Ok(()))
    });
}

#[test]
fn a_packet_longer_than_the_maximum() {
    in_plain_text("a_packet_longer_than_the_maximum", || {
        framed(u32::MAX, 4, &[20; 4000])
    });
}

#[test]
fn a_packet_of_a_megabyte() {
    in_plain_text("a_packet_of_a_megabyte", || {
        frame(&[&[kind::KEXINIT][..], &vec![0; 1 << 20]].concat())
    });
}

#[test]
fn a_packet_with_length_zero() {
    in_plain_text("a_packet_with_length_zero", || framed(0, 0, &[0; 11]));
}

#[test]
fn a_packet_of_padding_alone() {
    in_plain_text("a_packet_of_padding_alone", || framed(12, 11, &[]));
}

#[test]
fn more_padding_than_packet() {
    in_plain_text("more_padding_than_packet", || framed(28, 255, &[20; 27]));
}

#[test]
fn too_little_padding() {
    in_plain_text("too_little_padding", || framed(28, 0, &[20; 27]));
}

#[test]
fn a_length_that_fits_no_cipher() {
    in_plain_text("a_length_that_fits_no_cipher", || framed(30, 4, &[20; 25]));
}

#[test]
fn half_a_packet_and_silence() {
    impostor("half_a_packet_and_silence", |talk| {
        talk.greet()?;
        talk.wire.send_bytes(&frame(&[kind::KEXINIT; 200])[..100])?;
        talk.listen();
        Ok(())
    });
}

/// A server that sends a malformed packet with a right MAC at one stage of an encrypted session.
fn packet(test: &str, stage: Stage, packet: fn() -> Vec<u8>) {
    at(test, stage, move |talk| talk.send_packet(&packet()));
}

#[test]
fn an_encrypted_packet_longer_than_the_maximum() {
    let test = "an_encrypted_packet_longer_than_the_maximum";
    packet(test, Stage::Served, || framed(u32::MAX, 4, &[2; 4000]));
}

#[test]
fn an_encrypted_packet_with_length_zero() {
    let test = "an_encrypted_packet_with_length_zero";
    packet(test, Stage::Served, || framed(0, 0, &[0; 11]));
}

#[test]
fn an_encrypted_packet_of_padding_alone() {
    let test = "an_encrypted_packet_of_padding_alone";
    packet(test, Stage::Running, || framed(12, 11, &[]));
}

#[test]
fn more_padding_than_encrypted_packet() {
    let test = "more_padding_than_encrypted_packet";
    packet(test, Stage::Running, || framed(28, 255, &[2; 27]));
}

#[test]
fn an_encrypted_length_that_fits_no_cipher() {
    let test = "an_encrypted_length_that_fits_no_cipher";
    packet(test, Stage::Running, || framed(30, 4, &[2; 25]));
}

#[test]
fn a_wrong_mac_before_login() {
    at("a_wrong_mac_before_login", Stage::Keyed, wrong_mac);
}

#[test]
fn a_wrong_mac_while_the_command_runs() {
    at(
        "a_wrong_mac_while_the_command_runs",
        Stage::Running,
        wrong_mac,
    );
}

/// Sends output with one wrong bit in its MAC.
fn wrong_mac(talk: &mut Talk) -> io::Result<()> {
    let message = to(kind::CHANNEL_DATA, talk.channel).text("forged\n").done();
    let mut packet = talk.wire.seal(&frame(&message));
    if let Some(last) = packet.last_mut() {
        *last ^= 1;
    }
    talk.wire.send_bytes(&packet)
}

#[test]
fn a_packet_in_plain_text_after_new_keys() {
    at(
        "a_packet_in_plain_text_after_new_keys",
        Stage::Running,
        |talk| {
            let message = to(kind::CHANNEL_DATA, talk.channel).text("forged\n").done();
            talk.wire.send_bytes(&frame(&message))
        },
    );
}

#[test]
fn a_packet_twice() {
    at("a_packet_twice", Stage::Running, |talk| {
        let message = to(kind::CHANNEL_DATA, talk.channel).text("forged\n").done();
        let packet = talk.wire.seal(&frame(&message));
        talk.wire.send_bytes(&packet)?;
        talk.wire.send_bytes(&packet)
    });
}

#[test]
fn half_an_encrypted_packet_and_silence() {
    at(
        "half_an_encrypted_packet_and_silence",
        Stage::Running,
        |talk| {
            let message = to(kind::CHANNEL_DATA, talk.channel).text("cut\n").done();
            let packet = talk.wire.seal(&frame(&message));
            talk.wire.send_bytes(&packet[..packet.len() / 2])?;
            talk.listen();
            Ok(())
        },
    );
}
