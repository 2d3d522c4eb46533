//! Variables of an inventory for connections: the connection plugin, the arguments of ssh, and variables that this
//! program ignores.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::InventoryValue;
use crate::targets::TransportKind;

/// Variables of a host beside its address and user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct InventoryVariables {
    /// Settings of ssh_config(5) in order, each with its place in the inventory.
    pub ssh_options: Vec<(Arc<str>, String)>,
    /// The reason why the inventory's connection to this host is not supported, with its place.
    pub refused: Option<String>,
    /// Names of variables that are set and that this program ignores.
    pub ignored: BTreeSet<&'static str>,
    /// The port of the inventory, which is a port of ssh and not of rsh.
    pub port: Option<u16>,
    /// Variables for commands by name, if they were asked for.
    pub env: Vec<(Arc<str>, InventoryValue)>,
}

impl InventoryVariables {
    /// True if the variables change the connection.
    pub(in crate::targets) fn says_something(&self) -> bool {
        !self.ssh_options.is_empty() || self.refused.is_some()
    }

    /// Returns the settings of ssh_config(5) without their places.
    #[must_use]
    pub fn own_settings(&self) -> Vec<String> {
        self.ssh_options
            .iter()
            .map(|(_, text)| text.clone())
            .collect()
    }
}

/// The place of a variable: a file, and its line if that is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct VariablePlace<'a> {
    pub(super) file: &'a str,
    pub(super) line: usize,
}

impl VariablePlace<'_> {
    fn text(self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}

/// Variables that Ansible uses to run a command, and that this program ignores.
const IGNORED: [&str; 12] = [
    "ansible_become",
    "ansible_executable",
    "ansible_host_key_checking",
    "ansible_password",
    "ansible_shell_executable",
    "ansible_shell_type",
    "ansible_ssh_executable",
    "ansible_ssh_host_key_checking",
    "ansible_ssh_pass",
    "ansible_ssh_password",
    "ansible_ssh_retries",
    "ansible_timeout",
];

/// Variables with arguments for ssh, in the order in which Ansible passes them.
const ARGUMENTS: [&str; 3] = [
    "ansible_ssh_args",
    "ansible_ssh_common_args",
    "ansible_ssh_extra_args",
];

/// The value of `ansible_connection`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Plugin {
    /// The default transport of the run.
    Default,
    Known(TransportKind),
    /// The reason why the connection is not supported.
    Refused(String),
}

/// Settings of ssh from one variable, or the reason why the variable is not supported.
type Settings = Result<Vec<(Arc<str>, String)>, String>;

/// Variables for the connection of one host or group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ConnectionVariables {
    plugin: Option<Plugin>,
    key: Option<Settings>,
    arguments: [Option<Settings>; 3],
    /// Ignored variables that are set; true if the value is not false.
    others: BTreeMap<&'static str, bool>,
}

impl ConnectionVariables {
    /// Sets a variable. Ignores variables that are not about connections.
    pub(super) fn set(&mut self, name: &str, value: &str, place: VariablePlace<'_>) {
        let settings = |settings: Result<Vec<String>, String>| -> Settings {
            let from: Arc<str> = place.text().into();
            match settings {
                // Ansible's templates are Jinja2 expressions.
                _ if value.contains("{{") => Err(format!(
                    "{from}: {name} is a template, which only Ansible can fill in"
                )),
                Ok(settings) => Ok(settings
                    .into_iter()
                    .map(|text| (Arc::clone(&from), text))
                    .collect()),
                Err(message) => Err(format!("{from}: {name}: {message}")),
            }
        };
        if let Some(at) = ARGUMENTS.iter().position(|known| *known == name) {
            self.arguments[at] = Some(settings(ssh_settings(value)));
            return;
        }
        match name {
            "ansible_connection" => {
                // Ansible takes short names and fully qualified ones: `ansible.builtin.ssh` is `ssh`.
                let short = value.rsplit('.').next().unwrap_or(value);
                self.plugin = Some(match short {
                    "smart" => Plugin::Default,
                    // All of these are clients of the same protocol.
                    "ssh" | "paramiko" | "paramiko_ssh" | "libssh" => {
                        Plugin::Known(TransportKind::Ssh)
                    }
                    "local" => Plugin::Known(TransportKind::Exec),
                    _ => Plugin::Refused(format!(
                        "{}: the connection {value:?} is unknown here; there are ssh and local",
                        place.text()
                    )),
                });
            }
            "ansible_ssh_private_key_file" | "ansible_private_key_file" => {
                self.key = Some(settings(Ok(vec![format!(
                    "IdentityFile={}",
                    quoted(value)
                )])));
            }
            _ => {
                if let Some(known) = IGNORED.iter().find(|known| **known == name) {
                    let value = value.to_ascii_lowercase();
                    // Only for this variable, false is the same as unset.
                    let off = *known == "ansible_become"
                        && ["false", "no", "off", "0", "n", "f", ""].contains(&value.as_str());
                    self.others.insert(known, !off);
                }
            }
        }
    }

    /// Returns these variables, with those of `other` where one is not set here.
    pub(super) fn or(&self, other: &ConnectionVariables) -> ConnectionVariables {
        let mut others = other.others.clone();
        others.extend(&self.others);
        let argument = |at: usize| {
            self.arguments[at]
                .clone()
                .or_else(|| other.arguments[at].clone())
        };
        ConnectionVariables {
            plugin: self.plugin.clone().or_else(|| other.plugin.clone()),
            key: self.key.clone().or_else(|| other.key.clone()),
            arguments: [argument(0), argument(1), argument(2)],
            others,
        }
    }

    /// Returns the transport, if the connection names one.
    pub(super) fn transport(&self) -> Option<TransportKind> {
        match &self.plugin {
            Some(Plugin::Known(kind)) => Some(*kind),
            Some(Plugin::Default | Plugin::Refused(_)) | None => None,
        }
    }

    /// Returns the variables that a target keeps.
    pub(super) fn variables(&self) -> InventoryVariables {
        let mut refused = match &self.plugin {
            Some(Plugin::Refused(reason)) => Some(reason.clone()),
            Some(Plugin::Default | Plugin::Known(_)) | None => None,
        };
        let mut ssh_options = Vec::new();
        for settings in self.key.iter().chain(self.arguments.iter().flatten()) {
            match settings {
                Ok(settings) => ssh_options.extend(settings.iter().cloned()),
                Err(reason) => refused = refused.or_else(|| Some(reason.clone())),
            }
        }
        let set = self.others.iter().filter(|(_, set)| **set);
        InventoryVariables {
            ssh_options,
            refused,
            ignored: set.map(|(name, _)| *name).collect(),
            port: None,
            env: Vec::new(),
        }
    }
}

/// Quotes a value for ssh_config(5), because it may have blanks.
fn quoted(value: &str) -> String {
    format!("\"{value}\"")
}

/// Returns the settings of ssh_config(5) for arguments of ssh(1).
fn ssh_settings(arguments: &str) -> Result<Vec<String>, String> {
    let words = shlex::split(arguments).ok_or("a quote is never closed")?;
    let mut words = words.into_iter();
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            return Err(format!("{word:?} is no option of ssh"));
        };
        // ssh(1) uses getopt(3): several letters may follow one dash.
        for (at, letter) in letters.char_indices() {
            let setting = match letter {
                '4' => "AddressFamily=inet",
                '6' => "AddressFamily=inet6",
                'A' => "ForwardAgent=yes",
                'a' => "ForwardAgent=no",
                'C' => "Compression=yes",
                'K' => "GSSAPIAuthentication=yes",
                'k' => "GSSAPIDelegateCredentials=no",
                // The effect of these options is the default here, or does not matter to a command.
                'n' | 'q' | 'T' | 't' | 'v' | 'x' => continue,
                _ => {
                    let attached = &letters[at + letter.len_utf8()..];
                    let value = match attached {
                        "" => words.next(),
                        _ => Some(attached.to_owned()),
                    };
                    settings.push(valued(letter, value)?);
                    break;
                }
            };
            settings.push(setting.to_owned());
        }
    }
    Ok(settings)
}

/// Returns the setting for an option of ssh(1) that takes a value.
fn valued(letter: char, value: Option<String>) -> Result<String, String> {
    let keyword = match letter {
        'o' => "",
        'B' => "BindInterface",
        'b' => "BindAddress",
        'c' => "Ciphers",
        'i' => "IdentityFile",
        'J' => "ProxyJump",
        'l' => "User",
        'm' => "MACs",
        'p' => "Port",
        'S' => "ControlPath",
        // One ssh_config file applies to the whole run, not to single hosts.
        'F' => return Err("-F is not for one host: give -F FILE to mrsh".to_owned()),
        _ => {
            return Err(format!(
                "-{letter} is no option of ssh that can be followed here"
            ));
        }
    };
    let value = value.ok_or_else(|| format!("-{letter} needs a value"))?;
    Ok(match keyword {
        "" => value,
        "IdentityFile" => format!("{keyword}={}", quoted(&value)),
        _ => format!("{keyword}={value}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_ssh_are_settings() {
        for (arguments, settings) in [
            ("", &[][..]),
            ("-o Port=7 -oUser=op", &["Port=7", "User=op"]),
            (
                "-o 'ProxyCommand=ssh -W %h:%p gw'",
                &["ProxyCommand=ssh -W %h:%p gw"],
            ),
            (
                "-i ~/key -J gw,gw2 -p 7 -l op",
                &[
                    "IdentityFile=\"~/key\"",
                    "ProxyJump=gw,gw2",
                    "Port=7",
                    "User=op",
                ],
            ),
            (
                "-C4Tvp22",
                &["Compression=yes", "AddressFamily=inet", "Port=22"],
            ),
        ] {
            assert_eq!(ssh_settings(arguments).unwrap(), settings, "{arguments}");
        }
        for (arguments, message) in [
            ("-F x", "-F is not for one host: give -F FILE to mrsh"),
            (
                "-L 1:a:2",
                "-L is no option of ssh that can be followed here",
            ),
            ("host", "\"host\" is no option of ssh"),
            ("-", "\"-\" is no option of ssh"),
            ("-o", "-o needs a value"),
            ("-o 'x", "a quote is never closed"),
        ] {
            assert_eq!(ssh_settings(arguments).unwrap_err(), message);
        }
    }
}
