//! `dshbak` of pdsh: output of many hosts in blocks.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::{Call, Streams};
use crate::exit::ExitStatus;
use names::{compress, trailing_number};

mod names;

const USAGE: &str = "[OPTION]...
 -h       Display this help message
 -c       Coalesce identical output from hosts
 -d DIR   Send output to files in DIR, one file per host
 -f       With -d, force creation of DIR
";

const RULE: &[u8] = b"----------------\n";

#[derive(Debug, Default, PartialEq, Eq)]
struct DshbakOptions {
    help: bool,
    coalesce: bool,
    folder: Option<OsString>,
    force: bool,
    /// Files to read in place of standard input.
    files: Vec<OsString>,
    /// Options that there are not. They are reported, and end the program with its usage.
    unknown: Vec<u8>,
}

impl DshbakOptions {
    /// Reads options as Perl's `Getopt::Std` does: the first other word ends them.
    fn parse(words: &[OsString]) -> DshbakOptions {
        let mut options = DshbakOptions::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let bytes = word.as_bytes();
            if bytes == b"--" {
                break;
            }
            // For `Getopt::Std`, a single dash is no option, so it can name standard input.
            if bytes.len() < 2 || bytes[0] != b'-' {
                options.files.push(word.clone());
                break;
            }
            let mut letters = &bytes[1..];
            while let [letter, after @ ..] = letters {
                letters = after;
                match letter {
                    b'h' => options.help = true,
                    b'c' => options.coalesce = true,
                    b'f' => options.force = true,
                    b'd' => {
                        let value = if after.is_empty() {
                            words.next().cloned()
                        } else {
                            Some(OsString::from_vec(after.to_vec()))
                        };
                        // As in Perl, an empty text and `0` are false.
                        options.folder = value.filter(|dir| !dir.is_empty() && dir != "0");
                        break;
                    }
                    // `Getopt::Std` continues after a wrong letter, so one call can report several.
                    letter => options.unknown.push(*letter),
                }
            }
        }
        options.files.extend(words.cloned());
        options
    }
}

/// Lines of a host, joined.
type HostLines = Vec<u8>;

/// Runs the program.
pub(super) fn run(call: &Call<'_>, streams: &mut Streams<'_>) -> ExitStatus {
    let program = &call.program;
    match work(call, streams) {
        Ok(()) => ExitStatus::SUCCESS,
        Err(DshbakStop::Fatal(message)) => {
            streams.complain(&format!("{program}: Fatal: {message}\n"));
            ExitStatus::Code(1)
        }
        Err(DshbakStop::Io(error)) => {
            // A reader such as `head` may end early. Perl's dshbak dies by SIGPIPE then, without a message.
            if error.kind() != io::ErrorKind::BrokenPipe {
                streams.complain(&format!("{program}: Fatal: {error}\n"));
            }
            ExitStatus::of_filter(Err(&error))
        }
    }
}

enum DshbakStop {
    Fatal(String),
    Io(io::Error),
}

impl From<io::Error> for DshbakStop {
    fn from(error: io::Error) -> DshbakStop {
        DshbakStop::Io(error)
    }
}

fn work(call: &Call<'_>, streams: &mut Streams<'_>) -> Result<(), DshbakStop> {
    let options = DshbakOptions::parse(call.words);
    for letter in &options.unknown {
        streams.complain(&format!("Unknown option: {}\n", char::from(*letter)));
    }
    if options.help || !options.unknown.is_empty() {
        // dshbak prints its usage on standard error and succeeds.
        streams.complain(&format!("Usage: {} {USAGE}", call.program));
        return Ok(());
    }
    let fatal = |message: String| Err(DshbakStop::Fatal(message));
    if let Some(folder) = &options.folder {
        if options.coalesce {
            return fatal("Do not specify both -c and -d".to_owned());
        }
        let (path, shown) = (Path::new(folder), folder.display());
        if options.force && !path.is_dir() {
            let made = DirBuilder::new().recursive(true).create(path);
            if let Err(error) = made {
                return fatal(format!(
                    "Failed to create {shown}: mkdir {shown}: {}",
                    cause(&error)
                ));
            }
        }
        if !path.is_dir() {
            return fatal(format!("Output directory {shown} does not exist"));
        }
    } else if options.force {
        return fatal("Option -f may only be used with -d".to_owned());
    }
    let hosts = read(&options.files, streams)?;
    let mut order: Vec<&Vec<u8>> = hosts.keys().collect();
    // The sort is stable: hosts with the same number stay in the order of their names.
    order.sort_by_key(|host| trailing_number(host));
    if let Some(folder) = &options.folder {
        return write_files(folder, &order, &hosts);
    }
    if !options.coalesce {
        for host in order {
            print_block(host, &hosts[host], streams)?;
        }
        return Ok(());
    }
    let mut groups: Vec<(&HostLines, Vec<&[u8]>)> = Vec::new();
    // A hash table, because dshbak's comparison of all pairs takes quadratic time.
    let mut known: HashMap<&HostLines, usize> = HashMap::new();
    for host in order {
        let at = *known.entry(&hosts[host]).or_insert(groups.len());
        if at == groups.len() {
            groups.push((&hosts[host], Vec::new()));
        }
        groups[at].1.push(host);
    }
    for (lines, mut hosts) in groups {
        // dshbak sorts the names as text first. Names with equal numbers keep this order.
        hosts.sort_unstable();
        print_block(&compress(&hosts), lines, streams)?;
    }
    Ok(())
}

/// Reads the files, or standard input if there are none.
fn read(
    files: &[OsString],
    streams: &mut Streams<'_>,
) -> Result<BTreeMap<Vec<u8>, HostLines>, DshbakStop> {
    // A Perl hash has no fixed order. Here the same input always gives the same output.
    let mut hosts = BTreeMap::new();
    if files.is_empty() {
        read_lines(streams.input, &mut hosts)?;
    }
    for file in files {
        // Perl's `<>` reads standard input for this name.
        if file == "-" {
            read_lines(streams.input, &mut hosts)?;
            continue;
        }
        match File::open(file) {
            Ok(opened) => read_lines(&mut BufReader::new(opened), &mut hosts)?,
            Err(error) => {
                // Perl's `<>` warns and reads the next file, and dshbak still ends with status 0.
                let (file, cause) = (file.display(), cause(&error));
                streams.complain(&format!("Can't open {file}: {cause}.\n"));
            }
        }
    }
    Ok(hosts)
}

fn read_lines(input: &mut dyn BufRead, hosts: &mut BTreeMap<Vec<u8>, HostLines>) -> io::Result<()> {
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        if let Some((host, text)) = divide(&line) {
            match hosts.get_mut(host) {
                Some(lines) => lines.extend_from_slice(text),
                None => {
                    hosts.insert(host.to_vec(), text.to_vec());
                }
            }
        }
        line.clear();
    }
    Ok(())
}

fn is_space(b: u8) -> bool {
    // Perl's `\s` contains the vertical tab, but Rust's set does not.
    b.is_ascii_whitespace() || b == 0x0b
}

/// Divides a line into the host and its text, without one blank after the colon. Other lines are ignored, also a last
/// one without a newline.
fn divide(line: &[u8]) -> Option<(&[u8], &[u8])> {
    if line.last() != Some(&b'\n') {
        return None;
    }
    let start = line.iter().position(|b| !is_space(*b))?;
    let line = &line[start..];
    // White space may stand before the colon, but the host has at least one character and no white space.
    let word = line.iter().position(|b| is_space(*b)).unwrap_or(line.len());
    let colon = match line[..word].iter().skip(1).position(|b| *b == b':') {
        Some(at) => (at + 1, at + 1),
        None => {
            let spaces = line[word..].iter().position(|b| !is_space(*b))?;
            let at = word + spaces;
            (line[at] == b':').then_some((word, at))?
        }
    };
    let (end, colon) = colon;
    let text = &line[colon + 1..];
    Some((&line[..end], text.strip_prefix(b" ").unwrap_or(text)))
}

fn print_block(name: &[u8], lines: &[u8], streams: &mut Streams<'_>) -> Result<(), DshbakStop> {
    for part in [RULE, name, b"\n", RULE, lines] {
        streams.output.write_all(part)?;
    }
    Ok(())
}

/// `-d`.
fn write_files(
    folder: &OsStr,
    order: &[&Vec<u8>],
    hosts: &BTreeMap<Vec<u8>, HostLines>,
) -> Result<(), DshbakStop> {
    for host in order {
        let path = Path::new(folder).join(OsStr::from_bytes(host));
        // The host's name is from the input and must not lead out of the folder.
        let plain = !host.contains(&b'/') && !matches!(host.as_slice(), b"." | b"..");
        let written = if plain {
            File::create(&path).and_then(|mut file| file.write_all(&hosts[*host]))
        } else {
            Err(io::Error::other(
                "the name of the host is no name of a file",
            ))
        };
        if let Err(error) = written {
            let (path, cause) = (path.display(), cause(&error));
            return Err(DshbakStop::Fatal(format!(
                "Failed to open output file '{path}': {cause}"
            )));
        }
    }
    Ok(())
}

/// Returns the text of an error without its number, as Perl's `$!`.
fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text
        .split_once(" (os error")
        .map_or(text.as_str(), |(text, _)| text);
    text.to_owned()
}
