//! A service on real servers, and beside it programs that know nothing of Pavane: each pays an invoice in a transaction of its own,
//! and the event arrives over NATS.
#![cfg(test)]

use std::{path::Path, process::Command, time::Duration};

use pavane::{Config, Envelope, Event, Handled, Key, database::Config as DbConfig, on, postgres::{Db, Service, Tx}};
use sqlx::{SqlSafeStr as _, migrate::{Migration, MigrationType, Migrator}, query, query_scalar};
use pavane_testkit::servers::{Nats, Postgres, Tools};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{OnceCell, oneshot};

const PAY: pavane::EntryPoint = pavane::EntryPoint::new("pay");

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Paid {
    invoice: String,
}

impl Event for Paid {
    const NAME: &'static str = "billing.paid";
    const VERSION: u16 = 1;

    fn key(&self) -> Key {
        self.invoice.as_str().into()
    }
}

/// Books what arrives.
async fn book(_: &(), tx: &mut Tx, paid: &Envelope<Paid>) -> Handled {
    query("insert into booked (number) values ($1)").bind(&paid.invoice).execute(tx.conn()).await?;
    Ok(())
}

fn billing() -> Service<()> {
    let sql = "create table invoice (number text primary key); create table booked (number text primary key)";
    let tables = Migration::new(1, "tables".into(), MigrationType::Simple, sql.into_sql_str(), false);
    Service::new("billing", ())
        .migrations(Migrator::with_migrations(vec![tables]))
        .entry(&PAY, pavane::Declared::may_emit::<Paid>)
        .react("book", on(book))
}

/// Runs the service while a program pays, and waits until the event has arrived.
async fn pays(program: impl FnOnce(&str) -> Command, invoice: &str) {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let url = Postgres::shared().await.unwrap().fresh_database().await.unwrap();
    let app = billing().connect(Config::new(nats.url()).database(&url)).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(app.run_until(async move { drop(stopped.await) }));
    let mut program = program(&url);
    let output = program.arg(invoice).env("DATABASE_URL", &url).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let db = Db::open(DbConfig::new("billing", &url)).await.unwrap();
    let booked = "select count(*) from booked join invoice using (number)";
    while query_scalar::<_, i64>(booked).fetch_one(db.readers()).await.unwrap() < 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(stop);
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tokio_postgres_emits() {
    pays(|_| Command::new(env!("CARGO_BIN_EXE_tokio-postgres")), "a 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn diesel_emits() {
    pays(|_| Command::new(env!("CARGO_BIN_EXE_diesel-async")), "b.2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sea_orm_emits() {
    pays(|_| Command::new(env!("CARGO_BIN_EXE_sea-orm")), "ç3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn psycopg_emits() {
    static INSTALLED: OnceCell<tempfile::TempDir> = OnceCell::const_new();
    let packages = INSTALLED.get_or_init(async || {
        let folder = tempfile::TempDir::new().unwrap();
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--only-binary=:all:", "--target"]).arg(folder.path());
        let output = pip.arg("psycopg[binary]==3.2.13").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        folder
    });
    let packages = packages.await.path().to_owned();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("pay.py");
    let python = |_: &str| {
        let mut python = Command::new("python3");
        python.env("PYTHONPATH", packages).arg(script);
        python
    };
    pays(python, "d\"4").await;
}
