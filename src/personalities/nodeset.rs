//! `nodeset` and `cluset` of ClusterShell: expressions as text, numbers and lists.

use std::io;

use super::clustershell::{Error, Resolver, shown, single};
use super::python::optparse::End;
use super::python::percent::{Format, FormatFault, Value};
use super::python::text;
use super::{Call, Streams};
use crate::exit::ExitStatus;
use crate::targets::groups::Places;
use nodeset::{FoldStyle, Joined, NodeSet};
use operands::{Operands, Set};
use options::{Command, Options};

pub(super) use options::axes;

mod operands;
mod options;

/// The end of the program before its work is done.
pub(super) enum Stop {
    /// The command line asks for a text, or is wrong.
    Options(End),
    Error(Error),
    /// A stream cannot be read or written.
    Io(io::Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Error(error)
    }
}

impl From<FormatFault> for Stop {
    fn from(fault: FormatFault) -> Stop {
        Stop::Error(match fault {
            FormatFault::Value(message) => Error::Fault(message),
            FormatFault::Type(message) => Error::Value(message),
        })
    }
}

impl From<End> for Stop {
    fn from(end: End) -> Stop {
        Stop::Options(end)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Io(error)
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
pub(super) fn finish(stop: Stop, program: &str, streams: &mut Streams<'_>) -> ExitStatus {
    match stop {
        Stop::Options(End::Answer(text)) => match streams.output.write_all(text.as_bytes()) {
            Ok(()) => ExitStatus::SUCCESS,
            Err(error) => ExitStatus::of_filter(Err(&error)),
        },
        Stop::Options(End::Error(text)) => {
            streams.complain(&text);
            ExitStatus::Code(2)
        }
        Stop::Error(error) => {
            streams.complain(&error.message(program));
            ExitStatus::Code(1)
        }
        Stop::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitStatus::of_filter(Err(&error))
        }
        Stop::Io(error) => {
            streams.complain(&format!("ERROR: {error}\n"));
            ExitStatus::Code(1)
        }
    }
}

/// Returns the resolver of the configuration in the usual places, or of one file.
pub(super) fn resolver(call: &Call<'_>, file: Option<&str>) -> Resolver {
    Resolver::new(match file {
        Some(file) => vec![file.into()],
        None => {
            let places = Places::new(|name| (call.variable)(name).map(Into::into));
            places.clustershell_files()
        }
    })
}

fn work(call: &Call<'_>, streams: &mut Streams<'_>) -> Result<(), Stop> {
    let options = Options::parse(call)?;
    let resolver = resolver(call, options.groups_file.as_deref());
    if let Some(source) = &options.source {
        if !options.quiet && options.ranges {
            streams.complain(&format!(
                "WARNING: option group source \"{source}\" ignored\n"
            ));
        }
        resolver.set_default(source)?;
    }
    if options.command == Command::Sources {
        let mut note = if options.quiet { "" } else { " (default)" };
        for name in resolver.source_names()? {
            writeln!(streams.output, "{name}{note}")?;
            note = "";
        }
        return Ok(());
    }
    let set = Operands::new(&options, &resolver).evaluate(streams)?;
    match options.command {
        Command::List(level) | Command::ListAll(level) => {
            return list(&options, &resolver, level, &set, streams);
        }
        Command::Completion => {
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
    options: &Options,
    resolver: &Resolver,
    level: usize,
    set: &Set,
    streams: &mut Streams<'_>,
) -> Result<(), Stop> {
    let all = matches!(options.command, Command::ListAll(_));
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
            Err(Stop::Error(Error::NoUpcall { what, .. })) if all => {
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
    options: &Options,
    resolver: &Resolver,
    source: Option<&str>,
    level: usize,
    set: &Set,
    streams: &mut Streams<'_>,
) -> Result<(), Stop> {
    if !options.all && set.is_empty() && !options.has_operations() {
        return print_names(options, resolver, source, level, streams);
    }
    let Set::Nodes(nodes) = set else {
        let message = "'RangeSet' object has no attribute 'groups'".to_owned();
        return Err(Error::Value(message).into());
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
    options: &Options,
    resolver: &Resolver,
    source: Option<&str>,
    level: usize,
    streams: &mut Streams<'_>,
) -> Result<(), Stop> {
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
    options: &Options,
    resolver: &Resolver,
    set: Set,
    streams: &mut Streams<'_>,
) -> Result<(), Stop> {
    let separator = text::literal(&options.separator)
        .ok_or_else(|| Error::Fault("invalid separator".to_owned()))?;
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
    if options.command == Command::Fold
        && !printer.format.is_plain()
        && let Set::Nodes(nodes) = &set
    {
        set = Set::Nodes(printer.formatted(nodes)?);
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
    options: &'a Options,
    resolver: &'a Resolver,
    separator: String,
    format: Format,
    style: FoldStyle,
}

impl Printer<'_> {
    fn print(&self, set: &Set, streams: &mut Streams<'_>) -> Result<(), Stop> {
        let text = match self.options.command {
            Command::Expand | Command::Completion => return self.print_names(set, streams),
            Command::Fold => set.folded(&self.style),
            Command::Regroup => match set {
                Set::Nodes(nodes) => self.resolver.regroup(
                    nodes,
                    self.options.source.as_deref(),
                    !self.options.group_base,
                    &self.style,
                )?,
                Set::Ranges(_) => String::new(),
            },
            _ => {
                let text = self.format.apply(Value::Number(set.len()));
                writeln!(streams.output, "{}", text?)?;
                return Ok(());
            }
        };
        writeln!(streams.output, "{}", self.apply(&text)?)?;
        Ok(())
    }

    fn print_names(&self, set: &Set, streams: &mut Streams<'_>) -> Result<(), Stop> {
        let mut joined = Joined::new(&mut *streams.output, &self.separator);
        match set {
            Set::Nodes(nodes) if self.format.is_plain() => nodes.write_to(&mut joined)?,
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

    fn print_index(&self, set: &Set, node: &str, streams: &mut Streams<'_>) -> Result<(), Stop> {
        let (name, missing) = match set {
            Set::Nodes(_) => {
                let nodes = self.resolver.set(node)?;
                let mut names = nodes.iter();
                let (Some(name), None) = (names.next(), names.next()) else {
                    let message = "index() argument must be a single node".to_owned();
                    return Err(Error::Fault(message).into());
                };
                (name, format!("{} is not in nodeset", text::repr(node)))
            }
            Set::Ranges(_) => (node.to_owned(), format!("{node} is not in RangeSet")),
        };
        let position = set.names().position(|found| found == name);
        let position = position.ok_or(Error::Fault(missing))?;
        let text = self.format.apply(Value::Number(position as u64));
        writeln!(streams.output, "{}", text?)?;
        Ok(())
    }

    /// Returns the set of the formatted names.
    fn formatted(&self, nodes: &NodeSet) -> Result<NodeSet, Stop> {
        let mut sets = Vec::new();
        for name in nodes {
            sets.push(single(&self.apply(&name)?)?);
        }
        Ok(NodeSet::union_all(sets))
    }

    fn apply(&self, text: &str) -> Result<String, FormatFault> {
        self.format.apply(Value::Text(text))
    }
}
