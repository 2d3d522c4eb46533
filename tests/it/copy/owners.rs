//! `--owner`: owners and groups by name and by number, set once and then compared.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use rustix::process::{getgid, getuid};
use uzers::{get_group_by_gid, get_user_by_uid};

use super::far::{Far, FarSide};

/// Far sides with `stat`, which the comparison needs.
fn sides() -> impl Iterator<Item = FarSide> {
    FarSide::all()
        .into_iter()
        .filter(|side| *side != FarSide::Posix)
}

#[test]
fn an_owner_that_is_right_changes_nothing() {
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    let mut forms = vec![format!("{uid}"), format!("{uid}:{gid}"), format!(":{gid}")];
    if let (Some(user), Some(group)) = (get_user_by_uid(uid), get_group_by_gid(gid)) {
        let (user, group) = (
            user.name().to_str().unwrap(),
            group.name().to_str().unwrap(),
        );
        forms.push(user.to_owned());
        forms.push(format!("{user}:{group}"));
        forms.push(format!("{uid}:{group}"));
        forms.push(format!(":{group}"));
        if get_user_by_uid(uid).is_some_and(|user| user.primary_group_id() == gid) {
            forms.push(format!("{user}:"));
        }
    }
    for side in sides() {
        let far = Far::new(side, 1);
        fs::write(far.source().join("f"), "x").unwrap();
        fs::write(far.source().join("g"), "y").unwrap();
        fs::set_permissions(far.source().join("g"), fs::Permissions::from_mode(0o4711)).unwrap();
        for (index, form) in forms.iter().enumerate() {
            let arguments = [
                "src/",
                "--dest",
                "dst",
                "--preserve-setid",
                "--owner",
                form,
                "-v",
            ];
            let ended = far.copy(&arguments).run().status(0);
            let words = if index == 0 {
                "changed: h1"
            } else {
                "unchanged: h1"
            };
            assert!(
                ended.stderr.contains(words),
                "{side:?}, {form}: {}",
                ended.stderr
            );
        }
    }
}

#[test]
fn an_owner_that_is_wrong_is_changed_without_data() {
    if !getuid().is_root() {
        eprintln!("not run: only root can give files away");
        return;
    }
    for side in FarSide::all() {
        let far = Far::new(side, 1);
        for name in ["f", "g", "s"] {
            fs::write(far.source().join(name), name).unwrap();
        }
        fs::set_permissions(far.source().join("s"), fs::Permissions::from_mode(0o4755)).unwrap();
        let host = far.hosts().remove(0).join("dst");
        for (form, wanted) in [("1:2", (1, 2)), ("3", (3, 2)), (":4", (3, 4))] {
            let arguments = [
                "src/",
                "--dest",
                "dst",
                "--preserve-setid",
                "--owner",
                form,
                "--json",
            ];
            let copied = || {
                let ended = far.copy(&arguments).run().status(0);
                let records = crate::support::records(&ended);
                let finished = records
                    .into_iter()
                    .find(|record| record["event"] == "finished");
                finished.unwrap()["copy"].clone()
            };
            let first = copied();
            for name in ["f", "g", "s"] {
                let about = fs::metadata(host.join(name)).unwrap();
                assert_eq!(
                    (about.uid(), about.gid()),
                    wanted,
                    "{side:?}, {form}, {name}"
                );
            }
            let mode = fs::metadata(host.join("s")).unwrap().mode() & 0o7777;
            assert_eq!(mode, 0o4755, "{side:?}, {form}");
            if side != FarSide::Posix {
                assert_eq!(first["changed"], true, "{side:?}, {form}");
                assert_eq!(copied()["changed"], false, "{side:?}, {form}");
                chown(host.join("g"), Some(9), None).unwrap();
                let third = copied();
                let wanted_uid = if form == ":4" { 9 } else { wanted.0 };
                assert_eq!(third["changed"], form != ":4", "{side:?}, {form}");
                assert_eq!(third["files"], 0, "{side:?}, {form}");
                assert_eq!(fs::metadata(host.join("g")).unwrap().uid(), wanted_uid);
                chown(host.join("g"), Some(wanted.0), None).unwrap();
            }
        }
    }
}
