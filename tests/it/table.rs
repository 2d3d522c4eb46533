//! The tables of faults in docs/testing.md: every test that they name exists, and they have every failure class and
//! every hostile ssh server.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The rows of the table in a section, as cells.
fn rows(text: &str, section: &str) -> Vec<Vec<String>> {
    let section = text.split(&format!("\n## {section}\n")).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let lines = section.lines().filter(|line| line.starts_with('|'));
    let cells = |line: &str| {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    // Skips the heading and the line below it.
    lines.skip(2).map(cells).collect()
}

/// Returns the texts between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The names of all functions with a test attribute in these folders.
fn tests(folders: &[&str]) -> BTreeSet<String> {
    let mut files = Vec::new();
    for folder in folders {
        sources(&Path::new(ROOT).join(folder), &mut files);
    }
    let mut names = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            let name = line.strip_prefix("async ").unwrap_or(line);
            if let Some(name) = name.strip_prefix("fn ").filter(|_| is_test) {
                names.insert(name.split('(').next().unwrap().to_owned());
            }
            is_test = if line.starts_with("#[") {
                is_test || line == "#[test]" || line.starts_with("#[tokio::test")
            } else {
                false
            };
        }
    }
    names
}

#[test]
fn every_fault_has_its_test_and_every_class_its_fault() {
    let text = fs::read_to_string(Path::new(ROOT).join("docs/testing.md")).unwrap();
    let rows = rows(&text, "Faults");
    assert!(rows.len() > 40, "{} rows", rows.len());
    let tests = tests(&["src", "crates", "tests/it"]);
    let mut classes = BTreeSet::new();
    for row in &rows {
        let [fault, message, class, status, test] = &row[..] else {
            panic!("a row must have five cells: {row:?}");
        };
        for cell in [fault, message, class, status] {
            assert!(!cell.is_empty(), "{row:?}");
        }
        assert!(!quoted(test).is_empty(), "no test in {row:?}");
        for name in quoted(test) {
            assert!(tests.contains(name), "no test {name:?} for {fault:?}");
        }
        classes.extend(quoted(class).into_iter().map(str::to_owned));
    }
    let schema = fs::read_to_string(Path::new(ROOT).join("src/output/json/schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let known = schema["$defs"]["class"]["enum"].as_array().unwrap();
    let known = known.iter().map(|class| class.as_str().unwrap());
    let missing: Vec<&str> = known.filter(|class| !classes.contains(*class)).collect();
    assert!(missing.is_empty(), "classes without a fault: {missing:?}");
}

#[test]
fn every_hostile_ssh_server_has_its_test_and_every_test_its_row() {
    let text = fs::read_to_string(Path::new(ROOT).join("docs/testing.md")).unwrap();
    let tests = tests(&["tests/it/ssh_hostile"]);
    assert!(tests.len() > 60, "{} tests", tests.len());
    let mut named = BTreeSet::new();
    let rows = rows(&text, "Hostile ssh servers");
    // Each row with four cells has a test of its own. Title rows have none, and rows of messages share one.
    for row in rows
        .iter()
        .filter(|row| row.len() == 4 && !row[0].starts_with("**"))
    {
        let [attack, mrsh, ssh, test] = &row[..] else {
            panic!("a row must have four cells: {row:?}");
        };
        assert!(
            ![attack, mrsh, ssh].iter().any(|cell| cell.is_empty()),
            "{row:?}"
        );
        named.extend(quoted(test).into_iter().map(str::to_owned));
    }
    let section = text.split("\n## Hostile ssh servers\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    named.extend(
        quoted(section)
            .into_iter()
            .filter(|name| name.starts_with("every_message_"))
            .map(str::to_owned),
    );
    assert_eq!(named, tests);
}
