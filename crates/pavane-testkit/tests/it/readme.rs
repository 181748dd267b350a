//! The README's examples under the fault matrix.

#[path = "readme/inventory.rs"]
mod inventory;
#[path = "readme/loyalty.rs"]
mod loyalty;

/// The part of a text from where something begins to where something else does.
fn between<'t>(text: &'t str, begin: &str, end: &str) -> &'t str {
    let text = &text[text.find(begin).unwrap()..];
    text[..text.find(end).unwrap()].trim_end()
}

#[test]
fn the_readme_shows_what_is_run_here() {
    let readme = include_str!("../../../../README.md");
    let inventory = between(include_str!("readme/inventory.rs"), "use pavane::", "// What the README leaves out.");
    let add_points = between(include_str!("readme/loyalty.rs"), "async fn add_points", "#[tokio::test]");
    for code in [inventory, add_points, r#".react("add-points", on(add_points))"#] {
        assert!(readme.contains(code), "the README should show this:\n{code}");
    }
}
