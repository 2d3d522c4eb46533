//! Texts of `--generate`: the manual page, made from docs/manual.md, and scripts with which shells ask this program for
//! completions.

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::cli::{Cli, GenerateArg};

mod page;

/// The reference, which is the manual page as well.
const MANUAL: &str = include_str!("../docs/manual.md");

/// Returns one of the texts.
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
    // clap_mangen leaves out an empty date, so man would print the version in the place of the date.
    let man = Man::new(command).date(" ").manual("User Commands");
    let mut roff = Roff::new();
    page::append(MANUAL, &mut roff);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(
        "rsh(1), ssh(1), pdsh(1), clush(1), nodeset(1), ssh_config(5), genders(3)",
    )]);
    let mut text = Vec::new();
    man.render_title(&mut text)
        .and_then(|()| man.render_name_section(&mut text))
        .and_then(|()| roff.to_writer(&mut text))
        .expect("memory takes what is written");
    text
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
                long.is_none_or(|long| page.contains(&format!("\\-\\-{long}"))),
                "{arg:?}"
            );
        }
        let sections: Vec<_> = page
            .lines()
            .filter_map(|line| line.strip_prefix(".SH "))
            .collect();
        let headings = MANUAL.lines().filter_map(|line| line.strip_prefix("## "));
        let expected: Vec<String> = ["NAME"]
            .into_iter()
            .chain(headings)
            .chain(["SEE ALSO"])
            .map(|heading| {
                if heading.contains(' ') {
                    format!("\"{}\"", heading.to_uppercase())
                } else {
                    heading.to_uppercase()
                }
            })
            .collect();
        assert_eq!(sections, expected);
        insta::assert_snapshot!(excerpt(&page, "\"EXIT STATUS\""), @r#"
        .SH "EXIT STATUS"
        .TP
        0
        the command succeeded on every host
        .TP
        1
        the command or the copy failed on some host, and every host was reached
        "#);
    }

    /// Returns the first lines of a section.
    fn excerpt(page: &str, section: &str) -> String {
        let lines = page
            .lines()
            .skip_while(|line| *line != format!(".SH {section}"));
        lines.take(7).collect::<Vec<_>>().join("\n")
    }
}
