//! The keys for one host, in the order of OpenSSH.

use std::sync::Arc;

use super::Signer;
use super::identities::{Identities, IdentitySettings};
use crate::certificate::Certificate;
use crate::public_key::KeyType;

/// A key in an agent: a plain key or a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentKey {
    /// Blob of the key or certificate, which identifies it in the agent.
    pub blob: Arc<[u8]>,
    /// Comment of the key.
    pub comment: String,
}

/// A key or certificate for a server.
#[derive(Clone, Debug)]
pub struct KeyCandidate {
    /// Blob for the server.
    pub blob: Arc<[u8]>,
    /// Holder of the private key.
    pub holder: KeyHolder,
    /// Name for messages: the path of the file or the agent's comment.
    pub name: String,
}

/// Holder of a private key.
#[derive(Clone, Debug)]
pub enum KeyHolder {
    /// This process.
    Memory(Signer),
    /// The agent, which has the key or certificate with this blob.
    Agent(Arc<[u8]>),
}

impl Identities {
    /// Returns the keys for a host, in this order:
    ///
    /// 1. certificates of `CertificateFile`;
    /// 2. keys of the files that the agent has too;
    /// 3. other keys of the agent, unless `IdentitiesOnly` is on;
    /// 4. other keys of the files.
    ///
    /// Keys that are still encrypted and certificates without a private key are left out.
    #[must_use]
    pub fn candidates(
        &self,
        settings: &IdentitySettings<'_>,
        agent: &[AgentKey],
    ) -> Vec<KeyCandidate> {
        let mut offers = Vec::new();
        for path in settings.certificate_files {
            let Some(blob) = self.certificate(path) else {
                continue;
            };
            let Some(holder) = self.holder(blob, settings, agent) else {
                continue;
            };
            offers.push(KeyCandidate {
                blob: blob.clone(),
                holder,
                name: path.display().to_string(),
            });
        }
        let mut files = Vec::new();
        for path in settings.identity_files {
            let Some(identity) = self.identity(path) else {
                continue;
            };
            if let Some(public) = &identity.public {
                files.push((public.clone(), path));
            }
            // As in ssh, certificates of CertificateFile replace those beside the keys.
            if let Some(certificate) = &identity.certificate
                && settings.certificate_files.is_empty()
            {
                files.push((certificate.clone(), path));
            }
        }
        let mut others = Vec::new();
        // In the order of the agent, as in OpenSSH.
        for AgentKey { blob, comment } in agent {
            match files.iter().position(|(file, _)| file == blob) {
                Some(index) => {
                    let (blob, path) = files.remove(index);
                    offers.push(KeyCandidate {
                        holder: KeyHolder::Agent(blob.clone()),
                        blob,
                        name: path.display().to_string(),
                    });
                }
                None if settings.identities_only => {}
                None => others.push(KeyCandidate {
                    holder: KeyHolder::Agent(blob.clone()),
                    blob: blob.clone(),
                    name: comment.clone(),
                }),
            }
        }
        offers.extend(others);
        for (blob, path) in files {
            if let Some(holder) = self.holder(&blob, settings, agent) {
                offers.push(KeyCandidate {
                    blob,
                    holder,
                    name: path.display().to_string(),
                });
            }
        }
        // A server counts every offer (MaxAuthTries in sshd_config(5)), so no key is offered twice.
        let mut seen = std::collections::HashSet::new();
        offers.retain(|offer| seen.insert(offer.blob.clone()));
        offers
    }

    /// Returns the holder of the private key for a key or certificate. The agent comes before the files.
    fn holder(
        &self,
        blob: &Arc<[u8]>,
        settings: &IdentitySettings<'_>,
        agent: &[AgentKey],
    ) -> Option<KeyHolder> {
        let certificate = match KeyType::of_blob(blob) {
            Some(_) => None,
            None => Some(Certificate::parse_own(blob)?),
        };
        let key = certificate.as_ref().map_or(&**blob, Certificate::key);
        // The agent may have the certificate, or only its key.
        let held = agent
            .iter()
            .find(|held| held.blob == *blob)
            .or_else(|| agent.iter().find(|held| *held.blob == *key));
        if let Some(held) = held {
            return Some(KeyHolder::Agent(held.blob.clone()));
        }
        let private = settings
            .identity_files
            .iter()
            .filter_map(|path| self.identity(path)?.private_key())
            .find(|private| private.public() == key)?;
        Some(KeyHolder::Memory(match certificate {
            Some(_) => Signer::certified(private.clone(), blob.clone()),
            None => Signer::new(private.clone()),
        }))
    }
}
