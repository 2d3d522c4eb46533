//! `--show-plan`: the command line of mrsh that a call of pdsh stands for.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::hosts::PdshHostList;
use super::messages::{Ended, PdshCaller, Program};
use super::modules::Rcmd;
use super::options::{CONNECT_TIMEOUT, PdshSettings};
use super::rcmd::default_rcmd;

/// Returns the command line. mrsh runs a command once on a host that is named twice.
///
/// # Errors
/// The way to a host is unknown.
pub(super) fn command_line(
    settings: &PdshSettings,
    hosts: &PdshHostList,
    caller: &PdshCaller,
) -> Result<Vec<u8>, Ended> {
    let mut words: Vec<OsString> = vec!["mrsh".into()];
    let mut option = |name: &str, value: Option<String>| {
        words.push(name.into());
        words.extend(value.map(OsString::from));
    };
    let transport = transport(default_rcmd(settings, caller)?);
    option("-R", Some(transport.to_owned()));
    option("-w", Some(expression(settings, hosts, caller)?));
    // mrsh has the same defaults, so the line names only what differs.
    if settings.fanout != 32 {
        option("-j", Some(fanout(settings, hosts).to_string()));
    }
    if settings.connect_timeout != CONNECT_TIMEOUT && settings.connect_timeout > 0 {
        option("-t", Some(settings.connect_timeout.to_string()));
    }
    if settings.command_timeout > 0 {
        option("-u", Some(settings.command_timeout.to_string()));
    }
    if let Some(user) = &settings.user {
        option("-l", Some(user.clone()));
    }
    for (is_set, name) in [
        (!settings.labels, "-N"),
        (settings.largest, "-S"),
        (settings.fail_fast, "--fail-fast"),
    ] {
        if is_set {
            option(name, None);
        }
    }
    match (caller.program, &*settings.words) {
        (Program::Dsh, command) => {
            if !command.is_empty() {
                option("--", None);
            }
            if transport != "exec" {
                words.extend(settings.path_command.clone().map(OsString::from));
            }
            words.extend_from_slice(command);
        }
        (Program::Pcp | Program::ReversePcp, [files @ .., destination]) => {
            let name = match caller.program {
                Program::ReversePcp => "--fetch",
                Program::Pcp | Program::Dsh => "--copy",
            };
            for file in files {
                words.extend([name.into(), file.clone()]);
            }
            words.extend(["--dest".into(), destination.clone()]);
        }
        (Program::Pcp | Program::ReversePcp, []) => {}
    }
    let mut line = Vec::new();
    for word in &words {
        if !line.is_empty() {
            line.push(b' ');
        }
        // A word with NUL cannot be an argument, so each can be quoted.
        let quoted = shlex::bytes::try_quote(word.as_bytes());
        line.extend_from_slice(&quoted.unwrap_or_default());
    }
    line.push(b'\n');
    Ok(line)
}

/// Returns the maximum number of targets in progress. A number below 1 is no limit in pdsh.
pub(super) fn fanout(settings: &PdshSettings, hosts: &PdshHostList) -> usize {
    usize::try_from(settings.fanout)
        .ok()
        .filter(|&fanout| fanout > 0)
        .unwrap_or(hosts.len())
}

fn transport(rcmd: Rcmd) -> &'static str {
    match rcmd {
        Rcmd::Exec => "exec",
        Rcmd::Rsh => "rsh",
        Rcmd::Ssh => "openssh",
    }
}

/// Returns the hosts as an expression of mrsh.
fn expression(
    settings: &PdshSettings,
    hosts: &PdshHostList,
    caller: &PdshCaller,
) -> Result<String, Ended> {
    let is_plain = hosts
        .names()
        .iter()
        .all(|name| settings.wcoll.rcmd_of(name).is_none());
    if is_plain {
        return Ok(hosts.folded());
    }
    let mut words = Vec::new();
    for name in hosts.names() {
        let own = settings.wcoll.rcmd_of(name);
        let mut word = String::new();
        if let Some(rcmd) = own.and_then(|own| own.rcmd.as_deref()) {
            let rcmd = PdshSettings::rcmd_of_name(rcmd, caller)?;
            word = format!("{}:", transport(rcmd));
        }
        if let Some(user) = own.and_then(|own| own.user.as_deref()) {
            word.push_str(&format!("{user}@"));
        }
        words.push(word + name);
    }
    Ok(words.join(","))
}
