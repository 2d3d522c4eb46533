//! A script in the journal of a run.

use super::Scripts;
use crate::support::Mrsh;

#[test]
fn a_run_is_taken_up_only_with_the_same_script() {
    let scripts = Scripts::new();
    let content = "#!/bin/sh\necho \"$1 ran\"; exit 1\n";
    let script = scripts.add("x", content);
    let journal = scripts.path("journal");
    let call = Mrsh::new().args(&[
        "--demo",
        "-w",
        "h[1-3]",
        "-j",
        "1",
        "--fail-fast",
        "--journal",
    ]);
    let call = scripts.with(call.arg(&journal), &script);
    call.args(&["--", "a b"])
        .run()
        .status(4)
        .stdout("h1: a b ran\n");
    let text = std::fs::read_to_string(&journal).unwrap();
    assert!(
        text.contains("\"script\":{\"length\":32,\"sha256\":\""),
        "{text}"
    );
    let resume = || Mrsh::new().arg("--resume").arg(&journal);
    scripts.add("x", "#!/bin/sh\necho other\n");
    let ended = resume().run().status(2).stdout("");
    ended.says(&["cannot resume the run: the script has another content than at its start\n"]);
    scripts.add("x", content);
    resume().run().status(4).stdout("h2: a b ran\n");
    resume()
        .args(&["--script", "y"])
        .run()
        .status(2)
        .says(&["cannot use --script with --resume"]);
    scripts.nothing_left();
}
