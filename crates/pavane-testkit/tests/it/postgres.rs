use std::time::Duration;

use anyhow::Result;
use pavane_testkit::servers::{Postgres, PostgresOptions, Tools};
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

const A_WHILE: Duration = Duration::from_millis(100);
const SOON: Duration = Duration::from_secs(5);

async fn setting(url: &str, name: &'static str) -> Result<String> {
    let mut connection = PgConnection::connect(url).await?;
    let value = sqlx::query_scalar("select current_setting($1)").bind(name).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(value)
}

#[tokio::test]
async fn what_was_committed_survives_a_kill_and_a_stop() -> Result<()> {
    let mut server =
        Postgres::start_with(&Tools::from_env(), PostgresOptions { durable: true, ..PostgresOptions::default() })
            .await?;
    let url = server.create_database("odd \"name\"").await?;
    let url = url.replace("odd \"name\"", "odd%20%22name%22");
    assert_eq!(setting(&url, "fsync").await?, "on");
    let mut connection = PgConnection::connect(&url).await?;
    sqlx::raw_sql("create table kept (id int); insert into kept values (7)").execute(&mut connection).await?;
    server.kill().await?;
    assert!(PgConnection::connect(&url).await.is_err(), "nobody answers while it is down");
    server.restart().await?;
    server.stop().await?;
    server.restart().await?;
    let mut connection = PgConnection::connect(&url).await?;
    let id: i32 = sqlx::query_scalar("select id from kept").fetch_one(&mut connection).await?;
    assert_eq!(id, 7);
    Ok(())
}

// Two tests, so two runtimes, use the one server.
#[tokio::test]
async fn the_shared_server_gives_each_test_a_database_of_its_own() -> Result<()> {
    let server = Postgres::shared().await?;
    let (one, two) = tokio::try_join!(server.fresh_database(), server.fresh_database())?;
    assert_ne!(one, two);
    assert_eq!(setting(&one, "fsync").await?, "off");
    Ok(())
}

#[tokio::test]
async fn the_shared_server_outlives_the_test_that_started_it() -> Result<()> {
    let server = Postgres::shared().await?;
    server.create_database("taken").await?;
    let error = server.create_database("taken").await.unwrap_err().to_string();
    assert!(error.contains("already exists"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_paused_server_answers_nobody_until_it_is_resumed() -> Result<()> {
    let mut server = Postgres::start(&Tools::from_env()).await?;
    let url = server.url("postgres");
    let mut open = PgConnection::connect(&url).await?;
    server.pause().await?;
    server.pause().await?;
    let mut answer = Box::pin(sqlx::query_scalar("select 1").fetch_one(&mut open));
    assert!(timeout(A_WHILE, &mut answer).await.is_err(), "one that is connected");
    assert!(timeout(A_WHILE, PgConnection::connect(&url)).await.is_err(), "one that connects");
    server.resume();
    let answer: i32 = answer.await?;
    assert_eq!(answer, 1);
    PgConnection::connect(&url).await?;
    Ok(())
}

#[tokio::test]
async fn a_paused_server_can_be_killed_and_stopped_and_dropped() -> Result<()> {
    let mut server = Postgres::start(&Tools::from_env()).await?;
    let url = server.url("postgres");
    let mut open = PgConnection::connect(&url).await?;
    server.pause().await?;
    server.kill().await?;
    let asking = sqlx::query_scalar::<_, i32>("select 1").fetch_one(&mut open);
    assert!(timeout(SOON, asking).await?.is_err(), "its processes have ended, too");
    server.restart().await?;
    server.pause().await?;
    server.stop().await?;
    server.restart().await?;
    server.pause().await?;
    drop(server);
    assert!(PgConnection::connect(&url).await.is_err(), "it is gone");
    Ok(())
}
