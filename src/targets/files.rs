//! Reads hosts files, with the files that they include.
//!
//! Used by the builder for `-f` and for standard input, and by expressions for `^file`. Lines are
//! handed on as they are read, so a file costs no more memory than its longest line.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nodeset::{GroupSource, HostFiles};

use super::error::{Diagnostic, Origin, TargetError};
use super::hosts_file::{self, HostsFileLine, LineError};
use super::inventory::{self, Inventory};
use super::{HostList, HostResolver, Limits, NO_TARGET_FAILED, Options, Warnings};

/// Maximum length of a line in bytes, enough for a million names. A file with a longer line is no hosts file.
const MAX_LINE: u64 = 1 << 24;

/// Maximum size of an inventory in bytes.
const MAX_INVENTORY: u64 = 64 << 20;

/// Maximum depth of files that include files.
const MAX_DEPTH: usize = 20;

/// A consumer of the hosts of a line. It also gets the line's origin, its text, and the span of the hosts.
type Sink<'s> = &'s mut dyn FnMut(HostList, &Origin, &str, Range<usize>) -> Result<(), TargetError>;

/// Returns the inventory in a file; `None` if the file is not an inventory.
pub(super) fn inventory_in(path: &Path, limits: Limits) -> Result<Option<Inventory>, TargetError> {
    let unreadable = |source| TargetError::Read {
        name: path.display().to_string(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    // A pipe can be read only once, and the reader of the hosts needs its text.
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Ok(None);
    }
    let mut file = BufReader::new(file);
    if is_inventory(path, &mut file)? {
        parse_inventory(path, file, limits).map(Some)
    } else {
        Ok(None)
    }
}

/// Passes all hosts of an inventory to `sink`. `path` is its file, for errors.
pub(super) fn all_hosts(
    path: &Path,
    inventory: &Inventory,
    sink: Sink<'_>,
) -> Result<(), TargetError> {
    let name = path.display().to_string();
    match inventory.hosts("all") {
        Ok(hosts) => {
            let mut list = HostList::default();
            list.push_list(hosts.unwrap_or_default(), Options::default());
            sink(list, &Origin::named(&name), &name, 0..name.len())
        }
        Err(message) => Err(TargetError::Inventory { name, message }),
    }
}

/// True if a file starts as an inventory. Consumes nothing of the file.
fn is_inventory(path: &Path, file: &mut impl BufRead) -> Result<bool, TargetError> {
    match file.fill_buf() {
        Ok(start) => Ok(inventory::is_inventory(
            path,
            &String::from_utf8_lossy(start),
        )),
        Err(source) => Err(TargetError::Read {
            name: path.display().to_string(),
            source,
        }),
    }
}

fn parse_inventory(
    path: &Path,
    file: impl BufRead,
    limits: Limits,
) -> Result<Inventory, TargetError> {
    let name = path.display().to_string();
    let mut text = String::new();
    if let Err(source) = file.take(MAX_INVENTORY).read_to_string(&mut text) {
        return Err(TargetError::Read { name, source });
    }
    inventory::parse(path, &text, limits.max_targets, limits.inventory_env)
        .map_err(|message| TargetError::Inventory { name, message })
}

/// A reader of hosts files, which may name groups.
pub(super) struct FileReader<'a> {
    limits: Limits,
    groups: &'a dyn GroupSource<Options>,
    warnings: &'a Warnings,
    /// The files that are being read, each included by the one before.
    open: RefCell<Vec<PathBuf>>,
}

impl<'a> FileReader<'a> {
    pub(super) fn new(
        limits: Limits,
        groups: &'a dyn GroupSource<Options>,
        warnings: &'a Warnings,
    ) -> FileReader<'a> {
        FileReader {
            limits,
            groups,
            warnings,
            open: RefCell::default(),
        }
    }

    /// Reads a file and what it includes. Returns true if one of the files has the comment [`NO_TARGET_FAILED`].
    pub(super) fn read_file(&self, path: &Path, sink: Sink<'_>) -> Result<bool, TargetError> {
        let name = path.display().to_string();
        let file = match File::open(path) {
            Ok(file) => file,
            Err(source) => return Err(TargetError::Read { name, source }),
        };
        let mut file = BufReader::new(file);
        if is_inventory(path, &mut file)? {
            all_hosts(path, &parse_inventory(path, file, self.limits)?, sink)?;
            return Ok(false);
        }
        self.open.borrow_mut().push(path.to_owned());
        let read = self.read_lines(&name, file, sink);
        self.open.borrow_mut().pop();
        read
    }

    /// Reads lines that errors say are from `name`. The result is that of [`read_file`](FileReader::read_file).
    pub(super) fn read_lines(
        &self,
        name: &str,
        mut reader: impl BufRead,
        sink: Sink<'_>,
    ) -> Result<bool, TargetError> {
        let resolver = HostResolver::new(self.limits.max_targets, self.groups, self);
        let shared: Arc<str> = name.into();
        let mut bytes = Vec::new();
        let mut no_target_failed = false;
        for number in 1.. {
            let origin = Origin::line(&shared, number);
            bytes.clear();
            reader
                .by_ref()
                // A device or binary file may have no newline, so the length of a line is bounded.
                .take(MAX_LINE)
                .read_until(b'\n', &mut bytes)
                .map_err(|source| TargetError::Read {
                    name: name.to_owned(),
                    source,
                })?;
            if bytes.is_empty() {
                break;
            }
            let mut line = match bytes.strip_suffix(b"\n") {
                Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
                None => &bytes,
            };
            if number == 1 {
                // Editors of Windows write a byte order mark at the start of UTF-8 files.
                line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
            }
            let text = readable(line, &origin)?;
            no_target_failed |= text == NO_TARGET_FAILED;
            match hosts_file::parse_line(text, &resolver) {
                Ok(HostsFileLine::Nothing) => {}
                Ok(HostsFileLine::EmptyInclude) => self.warnings.add(format!(
                    "{name}:{number}: this #include names no file: ignored"
                )),
                Ok(HostsFileLine::Hosts(hosts, span)) => sink(hosts, &origin, text, span)?,
                Ok(HostsFileLine::Include(path, span)) => {
                    no_target_failed |= self.include(path, &origin, text, span, sink)?;
                }
                Err(LineError {
                    span,
                    message,
                    help,
                }) => {
                    return Err(Diagnostic::new(&origin, text, span, message, help).into());
                }
            }
        }
        Ok(no_target_failed)
    }

    /// Reads an included file: its path is relative to the including file or, as in pdsh, to the
    /// first one.
    fn include(
        &self,
        path: &str,
        origin: &Origin,
        text: &str,
        span: Range<usize>,
        sink: Sink<'_>,
    ) -> Result<bool, TargetError> {
        let refuse = |message: String| {
            let help = Some("#include names another hosts file".to_owned());
            Err(Diagnostic::new(origin, text, span, message, help).into())
        };
        let open = self.open.borrow().clone();
        let beside = |file: &PathBuf| file.parent().map(|folder| folder.join(path));
        // pdsh resolves the path relative to the first file. The including file is tried first.
        let candidates = [open.last(), open.first()];
        let found = candidates
            .into_iter()
            .flatten()
            .filter_map(beside)
            .find(|path| path.exists())
            .unwrap_or_else(|| PathBuf::from(path));
        // Links can give one file several paths, so canonical paths are compared.
        let same = |file: &PathBuf| match (file.canonicalize(), found.canonicalize()) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        };
        if let Some(first) = open.iter().position(same) {
            let names = open[first..].iter().chain([&found]);
            let names: Vec<String> = names.map(|file| file.display().to_string()).collect();
            // As in pdsh, a cycle is no error: the hosts of its files are in the list already.
            self.warnings.add(format!(
                "{}:{}: these files include each other: {}: ignored",
                origin.name(),
                origin.line_number().unwrap_or_default(),
                names.join(" → ")
            ));
            return Ok(false);
        }
        if open.len() >= MAX_DEPTH {
            return refuse(format!("files include files more than {MAX_DEPTH} deep"));
        }
        match self.read_file(&found, sink) {
            Err(TargetError::Read { name, source }) => {
                refuse(format!("cannot read {name}: {source}"))
            }
            read => read,
        }
    }
}

impl HostFiles<Options> for FileReader<'_> {
    fn read(&self, path: &str) -> Result<Arc<HostList>, String> {
        let mut list = HostList::default();
        let limit = self.limits.max_targets;
        let mut add = |hosts: HostList, origin: &Origin, text: &str, span| {
            list.append(hosts);
            if list.mentions() > limit as u128 {
                let message = format!("more than {limit} names");
                return Err(Diagnostic::new(origin, text, span, message, None).into());
            }
            Ok(())
        };
        let read = match path {
            "-" => self.read_lines("standard input", io::stdin().lock(), &mut add),
            _ => self.read_file(Path::new(path), &mut add),
        };
        match read {
            Ok(_) => Ok(Arc::new(list)),
            Err(TargetError::Read { name, source }) => Err(format!("cannot read {name}: {source}")),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Returns the line as text; an error if it is too long or not UTF-8.
fn readable<'a>(line: &'a [u8], origin: &Origin) -> Result<&'a str, TargetError> {
    let refuse = |at: usize, message: &str| {
        let text = String::from_utf8_lossy(line);
        let help = Some("a hosts file is UTF-8 text with one node set a line".to_owned());
        Err(Diagnostic::new(origin, &text, at..at, message, help).into())
    };
    if line.len() as u64 >= MAX_LINE - 1 {
        return refuse(0, "this line is too long for a hosts file");
    }
    match std::str::from_utf8(line) {
        Ok(text) => Ok(text),
        Err(error) => refuse(error.valid_up_to(), "this is not UTF-8 text"),
    }
}
