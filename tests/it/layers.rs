//! The layers of the program: each module in `src` imports only what the table here lets it, and no imports form a
//! circle. Read from the text of the files, without their tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const SRC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// Each module and the modules that it may import. `lib` is not in the table, because it imports all of them.
const LAYERS: &[(&str, &[&str])] = &[
    // Helpers, which import nothing.
    ("clock", &[]),
    ("error_text", &[]),
    ("help", &[]),
    ("inherited", &[]),
    ("policy", &[]),
    ("privilege", &[]),
    ("random", &[]),
    ("reader", &[]),
    ("script", &[]),
    ("spool", &[]),
    ("trusted", &[]),
    // The engine, from the data upwards.
    ("targets", &["help", "trusted"]),
    ("event", &["error_text", "targets"]),
    ("journal", &["event", "random", "targets"]),
    (
        "copy",
        &["error_text", "event", "random", "spool", "targets"],
    ),
    (
        "transport",
        &[
            "clock",
            "copy",
            "error_text",
            "event",
            "journal",
            "random",
            "reader",
            "spool",
            "targets",
        ],
    ),
    (
        "run",
        &[
            "clock",
            "copy",
            "event",
            "inherited",
            "journal",
            "policy",
            "reader",
            "targets",
            "transport",
        ],
    ),
    (
        "output",
        &[
            "error_text",
            "event",
            "help",
            "policy",
            "random",
            "reader",
            "spool",
            "targets",
        ],
    ),
    // From the command line to the plan, and from the run to the exit status.
    ("cli", &["help", "policy", "run", "targets", "transport"]),
    ("config", &["cli", "targets", "trusted"]),
    (
        "error",
        &[
            "cli",
            "config",
            "copy",
            "journal",
            "script",
            "targets",
            "transport",
            "trusted",
        ],
    ),
    ("exit", &["event"]),
    ("listing", &["error", "targets"]),
    ("complete", &["config", "targets", "transport"]),
    ("generate", &["cli"]),
    (
        "personalities",
        &["cli", "config", "exit", "run", "targets"],
    ),
    (
        "plan",
        &[
            "cli",
            "copy",
            "error",
            "error_text",
            "event",
            "exit",
            "journal",
            "listing",
            "output",
            "policy",
            "privilege",
            "random",
            "reader",
            "run",
            "script",
            "targets",
            "transport",
        ],
    ),
    (
        "dry_run",
        &[
            "clock",
            "error",
            "error_text",
            "output",
            "plan",
            "policy",
            "run",
            "targets",
            "transport",
        ],
    ),
    (
        "messages",
        &[
            "cli",
            "config",
            "error",
            "error_text",
            "exit",
            "help",
            "output",
        ],
    ),
    (
        "confirm",
        &["error", "exit", "messages", "output", "plan", "targets"],
    ),
    (
        "resume",
        &[
            "cli", "config", "error", "event", "exit", "help", "journal", "messages", "output",
            "plan", "targets",
        ],
    ),
    (
        "setup",
        &[
            "copy",
            "error",
            "event",
            "exit",
            "journal",
            "messages",
            "output",
            "plan",
            "privilege",
            "random",
            "reader",
            "resume",
            "run",
            "targets",
            "transport",
        ],
    ),
    (
        "personalities",
        &[
            "cli",
            "config",
            "copy",
            "error",
            "error_text",
            "exit",
            "messages",
            "output",
            "plan",
            "run",
            "setup",
            "targets",
            "transport",
        ],
    ),
    (
        "modes",
        &[
            "cli",
            "complete",
            "config",
            "confirm",
            "dry_run",
            "error",
            "exit",
            "generate",
            "inherited",
            "listing",
            "messages",
            "output",
            "personalities",
            "plan",
            "privilege",
            "reader",
            "resume",
            "setup",
        ],
    ),
];

/// Imports that the table does not allow: the file, the start of the path, and the reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "cli/usage.rs",
    "config::command",
    "help for a wrong option looks for the nearest one, also among the listing modes",
)];

/// An import of one module by another.
#[derive(Debug)]
struct Import {
    /// The file, as a path in `src`.
    file: String,
    /// The path after `crate::`.
    path: String,
}

impl Import {
    /// Returns the module that imports.
    fn importer(&self) -> &str {
        let first = self.file.split('/').next().unwrap();
        first.trim_end_matches(".rs")
    }

    /// Returns the module that is imported.
    fn imported(&self) -> &str {
        self.path.split("::").next().unwrap()
    }

    fn is_exception(&self, (file, path, _): &(&str, &str, &str)) -> bool {
        let rest = self.path.strip_prefix(path);
        self.file == *file && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }
}

/// The Rust files below `dir`, without tests and their helpers.
fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if ["tests", "testing", "fuzzed"].contains(&stem) {
            continue;
        }
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Returns the code of a file without comments, and without its module of tests.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut in_tests = false;
    for line in text.lines() {
        in_tests |= line.starts_with("mod tests {");
        if !in_tests && !line.trim_start().starts_with("//") {
            code.push_str(line.split(" // ").next().unwrap());
            code.push('\n');
        }
        in_tests &= line != "}";
    }
    code
}

/// Returns the paths that follow `crate::` in `code`; a group in braces is a path for each of its names.
fn paths(code: &str) -> Vec<String> {
    const START: &str = "crate::";
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut paths = Vec::new();
    for (at, _) in code.match_indices(START) {
        let rest = &code[at + START.len()..];
        let end = rest.find(|c| !is_path(c)).unwrap_or(rest.len());
        let (path, after) = rest.split_at(end);
        match after.strip_prefix('{') {
            Some(group) => {
                let group = group.split('}').next().unwrap();
                let names = group
                    .split(',')
                    .map(str::trim)
                    .filter(|name| !name.is_empty());
                paths.extend(names.map(|name| format!("{path}{name}")));
            }
            None => paths.push(path.to_owned()),
        }
    }
    paths
}

/// All imports between modules of the program.
fn imports() -> Vec<Import> {
    let mut found = Vec::new();
    files(Path::new(SRC), &mut found);
    let mut imports = Vec::new();
    for path in found {
        let file = path.strip_prefix(SRC).unwrap().to_str().unwrap();
        if ["lib.rs", "main.rs", "closed_output.rs"].contains(&file) {
            continue;
        }
        let code = code(&fs::read_to_string(&path).unwrap());
        // Groups of modules, and paths to another module through `super`, are not read here.
        assert!(
            !code.contains("crate::{"),
            "{file}: write one `use` for each module"
        );
        let module = file.trim_end_matches(".rs").trim_end_matches("/mod");
        let to_the_root = "super::".repeat(module.split('/').count());
        assert!(!code.contains(&to_the_root), "{file}: write `crate::`");
        for path in paths(&code) {
            let import = Import {
                file: file.to_owned(),
                path,
            };
            if import.importer() != import.imported() {
                imports.push(import);
            }
        }
    }
    imports
}

#[test]
fn modules_import_only_the_layers_below_them() {
    let layers: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    let imports = imports();
    assert!(imports.len() > 200, "{} imports", imports.len());
    let mut wrong = Vec::new();
    for import in &imports {
        let Some(allowed) = layers.get(import.importer()) else {
            wrong.push(format!("{} has no row in the table", import.importer()));
            continue;
        };
        let is_allowed = allowed.contains(&import.imported())
            || EXCEPTIONS
                .iter()
                .any(|exception| import.is_exception(exception));
        if !is_allowed {
            wrong.push(format!("{} imports {}", import.file, import.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for exception in EXCEPTIONS {
        let is_used = imports.iter().any(|import| import.is_exception(exception));
        assert!(is_used, "nothing needs the exception {exception:?}");
    }
}

#[test]
fn no_imports_form_a_circle() {
    let mut imported: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for import in imports() {
        if !EXCEPTIONS
            .iter()
            .any(|exception| import.is_exception(exception))
        {
            let of_this = imported.entry(import.importer().to_owned()).or_default();
            of_this.insert(import.imported().to_owned());
        }
    }
    // Modules that import no other are removed, again and again. A module that remains is in a circle, or imports one
    // that is.
    loop {
        let left: BTreeSet<String> = imported.keys().cloned().collect();
        imported.retain(|_, modules| modules.iter().any(|module| left.contains(module)));
        if imported.len() == left.len() {
            break;
        }
    }
    assert!(imported.is_empty(), "circles: {imported:#?}");
}

#[test]
fn comments_and_tests_are_no_imports() {
    let text = "\
//! See [`a`](crate::a).
use crate::b::{C, D};
pub(in crate::e) struct F; // not crate::g
#[cfg(test)]
mod tests {
    use crate::h;
}
fn i() { crate::j::k() }
";
    let code = code(text);
    assert_eq!(paths(&code), ["b::C", "b::D", "e", "j::k"]);
}

/// Returns the name of the type that a line of code defines.
fn type_name(line: &str) -> Option<&str> {
    let item = line.trim_start();
    let item = match item.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(") ")?.1,
        Some(rest) => rest.trim_start(),
        None => item,
    };
    let (kind, rest) = item.split_once(' ')?;
    // An indented `type` belongs to a trait or its implementation, which choose its name.
    let is_type = match kind {
        "struct" | "enum" | "trait" => true,
        "type" => !line.starts_with(' '),
        _ => false,
    };
    is_type.then(|| rest.split(|c: char| !c.is_alphanumeric()).next())?
}

#[test]
fn types_have_names_of_their_own() {
    let mut found = Vec::new();
    files(Path::new(SRC), &mut found);
    for folder in fs::read_dir(Path::new(SRC).join("../crates")).unwrap() {
        files(&folder.unwrap().path().join("src"), &mut found);
    }
    let mut places: BTreeMap<String, Vec<&Path>> = BTreeMap::new();
    for path in &found {
        let code = code(&fs::read_to_string(path).unwrap());
        for name in code.lines().filter_map(type_name) {
            places.entry(name.to_owned()).or_default().push(path);
        }
    }
    assert!(places.len() > 700, "{} types", places.len());
    places.retain(|_, places| places.len() > 1);
    assert!(places.is_empty(), "{places:#?}");
}
