//! The part of the plan about environment variables of the command: those of mrsh, of `--env`, of hosts files and of
//! inventories.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::script::ScriptPlan;
use crate::cli::Cli;
use crate::error::Error;
use crate::event::Notice;
use crate::output::RunInfo;
use crate::targets::{
    Diagnostic, InventoryValue, NameFault, Origin, Pattern, Placeholder, RunVariable, Target,
    TargetVariables, TransportKind, Variable, fold,
};

/// The option, for errors.
const OPTION: &str = "--env";

/// The variables of a run.
#[derive(Debug, Default)]
pub(super) struct VariablesPlan {
    /// Variables of each target; `None` if no target has any.
    pub(super) variables: Option<TargetVariables>,
    /// Warnings about variables that no command gets.
    pub(super) notices: Vec<Notice>,
}

/// Decides the variables of each target. Those of `--env` come before those of hosts files, and these before those of
/// inventories.
///
/// # Errors
/// A value of `--env` is wrong, or the command is sent without the wrapper that sets variables.
pub(super) fn decide(
    cli: &Cli,
    info: &RunInfo,
    script: Option<&ScriptPlan>,
) -> Result<VariablesPlan, Error> {
    let given = given(&cli.env.env)?;
    let asked = if let Some(script) = script {
        // Any language may read them, so the name alone counts.
        let is_named = |variable: &RunVariable| {
            memchr::memmem::find(&script.head, variable.name().as_bytes()).is_some()
        };
        let mut all = RunVariable::ALL.to_vec();
        all.retain(|variable| !given.is_empty() || is_named(variable));
        all
    } else if given.is_empty() {
        // Each variable makes the command longer, and rsh-redone takes 1,023 bytes.
        RunVariable::named_in(&info.command)
    } else {
        // A script may read them, which the text of the command does not show.
        RunVariable::ALL.to_vec()
    };
    // A local process has an environment without a shell.
    let is_raw = |target: &Target| {
        cli.raw && (info.demo || target.transport_or(info.transport) != TransportKind::Exec)
    };
    if info.targets.iter().any(is_raw) {
        let first = asked.first().map(|variable| variable.name());
        match (given.first(), first) {
            (Some((name, _)), _) => {
                return Err(Error::RawVariable {
                    what: "--env",
                    name: name.to_string(),
                });
            }
            (None, Some(name)) => {
                return Err(Error::RawVariable {
                    what: "named in COMMAND",
                    name: format!("${name}"),
                });
            }
            (None, None) => {}
        }
    }
    let mut notices = Vec::new();
    let raw = info.targets.iter().filter(|target| {
        is_raw(target) && (target.variables.is_some() || !inventory_values(cli, target).is_empty())
    });
    let raw: Vec<&str> = raw.map(|target| &*target.label).collect();
    if !raw.is_empty() {
        // Not an error, as hosts files and inventories also serve runs without --raw.
        notices.push(warning(format!(
            "variables of hosts files and inventories are not used with --raw: {}",
            fold(raw)
        )));
    }
    notices.extend(unusable(cli, info));
    let has_own =
        |target: &Target| target.variables.is_some() || !inventory_values(cli, target).is_empty();
    let is_needed = !given.is_empty() || !asked.is_empty() || info.targets.iter().any(has_own);
    if !is_needed {
        return Ok(VariablesPlan {
            variables: None,
            notices,
        });
    }
    let mut builder = Builder {
        cli,
        info,
        asked: asked
            .into_iter()
            .map(|variable| (variable, variable.name().into()))
            .collect(),
        given,
        values: HashSet::new(),
    };
    let targets = info.targets.iter().enumerate();
    let variables = targets.map(|(index, target)| {
        if is_raw(target) {
            Box::default()
        } else {
            builder.of_target(index, target)
        }
    });
    Ok(VariablesPlan {
        variables: Some(variables.collect()),
        notices,
    })
}

fn warning(text: String) -> Notice {
    Notice {
        verbose: false,
        text,
    }
}

/// Reads the values of `--env`. The last of two values of one name counts.
fn given(values: &[OsString]) -> Result<Vec<(Arc<str>, Pattern)>, Error> {
    let mut given: Vec<(Arc<str>, Pattern)> = Vec::new();
    for text in values {
        let (name, pattern) = parse(text).map_err(Error::Placeholder)?;
        // As with env(1), a later assignment replaces an earlier one.
        match given.iter_mut().find(|(known, _)| **known == *name) {
            Some((_, known)) => *known = pattern,
            None => given.push((name.into(), pattern)),
        }
    }
    Ok(given)
}

/// Parses NAME=VALUE.
fn parse(text: &OsStr) -> Result<(&str, Pattern), Box<Diagnostic>> {
    let bytes = text.as_bytes();
    let shown = text.to_string_lossy();
    let fault = |length: usize, message: String, help: &str| {
        let origin = Origin::named(OPTION);
        let help = Some(help.to_owned());
        Box::new(Diagnostic::new(&origin, &shown, 0..length, message, help))
    };
    // No name contains `=` (POSIX, 8.1), so the first one is the end of the name.
    let Some(end) = memchr::memchr(b'=', bytes) else {
        let help = "write --env NAME=VALUE";
        return Err(fault(
            shown.len(),
            "a variable without a value".to_owned(),
            help,
        ));
    };
    let length = String::from_utf8_lossy(&bytes[..end]).len();
    let refused = |reason: NameFault| fault(length, reason.to_string(), reason.help());
    let name = str::from_utf8(&bytes[..end]).map_err(|_| refused(NameFault::Characters))?;
    Variable::check_name(name).map_err(refused)?;
    Ok((name, Pattern::parse_after(end + 1, bytes, OPTION)?))
}

/// Returns the variables that an inventory has for a target, if commands get them.
fn inventory_values<'a>(cli: &Cli, target: &'a Target) -> &'a [(Arc<str>, InventoryValue)] {
    match &target.inventory {
        Some(inventory) if cli.env.inventory_env => &inventory.env,
        _ => &[],
    }
}

/// Returns a warning that names the variables of inventories that have no value for a command.
fn unusable(cli: &Cli, info: &RunInfo) -> Option<Notice> {
    if cli.env.inventory_env && info.targets.iter().all(|target| target.inventory.is_none()) {
        let text = "--inventory-env has no effect: no target is of an Ansible inventory";
        return Some(warning(text.to_owned()));
    }
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for target in &*info.targets {
        for (name, value) in inventory_values(cli, target) {
            if let InventoryValue::Unusable(reason) = value {
                *counts.entry((name, reason)).or_default() += 1;
            }
        }
    }
    let words = counts.iter().map(|((name, reason), count)| {
        // Other people may have written the inventory, and the name goes to the terminal.
        let name = name.escape_debug();
        match count {
            1 => format!("{name} ({reason}; 1 host)"),
            count => format!("{name} ({reason}; {count} hosts)"),
        }
    });
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| {
        warning(format!(
            "in the inventory and not exported: {}",
            words.join(", ")
        ))
    })
}

/// Makes the variables of one target after the other.
struct Builder<'a> {
    cli: &'a Cli,
    info: &'a RunInfo,
    /// Variables of mrsh that the commands get.
    asked: Vec<(RunVariable, Arc<str>)>,
    /// Variables of `--env`.
    given: Vec<(Arc<str>, Pattern)>,
    /// Values that many targets have in common, kept once.
    values: HashSet<Arc<[u8]>>,
}

impl Builder<'_> {
    fn of_target(&mut self, index: usize, target: &Target) -> Box<[Variable]> {
        let mut variables: Vec<Variable> = Vec::new();
        for at in 0..self.asked.len() {
            let (variable, name) = &self.asked[at];
            let (name, value) = (Arc::clone(name), self.value(*variable, index, target));
            variables.extend(Variable::with_name(name, value));
        }
        for at in 0..self.given.len() {
            let (name, pattern) = &self.given[at];
            let value = pattern.fill(|field| self.info.field(field, index));
            let name = Arc::clone(name);
            variables.extend(Variable::with_name(name, self.shared(value)));
        }
        for variable in target.variables.iter().flat_map(|own| &**own) {
            if !has(&variables, variable.name()) {
                variables.push(variable.clone());
            }
        }
        for (name, value) in inventory_values(self.cli, target) {
            if let InventoryValue::Text(value) = value
                && !has(&variables, name)
            {
                variables.extend(Variable::with_name(Arc::clone(name), Arc::clone(value)));
            }
        }
        variables.into()
    }

    fn value(&mut self, variable: RunVariable, index: usize, target: &Target) -> Arc<[u8]> {
        let info = self.info;
        match variable {
            RunVariable::Label => Arc::clone(&target.label).into(),
            RunVariable::Host => match info.endpoint(index, target).host {
                // The text of the target is shared.
                host if *host == *target.host => Arc::clone(&target.host).into(),
                host => host.as_bytes().into(),
            },
            RunVariable::User => self.shared(info.field(Placeholder::User, index).into()),
            RunVariable::Rank => info.field(Placeholder::Number, index).into_bytes().into(),
            RunVariable::Count => self.shared(info.run_total.to_string().into()),
            RunVariable::RunId => self.shared(info.run_id.as_bytes().to_vec()),
        }
    }

    fn shared(&mut self, value: Vec<u8>) -> Arc<[u8]> {
        if let Some(known) = self.values.get(value.as_slice()) {
            return Arc::clone(known);
        }
        let new: Arc<[u8]> = value.into();
        self.values.insert(Arc::clone(&new));
        new
    }
}

fn has(variables: &[Variable], name: &str) -> bool {
    variables.iter().any(|variable| variable.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        given(&[text.into()]).unwrap_err().to_string()
    }

    #[test]
    fn the_last_of_two_values_counts() {
        let given = given(&["A=1".into(), "B==%l=".into(), "A=".into()]).unwrap();
        let values: Vec<(&str, Vec<u8>)> = given
            .iter()
            .map(|(name, pattern)| (&**name, pattern.fill(|_| "x")))
            .collect();
        assert_eq!(values, [("A", b"".to_vec()), ("B", b"=x=".to_vec())]);
    }

    #[test]
    fn wrong_variables_are_shown_with_the_fault() {
        insta::assert_snapshot!(refused("NODE"), @r"
        a variable without a value
         --> --env, column 1
          |
          | NODE
          | ^^^^
          = help: write --env NAME=VALUE
        ");
        insta::assert_snapshot!(refused("1A=x"), @r"
        not the name of a shell variable
         --> --env, column 1
          |
          | 1A=x
          | ^^
          = help: a name has letters, digits and underscores, and no digit at the start
        ");
        insta::assert_snapshot!(refused("=x"), @r"
        not the name of a shell variable
         --> --env, column 1
          |
          | =x
          | ^
          = help: a name has letters, digits and underscores, and no digit at the start
        ");
        insta::assert_snapshot!(refused("MRSH_HOST=x"), @r"
        a name that mrsh keeps for itself
         --> --env, column 1
          |
          | MRSH_HOST=x
          | ^^^^^^^^^
          = help: take a name that does not begin with MRSH_
        ");
        insta::assert_snapshot!(refused("RACK=%r"), @r"
        unknown placeholder
         --> --env, column 6
          |
          | RACK=%r
          |      ^^
          = help: %h is the host, %l the label, %u the user, %p the port, %n the number, %% a percent sign
        ");
    }
}
