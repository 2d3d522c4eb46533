//! The options of pdsh, pdcp and rpdcp, as getopt(3) reads them, over the variables of the environment.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

use lexopt::{Arg, Parser};

use super::groups::GroupOptions;
use super::messages::{Ended, PdshCaller, Program};
use super::modules::{Misc, Rcmd, list, usage, version};
use super::self_test;
use super::slurm::{self, SlurmOptions};
use super::wcoll::Wcoll;
use crate::exit::ExitStatus;
use crate::messages::{print, print_text};

/// The letters of all programs; a colon follows those with a value.
const COMMON: &str = "hLNKR:M:t:cqf:w:x:l:u:bI:dVT:Q";

/// Maximum length of a user's name: the limit of Linux (`LOGIN_NAME_MAX`).
const MAX_USER: usize = 256;

/// File in which Debian's pdsh has the way to hosts that root chose for all.
const RCMD_FILE: &str = "/etc/pdsh/rcmd_default";

/// Connect timeout without `-t`, in seconds.
pub(super) const CONNECT_TIMEOUT: i64 = 10;

/// The options with their values.
#[derive(Debug)]
pub(super) struct PdshSettings {
    pub(super) labels: bool,
    pub(super) keep_domain: bool,
    pub(super) rcmd: Option<String>,
    /// `-S`.
    pub(super) largest: bool,
    /// `-k`.
    pub(super) fail_fast: bool,
    pub(super) fanout: i64,
    pub(super) connect_timeout: i64,
    pub(super) command_timeout: i64,
    /// `-q` or `-Q`: print the settings and run nothing.
    pub(super) info_only: bool,
    /// `-Q`: print each target by its name.
    pub(super) expanded: bool,
    /// `-b`.
    pub(super) batch: bool,
    /// `-d`.
    pub(super) debug: bool,
    /// `-l`.
    pub(super) user: Option<String>,
    /// `DSHPATH` as a command.
    pub(super) path_command: Option<String>,
    pub(super) wcoll: Wcoll,
    pub(super) groups: GroupOptions,
    pub(super) slurm: SlurmOptions,
    /// `-r` of pdcp.
    pub(super) recursive: bool,
    /// `-p` of pdcp.
    pub(super) preserve: bool,
    /// `-e` of pdcp, or its variable.
    pub(super) remote_program: Option<String>,
    /// `-y` of the far side of pdcp.
    pub(super) takes_directory: bool,
    /// `-z` or `-Z`: the far side of pdcp.
    pub(super) far_side: Option<char>,
    /// `--show-plan`: print the command line of mrsh, and run nothing.
    pub(super) show_plan: bool,
    /// The command, or the paths of pdcp.
    pub(super) words: Vec<OsString>,
}

/// Reads the environment and the options.
///
/// # Errors
/// An option is wrong, or it has printed an answer.
pub(super) fn parse(args: &[OsString], caller: &PdshCaller) -> Result<PdshSettings, Ended> {
    // The letters of the options depend on `-M`, which may follow them.
    let misc = first_modules(args, caller);
    let letters = letters(caller.program, misc);
    let mut settings = PdshSettings::from_environment(caller, misc)?;
    let mut parser = Parser::from_args(args.iter().skip(1));
    // getopt(3) keeps an equals sign as part of the value.
    parser.set_short_equals(false);
    let end = |text: String| {
        print_text(&text);
        Ended::Status(ExitStatus::Code(1))
    };
    let invalid = |letter: char| {
        let path = &caller.path;
        let usage = usage(caller, misc);
        end(format!("{path}: invalid option -- '{letter}'\n{usage}"))
    };
    loop {
        let letter = match parser.next() {
            Ok(Some(Arg::Short(letter))) => letter,
            Ok(Some(Arg::Long("show-plan"))) => {
                settings.show_plan = true;
                continue;
            }
            // getopt(3) has no long options, and takes the second dash for a letter.
            Ok(Some(Arg::Long(_))) | Err(_) => return Err(invalid('-')),
            // Everything from the first word on belongs to the command.
            Ok(Some(Arg::Value(word))) => {
                settings.words.push(word);
                settings
                    .words
                    .extend(parser.raw_args().into_iter().flatten());
                return Ok(settings);
            }
            Ok(None) => return Ok(settings),
        };
        let value = match takes_value(&letters, letter) {
            None => return Err(invalid(letter)),
            Some(false) => String::new(),
            Some(true) => match parser.value() {
                Ok(value) => value.to_string_lossy().into_owned(),
                Err(_) => {
                    let path = &caller.path;
                    let usage = usage(caller, misc);
                    return Err(end(format!(
                        "{path}: option requires an argument -- '{letter}'\n{usage}"
                    )));
                }
            },
        };
        if !settings.take(letter, &value, caller)? {
            return Err(end(usage(caller, misc)));
        }
    }
}

/// Returns the active source of targets: `-M` comes before the environment.
fn first_modules(args: &[OsString], caller: &PdshCaller) -> Misc {
    let mut modules = env::var("PDSH_MISC_MODULES").unwrap_or_default();
    // genders has all letters of dshgroup, so its letters find the same values for both.
    let letters = letters(caller.program, Misc::Genders);
    let mut parser = Parser::from_args(args.iter().skip(1));
    parser.set_short_equals(false);
    // Wrong options are errors when they are read for their meaning.
    while let Ok(Some(Arg::Short(letter))) = parser.next() {
        if takes_value(&letters, letter) != Some(true) {
            continue;
        }
        match parser.value() {
            Ok(value) if letter == 'M' => modules = value.to_string_lossy().into_owned(),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    Misc::first_of(&modules)
}

fn letters(program: Program, misc: Misc) -> String {
    let own = match program {
        Program::Dsh => "Sk",
        Program::Pcp | Program::ReversePcp => "pryzZe:",
    };
    [COMMON, own, misc.letters(), slurm::LETTERS].concat()
}

/// Returns true if a letter has a value; `None` if it is unknown.
fn takes_value(letters: &str, letter: char) -> Option<bool> {
    let at = letters.find(letter).filter(|_| letter != ':')?;
    Some(letters[at + letter.len_utf8()..].starts_with(':'))
}

impl PdshSettings {
    fn from_environment(caller: &PdshCaller, misc: Misc) -> Result<PdshSettings, Ended> {
        let variable = |name: &str| env::var(name).ok();
        let number = |name: &str, default: i64| match variable(name) {
            None => Ok(default),
            Some(text) => strict_number(&text)
                .ok_or_else(|| caller.ended(format!("Invalid environment variable {name}={text}"))),
        };
        Ok(PdshSettings {
            labels: true,
            keep_domain: false,
            rcmd: variable("PDSH_RCMD_TYPE").or_else(|| rcmd_in(Path::new(RCMD_FILE))),
            largest: false,
            fail_fast: false,
            fanout: number("FANOUT", 32)?,
            connect_timeout: number("PDSH_CONNECT_TIMEOUT", CONNECT_TIMEOUT)?,
            command_timeout: number("PDSH_COMMAND_TIMEOUT", 0)?,
            info_only: false,
            expanded: false,
            batch: false,
            debug: false,
            user: None,
            path_command: variable("DSHPATH").map(|path| path_command(&path)),
            wcoll: Wcoll::default(),
            groups: GroupOptions {
                misc,
                ..GroupOptions::default()
            },
            slurm: SlurmOptions::default(),
            recursive: false,
            preserve: false,
            remote_program: variable("PDSH_REMOTE_PDCP_PATH").filter(|_| !caller.is_dsh()),
            takes_directory: false,
            far_side: None,
            show_plan: false,
            words: Vec::new(),
        })
    }

    /// Takes an option. Returns false if nothing has it.
    fn take(&mut self, letter: char, value: &str, caller: &PdshCaller) -> Result<bool, Ended> {
        match letter {
            // It was read before all other options.
            'M' => {}
            'N' => self.labels = false,
            'K' => self.keep_domain = true,
            'R' => self.rcmd = Some(value.to_owned()),
            'S' => self.largest = true,
            'k' => self.fail_fast = true,
            'f' => {
                self.fanout = strict_number(value).ok_or_else(|| {
                    caller.ended(format!("Invalid fanout `{value}' passed to -f."))
                })?;
            }
            'w' => self.wcoll.add(value, caller)?,
            'x' => self.wcoll.exclude(value, caller)?,
            'q' => self.info_only = true,
            'Q' => {
                self.info_only = true;
                self.expanded = true;
            }
            // pdsh reads these two numbers with atoi(3), so text after the digits is no error.
            't' => self.connect_timeout = leading_number(value),
            'u' => self.command_timeout = leading_number(value),
            'b' => self.batch = true,
            'd' => self.debug = true,
            'l' => self.user = Some(user_name(value, caller)?),
            'r' => self.recursive = true,
            'p' => self.preserve = true,
            'e' => self.remote_program = Some(value.to_owned()),
            'y' => self.takes_directory = true,
            'z' | 'Z' => self.far_side = Some(letter),
            'L' => return answer(&list(caller.program, self.groups.misc)),
            'V' => return answer(&version(caller.program, self.groups.misc)),
            'T' => return Err(self_test::run(leading_number(value), caller)),
            'h' => return Ok(false),
            _ => return Ok(self.slurm.take(letter, value) || self.groups.take(letter, value)),
        }
        Ok(true)
    }

    /// Returns the way of this name.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn rcmd_of_name(name: &str, caller: &PdshCaller) -> Result<Rcmd, Ended> {
        Rcmd::of_name(name, caller.program)
            .ok_or_else(|| Ended::Message(format!("No such rcmd module \"{name}\"")))
    }
}

/// Returns the word in a file, if there is one.
fn rcmd_in(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    text.split_whitespace().next().map(str::to_owned)
}

/// Prints an answer that takes the place of a run.
fn answer(text: &str) -> Result<bool, Ended> {
    print(text)?;
    Err(Ended::Status(ExitStatus::SUCCESS))
}

fn user_name(name: &str, caller: &PdshCaller) -> Result<String, Ended> {
    if name.len() > MAX_USER {
        return Err(caller.ended(format!(
            "Fatal: username '{name}' exceeds max username length ({MAX_USER})"
        )));
    }
    Ok(name.to_owned())
}

/// Returns the command that sets PATH, in the language of the caller's shell.
fn path_command(path: &str) -> String {
    let account = uzers::get_user_by_uid(uzers::get_current_uid());
    let shell = account.map(|user| uzers::os::unix::UserExt::shell(&user).to_owned());
    let name = shell.as_deref().and_then(|shell| shell.file_name());
    let is_csh = |name: &OsStr| name == "csh" || name == "tcsh";
    if name.is_some_and(is_csh) {
        format!("setenv PATH {path};")
    } else {
        format!("PATH={path};")
    }
}

/// Returns a number that is the whole text.
fn strict_number(text: &str) -> Option<i64> {
    let text = text.trim_start();
    // strtoul(3) returns 0 without digits, and pdsh refuses only text that is left over.
    if text.is_empty() {
        return Some(0);
    }
    text.parse::<i32>().ok().map(i64::from)
}

/// Returns the number at the start of a text; 0 without one, as atoi(3).
fn leading_number(text: &str) -> i64 {
    let text = text.trim_start();
    let sign = usize::from(text.starts_with(['-', '+']));
    let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
    text[..sign + digits].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> PdshCaller {
        PdshCaller::new(&["pdsh".into()])
    }

    fn parsed(args: &[&str]) -> PdshSettings {
        let args: Vec<OsString> = [&["pdsh"], args].concat().iter().map(Into::into).collect();
        parse(&args, &caller()).unwrap()
    }

    #[test]
    fn letters_may_be_in_one_word_and_the_first_word_ends_the_options() {
        let settings = parsed(&[
            "-NSRexec", "-wfoo", "-f8", "-t", "33", "-u0x", "ls", "-w", "x",
        ]);
        assert!(!settings.labels && settings.largest);
        assert_eq!(settings.rcmd.as_deref(), Some("exec"));
        assert_eq!(settings.fanout, 8);
        assert_eq!(
            (settings.connect_timeout, settings.command_timeout),
            (33, 0)
        );
        assert_eq!(settings.words, ["ls", "-w", "x"]);
        assert_eq!(settings.wcoll.hosts.unwrap().folded(), "foo");
        let settings = parsed(&["-w", "a", "--", "-x", "--", "b"]);
        assert_eq!(settings.words, ["-x", "--", "b"]);
        // As in getopt(3), a value keeps its equals sign.
        assert_eq!(parsed(&["-l=me"]).user.as_deref(), Some("=me"));
    }

    #[test]
    fn modules_are_chosen_before_the_other_options() {
        let settings = parsed(&["-g", "a,b", "-X", "c", "-M", "dshgroup"]);
        assert_eq!(settings.groups.misc, Misc::Dshgroup);
        assert_eq!(settings.groups.named, ["a", "b"]);
        assert_eq!(settings.groups.excluded, ["c"]);
        assert_eq!(parsed(&["-Mnone,genders"]).groups.misc, Misc::Genders);
    }

    #[test]
    fn a_file_may_name_the_way_to_hosts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rcmd_default");
        assert_eq!(rcmd_in(&file), None);
        fs::write(&file, "ssh\n").unwrap();
        assert_eq!(rcmd_in(&file).as_deref(), Some("ssh"));
    }

    #[test]
    fn numbers_are_read_as_pdsh_reads_them() {
        for (text, strict, leading) in [
            ("8", Some(8), 8),
            ("", Some(0), 0),
            ("8x", None, 8),
            ("x", None, 0),
            ("-1", Some(-1), -1),
        ] {
            assert_eq!(
                (strict_number(text), leading_number(text)),
                (strict, leading),
                "{text}"
            );
        }
    }

    #[test]
    fn wrong_values_have_pdshs_messages() {
        let long = "x".repeat(257);
        for (args, words) in [
            (["-f", "x"], "Invalid fanout `x' passed to -f."),
            (["-w", "a[3-1]"], "Invalid range: `3-1'"),
            (["-w", "u@x:a"], "not of form [rcmd_type:][user@]hosts"),
            (["-w", "^/no/file"], "/no/file: No such file or directory"),
            (["-w", "/[/"], "Fatal error"),
            (["-l", &long], "exceeds max username length (256)"),
        ] {
            let args: Vec<OsString> = ["pdsh", args[0], args[1]].map(OsString::from).into();
            match parse(&args, &caller()).unwrap_err() {
                Ended::Message(text) => assert!(text.contains(words), "{text}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
