//! The options of nodeset.

use std::ops::Range;

use nodeset::FoldStyle;

use super::NodesetStop;
use super::operands::OperandSet;
use crate::personalities::Call;
use crate::personalities::clustershell::{ClusterShellError, VERSION, ranges};
use crate::personalities::python::optparse::{Autostep, End, Kind, Opt, OptionValue, Parser};
use crate::personalities::python::text;

/// An option of nodeset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NodesetOption {
    Source,
    GroupsFile,
    Count,
    Expand,
    Fold,
    List,
    ListAll,
    Regroup,
    Sources,
    Completion,
    Index,
    Exclude,
    Intersection,
    Xor,
    All,
    Autostep,
    Debug,
    Quiet,
    Ranges,
    GroupBase,
    Separator,
    Format,
    Slice,
    Split,
    Contiguous,
    Axis,
    Pick,
}

const fn opt(
    id: NodesetOption,
    names: &'static [&'static str],
    kind: Kind,
    help: &'static str,
) -> Opt<NodesetOption> {
    Opt {
        id,
        names,
        kind,
        help,
    }
}

const USAGE: &str = "[COMMAND] [OPTIONS] [ns1 [-ixX] ns2|...]";

const GENERAL: &[Opt<NodesetOption>] = &[
    opt(
        NodesetOption::Source,
        &["-s", "--groupsource"],
        Kind::Word("GROUPSOURCE"),
        "default source of groups",
    ),
    opt(
        NodesetOption::GroupsFile,
        &["--groupsconf"],
        Kind::Text("FILE"),
        "configuration of groups, in place of groups.conf",
    ),
];

const COMMANDS: &[Opt<NodesetOption>] = &[
    opt(
        NodesetOption::Count,
        &["-c", "--count"],
        Kind::Flag,
        "print the number of nodes",
    ),
    opt(
        NodesetOption::Expand,
        &["-e", "--expand"],
        Kind::Flag,
        "print every node",
    ),
    opt(
        NodesetOption::Fold,
        &["-f", "--fold"],
        Kind::Flag,
        "print the nodes as one node set",
    ),
    opt(
        NodesetOption::List,
        &["-l", "--list"],
        Kind::Flag,
        "list groups; -ll with their nodes, -lll with their number",
    ),
    opt(
        NodesetOption::ListAll,
        &["-L", "--list-all"],
        Kind::Flag,
        "list the groups of all sources",
    ),
    opt(
        NodesetOption::Regroup,
        &["-r", "--regroup"],
        Kind::Flag,
        "print the nodes as groups",
    ),
    opt(
        NodesetOption::Index,
        &["--index"],
        Kind::Text("NODE"),
        "print the position of a node",
    ),
    opt(
        NodesetOption::Sources,
        &["--list-sources", "--groupsources"],
        Kind::Flag,
        "list the sources of groups",
    ),
    opt(NodesetOption::Completion, &["--completion"], Kind::Flag, ""),
];

const OPERATIONS: &[Opt<NodesetOption>] = &[
    opt(
        NodesetOption::Exclude,
        &["-x", "--exclude"],
        Kind::Text("NODES"),
        "remove these nodes",
    ),
    opt(
        NodesetOption::Intersection,
        &["-i", "--intersection"],
        Kind::Text("NODES"),
        "keep only these nodes",
    ),
    opt(
        NodesetOption::Xor,
        &["-X", "--xor"],
        Kind::Text("NODES"),
        "keep the nodes that are in one of both sets only",
    ),
];

const OTHERS: &[Opt<NodesetOption>] = &[
    opt(
        NodesetOption::All,
        &["-a", "--all"],
        Kind::Flag,
        "add all nodes of the default source",
    ),
    opt(
        NodesetOption::Autostep,
        &["--autostep"],
        Kind::Autostep("N"),
        "fold N nodes at equal distances as a-b/step (a number, a percentage or auto)",
    ),
    opt(
        NodesetOption::Debug,
        &["-d", "--debug"],
        Kind::Flag,
        "accepted, without effect",
    ),
    opt(
        NodesetOption::Quiet,
        &["-q", "--quiet"],
        Kind::Flag,
        "print no warnings",
    ),
    opt(
        NodesetOption::Ranges,
        &["-R", "--rangeset"],
        Kind::Flag,
        "work on numbers, not on nodes",
    ),
    opt(
        NodesetOption::GroupBase,
        &["-G", "--groupbase"],
        Kind::Flag,
        "print groups without their source",
    ),
    opt(
        NodesetOption::Separator,
        &["-S", "--separator"],
        Kind::Text("SEPARATOR"),
        "separator of nodes for -e [default: a space]",
    ),
    opt(
        NodesetOption::Format,
        &["-O", "--output-format"],
        Kind::Text("FORMAT"),
        "format of each node [default: %s]",
    ),
    opt(
        NodesetOption::Slice,
        &["-I", "--slice"],
        Kind::Text("RANGES"),
        "keep the nodes at these positions, counted from 0",
    ),
    opt(
        NodesetOption::Split,
        &["--split"],
        Kind::Integer("N"),
        "print at most N sets of equal size",
    ),
    opt(
        NodesetOption::Contiguous,
        &["--contiguous"],
        Kind::Flag,
        "print a set for each range without gaps",
    ),
    opt(
        NodesetOption::Axis,
        &["--axis"],
        Kind::Text("RANGES"),
        "fold only these of several numbers of a name, counted from 1",
    ),
    opt(
        NodesetOption::Pick,
        &["--pick"],
        Kind::Integer("N"),
        "keep N nodes, chosen at random",
    ),
];

/// The command of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodesetCommand {
    Count,
    Expand,
    Fold,
    /// A list of groups. The number is that of the letters `l`, as in `-ll`.
    List(usize),
    ListAll(usize),
    Regroup,
    Sources,
    Completion,
    Index,
}

/// The command line.
#[derive(Debug)]
pub(super) struct NodesetOptions {
    pub(super) command: NodesetCommand,
    pub(super) source: Option<String>,
    pub(super) groups_file: Option<String>,
    pub(super) intersections: Vec<String>,
    pub(super) differences: Vec<String>,
    pub(super) symmetrics: Vec<String>,
    pub(super) all: bool,
    pub(super) quiet: bool,
    pub(super) ranges: bool,
    pub(super) group_base: bool,
    pub(super) separator: String,
    pub(super) format: String,
    /// Number of sets to print.
    pub(super) parts: usize,
    pub(super) contiguous: bool,
    pub(super) words: Vec<String>,
    autostep: Option<Autostep>,
    index: Option<String>,
    slice: String,
    axis: String,
    pick: i64,
}

impl NodesetOptions {
    /// Reads the command line.
    pub(super) fn parse(call: &Call<'_>) -> Result<NodesetOptions, End> {
        let parser = Parser {
            program: &call.program,
            usage: USAGE,
            version: VERSION,
            groups: &[
                ("Options", GENERAL),
                ("Commands", COMMANDS),
                ("Operations", OPERATIONS),
                ("Other options", OTHERS),
            ],
        };
        let (found, words) = parser.parse(&call.texts())?;
        let mut commands: Vec<NodesetCommand> = Vec::new();
        let mut parts: Option<i64> = None;
        let mut options = NodesetOptions {
            command: NodesetCommand::Count,
            source: None,
            groups_file: None,
            intersections: Vec::new(),
            differences: Vec::new(),
            symmetrics: Vec::new(),
            all: false,
            quiet: false,
            ranges: false,
            group_base: false,
            separator: " ".to_owned(),
            format: "%s".to_owned(),
            parts: 1,
            contiguous: false,
            words,
            autostep: None,
            index: None,
            slice: String::new(),
            axis: String::new(),
            pick: 0,
        };
        let add = |commands: &mut Vec<NodesetCommand>, command: NodesetCommand| {
            // optparse sets a flag, so nodeset counts a repeated command once.
            if !commands.contains(&command) {
                commands.push(command);
            }
        };
        let (mut lists, mut all_lists) = (0, 0);
        for (id, value) in found {
            match (id, value) {
                (NodesetOption::Count, _) => add(&mut commands, NodesetCommand::Count),
                (NodesetOption::Expand, _) => add(&mut commands, NodesetCommand::Expand),
                (NodesetOption::Fold, _) => add(&mut commands, NodesetCommand::Fold),
                (NodesetOption::Regroup, _) => add(&mut commands, NodesetCommand::Regroup),
                (NodesetOption::Sources, _) => add(&mut commands, NodesetCommand::Sources),
                (NodesetOption::Completion, _) => add(&mut commands, NodesetCommand::Completion),
                (NodesetOption::List, _) => lists += 1,
                (NodesetOption::ListAll, _) => all_lists += 1,
                (NodesetOption::Index, value) => {
                    add(&mut commands, NodesetCommand::Index);
                    options.index = Some(value.text());
                }
                (NodesetOption::Source, value) => options.source = Some(value.text()),
                (NodesetOption::GroupsFile, value) => {
                    // As in ClusterShell, an empty name is none.
                    options.groups_file = Some(value.text()).filter(|file| !file.is_empty());
                }
                (NodesetOption::Exclude, value) => options.differences.push(value.text()),
                (NodesetOption::Intersection, value) => options.intersections.push(value.text()),
                (NodesetOption::Xor, value) => options.symmetrics.push(value.text()),
                (NodesetOption::All, _) => options.all = true,
                (NodesetOption::Autostep, OptionValue::Autostep(value)) => {
                    options.autostep = Some(value)
                }
                // nodeset's `-d` prints messages of ClusterShell's library, which is not used here.
                (NodesetOption::Autostep | NodesetOption::Debug, _) => {}
                (NodesetOption::Quiet, _) => options.quiet = true,
                (NodesetOption::Ranges, _) => options.ranges = true,
                (NodesetOption::GroupBase, _) => options.group_base = true,
                (NodesetOption::Separator, value) => options.separator = value.text(),
                (NodesetOption::Format, value) => options.format = value.text(),
                (NodesetOption::Slice, value) => options.slice = value.text(),
                (NodesetOption::Split, OptionValue::Integer(number)) => parts = Some(number),
                (NodesetOption::Pick, OptionValue::Integer(number)) => options.pick = number,
                (NodesetOption::Split | NodesetOption::Pick, _) => {}
                (NodesetOption::Contiguous, _) => options.contiguous = true,
                (NodesetOption::Axis, value) => options.axis = value.text(),
            }
        }
        if lists > 0 {
            commands.push(NodesetCommand::List(lists));
        }
        if all_lists > 0 {
            commands.push(NodesetCommand::ListAll(all_lists));
        }
        options.command = match commands[..] {
            [] => return Err(parser.error("No command specified.")),
            [command] => command,
            _ => return Err(parser.error("Multiple commands not allowed.")),
        };
        if options.ranges && (options.all || options.command == NodesetCommand::Regroup) {
            return Err(parser.error("-a/-r only supported in NodeSet mode"));
        }
        if parts.is_some() && options.contiguous {
            return Err(parser.error("incompatible splitting options (split, contiguous)"));
        }
        // For nodeset, a negative number of sets is no error and means one set.
        options.parts = usize::try_from(parts.unwrap_or(1)).unwrap_or(1);
        if !options.axis.is_empty() && (options.command != NodesetCommand::Fold || options.ranges) {
            return Err(parser.error("--axis option is only supported when folding nodeset"));
        }
        if options.command == NodesetCommand::Index && options.pick != 0 {
            return Err(parser.error("--index cannot be combined with --pick"));
        }
        Ok(options)
    }

    /// True if an operation stands before the words.
    pub(super) fn has_operations(&self) -> bool {
        let all = [&self.intersections, &self.differences, &self.symmetrics];
        all.iter().any(|texts| !texts.is_empty())
    }

    /// True if the command lists groups, so that standard input is not read without `-`.
    pub(super) fn is_listing(&self) -> bool {
        matches!(
            self.command,
            NodesetCommand::List(_) | NodesetCommand::ListAll(_) | NodesetCommand::Completion
        )
    }

    /// The node of `--index`.
    pub(super) fn index(&self) -> Option<&str> {
        self.index.as_deref()
    }

    /// Returns the form in which the set is folded, without `--axis`.
    pub(super) fn style(&self, set: &OperandSet) -> FoldStyle {
        let autostep = self.autostep.map(|autostep| match autostep {
            Autostep::Nodes(nodes) => nodes,
            Autostep::Auto => i64::try_from(set.len()).unwrap_or(i64::MAX).max(3),
            Autostep::Share(share) => (set.len() as f64 * share).ceil() as i64,
        });
        FoldStyle {
            autostep: autostep.filter(|_| !self.ranges || !self.forgets_steps()),
            axes: None,
        }
    }

    /// True if a slice forgets the steps, as in ClusterShell: that of numbers, and that of nodes if they are formatted.
    pub(super) fn forgets_steps(&self) -> bool {
        // Other values of `--autostep` count the nodes after the slice.
        !self.slice.is_empty() && matches!(self.autostep, Some(Autostep::Nodes(_)))
    }

    /// Returns the numbers of a name that fold.
    pub(super) fn axes(&self) -> Result<Option<Vec<i64>>, ClusterShellError> {
        axes(&self.axis)
    }

    /// Returns the part of the set that `-I` names.
    pub(super) fn sliced(&self, set: OperandSet) -> Result<OperandSet, ClusterShellError> {
        if self.slice.is_empty() {
            return Ok(set);
        }
        let len = i64::try_from(set.len()).unwrap_or(i64::MAX);
        // As in Python, a negative position counts from the end.
        let bound = |at: i64| if at < 0 { (len + at).max(0) } else { at };
        let positions = ranges(&self.slice)?.contiguous().into_iter();
        let positions = positions.filter_map(|range| {
            let (first, last) = (range.numbers().next()?, range.numbers().last()?);
            let (start, end) = (bound(first), bound(last + 1));
            Some(Range {
                start: u64::try_from(start).ok()?,
                end: u64::try_from(end).ok()?,
            })
        });
        Ok(set.select(&positions.collect::<Vec<_>>()))
    }

    /// Returns the part of the set that `--pick` chooses.
    pub(super) fn picked(&self, set: OperandSet) -> Result<OperandSet, NodesetStop> {
        let len = set.len();
        if self.pick < 0 {
            // The message of Python's `random.sample()`, which nodeset calls for negative numbers, too.
            let message = "Sample larger than population or is negative".to_owned();
            return Err(ClusterShellError::Fault(message).into());
        }
        let pick = self.pick.unsigned_abs();
        if pick == 0 || pick >= len {
            return Ok(set);
        }
        let mut positions = fastrand::choose_multiple(0..len, pick as usize);
        positions.sort_unstable();
        let positions = positions.into_iter().map(|at| at..at + 1);
        Ok(set.select(&positions.collect::<Vec<_>>()))
    }
}

/// Reads the value of `--axis`: numbers counted from 1, or one that counts from the end.
pub(in crate::personalities) fn axes(text: &str) -> Result<Option<Vec<i64>>, ClusterShellError> {
    if text.is_empty() {
        return Ok(None);
    }
    // nodeset gives such a text to Python's `int()`, so there can be only one negative axis.
    if text.starts_with('-') {
        let invalid = || {
            let text = text::repr(text);
            ClusterShellError::Fault(format!("invalid literal for int() with base 10: {text}"))
        };
        return Ok(Some(vec![text::int(text).ok_or_else(invalid)?]));
    }
    // No name has more numbers than this.
    let axes = ranges(text)?;
    let axes = axes.numbers().filter(|axis| *axis > 0).take(1_000);
    Ok(Some(axes.map(|axis| axis - 1).collect()))
}
