//! The README and the pages in `docs`: the files exist to which their links lead and whose names they have, and so
//! do the names in the glossary. No line of prose is longer than 120 characters.

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Maximum width of a line of prose, in characters.
const WIDTH: usize = 120;

/// The README and the pages in `docs`, with their texts.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(ROOT);
    let mut paths = vec![root.join("README.md")];
    for entry in fs::read_dir(root.join("docs")).unwrap() {
        paths.push(entry.unwrap().path());
    }
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// Lines with their numbers, without code blocks.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(text.lines());
    lines.filter(|(_, line)| !line.starts_with("    "))
}

/// Texts between backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

#[test]
fn pages_lead_to_files_that_exist_and_fit_the_screen() {
    for (page, text) in pages() {
        let name = page.display();
        for (number, line) in lines(&text) {
            let is_table = line.starts_with('|');
            assert!(
                is_table || line.chars().count() <= WIDTH,
                "{name}:{number} is too long"
            );
            for link in line.split("](").skip(1) {
                let target = link.split([')', '#']).next().unwrap();
                let is_outside = target.is_empty() || target.contains("://");
                let there = page.parent().unwrap().join(target).exists();
                assert!(is_outside || there, "{name}:{number}: no file {target}");
            }
            let is_path = |text: &&str| {
                let starts = ["src/", "tests/", "docs/", ".cargo/"];
                let is_plain = !text.contains([' ', '*', ':']) && !text.contains("NAME");
                is_plain && starts.iter().any(|start| text.starts_with(start))
            };
            for path in quoted(line).filter(is_path) {
                let there = Path::new(ROOT).join(path).exists();
                assert!(there, "{name}:{number}: no file {path}");
            }
        }
    }
}

/// Adds the text of all Rust files below a folder.
fn read_sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn names_in_the_glossary_exist() {
    let mut sources = String::new();
    for folder in ["src", "crates"] {
        read_sources(&Path::new(ROOT).join(folder), &mut sources);
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words: std::collections::HashSet<&str> = sources.split(|c| !is_name(c)).collect();
    let glossary = fs::read_to_string(Path::new(ROOT).join("docs/glossary.md")).unwrap();
    let rows = glossary.lines().filter(|line| line.starts_with("| "));
    let mut count = 0;
    for row in rows.skip(2) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        assert_eq!(cells.len(), 3, "{row}");
        let names = quoted(cells[2]).filter(|name| !name.starts_with('-'));
        for name in names.flat_map(|name| name.split("::")) {
            assert!(words.contains(name), "no {name} in the code: {row}");
            count += 1;
        }
    }
    assert!(count > 50, "{count} names");
}
