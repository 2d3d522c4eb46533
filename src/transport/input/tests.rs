use super::*;
use proptest::prelude::*;
use std::io::{PipeWriter, Read, Write, pipe};
use std::thread;

const SMALL: InputLimits = InputLimits {
    memory: 100_000,
    spool: 1 << 30,
    stall_timeout: Duration::from_millis(300),
};

/// Returns the byte at this position of every input here.
fn byte(position: u64) -> u8 {
    (position * 31 % 251) as u8
}

fn bytes(length: u64) -> Vec<u8> {
    (0..length).map(byte).collect()
}

/// Returns an input that reads from a pipe.
fn piped(limits: InputLimits, targets: usize) -> (Input, PipeWriter) {
    let (reader, writer) = pipe().unwrap();
    (Input::start(reader, limits, targets).unwrap(), writer)
}

/// Writes to a pipe on a thread and closes it.
fn write(mut pipe: PipeWriter, bytes: Vec<u8>) -> thread::JoinHandle<io::Result<()>> {
    thread::spawn(move || pipe.write_all(&bytes))
}

/// Reads to the end.
async fn read_all(reader: &mut InputReader) -> Result<Vec<u8>, Arc<InputError>> {
    let mut all = Vec::new();
    loop {
        let chunk = reader.peek().await?;
        if chunk.is_empty() {
            return Ok(all);
        }
        all.extend_from_slice(&chunk);
        reader.advance(chunk.len());
    }
}

/// Reads to this position, at most `step` bytes at a time.
async fn read_to(reader: &mut InputReader, position: u64, step: usize) {
    while reader.position < position {
        let chunk = reader.peek().await.unwrap();
        let most = usize::try_from(position - reader.position)
            .unwrap()
            .min(step);
        assert_eq!(chunk[0], byte(reader.position));
        reader.advance(chunk.len().min(most));
    }
}

#[tokio::test]
async fn a_file_is_read_from_its_position_and_left_at_its_end() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes(300_000)).unwrap();
    file.seek(SeekFrom::Start(3)).unwrap();
    let input = Input::start(&file, SMALL, 2).unwrap();
    assert_eq!(input.length(), Some(299_997));
    for target in 0..2 {
        let mut reader = input.reader(TargetId(target));
        if target == 1 {
            // From a thread, like a file that is not in the page cache.
            reader.refuse_files();
        }
        assert_eq!(reader.left(), Some(299_997));
        assert_eq!(read_all(&mut reader).await.unwrap(), bytes(300_000)[3..]);
        assert_eq!(reader.left(), Some(0));
    }
    assert_eq!(file.stream_position().unwrap(), 300_000);
    // At the end of the file the input is empty.
    assert_eq!(Input::start(&file, SMALL, 1).unwrap().length(), Some(0));
}

#[tokio::test]
async fn a_file_in_proc_with_length_0_is_not_empty() {
    let file = File::open("/proc/self/status").unwrap();
    assert_eq!(file.metadata().unwrap().len(), 0);
    let input = Input::start(&file, SMALL, 1).unwrap();
    let all = read_all(&mut input.reader(TargetId(0))).await.unwrap();
    assert!(all.starts_with(b"Name:"), "{}", all.escape_ascii());
}

#[tokio::test]
async fn a_file_that_becomes_shorter_is_an_error() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes(200_000)).unwrap();
    file.rewind().unwrap();
    let input = Input::start(&file, SMALL, 2).unwrap();
    let mut readers = [0, 1].map(|target| input.reader(TargetId(target)));
    readers[1].refuse_files();
    file.set_len(100_000).unwrap();
    for reader in &mut readers {
        let error = read_all(reader).await.unwrap_err();
        assert!(matches!(*error, InputError::Shrunk), "{error}");
    }
}

#[tokio::test]
async fn an_unreadable_input_is_an_error_before_the_run() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"x").unwrap();
    let write_only = File::options().write(true).open(file.path()).unwrap();
    assert!(Input::start(&write_only, SMALL, 1).is_err());
    let directory = File::open("/").unwrap();
    let input = Input::start(&directory, SMALL, 1).unwrap();
    let error = input.look_ahead().await.unwrap_err();
    assert!(matches!(*error, InputError::Read(_)), "{error}");
}

#[tokio::test]
async fn every_target_reads_all_bytes_of_a_pipe_that_has_ended() {
    for length in [0, 1, 99_999, 100_000, 100_001, 5_000_000] {
        let (input, pipe) = piped(SMALL, 3);
        write(pipe, bytes(length)).join().unwrap().unwrap();
        input.look_ahead().await.unwrap();
        if length < 100_000 {
            assert_eq!(input.length(), Some(length), "it fits in memory");
        }
        for target in 0..3 {
            let all = read_all(&mut input.reader(TargetId(target))).await.unwrap();
            assert!(all == bytes(length), "{length}");
        }
        assert_eq!(input.length(), Some(length));
    }
}

#[tokio::test]
async fn a_pipe_has_no_length_until_it_ends() {
    let (input, mut pipe) = piped(SMALL, 2);
    pipe.write_all(b"one").unwrap();
    input.look_ahead().await.unwrap();
    assert_eq!(input.length(), None);
    let mut early = input.reader(TargetId(0));
    assert_eq!(early.peek().await.unwrap(), b"one");
    assert_eq!(early.peek().await.unwrap(), b"one", "peeking uses nothing");
    early.advance(1);
    assert_eq!(early.left(), None);
    assert_eq!(early.peek().await.unwrap(), b"ne");
    early.advance(2);
    let more = async {
        tokio::task::yield_now().await;
        pipe.write_all(b"two").unwrap();
        drop(pipe);
    };
    let (chunk, ()) = tokio::join!(early.peek(), more);
    assert_eq!(chunk.unwrap(), b"two");
    early.advance(3);
    assert_eq!(early.peek().await.unwrap(), b"");
    assert_eq!(input.length(), Some(6));
    let late = read_all(&mut input.reader(TargetId(1))).await.unwrap();
    assert_eq!(late, b"onetwo");
}

#[tokio::test]
async fn peek_can_be_dropped_again_and_again() {
    let (input, pipe) = piped(SMALL, 1);
    write(pipe, bytes(1_000_000)).join().unwrap().unwrap();
    let mut reader = input.reader(TargetId(0));
    let mut all = Vec::new();
    while all.len() < 1_000_000 {
        let chunk = tokio::select! {
            biased;
            chunk = reader.peek() => chunk.unwrap(),
            () = tokio::task::yield_now() => continue,
        };
        all.extend_from_slice(&chunk);
        reader.advance(chunk.len());
    }
    assert!(all == bytes(1_000_000));
}

#[tokio::test]
async fn reading_waits_for_the_slowest_target() {
    let limits = InputLimits {
        spool: 3 << 20,
        ..SMALL
    };
    let (input, pipe) = piped(limits, 3);
    let length = 20 << 20;
    let writing = write(pipe, bytes(length));
    let mut fast = input.reader(TargetId(0));
    let mut slow = input.reader(TargetId(1));
    // A target that ends without reading does not count.
    input.target_ended(TargetId(2));
    for position in (0..length).step_by(1 << 20).skip(1) {
        read_to(&mut slow, position, usize::MAX).await;
        // The fast reader is ahead of the slow one by nearly the limit of the spool.
        let most = (position + limits.spool).min(length);
        read_to(&mut fast, most - 2 * MAX_INPUT_CHUNK as u64, usize::MAX).await;
        let read = input.shared().lock().read();
        assert!(
            read <= most + MAX_INPUT_CHUNK as u64,
            "{read} read, {most} allowed"
        );
        let file = input.shared().lock().file().unwrap();
        let taken = file.blocks() * 512;
        assert!(taken <= (5 << 20), "{taken} bytes of the disk");
    }
    drop(slow);
    let tail = read_all(&mut fast).await.unwrap();
    assert!(bytes(length).ends_with(&tail));
    assert_eq!(input.length(), Some(length));
    writing.join().unwrap().unwrap();
}

#[tokio::test]
async fn bytes_for_targets_that_are_not_started_have_a_limit() {
    let limits = InputLimits {
        spool: 1_000_000,
        ..SMALL
    };
    let (input, pipe) = piped(limits, 2);
    let writing = write(pipe, bytes(1_000_000));
    let mut first = input.reader(TargetId(0));
    assert_eq!(read_all(&mut first).await.unwrap().len(), 1_000_000);
    writing.join().unwrap().unwrap();
    let late = read_all(&mut input.reader(TargetId(1))).await.unwrap();
    assert_eq!(late.len(), 1_000_000);

    let (input, pipe) = piped(limits, 2);
    let writing = write(pipe, bytes(3_000_000));
    let mut first = input.reader(TargetId(0));
    let error = read_all(&mut first).await.unwrap_err();
    assert!(
        matches!(*error, InputError::TooLong { limit: 1_000_000 }),
        "{error}"
    );
    let late = read_all(&mut input.reader(TargetId(1))).await;
    assert!(late.is_err(), "no target takes a part for the whole");
    assert!(writing.join().unwrap().is_err(), "no more of it is read");
}

#[tokio::test]
async fn reading_waits_for_targets_that_connect_slowly() {
    let limits = InputLimits {
        spool: 1_000_000,
        stall_timeout: Duration::from_secs(60),
        ..SMALL
    };
    let (input, pipe) = piped(limits, 3);
    let writing = write(pipe, bytes(3_000_000));
    let mut first = input.reader(TargetId(0));
    read_to(&mut first, 1_000_000, usize::MAX).await;
    // One target starts late, another one never does.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut second = input.reader(TargetId(1));
    input.target_ended(TargetId(2));
    let (first, second) = tokio::join!(read_all(&mut first), read_all(&mut second));
    assert!(bytes(3_000_000).ends_with(&first.unwrap()));
    assert!(bytes(3_000_000) == second.unwrap());
    writing.join().unwrap().unwrap();
}

#[tokio::test]
async fn bytes_that_no_target_needs_are_not_read() {
    let (input, pipe) = piped(SMALL, 2);
    let writing = write(pipe, bytes(50_000_000));
    let mut reader = input.reader(TargetId(0));
    read_to(&mut reader, 10, 10).await;
    input.target_ended(TargetId(1));
    drop(reader);
    let error = writing.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[derive(Clone, Debug)]
enum Op {
    Append(u64),
    Seat,
    Read(usize, usize),
    Leave(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1..70_000_u64).prop_map(Op::Append),
        1 => Just(Op::Seat),
        6 => (0..8_usize, 1..70_000_usize).prop_map(|(i, n)| Op::Read(i, n)),
        1 => (0..8_usize).prop_map(Op::Leave),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_reader_sees_every_byte(
        memory in 0..200_000_usize,
        ops in prop::collection::vec(op(), 1..60),
    ) {
        const TARGETS: usize = 5;
        let limits = InputLimits { memory, ..SMALL };
        let shared = InputState::new(InputSpool::empty(limits, TARGETS));
        let (mut read, mut next) = (0_u64, 0_u32);
        let mut readers: Vec<(usize, u64)> = Vec::new();
        for op in ops {
            match op {
                Op::Append(n) => {
                    let chunk: Vec<u8> = (read..read + n).map(byte).collect();
                    fill::take_in(&chunk, &shared).unwrap();
                    read += n;
                }
                Op::Seat if (next as usize) < TARGETS => {
                    readers.push((shared.lock().add_reader(TargetId(next)), 0));
                    next += 1;
                }
                Op::Read(i, n) if i < readers.len() => {
                    let (slot, position) = readers[i];
                    let chunk = match shared.lock().at(position).unwrap() {
                        SpooledData::Bytes(chunk) => chunk,
                        SpooledData::InFile { file, at, length } => load(&file, at, length).unwrap(),
                        SpooledData::NotYet => Vec::new(),
                        SpooledData::End => panic!("the spool has no end"),
                    };
                    prop_assert_eq!(chunk.is_empty(), position == read);
                    let n = n.min(chunk.len());
                    let wanted: Vec<u8> = (position..position + n as u64).map(byte).collect();
                    prop_assert!(chunk[..n] == wanted);
                    readers[i].1 += n as u64;
                    shared.lock().advance(slot, readers[i].1);
                }
                Op::Leave(i) if i < readers.len() => {
                    shared.lock().remove_reader(readers.swap_remove(i).0);
                }
                Op::Seat | Op::Read(..) | Op::Leave(_) => {}
            }
            prop_assert_eq!(shared.lock().read(), read);
        }
    }
}

#[test]
fn the_feeder_reads_a_pipe_that_another_program_made_non_blocking() {
    let (reader, mut writer) = pipe().unwrap();
    rustix::io::ioctl_fionbio(&reader, true).unwrap();
    let input = Input::start(&reader, SMALL, 1).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(input.look_ahead()).unwrap();
    assert_eq!(input.length(), None, "nothing yet is no end");
    writer.write_all(b"late").unwrap();
    drop(writer);
    let all = runtime.block_on(read_all(&mut input.reader(TargetId(0))));
    assert_eq!(all.unwrap(), b"late");
    let mut left = Vec::new();
    (&reader).read_to_end(&mut left).unwrap();
    assert!(left.is_empty());
}

#[tokio::test]
async fn bytes_before_the_input_come_first_and_count() {
    // Longer than a chunk, so that it is read in parts.
    let head = bytes(MAX_INPUT_CHUNK as u64 + 10);
    let (input, writer) = piped(SMALL, 2);
    let input = input.after(head.clone().into());
    assert_eq!(input.length(), None);
    write(writer, bytes(300_000)).join().unwrap().unwrap();
    let expected = [head.clone(), bytes(300_000)].concat();
    for target in 0..2 {
        let mut reader = input.reader(TargetId(target));
        assert_eq!(read_all(&mut reader).await.unwrap(), expected);
        assert_eq!(reader.left(), Some(0));
    }
    assert_eq!(input.length(), Some(expected.len() as u64));
    let only = Input::of_bytes(head.clone().into());
    assert_eq!(only.length(), Some(head.len() as u64));
    let mut reader = only.reader(TargetId(0));
    assert_eq!(reader.left(), Some(head.len() as u64));
    // One byte at a time across the end of the head.
    reader.advance(head.len() - 1);
    assert_eq!(reader.peek().await.unwrap(), head[head.len() - 1..]);
    reader.advance(1);
    assert!(reader.peek().await.unwrap().is_empty());
}
