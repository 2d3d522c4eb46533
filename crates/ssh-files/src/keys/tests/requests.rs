//! Tests of signed authentication requests.

use super::identities::{named, settings};
use super::*;

/// Makes an authentication request in the form in which it is signed.
fn request(blob: &[u8], algorithm: &str) -> Vec<u8> {
    let mut data = Vec::new();
    put_string(&mut data, &[7; 32]);
    data.push(50);
    for field in [&b"me"[..], b"ssh-connection", b"publickey"] {
        put_string(&mut data, field);
    }
    data.push(1);
    put_string(&mut data, algorithm.as_bytes());
    put_string(&mut data, blob);
    data
}

#[test]
fn a_request_contains_its_algorithm() {
    let Some(tools) = OpensshTools::new() else {
        return;
    };
    tools.key("ca", &["-t", "ed25519"]);
    let files = [tools.key("rsa", &["-t", "rsa", "-b", "2048"])];
    tools.run("ssh-keygen", &["-q", "-s", "ca", "-I", "me", "rsa.pub"]);
    let mut identities = Identities::default();
    identities.add(&settings(&files, true));
    let candidates = identities.candidates(&settings(&files, true), &[]);
    assert_eq!(
        named(&candidates),
        ["rsa key memory", "rsa certificate memory"]
    );
    for candidate in &candidates {
        let KeyHolder::Memory(signer) = &candidate.holder else {
            panic!("{candidate:?}")
        };
        assert_eq!(signer.public_blob(), &*candidate.blob);
        assert_eq!(signer.algorithms().len(), 2);
        for algorithm in signer.algorithms() {
            let data = request(signer.public_blob(), algorithm);
            let raw = signer.sign_request(&data).unwrap();
            let signature = wire(signing_algorithm(algorithm), &raw);
            assert!(verify_signature(&tools.blob("rsa.pub"), &data, &signature));
        }
        let sha1 = request(signer.public_blob(), "ssh-rsa");
        assert!(matches!(
            signer.sign_request(&sha1),
            Err(SignError::Algorithm { .. })
        ));
        let other = request(&tools.blob("ca.pub"), "rsa-sha2-512");
        assert_eq!(signer.sign_request(&other), Err(SignError::Request));
        assert_eq!(signer.sign_request(b"whatever"), Err(SignError::Request));
    }
}
