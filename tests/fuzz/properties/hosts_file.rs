// Included by the fuzz target and by the unit test that replays its corpus. Expects `Limits` and
// `TargetListBuilder` in scope.

/// Checks the properties of a hosts file with any bytes.
fn check(bytes: &[u8]) {
    // An `#include` would read a file of this machine.
    if bytes.windows(8).any(|window| window == b"#include") {
        return;
    }
    let mut builder = TargetListBuilder::new(Limits {
        max_targets: 2000,
        ..Limits::default()
    });
    if let Err(error) = builder.add_reader("hosts", bytes) {
        assert!(!error.to_string().is_empty());
        return;
    }
    if let Ok(list) = builder.build() {
        for target in list.iter() {
            assert!(!target.host.is_empty() && !target.host.starts_with('-'));
            assert!(!target.label.chars().any(char::is_control));
        }
    }
}
