use pavane::{Envelope, Event, Handled, SagaId, any::Service, any::Tx, on};
use pavane_contract::SystemClock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Instances;
use crate::FreshDatabase;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "order.confirmed", key = order)]
struct OrderConfirmed {
    order: String,
}

async fn greet((): &(), _: &mut Tx, _: &Envelope<OrderConfirmed>) -> Handled {
    Ok(())
}

#[tokio::test]
async fn what_is_still_to_do_is_named() {
    let service = || Service::new("post", ()).react("greet", on(greet)).react("write", on(greet));
    let mut post = Instances::none(&FreshDatabase::sqlite(), service).await;
    assert_eq!(post.still_to_do().await.unwrap(), [""; 0]);
    for order in ["7", "8"] {
        post.publish(SagaId::new(&SystemClock), &OrderConfirmed { order: order.to_owned() });
    }
    assert_eq!(post.still_to_do().await.unwrap(), ["events for greet: 2", "events for write: 2"]);
    let unsent = "insert into pavane_unsent (seq) values (7)";
    sqlx::query(unsent).execute(post.db().writers()).await.unwrap();
    let waiting = "insert into pavane_waiting (reaction, event_id, saga, step, subject, headers, body, sequence, since, next_at) \
                   values ('greet', 'a', 'b', 'c', 'd', '', '', 1, 1, 9000000000000000)";
    sqlx::query(waiting).execute(post.db().writers()).await.unwrap();
    let rest = post.still_to_do().await.unwrap();
    assert_eq!(rest[2..], ["undos that wait for their step: 1", "events that are not published: 1"]);
    sqlx::query("delete from pavane_unsent").execute(post.db().writers()).await.unwrap();
    sqlx::query("delete from pavane_waiting").execute(post.db().writers()).await.unwrap();
    post.start().await;
    post.settle().await;
    assert_eq!(post.still_to_do().await.unwrap(), [""; 0]);
    post.stop().await;
}
