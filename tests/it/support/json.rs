//! The records of a run with `--json`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::Ended;

/// Returns all records.
#[track_caller]
pub(crate) fn records(ended: &Ended) -> Vec<Value> {
    ended
        .stdout
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

/// The outcome and the output of a target.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Index of the target in the list.
    pub(crate) target: usize,
    /// Label of the target.
    pub(crate) label: String,
    /// The failure's class, or the exit status.
    pub(crate) class: String,
    /// Message of the failure.
    pub(crate) message: String,
    /// Standard output of the target.
    pub(crate) stdout: Vec<u8>,
    /// Standard error of the target.
    pub(crate) stderr: Vec<u8>,
}

/// Returns the outcomes of the targets, in the order of the list.
#[track_caller]
pub(crate) fn finished(ended: &Ended) -> Vec<Finished> {
    let mut wrote: std::collections::HashMap<usize, [Vec<u8>; 2]> = Default::default();
    let mut ends = Vec::new();
    for record in records(ended) {
        let target = record["target"].as_u64().unwrap_or_default() as usize;
        match record["event"].as_str() {
            Some("output") => {
                let stream = usize::from(record["stream"] == "stderr");
                let bytes = match record["text"].as_str() {
                    Some(text) => text.as_bytes().to_vec(),
                    None => BASE64_STANDARD
                        .decode(record["base64"].as_str().unwrap())
                        .unwrap(),
                };
                wrote.entry(target).or_default()[stream].extend(bytes);
            }
            Some("finished") => {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let failure = &record["failure"];
                let [stdout, stderr] = wrote.remove(&target).unwrap_or_default();
                ends.push(Finished {
                    target,
                    label: text(&record["label"]),
                    class: match failure["class"].as_str() {
                        Some(class) => class.to_owned(),
                        None => record["status"].to_string(),
                    },
                    message: text(&failure["message"]),
                    stdout,
                    stderr,
                });
            }
            _ => {}
        }
    }
    assert!(
        wrote.is_empty(),
        "output after the outcome, or without an outcome"
    );
    ends.sort_by_key(|end| end.target);
    ends
}
