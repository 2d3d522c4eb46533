//! The options of clubak.

use super::End;
use crate::personalities::Call;
use crate::personalities::clustershell::VERSION;
use crate::personalities::nodeset::{Stop, axes};
use crate::personalities::python::optparse::{Kind, Opt, Parser};

/// An option of clubak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Id {
    Source,
    GroupsFile,
    Quiet,
    Verbose,
    Debug,
    GroupBase,
    LineMode,
    NoLabels,
    Gather,
    Regroup,
    Axis,
    Separator,
    Fast,
    Trace,
    Keys,
    Color,
    Diff,
    /// Options of clush that clubak accepts without effect.
    Folder,
}

const fn opt(id: Id, names: &'static [&'static str], kind: Kind, help: &'static str) -> Opt<Id> {
    Opt {
        id,
        names,
        kind,
        help,
    }
}

const CHOICES: &[&str] = &["", "never", "always", "auto"];

const GENERAL: &[Opt<Id>] = &[
    opt(
        Id::Source,
        &["-s", "--groupsource"],
        Kind::Word("GROUPSOURCE"),
        "source of groups for -r",
    ),
    opt(
        Id::GroupsFile,
        &["--groupsconf"],
        Kind::Text("FILE"),
        "configuration of groups, in place of groups.conf",
    ),
];

const OUTPUT: &[Opt<Id>] = &[
    opt(
        Id::Quiet,
        &["-q", "--quiet"],
        Kind::Flag,
        "print no numbers of nodes",
    ),
    opt(
        Id::Verbose,
        &["-v", "--verbose"],
        Kind::Flag,
        "print every input line",
    ),
    opt(
        Id::Debug,
        &["-d", "--debug"],
        Kind::Flag,
        "print every input line, and facts about the output",
    ),
    opt(
        Id::GroupBase,
        &["-G", "--groupbase"],
        Kind::Flag,
        "print groups without their source",
    ),
    opt(
        Id::LineMode,
        &["-L"],
        Kind::Flag,
        "print the nodes before each line",
    ),
    opt(Id::NoLabels, &["-N"], Kind::Flag, "print no names of nodes"),
    opt(
        Id::Gather,
        &["-b", "-c", "--dshbak"],
        Kind::Flag,
        "print equal texts of nodes once",
    ),
    opt(Id::Gather, &["-B"], Kind::Flag, "the same as -b"),
    opt(
        Id::Regroup,
        &["-r", "--regroup"],
        Kind::Flag,
        "print nodes as groups; gathers as -b",
    ),
    opt(
        Id::Axis,
        &["--axis"],
        Kind::Text("RANGES"),
        "fold only these of several numbers of a name, counted from 1",
    ),
    opt(
        Id::Separator,
        &["-S", "--separator"],
        Kind::Text("SEPARATOR"),
        "text between a node and its line [default: :]",
    ),
    opt(
        Id::Fast,
        &["-F", "--fast"],
        Kind::Flag,
        "compare whole texts, not lines",
    ),
    opt(
        Id::Trace,
        &["-T", "--tree"],
        Kind::Flag,
        "print lines as a tree, each with its nodes",
    ),
    opt(
        Id::Keys,
        &["--interpret-keys"],
        Kind::Choice("WHEN", CHOICES),
        "read nodes as expressions (never, always, auto)",
    ),
    opt(
        Id::Color,
        &["--color"],
        Kind::Choice("WHEN", CHOICES),
        "print colours (never, always, auto)",
    ),
    opt(
        Id::Diff,
        &["--diff"],
        Kind::Flag,
        "print differences of gathered texts",
    ),
    opt(
        Id::Folder,
        &["--outdir"],
        Kind::Text("DIR"),
        "accepted, without effect",
    ),
    opt(
        Id::Folder,
        &["--errdir"],
        Kind::Text("DIR"),
        "accepted, without effect",
    ),
];

/// The way in which the nodes of lines are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// As one name each.
    Literal,
    /// As expressions.
    Expressions,
    /// As expressions until one is none, and as names from then on.
    Auto,
}

/// The value of `--color`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Color {
    Never,
    Always,
    Auto,
}

/// The command line.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) source: Option<String>,
    pub(super) groups_file: Option<String>,
    pub(super) verbose: bool,
    pub(super) debug: bool,
    pub(super) group_base: bool,
    pub(super) line_mode: bool,
    pub(super) labels: bool,
    pub(super) gather: bool,
    pub(super) regroup: bool,
    pub(super) axes: Option<Vec<i64>>,
    pub(super) separator: String,
    pub(super) fast: bool,
    pub(super) trace: bool,
    pub(super) keys: Keys,
    pub(super) color: Option<Color>,
    pub(super) diff: bool,
    quiet: bool,
}

fn parser<'a>(call: &'a Call<'_>) -> Parser<'a, Id> {
    Parser {
        program: &call.program,
        usage: "[options]",
        version: VERSION,
        groups: &[("Options", GENERAL), ("Output", OUTPUT)],
    }
}

impl Options {
    /// Reads the command line. Words after the options have no meaning.
    pub(super) fn parse(call: &Call<'_>) -> Result<Options, Stop> {
        let (found, _) = parser(call).parse(&call.texts())?;
        let mut options = Options {
            source: None,
            groups_file: None,
            verbose: false,
            debug: false,
            group_base: false,
            line_mode: false,
            labels: true,
            gather: false,
            regroup: false,
            axes: None,
            separator: ":".to_owned(),
            fast: false,
            trace: false,
            keys: Keys::Auto,
            color: None,
            diff: false,
            quiet: false,
        };
        for (id, value) in found {
            match id {
                Id::Source => options.source = Some(value.text()),
                Id::GroupsFile => {
                    options.groups_file = Some(value.text()).filter(|file| !file.is_empty());
                }
                Id::Quiet => options.quiet = true,
                Id::Verbose => options.verbose = true,
                Id::Debug => options.debug = true,
                Id::GroupBase => options.group_base = true,
                Id::LineMode => options.line_mode = true,
                Id::NoLabels => options.labels = false,
                Id::Gather => options.gather = true,
                Id::Regroup => options.regroup = true,
                Id::Axis => options.axes = axes(&value.text())?,
                Id::Separator => options.separator = value.text(),
                Id::Fast => options.fast = true,
                Id::Trace => options.trace = true,
                Id::Keys => {
                    options.keys = match value.text().as_str() {
                        "auto" => Keys::Auto,
                        "always" => Keys::Expressions,
                        _ => Keys::Literal,
                    };
                }
                Id::Color => {
                    options.color = Some(match value.text().as_str() {
                        "never" => Color::Never,
                        "always" => Color::Always,
                        _ => Color::Auto,
                    });
                }
                Id::Diff => options.diff = true,
                Id::Folder => {}
            }
        }
        // Differences are those of gathered texts.
        options.gather |= options.diff;
        if options.fast && (options.trace || options.line_mode) {
            return Err(options.error(call, "incompatible tree options").into());
        }
        Ok(options)
    }

    /// Returns the error for a wrong command line.
    pub(super) fn error(&self, call: &Call<'_>, message: &str) -> End {
        parser(call).error(message)
    }

    /// True if numbers of nodes are not printed.
    pub(super) fn is_quiet(&self) -> bool {
        // The later of ClusterShell's levels of output wins.
        self.quiet && !self.verbose && !self.debug
    }
}
