//! Random bytes must never cause a panic.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in any::<Vec<u8>>(), name in "[a-z*?!|1]{0,8}") {
        let _ = line::parse(&bytes);
        let _ = HostKey::parse(&bytes);
        let _ = host_field::HostField::parse(&bytes).map(|names| names.matches(name.as_bytes()));
    }

    #[test]
    fn words_in_any_order_are_read(words in proptest::collection::vec(
        prop_oneof![
            Just("@revoked".to_owned()), Just("@cert-authority".to_owned()), Just("|1|".to_owned()),
            Just("ssh-ed25519".to_owned()), Just("ssh-rsa".to_owned()), Just("*,!a".to_owned()),
            "[ -~]{0,40}", Just(STANDARD.encode(ed25519(1))),
        ], 0..6)) {
        let _ = line::parse(words.join(" ").as_bytes());
    }

    #[test]
    fn certificates_of_any_fields_are_read(bytes in any::<Vec<u8>>(), cut in 0usize..400) {
        let mut blob = b"\0\0\0\x20ssh-ed25519-cert-v01@openssh.com\0\0\0\0\0\0\0\x20".to_vec();
        blob.extend([1; 32]);
        blob.extend(bytes);
        blob.truncate(cut);
        prop_assert_eq!(HostKey::parse(&blob), None);
    }
}
