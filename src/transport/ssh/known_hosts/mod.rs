//! Which keys hosts have, by OpenSSH's known_hosts files, with the meaning that OpenSSH 9.2 gives them.
//!
//! [`KnownFile::load`] reads a file once, whichever hosts it is for. Before a connection
//! [`KnownHosts::algorithms`] says what to ask the host for; after the key exchange [`KnownHosts::check`] says
//! what to think of its key. Plain names are looked up by name, hashed names and patterns by the key that came,
//! so that neither gets slower with the length of the files; only a key that is *not* known costs a walk over
//! all lines.
//!
//! Meant differences from OpenSSH, all on the careful side: markers may be followed by a tab (there, a
//! `@revoked` line with one is skipped); a key that is revoked for a host is refused at all of its ports; a line that
//! may revoke a key and cannot be read is an error (there, it is skipped).

mod append;
mod authority;
mod file;
mod host;
mod line;
mod load;
mod order;
mod pattern;
mod refusal;
mod revoked;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

pub use append::AppendError;
pub use file::KnownFile;
pub use host::{HostKey, HostNames, folded};
pub use load::LoadError;
pub use order::KnownKeys;
pub use refusal::{CertificateFault, Changed, HostKeyError, Place, Verdict};
pub use revoked::{RevokedKeys, RevokedKeysError};

use crate::transport::ssh::public::KeyType;
use line::Marker;

/// What a set of known_hosts files says, in their order. Files that several sets have in common are held once.
pub struct KnownHosts {
    files: Vec<Arc<KnownFile>>,
}

impl KnownHosts {
    /// What these files say, in the order of preference: the user's, then the system's.
    #[must_use]
    pub fn new(files: Vec<Arc<KnownFile>>) -> KnownHosts {
        KnownHosts { files }
    }

    /// The file of that path, if it is one of them.
    #[must_use]
    pub fn file(&self, path: &Path) -> Option<&KnownFile> {
        let file = self.files.iter().find(|file| file.path() == path);
        file.map(|file| &**file)
    }

    /// What the files say of a key that a host sent.
    #[must_use]
    pub fn check(&self, names: &HostNames, offered: &HostKey) -> Verdict {
        self.check_at(names, offered, SystemTime::now())
    }

    fn check_at(&self, names: &HostNames, offered: &HostKey, now: SystemTime) -> Verdict {
        if let Some(place) = self.revoked(names, offered) {
            return Verdict::Revoked(place);
        }
        let mut fault = None;
        if let Some(certificate) = offered.certificate() {
            let asked = [Some(names.name()), names.fallback()];
            let authority = asked
                .into_iter()
                .flatten()
                .find_map(|name| self.find(Marker::Authority, name, certificate.authority()));
            match authority {
                None => fault = Some(CertificateFault::Authority),
                Some(place) => {
                    fault = offered
                        .objection()
                        .or_else(|| authority::vouches(certificate, names.principal(), now).err());
                    if fault.is_none() {
                        return Verdict::Trusted(place);
                    }
                }
            }
        }
        // As in OpenSSH, a certificate that is not good is still a key.
        self.check_plain(names, offered, fault)
    }

    fn revoked(&self, names: &HostNames, offered: &HostKey) -> Option<Place> {
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
        certificate: Option<CertificateFault>,
    ) -> Verdict {
        let found = self
            .find(Marker::Key, names.name(), offered.key())
            .or_else(|| self.find_unless_known_otherwise(names, offered));
        match found {
            None => self
                .changed(names.name(), offered, certificate)
                .or_else(|| self.address_changed(names, offered, certificate))
                .map_or(Verdict::Unknown { certificate }, Verdict::Changed),
            Some(place) => self
                .address_changed(names, offered, certificate)
                .map_or(Verdict::Trusted(place), Verdict::Changed),
        }
    }

    /// The keys that are known for the host's address, if the offered one is none of them (CheckHostIP).
    fn address_changed(
        &self,
        names: &HostNames,
        offered: &HostKey,
        certificate: Option<CertificateFault>,
    ) -> Option<Box<Changed>> {
        let address = names.address()?;
        if self.find(Marker::Key, address, offered.key()).is_some() {
            return None;
        }
        let mut changed = self.changed(address, offered, certificate)?;
        changed.is_of_address = true;
        Some(changed)
    }

    /// The key under the host's name without the port, if nothing else is known for the port.
    fn find_unless_known_otherwise(&self, names: &HostNames, offered: &HostKey) -> Option<Place> {
        let place = self.find(Marker::Key, names.fallback()?, offered.key())?;
        self.keys_of(names.name()).is_empty().then_some(place)
    }

    fn changed(
        &self,
        name: &str,
        offered: &HostKey,
        certificate: Option<CertificateFault>,
    ) -> Option<Box<Changed>> {
        let keys = self.keys_of(name);
        let (place, kind) = keys
            .iter()
            .find(|(_, kind)| *kind == offered.kind())
            .or(keys.first())?;
        let mut known: Vec<KeyType> = keys.iter().map(|(_, kind)| *kind).collect();
        known.sort_unstable();
        known.dedup();
        Some(Box::new(Changed {
            place: place.clone(),
            kind: *kind,
            name: name.to_owned(),
            is_of_address: false,
            known,
            certificate,
        }))
    }

    /// A line that says this of that key for the host of that name.
    fn find(&self, marker: Marker, name: &str, key: &[u8]) -> Option<Place> {
        let mut files = self.files.iter();
        files.find_map(|file| file.find(marker, name, key))
    }

    /// All keys that are known for the host of that name, at the cost of asking every line.
    fn keys_of(&self, name: &str) -> Vec<(Place, KeyType)> {
        let files = self.files.iter();
        files.flat_map(|file| file.keys_of(name)).collect()
    }
}
