use anyhow::{Context, Result};
use async_nats::jetstream::{self, stream};
use pavane_testkit::{
    servers::{NatsCluster, Tools},
    until,
};

async fn cluster_with_a_stream() -> Result<NatsCluster> {
    let mut cluster = NatsCluster::start(&Tools::from_env()).await?;
    cluster.wait_until_formed().await?;
    let client = jetstream::new(async_nats::connect(cluster.servers()[0].url()).await?);
    // On a busy machine one may miss another one again.
    until("a stream", async || {
        let config = stream::Config { name: "S".into(), num_replicas: 3, ..Default::default() };
        client.get_or_create_stream(config).await.ok()
    })
    .await;
    Ok(cluster)
}

#[tokio::test]
async fn another_server_leads_after_the_leader_stepped_down() -> Result<()> {
    let cluster = cluster_with_a_stream().await?;
    let mut leader = cluster.leader_of("S").await?;
    for _ in 0..3 {
        let next = cluster.step_down("S").await?;
        assert_ne!(next, leader);
        assert_eq!(cluster.leader_of("S").await?, next);
        leader = next;
    }
    Ok(())
}

#[tokio::test]
async fn another_server_leads_after_the_leader_was_killed() -> Result<()> {
    let mut cluster = cluster_with_a_stream().await?;
    let leader = cluster.leader_of("S").await?;
    cluster.server_of(&leader).context("one of three")?.kill().await?;
    assert_ne!(cluster.leader_of("S").await?, leader);
    assert!(cluster.server_of("n3").is_none());
    Ok(())
}

#[tokio::test]
async fn a_server_whose_disk_is_empty_gets_all_from_the_others() -> Result<()> {
    let mut cluster = cluster_with_a_stream().await?;
    let client = jetstream::new(async_nats::connect(cluster.url().split(',').collect::<Vec<_>>()).await?);
    for _ in 0..100 {
        until("an ack", async || client.publish("S", "message".into()).await.ok()?.await.ok()).await;
    }
    let stored = client.get_stream("S").await?.cached_info().state.messages;
    let emptied = cluster.leader_of("S").await?;
    cluster.server_of(&emptied).context("one of three")?.restart_empty().await?;
    cluster.wait_until_replicated().await?;
    // Once it leads, what it has is what the stream has.
    while cluster.step_down("S").await? != emptied {}
    assert_eq!(client.get_stream("S").await?.cached_info().state.messages, stored);
    assert!(stored >= 100);
    Ok(())
}
