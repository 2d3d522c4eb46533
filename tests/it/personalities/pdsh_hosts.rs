//! The targets of pdsh: files of hosts, genders and dsh's groups.

use std::fs;
use std::path::Path;

use crate::support::{Ended, Mrsh};

/// Returns the last line of `-Q`, which are the targets.
#[track_caller]
fn targets(call: Mrsh, args: &[&str]) -> String {
    let ended = call.arg("-Q").args(args).run().status(0);
    last_line(&ended)
}

fn last_line(ended: &Ended) -> String {
    let text = String::from_utf8_lossy(&ended.stdout);
    text.lines().last().unwrap_or_default().to_owned()
}

fn pdsh() -> Mrsh {
    Mrsh::called("pdsh")
}

/// A folder with these files.
fn files(all: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in all {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

#[test]
fn files_name_hosts_and_include_files() {
    let folder = files(&[
        ("a", "foo1 # comment\n#include b\n\nfoo[9-10],bar\n"),
        ("b", "foo2\n#include b\n"),
        ("garbage", "#include b c\n#include\n#included c\nfoo1\n"),
        ("missing", "#include nothing\n"),
    ]);
    let a = path(&folder, "a");
    let ended = pdsh().args(&["-Q", "-w", &format!("^{a}")]).run().status(0);
    assert_eq!(last_line(&ended), "foo1,foo2,foo9,foo10,bar");
    assert!(
        ended
            .stderr
            .ends_with(": warning: file 'b' included multiple times\n"),
        "{ended:?}"
    );
    assert_eq!(
        targets(pdsh().env("WCOLL", &*a), &[]),
        "foo1,foo2,foo9,foo10,bar"
    );
    assert_eq!(
        targets(pdsh(), &["-w", "foo[1-3],bar,bar", "-x", &format!("^{a}")]),
        "foo3,bar"
    );
    assert_eq!(targets(pdsh(), &["-w", &format!("foo[1-3],-^{a}")]), "foo3");
    let garbage = format!("^{}", path(&folder, "garbage"));
    let ended = pdsh().args(&["-Q", "-w", &garbage]).run().status(0);
    assert_eq!(last_line(&ended), "foo1");
    let warnings = ended
        .stderr
        .matches(": warning: Ignoring invalid line: #include");
    assert_eq!(warnings.count(), 3, "{ended:?}");
    let missing = format!("^{}", path(&folder, "missing"));
    pdsh()
        .args(&["-Q", "-w", &missing])
        .run()
        .status(1)
        .says(&[": nothing: No such file or directory"]);
}

#[test]
fn standard_input_names_hosts() {
    let folder = files(&[("in", "foo1,foo2\nfoo3\n")]);
    let input = || fs::File::open(folder.path().join("in")).unwrap();
    let call = pdsh().stdin(input());
    assert_eq!(
        targets(call, &["-w", "-", "-w", "foo4"]),
        "foo1,foo2,foo3,foo4"
    );
}

const GENDERS: &str =
    "n[1-10] compute\nn0 login,pdsh_all_skip\nn[1-5] os=debian\nn[6-10] os=fedora\nn[4-7] foo\n";

#[test]
fn genders_name_filter_and_exclude_hosts() {
    let folder = files(&[("genders", GENDERS)]);
    let file = path(&folder, "genders");
    for (args, expected) in [
        (&["-a"][..], "n[1-10]"),
        (&["-A"], "n[0-10]"),
        (&["-g", "login"], "n0"),
        (&["-g", "login,nothing"], "n0"),
        (&["-w", "n[0-100]", "-g", "login,blah"], "n0"),
        (&["-A", "-X", "login"], "n[1-10]"),
        (&["-g", "os=debian"], "n[1-5]"),
        (&["-AX", "os=debian"], "n[0,6-10]"),
        (&["-g", "os=debian&&foo"], "n[4-5]"),
        (&["-AX", "os=fedora&&foo", "-x", "n5"], "n[0-4,8-10]"),
        (&["-A", "-w", "-n5"], "n[0-4,6-10]"),
        (&["-A", "-w", "/n.*0$/"], "n[0,10]"),
        (&["-a", "-w", "n[0-20]"], "n[1-20]"),
        (&["-w", "n[3,2,1]", "-g", "compute"], "n[1-3]"),
    ] {
        let ended = pdsh().args(&["-F", &file, "-q"]).args(args).run();
        assert_eq!(last_line(&ended), expected, "{args:?} {ended:?}");
    }
    for (args, words) in [
        (
            &["-A", "-g", "login"][..],
            "Do not specify -A or -a with -g",
        ),
        (
            &["-a", "-w", "n1", "-g", "x"],
            "Do not specify -A or -a with -g",
        ),
        (&["-w", "n[0-9]", "-g", "blah"], "no remote hosts specified"),
        (&["-g", "blah"], "no remote hosts specified"),
        (&["-X", "login"], "no remote hosts specified"),
    ] {
        let ended = pdsh().args(&["-F", &file, "-q"]).args(args).run().status(1);
        assert!(ended.stderr.contains(words), "{args:?} {ended:?}");
    }
}

#[test]
fn genders_have_other_names_ways_and_places() {
    let folder = files(&[
        ("genders", "n[1-3] foo,altname=e%n\n"),
        (
            "ways",
            "n1 foo,pdsh_rcmd_type=exec\nn2 foo,pdsh_rcmd_type=ann@exec\nn3 foo,pdsh_rcmd_type=bob@\n",
        ),
    ]);
    let names = path(&folder, "genders");
    assert_eq!(targets(pdsh(), &["-F", &names, "-A"]), "en1,en2,en3");
    assert_eq!(targets(pdsh(), &["-F", &names, "-Ai"]), "n1,n2,n3");
    assert_eq!(targets(pdsh(), &["-F", &names, "-w", "n1,en2"]), "n1,en2");
    assert_eq!(targets(pdsh(), &["-F", &names, "-iw", "n1,en2"]), "en1,n2");
    assert_eq!(
        targets(pdsh(), &["-F", &names, "-w", "en1,x", "-g", "foo"]),
        "en1"
    );
    let by_folder = pdsh().env("PDSH_GENDERS_DIR", folder.path());
    assert_eq!(targets(by_folder, &["-A"]), "en1,en2,en3");
    let by_file = pdsh().env("PDSH_GENDERS_FILE", &*names);
    assert_eq!(targets(by_file, &["-A"]), "en1,en2,en3");
    let ways = path(&folder, "ways");
    let ended = pdsh()
        .args(&["-F", &ways, "-A", "-l", "me", "-R", "exec", "echo", "%u"])
        .run()
        .status(0);
    assert_eq!(ended.sorted_lines(), ["n1: me", "n2: ann", "n3: bob"]);
    // A missing file is an error only if an option of genders is used.
    pdsh()
        .env("PDSH_GENDERS_FILE", "/no/such/file")
        .args(&["-qw", "foo"])
        .run()
        .status(0)
        .stderr("");
    pdsh()
        .args(&["-F", "/no/such/file", "-qw", "foo"])
        .run()
        .status(1)
        .says(&[": /no/such/file: error opening genders file"]);
}

#[test]
fn groups_of_dsh_are_files_in_folders() {
    let folder = files(&[
        ("home/.dsh/group/a", "foo[0-3]\nfoo10\n"),
        ("home/.dsh/group/b", "foo5\nfoo4\nfoo3\n"),
        ("home/.dsh/group/ab", "#include a\n#include b\nfoo8\n"),
        ("home/.dsh/group/x", "#include y\nfoo1\n"),
        ("home/.dsh/group/y", "#include x\nfoo2\n"),
        ("more/c", "bar\n"),
    ]);
    let call = || {
        pdsh()
            .env("HOME", folder.path().join("home"))
            .env("DSHGROUP_PATH", folder.path().join("more"))
            .env("PDSH_MISC_MODULES", "dshgroup")
    };
    for (args, expected) in [
        (&["-g", "a"][..], "foo[0-3,10]"),
        (&["-g", "a,b"], "foo[0-5,10]"),
        (&["-g", "a", "-X", "b"], "foo[0-2,10]"),
        (&["-w", "foo[0-10]", "-X", "a"], "foo[4-9]"),
        (&["-g", "ab"], "foo[0-5,8,10]"),
        (&["-g", "c"], "bar"),
        (&["-g", "x"], "foo[1-2]"),
    ] {
        let ended = call().arg("-q").args(args).run().status(0);
        assert_eq!(last_line(&ended), expected, "{args:?} {ended:?}");
        assert_eq!(
            ended.stderr.contains("warning: "),
            args == ["-g", "x"],
            "{ended:?}"
        );
    }
    for (args, words) in [
        (
            &["-g", "a", "-w", "foo"][..],
            "Do not specify both -w and -g",
        ),
        (&["-g", "nothing"], ": nothing: No such file or directory"),
        (&["-a"], "invalid option -- 'a'"),
    ] {
        call().arg("-q").args(args).run().status(1).says(&[words]);
    }
    let usage = call().arg("-h").run();
    assert!(
        usage.stderr.contains("target hosts in dsh group"),
        "{usage:?}"
    );
    // -M does the same.
    let by_option = pdsh().env("HOME", folder.path().join("home"));
    assert_eq!(
        targets(by_option, &["-M", "dshgroup", "-g", "b"]),
        "foo3,foo4,foo5"
    );
    assert!(Path::new(&path(&folder, "more/c")).exists());
}

#[test]
fn slurm_names_the_nodes_of_jobs_and_partitions() {
    let folder = files(&[
        (
            "squeue",
            "#!/bin/sh\necho '7 RUNNING n[1-2]'\necho '8 COMPLETED n3'\necho '9 RUNNING n[2,4]'\necho '10 PENDING '\n",
        ),
        (
            "sinfo",
            "#!/bin/sh\ncase \"$*\" in *%b*) echo 'n1 gpu,big'; echo 'n2 (null)'; echo 'n4 big';; \
         *) echo 'p n[1-2]'; echo 'p n4'; echo 'q n9';; esac\n",
        ),
    ]);
    for name in ["squeue", "sinfo"] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(folder.path().join(name), mode).unwrap();
    }
    let search = format!("{}:/usr/bin:/bin", folder.path().display());
    let call = || pdsh().env("PATH", &*search);
    for (args, expected) in [
        (&["-j7"][..], "n1,n2"),
        (&["-j", "8,9"], "n2,n3,n4"),
        (&["-jall"], "n1,n2,n4"),
        (&["-P", "p"], "n1,n2,n4"),
        (&["-P", "q", "-w", "foo,bar"], "foo,bar,n9"),
        (&["-P", "p", "-C", "big"], "n1,n4"),
        (&["-w", "n[1-4]", "-C", "gpu"], "n1"),
        (&["-jall", "-x", "n2"], "n1,n4"),
    ] {
        assert_eq!(targets(call(), args), expected, "{args:?}");
    }
    assert_eq!(targets(call().env("SLURM_JOBID", "9"), &[]), "n2,n4");
    assert_eq!(targets(call().env("SLURM_JOBID", "9"), &["-w", "a"]), "a");
    for (args, words) in [
        (
            &["-j", "garbage"][..],
            "invalid setting \"garbage\" for -j or SLURM_JOBID",
        ),
        (&["-P", "nothing"], "Warning - partition nothing not found"),
        (&["-P", "p", "-C", "nothing"], "no remote hosts specified"),
    ] {
        call().arg("-q").args(args).run().status(1).says(&[words]);
    }
}
