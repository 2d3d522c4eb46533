//! RevokedHostKeys: keys that no host may have, whoever it is.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use super::HostKey;
use super::line;
use super::load::{Lines, Piece};
use crate::transport::HostKeyFault;

/// How OpenSSH's binary revocation lists begin.
const KRL: &[u8] = b"SSHKRL\n\0";

/// A list of keys that must not be accepted.
#[derive(Debug)]
pub struct RevokedKeys {
    file: PathBuf,
    keys: HashSet<Vec<u8>>,
}

/// A list that is not known to the end, so that no host can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum RevokedKeysError {
    /// The system says why.
    #[error("cannot read RevokedHostKeys {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is one of OpenSSH's binary lists.
    #[error(
        "RevokedHostKeys {} is a key revocation list (KRL), which only ssh itself reads: give it a \
         plain list of public keys, or use -R openssh",
        path.display()
    )]
    Binary {
        /// The file.
        path: PathBuf,
    },
    /// A line that may have meant some key.
    #[error("RevokedHostKeys {}:{line}: {fault}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        fault: &'static str,
    },
}

impl RevokedKeys {
    /// Reads a plain list: a public key or certificate a line, blank lines, and comments.
    ///
    /// # Errors
    /// The list is not there, or not to be understood. Nothing of that may pass.
    pub fn load(path: &Path) -> Result<RevokedKeys, RevokedKeysError> {
        let failed = |source| RevokedKeysError::Read {
            path: path.to_owned(),
            source,
        };
        let mut keys = HashSet::new();
        let file = File::open(path).map_err(failed)?;
        let mut lines = Lines::new(BufReader::new(file));
        let mut number = 0;
        while let Some(piece) = lines.next().map_err(failed)? {
            number += 1;
            let fault = match piece {
                // The magic has a line end in it.
                Piece::Line(line) if number == 1 && line == &KRL[..KRL.len() - 1] => {
                    return Err(RevokedKeysError::Binary {
                        path: path.to_owned(),
                    });
                }
                Piece::Line(line) if is_blank(line) => continue,
                Piece::Line(mut line) => match line::revoked_key(&mut line) {
                    Ok((_, key)) => {
                        keys.insert(key);
                        continue;
                    }
                    Err(fault) => fault,
                },
                Piece::TooLong(_) => "the line is too long",
            };
            return Err(RevokedKeysError::Line {
                path: path.to_owned(),
                line: number,
                fault,
            });
        }
        Ok(RevokedKeys {
            file: path.to_owned(),
            keys,
        })
    }

    /// Why a host's key, or the authority of its certificate, must not be accepted, if so.
    #[must_use]
    pub fn refusal(&self, host: &str, offered: &HostKey) -> Option<HostKeyFault> {
        let authority = offered
            .certificate()
            .map(|certificate| certificate.authority());
        let revoked = |key: &[u8]| self.keys.contains(key);
        (revoked(offered.key()) || authority.is_some_and(revoked)).then(|| HostKeyFault {
            text: format!(
                "host key {} {} of {host} revoked by file {}",
                offered.kind().word(),
                offered.fingerprint(),
                self.file.display()
            ),
            common: format!("host key revoked by file {}", self.file.display()),
            help: None,
        })
    }
}

fn is_blank(line: &[u8]) -> bool {
    let text = line.trim_ascii_start();
    text.is_empty() || text[0] == b'#'
}
