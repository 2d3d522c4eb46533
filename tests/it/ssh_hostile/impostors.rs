//! Servers that claim to be a host whose private key they do not have. They send its public key, which is no
//! secret, or offer methods that prove nothing.

use std::io;

use super::attack::victim;
use super::impostor;
use crate::support::sshd::{
    METHODS, Message, Stage, Talk, kind, list, methods_with, offer, service_accept,
};

/// A name in the client's list of key exchange methods that is no method, but a marker (RFC 8308).
const PSEUDO: &str = "ext-info-c";

#[test]
fn the_key_of_another_host() {
    impostor("the_key_of_another_host", Talk::honest);
}

#[test]
fn the_hosts_key_with_anothers_signature() {
    impostor("the_hosts_key_with_anothers_signature", |talk| {
        talk.greet()?;
        talk.offer(&METHODS)?;
        talk.receive_offer()?;
        let own = talk.key.clone();
        let reply = talk.reply(&victim().public(), &own)?;
        talk.conclude(reply)?;
        talk.serve(|_, _| Ok(()))
    });
}

/// A reply with the host's public key, and with any bytes as its signature.
fn unsigned_reply(signature: &[u8]) -> Vec<u8> {
    Message::new(kind::KEX_ECDH_REPLY)
        .text(victim().public())
        .text([9; 32])
        .text(signature)
        .done()
}

#[test]
fn the_hosts_key_without_a_signature() {
    impostor("the_hosts_key_without_a_signature", |talk| {
        talk.greet()?;
        talk.offer(&METHODS)?;
        talk.until(kind::KEX_ECDH_INIT)?;
        talk.send_together(&[
            unsigned_reply(b""),
            vec![kind::NEWKEYS],
            service_accept(),
            vec![kind::USERAUTH_SUCCESS],
        ])?;
        talk.serve(|_, _| Ok(()))
    });
}

/// A server that agrees on no method, sends the host's public key at once, and continues without encryption.
fn in_plain_text(talk: &mut Talk, first: Vec<u8>, second: Vec<u8>) -> io::Result<()> {
    talk.greet()?;
    talk.send(&first)?;
    talk.until(kind::KEXINIT)?;
    talk.send_together(&[second, unsigned_reply(&[7; 64]), service_accept()])?;
    talk.serve(|_, _| Ok(()))
}

#[test]
fn no_exchange_but_a_pseudo_method() {
    impostor("no_exchange_but_a_pseudo_method", |talk| {
        let first = offer(&methods_with(&[(list::KEX, PSEUDO)]));
        in_plain_text(talk, first, offer(&METHODS))
    });
}

#[test]
fn the_pseudo_method_of_strict_exchanges() {
    impostor("the_pseudo_method_of_strict_exchanges", |talk| {
        let first = offer(&methods_with(&[(
            list::KEX,
            "kex-strict-c-v00@openssh.com,kex-strict-s-v00@openssh.com,ext-info-s",
        )]));
        in_plain_text(talk, first, offer(&METHODS))
    });
}

/// A server that offers nothing but pseudo-methods in one list of the ten.
fn pseudo_in(test: &str, places: &'static [usize]) {
    impostor(test, move |talk| {
        let changes: Vec<_> = places
            .iter()
            .map(|&place| (place, "ext-info-c,kex-strict-c-v00@openssh.com"))
            .collect();
        in_plain_text(talk, offer(&methods_with(&changes)), offer(&METHODS))
    });
}

#[test]
fn pseudo_methods_as_host_key_algorithms() {
    pseudo_in("pseudo_methods_as_host_key_algorithms", &[list::HOST_KEY]);
}

#[test]
fn pseudo_methods_as_ciphers() {
    let places = &[list::CIPHER_IN, list::CIPHER_OUT];
    pseudo_in("pseudo_methods_as_ciphers", places);
}

#[test]
fn pseudo_methods_as_macs() {
    pseudo_in("pseudo_methods_as_macs", &[list::MAC_IN, list::MAC_OUT]);
}

#[test]
fn pseudo_methods_as_compression() {
    let places = &[list::COMPRESSION_IN, list::COMPRESSION_OUT];
    pseudo_in("pseudo_methods_as_compression", places);
}

#[test]
fn no_encryption_and_no_mac() {
    impostor("no_encryption_and_no_mac", |talk| {
        let none = [
            (list::CIPHER_IN, "none"),
            (list::CIPHER_OUT, "none"),
            (list::MAC_IN, "none"),
            (list::MAC_OUT, "none"),
        ];
        in_plain_text(talk, offer(&methods_with(&none)), offer(&METHODS))
    });
}

#[test]
fn the_hosts_key_in_a_second_offer() {
    impostor("the_hosts_key_in_a_second_offer", |talk| {
        in_plain_text(talk, offer(&METHODS), offer(&METHODS))
    });
}

/// A first exchange with the server's own key, then one with the host's that cannot succeed.
pub(super) fn another_key_later(talk: &mut Talk) -> io::Result<()> {
    talk.greet()?;
    talk.exchange(&METHODS)?;
    talk.serve(|talk, stage| {
        if stage == Stage::Keyed {
            talk.send_together(&[offer(&METHODS), unsigned_reply(&[7; 64]), service_accept()])?;
        }
        Ok(())
    })
}

#[test]
fn the_hosts_key_in_a_second_exchange_that_fails() {
    impostor(
        "the_hosts_key_in_a_second_exchange_that_fails",
        another_key_later,
    );
}

/// A server with the pseudo-method in its first offer and the host's key in the second.
pub(super) fn plain(talk: &mut Talk) -> io::Result<()> {
    let first = offer(&methods_with(&[(list::KEX, PSEUDO)]));
    in_plain_text(talk, first, offer(&METHODS))
}
