//! Whether a certificate that a trusted authority signed vouches for a host, by OpenSSH 9.2's rules.

use std::time::SystemTime;

use super::refusal::CertificateFault;
use crate::transport::ssh::certificate::{Certificate, Subject, Validity};

/// Looks at everything but the authority and its signature.
///
/// # Errors
/// Why it does not.
pub(super) fn vouches(
    certificate: &Certificate,
    host: &str,
    now: SystemTime,
) -> Result<(), CertificateFault> {
    if certificate.subject() != Subject::Host {
        return Err(CertificateFault::NotHost);
    }
    match certificate.validity(now) {
        Validity::Valid => {}
        Validity::NotYet => return Err(CertificateFault::NotYet),
        Validity::Expired => return Err(CertificateFault::Expired),
    }
    let principals = certificate.principals();
    // No list is a list of all hosts.
    if !principals.is_empty() && !principals.iter().any(|name| name == host) {
        return Err(CertificateFault::Principal);
    }
    if certificate.has_critical_options() {
        return Err(CertificateFault::Critical);
    }
    Ok(())
}
