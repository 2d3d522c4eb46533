//! The options of the change of the user: `--sudo`, `--become`, the password for it, and `--tty`.

use clap::{Args, ValueEnum};

use crate::transport::user_change::ChangeProgram;

/// The options of the change of the user.
#[derive(Debug, Default, Args)]
pub struct UserChangeArgs {
    /// Run COMMAND, --copy and --fetch with the rights of USER, by sudo on the target [default: root]
    // Without `=`, clap would take the first word of COMMAND as USER.
    #[arg(long = "sudo", value_name = "USER", num_args = 0..=1, require_equals = true, default_missing_value = "root", help_heading = "Other user")]
    pub sudo: Option<String>,

    /// Program that changes the user: sudo, su or doas [default: sudo]
    #[arg(
        long = "become",
        value_enum,
        value_name = "PROGRAM",
        hide_possible_values = true,
        help_heading = "Other user"
    )]
    pub become_program: Option<BecomeArg>,

    /// Ask for sudo's password once, before the first connection; with =same, use the one of --password
    #[arg(long = "sudo-password", value_enum, value_name = "SOURCE", num_args = 0..=1, require_equals = true, default_missing_value = "ask", hide_possible_values = true, conflicts_with = "sudo_password_fd", help_heading = "Other user")]
    pub sudo_password: Option<SudoPasswordArg>,

    /// Read sudo's password from the first line of file descriptor N
    #[arg(
        long = "sudo-password-fd",
        value_name = "N",
        help_heading = "Other user"
    )]
    pub sudo_password_fd: Option<u32>,

    /// Send sudo's password over rsh, where everybody on the network can read it
    #[arg(long = "sudo-password-in-clear", help_heading = "Other user")]
    pub sudo_password_in_clear: bool,

    /// Give the command a terminal, for programs that demand one; standard error is then part of standard output
    #[arg(long = "tty", help_heading = "ssh")]
    pub tty: bool,
}

/// Value of `--become`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BecomeArg {
    Sudo,
    Su,
    Doas,
}

impl From<BecomeArg> for ChangeProgram {
    fn from(program: BecomeArg) -> ChangeProgram {
        match program {
            BecomeArg::Sudo => ChangeProgram::Sudo,
            BecomeArg::Su => ChangeProgram::Su,
            BecomeArg::Doas => ChangeProgram::Doas,
        }
    }
}

/// Value of `--sudo-password`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SudoPasswordArg {
    Ask,
    Same,
}
