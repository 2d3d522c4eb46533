//! Scripts and options that are errors before any connection.

use super::Scripts;
use crate::support::Mrsh;

#[test]
fn files_that_are_no_scripts_are_refused() {
    let scripts = Scripts::new();
    let refused = |path: &std::path::Path, text: &str| {
        let ended = scripts.demo(path).run().status(2).stdout("");
        let expected = format!("mrsh: cannot use the script {}: {text}", path.display());
        assert!(ended.stderr.starts_with(&expected), "{ended:?}");
    };
    refused(&scripts.path("none"), "No such file or directory");
    refused(&scripts.far(), "it is neither a file nor a pipe\n");
    refused("/dev/zero".as_ref(), "it is neither a file nor a pipe\n");
    refused(&scripts.add("empty", ""), "it is empty\n");
    refused(
        &scripts.add("crlf", "#!/bin/sh\r\necho\r\n"),
        "its #! line ends in a carriage return\n  = help: convert the file with sed -i 's/\\r$//' FILE\n",
    );
    refused(
        &scripts.add("bom", "\u{feff}#!/bin/sh\n"),
        "it starts with a byte order mark\n  = help: ",
    );
    refused(
        &scripts.add("relative", "#!python3\n"),
        "its #! line has no interpreter with an absolute path, or more than 255 bytes\n  = help: ",
    );
    refused(&scripts.add("binary", b"\0\0\0"), "it is no script");
    let long = scripts.add("long", vec![b'#'; (16 << 20) + 1]);
    refused(&long, "it is longer than 16 MiB\n  = help: ");
    scripts.nothing_left();
}

#[test]
fn options_that_contradict_a_script_are_refused() {
    let scripts = Scripts::new();
    let script = scripts.add("x", "echo ran\n");
    let script = script.to_str().unwrap();
    let table: &[(&[&str], &str)] = &[
        (
            &["--script", script, "--copy", script, "--dest", "/x"],
            "cannot be used with",
        ),
        (
            &["--script", script, "--fetch", "/x", "--dest", "x"],
            "cannot be used with",
        ),
        (&["--script", script, "--raw"], "cannot be used with"),
        (&["--script", script, "--list"], "cannot be used with"),
        (&["--script-dir", "/x", "echo"], "--script <FILE>"),
        (
            &["--script", script, "--script-dir", "~/x"],
            "a tilde is not expanded\n  = help: ",
        ),
        (
            &["--script", "-", "-i"],
            "cannot read the script from standard input: -i sends it to the script\n  = help: ",
        ),
        (
            &["--script", "-", "-f", "-"],
            "cannot read the script from standard input: it has the targets",
        ),
        (
            &["--script", script, "-R", "exec"],
            "cannot run a script with -R exec: no command leads to the hosts\n  = help: ",
        ),
    ];
    for (args, text) in table {
        let ended = Mrsh::new().args(&["-w", "h1"]).args(args).run().status(2);
        assert!(ended.stderr.contains(text), "{args:?}: {ended:?}");
        assert!(ended.stdout.is_empty(), "{ended:?}");
    }
    let ended = scripts
        .demo(script.as_ref())
        .arg("x".repeat(120_000))
        .arg("y".repeat(20_000));
    ended.run().status(2).says(&["cannot send the arguments of the script: they have 140002 bytes, and the maximum is 131071\n"]);
}
