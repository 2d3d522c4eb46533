//! Sources with placeholders: a file or a tree of its own for each target.

use std::fs;
use std::os::unix::fs::symlink;

use super::far::{Far, FarSide};
use super::tree::assert_contains;
use crate::support::Mrsh;

#[test]
fn each_target_gets_its_own_file() {
    for side in [FarSide::Gnu, FarSide::Posix, FarSide::Busybox] {
        let far = Far::new(side, 40);
        fs::create_dir(far.path("conf")).unwrap();
        for host in 1..=40 {
            let text = format!("for {host}").repeat(host);
            fs::write(far.path(&format!("conf/h{host}.conf")), text).unwrap();
        }
        far.copy(&["conf/%h.conf", "--dest", "app.conf"])
            .run()
            .status(0);
        far.copy(&["conf/%l.conf", "--dest", "./"]).run().status(0);
        for (index, host) in far.hosts().iter().enumerate() {
            let (number, wanted) = (
                index + 1,
                fs::read(far.path(&format!("conf/h{}.conf", index + 1))),
            );
            let wanted = wanted.unwrap();
            assert_eq!(fs::read(host.join("app.conf")).unwrap(), wanted, "{side:?}");
            let own = host.join(format!("h{number}.conf"));
            assert_eq!(fs::read(own).unwrap(), wanted, "{side:?}");
            assert_eq!(fs::read_dir(host).unwrap().count(), 2, "{side:?}");
        }
        let again = far
            .copy(&["conf/%h.conf", "--dest", "app.conf", "-v"])
            .run();
        let again = again.status(0);
        assert!(
            again.stderr.contains("unchanged: h[1-40]"),
            "{}",
            again.stderr
        );
    }
}

#[test]
fn trees_of_all_targets_and_of_single_ones_are_merged() {
    for side in FarSide::all() {
        let far = Far::new(side, 3);
        fs::create_dir_all(far.source().join("etc/deep")).unwrap();
        fs::write(far.source().join("etc/motd"), "for all").unwrap();
        for host in 1..=3 {
            let own = far.path(&format!("own/h{host}/etc/deep"));
            fs::create_dir_all(&own).unwrap();
            fs::write(own.join("a"), format!("of {host}")).unwrap();
            fs::hard_link(own.join("a"), own.join("b")).unwrap();
            symlink("../motd", own.join("link")).unwrap();
        }
        let own = format!("{}/", far.path("own/%h").display());
        let arguments = ["src/", "--copy", &own, "--dest", "dst/", "--parents"];
        far.copy(&arguments).run().status(0);
        for (index, host) in far.hosts().iter().enumerate() {
            let wanted = far.path(&format!("own/h{}", index + 1));
            assert_contains(&host.join("dst"), &wanted, "the own tree");
            assert_contains(&host.join("dst"), &far.source(), "the tree of all");
        }
        let again = far.copy(&[&arguments[..], &["-v"]].concat()).run();
        let again = again.status(0);
        assert!(
            again.stderr.contains("unchanged: h[1-3]"),
            "{side:?}: {}",
            again.stderr
        );
    }
}

#[test]
fn a_missing_source_is_an_error_before_any_connection() {
    let far = Far::new(FarSide::Gnu, 6);
    fs::create_dir(far.path("conf")).unwrap();
    for host in [1, 3, 4] {
        fs::write(far.path(&format!("conf/h{host}.conf")), "x").unwrap();
    }
    let ended = far
        .copy_with("touch ../started", &["conf/%h.conf", "--dest", "x"])
        .run()
        .status(2);
    let words = "conf/h2.conf for h2: No such file or directory; 2 more targets lack their sources";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    assert!(!far.path("hosts/started").exists());
}

#[test]
fn sources_of_one_target_with_one_name_are_an_error() {
    let far = Far::new(FarSide::Gnu, 2);
    fs::create_dir_all(far.path("own/h1")).unwrap();
    fs::create_dir_all(far.path("own/h2")).unwrap();
    fs::write(far.source().join("f"), "x").unwrap();
    fs::write(far.path("own/h2/f"), "x").unwrap();
    let own = format!("{}/", far.path("own/%h").display());
    let ended = far
        .copy(&["src/", "--copy", &own, "--dest", "dst/", "--parents"])
        .run()
        .status(2);
    let words = "two sources of h2 have the same name at the destination: f";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
}

#[test]
fn a_percent_sign_is_doubled() {
    let far = Far::new(FarSide::Gnu, 1);
    fs::write(far.path("50%"), "x").unwrap();
    far.copy(&["50%%", "--dest", "./"]).run().status(0);
    assert!(far.hosts()[0].join("50%").exists());
    let ended = far.copy(&["50%", "--dest", "./"]).run().status(2);
    assert!(
        ended.stderr.contains("unknown placeholder"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("%% a percent sign"),
        "{}",
        ended.stderr
    );
    assert!(
        ended
            .stderr
            .lines()
            .any(|line| line.trim_end().ends_with("   ^")),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_name_of_a_host_does_not_lead_out_of_the_directory() {
    let far = Far::new(FarSide::Gnu, 1);
    fs::create_dir(far.path("conf")).unwrap();
    fs::write(far.path("secret"), "x").unwrap();
    let hosts = far.path("hosts.txt");
    for (line, source, words) in [
        ("..", "conf/%h", ".. would lead to another directory"),
        (".", "conf/%h/", ". would lead to another directory"),
        // No host has such a name.
        ("../secret", "conf/%h", "'/' cannot be part of a host name"),
        ("h1", "conf/.%p./x", ".. would lead to another directory"),
        ("h1", "conf/%p", "a name in it would be empty"),
    ] {
        fs::write(&hosts, format!("{line}\n")).unwrap();
        let ended = Mrsh::new()
            .args(&["-R", "exec", "-f", &hosts.display().to_string()])
            .args(&["--copy", &far.path(source).display().to_string()])
            .args(&["--dest", "x", "--", "false"])
            .run();
        assert!(ended.stderr.contains(words), "{line}: {}", ended.stderr);
        ended.status(2);
    }
}

#[test]
fn thousands_of_targets_with_a_file_each_keep_no_descriptors() {
    let far = Far::new(FarSide::Gnu, 1);
    fs::create_dir(far.path("conf")).unwrap();
    for host in 1..=2_000 {
        fs::write(far.path(&format!("conf/h{host}")), host.to_string()).unwrap();
    }
    fs::write(far.source().join("f"), "all").unwrap();
    let ended = Mrsh::new()
        .args(&["-n", "-R", "exec", "-w", "h[1-2000]", "--dest", "d/"])
        .args(&["--copy", &far.path("conf/%h").display().to_string()])
        .args(&["--copy", &far.source().join("f").display().to_string()])
        .args(&["--", "false"])
        .after("ulimit -n 64")
        .run()
        .status(0);
    let words = "copy: 1 files of 3 bytes, 0 directories and links for all targets; 2000 files of 6893 bytes, 0 \
                 directories and links for single targets, to ./d/";
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(text.contains(words), "{}", text.lines().last().unwrap());
}
