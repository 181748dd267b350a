//! What the JSON API tells.

use std::time::Duration;

use monitor::Settings;
use pavane_testkit::until;
use reqwest::{StatusCode, header};
use tokio::time::Instant;

use crate::{shipping::ALLOWED, shop::Shop};

/// A watcher learns about a stuck saga within the time of `stuck_after` and this.
const NOTICE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_found_by_its_id_with_a_true_timeline() {
    let shop = Shop::open().await;
    let order = shop.order().await;
    let saga = shop.saga(&order, "completed").await;
    let report = &saga["report"];
    let told: Vec<_> =
        report["timeline"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    let expected = [
        "order.placed",
        "payment.authorized",
        "inventory.reserved",
        "shipping.created",
        "payment.captured",
        "order.confirmed",
    ];
    assert_eq!(told, expected);
    for (cause, event) in report["timeline"].as_array().unwrap().windows(2).map(|pair| (&pair[0], &pair[1])) {
        assert_eq!(event["caused_by"], cause["id"], "{event}");
    }
    until("everybody to have handled the end", async || {
        let outstanding = shop.get(&format!("/api/sagas/{order}")).await["report"]["outstanding"].clone();
        outstanding.as_array().unwrap().is_empty().then_some(())
    })
    .await;
    assert_eq!(report["deviations"].as_array().unwrap().len(), 0);
    let fates: Vec<_> =
        report["effects"].as_array().unwrap().iter().map(|effect| effect["fate"].as_str().unwrap()).collect();
    assert!(!fates.is_empty() && fates.iter().all(|fate| *fate == "kept"), "{fates:?}");

    let sequence = &report["timeline"][0]["sequence"];
    let event = shop.get(&format!("/api/events/{sequence}")).await;
    assert_eq!(event["body"]["order_id"], *order);

    for (query, expected) in [
        (format!("text={order}"), 1),
        (format!("text={}", &order[..13]), 1),
        ("state=completed&event=payment.captured&step=order.confirmed".to_owned(), 1),
        ("state=stuck".to_owned(), 0),
        ("service=shipping".to_owned(), 0),
        ("event=payment.declined".to_owned(), 0),
    ] {
        assert_eq!(shop.get(&format!("/api/sagas?{query}")).await["total"], expected, "{query}");
    }
    let overview = shop.get("/api/overview").await;
    assert_eq!(overview["states"]["completed"], 1);
    let flow = shop.get("/api/flow").await;
    let placed = flow["events"].as_array().unwrap().iter().find(|event| event["event"] == "order.placed").unwrap();
    assert_eq!(placed["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_found_or_read_is_a_problem() {
    let shop = Shop::open().await;
    for (path, expected) in [
        ("/api/sagas/nothing", StatusCode::NOT_FOUND),
        ("/api/sagas?state=lost", StatusCode::BAD_REQUEST),
        ("/api/events/1000000", StatusCode::NOT_FOUND),
        ("/api/events/first", StatusCode::BAD_REQUEST),
        ("/api/dead-letters/7", StatusCode::NOT_FOUND),
        ("/api/dead-letters?colour=blue", StatusCode::BAD_REQUEST),
        ("/api/redrives/1", StatusCode::NOT_FOUND),
        ("/assets/../Cargo.toml", StatusCode::NOT_FOUND),
    ] {
        let answer = shop.http.get(shop.url("monitor", path)).send().await.unwrap();
        assert_eq!(answer.status(), expected, "{path}");
        if path.starts_with("/api") {
            assert_eq!(answer.headers()[header::CONTENT_TYPE], web::PROBLEM_JSON, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_saga_is_named_with_service_and_event_and_clears() {
    let mut shop = Shop::open().await;
    shop.stop("shipping").await;
    let order = shop.order().await;
    let placed = Instant::now();
    let saga = shop.saga(&order, "stuck").await;
    assert!(placed.elapsed() >= ALLOWED, "too early: {:?}", placed.elapsed());
    assert!(placed.elapsed() < ALLOWED + NOTICE, "too late: {:?}", placed.elapsed());
    let wait = &saga["report"]["outstanding"][0];
    assert_eq!((&wait["service"], &wait["overdue"]), (&"shipping".into(), &true.into()));
    let sentence = wait["sentence"].as_str().unwrap();
    assert!(sentence.contains("shipping.created or shipping.rejected from shipping; stuck after 3 s"), "{sentence}");
    let stuck = shop.get("/api/stuck").await;
    assert_eq!((stuck.as_array().unwrap().len(), &stuck[0]["key"]), (1, &(*order).into()));
    let metric = r#"pavane_sagas_stuck{service="shipping",event="shipping.created|shipping.rejected"} 1"#;
    assert!(metrics(&shop).await.contains(metric), "{}", metrics(&shop).await);

    shop.start_shipping().await;
    shop.saga(&order, "completed").await;
    assert_eq!(shop.get("/api/stuck").await.as_array().unwrap().len(), 0);
    assert!(!metrics(&shop).await.contains("pavane_sagas_stuck{"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_have_the_names_that_alerts_and_dashboards_use() {
    let shop = Shop::open().await;
    let order = shop.order().await;
    shop.saga(&order, "completed").await;
    let metrics = metrics(&shop).await;
    for line in [
        r#"pavane_sagas{state="completed"} 1"#,
        r#"pavane_sagas{state="needs-review"} 0"#,
        r#"pavane_sagas_ended_total{state="completed"} 1"#,
        r#"pavane_saga_seconds_bucket{state="completed",le="+Inf"} 1"#,
        r#"pavane_saga_seconds_count{state="compensated"} 0"#,
        "# TYPE pavane_sagas_stuck gauge",
        r#"pavane_consumer_pending{service="inventory",reaction="reserve-stock"} 0"#,
        r#"pavane_dead_letters{service="shipping",reaction="create-shipment"} 0"#,
        "pavane_monitor_behind 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
    assert!(metrics.contains("pavane_monitor_events_total "));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_says_what_a_browser_must_not_do() {
    let shop = Shop::open().await;
    for path in ["/", "/sagas/1", "/assets/js/app.js", "/api/overview", "/nowhere", "/openapi.json"] {
        let answer = shop.http.get(shop.url("monitor", path)).send().await.unwrap();
        let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
    }
    let known = shop.http.get(shop.url("monitor", "/assets/js/app.js")).send().await.unwrap();
    let again = shop.http.get(shop.url("monitor", "/assets/js/app.js"));
    let again = again.header(header::IF_NONE_MATCH, &known.headers()[header::ETAG]).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_tells_where_each_parameter_is() {
    let shop = Shop::open().await;
    let description = shop.get("/openapi.json").await;
    for (path, item) in description["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap();
                let in_path = path.contains(&format!("{{{name}}}"));
                assert_eq!(parameter["in"] == "path", in_path, "{path}: {parameter}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_told_what_changes_and_what_it_missed() {
    let shop = Shop::open().await;
    let mut live = shop.http.get(shop.url("monitor", "/api/live")).send().await.unwrap();
    assert_eq!(live.headers()[header::CONTENT_TYPE], "text/event-stream");
    let order = shop.order().await;
    let mut read = String::new();
    while !read.contains(&order) {
        let chunk = tokio::time::timeout(Duration::from_secs(30), live.chunk()).await.expect("no beat names the order");
        read += std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap();
    }
    assert!(read.contains("event: beat"), "{read}");
    drop(live);

    shop.order().await;
    let stale = shop.http.get(shop.url("monitor", "/api/live")).header("last-event-id", "another-1");
    let first = stale.send().await.unwrap().chunk().await.unwrap().unwrap();
    assert!(std::str::from_utf8(&first).unwrap().contains(r#""more":true"#), "{first:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_that_starts_again_knows_what_it_knew_and_nobody_listening_keeps_it_from_stopping() {
    let mut shop = Shop::open().await;
    let order = shop.order().await;
    let before = shop.saga(&order, "completed").await;
    let mut live = shop.http.get(shop.url("monitor", "/api/live")).send().await.unwrap();
    live.chunk().await.unwrap().unwrap();
    let stopping = Instant::now();
    shop.stop("monitor").await;
    assert!(stopping.elapsed() < Duration::from_secs(3), "it took {:?}", stopping.elapsed());

    let meanwhile = shop.order().await;
    shop.start_monitor(Settings::default().opened()).await;
    shop.ready("monitor").await;
    let after = shop.saga(&order, "completed").await;
    assert_eq!(after["report"]["timeline"], before["report"]["timeline"]);
    shop.saga(&meanwhile, "completed").await;
}

async fn metrics(shop: &Shop) -> String {
    shop.http.get(shop.url("monitor", "/metrics")).send().await.unwrap().text().await.unwrap()
}
