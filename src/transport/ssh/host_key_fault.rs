//! The faults of host keys as failures of a host: the whole text, the part that hosts have in common, and advice.

use ssh_files::{CertificateRejection, HostKey, HostKeyError, HostNames, RevokedKeys};

use crate::transport::HostKeyFault;

/// Returns the fault for a host key that is not accepted under strict checking.
pub(super) fn refused(error: &HostKeyError) -> HostKeyFault {
    match error {
        HostKeyError::Unknown {
            host,
            kind,
            fingerprint,
            certificate,
        } => {
            let because = because(certificate.as_ref());
            HostKeyFault {
                text: format!(
                    "no {} host key is known for {host}, and strict host key checking is the default{because}; its key is \
                     {fingerprint}: once it is checked, 'ssh-keyscan' or --ssh-option StrictHostKeyChecking=accept-new \
                     adds it",
                    kind.word()
                ),
                common: format!(
                    "no host key is known, and strict host key checking is the default{because}"
                ),
                help: Some(
                    "once their keys are checked, 'ssh-keyscan' or --ssh-option StrictHostKeyChecking=accept-new \
                     adds them; -v shows each key",
                ),
            }
        }
        HostKeyError::Changed { changed, .. } => HostKeyFault {
            text: error.to_string(),
            // OpenSSH's own words, which users know and search for.
            common: format!(
                "REMOTE HOST IDENTIFICATION HAS CHANGED: the key is not the one known{} in {}{}",
                if changed.is_of_address {
                    " for the address"
                } else {
                    ""
                },
                changed.location.file.display(),
                because(changed.certificate.as_ref())
            ),
            help: Some(
                "if the changes are known to be right, remove the old keys with 'ssh-keygen -R NAME'; \
                 -v shows each key and its line",
            ),
        },
        HostKeyError::Revoked { location, .. } => HostKeyFault {
            text: error.to_string(),
            common: format!(
                "REVOKED HOST KEY DETECTED: the key is marked as revoked in {location}; it may be a stolen key"
            ),
            help: None,
        },
    }
}

/// Returns the fault for a host key that is in a list of revoked keys.
pub(super) fn revoked(list: &RevokedKeys, names: &HostNames, offered: &HostKey) -> HostKeyFault {
    let path = list.path().display();
    HostKeyFault {
        text: format!(
            "host key {} {} of {} revoked by file {path}",
            offered.kind().word(),
            offered.fingerprint(),
            names.name()
        ),
        common: format!("host key revoked by file {path}"),
        help: None,
    }
}

fn because(reason: Option<&CertificateRejection>) -> String {
    reason.map_or_else(String::new, |reason| format!(" ({reason})"))
}

#[cfg(test)]
mod tests {
    use ssh_files::{KeyType, LineLocation};

    use super::*;

    #[test]
    fn the_common_part_has_no_host_and_no_key() {
        let unknown = refused(&HostKeyError::Unknown {
            host: "x".to_owned(),
            kind: KeyType::Ed25519,
            fingerprint: "SHA256:abc".to_owned(),
            certificate: Some(CertificateRejection::Expired),
        });
        insta::assert_snapshot!(unknown.text, @"no ED25519 host key is known for x, and strict host key checking is the default (its certificate has expired); its key is SHA256:abc: once it is checked, 'ssh-keyscan' or --ssh-option StrictHostKeyChecking=accept-new adds it");
        insta::assert_snapshot!(unknown.common, @"no host key is known, and strict host key checking is the default (its certificate has expired)");
        let revoked = refused(&HostKeyError::Revoked {
            host: "x".to_owned(),
            kind: KeyType::Rsa,
            fingerprint: "SHA256:abc".to_owned(),
            location: LineLocation {
                file: std::path::Path::new("/k").into(),
                line: Some(8),
            },
        });
        insta::assert_snapshot!(revoked.text, @"REVOKED HOST KEY DETECTED: the RSA host key SHA256:abc of x is marked as revoked in /k:8; it may be a stolen key");
        insta::assert_snapshot!(revoked.common, @"REVOKED HOST KEY DETECTED: the key is marked as revoked in /k:8; it may be a stolen key");
    }
}
