//! `--inventory-env`: variables of an inventory in the environment of commands.

use std::fs;
use std::path::Path;

use crate::support::{Ended, Mrsh};

const YAML: &str = "\
all:
  vars: {zone: all, rack: r0, level: all, ntp: [a, b]}
  hosts:
    h1:
      level: host
      ansible_host: 127.0.0.1
      bad-name: x
      note: \"{{ zone }}\"
      port: 22
      on: yes
      MRSH_HOST: x
    h2: {none: null, gone: null}
  children:
    web:
      vars: {zone: web, level: web, gone: here, map: {a: b}}
      hosts: {h1: , h2: }
";

fn run(inventory: &Path, options: &[&str], command: &str) -> Ended {
    Mrsh::new()
        .args(&["--demo", "-f", inventory.to_str().unwrap()])
        .args(options)
        .arg(command)
        .run()
        .status(0)
}

const PRINT: &str = "echo \"$zone|$rack|$level|$port|$on|$gone\"";

#[test]
fn variables_have_the_precedence_of_ansible() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inv.yml");
    fs::write(&path, YAML).unwrap();
    let ended = run(&path, &["--inventory-env"], PRINT);
    let lines = ended.sorted_lines();
    assert_eq!(lines, ["h1: web|r0|host|22|yes|here", "h2: web|r0|web|||"]);
    let warning = "mrsh: in the inventory and not exported: MRSH_HOST (mrsh keeps the name for itself; 1 host), \
                   bad-name (no name of a shell variable; 1 host), map (a list or a mapping; 2 hosts), note (a \
                   template; 1 host), ntp (a list or a mapping; 2 hosts)\n";
    assert!(ended.stderr.contains(warning), "{}", ended.stderr);
    // Files beside the inventory come before it, and --env before all of them.
    fs::create_dir(folder.path().join("host_vars")).unwrap();
    fs::write(
        folder.path().join("host_vars/h2.yml"),
        "rack: \"a 'b' $c\"\n",
    )
    .unwrap();
    let ended = run(&path, &["--inventory-env", "--env", "zone=%l"], PRINT);
    assert_eq!(
        ended.sorted_lines(),
        ["h1: h1|r0|host|22|yes|here", "h2: h2|a 'b' $c|web|||"]
    );
    // Without the option nothing is exported, and no notice comes.
    let ended = run(&path, &[], PRINT);
    assert_eq!(ended.sorted_lines(), ["h1: |||||", "h2: |||||"]);
    assert!(!ended.stderr.contains("not exported"), "{}", ended.stderr);
    // Variables for connections stay with the connection.
    let ended = run(
        &path,
        &["--inventory-env"],
        "env | grep -c ^ansible || true",
    );
    assert_eq!(ended.sorted_lines(), ["h1: 0", "h2: 0"]);
}

#[test]
fn the_older_format_has_them_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inv.ini");
    let text =
        "[web]\nh1 level=host port=22 list=[1,2]\nh2\n[web:vars]\nzone = web one\nlevel=web\n";
    fs::write(&path, text).unwrap();
    let ended = run(&path, &["--inventory-env"], PRINT);
    assert_eq!(
        ended.sorted_lines(),
        ["h1: web one||host|22||", "h2: web one||web|||"]
    );
    assert!(
        ended.stderr.contains("list (a list or a mapping; 1 host)"),
        "{}",
        ended.stderr
    );
    let ended = Mrsh::new()
        .args(&["--demo", "-w", "h1", "--inventory-env", "true"])
        .run()
        .status(0);
    let warning = "mrsh: --inventory-env has no effect: no target is of an Ansible inventory\n";
    assert!(ended.stderr.contains(warning), "{}", ended.stderr);
}

#[test]
fn a_hosts_file_comes_before_an_inventory_and_a_journal_keeps_both() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("inv.yml"), YAML).unwrap();
    fs::write(path("hosts"), "h2 env.zone=file\n").unwrap();
    let script = "test $MRSH_RANK = 0 || echo \"$zone|$rack\"; test $MRSH_RANK != 0";
    let journal = path("journal");
    let first = Mrsh::new()
        .args(&["-R", "exec", "-j", "1", "--fail-fast", "--inventory-env"])
        .args(&["-w", "h0", "-f", &path("hosts"), "-f", &path("inv.yml")])
        .args(&["--journal", &journal, "sh", "-c", script])
        .run();
    assert_eq!(first.status, Some(4), "{first:?}");
    fs::remove_file(path("inv.yml")).unwrap();
    let ended = Mrsh::new().args(&["--resume", &journal]).run();
    assert_eq!(
        ended.sorted_lines(),
        ["h1: web|r0", "h2: file|r0"],
        "{ended:?}"
    );
}
