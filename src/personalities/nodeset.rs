//! `nodeset` and `cluset` of ClusterShell: expressions as text, numbers and lists.

use std::io;

use super::clustershell::{ClusterShellError, GroupResolver, shown, single};
use super::python::optparse::End;
use super::python::percent::{Format, FormatFault, FormatValue};
use super::python::text;
use super::{Call, Streams};
use crate::exit::ExitStatus;
use crate::targets::groups::Places;
use nodeset::{FoldStyle, Joined, NodeSet};
use operands::{OperandSet, Operands};
use options::{NodesetCommand, NodesetOptions};

pub(super) use options::axes;

mod operands;
mod options;

/// The end of the program before its work is done.
pub(super) enum NodesetStop {
    /// The command line asks for a text, or is wrong.
    Options(End),
    Error(ClusterShellError),
    /// A stream cannot be read or written.
    Io(io::Error),
}

impl From<ClusterShellError> for NodesetStop {
    fn from(error: ClusterShellError) -> NodesetStop {
        NodesetStop::Error(error)
    }
}

impl From<FormatFault> for NodesetStop {
    fn from(fault: FormatFault) -> NodesetStop {
        NodesetStop::Error(match fault {
            FormatFault::Value(message) => ClusterShellError::Fault(message),
            FormatFault::Type(message) => ClusterShellError::Value(message),
        })
    }
}

impl From<End> for NodesetStop {
    fn from(end: End) -> NodesetStop {
        NodesetStop::Options(end)
    }
}

impl From<io::Error> for NodesetStop {
    fn from(error: io::Error) -> NodesetStop {
        NodesetStop::Io(error)
    }
}

/// Runs the program.
pub(super) fn run(call: &Call<'_>, streams: &mut Streams<'_>) -> ExitStatus {
    match work(call, streams) {
        Ok(()) => ExitStatus::SUCCESS,
        Err(stop) => finish(stop, &call.program, streams),
    }
}

/// Prints the reason of the end and returns its status.
pub(super) fn finish(stop: NodesetStop, program: &str, streams: &mut Streams<'_>) -> ExitStatus {
    match stop {
        NodesetStop::Options(End::Answer(text)) => {
            match streams.output.write_all(text.as_bytes()) {
                Ok(()) => ExitStatus::SUCCESS,
                Err(error) => ExitStatus::of_filter(Err(&error)),
            }
        }
        NodesetStop::Options(End::Error(text)) => {
            streams.complain(&text);
            ExitStatus::Code(2)
        }
        NodesetStop::Error(error) => {
            streams.complain(&error.message(program));
            ExitStatus::Code(1)
        }
        NodesetStop::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitStatus::of_filter(Err(&error))
        }
        NodesetStop::Io(error) => {
            streams.complain(&format!("ERROR: {error}\n"));
            ExitStatus::Code(1)
        }
    }
}

/// Returns the resolver of the configuration in the usual places, or of one file.
pub(super) fn resolver(call: &Call<'_>, file: Option<&str>) -> GroupResolver {
    GroupResolver::new(match file {
        Some(file) => vec![file.into()],
        None => {
            let places = Places::new(|name| (call.variable)(name).map(Into::into));
            places.clustershell_files()
        }
    })
}

fn work(call: &Call<'_>, streams: &mut Streams<'_>) -> Result<(), NodesetStop> {
    let options = NodesetOptions::parse(call)?;
    let resolver = resolver(call, options.groups_file.as_deref());
    if let Some(source) = &options.source {
        if !options.quiet && options.ranges {
            streams.complain(&format!(
                "WARNING: option group source \"{source}\" ignored\n"
            ));
        }
        resolver.set_default(source)?;
    }
    if options.command == NodesetCommand::Sources {
        let mut note = if options.quiet { "" } else { " (default)" };
        for name in resolver.source_names()? {
            writeln!(streams.output, "{name}{note}")?;
            note = "";
        }
        return Ok(());
    }
    let set = Operands::new(&options, &resolver).evaluate(streams)?;
    match options.command {
        NodesetCommand::List(level) | NodesetCommand::ListAll(level) => {
            return list(&options, &resolver, level, &set, streams);
        }
        NodesetCommand::Completion => {
            if options.source.is_none() {
                for name in resolver.source_names()? {
                    writeln!(streams.output, "@{name}:")?;
                }
            }
            let source = options.source.as_deref();
            print_names(&options, &resolver, source, 1, streams)?;
            if set.is_empty() {
                return Ok(());
            }
        }
        _ => {}
    }
    print_set(&options, &resolver, set, streams)
}

/// `-l` and `-L`.
fn list(
    options: &NodesetOptions,
    resolver: &GroupResolver,
    level: usize,
    set: &OperandSet,
    streams: &mut Streams<'_>,
) -> Result<(), NodesetStop> {
    let all = matches!(options.command, NodesetCommand::ListAll(_));
    let mut sources = vec![options.source.clone()];
    if all {
        // The first one is the default source, which is listed without its name.
        sources = resolver.source_names()?.into_iter().map(Some).collect();
        if let Some(default) = sources.first_mut() {
            *default = None;
        }
    }
    for source in sources {
        match list_source(options, resolver, source.as_deref(), level, set, streams) {
            Err(NodesetStop::Error(ClusterShellError::NoUpcall { what, .. })) if all => {
                let source = source.as_deref().unwrap_or("None");
                streams.complain(&format!(
                    "Warning: No {what} upcall defined for group source {source}\n"
                ));
            }
            listed => listed?,
        }
    }
    Ok(())
}

/// Lists the groups of a source: those of some nodes, or all.
fn list_source(
    options: &NodesetOptions,
    resolver: &GroupResolver,
    source: Option<&str>,
    level: usize,
    set: &OperandSet,
    streams: &mut Streams<'_>,
) -> Result<(), NodesetStop> {
    if !options.all && set.is_empty() && !options.has_operations() {
        return print_names(options, resolver, source, level, streams);
    }
    let OperandSet::Nodes(nodes) = set else {
        let message = "'RangeSet' object has no attribute 'groups'".to_owned();
        return Err(ClusterShellError::Value(message).into());
    };
    let style = options.style(set);
    let prefix = source.filter(|_| !options.group_base);
    let groups = resolver.groups_of(nodes, source)?.into_iter();
    for (name, group) in groups {
        let name = shown(prefix, &name);
        match level {
            1 => writeln!(streams.output, "{name}")?,
            2 => writeln!(streams.output, "{name} {}", group.inside.folded(&style))?,
            _ => {
                let (inside, all) = (group.inside.len(), group.all.len());
                let text = group.inside.folded(&style);
                writeln!(streams.output, "{name} {text} {inside}/{all}")?;
            }
        }
    }
    Ok(())
}

/// Prints the groups of a source.
fn print_names(
    options: &NodesetOptions,
    resolver: &GroupResolver,
    source: Option<&str>,
    level: usize,
    streams: &mut Streams<'_>,
) -> Result<(), NodesetStop> {
    for name in resolver.group_names(source)? {
        let name = shown(source.filter(|_| !options.group_base), &name);
        if level == 1 {
            writeln!(streams.output, "{name}")?;
            continue;
        }
        let nodes = resolver.set(&name)?;
        if level == 2 {
            writeln!(streams.output, "{name} {nodes}")?;
        } else {
            writeln!(streams.output, "{name} {nodes} {}", nodes.len())?;
        }
    }
    Ok(())
}

/// Prints the set in the form of the command.
fn print_set(
    options: &NodesetOptions,
    resolver: &GroupResolver,
    set: OperandSet,
    streams: &mut Streams<'_>,
) -> Result<(), NodesetStop> {
    let separator = text::literal(&options.separator)
        .ok_or_else(|| ClusterShellError::Fault("invalid separator".to_owned()))?;
    let set = options.sliced(set)?;
    let mut printer = Printer {
        options,
        resolver,
        separator,
        format: Format::new(&options.format),
        style: options.style(&set),
    };
    printer.style.axes = options.axes()?;
    let mut set = options.picked(set)?;
    if let Some(node) = options.index() {
        return printer.print_index(&set, node, streams);
    }
    if options.command == NodesetCommand::Fold
        && !printer.format.is_plain()
        && let OperandSet::Nodes(nodes) = &set
    {
        set = OperandSet::Nodes(printer.formatted(nodes)?);
        printer.format = Format::new("%s");
        printer.style.axes = None;
        if options.forgets_steps() {
            printer.style.autostep = None;
        }
    }
    if set.is_empty() || options.parts <= 1 && !options.contiguous {
        return printer.print(&set, streams);
    }
    // As in ClusterShell, the parts of a set forget the axes.
    printer.style.axes = None;
    let parts = if options.contiguous {
        set.contiguous()
    } else {
        set.split(options.parts)
    };
    for part in parts {
        printer.print(&part, streams)?;
    }
    Ok(())
}

/// The form in which sets are printed.
struct Printer<'a> {
    options: &'a NodesetOptions,
    resolver: &'a GroupResolver,
    separator: String,
    format: Format,
    style: FoldStyle,
}

impl Printer<'_> {
    fn print(&self, set: &OperandSet, streams: &mut Streams<'_>) -> Result<(), NodesetStop> {
        let text = match self.options.command {
            NodesetCommand::Expand | NodesetCommand::Completion => {
                return self.print_names(set, streams);
            }
            NodesetCommand::Fold => set.folded(&self.style),
            NodesetCommand::Regroup => match set {
                OperandSet::Nodes(nodes) => self.resolver.regroup(
                    nodes,
                    self.options.source.as_deref(),
                    !self.options.group_base,
                    &self.style,
                )?,
                OperandSet::Ranges(_) => String::new(),
            },
            _ => {
                let text = self.format.apply(FormatValue::Number(set.len()));
                writeln!(streams.output, "{}", text?)?;
                return Ok(());
            }
        };
        writeln!(streams.output, "{}", self.apply(&text)?)?;
        Ok(())
    }

    fn print_names(&self, set: &OperandSet, streams: &mut Streams<'_>) -> Result<(), NodesetStop> {
        let mut joined = Joined::new(&mut *streams.output, &self.separator);
        match set {
            OperandSet::Nodes(nodes) if self.format.is_plain() => nodes.write_to(&mut joined)?,
            _ => {
                for name in set.names() {
                    joined.push(&self.apply(&name)?)?;
                }
            }
        }
        joined.end_line();
        joined.finish()?;
        Ok(())
    }

    fn print_index(
        &self,
        set: &OperandSet,
        node: &str,
        streams: &mut Streams<'_>,
    ) -> Result<(), NodesetStop> {
        let (name, missing) = match set {
            OperandSet::Nodes(_) => {
                let nodes = self.resolver.set(node)?;
                let mut names = nodes.iter();
                let (Some(name), None) = (names.next(), names.next()) else {
                    let message = "index() argument must be a single node".to_owned();
                    return Err(ClusterShellError::Fault(message).into());
                };
                (name, format!("{} is not in nodeset", text::repr(node)))
            }
            OperandSet::Ranges(_) => (node.to_owned(), format!("{node} is not in RangeSet")),
        };
        let position = set.names().position(|found| found == name);
        let position = position.ok_or(ClusterShellError::Fault(missing))?;
        let text = self.format.apply(FormatValue::Number(position as u64));
        writeln!(streams.output, "{}", text?)?;
        Ok(())
    }

    /// Returns the set of the formatted names.
    fn formatted(&self, nodes: &NodeSet) -> Result<NodeSet, NodesetStop> {
        let mut sets = Vec::new();
        for name in nodes {
            sets.push(single(&self.apply(&name)?)?);
        }
        Ok(NodeSet::union_all(sets))
    }

    fn apply(&self, text: &str) -> Result<String, FormatFault> {
        self.format.apply(FormatValue::Text(text))
    }
}
