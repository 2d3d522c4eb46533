//! The part of the plan about targets, from options, files, groups and standard input.

use std::collections::BTreeMap;
use std::env;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::down;
use crate::cli::Cli;
use crate::error::Error;
use crate::output::LeftOutTarget;
use crate::targets::fold;
use crate::targets::groups::{Groups, OwnGroup, Places};
use crate::targets::inventory::Inventory;
use crate::targets::{
    Limits, Origin, Selection, Target, TargetError, TargetListBuilder, TransportKind,
};
use nodeset::NodeSet;

const STANDARD_INPUT: &str = "standard input";

/// Returns the groups of this machine, of the configuration and of the inventories given with `-f`.
pub(super) fn groups(own: BTreeMap<String, OwnGroup>, cli: &Cli) -> Result<Groups, Error> {
    let variable = |name: &str| {
        env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let mut groups = Groups::new(Places::new(variable), own);
    // Standard input can be read only once, and it is read for the targets.
    for file in cli
        .hosts_files
        .iter()
        .filter(|path| !is_standard_input(path))
    {
        groups.add_inventory(file, limits(cli))?;
    }
    if let Some(name) = &cli.group_source {
        groups.set_default(name)?;
    }
    Ok(groups)
}

/// Returns the targets of the command line, and those that are left out as down. `words` are further expressions, in
/// the listing modes. There, standard input is read if nothing names targets.
pub(super) fn select(
    cli: &Cli,
    groups: &Groups,
    words: Option<&[String]>,
) -> Result<(Selection, Vec<LeftOutTarget>), Error> {
    let mut list = TargetListBuilder::with_groups(limits(cli), groups).warn_to(groups.warnings());
    let named = read(cli, groups, words.unwrap_or_default(), &mut list)?;
    // At a terminal nobody expects a listing to wait for input.
    if !named && words.is_some() && !io::stdin().is_terminal() {
        list.add_reader(STANDARD_INPUT, io::stdin().lock())?;
    }
    for text in &cli.exclude {
        list.exclude_expr(text, Origin::named("-x"))?;
    }
    let mut list = list.select()?;
    let mut left_out = Vec::new();
    // Before --pick and --slice, which choose among the hosts that can be reached.
    if cli.caution.skip_down {
        (list, left_out) = down::leave_out(&cli.caution, list, groups.warnings())?;
        // A listing may be empty.
        if list.is_empty() && words.is_none() {
            return Err(Error::AllDown {
                targets: down::by_state(&left_out),
            });
        }
    }
    if cli.sort {
        list = list.sorted();
    }
    if let Some(positions) = &cli.slice {
        list = list.slice(positions, &Origin::named("--slice"))?;
    }
    if let Some(count) = cli.pick {
        let mut seed = [0; 8];
        crate::random::fill(&mut seed).map_err(Error::system("get random bytes"))?;
        list = list.pick(
            count.get(),
            &mut fastrand::Rng::with_seed(u64::from_ne_bytes(seed)),
        );
    }
    Ok((list, left_out))
}

/// Returns the limits on expressions and files.
pub(super) fn limits(cli: &Cli) -> Limits {
    Limits {
        max_targets: cli.max_targets.get(),
        inventory_env: cli.env.inventory_env,
    }
}

fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

/// Reads everything that names targets. Returns false if nothing does.
fn read(
    cli: &Cli,
    groups: &Groups,
    words: &[String],
    list: &mut TargetListBuilder,
) -> Result<bool, TargetError> {
    let hosts = cli.hosts.iter().map(|text| (text, "-w"));
    for (text, origin) in hosts.chain(words.iter().map(|text| (text, "argument"))) {
        match text.as_str() {
            "-" => list.add_reader(STANDARD_INPUT, io::stdin().lock())?,
            text => list.add_expr(text, Origin::named(origin))?,
        }
    }
    let inventories = groups.inventories();
    // Names of a large list are costly, and only the notice for inventories needs them.
    let expressed = match inventories {
        [] => NodeSet::default(),
        _ => list.names(),
    };
    let is_inventory = |path: &&PathBuf| inventories.iter().any(|(file, _)| file == *path);
    for file in cli.hosts_files.iter().filter(|path| !is_inventory(path)) {
        if is_standard_input(file) {
            list.add_reader(STANDARD_INPUT, io::stdin().lock())?;
        } else {
            list.add_hosts_file(file)?;
        }
    }
    for name in &cli.groups_named {
        list.add_group(name, Origin::named("-g"))?;
    }
    if cli.all {
        list.add_expr("@*", Origin::named("-a"))?;
    }
    // If the command line names a group of the inventory, only the hosts of that group are targets, as for Ansible.
    if !list.uses_inventory_groups() {
        for (file, inventory) in inventories {
            list.add_inventory(file, inventory)?;
            if let Some(notice) = all_instead_of_some(file, inventory, &expressed) {
                groups.warnings().add(notice);
            }
        }
    }
    let counts = [
        cli.hosts.len(),
        words.len(),
        cli.hosts_files.len(),
        cli.groups_named.len(),
    ];
    Ok(cli.all || counts.iter().any(|&count| count > 0))
}

/// Returns a notice if an expression names some hosts of an inventory, as with Ansible's `--limit`. All hosts of the
/// inventory are targets then.
fn all_instead_of_some(file: &Path, inventory: &Inventory, expressed: &NodeSet) -> Option<String> {
    let total = inventory.names().len();
    let some: Vec<&str> = inventory
        .names()
        .filter(|name| expressed.contains(name))
        .collect();
    (1..total).contains(&some.len()).then(|| {
        let some = fold(some);
        let file = file.display();
        format!(
            "all {total} hosts of {file} are targets, not only {some}; -g GROUP or -w '@all&{some}' takes some of them"
        )
    })
}

/// Returns true if targets are read from standard input.
pub(super) fn from_standard_input(cli: &Cli) -> bool {
    cli.hosts.iter().any(|text| text == "-")
        || cli.hosts_files.iter().any(|path| is_standard_input(path))
}

/// Returns the words of a listing, which are expressions.
pub(super) fn expressions(cli: &Cli) -> Result<Vec<String>, Error> {
    let text = |word: &std::ffi::OsString| {
        let bad = || Error::NotText {
            word: word.to_string_lossy().into_owned(),
        };
        word.to_str().map(str::to_owned).ok_or_else(bad)
    };
    cli.command.iter().map(text).collect()
}

/// Returns the targets of a run, and those that are left out as down.
pub(super) fn of_run(
    cli: &Cli,
    groups: &Groups,
) -> Result<(Arc<[Target]>, Vec<LeftOutTarget>), Error> {
    let (targets, left_out) = select(cli, groups, None)?;
    let targets = targets.into_targets();
    if targets.iter().all(|target| target.inventory.is_none()) {
        return Ok((targets.into_shared(), left_out));
    }
    let mut targets = targets.to_vec();
    let mut ignored: BTreeMap<&str, usize> = BTreeMap::new();
    let mut ignored_ports = 0;
    for target in &mut targets {
        let Some(inventory) = target.inventory.clone() else {
            continue;
        };
        if let Some(reason) = &inventory.refused {
            return Err(Error::Inventory {
                label: target.label.to_string(),
                reason: reason.clone(),
            });
        }
        for name in &inventory.ignored {
            *ignored.entry(*name).or_default() += 1;
        }
        // Inventories are written for ssh, but -R chooses for them, too.
        if cli.transport.is_none() {
            target.transport.get_or_insert(TransportKind::Ssh);
        }
        // ansible_port is the port of sshd, on which no rshd listens.
        let transport = target.transport_or(cli.default_transport());
        if transport == TransportKind::Rsh && target.port.is_some() && target.port == inventory.port
        {
            target.port = None;
            ignored_ports += 1;
        }
    }
    let counted = |name: &str, count: usize| match count {
        1 => format!("{name} (1 host)"),
        count => format!("{name} ({count} hosts)"),
    };
    if !ignored.is_empty() {
        let parts = ignored.iter().map(|(name, count)| counted(name, *count));
        let parts: Vec<String> = parts.collect();
        let text = format!("set in the inventory and not used: {}", parts.join(", "));
        groups.warnings().add(text);
    }
    if ignored_ports > 0 {
        let port = counted("ansible_port", ignored_ports);
        let text = format!("set in the inventory for ssh and not used with rsh: {port}");
        groups.warnings().add(text);
    }
    Ok((targets.into(), left_out))
}
