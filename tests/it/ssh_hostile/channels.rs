//! Every message about channels, legal or not, in every state of a channel.
//!
//! A server for each message and an honest one are called in one run. The table in docs/testing.md has the
//! outcome of every message at every stage, for mrsh and for the system's `ssh`.

use super::attack::{Clients, Row, own_key};
use crate::support::sshd::{
    METHODS, Message, OUTPUT, STATUS, Sshd, Stage, confirmation, data, eof, exit_status, extended,
    kind, request, to,
};

/// The stages of the table, in its order.
const STAGES: [Stage; 5] = [
    Stage::Opening,
    Stage::Open,
    Stage::Running,
    Stage::Ended,
    Stage::Closed,
];

/// A function that returns messages, from the client's number of the channel.
type Messages = fn(u32) -> Vec<Vec<u8>>;

/// Names of the rows, and the messages.
const MESSAGES: &[(&str, Messages)] = &[
    ("data for another channel", |channel| {
        vec![data(channel + 77, "x")]
    }),
    ("data longer than a packet may be", |channel| {
        vec![data(channel, [b'x'; 34_000])]
    }),
    ("data beyond the window", |channel| {
        vec![data(channel, [b'x'; 32_000]); 80]
    }),
    ("data whose length is wrong", |channel| {
        vec![
            to(kind::CHANNEL_DATA, channel)
                .number(5000)
                .bytes(b"x")
                .done(),
        ]
    }),
    ("data without a channel", |_| vec![vec![kind::CHANNEL_DATA]]),
    ("extended data of type 0", |channel| {
        vec![extended(channel, 0, "x")]
    }),
    ("extended data of type 2", |channel| {
        vec![extended(channel, 2, "x")]
    }),
    ("extended data of type 7", |channel| {
        vec![extended(channel, 7, "x"); 50]
    }),
    ("extended data of the last type", |channel| {
        vec![extended(channel, u32::MAX, "x")]
    }),
    ("empty extended data of type 7", |channel| {
        vec![extended(channel, 7, "")]
    }),
    ("extended data of type 7 beyond the window", |channel| {
        vec![extended(channel, 7, [b'x'; 32_000]); 80]
    }),
    ("extended data whose length is wrong", |channel| {
        vec![
            to(kind::CHANNEL_EXTENDED_DATA, channel)
                .number(1)
                .number(5000)
                .bytes(b"x")
                .done(),
        ]
    }),
    ("extended data without a type", |channel| {
        vec![to(kind::CHANNEL_EXTENDED_DATA, channel).done()]
    }),
    ("windows that add up to more than there is", |channel| {
        vec![
            to(kind::CHANNEL_WINDOW_ADJUST, channel)
                .number(u32::MAX)
                .done();
            3
        ]
    }),
    ("a window of no size", |channel| {
        vec![to(kind::CHANNEL_WINDOW_ADJUST, channel).done()]
    }),
    ("a window for another channel", |channel| {
        vec![
            to(kind::CHANNEL_WINDOW_ADJUST, channel + 77)
                .number(1)
                .done(),
        ]
    }),
    ("a second confirmation", |channel| {
        vec![confirmation(channel)]
    }),
    ("a confirmation of another channel", |channel| {
        vec![confirmation(channel + 77)]
    }),
    ("a confirmation that is cut off", |channel| {
        vec![to(kind::CHANNEL_OPEN_CONFIRMATION, channel).done()]
    }),
    ("a refusal to open", |channel| {
        let refusal = to(kind::CHANNEL_OPEN_FAILURE, channel).number(2);
        vec![refusal.text("\x1b[2Jno").text("").done()]
    }),
    ("a refusal to open that is cut off", |channel| {
        vec![to(kind::CHANNEL_OPEN_FAILURE, channel).done()]
    }),
    ("success unasked", |channel| {
        vec![to(kind::CHANNEL_SUCCESS, channel).done()]
    }),
    ("failure unasked", |channel| {
        vec![to(kind::CHANNEL_FAILURE, channel).done()]
    }),
    ("an unknown request", |channel| {
        vec![request(channel, "of-tomorrow@example", false).done(); 20]
    }),
    ("an unknown request that wants a reply", |channel| {
        vec![request(channel, "of-tomorrow@example", true).done(); 20]
    }),
    ("a request for another channel", |channel| {
        vec![request(channel + 77, "exit-status", true).number(0).done()]
    }),
    ("a request whose name is too long", |channel| {
        let name = to(kind::CHANNEL_REQUEST, channel).number(u32::MAX);
        vec![name.bytes(b"exit-status").done()]
    }),
    ("a request without a name", |channel| {
        vec![to(kind::CHANNEL_REQUEST, channel).done()]
    }),
    ("another exit status before", |channel| {
        vec![exit_status(channel, 9)]
    }),
    ("an exit status that is cut off", |channel| {
        vec![request(channel, "exit-status", false).byte(0).done()]
    }),
    ("an exit status that wants a reply", |channel| {
        vec![request(channel, "exit-status", true).number(9).done()]
    }),
    ("an exit signal of a long name", |channel| {
        let signal = request(channel, "exit-signal", false).text([b'K'; 20_000]);
        vec![signal.byte(1).text([b'm'; 9000]).text("").done()]
    }),
    ("an exit signal whose name is too long", |channel| {
        let signal = request(channel, "exit-signal", false).number(u32::MAX - 3);
        vec![signal.bytes(b"KILL").done()]
    }),
    ("an exit signal without a name", |channel| {
        vec![request(channel, "exit-signal", false).done()]
    }),
    ("the end of the output twice", |channel| {
        vec![eof(channel); 2]
    }),
    ("the end of another channel", |channel| {
        vec![
            eof(channel + 77),
            to(kind::CHANNEL_CLOSE, channel + 77).done(),
        ]
    }),
    ("an end without a channel", |_| {
        vec![vec![kind::CHANNEL_EOF]]
    }),
    ("a close", |channel| {
        vec![to(kind::CHANNEL_CLOSE, channel).done()]
    }),
    ("a close twice", |channel| {
        vec![to(kind::CHANNEL_CLOSE, channel).done(); 2]
    }),
    ("a close without a channel", |_| {
        vec![vec![kind::CHANNEL_CLOSE]]
    }),
    ("a channel for X11", |_| {
        let x11 = open("x11").text("127.0.0.1").number(6000);
        vec![x11.done()]
    }),
    ("a channel for a forwarded port", |_| {
        let port = open("forwarded-tcpip").text("127.0.0.1").number(22);
        vec![port.text("127.0.0.1").number(22).done()]
    }),
    ("a channel for the agent", |_| {
        vec![
            open("auth-agent@openssh.com").done(),
            open("auth-agent").done(),
        ]
    }),
    ("a channel for a command here", |_| {
        vec![open("session").done(); 20]
    }),
    ("a channel of a long kind", |_| {
        vec![open(&"x".repeat(20_000)).done()]
    }),
    ("a channel that is cut off", |_| {
        vec![
            Message::new(kind::CHANNEL_OPEN)
                .number(40)
                .bytes(b"x11")
                .done(),
        ]
    }),
    ("global requests", |_| vec![global(false); 300]),
    ("global requests that want replies", |_| {
        vec![global(true); 300]
    }),
    ("a global request that is cut off", |_| {
        vec![Message::new(kind::GLOBAL_REQUEST).number(90).done()]
    }),
    ("replies to no request", |_| {
        vec![vec![kind::REQUEST_SUCCESS], vec![kind::REQUEST_FAILURE]]
    }),
    ("messages to ignore", |_| {
        vec![Message::new(kind::IGNORE).text([0; 900]).done(); 200]
    }),
    ("a message to ignore that is cut off", |_| {
        vec![Message::new(kind::IGNORE).number(u32::MAX).done()]
    }),
    ("debugging that shows itself", |_| {
        let text = Message::new(kind::DEBUG).byte(1).text("\x1b[2Jseen\r\n");
        vec![text.text("").done()]
    }),
    ("debugging that is cut off", |_| {
        vec![Message::new(kind::DEBUG).byte(1).number(u32::MAX).done()]
    }),
    ("messages that were not understood", |_| {
        vec![Message::new(kind::UNIMPLEMENTED).number(3).done(); 20]
    }),
    ("an end that means the terminal", |_| {
        let end = Message::new(kind::DISCONNECT).number(2);
        vec![end.text("\x1b]0;owned\x07\r\ngone").text("").done()]
    }),
    ("an end that is cut off", |_| {
        vec![
            Message::new(kind::DISCONNECT)
                .number(2)
                .number(u32::MAX)
                .done(),
        ]
    }),
    ("a message without a number", |_| vec![vec![0, 0, 0]]),
    ("a message of the last number", |_| vec![vec![255; 40]]),
    ("a message of the login", |_| {
        vec![vec![kind::USERAUTH_SUCCESS]]
    }),
];

/// A channel that the server opens.
fn open(name: &str) -> Message {
    Message::new(kind::CHANNEL_OPEN)
        .text(name)
        .number(40)
        .number(1 << 21)
        .number(1 << 15)
}

fn global(wants_reply: bool) -> Vec<u8> {
    Message::new(kind::GLOBAL_REQUEST)
        .text("of-tomorrow@example")
        .byte(wants_reply.into())
        .done()
}

/// True if a cell of the table has this outcome. If a cell has several outcomes with slashes between them, the timing
/// decides: a client ends the connection after it has read the close. It reads a message after the close only if that
/// has arrived by then. For OpenSSH's ssh, an early close by the server has the same effect. Messages before the close
/// are always read, in their order.
fn is_one_of(outcome: &str, cell: &str) -> bool {
    cell.split('/').any(|word| word == outcome)
}

/// Tests all messages at one stage of the session, each with a server of its own.
fn every_message_at(place: usize) {
    let stage = STAGES[place];
    let server = |messages: Messages| {
        Sshd::start(own_key(), move |talk| {
            talk.greet()?;
            talk.exchange(&METHODS)?;
            talk.serve(|talk, now| {
                if now == stage {
                    talk.send_together(&messages(talk.channel))
                } else {
                    Ok(())
                }
            })
        })
    };
    let servers: Vec<Sshd> = MESSAGES.iter().map(|message| server(message.1)).collect();
    let clients = Clients::new(&servers, &own_key(), &[]);
    let ends = clients.mrsh();
    let mut faults = Vec::new();
    for (number, ((name, _), end)) in MESSAGES.iter().zip(&ends).enumerate() {
        let row = Row::about(name);
        let wanted = |cell: &str| cell.split(", ").nth(place).unwrap_or_default().to_owned();
        let (mrsh, ssh) = (wanted(&row.mrsh), wanted(&row.ssh));
        if !is_one_of(&end.class, &mrsh) {
            faults.push(format!(
                "{name}: {}, not {mrsh}: {}",
                end.class, end.message
            ));
        }
        // The output of a command that succeeded is complete, whatever else the server has sent. Only data
        // beyond the window may be ignored (RFC 4254, section 5.2), and data after an early end of the output.
        let is_early_end = name.contains("the end of the output") && place < 3;
        let may_lose = name.contains("beyond the window") || is_early_end;
        let mut parts = end.stdout.windows(OUTPUT.len());
        let is_whole = parts.any(|part| part == OUTPUT.as_bytes());
        if end.class == STATUS.to_string() && !is_whole && !may_lose {
            faults.push(format!("{name}: the output is not whole"));
        }
        let found = clients.ssh(number, ssh.contains("waits"));
        if let Some(found) = found.filter(|found| found.is_known_version)
            && !is_one_of(&found.short(), &ssh)
            // After the close ssh may have forgotten the channel, and then any message to it is an error.
            && !(place == 4 && found.short() == "refused")
        {
            faults.push(format!("{name}: ssh: {}, not {ssh}", found.short()));
        }
    }
    assert!(faults.is_empty(), "{stage:?}:\n{}", faults.join("\n"));
}

#[test]
fn every_message_before_the_channel_is_open() {
    every_message_at(0);
}

#[test]
fn every_message_before_the_command() {
    every_message_at(1);
}

#[test]
fn every_message_while_the_command_runs() {
    every_message_at(2);
}

#[test]
fn every_message_after_the_end_of_the_output() {
    every_message_at(3);
}

#[test]
fn every_message_after_the_close() {
    every_message_at(4);
}
