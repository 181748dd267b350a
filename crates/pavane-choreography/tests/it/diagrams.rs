//! The shop, drawn.

use std::fmt::Write as _;

use pavane_choreography::Choreography;

use crate::shop;

#[test]
fn map() {
    insta::assert_snapshot!(shop::choreography().map());
}

#[test]
fn graph_for_mermaid() {
    insta::assert_snapshot!(shop::choreography().mermaid());
}

#[test]
fn graph_for_graphviz() {
    insta::assert_snapshot!(shop::choreography().dot());
}

#[test]
fn paths() {
    let mut text = String::new();
    for path in shop::choreography().paths(&shop::saga()) {
        writeln!(text, "# {}\n\n{}", path.title, path.sequence.text()).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_path_for_mermaid() {
    let paths = shop::choreography().paths(&shop::saga());
    insta::assert_snapshot!(paths[1].sequence.mermaid());
}

#[test]
fn the_counterexample_of_a_missing_refund() {
    let mut manifests = shop::manifests();
    manifests[1].reactions.retain(|reaction| reaction.name != "refund-payment");
    let violation = Choreography::of(manifests).explore(&shop::saga()).unwrap_err();
    insta::assert_snapshot!(violation);
}
