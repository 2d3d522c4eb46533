//! The check of users and hosts that may reach a shell. `ssh` puts them into the `%r` and `%h` of its own commands
//! (`ProxyCommand`, `Match exec`), and a command of `-R exec` may be a line of shell. The rules are those of OpenSSH's
//! client (`valid_ruser` and `valid_hostname` in ssh.c), which older versions do not have.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::targets::fold;
use crate::targets::{Target, TransportKind};

/// Characters that a shell interprets and that no user name may have.
const SPECIAL_IN_USERS: &str = "'`\";&<>|(){}";

/// Characters that a shell interprets and that no host name may have.
const SPECIAL_IN_HOSTS: &str = "'`\"$\\;&<>|(){},";

/// Names that the words of a command of `-R exec` have, beside the host's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ExecNames {
    /// The remote user.
    pub(super) user: bool,
    /// The label.
    pub(super) label: bool,
}

/// Checks the users, hosts and labels of the targets for which local processes are started.
///
/// # Errors
/// A user, host or label has characters that a shell interprets. The error names all targets that have it.
pub(super) fn check(
    targets: &[Target],
    default: TransportKind,
    user: Option<&str>,
    taken: ExecNames,
) -> Result<(), Error> {
    // Sorted, so that each run reports the same fault first.
    let mut faults: BTreeMap<(&'static str, &str, String), Vec<&str>> = BTreeMap::new();
    for target in targets {
        let taken = match target.transport_or(default) {
            TransportKind::OpenSsh => ExecNames {
                user: true,
                label: false,
            },
            TransportKind::Exec => taken,
            // These names reach no shell of this machine.
            TransportKind::Rsh | TransportKind::Ssh => continue,
        };
        let user = target.user.as_deref().or(user).filter(|_| taken.user);
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
        // A label is often the text that names the target, `user@host` for example.
        if taken.label
            && let Some(fault) = fault_of_user(&target.label)
        {
            let labels = faults.entry(("label", &target.label, fault)).or_default();
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

fn fault_of_user(user: &str) -> Option<String> {
    let special = |c: &char| SPECIAL_IN_USERS.contains(*c);
    if user.starts_with('-') {
        // A program would take it for an option.
        Some("it begins with '-'".to_owned())
    } else if user.chars().any(|c| c.is_ascii_control()) {
        Some("it contains a control character".to_owned())
    } else if let Some(c) = user.chars().find(special) {
        Some(format!("it contains {c:?}"))
    } else if user.contains(" -") {
        // A shell that splits the name would make an option of its second part.
        Some("it contains a blank before '-'".to_owned())
    } else if user.ends_with('\\') {
        // A backslash would change the meaning of the character that follows the name.
        Some("it ends with a backslash".to_owned())
    } else {
        None
    }
}

fn fault_of_host(host: &str) -> Option<String> {
    let special = |c: &char| SPECIAL_IN_HOSTS.contains(*c);
    if host.starts_with('-') {
        // A program would take it for an option.
        Some("it begins with '-'".to_owned())
    } else if host.chars().any(|c| c.is_ascii_control()) {
        Some("it contains a control character".to_owned())
    } else if host.contains(' ') {
        Some("it contains a blank".to_owned())
    } else {
        let found = host.chars().find(special);
        found.map(|c| format!("it contains {c:?}"))
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// Returns true if `ssh` accepts the user and the host. It does not connect.
    fn is_valid_for_ssh(user: &str, host: &str) -> bool {
        let output = Command::new("ssh")
            .args(["-F", "none", "-G", "-l", user, "--", host])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        // The status does not tell: ssh may find other faults for such a host.
        !String::from_utf8_lossy(&output.stderr).contains("contains invalid characters")
    }

    #[test]
    fn users_and_hosts_are_valid_if_ssh_accepts_them() {
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
                assert_eq!(
                    is_valid_for_ssh(&name, "h"),
                    user_fault.is_none(),
                    "{name:?}"
                );
                if c == '@' {
                    // For ssh, the text before an @ is a user.
                    continue;
                }
                let host_fault = fault_of_host(&name);
                assert_eq!(
                    is_valid_for_ssh("u", &name),
                    host_fault.is_none(),
                    "{name:?}"
                );
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
            variables: None,
        }
    }

    #[test]
    fn only_users_and_hosts_that_reach_a_process_are_refused() {
        let bad = Some("a;b");
        let targets = [
            target("n1", bad, None),
            target("n2", bad, None),
            target("x", Some("ok"), None),
        ];
        let none = ExecNames::default();
        let with_user = ExecNames { user: true, ..none };
        let checked = |default, user, taken| {
            let result = check(&targets, default, user, taken);
            result.map_err(|error| error.to_string())
        };
        insta::assert_snapshot!(
            checked(TransportKind::OpenSsh, None, none).unwrap_err(),
            @r#"cannot use the remote user "a;b" of n[1-2]: it contains ';', and a shell may read it"#
        );
        assert!(checked(TransportKind::Exec, None, with_user).is_err());
        for (default, taken) in [
            (TransportKind::Exec, none),
            (TransportKind::Rsh, with_user),
            (TransportKind::Ssh, with_user),
        ] {
            assert_eq!(checked(default, Some("-x"), taken), Ok(()));
        }
        let host = [target("$(id)", None, Some(TransportKind::OpenSsh))];
        let error = check(&host, TransportKind::Rsh, None, none).unwrap_err();
        insta::assert_snapshot!(error, @r#"cannot use the host name "$(id)" of $(id): it contains '$', and a shell may read it"#);
        let all = [target("n1", None, None)];
        assert!(check(&all, TransportKind::OpenSsh, Some("a\tb"), none).is_err());
        let with_label = ExecNames {
            label: true,
            ..none
        };
        let labelled = Target {
            label: "a;id".into(),
            ..target("n1", None, Some(TransportKind::Exec))
        };
        for (taken, is_refused) in [(none, false), (with_label, true)] {
            let labelled = std::slice::from_ref(&labelled);
            let checked = check(labelled, TransportKind::Rsh, None, taken);
            assert_eq!(checked.is_err(), is_refused);
        }
    }
}
