//! What an operator does to the streams by mistake.

use async_nats::{
    Error,
    jetstream::{self, stream::Stream},
};
use futures_util::TryStreamExt as _;
use pavane_testkit::until;

const STREAM: &str = "EVENTS";
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
    let servers: Vec<&str> = url.split(',').collect();
    let api = jetstream::new(async_nats::connect(servers).await?);
    let stream = api.get_stream(STREAM).await?;
    Ok((api, stream))
}

/// Tries until it works: the cluster may just be coming back.
async fn done(what: &str, mut attempt: impl AsyncFnMut() -> Result<(), Error>) {
    until(what, async || attempt().await.ok()).await;
}
