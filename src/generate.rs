//! The texts of `--generate`: the manual page, made from the command line's own definition, and scripts that let
//! shells ask this program for completions.

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::{Cli, GenerateArg};

const DESCRIPTION: &str = "\
mrsh runs one command on many hosts at once, from one process, over the BSD rsh protocol or ssh. Each line of their \
output is printed under the name of its host, and at the end, on standard error, it is said which hosts failed and why.

The words of COMMAND are joined by single spaces and interpreted by the remote user's login shell. What stands after \
its first word belongs to it. It reads an end of file at once, unless -i sends it standard input.

rsh sends everything unencrypted and trusts whoever can use a reserved port on a host that it trusts: it belongs on \
networks whose every machine and cable is yours. Elsewhere, -R ssh.";

/// The last sections of the manual page that the options' definition has no place for.
const SECTIONS: [(&str, &[(&str, &str)]); 3] = [
    (
        "ENVIRONMENT",
        &[
            ("MRSH_JOBS, MRSH_TRANSPORT", "As -j and -R."),
            (
                "MRSH_HOSTS_FILE, WCOLL",
                "As -f, unless targets are named; the second is pdsh's.",
            ),
            (
                "NO_COLOR",
                "If set, no colours unless --color asks for them.",
            ),
            (
                "TMPDIR",
                "Where output and input wait that are too large for memory.",
            ),
            ("SSH_AUTH_SOCK", "Where the ssh agent listens."),
            (
                "PDSH_GENDERS_FILE, CLUSTERSHELL_CFGDIR",
                "Where groups are looked for, as by pdsh and ClusterShell.",
            ),
        ],
    ),
    (
        "FILES",
        &[
            (
                "/etc/mrsh/config.toml, ~/.config/mrsh/config.toml",
                "Settings: every long option is a key. See --show-config.",
            ),
            (
                "/etc/clustershell, /etc/genders, /etc/dsh/group, ~/.dsh/group",
                "Groups; [groups] of the settings has more.",
            ),
            (
                "/etc/bindresvport.blacklist",
                "Source ports that are left alone.",
            ),
            (
                "~/.ssh/config, /etc/ssh/ssh_config, ~/.ssh/known_hosts",
                "As ssh uses them.",
            ),
        ],
    ),
    (
        "SIGNALS",
        &[
            (
                "SIGINT",
                "Says which hosts are still running. Again within a second, it ends their commands and the run; a third time, at once.",
            ),
            (
                "SIGTERM, SIGHUP",
                "End the commands and the run, which then dies of the signal.",
            ),
            ("SIGUSR1", "Says how far the run is."),
            (
                "Ignored signals",
                "stay so: SIGHUP under nohup(1), SIGINT in what a script puts into the background.",
            ),
        ],
    ),
];

/// The text of one of them.
#[must_use]
pub fn text(what: GenerateArg) -> Vec<u8> {
    match what {
        GenerateArg::Man => manual(Cli::command()),
        GenerateArg::Bash => include_bytes!("generate/mrsh.bash").to_vec(),
        GenerateArg::Zsh => include_bytes!("generate/mrsh.zsh").to_vec(),
        GenerateArg::Fish => include_bytes!("generate/mrsh.fish").to_vec(),
    }
}

fn manual(command: Command) -> Vec<u8> {
    let after = command.get_after_help().map(ToString::to_string);
    // An empty date would be left out, and the version take its place.
    let man = Man::new(command.long_about(DESCRIPTION))
        .date(" ")
        .manual("User Commands");
    let mut text = Vec::new();
    let mut roff = Roff::new();
    for block in after.iter().flat_map(|text| text.split("\n\n")) {
        block_of_help(&mut roff, block);
    }
    for (heading, entries) in SECTIONS {
        roff.control("SH", [heading]);
        for (tag, body) in entries {
            roff.control("TP", [])
                .text([bold(*tag)])
                .text([roman(*body)]);
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(
        "rsh(1), ssh(1), pdsh(1), clush(1), nodeset(1), ssh_config(5), genders(3)",
    )]);
    let parts = [
        Man::render_title,
        Man::render_name_section,
        Man::render_synopsis_section,
        Man::render_description_section,
        Man::render_options_section,
    ];
    parts
        .into_iter()
        .try_for_each(|part| part(&man, &mut text))
        .and_then(|()| roff.to_writer(&mut text))
        .expect("memory takes what is written");
    text
}

/// A paragraph of what stands below the options in `--help`: `Heading:` and indented lines are a section with
/// those lines as they are, all else is text.
fn block_of_help(roff: &mut Roff, block: &str) {
    match block.split_once(":\n") {
        Some((heading, table)) if table.starts_with("  ") => {
            roff.control("SH", [heading.to_uppercase().as_str()]);
            let indented = |line: &&str| line.starts_with("  ");
            roff.control("nf", []);
            for line in table.lines().take_while(indented) {
                roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
            }
            roff.control("fi", []);
            for line in table.lines().skip_while(indented) {
                roff.text([roman(line)]);
            }
        }
        _ => {
            roff.control("PP", []);
            roff.text([roman(block)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_page_has_every_option_and_every_section() {
        let page = String::from_utf8(text(GenerateArg::Man)).unwrap();
        for arg in Cli::command().get_arguments() {
            let long = arg.get_long().map(|long| long.replace('-', "\\-"));
            assert!(
                long.is_none_or(|long| page.contains(&format!("\\fB\\-\\-{long}\\fR"))),
                "{arg:?}"
            );
        }
        let sections: Vec<_> = page
            .lines()
            .filter_map(|line| line.strip_prefix(".SH "))
            .collect();
        assert_eq!(
            sections.join(" "),
            "NAME SYNOPSIS DESCRIPTION OPTIONS TARGETS RUNNING OUTPUT RSH SSH \"OTHER MODES\" LISTING CONFIGURATION \
             \"EXIT STATUS\" EXAMPLES ENVIRONMENT FILES SIGNALS \"SEE ALSO\""
        );
        // The table of statuses keeps its lines.
        assert!(page.contains("\n1  it failed on some host\n"), "{page}");
    }
}
