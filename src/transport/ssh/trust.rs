//! Trust in a server's host key: a comparison with the user's files, and the rules for unknown keys.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;

use ssh_files::{
    HostConfig, HostKey, HostKeyStatus, HostNames, KeyType, KnownHosts, KnownHostsError,
    KnownHostsFile, KnownKeys, RevokedKeys, RevokedKeysError, StrictHostKeyChecking, rsa_bits,
};

use super::algorithms;
use super::end_notices::{EndNotices, additions};
use super::host_key_fault;
use crate::error_text::with_causes;
use crate::event::Notice;
use crate::transport::{HostKeyFault, TransportError};

/// Files with trusted and revoked host keys, each read once.
#[derive(Default)]
pub(super) struct Trust {
    /// Files by their path. Several sets may name the same file, since a name may contain a token for the host.
    files: HashMap<PathBuf, Arc<KnownHostsFile>>,
    /// Known hosts by the set of files.
    known: HashMap<Vec<PathBuf>, KnownHosts>,
    revoked: HashMap<PathBuf, RevokedKeys>,
    /// Notices for the end of the run.
    notices: EndNotices,
}

/// A file that cannot be read, so that no host key can be checked.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A known_hosts file.
    #[error(transparent)]
    Known(#[from] KnownHostsError),
    /// A list of revoked keys.
    #[error(transparent)]
    Revoked(RevokedKeysError),
    /// A list of revoked keys in the binary form, which ssh reads.
    #[error("{0}, or use -R openssh")]
    BinaryList(RevokedKeysError),
}

impl From<RevokedKeysError> for TrustError {
    fn from(error: RevokedKeysError) -> TrustError {
        match error {
            RevokedKeysError::Binary { .. } => TrustError::BinaryList(error),
            _ => TrustError::Revoked(error),
        }
    }
}

/// Decision about a host key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TrustDecision {
    /// The key is known.
    Trusted,
    /// The key differs from the known one, and the user's configuration allows a login. The server gets no password.
    ForKeysOnly,
    /// The files have keys of these types only, which were not asked for first.
    AskFor(Vec<KeyType>),
}

/// Action for a host whose key cannot be added anywhere.
const NO_FILE: &str =
    "name a file with UserKnownHostsFile; /dev/null takes any key and remembers none";

/// Maximum number of files in a notice.
const MAX_FILES: usize = 10;

impl Trust {
    /// Reads the files that a host's configuration names, if they are not read yet.
    pub(super) fn read(
        &mut self,
        host: &HostConfig,
        notes: &mut Vec<Notice>,
    ) -> Result<(), TrustError> {
        if let Entry::Vacant(place) = self.known.entry(files(host)) {
            let mut known = Vec::with_capacity(place.key().len());
            for path in place.key() {
                let file = match self.files.get(path) {
                    Some(file) => Arc::clone(file),
                    None => {
                        let file = Arc::new(KnownHostsFile::load(path)?);
                        notes.extend(file.notices().iter().map(Notice::from));
                        self.files.insert(path.clone(), Arc::clone(&file));
                        file
                    }
                };
                known.push(file);
            }
            place.insert(KnownHosts::new(known));
        }
        if let Some(path) = &host.revoked_host_keys
            && !self.revoked.contains_key(path)
        {
            self.revoked.insert(path.clone(), RevokedKeys::load(path)?);
        }
        Ok(())
    }

    /// Returns the known keys of a host. The host need not have sent a key yet.
    pub(super) fn expected(&self, host: &HostConfig, names: &HostNames) -> Option<KnownKeys> {
        Some(self.known.get(&files(host))?.known_keys(names))
    }

    /// Decides about the key that a server has proved to own. `asked` is true if keys of the known types were asked
    /// for first.
    pub(super) fn check(
        &self,
        host: &HostConfig,
        names: &HostNames,
        blob: &[u8],
        asked: bool,
    ) -> Result<TrustDecision, TransportError> {
        let refused = |fault: HostKeyFault| TransportError::HostKey {
            fault: Box::new(fault),
        };
        let Some(key) = HostKey::parse(blob) else {
            return Err(refused(HostKeyFault::same(
                "the server's host key is of no kind that can be checked: try -R openssh"
                    .to_owned(),
            )));
        };
        let key = match &host.ca_signature_algorithms {
            Some(spec) => key.accept_ca_algorithms(&algorithms::accepted(spec)),
            None => key,
        };
        if let Some(bits) = rsa_bits(blob).filter(|&bits| bits < host.required_rsa_size) {
            return Err(refused(HostKeyFault::same(format!(
                "its host key is an RSA key of {bits} bits, and RequiredRSASize demands {}",
                host.required_rsa_size
            ))));
        }
        if let Some(path) = &host.revoked_host_keys {
            let revoked = self.revoked.get(path);
            let refusal = match revoked {
                Some(list) => list
                    .contains(&key)
                    .then(|| host_key_fault::revoked(list, names, &key)),
                // ssh_config(5): if the list cannot be read, every host is refused.
                None => Some(HostKeyFault::same(format!(
                    "RevokedHostKeys {} was not read",
                    path.display()
                ))),
            };
            if let Some(fault) = refusal {
                return Err(refused(fault));
            }
        }
        let Some(known) = self.known.get(&files(host)) else {
            return Err(refused(HostKeyFault::same(
                "its known_hosts files were not read".to_owned(),
            )));
        };
        let status = known.check(names, &key);
        let Some(error) = status.error(names, &key) else {
            return Ok(TrustDecision::Trusted);
        };
        let refusal = host_key_fault::refused(&error);
        match (&status, host.strict) {
            // A server with several keys may have shown one of an unknown type, so a known type is asked for first.
            (HostKeyStatus::Changed(changed), _)
                if !asked && changed.is_of_another_type(key.kind()) =>
            {
                Ok(TrustDecision::AskFor(changed.known.clone()))
            }
            (
                HostKeyStatus::Unknown { .. },
                StrictHostKeyChecking::AcceptNew | StrictHostKeyChecking::No,
            ) => {
                let first = host.user_known_hosts_files.first();
                let Some(file) = first.and_then(|path| known.file(path)) else {
                    // Without a file to add to, accept-new would accept every key each time. OpenSSH refuses it too.
                    let mut fault = refusal;
                    fault.common =
                        "no host key is known, and UserKnownHostsFile none leaves no file to add one to"
                            .to_owned();
                    fault.text = format!(
                        "no {} host key is known for {}, and UserKnownHostsFile none leaves no file to add it to; \
                         its key is {}; {NO_FILE}",
                        key.kind().word(),
                        names.name(),
                        key.fingerprint()
                    );
                    fault.help = Some(NO_FILE);
                    return Err(refused(fault));
                };
                // As in ssh, a key that cannot be added is accepted all the same.
                if let Err(error) = file.append(names, &key, host.hash_known_hosts) {
                    let text = with_causes(&error);
                    let alone = format!("{}: {text}", names.name());
                    self.notices.add_for(names.name(), text, alone);
                }
                Ok(TrustDecision::Trusted)
            }
            (HostKeyStatus::Changed(_), StrictHostKeyChecking::No) => {
                let used = "it was used, because StrictHostKeyChecking is off";
                let HostKeyFault { text, common, .. } = refusal;
                self.notices.add_for(
                    names.name(),
                    format!("{common}; {used}"),
                    format!("{text}; {used}"),
                );
                // ssh also sends no password here, because somebody may be in the middle.
                Ok(TrustDecision::ForKeysOnly)
            }
            _ => Err(refused(refusal)),
        }
    }

    /// Adds a notice for the end of the run.
    pub(super) fn add_remark(&self, text: String) {
        self.notices.add(text);
    }

    /// Returns the notices for the end of the run: first the files to which keys were added.
    pub(super) fn notices(&self) -> Vec<String> {
        let files = self.files.values();
        let mut all: Vec<String> = files.filter_map(|file| additions(file)).collect();
        // The map of the files has no order.
        all.sort_unstable();
        if let Some(more @ 1..) = all.len().checked_sub(MAX_FILES) {
            all.truncate(MAX_FILES);
            all.push(format!(
                "permanently added to {more} more files of known hosts"
            ));
        }
        all.extend(self.notices.all());
        all
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trust")
            .field("files", &self.files.keys())
            .finish_non_exhaustive()
    }
}

/// Returns the files in which a host's key is looked up.
fn files(host: &HostConfig) -> Vec<PathBuf> {
    let user = host.user_known_hosts_files.iter();
    user.chain(&host.global_known_hosts_files)
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::ssh::testing::configured;

    #[test]
    fn each_file_is_read_once_for_all_hosts() {
        let mut trust = Trust::default();
        for name in ["a", "b", "c", "a"] {
            let files = [
                "UserKnownHostsFile=/none/%h",
                "GlobalKnownHostsFile=/none/all",
            ];
            trust
                .read(&configured(name, &files), &mut Vec::new())
                .unwrap();
        }
        assert_eq!((trust.known.len(), trust.files.len()), (3, 4));
        let all = &trust.files[&PathBuf::from("/none/all")];
        assert_eq!(Arc::strong_count(all), 4);
    }
}
