//! Tests of key files.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn open(path: &Path, passphrase: &str) -> PrivateKey {
    match KeyFileContent::read(path).unwrap_or_else(|fault| panic!("{path:?}: {fault}")) {
        KeyFileContent::Open(key) => key,
        KeyFileContent::Encrypted(key) => {
            let wrong = key.decrypt(b"wrong");
            assert!(matches!(wrong, Err(KeyFileError::Passphrase)), "{path:?}");
            key.decrypt(passphrase.as_bytes()).unwrap()
        }
        KeyFileContent::Public(_) => panic!("{path:?} holds no private key"),
    }
}

/// Verifies a signature with ssh-keygen, which requires the format SSHSIG.
fn verified_by_keygen(
    tools: &OpensshTools,
    public: &Path,
    key: &PrivateKey,
    algorithm: &str,
) -> bool {
    use base64::Engine as _;
    let message = b"some data";
    let hash = openssl::sha::sha512(message);
    let wrapped = |signature: Option<&[u8]>| {
        let mut data = b"SSHSIG".to_vec();
        if signature.is_some() {
            data.extend(1u32.to_be_bytes());
            put_string(&mut data, key.public());
        }
        put_string(&mut data, b"mrsh");
        put_string(&mut data, b"");
        put_string(&mut data, b"sha512");
        put_string(&mut data, signature.unwrap_or(&hash));
        data
    };
    let raw = key.sign(&wrapped(None), algorithm).unwrap();
    let data = wrapped(Some(&wire(algorithm, &raw)));
    let text = base64::engine::general_purpose::STANDARD.encode(data);
    let signature = tools.write(
        "signature",
        format!("-----BEGIN SSH SIGNATURE-----\n{text}\n-----END SSH SIGNATURE-----\n"),
    );
    let public = std::fs::read_to_string(public).unwrap();
    let allowed = tools.write("allowed", format!("me {public}"));
    let message = tools.write("message", message);
    let output = tools
        .command("ssh-keygen")
        .args(["-Y", "verify", "-I", "me", "-n", "mrsh", "-f"])
        .arg(allowed)
        .arg("-s")
        .arg(signature)
        .stdin(std::fs::File::open(message).unwrap())
        .output()
        .unwrap();
    output.status.success()
}

#[test]
fn keys_of_every_type_and_form_sign_as_ssh_keygen_verifies() {
    let Some(tools) = OpensshTools::new() else {
        return;
    };
    let mut count = 0;
    for (name, args) in TYPES {
        for passphrase in ["", "a pass phrase"] {
            for form in ["openssh", "pem", "pkcs8"] {
                // OpenSSH 9.2 writes Ed25519 keys only in its own format.
                if name == "ed25519" && form != "openssh" {
                    continue;
                }
                let file = format!("{name}-{form}-{}", passphrase.len());
                let form: &[&str] = match form {
                    "pem" => &["-m", "PEM"],
                    "pkcs8" => &["-m", "PKCS8"],
                    _ => &["-a", "2"],
                };
                let path = tools.key_with(&file, passphrase, &[args, form].concat());
                let key = open(&path, passphrase);
                let public = tools.path(&format!("{file}.pub"));
                assert_eq!(key.public(), tools.blob(&format!("{file}.pub")));
                for algorithm in key.kind().algorithms() {
                    let raw = key.sign(b"data", algorithm).unwrap();
                    let signature = wire(algorithm, &raw);
                    assert!(verify_signature(key.public(), b"data", &signature));
                    assert!(!verify_signature(key.public(), b"date", &signature));
                    let good = verified_by_keygen(&tools, &public, &key, algorithm);
                    assert!(good, "{file} {algorithm}");
                    count += 1;
                }
                assert!(key.sign(b"data", "ssh-rsa").is_err());
            }
        }
    }
    assert_eq!(count, 2 + 3 * 3 * 2 + 3 * 2 * 2);
}

#[test]
fn keys_under_every_cipher_are_opened() {
    let Some(tools) = OpensshTools::new() else {
        return;
    };
    for cipher in [
        "aes128-ctr",
        "aes192-ctr",
        "aes256-ctr",
        "aes128-cbc",
        "aes192-cbc",
        "aes256-cbc",
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "chacha20-poly1305@openssh.com",
    ] {
        let args = ["-t", "ecdsa", "-b", "256", "-a", "1", "-Z", cipher];
        let path = tools.key_with(cipher, "phrase", &args);
        let key = open(&path, "phrase");
        assert_eq!(
            key.public(),
            tools.blob(&format!("{cipher}.pub")),
            "{cipher}"
        );
    }
}

/// OpenSSH writes numbers without leading zero bytes.
#[test]
fn keys_with_short_numbers_are_read() {
    let Some(tools) = OpensshTools::new() else {
        return;
    };
    for i in 0..12 {
        let path = tools.key(&i.to_string(), &["-t", "ecdsa", "-b", "521"]);
        assert_eq!(open(&path, "").public(), tools.blob(&format!("{i}.pub")));
    }
}

#[test]
fn keys_of_openssl_and_other_tools_are_read() {
    let Some(tools) = OpensshTools::new() else {
        return;
    };
    for (file, args) in [
        ("ed", "genpkey -algorithm ed25519 -out ed"),
        (
            "ed2",
            "genpkey -algorithm ed25519 -aes-256-cbc -pass pass:phrase -out ed2",
        ),
        ("ec", "ecparam -name secp384r1 -genkey -out ec"),
        (
            "rsa",
            "genrsa -traditional -aes128 -passout pass:phrase -out rsa 2048",
        ),
    ] {
        let args: Vec<&str> = args.split(' ').collect();
        tools.run("openssl", &args);
        let key = open(&tools.path(file), "phrase");
        let algorithm = key.kind().algorithms()[0];
        let signature = wire(algorithm, &key.sign(b"data", algorithm).unwrap());
        assert!(
            verify_signature(key.public(), b"data", &signature),
            "{file}"
        );
    }
    // Other programs write lines of 64 columns and CRLF.
    let path = tools.key("narrow", &["-t", "ed25519"]);
    let text = tools.read("narrow");
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let body: Vec<&str> = body
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let text = format!(
        "-----BEGIN OPENSSH PRIVATE KEY-----\r\n{}\r\n-----END OPENSSH PRIVATE KEY-----\r\n",
        body.join("\r\n")
    );
    std::fs::write(&path, text).unwrap();
    assert_eq!(open(&path, "").public(), tools.blob("narrow.pub"));
}

#[test]
fn unusable_files_have_an_error() {
    let Some(tools) = OpensshTools::new() else {
        return;
    };
    let error = |path: &Path| match KeyFileContent::read(path) {
        Err(error) => error.to_string(),
        Ok(_) => "none".to_owned(),
    };
    let path = tools.key("key", &["-t", "ed25519"]);
    let open_to = |mode| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open_to(0o640);
    assert!(error(&path).starts_with("permissions 0640 are too open"));
    open_to(0o400);
    assert_eq!(error(&path), "none");
    let text = tools.read("key").replace("AAAA", "AAAB");
    tools.write("damaged", text);
    std::fs::set_permissions(
        tools.path("damaged"),
        std::fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    assert_eq!(error(&tools.path("damaged")), "it is damaged");
    assert_eq!(
        error(&tools.write("text", "hello")),
        "it is not a private key"
    );
    assert_eq!(
        error(&tools.write("long", vec![b'a'; 300_000])),
        "it is longer than a key can be"
    );
    let dsa = "-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n";
    tools.write("dsa", dsa);
    std::fs::set_permissions(tools.path("dsa"), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(error(&tools.path("dsa")).starts_with("DSA keys are not supported"));
    tools.run(
        "openssl",
        &[
            "ecparam",
            "-name",
            "secp256k1",
            "-genkey",
            "-out",
            "koblitz",
        ],
    );
    assert!(error(&tools.path("koblitz")).starts_with("ECDSA keys on that curve"));
    assert!(matches!(
        KeyFileContent::read(&tools.path("key.pub")),
        Ok(KeyFileContent::Public(blob)) if blob == tools.blob("key.pub")
    ));
}
