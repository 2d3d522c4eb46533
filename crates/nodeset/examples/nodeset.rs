//! Expands, folds, counts and divides node sets, as ClusterShell's command `nodeset` does.
//!
//!     cargo run --example nodeset -- fold node1 node2 node3
//!     cargo run --example nodeset -- expand 'node[1-9/2]!node5'
//!     cargo run --example nodeset -- count 'rack[1-20]node[01-48]'
//!     cargo run --example nodeset -- split 3 'node[1-100]'
//!     cargo run --example nodeset -- fold @rack1,login       with the groups below

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example shows what it does"
)]

use std::process::ExitCode;

use nodeset::{Definition, GroupError, GroupSource, NoLookup, NodeSet, Resolver};

/// Groups of this example. A program would read them from files or ask a scheduler.
const GROUPS: [(&str, &str); 3] = [
    ("rack1", "node[1-40]"),
    ("rack2", "node[41-80]"),
    ("compute", "@rack1,@rack2"),
];

struct Groups;

impl GroupSource for Groups {
    fn lookup(&self, _: Option<&str>, group: &str) -> Result<Definition, GroupError> {
        match GROUPS.iter().find(|(name, _)| *name == group) {
            Some((_, text)) => Ok(Definition::Text {
                text: (*text).to_owned(),
                source: None,
                place: None,
            }),
            None => Err(GroupError::UnknownGroup {
                name: group.to_owned(),
                known: self.list(None)?,
            }),
        }
    }

    fn all(&self, _: Option<&str>) -> Result<Option<Definition>, GroupError> {
        Ok(None)
    }

    fn list(&self, _: Option<&str>) -> Result<Vec<String>, GroupError> {
        Ok(GROUPS.map(|(name, _)| name.to_owned()).into())
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (parts, words) = match args[..] {
        ["fold" | "expand" | "count", ref words @ ..] if !words.is_empty() => (1, words),
        ["split", parts, ref words @ ..] if !words.is_empty() => match parts.parse() {
            Ok(parts) => (parts, words),
            Err(_) => return usage(),
        },
        _ => return usage(),
    };
    let set = match read(&words.join(" ")) {
        Ok(set) => set,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::FAILURE;
        }
    };
    match args[0] {
        "expand" => set.for_each(|name| println!("{name}")),
        "count" => println!("{}", set.len()),
        _ => set.split(parts).iter().for_each(|part| println!("{part}")),
    }
    ExitCode::SUCCESS
}

/// Reads an expression. The error shows the place of the fault.
fn read(text: &str) -> Result<NodeSet, String> {
    // The limit stops mistakes such as node[1-1000000000].
    let resolver = Resolver::new(1_000_000, &Groups, &NoLookup);
    match resolver.hosts(text) {
        Ok(list) => Ok(list.to_set()),
        Err(error) => {
            // The span counts bytes; the caret needs characters.
            let column = text[..error.span.start].chars().count();
            let width = text[error.span.clone()].chars().count().max(1);
            let help = error.fault.help().unwrap_or_default();
            Err(format!(
                "{error}\n  {text}\n  {:column$}{:^<width$} {help}",
                "", ""
            ))
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: nodeset fold|expand|count NODES…, or nodeset split PARTS NODES…");
    ExitCode::from(2)
}
