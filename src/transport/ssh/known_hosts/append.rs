//! Adding a host's key to a file, for `StrictHostKeyChecking=accept-new` and `no`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::file::Added;
use super::folded;
use super::pattern::hashed;
use super::{HostKey, HostNames, KnownFile};
use crate::random;

/// The file that forgets what is written to it.
const NOWHERE: &str = "/dev/null";

/// A key that could not be added.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The name would not be read again as what it is.
    #[error("cannot add the host key: {name:?} is not a name that a known_hosts file can hold")]
    Name {
        /// The name.
        name: String,
    },
    /// The file, or its directory.
    #[error("cannot add the host key to {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl KnownFile {
    /// Adds a host's key to the end of the file, in one write, under its name and its address if that is
    /// looked at, and to what is known in this run. The file is made for the user alone (0600), and
    /// so is its directory (0700). A key that is known by now, since the same host was called under
    /// another label, is not added twice.
    ///
    /// # Errors
    /// It could not be added; then it is not known in this run either.
    pub fn append(
        &self,
        names: &HostNames,
        key: &HostKey,
        hash_names: bool,
    ) -> Result<(), AppendError> {
        // Held over the write, so that two tasks do not both find that it is missing.
        let mut added = self.added();
        let hosts: Vec<&str> = [Some(names.name()), names.address()]
            .into_iter()
            .flatten()
            .collect();
        let is_known = |name: &str| {
            added
                .iter()
                .any(|added| *added.name == *name.as_bytes() && added.key == key.key())
        };
        if hosts.iter().all(|name| is_known(name)) {
            return Ok(());
        }
        if let Some(name) = hosts.iter().find(|name| !can_be_held(name)) {
            return Err(AppendError::Name {
                name: (*name).to_owned(),
            });
        }
        let failed = |source| AppendError::Write {
            path: self.path().to_owned(),
            source,
        };
        let text = lines(&hosts, key, hash_names).map_err(failed)?;
        write(self.path(), text).map_err(failed)?;
        added.extend(hosts.into_iter().map(|name| Added {
            name: name.as_bytes().into(),
            kind: key.kind(),
            key: key.key().to_vec(),
        }));
        Ok(())
    }

    /// Names the hosts that were added in this run, folded, in OpenSSH's words; `None` if none was.
    #[must_use]
    pub fn additions(&self) -> Option<String> {
        let added = self.added();
        let mut names: BTreeMap<&str, Vec<Cow<'_, str>>> = BTreeMap::new();
        for added in added.iter() {
            let name = String::from_utf8_lossy(&added.name);
            names.entry(added.kind.word()).or_default().push(name);
        }
        if names.is_empty() {
            return None;
        }
        let named: Vec<String> = names
            .into_iter()
            .map(|(kind, names)| format!("{} ({kind})", folded(names.iter().map(|name| &**name))))
            .collect();
        let named = named.join(", ");
        Some(match self.path() == Path::new(NOWHERE) {
            true => format!(
                "accepted in this run and not remembered, for {NOWHERE} keeps no keys: {named}"
            ),
            false => format!(
                "permanently added to the known hosts in {}: {named}",
                self.path().display()
            ),
        })
    }
}

fn lines(hosts: &[&str], key: &HostKey, hash_names: bool) -> io::Result<String> {
    let key = format!("{} {}\n", key.kind().name(), STANDARD.encode(key.key()));
    if !hash_names {
        return Ok(format!("{} {key}", hosts.join(",")));
    }
    let mut text = String::new();
    for host in hosts {
        let mut salt = [0; 20];
        random::fill(&mut salt)?;
        text.push_str(&format!("{} {key}", hashed(host.as_bytes(), &salt)));
    }
    Ok(text)
}

/// Whether a line that begins with the name is about that host and no other.
fn can_be_held(name: &str) -> bool {
    let first = name.as_bytes().first();
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b',' | b'*' | b'?' | b'"');
    first.is_some_and(|byte| !matches!(byte, b'!' | b'|' | b'@' | b'#')) && name.bytes().all(plain)
}

fn write(path: &Path, mut text: String) -> io::Result<()> {
    if let Some(folder) = path.parent()
        && !folder.as_os_str().is_empty()
        && !folder.exists()
    {
        DirBuilder::new().mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            text.insert(0, '\n');
        }
    }
    match file.write(text.as_bytes())? {
        n if n == text.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}
