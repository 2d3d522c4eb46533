//! Adds host keys to a file, for `StrictHostKeyChecking` with the values `accept-new` and `no`.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::file::AddedKey;
use super::host_field::hashed;
use super::{HostKey, HostNames, KnownHostsFile};
use crate::public_key::KeyType;

/// An error while a host key was added to a file.
#[derive(Debug, thiserror::Error)]
pub enum AppendKeyError {
    /// A known_hosts file cannot contain the name: it would be read as something else.
    #[error("cannot add the host key: {name:?} is not a name that a known_hosts file can hold")]
    Name {
        /// Name of the host.
        name: String,
    },
    /// The file or its directory cannot be written.
    #[error("cannot add the host key to {}", path.display())]
    Write {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        #[source]
        source: io::Error,
    },
}

impl KnownHostsFile {
    /// Adds the key of a host at the end of the file, with a single write, and to the keys in memory. The line has
    /// the name of the host and, if it is checked, the address. A new file has mode 0600, and a new directory has
    /// mode 0700.
    ///
    /// A key that this process has added before is not added again: one host may have several names.
    ///
    /// # Errors
    /// Returns an error if the key cannot be added. The keys in memory are unchanged then.
    pub fn append(
        &self,
        names: &HostNames,
        key: &HostKey,
        hash_names: bool,
    ) -> Result<(), AppendKeyError> {
        // The lock covers the write, so that two threads cannot both find that the key is missing.
        let mut added = self.lock_added();
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
        if let Some(name) = hosts.iter().find(|name| !is_representable(name)) {
            return Err(AppendKeyError::Name {
                name: (*name).to_owned(),
            });
        }
        let failed = |source| AppendKeyError::Write {
            path: self.path().to_owned(),
            source,
        };
        let text = lines(&hosts, key, hash_names).map_err(failed)?;
        write(self.path(), text).map_err(failed)?;
        added.extend(hosts.into_iter().map(|name| AddedKey {
            name: name.as_bytes().into(),
            kind: key.kind(),
            key: key.key().to_vec(),
        }));
        Ok(())
    }

    /// Returns the names of the hosts that this process has added, each with the type of its key.
    #[must_use]
    pub fn added(&self) -> Vec<(String, KeyType)> {
        let added = self.lock_added();
        let names = added.iter().map(|added| {
            let name = String::from_utf8_lossy(&added.name).into_owned();
            (name, added.kind)
        });
        names.collect()
    }
}

fn lines(hosts: &[&str], key: &HostKey, hash_names: bool) -> io::Result<String> {
    let key = format!("{} {}\n", key.kind().name(), STANDARD.encode(key.key()));
    if !hash_names {
        return Ok(format!("{} {key}", hosts.join(",")));
    }
    // A hash is one of a single name, so each name needs a line.
    let mut text = String::new();
    for host in hosts {
        let mut salt = [0; 20];
        openssl::rand::rand_bytes(&mut salt).map_err(io::Error::other)?;
        text.push_str(&format!("{} {key}", hashed(host.as_bytes(), &salt)));
    }
    Ok(text)
}

/// True if a line that starts with the name applies to that host and to no other.
fn is_representable(name: &str) -> bool {
    let first = name.as_bytes().first();
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b',' | b'*' | b'?' | b'"');
    // At the start, these would begin a negation, a hash, a marker or a comment.
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
    // After a last line without a newline, the new one would be a part of it.
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            text.insert(0, '\n');
        }
    }
    // One write(2) with O_APPEND, so that lines of several processes do not mix.
    match file.write(text.as_bytes())? {
        n if n == text.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}
