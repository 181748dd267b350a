//! What an operator does to the streams, by mistake or not.

use std::time::Duration;

use async_nats::{
    Client, Error,
    jetstream::{self, stream::Stream},
};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use pavane_testkit::until;
use serde_json::{Value, json};
use tokio::time::timeout;

const STREAM: &str = "EVENTS";
const PIECE_WITHIN: Duration = Duration::from_mins(1);
const UNLIMITED: i64 = -1;

/// Deletes one of the consumers.
pub(super) async fn delete_consumer(url: &str, which: usize) {
    done("a consumer that can be deleted", async || {
        let (_, stream) = stream(url).await?;
        let mut names: Vec<String> = stream.consumer_names().try_collect().await?;
        names.sort();
        let name = names.get(which % names.len().max(1)).ok_or("there is no consumer")?;
        stream.delete_consumer(name).await?;
        Ok(())
    })
    .await;
}

/// Lets the stream have no more than it has.
pub(super) async fn fill(url: &str) {
    limit(url, |has| has.max(1)).await;
}

/// Lets the stream have as much as it likes.
pub(super) async fn give_room(url: &str) {
    limit(url, |_| UNLIMITED).await;
}

/// Deletes all consumers of a service.
pub(super) async fn delete_consumers_of(url: &str, service: &str) {
    done("consumers that can be deleted", async || {
        let (_, stream) = stream(url).await?;
        let names: Vec<String> = stream.consumer_names().try_collect().await?;
        for name in names.iter().filter(|name| name.starts_with(&format!("{service}_"))) {
            stream.delete_consumer(name).await?;
        }
        Ok(())
    })
    .await;
}

/// Deletes the stream of events, with its consumers.
pub(super) async fn delete_events(url: &str) {
    done("a stream that can be deleted", async || {
        let (api, _) = stream(url).await?;
        api.delete_stream(STREAM).await?;
        Ok(())
    })
    .await;
}

/// A stream as `nats stream backup` saves it: what the server says of it, and the pieces of an archive.
pub(super) struct Backup {
    stream: Value,
    pieces: Vec<Bytes>,
}

/// As `nats stream backup`, without consumers: their services make them again.
/// <https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-2.md>, "Snapshot".
pub(super) async fn back_up(url: &str) -> Backup {
    let client = connect(url).await.unwrap();
    let inbox = client.new_inbox();
    let mut arriving = client.subscribe(inbox.clone()).await.unwrap();
    let request = json!({ "deliver_subject": inbox, "no_consumers": true });
    let stream = ask(&client, &format!("$JS.API.STREAM.SNAPSHOT.{STREAM}"), request.to_string().into()).await;
    let mut pieces = Vec::new();
    while let Some(message) = timeout(PIECE_WITHIN, arriving.next()).await.expect("the next piece in time") {
        // The last one has no body, and a status: 204, or what went wrong.
        if message.payload.is_empty() {
            assert!(message.status.is_none_or(|status| status.is_success()), "{:?}", message.description);
            break;
        }
        pieces.push(message.payload);
        // After some of them the server waits until they have arrived.
        if let Some(reply) = message.reply {
            client.publish(reply, Bytes::new()).await.unwrap();
        }
    }
    Backup { stream, pieces }
}

/// As `nats stream restore`.
pub(super) async fn restore(url: &str, backup: &Backup) {
    let client = connect(url).await.unwrap();
    let request = json!({ "config": backup.stream["config"], "state": backup.stream["state"] });
    let answer = ask(&client, &format!("$JS.API.STREAM.RESTORE.{STREAM}"), request.to_string().into()).await;
    let subject = answer["deliver_subject"].as_str().expect("a place to send it to").to_owned();
    for piece in &backup.pieces {
        client.request(subject.clone(), piece.clone()).await.unwrap();
    }
    ask(&client, &subject, Bytes::new()).await;
}

async fn ask(client: &Client, subject: &str, body: Bytes) -> Value {
    let answer = client.request(subject.to_owned(), body).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
    assert!(answer["error"].is_null(), "{subject}: {answer}");
    answer
}

async fn limit(url: &str, to: impl Fn(i64) -> i64) {
    done("a stream that can be limited", async || {
        let (api, mut stream) = stream(url).await?;
        let info = stream.info().await?;
        let mut config = info.config.clone();
        config.max_messages = to(i64::try_from(info.state.messages)?);
        api.update_stream(&config).await?;
        Ok(())
    })
    .await;
}

async fn stream(url: &str) -> Result<(jetstream::Context, Stream), Error> {
    let api = jetstream::new(connect(url).await?);
    let stream = api.get_stream(STREAM).await?;
    Ok((api, stream))
}

async fn connect(url: &str) -> Result<Client, Error> {
    Ok(async_nats::connect(url.split(',').collect::<Vec<_>>()).await?)
}

/// Tries until it works: the cluster may just be coming back.
async fn done(what: &str, mut attempt: impl AsyncFnMut() -> Result<(), Error>) {
    until(what, async || attempt().await.ok()).await;
}
