//! The picture of the times of all hosts: a row for each host, or a row for the slowest of some neighbours.
//!
//! It is drawn without a script, with one SVG path per phase, so that ten thousand hosts need a few hundred shapes.
//! There are two pictures: by the clock, which shows the course of the run, and from the start of each host, which
//! shows slow racks.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::escape::{EscapedText, GroupedDigits, HostCount};
use super::page::Page;
use super::racks::{Rack, RackTimes, slowest_first};
use super::times::{HostTimes, PHASES, Tenths, words};

/// Maximum height of the picture.
const HEIGHT: usize = 640;

/// Minimum and maximum height of a row.
const ROW: [usize; 2] = [2, 20];

/// Width of the picture in units of the SVG; the page stretches it.
const WIDTH: f64 = 1000.0;

/// Width of the strip at the left that marks failures.
const STRIP: f64 = 12.0;

/// The distance between two names.
const NAME: usize = 15;

/// Maximum length of a name. Longer ones show only their end.
const LONGEST_NAME: usize = 22;

/// Maximum number of racks in the table.
const LISTED: usize = 8;

/// Positions of the rows of the picture.
#[derive(Debug)]
struct PictureRows {
    hosts: usize,
    count: usize,
    height: usize,
}

impl PictureRows {
    fn of(hosts: usize) -> Self {
        let count = hosts.clamp(1, HEIGHT / ROW[0]);
        PictureRows {
            hosts,
            count,
            height: (HEIGHT / count).clamp(ROW[0], ROW[1]),
        }
    }

    /// Returns the hosts of a row.
    fn hosts(&self, row: usize) -> std::ops::Range<usize> {
        row * self.hosts / self.count..(row + 1) * self.hosts / self.count
    }

    fn row_of(&self, host: usize) -> usize {
        // The inverse of `hosts`, in integers.
        ((host + 1) * self.count - 1) / self.hosts.max(1)
    }

    fn total(&self) -> usize {
        self.count * self.height
    }
}

/// The time at the left edge of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TimeOrigin {
    RunStart,
    HostStart,
}

impl Page<'_> {
    /// Writes the picture, and its content as text and numbers.
    pub(super) fn timeline(&self, racks: &[Rack], to: &mut dyn Write) -> io::Result<()> {
        let started = || {
            self.times
                .iter()
                .flatten()
                .filter(|host| host.began.is_some())
        };
        let mut took: Vec<Tenths> = started().map(|host| host.elapsed).collect();
        took.sort_unstable();
        let Some(&longest) = took.last() else {
            return writeln!(to, "<p>No host was started.</p>");
        };
        let median = took[took.len() / 2];
        let end =
            |host: &HostTimes| host.began.unwrap_or_default().seconds() + host.elapsed.seconds();
        let whole = started().map(end).fold(0.0, f64::max);
        let rows = PictureRows::of(self.times.len());
        // In a long run of short commands, bars by the clock are too thin to compare.
        let own = whole > 3.0 * longest.seconds();
        writeln!(to, "<figure aria-labelledby=\"picture\">")?;
        for (id, text, on) in [
            ("by-clock", "by the clock", !own),
            ("by-start", "each host from its own start", own),
        ] {
            let checked = if on { " checked" } else { "" };
            writeln!(
                to,
                "<input type=\"radio\" name=\"view\" id=\"{id}\"{checked}><label for=\"{id}\">{text}</label>"
            )?;
        }
        self.legend(to)?;
        writeln!(to, "<div class=\"plot\">")?;
        self.names(&rows, racks, to)?;
        writeln!(
            to,
            "<div class=\"bars\" id=\"bars\" data-rows=\"{}\">",
            rows.count
        )?;
        self.view("clock", TimeOrigin::RunStart, whole, &rows, to)?;
        self.view("start", TimeOrigin::HostStart, longest.seconds(), &rows, to)?;
        writeln!(
            to,
            "</div></div>\n<p id=\"readout\" class=\"readout\" hidden></p>"
        )?;
        let rest = match self.times.len().div_ceil(rows.count) {
            1 => "one in each row".to_owned(),
            most => format!("up to {most} neighbours in each row, of which the slowest is drawn"),
        };
        writeln!(
            to,
            "<figcaption id=\"picture\">{} from top to bottom as they were named, {rest}; time runs from left to right. \
             Half of them ended within {} of their start; the slowest took {}.</figcaption>\n</figure>",
            HostCount(self.times.len()),
            words(median.seconds()),
            words(longest.seconds()),
        )?;
        self.slow_racks(racks, longest, to)
    }

    fn legend(&self, to: &mut dyn Write) -> io::Result<()> {
        write!(to, "<ul class=\"legend\" aria-label=\"Colours\">")?;
        for (name, style) in PHASES {
            write!(
                to,
                "<li><svg class=\"key\" aria-hidden=\"true\"><rect class=\"{style}\" width=\"12\" height=\"12\"/></svg>{name}</li>"
            )?;
        }
        writeln!(
            to,
            "<li><svg class=\"key\" aria-hidden=\"true\"><rect class=\"mark\" width=\"12\" height=\"12\"/></svg>failed (at the left edge)</li></ul>"
        )
    }

    /// Writes the names at the left, as many as fit.
    fn names(&self, rows: &PictureRows, racks: &[Rack], to: &mut dyn Write) -> io::Result<()> {
        let height = rows.total();
        let hosts: Vec<usize> = if rows.height >= NAME || racks.is_empty() {
            (0..rows.count).map(|row| rows.hosts(row).start).collect()
        } else {
            // The slow racks come first, because not all names may fit.
            let slow = slowest_first(racks, self.times);
            let usual = slow
                .get(slow.len() / 2)
                .map(|(took, _)| took.median.seconds());
            let is_slow =
                |took: &RackTimes| usual.is_some_and(|usual| took.median.seconds() > 2.0 * usual);
            let slow = slow.iter().take(LISTED).filter(|(took, _)| is_slow(took));
            let racks = slow.map(|(_, rack)| *rack).chain(racks);
            racks
                .filter_map(|rack| rack.hosts.first())
                .copied()
                .collect()
        };
        let mut named: Vec<(usize, &str)> = Vec::new();
        for host in hosts {
            let y = (rows.row_of(host) * rows.height + rows.height.max(12) / 2 + 4)
                .min(height.max(NAME) - 2);
            if named.iter().all(|(other, _)| other.abs_diff(y) >= NAME) {
                named.push((y, &self.info.targets[host].label));
            }
        }
        let length = |(_, label): &(usize, &str)| label.width();
        let width = named
            .iter()
            .map(length)
            .max()
            .unwrap_or(0)
            .min(LONGEST_NAME)
            * 7
            + 16;
        write!(
            to,
            "<svg class=\"names\" width=\"{width}\" height=\"{height}\" aria-hidden=\"true\">"
        )?;
        for (y, label) in named {
            write!(
                to,
                "<text x=\"{}\" y=\"{y}\">{}</text>",
                width - 8,
                EscapedText(label.as_bytes())
            )?;
        }
        writeln!(to, "</svg>")
    }

    /// Writes one of the two pictures with its axis.
    fn view(
        &self,
        name: &str,
        from: TimeOrigin,
        longest: f64,
        rows: &PictureRows,
        to: &mut dyn Write,
    ) -> io::Result<()> {
        let (step, ticks) = axis(longest);
        let scale = (WIDTH - STRIP) / (step * ticks as f64);
        let height = rows.total();
        writeln!(
            to,
            "<div class=\"view {name}\"><svg viewBox=\"0 0 {WIDTH} {height}\" height=\"{height}\" preserveAspectRatio=\"none\" \
             role=\"img\" aria-labelledby=\"picture\">"
        )?;
        write!(to, "<path class=\"grid\" d=\"")?;
        for tick in 0..=ticks {
            write!(to, "M{:.1} 0v{height}", STRIP + step * scale * tick as f64)?;
        }
        writeln!(to, "\"/>")?;
        let drawn: Vec<Option<HostTimes>> = (0..rows.count)
            .map(|row| self.slowest(rows.hosts(row)))
            .collect();
        let gap = usize::from(rows.height > 5);
        // One path for each phase: ten thousand hosts would need as many shapes.
        for (at, (_, style)) in PHASES.iter().enumerate() {
            write!(to, "<path class=\"{style}\" d=\"")?;
            for (row, host) in drawn.iter().enumerate() {
                let Some(host) = host else { continue };
                let time = |phase: &Option<Tenths>| phase.unwrap_or_default().seconds();
                let before: f64 = host.phases[..at].iter().map(time).sum();
                let begin = match from {
                    TimeOrigin::RunStart => host.began.unwrap_or_default().seconds(),
                    TimeOrigin::HostStart => 0.0,
                };
                let mut width = time(&host.phases[at]) * scale;
                if host.longest_phase() == at {
                    // A short run must still be visible.
                    width = width.max(2.0);
                }
                // A thinner bar cannot be seen, and each one makes the file larger.
                if width < 0.3 {
                    continue;
                }
                let (x, y) = (STRIP + (begin + before) * scale, row * rows.height + gap);
                let tall = rows.height - 2 * gap;
                write!(to, "M{x:.1} {y}h{width:.1}v{tall}h-{width:.1}z")?;
            }
            writeln!(to, "\"/>")?;
        }
        write!(to, "<path class=\"mark\" d=\"")?;
        for row in 0..rows.count {
            // The picture shows the slowest host of a row. A failure of another one must be visible too.
            let failed = |host: &HostTimes| host.class.is_failure();
            if self.times[rows.hosts(row)].iter().flatten().any(failed) {
                write!(to, "M0 {}h8v{}h-8z", row * rows.height, rows.height)?;
            }
        }
        writeln!(to, "\"/></svg>\n<div class=\"axis\" aria-hidden=\"true\">")?;
        for tick in 0..=ticks {
            write!(to, "<span>{}</span>", number(step * tick as f64, step))?;
        }
        writeln!(to, "</div></div>")
    }

    /// Returns the slowest started host of `hosts`.
    fn slowest(&self, hosts: std::ops::Range<usize>) -> Option<HostTimes> {
        let started = self.times[hosts]
            .iter()
            .flatten()
            .filter(|host| host.began.is_some());
        started.max_by_key(|host| host.elapsed).copied()
    }

    /// Writes the slow racks as a table, also for readers who cannot see the picture.
    fn slow_racks(&self, racks: &[Rack], longest: Tenths, to: &mut dyn Write) -> io::Result<()> {
        let slow = slowest_first(racks, self.times);
        if slow.is_empty() {
            return Ok(());
        }
        writeln!(
            to,
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"racks\"><table class=\"racks\">\n\
             <caption id=\"racks\">The slowest of {} groups of neighbours, by the time that half of their hosts needed</caption>\n\
             <thead><tr><th scope=\"col\">Hosts</th><th scope=\"col\" class=\"num\">Number</th><th scope=\"col\" class=\"num\">Failed</th>\
             <th scope=\"col\" class=\"num\">Half within</th><th scope=\"col\" class=\"chart\"></th><th scope=\"col\">Slowest</th>\
             <th scope=\"col\">Mostly spent in</th></tr></thead>\n<tbody>",
            GroupedDigits::of(slow.len())
        )?;
        for (took, Rack { hosts }) in slow.into_iter().take(LISTED) {
            let failed = hosts
                .iter()
                .filter(|host| self.times[**host].is_some_and(|host| host.class.is_failure()));
            let (phase, style) =
                self.times[took.slowest].map_or(("", "p4"), |host| PHASES[host.longest_phase()]);
            // 1e-4 s is the smallest time that is kept; it prevents a division by 0.
            let share = took.median.seconds() / longest.seconds().max(1e-4) * 100.0;
            writeln!(
                to,
                "<tr><th scope=\"row\">{}</th><td class=\"num\">{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td>\
                 <td class=\"chart\"><svg viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
                 <rect class=\"{style}\" width=\"{:.1}\" height=\"10\"/></svg></td><td>{} ({})</td><td>{phase}</td></tr>",
                self.names_of(hosts),
                GroupedDigits::of(hosts.len()),
                GroupedDigits::of(failed.count()),
                words(took.median.seconds()),
                share.max(0.5),
                EscapedText(self.info.targets[took.slowest].label.as_bytes()),
                words(took.longest.seconds()),
            )?;
        }
        writeln!(to, "</tbody></table></div>")
    }
}

/// Returns the distance of the ticks of an axis, a round number, and the number of ticks to reach `longest`.
fn axis(longest: f64) -> (f64, usize) {
    // 0 has no logarithm.
    let longest = longest.max(0.001);
    let rough = longest / 8.0;
    let unit = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * unit);
    let step = step
        .into_iter()
        .find(|step| *step >= rough)
        .unwrap_or(10.0 * unit);
    (step, (longest / step).ceil().max(1.0) as usize)
}

/// Formats the number of a tick with as many digits as the distance needs.
fn number(seconds: f64, step: f64) -> String {
    let digits = (-step.log10().floor()).max(0.0) as usize;
    format!("{seconds:.digits$} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_is_in_one_row() {
        for hosts in [1, 2, 31, 32, 319, 320, 321, 5000, 9999] {
            let rows = PictureRows::of(hosts);
            assert!(rows.total() <= HEIGHT);
            let mut next = 0;
            for row in 0..rows.count {
                let members = rows.hosts(row);
                assert_eq!(members.start, next);
                assert!(!members.is_empty());
                assert!(
                    members.clone().all(|host| rows.row_of(host) == row),
                    "{hosts} {row}"
                );
                next = members.end;
            }
            assert_eq!(next, hosts);
        }
    }

    #[test]
    fn axes_are_round_and_long_enough() {
        for (longest, step, ticks) in [
            (0.0, 0.0002, 5),
            (1.0, 0.2, 5),
            (9.8, 2.0, 5),
            (10.1, 2.0, 6),
            (61.0, 10.0, 7),
            (3600.0, 500.0, 8),
        ] {
            let (found, count) = axis(longest);
            assert!((found - step).abs() < step * 1e-9, "{longest}: {found}");
            assert_eq!(count, ticks, "{longest}");
        }
        assert_eq!(number(0.4, 0.2), "0.4 s");
        assert_eq!(number(20.0, 20.0), "20 s");
    }
}
