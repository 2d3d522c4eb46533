//! Lists of revoked keys (`RevokedHostKeys`).

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use crate::bounded_lines::{BoundedLine, BoundedLines};
use crate::known_hosts::{HostKey, revoked_key};

/// Start of OpenSSH's binary key revocation lists.
const KRL: &[u8] = b"SSHKRL\n\0";

/// A list of keys that are never accepted, whatever the host.
#[derive(Debug)]
pub struct RevokedKeys {
    path: PathBuf,
    keys: HashSet<Vec<u8>>,
}

/// An error while a list of revoked keys was read. No host can be trusted without the whole list.
#[derive(Debug, thiserror::Error)]
pub enum RevokedKeysError {
    /// The file cannot be read.
    #[error("cannot read RevokedHostKeys {}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        #[source]
        source: io::Error,
    },
    /// The file is a binary key revocation list (KRL), which is not supported.
    #[error(
        "RevokedHostKeys {} is a key revocation list (KRL), which only ssh itself reads: give it a \
         plain list of public keys",
        path.display()
    )]
    Binary {
        /// Path of the file.
        path: PathBuf,
    },
    /// A line is wrong, and may be meant to revoke a key.
    #[error("RevokedHostKeys {}:{line}: {error}", path.display())]
    Line {
        /// Path of the file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// Description of the error.
        error: &'static str,
    },
}

impl RevokedKeys {
    /// Reads a plain list: one public key or certificate on each line, blank lines, and comments.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or if a line is wrong.
    pub fn load(path: &Path) -> Result<RevokedKeys, RevokedKeysError> {
        let failed = |source| RevokedKeysError::Read {
            path: path.to_owned(),
            source,
        };
        let mut keys = HashSet::new();
        let file = File::open(path).map_err(failed)?;
        let mut lines = BoundedLines::new(BufReader::new(file));
        let mut number = 0;
        while let Some(piece) = lines.next().map_err(failed)? {
            number += 1;
            let error = match piece {
                // The magic number contains a line end.
                BoundedLine::Line(line) if number == 1 && line == &KRL[..KRL.len() - 1] => {
                    return Err(RevokedKeysError::Binary {
                        path: path.to_owned(),
                    });
                }
                BoundedLine::Line(line) if is_blank(line) => continue,
                BoundedLine::Line(mut line) => match revoked_key(&mut line) {
                    Ok((_, key)) => {
                        keys.insert(key);
                        continue;
                    }
                    Err(error) => error,
                },
                BoundedLine::TooLong(_) => "the line is too long",
            };
            // Without the line, a revoked key could be trusted.
            return Err(RevokedKeysError::Line {
                path: path.to_owned(),
                line: number,
                error,
            });
        }
        Ok(RevokedKeys {
            path: path.to_owned(),
            keys,
        })
    }

    /// The path of the list.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// True if the list contains a host key, or the authority of its certificate.
    #[must_use]
    pub fn contains(&self, offered: &HostKey) -> bool {
        // A revoked authority revokes all of its certificates.
        let authority = offered
            .certificate()
            .map(|certificate| certificate.authority());
        let revoked = |key: &[u8]| self.keys.contains(key);
        revoked(offered.key()) || authority.is_some_and(revoked)
    }
}

fn is_blank(line: &[u8]) -> bool {
    let text = line.trim_ascii_start();
    text.is_empty() || text[0] == b'#'
}
