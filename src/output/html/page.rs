//! The page, except the picture and the outputs.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::super::gather::{GatheredOutput, HostEnd};
use super::super::{RunInfo, summary};
use super::escape::{EscapedText, GroupedDigits, HostCount};
use super::racks::racks;
use super::times::{HostTimes, OutcomeClass, PHASES};
use crate::event::{CancelReason, RunStats};
use crate::targets::fold;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Maximum number of hosts in the table of all hosts.
const MOST_HOSTS: usize = 50_000;

/// Maximum length of folded names that are shown at once.
const LONG_NAMES: usize = 160;

/// The content of a page.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) info: &'a RunInfo,
    pub(super) stats: &'a RunStats,
    pub(super) collected: &'a GatheredOutput,
    pub(super) times: &'a [Option<HostTimes>],
    pub(super) began: SystemTime,
}

impl Page<'_> {
    /// # Errors
    /// A write failed, or a text cannot be read back.
    pub(super) fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        self.head(to)?;
        self.header(to)?;
        writeln!(to, "<main id=\"main\">")?;
        for (id, title) in [
            ("outcome", "Outcome"),
            ("timeline", "Timeline"),
            ("outputs", "Outputs"),
            ("hosts", "All hosts"),
        ] {
            writeln!(
                to,
                "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>"
            )?;
            match id {
                "outcome" => self.outcome(to)?,
                "timeline" => {
                    let labels = self.info.targets.iter().map(|target| &*target.label);
                    self.timeline(&racks(labels), to)?;
                }
                "outputs" => self.outputs(to)?,
                _ => self.hosts(to)?,
            }
            writeln!(to, "</section>")?;
        }
        // The script is last, since it works on the elements before it.
        writeln!(
            to,
            "</main>\n<footer>mrsh {}; this file is complete and loads nothing</footer>\n<script>{SCRIPT}</script>\n</body>\n</html>",
            env!("CARGO_PKG_VERSION")
        )
    }

    fn head(&self, to: &mut dyn Write) -> io::Result<()> {
        // The policy allows exactly this style and this script, so text of a host could not run even if its escaping
        // failed.
        let hash = |text: &str| BASE64_STANDARD.encode(openssl::sha::sha256(text.as_bytes()));
        // The empty icon keeps browsers from asking for /favicon.ico; it needs `img-src data:`.
        writeln!(
            to,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'sha256-{}'; \
             script-src 'sha256-{}'; base-uri 'none'; form-action 'none'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
             <title>{}: {}</title>\n<style>{STYLE}</style>\n</head>\n<body>",
            hash(STYLE),
            hash(SCRIPT),
            self.verdict(),
            // A cut within a character is harmless, since invalid bytes are escaped.
            EscapedText(&self.info.command[..self.info.command.len().min(80)]),
        )
    }

    /// Writes the result of the run in one sentence. Hosts that were not started are counted separately.
    fn verdict(&self) -> String {
        let RunStats {
            total,
            succeeded,
            not_started,
            ..
        } = *self.stats;
        let were = if not_started == 1 { "was" } else { "were" };
        match (total - succeeded - not_started, not_started) {
            (0, 0) if total == 1 => "The host succeeded".to_owned(),
            (0, 0) => format!("All {} succeeded", HostCount(total)),
            (0, never) => format!(
                "{} of {} {were} not started",
                GroupedDigits::of(never),
                HostCount(total)
            ),
            (bad, 0) => format!(
                "{} of {} did not succeed",
                GroupedDigits::of(bad),
                HostCount(total)
            ),
            (bad, never) => format!(
                "{} of {} did not succeed, {} {were} not started",
                GroupedDigits::of(bad),
                HostCount(total),
                GroupedDigits::of(never)
            ),
        }
    }

    fn header(&self, to: &mut dyn Write) -> io::Result<()> {
        let info = self.info;
        let good = if self.stats.succeeded == self.stats.total {
            "good"
        } else {
            "bad"
        };
        writeln!(
            to,
            "<a class=\"skip\" href=\"#main\">Skip to the results</a>\n<header>\n<h1 class=\"{good}\">{}</h1>\n\
             <pre class=\"command\" tabindex=\"0\" aria-label=\"Command\">\n{}</pre>",
            self.verdict(),
            EscapedText(&info.command)
        )?;
        // A clock before 1970 gives 1970.
        let seconds = self.began.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (machine, people) = date(seconds);
        write!(
            to,
            "<p class=\"facts\"><span>Began <time datetime=\"{machine}\">{people}</time></span> <span>took {}</span> \
             <span>{} as {}</span> <span>{} at once</span>",
            summary::duration(self.stats.elapsed),
            info.transport.name(),
            EscapedText(info.user.as_bytes()),
            GroupedDigits::of(info.fanout.get()),
        )?;
        write!(
            to,
            " <span>run {}</span>",
            EscapedText(info.run_id.as_bytes())
        )?;
        if info.demo {
            write!(to, " <span>demo: embedded daemons answered</span>")?;
        }
        match self.stats.cancel {
            Some(CancelReason::Signal(signal)) => {
                write!(to, " <span>stopped by signal {signal}</span>")?
            }
            Some(_) => write!(to, " <span>stopped early</span>")?,
            None => {}
        }
        writeln!(to, "</p>")?;
        self.shares(to)?;
        writeln!(
            to,
            "<nav aria-label=\"Contents\"><a href=\"#outcome\">Outcome</a> <a href=\"#timeline\">Timeline</a> \
             <a href=\"#outputs\">Outputs</a> <a href=\"#hosts\">All hosts</a></nav>\n</header>"
        )
    }

    /// Writes the number of hosts by class of outcome, as a bar and in numbers.
    fn shares(&self, to: &mut dyn Write) -> io::Result<()> {
        let RunStats {
            total,
            succeeded,
            exit_failed,
            failed,
            cancelled,
            not_started,
            ..
        } = *self.stats;
        let counts = [succeeded, exit_failed, failed, cancelled, not_started];
        write!(
            to,
            "<svg class=\"share\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
        )?;
        let mut x = 0.0;
        for (class, count) in OutcomeClass::ALL.into_iter().zip(counts) {
            if count > 0 {
                // A few failures among many hosts must still be visible.
                let width = (1000.0 * count as f64 / total.max(1) as f64).max(4.0);
                write!(
                    to,
                    "<rect class=\"{}\" x=\"{x:.1}\" width=\"{width:.1}\" height=\"10\"/>",
                    class.style()
                )?;
                x += width;
            }
        }
        writeln!(to, "</svg>\n<dl class=\"counts\">")?;
        for (class, count) in OutcomeClass::ALL.into_iter().zip(counts) {
            if count > 0 || class == OutcomeClass::Succeeded {
                writeln!(
                    to,
                    "<div class=\"{}\"><dt>{}</dt><dd>{}</dd></div>",
                    class.style(),
                    class.name(),
                    GroupedDigits::of(count)
                )?;
            }
        }
        writeln!(to, "</dl>")
    }

    /// Writes every outcome with its hosts.
    fn outcome(&self, to: &mut dyn Write) -> io::Result<()> {
        let mut ends: Vec<(OutcomeClass, Option<HostEnd>, Vec<usize>)> = Vec::new();
        let mut places = HashMap::new();
        for (host, times) in self.times.iter().enumerate() {
            let Some(times) = times else { continue };
            let end = self.collected.host(host).end();
            let at = *places
                .entry((times.class.style(), end))
                .or_insert(ends.len());
            if at == ends.len() {
                ends.push((times.class, end, Vec::new()));
            }
            ends[at].2.push(host);
        }
        // Failures first, since readers look for them.
        let rank = |class| match class {
            OutcomeClass::ExitFailed | OutcomeClass::Failed => 0,
            OutcomeClass::Stopped => 1,
            OutcomeClass::NotStarted => 2,
            OutcomeClass::Succeeded => 3,
        };
        ends.sort_by_key(|(class, _, hosts)| (rank(*class), Reverse(hosts.len())));
        writeln!(
            to,
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"ends\"><table>\n\
             <caption id=\"ends\">How the hosts ended, failures first</caption>\n<thead><tr><th scope=\"col\" class=\"num\">Hosts</th>\
             <th scope=\"col\">End</th><th scope=\"col\">Which</th></tr></thead>\n<tbody>"
        )?;
        for (class, end, hosts) in ends {
            writeln!(
                to,
                "<tr><td class=\"num\">{}</td><td><span class=\"tag {}\">{}</span> {}</td><td class=\"which\">{}</td></tr>",
                GroupedDigits::of(hosts.len()),
                class.style(),
                class.name(),
                EscapedText(self.collected.words(end).as_bytes()),
                self.names_of(&hosts)
            )?;
        }
        writeln!(to, "</tbody></table></div>")
    }

    /// Writes every host with its times.
    fn hosts(&self, to: &mut dyn Write) -> io::Result<()> {
        let count = self.times.len();
        writeln!(
            to,
            "<details id=\"all\"><summary>{}, with their times</summary>\n\
             <p class=\"filter\" hidden><label for=\"filter\">Show only</label> <input id=\"filter\" type=\"search\" \
             placeholder=\"a part of a name or an end\"> <span id=\"found\" role=\"status\"></span></p>\n\
             <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"times\"><table id=\"table\">\n\
             <caption id=\"times\">Times in seconds. A target that is queued locally waits for the CPU, descriptors or memory of this machine.</caption>\n\
             <thead><tr><th scope=\"col\">Host</th><th scope=\"col\">End</th><th scope=\"col\" class=\"num\">began</th>",
            HostCount(count)
        )?;
        for (name, _) in PHASES {
            write!(to, "<th scope=\"col\" class=\"num\">{name}</th>")?;
        }
        writeln!(
            to,
            "<th scope=\"col\" class=\"num\">total</th></tr></thead>\n<tbody>"
        )?;
        for (host, times) in self.times.iter().enumerate().take(MOST_HOSTS) {
            let label = EscapedText(self.info.targets[host].label.as_bytes());
            let Some(times) = times else { continue };
            let words = match self.collected.words(self.collected.host(host).end()) {
                "" => times.class.name(),
                words => words,
            };
            write!(
                to,
                "<tr class=\"{}\"><th scope=\"row\">{label}</th><td>{}</td>",
                times.class.style(),
                EscapedText(words.as_bytes())
            )?;
            // 0 s would look like a quick host.
            let total = times.began.map(|_| times.elapsed);
            for time in [times.began].iter().chain(&times.phases).chain(&[total]) {
                match time {
                    Some(time) => write!(to, "<td>{time}</td>")?,
                    None => write!(to, "<td></td>")?,
                }
            }
            writeln!(to, "</tr>")?;
        }
        writeln!(to, "</tbody></table></div>")?;
        if let Some(left @ 1..) = count.checked_sub(MOST_HOSTS) {
            writeln!(
                to,
                "<p class=\"note\">{} more hosts are left out; <code>--json</code> has them all.</p>",
                GroupedDigits::of(left)
            )?;
        }
        writeln!(to, "</details>")
    }

    /// Returns the folded names of some hosts, in a closed `<details>` if they are long.
    pub(super) fn names_of(&self, hosts: &[usize]) -> String {
        let names = self.fold(hosts);
        match shortened(&names) {
            None => format!(
                "<span class=\"names\">{}</span>",
                EscapedText(names.as_bytes())
            ),
            Some(start) => format!(
                "<details class=\"names\"><summary>{}…</summary>{}</details>",
                EscapedText(start.as_bytes()),
                EscapedText(names.as_bytes())
            ),
        }
    }

    /// Returns the names as a title, and all names for below the title if it was cut.
    pub(super) fn title_of(&self, hosts: &[usize]) -> (String, String) {
        let names = self.fold(hosts);
        match shortened(&names) {
            None => (
                format!(
                    "<span class=\"names\">{}</span>",
                    EscapedText(names.as_bytes())
                ),
                String::new(),
            ),
            Some(start) => (
                format!(
                    "<span class=\"names\">{}…</span>",
                    EscapedText(start.as_bytes())
                ),
                format!(
                    "<details class=\"names\"><summary>All their names</summary>{}</details>\n",
                    EscapedText(names.as_bytes())
                ),
            ),
        }
    }

    fn fold(&self, hosts: &[usize]) -> String {
        let targets = &self.info.targets;
        match hosts {
            // A label that folding would split or reorder stays unchanged.
            [host] => targets[*host].label.to_string(),
            hosts => fold(hosts.iter().map(|host| &*targets[*host].label)),
        }
    }
}

/// Returns the start of names that are too long.
fn shortened(names: &str) -> Option<&str> {
    (names.len() > LONG_NAMES).then(|| &names[..names.floor_char_boundary(LONG_NAMES / 3)])
}

/// Formats a time, in seconds since 1970, for machines and for people, in UTC.
fn date(since: Duration) -> (String, String) {
    let seconds = since.as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Date from a number of days, in eras of 400 years that begin in March.
    // Howard Hinnant's `civil_from_days`: in such a year, the leap day is the last day.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month, year) = (
        day - (153 * month + 2) / 5 + 1,
        if month < 10 { month + 3 } else { month - 9 },
        era * 400 + year + u64::from(month >= 10),
    );
    let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
    (
        format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z"),
        format!("{year:04}-{month:02}-{day:02} {h:02}:{m:02}:{s:02} UTC"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_401_181, "2026-11-23T02:33:01Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(date(Duration::from_secs(seconds)).0, expected);
        }
    }
}
