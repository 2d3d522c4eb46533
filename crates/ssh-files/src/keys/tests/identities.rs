//! Tests of passphrases and of the keys for a host.

use std::collections::VecDeque;

use zeroize::Zeroizing;

use super::*;

/// Answers from a list. Records the questions.
#[derive(Default)]
struct Script {
    answers: VecDeque<&'static str>,
    asked: Vec<PathBuf>,
}

impl Script {
    fn new(answers: &[&'static str]) -> Script {
        Script {
            answers: answers.iter().copied().collect(),
            asked: Vec::new(),
        }
    }
}

impl PassphraseSource for Script {
    type Error = NoAnswer;

    fn passphrase(
        &mut self,
        request: &PassphraseRequest<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, NoAnswer> {
        if request.batch_mode {
            return Err(NoAnswer::BatchMode);
        }
        let answer = self.answers.pop_front().ok_or(NoAnswer::NoTerminal)?;
        self.asked.push(request.path.to_owned());
        Ok(Zeroizing::new(answer.as_bytes().to_vec()))
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum NoAnswer {
    #[error("no terminal")]
    NoTerminal,
    #[error("batch mode")]
    BatchMode,
}

/// Returns the settings of a host with these files.
pub(super) fn settings<'a>(files: &'a [PathBuf], is_explicit: bool) -> IdentitySettings<'a> {
    IdentitySettings {
        identity_files: files,
        is_explicit,
        certificate_files: &[],
        identities_only: false,
        batch_mode: false,
    }
}

fn agent_key(tools: &OpensshTools, name: &str) -> AgentKey {
    AgentKey {
        blob: tools.blob(name).into(),
        comment: name.to_owned(),
    }
}

/// Returns the names of the candidates, each with its kind and holder.
pub(super) fn named(candidates: &[KeyCandidate]) -> Vec<String> {
    candidates
        .iter()
        .map(|candidate| {
            let name = candidate.name.rsplit('/').next().unwrap();
            let kind = match KeyType::of_blob(&candidate.blob) {
                Some(_) => "key",
                None => "certificate",
            };
            let with = match candidate.holder {
                KeyHolder::Memory(_) => "memory",
                KeyHolder::Agent(_) => "agent",
            };
            format!("{name} {kind} {with}")
        })
        .collect()
}

#[test]
fn passphrases_are_asked_for_once_and_only_if_needed() {
    let Some(tools) = OpensshTools::new() else {
        return;
    };
    let fast: &[&str] = &["-t", "ed25519", "-a", "1"];
    let one = tools.key_with("one", "phrase one", fast);
    let two = tools.key_with("two", "phrase one", fast);
    let agents = tools.key_with("agents", "phrase three", fast);
    let default = tools.key_with("default", "phrase four", fast);
    let explicit = [one.clone(), agents, two];
    let defaults = [default];
    let mut identities = Identities::default();
    identities.add(&settings(&explicit, true));
    identities.add(&settings(&defaults, false));
    let agent = [agent_key(&tools, "agents.pub")];
    let mut script = Script::new(&["wrong", "phrase one"]);
    identities.unlock(&agent, false, &mut script).unwrap();
    assert_eq!(script.asked, [one.clone(), one]);
    assert_eq!(
        named(&identities.candidates(&settings(&explicit, true), &agent)),
        ["agents key agent", "one key memory", "two key memory"]
    );
    assert_eq!(identities.notices(), []);

    // Without another key, the passphrases of default keys are asked for too.
    let mut identities = Identities::default();
    identities.add(&settings(&defaults, false));
    let mut script = Script::new(&["phrase four"]);
    identities.unlock(&[], false, &mut script).unwrap();
    assert_eq!(script.asked.len(), 1);
    let candidates = identities.candidates(&settings(&defaults, false), &[]);
    assert_eq!(named(&candidates), ["default key memory"]);

    // The user cannot be asked.
    let mut identities = Identities::default();
    identities.add(&settings(&explicit, true));
    let error = identities
        .unlock(&[], false, &mut Script::default())
        .unwrap_err();
    assert_eq!(error.source, NoAnswer::NoTerminal);
    assert!(error.to_string().ends_with("/one"), "{error}");

    // All hosts that use the key have BatchMode.
    let batch = IdentitySettings {
        batch_mode: true,
        ..settings(&explicit, true)
    };
    let mut identities = Identities::default();
    identities.add(&batch);
    let mut script = Script::new(&["phrase one"]);
    let error = identities.unlock(&[], false, &mut script).unwrap_err();
    assert_eq!(error.source, NoAnswer::BatchMode);
    assert!(script.asked.is_empty(), "{:?}", script.asked);
    // Another host does not have it.
    identities.add(&settings(&explicit[..1], true));
    identities.unlock(&[], true, &mut script).unwrap();
    assert_eq!(script.asked.len(), 1);

    let mut identities = Identities::default();
    identities.add(&settings(&explicit, true));
    identities
        .unlock(&[], true, &mut Script::default())
        .unwrap();
    assert_eq!(identities.notices().len(), 3);
    assert!(!identities.notices()[0].is_detail);

    // Three wrong answers or an empty one leave the key encrypted.
    for answers in [&["x", "y", "z"][..], &[""]] {
        let mut identities = Identities::default();
        identities.add(&settings(&explicit[..1], true));
        identities
            .unlock(&[], false, &mut Script::new(answers))
            .unwrap();
        assert_eq!(identities.notices().len(), 1);
        let candidates = identities.candidates(&settings(&explicit, true), &[]);
        assert_eq!(named(&candidates), [""; 0]);
    }
}

#[test]
fn candidates_have_the_order_of_ssh() {
    let Some(tools) = OpensshTools::new() else {
        return;
    };
    for name in ["ca", "plain", "certified", "other", "elsewhere"] {
        tools.key(name, &["-t", "ed25519"]);
    }
    tools.run(
        "ssh-keygen",
        &["-q", "-s", "ca", "-I", "me", "-n", "me", "certified.pub"],
    );
    tools.run(
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
    tools.write("misplaced-cert.pub", tools.read("certified-cert.pub"));
    tools.key("misplaced", &["-t", "ed25519"]);
    let files = ["plain", "certified", "misplaced", "missing"].map(|name| tools.path(name));
    let mut identities = Identities::default();
    identities.add(&settings(&files, true));
    let notices: Vec<&str> = identities
        .notices()
        .iter()
        .map(|notice| notice.text.rsplit('/').next().unwrap())
        .collect();
    assert_eq!(
        notices,
        [
            "misplaced-cert.pub is not used: it is a certificate of another key",
            "missing is not used: No such file or directory (os error 2)",
        ]
    );
    let agent = [
        agent_key(&tools, "elsewhere.pub"),
        agent_key(&tools, "certified.pub"),
    ];
    let host = settings(&files, true);
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
    let only = IdentitySettings {
        identities_only: true,
        ..host
    };
    assert_eq!(identities.candidates(&only, &agent).len(), 4);
    let certificates = ["certified-cert.pub", "other-cert.pub"].map(|name| tools.path(name));
    let certified = IdentitySettings {
        certificate_files: &certificates,
        ..host
    };
    identities.add(&certified);
    let expired = &identities.notices().last().unwrap().text;
    assert!(expired.ends_with("/other-cert.pub: expired"), "{expired}");
    // The key of the other certificate is not among the files.
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
fn a_public_half_is_enough_for_a_key_in_the_agent() {
    let Some(tools) = OpensshTools::new() else {
        return;
    };
    tools.key("key", &["-t", "ed25519"]);
    let mut sk = Vec::new();
    for field in [&b"sk-ssh-ed25519@openssh.com"[..], &[7; 32], b"ssh:"] {
        put_string(&mut sk, field);
    }
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(&sk);
    let files = [
        tools.path("key.pub"),
        tools.write("sk.pub", format!("sk-ssh-ed25519@openssh.com {text} me\n")),
    ];
    for has in [true, false] {
        let agent = if has {
            vec![agent_key(&tools, "key.pub"), agent_key(&tools, "sk.pub")]
        } else {
            Vec::new()
        };
        let mut identities = Identities::default();
        identities.add(&settings(&files, true));
        identities
            .unlock(&agent, false, &mut Script::default())
            .unwrap();
        let candidates = identities.candidates(&settings(&files, true), &agent);
        let notices: Vec<(bool, &str)> = identities
            .notices()
            .iter()
            .map(|notice| (notice.is_detail, notice.text.rsplit('/').next().unwrap()))
            .collect();
        if has {
            assert_eq!(
                named(&candidates),
                ["key.pub key agent", "sk.pub key agent"]
            );
            assert_eq!(notices, []);
        } else {
            assert_eq!(named(&candidates), [""; 0]);
            assert_eq!(
                notices,
                [
                    (
                        true,
                        "key.pub is not used: there is only its public half, and the agent does not have the other"
                    ),
                    (
                        false,
                        "sk.pub is not used: its private half is in a security key: ssh-add it"
                    ),
                ]
            );
        }
    }
}

#[test]
fn a_hundred_thousand_missing_keys_make_few_notices() {
    let files: Vec<PathBuf> = (0..100_000).map(|n| format!("/none/{n}").into()).collect();
    let mut identities = Identities::default();
    identities.add(&settings(&files, true));
    identities
        .unlock(&[], false, &mut Script::default())
        .unwrap();
    assert_eq!(identities.notices().len(), 51);
}
