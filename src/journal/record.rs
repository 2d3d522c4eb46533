//! The lines of a journal.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::event::FinishedRecord;
use crate::random::hex;
use crate::targets::{InventoryValue, InventoryVariables, Network, Target, Variable};

/// Start of every line: the version of the format.
pub(super) const START: &str = "{\"v\":1,";

/// A word of a command line: text if it is UTF-8, else base64.
// Strings of JSON are Unicode (RFC 8259, section 8), and words need not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RecordedWord {
    /// UTF-8.
    Text(String),
    /// Other bytes.
    Bytes {
        /// The bytes in base64.
        base64: String,
    },
}

impl RecordedWord {
    /// Makes a word of these bytes.
    #[must_use]
    pub fn new(word: &OsStr) -> RecordedWord {
        match word.to_str() {
            Some(text) => RecordedWord::Text(text.to_owned()),
            None => RecordedWord::Bytes {
                base64: BASE64_STANDARD.encode(word.as_bytes()),
            },
        }
    }

    /// Returns the word as it was typed; `None` if the base64 is wrong.
    #[must_use]
    pub fn to_os_string(&self) -> Option<OsString> {
        match self {
            RecordedWord::Text(text) => Some(text.into()),
            RecordedWord::Bytes { base64 } => {
                let bytes = BASE64_STANDARD.decode(base64).ok()?;
                Some(OsString::from_vec(bytes))
            }
        }
    }
}

/// The first line of a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Name of the program, always `mrsh`.
    pub program: String,
    /// Identifier of the run.
    pub run: String,
    /// The session that wrote the header.
    pub session: SessionRecord,
    /// Everything that a later session repeats.
    pub plan: RecordedPlan,
    /// SHA-256 of the plan in its JSON form.
    pub digest: String,
}

/// One start of mrsh on a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Version of the program.
    pub version: String,
    /// Seconds since 1970.
    pub time: u64,
    /// Process number.
    pub pid: u32,
    /// Name of the machine.
    pub machine: String,
    /// The command line as it was typed.
    pub line: Vec<RecordedWord>,
    /// Number of targets that the session was to run.
    pub targets: u32,
}

impl SessionRecord {
    /// Makes the record of this process.
    #[must_use]
    pub fn of_this_process(line: Vec<RecordedWord>, targets: usize) -> SessionRecord {
        // A clock before 1970 gives 0 instead of an error.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        SessionRecord {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time: now.unwrap_or_default().as_secs(),
            pid: std::process::id(),
            machine: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            line,
            targets: u32::try_from(targets).unwrap_or(u32::MAX),
        }
    }
}

/// Everything that a later session repeats: options, command, targets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedPlan {
    /// The local user.
    pub user: String,
    /// The working directory.
    pub directory: RecordedWord,
    /// The options, with the settings of configuration files and the environment.
    pub options: Vec<RecordedWord>,
    /// The words of the command.
    pub command: Vec<RecordedWord>,
    /// The script, if the commands run one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<RecordedScript>,
    /// Standard input, if the commands read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<RecordedInput>,
    /// All targets of the run.
    pub targets: Vec<RecordedTarget>,
}

impl RecordedPlan {
    /// Returns the SHA-256 of the plan in hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> String {
        // Strings and numbers always have a form in JSON.
        let text = serde_json::to_vec(self).unwrap_or_default();
        hex(&openssl::sha::sha256(&text))
    }
}

/// The content of a script, as far as it can be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedScript {
    /// Number of bytes.
    pub length: u64,
    /// SHA-256 of the content.
    pub sha256: String,
}

impl RecordedScript {
    /// Makes the record of a script.
    #[must_use]
    pub fn new(content: &[u8]) -> RecordedScript {
        RecordedScript {
            length: content.len() as u64,
            sha256: hex(&openssl::sha::sha256(content)),
        }
    }
}

/// Standard input of the commands, as far as it can be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum RecordedInput {
    /// A regular file, from its position at the start.
    File {
        /// Number of bytes.
        length: u64,
        /// SHA-256 of its content.
        sha256: String,
    },
    /// A pipe or a terminal, whose content is unknown.
    Stream,
}

/// A target: its endpoint as in `--json`, and the target as it was named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedTarget {
    /// The label.
    pub label: String,
    /// The resolved endpoint.
    #[serde(flatten)]
    pub endpoint: RecordedEndpoint,
    /// The target as it was named.
    named: NamedTarget,
}

/// The resolved endpoint of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedEndpoint {
    /// Name or address.
    pub host: String,
    /// Name of the transport.
    pub transport: String,
    /// Remote user, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Port, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Jump hosts, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_way_of: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct NamedTarget {
    host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inventory: Option<NamedInventory>,
    /// Environment variables of a hosts file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    env: Vec<(String, String)>,
}

/// The variables of an inventory that change the connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct NamedInventory {
    /// Settings of ssh, each with its place.
    ssh_options: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// Environment variables, if the run has asked for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    env: Vec<(String, String)>,
}

impl RecordedTarget {
    /// Makes the record of a target.
    #[must_use]
    pub fn new(target: &Target, endpoint: RecordedEndpoint) -> RecordedTarget {
        let text = |text: &Arc<str>| text.to_string();
        RecordedTarget {
            label: text(&target.label),
            endpoint,
            named: NamedTarget {
                host: text(&target.host),
                user: target.user.as_ref().map(text),
                port: target.port,
                transport: target.transport.map(|kind| kind.name().to_owned()),
                callback: target
                    .callback_from
                    .as_ref()
                    .map(|networks| networks.iter().map(Network::to_string).collect()),
                inventory: target.inventory.as_ref().map(|from| NamedInventory {
                    ssh_options: from
                        .ssh_options
                        .iter()
                        .map(|(place, setting)| (text(place), setting.clone()))
                        .collect(),
                    refused: from.refused.clone(),
                    port: from.port,
                    env: from.env.iter().filter_map(recorded_value).collect(),
                }),
                env: target
                    .variables
                    .iter()
                    .flat_map(|variables| variables.iter())
                    .map(recorded_variable)
                    .collect(),
            },
        }
    }

    /// Returns the target as it was named; `None` if a part of the record has no meaning.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        let named = &self.named;
        // Labels are printed, and names reach commands, so both keep the rules of hosts files.
        let is_name = |text: &str| !text.is_empty() && !text.contains(char::is_control);
        if !is_name(&self.label) || !is_name(&named.host) || named.host.starts_with('-') {
            return None;
        }
        let callback_from = match &named.callback {
            Some(list) => {
                let networks: Result<Vec<Network>, _> =
                    list.iter().map(|text| text.parse()).collect();
                Some(networks.ok()?.into())
            }
            None => None,
        };
        let transport = match &named.transport {
            Some(name) => Some(name.parse().ok()?),
            None => None,
        };
        let inventory = named.inventory.as_ref().map(|from| {
            Arc::new(InventoryVariables {
                ssh_options: from
                    .ssh_options
                    .iter()
                    .map(|(place, setting)| (place.as_str().into(), setting.clone()))
                    .collect(),
                refused: from.refused.clone(),
                // The first session has named them.
                ignored: BTreeSet::new(),
                port: from.port,
                env: from
                    .env
                    .iter()
                    .map(|(name, value)| {
                        let value = InventoryValue::Text(value.as_str().into());
                        (name.as_str().into(), value)
                    })
                    .collect(),
            })
        });
        let variables: Option<Vec<Variable>> = named
            .env
            .iter()
            .map(|(name, value)| Variable::new(name, value.as_bytes()))
            .collect();
        Some(Target {
            variables: Some(variables?.into()).filter(|all: &Arc<[Variable]>| !all.is_empty()),
            label: self.label.as_str().into(),
            host: named.host.as_str().into(),
            user: named.user.as_deref().map(Into::into),
            port: named.port,
            transport,
            callback_from,
            inventory,
        })
    }
}

/// Returns the record of a variable of a hosts file, which is text.
fn recorded_variable(variable: &Variable) -> (String, String) {
    let value = String::from_utf8_lossy(variable.value()).into_owned();
    (variable.name().to_owned(), value)
}

/// Returns the record of a variable of an inventory; `None` if no command gets it.
fn recorded_value((name, value): &(Arc<str>, InventoryValue)) -> Option<(String, String)> {
    match value {
        InventoryValue::Text(value) => Some((name.to_string(), value.to_string())),
        InventoryValue::Null | InventoryValue::Unusable(_) => None,
    }
}

/// A line that this program writes, without its version.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(super) enum WrittenLine<'a> {
    Journal(&'a Header),
    Resume(&'a SessionRecord),
    Started { target: u32, label: &'a str },
    Finished(Box<FinishedRecord<'a>>),
}

/// Appends a line to a buffer.
pub(super) fn push_line(line: &WrittenLine<'_>, buffer: &mut Vec<u8>) {
    let start = buffer.len();
    // Strings and numbers always have a form in JSON, and a write to memory cannot fail.
    let _ = serde_json::to_writer(&mut *buffer, line);
    // The version is in the place of the opening brace, as in --json.
    buffer.splice(start..=start, START.bytes());
    buffer.push(b'\n');
}

/// A line after the header as it is read. Further fields are ignored.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(super) enum ReadLine {
    Resume(SessionRecord),
    Started { target: u32, label: String },
    Finished(ReadOutcome),
}

/// The fields of an outcome that count for `--resume`.
#[derive(Debug, Deserialize)]
pub(super) struct ReadOutcome {
    pub(super) target: u32,
    pub(super) label: String,
    pub(super) outcome: String,
    pub(super) success: bool,
    pub(super) status: Option<u8>,
    pub(super) signal: Option<u8>,
    pub(super) failure: Option<ReadFailure>,
    pub(super) ms: ReadTimes,
    #[serde(default)]
    pub(super) left_running: bool,
    #[serde(default)]
    pub(super) may_be_running: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct ReadFailure {
    pub(super) class: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ReadTimes {
    /// Present if a command was started.
    pub(super) run: Option<f64>,
}
