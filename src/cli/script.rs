//! The options of `--script`.

use std::path::PathBuf;

use clap::Args;

/// The options of `--script`.
#[derive(Debug, Default, Args)]
pub struct ScriptArgs {
    /// Script or program of this machine to run on the targets, with the words of COMMAND as its arguments; - is
    /// standard input
    #[arg(
        long = "script",
        value_name = "FILE",
        allow_hyphen_values = true,
        conflicts_with_all = [
            "copy", "fetch", "raw", "gather_stdin", "ports", "list", "expand", "fold", "count", "regroup", "groups"
        ],
        help_heading = "Running"
    )]
    pub script: Option<PathBuf>,

    /// Directory on the targets for the file of --script [default: $TMPDIR there, or /tmp]
    #[arg(
        long = "script-dir",
        value_name = "DIR",
        requires = "script",
        help_heading = "Running"
    )]
    pub script_dir: Option<PathBuf>,
}

impl ScriptArgs {
    /// True if the script comes from standard input.
    #[must_use]
    pub fn is_standard_input(&self) -> bool {
        // `-` alone means standard input (POSIX, utility syntax guideline 13).
        self.script
            .as_ref()
            .is_some_and(|path| path.as_os_str() == "-")
    }
}
