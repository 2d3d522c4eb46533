//! pdcp and rpdcp by mrsh, with a program `ssh` that runs the commands here, in the folder of the host.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::support::{Mrsh, lacks};

/// A program that runs its last argument in the folder of the host.
const SSH: &str =
    "#!/bin/sh\nwhile test $# -gt 2; do shift; done\ncd \"$HOSTS/$1\" && exec sh -c \"$2\"\n";

/// Folders of hosts, and a folder with the program `ssh`.
struct Hosts(tempfile::TempDir);

impl Hosts {
    fn new(names: &[&str]) -> Hosts {
        let folder = tempfile::tempdir().unwrap();
        let ssh = folder.path().join("ssh");
        fs::write(&ssh, SSH).unwrap();
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
        for name in names {
            fs::create_dir_all(folder.path().join("hosts").join(name)).unwrap();
        }
        Hosts(folder)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn call(&self, name: &'static str) -> Mrsh {
        let path = format!("{}:/usr/bin:/bin", self.0.path().display());
        Mrsh::called(name)
            .env("PATH", path)
            .env("HOSTS", self.path("hosts"))
            .args(&["-R", "ssh"])
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    #[track_caller]
    fn has(&self, name: &str, text: &str) {
        let path = self.path(name);
        let found = fs::read_to_string(&path);
        assert_eq!(found.unwrap_or_default(), text, "{}", path.display());
    }
}

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

#[test]
fn files_go_to_a_name_or_into_a_directory() {
    if lacks("scp") {
        return;
    }
    let hosts = Hosts::new(&["a", "b/dir"]);
    let file = hosts.write("file", "text\n");
    let old = SystemTime::now() - Duration::from_secs(1_000_000);
    let opened = fs::File::open(&file).unwrap();
    opened.set_modified(old).unwrap();
    opened
        .set_permissions(fs::Permissions::from_mode(0o640))
        .unwrap();
    // The destination is a directory at one host, and the name of the file at the other.
    hosts
        .call("pdcp")
        .args(&["-w", "a,b", &file, "dir"])
        .run()
        .status(0)
        .stderr("");
    hosts.has("hosts/a/dir", "text\n");
    hosts.has("hosts/b/dir/file", "text\n");
    assert!(modified(&hosts.path("hosts/a/dir")) > old + Duration::from_secs(1000));
    hosts
        .call("pdcp")
        .args(&["-p", "-w", "a", &file, "kept"])
        .run()
        .status(0);
    let kept = hosts.path("hosts/a/kept");
    let since = modified(&kept).duration_since(old).unwrap_or_default();
    assert!(since < Duration::from_secs(2), "{since:?}");
    assert_eq!(
        fs::metadata(&kept).unwrap().permissions().mode() & 0o777,
        0o640
    );
}

#[test]
fn directories_need_r_and_several_files_a_directory() {
    if lacks("scp") {
        return;
    }
    let hosts = Hosts::new(&["a/to"]);
    let (one, two) = (
        hosts.write("tree/one", "1"),
        hosts.write("tree/sub/two", "2"),
    );
    let tree = hosts.path("tree").display().to_string();
    hosts
        .call("pdcp")
        .args(&["-w", "a", &tree, "to"])
        .run()
        .status(1)
        .says(&["use -r to copy directories: "]);
    hosts
        .call("pdcp")
        .args(&["-r", "-w", "a", &tree, "to"])
        .run()
        .status(0)
        .stderr("");
    hosts.has("hosts/a/to/tree/one", "1");
    hosts.has("hosts/a/to/tree/sub/two", "2");
    hosts
        .call("pdcp")
        .args(&["-w", "a", &one, &two, "to"])
        .run()
        .status(0)
        .stderr("");
    hosts.has("hosts/a/to/one", "1");
    hosts.has("hosts/a/to/two", "2");
    let failed = hosts
        .call("pdcp")
        .args(&["-w", "a", &one, &two, "no/where"])
        .run()
        .status(0);
    assert!(failed.stderr.contains(": a: fatal: "), "{failed:?}");
    for (args, words) in [
        (
            &["-w", "a", &one][..],
            "pcp requires source and dest filenames",
        ),
        (&["-w", "a", "/no/file", "x"], "can't stat /no/file"),
        (
            &["-w", "a", "/dev/null", "x"],
            "not a regular file or directory: /dev/null",
        ),
        (&[&one, "x"], "no remote hosts specified"),
    ] {
        hosts.call("pdcp").args(args).run().status(1).says(&[words]);
    }
}

#[test]
fn the_far_program_is_the_one_that_is_named() {
    let hosts = Hosts::new(&["a"]);
    let file = hosts.write("file", "text");
    let args = ["-w", "a", &file, "/tmp"];
    // This ssh prints the command, which is not an answer of the protocol.
    fs::write(hosts.path("ssh"), "#!/bin/sh\necho \"$@\"\n").unwrap();
    let ended = hosts
        .call("pdcp")
        .args(&["-e", "/far/pdcp"])
        .args(&args)
        .run();
    assert!(
        ended
            .stderr
            .contains("a: fatal: -oConnectTimeout=10 -2 -a -x a /far/pdcp -z /tmp"),
        "{ended:?}"
    );
    let ended = hosts
        .call("pdcp")
        .env("PDSH_REMOTE_PDCP_PATH", "xx")
        .args(&args)
        .run();
    assert!(ended.stderr.contains(" a xx -z /tmp"), "{ended:?}");
}

#[test]
fn fetched_files_have_the_host_at_their_end() {
    let hosts = Hosts::new(&["a", "b"]);
    for host in ["a", "b"] {
        hosts.write(&format!("hosts/{host}/file"), host);
        hosts.write(&format!("hosts/{host}/tree/sub/x"), host);
    }
    fs::create_dir(hosts.path("out")).unwrap();
    let out = hosts.path("out").display().to_string();
    hosts
        .call("rpdcp")
        .args(&["-w", "a,b", "file", &out])
        .run()
        .status(0)
        .stderr("");
    hosts.has("out/file.a", "a");
    hosts.has("out/file.b", "b");
    hosts
        .call("rpdcp")
        .args(&["-r", "-w", "b", "tree", &out])
        .run()
        .status(0)
        .stderr("");
    hosts.has("out/tree.b/sub/x", "b");
    let entries = fs::read_dir(&out).unwrap().count();
    assert_eq!(entries, 3);
    hosts
        .call("rpdcp")
        .args(&["-w", "a", "file", "/no/folder"])
        .run()
        .status(1)
        .says(&["can't stat /no/folder"]);
}

#[test]
fn the_table_of_pdcp_names_its_files() {
    let hosts = Hosts::new(&[]);
    let file = hosts.write("file", "text");
    let ended = hosts
        .call("pdcp")
        .args(&["-q", "-r", "-w", "foo[1-2]", &file, "/tmp"])
        .run()
        .status(0);
    let text = String::from_utf8(ended.stdout).unwrap();
    for line in [
        format!("Infile(s)\t\t{file}\n"),
        "Outfile\t\t\t/tmp\n".to_owned(),
        "Recursive\t\tYes\n".to_owned(),
        "Preserve mod time/mode\tNo\n".to_owned(),
        "foo[1-2]\n".to_owned(),
    ] {
        assert!(text.contains(&line), "{line} {text}");
    }
}
