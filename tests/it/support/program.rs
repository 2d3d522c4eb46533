//! The program under test, with a deadline: a test that hangs fails, and its processes are killed.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Maximum time of a call: more than any test needs on a busy machine, and less than the limit of the test runner.
const DEADLINE: Duration = Duration::from_secs(30);

/// A call of `mrsh`. By default, the environment has only `PATH`, and standard input is empty.
#[derive(Debug)]
#[must_use = "nothing happens until it is run"]
pub(crate) struct Mrsh {
    /// The program, and the name by which it is called.
    program: (OsString, Option<&'static str>),
    args: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    deadline: Duration,
    stdin: Stdio,
    /// Lines of shell that run before the shell replaces itself with the program.
    before: Vec<String>,
    /// The reader of standard output.
    reader: Reader,
}

/// The speed at which standard output is read.
#[derive(Clone, Debug, Default)]
struct Reader {
    /// Reading starts when this is true.
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
            program: (env!("CARGO_BIN_EXE_mrsh").into(), None),
            args: Vec::new(),
            environment: Vec::new(),
            deadline: DEADLINE,
            stdin: Stdio::null(),
            before: Vec::new(),
            reader: Reader::default(),
        }
    }

    /// A call of the program by another name.
    pub(crate) fn called(name: &'static str) -> Mrsh {
        let mut call = Mrsh::new();
        call.program.1 = Some(name);
        call
    }

    /// A call of another program.
    pub(crate) fn of_program(path: impl Into<OsString>) -> Mrsh {
        let mut call = Mrsh::new();
        call.program.0 = path.into();
        call
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Mrsh {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub(crate) fn args(self, args: &[&str]) -> Mrsh {
        args.iter().fold(self, |mrsh, &arg| mrsh.arg(arg))
    }

    /// Sets a variable of the environment.
    pub(crate) fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Mrsh {
        self.environment.push((name, value.into()));
        self
    }

    /// Sets a shorter deadline, for tests of the time that a call takes.
    pub(crate) fn within(mut self, deadline: Duration) -> Mrsh {
        self.deadline = deadline;
        self
    }

    /// Sets the standard input.
    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Mrsh {
        self.stdin = stdin.into();
        self
    }

    /// Adds a line of shell that runs first, in the process that then becomes the program.
    pub(crate) fn after(mut self, line: impl Into<String>) -> Mrsh {
        self.before.push(line.into());
        self
    }

    /// Reads no standard output before [`Running::read`].
    pub(crate) fn unread(mut self) -> Mrsh {
        self.reader.gate = Some(Arc::default());
        self
    }

    /// Reads standard output in parts of at most 64 KiB, with this pause after each.
    pub(crate) fn read_slowly(mut self, pause: Duration) -> Mrsh {
        self.reader.pause = pause;
        self
    }

    /// Runs the call to its end.
    pub(crate) fn run(self) -> Ended {
        self.start().finish()
    }

    /// Starts the call, for tests that act while it runs.
    pub(crate) fn start(mut self) -> Running {
        let stdin = std::mem::replace(&mut self.stdin, Stdio::null());
        let (program, name) = &self.program;
        let mut command = Command::new(program);
        if let Some(name) = name {
            command.arg0(name);
        }
        if !self.before.is_empty() {
            let line = format!("{}; exec \"$0\" \"$@\"", self.before.join("; "));
            command = Command::new("sh");
            command.args(["-c", &line]).arg(program);
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
            // Sending fails only if the test has failed and ended.
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

/// An event of a running call.
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

/// A running call.
#[must_use = "call finish() to check the end of the call"]
pub(crate) struct Running {
    call: Mrsh,
    until: Instant,
    pid: Pid,
    news: Receiver<News>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Running {
    /// Sends a signal to the program.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    /// Starts to read the standard output of a call with [`Mrsh::unread`].
    pub(crate) fn read(&self) {
        if let Some(gate) = &self.call.reader.gate {
            *gate.0.lock().unwrap() = true;
            gate.1.notify_all();
        }
    }

    /// Waits until the program has printed this on standard output.
    #[track_caller]
    pub(crate) fn has_printed(&mut self, text: &[u8]) {
        while memchr::memmem::find(&self.stdout, text).is_none() {
            if let Some(status) = self.next() {
                panic!("ended with {status} without this output");
            }
        }
    }

    /// Waits for the end of the call.
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

    /// Returns the next event. At the deadline, kills the program and fails.
    #[track_caller]
    fn next(&mut self) -> Option<ExitStatus> {
        let left = self.until.saturating_duration_since(Instant::now());
        let news = match left {
            // A program that never stops printing must not delay the deadline.
            Duration::ZERO => None,
            left => self.news.recv_timeout(left).ok(),
        };
        match news {
            Some(News::Stdout(bytes)) => self.stdout.extend_from_slice(&bytes),
            Some(News::Stderr(bytes)) => self.stderr.extend_from_slice(&bytes),
            Some(News::End(status)) => return Some(status),
            None => {
                // The process is not reaped before its last event, so the number is still that of the process.
                self.signal(Signal::KILL);
                let Mrsh { args, deadline, .. } = &self.call;
                let ended = Ended {
                    status: None,
                    signal: None,
                    stdout: std::mem::take(&mut self.stdout),
                    stderr: String::from_utf8_lossy(&self.stderr).into_owned(),
                };
                panic!("not ended within {deadline:?}: {args:?}\n{ended:#?}");
            }
        }
        None
    }
}

/// The result of a call.
pub(crate) struct Ended {
    /// Exit status; `None` if a signal ended the program.
    pub(crate) status: Option<i32>,
    /// The signal that ended the program.
    pub(crate) signal: Option<i32>,
    /// Standard output.
    pub(crate) stdout: Vec<u8>,
    /// Standard error.
    pub(crate) stderr: String,
}

impl Ended {
    /// Asserts the exit status.
    #[track_caller]
    pub(crate) fn status(self, status: i32) -> Ended {
        assert_eq!(self.status, Some(status), "{self:#?}");
        self
    }

    /// Returns the sorted lines of standard output, because hosts print in any order.
    pub(crate) fn sorted_lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.stdout);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    }

    /// Asserts the exact standard output.
    #[track_caller]
    pub(crate) fn stdout(self, stdout: impl AsRef<[u8]>) -> Ended {
        assert!(self.stdout == stdout.as_ref(), "{self:#?}");
        self
    }

    /// Asserts the exact standard error.
    #[track_caller]
    pub(crate) fn stderr(self, stderr: &str) -> Ended {
        assert_eq!(self.stderr, stderr, "{self:#?}");
        self
    }

    /// Asserts that standard error contains one of these texts.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Ended {
        let said = words.iter().any(|words| self.stderr.contains(words));
        assert!(said, "standard error has none of {words:?}\n{self:#?}");
        self
    }
}

/// Shortens the output, because megabytes of it make the message of a failed test useless.
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
