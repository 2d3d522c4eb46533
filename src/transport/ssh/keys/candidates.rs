//! What is offered to one host, and in which order: OpenSSH's.

use std::sync::Arc;

use super::Signer;
use super::identities::{Identities, Wanted};
use crate::transport::ssh::agent::AgentKey;
use crate::transport::ssh::certificate::Certificate;
use crate::transport::ssh::public::KeyType;

/// A key or certificate to offer to a server.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What the server is shown.
    pub blob: Arc<[u8]>,
    /// Who signs then.
    pub with: With,
    /// Where it comes from, for messages: a file, or the agent's comment.
    pub name: String,
}

/// Who holds a private key.
#[derive(Clone, Debug)]
pub enum With {
    /// This process.
    Memory(Signer),
    /// The agent, which knows it by this blob.
    Agent(Arc<[u8]>),
}

impl Identities {
    /// The keys to offer to a host: certificates configured by name, then keys of the files that the
    /// agent has, then (unless only the files count) the agent's others, then those of the files alone.
    /// Keys that were not unlocked and certificates without a key are left out.
    #[must_use]
    pub fn candidates(&self, wanted: &Wanted<'_>, agent: &[AgentKey]) -> Vec<Candidate> {
        let mut offers = Vec::new();
        for path in wanted.certificate_files {
            let Some(blob) = self.certificate(path) else {
                continue;
            };
            let Some(with) = self.key_for(blob, wanted, agent) else {
                continue;
            };
            offers.push(Candidate {
                blob: blob.clone(),
                with,
                name: path.display().to_string(),
            });
        }
        let mut files = Vec::new();
        for path in wanted.identity_files {
            let Some(identity) = self.identity(path) else {
                continue;
            };
            if let Some(public) = &identity.public {
                files.push((public.clone(), path));
            }
            // As in ssh: certificates that are named take the place of those that are found.
            if let Some(certificate) = &identity.certificate
                && wanted.certificate_files.is_empty()
            {
                files.push((certificate.clone(), path));
            }
        }
        let mut others = Vec::new();
        for AgentKey { blob, comment } in agent {
            match files.iter().position(|(file, _)| file == blob) {
                Some(index) => {
                    let (blob, path) = files.remove(index);
                    offers.push(Candidate {
                        with: With::Agent(blob.clone()),
                        blob,
                        name: path.display().to_string(),
                    });
                }
                None if wanted.identities_only => {}
                None => others.push(Candidate {
                    with: With::Agent(blob.clone()),
                    blob: blob.clone(),
                    name: comment.clone(),
                }),
            }
        }
        offers.extend(others);
        for (blob, path) in files {
            if let Some(with) = self.key_for(&blob, wanted, agent) {
                offers.push(Candidate {
                    blob,
                    with,
                    name: path.display().to_string(),
                });
            }
        }
        let mut seen = std::collections::HashSet::new();
        offers.retain(|offer| seen.insert(offer.blob.clone()));
        offers
    }

    /// Who signs for a key or certificate: the agent rather than a file.
    fn key_for(&self, blob: &Arc<[u8]>, wanted: &Wanted<'_>, agent: &[AgentKey]) -> Option<With> {
        let certificate = match KeyType::of_blob(blob) {
            Some(_) => None,
            None => Some(Certificate::parse_own(blob)?),
        };
        let key = certificate.as_ref().map_or(&**blob, Certificate::key);
        let held = agent
            .iter()
            .find(|held| held.blob == *blob)
            .or_else(|| agent.iter().find(|held| *held.blob == *key));
        if let Some(held) = held {
            return Some(With::Agent(held.blob.clone()));
        }
        let secret = wanted
            .identity_files
            .iter()
            .filter_map(|path| self.identity(path)?.secret())
            .find(|secret| secret.public() == key)?;
        Some(With::Memory(match certificate {
            Some(_) => Signer::certified(secret.clone(), blob.clone()),
            None => Signer::new(secret.clone()),
        }))
    }
}
