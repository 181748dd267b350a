//! `resolve`: deciding about a whole saga.

use pavane_bus::topology::AUDIT;
use serde_json::json;

use crate::{
    command::pavane,
    stage::{COMPENSATED, CONFIRMED, STUCK, Stage},
};

const BECAUSE: [&str; 2] = ["--reason", "refunded by hand"];

async fn decisions(stage: &Stage) -> u64 {
    stage.bus.stream_report(AUDIT).await.unwrap().map_or(0, |report| report.messages)
}

#[tokio::test]
async fn a_saga_that_needs_review_is_resolved_and_who_did_it_is_kept() {
    let stage = Stage::open().await;
    stage.order_until(COMPENSATED, "order.cancelled").await;
    stage.settled().await;
    stage.give_up(("payment", "void-payment"), "order.cancelled", COMPENSATED, "the provider is gone").await;
    let url = stage.url();
    let resolve = |more: &'static [&'static str]| [&["resolve", COMPENSATED], &BECAUSE[..], more].concat();
    let dry = pavane(&url, &resolve(&["--dry-run"])).await;
    let expected = format!("order {COMPENSATED}: was needs-review, would be resolved\n");
    assert_eq!((dry.code, dry.out, decisions(&stage).await), (0, expected, 0));
    assert_eq!(pavane(&url, &["stuck"]).await.code, 1);

    let resolved = pavane(&url, &resolve(&["--by", "Ada", "--json"])).await.json();
    assert_eq!((&resolved["saga"]["state"], &resolved["decision"]["by"]), (&"needs-review".into(), &"Ada".into()));
    assert_eq!(decisions(&stage).await, 1);
    let traced = pavane(&url, &["trace", COMPENSATED, "--json"]).await;
    assert_eq!(traced.code, 0);
    let traced = &traced.json()[0];
    assert_eq!(traced["summary"]["state"], "resolved");
    let decision = &traced["decisions"][0];
    assert_eq!(
        (&decision["action"], &decision["by"], &decision["reason"]),
        (&"resolve".into(), &"Ada".into(), &BECAUSE[1].into())
    );
    assert_eq!(pavane(&url, &["stuck", "--json"]).await.json()["sagas"], json!([]));
    let again = pavane(&url, &resolve(&[])).await;
    assert_eq!((again.code, decisions(&stage).await), (2, 1));
    assert!(again.err.contains("resolved already"), "{again:?}");
}

#[tokio::test]
async fn what_needs_no_decision_is_not_resolved() {
    let stage = Stage::recorded().await;
    let url = stage.url();
    for (saga, because, why) in [
        (CONFIRMED, &BECAUSE[..], "this saga is completed"),
        (COMPENSATED, &BECAUSE[..], "this saga is compensated"),
        ("no-such-order", &BECAUSE[..], "no-such-order"),
        (STUCK, &["--reason", " "], "a decision needs a name and a reason"),
        (STUCK, &[], "--reason"),
    ] {
        let ran = pavane(&url, &[&["resolve", saga], because].concat()).await;
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{saga}");
        assert!(ran.err.contains(why), "{ran:?}");
    }
    assert_eq!(decisions(&stage).await, 0);
    let resolved = pavane(&url, &[&["resolve", STUCK], &BECAUSE[..]].concat()).await;
    assert_eq!((resolved.code, resolved.out), (0, format!("order {STUCK}: was stuck, resolved\n")));
}
