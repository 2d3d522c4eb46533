//! The part of the plan about `--script`: the file, and what targets get of it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use super::targets;
use crate::cli::Cli;
use crate::error::Error;
use crate::journal::RecordedScript;
use crate::random;
use crate::script::{MAX_ARGUMENTS, MAX_SCRIPT, ScriptFault, ScriptFile, ScriptRun, shown_word};

/// A script that is sent to all targets.
#[derive(Debug)]
pub struct ScriptPlan {
    /// First bytes of standard input.
    pub head: Arc<[u8]>,
    /// Length and checksum of the script.
    pub recorded: RecordedScript,
    /// Program that runs the script; absent if it runs by itself.
    interpreter: Option<String>,
    /// Directory at the targets, if one is given.
    directory: Option<String>,
}

impl ScriptPlan {
    /// Returns the description of the script for `-n`.
    #[must_use]
    pub fn summary(&self) -> String {
        let RecordedScript { length, sha256 } = &self.recorded;
        let interpreter = match &self.interpreter {
            Some(interpreter) => format!("run by {interpreter}"),
            None => "a program".to_owned(),
        };
        let directory = self.directory.as_deref();
        let directory = directory.unwrap_or("$TMPDIR or /tmp");
        format!("{interpreter}, {length} bytes, in {directory}, SHA-256 {sha256}")
    }
}

/// Reads the script. `has_exec` is true if COMMAND is the way to a host; then the script has no arguments.
pub(super) fn decide(cli: &Cli, has_exec: bool) -> Result<Option<ScriptPlan>, Error> {
    let Some(path) = &cli.script.script else {
        return Ok(None);
    };
    let directory = cli.script.script_dir.as_deref();
    if let Some(directory) = directory {
        check_directory(directory)?;
    }
    if cli.script.is_standard_input() {
        check_standard_input(cli)?;
    }
    let unusable = |fault| Error::Script {
        path: path.clone(),
        fault,
    };
    let content = read(path).map_err(unusable)?;
    let name = path.file_name().filter(|_| !cli.script.is_standard_input());
    let name = name.unwrap_or(OsStr::new("script"));
    let script = ScriptFile::new(name.as_bytes().to_vec(), content).map_err(unusable)?;
    let words: &[_] = if has_exec { &[] } else { &cli.command };
    let arguments: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    // execve(2) takes an argument up to its first NUL, so the rest would be lost.
    if arguments.iter().any(|argument| argument.contains(&0)) {
        return Err(Error::CommandHasNul);
    }
    // Each argument is a string with a NUL at its end.
    let length = arguments.iter().map(|argument| argument.len() + 1).sum();
    if length > MAX_ARGUMENTS {
        return Err(Error::ScriptArguments {
            length,
            most: MAX_ARGUMENTS,
        });
    }
    let token = random::token().map_err(Error::system("get random bytes"))?;
    let head = script.input(&ScriptRun {
        arguments,
        directory: directory.map(|directory| directory.as_os_str().as_bytes()),
        reads_input: cli.stdin,
        token: &token,
    });
    let interpreter = script.interpreter().map(|interpreter| {
        let words = [Some(&interpreter.path), interpreter.argument.as_ref()];
        let words: Vec<_> = words
            .into_iter()
            .flatten()
            .map(|word| String::from_utf8_lossy(word))
            .collect();
        words.join(" ")
    });
    Ok(Some(ScriptPlan {
        head: head.into(),
        recorded: RecordedScript::new(script.content()),
        interpreter,
        directory: directory.map(|directory| directory.display().to_string()),
    }))
}

/// Returns the command as reports show it: the option, the file and the arguments.
pub(super) fn shown(cli: &Cli) -> Option<Vec<u8>> {
    let path = cli.script.script.as_ref()?;
    let words = std::iter::once(path.as_os_str()).chain(cli.command.iter().map(|word| &**word));
    let mut text = b"--script".to_vec();
    for word in words {
        text.push(b' ');
        text.extend(shown_word(word.as_bytes()));
    }
    Some(text)
}

fn check_directory(directory: &Path) -> Result<(), Error> {
    // The path is quoted for the shell of the host, so nothing would expand the `~`.
    if directory.as_os_str().as_bytes().starts_with(b"~") {
        return Err(Error::ScriptDirectory {
            path: directory.to_owned(),
        });
    }
    Ok(())
}

/// Checks that nothing else reads standard input.
fn check_standard_input(cli: &Cli) -> Result<(), Error> {
    let other = if cli.stdin {
        "-i sends it to the script"
    } else if targets::from_standard_input(cli) {
        "it has the targets"
    } else if cli.password_fd == Some(0) {
        "it has the password"
    } else {
        return Ok(());
    };
    Err(Error::ScriptStandardInput { other })
}

/// Reads a file, a pipe or, for `-`, standard input, up to the maximum length of a script.
fn read(path: &Path) -> Result<Vec<u8>, ScriptFault> {
    let mut content = Vec::new();
    // One byte more, so that a script that is too long is found.
    let most = MAX_SCRIPT as u64 + 1;
    if path.as_os_str() == "-" {
        io::stdin().lock().take(most).read_to_end(&mut content)?;
        return Ok(content);
    }
    // A device may wait for ever, and a directory has no content. A pipe is what `<(COMMAND)` of bash names.
    let kind = std::fs::metadata(path)?.file_type();
    if !kind.is_file() && !kind.is_fifo() {
        return Err(ScriptFault::NotAFile);
    }
    File::open(path)?.take(most).read_to_end(&mut content)?;
    Ok(content)
}
