use std::time::Duration;

use anyhow::Result;
use async_nats::ConnectOptions;
use async_nats::jetstream::{self, stream};
use pavane_testkit::{
    servers::{Nats, NatsOptions, Tools},
    until,
};

async fn stream_of_one(url: &str) -> Result<()> {
    let client = jetstream::new(async_nats::connect(url).await?);
    let config = stream::Config { name: "S".into(), subjects: vec!["s.>".into()], ..Default::default() };
    client.create_stream(config).await?;
    client.publish("s.1", "hello".into()).await?.await?;
    Ok(())
}

async fn messages(url: &str) -> Result<u64> {
    let client = jetstream::new(async_nats::connect(url).await?);
    Ok(client.get_stream("S").await?.cached_info().state.messages)
}

#[tokio::test]
async fn a_killed_server_comes_back_at_the_same_address_with_its_messages() -> Result<()> {
    let mut nats = Nats::start(&Tools::from_env()).await?;
    let url = nats.url();
    stream_of_one(&url).await?;
    nats.kill().await?;
    assert!(async_nats::connect(&url).await.is_err(), "nobody answers while it is down");
    nats.restart().await?;
    assert_eq!(nats.url(), url);
    assert_eq!(messages(&url).await?, 1);
    nats.stop().await?;
    nats.restart().await?;
    assert_eq!(messages(&url).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_store_of_the_tests_own_outlives_the_server() -> Result<()> {
    let store = tempfile::tempdir()?;
    let options = || NatsOptions { store_dir: Some(store.path().to_owned()), ..NatsOptions::default() };
    let first = Nats::start_with(&Tools::from_env(), options()).await?;
    stream_of_one(&first.url()).await?;
    drop(first);
    let second = Nats::start_with(&Tools::from_env(), options()).await?;
    assert_eq!(messages(&second.url()).await?, 1);
    Ok(())
}

#[tokio::test]
async fn more_configuration_is_taken() -> Result<()> {
    let config = r#"
        max_payload: 1024
        authorization { users: [ { user: "shop", password: "pw", permissions: { publish: ["allowed"] } } ] }
    "#;
    let options = NatsOptions { sync_interval: Some("always".into()), config: config.into(), ..NatsOptions::default() };
    let nats = Nats::start_with(&Tools::from_env(), options).await?;
    assert!(async_nats::connect(nats.url()).await.is_err(), "users are asked for");
    let as_shop = ConnectOptions::with_user_and_password("shop".into(), "pw".into());
    let client = as_shop.connect(nats.url()).await?;
    assert_eq!(client.server_info().max_payload, 1024);
    Ok(())
}

#[tokio::test]
async fn a_server_that_does_not_start_shows_what_it_said() -> Result<()> {
    let options = NatsOptions { config: "no_such_option: 7".into(), ..NatsOptions::default() };
    let error = Nats::start_with(&Tools::from_env(), options).await.unwrap_err().to_string();
    assert!(error.contains("nats-server") && error.contains("no_such_option"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_restart_waits_for_a_port_that_is_taken_for_a_moment() -> Result<()> {
    let mut nats = Nats::start(&Tools::from_env()).await?;
    nats.kill().await?;
    let squatter = std::net::TcpListener::bind(("127.0.0.1", nats.port()))?;
    let (restarted, ()) = tokio::join!(nats.restart(), async {
        // Long enough for several attempts to fail.
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(squatter);
    });
    restarted?;
    assert!(async_nats::connect(nats.url()).await.is_ok());
    Ok(())
}

#[tokio::test]
async fn a_server_that_goes_on_takes_another_configuration() {
    let config = |password: &str| format!("authorization {{ user: anna, password: {password} }}");
    let options = NatsOptions { config: config("old"), ..NatsOptions::default() };
    let mut nats = Nats::start_with(&Tools::from_env(), options).await.unwrap();
    let url = nats.url();
    let connect = async |password: &str| {
        ConnectOptions::with_user_and_password("anna".into(), password.into()).connect(&url).await
    };
    connect("old").await.unwrap();
    nats.reconfigure(config("new")).unwrap();
    until("a server that takes the new password", async || connect("new").await.ok()).await;
    connect("old").await.unwrap_err();
}
