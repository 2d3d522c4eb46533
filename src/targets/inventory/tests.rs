//! Tests of both formats of inventories, and of the order of precedence of variables.

use super::*;
use crate::targets::{self, TransportKind};

/// Returns the hosts of a group as `label host user port`.
fn shown(name: &str, text: &str, group: &str) -> Vec<String> {
    let inventory =
        parse(Path::new(name), text, 1000, false).unwrap_or_else(|error| panic!("{error}"));
    let mut shown = Vec::new();
    inventory.hosts(group).unwrap().unwrap().for_each(|node| {
        let host = targets::Host::from(node);
        let user = host.user.map_or("-", |user| &**user);
        let port = host.port.map_or("-".to_owned(), |port| port.to_string());
        let called = host.address.map_or(host.name, |address| address);
        shown.push(format!("{} {called} {user} {port}", host.label));
    });
    shown
}

fn error(name: &str, text: &str) -> String {
    parse(Path::new(name), text, 1000, false)
        .map(|_| ())
        .expect_err(text)
}

const INI: &str = "
# comment
mail.example.com
jumper ansible_port=5555 ansible_host=192.0.2.50 note='a b' # comment
[2001:db8::1]:2222

[web]
www[01:03].example.com ansible_user=op
www[a:b].example.com:1022
[db]
db-[1:9:4].example.com
[web:vars]
ansible_user = www
http_port=80
[south:children]
web
db
[south:vars]
ansible_port=7
ansible_user=south
[all:vars]
ansible_user=\"every one\"
";

#[test]
fn ini_inventories_are_read() {
    assert_eq!(
        shown("hosts.ini", INI, "all"),
        [
            "mail.example.com mail.example.com every one -",
            "jumper 192.0.2.50 every one 5555",
            "2001:db8::1 2001:db8::1 every one 2222",
            "www01.example.com www01.example.com op 7",
            "www02.example.com www02.example.com op 7",
            "www03.example.com www03.example.com op 7",
            "wwwa.example.com wwwa.example.com www 1022",
            "wwwb.example.com wwwb.example.com www 1022",
            "db-1.example.com db-1.example.com south 7",
            "db-5.example.com db-5.example.com south 7",
            "db-9.example.com db-9.example.com south 7",
        ]
        .map(|line| line.replace("2001:db8::1 2001:db8::1", "[2001:db8::1] 2001:db8::1"))
    );
    assert_eq!(shown("hosts.ini", INI, "south").len(), 8);
    assert_eq!(shown("hosts.ini", INI, "db").len(), 3);
    let inventory = parse(Path::new("x"), INI, 1000, false).unwrap();
    assert_eq!(
        inventory.group_names(),
        ["all", "db", "south", "ungrouped", "web"]
    );
    assert!(inventory.hosts("nothing").unwrap().is_none());
}

const YAML: &str = "
all:
  hosts:
    mail.example.com:
  children:
    web:
      hosts:
        www[01:02].example.com:
          ansible_port: 22
        foo:
          ansible_host: 192.0.2.1
          list: [1]
      vars:
        ansible_user: www
    south:
      children:
        web:
        db:
          hosts:
            db1:
      vars:
        ansible_port: 7
";

#[test]
fn yaml_inventories_are_read() {
    assert_eq!(
        shown("hosts.yml", YAML, "all"),
        [
            "mail.example.com mail.example.com - -",
            "www01.example.com www01.example.com www 22",
            "www02.example.com www02.example.com www 22",
            "foo 192.0.2.1 www 7",
            "db1 db1 - 7",
        ]
    );
    assert_eq!(shown("hosts.yml", YAML, "south").len(), 4);
}

#[test]
fn variables_beside_the_inventory_count_as_in_ansible() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("host_vars/h1.yml", "ansible_user: hostfile\nother: [1]\n"),
        (
            "host_vars/h2/a.yml",
            "ansible_port: 1\nansible_host: 192.0.2.2\n",
        ),
        ("host_vars/h2/b", "ansible_port: 2\n"),
        (
            "host_vars/h2/secret.yml",
            "$ANSIBLE_VAULT;1.1;AES256\n6162\n",
        ),
        ("host_vars/h3.yml~", "ansible_user: no\n"),
        (
            "group_vars/all.yml",
            "ansible_user: allfile\nansible_port: 9\n",
        ),
        ("group_vars/web", "ansible_port: 8\n"),
        (
            "group_vars/outer.yaml",
            "ansible_port: 7\nansible_connection: ssh\n",
        ),
        ("group_vars/nowhere.yml", "ansible_port: 6\n"),
    ] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let text = "h1 ansible_user=inv ansible_port=5\nh2\nh3\nh4 ansible_connection=local\n[web]\nh2\nh3 ansible_user=own\n\
                [outer:children]\nweb\n[web:vars]\nansible_user=webvars\nansible_port=4\n[all:vars]\nansible_user=allvars\n";
    let path = folder.path().join("hosts.ini");
    // The order of precedence of `ansible-inventory --host`: host_vars, the host's line, group_vars (inner, outer, all), the
    // groups' own.
    assert_eq!(
        shown(path.to_str().unwrap(), text, "all"),
        [
            "h1 h1 hostfile 5",
            "h2 192.0.2.2 allfile 2",
            "h3 h3 own 8",
            "h4 h4 allfile 9",
        ]
    );
    let inventory = parse(&path, text, 1000, false).unwrap();
    let mut transports = Vec::new();
    let hosts = inventory.hosts("all").unwrap().unwrap();
    hosts.for_each(|node| {
        let transport = targets::Host::from(node).transport;
        transports.push(transport.map_or("-", TransportKind::name));
    });
    assert_eq!(transports, ["-", "ssh", "ssh", "exec"]);

    std::fs::write(folder.path().join("group_vars/web"), "ansible_port: x\n").unwrap();
    let error = parse(&path, text, 1000, false).map(|_| ()).unwrap_err();
    assert!(
        error.ends_with("group_vars/web: \"x\" is not a port number from 1 to 65535"),
        "{error}"
    );
}

#[test]
fn variables_for_connections_become_settings_of_ssh() {
    let variables = |name: &str, text: &str| {
        let inventory = parse(Path::new(name), text, 1000, false).unwrap();
        let mut found = Vec::new();
        let hosts = inventory.hosts("all").unwrap().unwrap();
        hosts.for_each(|node| {
            let host = targets::Host::from(node);
            let from = host.inventory.unwrap();
            found.push(format!(
                "{} {} {:?} {} {}",
                host.name,
                host.transport.map_or("-", TransportKind::name),
                from.own_settings(),
                from.ignored.iter().copied().collect::<Vec<_>>().join(","),
                from.refused.as_deref().unwrap_or("-")
            ));
        });
        found
    };
    let text = "a ansible_connection=ansible.builtin.ssh ansible_become=yes ansible_password=x\n\
                b ansible_connection=winrm\n\
                c ansible_ssh_private_key_file=~/k ansible_become=no\n\
                d ansible_connection=smart ansible_ssh_extra_args='-p 7'\n\
                e ansible_ssh_common_args='-L 1:a:2'\n\
                [all:vars]\nansible_ssh_common_args=\"-o ProxyJump=gw -o 'Ciphers=x'\"\nansible_become=true\n\
                ansible_connection=local\nansible_python_interpreter=python3\n";
    assert_eq!(
        variables("i.ini", text),
        [
            "a ssh [\"ProxyJump=gw\", \"Ciphers=x\"] ansible_become,ansible_password -",
            "b - [\"ProxyJump=gw\", \"Ciphers=x\"] ansible_become i.ini:2: the connection \"winrm\" is unknown here; \
             there are ssh and local",
            "c exec [\"IdentityFile=\\\"~/k\\\"\", \"ProxyJump=gw\", \"Ciphers=x\"]  -",
            "d - [\"ProxyJump=gw\", \"Ciphers=x\", \"Port=7\"] ansible_become -",
            "e exec [] ansible_become i.ini:5: ansible_ssh_common_args: -L is no option of ssh that can be followed here",
        ]
    );
    let text = "all:\n  hosts:\n    a:\n      ansible_user: op\n      ansible_connection: psrp\n  vars:\n    \
                ansible_ssh_args: '{{ x }}'\n";
    assert_eq!(
        variables("i.yml", text),
        ["a - []  i.yml:5: the connection \"psrp\" is unknown here; there are ssh and local"]
    );
    let text = text.replace("psrp", "ssh");
    assert_eq!(
        variables("i.yml", &text),
        ["a ssh []  i.yml:7: ansible_ssh_args is a template, which only Ansible can fill in"]
    );
}

#[test]
fn inventories_are_distinguished_from_hosts_files() {
    let is = |name: &str, text| is_inventory(Path::new(name), text);
    assert!(is("a.ini", "") && is("a.YAML", "") && is("a.yml", ""));
    assert!(is("hosts", "# c\na\n[web]\nb\n") && is("hosts", "[web:children]\n"));
    assert!(!is(
        "hosts",
        "a\n[1-3]\n[2001:db8::1]\n[fe80::1]\n[abc::1]:514\n"
    ));
}

#[test]
fn faults_are_named_with_their_lines() {
    for (text, message) in [
        (
            "a\n[x:y]\n",
            "line 2: expected [x:children] or [x:vars], not \"y\"",
        ),
        (
            "www[01:3]\n",
            "line 1: www[01:3]: the ends of [01:3] have different lengths",
        ),
        (
            "www[3:1]\n",
            "line 1: www[3:1]: the range [3:1] runs backwards",
        ),
        (
            "www[1:99999999]\n",
            "line 1: www[1:99999999]: more than 1000 hosts",
        ),
        (
            "a[1:99]b[1:99]\n",
            "line 1: a[1:99]b[1:99]: more than 1000 hosts",
        ),
        (
            "www[1:x]\n",
            "line 1: www[1:x]: [1:x] is no range of numbers or letters",
        ),
        ("www[1\n", "line 1: www[1: this bracket is never closed"),
        ("a b\n", "line 1: expected KEY=VALUE, not \"b\""),
        ("a x='b\n", "line 1: a quote is never closed"),
        (
            "a ansible_port=x\n",
            "line 1: \"x\" is not a port number from 1 to 65535",
        ),
        (
            "a ansible_user='{{ me }}'\n",
            "line 1: ansible_user is a template, which only Ansible can fill in",
        ),
        (
            "[a:children]\nb\n[b:children]\na\n",
            "these groups contain each other: a → b → a",
        ),
        ("-x\n", "line 1: -x: a host name cannot start with '-'"),
    ] {
        assert_eq!(error("hosts.ini", text), message);
    }
    for (text, message) in [
        ("- a\n", "expected groups: \"all: {hosts: …, children: …}\""),
        (
            "all:\n  host:\n",
            "group all: host is not what an inventory has here",
        ),
        (
            "all: {hosts: {a: {ansible_port: 0}}}\n",
            "group all: a: \"0\" is not a port number from 1 to 65535",
        ),
        ("all: [x]\n", "group all: expected hosts, vars and children"),
    ] {
        assert_eq!(error("hosts.yml", text), message);
    }
    assert!(error("hosts.yml", "all: [\n").contains("line 2"));
    let inventory = parse(Path::new("x.ini"), "a ansible_host=b,c\n", 10, false).unwrap();
    assert!(
        inventory
            .hosts("all")
            .unwrap_err()
            .contains("more than the limit of 1")
    );
}
