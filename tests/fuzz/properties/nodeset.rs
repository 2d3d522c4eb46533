// Included by the fuzz target and by the unit test that replays its corpus. Expects `HostList`,
// `NodeSet` and `fold` in scope.

/// Checks the properties of an expression with any text.
fn check(text: &str) {
    const LIMIT: usize = 2000;
    let labels: Vec<&str> = text.split(char::is_whitespace).collect();
    fold(labels);
    let list = match HostList::parse(text, LIMIT) {
        Ok(list) => list,
        Err(error) => {
            assert!(text.get(error.span.clone()).is_some(), "the span is in the text");
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let mut names = Vec::new();
    list.for_each(|host| {
        assert!(!host.name.is_empty() && host.name.len() <= 255);
        assert!(host.label.contains(host.name));
        names.push(host.name.to_owned());
    });
    let set: NodeSet = names.iter().map(String::as_str).collect();
    assert_eq!(set, list.to_set(), "walking and algebra agree");
    assert!(names.iter().all(|name| set.contains(name)));
    if list.is_plain() {
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(fold(all), set.to_string(), "labels and names fold alike");
    }
    if list.is_distinct() {
        assert_eq!(set.len() as usize, names.len(), "no name comes twice");
    }
    // Folded addresses with colons are no addresses any more.
    if !text.contains(':') {
        let folded = set.to_string();
        let again = HostList::parse(&folded, LIMIT).expect("what is folded can be read");
        assert_eq!(again.to_set(), set, "expanding undoes folding");
        assert_eq!(again.to_set().to_string(), folded, "folding twice changes nothing");
    }
}
