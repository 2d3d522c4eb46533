//! The modules that pdsh would have: ways to hosts and sources of targets, with their options.

use super::messages::{PdshCaller, Program};
use super::slurm;

/// Version of pdsh whose options and messages these are.
const VERSION: &str = "2.35";

/// A way to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Rcmd {
    /// A local command for each host.
    Exec,
    /// The protocol of rsh.
    Rsh,
    /// The program ssh.
    Ssh,
}

impl Rcmd {
    /// Returns the way of this name, if the program has it.
    pub(super) fn of_name(name: &str, program: Program) -> Option<Rcmd> {
        match name {
            "exec" if program == Program::Dsh => Some(Rcmd::Exec),
            "rsh" => Some(Rcmd::Rsh),
            "ssh" => Some(Rcmd::Ssh),
            _ => None,
        }
    }
}

/// The source of targets that is active. Both use the options `-g` and `-X`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Misc {
    #[default]
    Genders,
    Dshgroup,
}

impl Misc {
    /// Returns the active source, if these modules come first (`-M`, `PDSH_MISC_MODULES`).
    pub(super) fn first_of(modules: &str) -> Misc {
        let mut names = modules.split(',').map(str::trim);
        match names.find(|name| matches!(*name, "genders" | "dshgroup")) {
            Some("dshgroup") => Misc::Dshgroup,
            _ => Misc::Genders,
        }
    }

    /// Returns the option letters in the form of getopt(3).
    pub(super) fn letters(self) -> &'static str {
        match self {
            Misc::Genders => "g:X:F:iaA",
            Misc::Dshgroup => "g:X:",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Misc::Genders => "genders",
            Misc::Dshgroup => "dshgroup",
        }
    }

    fn other(self) -> Misc {
        match self {
            Misc::Genders => Misc::Dshgroup,
            Misc::Dshgroup => Misc::Genders,
        }
    }

    fn help(self) -> &'static str {
        match self {
            Misc::Genders => {
                "-g query,...      target nodes using genders query\n\
                 -X query,...      exclude nodes using genders query\n\
                 -F file           use alternate genders file `file'\n\
                 -i                request alternate or canonical hostnames if applicable\n\
                 -a                target all nodes except those with \"pdsh_all_skip\" attribute\n\
                 -A                target all nodes listed in genders database\n"
            }
            Misc::Dshgroup => {
                "-g groupname      target hosts in dsh group \"groupname\"\n\
                 -X groupname      exclude hosts in dsh group \"groupname\"\n"
            }
        }
    }

    fn description(self) -> &'static str {
        match self {
            Misc::Genders => "target nodes using libgenders and genders attributes",
            Misc::Dshgroup => "Read list of targets from dsh-style \"group\" files",
        }
    }
}

/// Returns the names of the ways to hosts, separated by commas.
fn rcmd_names(program: Program) -> &'static str {
    match program {
        Program::Dsh => "ssh,rsh,exec",
        Program::Pcp | Program::ReversePcp => "ssh,rsh",
    }
}

/// Returns the text of `-V`. Its first line says that modules cannot be loaded.
pub(super) fn version(program: Program, misc: Misc) -> String {
    format!(
        "pdsh-{VERSION} (+static-modules+mrsh-{})\n\
         rcmd modules: {} (default: rsh)\n\
         misc modules: {},slurm (*conflicting: {})\n\
         [* To force-load a conflicting module, use the -M <name> option]\n",
        env!("CARGO_PKG_VERSION"),
        rcmd_names(program),
        misc.name(),
        misc.other().name()
    )
}

/// Returns the text of `-L`.
pub(super) fn list(program: Program, misc: Misc) -> String {
    let mut modules = Vec::new();
    if program == Program::Dsh {
        modules.push(("rcmd/exec", "arbitrary command rcmd connect method", true));
    }
    modules.push(("rcmd/rsh", "BSD rcmd connect method", true));
    modules.push(("rcmd/ssh", "ssh based rcmd connect method", true));
    let mut text = format!("{} modules loaded:\n\n", modules.len() + 3);
    for (name, description, is_active) in modules {
        text.push_str(&module(name, description, is_active, ""));
    }
    // Both have the option `-g`, and pdsh activates only one module for each letter.
    for (source, is_active) in [(misc, true), (misc.other(), false)] {
        let name = format!("misc/{}", source.name());
        let options = format!("Options:\n{}", source.help());
        text.push_str(&module(&name, source.description(), is_active, &options));
    }
    let options = format!("Options:\n{}", slurm::HELP);
    let description =
        "Target nodes contained in SLURM jobs or partitions, read SLURM_JOBID by default";
    text.push_str(&module("misc/slurm", description, true, &options));
    text
}

fn module(name: &str, description: &str, is_active: bool, options: &str) -> String {
    let active = if is_active { "yes" } else { "no" };
    format!("Module: {name}\nAuthor: mrsh\nDescr:  {description}\nActive: {active}\n{options}\n")
}

/// Returns the text of `-h`.
pub(super) fn usage(caller: &PdshCaller, misc: Misc) -> String {
    let program = match caller.program {
        Program::Dsh => {
            "Usage: pdsh [-options] command ...\n\
             -S                return largest of remote command return values\n\
             -k                fail fast on connect failure or non-zero return code\n"
        }
        Program::Pcp => {
            "Usage: pdcp [-options] src [src2...] dest\n\
             -r                recursively copy files\n\
             -p                preserve modification time and modes\n\
             -e PATH           specify the path to pdcp on the remote machine\n"
        }
        Program::ReversePcp => {
            "Usage: rpdcp [-options] src [src2...] dir\n\
             -r                recursively copy files\n\
             -p                preserve modification time and modes\n"
        }
    };
    let common = "-h                output usage menu and quit\n\
         -V                output version information and quit\n\
         -q                list the option settings and quit\n\
         -b                disable ^C status feature (batch mode)\n\
         -d                enable extra debug information from ^C status\n\
         -l user           execute remote commands as user\n\
         -t seconds        set connect timeout (default is 10 sec)\n\
         -u seconds        set command timeout (no default)\n\
         -f n              use fanout of n nodes\n\
         -w host,host,...  set target node list on command line\n\
         -x host,host,...  set node exclusion list on command line\n\
         -R name           set rcmd module to name\n\
         -M name,...       select one or more misc modules to initialize first\n\
         -N                disable hostname: labels on output lines\n\
         -L                list info on all loaded modules and exit\n";
    let rcmds = rcmd_names(caller.program);
    let (misc, slurm) = (misc.help(), slurm::HELP);
    format!("{program}{common}{misc}{slurm}available rcmd modules: {rcmds} (default: rsh)\n")
}
