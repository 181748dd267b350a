use anyhow::Result;
use serde_json::json;

use crate::client::Provider;

const UNEXPECTED_STATE: (u16, &str, &str, &str) = (400, "invalid_request_error", "payment_intent_unexpected_state", "");

#[tokio::test]
async fn a_second_capture_is_refused_and_takes_nothing() -> Result<()> {
    let client = Provider::start().await?.client;
    let id = client.authorize("pm_card_visa", "k").await?;
    assert_eq!(client.capture(&id, "c1").await?.status, 200);
    assert_eq!(client.capture(&id, "c2").await?.error(), UNEXPECTED_STATE);
    assert_eq!(client.books().await?, (4200, 0, 0, 0));
    Ok(())
}

#[tokio::test]
async fn a_captured_payment_cannot_be_cancelled_nor_a_cancelled_one_captured() -> Result<()> {
    let client = Provider::start().await?.client;
    let captured = client.authorize("pm_card_visa", "k1").await?;
    client.capture(&captured, "c1").await?;
    assert_eq!(client.cancel(&captured, "v1").await?.error(), UNEXPECTED_STATE);

    let cancelled = client.authorize("pm_card_visa", "k2").await?;
    assert_eq!(client.cancel(&cancelled, "v2").await?.status, 200);
    assert_eq!(client.capture(&cancelled, "c2").await?.error(), UNEXPECTED_STATE);
    assert_eq!(client.refund(&cancelled, None, "r2").await?.error(), UNEXPECTED_STATE);
    assert_eq!(client.books().await?, (4200, 0, 0, 0));
    Ok(())
}

#[tokio::test]
async fn refunds_stop_at_what_was_captured() -> Result<()> {
    let client = Provider::start().await?.client;
    let id = client.authorize("pm_card_visa", "k").await?;
    client.capture(&id, "c").await?;
    let refund = client.refund(&id, Some(1200), "r1").await?;
    assert_eq!(
        (refund.status, &refund.body["amount"], &refund.body["status"]),
        (200, &1200.into(), &"succeeded".into())
    );
    let too_large = client.refund(&id, Some(3001), "r2").await?;
    assert_eq!(too_large.error(), (400, "invalid_request_error", "amount_too_large", "amount"));
    let rest = client.refund(&id, None, "r3").await?;
    assert_eq!((rest.status, &rest.body["amount"]), (200, &3000.into()));
    let nothing_left = client.refund(&id, None, "r4").await?;
    assert_eq!(nothing_left.error(), (400, "invalid_request_error", "charge_already_refunded", ""));
    assert_eq!(client.books().await?, (4200, 4200, 0, 0));
    Ok(())
}

#[tokio::test]
async fn what_does_not_exist_is_named() -> Result<()> {
    let client = Provider::start().await?.client;
    let missing = |status, param| (status, "invalid_request_error", "resource_missing", param);
    assert_eq!(client.get("/v1/payment_intents/pi_none").await?.error(), missing(404, "intent"));
    assert_eq!(client.capture("pi_none", "c").await?.error(), missing(404, "intent"));
    assert_eq!(client.cancel("pi_none", "v").await?.error(), missing(404, "intent"));
    assert_eq!(client.refund("pi_none", None, "r").await?.error(), missing(400, "payment_intent"));
    assert_eq!(client.intents_of("order-none").await?, Vec::<serde_json::Value>::new());
    assert_eq!(client.get("/v1/balance").await?.body["currencies"], json!([]));
    Ok(())
}
