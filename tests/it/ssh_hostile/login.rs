//! Wrong and unrequested messages between the first key exchange and the first channel, from servers that have
//! proved their key.

use super::attack::at;
use super::proven;
use crate::support::sshd::{METHODS, Message, Stage, kind, service_accept, to, userauth_failure};

/// A banner of this length in bytes.
fn banner(length: usize) -> Vec<u8> {
    let text = "\x1b[2Jx".repeat(length / 5);
    Message::new(kind::USERAUTH_BANNER)
        .text(text)
        .text("")
        .done()
}

#[test]
fn success_before_the_service() {
    at("success_before_the_service", Stage::Keyed, |talk| {
        talk.send(&[kind::USERAUTH_SUCCESS])
    });
}

#[test]
fn success_before_any_login_request() {
    at("success_before_any_login_request", Stage::Served, |talk| {
        talk.send(&[kind::USERAUTH_SUCCESS])
    });
}

#[test]
fn success_without_a_password() {
    proven("success_without_a_password", |talk| {
        talk.greet()?;
        talk.exchange(&METHODS)?;
        talk.serve(|talk, stage| match stage {
            Stage::Served => {
                talk.until(kind::USERAUTH_REQUEST)?;
                talk.send(&[kind::USERAUTH_SUCCESS])?;
                talk.serve_logged_in(&mut |_, _| Ok(()))
            }
            _ => Ok(()),
        })
    });
}

#[test]
fn success_twice() {
    at("success_twice", Stage::LoggedIn, |talk| {
        talk.send(&[kind::USERAUTH_SUCCESS])
    });
}

#[test]
fn a_refusal_after_success() {
    at("a_refusal_after_success", Stage::LoggedIn, |talk| {
        talk.send(&userauth_failure())
    });
}

#[test]
fn another_service() {
    at("another_service", Stage::Keyed, |talk| {
        talk.until(kind::SERVICE_REQUEST)?;
        let service = Message::new(kind::SERVICE_ACCEPT).text("ssh-connection");
        talk.send(&service.done())?;
        talk.listen();
        Ok(())
    });
}

#[test]
fn the_service_twice() {
    at("the_service_twice", Stage::Served, |talk| {
        talk.send(&service_accept())
    });
}

#[test]
fn no_service() {
    at("no_service", Stage::Keyed, |talk| {
        talk.listen();
        Ok(())
    });
}

#[test]
fn a_key_accepted_that_was_not_shown() {
    at(
        "a_key_accepted_that_was_not_shown",
        Stage::Claimed,
        |talk| {
            let accepted = Message::new(kind::USERAUTH_PK_OK).text("ssh-ed25519");
            talk.send(&accepted.text([7; 51]).done())
        },
    );
}

#[test]
fn refusals_without_end() {
    at("refusals_without_end", Stage::Claimed, |talk| {
        loop {
            talk.send(&userauth_failure())?;
        }
    });
}

#[test]
fn a_refusal_that_names_no_method() {
    at("a_refusal_that_names_no_method", Stage::Claimed, |talk| {
        let refusal = Message::new(kind::USERAUTH_FAILURE).text("").byte(1);
        talk.send(&refusal.done())?;
        talk.listen();
        Ok(())
    });
}

#[test]
fn a_refusal_that_is_cut_off() {
    at("a_refusal_that_is_cut_off", Stage::Claimed, |talk| {
        let refusal = Message::new(kind::USERAUTH_FAILURE).number(5000);
        talk.send(&refusal.done())?;
        talk.listen();
        Ok(())
    });
}

#[test]
fn a_large_banner() {
    at("a_large_banner", Stage::Served, |talk| {
        talk.send(&banner(30_000))
    });
}

#[test]
fn banners_without_end() {
    at("banners_without_end", Stage::Served, |talk| {
        loop {
            talk.send(&banner(1000))?;
        }
    });
}

#[test]
fn extensions() {
    at("extensions", Stage::Keyed, |talk| {
        let info = Message::new(kind::EXT_INFO).number(2);
        let info = info.text("server-sig-algs").text("ssh-ed25519");
        talk.send(&info.text("of-tomorrow@example").text([0; 99]).done())
    });
}

#[test]
fn a_count_of_extensions_larger_than_their_number() {
    at(
        "a_count_of_extensions_larger_than_their_number",
        Stage::Keyed,
        |talk| {
            let info = Message::new(kind::EXT_INFO).number(u32::MAX);
            talk.send(&info.text("server-sig-algs").text("x").done())
        },
    );
}

#[test]
fn a_channel_before_login() {
    at("a_channel_before_login", Stage::Served, |talk| {
        talk.send_together(&[
            to(kind::CHANNEL_OPEN_CONFIRMATION, 0)
                .number(0)
                .number(1 << 20)
                .number(1 << 15)
                .done(),
            to(kind::CHANNEL_DATA, 0).text("forged").done(),
            to(kind::CHANNEL_CLOSE, 0).done(),
        ])
    });
}

#[test]
fn an_unknown_message_before_login() {
    at("an_unknown_message_before_login", Stage::Served, |talk| {
        talk.send(&[199, 0, 0, 0])
    });
}

#[test]
fn silence_instead_of_an_answer() {
    at("silence_instead_of_an_answer", Stage::Claimed, |talk| {
        talk.listen();
        Ok(())
    });
}
