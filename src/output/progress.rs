//! `--progress`: one line at the bottom of the terminal with the progress of the run.
//!
//! indicatif formats the line, and only the console writes it to the screen. The console removes the bar before it
//! writes other lines, and draws it again when the reporter thread is idle, not after each line of output.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use unicode_width::UnicodeWidthStr;

use super::copy_bytes::{CopyBytes, ShownBytes};
use super::summary::duration;
use super::terminal::harmless_line;
use super::{Console, Reporter, RunInfo};
use crate::event::{CopyProgress, Event, Outcome, RunStats};
use crate::targets::TargetId;

/// Time before the bar appears. Shorter runs have no bar.
const PATIENCE: Duration = Duration::from_millis(500);

/// Time between two drawings of the bar.
const INTERVAL: Duration = Duration::from_millis(100);

/// Number of remaining hosts from which on slow ones are named.
const FEW: usize = 5;

/// Running time from which on a host is slow.
const LONG: Duration = Duration::from_secs(2);

/// Maximum width of the bar.
// A terminal that becomes narrower wraps a longer line.
const WIDEST: u16 = 78;

/// Narrower terminals show only the numbers.
const NARROW: u16 = 60;

/// Minimum width for indicatif.
const NARROWEST: u16 = 20;

const TEMPLATE: &str = "[{bar:20}] {pos}/{len} {wide_msg}";
const NARROW_TEMPLATE: &str = "{pos}/{len} {wide_msg}";

/// Templates while the bar counts bytes. The message has the number of hosts.
const COPY_TEMPLATE: &str = "[{bar:12}] {wide_msg}";
const NARROW_COPY_TEMPLATE: &str = "{wide_msg}";

/// The reporter of the progress bar.
#[derive(Debug)]
pub(super) struct ProgressReporter {
    info: Arc<RunInfo>,
    wave_ends: Option<Vec<usize>>,
    width: fn() -> u16,
    canvas: BarCanvas,
    bar: ProgressBar,
    template: &'static str,
    copies: Option<CopyBytes>,
    running: HashMap<TargetId, Instant>,
    /// Number of running targets that wait for a source port.
    for_ports: usize,
    started: usize,
    done: usize,
    failed: usize,
    not_started: usize,
    /// True in a pause between two waves.
    paused: bool,
    begun: Instant,
    drawn: Option<Instant>,
}

/// The drawing target of indicatif, which stores a single line.
#[derive(Clone, Debug, Default)]
struct BarCanvas(Arc<Mutex<Drawing>>);

#[derive(Debug, Default)]
struct Drawing {
    width: u16,
    next: String,
    line: String,
}

impl ProgressReporter {
    /// Creates the reporter. `width` returns the width of the terminal, which may change.
    pub(super) fn new(info: &Arc<RunInfo>, width: fn() -> u16) -> Self {
        let canvas = BarCanvas::default();
        // indicatif gets the maximum rate, because this reporter decides when to draw.
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(canvas.clone()), 255);
        let bar = ProgressBar::with_draw_target(Some(info.targets.len() as u64), target);
        bar.set_style(style(TEMPLATE));
        ProgressReporter {
            info: Arc::clone(info),
            wave_ends: info.wave_ends(),
            width,
            canvas,
            bar,
            template: TEMPLATE,
            copies: None,
            running: HashMap::new(),
            for_ports: 0,
            started: 0,
            done: 0,
            failed: 0,
            not_started: 0,
            paused: false,
            begun: Instant::now(),
            drawn: None,
        }
    }

    /// Adds the bytes of the run's copies.
    pub(super) fn with_copies(mut self, copied: Option<CopyProgress>) -> Self {
        self.copies = copied.map(CopyBytes::new);
        self
    }

    /// Returns the text of the bar.
    fn line(&mut self, now: Instant) -> String {
        // A line as wide as the terminal would put the cursor onto the next line.
        let width = (self.width)().saturating_sub(1).min(WIDEST);
        // indicatif cannot draw in a width of 0. The line is cut below.
        self.canvas.set_width(width.max(NARROWEST));
        let bytes = self
            .copies
            .as_ref()
            .and_then(|copies| copies.shown(self.unfinished()));
        let template = match (&bytes, width < NARROW) {
            (None, false) => TEMPLATE,
            (None, true) => NARROW_TEMPLATE,
            (Some(_), false) => COPY_TEMPLATE,
            (Some(_), true) => NARROW_COPY_TEMPLATE,
        };
        if self.template != template {
            self.template = template;
            self.bar.set_style(style(template));
        }
        self.bar.set_message(self.message(now, bytes.as_ref()));
        let hosts = (self.done as u64, self.info.targets.len() as u64);
        let (position, length) = bytes.map_or(hosts, |bytes| (bytes.moved, bytes.total));
        self.bar.set_length(length);
        self.bar.set_position(position);
        // indicatif limits its rate of drawing; this call needs the current line.
        self.bar.force_draw();
        let line = self.canvas.line();
        cut_to_width(line, width.into())
    }

    /// Returns the number of targets without an outcome.
    fn unfinished(&self) -> usize {
        self.info.targets.len().saturating_sub(self.done)
    }

    fn message(&self, now: Instant, bytes: Option<&ShownBytes>) -> String {
        let words = self.words(now, bytes);
        if bytes.is_some() {
            format!("{}/{} {words}", self.done, self.info.targets.len())
        } else {
            words
        }
    }

    /// Returns the text after the number of hosts.
    fn words(&self, now: Instant, bytes: Option<&ShownBytes>) -> String {
        let left = self.unfinished();
        let mut words = Vec::new();
        if self.failed > 0 {
            words.push(format!("{} failed", self.failed));
        }
        if self.not_started > 0 {
            words.push(format!("{} not started", self.not_started));
        }
        words.extend(bytes.into_iter().flat_map(|bytes| bytes.words.clone()));
        if self.paused {
            // A rate would fall as long as the pause lasts.
            words.extend(self.wave());
            words.push("paused".to_owned());
            return words.join(", ");
        }
        // While there are hosts to start, no single host delays the run.
        let mut running: Vec<_> = if left == self.running.len() && left <= FEW {
            self.running.iter().collect()
        } else {
            Vec::new()
        };
        running.retain(|(_, since)| now.saturating_duration_since(**since) >= LONG);
        let mut for_ports =
            (self.for_ports > 0).then(|| format!("{} waiting for ports", self.for_ports));
        if !running.is_empty() {
            words.extend(for_ports.take());
            running.sort_by_key(|(id, since)| (**since, **id));
            let name = |(id, since): (&TargetId, &Instant)| {
                let mut label = Vec::new();
                // Labels come from files and inventories, and a terminal obeys control characters.
                harmless_line(self.info.label(*id).as_bytes(), &mut label);
                let label = String::from_utf8_lossy(&label).into_owned();
                format!("{label} ({})", duration(now - *since))
            };
            let names: Vec<String> = running.into_iter().map(name).collect();
            words.push(format!("{left} running: {}", names.join(", ")));
            return words.join(", ");
        }
        words.push(format!("{} running", self.running.len()));
        words.extend(for_ports);
        words.extend(self.wave());
        let rate = self.bar.per_sec();
        // The rate is not finite before any time was measured. The bytes of copies have their own.
        if self.done > 0 && rate.is_finite() && bytes.is_none() {
            words.push(format!("{rate:.1}/s"));
            words.push(format!("{} left", duration(self.bar.eta())));
        }
        words.join(", ")
    }

    /// Returns the number of the current wave, if there are several.
    fn wave(&self) -> Option<String> {
        let ends = self.wave_ends.as_ref().filter(|ends| ends.len() > 1)?;
        let before = ends.iter().filter(|&&end| end < self.started).count();
        Some(format!("wave {} of {}", before + 1, ends.len()))
    }
}

/// Returns the current width of the terminal on standard error.
pub(super) fn terminal_width() -> u16 {
    match rustix::termios::tcgetwinsize(rustix::stdio::stderr()) {
        // Terminals without a known size, such as serial lines, report 0 columns.
        Ok(size) if size.ws_col > 0 => size.ws_col,
        _ => 80,
    }
}

/// Cuts a line to this many columns, between two characters.
fn cut_to_width(mut line: String, columns: usize) -> String {
    while line.width() > columns {
        line.pop();
    }
    line
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the templates are constants")
        .progress_chars("=> ")
}

impl Reporter for ProgressReporter {
    fn event(&mut self, event: &Event, _: &mut Console) -> io::Result<()> {
        match event {
            Event::RunStarted { .. } => self.begun = Instant::now(),
            Event::Started(target) => {
                self.running.insert(*target, Instant::now());
                self.started += 1;
                self.paused = false;
            }
            Event::Finished(finished) => {
                self.running.remove(&finished.target);
                self.done += 1;
                match &finished.outcome {
                    Outcome::NotStarted(_) => self.not_started += 1,
                    outcome => self.failed += usize::from(!outcome.is_success()),
                }
            }
            Event::PortWaits(count) => self.for_ports = *count,
            Event::Output(_) | Event::State { .. } | Event::Notice(_) => {}
            Event::Paused(_) => self.paused = true,
        }
        Ok(())
    }

    fn tick(&mut self, now: Instant, console: &mut Console) -> io::Result<Option<Instant>> {
        let next = match self.drawn {
            Some(drawn) => drawn + INTERVAL,
            None => self.begun + PATIENCE,
        };
        if now < next {
            return Ok(Some(next));
        }
        let line = self.line(now);
        console.set_bar(&line)?;
        self.drawn = Some(now);
        Ok(Some(now + INTERVAL))
    }

    fn finish(&mut self, _: &RunStats, console: &mut Console) -> io::Result<()> {
        console.clear_bar()
    }
}

impl BarCanvas {
    fn with<T>(&self, act: impl FnOnce(&mut Drawing) -> T) -> T {
        // indicatif catches no panic, so the text is complete even if the lock is poisoned.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_width(&self, width: u16) {
        self.with(|drawing| drawing.width = width);
    }

    fn line(&self) -> String {
        self.with(|drawing| drawing.line.trim_end().to_owned())
    }
}

impl TermLike for BarCanvas {
    fn width(&self) -> u16 {
        self.with(|drawing| drawing.width)
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.with(|drawing| drawing.next.push_str(text));
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.with(|drawing| drawing.next.clear());
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.with(|drawing| drawing.line = std::mem::take(&mut drawing.next));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::lines::Lines;
    use super::super::testing::{Recorder, finished, output, run_info, run_started, succeeded};
    use super::super::{Colors, Terminals};
    use super::*;
    use crate::event::CancelReason;
    use crate::event::{RemoteExit, Stream};

    const BOTH: Terminals = Terminals {
        out: true,
        err: true,
    };

    fn progress(hosts: usize, width: fn() -> u16) -> (ProgressReporter, Vec<String>) {
        let names: Vec<String> = (0..hosts).map(|n| format!("n{n}")).collect();
        (
            ProgressReporter::new(&Arc::new(run_info(&names)), width),
            names,
        )
    }

    #[test]
    fn the_bar_has_the_numbers_and_the_last_hosts() {
        let (mut progress, _) = progress(40, || 100);
        let mut console = Recorder::default().console(BOTH);
        for n in 0..40 {
            let started = Event::Started(TargetId(n));
            progress.event(&started, &mut console).unwrap();
        }
        let begun = progress.running[&TargetId(39)];
        insta::assert_snapshot!(progress.line(begun), @"[                    ] 0/40 40 running");
        progress.event(&Event::PortWaits(7), &mut console).unwrap();
        insta::assert_snapshot!(progress.line(begun), @"[                    ] 0/40 40 running, 7 waiting for ports");
        progress.event(&Event::PortWaits(0), &mut console).unwrap();
        for n in 0..38 {
            progress.event(&succeeded(n), &mut console).unwrap();
        }
        let lost = finished(38, Outcome::Internal(String::new()));
        progress.event(&lost, &mut console).unwrap();
        insta::assert_snapshot!(progress.line(begun + Duration::from_secs(12)), @"[===================>] 39/40 1 failed, 1 running: n39 (12 s)");
        progress.width = || 30;
        insta::assert_snapshot!(progress.line(begun + Duration::from_secs(12)), @"39/40 1 failed, 1 running: n3");
        for (width, most) in [(0, 0), (1, 0), (2, 1), (25, 24), (500, 78)] {
            progress.width = match width {
                0 => || 0,
                1 => || 1,
                2 => || 2,
                25 => || 25,
                _ => || 500,
            };
            assert!(progress.line(begun).width() <= most);
        }
    }

    #[test]
    fn the_bar_has_no_rate_in_a_pause() {
        let mut info = run_info(&["n0", "n1"]);
        info.policy.batch = vec!["1".parse().unwrap()];
        let mut progress = ProgressReporter::new(&Arc::new(info), || 100);
        let mut console = Recorder::default().console(BOTH);
        let now = Instant::now();
        let events = [
            Event::Started(TargetId(0)),
            succeeded(0),
            Event::Paused("wave 1 of 2".to_owned()),
        ];
        for event in events {
            progress.event(&event, &mut console).unwrap();
        }
        insta::assert_snapshot!(progress.line(now), @"[==========>         ] 1/2 wave 1 of 2, paused");
        let started = Event::Started(TargetId(1));
        progress.event(&started, &mut console).unwrap();
        assert!(!progress.line(now).contains("paused"));
    }

    #[test]
    fn the_bar_counts_the_bytes_of_copies() {
        let copied = CopyProgress::default();
        let (progress, _) = progress(4, || 100);
        let mut progress = progress.with_copies(Some(copied.clone()));
        let mut console = Recorder::default().console(BOTH);
        for n in 0..4 {
            let started = Event::Started(TargetId(n));
            progress.event(&started, &mut console).unwrap();
        }
        let now = progress.running[&TargetId(0)];
        insta::assert_snapshot!(progress.line(now), @"[                    ] 0/4 4 running");
        let mut copies: Vec<_> = (0..4).map(|_| copied.begin()).collect();
        copies.iter_mut().for_each(|copy| copy.compared(1 << 20));
        // Before some time was measured, there is no rate.
        insta::assert_snapshot!(progress.line(now), @"[            ] 0/4 sent 0 B of 4.00 MiB, 4 running");
        copies.iter_mut().for_each(|copy| copy.moved(1 << 19));
        let line = progress.line(now);
        assert!(
            line.starts_with("[======>     ] 0/4 sent 2.00 of 4.00 MiB"),
            "{line}"
        );
        copies.iter_mut().for_each(|copy| copy.moved(1 << 19));
        copies.pop();
        progress.event(&succeeded(3), &mut console).unwrap();
        insta::assert_snapshot!(progress.line(now), @"[============] 1/4 sent 4.00 of 4.00 MiB, 3 running");
        progress.width = || 40;
        insta::assert_snapshot!(progress.line(now), @"1/4 sent 4.00 of 4.00 MiB, 3 running");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let cut = |columns| cut_to_width("1 日本".to_owned(), columns);
        assert_eq!(
            [cut(6), cut(5), cut(4), cut(0)],
            ["1 日本", "1 日", "1 日", ""]
        );
    }

    #[test]
    fn the_bar_has_the_wave() {
        let mut info = run_info(&["a", "b", "c", "d", "e", "f", "g"]);
        info.policy.batch = ["1", "2", "4"].map(|size| size.parse().unwrap()).into();
        let mut progress = ProgressReporter::new(&Arc::new(info), || 100);
        let mut console = Recorder::default().console(BOTH);
        let mut shown = Vec::new();
        for n in 0..4 {
            let started = Event::Started(TargetId(n));
            progress.event(&started, &mut console).unwrap();
            shown.push(progress.wave().unwrap());
            if n == 2 {
                (0..3).for_each(|n| progress.event(&succeeded(n), &mut console).unwrap());
            }
        }
        let expected = ["1", "2", "2", "3"].map(|wave| format!("wave {wave} of 3"));
        assert_eq!(shown, expected);
        let bar = progress.line(Instant::now());
        assert!(bar.contains("1 running, wave 3 of 3"), "{bar}");
    }

    #[test]
    fn a_short_run_has_no_bar() {
        let (mut progress, names) = progress(2, || 80);
        let recorder = Recorder::default();
        let mut console = recorder.console(BOTH);
        progress.event(&run_started(&names), &mut console).unwrap();
        let now = Instant::now();
        let next = progress.tick(now, &mut console).unwrap().unwrap();
        assert!(next > now && recorder.writes().is_empty());
        progress.tick(next, &mut console).unwrap();
        assert!(!recorder.writes().is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Whatever is written and whenever the bar is drawn, the screen has the lines, whole and in
        /// order, with the bar below them at most.
        #[test]
        fn lines_and_bar_never_tear(steps in prop::collection::vec((0..5_u8, 1..120_usize), 1..60)) {
            let (mut progress, names) = progress(3, || 80);
            let mut lines = Lines::new(true, Colors::default());
            let recorder = Recorder::default();
            let mut console = recorder.console(BOTH);
            lines.event(&run_started(&names), &mut console).unwrap();
            let mut now = Instant::now() + PATIENCE;
            let mut expected = Vec::new();
            for (kind, length) in steps {
                match kind {
                    0 | 1 => {
                        let text = "x".repeat(length);
                        let stream = [Stream::Stdout, Stream::Stderr][usize::from(kind)];
                        let event = output(u32::from(kind), stream, format!("{text}\n").as_bytes());
                        lines.event(&event, &mut console).unwrap();
                        expected.push(format!("n{kind}: {text}"));
                    }
                    2 => {
                        console.rest().unwrap();
                        let shown = screen(&recorder);
                        let bar = shown.get(expected.len());
                        prop_assert_eq!(bar.is_some(), progress.drawn.is_some(), "{:?}", shown);
                        prop_assert!(bar.is_none_or(|bar| bar.starts_with("[  ")), "{shown:?}");
                    }
                    // A line without an end is not to be seen yet.
                    3 => lines.event(&output(2, Stream::Stdout, b"y"), &mut console).unwrap(),
                    _ => {
                        now += INTERVAL;
                        progress.tick(now, &mut console).unwrap();
                        let shown = screen(&recorder);
                        prop_assert_eq!(&shown[..shown.len() - 1], &expected[..]);
                        prop_assert!(shown.last().unwrap().starts_with("[  "), "{shown:?}");
                    }
                }
            }
            console.flush().unwrap();
            progress.finish(&RunStats::default(), &mut console).unwrap();
            prop_assert_eq!(screen(&recorder), expected);
        }
    }

    /// The lines on a large terminal that has been sent all this.
    fn screen(recorder: &Recorder) -> Vec<String> {
        let mut terminal = vt100::Parser::new(200, 200, 0);
        for (_, bytes) in recorder.writes() {
            let text = String::from_utf8(bytes).unwrap();
            terminal.process(text.replace('\n', "\r\n").as_bytes());
        }
        let contents = terminal.screen().contents();
        contents
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect()
    }

    #[test]
    fn an_exit_status_is_a_failure_and_not_being_started_is_none() {
        let (mut progress, _) = progress(9, || 80);
        let mut console = Recorder::default().console(BOTH);
        let end = finished(0, Outcome::Exited(RemoteExit::Code(1)));
        progress.event(&end, &mut console).unwrap();
        let message = progress.message(Instant::now(), None);
        assert!(message.starts_with("1 failed, 0 running"), "{message}");
        for id in 1..3 {
            let never = finished(id, Outcome::NotStarted(CancelReason::Failures));
            progress.event(&never, &mut console).unwrap();
        }
        let message = progress.message(Instant::now(), None);
        assert!(
            message.starts_with("1 failed, 2 not started, 0 running"),
            "{message}"
        );
    }
}
