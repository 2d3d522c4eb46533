//! Reports as programs and scripts meet them: the built program against its embedded daemons.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::support::{Ended, Mrsh};

/// Runs a command on embedded daemons with these options.
fn demo(options: &[&str], hosts: &str, command: &str) -> Ended {
    let call = Mrsh::new().arg("--demo").args(options);
    call.args(&["-w", hosts, command]).run()
}

fn records(ended: &Ended) -> Vec<Value> {
    let text = str::from_utf8(&ended.stdout).expect("JSON is UTF-8");
    let parse = |line| serde_json::from_str(line).expect("a line is JSON");
    text.lines().map(parse).collect()
}

#[test]
fn json_is_as_the_schema_says() {
    let schema = include_str!("../../src/report/json/schema.json");
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    let command = r#"printf 'a\377\n'; echo "$MRSH_HOST ü" >&2; test $MRSH_HOST != n2"#;
    let ended = demo(&["--json"], "n[1-3]", command).status(1);
    let records = records(&ended);
    for record in &records {
        if let Err(error) = schema.validate(record) {
            panic!("{record}: {error}");
        }
    }
    let event = |name: &str| {
        let of = |record: &&Value| record["event"] == name;
        records.iter().filter(of).collect::<Vec<_>>()
    };
    assert_eq!(records[0]["event"], "run-start");
    assert_eq!(records[0]["targets"][1]["host"], "n2");
    let last = records.last().unwrap();
    assert_eq!(last["event"], "run-end");
    assert_eq!(
        (&last["succeeded"], &last["exit_failed"]),
        (&2.into(), &1.into())
    );
    assert_eq!(event("finished").len(), 3);
    for end in event("finished") {
        assert_eq!(end["success"], end["label"] != "n2");
        assert_eq!(end["closed_first"], "remote");
        assert_eq!(end["attempts"], 1);
        for phase in ["began", "resolve", "connect", "start", "run", "total"] {
            assert!(end["ms"][phase].is_number(), "{end}");
        }
    }
    for output in event("output") {
        match output["stream"].as_str().unwrap() {
            "stdout" => assert_eq!(
                BASE64_STANDARD
                    .decode(output["base64"].as_str().unwrap())
                    .unwrap(),
                b"a\xff\n"
            ),
            _ => assert_eq!(
                output["text"],
                format!("{} ü\n", output["label"].as_str().unwrap())
            ),
        }
    }
}
