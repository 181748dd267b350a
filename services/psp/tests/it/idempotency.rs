use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::json;
use tokio::task::JoinSet;

use crate::client::{INTENTS, Provider, intent};

#[tokio::test]
async fn the_saved_answer_is_given_again_also_after_a_restart() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let provider = Provider::start_in(folder.path()).await?;
    let client = &provider.client;
    let visa = client.post(INTENTS, Some("authorize"), &intent("pm_card_visa", "order-1")).await?;
    let declined = client.post(INTENTS, Some("declined"), &intent("pm_card_declined", "order-2")).await?;
    let id = visa.id()?;
    let captured = client.capture(&id, "capture").await?;
    let refunded = client.refund(&id, Some(200), "refund").await?;
    provider.stop().await?;

    let provider = Provider::start_in(folder.path()).await?;
    let client = &provider.client;
    let again = [
        client.post(INTENTS, Some("authorize"), &intent("pm_card_visa", "order-1")).await?,
        client.post(INTENTS, Some("declined"), &intent("pm_card_declined", "order-2")).await?,
        client.capture(&id, "capture").await?,
        client.refund(&id, Some(200), "refund").await?,
    ];
    for (first, again) in [visa, declined, captured, refunded].into_iter().zip(again) {
        assert_eq!((first.status, first.body), (again.status, again.body));
        assert_eq!((first.replayed, again.replayed), (false, true));
    }
    assert_eq!(client.books().await?, (4200, 200, 0, 0));
    assert_eq!(client.intents_of("order-1").await?.len(), 1);
    provider.stop().await
}

#[tokio::test]
async fn a_key_belongs_to_one_request() -> Result<()> {
    let client = Provider::start().await?.client;
    let id = client.authorize("pm_card_visa", "k").await?;
    let mut other_body = intent("pm_card_visa", "order-1");
    other_body["amount"] = json!(4201);
    let refused = (400, "idempotency_error", "", "");
    assert_eq!(client.post(INTENTS, Some("k"), &other_body).await?.error(), refused);
    assert_eq!(client.capture(&id, "k").await?.error(), refused);
    assert_eq!(client.books().await?, (0, 0, 1, 4200));
    Ok(())
}

#[tokio::test]
async fn an_invalid_request_does_not_use_up_its_key() -> Result<()> {
    let client = Provider::start().await?.client;
    let invalid = client.post(INTENTS, Some("k"), &json!({})).await?;
    assert_eq!(invalid.error(), (400, "invalid_request_error", "parameter_missing", "amount"));
    client.authorize("pm_card_visa", "k").await?;
    Ok(())
}

#[tokio::test]
async fn without_a_key_every_request_is_a_new_one() -> Result<()> {
    let client = Provider::start().await?.client;
    for _ in 0..2 {
        client.post(INTENTS, None, &intent("pm_card_visa", "order-1")).await?;
    }
    assert_eq!(client.intents_of("order-1").await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn however_many_send_it_at_once_it_is_done_once() -> Result<()> {
    let client = Provider::start().await?.client;
    let mut requests = JoinSet::new();
    for _ in 0..20 {
        let client = client.clone();
        requests.spawn(async move { client.post(INTENTS, Some("k"), &intent("pm_card_visa", "order-1")).await });
    }
    let mut statuses = BTreeSet::new();
    while let Some(answer) = requests.join_next().await {
        statuses.insert(answer??.status);
    }
    assert!(statuses.contains(&200) && statuses.is_subset(&BTreeSet::from([200, 409])), "{statuses:?}");
    assert_eq!(client.intents_of("order-1").await?.len(), 1);
    Ok(())
}
