//! Outputs of the hosts, equal ones once: up to a limit in full, and as differences from the most common one.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, capture_diff_slices_deadline, group_diff_ops};

use super::super::color::{Colors, Palette};
use super::super::gather::{GatherView, OutputGroup, TextCursor, span};
use super::escape::{EscapedText, GroupedDigits, HostCount};
use super::page::Page;

/// Maximum length of one text in the page.
const MOST_OF_A_TEXT: u64 = 256 * 1024;

/// Maximum length of all texts together.
const MOST_OF_ALL: u64 = 16 * 1024 * 1024;

/// Maximum number of groups with a block.
const MOST_BLOCKS: usize = 300;

/// Maximum number of groups in the table of short outputs.
const MOST_ROWS: usize = 10_000;

/// Maximum length of an output of one line that becomes a row of the table.
const SHORT: u64 = 200;

/// Maximum length of texts that are compared.
const COMPARED: u64 = 1024 * 1024;

/// Lines of context around a difference.
const CONTEXT: usize = 3;

/// Maximum time of one comparison, and of all comparisons.
const PATIENCE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// Remaining limits of the whole section.
#[derive(Debug)]
struct PageBudget {
    bytes: u64,
    until: Instant,
}

impl Page<'_> {
    /// Writes all outputs.
    pub(super) fn outputs(&self, to: &mut dyn Write) -> io::Result<()> {
        // The colours of the page are in style.css.
        let palette = Palette::new(Colors::default());
        let view = GatherView {
            collected: self.collected,
            labels: &self.info.targets,
            label: true,
            format: None,
            palette: &palette,
            only_odd: false,
        };
        let groups = view.groups(0..self.collected.len());
        let silent = groups
            .iter()
            .filter(|group| is_silent(group))
            .flat_map(|group| &group.hosts);
        let silent: Vec<usize> = silent.copied().collect();
        let mut short = Vec::new();
        let mut long = Vec::new();
        let mut usual = None;
        for group in groups.iter().filter(|group| !is_silent(group)) {
            // The groups are sorted by size. Hosts without output do not count as the most common ones.
            usual = usual.or(Some(group));
            match self.one_line(group)? {
                Some(line) => short.push((group, line)),
                None => long.push(group),
            }
        }
        if short.is_empty() && long.is_empty() {
            writeln!(to, "<p>No host wrote anything.</p>")?;
            return Ok(());
        }
        self.table(&short, to)?;
        let mut budget = PageBudget {
            bytes: MOST_OF_ALL,
            until: Instant::now() + PATIENCE[1],
        };
        let (shown, others) = long.split_at(long.len().min(MOST_BLOCKS));
        for (at, group) in shown.iter().enumerate() {
            let usual = usual.filter(|usual| !std::ptr::eq(*usual, *group));
            self.block(group, usual, at < 3, &mut budget, to)?;
        }
        if !others.is_empty() {
            let hosts = others.iter().map(|group| group.hosts.len()).sum();
            writeln!(
                to,
                "<p class=\"note\">{} more outputs, of {}, are left out; use <code>-o DIR</code> or <code>--json</code> to have \
                 them all.</p>",
                GroupedDigits::of(others.len()),
                HostCount(hosts)
            )?;
        }
        if !silent.is_empty() {
            writeln!(
                to,
                "<p class=\"note\">{} ran the command and wrote nothing: {}</p>",
                HostCount(silent.len()),
                self.names_of(&silent)
            )?;
        }
        Ok(())
    }

    /// Returns the output of a group if it is a single line.
    fn one_line(&self, group: &OutputGroup) -> io::Result<Option<Vec<u8>>> {
        let only_out = group.errors.iter().all(|(text, _)| text.is_empty());
        if !only_out || group.text.is_empty() || group.text.length() > SHORT {
            return Ok(None);
        }
        let mut text = Vec::new();
        self.collected
            .reader(group.text, 0)
            .read_to_end(&mut text)?;
        let line = text.strip_suffix(b"\n").unwrap_or(&text);
        Ok((!line.contains(&b'\n')).then(|| line.to_vec()))
    }

    fn table(&self, groups: &[(&OutputGroup, Vec<u8>)], to: &mut dyn Write) -> io::Result<()> {
        if groups.is_empty() {
            return Ok(());
        }
        writeln!(
            to,
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"short\"><table>\n\
             <caption id=\"short\">Outputs of one line, the most common first</caption>\n<thead><tr><th scope=\"col\" \
             class=\"num\">Hosts</th><th scope=\"col\">Output</th><th scope=\"col\">End</th><th scope=\"col\">Which</th></tr></thead>\n\
             <tbody>"
        )?;
        for (group, line) in groups.iter().take(MOST_ROWS) {
            writeln!(
                to,
                "<tr><td class=\"num\">{}</td><td><code>{}</code></td><td>{}</td><td class=\"which\">{}</td></tr>",
                GroupedDigits::of(group.hosts.len()),
                EscapedText(line),
                self.end_of(group),
                self.names_of(&group.hosts)
            )?;
        }
        writeln!(to, "</tbody></table></div>")?;
        if let Some(left @ 1..) = groups.len().checked_sub(MOST_ROWS) {
            writeln!(
                to,
                "<p class=\"note\">{} more are left out; use <code>-o DIR</code> or <code>--json</code>.</p>",
                GroupedDigits::of(left)
            )?;
        }
        Ok(())
    }

    /// Writes the output of a group, and its differences from the most common one.
    fn block(
        &self,
        group: &OutputGroup,
        usual: Option<&OutputGroup>,
        open: bool,
        budget: &mut PageBudget,
        to: &mut dyn Write,
    ) -> io::Result<()> {
        let open = if open { " open" } else { "" };
        let (title, names) = self.title_of(&group.hosts);
        writeln!(
            to,
            "<details class=\"output\"{open}><summary><h3>{title}</h3> <span class=\"count\">{}</span>{}{}</summary>{names}",
            HostCount(group.hosts.len()),
            match usual {
                None => " <span class=\"count\">most common</span>",
                Some(_) => "",
            },
            self.end_of(group),
        )?;
        let differences = match usual {
            Some(usual) if usual.text == group.text => {
                writeln!(
                    to,
                    "<p class=\"note\">The same standard output as the most common one.</p>"
                )?;
                return self
                    .errors(group, budget, to)
                    .and_then(|()| writeln!(to, "</details>"));
            }
            Some(usual) => self.differences(usual.text, group.text, budget)?,
            None => None,
        };
        match differences {
            // A part of a diff would look like all differences, so it is shown whole or not at all.
            Some(differences) if budget.bytes > differences.len() as u64 => {
                budget.bytes -= differences.len() as u64;
                writeln!(
                    to,
                    "<h4>What differs from the most common output</h4>\n<pre class=\"diff\" tabindex=\"0\">{differences}</pre>"
                )?;
                writeln!(to, "<details><summary>The whole output</summary>")?;
                self.text(group.text, "", budget, to)?;
                writeln!(to, "</details>")?;
            }
            _ => self.text(group.text, "", budget, to)?,
        }
        self.errors(group, budget, to)?;
        writeln!(to, "</details>")
    }

    fn errors(
        &self,
        group: &OutputGroup,
        budget: &mut PageBudget,
        to: &mut dyn Write,
    ) -> io::Result<()> {
        for (text, hosts) in group.errors.iter().filter(|(text, _)| !text.is_empty()) {
            write!(to, "<h4>Standard error")?;
            if hosts.len() < group.hosts.len() {
                write!(
                    to,
                    " of {}: {}",
                    HostCount(hosts.len()),
                    self.names_of(hosts)
                )?;
            }
            writeln!(to, "</h4>")?;
            self.text(*text, " class=\"stderr\"", budget, to)?;
        }
        Ok(())
    }

    /// Writes a text, up to the remaining limit.
    fn text(
        &self,
        text: TextCursor,
        attributes: &str,
        budget: &mut PageBudget,
        to: &mut dyn Write,
    ) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let length = text.length();
        let most = length.min(MOST_OF_A_TEXT).min(budget.bytes);
        let mut shown = Vec::new();
        self.collected
            .reader(text, 0)
            .take(most)
            .read_to_end(&mut shown)?;
        if (shown.len() as u64) < length {
            // Cut after a line, or at least between characters.
            let whole = memchr::memrchr(b'\n', &shown).map_or(0, |at| at + 1);
            let whole = if whole > 0 {
                whole
            } else {
                shown.len() - super::super::terminal::partial_character(&shown)
            };
            shown.truncate(whole);
        }
        budget.bytes -= shown.len() as u64;
        // HTML drops a newline directly after `<pre>`.
        writeln!(
            to,
            "<pre tabindex=\"0\"{attributes}>\n{}</pre>",
            EscapedText(&shown)
        )?;
        match length - shown.len() as u64 {
            0 => Ok(()),
            left => writeln!(
                to,
                "<p class=\"note\">{} bytes left out; use <code>-o DIR</code> to have them all.</p>",
                GroupedDigits(left)
            ),
        }
    }

    /// Returns a unified diff as markup; `None` if the texts are too long or too different.
    fn differences(
        &self,
        old: TextCursor,
        new: TextCursor,
        budget: &PageBudget,
    ) -> io::Result<Option<String>> {
        // Many long outputs could take hours to compare.
        let now = Instant::now();
        // A diff against an empty text would only repeat the other one.
        if old.is_empty()
            || new.is_empty()
            || old.length().max(new.length()) > COMPARED
            || now > budget.until
        {
            return Ok(None);
        }
        let mut texts = [Vec::new(), Vec::new()];
        for (cursor, text) in [old, new].into_iter().zip(&mut texts) {
            self.collected.reader(cursor, 0).read_to_end(text)?;
        }
        let [old, new] = texts.each_ref().map(|text| {
            text.split_inclusive(|byte| *byte == b'\n')
                .collect::<Vec<_>>()
        });
        // Past the deadline, `similar` returns a correct but longer diff.
        let deadline = (now + PATIENCE[0]).min(budget.until);
        let changes = capture_diff_slices_deadline(Algorithm::Myers, &old, &new, Some(deadline));
        let equal = |change: &DiffOp| match change {
            DiffOp::Equal { len, .. } => *len,
            DiffOp::Delete { .. } | DiffOp::Insert { .. } | DiffOp::Replace { .. } => 0,
        };
        // A diff of texts with little in common is harder to read than the text.
        if changes.iter().map(equal).sum::<usize>() * 4 < old.len().min(new.len()) {
            return Ok(None);
        }
        let mut shown = String::new();
        for hunk in group_diff_ops(changes, CONTEXT) {
            let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else {
                continue;
            };
            let (before, behind) = (first.old_range(), last.old_range());
            let old_span = span(before.start, behind.end - before.start);
            let (before, behind) = (first.new_range(), last.new_range());
            let new_span = span(before.start, behind.end - before.start);
            shown.push_str(&format!(
                "<span class=\"place\">@@ -{old_span} +{new_span} @@</span>\n"
            ));
            for change in &hunk {
                let (removed, added) = (&old[change.old_range()], &new[change.new_range()]);
                match change {
                    DiffOp::Equal { .. } => removed
                        .iter()
                        .for_each(|line| shown.push_str(&format!(" {}", EscapedText(line)))),
                    DiffOp::Delete { .. } | DiffOp::Insert { .. } | DiffOp::Replace { .. } => {
                        for (mark, name, lines) in [('-', "del", removed), ('+', "ins", added)] {
                            for line in lines {
                                let line = line.strip_suffix(b"\n").unwrap_or(line);
                                shown.push_str(&format!(
                                    "<{name}>{mark}{}</{name}>\n",
                                    EscapedText(line)
                                ));
                            }
                        }
                    }
                }
                if shown.len() as u64 > MOST_OF_A_TEXT {
                    // The text itself is shown instead, up to its own limit.
                    return Ok(None);
                }
            }
        }
        Ok(Some(shown))
    }

    fn end_of(&self, group: &OutputGroup) -> String {
        match self.collected.words(group.end) {
            "" => String::new(),
            words => format!(
                " <span class=\"end\">{}</span>",
                EscapedText(words.as_bytes())
            ),
        }
    }
}

fn is_silent(group: &OutputGroup) -> bool {
    group.text.is_empty() && group.errors.iter().all(|(text, _)| text.is_empty())
}
