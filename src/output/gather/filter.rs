//! `--gather-stdin`: gathers output of other programs with lines of the form `host: line`.
//!
//! Works like `dshbak` and `clubak`, for lines of any length and any bytes. No line is lost: a line without a host goes
//! to standard error unchanged, and their number is printed at the end.

use std::collections::HashMap;
use std::io::{self, BufRead, Read};
use std::net::Ipv6Addr;
use std::rc::Rc;

use memchr::memchr;
use nodeset::NoLookup;

use super::super::color::{Colors, Frame, Palette};
use super::super::unfinished_line::{print_line, print_long_line};
use super::super::{Console, GatherSpec};
use super::collect::GatheredOutput;
use super::view::{GatherView, HostLabels};
use crate::event::Stream;
use crate::targets::{HostResolver, Limits, ranks};

/// Size of the pieces in which lines are read. The name of a host is in the first piece.
const PIECE: u64 = 64 * 1024;

/// The hosts in the input, in the order of their first lines.
#[derive(Debug, Default)]
struct InputHosts {
    labels: Vec<Box<str>>,
    numbers: HashMap<Box<str>, usize>,
    /// Hosts by label. Some tools write a folded set before a line, so a label can name several.
    keys: HashMap<Box<str>, Rc<[usize]>>,
}

impl HostLabels for InputHosts {
    fn label(&self, host: usize) -> &str {
        &self.labels[host]
    }
}

impl InputHosts {
    /// Returns the hosts of a label and adds new ones.
    fn hosts(&mut self, key: &str) -> Rc<[usize]> {
        if let Some(hosts) = self.keys.get(key) {
            return Rc::clone(hosts);
        }
        let mut hosts = Vec::new();
        if key.contains(['[', ',']) {
            let resolver = HostResolver::new(Limits::default().max_targets, &NoLookup, &NoLookup);
            if let Ok(list) = resolver.hosts_in_file(key) {
                list.for_each(|host| hosts.push(self.number(host.label)));
            }
        }
        // A label that is no node set is the name of one host.
        if hosts.is_empty() {
            hosts.push(self.number(key));
        }
        let hosts: Rc<[usize]> = hosts.into();
        self.keys.insert(key.into(), Rc::clone(&hosts));
        hosts
    }

    fn number(&mut self, label: &str) -> usize {
        if let Some(&number) = self.numbers.get(label) {
            return number;
        }
        let number = self.labels.len();
        self.labels.push(label.into());
        self.numbers.insert(label.into(), number);
        number
    }
}

/// Gathers `input` and writes it; returns the number of lines without a host.
///
/// # Errors
/// The input cannot be read, the console not written, or the text not be kept.
pub fn filter(
    spec: &GatherSpec,
    label: bool,
    colors: Colors,
    input: &mut impl BufRead,
    console: &mut Console,
) -> io::Result<u64> {
    let mut names = InputHosts::default();
    let mut collected = GatheredOutput::new(spec.memory, false);
    let mut nameless = 0;
    let read = collect(input, &mut names, &mut collected, &mut nameless, console);
    for host in 0..collected.len() {
        // The input has no exit statuses.
        collected.finish(host, "", true)?;
    }
    let mut order: Vec<usize> = (0..collected.len()).collect();
    // Lines of different hosts come in any order, so the hosts are sorted by name.
    let ranks = ranks(names.labels.iter().map(|label| &**label));
    order.sort_by_key(|host| ranks.get(names.label(*host)).copied());
    let view = GatherView {
        collected: &collected,
        labels: &names,
        label,
        format: spec.label_format.as_ref(),
        palette: &Palette::new(colors),
        only_odd: spec.only_odd,
    };
    view.show(spec.form, order, console)?;
    if nameless > 0 {
        let (lines, begin, are) = match nameless {
            1 => ("line", "begins", "it is"),
            _ => ("lines", "begin", "they are"),
        };
        let text = format!(
            "mrsh: {nameless} {lines} of standard input {begin} with no \"HOST:\"; {are} above, on standard error"
        );
        console.line(Stream::Stderr, &[text.as_bytes()])?;
    }
    console.flush()?;
    // Lines before the error have been shown.
    read.map(|()| nameless)
}

fn collect(
    input: &mut impl BufRead,
    names: &mut InputHosts,
    collected: &mut GatheredOutput,
    nameless: &mut u64,
    console: &mut Console,
) -> io::Result<()> {
    let mut line = Vec::new();
    while next_piece(input, &mut line)? {
        let Some((key, start)) = split(&line) else {
            // Programs write empty lines between their blocks.
            if line.iter().all(u8::is_ascii_whitespace) && line.ends_with(b"\n") {
                continue;
            }
            *nameless += 1;
            print_nameless(&mut line, input, console)?;
            continue;
        };
        let hosts = names.hosts(key);
        collected.add_hosts(names.labels.len() - collected.len());
        let mut text = &line[start..];
        loop {
            for host in &*hosts {
                collected.push(*host, Stream::Stdout, text)?;
            }
            if line.ends_with(b"\n") || !next_piece(input, &mut line)? {
                break;
            }
            text = &line;
        }
    }
    Ok(())
}

/// Reads up to the end of the line or one piece; returns false at the end of the input.
fn next_piece(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let read = input.take(PIECE).read_until(b'\n', line);
    match read {
        Ok(length) => Ok(length > 0),
        Err(error) => Err(io::Error::new(
            error.kind(),
            format!("cannot read standard input: {error}"),
        )),
    }
}

fn print_nameless(
    line: &mut Vec<u8>,
    input: &mut impl BufRead,
    console: &mut Console,
) -> io::Result<()> {
    let none = Frame::default();
    match line.strip_suffix(b"\n") {
        Some(line) => print_line(line, none, Stream::Stderr, console),
        None => print_long_line(line, input, none, Stream::Stderr, console),
    }
}

/// Finds the label of a line and the start of its text, after the colon and one space.
///
/// A label is the first word up to its first colon. Two labels have more colons, if a space follows the last one: an
/// IPv6 address, as in `fe80::1: text`, and a host with a port, as in `root@gw:514: text`.
fn split(line: &[u8]) -> Option<(&str, usize)> {
    let begin = line.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let length = line[begin..]
        .iter()
        .position(u8::is_ascii_whitespace)
        .unwrap_or(line.len() - begin);
    let word = &line[begin..begin + length];
    let colon = match word.strip_suffix(b":") {
        Some(host) if memchr(b':', host).is_none() || is_host_with_colons(host) => word.len() - 1,
        _ => match memchr(b':', word) {
            Some(colon) => colon,
            // dshbak allows blanks before the colon, too.
            None => {
                let rest = &line[begin + length..];
                let gap = rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
                (rest[gap] == b':').then_some(length + gap)?
            }
        },
    };
    let label = std::str::from_utf8(&word[..colon.min(length)]).ok()?;
    let start = begin + colon + 1;
    let space = usize::from(line.get(start) == Some(&b' '));
    (!label.is_empty()).then_some((label, start + space))
}

/// True for an IPv6 address, or a name or address with a port.
fn is_host_with_colons(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else {
        return false;
    };
    // A user name can contain `@`; a host name cannot.
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    if host.parse::<Ipv6Addr>().is_ok() {
        return true;
    }
    // Brackets keep the address apart from the port (RFC 3986, section 3.2.2).
    let (name, port) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((address, "")) => return address.parse::<Ipv6Addr>().is_ok(),
        Some((address, port)) => match port.strip_prefix(':') {
            Some(port) if address.parse::<Ipv6Addr>().is_ok() => (address, port),
            _ => return false,
        },
        None => match host.split_once(':') {
            Some(parts) => parts,
            None => return false,
        },
    };
    !name.is_empty() && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::Terminals;
    use super::super::super::testing::Recorder;
    use super::super::GatherForm;
    use super::*;

    fn filtered(form: GatherForm, input: &[u8]) -> (String, String, u64) {
        let spec = GatherSpec {
            form,
            memory: 1 << 20,
            ..GatherSpec::default()
        };
        let recorder = Recorder::default();
        let mut console = recorder.console(Terminals::default());
        let nameless =
            filter(&spec, true, Colors::default(), &mut { input }, &mut console).unwrap();
        let text = |stream| String::from_utf8(recorder.text(stream)).unwrap();
        (text(Stream::Stdout), text(Stream::Stderr), nameless)
    }

    #[test]
    fn labels_are_found() {
        for (line, label, text) in [
            ("a: x\n", "a", "x\n"),
            ("a:  x\n", "a", " x\n"),
            ("a:x y\n", "a", "x y\n"),
            ("a:\n", "a", "\n"),
            ("a: \n", "a", "\n"),
            ("a:", "a", ""),
            ("  a : x: y\n", "a", "x: y\n"),
            ("a: b: c\n", "a", "b: c\n"),
            ("a:b: c\n", "a", "b: c\n"),
            ("a::\n", "a", ":\n"),
            ("root@gw:514: x\n", "root@gw:514", "x\n"),
            ("gw:514:x\n", "gw", "514:x\n"),
            ("fe80::1: x\n", "fe80::1", "x\n"),
            ("u@[fe80::1]:22: x\n", "u@[fe80::1]:22", "x\n"),
            ("node[1-3],x: y\n", "node[1-3],x", "y\n"),
            ("größe: x\n", "größe", "x\n"),
        ] {
            let (found, start) = split(line.as_bytes()).unwrap();
            assert_eq!((found, &line[start..]), (label, text), "{line:?}");
        }
        for line in ["", "\n", "a\n", "two words: x\n", ": x\n", " :\n"] {
            assert_eq!(split(line.as_bytes()), None, "{line:?}");
        }
        assert_eq!(split(b"\xff: x\n"), None);
    }

    #[test]
    fn equal_texts_are_gathered_in_the_order_of_names() {
        let input = b"n10: a\nn2: a\nn1: b\nn10: z\nn2: z\nm[1-2]: c\n";
        let (out, err, nameless) = filtered(GatherForm::Blocks, input);
        assert_eq!((&*err, nameless), ("", 0));
        insta::assert_snapshot!(out, @r"
        ---------------
        m[1-2] (2)
        ---------------
        c
        ---------------
        n[2,10] (2)
        ---------------
        a
        z
        ---------------
        n1
        ---------------
        b
        ");
        insta::assert_snapshot!(filtered(GatherForm::Hosts, input).0, @r"
        m1: c
        m2: c
        n1: b
        n2: a
        n2: z
        n10: a
        n10: z
        ");
        insta::assert_snapshot!(filtered(GatherForm::Lines, input).0, @r"
        m[1-2]: c
        n[2,10]: a
        n[2,10]: z
        n1: b
        ");
    }

    #[test]
    fn a_line_without_a_host_is_not_lost() {
        let long = "x".repeat(100_000);
        let input = format!("a: 1\n\noh no\n  \na: 2\n{long} y\n");
        let (out, err, nameless) = filtered(GatherForm::Lines, input.as_bytes());
        assert_eq!(nameless, 2);
        assert_eq!(out, "a: 1\na: 2\n");
        let note = "mrsh: 2 lines of standard input begin with no \"HOST:\"; they are above, on standard error\n";
        assert_eq!(err, format!("oh no\n{long} y\n{note}"));
    }

    #[test]
    fn lines_of_any_length_are_gathered() {
        let long = "xyz ".repeat(50_000);
        let input = format!("a: {long}\nb: {long}\nb: end");
        let (out, _, _) = filtered(GatherForm::Hosts, input.as_bytes());
        assert!(out == format!("{input}\n"));
    }

    #[test]
    fn lines_before_an_error_are_shown() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("torn"))
            }
        }
        let recorder = Recorder::default();
        let mut console = recorder.console(Terminals::default());
        let spec = GatherSpec {
            form: GatherForm::Lines,
            ..GatherSpec::default()
        };
        let mut input = io::BufReader::new(b"a: 1\n".chain(Broken));
        let error = filter(&spec, true, Colors::default(), &mut input, &mut console).unwrap_err();
        assert_eq!(error.to_string(), "cannot read standard input: torn");
        assert_eq!(recorder.text(Stream::Stdout), b"a: 1\n");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_line_is_lost_or_moved(lines in prop::collection::vec((0..4_u8, "[ -~]{0,8}"), 0..20)) {
            let mut input = String::new();
            let mut expected = vec![String::new(); 4];
            for (host, text) in &lines {
                let line = format!("n{host}: {text}\n");
                expected[usize::from(*host)].push_str(&line);
                input.push_str(&line);
            }
            let (out, _, nameless) = filtered(GatherForm::Hosts, input.as_bytes());
            prop_assert_eq!(nameless, 0);
            prop_assert_eq!(out, expected.concat());
        }
    }
}
