//! Helpers for tests that compare with OpenSSH's own programs.

use ssh_files::{ConfigOption, ConfigSources, Environment, HostConfig, SshConfig, UserFile};

#[path = "../../../crates/ssh-files/src/testing.rs"]
#[expect(dead_code, reason = "the tests of ssh-files use more of it")]
mod openssh_tools;

pub(super) use openssh_tools::OpensshTools;

/// Returns the settings of a host with these options and without files.
pub(super) fn configured(host: &str, options: &[&str]) -> HostConfig {
    let config = SshConfig::load(ConfigSources {
        user_file: UserFile::Nothing,
        system_file: "none".into(),
        options: options
            .iter()
            .map(|&option| ConfigOption::new("--ssh-option", option))
            .collect(),
        home: "/home/me".into(),
        local_user: "me".into(),
        uid: 1000,
        local_host: "desk".into(),
        environment: Environment::new(),
    });
    config.unwrap().host(host, None, None).unwrap()
}
