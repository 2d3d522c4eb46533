//! Inventories of Ansible as hosts files: addresses, ports, connections and groups.

use super::{printed, refused};
use crate::support::Mrsh;

#[test]
fn variables_of_an_inventory_choose_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("inv.ini");
    let call = |text: &str, args: &[&str]| {
        std::fs::write(
            &path,
            format!("[all:vars]\nansible_host=127.0.0.1\n[web]\n{text}"),
        )
        .unwrap();
        let name = path.to_str().unwrap();
        let ended = Mrsh::new()
            .args(&["--no-config", "-F", "none", "-f", name, "-n"])
            .args(args)
            .arg("true")
            .run();
        let out = String::from_utf8(ended.stdout)
            .unwrap()
            .replace(name, "inv.ini");
        (ended.status, out, ended.stderr.replace(name, "inv.ini"))
    };
    for (args, expected) in [
        (&[][..], "w1: ssh to 127.0.0.1 port 22 as op"),
        (&["-R", "openssh"], "w1: openssh to w1"),
        (
            &["-R", "rsh", "--source-ports", "any"],
            "w1: rsh to 127.0.0.1 port 514 as op",
        ),
    ] {
        let (status, out, err) = call("w1 ansible_user=op\n", args);
        let expected = expected.replace("openssh to w1", "openssh to 127.0.0.1");
        assert!(out.starts_with(&expected), "{status:?} {out} {err}");
    }
    let args = "w1 ansible_ssh_common_args='-o Port=2222 -l me'\nw2\n";
    let (_, out, err) = call(args, &[]);
    assert!(
        out.contains("w1: ssh to 127.0.0.1 port 2222 as me"),
        "{out} {err}"
    );
    assert!(out.contains("w2: ssh to 127.0.0.1 port 22"), "{out} {err}");
    for (text, message) in [
        (
            "w1\nw2 ansible_connection=winrm\n",
            "mrsh: w2: inv.ini:5: the connection \"winrm\" is unknown here; there are ssh and local\n  = help: leave it \
             out with -x w2\n",
        ),
        (
            "w1\nw2 ansible_ssh_extra_args='-D 9'\n",
            "mrsh: w2: inv.ini:5: ansible_ssh_extra_args: -D is no option of ssh that can be followed here\n  = help: \
             leave it out with -x w2\n",
        ),
        (
            "w2 ansible_ssh_common_args='-o Prot=2222'\n",
            "mrsh: w2: inv.ini:4 Prot=2222: bad configuration option: Prot",
        ),
        (
            "w2 ansible_ssh_common_args='-o ProxyCommand=nc'\n",
            "mrsh: w2: inv.ini:4 ProxyCommand=nc: ProxyCommand is not supported by the built-in ssh",
        ),
    ] {
        let (status, out, err) = call(text, &[]);
        assert_eq!((status, out.as_str()), (Some(2), ""), "{err}");
        assert!(
            err.to_lowercase().starts_with(&message.to_lowercase()),
            "{err}"
        );
        // A host that is excluded is no error.
        let (_, out, err) = call(&format!("w0\n{text}"), &["-x", "w2"]);
        assert!(out.contains("w0: ssh to"), "{err}");
    }
    std::fs::write(
        &path,
        "w1 ansible_become=yes\nw2 ansible_become=yes ansible_password=x\nw3\n[all:vars]\nansible_connection=local\n",
    )
    .unwrap();
    let ended = Mrsh::new()
        .args(&["--no-config", "-f", path.to_str().unwrap(), "true"])
        .run();
    let notice = "mrsh: set in the inventory and not used: ansible_become (2 hosts), ansible_password (1 host)\n";
    assert_eq!(ended.stderr, notice);
    // A dry run prints the same notices as a run.
    let dry = |more: &[&str]| {
        let call = Mrsh::new().args(&["--no-config", "-n", "-f", path.to_str().unwrap()]);
        call.args(more).arg("true").run().status(0).stderr
    };
    assert_eq!(dry(&[]), notice);
    assert_eq!(dry(&["-q"]), "");
}

#[test]
fn an_inventorys_port_is_for_ssh() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let inventory = file(
        "inv.ini",
        "w1 ansible_port=2222\nw2\nw3:2200\n[all:vars]\nansible_host=127.0.0.1\n",
    );
    let other = file("other.ini", "127.0.0.2\n127.0.0.3 ansible_port=22\n");
    let hosts = file("hosts", "127.0.0.2 port=1514\n");
    let call = |args: &[&str]| {
        let call = Mrsh::new().args(&["--no-config", "-F", "none", "--source-ports", "any"]);
        let call = call.args(&["-n", "-l", "op", "-f", &inventory]);
        let ended = call.args(args).arg("true").run().status(0);
        let text = String::from_utf8(ended.stdout).unwrap();
        let targets: Vec<String> = text.lines().take(3).map(str::to_owned).collect();
        (targets, ended.stderr)
    };
    let lines = |transport: &str, ports: [u16; 3]| {
        let line = |(n, port)| format!("w{n}: {transport} to 127.0.0.1 port {port} as op");
        (1..).zip(ports).map(line).collect::<Vec<_>>()
    };
    assert_eq!(call(&[]), (lines("ssh", [2222, 22, 2200]), String::new()));
    let notice =
        "mrsh: set in the inventory for ssh and not used with rsh: ansible_port (2 hosts)\n";
    let rsh = call(&["-R", "rsh"]);
    assert_eq!(rsh, (lines("rsh", [514, 514, 514]), notice.to_owned()));
    // A port of the command line or of a hosts file is a port of rshd.
    let rsh = call(&["-R", "rsh", "-p", "5514"]);
    assert_eq!(rsh, (lines("rsh", [5514, 5514, 5514]), notice.to_owned()));
    let mixed = ["-R", "rsh", "-f", &hosts, "-f", &other, "-x", "w[1-3]"];
    let (rsh, said) = call(&mixed);
    assert!(rsh[0].ends_with(" to 127.0.0.2 port 1514 as op"), "{rsh:?}");
    assert!(rsh[1].ends_with(" to 127.0.0.3 port 514 as op"), "{rsh:?}");
    assert_eq!(said, notice.replace("2 hosts", "1 host"));
}

#[test]
fn groups_of_an_inventory_select_its_hosts() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let ini = file(
        "inv.ini",
        "[web]\nw[1:3]\n[db]\nd1\nd2 ansible_host=192.0.2.9\n[prod:children]\nweb\n",
    );
    let yml = file(
        "two.yml",
        "all:\n  children:\n    web:\n      hosts:\n        w9:\n    cache:\n      hosts:\n        c1:\n",
    );
    for (args, expected) in [
        (&[][..], "d[1-2],w[1-3]\n"),
        (&["-a"], "d[1-2],w[1-3]\n"),
        (&["-g", "web"], "w[1-3]\n"),
        (&["-x", "@db"], "w[1-3]\n"),
        (&["@prod!w2"], "w[1,3]\n"),
        (&["w*"], "w[1-3]\n"),
        (&["@inventory:web", "extra"], "extra,w[1-3]\n"),
        // Expressions use the name in the inventory, not the address.
        (&["@db!d2"], "d1\n"),
        (&["@db&d2"], "d2\n"),
        // A group also counts if an operator removes its hosts.
        (&["extra!@web"], "extra\n"),
        (&["-x", "d2"], "d1,w[1-3]\n"),
        (&["-x", "192.0.2.9"], "d1,w[1-3]\n"),
        // Other hosts are added.
        (&["extra"], "d[1-2],extra,w[1-3]\n"),
        (&["-f", &yml], "c1,d[1-2],w[1-3,9]\n"),
        (&["-f", &yml, "@web"], "w[1-3,9]\n"),
    ] {
        let args = [&["--fold", "-f", &ini], args].concat();
        assert_eq!(printed(&args), expected, "{args:?}");
    }
    assert_eq!(printed(&["--count", "-f", &ini, "@web&d1"]), "0\n");
    // Names of hosts do not select, as with Ansible's --limit. All hosts are targets, and a notice says so.
    let all = |args: &[&str]| {
        let call = Mrsh::new().args(&["--no-config", "--fold", "-f", &ini]);
        let ended = call.args(args).run().status(0);
        assert_eq!(ended.stdout, b"d[1-2],w[1-3]\n", "{args:?}");
        ended.stderr.replace(&ini, "inv.ini")
    };
    let notice = |some: &str| {
        format!(
            "mrsh: all 5 hosts of inv.ini are targets, not only {some}; -g GROUP or -w '@all&{some}' takes some of them\n"
        )
    };
    assert_eq!(all(&["w2"]), notice("w2"));
    assert_eq!(all(&["-w", "w[1-2],d1"]), notice("d1,w[1-2]"));
    assert_eq!(all(&["w[1-3],d[1-2]"]), "");
    assert_eq!(printed(&["--fold", "-f", &ini, "@all&w2"]), "w2\n");
    assert_eq!(printed(&["-r", "-f", &ini, "@db"]), "@db\n");
    let planned = printed(&[
        "-R", "ssh", "-F", "none", "-n", "-f", &ini, "-w", "@db&d2", "true",
    ]);
    assert!(
        planned.starts_with("d2: ssh to 192.0.2.9 port 22 "),
        "{planned}"
    );
    assert!(refused(&["--fold", "-f", &ini, "@wbe"]).contains("did you mean web?"));
}
