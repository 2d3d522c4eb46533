//! known_hosts files, with the rules of OpenSSH 9.2.
//!
//! Plain names are searched by name, and hashed names and patterns by key. The time of both does not depend on the size
//! of the files. Only the search for a key that is *not* known compares the name with all lines.

mod append;
mod file;
mod host_certificate;
mod host_field;
mod host_key;
mod line;
mod order;
mod read;
mod status;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

pub use append::AppendKeyError;
pub use file::KnownHostsFile;
pub use host_key::{HostKey, HostNames};
pub use order::KnownKeys;
pub use read::KnownHostsError;
pub use status::{CertificateRejection, ChangedKey, HostKeyError, HostKeyStatus, LineLocation};

use crate::public_key::KeyType;
use line::Marker;
pub(crate) use line::revoked_key;

/// A list of known_hosts files. Several lists can share a file.
///
/// The rules are those of OpenSSH 9.2, with these differences, all on the safe side:
///
/// - A tab may follow a marker. OpenSSH skips such a `@revoked` line.
/// - A key that is revoked for a host is refused at all of its ports.
/// - A line that may revoke a key and cannot be read is an error. OpenSSH skips it.
///
/// ```no_run
/// use std::path::Path;
/// use std::sync::Arc;
///
/// use ssh_files::{HostKey, HostKeyStatus, HostNames, KnownHosts, KnownHostsFile};
///
/// # fn offered_by_the_server() -> Vec<u8> { Vec::new() }
/// let file = KnownHostsFile::load(Path::new("/home/me/.ssh/known_hosts"))?;
/// let known = KnownHosts::new(vec![Arc::new(file)]);
/// let names = HostNames::new("web1", 22, None);
/// // The blob from the key exchange.
/// let key = HostKey::parse(&offered_by_the_server()).expect("a host key");
/// match known.check(&names, &key) {
///     HostKeyStatus::Trusted(location) => println!("known by {location}"),
///     other => println!("{}", other.error(&names, &key).expect("the key is not trusted")),
/// }
/// # Ok::<(), ssh_files::KnownHostsError>(())
/// ```
pub struct KnownHosts {
    files: Vec<Arc<KnownHostsFile>>,
}

impl KnownHosts {
    /// Makes a list in the order of the search: usually the user's files, then the system's.
    #[must_use]
    pub fn new(files: Vec<Arc<KnownHostsFile>>) -> KnownHosts {
        KnownHosts { files }
    }

    /// Returns the file with a path, if it is in the list.
    #[must_use]
    pub fn file(&self, path: &Path) -> Option<&KnownHostsFile> {
        let file = self.files.iter().find(|file| file.path() == path);
        file.map(|file| &**file)
    }

    /// Checks the key that a host offers.
    #[must_use]
    pub fn check(&self, names: &HostNames, offered: &HostKey) -> HostKeyStatus {
        self.check_at(names, offered, SystemTime::now())
    }

    fn check_at(&self, names: &HostNames, offered: &HostKey, now: SystemTime) -> HostKeyStatus {
        if let Some(location) = self.revoked(names, offered) {
            return HostKeyStatus::Revoked(location);
        }
        let mut rejection = None;
        if let Some(certificate) = offered.certificate() {
            let asked = [Some(names.name()), names.fallback()];
            let authority = asked
                .into_iter()
                .flatten()
                .find_map(|name| self.find(Marker::Authority, name, certificate.authority()));
            match authority {
                None => rejection = Some(CertificateRejection::Authority),
                Some(location) => {
                    rejection = offered.rejection().or_else(|| {
                        host_certificate::check(certificate, names.principal(), now).err()
                    });
                    if rejection.is_none() {
                        return HostKeyStatus::Trusted(location);
                    }
                }
            }
        }
        // As in OpenSSH, the key in a rejected certificate can still be known as a plain key.
        self.check_plain(names, offered, rejection)
    }

    fn revoked(&self, names: &HostNames, offered: &HostKey) -> Option<LineLocation> {
        let authority = offered
            .certificate()
            .map(|certificate| certificate.authority());
        [Some(offered.key()), authority]
            .into_iter()
            .flatten()
            .find_map(|key| {
                names
                    .all()
                    .find_map(|name| self.find(Marker::Revoked, name, key))
            })
    }

    fn check_plain(
        &self,
        names: &HostNames,
        offered: &HostKey,
        certificate: Option<CertificateRejection>,
    ) -> HostKeyStatus {
        let found = self
            .find(Marker::Key, names.name(), offered.key())
            .or_else(|| self.find_unless_known_otherwise(names, offered));
        match found {
            None => self
                .changed(names.name(), offered, certificate)
                .or_else(|| self.address_changed(names, offered, certificate))
                .map_or(
                    HostKeyStatus::Unknown { certificate },
                    HostKeyStatus::Changed,
                ),
            Some(location) => self
                .address_changed(names, offered, certificate)
                .map_or(HostKeyStatus::Trusted(location), HostKeyStatus::Changed),
        }
    }

    /// Returns the keys of the address, if there are any and the offered key is not among them (`CheckHostIP`).
    fn address_changed(
        &self,
        names: &HostNames,
        offered: &HostKey,
        certificate: Option<CertificateRejection>,
    ) -> Option<Box<ChangedKey>> {
        let address = names.address()?;
        if self.find(Marker::Key, address, offered.key()).is_some() {
            return None;
        }
        let mut changed = self.changed(address, offered, certificate)?;
        changed.is_of_address = true;
        Some(changed)
    }

    /// Searches the key under the name without a port, if no key is known for the name with the port.
    fn find_unless_known_otherwise(
        &self,
        names: &HostNames,
        offered: &HostKey,
    ) -> Option<LineLocation> {
        let location = self.find(Marker::Key, names.fallback()?, offered.key())?;
        self.keys_of(names.name()).is_empty().then_some(location)
    }

    fn changed(
        &self,
        name: &str,
        offered: &HostKey,
        certificate: Option<CertificateRejection>,
    ) -> Option<Box<ChangedKey>> {
        let keys = self.keys_of(name);
        let (location, kind) = keys
            .iter()
            .find(|(_, kind)| *kind == offered.kind())
            .or(keys.first())?;
        let mut known: Vec<KeyType> = keys.iter().map(|(_, kind)| *kind).collect();
        known.sort_unstable();
        known.dedup();
        Some(Box::new(ChangedKey {
            location: location.clone(),
            kind: *kind,
            name: name.to_owned(),
            is_of_address: false,
            known,
            certificate,
        }))
    }

    /// Returns the first line with a marker and a key that applies to a host name.
    fn find(&self, marker: Marker, name: &str, key: &[u8]) -> Option<LineLocation> {
        let mut files = self.files.iter();
        files.find_map(|file| file.find(marker, name, key))
    }

    /// Returns all keys of a host name. This compares the name with all lines.
    fn keys_of(&self, name: &str) -> Vec<(LineLocation, KeyType)> {
        let files = self.files.iter();
        files.flat_map(|file| file.keys_of(name)).collect()
    }
}
