use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::timeout;

use super::dialogue::{ChangeDialogue, ChangeState, MAX_EARLY};
use super::start::ChangeChannel;
use super::*;
use crate::event::{FailureClass, PasswordUse, RemoteExit, Stream};
use crate::transport::{Excused, TransportError};

const HOST: &str = "h1";

fn change(program: ChangeProgram, has_password: bool) -> UserChange {
    UserChange {
        program,
        user: "root".into(),
        has_password,
        prompt: SplitToken("ask1ask2".to_owned()),
        start: SplitToken("run1run2".to_owned()),
    }
}

fn changes(has_password: bool) -> UserChanges {
    let changes = UserChanges::new(Arc::new(change(ChangeProgram::Sudo, has_password)));
    if has_password {
        changes.set_password(b"open sesame").unwrap();
    }
    changes
}

/// Returns the state and the output of a stream that comes in pieces of these sizes, in turn.
fn dialogue(stream: &[u8], sizes: &[usize]) -> (ChangeState, Vec<u8>) {
    let mut dialogue = ChangeDialogue::new(&change(ChangeProgram::Sudo, true));
    let mut rest = stream;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, next) = rest.split_at((*size).clamp(1, rest.len()));
        dialogue.feed(piece);
        rest = next;
    }
    (dialogue.state(), dialogue.into_output())
}

#[test]
fn tokens_are_removed_from_the_output() {
    for (stream, state, output) in [
        ("", ChangeState::Waiting, ""),
        ("lecture\nask1ask", ChangeState::Waiting, "lecture\nask1ask"),
        ("lecture\nask1ask2", ChangeState::Asked, "lecture\n"),
        ("run1run2", ChangeState::Started, ""),
        ("a\nask1ask2run1run2b\n", ChangeState::Started, "a\nb\n"),
        ("ask1ask2\r\nrun1run2\nb", ChangeState::Started, "\nb"),
        ("run1run2ask1ask2", ChangeState::Started, "ask1ask2"),
        ("run1run2run1run2", ChangeState::Started, "run1run2"),
        (
            "ask1ask2Sorry\nask1ask2",
            ChangeState::AskedAgain,
            "Sorry\n",
        ),
        ("ask1ask2ask1ask2run1run2x", ChangeState::AskedAgain, "x"),
        // sudo-rs
        (
            "a\n[ask1ask2: authenticate] Password: \nrun1run2b",
            ChangeState::Started,
            "a\nb",
        ),
        (
            "[sudo: ask1ask2] Password: run1run2b",
            ChangeState::Started,
            "b",
        ),
    ] {
        for sizes in [&[1][..], &[3], &[stream.len().max(1)]] {
            let found = dialogue(stream.as_bytes(), sizes);
            assert_eq!(found, (state, output.as_bytes().to_vec()), "{stream:?}");
        }
    }
}

#[test]
fn a_shell_that_prints_its_commands_prints_no_token() {
    let change = change(ChangeProgram::Sudo, true);
    let text = [change.outer(true), change.inner()].concat();
    assert!(
        !text.contains("ask1ask2") && !text.contains("run1run2"),
        "{text}"
    );
}

#[test]
fn output_without_end_is_too_much() {
    let noise = vec![b'x'; MAX_EARLY + 1];
    assert_eq!(dialogue(&noise, &[4096]).0, ChangeState::TooMuch);
    // Output of the command is no part of the limit.
    let much = [b"run1run2".as_slice(), &noise].concat();
    assert_eq!(dialogue(&much, &[much.len()]).0, ChangeState::Started);
}

proptest! {
    #[test]
    fn any_cut_of_the_stream_has_the_same_result(
        pieces in prop::collection::vec(
            prop_oneof![
                Just("ask1ask2".to_owned()), Just("run1run2".to_owned()), Just("ask1".to_owned()),
                Just("[sudo: ".to_owned()), Just("\n".to_owned()), "[a1k2\\[ ]{0,6}",
            ],
            0..8,
        ),
        sizes in prop::collection::vec(1_usize..12, 1..6),
    ) {
        let stream = pieces.concat().into_bytes();
        let whole = dialogue(&stream, &[stream.len().max(1)]);
        prop_assert_eq!(dialogue(&stream, &sizes), whole);
    }
}

/// A step of a scripted host.
enum HostStep {
    Print(&'static str),
    /// Waits until this line comes.
    Read(&'static [u8]),
    Exit(u8),
    /// Prints without end.
    Endless,
    Silence,
}

/// A host that follows a script and records all that it gets.
struct ScriptedHost {
    steps: VecDeque<HostStep>,
    got: Vec<u8>,
    exit: u8,
}

impl ScriptedHost {
    fn new(steps: impl IntoIterator<Item = HostStep>) -> ScriptedHost {
        ScriptedHost {
            steps: steps.into_iter().collect(),
            got: Vec::new(),
            exit: 0,
        }
    }
}

impl ChangeChannel for ScriptedHost {
    async fn read(&mut self) -> Result<Option<(Stream, Vec<u8>)>, TransportError> {
        loop {
            match self.steps.pop_front() {
                Some(HostStep::Print(text)) => return Ok(Some((Stream::Stderr, text.into()))),
                Some(HostStep::Read(line)) if self.got.ends_with(line) => {}
                Some(HostStep::Exit(status)) => {
                    self.exit = status;
                    return Ok(None);
                }
                Some(HostStep::Endless) => {
                    self.steps.push_front(HostStep::Endless);
                    return Ok(Some((Stream::Stderr, vec![b'x'; 1000])));
                }
                Some(HostStep::Read(_) | HostStep::Silence) | None => std::future::pending().await,
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        self.got.extend_from_slice(bytes);
        Ok(())
    }

    async fn exit(&mut self) -> Result<RemoteExit, TransportError> {
        Ok(RemoteExit::Code(self.exit))
    }
}

/// Runs a start against a scripted host. Returns the result and what the host got; `None` if nothing ends it.
async fn start(
    changes: &UserChanges,
    steps: impl IntoIterator<Item = HostStep>,
) -> (Option<Result<Vec<u8>, TransportError>>, Vec<u8>) {
    let mut host = ScriptedHost::new(steps);
    let excused = Excused::default();
    let run = async {
        let turn = changes.turn(&excused).await?;
        let early = changes
            .start(&mut host, Stream::Stderr, HOST, turn, &excused)
            .await?;
        Ok(early.into_iter().flat_map(|(_, data)| data).collect())
    };
    let result = timeout(Duration::from_secs(10), run).await.ok();
    (result, host.got)
}

fn class(result: Option<Result<Vec<u8>, TransportError>>) -> Option<FailureClass> {
    result.map(|result| result.unwrap_err().class())
}

#[tokio::test(start_paused = true)]
async fn the_password_is_sent_once_and_only_after_the_prompt() {
    use HostStep::{Print, Read};
    let steps = [
        Print("hello\nask1"),
        Print("ask2"),
        Read(b"open sesame\n"),
        Print("run1run2out"),
    ];
    let (result, got) = start(&changes(true), steps).await;
    assert_eq!(result.unwrap().unwrap(), b"hello\nout");
    assert_eq!(got, b"open sesame\n");
    // Without a question nothing is sent.
    let (result, got) = start(&changes(true), [Print("run1run2")]).await;
    assert!(result.unwrap().is_ok() && got.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_sent_to_one_host_once() {
    use HostStep::{Print, Read};
    let changes = changes(true);
    let steps = || {
        [
            Print("ask1ask2"),
            Read(b"open sesame\n"),
            Print("Sorry\nask1ask2"),
        ]
    };
    let (result, got) = start(&changes, steps()).await;
    let error = result.unwrap().unwrap_err();
    assert_eq!(
        (error.class(), error.password_use()),
        (FailureClass::BecomePassword, PasswordUse::Sent)
    );
    assert_eq!(got, b"open sesame\n");
    let (result, got) = start(&changes, steps()).await;
    let error = result.unwrap().unwrap_err();
    assert_eq!(error.password_use(), PasswordUse::Withheld);
    assert!(got.is_empty());
}

#[tokio::test(start_paused = true)]
async fn hostile_hosts_get_nothing_or_end_in_time() {
    use HostStep::{Endless, Exit, Print, Read, Silence};
    // Texts that look like a prompt.
    for text in [
        "Password: ",
        "[sudo] password for ops: ",
        "ask1 ask2",
        "ask1\nask2",
    ] {
        let (result, got) = start(&changes(true), [Print(text), Silence]).await;
        // Only the connect timeout ends it.
        assert!(result.is_none() && got.is_empty(), "{text}");
    }
    let (result, got) = start(&changes(true), [Print("ask1ask2ask1ask2")]).await;
    assert_eq!(
        (class(result), got),
        (Some(FailureClass::Become), Vec::new())
    );
    let (result, got) = start(&changes(true), [Endless]).await;
    assert_eq!(
        (class(result), got),
        (Some(FailureClass::Become), Vec::new())
    );
    let (result, got) = start(&changes(true), [Silence]).await;
    assert!(result.is_none() && got.is_empty());
    // The start of the command comes with the question: nobody reads the password.
    let (result, got) = start(&changes(true), [Print("ask1ask2run1run2")]).await;
    assert!(result.unwrap().is_ok() && got.is_empty());
    // A prompt although there is no password.
    let (result, got) = start(&changes(false), [Print("ask1ask2")]).await;
    assert_eq!(
        (class(result), got),
        (Some(FailureClass::BecomeNeedsPassword), Vec::new())
    );
    let steps = [
        Print("ask1ask2"),
        Read(b"open sesame\n"),
        Print("1 incorrect password attempt"),
        Exit(1),
    ];
    let (result, _) = start(&changes(true), steps).await;
    assert_eq!(class(result), Some(FailureClass::BecomePassword));
}

#[tokio::test(start_paused = true)]
async fn no_command_is_sent_before_the_first_host_has_answered() {
    let changes = changes(true);
    let excused = Excused::default();
    let first = changes.turn(&excused).await.unwrap();
    let brief = Duration::from_secs(1);
    assert!(timeout(brief, changes.turn(&excused)).await.is_err());
    // A host that fails without an answer gives its turn to the next.
    drop(first);
    let turn = changes.turn(&excused).await.unwrap();
    let mut host = ScriptedHost::new([HostStep::Print("run1run2")]);
    changes
        .start(&mut host, Stream::Stderr, HOST, turn, &excused)
        .await
        .unwrap();
    let (_one, _two) = (
        changes.turn(&excused).await.unwrap(),
        changes.turn(&excused).await.unwrap(),
    );
}

#[test]
fn the_ends_of_programs_have_classes() {
    use ChangeProgram::{Doas, Su, Sudo};
    for (program, text, status, was_sent, class) in [
        (
            Sudo,
            "sudo: a password is required\n",
            1,
            false,
            "become-needs-password",
        ),
        (
            Sudo,
            "sudo: interactive authentication is required\n",
            1,
            false,
            "become-needs-password",
        ),
        (
            Sudo,
            "sudo: sorry, you must have a tty to run sudo\n",
            1,
            false,
            "become-needs-tty",
        ),
        (
            Sudo,
            "sudo: no tty present and no askpass program specified\n",
            1,
            false,
            "become-needs-tty",
        ),
        (
            Sudo,
            "ops is not in the sudoers file.\n",
            1,
            true,
            "become-denied",
        ),
        (
            Sudo,
            "Sorry, user ops is not allowed to execute '/bin/sh -c x' as root on h1.\n",
            1,
            true,
            "become-denied",
        ),
        (
            Sudo,
            "Sorry, user ops may not run sudo on h1.\n",
            1,
            true,
            "become-denied",
        ),
        (Sudo, "sudo: unknown user x\n", 1, false, "become"),
        (
            Sudo,
            "env: 'sudo': No such file or directory\n",
            127,
            true,
            "become",
        ),
        (Sudo, "", 1, false, "become"),
        (Sudo, "?", 1, true, "become-password"),
        (
            Sudo,
            "sudo: 1 incorrect password attempt\n",
            1,
            true,
            "become-password",
        ),
        (
            Doas,
            "doas: Authentication required\n",
            1,
            false,
            "become-needs-password",
        ),
        (
            Doas,
            "doas: Operation not permitted\n",
            1,
            false,
            "become-denied",
        ),
        (
            Su,
            "Password: su: Authentication failure\n",
            1,
            false,
            "become-needs-password",
        ),
        (
            Su,
            "su: must be run from a terminal\n",
            1,
            false,
            "become-needs-tty",
        ),
    ] {
        let exit = RemoteExit::Code(status);
        let fault = UserChangeFault::of_end(program, text.as_bytes(), exit, was_sent);
        assert_eq!(fault.class().name(), class, "{text}");
        assert!(!fault.message(program).contains('\n'));
    }
}

#[test]
fn a_password_is_one_line() {
    let changes = || UserChanges::new(Arc::new(change(ChangeProgram::Sudo, true)));
    for password in [&b"a\nb"[..], b"a\0", b"a\r"] {
        assert_eq!(
            changes().set_password(password),
            Err(UnusablePassword::NotOneLine)
        );
    }
    assert_eq!(
        changes().set_password(&[b'a'; 1025]),
        Err(UnusablePassword::TooLong)
    );
    assert_eq!(changes().set_password(&[0xff; 1024]), Ok(()));
}
