//! Far sides without a network: `-R exec` with a directory for each host, and with different tools.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::{Mrsh, lacks};

/// Tools of a far side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FarSide {
    /// dash and GNU's tools.
    Gnu,
    /// bash as `sh`.
    Bash,
    /// ksh as `sh`.
    Ksh,
    /// All tools are busybox.
    Busybox,
    /// libarchive's tar.
    Bsdtar,
    /// No tar.
    NoTar,
    /// No tar, and the tools of busybox.
    BusyboxWithoutTar,
    /// `openssl` instead of `sha256sum`.
    Openssl,
    /// `shasum` instead of `sha256sum`.
    Shasum,
    /// Only the tools of POSIX: `cksum`, no `stat`, no `head -c`, no flags of `dd`.
    Posix,
}

/// Tools that the script uses, on every far side.
const TOOLS: &str =
    "cat chmod chown cut dd dirname env find head id ln ls mkdir mv readlink rm sed touch tr wc";

impl FarSide {
    /// Returns the far sides that this machine can build.
    pub(super) fn all() -> Vec<FarSide> {
        use FarSide::{
            Bash, Bsdtar, Busybox, BusyboxWithoutTar, Gnu, Ksh, NoTar, Openssl, Posix, Shasum,
        };
        let all = [
            (Gnu, "tar"),
            (Bash, "bash"),
            (Ksh, "ksh"),
            (Busybox, "busybox"),
            (Bsdtar, "bsdtar"),
            (NoTar, "sh"),
            (BusyboxWithoutTar, "busybox"),
            (Openssl, "openssl"),
            (Shasum, "shasum"),
            (Posix, "cksum"),
        ];
        all.into_iter()
            .filter(|(_, program)| !lacks(program))
            .map(|(side, _)| side)
            .collect()
    }

    /// True if the times of files arrive with nanoseconds.
    pub(super) fn keeps_nanoseconds(self) -> bool {
        !matches!(
            self,
            FarSide::Busybox | FarSide::BusyboxWithoutTar | FarSide::NoTar
        )
    }

    /// Makes a directory with the tools of this far side.
    fn make_tools(self, directory: &Path) {
        fs::create_dir(directory).unwrap();
        let link = |name: &str, program: &str| {
            let found = ["/usr/bin", "/bin", "/usr/sbin"]
                .into_iter()
                .map(|folder| Path::new(folder).join(program));
            let found = found.into_iter().find(|path| path.exists());
            symlink(
                found.unwrap_or_else(|| panic!("there is no {program}")),
                directory.join(name),
            )
            .unwrap();
        };
        let busybox = matches!(self, FarSide::Busybox | FarSide::BusyboxWithoutTar);
        for tool in TOOLS.split(' ') {
            match (busybox, tool) {
                (true, _) => link(tool, "busybox"),
                (false, "head") if self == FarSide::Posix => {}
                (false, "dd") if self == FarSide::Posix => {
                    let code =
                        "#!/bin/sh\ncase \"$*\" in *flag=*) exit 1 ;; esac\nexec /bin/dd \"$@\"\n";
                    write_tool(&directory.join(tool), code);
                }
                (false, _) => link(tool, tool),
            }
        }
        link(
            "sh",
            match self {
                FarSide::Bash => "bash",
                FarSide::Ksh => "ksh",
                _ if busybox => "busybox",
                _ => "dash",
            },
        );
        match self {
            FarSide::Busybox => link("tar", "busybox"),
            FarSide::Bsdtar => link("tar", "bsdtar"),
            FarSide::NoTar | FarSide::BusyboxWithoutTar => {}
            _ => link("tar", "tar"),
        }
        match self {
            FarSide::Openssl => link("openssl", "openssl"),
            FarSide::Shasum => {
                link("shasum", "shasum");
                link("perl", "perl");
            }
            FarSide::Posix => link("cksum", "cksum"),
            _ if busybox => link("sha256sum", "busybox"),
            _ => link("sha256sum", "sha256sum"),
        }
        match self {
            FarSide::Posix => {}
            _ if busybox => link("stat", "busybox"),
            _ => link("stat", "stat"),
        }
    }
}

/// Writes a tool that is a shell script.
pub(super) fn write_tool(path: &Path, code: &str) {
    fs::write(path, code).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Hosts as directories, and a directory for sources.
pub(super) struct Far {
    root: TempDir,
    hosts: usize,
}

impl Far {
    pub(super) fn new(side: FarSide, hosts: usize) -> Far {
        let root = tempfile::tempdir().unwrap();
        side.make_tools(&root.path().join("bin"));
        fs::create_dir(root.path().join("src")).unwrap();
        for host in 1..=hosts {
            fs::create_dir_all(root.path().join(format!("hosts/h{host}"))).unwrap();
        }
        Far { root, hosts }
    }

    /// Returns a path in the directory in which mrsh runs.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Returns the directory `src`.
    pub(super) fn source(&self) -> PathBuf {
        self.path("src")
    }

    /// Returns the directories of the hosts.
    pub(super) fn hosts(&self) -> Vec<PathBuf> {
        (1..=self.hosts)
            .map(|host| self.path(&format!("hosts/h{host}")))
            .collect()
    }

    /// Returns a call that copies to all hosts, with these arguments after `--copy`.
    pub(super) fn copy(&self, arguments: &[&str]) -> Mrsh {
        self.copy_with("exec \"$@\"", arguments)
    }

    /// Returns a call that fetches from all hosts into `out`, with these arguments after `--fetch`.
    pub(super) fn fetch(&self, arguments: &[&str]) -> Mrsh {
        self.fetch_with("exec \"$@\"", arguments)
    }

    /// Returns a call that fetches, in which this shell code starts the words in "$@" at each host.
    pub(super) fn fetch_with(&self, code: &str, arguments: &[&str]) -> Mrsh {
        let out = self.path("out").display().to_string();
        self.call()
            .args(&["--dest", &out, "--fetch"])
            .args(arguments)
            .args(&["--", "/bin/sh", "-c", &self.code(code), "%h"])
    }

    /// Returns shell code that does this at a host.
    fn code(&self, code: &str) -> String {
        let root = self.root.path().display();
        format!("cd {root}/hosts/$0 && PATH={root}/bin && export PATH && {code}")
    }

    /// Returns a call with all hosts as its targets.
    fn call(&self) -> Mrsh {
        let targets = format!("h[1-{}]", self.hosts);
        Mrsh::new().args(&["-R", "exec", "-w", &targets])
    }

    /// Returns a call in which this shell code starts the words in "$@" at each host.
    pub(super) fn copy_with(&self, code: &str, arguments: &[&str]) -> Mrsh {
        let (sources, options) = arguments.split_first().unwrap();
        // The slash at the end has a meaning.
        let source = self.path(sources).display().to_string();
        self.call().args(&["--copy", &source]).args(options).args(&[
            "--",
            "/bin/sh",
            "-c",
            &self.code(code),
            "%h",
        ])
    }
}
