//! Tests of lists of revoked keys.

use super::*;
use crate::{RevokedKeys, RevokedKeysError};

#[test]
fn a_list_with_a_wrong_line_is_an_error() {
    let Some(tools) = OpensshTools::new() else {
        return;
    };
    let path = tools.write("revoked", format!("# old\n\n{} me\n", text(&ed25519(1))));
    let revoked = RevokedKeys::load(&path).unwrap();
    assert_eq!(revoked.path(), path);
    assert!(!revoked.contains(&key(&ed25519(2))));
    assert!(revoked.contains(&key(&ed25519(1))));
    let path = tools.write("bad", "ssh-ed25519 AAAA\n");
    let error = RevokedKeys::load(&path).unwrap_err().to_string();
    assert!(error.ends_with("bad:1: the key is damaged"), "{error}");
    assert!(RevokedKeys::load(&tools.path("missing")).is_err());
    tools.write("key.pub", text(&ed25519(1)));
    tools.run("ssh-keygen", &["-q", "-k", "-f", "krl", "key.pub"]);
    let error = RevokedKeys::load(&tools.path("krl")).unwrap_err();
    assert!(matches!(error, RevokedKeysError::Binary { .. }), "{error}");
}
