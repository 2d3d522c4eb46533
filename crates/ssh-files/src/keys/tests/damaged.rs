//! Random and damaged keys must never cause a panic.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in any::<Vec<u8>>()) {
        let _ = KeyFileContent::parse(&bytes);
        let _ = signature_request(&bytes);
    }

    #[test]
    fn any_armoured_bytes_are_read(
        label in prop_oneof![
            Just("OPENSSH PRIVATE KEY"), Just("RSA PRIVATE KEY"), Just("EC PRIVATE KEY"),
            Just("PRIVATE KEY"), Just("ENCRYPTED PRIVATE KEY"),
        ],
        bytes in any::<Vec<u8>>(),
    ) {
        use base64::Engine as _;
        let body = base64::engine::general_purpose::STANDARD.encode(&bytes);
        let text = format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
        if let Ok(KeyFileContent::Encrypted(key)) = KeyFileContent::parse(text.as_bytes()) {
            prop_assert!(key.decrypt(b"phrase").is_err());
        }
    }
}

/// A changed byte in a key file gives an error or a key, never a panic.
#[test]
fn a_damaged_key_never_panics() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let Some(tools) = OpensshTools::new() else {
        return;
    };
    for (name, args) in TYPES {
        tools.key(name, args);
        let text = tools.read(name);
        let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        let good = STANDARD.decode(body).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            let text = format!(
                "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n",
                STANDARD.encode(&bad)
            );
            if let Ok(KeyFileContent::Open(key)) = KeyFileContent::parse(text.as_bytes()) {
                let _ = key.sign(b"data", key.kind().algorithms()[0]);
            }
        }
    }
}
