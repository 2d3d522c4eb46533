//! The most dangerous attacks, by a jump host: it gets no login, and no host is reached through it.

use std::fs;
use std::io;

use super::attack::{Clients, Row, own_key, victim};
use super::impostors;
use crate::support::sshd::{HostKey, METHODS, Sshd, Stage, Talk, list, methods_with};

/// Runs the program on a host behind a hostile jump host, and on an honest host. Asserts that the jump host gets no
/// login and no command.
fn through(
    test: &str,
    known: &HostKey,
    script: impl Fn(&mut Talk) -> io::Result<()> + Send + Sync + 'static,
) {
    let gate = [Sshd::start(own_key(), script)];
    let clients = Clients::new(&gate, known, &[]);
    let mut config = fs::read_to_string(clients.path("config")).unwrap();
    config.push_str("Host beyond\n  ProxyJump s0\n");
    fs::write(clients.path("config"), config).unwrap();
    fs::write(clients.path("hosts"), "beyond\nhonest\n").unwrap();
    let [gate] = &gate;
    let row = Row::of(test);
    let end = clients.mrsh().pop().unwrap();
    row.holds(test, &end, clients.ssh_of("beyond", false).as_ref());
    assert!(gate.seen().nothing(), "{:?}", gate.seen());
}

#[test]
fn a_jump_host_with_a_pseudo_method() {
    let test = "a_jump_host_with_a_pseudo_method";
    through(test, &victim(), impostors::plain);
}

#[test]
fn a_jump_host_that_shows_the_key_later() {
    let test = "a_jump_host_that_shows_the_key_later";
    through(test, &victim(), impostors::another_key_later);
}

#[test]
fn a_jump_host_that_changes_its_cipher() {
    let test = "a_jump_host_that_changes_its_cipher";
    through(test, &own_key(), |talk| {
        talk.greet()?;
        talk.exchange(&METHODS)?;
        talk.serve(|talk, stage| match stage {
            Stage::Keyed => talk.exchange(&methods_with(&[
                (list::CIPHER_IN, "aes256-ctr"),
                (list::CIPHER_OUT, "aes256-ctr"),
            ])),
            _ => Ok(()),
        })
    });
}
