//! ClusterShell's configuration: `groups.conf`, the files of its `confdir`, the YAML of its `autodir`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::ini::{self, Ini, Section};
use super::substitute::substitute;
use super::table::GroupTable;
use super::upcall::{Commands, Upcall};
use super::yaml::{self, YamlEntry, YamlNode};
use super::{GroupError, Source, expression, read_text, unreadable};

/// Name of the section with the settings. All other sections are sources.
const MAIN: &str = "Main";

/// The sources in the order of their definition, and the position of the default one.
type LoadedSources = (Vec<Box<dyn Source>>, Option<usize>);

/// Name of the configuration file in its folder.
pub(super) const FILE: &str = "groups.conf";

/// Reads these configuration files, each of which may be missing.
pub(super) fn load(files: &[PathBuf]) -> Result<LoadedSources, GroupError> {
    let mut config = Ini::default();
    let mut last = None;
    for file in files {
        if file.exists() {
            config.merge(ini::parse(&read_text(file)?, &file.display().to_string())?);
            let folder = file.parent().filter(|folder| *folder != Path::new(""));
            last = Some((folder.unwrap_or(Path::new(".")), file));
        }
    }
    // `$CFGDIR` is the folder of the last file, whose settings override the others.
    let Some((folder, main_file)) = last else {
        return Ok((Vec::new(), None));
    };
    // The order of the sources decides which is the default: the first one, if no setting names one.
    let mut loader = Loader::default();
    let main = config.section(MAIN);
    let setting = |key| main.and_then(|main| main.get(key));
    for confdir in folders_of(setting("groupsdir").or(setting("confdir")), folder)? {
        for file in files_in(&confdir, "conf")? {
            let part = ini::parse(&read_text(&file)?, &file.display().to_string())?;
            loader.add_commands(&part, &confdir, &file)?;
        }
    }
    for autodir in folders_of(setting("autodir"), folder)? {
        for file in files_in(&autodir, "yaml")? {
            loader.add_yaml(&file)?;
        }
    }
    loader.add_commands(&config, folder, main_file)?;
    let default = match setting("default").filter(|name| !name.is_empty()) {
        None => (!loader.sources.is_empty()).then_some(0),
        Some(name) => {
            let position = loader
                .sources
                .iter()
                .position(|source| source.name() == name);
            if position.is_none() {
                let message = format!(
                    "{}: the default source \"{name}\" is not defined",
                    main_file.display()
                );
                return Err(GroupError::Failed(message));
            }
            position
        }
    };
    Ok((loader.sources, default))
}

/// Returns the folders of a setting, each once.
fn folders_of(setting: Option<&str>, config: &Path) -> Result<Vec<PathBuf>, GroupError> {
    let setting = setting.unwrap_or_default();
    let unclosed = || {
        let file = config.join("groups.conf");
        let message = format!("{}: a quote is never closed: {setting}", file.display());
        GroupError::Failed(message)
    };
    // ClusterShell splits these settings with Python's shlex, too.
    let words = shlex::split(setting).ok_or_else(unclosed)?;
    let config = config.to_string_lossy();
    let mut folders = Vec::new();
    for word in words {
        let path = substitute(&word, |name| Some(&*config).filter(|_| name == "CFGDIR"));
        // Components remove doubled slashes, so that one folder is not read twice.
        let path: PathBuf = Path::new(&path).components().collect();
        if !folders.contains(&path) {
            folders.push(path);
        }
    }
    Ok(folders)
}

/// Returns the files of a folder with this ending, sorted. A missing folder has none.
fn files_in(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, GroupError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(folder, &error))?.path();
        // As with a shell's `*.conf`, hidden files are left out.
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.extension().is_some_and(|found| found == ending) && !hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[derive(Default)]
struct Loader {
    sources: Vec<Box<dyn Source>>,
}

impl Loader {
    fn add(&mut self, source: impl Source + 'static, file: &Path) -> Result<(), GroupError> {
        let name = source.name();
        if self.sources.iter().any(|old| old.name() == name) {
            let file = file.display();
            let message = format!("{file}: there are two sources of groups called \"{name}\"");
            return Err(GroupError::Failed(message));
        }
        self.sources.push(Box::new(source));
        Ok(())
    }

    /// Adds the sources that run commands, one for each name of a section.
    fn add_commands(&mut self, config: &Ini, folder: &Path, file: &Path) -> Result<(), GroupError> {
        for section in config
            .sections
            .iter()
            .filter(|section| section.name != MAIN)
        {
            // `[job,j]` defines one source with two names.
            for name in section.name.split(',') {
                let commands = commands(section, file)?;
                self.add(Upcall::new(name.trim(), commands, folder), file)?;
            }
        }
        Ok(())
    }

    /// Adds the sources of a YAML file: a mapping from sources to mappings from groups to hosts.
    fn add_yaml(&mut self, file: &Path) -> Result<(), GroupError> {
        let text = match read_text(file) {
            // A file that this user may not read is left out: its groups are for other users.
            Err(_) if denied(file) => return Ok(()),
            text => text?,
        };
        let fail = |what: String| GroupError::Failed(format!("{}: {what}", file.display()));
        let tree = yaml::parse(&text).map_err(fail)?;
        let YamlNode::Map(sources) = &*tree else {
            return Err(fail(
                "expected sources with groups: \"source: {group: hosts}\"".into(),
            ));
        };
        for YamlEntry {
            key: name, value, ..
        } in sources
        {
            let YamlNode::Map(groups) = &**value else {
                return Err(fail(format!(
                    "the source \"{name}\" is no mapping of groups"
                )));
            };
            let mut table = BTreeMap::new();
            for YamlEntry {
                key: group, value, ..
            } in groups
            {
                let hosts = yaml_hosts(value).ok_or_else(|| {
                    fail(format!(
                        "the hosts of {name}:{group} are no text and no list, or too many"
                    ))
                })?;
                table.insert(group.clone(), expression(name, hosts));
            }
            self.add(GroupTable::new(name, table), file)?;
        }
        Ok(())
    }
}

fn denied(file: &Path) -> bool {
    // The error of `read_text` is a text, so the kind of the error is found by opening the file again.
    let opened = std::fs::File::open(file);
    opened.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

fn commands(section: &Section, file: &Path) -> Result<Commands, GroupError> {
    let Some(map) = section.get("map") else {
        let (file, name) = (file.display(), &section.name);
        return Err(GroupError::Failed(format!(
            "{file}: [{name}] has no map command"
        )));
    };
    let own = |key| {
        section
            .get(key)
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
    };
    Ok(Commands {
        map: map.to_owned(),
        all: own("all"),
        list: own("list"),
        reverse: own("reverse"),
    })
}

/// Maximum number of nodes in the hosts of a group.
// With aliases, a small file can expand to any number.
const MAX_NODES: usize = 1_000_000;

/// Returns the hosts of a group in a YAML file: an expression, or a list of them. `None` if it is neither, or too
/// large.
fn yaml_hosts(node: &YamlNode) -> Option<String> {
    let mut texts = Vec::new();
    collect(node, &mut texts, &mut 0)?;
    Some(texts.join(","))
}

fn collect<'a>(node: &'a YamlNode, texts: &mut Vec<&'a str>, visited: &mut usize) -> Option<()> {
    *visited += 1;
    match node {
        _ if *visited > MAX_NODES => None,
        YamlNode::Null => Some(()),
        YamlNode::Text(text) => {
            texts.push(text);
            Some(())
        }
        YamlNode::List(list) => list
            .iter()
            .try_for_each(|node| collect(node, texts, visited)),
        YamlNode::Map(_) => None,
    }
}
