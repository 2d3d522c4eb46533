//! What values options take, and what is said of others.

use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::ports::SourcePorts;
use crate::run::policy::Share;
use crate::targets::TransportKind;
use crate::transport::StderrMode;

/// When something is shown that is meant for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WhenArg {
    /// When a person is there to see it
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What is printed with `--only`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnlyArg {
    /// The output of hosts that failed, and why they did
    Failed,
    /// Output, and no word about the run
    Output,
    /// Gathered output of hosts whose output or exit status differs from that of most
    Odd,
}

/// [`StderrMode`] as it is spelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum StderrArg {
    /// A second connection, from the daemon back to a reserved port here
    #[default]
    Separate,
    /// In standard output's stream
    Merge,
    /// Not at all
    Drop,
}

impl From<StderrArg> for StderrMode {
    fn from(arg: StderrArg) -> Self {
        match arg {
            StderrArg::Separate => StderrMode::Separate,
            StderrArg::Merge => StderrMode::Merge,
            StderrArg::Drop => StderrMode::Drop,
        }
    }
}

/// What is printed with `--generate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GenerateArg {
    /// The manual page, for man(7)
    Man,
    /// Completions for bash
    Bash,
    /// Completions for zsh
    Zsh,
    /// Completions for fish
    Fish,
}

/// Seconds above 0, with a fraction if need be; a year at most, so that every sum of times fits.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    const YEAR: f64 = 366.0 * 86_400.0;
    match text.parse::<f64>() {
        Ok(s) if s > 0.0 && s <= YEAR => Ok(Duration::from_secs_f64(s)),
        Ok(_) => Err("must be above 0 and at most a year".to_owned()),
        Err(_) => Err("not a number of seconds, such as 10 or 0.5".to_owned()),
    }
}

/// A number that is not 0.
pub(crate) fn at_least_one<T: FromStr>(text: &str) -> Result<T, &'static str> {
    text.parse().map_err(|_| "expected a number from 1 up")
}

/// Seconds, none included.
pub(super) fn grace(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(0.0) => Ok(Duration::ZERO),
        _ => seconds(text),
    }
}

/// The sizes of waves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares(pub Vec<Share>);

pub(super) fn share(text: &str) -> Result<Share, &'static str> {
    text.trim().parse()
}

pub(super) fn shares(text: &str) -> Result<Shares, &'static str> {
    text.split(',')
        .map(share)
        .collect::<Result<_, _>>()
        .map(Shares)
}

/// Bytes, with K, M or G for powers of 1,024.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        _ => return Err("not a size, such as 16M or 500K".to_owned()),
    };
    let number: usize = number
        .parse()
        .map_err(|_| "not a size, such as 16M or 500K".to_owned())?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "more than there can be".to_owned())
}

pub(super) fn transport() -> impl TypedValueParser<Value = TransportKind> {
    PossibleValuesParser::new(TransportKind::ALL.map(TransportKind::name))
        .try_map(|name| name.parse::<TransportKind>())
}

pub(super) fn source_ports(text: &str) -> Result<SourcePorts, String> {
    match text {
        "reserved" => return Ok(SourcePorts::Reserved),
        "any" => return Ok(SourcePorts::Any),
        _ => {}
    }
    let range = text
        .split_once('-')
        .and_then(|(lo, hi)| Some((lo.parse::<u16>().ok()?, hi.parse::<u16>().ok()?)));
    match range {
        Some((lo, hi)) if 0 < lo && lo <= hi => Ok(SourcePorts::Range(lo..=hi)),
        Some(_) => Err("the range must rise from 1 at least, as in 600-1023".to_owned()),
        None => Err("expected reserved, any, or a range such as 600-1023".to_owned()),
    }
}
