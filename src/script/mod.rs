//! `--script`: a file of this machine that runs on the targets. No I/O.
//!
//! The login shell of a target gets [`COMMAND`], which is short and the same for all scripts. It reads one line of
//! standard input and runs it: the code of `bootstrap.sh` with the arguments. That code reads the script, which follows
//! on standard input, into a file of a new directory, runs it, and removes the directory. The rest of standard input
//! belongs to the script.
//!
//! Neither end waits for the other. `read` and `dd` take exactly the bytes that they are asked for, so no reply is
//! needed as in a dialogue of `--copy`, and the length of the input stays known over rsh.
//!
//! The interpreter of the `#!` line is started by name, as the kernel does it, and not by the file. So a directory that
//! is mounted with `noexec` makes no difference.

mod bootstrap;
mod shebang;

pub use bootstrap::{COMMAND, exec_words, shown_word};
pub use shebang::Interpreter;

use bootstrap::{Bootstrap, input_of};

/// Maximum length of a script. It is kept in memory, and sent to each target.
pub const MAX_SCRIPT: usize = 16 << 20;

/// Maximum length of all arguments together. One argument cannot be longer on Linux (execve(2)).
pub const MAX_ARGUMENTS: usize = 128 * 1024 - 1;

/// The reason why a file cannot be sent as a script.
#[derive(Debug, thiserror::Error)]
pub enum ScriptFault {
    /// The file cannot be read.
    #[error("{0}")]
    Read(#[from] std::io::Error),
    /// The path names a directory or a device.
    #[error("it is neither a file nor a pipe")]
    NotAFile,
    /// The file has no content.
    #[error("it is empty")]
    Empty,
    /// The file is too long.
    #[error("it is longer than {} MiB", MAX_SCRIPT >> 20)]
    TooLong,
    /// A byte order mark hides the `#!` line.
    #[error("it starts with a byte order mark")]
    ByteOrderMark,
    /// The `#!` line ends in CR LF, so the kernel would look for an interpreter whose name ends in CR.
    #[error("its #! line ends in a carriage return")]
    CarriageReturn,
    /// The `#!` line is not one that the kernel takes.
    #[error(
        "its #! line has no interpreter with an absolute path, or more than {} bytes",
        shebang::MAX_LINE
    )]
    Interpreter,
    /// The file is neither text nor a program of Linux.
    #[error("it is no script: its first line has a NUL byte")]
    Nul,
}

impl ScriptFault {
    /// Returns the help for the error.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        match self {
            ScriptFault::ByteOrderMark => {
                Some("remove it with sed -i '1s/^\\xEF\\xBB\\xBF//' FILE")
            }
            ScriptFault::CarriageReturn => Some("convert the file with sed -i 's/\\r$//' FILE"),
            ScriptFault::Interpreter => {
                Some("write #!/usr/bin/env NAME for an interpreter in the PATH of the targets")
            }
            ScriptFault::TooLong => Some("copy it with --copy, and run it there"),
            ScriptFault::Read(_)
            | ScriptFault::NotAFile
            | ScriptFault::Empty
            | ScriptFault::Nul => None,
        }
    }
}

/// A script that targets can run.
#[derive(Debug)]
pub struct ScriptFile {
    /// Name of the file at the targets, without NUL and slash.
    name: Vec<u8>,
    content: Vec<u8>,
    /// Absent for a program that runs by itself.
    interpreter: Option<Interpreter>,
}

/// Settings of a script that depend on the run.
#[derive(Debug)]
pub struct ScriptRun<'a> {
    /// Arguments of the script, without NUL.
    pub arguments: Vec<&'a [u8]>,
    /// Directory at the targets, if one is given.
    pub directory: Option<&'a [u8]>,
    /// True if the rest of standard input belongs to the script. Else it reads end of file.
    pub reads_input: bool,
    /// Random text of the run.
    pub token: &'a str,
}

impl ScriptFile {
    /// Checks the content of a script. `name` is the last part of its path.
    ///
    /// # Errors
    /// No target could run it.
    pub fn new(name: Vec<u8>, content: Vec<u8>) -> Result<ScriptFile, ScriptFault> {
        // An empty script would do nothing and count as a success on every target.
        if content.is_empty() {
            return Err(ScriptFault::Empty);
        }
        if content.len() > MAX_SCRIPT {
            return Err(ScriptFault::TooLong);
        }
        let interpreter = shebang::interpreter(&content)?;
        Ok(ScriptFile {
            name,
            content,
            interpreter,
        })
    }

    /// Returns the interpreter, unless the script is a program that runs by itself.
    #[must_use]
    pub fn interpreter(&self) -> Option<&Interpreter> {
        self.interpreter.as_ref()
    }

    /// Returns the content.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// Returns the first bytes of standard input: one line of code, and the script.
    #[must_use]
    pub fn input(&self, run: &ScriptRun<'_>) -> Vec<u8> {
        input_of(&Bootstrap { script: self, run })
    }
}

#[cfg(test)]
mod tests;
