//! The manual of `docs/manual.md` as a manual page: Markdown to man(7).
//!
//! The manual uses headings, paragraphs, bullets, code blocks and tables, and nothing else.

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// Values in a column "default" that say nothing.
const NO_DEFAULT: [&str; 4] = ["none", "off", "all", "no limit"];

/// Appends the sections of a Markdown text, without the text before the first one.
pub(super) fn append(markdown: &str, roff: &mut Roff) {
    let start = markdown.find("\n## ").unwrap_or(0);
    let parser = Parser::new_ext(&markdown[start..], Options::ENABLE_TABLES);
    let mut page = ManualPage {
        roff,
        text: Vec::new(),
        style: Style::Roman,
        rows: Vec::new(),
        is_in_list: false,
    };
    for event in parser {
        page.take(event);
    }
}

#[derive(Clone, Copy)]
enum Style {
    Roman,
    Bold,
    Italic,
}

/// The page so far, and the block that is being read.
struct ManualPage<'a> {
    roff: &'a mut Roff,
    /// Text of the block.
    text: Vec<Inline>,
    style: Style,
    /// Cells of the table by rows, the header first.
    rows: Vec<Vec<Vec<Inline>>>,
    is_in_list: bool,
}

impl ManualPage<'_> {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => self.push(&text),
            Event::Code(text) => self.text.push(bold(text.as_ref())),
            Event::SoftBreak | Event::HardBreak => self.push(" "),
            _ => {}
        }
    }

    fn push(&mut self, text: &str) {
        self.text.push(match self.style {
            Style::Roman => roman(text),
            Style::Bold => bold(text),
            Style::Italic => italic(text),
        });
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Strong => self.style = Style::Bold,
            Tag::Emphasis => self.style = Style::Italic,
            Tag::Heading { .. } | Tag::TableCell => self.text.clear(),
            Tag::Paragraph if !self.is_in_list => {
                self.roff.control("PP", []);
            }
            Tag::Item => {
                self.is_in_list = true;
                self.roff.control("IP", ["•", "2"]);
            }
            Tag::CodeBlock(CodeBlockKind::Indented | CodeBlockKind::Fenced(_)) => self.text.clear(),
            Tag::Table(_) => self.rows.clear(),
            Tag::TableHead | Tag::TableRow => self.rows.push(Vec::new()),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Strong | TagEnd::Emphasis => self.style = Style::Roman,
            TagEnd::Heading(level) => {
                let title = plain(&std::mem::take(&mut self.text));
                match level as usize {
                    1 => {}
                    2 => {
                        self.roff.control("SH", [title.to_uppercase().as_str()]);
                    }
                    _ => {
                        self.roff.control("SS", [title.as_str()]);
                    }
                }
            }
            TagEnd::Paragraph => self.flush(),
            TagEnd::Item => {
                self.flush();
                self.is_in_list = false;
            }
            TagEnd::CodeBlock => {
                let code = plain(&std::mem::take(&mut self.text));
                self.roff.control("PP", []).control("RS", ["4"]);
                self.roff.control("nf", []);
                for line in code.lines() {
                    self.roff.text([roman(line)]);
                }
                self.roff.control("fi", []).control("RE", []);
            }
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.text);
                if let Some(row) = self.rows.last_mut() {
                    row.push(cell);
                }
            }
            TagEnd::Table => self.table(),
            _ => {}
        }
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.roff.text(std::mem::take(&mut self.text));
        }
    }

    /// Writes a table as a list: the first cell is the term, the last one its text, and the others stand in brackets.
    fn table(&mut self) {
        let mut rows = std::mem::take(&mut self.rows).into_iter();
        let header: Vec<String> = rows
            .next()
            .unwrap_or_default()
            .iter()
            .map(|cell| plain(cell))
            .collect();
        for row in rows {
            let mut cells = row.into_iter();
            let mut term = cells.next().unwrap_or_default();
            let mut cells: Vec<_> = cells.collect();
            let meaning = cells.pop().unwrap_or_default();
            for (name, cell) in header.iter().skip(1).zip(cells) {
                let value = plain(&cell);
                if name != "default" || !NO_DEFAULT.contains(&value.as_str()) {
                    term.push(roman(format!(" [{name}: {value}]")));
                }
            }
            self.roff.control("TP", []).text(term).text(meaning);
        }
    }
}

/// The text without its fonts.
fn plain(text: &[Inline]) -> String {
    text.iter()
        .map(|inline| match inline {
            Inline::Roman(text) | Inline::Italic(text) | Inline::Bold(text) => text.as_str(),
            Inline::LineBreak => " ",
        })
        .collect()
}
