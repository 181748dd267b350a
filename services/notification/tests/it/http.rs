//! The whole service as it is deployed: over a real nats-server, on SQLite and on PostgreSQL, seen through HTTP.

use std::time::Duration;

use anyhow::{Context as _, Result};
use contracts::order::CancelReason;
use notification::Settings;
use pavane::Config;
use pavane_bus::{Bus as _, JetStream, jetstream};
use pavane_testkit::{
    FreshDatabase, Served, outgoing,
    servers::{Nats, Tools},
    until,
};
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::order::{EMAIL, Order};

/// The service in this process, and a client of it.
struct Running {
    served: Served,
    http: Client,
}

impl Running {
    async fn start(config: Config, folder: &TempDir) -> Self {
        let mut settings = Settings::default();
        settings.maildir = folder.path().join("maildir");
        let served =
            Served::start(|listener, shutdown| notification::run(config, settings, listener, Box::pin(shutdown))).await;
        Self { served, http: Client::new() }
    }

    async fn get(&self, path: &str) -> Result<(u16, String, Value)> {
        let response = self.http.get(self.served.url(path)).send().await?;
        let (status, kind) = (response.status().as_u16(), response.headers().get("content-type").cloned());
        let kind = kind.context("a content type")?.to_str()?.to_owned();
        let text = response.text().await?;
        Ok((status, kind, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    async fn mails_of(&self, order: &Order) -> Result<Value> {
        let (status, _, shown) = self.get(&format!("/notifications/{}", order.id)).await?;
        assert_eq!((status, &shown["order_id"]), (200, &json!(order.id)));
        Ok(shown["mails"].clone())
    }

    async fn stop(mut self) {
        // An idle connection would be waited for.
        drop(self.http);
        self.served.stop().await;
    }
}

async fn a_cancelled_order_is_told_and_shown(database: &FreshDatabase) -> Result<()> {
    let folder = TempDir::new()?;
    let nats = Nats::start(&Tools::from_env()).await?;
    let config = Config::new(nats.url()).database(database.url());
    let order = Order::new();
    let running = Running::start(config.clone(), &folder).await;
    assert_eq!(running.mails_of(&order).await?, json!([]));
    running.stop().await;

    // Published while the service is away.
    let bus = JetStream::connect(jetstream::Config::new(nats.url(), "order")).await?;
    let other = Order::new();
    let said = [other.confirmed(), order.cancelled(CancelReason::NoCarrier)];
    for receipt in bus.publish(said.iter().map(outgoing).collect()).await {
        receipt?;
    }
    let running = Running::start(config, &folder).await;
    let mails = until("both mails", async || {
        let (mails, others) = (running.mails_of(&order).await.ok()?, running.mails_of(&other).await.ok()?);
        (mails != json!([]) && others != json!([])).then_some(mails)
    })
    .await;
    assert_eq!(mails.as_array().map(Vec::len), Some(1));
    assert_eq!((&mails[0]["kind"], &mails[0]["to"]), (&json!("cancellation"), &json!(EMAIL)));
    assert!(mails[0]["sent_at"].is_string());
    assert_eq!(std::fs::read_dir(folder.path().join("maildir/new"))?.count(), 2);
    running.stop().await;
    Ok(())
}

#[tokio::test]
async fn on_sqlite() -> Result<()> {
    a_cancelled_order_is_told_and_shown(&FreshDatabase::sqlite()).await
}

#[tokio::test]
async fn on_postgres() -> Result<()> {
    a_cancelled_order_is_told_and_shown(&FreshDatabase::postgres().await).await
}

#[tokio::test]
async fn the_entry_answers_as_it_is_described() -> Result<()> {
    let nats = Nats::start(&Tools::from_env()).await?;
    let (folder, database) = (TempDir::new()?, FreshDatabase::sqlite());
    let running = Running::start(Config::new(nats.url()).database(database.url()), &folder).await;
    assert_eq!(running.get("/healthz").await?.0, 200);
    assert_eq!(running.get("/readyz").await?.2, json!({ "ready": true, "missing": [], "warnings": [] }));
    assert_eq!(running.get("/metrics").await?.0, 200);
    let (status, kind, problem) = running.get("/notifications/7").await?;
    assert_eq!(
        (status, kind.as_str(), &problem["errors"][0]["field"]),
        (400, "application/problem+json", &json!("order_id"))
    );
    let described = running.get("/openapi.json").await?.2;
    assert!(described["paths"]["/notifications/{order_id}"]["get"].is_object());
    running.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_service_that_cannot_start_says_why() -> Result<()> {
    for (change, expected) in [
        (
            (|settings| settings.smtp_url = Some("http://user:secret@mail".to_owned())) as fn(&mut Settings),
            "SMTP_URL can't be used: use smtp://host:port or smtps://user:password@host",
        ),
        (|settings| settings.mail_from = "nobody".to_owned(), "MAIL_FROM = \"nobody\" is not an e-mail address"),
        (
            |settings| settings.smtp_timeout = Duration::from_mins(1),
            "SMTP_TIMEOUT_MS = \"60000\" can't be used: use 1 to 50000",
        ),
        (|settings| settings.maildir = "/dev/null/maildir".into(), "MAILDIR = /dev/null/maildir can't be used"),
    ] {
        let mut settings = Settings::default();
        change(&mut settings);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let config = Config::new("nats://127.0.0.1:1").database("sqlite::memory:");
        let refused = notification::run(config, settings, listener, Box::pin(std::future::pending())).await;
        let line = format!("{:#}", refused.err().context("a refusal")?);
        assert!(line.starts_with(expected) && !line.contains("secret"), "{line}");
    }
    Ok(())
}
