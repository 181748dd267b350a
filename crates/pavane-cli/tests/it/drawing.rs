//! `map`, `explain` and `verify`: what is declared.

use serde_json::json;

use crate::{
    command::{assert_said, pavane},
    stage::Stage,
};

#[tokio::test]
async fn the_map_is_drawn_in_each_form() {
    let stage = Stage::open().await;
    let url = stage.url();
    let text = pavane(&url, &["map"]).await;
    assert_eq!((text.code, text.err.as_str()), (0, ""));
    assert_said!(text.out);
    let mermaid = pavane(&url, &["map", "--format", "mermaid"]).await;
    assert!(mermaid.out.starts_with("flowchart") || mermaid.out.starts_with("graph"), "{mermaid:?}");
    assert!(mermaid.out.contains("payment.authorized"), "{mermaid:?}");
    let dot = pavane(&url, &["map", "--format", "dot"]).await;
    assert!(dot.out.starts_with("digraph") && dot.out.contains("payment.authorized"), "{dot:?}");
    let json = pavane(&url, &["map", "--json"]).await.json();
    assert_eq!(json["manifests"].as_array().unwrap().len(), 5);
    assert_eq!(json["sagas"][0]["name"], "order");
}

#[tokio::test]
async fn an_event_is_explained_by_either_name() {
    let stage = Stage::open().await;
    let url = stage.url();
    let step = pavane(&url, &["explain", "payment.authorized"]).await;
    assert_eq!(step.code, 0);
    assert_said!(step.out);
    assert_eq!(pavane(&url, &["explain", "PaymentAuthorized"]).await.out, step.out);
    assert_said!(pavane(&url, &["explain", "order.cancelled"]).await.out);
    let json = pavane(&url, &["explain", "inventory.reserved", "--json"]).await.json();
    assert_eq!(json[0]["undone_by"][0]["when"][0]["fails"], json!(["order"]));
    let unknown = pavane(&url, &["explain", "payment.authorised"]).await;
    assert_eq!((unknown.code, unknown.out.as_str()), (2, ""));
    assert!(unknown.err.contains("payment.authorized"), "{unknown:?}");
}

#[tokio::test]
async fn a_sound_choreography_is_verified() {
    let stage = Stage::open().await;
    let verified = pavane(&stage.url(), &["verify"]).await;
    assert_eq!(verified.code, 0);
    assert_said!(verified.out);
}

#[tokio::test]
async fn a_missing_undo_is_found_with_a_counterexample() {
    let mut stage = Stage::open().await;
    let inventory = &mut stage.declarations.get_mut("inventory").unwrap()["manifest"]["reactions"];
    inventory.as_array_mut().unwrap().retain(|reaction| reaction["name"] != "release-stock");
    stage.declare("inventory").await;
    let verified = pavane(&stage.url(), &["verify"]).await;
    assert_eq!(verified.code, 1);
    assert_said!(verified.out);
    let json = pavane(&stage.url(), &["verify", "--json"]).await.json();
    assert_eq!(json["violations"][0]["saga"], "order");
    assert!(json["violations"][0]["mermaid"].as_str().unwrap().starts_with("sequenceDiagram"), "{json}");
}
