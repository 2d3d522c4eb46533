//! Tests of whole configurations. The fields that `ssh -G` shows are compared with it in the tests of mrsh.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::*;

mod errors;
mod files;
mod hosts;
mod keywords;

/// A home directory with files, and options.
struct Setup {
    directory: tempfile::TempDir,
    options: Vec<ConfigOption>,
}

impl Setup {
    fn new() -> Setup {
        let directory = tempfile::Builder::new().prefix("sshcfg").tempdir().unwrap();
        fs::create_dir_all(directory.path().join("home/.ssh")).unwrap();
        fs::create_dir_all(directory.path().join("etc")).unwrap();
        Setup {
            directory,
            options: Vec::new(),
        }
    }

    /// Makes a home directory with only the user's configuration.
    fn user(text: &str) -> Setup {
        Setup::new().file("home/.ssh/config", text)
    }

    fn file(self, name: &str, text: impl AsRef<[u8]>) -> Setup {
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        self.mode(name, 0o600)
    }

    fn mode(self, name: &str, mode: u32) -> Setup {
        let path = self.directory.path().join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn option(mut self, option: &str) -> Setup {
        self.options.push(ConfigOption::new("-o", option));
        self
    }

    fn sources(&self) -> ConfigSources {
        ConfigSources {
            user_file: UserFile::Default,
            system_file: self.directory.path().join("etc/ssh_config"),
            options: self.options.clone(),
            home: self.directory.path().join("home"),
            local_user: "me".into(),
            uid: uzers::get_current_uid(),
            local_host: "desk.example.com".into(),
            environment: Environment::from([
                ("SOCKET".into(), "/run/agent".into()),
                ("LANG".into(), "C".into()),
                ("LC_ALL".into(), "de".into()),
            ]),
        }
    }

    fn load(&self) -> Result<SshConfig, ConfigError> {
        SshConfig::load(self.sources())
    }

    fn host(&self, name: &str) -> HostConfig {
        self.load().unwrap().host(name, None, None).unwrap()
    }

    /// Returns the error for a host, of the files or of its settings.
    fn error(&self, name: &str) -> ConfigError {
        self.load()
            .and_then(|config| config.host(name, None, None))
            .expect_err("an error")
    }

    /// Returns the text of an error for a host, without the path of the directory and without the position.
    fn message(&self, name: &str) -> String {
        let text = match self.error(name) {
            ConfigError::Line(error) => error.message,
            error => error.to_string(),
        };
        self.shorten(&text)
    }

    /// Returns an error for a host on one line, then the column and the text of its span.
    fn shown(&self, name: &str) -> String {
        let ConfigError::Line(error) = self.error(name) else {
            panic!("an error without a line");
        };
        let text = &error.text[error.span.clone()];
        self.shorten(&format!("{error}\ncolumn {}: {text}", error.column()))
    }

    /// Removes the path of the directory from a text.
    fn shorten(&self, text: &str) -> String {
        text.replace(self.directory.path().to_str().unwrap(), "")
    }
}
