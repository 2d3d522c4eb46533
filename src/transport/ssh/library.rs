//! Versions of the libraries under ssh, and the oldest libssh2 that may be used.

use super::ffi;
use super::setup::SshError;

/// Oldest libssh2 with which the tests pass.
const OLDEST: [u32; 3] = [1, 11, 2];

/// Returns the versions of the linked libraries, as `libssh2 1.11.2_DEV, OpenSSL 3.6.3 9 Jun 2026`.
#[must_use]
pub fn versions() -> String {
    format!(
        "libssh2 {}, {}",
        ffi::version(),
        openssl::version::version()
    )
}

/// Checks the libssh2 that is linked, which may be the system's (`LIBSSH2_SYS_USE_PKG_CONFIG`).
///
/// # Errors
/// It is older than [`OLDEST`], or its version cannot be parsed.
pub(super) fn check() -> Result<(), SshError> {
    check_version(ffi::version())
}

fn check_version(found: String) -> Result<(), SshError> {
    let is_enough = numbers(&found).is_some_and(|numbers| numbers >= OLDEST);
    let [major, minor, patch] = OLDEST;
    if is_enough {
        Ok(())
    } else {
        Err(SshError::OldLibrary {
            found,
            needed: format!("{major}.{minor}.{patch}"),
        })
    }
}

/// Returns the three numbers of a version, without what follows them.
fn numbers(version: &str) -> Option<[u32; 3]> {
    // A snapshot such as `1.11.2_DEV` counts as its release.
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.');
    let mut parts = version[..end.unwrap_or(version.len())].split('.');
    let mut next = || parts.next()?.parse().ok();
    Some([next()?, next()?, next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_libssh2_is_refused() {
        for version in ["1.11.2", "1.11.2_DEV", "1.11.10", "1.12.0-rc1", "2.0.0"] {
            assert!(check_version(version.to_owned()).is_ok(), "{version}");
        }
        for version in ["1.11.1", "1.10.0", "0.99.99", "1.11", "", "new"] {
            assert!(check_version(version.to_owned()).is_err(), "{version}");
        }
        let refused = check_version("1.10.0".to_owned()).unwrap_err();
        insta::assert_snapshot!(refused, @"cannot use the system's libssh2 1.10.0: version 1.11.2 or later is needed; build mrsh without LIBSSH2_SYS_USE_PKG_CONFIG, or use -R openssh");
    }

    #[test]
    fn the_linked_libssh2_is_new_enough_and_named() {
        check().unwrap();
        let versions = versions();
        assert!(versions.starts_with("libssh2 1."), "{versions}");
        assert!(versions.contains(", OpenSSL "), "{versions}");
    }
}
