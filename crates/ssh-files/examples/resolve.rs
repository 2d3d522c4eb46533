//! Prints the settings of a host, as `ssh -G HOST` does: `cargo run --example resolve HOST [KEYWORD=VALUE…]`.

#![expect(clippy::print_stdout, reason = "the example prints its result")]

use std::env;
use std::error::Error;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use ssh_files::{
    AddressFamily, AgentSetting, ConfigOption, ConfigSources, HostConfig, SYSTEM_FILE, SshConfig,
    StrictHostKeyChecking, UserFile,
};
use uzers::os::unix::UserExt as _;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let name = arguments
        .next()
        .ok_or("usage: resolve HOST [KEYWORD=VALUE…]")?;
    let options = arguments.map(|text| ConfigOption::new("-o", text));
    let config = SshConfig::load(sources(options.collect())?)?;
    let host = config.host(&name, None, None)?;
    print(&host, &config);
    for jump in config.jump_hosts(&host)? {
        println!("# by way of {}@{}:{}", jump.user, jump.host_name, jump.port);
    }
    for setting in &host.ignored {
        println!("# {setting}");
    }
    Ok(())
}

fn sources(options: Vec<ConfigOption>) -> Result<ConfigSources, Box<dyn Error>> {
    let uid = uzers::get_current_uid();
    let user = uzers::get_user_by_uid(uid).ok_or("the user has no account")?;
    let local_host = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    Ok(ConfigSources {
        user_file: UserFile::Default,
        system_file: SYSTEM_FILE.into(),
        options,
        home: user.home_dir().to_owned(),
        local_user: user.name().to_string_lossy().into_owned(),
        uid,
        local_host: local_host.trim_end().to_owned(),
        // Settings are text, so they cannot name other variables.
        environment: env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
    })
}

fn print(host: &HostConfig, config: &SshConfig) {
    line("hostname", &host.host_name);
    line("user", &host.user);
    line("port", host.port);
    let family = match host.address_family {
        AddressFamily::Any => "any",
        AddressFamily::Inet => "inet",
        AddressFamily::Inet6 => "inet6",
    };
    line("addressfamily", family);
    if let Some(timeout) = host.connect_timeout {
        line("connecttimeout", timeout.as_secs());
    }
    for jump in &host.jumps {
        let user = jump.user.as_deref().map(|user| format!("{user}@"));
        let port = jump.port.map(|port| format!(":{port}"));
        let (user, port) = (user.unwrap_or_default(), port.unwrap_or_default());
        line("proxyjump", format!("{user}{}{port}", jump.host));
    }
    let strict = match host.strict {
        StrictHostKeyChecking::Yes => "yes",
        StrictHostKeyChecking::AcceptNew => "accept-new",
        StrictHostKeyChecking::No => "no",
    };
    line("stricthostkeychecking", strict);
    if let Some(alias) = &host.host_key_alias {
        line("hostkeyalias", alias);
    }
    paths("userknownhostsfile", &host.user_known_hosts_files);
    paths("globalknownhostsfile", &host.global_known_hosts_files);
    host.revoked_host_keys
        .iter()
        .for_each(|path| line("revokedhostkeys", path.display()));
    paths("identityfile", &host.identity_files);
    paths("certificatefile", &host.certificate_files);
    match &host.identity_agent {
        AgentSetting::Default => {}
        AgentSetting::None => line("identityagent", "none"),
        AgentSetting::Path(path) => line("identityagent", Path::display(path)),
    }
    line(
        "preferredauthentications",
        host.preferred_authentications.join(","),
    );
    line("batchmode", host.batch_mode);
    for (name, value) in host.environment(config.environment()) {
        line("setenv", format!("{name}={value}"));
    }
}

fn paths(keyword: &str, paths: &[PathBuf]) {
    for path in paths {
        line(keyword, path.display());
    }
}

fn line(keyword: &str, value: impl Display) {
    println!("{keyword} {value}");
}
