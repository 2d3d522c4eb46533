// Included by the fuzz target and by the unit test that replays its corpus. Expects `session`, and the scripted
// server as the module `sshd`, in scope.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sshd::{HostKey, METHODS, Message, Stage, Talk, frame, kind, request};

/// Time without data from the client after which the server closes.
const IDLE: Duration = Duration::from_millis(200);

/// All stages, in order.
const STAGES: [Stage; 10] = [
    Stage::Keyed,
    Stage::Served,
    Stage::Claimed,
    Stage::LoggedIn,
    Stage::Opening,
    Stage::Open,
    Stage::Asked,
    Stage::Running,
    Stage::Ended,
    Stage::Closed,
];

/// Maximum number of bytes of a step. Longer steps test nothing more.
const MAX_STEP: usize = 255;

/// One act of the server, in addition to those of an honest server.
#[derive(Debug)]
struct Step<'a> {
    stage: Stage,
    form: u8,
    bytes: &'a [u8],
}

/// Decodes the steps of an input. Each has a stage, a form, a length and bytes.
fn steps(mut input: &[u8]) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    while let [stage, form, length, rest @ ..] = input {
        let length = usize::from(*length).min(rest.len()).min(MAX_STEP);
        let (bytes, rest) = rest.split_at(length);
        steps.push(Step {
            stage: STAGES[usize::from(*stage) % STAGES.len()],
            form: *form % 8,
            bytes,
        });
        input = rest;
    }
    steps
}

fn act(talk: &mut Talk, step: &Step<'_>) -> io::Result<()> {
    let (first, rest) = step.bytes.split_first().unwrap_or((&0, &[]));
    let on_channel = || Message::new(*first).number(0).bytes(rest).done();
    match step.form {
        // The bytes as a message, sent once or often.
        0 => talk.send(step.bytes),
        1 => talk.send_together(&vec![step.bytes.to_vec(); 60]),
        // A message about the channel.
        2 => talk.send(&on_channel()),
        3 => talk.send_together(&vec![on_channel(); 60]),
        // A request with a known name.
        4 => {
            let names = ["exit-status", "exit-signal", "keepalive@openssh.com", "signal"];
            let name = names[usize::from(*first) % names.len()];
            talk.send(&request(0, name, *first & 0x80 != 0).bytes(rest).done())
        }
        // More output than the window allows.
        5 => {
            let size = 1 + usize::from(*first) * 128;
            let data = Message::new(kind::CHANNEL_DATA).number(0);
            talk.send_together(&vec![data.text(vec![b'x'; size]).done(); 80])
        }
        // A packet of any form whose MAC is right.
        6 => {
            let mut packet = frame(&step.bytes[step.bytes.len().min(5)..]);
            let count = step.bytes.len().min(5);
            packet[..count].copy_from_slice(&step.bytes[..count]);
            talk.send_packet(&packet)
        }
        // New keys.
        _ => talk.exchange(&METHODS),
    }
}

/// The server's end of the connection, which counts the bytes that the server sends.
struct Counted {
    stream: UnixStream,
    sent: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.stream.write(bytes)?;
        self.sent.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Plays this input as a server. Returns the end of the session, and the number of bytes from the server.
fn play(input: &[u8]) -> (SessionEnd, u64) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_read_timeout(Some(IDLE)).unwrap();
    theirs.set_write_timeout(Some(IDLE)).unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let theirs = Counted {
        stream: theirs,
        sent: Arc::clone(&sent),
    };
    let end = std::thread::scope(|scope| {
        let server = scope.spawn(|| {
            let key = HostKey::of_seed(1);
            let mut talk = Talk::new(Box::new(theirs), key, Default::default());
            let steps = steps(input);
            // The script ends with an error if the client disconnects, or after the idle time.
            let _ = talk.greet().and_then(|()| talk.exchange(&METHODS)).and_then(|()| {
                talk.serve(|talk, now| {
                    let mut steps = steps.iter().filter(|step| step.stage == now);
                    steps.try_for_each(|step| act(talk, step))
                })
            });
        });
        let end = session(ours);
        server.join().unwrap();
        end
    });
    (end, sent.load(Ordering::Relaxed))
}

/// Checks that a session ends for any input, and that its output is no longer than the bytes from the server.
fn check(input: &[u8]) {
    let (end, sent) = play(input);
    assert!(end.output as u64 <= sent, "{end:?}");
}
