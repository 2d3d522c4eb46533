// Included by the fuzz target and by the unit test that replays its corpus. Expects `JournalState` and `Progress` in
// scope.

/// The first line of a journal with the targets a, b, c and d. Its digest is right, which no fuzzer would find.
const HEADER: &str = r#"{"v":1,"event":"journal","program":"mrsh","run":"ec976e48680e7e60233af18ecbe3aeaa","session":{"version":"0.1.0","time":1795882378,"pid":27175,"machine":"vm","line":["-R","exec","--journal","/tmp/w4j","-w","a,b,c,d","-j1","--max-failures","2","sh","-c","test $0 = a","%h"],"targets":4},"plan":{"user":"root","directory":"/","options":["-R","exec","--journal","/tmp/w4j","-w","a,b,c,d","-j1","--max-failures","2"],"command":["sh","-c","test $0 = a","%h"],"targets":[{"label":"a","host":"a","transport":"exec","user":"root","named":{"host":"a"}},{"label":"b","host":"b","transport":"exec","user":"root","named":{"host":"b"}},{"label":"c","host":"c","transport":"exec","user":"root","named":{"host":"c"}},{"label":"d","host":"d","transport":"exec","user":"root","named":{"host":"d"}}]},"digest":"10d63be16d403fe95a026432114afc73f504d7dd18e0c8e842789f6d8096a48a"}"#;

/// Checks the properties of a journal with any bytes, and of one that has them after its first line.
fn check(bytes: &[u8]) {
    read(bytes);
    let journal = [HEADER.as_bytes(), b"\n", bytes].concat();
    let Some(whole) = read(&journal) else { return };
    // A journal that is cut anywhere is a journal, and its targets that may have run are known.
    for cut in HEADER.len() + 1..journal.len() {
        let part = read(&journal[..cut]).expect("a part of a journal is a journal");
        assert!(part.sessions <= whole.sessions && part.length <= whole.length);
    }
}

fn read(bytes: &[u8]) -> Option<JournalState> {
    let state = match JournalState::read(bytes) {
        Ok(state) => state,
        Err(fault) => {
            assert!(!fault.to_string().is_empty());
            return None;
        }
    };
    assert_eq!(state.length + state.incomplete, bytes.len() as u64);
    let whole = &bytes[..state.length as usize];
    for (index, progress) in state.progress().enumerate() {
        // The last whole line about the target that this program could have written.
        let started = format!("{{\"v\":1,\"event\":\"started\",\"target\":{index},");
        let mut lines = whole.split(|&byte| byte == b'\n');
        let is_open = lines.rfind(|line| {
            let about = |event: &str| line.starts_with(format!("{{\"v\":1,\"event\":\"{event}\"").as_bytes());
            about("started") || about("finished")
        });
        if is_open.is_some_and(|line| line.starts_with(started.as_bytes())) {
            assert_eq!(progress, Progress::Uncertain);
        }
    }
    Some(state)
}
