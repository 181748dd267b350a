//! Following an order as it goes on.

use std::time::Duration;

use contracts::OrderId;
use order::Settings;
use pavane_testkit::{FreshDatabase, until};
use reqwest::Response;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use crate::{says::Says, world::World};

const LONG: Duration = Duration::from_mins(1);

/// A stream of server-sent events, read.
struct Stream {
    response: Response,
    text: String,
}

/// One of them.
#[derive(Debug)]
struct Sent {
    id: i64,
    data: Value,
}

impl Stream {
    async fn open(world: &World, id: OrderId, last: Option<&str>) -> Self {
        let mut request = world.client.get(format!("{}/orders/{id}/events", world.url));
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        Self { response: request.send().await.unwrap(), text: String::new() }
    }

    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Sent> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                let sent = field("id:").zip(field("data:"));
                let sent =
                    sent.map(|(id, data)| Sent { id: id.parse().unwrap(), data: serde_json::from_str(data).unwrap() });
                let read = self.text.len() - rest.len();
                self.text.drain(..read);
                if sent.is_some() {
                    return sent;
                }
                continue;
            }
            let chunk = timeout(LONG, self.response.chunk()).await.expect("something to come").unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn rest(mut self) -> Vec<i64> {
        let mut ids = Vec::new();
        while let Some(sent) = self.next().await {
            ids.push(sent.id);
        }
        ids
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_sees_what_happened_and_what_happens_until_the_end() {
    let world = World::start().await;
    let id = world.place().await;
    let mut stream = Stream::open(&world, id, None).await;
    let headers = stream.response.headers();
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(headers["cache-control"], "no-cache");
    let first = stream.next().await.unwrap();
    assert_eq!((first.id, &first.data["fact"]), (1, &"order.placed".into()));
    assert_eq!(first.data["status_text"], "Processing your payment");

    world.order.deliver(&Says(id).authorized());
    let second = stream.next().await.unwrap();
    assert_eq!((second.id, &second.data["status"]), (2, &"authorized".into()));

    world.order.deliver(&Says(id).captured());
    let third = stream.next().await.unwrap();
    assert_eq!((third.id, &third.data["fact"]), (3, &"payment.captured".into()));
    let last = stream.next().await.unwrap();
    assert_eq!((last.id, &last.data["status"]), (4, &"confirmed".into()));
    assert_eq!(last.data["text"], "Your order is confirmed");
    assert!(stream.next().await.is_none(), "nothing more is expected");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_back_gets_the_rest_and_then_is_told_to_stay_away() {
    for database in FreshDatabase::of_each_kind().await {
        let world = World::start_on(database).await;
        let id = world.place().await;
        world.order.deliver(&Says(id).authorized());
        world.until_status(id, "authorized").await;
        world.order.deliver(&Says(id).captured());
        world.until_status(id, "confirmed").await;
        assert_eq!(Stream::open(&world, id, Some("2")).await.rest().await, [3, 4]);
        // It ended, so it has settled: the same again, but at once.
        let started = Instant::now();
        assert_eq!(Stream::open(&world, id, None).await.rest().await, [1, 2, 3, 4]);
        assert_eq!(Stream::open(&world, id, Some("nonsense")).await.rest().await, [1, 2, 3, 4]);
        assert_eq!(Stream::open(&world, id, Some("4")).await.response.status(), 204);
        assert_eq!(Stream::open(&world, id, Some("99")).await.response.status(), 204);
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_not_at_its_end_is_followed_however_long_nothing_happens() {
    let world = World::start().await;
    let id = world.place().await;
    let age = "update order_history set recorded_at = recorded_at - 3600000000";
    sqlx::query(age).execute(world.db.writers()).await.unwrap();
    let mut stream = Stream::open(&world, id, Some("1")).await;
    assert_eq!(stream.response.status(), 200);
    world.order.deliver(&Says(id).authorized());
    assert_eq!(stream.next().await.unwrap().id, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_instance_handled_is_seen_too() {
    let here = World::start_on(FreshDatabase::postgres().await).await;
    let there = here.beside(Settings::default()).await;
    let id = here.place().await;
    let mut stream = Stream::open(&there, id, None).await;
    assert_eq!(stream.next().await.unwrap().id, 1);
    // Cancelled here: nothing in the other process knows of it.
    assert_eq!(here.cancel(id).await.status, 202);
    let cancelled = stream.next().await.unwrap();
    assert_eq!(cancelled.data["fact"], "order.cancelled");
    assert!(stream.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_only_so_many_streams_at_once() {
    let mut settings = Settings::default();
    settings.streams_max = 2;
    let world = World::start_with(FreshDatabase::sqlite(), settings).await;
    let id = world.place().await;
    let first = Stream::open(&world, id, None).await;
    let second = Stream::open(&world, id, None).await;
    assert_eq!((first.response.status(), second.response.status()), (200.try_into().unwrap(), 200.try_into().unwrap()));
    let refused = world.get(&format!("/orders/{id}/events")).await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.fields(), [""; 0]);
    drop(first);
    until("room for another", async || {
        let status = Stream::open(&world, id, None).await.response.status();
        (status == 200).then_some(())
    })
    .await;
}
