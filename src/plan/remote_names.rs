//! Users and hosts that may reach a shell: `ssh` puts them into the `%r` and `%h` of its own commands (`ProxyCommand`,
//! `Match exec`), and a command of `-R exec` may be a line of shell. The rules are those of OpenSSH's client
//! (`valid_ruser` and `valid_hostname` in ssh.c), which older ones do not have.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::targets::fold;
use crate::targets::{Target, TransportKind};

/// The characters that a shell obeys, in a user's name.
const OBEYED_IN_USERS: &str = "'`\";&<>|(){}";

/// The same in a host's name.
const OBEYED_IN_HOSTS: &str = "'`\"$\\;&<>|(){},";

/// Checks the users and hosts of the targets that are reached by processes.
///
/// # Errors
/// The first user or host that a shell could take for something else, with all targets that have it.
pub(super) fn check(
    targets: &[Target],
    default: TransportKind,
    user: Option<&str>,
    exec_takes_user: bool,
) -> Result<(), Error> {
    let mut faults: BTreeMap<(&'static str, &str, String), Vec<&str>> = BTreeMap::new();
    for target in targets {
        let takes_user = match target.transport_or(default) {
            TransportKind::OpenSsh => true,
            TransportKind::Exec => exec_takes_user,
            TransportKind::Rsh | TransportKind::Ssh => continue,
        };
        let user = target.user.as_deref().or(user).filter(|_| takes_user);
        if let Some(user) = user
            && let Some(fault) = fault_of_user(user)
        {
            let labels = faults.entry(("remote user", user, fault)).or_default();
            labels.push(&target.label);
        }
        if let Some(fault) = fault_of_host(&target.host) {
            let labels = faults
                .entry(("host name", &target.host, fault))
                .or_default();
            labels.push(&target.label);
        }
    }
    match faults.pop_first() {
        None => Ok(()),
        Some(((what, name, fault), labels)) => Err(Error::RemoteName {
            what,
            name: name.to_owned(),
            labels: fold(labels),
            fault,
        }),
    }
}

/// The fault of a remote user's name, if it has one.
fn fault_of_user(user: &str) -> Option<String> {
    let obeyed = |c: &char| OBEYED_IN_USERS.contains(*c);
    if user.starts_with('-') {
        Some("it begins with '-'".to_owned())
    } else if user.chars().any(|c| c.is_ascii_control()) {
        Some("it contains a control character".to_owned())
    } else if let Some(c) = user.chars().find(obeyed) {
        Some(format!("it contains {c:?}"))
    } else if user.contains(" -") {
        Some("it contains a blank before '-'".to_owned())
    } else if user.ends_with('\\') {
        Some("it ends with a backslash".to_owned())
    } else {
        None
    }
}

/// The fault of a host's name, if it has one.
fn fault_of_host(host: &str) -> Option<String> {
    let obeyed = |c: &char| OBEYED_IN_HOSTS.contains(*c);
    if host.starts_with('-') {
        Some("it begins with '-'".to_owned())
    } else if host.chars().any(|c| c.is_ascii_control()) {
        Some("it contains a control character".to_owned())
    } else if host.contains(' ') {
        Some("it contains a blank".to_owned())
    } else {
        let found = host.chars().find(obeyed);
        found.map(|c| format!("it contains {c:?}"))
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// True if `ssh` takes the user and the host; it connects nowhere.
    fn taken_by_ssh(user: &str, host: &str) -> bool {
        let output = Command::new("ssh")
            .args(["-F", "none", "-G", "-l", user, "--", host])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        // It may find other faults in its configuration for such a host.
        !String::from_utf8_lossy(&output.stderr).contains("contains invalid characters")
    }

    #[test]
    fn users_and_hosts_are_those_that_ssh_takes() {
        if Command::new("ssh").arg("-V").output().is_err() {
            assert!(
                std::env::var_os("CI").is_none_or(|ci| ci != "true"),
                "ssh is not installed"
            );
            println!("skipped: ssh is not installed");
            return;
        }
        let special = (1..=127_u8)
            .map(char::from)
            .filter(|c| !c.is_ascii_alphanumeric());
        for c in special.chain(['x', '7', 'ä']) {
            for name in [format!("{c}a"), format!("a{c}-"), format!("a{c}")] {
                let user_fault = fault_of_user(&name);
                assert_eq!(taken_by_ssh(&name, "h"), user_fault.is_none(), "{name:?}");
                if c == '@' {
                    // ssh takes what is before it for a user.
                    continue;
                }
                let host_fault = fault_of_host(&name);
                assert_eq!(taken_by_ssh("u", &name), host_fault.is_none(), "{name:?}");
            }
        }
    }

    fn target(label: &str, user: Option<&str>, transport: Option<TransportKind>) -> Target {
        Target {
            label: label.into(),
            host: label.into(),
            user: user.map(Into::into),
            port: None,
            transport,
            callback_from: None,
            inventory: None,
        }
    }

    #[test]
    fn only_targets_that_are_concerned_are_refused() {
        let bad = Some("a;b");
        let targets = [
            target("n1", bad, None),
            target("n2", bad, None),
            target("x", Some("ok"), None),
        ];
        let said = |default, user, exec_takes_user| {
            let checked = check(&targets, default, user, exec_takes_user);
            checked.map_err(|error| error.to_string())
        };
        insta::assert_snapshot!(
            said(TransportKind::OpenSsh, None, false).unwrap_err(),
            @r#"cannot use the remote user "a;b" of n[1-2]: it contains ';', and a shell may read it"#
        );
        assert!(said(TransportKind::Exec, None, true).is_err());
        for (default, exec_takes_user) in [
            (TransportKind::Exec, false),
            (TransportKind::Rsh, true),
            (TransportKind::Ssh, true),
        ] {
            assert_eq!(said(default, Some("-x"), exec_takes_user), Ok(()));
        }
        let host = [target("$(id)", None, Some(TransportKind::OpenSsh))];
        let error = check(&host, TransportKind::Rsh, None, false).unwrap_err();
        insta::assert_snapshot!(error, @r#"cannot use the host name "$(id)" of $(id): it contains '$', and a shell may read it"#);
        let all = [target("n1", None, None)];
        assert!(check(&all, TransportKind::OpenSsh, Some("a\tb"), false).is_err());
    }
}
