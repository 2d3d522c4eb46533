//! Checks host certificates with the rules of OpenSSH 9.2.

use std::time::SystemTime;

use super::status::CertificateRejection;
use crate::certificate::{Certificate, CertificateKind, CertificateValidity};

/// Checks everything except the authority and its signature.
///
/// # Errors
/// Returns the reason if the certificate is not valid for the host.
pub(super) fn check(
    certificate: &Certificate,
    host: &str,
    now: SystemTime,
) -> Result<(), CertificateRejection> {
    if certificate.purpose() != CertificateKind::Host {
        return Err(CertificateRejection::NotHost);
    }
    match certificate.validity(now) {
        CertificateValidity::Valid => {}
        CertificateValidity::NotYet => return Err(CertificateRejection::NotYet),
        CertificateValidity::Expired => return Err(CertificateRejection::Expired),
    }
    let principals = certificate.principals();
    // An empty list means all hosts.
    if !principals.is_empty() && !principals.iter().any(|name| name == host) {
        return Err(CertificateRejection::Principal);
    }
    if certificate.has_critical_options() {
        return Err(CertificateRejection::Critical);
    }
    Ok(())
}
