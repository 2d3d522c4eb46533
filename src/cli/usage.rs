//! Errors of the command line, in the form of all errors, with help for options of similar programs.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::help::help_line;

/// Text below the options in `--help`.
pub(super) const AFTER_HELP: &str = "\
Exit status:
  0  the command succeeded on every host
  1  it failed on some host
  2  wrong usage or set-up; nothing was run. Or the journal is not writable
  3  some host could not be reached, timed out or was lost
  4  stopped early, by --deadline, by an answer or after failures, or a report
     could not be written
A run that a signal ends dies of that signal. See -S for the remote commands' own statuses.

A TIME is in seconds, or has units: 500ms, 30s, 2m, 1h30m. A SIZE is in bytes, or has a unit: 500K, 16M, 1.5G.

--no-NAME switches off what a file or an alias switches on, as in --no-gather; --label FORMAT switches off --no-label.

Examples:
  mrsh -w 'node[1-40]' uptime
  mrsh -j 64 -f hosts -x node7 'df -h / | tail -n 1'
  mrsh -b -w 'node[1-40]' 'uname -r'
  pdsh -w 'node[1-40]' uname -r | mrsh --gather-stdin
  mrsh --demo -w 'node[1-9]' 'echo $MRSH_HOST'";

/// Options of pdsh, clush, pssh and Ansible that mrsh lacks or has under another name, with what to write instead.
pub(super) const FOREIGN: [(&[&str], &str); 33] = [
    (
        &[
            "--fanout",
            "--forks",
            "--par",
            "--parallel",
            "--max-procs",
            "--threads",
            "--concurrency",
            "--connections",
        ],
        "the fan-out is -j N",
    ),
    (
        &["--hostfile", "--host-file", "--machinefile"],
        "the option for a hosts file is -f FILE",
    ),
    (
        &["--inventory", "--inventory-file"],
        "an inventory is -f FILE",
    ),
    (
        &["--host", "--hostlist", "--nodes", "-H"],
        "hosts are named with -w EXPR",
    ),
    (
        &["--limit"],
        "choose hosts with -w EXPR or -g GROUP, leave some out with -x EXPR",
    ),
    (
        &["--groupsource"],
        "the source of groups is --group-source NAME",
    ),
    (
        &["-G", "--groupbase"],
        "it is not needed: -r names the source of a group only where several sources have that group",
    ),
    (
        &["-A"],
        "pdsh: all hosts are -a; pssh: a password is asked for with --password",
    ),
    (
        &["--extra-vars"],
        "variables of COMMAND are --env NAME=VALUE",
    ),
    (&["-X"], "a group is left out with -x @GROUP"),
    (
        &["--timeout"],
        "-t TIME limits the connection, -u TIME the command",
    ),
    (
        &["--connect_timeout"],
        "it is -t TIME, or --connect-timeout TIME",
    ),
    (
        &["--command_timeout"],
        "it is -u TIME, or --command-timeout TIME",
    ),
    (&["--private-key", "--key"], "a key is --identity FILE"),
    (&["--ask-pass", "--askpass"], "it is --password"),
    (&["--remote-user", "--login"], "the remote user is -l NAME"),
    (&["--rcmd", "--worker"], "the transport is -R NAME"),
    (&["--outdir"], "it is -o DIR, or --output-dir DIR"),
    (&["--errdir"], "it is -e DIR, or --error-dir DIR"),
    (
        &["--option", "--options", "-O"],
        "a setting for ssh is --ssh-option KEY=VALUE",
    ),
    (&["--ask-become-pass", "-K"], "it is --sudo-password"),
    (&["--become-user"], "name the user with --sudo"),
    (&["--become-method"], "it is --become PROGRAM"),
    (
        &["-m", "--module-name"],
        "clush: there are no modes, sudo is --sudo; Ansible: there are no modules, COMMAND \
         is a line of shell, and --script FILE runs a script",
    ),
    (
        &["-c", "--rcopy"],
        "copy files with --copy PATH --dest PATH, fetch one with -o DIR 'cat FILE'",
    ),
    (
        &["-C"],
        "Ansible: -n prints what a run would do; pdsh: Slurm is not asked, name hosts with -w EXPR or -g GROUP",
    ),
    (
        &["-Q"],
        "--expand prints the targets; -n prints what a run would do",
    ),
    (
        &["-d", "--debug"],
        "-v prints more about the run, --stats prints where the time went",
    ),
    (&["-k"], "it is --fail-fast"),
    (&["--maxrc"], "it is -S, or --worst-status"),
    (&["--nostdin"], "standard input is sent only with -i"),
    (
        &["--inline", "--line_mode", "--line-mode"],
        "output comes line by line by itself; -L keeps the lines of a host together",
    ),
    (
        &["-s"],
        "standard error is apart by itself; the source of groups is --group-source NAME",
    ),
];

/// Returns the message for an error of the parser, with its help.
pub(crate) fn message(error: &clap::Error) -> String {
    let text = error.render().to_string();
    // clap separates the message, its tips and the usage by empty lines.
    let mut blocks = text.split("\n\n");
    let first = blocks.next().unwrap_or_default().trim_end();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let (message, more) = first.split_once('\n').unwrap_or((first, ""));
    let mut help: Vec<String> = Vec::new();
    for line in more.lines().map(str::trim) {
        // clap writes possible values in brackets.
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
            // The first tip is the nearest option. The others are about words that only look like options.
            help.extend(tips.take(1).map(str::to_owned));
        }
    }
    if help.is_empty() {
        help.push("mrsh --help lists the options".to_owned());
    }
    message.to_owned() + &help.iter().map(help_line).collect::<String>()
}

/// Returns the help for a value that a short option took from its own word and that could be other short options,
/// such as `an` of `-fan`.
pub(crate) fn grouped(args: &[OsString], option: char, value: &str) -> Option<String> {
    let command = crate::config::command();
    let is_option = |letter: char| {
        // clap adds -h and -V only when it reads the command line.
        "hV".contains(letter)
            || command
                .get_arguments()
                .any(|arg| arg.get_short() == Some(letter))
    };
    // A value that was a word of its own was not taken out of an option's word.
    if !value.chars().all(is_option) || args.iter().any(|word| word == value) {
        return None;
    }
    let end = format!("{option}{value}");
    let words = args.iter().skip(1).filter_map(|word| word.to_str());
    words.take_while(|word| *word != "--").find_map(|word| {
        let before = word.strip_prefix('-')?.strip_suffix(&end)?;
        before.chars().all(is_option).then(|| {
            format!(
                "'{word}' means '-{before}{option} {value}': of short options in one word, the one with a value \
                 comes last"
            )
        })
    })
}

/// Returns what to write instead of an option of another program.
fn foreign(error: &clap::Error) -> Option<&'static str> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let found = FOREIGN
        .iter()
        .find(|(names, _)| names.contains(&name.as_str()));
    found.map(|(_, help)| *help)
}
