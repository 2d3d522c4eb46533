//! Packets out of order in the first key exchange, from servers that do not have the key of their host.

use super::attack::victim;
use super::{impostor, proven};
use crate::support::sshd::{METHODS, Message, Talk, kind, service_accept, to};

/// A server that sends these messages in its first exchange, after its KEXINIT and before its reply.
fn between_offer_and_reply(test: &str, messages: fn() -> Vec<Vec<u8>>) {
    impostor(test, move |talk| {
        talk.greet()?;
        talk.offer(&METHODS)?;
        talk.receive_offer()?;
        talk.send_together(&messages())?;
        let own = talk.key.clone();
        let reply = talk.reply(&victim().public(), &own)?;
        talk.conclude(reply)?;
        talk.serve(|_, _| Ok(()))
    });
}

#[test]
fn a_second_offer() {
    between_offer_and_reply("a_second_offer", || {
        vec![crate::support::sshd::offer(&METHODS)]
    });
}

#[test]
fn a_reply_before_any_offer() {
    impostor("a_reply_before_any_offer", |talk| {
        talk.greet()?;
        let reply = Message::new(kind::KEX_ECDH_REPLY)
            .text(victim().public())
            .text([9; 32])
            .text([7; 64])
            .done();
        talk.send_together(&[reply, vec![kind::NEWKEYS], service_accept()])?;
        talk.serve(|_, _| Ok(()))
    });
}

#[test]
fn new_keys_before_any_offer() {
    impostor("new_keys_before_any_offer", |talk| {
        talk.greet()?;
        talk.send_together(&[vec![kind::NEWKEYS], service_accept()])?;
        talk.serve(|_, _| Ok(()))
    });
}

#[test]
fn new_keys_before_the_reply() {
    between_offer_and_reply("new_keys_before_the_reply", || vec![vec![kind::NEWKEYS]]);
}

#[test]
fn new_keys_instead_of_a_reply() {
    impostor("new_keys_instead_of_a_reply", |talk| {
        talk.greet()?;
        talk.offer(&METHODS)?;
        talk.until(kind::KEX_ECDH_INIT)?;
        talk.send_together(&[
            vec![kind::NEWKEYS],
            service_accept(),
            vec![kind::USERAUTH_SUCCESS],
        ])?;
        talk.serve(|_, _| Ok(()))
    });
}

#[test]
fn the_service_before_the_reply() {
    between_offer_and_reply("the_service_before_the_reply", || vec![service_accept()]);
}

#[test]
fn success_before_the_reply() {
    between_offer_and_reply("success_before_the_reply", || {
        vec![service_accept(), vec![kind::USERAUTH_SUCCESS]]
    });
}

#[test]
fn a_banner_before_the_reply() {
    between_offer_and_reply("a_banner_before_the_reply", || {
        let banner = Message::new(kind::USERAUTH_BANNER).text("welcome").text("");
        vec![banner.done()]
    });
}

#[test]
fn extensions_before_the_reply() {
    between_offer_and_reply("extensions_before_the_reply", || {
        let info = Message::new(kind::EXT_INFO).number(1);
        vec![info.text("server-sig-algs").text("ssh-ed25519").done()]
    });
}

#[test]
fn a_channel_before_the_reply() {
    between_offer_and_reply("a_channel_before_the_reply", || {
        vec![
            to(kind::CHANNEL_OPEN_CONFIRMATION, 0).number(0).done(),
            to(kind::CHANNEL_DATA, 0).text("forged").done(),
        ]
    });
}

#[test]
fn an_unknown_message_before_the_reply() {
    between_offer_and_reply("an_unknown_message_before_the_reply", || vec![vec![199; 9]]);
}

#[test]
fn a_message_of_another_exchange() {
    // SSH_MSG_KEX_DH_GEX_INIT: a number that only clients send.
    between_offer_and_reply("a_message_of_another_exchange", || vec![vec![32; 9]]);
}

#[test]
fn an_end_with_control_characters() {
    impostor("an_end_with_control_characters", |talk: &mut Talk| {
        talk.greet()?;
        let end = Message::new(kind::DISCONNECT).number(2);
        talk.send(
            &end.text("\x1b]0;owned\x07 \x1b[2J gone\r\n")
                .text("")
                .done(),
        )
    });
}

#[test]
fn harmless_messages_before_the_reply() {
    proven("harmless_messages_before_the_reply", |talk| {
        talk.greet()?;
        talk.offer(&METHODS)?;
        talk.receive_offer()?;
        talk.send_together(&[
            Message::new(kind::IGNORE).text([0; 300]).done(),
            Message::new(kind::DEBUG)
                .byte(0)
                .text("text")
                .text("")
                .done(),
            Message::new(kind::UNIMPLEMENTED).number(0).done(),
        ])?;
        let own = talk.key.clone();
        let reply = talk.reply(&own.public(), &own)?;
        talk.conclude(reply)?;
        talk.serve(|_, _| Ok(()))
    });
}
