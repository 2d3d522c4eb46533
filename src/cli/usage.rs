//! Errors of the command line in this program's own form, with help for options of similar programs.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Options of pdsh, clush, pssh and Ansible that this program calls otherwise, with what to write instead.
pub(super) const FOREIGN: [(&str, &str); 42] = [
    ("--fanout", "the fan-out is -j N"),
    ("--forks", "the fan-out is -j N"),
    ("--par", "the fan-out is -j N"),
    ("--parallel", "the fan-out is -j N"),
    ("--max-procs", "the fan-out is -j N"),
    ("--threads", "the fan-out is -j N"),
    ("--concurrency", "the fan-out is -j N"),
    ("--connections", "the fan-out is -j N"),
    ("--hostfile", "a file of hosts is -f FILE"),
    ("--host-file", "a file of hosts is -f FILE"),
    ("--hostlist", "hosts are named with -w EXPR"),
    ("--machinefile", "a file of hosts is -f FILE"),
    ("--inventory", "an inventory is -f FILE"),
    ("--inventory-file", "an inventory is -f FILE"),
    ("--host", "hosts are named with -w EXPR"),
    ("--nodes", "hosts are named with -w EXPR"),
    (
        "--limit",
        "choose hosts with -w EXPR or -g GROUP, leave some out with -x EXPR",
    ),
    (
        "--groupsource",
        "the source of groups is --group-source NAME",
    ),
    (
        "--timeout",
        "-t TIME limits the connection, -u TIME the command",
    ),
    (
        "--connect_timeout",
        "it is -t TIME, or --connect-timeout TIME",
    ),
    (
        "--command_timeout",
        "it is -u TIME, or --command-timeout TIME",
    ),
    ("--private-key", "a key is --identity FILE"),
    ("--key", "a key is --identity FILE"),
    ("--ask-pass", "it is --password"),
    ("--askpass", "it is --password"),
    ("--remote-user", "the remote user is -l NAME"),
    ("--login", "the remote user is -l NAME"),
    ("--rcmd", "the transport is -R NAME"),
    ("--worker", "the transport is -R NAME"),
    ("--outdir", "it is -o DIR, or --output-dir DIR"),
    ("--errdir", "it is -e DIR, or --error-dir DIR"),
    ("--option", "a setting for ssh is --ssh-option KEY=VALUE"),
    ("--options", "a setting for ssh is --ssh-option KEY=VALUE"),
    ("--become", "write sudo at the start of COMMAND"),
    ("--sudo", "write sudo at the start of COMMAND"),
    ("--check", "what would be done is told by -n"),
    ("--nostdin", "standard input is sent only with -i"),
    (
        "--inline",
        "output comes line by line by itself; -L keeps the lines of a host together",
    ),
    ("-X", "a group is left out with -x @GROUP"),
    ("-k", "it is --fail-fast"),
    ("-O", "a setting for ssh is --ssh-option KEY=VALUE"),
    (
        "-s",
        "standard error is apart by itself; the source of groups is --group-source NAME",
    ),
];

/// The message of an error of the command line's parser, with help below it.
pub(crate) fn message(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let mut blocks = text.split("\n\n");
    let first = blocks.next().unwrap_or_default().trim_end();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let (message, more) = first.split_once('\n').unwrap_or((first, ""));
    let mut help: Vec<String> = Vec::new();
    for line in more.lines().map(str::trim) {
        let values = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'));
        help.push(values.unwrap_or(line).to_owned());
    }
    match foreign(error) {
        Some(text) => help.push(text.to_owned()),
        None => {
            let tips = blocks.flat_map(str::lines).map(str::trim);
            let tips = tips.filter_map(|line| line.strip_prefix("tip: "));
            // The first is the nearest option; the others are about words that only look like options.
            help.extend(tips.take(1).map(str::to_owned));
        }
    }
    if help.is_empty() {
        help.push("mrsh --help lists the options".to_owned());
    }
    let help = help.iter().map(|text| format!("\n  = help: {text}"));
    message.to_owned() + &help.collect::<String>()
}

/// What to write instead of an option that another program has.
fn foreign(error: &clap::Error) -> Option<&'static str> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let found = FOREIGN.iter().find(|(foreign, _)| foreign == name);
    found.map(|(_, help)| *help)
}
