//! `-o` and `-e`: a file per host with its output, to the byte.
//!
//! All files are created before the first connection. So a bad path is an error of set-up, and a host that was never
//! reached has an empty file. Twenty thousand hosts must not need as many descriptors, so only the files that were
//! written last stay open. A write that fails stops the run, since an incomplete file can look complete. Such a file
//! gets no further output, so that it has no gap, and is named at the end. The other files are still written.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use rustix::fs::OFlags;
use tokio::sync::Notify;

use super::file_places::{
    FilesPlace, FilesSpec, StreamFiles, check_labels, check_streams, target_ids,
};
use super::incomplete::Incomplete;
use super::replaced::failed;
use super::{Console, Reporter, RunInfo};
use crate::event::{Chunk, Stream};
use crate::event::{Event, RunStats};
use crate::targets::TargetId;

/// Maximum number of open files, within the descriptors that the run leaves free.
const OPEN: usize = 16;

/// The reporter that writes the output of each host to its file.
#[derive(Debug)]
pub(super) struct Files {
    output: Option<StreamFiles>,
    errors: Option<StreamFiles>,
    spec: FilesSpec,
    info: Arc<RunInfo>,
    /// Open files, the most recently written last.
    open: Vec<(TargetId, Stream, File)>,
    /// Incomplete files.
    incomplete: Incomplete,
    /// Error of the first write that failed.
    error: Option<io::Error>,
    /// Notification of the first error.
    failed: Arc<Notify>,
}

impl Files {
    /// Creates the directories and all files.
    ///
    /// # Errors
    /// Two targets would share a file, or a file or directory cannot be created; the message names it.
    pub(super) fn create(
        spec: &FilesSpec,
        info: &Arc<RunInfo>,
        incomplete: &Incomplete,
        failed: &Arc<Notify>,
    ) -> io::Result<Self> {
        let is_directory = |place: &FilesPlace| matches!(place, FilesPlace::Directory(_));
        // Checked before any file is truncated.
        if spec.output.iter().chain(&spec.errors).any(is_directory) {
            check_labels(info)?;
        }
        let make = |place: &Option<FilesPlace>| place.as_ref().map(StreamFiles::make).transpose();
        let (output, errors) = (make(&spec.output)?, make(&spec.errors)?);
        if let (Some(output), Some(errors)) = (&output, &errors) {
            check_streams(output, errors, info)?;
        }
        let fresh = if spec.append {
            OFlags::APPEND
        } else {
            OFlags::TRUNC
        };
        for files in [&output, &errors].into_iter().flatten() {
            for target in target_ids(info) {
                files.open("make", target, info, fresh)?;
            }
        }
        Ok(Files {
            output,
            errors,
            spec: spec.clone(),
            info: Arc::clone(info),
            open: Vec::with_capacity(OPEN),
            incomplete: incomplete.clone(),
            error: None,
            failed: Arc::clone(failed),
        })
    }

    fn output(&mut self, chunk: &Chunk) {
        // A file with a gap could look complete.
        if self.incomplete.contains(chunk.target, chunk.stream) {
            return;
        }
        if let Err(error) = self.write(chunk) {
            self.incomplete.add(chunk.target, chunk.stream);
            if self.error.is_none() {
                self.error = Some(error);
                self.failed.notify_one();
            }
        }
    }

    fn write(&mut self, chunk: &Chunk) -> io::Result<()> {
        let Chunk {
            target,
            stream,
            ref data,
        } = *chunk;
        let files = match stream {
            Stream::Stdout => &self.output,
            Stream::Stderr => &self.errors,
        };
        let Some(files) = files else {
            return Ok(());
        };
        let known = self
            .open
            .iter()
            .position(|(of, on, _)| (*of, *on) == (target, stream));
        let mut entry = match known {
            Some(place) => self.open.remove(place),
            None => {
                if self.open.len() == OPEN {
                    self.open.remove(0);
                }
                // The file was created before the run and may have output already.
                let file = files.open("open", target, &self.info, OFlags::APPEND)?;
                (target, stream, file)
            }
        };
        let written = entry.2.write_all(data);
        // After an error the file stays closed, since nothing more is written to it.
        written.map_err(|error| failed("write to", &files.path(target, &self.info), &error))?;
        self.open.push(entry);
        Ok(())
    }
}

impl Reporter for Files {
    fn event(&mut self, event: &Event, _: &mut Console) -> io::Result<()> {
        match event {
            Event::Output(chunk) => self.output(chunk),
            Event::Finished(finished) => {
                // The host writes nothing more, so other hosts can have the descriptor.
                self.open.retain(|(target, ..)| *target != finished.target);
            }
            Event::RunStarted { .. } | Event::Started(_) => {}
            Event::State { .. } | Event::PortWaits(_) | Event::Notice(_) | Event::Paused(_) => {}
        }
        Ok(())
    }

    fn finish(&mut self, _: &RunStats, _: &mut Console) -> io::Result<()> {
        let Some(error) = self.error.take() else {
            return Ok(());
        };
        let incomplete = self.incomplete.words(&self.spec, &self.info);
        let text = format!("{error}\nhelp: {incomplete}");
        Err(io::Error::new(error.kind(), text))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::super::Terminals;
    use super::super::testing::{Recorder, output, run_info, succeeded};
    use super::*;

    fn spec(dir: &Path) -> FilesSpec {
        FilesSpec {
            output: Some(FilesPlace::Directory(dir.join("new/out"))),
            errors: Some(FilesPlace::Directory(dir.join("err"))),
            append: false,
        }
    }

    fn create(spec: &FilesSpec, info: &Arc<RunInfo>) -> io::Result<Files> {
        Files::create(spec, info, &Incomplete::default(), &Arc::default())
    }

    fn write(files: &mut Files, events: &[Event]) {
        let recorder = Recorder::default();
        let mut console = recorder.console(Terminals::default());
        for event in events {
            files.event(event, &mut console).unwrap();
        }
        console.flush().unwrap();
        assert!(recorder.writes().is_empty());
    }

    fn finish(files: &mut Files) -> io::Result<()> {
        let mut console = Recorder::default().console(Terminals::default());
        files.finish(&RunStats::default(), &mut console)
    }

    #[test]
    fn every_host_has_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let spec = spec(dir.path());
        let names: Vec<String> = (0..100).map(|n| format!("n{n}")).collect();
        let info = Arc::new(run_info(&names));
        let mut files = create(&spec, &info).unwrap();
        let read = |name: &str| fs::read(dir.path().join("new/out").join(name)).unwrap();
        assert_eq!(read("n99"), b"", "all are there before anything is written");
        for n in 0..100 {
            write(&mut files, &[output(n, Stream::Stdout, b"\xff no end")]);
            assert!(files.open.len() <= OPEN);
        }
        for n in 0..100 {
            let events = [
                output(n, Stream::Stderr, b"err\n"),
                output(n, Stream::Stdout, b"\0\n"),
                succeeded(n),
            ];
            write(&mut files, &events);
        }
        assert!(files.open.is_empty());
        for name in &names {
            assert_eq!(read(name), b"\xff no end\0\n");
            assert_eq!(
                fs::read(dir.path().join("err").join(name)).unwrap(),
                b"err\n"
            );
        }
    }

    #[test]
    fn earlier_output_is_kept_only_if_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let mut spec = spec(dir.path());
        let info = Arc::new(run_info(&["a"]));
        for (append, expected) in [(false, "1\n"), (true, "1\n1\n"), (false, "1\n")] {
            spec.append = append;
            let mut files = create(&spec, &info).unwrap();
            write(&mut files, &[output(0, Stream::Stdout, b"1\n")]);
            let found = fs::read_to_string(dir.path().join("new/out/a")).unwrap();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn impossible_requests_are_errors_before_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let mut info = run_info(&["tape", "tape"]);
        let mut targets = info.targets.to_vec();
        targets[0].host = "10.0.0.1".into();
        targets[1].host = "10.0.0.2".into();
        info.targets = targets.into();
        let said = |spec: &FilesSpec, info: &RunInfo| {
            let error = create(spec, &Arc::new(info.clone())).unwrap_err();
            error
                .to_string()
                .replace(dir.path().to_str().unwrap(), "[dir]")
        };
        insta::assert_snapshot!(said(&spec(dir.path()), &info), @"10.0.0.1 and 10.0.0.2 would both write to a file named tape: give them labels of their own (label= in a hosts file)");
        let info = run_info(&["a"]);
        let mut same = spec(dir.path());
        same.errors = Some(FilesPlace::Directory(dir.path().join("new/../new/out")));
        insta::assert_snapshot!(said(&same, &info), @"-o and -e both name [dir]/new/out: output and errors would share a file");
        fs::write(dir.path().join("file"), "").unwrap();
        same.errors = Some(FilesPlace::Directory(dir.path().join("file")));
        insta::assert_snapshot!(said(&same, &info), @"cannot make the directory [dir]/file: Not a directory (os error 20)");
        fs::create_dir_all(dir.path().join("err/a")).unwrap();
        insta::assert_snapshot!(said(&spec(dir.path()), &info), @"cannot make [dir]/err/a: Is a directory (os error 21)");
    }

    #[test]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["err", "new", "new/out"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        symlink("/dev/full", dir.path().join("err/n1")).unwrap();
        let info = Arc::new(run_info(&["n1", "n2", "n3"]));
        let failed = |chunks: &[(u32, Stream)]| {
            let mut files = create(&spec(dir.path()), &info).unwrap();
            for &(host, stream) in chunks {
                write(&mut files, &[output(host, stream, b"x")]);
            }
            let error = finish(&mut files).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            let text = error.to_string();
            text.replace(dir.path().to_str().unwrap(), "[dir]")
        };
        use Stream::{Stderr, Stdout};
        insta::assert_snapshot!(failed(&[(0, Stderr), (0, Stderr), (0, Stdout), (1, Stderr)]), @r"
        cannot write to [dir]/err/n1: No space left on device (os error 28)
        help: the file of n1 in [dir]/err is incomplete
        ");
        let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
        assert_eq!([read("new/out/n1"), read("err/n2")], [b"x", b"x"]);
        for name in ["new/out/n1", "new/out/n2"] {
            fs::remove_file(dir.path().join(name)).unwrap();
            symlink("/dev/full", dir.path().join(name)).unwrap();
        }
        insta::assert_snapshot!(failed(&[(1, Stdout), (2, Stderr), (0, Stderr), (0, Stdout)]), @r"
        cannot write to [dir]/new/out/n2: No space left on device (os error 28)
        help: the files of n[1-2] in [dir]/new/out and of n1 in [dir]/err are incomplete
        ");
    }

    #[tokio::test]
    async fn a_failed_write_is_reported_at_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("err")).unwrap();
        symlink("/dev/full", dir.path().join("err/a")).unwrap();
        let info = Arc::new(run_info(&["a"]));
        let failed = Arc::new(Notify::new());
        let incomplete = Incomplete::default();
        let mut files = Files::create(&spec(dir.path()), &info, &incomplete, &failed).unwrap();
        write(&mut files, &[output(0, Stream::Stderr, b"x")]);
        failed.notified().await;
        assert_eq!(incomplete.comments(&info), ["# incomplete files of -e: a"]);
    }

    #[test]
    fn links_of_others_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        fs::create_dir(&out).unwrap();
        fs::set_permissions(&out, Permissions::from_mode(0o777)).unwrap();
        fs::write(dir.path().join("secret"), "kept").unwrap();
        symlink("../secret", out.join("a")).unwrap();
        let spec = FilesSpec {
            output: Some(FilesPlace::Directory(out.clone())),
            ..FilesSpec::default()
        };
        let info = Arc::new(run_info(&["a"]));
        let error = create(&spec, &info).unwrap_err().to_string();
        assert!(error.starts_with("cannot make "), "{error}");
        assert!(error.contains("others can write to"), "{error}");
        // A link that appears during the run is not followed either.
        fs::remove_file(out.join("a")).unwrap();
        let mut files = create(&spec, &info).unwrap();
        fs::remove_file(out.join("a")).unwrap();
        symlink("../secret", out.join("a")).unwrap();
        write(&mut files, &[output(0, Stream::Stdout, b"x")]);
        let error = finish(&mut files).unwrap_err();
        assert!(error.to_string().starts_with("cannot open "), "{error}");
        assert_eq!(fs::read(dir.path().join("secret")).unwrap(), b"kept");
    }

    /// A place with a file for each target.
    fn each(dir: &Path, names: &[&str]) -> Option<FilesPlace> {
        Some(FilesPlace::Each {
            pattern: dir.join("%h.txt"),
            paths: names.iter().map(|name| dir.join(name)).collect(),
        })
    }

    #[test]
    fn a_pattern_gives_each_target_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let info = Arc::new(run_info(&["a", "b"]));
        let spec = FilesSpec {
            output: each(dir.path(), &["x/a.txt", "y/z/b.txt"]),
            errors: each(dir.path(), &["x/a.err", "b.err"]),
            append: false,
        };
        let mut files = create(&spec, &info).unwrap();
        let events = [
            output(1, Stream::Stdout, b"1"),
            output(1, Stream::Stderr, b"2"),
            succeeded(1),
            output(1, Stream::Stdout, b"3"),
        ];
        write(&mut files, &events);
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(
            ["x/a.txt", "y/z/b.txt", "x/a.err", "b.err"].map(read),
            ["", "13", "", "2"]
        );
    }

    #[test]
    fn output_and_errors_never_share_a_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("out")).unwrap();
        symlink("out", dir.path().join("link")).unwrap();
        fs::write(dir.path().join("out/b"), "kept").unwrap();
        let info = Arc::new(run_info(&["a", "b"]));
        let refused = |output, errors| {
            let spec = FilesSpec {
                output,
                errors,
                append: false,
            };
            let error = create(&spec, &info).unwrap_err().to_string();
            error.replace(dir.path().to_str().unwrap(), "[dir]")
        };
        let directory = || Some(FilesPlace::Directory(dir.path().join("out")));
        insta::assert_snapshot!(refused(directory(), each(dir.path(), &["link/b", "x"])), @"-o for b and -e for a both name [dir]/link/b: output and errors would share a file");
        insta::assert_snapshot!(refused(each(dir.path(), &["x", "out/b"]), directory()), @"-o for b and -e for b both name [dir]/out/b: output and errors would share a file");
        insta::assert_snapshot!(refused(each(dir.path(), &["x", "y"]), each(dir.path(), &["z", "x"])), @"-o for a and -e for b both name [dir]/x: output and errors would share a file");
        assert_eq!(fs::read(dir.path().join("out/b")).unwrap(), b"kept");
    }
}
