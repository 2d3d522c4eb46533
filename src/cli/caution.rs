//! The options of caution: a question before the run, pauses between waves, and hosts that are left out as down.

use clap::Args;

use super::time;
use crate::policy::Pause;

/// The options of caution.
#[derive(Debug, Default, Args)]
pub struct CautionArgs {
    /// Leave out the hosts that Slurm's sinfo, or --down-command, says are down, and name them
    #[arg(long = "skip-down", help_heading = "Targets")]
    pub skip_down: bool,

    /// Shell command that prints the hosts that are down, for --skip-down, as in "pbsnodes -ln | cut -d' ' -f1"
    /// [default: sinfo is asked]
    #[arg(
        long = "down-command",
        value_name = "COMMAND",
        help_heading = "Targets"
    )]
    pub down_command: Option<String>,

    /// Show the targets and the command, and ask on the terminal before anything is contacted; with N, only for more
    /// than N targets
    // Without `=`, clap would take the first word of COMMAND as N.
    #[arg(
        long = "confirm",
        value_name = "N",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "0",
        value_parser = confirm,
        help_heading = "Running"
    )]
    pub confirm: Option<ConfirmArg>,

    /// With --batch, ask on the terminal before each further wave, or wait TIME. Enter or SIGUSR2 starts the next wave,
    /// q ends the run
    #[arg(
        long = "pause",
        value_name = "TIME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "ask",
        value_parser = pause,
        help_heading = "Running"
    )]
    pub pause: Option<PauseArg>,

    /// True if `--pause` is on the command line, where it needs `--batch`.
    #[arg(skip)]
    pub pause_typed: bool,
}

impl CautionArgs {
    /// True if the user is asked before a run on this number of targets.
    #[must_use]
    pub fn asks_for(&self, targets: usize) -> bool {
        matches!(self.confirm, Some(ConfirmArg::Above(limit)) if targets > limit)
    }

    /// Returns the pause between waves, if there is one.
    #[must_use]
    pub fn pause(&self) -> Option<Pause> {
        match self.pause {
            Some(PauseArg::Set(pause)) => Some(pause),
            Some(PauseArg::Never) | None => None,
        }
    }
}

/// Value of `--confirm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfirmArg {
    /// Ask for more than this number of targets.
    Above(usize),
    /// Never ask, whatever a weaker source of settings says.
    Never,
}

/// Value of `--pause`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseArg {
    /// A pause between waves.
    Set(Pause),
    /// No pause, whatever a weaker source of settings says.
    Never,
}

fn confirm(text: &str) -> Result<ConfirmArg, &'static str> {
    match text {
        "never" => Ok(ConfirmArg::Never),
        _ => text
            .parse()
            .map(ConfirmArg::Above)
            .map_err(|_| "must be a number of targets from 0 up, or never"),
    }
}

fn pause(text: &str) -> Result<PauseArg, String> {
    match text {
        "ask" => Ok(PauseArg::Set(Pause::Ask)),
        "never" => Ok(PauseArg::Never),
        _ => match time(text) {
            Ok(time) => Ok(PauseArg::Set(Pause::For(time))),
            Err(message) => Err(format!("{message}; or ask, or never")),
        },
    }
}
