//! What the hosts wrote, equal outputs once: in full where that is bounded, and as differences from
//! the most common one.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, capture_diff_slices_deadline, group_diff_ops};

use super::super::color::{Colors, Palette};
use super::super::gather::{Cursor, Group, View, span};
use super::escape::{Count, Hosts, Text};
use super::page::Page;

/// How much of one text is shown.
const MOST_OF_A_TEXT: u64 = 256 * 1024;

/// How much of all texts together is shown.
const MOST_OF_ALL: u64 = 16 * 1024 * 1024;

/// How many groups have a block of their own.
const MOST_BLOCKS: usize = 300;

/// How many groups have a row in the table of short outputs.
const MOST_ROWS: usize = 10_000;

/// An output of one line of no more than this is a row of a table.
const SHORT: u64 = 200;

/// Longer texts are not compared.
const COMPARED: u64 = 1024 * 1024;

/// Lines around a difference that are shown with it.
const CONTEXT: usize = 3;

/// How long one comparison may take, and all of them.
const PATIENCE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// What is left of the bounds on the whole section.
#[derive(Debug)]
struct Room {
    bytes: u64,
    until: Instant,
}

impl Page<'_> {
    /// All outputs.
    pub(super) fn outputs(&self, to: &mut dyn Write) -> io::Result<()> {
        let palette = Palette::new(Colors::default());
        let view = View {
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
        let mut room = Room {
            bytes: MOST_OF_ALL,
            until: Instant::now() + PATIENCE[1],
        };
        let (shown, others) = long.split_at(long.len().min(MOST_BLOCKS));
        for (at, group) in shown.iter().enumerate() {
            let usual = usual.filter(|usual| !std::ptr::eq(*usual, *group));
            self.block(group, usual, at < 3, &mut room, to)?;
        }
        if !others.is_empty() {
            let hosts = others.iter().map(|group| group.hosts.len()).sum();
            writeln!(
                to,
                "<p class=\"note\">{} more outputs, of {}, are left out; use <code>-o DIR</code> or <code>--json</code> to have \
                 them all.</p>",
                Count::of(others.len()),
                Hosts(hosts)
            )?;
        }
        if !silent.is_empty() {
            writeln!(
                to,
                "<p class=\"note\">{} ran the command and wrote nothing: {}</p>",
                Hosts(silent.len()),
                self.names_of(&silent)
            )?;
        }
        Ok(())
    }

    /// The line, if that is all that a group wrote.
    fn one_line(&self, group: &Group) -> io::Result<Option<Vec<u8>>> {
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

    fn table(&self, groups: &[(&Group, Vec<u8>)], to: &mut dyn Write) -> io::Result<()> {
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
                Count::of(group.hosts.len()),
                Text(line),
                self.end_of(group),
                self.names_of(&group.hosts)
            )?;
        }
        writeln!(to, "</tbody></table></div>")?;
        if let Some(left @ 1..) = groups.len().checked_sub(MOST_ROWS) {
            writeln!(
                to,
                "<p class=\"note\">{} more are left out; use <code>-o DIR</code> or <code>--json</code>.</p>",
                Count::of(left)
            )?;
        }
        Ok(())
    }

    /// A group's output, and what differs in it from the most common one, unless it is that.
    fn block(
        &self,
        group: &Group,
        usual: Option<&Group>,
        open: bool,
        room: &mut Room,
        to: &mut dyn Write,
    ) -> io::Result<()> {
        let open = if open { " open" } else { "" };
        let (title, names) = self.title_of(&group.hosts);
        writeln!(
            to,
            "<details class=\"output\"{open}><summary><h3>{title}</h3> <span class=\"count\">{}</span>{}{}</summary>{names}",
            Hosts(group.hosts.len()),
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
                    .errors(group, room, to)
                    .and_then(|()| writeln!(to, "</details>"));
            }
            Some(usual) => self.differences(usual.text, group.text, room)?,
            None => None,
        };
        match differences {
            Some(differences) if room.bytes > differences.len() as u64 => {
                room.bytes -= differences.len() as u64;
                writeln!(
                    to,
                    "<h4>What differs from the most common output</h4>\n<pre class=\"diff\" tabindex=\"0\">{differences}</pre>"
                )?;
                writeln!(to, "<details><summary>The whole output</summary>")?;
                self.text(group.text, "", room, to)?;
                writeln!(to, "</details>")?;
            }
            _ => self.text(group.text, "", room, to)?,
        }
        self.errors(group, room, to)?;
        writeln!(to, "</details>")
    }

    fn errors(&self, group: &Group, room: &mut Room, to: &mut dyn Write) -> io::Result<()> {
        for (text, hosts) in group.errors.iter().filter(|(text, _)| !text.is_empty()) {
            write!(to, "<h4>Standard error")?;
            if hosts.len() < group.hosts.len() {
                write!(to, " of {}: {}", Hosts(hosts.len()), self.names_of(hosts))?;
            }
            writeln!(to, "</h4>")?;
            self.text(*text, " class=\"stderr\"", room, to)?;
        }
        Ok(())
    }

    /// A text, as much of it as there is room for.
    fn text(
        &self,
        text: Cursor,
        attributes: &str,
        room: &mut Room,
        to: &mut dyn Write,
    ) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let length = text.length();
        let most = length.min(MOST_OF_A_TEXT).min(room.bytes);
        let mut shown = Vec::new();
        self.collected
            .reader(text, 0)
            .take(most)
            .read_to_end(&mut shown)?;
        if (shown.len() as u64) < length {
            // Whole lines, or at least whole characters.
            let whole = memchr::memrchr(b'\n', &shown).map_or(0, |at| at + 1);
            let whole = if whole > 0 {
                whole
            } else {
                shown.len() - super::super::terminal::partial_character(&shown)
            };
            shown.truncate(whole);
        }
        room.bytes -= shown.len() as u64;
        // A first newline would be swallowed with the tag.
        writeln!(
            to,
            "<pre tabindex=\"0\"{attributes}>\n{}</pre>",
            Text(&shown)
        )?;
        match length - shown.len() as u64 {
            0 => Ok(()),
            left => writeln!(
                to,
                "<p class=\"note\">{} bytes left out; use <code>-o DIR</code> to have them all.</p>",
                Count(left)
            ),
        }
    }

    /// A unified diff as markup; none if the texts are too long, or have too little in common.
    fn differences(&self, old: Cursor, new: Cursor, room: &Room) -> io::Result<Option<String>> {
        let now = Instant::now();
        if old.is_empty()
            || new.is_empty()
            || old.length().max(new.length()) > COMPARED
            || now > room.until
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
        let deadline = (now + PATIENCE[0]).min(room.until);
        let changes = capture_diff_slices_deadline(Algorithm::Myers, &old, &new, Some(deadline));
        let equal = |change: &DiffOp| match change {
            DiffOp::Equal { len, .. } => *len,
            DiffOp::Delete { .. } | DiffOp::Insert { .. } | DiffOp::Replace { .. } => 0,
        };
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
                        .for_each(|line| shown.push_str(&format!(" {}", Text(line)))),
                    DiffOp::Delete { .. } | DiffOp::Insert { .. } | DiffOp::Replace { .. } => {
                        for (mark, name, lines) in [('-', "del", removed), ('+', "ins", added)] {
                            for line in lines {
                                let line = line.strip_suffix(b"\n").unwrap_or(line);
                                shown.push_str(&format!("<{name}>{mark}{}</{name}>\n", Text(line)));
                            }
                        }
                    }
                }
                if shown.len() as u64 > MOST_OF_A_TEXT {
                    return Ok(None);
                }
            }
        }
        Ok(Some(shown))
    }

    fn end_of(&self, group: &Group) -> String {
        match self.collected.words(group.end) {
            "" => String::new(),
            words => format!(" <span class=\"end\">{}</span>", Text(words.as_bytes())),
        }
    }
}

fn is_silent(group: &Group) -> bool {
    group.text.is_empty() && group.errors.iter().all(|(text, _)| text.is_empty())
}
