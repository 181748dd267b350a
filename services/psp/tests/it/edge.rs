use anyhow::Result;
use serde_json::json;

use crate::client::{INTENTS, Provider, intent};

#[tokio::test]
async fn invalid_input_names_the_field() -> Result<()> {
    let client = Provider::start().await?.client;
    let mut zero = intent("pm_card_visa", "order-1");
    zero["amount"] = json!(0);
    let refused = client.post(INTENTS, Some("k"), &zero).await?;
    assert_eq!(refused.error(), (400, "invalid_request_error", "parameter_invalid", "amount"));
    let refused = client.post(INTENTS, Some("k"), &intent("pm_card_gold", "order-1")).await?;
    assert_eq!(refused.error(), (400, "invalid_request_error", "resource_missing", "payment_method"));
    let refused = client.post("/v1/refunds", Some("k"), &json!({ "amount": 1 })).await?;
    assert_eq!(refused.error(), (400, "invalid_request_error", "parameter_missing", "payment_intent"));
    let refused = client.post(INTENTS, Some(&"k".repeat(256)), &intent("pm_card_visa", "order-1")).await?;
    assert_eq!(refused.error(), (400, "invalid_request_error", "parameter_invalid", "Idempotency-Key"));
    let refused = client.get(INTENTS).await?;
    assert_eq!(refused.error(), (400, "invalid_request_error", "parameter_missing", "order_id"));
    let refused = client.get("/v1/charges").await?;
    assert_eq!(refused.error(), (404, "invalid_request_error", "", ""));
    let refused = client.get("/v1/refunds").await?;
    assert_eq!(refused.error(), (405, "invalid_request_error", "", ""));
    Ok(())
}

#[tokio::test]
async fn its_health_its_metrics_and_its_description_are_there() -> Result<()> {
    let client = Provider::start().await?.client;
    let id = client.authorize("pm_card_visa", "k").await?;
    client.authorize("pm_card_visa", "k").await?;
    client.capture(&id, "c").await?;
    let text = async |path: &str| {
        client.http.get(format!("{}{path}", client.url)).send().await?.error_for_status()?.text().await
    };

    assert_eq!(text("/healthz").await?, "ok");
    assert_eq!(client.get("/readyz").await?.body, json!({ "ready": true }));
    let metrics = text("/metrics").await?;
    for line in [
        r#"psp_answers_total{operation="create",status="200"} 2"#,
        r#"psp_answers_total{operation="capture",status="200"} 1"#,
        "psp_replayed_answers_total 1",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line} in\n{metrics}");
    }
    let description = client.get("/openapi.json").await?.body;
    for path in [INTENTS, "/v1/payment_intents/{intent}/capture", "/v1/refunds", "/v1/balance"] {
        assert!(description["paths"][path].is_object(), "{path}");
    }
    assert!(description["components"]["schemas"]["PaymentIntent"].is_object());
    Ok(())
}
