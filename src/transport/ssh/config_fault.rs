//! Errors and ignored settings of the ssh configuration, with the program's own form and advice.

use ssh_files::{ConfigError, ConfigLineError, ConfigLineErrorKind, IgnoredSetting};

use crate::error_text::with_causes;
use crate::targets::{Diagnostic, Origin};

/// Advice for settings that only ssh itself supports.
const SYSTEM_SSH: &str = "-R openssh runs the system's ssh, which has it";

/// An error of the ssh configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFault {
    /// An error in a line, shown with the line and a caret.
    #[error("{diagnostic}")]
    Line {
        /// The error on several lines.
        diagnostic: Box<Diagnostic>,
        /// The error on one line.
        short: String,
    },
    /// Any other error.
    #[error(transparent)]
    Other(ConfigError),
}

impl ConfigFault {
    /// Returns the error on one line, with its causes, for reports with one line for each host.
    #[must_use]
    pub fn one_line(&self) -> String {
        match self {
            ConfigFault::Line { short, .. } => short.clone(),
            ConfigFault::Other(error) => with_causes(error),
        }
    }
}

impl From<ConfigError> for ConfigFault {
    fn from(error: ConfigError) -> ConfigFault {
        match error {
            ConfigError::Line(error) => line_fault(advised(*error)),
            other => ConfigFault::Other(other),
        }
    }
}

fn line_fault(error: ConfigLineError) -> ConfigFault {
    let origin = match error.line {
        Some(line) => Origin::line(&error.origin, line),
        None => Origin::named(&error.origin),
    };
    let short = error.to_string();
    let ConfigLineError {
        text,
        span,
        message,
        help,
        ..
    } = error;
    ConfigFault::Line {
        diagnostic: Box::new(Diagnostic::new(&origin, &text, span, message, help)),
        short,
    }
}

/// Adds the name of the transport and the options of this program to an error.
fn advised(mut error: ConfigLineError) -> ConfigLineError {
    match error.kind {
        ConfigLineErrorKind::Unsupported {
            keyword,
            supported_value,
        } => {
            error.message.push_str(" by the built-in ssh");
            error.help = Some(match (keyword, supported_value) {
                // ssh refuses RemoteCommand beside a command too.
                ("RemoteCommand", _) => "--ssh-option RemoteCommand=none sets it aside".to_owned(),
                (_, Some(value)) => {
                    format!("{SYSTEM_SSH}; --ssh-option {keyword}={value} does without")
                }
                (_, None) => SYSTEM_SSH.to_owned(),
            });
        }
        ConfigLineErrorKind::NoAuthentication => {
            "no way to log in is left: the built-in ssh has publickey, password and keyboard-interactive, and all are \
             turned off"
                .clone_into(&mut error.message);
            error.help = Some("-R openssh runs the system's ssh, which has more".to_owned());
        }
        _ => {}
    }
    error
}

/// Returns the text of a notice about an ignored setting.
pub(super) fn ignored(setting: &IgnoredSetting) -> String {
    match setting.keyword {
        "ConnectionAttempts" => {
            let mut setting = setting.clone();
            setting.reason = "--retries N tries failed hosts again";
            setting.to_string()
        }
        "GSSAPIAuthentication" | "GSSAPIDelegateCredentials" | "HostbasedAuthentication" => {
            format!("{setting}; -R openssh has it")
        }
        _ => setting.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use ssh_files::{ConfigOption, ConfigSources, Environment, SshConfig, UserFile};

    use super::*;

    fn load(file: &str, options: &[&str]) -> Result<(SshConfig, String), ConfigFault> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config");
        std::fs::write(&path, file).unwrap();
        let options = options.iter();
        let config = SshConfig::load(ConfigSources {
            user_file: UserFile::Only(path),
            system_file: "none".into(),
            options: options
                .map(|&text| ConfigOption::new("--ssh-option", text))
                .collect(),
            home: "/home/me".into(),
            local_user: "me".into(),
            uid: 1000,
            local_host: "desk".into(),
            environment: Environment::new(),
        })?;
        Ok((config, directory.path().to_str().unwrap().to_owned()))
    }

    fn fault(file: &str, options: &[&str]) -> ConfigFault {
        let host = load(file, options)
            .and_then(|(config, _)| config.host("a", None, None).map_err(ConfigFault::from));
        host.expect_err("an error")
    }

    /// Both forms of an error, without the directory.
    fn shown(file: &str, options: &[&str]) -> String {
        let fault = fault(file, options);
        let text = format!("{fault}\n{}", fault.one_line());
        let path = text
            .split_whitespace()
            .find_map(|word| Some(word.split_once("/config:")?.0.to_owned()));
        path.map_or(text.clone(), |path| text.replace(&path, ""))
    }

    #[test]
    fn errors_are_shown_with_their_line() {
        insta::assert_snapshot!(shown("Host a\n  Prot 22\n", &[]), @"
        bad configuration option: Prot
         --> /config:2:3
          |
          |   Prot 22
          |   ^^^^
          = help: did you mean Port?
        /config:2: bad configuration option: Prot (did you mean Port?)
        ");
        insta::assert_snapshot!(shown("", &["Port=99999"]), @"
        bad port '99999'
         --> --ssh-option, column 6
          |
          | Port=99999
          |      ^^^^^
        --ssh-option Port=99999: bad port '99999'
        ");
    }

    #[test]
    fn unsupported_settings_have_advice() {
        insta::assert_snapshot!(shown("Match exec \"test x\"\n  User me\n", &[]), @r#"
        Match exec is not supported by the built-in ssh
         --> /config:1:1
          |
          | Match exec "test x"
          | ^^^^^^^^^^^^^^^^^^^
          = help: -R openssh runs the system's ssh, which has it
        /config:1: Match exec is not supported by the built-in ssh (-R openssh runs the system's ssh, which has it)
        "#);
        for (option, expected) in [
            (
                "ProxyCommand=nc %h",
                "ProxyCommand is not supported by the built-in ssh (-R openssh runs the system's ssh, which has it; \
                 --ssh-option ProxyCommand=none does without)",
            ),
            (
                "RemoteCommand=x",
                "RemoteCommand is not supported by the built-in ssh (--ssh-option RemoteCommand=none sets it aside)",
            ),
            (
                "PreferredAuthentications=hostbased",
                "no way to log in is left: the built-in ssh has publickey, password and keyboard-interactive, and all \
                 are turned off (-R openssh runs the system's ssh, which has more)",
            ),
        ] {
            let text = fault("", &[option]).one_line();
            assert_eq!(text, format!("--ssh-option {option}: {expected}"));
        }
    }

    #[test]
    fn a_missing_file_has_its_cause_on_the_same_line() {
        let sources = ConfigError::Read {
            file: "/nowhere".into(),
            source: std::io::ErrorKind::NotFound.into(),
        };
        let text = ConfigFault::from(sources).one_line();
        assert_eq!(
            text,
            "cannot read the ssh configuration /nowhere: entity not found"
        );
    }

    #[test]
    fn ignored_settings_have_advice() {
        let file = "GSSAPIAuthentication yes\nConnectionAttempts 3\nIPQoS af21\n";
        let (config, directory) = load(file, &[]).unwrap();
        let host = config.host("a", None, None).unwrap();
        let mut texts: Vec<String> = host.ignored.iter().map(ignored).collect();
        texts
            .iter_mut()
            .for_each(|text| *text = text.replace(&directory, ""));
        texts.sort_unstable();
        assert_eq!(
            texts,
            [
                "/config:1: GSSAPIAuthentication is ignored: there is no GSSAPI; -R openssh has it",
                "/config:2: ConnectionAttempts is ignored: --retries N tries failed hosts again",
                "/config:3: IPQoS is ignored: packets are not marked",
            ]
        );
    }
}
