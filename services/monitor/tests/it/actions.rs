//! What people do: redrive, discard, resolve.

use monitor::Settings;
use pavane_bus::topology::DEAD_LETTERS;
use pavane_testkit::until;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::shop::{Shop, TOKEN};

/// An order that waits for a shipment that was given up on; returns its id and the dead letter.
async fn given_up(shop: &Shop) -> (String, Value) {
    shop.strike(true);
    let order = shop.order().await;
    let letter = until("a dead letter", async || {
        let letters = shop.get("/api/dead-letters").await["letters"].clone();
        letters.as_array().unwrap().iter().find(|letter| letter["key"] == *order).cloned()
    })
    .await;
    shop.strike(false);
    (order, letter)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redriven_dead_letter_lets_the_saga_complete() {
    let shop = Shop::open().await;
    let (order, letter) = given_up(&shop).await;
    assert_eq!((&letter["service"], &letter["reaction"]), (&"shipping".into(), &"create-shipment".into()));
    assert!(letter["cause"].as_str().unwrap().contains("the carrier is on strike"), "{letter}");
    let groups = shop.get("/api/dead-letter-groups").await;
    let selection = json!({ "group": groups[0]["id"] });
    let look = json!({ "selection": selection });
    let (status, looked) = shop.act("/api/redrives/preflight", &look, None).await;
    assert_eq!((status, &looked["go"]), (StatusCode::OK, &json!([letter["sequence"]])), "{looked}");

    let redrive = json!({ "selection": selection, "reason": "the strike is over" });
    for token in [None, Some("another-token-of-that-length")] {
        let (status, problem) = shop.act("/api/redrives", &redrive, token).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{problem}");
    }
    let nobody = json!({ "selection": selection, "reason": " " });
    let (status, problem) = shop.act("/api/redrives", &nobody, Some(TOKEN)).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &"reason".into()));
    let (status, problem) = shop.act("/api/redrives", &json!({ "selection": {}, "reason": "y" }), Some(TOKEN)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
    assert_eq!(shop.get("/api/redrives").await, json!([]), "nothing was started");

    let mut dry = redrive.clone();
    dry["dry_run"] = true.into();
    let (status, _) = shop.act("/api/redrives", &dry, Some(TOKEN)).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    ended(&shop, 1).await;
    assert_eq!(shop.get("/api/dead-letters").await["total"], 1, "a dry run leaves it");

    let (status, started) = shop.act("/api/redrives", &redrive, Some(TOKEN)).await;
    assert_eq!((status, &started["id"]), (StatusCode::ACCEPTED, &2.into()), "{started}");
    let progress = ended(&shop, 2).await;
    assert_eq!((&progress["redriven"], &progress["failed"]), (&1.into(), &0.into()), "{progress}");
    shop.saga(&order, "completed").await;
    // Decisions are in a stream of their own, which may be read a moment later.
    let decision = until("the decision to be told", async || {
        shop.get(&format!("/api/sagas/{order}")).await["report"]["decisions"].get(0).cloned()
    })
    .await;
    assert_eq!((&decision["action"], &decision["by"]), (&"redrive".into(), &"Thoinot".into()));
    assert_eq!(decision["reason"], "the strike is over");
    assert_eq!(shop.get("/api/dead-letters").await["total"], 0);
    let again = json!({ "selection": { "sequences": [letter["sequence"]] } });
    let (status, _) = shop.act("/api/redrives/preflight", &again, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "it is decided about");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_is_cancelled_between_two_letters() {
    let shop = Shop::open().await;
    for _ in 0..3 {
        given_up(&shop).await;
    }
    let redrive = json!({
        "selection": { "service": "shipping" }, "reason": "the strike is over", "per_second": 1, "dry_run": true,
    });
    let (status, started) = shop.act("/api/redrives", &redrive, Some(TOKEN)).await;
    assert_eq!((status, &started["progress"]["total"]), (StatusCode::ACCEPTED, &3.into()), "{started}");
    for _ in 2..=4 {
        assert_eq!(shop.act("/api/redrives", &redrive, Some(TOKEN)).await.0, StatusCode::ACCEPTED);
    }
    let (status, problem) = shop.act("/api/redrives", &redrive, Some(TOKEN)).await;
    assert_eq!(status, StatusCode::CONFLICT, "four at once are enough: {problem}");
    let (status, _) = shop.act("/api/redrives/1/cancel", &json!({}), None).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, _) = shop.act("/api/redrives/1/cancel", &json!({}), Some(TOKEN)).await;
    assert_eq!(status, StatusCode::OK);
    let progress = ended(&shop, 1).await;
    assert_eq!(progress["cancelled"], true);
    assert!(progress["redriven"].as_u64().unwrap() < 3, "{progress}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_letter_is_gone_and_a_resolved_saga_is_settled() {
    let shop = Shop::open().await;
    let (order, letter) = given_up(&shop).await;
    let discard = json!({ "selection": { "sequences": [letter["sequence"]] }, "reason": "sent by hand" });
    let (status, _) = shop.act("/api/discards", &discard, None).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, told) = shop.act("/api/discards", &discard, Some(TOKEN)).await;
    assert_eq!((status, &told["discarded"], &told["failed"]), (StatusCode::OK, &1.into(), &0.into()), "{told}");
    until("the letter to be gone", async || (shop.get("/api/dead-letters").await["total"] == 0).then_some(())).await;

    let resolve = json!({ "reason": "settled by telephone" });
    let (status, _) = shop.act(&format!("/api/sagas/{order}/resolve"), &resolve, None).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, decision) = shop.act(&format!("/api/sagas/{order}/resolve"), &resolve, Some(TOKEN)).await;
    assert_eq!((status, &decision["action"]), (StatusCode::OK, &"resolve".into()));
    let saga = shop.saga(&order, "resolved").await;
    let actions: Vec<_> =
        saga["report"]["decisions"].as_array().unwrap().iter().map(|it| it["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["discard", "resolve"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_was_given_up_on_is_retried_under_its_own_name() {
    let shop = Shop::open().await;
    shop.keep_parcels(true);
    let order = shop.order_paid_with("pm_card_capture_fails").await;
    let saga = shop.saga(&order, "needs-review").await;
    assert_eq!(saga["report"]["outstanding"][0]["reaction"], "cancel-shipment");
    let retry = async |reason: &str, token| {
        let decided = json!({ "reason": reason });
        shop.act(&format!("/api/sagas/{order}/retry-undo"), &decided, token).await
    };
    assert_eq!(retry("the carrier yields", None).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(retry(" ", Some(TOKEN)).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(shop.get("/api/redrives").await, json!([]), "nothing was started");

    // It may fail again, and then needs review again.
    let (status, started) = retry("perhaps", Some(TOKEN)).await;
    assert_eq!((status, &started["progress"]["total"]), (StatusCode::ACCEPTED, &1.into()), "{started}");
    ended(&shop, 1).await;
    until("the second dead letter", async || {
        let letters = shop.get("/api/dead-letters?decided=true").await;
        (letters["total"] == 2).then_some(())
    })
    .await;
    shop.saga(&order, "needs-review").await;
    shop.keep_parcels(false);
    assert_eq!(retry("the carrier yields", Some(TOKEN)).await.0, StatusCode::ACCEPTED);
    assert_eq!(ended(&shop, 2).await["redriven"], 1);
    shop.saga(&order, "compensated").await;
    let decisions = until("both decisions to be told", async || {
        let decisions = shop.get(&format!("/api/sagas/{order}")).await["report"]["decisions"].clone();
        (decisions.as_array()?.len() == 2).then_some(decisions)
    });
    let decision = decisions.await[1].clone();
    assert_eq!((&decision["action"], &decision["reaction"]), (&"redrive".into(), &"cancel-shipment".into()));
    assert_eq!((&decision["by"], &decision["reason"]), (&"Thoinot".into(), &"the carrier yields".into()));
    let (status, problem) = retry("once more", Some(TOKEN)).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("no undo of this saga was given up on"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_retried_is_said_instead_of_tried() {
    let shop = Shop::open().await;
    shop.keep_parcels(true);
    let order = shop.order_paid_with("pm_card_capture_fails").await;
    let saga = shop.saga(&order, "needs-review").await;
    let letter = saga["report"]["outstanding"][0]["dead_letter"].as_u64().unwrap();
    shop.bus().await.delete_stored(DEAD_LETTERS, letter).await.unwrap();
    let decided = json!({ "reason": "the carrier yields" });
    let (status, problem) = shop.act(&format!("/api/sagas/{order}/retry-undo"), &decided, Some(TOKEN)).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("the dead letter is not there any more"), "{problem}");
    assert_eq!(shop.get("/api/redrives").await, json!([]), "nothing was started");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_people_who_may_act_the_monitor_only_shows() {
    let shop = Shop::watched_by(Settings::default().opened()).await;
    assert_eq!(shop.get("/api/access").await["access"], "read-only");
    let discard = json!({ "selection": { "service": "shipping" }, "reason": "because" });
    for (token, expected) in [(None, StatusCode::FORBIDDEN), (Some(TOKEN), StatusCode::UNAUTHORIZED)] {
        let (status, _) = shop.act("/api/discards", &discard, token).await;
        assert_eq!(status, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_is_exported_as_a_test_case() {
    let shop = Shop::open().await;
    let order = shop.order().await;
    shop.saga(&order, "completed").await;
    let export = async |service: &str| {
        let path = format!("/api/sagas/{order}/test-case?service={service}");
        shop.http.get(shop.url("monitor", &path)).send().await.unwrap()
    };
    let source = export("inventory").await.text().await.unwrap();
    assert!(source.contains(r#"const SAID: [&str; 1] = ["inventory.reserved"];"#), "{source}");
    assert!(source.contains(r#"("ce-type", "payment.authorized")"#) && !source.contains("Thoinot Arbeau"), "{source}");
    assert_eq!(export("psp").await.status(), StatusCode::NOT_FOUND);
}

/// How a redrive ended.
async fn ended(shop: &Shop, id: u64) -> Value {
    until("the redrive to end", async || {
        let progress = shop.get(&format!("/api/redrives/{id}")).await["progress"].clone();
        (progress["finished"] == true).then_some(progress)
    })
    .await
}
