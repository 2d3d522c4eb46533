//! `--failed-to`: the targets that did not succeed, or whose files lack output, as a hosts file for the next run.
//!
//! The file replaces an earlier one at the end of the run, so that a run that is killed keeps the earlier list. Each
//! line names the same target again, with its own user, port and label. If every target succeeded, the file has one
//! comment ([`NO_TARGET_FAILED`]) that `-f` accepts. An empty file is an error for `-f`, since it could be an accident.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::incomplete::Incomplete;
use super::replaced::ReplacedFile;
use super::summary::{left_running, may_be_running};
use super::{Console, Reporter, RunInfo};
use crate::event::Stream;
use crate::event::{Event, Finished, Outcome, RunStats};
use crate::targets::{Limits, NO_TARGET_FAILED, Network, Target, TargetId, TargetListBuilder};

/// Destination of the list of failed targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailedTo {
    /// Standard output, which then has nothing else.
    Stdout,
    /// A file.
    File(PathBuf),
}

/// A list of failed targets, written at the end.
#[derive(Debug)]
pub(super) struct FailedList {
    /// `None` for standard output.
    file: Option<ReplacedFile>,
    info: Arc<RunInfo>,
    failed: Vec<TargetId>,
    /// Targets that were never started.
    not_started: Vec<TargetId>,
    /// Targets with incomplete files of `-o` and `-e`.
    incomplete: Incomplete,
}

impl FailedList {
    /// # Errors
    /// The file cannot be made.
    pub(super) fn create(
        to: &FailedTo,
        info: &Arc<RunInfo>,
        incomplete: &Incomplete,
    ) -> io::Result<Self> {
        let file = match to {
            FailedTo::Stdout => None,
            FailedTo::File(path) => Some(ReplacedFile::create(path)?),
        };
        Ok(FailedList {
            file,
            info: Arc::clone(info),
            failed: Vec::new(),
            not_started: Vec::new(),
            incomplete: incomplete.clone(),
        })
    }
}

impl Reporter for FailedList {
    fn event(&mut self, event: &Event, _: &mut Console) -> io::Result<()> {
        if let Event::Finished(Finished {
            target, outcome, ..
        }) = event
        {
            match outcome {
                Outcome::NotStarted(_) => self.not_started.push(*target),
                outcome if outcome.is_success() => {}
                _ => self.failed.push(*target),
            }
        }
        Ok(())
    }

    fn finish(&mut self, stats: &RunStats, console: &mut Console) -> io::Result<()> {
        // Their command may have succeeded, but their output on this machine is incomplete.
        self.failed.extend(self.incomplete.targets());
        // The order of the list of targets.
        self.failed.sort_unstable();
        self.failed.dedup();
        self.not_started.sort_unstable();
        let targets = &self.info.targets;
        let line = |id: &TargetId| hosts_line(&targets[id.index()]);
        let failed = self.failed.iter().map(line);
        let not_started = self.not_started.iter().map(line);
        let Some(file) = self.file.take() else {
            return failed
                .chain(not_started)
                .try_for_each(|line| console.line(Stream::Stdout, &[line.as_bytes()]));
        };
        let all_well = self.failed.is_empty() && self.not_started.is_empty();
        let comment = all_well.then(|| NO_TARGET_FAILED.to_owned());
        // A user who repeats the run should know that the command may still run there.
        let left = left_running(targets, stats).into_iter();
        let left = left.chain(may_be_running(targets, stats));
        let heading = match self.not_started.len() {
            0 => None,
            count => Some(format!("# not started: {count}")),
        };
        let lines = comment
            .into_iter()
            .chain(left.map(|text| format!("# {text}")))
            .chain(self.incomplete.comments(&self.info))
            .chain(failed)
            .chain(heading)
            .chain(not_started);
        let text: String = lines.map(|line| line + "\n").collect();
        file.write(|to| to.write_all(text.as_bytes()))
    }
}

/// Returns the target as a line of a hosts file, in the shortest form that names it.
fn hosts_line(target: &Target) -> String {
    let with_options = |host: &str, label: Option<&Arc<str>>| {
        let mut line = host.to_owned();
        for (key, value) in [
            ("user", target.user.as_deref().map(str::to_owned)),
            ("port", target.port.map(|port| port.to_string())),
            ("transport", target.transport.map(|kind| kind.to_string())),
            (
                "callback",
                target.callback_from.as_deref().map(Network::list),
            ),
            ("label", label.map(|label| (**label).to_owned())),
        ] {
            if let Some(value) = value {
                line.push_str(&format!(" {key}={value}"));
            }
        }
        for variable in target.variables.iter().flat_map(|all| &**all) {
            line.push_str(&format!(" env.{variable}"));
        }
        line
    };
    let in_full = with_options(&target.host, Some(&target.label));
    let forms = [
        (*target.label).to_owned(),
        with_options(&target.host, None),
        in_full.clone(),
    ];
    let mut forms = forms.into_iter();
    // A label can look like a node set, an option or a comment, so each form is parsed again.
    forms.find(|line| means(line, target)).unwrap_or(in_full)
}

/// True if a line of a hosts file names this target and no other.
fn means(line: &str, target: &Target) -> bool {
    let mut list = TargetListBuilder::new(Limits {
        max_targets: 1,
        ..Limits::default()
    });
    list.add_reader("", line.as_bytes()).is_ok()
        && list.build().is_ok_and(|list| *list == [target.clone()])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Terminals;
    use super::super::testing::{Recorder, finished, succeeded};
    use super::*;
    use crate::event::CancelReason;
    use crate::event::RemoteExit;
    use crate::transport::TransportError;

    const HOSTS: &str = "\
ada
n[1-2] user=root
[2001:db8::1]:5514
2001:db8::2 user=root
operator@console:1514
192.0.2.7 user=backup port=1515 label=tape/b#1
";

    fn info() -> Arc<RunInfo> {
        let mut list = TargetListBuilder::new(Limits::default());
        list.add_reader("hosts", HOSTS.as_bytes()).unwrap();
        let mut info = super::super::testing::run_info::<&str>(&[]);
        info.targets = list.build().unwrap().into_shared();
        Arc::new(info)
    }

    fn run(to: &FailedTo, events: impl IntoIterator<Item = Event>) -> String {
        run_with(to, events, &RunStats::default())
    }

    fn run_with(
        to: &FailedTo,
        events: impl IntoIterator<Item = Event>,
        stats: &RunStats,
    ) -> String {
        let recorder = Recorder::default();
        let mut console = recorder.console(Terminals::default());
        let mut list = FailedList::create(to, &info(), &Incomplete::default()).unwrap();
        for event in events {
            list.event(&event, &mut console).unwrap();
        }
        list.finish(stats, &mut console).unwrap();
        console.flush().unwrap();
        String::from_utf8(recorder.text(Stream::Stdout)).unwrap()
    }

    #[test]
    fn each_line_names_the_same_target() {
        let info = info();
        let lines: Vec<String> = info.targets.iter().map(hosts_line).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        ada
        n1 user=root
        n2 user=root
        [2001:db8::1]:5514
        2001:db8::2 user=root
        operator@console:1514
        192.0.2.7 user=backup port=1515 label=tape/b#1
        ");
        let mut again = TargetListBuilder::new(Limits::default());
        again
            .add_reader("again", lines.join("\n").as_bytes())
            .unwrap();
        assert_eq!(*again.build().unwrap(), *info.targets);
    }

    #[test]
    fn targets_that_did_not_succeed_are_listed_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("failed");
        fs::write(&path, "from an earlier run").unwrap();
        let to = FailedTo::File(path.clone());
        let events = [
            succeeded(1),
            finished(5, Outcome::NotStarted(CancelReason::Signal(15))),
            finished(0, Outcome::Exited(RemoteExit::Code(1))),
            finished(2, Outcome::Failed(TransportError::Refused.into())),
            finished(4, Outcome::Exited(RemoteExit::Unknown)),
        ];
        assert_eq!(run(&to, events), "");
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "ada\nn2 user=root\n# not started: 1\noperator@console:1514\n"
        );
        assert_eq!(run(&to, [succeeded(0)]), "");
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "# mrsh --failed-to: no target failed\n"
        );
        // A list that was never written keeps the earlier file.
        fs::write(&path, "from an earlier run").unwrap();
        drop(FailedList::create(&to, &info(), &Incomplete::default()).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "from an earlier run");
        let events = [finished(3, Outcome::Internal("a defect".to_owned()))];
        assert_eq!(run(&FailedTo::Stdout, events), "[2001:db8::1]:5514\n");
    }

    #[test]
    fn targets_that_still_run_are_named_in_a_comment() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("failed");
        let stats = RunStats {
            left_running: vec![TargetId(1), TargetId(2)],
            may_be_running: vec![TargetId(0)],
            ..RunStats::default()
        };
        let lost = |id| finished(id, Outcome::Cancelled(CancelReason::Signal(15)));
        let text = |to: FailedTo| run_with(&to, [lost(1), lost(2)], &stats);
        assert_eq!(text(FailedTo::File(path.clone())), "");
        insta::assert_snapshot!(fs::read_to_string(&path).unwrap(), @r"
        # still running on: n[1-2]
        # may be running on: ada
        n1 user=root
        n2 user=root
        ");
        let mut again = TargetListBuilder::new(Limits::default());
        again.add_hosts_file(&path).unwrap();
        assert_eq!(*again.build().unwrap(), info().targets[1..3]);
        // Standard output is read by programs.
        assert_eq!(text(FailedTo::Stdout), "n1 user=root\nn2 user=root\n");
    }

    #[test]
    fn a_bad_path_is_an_error_before_the_run() {
        let to = FailedTo::File("/dev/null/x".into());
        let error = FailedList::create(&to, &info(), &Incomplete::default()).unwrap_err();
        insta::assert_snapshot!(error.to_string(), @"cannot make /dev/null/x: Not a directory (os error 20)");
    }
}
