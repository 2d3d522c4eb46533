//! Tests of the sources of groups: each in files of its own, and all together.

use std::fs;

use nodeset::NoLookup;

use super::*;
use crate::targets::{HostResolver, Limits, Origin, TargetListBuilder, group_help};

/// A temporary folder with files, and the groups defined in it.
struct Site {
    folder: tempfile::TempDir,
    groups: Groups,
}

fn site(files: &[(&str, &str)], own: &[(&str, &str)]) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (name, text) in files {
        fs::create_dir_all(path(name).parent().unwrap()).unwrap();
        fs::write(path(name), text).unwrap();
    }
    let places = Places {
        clustershell: vec![path("etc"), path("home")],
        dsh_groups: vec![path("dsh")],
        dsh_machines: vec![path("machines.list")],
        genders: Some(path("genders")),
    };
    let own = own.iter().map(|(name, hosts)| {
        let group = OwnGroup {
            text: (*hosts).to_owned(),
            place: None,
        };
        ((*name).to_owned(), group)
    });
    let groups = Groups::new(places, own.collect());
    Site { folder, groups }
}

impl Site {
    fn hosts(&self, text: &str) -> String {
        self.try_hosts(text)
            .unwrap_or_else(|error| panic!("{text:?}: {error}"))
    }

    /// Returns the error without the name of the folder.
    fn try_hosts(&self, text: &str) -> Result<String, String> {
        let hosts = HostResolver::new(1000, &self.groups, &NoLookup).hosts(text);
        let folder = self.folder.path().display().to_string() + "/";
        let hosts = hosts.map_err(|error| error.to_string().replace(&folder, ""))?;
        Ok(hosts.to_set().to_string())
    }

    fn query(&self, query: &str) -> Result<String, String> {
        let hosts = HostResolver::new(1000, &self.groups, &NoLookup).group(Some("genders"), query);
        Ok(hosts
            .map_err(|error| error.to_string())?
            .to_set()
            .to_string())
    }
}

const CONF: &str = "
[Main]
default: local
confdir: $CFGDIR/groups.conf.d /nowhere
autodir: \"$CFGDIR/groups.d\" $CFGDIR/groups.d/

[local]
map: sed -n 's/^$GROUP:\\(.*\\)/\\1/p' $CFGDIR/local
all: sed -n 's/^all:\\(.*\\)/\\1/p' local
list: sed -n 's/^\\([0-9A-Za-z_-]*\\):.*/\\1/p' local
";

const LOCAL: &str =
    "adm: example0\noss: example4 example5\nio: @adm,@oss\nnone:\nall: example[0-9]\n";

const YAML: &str = "
roles:
    adm: 'example0'
    io: '@racks:rack2,example2'
    all: '@io,@adm'
racks:
    rack1: example[0,2]
    rack2: example[4-5]
    new: '@rack[1-2]'
    rack5:
        - 'example[200-205]' # comment
        - example300,example[401-402]
";

#[test]
fn clustershell_configuration_is_read_as_it_stands() {
    let parts =
        "[jobs,j]\nmap: echo job$GROUP-[1-2] from $SOURCE\nreverse: echo r$NODE\ncache_time: 60\n";
    let site = site(
        &[
            ("etc/groups.conf", CONF),
            ("etc/local", LOCAL),
            ("etc/groups.conf.d/jobs.conf", parts),
            ("etc/groups.conf.d/jobs.conf.example", "not read"),
            ("etc/groups.d/cluster.yaml", YAML),
        ],
        &[],
    );
    assert_eq!(
        site.groups.sources().unwrap(),
        ["local", "jobs", "j", "roles", "racks"]
    );
    assert_eq!(site.hosts("@io"), "example[0,4-5]");
    assert_eq!(site.hosts("@local:adm,@roles:io"), "example[0,2,4-5]");
    assert_eq!(site.hosts("@roles:*"), "example[0,2,4-5]");
    assert_eq!(site.hosts("@racks:new"), "example[0,2,4-5]");
    assert_eq!(site.hosts("@racks:rack5"), "example[200-205,300,401-402]");
    assert_eq!(site.hosts("@*!@oss"), "example[0-3,6-9]");
    assert_eq!(
        site.hosts("@racks:*"),
        "example[0,2,4-5,200-205,300,401-402]"
    );
    assert_eq!(site.hosts("@@racks"), "new,rack[1-2,5]");
    assert_eq!(site.hosts("@none"), "");
    assert_eq!(site.hosts("@j:7"), "from,j,job7-[1-2]");
    assert_eq!(site.hosts("example?&@oss"), "example[4-5]");
    assert_eq!(site.groups.reverse("jobs", "n1").unwrap().unwrap(), ["rn1"]);
    assert_eq!(
        site.try_hosts("@osss").unwrap_err(),
        "there is no group \"osss\""
    );
    let error = site.groups.lookup(Some("lcoal"), "io").unwrap_err();
    assert_eq!(group_help(&error).unwrap(), "did you mean local?");
    let error = site.try_hosts("@jobs:*").unwrap_err();
    assert_eq!(
        error,
        "the source of groups jobs cannot say which groups it has"
    );
}

#[test]
fn the_configuration_of_a_user_overrides_that_of_the_system() {
    let site = site(
        &[
            (
                "etc/groups.conf",
                "[Main]\ndefault: a\n[a]\nmap: echo a1\n[b]\nmap: echo b1\n",
            ),
            (
                "home/groups.conf",
                "[Main]\ndefault: b\n[a]\nmap: echo a2 $CFGDIR\n",
            ),
        ],
        &[],
    );
    assert_eq!(site.hosts("@x"), "b1");
    let GroupDefinition::Text { text, .. } = site.groups.lookup(Some("a"), "x").unwrap() else {
        panic!("commands print texts");
    };
    assert!(text.ends_with("/home"), "{text}");
}

#[test]
fn names_with_special_characters_are_not_passed_to_a_shell() {
    let site = site(
        &[(
            "etc/groups.conf",
            "[a]\nmap: echo $GROUP\nreverse: echo $NODE\n",
        )],
        &[],
    );
    assert_eq!(site.hosts("@x-1.y"), "x-1.y");
    for name in [
        "x;touch", "$(id)", "`id`", "a b", "a\nb", "'x'", "-n", "x|y", "x>y", "a&b", "",
    ] {
        assert!(site.groups.lookup(Some("a"), name).is_err(), "{name}");
        assert_eq!(site.groups.reverse("a", name).unwrap(), None, "{name}");
    }
}

#[test]
fn a_broken_configuration_is_an_error_when_a_group_is_named() {
    let error = |files: &[(&str, &str)]| {
        let site = site(files, &[]);
        assert_eq!(site.hosts("n[1-2]"), "n[1-2]");
        site.try_hosts("@x").unwrap_err()
    };
    let conf = "[Main]\nautodir: $CFGDIR\n";
    let yaml = |text: &'static str| error(&[("etc/groups.conf", conf), ("etc/a.yaml", text)]);
    assert_eq!(error(&[]), "there are no groups here: nothing defines any");
    assert_eq!(
        error(&[("etc/groups.conf", "x\n")]),
        "etc/groups.conf:1: a key before the first section"
    );
    assert_eq!(
        error(&[("etc/groups.conf", "[a]\nall: x\n")]),
        "etc/groups.conf: [a] has no map command"
    );
    assert_eq!(
        error(&[("etc/groups.conf", "[Main]\ndefault: z\n[a]\nmap: x\n")]),
        "etc/groups.conf: the default source \"z\" is not defined"
    );
    assert_eq!(
        error(&[("etc/groups.conf", "[a,a]\nmap: x\n")]),
        "etc/groups.conf: there are two sources of groups called \"a\""
    );
    assert_eq!(
        error(&[("etc/groups.conf", "[a]\nmap: exit 3\n")]),
        "the source of groups a failed: exit status: 3: exit 3"
    );
    assert_eq!(
        yaml("a: b\n"),
        "etc/a.yaml: the source \"a\" is no mapping of groups"
    );
    assert_eq!(
        yaml("a: {b: {c: d}}\n"),
        "etc/a.yaml: the hosts of a:b are no text and no list, or too many"
    );
    assert!(yaml("- a\n").starts_with("etc/a.yaml: expected sources with groups"));
    assert!(yaml("a: [\n").starts_with("etc/a.yaml: "));
    let bomb: String = (1..40)
        .map(|i| format!("  a{i}: &a{i} [*a{0}, *a{0}]\n", i - 1))
        .collect();
    let bomb = error(&[
        ("etc/groups.conf", conf),
        ("etc/a.yaml", &format!("a:\n  a0: &a0 []\n{bomb}")),
    ]);
    assert_eq!(
        bomb,
        "etc/a.yaml: the hosts of a:a19 are no text and no list, or too many"
    );
    let recursive = site(
        &[
            ("etc/groups.conf", conf),
            ("etc/a.yaml", "a:\n  x: '@y'\n  y: '@x'\n"),
        ],
        &[],
    );
    assert_eq!(
        recursive.try_hosts("@a:x").unwrap_err(),
        "these groups name each other: @a:x → @a:y → @a:x"
    );
}

#[test]
fn an_include_that_fails_is_a_warning() {
    let site = site(
        &[
            ("dsh/one", "g1\n#include two\n"),
            (
                "dsh/two",
                "g2\n#include one\n#include\n#include a b\n#included\n",
            ),
        ],
        &[],
    );
    assert_eq!(site.hosts("@one"), "g[1-2]");
    let folder = site.folder.path().join("dsh").display().to_string();
    let warnings = site.groups.warnings().take().join("\n");
    assert_eq!(
        warnings.replace(&folder, ""),
        "/two:2: these files include each other: ignored\n\
         /two:3: this #include names no group and no file: ignored\n\
         /two:4: this #include names no group and no file: ignored"
    );
}

#[test]
fn dsh_groups_are_files() {
    let site = site(
        &[
            (
                "dsh/web",
                "# comment\nweb[1-2]\nweb3 # three\nop@web4\n#include db\n",
            ),
            ("dsh/db", "db1\n"),
            ("dsh/.hidden", "x"),
            ("dsh/old~", "x"),
            ("machines.list", "web[1-9]\n"),
        ],
        &[],
    );
    assert_eq!(site.hosts("@web"), "db1,web[1-4]");
    assert_eq!(site.hosts("@dsh:db"), "db1");
    assert_eq!(site.hosts("@*"), "web[1-9]");
    assert_eq!(site.groups.list(None).unwrap(), ["db", "web"]);
    assert!(site.groups.lookup(None, "../machines.list").is_err());
    assert!(site.groups.lookup(None, ".hidden").is_err());
}

const GENDERS: &str = "# comment
n[1-4] all,login,cpus=4
n2 mgmt
n[3-5]\tcpus2=8,rack=r%n,x=%%y   # trailing
n6 mgmt,cpus=4,name=a=b
  n7 all
n8 pdsh_all_skip
";

#[test]
fn genders_give_the_address_and_the_transport_of_hosts() {
    let genders = "n1 altname=en1,compute,pdsh_rcmd_type=ssh\nn2 altname=en2,compute\n\
                   n3 compute,pdsh_rcmd_type=exec\nn[4-5] altname=e%n,login,pdsh_all_skip\n";
    let site = site(&[("genders", genders)], &[]);
    // The results are those of `pdsh -g` and `pdsh -a`.
    assert_eq!(site.hosts("@compute"), "en[1-2],n3");
    assert_eq!(site.hosts("@login"), "en[4-5]");
    assert_eq!(site.hosts("@*"), "en[1-2],n3");
    assert_eq!(
        site.query("compute&&~login--n3").as_deref(),
        Ok("en[1-2],n3")
    );
    let mut builder = TargetListBuilder::with_groups(Limits::default(), &site.groups);
    builder.add_group("compute", Origin::named("-g")).unwrap();
    let found: Vec<String> = builder
        .build()
        .unwrap()
        .iter()
        .map(|target| format!("{} {:?}", target.label, target.transport))
        .collect();
    assert_eq!(found, ["en1 Some(Ssh)", "en2 None", "n3 Some(Exec)"]);

    let site = self::site(&[("genders", "n1 a,pdsh_rcmd_type=krb4\n")], &[]);
    let error = site.query("a").unwrap_err();
    assert!(error.contains("n1 has pdsh_rcmd_type=krb4"), "{error}");
}

#[test]
fn genders_queries_are_those_of_nodeattr() {
    let site = site(&[("genders", GENDERS)], &[]);
    // The results are those of `nodeattr -q`.
    for (query, hosts) in [
        ("login", "n[1-4]"),
        ("cpus=4", "n[1-4,6]"),
        ("login&&mgmt", "n2"),
        ("login--mgmt", "n[1,3-4]"),
        ("~login", "n[5-8]"),
        ("~nothing", "n[1-8]"),
        ("nothing||~nothing", "n[1-8]"),
        ("~(login||mgmt)", "n[5,7-8]"),
        ("login||mgmt&&cpus2", "n[3-4]"),
        ("cpus2&&login||mgmt", "n[2-4,6]"),
        ("~login&&~mgmt", "n[5,7-8]"),
        (" login && mgmt ", "n2"),
        ("rack=rn3", "n3"),
        ("x=%y", "n[3-5]"),
        ("name=a=b", "n6"),
        ("((login))", "n[1-4]"),
        ("~~login", "n[1-4]"),
        ("login&&~cpus2--n1", "n[1-2]"),
        ("login--mgmt--cpus2", "n1"),
        ("login--(mgmt--cpus2)", "n[1,3-4]"),
        // The result is that of `pdsh -g`.
        ("mgmt,cpus2", "n[2-6]"),
    ] {
        assert_eq!(site.query(query).as_deref(), Ok(hosts), "{query}");
    }
    for query in ["()", "login&&", "login|mgmt", "(login", &"(".repeat(1000)] {
        assert!(
            site.query(query).unwrap_err().contains("genders query"),
            "{query}"
        );
    }
    for query in ["nothing", "rack=r%n", "n2", "login mgmt", ""] {
        assert!(
            site.query(query).unwrap_err().contains("there is no group"),
            "{query}"
        );
    }
    assert_eq!(site.hosts("@cpus=4&@mgmt"), "n[2,6]");
    assert_eq!(site.hosts("@*"), "n[1-7]");
    assert_eq!(
        site.groups.list(None).unwrap(),
        [
            "all",
            "cpus",
            "cpus2",
            "login",
            "mgmt",
            "name",
            "pdsh_all_skip",
            "rack",
            "x"
        ]
    );
    let mut builder = TargetListBuilder::with_groups(Limits::default(), &site.groups);
    builder
        .add_group("login&&~mgmt", Origin::named("-g"))
        .unwrap();
    assert_eq!(builder.build().unwrap().len(), 3);
}

#[test]
fn broken_genders_files_name_the_line() {
    let error = |text| site(&[("genders", text)], &[]).try_hosts("@x").unwrap_err();
    assert_eq!(
        error("a x\nn[9-3] x\n"),
        "genders:2: the range 9-3 runs backwards"
    );
    assert!(error("a x y\n").starts_with("genders:1: attributes are separated by commas"));
}

#[test]
fn a_group_of_several_sources_needs_its_source() {
    let mut site = site(
        &[
            (
                "etc/groups.conf",
                "[cs]\nmap: [ $GROUP = web ] && echo cs1; true\n[other]\nmap: echo o1\n",
            ),
            ("dsh/web", "dsh1\n"),
            ("dsh/db", "dsh2\n"),
            ("genders", "g1 web,gen\n"),
        ],
        &[("mine", "m1,@web"), ("db", "m2")],
    );
    assert_eq!(
        site.groups.sources().unwrap(),
        ["mrsh", "cs", "dsh", "genders", "other"]
    );
    assert_eq!(site.hosts("@gen"), "g1");
    assert_eq!(
        site.try_hosts("@web").unwrap_err(),
        "the group \"web\" is defined by several sources: cs, dsh, genders"
    );
    let error = site.groups.lookup(None, "db").unwrap_err();
    assert_eq!(
        group_help(&error).unwrap(),
        "write @mrsh:db, or choose a default source: --group-source mrsh, or group-source = \"mrsh\" in the \
         configuration"
    );
    assert_eq!(site.hosts("@dsh:web,@genders:web"), "dsh1,g1");
    assert_eq!(site.hosts("@other:x"), "o1");
    let known = site.groups.lookup(None, "nothing").unwrap_err();
    assert_eq!(group_help(&known).unwrap(), "there are db, gen, mine, web");
    // A group that the default source does not have is looked up in the other sources.
    site.groups.set_default("dsh").unwrap();
    assert_eq!(site.hosts("@mine,@db,@gen"), "dsh[1-2],g1,m1");
    assert!(site.groups.set_default("hsd").is_err());
}

#[test]
fn all_hosts_are_those_of_one_source() {
    let files = [("machines.list", "d1\n"), ("genders", "g1 a\n")];
    let mut site = site(&files, &[]);
    assert_eq!(
        site.try_hosts("@*").unwrap_err(),
        "the list of all hosts is defined by several sources: dsh, genders"
    );
    assert_eq!(site.hosts("@genders:*"), "g1");
    site.groups.set_default("genders").unwrap();
    assert_eq!(site.hosts("@*,g?"), "g1");
    let empty = [("machines.list", "d1\n"), ("genders", "# nobody yet\n")];
    assert_eq!(self::site(&empty, &[]).hosts("@*"), "d1");
}

#[test]
fn an_inventory_is_a_source_like_others() {
    let files = [
        (
            "inv.ini",
            "[web]\nw[1:2] ansible_host=192.0.2.1 ansible_user=op\n[db]\nd1\n",
        ),
        ("dsh/db", "x"),
        ("dsh/all", "x"),
    ];
    let mut site = site(&files, &[("some", "@web!w1,@inventory:db")]);
    let path = site.folder.path().join("inv.ini");
    site.groups.add_inventory(&path, Limits::default()).unwrap();
    assert_eq!(site.groups.sources().unwrap(), ["inventory", "mrsh", "dsh"]);
    assert_eq!(site.hosts("@inventory:db,@dsh:db"), "d1,x");
    assert_eq!(
        site.try_hosts("@db").unwrap_err(),
        "the group \"db\" is defined by several sources: inventory, dsh"
    );
    let mut builder = TargetListBuilder::with_groups(Limits::default(), &site.groups);
    builder.add_expr("@*", Origin::named("-w")).unwrap();
    builder.exclude_expr("w1", Origin::named("-x")).unwrap();
    let list = builder.build().unwrap();
    let shown: Vec<String> = list
        .iter()
        .map(|t| format!("{} {} {:?}", t.label, t.host, t.user))
        .collect();
    assert_eq!(shown, ["w2 192.0.2.1 Some(\"op\")", "d1 d1 None"]);
    let error = site.groups.lookup(None, "wbe").unwrap_err();
    assert_eq!(group_help(&error).unwrap(), "did you mean web?");
    site.groups.set_default("inventory").unwrap();
    assert_eq!(site.hosts("@db"), "d1");
}

#[test]
fn hosts_fold_into_groups() {
    let own = [
        ("all", "n[1-9]"),
        ("low", "n[1-4]"),
        ("odd", "n[1,3,5]"),
        ("r1", "n[6-7]"),
        ("r2", "n[8-9]"),
        ("empty", ""),
    ];
    let site = site(&[], &own);
    let regrouped = |hosts: &str| {
        let set = HostResolver::new(1000, &NoLookup, &NoLookup)
            .hosts(hosts)
            .unwrap()
            .to_set();
        regroup(&set, &site.groups, 1000).unwrap()
    };
    assert_eq!(regrouped("n[1-9]"), "@all");
    assert_eq!(regrouped("n[1-8]"), "@low,@r1,n[5,8]");
    assert_eq!(regrouped("n[1-4,6-9],x"), "@low,@r[1-2],x");
    assert_eq!(regrouped("n[1,3,5]"), "@odd");
    assert_eq!(regrouped("n1"), "n1");
}

#[test]
fn a_group_that_several_sources_have_is_shown_with_its_source() {
    let files = [("dsh/web", "n[1-2]\n"), ("genders", "n[3-5] web\n")];
    let site = site(&files, &[("n", "n9")]);
    let regrouped = |hosts: &str| {
        let hosts = HostResolver::new(1000, &NoLookup, &NoLookup).hosts(hosts);
        regroup(&hosts.unwrap().to_set(), &site.groups, 1000).unwrap()
    };
    assert_eq!(regrouped("n[1-2,9]"), "@dsh:web,@n");
    assert_eq!(regrouped("n[3-5]"), "@genders:web");
}

#[test]
fn a_source_without_a_list_of_groups_still_answers_reverse() {
    // As with `nodeset -r`, the groups are those of the command `reverse`; else hosts stay names.
    for (commands, expected) in [
        ("map: echo n1\n", "n[1-2]"),
        (
            "map: echo n1\nreverse: [ $NODE = n1 ] && echo g; true\n",
            "@g,n2",
        ),
    ] {
        let site = site(&[("etc/groups.conf", &format!("[a]\n{commands}"))], &[]);
        let set = HostResolver::new(1000, &NoLookup, &NoLookup).hosts("n[1-2]");
        let set = set.unwrap().to_set();
        assert_eq!(regroup(&set, &site.groups, 1000).unwrap(), expected);
        assert_eq!(site.hosts("@a:g"), "n1");
    }
}

#[test]
fn masks_in_the_list_of_all_hosts_are_a_cycle() {
    for all in ["n*", "@*", "x,@all,n?"] {
        let error = site(&[], &[("all", all)]).try_hosts("@*").unwrap_err();
        assert!(
            error.starts_with("these groups name each other: @"),
            "{error}"
        );
    }
    let conf = "[a]\nmap: echo n1\nall: echo 'foo*'\nlist: echo g\n";
    let site = site(&[("etc/groups.conf", conf)], &[]);
    for text in ["@*", "n*", "@a:*", "@a:g&n*"] {
        let error = site.try_hosts(text).unwrap_err();
        assert!(error.contains("name each other: @"), "{text}: {error}");
    }
}

#[test]
fn the_usual_places_come_from_the_environment() {
    let places = Places::new(|name| match name {
        "HOME" => Some("/h".into()),
        "CLUSTERSHELL_CFGDIR" => Some("/c".into()),
        "PDSH_GENDERS_FILE" => Some("g".into()),
        _ => None,
    });
    let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
    assert_eq!(
        places.clustershell,
        paths(&[
            "/etc/clustershell",
            "/h/.local/etc/clustershell",
            "/h/.config/clustershell",
            "/c"
        ])
    );
    assert_eq!(
        places.dsh_groups,
        paths(&["/h/.dsh/group", "/etc/dsh/group"])
    );
    assert_eq!(places.genders, Some("/etc/g".into()));
    for (file, expected) in [
        ("./x", "./x"),
        ("../x", "../x"),
        ("/y", "/y"),
        ("x/y", "/d/x/y"),
    ] {
        let places = Places::new(|name| match name {
            "HOME" => Some("/h".into()),
            "DSHGROUP_PATH" => Some("/a:/b".into()),
            "PDSH_GENDERS_DIR" => Some("/d".into()),
            "PDSH_GENDERS_FILE" => Some(file.into()),
            _ => None,
        });
        assert_eq!(places.genders, Some(expected.into()));
        assert_eq!(places.dsh_groups, paths(&["/h/.dsh/group", "/a", "/b"]));
    }
}
