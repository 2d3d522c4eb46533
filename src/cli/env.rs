//! The options for environment variables of COMMAND.

use std::ffi::OsString;

use clap::Args;

/// The options for environment variables of COMMAND.
#[derive(Debug, Default, Args)]
pub struct EnvArgs {
    /// Environment variable of COMMAND, with the placeholders of --label in VALUE, as in NODE=%l; MRSH_HOST and the other
    /// variables of mrsh are set too (repeatable)
    #[arg(
        long = "env",
        value_name = "NAME=VALUE",
        help_heading = "Running",
        allow_hyphen_values = true
    )]
    pub env: Vec<OsString>,

    /// Give COMMAND the variables that an Ansible inventory has for its host
    #[arg(long = "inventory-env", help_heading = "Running")]
    pub inventory_env: bool,
}
