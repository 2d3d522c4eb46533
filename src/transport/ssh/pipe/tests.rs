use super::*;
use std::io::{Read, Write};

/// Returns a pipe and its other end, after a version line.
fn greeted() -> (Pipe, std::os::unix::net::UnixStream) {
    let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let mut pipe = Pipe::new(ServerStream::Tunnel(UnixStream::from_std(ours).unwrap()));
    theirs.write_all(b"SSH-2.0-x\r\n").unwrap();
    pipe.gate = Gate::passed();
    pipe.is_passed = true;
    theirs.set_nonblocking(false).unwrap();
    (pipe, theirs)
}

#[tokio::test]
async fn everything_that_is_written_arrives() {
    let (mut pipe, mut theirs) = greeted();
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let mut wanted = Vec::new();
    // The data is larger than a socket buffer and comes in pieces, as from libssh2.
    for piece in bytes.chunks(1000) {
        pipe.ready_to_write().await;
        assert_eq!(pipe.send(piece).unwrap(), piece.len());
        wanted.extend_from_slice(piece);
        if pipe.has_waiting() {
            break;
        }
    }
    assert!(pipe.has_waiting());
    let reader = std::thread::spawn(move || {
        let mut found = vec![0; wanted.len()];
        theirs.read_exact(&mut found).unwrap();
        (found == wanted, theirs)
    });
    while pipe.has_waiting() {
        pipe.ready_to_write().await;
        pipe.flush();
    }
    assert!(reader.join().unwrap().0);
}

#[tokio::test]
async fn data_before_the_end_is_read_first() {
    let (mut pipe, mut theirs) = greeted();
    theirs.write_all(b"last words").unwrap();
    drop(theirs);
    pipe.ready().await.unwrap();
    let mut buffer = [0; 1024];
    pipe.begin_call();
    let n = pipe.receive(&mut buffer).unwrap();
    assert_eq!(&buffer[..n], b"SSH-2.0-x\r\nlast words");
    // The end is hidden in the same call, and with `hold_end`.
    assert!(pipe.receive(&mut buffer).is_err());
    pipe.begin_call();
    pipe.hold_end();
    assert!(pipe.receive(&mut buffer).is_err());
    pipe.begin_call();
    assert_eq!(pipe.receive(&mut buffer).unwrap(), 0);
    assert_eq!(pipe.ended(), Some(&StreamEnd::Closed));
}

#[tokio::test]
async fn a_call_reads_a_limited_amount_and_a_flood_is_cut_off() {
    let (mut pipe, mut theirs) = greeted();
    let writer = std::thread::spawn(move || {
        let mut sent = 0_u64;
        while let Ok(n) = theirs.write(&[0; 65536]) {
            sent += n as u64;
        }
        sent
    });
    let mut buffer = [0; 40_000];
    while pipe.ended().is_none() {
        let before = pipe.received();
        pipe.begin_call();
        while let Ok(1..) = pipe.receive(&mut buffer) {}
        assert!(pipe.received() - before <= MAX_PER_CALL as u64);
        if pipe.is_drained() {
            pipe.ready().await.unwrap();
        }
    }
    assert_eq!(pipe.ended(), Some(&StreamEnd::Flood));
    assert!(pipe.received() <= MAX_BEFORE_START + MAX_PER_CALL as u64);
    drop(pipe);
    writer.join().unwrap();
}

/// Reads from a server that writes without end after the start of the command. Of each piece at most `useful` bytes
/// count as useful.
async fn read_endless_stream(useful: usize, enough: u64) -> Pipe {
    let (mut pipe, mut theirs) = greeted();
    let writer =
        std::thread::spawn(move || while theirs.write(&[0; 65536]).is_ok_and(|n| n > 0) {});
    pipe.lift_limit(1);
    let mut buffer = vec![0; 40_000];
    while pipe.ended().is_none() && pipe.received() < enough {
        pipe.begin_call();
        while let Ok(n @ 1..) = pipe.receive(&mut buffer) {
            pipe.count_useful(n.min(useful));
        }
        if pipe.is_drained() {
            pipe.ready().await.unwrap();
        }
    }
    pipe.kill();
    let _ = pipe.shut_down();
    writer.join().unwrap();
    pipe
}

#[tokio::test]
async fn useless_data_is_bounded_and_output_is_not() {
    let enough = 6 * MAX_USELESS;
    let useless = read_endless_stream(0, enough).await;
    assert_eq!(useless.ended(), Some(&StreamEnd::Flood));
    let slack = MAX_PER_CALL as u64 + KEEP_ALIVE_ALLOWANCE * 600;
    assert!(useless.received() <= MAX_USELESS + slack);
    // One useful byte in each of many packets does not make up for them.
    let nearly = read_endless_stream(1, enough).await;
    assert_eq!(nearly.ended(), Some(&StreamEnd::Flood));
    let output = read_endless_stream(usize::MAX, enough).await;
    assert_eq!(output.ended(), None);
    assert!(output.received() >= enough);
}

#[tokio::test]
async fn a_password_answers_one_hidden_question() {
    let answers = |rounds: &[&[bool]]| {
        let (mut pipe, _theirs) = greeted();
        pipe.answer_with(Zeroizing::new("sesame".to_owned()));
        let answer = |shown: &&[bool]| {
            let hidden: Vec<bool> = shown.iter().map(|shown| !shown).collect();
            let answer = pipe.answer(&hidden).unwrap_or_default();
            let given = hidden
                .iter()
                .map(|hidden| if *hidden { answer.as_str() } else { "" });
            given.collect::<Vec<_>>().join(",")
        };
        rounds.iter().map(answer).collect::<Vec<_>>().join(";")
    };
    assert_eq!(answers(&[&[false]]), "sesame");
    assert_eq!(answers(&[&[], &[false], &[false]]), ";sesame;");
    assert_eq!(answers(&[&[true, false]]), ",sesame");
    assert_eq!(answers(&[&[true]]), "");
    assert_eq!(answers(&[&[false, false]]), ",");
}

#[tokio::test]
async fn keep_alive_requests_are_allowed_for_days() {
    let (mut pipe, _theirs) = greeted();
    pipe.lift_limit(1);
    pipe.useless = MAX_USELESS + 1;
    assert!(pipe.is_flooded());
    let day = Duration::from_secs(24 * 60 * 60);
    pipe.allowance_since = Instant::now().checked_sub(day);
    assert!(pipe.allowance_since.is_none() || !pipe.is_flooded());
}

impl Pipe {
    fn shut_down(&self) -> rustix::io::Result<()> {
        match &self.stream {
            ServerStream::Tunnel(stream) => {
                rustix::net::shutdown(stream, rustix::net::Shutdown::Both)
            }
            ServerStream::Tcp(_) => Ok(()),
        }
    }

    async fn ready_to_write(&self) {
        self.stream.ready(Interest::WRITABLE).await.unwrap();
    }
}
