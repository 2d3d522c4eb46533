//! Held against keys of every type and form that `ssh-keygen` and `openssl` make; their own `verify`
//! says whether a signature is right.

use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::file::{Fault, KeyFile};
use super::*;
use crate::transport::ssh::agent::AgentKey;
use crate::transport::ssh::prompt::{self, PromptError, SecretPrompt};
use crate::transport::ssh::public::signed;
use crate::transport::ssh::testing::Bench;
use crate::transport::ssh::wire::put_string;

const TYPES: [(&str, &[&str]); 5] = [
    ("ed25519", &["-t", "ed25519"]),
    ("p256", &["-t", "ecdsa", "-b", "256"]),
    ("p384", &["-t", "ecdsa", "-b", "384"]),
    ("p521", &["-t", "ecdsa", "-b", "521"]),
    ("rsa", &["-t", "rsa", "-b", "2048"]),
];

/// Answers from a list, and remembers the questions.
#[derive(Default)]
struct Script {
    answers: VecDeque<&'static str>,
    asked: Vec<String>,
}

impl Script {
    fn new(answers: &[&'static str]) -> Script {
        Script {
            answers: answers.iter().copied().collect(),
            asked: Vec::new(),
        }
    }
}

impl SecretPrompt for Script {
    fn ask(&mut self, prompt: &str) -> Result<prompt::Secret, PromptError> {
        let answer = self.answers.pop_front().ok_or(PromptError::NoTerminal)?;
        self.asked.push(prompt.to_owned());
        Ok(prompt::Secret::new(answer.as_bytes().to_vec()))
    }
}

fn open(path: &Path, passphrase: &str) -> Secret {
    match KeyFile::read(path).unwrap_or_else(|fault| panic!("{path:?}: {fault}")) {
        KeyFile::Open(secret) => secret,
        KeyFile::Locked(locked) => {
            let wrong = locked.unlock(b"wrong");
            assert!(matches!(wrong, Err(Fault::Passphrase)), "{path:?}");
            locked.unlock(passphrase.as_bytes()).unwrap()
        }
        KeyFile::Public(_) => panic!("{path:?} holds no private key"),
    }
}

/// A signature as it goes over the wire.
fn wire(algorithm: &str, raw: &[u8]) -> Vec<u8> {
    let mut blob = Vec::new();
    put_string(&mut blob, algorithm.as_bytes());
    put_string(&mut blob, raw);
    blob
}

/// Has ssh-keygen verify a signature, which wants it in a wrapping of its own.
fn verified_by_keygen(bench: &Bench, public: &Path, secret: &Secret, algorithm: &str) -> bool {
    use base64::Engine as _;
    let message = b"some data";
    let hash = openssl::sha::sha512(message);
    let wrapped = |signature: Option<&[u8]>| {
        let mut data = b"SSHSIG".to_vec();
        if signature.is_some() {
            data.extend(1u32.to_be_bytes());
            put_string(&mut data, secret.public());
        }
        put_string(&mut data, b"mrsh");
        put_string(&mut data, b"");
        put_string(&mut data, b"sha512");
        put_string(&mut data, signature.unwrap_or(&hash));
        data
    };
    let raw = secret.sign(&wrapped(None), algorithm).unwrap();
    let data = wrapped(Some(&wire(algorithm, &raw)));
    let text = base64::engine::general_purpose::STANDARD.encode(data);
    let signature = bench.write(
        "signature",
        format!("-----BEGIN SSH SIGNATURE-----\n{text}\n-----END SSH SIGNATURE-----\n"),
    );
    let public = std::fs::read_to_string(public).unwrap();
    let allowed = bench.write("allowed", format!("me {public}"));
    let message = bench.write("message", message);
    let output = bench
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
    let Some(bench) = Bench::new() else { return };
    let mut count = 0;
    for (name, args) in TYPES {
        for passphrase in ["", "a pass phrase"] {
            for form in ["openssh", "pem", "pkcs8"] {
                // Ed25519 has no old form in OpenSSH 9.2.
                if name == "ed25519" && form != "openssh" {
                    continue;
                }
                let file = format!("{name}-{form}-{}", passphrase.len());
                let form: &[&str] = match form {
                    "pem" => &["-m", "PEM"],
                    "pkcs8" => &["-m", "PKCS8"],
                    _ => &["-a", "2"],
                };
                let path = bench.key_with(&file, passphrase, &[args, form].concat());
                let secret = open(&path, passphrase);
                let public = bench.path(&format!("{file}.pub"));
                assert_eq!(secret.public(), bench.blob(&format!("{file}.pub")));
                for algorithm in secret.kind().algorithms() {
                    let raw = secret.sign(b"data", algorithm).unwrap();
                    let signature = wire(algorithm, &raw);
                    assert!(signed(secret.public(), b"data", &signature));
                    assert!(!signed(secret.public(), b"date", &signature));
                    let good = verified_by_keygen(&bench, &public, &secret, algorithm);
                    assert!(good, "{file} {algorithm}");
                    count += 1;
                }
                assert!(secret.sign(b"data", "ssh-rsa").is_err());
            }
        }
    }
    assert_eq!(count, 2 + 3 * 3 * 2 + 3 * 2 * 2);
}

#[test]
fn keys_under_every_cipher_are_opened() {
    let Some(bench) = Bench::new() else { return };
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
        let path = bench.key_with(cipher, "phrase", &args);
        let secret = open(&path, "phrase");
        assert_eq!(
            secret.public(),
            bench.blob(&format!("{cipher}.pub")),
            "{cipher}"
        );
    }
}

/// Numbers that begin with zero bytes are written without them.
#[test]
fn keys_with_short_numbers_are_read() {
    let Some(bench) = Bench::new() else { return };
    for i in 0..12 {
        let path = bench.key(&i.to_string(), &["-t", "ecdsa", "-b", "521"]);
        assert_eq!(open(&path, "").public(), bench.blob(&format!("{i}.pub")));
    }
}

#[test]
fn keys_of_openssl_and_other_tools_are_read() {
    let Some(bench) = Bench::new() else { return };
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
        bench.run("openssl", &args);
        let secret = open(&bench.path(file), "phrase");
        let algorithm = secret.kind().algorithms()[0];
        let signature = wire(algorithm, &secret.sign(b"data", algorithm).unwrap());
        assert!(signed(secret.public(), b"data", &signature), "{file}");
    }
    // Lines of 64 columns and CRLF, as written by others.
    let path = bench.key("narrow", &["-t", "ed25519"]);
    let text = bench.read("narrow");
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
    assert_eq!(open(&path, "").public(), bench.blob("narrow.pub"));
}

#[test]
fn what_cannot_be_used_says_why() {
    let Some(bench) = Bench::new() else { return };
    let fault = |path: &Path| match KeyFile::read(path) {
        Err(fault) => fault.to_string(),
        Ok(_) => "none".to_owned(),
    };
    let path = bench.key("key", &["-t", "ed25519"]);
    let open_to = |mode| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open_to(0o640);
    assert!(fault(&path).starts_with("permissions 0640 are too open"));
    open_to(0o400);
    assert_eq!(fault(&path), "none");
    let text = bench.read("key").replace("AAAA", "AAAB");
    bench.write("damaged", text);
    std::fs::set_permissions(
        bench.path("damaged"),
        std::fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    assert_eq!(fault(&bench.path("damaged")), "it is damaged");
    assert_eq!(
        fault(&bench.write("text", "hello")),
        "it is not a private key"
    );
    assert_eq!(
        fault(&bench.write("long", vec![b'a'; 300_000])),
        "it is longer than a key can be"
    );
    let dsa = "-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n";
    bench.write("dsa", dsa);
    std::fs::set_permissions(bench.path("dsa"), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(fault(&bench.path("dsa")).starts_with("DSA keys are not supported"));
    bench.run(
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
    assert!(fault(&bench.path("koblitz")).starts_with("ECDSA keys on that curve"));
    assert!(matches!(
        KeyFile::read(&bench.path("key.pub")),
        Ok(KeyFile::Public(blob)) if blob == bench.blob("key.pub")
    ));
}

/// What a host wants that has these files configured.
fn wanted<'a>(files: &'a [PathBuf], explicit: bool) -> Wanted<'a> {
    Wanted {
        identity_files: files,
        explicit,
        certificate_files: &[],
        identities_only: false,
        batch_mode: false,
    }
}

fn held(bench: &Bench, name: &str) -> AgentKey {
    AgentKey {
        blob: bench.blob(name).into(),
        comment: name.to_owned(),
    }
}

/// The candidates' names, each with who signs.
fn named(candidates: &[Candidate]) -> Vec<String> {
    candidates
        .iter()
        .map(|candidate| {
            let name = candidate.name.rsplit('/').next().unwrap();
            let kind = match KeyType::of_blob(&candidate.blob) {
                Some(_) => "key",
                None => "certificate",
            };
            let with = match candidate.with {
                With::Memory(_) => "memory",
                With::Agent(_) => "agent",
            };
            format!("{name} {kind} {with}")
        })
        .collect()
}

#[test]
fn a_passphrase_is_asked_once_and_only_where_it_helps() {
    let Some(bench) = Bench::new() else { return };
    let fast: &[&str] = &["-t", "ed25519", "-a", "1"];
    let one = bench.key_with("one", "phrase one", fast);
    let two = bench.key_with("two", "phrase one", fast);
    let agents = bench.key_with("agents", "phrase three", fast);
    let default = bench.key_with("default", "phrase four", fast);
    let explicit = [one.clone(), agents, two];
    let defaults = [default];
    let mut identities = Identities::default();
    identities.add(&wanted(&explicit, true));
    identities.add(&wanted(&defaults, false));
    let agent = [held(&bench, "agents.pub")];
    let mut script = Script::new(&["wrong", "phrase one"]);
    identities.unlock(&agent, false, &mut script).unwrap();
    let prompt = format!("Enter passphrase for key '{}': ", one.display());
    assert_eq!(script.asked, [prompt.clone(), prompt]);
    assert_eq!(
        named(&identities.candidates(&wanted(&explicit, true), &agent)),
        ["agents key agent", "one key memory", "two key memory"]
    );
    assert_eq!(identities.notes(), []);

    // With nothing else, the defaults are asked for as well.
    let mut identities = Identities::default();
    identities.add(&wanted(&defaults, false));
    let mut script = Script::new(&["phrase four"]);
    identities.unlock(&[], false, &mut script).unwrap();
    assert_eq!(script.asked.len(), 1);
    let candidates = identities.candidates(&wanted(&defaults, false), &[]);
    assert_eq!(named(&candidates), ["default key memory"]);

    // Nobody to ask.
    let mut identities = Identities::default();
    identities.add(&wanted(&explicit, true));
    let error = identities
        .unlock(&[], false, &mut Script::default())
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("/one is encrypted, and there is no terminal"),
        "{error}"
    );

    // Somebody who is not to be asked: by none of the hosts that want the key.
    let batch = Wanted {
        batch_mode: true,
        ..wanted(&explicit, true)
    };
    let mut identities = Identities::default();
    identities.add(&batch);
    let mut script = Script::new(&["phrase one"]);
    let error = identities.unlock(&[], false, &mut script).unwrap_err();
    let source = match error {
        UnlockError::Prompt { source, .. } => source.to_string(),
        error => panic!("{error}"),
    };
    assert_eq!(source, "BatchMode forbids questions");
    assert_eq!(script.asked, [""; 0]);
    identities.add(&wanted(&explicit[..1], true));
    identities.unlock(&[], true, &mut script).unwrap();
    assert_eq!(script.asked.len(), 1);

    let mut identities = Identities::default();
    identities.add(&wanted(&explicit, true));
    identities.unlock(&[], true, &mut prompt::NoPrompt).unwrap();
    assert_eq!(identities.notes().len(), 3);
    assert!(!identities.notes()[0].verbose);

    // Three wrong answers, or an empty one, leave it alone.
    for answers in [&["x", "y", "z"][..], &[""]] {
        let mut identities = Identities::default();
        identities.add(&wanted(&explicit[..1], true));
        identities
            .unlock(&[], false, &mut Script::new(answers))
            .unwrap();
        assert_eq!(identities.notes().len(), 1);
        let candidates = identities.candidates(&wanted(&explicit, true), &[]);
        assert_eq!(named(&candidates), [""; 0]);
    }
}

#[test]
fn candidates_come_in_sshs_order() {
    let Some(bench) = Bench::new() else { return };
    for name in ["ca", "plain", "certified", "other", "elsewhere"] {
        bench.key(name, &["-t", "ed25519"]);
    }
    bench.run(
        "ssh-keygen",
        &["-q", "-s", "ca", "-I", "me", "-n", "me", "certified.pub"],
    );
    bench.run(
        "ssh-keygen",
        &[
            "-q",
            "-s",
            "ca",
            "-I",
            "me",
            "-n",
            "me",
            "-V",
            "-2d:-1d",
            "other.pub",
        ],
    );
    bench.write("misplaced-cert.pub", bench.read("certified-cert.pub"));
    bench.key("misplaced", &["-t", "ed25519"]);
    let files = ["plain", "certified", "misplaced", "missing"].map(|name| bench.path(name));
    let mut identities = Identities::default();
    identities.add(&wanted(&files, true));
    let notes: Vec<&str> = identities
        .notes()
        .iter()
        .map(|note| note.text.rsplit('/').next().unwrap())
        .collect();
    assert_eq!(
        notes,
        [
            "misplaced-cert.pub is not used: it is a certificate of another key",
            "missing is not used: No such file or directory (os error 2)",
        ]
    );
    let agent = [held(&bench, "elsewhere.pub"), held(&bench, "certified.pub")];
    let host = wanted(&files, true);
    assert_eq!(
        named(&identities.candidates(&host, &agent)),
        [
            "certified key agent",
            "elsewhere.pub key agent",
            "plain key memory",
            "certified certificate agent",
            "misplaced key memory",
        ]
    );
    let only = Wanted {
        identities_only: true,
        ..host
    };
    assert_eq!(identities.candidates(&only, &agent).len(), 4);
    let certificates = ["certified-cert.pub", "other-cert.pub"].map(|name| bench.path(name));
    let certified = Wanted {
        certificate_files: &certificates,
        ..host
    };
    identities.add(&certified);
    let expired = &identities.notes().last().unwrap().text;
    assert!(expired.ends_with("/other-cert.pub: expired"), "{expired}");
    // Nobody has the key of the other one.
    assert_eq!(
        named(&identities.candidates(&certified, &[])),
        [
            "certified-cert.pub certificate memory",
            "plain key memory",
            "certified key memory",
            "misplaced key memory",
        ]
    );
}

#[test]
fn a_public_half_stands_for_a_key_in_the_agent() {
    let Some(bench) = Bench::new() else { return };
    bench.key("key", &["-t", "ed25519"]);
    let mut sk = Vec::new();
    for field in [&b"sk-ssh-ed25519@openssh.com"[..], &[7; 32], b"ssh:"] {
        put_string(&mut sk, field);
    }
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(&sk);
    let files = [
        bench.path("key.pub"),
        bench.write("sk.pub", format!("sk-ssh-ed25519@openssh.com {text} me\n")),
    ];
    for has in [true, false] {
        let agent = match has {
            true => vec![held(&bench, "key.pub"), held(&bench, "sk.pub")],
            false => Vec::new(),
        };
        let mut identities = Identities::default();
        identities.add(&wanted(&files, true));
        identities
            .unlock(&agent, false, &mut prompt::NoPrompt)
            .unwrap();
        let candidates = identities.candidates(&wanted(&files, true), &agent);
        let notes: Vec<(bool, &str)> = identities
            .notes()
            .iter()
            .map(|note| (note.verbose, note.text.rsplit('/').next().unwrap()))
            .collect();
        if has {
            assert_eq!(
                named(&candidates),
                ["key.pub key agent", "sk.pub key agent"]
            );
            assert_eq!(notes, []);
        } else {
            assert_eq!(named(&candidates), [""; 0]);
            assert_eq!(
                notes,
                [
                    (
                        true,
                        "key.pub is not used: there is only its public half, and the agent does not have the other"
                    ),
                    (
                        false,
                        "sk.pub is not used: its private half is in a security key: ssh-add it, or use -R openssh"
                    ),
                ]
            );
        }
    }
}

#[test]
fn a_hundred_thousand_missing_keys_make_few_notes() {
    let files: Vec<PathBuf> = (0..100_000).map(|n| format!("/none/{n}").into()).collect();
    let mut identities = Identities::default();
    identities.add(&wanted(&files, true));
    identities
        .unlock(&[], false, &mut prompt::NoPrompt)
        .unwrap();
    assert_eq!(identities.notes().len(), 51);
}

/// A request for authentication as libssh2 has it signed.
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
fn a_request_says_itself_how_it_is_signed() {
    let Some(bench) = Bench::new() else { return };
    bench.key("ca", &["-t", "ed25519"]);
    let files = [bench.key("rsa", &["-t", "rsa", "-b", "2048"])];
    bench.run("ssh-keygen", &["-q", "-s", "ca", "-I", "me", "rsa.pub"]);
    let mut identities = Identities::default();
    identities.add(&wanted(&files, true));
    let candidates = identities.candidates(&wanted(&files, true), &[]);
    assert_eq!(
        named(&candidates),
        ["rsa key memory", "rsa certificate memory"]
    );
    for candidate in &candidates {
        let With::Memory(signer) = &candidate.with else {
            panic!("{candidate:?}")
        };
        assert_eq!(signer.public_blob(), &*candidate.blob);
        assert_eq!(signer.algorithms().len(), 2);
        for algorithm in signer.algorithms() {
            let data = request(signer.public_blob(), algorithm);
            let raw = signer.sign_request(&data).unwrap();
            let signature = wire(plain_algorithm(algorithm), &raw);
            assert!(signed(&bench.blob("rsa.pub"), &data, &signature));
        }
        let sha1 = request(signer.public_blob(), "ssh-rsa");
        assert!(matches!(
            signer.sign_request(&sha1),
            Err(SignError::Algorithm { .. })
        ));
        let other = request(&bench.blob("ca.pub"), "rsa-sha2-512");
        assert_eq!(signer.sign_request(&other), Err(SignError::Request));
        assert_eq!(signer.sign_request(b"whatever"), Err(SignError::Request));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in any::<Vec<u8>>()) {
        let _ = KeyFile::parse(&bytes);
        let _ = asked(&bytes);
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
        if let Ok(KeyFile::Locked(locked)) = KeyFile::parse(text.as_bytes()) {
            prop_assert!(locked.unlock(b"phrase").is_err());
        }
    }
}

/// Every byte of a good key file, changed, is a fault or a key, never a panic.
#[test]
fn a_damaged_key_never_panics() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let Some(bench) = Bench::new() else { return };
    for (name, args) in TYPES {
        bench.key(name, args);
        let text = bench.read(name);
        let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        let good = STANDARD.decode(body).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            let text = format!(
                "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n",
                STANDARD.encode(&bad)
            );
            if let Ok(KeyFile::Open(secret)) = KeyFile::parse(text.as_bytes()) {
                let _ = secret.sign(b"data", secret.kind().algorithms()[0]);
            }
        }
    }
}
