//! Tests of target lists: hosts files, exclusions, duplicates, and the text of every error.

use std::io::Cursor;

use proptest::prelude::*;

use super::*;

fn build(text: &str) -> Result<TargetList, TargetError> {
    build_bytes(text.as_bytes())
}

fn build_bytes(bytes: &[u8]) -> Result<TargetList, TargetError> {
    let mut builder = TargetListBuilder::new(Limits::default());
    builder.add_reader("hosts", Cursor::new(bytes))?;
    builder.build()
}

/// Returns each target as `label host user port`, with `-` for a missing value.
fn shown(list: &[Target]) -> Vec<String> {
    let shown = |target: &Target| {
        let user = target.user.as_deref().unwrap_or("-");
        let port = target.port.map_or("-".to_owned(), |port| port.to_string());
        format!("{} {} {user} {port}", target.label, target.host)
    };
    list.iter().map(shown).collect()
}

fn labels(list: &[Target]) -> Vec<&str> {
    list.iter().map(|target| &*target.label).collect()
}

fn message(text: &str) -> String {
    build(text).expect_err(text).to_string()
}

#[test]
fn the_example_file_shows_every_option() {
    let list = build(include_str!("../../hosts.example")).unwrap();
    insta::assert_snapshot!(shown(&list).join("\n"), @"
    gateway.example.com gateway.example.com - -
    db.example.com db.example.com - -
    web1.example.com web1.example.com - -
    web2.example.com web2.example.com - -
    web3.example.com web3.example.com - -
    node09.example.com node09.example.com - -
    node10.example.com node10.example.com - -
    rack1-pdu0.example.net rack1-pdu0.example.net - -
    rack1-pdu4.example.net rack1-pdu4.example.net - -
    rack2-pdu0.example.net rack2-pdu0.example.net - -
    rack2-pdu4.example.net rack2-pdu4.example.net - -
    app1.example.net app1.example.net - -
    app2.example.net app2.example.net - -
    app4.example.net app4.example.net - -
    192.0.2.10 192.0.2.10 - -
    2001:db8::10 2001:db8::10 - -
    [2001:db8::11]:5514 2001:db8::11 - 5514
    operator@console.example.org:1514 console.example.org operator 1514
    tape-a 198.51.100.7 backup -
    tape-b 198.51.100.7 backup 1515
    admin@bastion.example.org:2222 bastion.example.org admin 2222
    vault.example.org vault.example.org - -
    login1.example.org login1.example.org - -
    login2.example.org login2.example.org - -
    db1.example.net db1.example.net - -
    db2.example.net db2.example.net - -
    ");
    let networks = |label: &str| {
        let target = list.iter().find(|target| *target.label == *label).unwrap();
        target.callback_from.as_deref().map(Network::list)
    };
    assert_eq!(networks("gateway.example.com"), None);
    assert_eq!(networks("login1.example.org").unwrap(), "203.0.113.11");
    assert_eq!(
        networks("login2.example.org").unwrap(),
        "203.0.113.12,10.1.0.0/16"
    );
}

#[test]
fn the_option_callback_takes_addresses_and_networks() {
    insta::assert_snapshot!(message("a callback=10.1\n"), @r#"
    "10.1" is neither an address nor a network
     --> hosts:1:12
      |
      | a callback=10.1
      |            ^^^^
      = help: write callback=192.0.2.7 or callback=10.1.0.0/16,10.2.0.0/16
    "#);
    for bad in [
        "callback=",
        "callback=10.0.0.0/33",
        "callback=10.0.0.1,",
        "callback=h1",
    ] {
        assert!(
            message(&format!("a {bad}\n")).contains("neither an address"),
            "{bad}"
        );
    }
    let twice = message("a callback=10.0.0.1\nb\na callback=10.0.0.2\n");
    assert!(
        twice.contains("with callback=10.0.0.1 and with callback=10.0.0.2"),
        "{twice}"
    );
}

#[test]
fn hosts_files_may_have_blanks_and_comments() {
    let text =
        "\u{feff}# comment\r\n\r\n  node1 \t# trailing\r\nnode[2-3],node4 node5\r\n#x\nnode6 #";
    assert_eq!(
        labels(&build(text).unwrap()),
        ["node1", "node2", "node3", "node4", "node5", "node6"]
    );
    assert!(message("node1#x").contains("'#' cannot be part"));
    assert_eq!(labels(&build("a").unwrap()), ["a"]);
}

#[test]
fn options_apply_to_the_whole_line() {
    let list = build("n[1-2] user=op port=1514 # both\nx transport=rsh label=the_x\n").unwrap();
    assert_eq!(
        shown(&list),
        ["n1 n1 op 1514", "n2 n2 op 1514", "the_x x - -"]
    );
}

#[test]
fn a_target_may_name_its_transport() {
    let list = build(
        "plain\nssh://root@n[1-2]:22\nssh:s\nssh:22\nrsh://r/\nexec:e\nopenssh://[2001:db8::1]\no transport=openssh\n",
    )
    .unwrap();
    let found: Vec<String> = list
        .iter()
        .map(|target| {
            let transport = target.transport.map_or("-", TransportKind::name);
            format!("{} {} {transport}", target.label, target.host)
        })
        .collect();
    assert_eq!(
        found,
        [
            "plain plain -",
            "root@n1:22 n1 ssh",
            "root@n2:22 n2 ssh",
            "s s ssh",
            "ssh:22 ssh -",
            "r r rsh",
            "e e exec",
            "[2001:db8::1] 2001:db8::1 openssh",
            "o o openssh",
        ]
    );
    insta::assert_snapshot!(message("n1 transport=shh\n"), @r#"
    there is no transport "shh"
     --> hosts:1:14
      |
      | n1 transport=shh
      |              ^^^
      = help: did you mean transport=ssh?
    "#);
    insta::assert_snapshot!(message("ssh://n1 transport=ssh\n"), @"
    the transport is given twice
     --> hosts:1:10
      |
      | ssh://n1 transport=ssh
      |          ^^^^^^^^^^^^^
      = help: keep ssh:// or transport=
    ");
}

#[test]
fn a_target_has_the_position_of_its_first_mention() {
    let list = build("a user=op\nb\na\na user=op\na label=z\na label=y\nb\nop@a\n").unwrap();
    assert_eq!(shown(&list), ["a a op -", "b b - -", "z a - -", "y a - -"]);
}

#[test]
fn a_plain_mention_takes_the_options_of_another() {
    let mut builder = TargetListBuilder::new(Limits::default());
    builder.add_expr("c,b,a", Origin::named("-w")).unwrap();
    let hosts = "a user=op port=7\nd\nb label=b user=x\n";
    builder.add_reader("hosts", Cursor::new(hosts)).unwrap();
    builder.add_expr("a", Origin::named("-g")).unwrap();
    assert_eq!(
        shown(&builder.build().unwrap()),
        ["c c - -", "b b x -", "a a op 7", "d d - -"]
    );
}

#[test]
fn mentions_that_contradict_each_other_are_refused() {
    insta::assert_snapshot!(message("x\nn[1-2] user=a\nn3\nn2 user=b # again\n"), @"
    n2 is named twice, with user=a and with user=b
     --> hosts:4:1
      |
      | n2 user=b # again
      | ^^
      = help: the first is in hosts:2; keep one, or give each a label of its own with label=
    ");
    assert!(
        message("n1 port=7\nn1 port=7 user=op\n")
            .starts_with("n1 is named twice, with port=7 and with user=op port=7\n")
    );
    // A text before `@` is the user, not a part of the label. A port makes the text a label.
    for (text, said) in [
        ("n1 user=a\nb@n1\n", "with user=a and with user=b"),
        (
            "labuser@n1,root@n1\n",
            "with user=labuser and with user=root",
        ),
        ("n1:7\nop@n1:7\n", "with port=7 and with user=op port=7"),
    ] {
        let message = message(text);
        let name = if text.contains(":7") { "n1:7" } else { "n1" };
        let words = format!("{name} is named twice, {said}\n");
        assert!(message.starts_with(&words), "{message}");
    }
    assert_eq!(build("n1 user=a\nb@n1 label=n1b\n").unwrap().len(), 2);
    assert_eq!(build("n1 n1:7 op@n1:8\n").unwrap().len(), 3);
}

#[test]
fn a_user_before_a_name_completes_the_plain_name() {
    for (exprs, expected) in [
        (
            ["h[1-3]", "op@h2"],
            ["h1 h1 - -", "op@h2 h2 op -", "h3 h3 - -"],
        ),
        (
            ["op@h2", "h[1-3]"],
            ["op@h2 h2 op -", "h1 h1 - -", "h3 h3 - -"],
        ),
    ] {
        let mut builder = TargetListBuilder::new(Limits::default());
        for expr in exprs {
            builder.add_expr(expr, Origin::named("-w")).unwrap();
        }
        assert_eq!(shown(&builder.build().unwrap()), expected);
    }
}

#[test]
fn sources_are_joined_in_order() {
    let mut builder = TargetListBuilder::new(Limits::default());
    builder.add_expr("c,a", Origin::named("-w")).unwrap();
    builder.add_reader("hosts", Cursor::new("b\na\n")).unwrap();
    builder.add_expr("d", Origin::named("-w")).unwrap();
    assert_eq!(labels(&builder.build().unwrap()), ["c", "a", "b", "d"]);
}

#[test]
fn exclusions_match_hosts_and_labels() {
    let mut builder = TargetListBuilder::new(Limits::default());
    builder
        .exclude_expr(
            "n2,op@n4,the_x,[2001:db8::1],nowhere[1-9]",
            Origin::named("-x"),
        )
        .unwrap();
    let hosts = "n[1,3]\nop@n[5-6]:514\nop@n4\nop@n2\nx label=the_x\n[2001:db8::1]:514\n";
    builder.add_reader("hosts", Cursor::new(hosts)).unwrap();
    assert_eq!(
        labels(&builder.build().unwrap()),
        ["n1", "n3", "op@n5:514", "op@n6:514"]
    );
}

#[test]
fn an_exclusion_applies_to_every_transport() {
    for (hosts, excluded) in [
        ("n1 n2", "ssh://n1"),
        ("ssh://n1 n2", "n1"),
        ("ssh://n1,n2", "rsh://n1"),
    ] {
        let mut builder = TargetListBuilder::new(Limits::default());
        builder.add_expr(hosts, Origin::named("-w")).unwrap();
        builder.exclude_expr(excluded, Origin::named("-x")).unwrap();
        assert_eq!(
            labels(&builder.build().unwrap()),
            ["n2"],
            "{hosts} -x {excluded}"
        );
    }
}

#[test]
fn one_host_under_many_labels_is_many_targets() {
    let text: String = (0..1000)
        .map(|i| format!("127.0.0.1 label=s{i}\n"))
        .collect();
    assert_eq!(build(&text).unwrap().len(), 1000);
}

#[test]
fn an_empty_list_is_an_error() {
    assert!(message("# nothing\n").contains("no host is named in hosts"));
    let builder = TargetListBuilder::new(Limits::default());
    assert!(matches!(builder.build(), Err(TargetError::NothingNamed)));
    let mut builder = TargetListBuilder::new(Limits::default());
    builder.add_expr("a[1-3]", Origin::named("-w")).unwrap();
    builder.exclude_expr("a[1-9]", Origin::named("-x")).unwrap();
    assert!(matches!(builder.build(), Err(TargetError::AllExcluded(3))));
}

#[test]
fn a_missing_file_is_named() {
    let mut builder = TargetListBuilder::new(Limits::default());
    let error = builder.add_hosts_file("/nonexistent/hosts").unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read the hosts file /nonexistent/hosts"
    );
    assert!(builder.add_hosts_file("/").is_err());
}

#[test]
fn the_limit_counts_targets_of_all_sources() {
    let mut builder = TargetListBuilder::new(Limits {
        max_targets: 10,
        ..Limits::default()
    });
    builder.add_expr("a[1-8]", Origin::named("-w")).unwrap();
    builder.add_expr("a[1-10]", Origin::named("-w")).unwrap();
    let error = builder
        .add_expr("a[2-11]", Origin::named("-w"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("more than 10 targets"), "{error}");
    let error = builder
        .add_expr("a[0-99999999999]", Origin::named("-w"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("more than the limit of 10"), "{error}");
}

#[test]
fn errors_show_the_place_of_the_fault() {
    insta::assert_snapshot!(message("a\n# x\n\tnode[9-3] user=op\n"), @"
    the range 9-3 runs backwards
     --> hosts:3:7
      |
      |  node[9-3] user=op
      |       ^^^
      = help: write the smaller number first: 3-9
    ");
    insta::assert_snapshot!(message("a usr=op\n"), @"
    there is no option usr=
     --> hosts:1:3
      |
      | a usr=op
      |   ^^^
      = help: did you mean user=?
    ");
    insta::assert_snapshot!(message("a colour=red\n"), @"
    there is no option colour=
     --> hosts:1:3
      |
      | a colour=red
      |   ^^^^^^
      = help: the options are callback=, env.NAME=, label=, port=, transport=, user=
    ");
    insta::assert_snapshot!(message("op@a user=root\n"), @"
    the user is given twice
     --> hosts:1:6
      |
      | op@a user=root
      |      ^^^^^^^^^
      = help: keep user@ or user=
    ");
    insta::assert_snapshot!(message("n[1-2] label=x\n"), @"
    one label for several hosts
     --> hosts:1:8
      |
      | n[1-2] label=x
      |        ^^^^^^^
      = help: give each host a line and a label of its own
    ");
    insta::assert_snapshot!(message("n1 port=70000\n"), @"
    \"70000\" is not a port number from 1 to 65535
     --> hosts:1:9
      |
      | n1 port=70000
      |         ^^^^^
      = help: write port=514
    ");
    insta::assert_snapshot!(message("n1 user=op n2\n"), @"
    a host after an option
     --> hosts:1:12
      |
      | n1 user=op n2
      |            ^^
      = help: options come last in a line
    ");
    insta::assert_snapshot!(message("user=op\n"), @"
    an option without a host before it
     --> hosts:1:1
      |
      | user=op
      | ^^^^^^^
      = help: write the host's name first: node1 user=root
    ");
    insta::assert_snapshot!(message("telnet://n1\n"), @"
    the transport \"telnet\" is not known here
     --> hosts:1:1
      |
      | telnet://n1
      | ^^^^^^
      = help: write rsh://, ssh://, openssh:// or exec://, or a plain name and -R
    ");
    insta::assert_snapshot!(build_bytes(b"a\nb\xff\n").unwrap_err(), @"
    this is not UTF-8 text
     --> hosts:2:2
      |
      | b�
      |  ^
      = help: a hosts file is UTF-8 text with one node set a line
    ");
}

/// A temporary folder with files, removed when the test ends.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn files_include_files() {
    let folder = folder(&[
        ("hosts", "h1\n#include inc # not a comment\n"),
        (
            "top",
            "h1\n  #include inner/one\n#includes nothing\nh2 user=op\n",
        ),
        ("inner/one", "i1\n#include two\n#include three\n"),
        ("inner/two", "i2 port=22\n"),
        ("three", "i3\n"),
    ]);
    let mut builder = TargetListBuilder::new(Limits::default());
    builder.add_hosts_file(folder.path().join("top")).unwrap();
    assert_eq!(
        shown(&builder.build().unwrap()),
        [
            "h1 h1 - -",
            "i1 i1 - -",
            "i2 i2 - 22",
            "i3 i3 - -",
            "h2 h2 op -"
        ]
    );
    let mut builder = TargetListBuilder::new(Limits::default());
    let error = builder
        .add_hosts_file(folder.path().join("hosts"))
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("cannot read inc # not a comment: No such file")
    );
}

#[test]
fn inventories_are_hosts_files_too() {
    let folder = folder(&[
        (
            "a.ini",
            "w[1:2] ansible_user=op\n[db]\nd ansible_host=192.0.2.1 ansible_port=9\n",
        ),
        ("hosts", "# ansible\n[web]\nw2\nw3\n"),
        ("b.yml", "web: {hosts: {w4: }}\n"),
        ("bad.ini", "a\nb[9:1]\n"),
    ]);
    let mut builder = TargetListBuilder::new(Limits::default());
    for name in ["a.ini", "hosts", "b.yml"] {
        builder.add_hosts_file(folder.path().join(name)).unwrap();
    }
    assert_eq!(
        shown(&builder.build().unwrap()),
        [
            "w1 w1 op -",
            "w2 w2 op -",
            "d 192.0.2.1 - 9",
            "w3 w3 - -",
            "w4 w4 - -"
        ]
    );
    let mut builder = TargetListBuilder::new(Limits::default());
    let error = builder
        .add_hosts_file(folder.path().join("bad.ini"))
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("bad.ini: line 2: b[9:1]: the range [9:1] runs backwards")
    );
}

#[test]
fn files_that_include_each_other_are_named() {
    let folder = folder(&[("a", "x\n#include b\n"), ("b", "y\n#include a\n#include\n")]);
    let builder = TargetListBuilder::new(Limits::default());
    let warnings = Warnings::default();
    let mut builder = builder.warn_to(&warnings);
    builder.add_hosts_file(folder.path().join("a")).unwrap();
    assert_eq!(labels(&builder.build().unwrap()), ["x", "y"]);
    let place = folder.path().display().to_string();
    assert_eq!(
        warnings.take().join("\n").replace(&format!("{place}/"), ""),
        "b:2: these files include each other: a → b → a: ignored\n\
         b:3: this #include names no file: ignored"
    );
}

#[test]
fn pdsh_forms_work_across_the_command_line() {
    let folder = folder(&[("f", "n[1-3] user=op\nn4\n"), ("bad", "n[9-3]\n")]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mut builder = TargetListBuilder::new(Limits::default());
    builder.add_expr("-n2", Origin::named("-w")).unwrap();
    builder
        .add_expr(&format!("^{},x", path("f")), Origin::named("-w"))
        .unwrap();
    builder.exclude_expr("/3$/", Origin::named("-x")).unwrap();
    assert_eq!(
        shown(&builder.build().unwrap()),
        ["n1 n1 op -", "n4 n4 - -", "x x - -"]
    );

    let mut builder = TargetListBuilder::new(Limits::default());
    let error = builder.add_expr(&format!("^{}", path("bad")), Origin::named("-w"));
    let error = error.unwrap_err().to_string().replace(&path("bad"), "bad");
    let folder_line = "^bad";
    assert!(error.contains(folder_line), "{error}");
    assert!(
        error.starts_with("the range 9-3 runs backwards\n --> bad:1:3\n"),
        "{error}"
    );
    assert!(error.contains("\n --> -w, column 1\n"), "{error}");
}

#[test]
fn hostile_files_are_refused_at_once() {
    assert!(build_bytes(&vec![b'a'; 3 << 20]).is_err());
    assert!(build_bytes(&vec![0; 3 << 20]).is_err());
    assert!(build_bytes(&vec![b'a'; 17 << 20]).is_err());
    assert!(message("a label=x\u{1b}[2J\n").contains("cannot be a label"));
    assert!(message("-rf\n").contains("cannot start with '-'"));
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "([a1\\[\\]#=@:,! \\t\\r\\n-]|user=|label=|port=){0,60}") {
        let _ = build_bytes(&bytes).map_err(|error| error.to_string());
        let _ = build(&text).map_err(|error| error.to_string());
    }

    #[test]
    fn labels_of_a_list_name_it_again(names in prop::collection::vec("(op@)?[a-c][0-9]{1,2}(:[1-9]{3})?", 1..30)) {
        // Mentions of one host that contradict each other are refused.
        let host = |name: &String| name.trim_start_matches("op@").split(':').next().map(str::to_owned);
        let mut hosts = std::collections::HashSet::new();
        let names: Vec<String> = names.into_iter().filter(|name| hosts.insert(host(name))).collect();
        let list = build(&names.join("\n")).unwrap();
        let folded = fold(labels(&list));
        let mut again = TargetListBuilder::new(Limits::default());
        again.add_expr(&folded, Origin::named("-w")).unwrap();
        let mut a = shown(&list);
        let mut b = shown(&again.build().unwrap());
        a.sort();
        b.sort();
        prop_assert_eq!(a, b);
    }
}

include!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fuzz/properties/hosts_file.rs"
));

#[test]
fn the_fuzz_corpus_passes() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/hosts_file");
    let files = std::fs::read_dir(corpus).unwrap();
    let checked = files.map(|file| check(&std::fs::read(file.unwrap().path()).unwrap()));
    assert!(checked.count() > 50);
}
