//! Key exchanges after the first one, with servers that have proved their key.

use super::attack::{at, at_with, victim};
use super::proven;
use crate::support::sshd::{
    METHODS, Message, Stage, kind, list, methods_with, offer, service_accept,
};

#[test]
fn new_keys_at_every_stage() {
    proven("new_keys_at_every_stage", |talk| {
        talk.greet()?;
        talk.exchange(&METHODS)?;
        talk.serve(|talk, stage| match stage {
            Stage::Closed => Ok(()),
            _ => talk.exchange(&METHODS),
        })
    });
}

#[test]
fn new_keys_after_login() {
    proven("new_keys_after_login", |talk| {
        talk.greet()?;
        talk.exchange(&METHODS)?;
        talk.serve(|talk, stage| match stage {
            Stage::Opening | Stage::Open | Stage::Asked | Stage::Running | Stage::Ended => {
                talk.exchange(&METHODS)
            }
            _ => Ok(()),
        })
    });
}

/// Another cipher, in both directions.
const CIPHER: &[(usize, &str)] = &[
    (list::CIPHER_IN, "aes256-ctr"),
    (list::CIPHER_OUT, "aes256-ctr"),
];

/// Another MAC, in both directions.
const MAC: &[(usize, &str)] = &[
    (list::MAC_IN, "hmac-sha2-512"),
    (list::MAC_OUT, "hmac-sha2-512"),
];

/// Compression, in both directions.
const COMPRESSION: &[(usize, &str)] = &[
    (list::COMPRESSION_IN, "zlib,zlib@openssh.com"),
    (list::COMPRESSION_OUT, "zlib,zlib@openssh.com"),
];

#[test]
fn another_cipher_before_login() {
    at("another_cipher_before_login", Stage::Keyed, |talk| {
        talk.exchange(&methods_with(CIPHER))
    });
}

#[test]
fn another_cipher_while_the_command_runs() {
    at(
        "another_cipher_while_the_command_runs",
        Stage::Running,
        |talk| talk.exchange(&methods_with(CIPHER)),
    );
}

#[test]
fn another_mac_before_login() {
    at("another_mac_before_login", Stage::Keyed, |talk| {
        talk.exchange(&methods_with(MAC))
    });
}

#[test]
fn another_mac_while_the_command_runs() {
    at(
        "another_mac_while_the_command_runs",
        Stage::Running,
        |talk| talk.exchange(&methods_with(MAC)),
    );
}

#[test]
fn compression_before_login() {
    let options = &["Compression=yes"];
    at_with("compression_before_login", options, Stage::Keyed, |talk| {
        talk.exchange(&methods_with(COMPRESSION))
    });
}

#[test]
fn compression_while_the_command_runs() {
    let options = &["Compression=yes"];
    let test = "compression_while_the_command_runs";
    at_with(test, options, Stage::Running, |talk| {
        talk.exchange(&methods_with(COMPRESSION))
    });
}

#[test]
fn a_pseudo_method_in_a_second_exchange() {
    at(
        "a_pseudo_method_in_a_second_exchange",
        Stage::Running,
        |talk| talk.exchange(&methods_with(&[(list::KEX, "ext-info-c")])),
    );
}

#[test]
fn another_key_in_a_second_exchange() {
    at("another_key_in_a_second_exchange", Stage::Running, |talk| {
        talk.offer(&METHODS)?;
        talk.receive_offer()?;
        let other = victim();
        let reply = talk.reply(&other.public(), &other)?;
        talk.conclude(reply)
    });
}

#[test]
fn a_wrong_signature_in_a_second_exchange() {
    at(
        "a_wrong_signature_in_a_second_exchange",
        Stage::Running,
        |talk| {
            talk.offer(&METHODS)?;
            talk.receive_offer()?;
            let own = talk.key.clone();
            let reply = talk.reply(&own.public(), &victim())?;
            talk.conclude(reply)
        },
    );
}

#[test]
fn two_offers_in_a_second_exchange() {
    at("two_offers_in_a_second_exchange", Stage::Running, |talk| {
        talk.send_together(&[offer(&METHODS), offer(&METHODS)])?;
        talk.until(kind::KEX_ECDH_INIT).map(drop)
    });
}

#[test]
fn new_keys_without_an_exchange() {
    at("new_keys_without_an_exchange", Stage::Running, |talk| {
        talk.send(&[kind::NEWKEYS])
    });
}

#[test]
fn a_reply_without_an_exchange() {
    at("a_reply_without_an_exchange", Stage::Running, |talk| {
        let reply = Message::new(kind::KEX_ECDH_REPLY)
            .text(victim().public())
            .text([9; 32])
            .text([7; 64]);
        talk.send(&reply.done())
    });
}

#[test]
fn another_message_in_a_second_exchange() {
    at(
        "another_message_in_a_second_exchange",
        Stage::Keyed,
        |talk| {
            talk.send_together(&[offer(&METHODS), service_accept()])?;
            talk.until(kind::KEX_ECDH_INIT).map(drop)
        },
    );
}

#[test]
fn a_second_exchange_that_never_ends() {
    at(
        "a_second_exchange_that_never_ends",
        Stage::Running,
        |talk| {
            talk.offer(&METHODS)?;
            talk.until(kind::KEX_ECDH_INIT)?;
            talk.listen();
            Ok(())
        },
    );
}
