//! What stands at the root of `pavane`, so that it doesn't grow by accident.

/// The last names of what a file exports, in order.
fn exported(code: &str) -> Vec<&str> {
    let exports = code.split("\npub use ").skip(1).map(|rest| rest.split_once(';').unwrap().0);
    let names = exports.flat_map(|export| export.rsplit_once('{').map_or(export, |(_, names)| names).split(','));
    let mut names: Vec<_> = names
        .map(|name| name.trim().trim_end_matches('}').trim())
        .filter(|name| !name.is_empty())
        .map(|name| name.rsplit([':', ' ']).next().unwrap())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[test]
fn the_root_has_what_needs_no_database_and_no_more() {
    let expected = [
        "All",
        "Bus",
        "Config",
        "Correlation",
        "Decision",
        "Declared",
        "Each",
        "EntryPoint",
        "Envelope",
        "Error",
        "Event",
        "Every",
        "Handled",
        "HandlerError",
        "IdempotencyKey",
        "Item",
        "Key",
        "OneOf",
        "OpenQuestion",
        "Saga",
        "SagaId",
        "Timestamp",
        "Tuning",
        "dedupe",
        "on",
        "on_effect",
        "shutdown_signal",
        "undo",
        "undo_effect",
    ];
    assert_eq!(exported(include_str!("../../src/lib.rs")), expected);
}
