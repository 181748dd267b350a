use std::time::Duration;

use anyhow::{Context, Result};
use pavane_testkit::servers::{PostgresPair, Replication, Tools};
use sqlx::{Connection, PgConnection};
use tokio::sync::watch;
use tokio::time::timeout;

const A_WHILE: Duration = Duration::from_millis(200);
const SOON: Duration = Duration::from_secs(30);
/// What a server says to writes that is not the primary.
const READ_ONLY: &str = "25006";

/// A pair with a database that has a table.
async fn pair(replication: Replication) -> Result<(PostgresPair, String)> {
    let pair = PostgresPair::start(&Tools::from_env(), replication).await?;
    let url = pair.fresh_database().await?;
    let mut connection = PgConnection::connect(&url).await?;
    sqlx::query("create table kept (id int)").execute(&mut connection).await?;
    connection.close().await?;
    Ok((pair, url))
}

async fn insert(connection: &mut PgConnection, id: i32) -> Result<(), sqlx::Error> {
    sqlx::query("insert into kept values ($1)").bind(id).execute(connection).await.map(drop)
}

/// The SQLSTATE of what was refused.
fn code(result: Result<(), sqlx::Error>) -> Option<String> {
    Some(result.err()?.as_database_error()?.code()?.into_owned())
}

/// Writes one row after the other, until that fails, and says which was acknowledged last.
async fn write_on(url: String, from: i32, acknowledged: watch::Sender<i32>) -> Result<()> {
    let mut connection = PgConnection::connect(&url).await?;
    for id in from.. {
        if insert(&mut connection, id).await.is_err() {
            break;
        }
        acknowledged.send_replace(id);
    }
    Ok(())
}

#[tokio::test]
async fn what_a_synchronous_pair_acknowledged_survives_ten_failovers() -> Result<()> {
    let (mut pair, url) = pair(Replication::Synchronous).await?;
    let mut first = 0;
    for round in 0..10 {
        let (sender, mut acknowledged) = watch::channel(first - 1);
        let writer = tokio::spawn(write_on(url.clone(), first, sender));
        timeout(SOON, acknowledged.wait_for(|id| *id >= first + 20)).await??;
        pair.fail_over().await?;
        timeout(SOON, writer).await???;
        let last = *acknowledged.borrow();

        let mut connection = PgConnection::connect(&url).await?;
        let missing: Vec<i32> = sqlx::query_scalar("select generate_series(0, $1) except select id from kept")
            .bind(last)
            .fetch_all(&mut connection)
            .await?;
        assert_eq!(missing, Vec::<i32>::new(), "round {round}");
        // One more was perhaps committed, and not acknowledged.
        first = last + 2;
        timeout(SOON, sqlx::query("insert into kept select $1").bind(last + 1).execute(&mut connection))
            .await
            .context("nobody waits for a standby that isn't there")??;
        pair.rejoin().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_synchronous_commit_waits_for_the_standby() -> Result<()> {
    let (mut pair, url) = pair(Replication::Synchronous).await?;
    let mut connection = PgConnection::connect(&url).await?;
    pair.standby().context("a standby")?.pause().await?;
    let mut commit = Box::pin(insert(&mut connection, 1));
    assert!(timeout(A_WHILE, &mut commit).await.is_err(), "it stands still");
    pair.standby().context("a standby")?.resume();
    timeout(SOON, commit).await??;
    Ok(())
}

#[tokio::test]
async fn an_asynchronous_commit_does_not_wait_and_the_pair_fails_over() -> Result<()> {
    let (mut pair, url) = pair(Replication::Asynchronous).await?;
    let mut connection = PgConnection::connect(&url).await?;
    pair.standby().context("a standby")?.pause().await?;
    timeout(SOON, insert(&mut connection, 1)).await.context("it must not wait")??;
    pair.standby().context("a standby")?.resume();
    pair.fail_over().await?;
    // Whether the row is there is anybody's guess.
    let mut connection = PgConnection::connect(&url).await?;
    timeout(SOON, insert(&mut connection, 2)).await.context("nobody waits")??;
    let error = pair.fail_over().await.unwrap_err().to_string();
    assert!(error.contains("rejoin()"), "{error}");
    // Who breaks things may do so from a task of its own.
    let breaks = tokio::spawn(async move {
        pair.rejoin().await?;
        pair.hand_over().await?;
        pair.fail_over().await
    });
    breaks.await??;
    Ok(())
}

#[tokio::test]
async fn who_is_left_on_the_old_primary_can_only_read() -> Result<()> {
    for replication in [Replication::Synchronous, Replication::Asynchronous] {
        let (mut pair, url) = pair(replication).await?;
        let mut before = PgConnection::connect(&url).await?;
        insert(&mut before, 1).await?;
        pair.hand_over().await?;
        assert!(insert(&mut before, 2).await.is_err(), "the server stopped");
        let mut left = PgConnection::connect(&url).await?;
        assert_eq!(code(insert(&mut left, 2).await).as_deref(), Some(READ_ONLY));
        pair.lead_to_primary();
        assert_eq!(code(insert(&mut left, 2).await).as_deref(), Some(READ_ONLY));
        let mut new = PgConnection::connect(&url).await?;
        timeout(SOON, insert(&mut new, 2)).await??;
        pair.fail_over().await?;
        let mut new = PgConnection::connect(&url).await?;
        timeout(SOON, insert(&mut new, 3)).await.context("nobody waits for a standby that isn't there")??;
        let ids: Vec<i32> = sqlx::query_scalar("select id from kept order by id").fetch_all(&mut new).await?;
        assert!(replication == Replication::Asynchronous || ids == [1, 2, 3], "{ids:?}");
    }
    Ok(())
}
