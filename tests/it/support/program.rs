//! The program under test, run with a deadline: a test that hangs fails and leaves nothing behind.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Well above what any test needs on a busy machine, and below the test runner's own limit.
const DEADLINE: Duration = Duration::from_secs(30);

/// A call of `mrsh`, with almost no environment and, unless it is given one, no standard input.
#[derive(Debug)]
#[must_use = "nothing happens until it is run"]
pub(crate) struct Mrsh {
    args: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    deadline: Duration,
    stdin: Stdio,
    /// What a shell does before it becomes the program.
    before: Vec<String>,
    /// The reading of its standard output.
    reader: Reader,
}

/// How fast standard output is read.
#[derive(Clone, Debug, Default)]
struct Reader {
    /// Nothing is read before this is true.
    gate: Option<Arc<(Mutex<bool>, Condvar)>>,
    /// The time between two reads of 64 KiB.
    pause: Duration,
}

impl Reader {
    fn wait(&self) {
        if let Some(gate) = &self.gate {
            let open = gate.0.lock().unwrap();
            drop(gate.1.wait_while(open, |open| !*open).unwrap());
        }
    }
}

impl Mrsh {
    /// A call without arguments.
    pub(crate) fn new() -> Mrsh {
        Mrsh {
            args: Vec::new(),
            environment: Vec::new(),
            deadline: DEADLINE,
            stdin: Stdio::null(),
            before: Vec::new(),
            reader: Reader::default(),
        }
    }

    /// One argument more.
    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Mrsh {
        self.args.push(arg.into());
        self
    }

    /// Some arguments more.
    pub(crate) fn args(self, args: &[&str]) -> Mrsh {
        args.iter().fold(self, |mrsh, &arg| mrsh.arg(arg))
    }

    /// A variable of its environment, which has `PATH` alone otherwise.
    pub(crate) fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Mrsh {
        self.environment.push((name, value.into()));
        self
    }

    /// A tighter limit, where being quick is the point.
    pub(crate) fn within(mut self, deadline: Duration) -> Mrsh {
        self.deadline = deadline;
        self
    }

    /// Something else than nothing as standard input.
    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Mrsh {
        self.stdin = stdin.into();
        self
    }

    /// A line of shell before it, in the process that then becomes the program.
    pub(crate) fn after(mut self, line: impl Into<String>) -> Mrsh {
        self.before.push(line.into());
        self
    }

    /// A reader of its standard output that reads nothing before [`Running::read`].
    pub(crate) fn unread(mut self) -> Mrsh {
        self.reader.gate = Some(Arc::default());
        self
    }

    /// A reader of its standard output that takes 64 KiB at most, and then rests.
    pub(crate) fn read_slowly(mut self, pause: Duration) -> Mrsh {
        self.reader.pause = pause;
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Ended {
        self.start().finish()
    }

    /// Starts it, for tests that do something meanwhile.
    pub(crate) fn start(mut self) -> Running {
        let stdin = std::mem::replace(&mut self.stdin, Stdio::null());
        const PROGRAM: &str = env!("CARGO_BIN_EXE_mrsh");
        let mut command = Command::new(PROGRAM);
        if !self.before.is_empty() {
            let line = format!("{}; exec \"$0\" \"$@\"", self.before.join("; "));
            command = Command::new("sh");
            command.args(["-c", &line, PROGRAM]);
        }
        let mut child = command
            .args(&self.args)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = Pid::from_child(&child);
        let (news, received) = channel();
        let reader = self.reader.clone();
        let stdout = child.stdout.take().unwrap();
        let stdout = forward(stdout, reader, news.clone(), News::Stdout);
        let stderr = child.stderr.take().unwrap();
        let stderr = forward(stderr, Reader::default(), news.clone(), News::Stderr);
        std::thread::spawn(move || {
            stdout.join().unwrap();
            stderr.join().unwrap();
            // The test has failed already if nobody takes it.
            let _ = news.send(News::End(child.wait().unwrap()));
        });
        Running {
            until: Instant::now() + self.deadline,
            call: self,
            pid,
            news: received,
            stdout: Vec::new(),
            stderr: Vec::new(),
        }
    }
}

/// What a call does.
enum News {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    End(ExitStatus),
}

fn forward(
    mut pipe: impl Read + Send + 'static,
    reader: Reader,
    news: Sender<News>,
    kind: fn(Vec<u8>) -> News,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        reader.wait();
        loop {
            std::thread::sleep(reader.pause);
            match pipe.read(&mut buffer).unwrap() {
                0 => break,
                n => drop(news.send(kind(buffer[..n].to_vec()))),
            }
        }
    })
}

/// A call that runs.
#[must_use = "somebody has to see how it ends"]
pub(crate) struct Running {
    call: Mrsh,
    until: Instant,
    pid: Pid,
    news: Receiver<News>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Running {
    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    /// Reads its standard output from now on, where that was put off.
    pub(crate) fn read(&self) {
        if let Some(gate) = &self.call.reader.gate {
            *gate.0.lock().unwrap() = true;
            gate.1.notify_all();
        }
    }

    /// Waits until it has printed this on standard output.
    #[track_caller]
    pub(crate) fn has_printed(&mut self, text: &[u8]) {
        while memchr::memmem::find(&self.stdout, text).is_none() {
            if let Some(status) = self.next() {
                panic!("ended with {status} without printing it");
            }
        }
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Ended {
        loop {
            if let Some(status) = self.next() {
                return Ended {
                    status: status.code(),
                    signal: status.signal(),
                    stdout: self.stdout,
                    stderr: String::from_utf8_lossy(&self.stderr).into_owned(),
                };
            }
        }
    }

    /// Takes what happens next. Kills the call, and fails, when its time is up.
    #[track_caller]
    fn next(&mut self) -> Option<ExitStatus> {
        let left = self.until.saturating_duration_since(Instant::now());
        let news = match left {
            // Also where it never stops printing.
            Duration::ZERO => None,
            left => self.news.recv_timeout(left).ok(),
        };
        match news {
            Some(News::Stdout(bytes)) => self.stdout.extend_from_slice(&bytes),
            Some(News::Stderr(bytes)) => self.stderr.extend_from_slice(&bytes),
            Some(News::End(status)) => return Some(status),
            None => {
                // It is reaped after its last news only: this is still its number.
                self.signal(Signal::KILL);
                let Mrsh { args, deadline, .. } = &self.call;
                let ended = Ended {
                    status: None,
                    signal: None,
                    stdout: std::mem::take(&mut self.stdout),
                    stderr: String::from_utf8_lossy(&self.stderr).into_owned(),
                };
                panic!("not done within {deadline:?}: {args:?}\n{ended:#?}");
            }
        }
        None
    }
}

/// How a call ended.
pub(crate) struct Ended {
    /// Its exit status, unless a signal ended it.
    pub(crate) status: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    /// Its standard output.
    pub(crate) stdout: Vec<u8>,
    /// Its standard error.
    pub(crate) stderr: String,
}

impl Ended {
    /// Asserts the exit status.
    #[track_caller]
    pub(crate) fn status(self, status: i32) -> Ended {
        assert_eq!(self.status, Some(status), "{self:#?}");
        self
    }

    /// The lines of standard output, sorted: hosts print when they like.
    pub(crate) fn sorted_lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.stdout);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    }

    /// Asserts standard output, to the byte.
    #[track_caller]
    pub(crate) fn stdout(self, stdout: impl AsRef<[u8]>) -> Ended {
        assert!(self.stdout == stdout.as_ref(), "{self:#?}");
        self
    }

    /// Asserts standard error, to the byte.
    #[track_caller]
    pub(crate) fn stderr(self, stderr: &str) -> Ended {
        assert_eq!(self.stderr, stderr, "{self:#?}");
        self
    }

    /// Asserts that standard error has one of these in it.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Ended {
        let said = words.iter().any(|words| self.stderr.contains(words));
        assert!(said, "none of {words:?}\n{self:#?}");
        self
    }
}

/// Megabytes of output do not help whoever reads a failure.
impl std::fmt::Debug for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start = |bytes: &[u8]| {
            let text = bytes[..bytes.len().min(2000)].escape_ascii().to_string();
            format!("{} bytes: {text}", bytes.len())
        };
        f.debug_struct("Ended")
            .field("status", &self.status)
            .field("signal", &self.signal)
            .field("stdout", &start(&self.stdout))
            .field("stderr", &start(self.stderr.as_bytes()))
            .finish()
    }
}
