use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::record::{WrittenLine, push_line};
use super::*;
use crate::event::{
    CancelReason, Facts, Failure, FailureClass, Finished, FinishedRecord, LeftRunning, Outcome,
    PasswordUse, Phase, RemoteExit,
};
use crate::targets::{
    InventoryValue, InventoryVariables, Target, TargetId, TransportKind, Variable,
};

mod fuzzed {
    use crate::journal::{JournalState, Progress};

    include!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fuzz/properties/journal.rs"
    ));

    pub(super) fn run(bytes: &[u8]) {
        check(bytes);
    }

    pub(super) fn header() -> &'static str {
        HEADER
    }
}

fn target(label: &str) -> Target {
    Target {
        label: label.into(),
        host: label.into(),
        user: None,
        port: None,
        transport: None,
        callback_from: None,
        inventory: None,
        variables: None,
    }
}

fn recorded(target: &Target) -> RecordedTarget {
    let endpoint = RecordedEndpoint {
        host: target.host.to_string(),
        transport: "rsh".to_owned(),
        user: None,
        port: Some(514),
        by_way_of: None,
    };
    RecordedTarget::new(target, endpoint)
}

/// Returns the first line of a journal with these targets.
fn header(targets: &[Target]) -> Vec<u8> {
    let plan = RecordedPlan {
        script: None,
        user: "root".to_owned(),
        directory: RecordedWord::new("/".as_ref()),
        options: vec![RecordedWord::new("-v".as_ref())],
        command: vec![RecordedWord::new("uptime".as_ref())],
        input: None,
        targets: targets.iter().map(recorded).collect(),
    };
    let header = Header {
        program: "mrsh".to_owned(),
        run: "1".to_owned(),
        session: session(),
        digest: plan.digest(),
        plan,
    };
    let mut line = Vec::new();
    push_line(&WrittenLine::Journal(&header), &mut line);
    line
}

fn session() -> SessionRecord {
    SessionRecord::of_this_process(Vec::new(), 1)
}

fn labels(count: usize) -> Vec<Target> {
    (0..count).map(|n| target(&format!("n{n}"))).collect()
}

fn finished(target: u32, outcome: Outcome, ran: bool, left_running: LeftRunning) -> Finished {
    Finished {
        target: TargetId(target),
        outcome,
        began: Some(Duration::ZERO),
        elapsed: Duration::ZERO,
        facts: Facts {
            run: ran.then_some(Duration::ZERO),
            left_running,
            ..Facts::default()
        },
    }
}

fn failure(class: FailureClass) -> Outcome {
    Outcome::Failed(Failure {
        class,
        phase: Phase::Run,
        message: "a failure".to_owned(),
        common: None,
        help: None,
        password: PasswordUse::None,
    })
}

#[test]
fn a_target_is_read_as_it_was_written() {
    let targets = [
        Target {
            user: Some("ann".into()),
            port: Some(2222),
            transport: Some(TransportKind::Ssh),
            callback_from: Some(vec!["10.0.0.0/8".parse().unwrap()].into()),
            inventory: Some(Arc::new(InventoryVariables {
                ssh_options: vec![("f:1".into(), "Port=7".to_owned())],
                port: Some(7),
                env: vec![("A".into(), InventoryValue::Text("b c".into()))],
                ..InventoryVariables::default()
            })),
            variables: Some([Variable::new("B", b"\"".as_slice()).unwrap()].into()),
            ..target("a b")
        },
        target("n1"),
    ];
    let state = JournalState::read(&header(&targets)[..]).unwrap();
    assert_eq!(state.targets, targets);
    let word = std::ffi::OsStr::new("x");
    assert_eq!(RecordedWord::new(word).to_os_string().unwrap(), word);
    let bytes = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff");
    assert_eq!(RecordedWord::new(bytes).to_os_string().unwrap(), bytes);
}

#[test]
fn the_table_of_outcomes() {
    use LeftRunning::{Maybe, No, Yes};
    let signal = CancelReason::Signal(15);
    let exited = |code| Outcome::Exited(RemoteExit::Code(code));
    let table = [
        (exited(0), true, No, Progress::Done { status: Some(0) }),
        (
            Outcome::Exited(RemoteExit::Unknown),
            true,
            No,
            Progress::Done { status: None },
        ),
        (
            exited(3),
            true,
            No,
            Progress::CommandFailed { status: Some(3) },
        ),
        (
            Outcome::Exited(RemoteExit::Signaled(9)),
            true,
            No,
            Progress::CommandFailed { status: Some(137) },
        ),
        (failure(FailureClass::Refused), false, No, Progress::Failed),
        (
            failure(FailureClass::CommandTimeout),
            true,
            No,
            Progress::Failed,
        ),
        (
            failure(FailureClass::CommandTimeout),
            true,
            Yes,
            Progress::Uncertain,
        ),
        (
            failure(FailureClass::Copy),
            true,
            No,
            Progress::CommandFailed { status: Some(1) },
        ),
        (
            failure(FailureClass::NoCallback),
            false,
            Maybe,
            Progress::Uncertain,
        ),
        (Outcome::Cancelled(signal), false, No, Progress::NotStarted),
        (
            Outcome::Cancelled(signal),
            false,
            Maybe,
            Progress::Uncertain,
        ),
        (
            Outcome::Cancelled(signal),
            true,
            No,
            Progress::CommandFailed { status: None },
        ),
        (Outcome::NotStarted(signal), false, No, Progress::NotStarted),
        (
            Outcome::Internal("a defect".to_owned()),
            false,
            No,
            Progress::Uncertain,
        ),
    ];
    let targets = labels(1);
    for (outcome, ran, left, wanted) in table {
        let text = format!("{outcome:?}");
        let finished = finished(0, outcome, ran, left);
        let mut journal = header(&targets);
        push_line(&started(0), &mut journal);
        push_line(
            &WrittenLine::Finished(Box::new(FinishedRecord::new(&finished, "n0"))),
            &mut journal,
        );
        let state = JournalState::read(&journal[..]).unwrap();
        assert_eq!(state.progress().collect::<Vec<_>>(), [wanted], "{text}");
    }
}

fn started(target: u32) -> WrittenLine<'static> {
    const LABELS: [&str; 4] = ["n0", "n1", "n2", "n3"];
    WrittenLine::Started {
        target,
        label: LABELS[target as usize],
    }
}

/// One line of a journal about a target.
#[derive(Clone, Copy, Debug)]
enum Step {
    Start(u32),
    End(u32, u8),
    Resume,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_u32).prop_map(Step::Start),
        4 => (0..4_u32, 0..6_u8).prop_map(|(target, how)| Step::End(target, how)),
        1 => Just(Step::Resume),
    ]
}

fn outcome(how: u8) -> (Outcome, bool, LeftRunning) {
    match how {
        0 | 1 => (
            Outcome::Exited(RemoteExit::Code(how)),
            true,
            LeftRunning::No,
        ),
        2 => (failure(FailureClass::Io), true, LeftRunning::Yes),
        3 => (failure(FailureClass::Denied), false, LeftRunning::No),
        4 => (
            Outcome::Cancelled(CancelReason::Deadline),
            true,
            LeftRunning::No,
        ),
        _ => (
            Outcome::Cancelled(CancelReason::Deadline),
            false,
            LeftRunning::No,
        ),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Steps that a run could not write are left out. The wanted state is calculated beside the lines.
    #[test]
    fn a_journal_that_is_cut_anywhere_is_a_part_of_its_history(
        steps in prop::collection::vec(step(), 0..25),
    ) {
        let targets = labels(4);
        let mut journal = header(&targets);
        // The state after each line, with the length of the journal up to it.
        let mut history = vec![(journal.len(), [Progress::NotStarted; 4])];
        let mut open: [Option<Progress>; 4] = [None; 4];
        for step in steps {
            let mut progress = history.last().unwrap().1;
            match step {
                Step::Start(target) => {
                    let now = &mut progress[target as usize];
                    if matches!(now, Progress::Uncertain | Progress::Done { .. }) {
                        continue;
                    }
                    open[target as usize] = Some(*now);
                    *now = Progress::Uncertain;
                    push_line(&started(target), &mut journal);
                }
                Step::End(target, how) => {
                    let Some(before) = open[target as usize].take() else { continue };
                    let (outcome, ran, left) = outcome(how);
                    progress[target as usize] = match how {
                        0 => Progress::Done { status: Some(0) },
                        1 => Progress::CommandFailed { status: Some(1) },
                        2 => Progress::Uncertain,
                        3 => Progress::Failed,
                        4 => Progress::CommandFailed { status: None },
                        _ => before,
                    };
                    let finished = finished(target, outcome, ran, left);
                    let record = FinishedRecord::new(&finished, &targets[target as usize].label);
                    push_line(&WrittenLine::Finished(Box::new(record)), &mut journal);
                }
                Step::Resume => {
                    open = [None; 4];
                    push_line(&WrittenLine::Resume(&session()), &mut journal);
                }
            }
            history.push((journal.len(), progress));
        }
        for cut in history[0].0..=journal.len() {
            let state = JournalState::read(&journal[..cut]).unwrap();
            let (length, wanted) = history.iter().rfind(|(length, _)| *length <= cut).unwrap();
            prop_assert_eq!(state.length, *length as u64);
            prop_assert_eq!(state.incomplete, (cut - length) as u64);
            prop_assert_eq!(state.progress().collect::<Vec<_>>(), wanted);
        }
        for cut in 0..history[0].0 {
            prop_assert!(JournalState::read(&journal[..cut]).is_err());
        }
    }

    #[test]
    fn any_bytes_pass(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        fuzzed::run(&bytes);
    }
}

#[test]
fn the_fuzz_corpus_passes() {
    assert!(JournalState::read(format!("{}\n", fuzzed::header()).as_bytes()).is_ok());
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/journal");
    let mut files = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        fuzzed::run(&std::fs::read(file.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files > 15);
}

#[test]
fn a_journal_that_a_forked_process_still_holds_is_read_from_its_start() {
    let mut ended = std::process::Command::new("true").spawn().unwrap();
    ended.wait().unwrap();
    let mut last = session();
    last.pid = ended.id();
    let mut text = header(&labels(2));
    push_line(&WrittenLine::Resume(&last), &mut text);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    std::fs::write(&path, text).unwrap();
    // As a child that has not reached its execve(2) holds the file of its parent.
    let held = File::open(&path).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let holder = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(60));
        drop(held);
    });
    let file = File::options().read(true).append(true).open(&path).unwrap();
    let (_, state) = JournalFile::of_known_run(file).unwrap();
    assert_eq!(state.targets.len(), 2);
    holder.join().unwrap();
}

fn writer(file: File, count: usize) -> JournalWriter {
    let file = JournalFile::of_new_run(file).unwrap();
    JournalWriter::start(file, labels(count).into(), None).unwrap()
}

/// Runs a future beside the part of the dispatcher.
async fn beside_commits<F: Future>(journal: &Journal, future: F) -> F::Output {
    let commits = async { while journal.committed().await.is_ok() {} };
    tokio::select! {
        done = future => done,
        // After a failure the future ends by itself.
        () = async { commits.await; std::future::pending().await } => unreachable!(),
    }
}

#[tokio::test]
async fn a_start_is_in_the_file_before_it_is_allowed() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let writer = writer(file.reopen().unwrap(), 300);
    let journal = writer.journal();
    let starts = async {
        let mut tasks = tokio::task::JoinSet::new();
        for target in 0..300 {
            let (journal, path) = (journal.clone(), file.path().to_owned());
            tasks.spawn(async move {
                journal.record_start(TargetId(target)).await.unwrap();
                let text = std::fs::read_to_string(path).unwrap();
                assert!(text.contains(&format!("\"label\":\"n{target}\"")));
                // A second attempt has no second line.
                journal.record_start(TargetId(target)).await.unwrap();
            });
        }
        tasks.join_all().await;
    };
    beside_commits(&journal, starts).await;
    writer.finish().unwrap();
    let mut text = String::new();
    file.reopen().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), 300);
}

#[tokio::test]
async fn a_target_that_gives_up_its_wait_does_not_stop_the_others() {
    let file = tempfile::tempfile().unwrap();
    let writer = writer(file, 2);
    let journal = writer.journal();
    let mut first = Box::pin(journal.record_start(TargetId(0)));
    // The first one has the duty to wake the thread.
    let polled =
        std::future::poll_fn(|context| std::task::Poll::Ready(first.as_mut().poll(context)));
    assert!(polled.await.is_pending());
    drop(first);
    beside_commits(&journal, journal.record_start(TargetId(1)))
        .await
        .unwrap();
    writer.finish().unwrap();
}

#[tokio::test]
async fn no_start_is_allowed_that_cannot_be_written() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let writer = writer(full, 3);
    let journal = writer.journal();
    let both = async {
        tokio::join!(
            journal.record_start(TargetId(0)),
            journal.record_start(TargetId(1))
        )
    };
    assert_eq!(
        beside_commits(&journal, both).await,
        (Err(NotRecorded), Err(NotRecorded))
    );
    assert_eq!(journal.record_start(TargetId(2)).await, Err(NotRecorded));
    let error = writer.finish().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}
