//! Values of options, and the messages for wrong ones.

use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use reserved_ports::SourcePorts;

use crate::policy::Share;
use crate::targets::TransportKind;
use crate::transport::StderrMode;

/// Condition for output that is meant for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WhenArg {
    /// If a terminal shows it
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Output of `--only`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnlyArg {
    /// Hosts that failed, with the cause
    Failed,
    /// Output without messages about the run
    Output,
    /// Gathered output of hosts whose output or exit status differs from that of most
    Odd,
}

/// [`StderrMode`] as an option value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StderrArg {
    /// Over a connection of its own
    Separate,
    /// Together with standard output, in one stream
    Merge,
    /// Not transferred
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

/// Value of `--protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProtocolArg {
    /// `rcp -t` at the target
    Rcp,
    /// `scp -t` at the target
    Scp,
}

/// Returns the value parser for permission bits in octal.
pub(crate) fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o7777 && !text.starts_with('+') => Ok(mode),
        _ => Err("it is no mode in octal, such as 644".to_owned()),
    }
}

/// Text of `--generate`.
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

/// Reads a time above 0, in seconds or with units. It is at most a year, so that every sum of times fits.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    match seconds(text) {
        Some(s) if s > 0.0 && s <= YEAR => Ok(Duration::from_secs_f64(s)),
        Some(_) => Err("must be above 0 and at most a year".to_owned()),
        None => Err("must be a time, such as 10, 0.5, 500ms, 30s, 2m or 1h30m".to_owned()),
    }
}

/// Maximum time, in seconds.
const YEAR: f64 = 366.0 * 86_400.0;

/// Reads a number of seconds, or numbers with units one after the other.
fn seconds(text: &str) -> Option<f64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Some(seconds);
    }
    // A sign is read as well, so that the caller can name the limits.
    if let Some(positive) = text.strip_prefix('-') {
        return seconds(positive).map(|seconds| -seconds);
    }
    let (mut sum, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let (number, after) = number(rest)?;
        let length = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(length);
        sum += number
            * match unit {
                "ms" => 0.001,
                "s" | "sec" => 1.0,
                "m" | "min" => 60.0,
                "h" => 3600.0,
                "d" => 86_400.0,
                _ => return None,
            };
        rest = after;
    }
    (!text.is_empty()).then_some(sum)
}

/// Splits a number without a sign off the start of a text.
fn number(text: &str) -> Option<(f64, &str)> {
    let length = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(length);
    Some((number.parse().ok()?, rest))
}

/// Reads a number that is at least 1.
pub(crate) fn at_least_one<T: FromStr>(text: &str) -> Result<T, &'static str> {
    text.parse().map_err(|_| "must be a number from 1 up")
}

/// Reads a time that may be 0.
pub(super) fn time_or_zero(text: &str) -> Result<Duration, String> {
    match seconds(text) {
        Some(0.0) => Ok(Duration::ZERO),
        Some(s) if !(0.0..=YEAR).contains(&s) => Err("must be 0 to a year".to_owned()),
        _ => time(text),
    }
}

/// Sizes of waves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaveSizes(pub Vec<Share>);

pub(super) fn share(text: &str) -> Result<Share, &'static str> {
    text.trim().parse()
}

pub(super) fn shares(text: &str) -> Result<WaveSizes, &'static str> {
    text.split(',')
        .map(share)
        .collect::<Result<_, _>>()
        .map(WaveSizes)
}

/// Reads a number of bytes, or a number with K, M, G or T, which are powers of 1,024.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let bad = || "must be a size in bytes, such as 1000000, 500K, 16M or 1.5G".to_owned();
    let (number, unit) = number(text).ok_or_else(bad)?;
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => return Err(bad()),
    };
    let bytes = number * f64::from(shift).exp2();
    // A part of a byte is an error, but a part of a larger unit is rounded.
    if bytes.fract() != 0.0 && shift == 0 {
        return Err(bad());
    }
    if bytes >= 2_f64.powi(62) {
        return Err("must be less than 4 million T".to_owned());
    }
    Ok(bytes as usize)
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
        // For port 0 the kernel would choose a port (bind(2)).
        Some((lo, hi)) if 0 < lo && lo <= hi => Ok(SourcePorts::Range(lo..=hi)),
        Some(_) => Err("must be a rising range of ports from 1, such as 600-1023".to_owned()),
        None => Err("must be reserved, any, or a range such as 600-1023".to_owned()),
    }
}
