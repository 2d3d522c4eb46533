//! The options of caution: hosts that are left out as down.

use clap::Args;

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
}
