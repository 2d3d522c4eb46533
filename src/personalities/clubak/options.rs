//! The options of clubak.

use super::End;
use crate::personalities::Call;
use crate::personalities::clustershell::VERSION;
use crate::personalities::nodeset::{NodesetStop, axes};
use crate::personalities::python::optparse::{Kind, Opt, Parser};

/// An option of clubak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClubakOption {
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

const fn opt(
    id: ClubakOption,
    names: &'static [&'static str],
    kind: Kind,
    help: &'static str,
) -> Opt<ClubakOption> {
    Opt {
        id,
        names,
        kind,
        help,
    }
}

const CHOICES: &[&str] = &["", "never", "always", "auto"];

const GENERAL: &[Opt<ClubakOption>] = &[
    opt(
        ClubakOption::Source,
        &["-s", "--groupsource"],
        Kind::Word("GROUPSOURCE"),
        "source of groups for -r",
    ),
    opt(
        ClubakOption::GroupsFile,
        &["--groupsconf"],
        Kind::Text("FILE"),
        "configuration of groups, in place of groups.conf",
    ),
];

const OUTPUT: &[Opt<ClubakOption>] = &[
    opt(
        ClubakOption::Quiet,
        &["-q", "--quiet"],
        Kind::Flag,
        "print no numbers of nodes",
    ),
    opt(
        ClubakOption::Verbose,
        &["-v", "--verbose"],
        Kind::Flag,
        "print every input line",
    ),
    opt(
        ClubakOption::Debug,
        &["-d", "--debug"],
        Kind::Flag,
        "print every input line, and facts about the output",
    ),
    opt(
        ClubakOption::GroupBase,
        &["-G", "--groupbase"],
        Kind::Flag,
        "print groups without their source",
    ),
    opt(
        ClubakOption::LineMode,
        &["-L"],
        Kind::Flag,
        "print the nodes before each line",
    ),
    opt(
        ClubakOption::NoLabels,
        &["-N"],
        Kind::Flag,
        "print no names of nodes",
    ),
    opt(
        ClubakOption::Gather,
        &["-b", "-c", "--dshbak"],
        Kind::Flag,
        "print equal texts of nodes once",
    ),
    opt(ClubakOption::Gather, &["-B"], Kind::Flag, "the same as -b"),
    opt(
        ClubakOption::Regroup,
        &["-r", "--regroup"],
        Kind::Flag,
        "print nodes as groups; gathers as -b",
    ),
    opt(
        ClubakOption::Axis,
        &["--axis"],
        Kind::Text("RANGES"),
        "fold only these of several numbers of a name, counted from 1",
    ),
    opt(
        ClubakOption::Separator,
        &["-S", "--separator"],
        Kind::Text("SEPARATOR"),
        "text between a node and its line [default: :]",
    ),
    opt(
        ClubakOption::Fast,
        &["-F", "--fast"],
        Kind::Flag,
        "compare whole texts, not lines",
    ),
    opt(
        ClubakOption::Trace,
        &["-T", "--tree"],
        Kind::Flag,
        "print lines as a tree, each with its nodes",
    ),
    opt(
        ClubakOption::Keys,
        &["--interpret-keys"],
        Kind::Choice("WHEN", CHOICES),
        "read nodes as expressions (never, always, auto)",
    ),
    opt(
        ClubakOption::Color,
        &["--color"],
        Kind::Choice("WHEN", CHOICES),
        "print colours (never, always, auto)",
    ),
    opt(
        ClubakOption::Diff,
        &["--diff"],
        Kind::Flag,
        "print differences of gathered texts",
    ),
    opt(
        ClubakOption::Folder,
        &["--outdir"],
        Kind::Text("DIR"),
        "accepted, without effect",
    ),
    opt(
        ClubakOption::Folder,
        &["--errdir"],
        Kind::Text("DIR"),
        "accepted, without effect",
    ),
];

/// The way in which the nodes of lines are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyReading {
    /// Each text is one name.
    Literal,
    /// Each text is an expression.
    Expressions,
    /// Texts are expressions up to the first that is none. From that one on they are names.
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
pub(super) struct ClubakOptions {
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
    pub(super) keys: KeyReading,
    pub(super) color: Option<Color>,
    pub(super) diff: bool,
    quiet: bool,
}

fn parser<'a>(call: &'a Call<'_>) -> Parser<'a, ClubakOption> {
    Parser {
        program: &call.program,
        usage: "[options]",
        version: VERSION,
        groups: &[("Options", GENERAL), ("Output", OUTPUT)],
    }
}

impl ClubakOptions {
    /// Reads the command line. Words after the options have no meaning.
    pub(super) fn parse(call: &Call<'_>) -> Result<ClubakOptions, NodesetStop> {
        let (found, _) = parser(call).parse(&call.texts())?;
        let mut options = ClubakOptions {
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
            keys: KeyReading::Auto,
            color: None,
            diff: false,
            quiet: false,
        };
        for (id, value) in found {
            match id {
                ClubakOption::Source => options.source = Some(value.text()),
                ClubakOption::GroupsFile => {
                    options.groups_file = Some(value.text()).filter(|file| !file.is_empty());
                }
                ClubakOption::Quiet => options.quiet = true,
                ClubakOption::Verbose => options.verbose = true,
                ClubakOption::Debug => options.debug = true,
                ClubakOption::GroupBase => options.group_base = true,
                ClubakOption::LineMode => options.line_mode = true,
                ClubakOption::NoLabels => options.labels = false,
                ClubakOption::Gather => options.gather = true,
                ClubakOption::Regroup => options.regroup = true,
                ClubakOption::Axis => options.axes = axes(&value.text())?,
                ClubakOption::Separator => options.separator = value.text(),
                ClubakOption::Fast => options.fast = true,
                ClubakOption::Trace => options.trace = true,
                ClubakOption::Keys => {
                    options.keys = match value.text().as_str() {
                        "auto" => KeyReading::Auto,
                        "always" => KeyReading::Expressions,
                        _ => KeyReading::Literal,
                    };
                }
                ClubakOption::Color => {
                    options.color = Some(match value.text().as_str() {
                        "never" => Color::Never,
                        "always" => Color::Always,
                        _ => Color::Auto,
                    });
                }
                ClubakOption::Diff => options.diff = true,
                ClubakOption::Folder => {}
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
