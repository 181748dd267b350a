//! Tables in a schema of the user's choice: the connection's `search_path` decides.

use std::{sync::Arc, time::Duration};

use pavane::{
    Config, Correlation, Declared, Envelope, Handled,
    database::Config as DbConfig,
    on,
    postgres::{App, Db, Service, Tx},
};
use pavane_bus::Memory;
use pavane_contract::SystemClock;
use pavane_inbox::{forget, keep_partitions};
use pavane_testkit::servers::Postgres;
use sqlx::PgPool;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::stage::{Started, Stepped, until};

const START: pavane::EntryPoint = pavane::EntryPoint::new("start");

/// Two services, whose business tables are in a schema that neither keeps its own tables in.
const SCHEMAS: &str = "create schema pavane_stage; create schema pavane_till; create schema shop; \
                       create table shop.steps (key text not null); create table shop.receipts (key text not null)";

async fn step((): &(), tx: &mut Tx, started: &Envelope<Started>) -> Handled {
    let key = started.key.clone();
    sqlx::query("insert into steps (key) values ($1)").bind(&key).execute(tx.conn()).await?;
    tx.emit(&Stepped { key }).await?;
    Ok(())
}

async fn receive((): &(), tx: &mut Tx, stepped: &Envelope<Stepped>) -> Handled {
    sqlx::query("insert into receipts (key) values ($1)").bind(&stepped.key).execute(tx.conn()).await?;
    Ok(())
}

fn stage() -> Service<()> {
    Service::new("stage", ()).entry(&START, Declared::emits::<Started>).react("step", on(step).emits::<Stepped>())
}

fn till() -> Service<()> {
    Service::new("till", ()).react("receive", on(receive))
}

async fn fresh() -> String {
    Postgres::shared().await.unwrap().fresh_database().await.unwrap()
}

/// A database whose connections look for tables in these schemas, in this order.
async fn open(service: &str, url: &str, search_path: &str) -> Db {
    Db::open(DbConfig::new(service, format!("{url}?options=-csearch_path={search_path}"))).await.unwrap()
}

type Running = (oneshot::Sender<()>, JoinHandle<Result<(), pavane::Error>>);

fn run(app: App<(), Memory>) -> Running {
    let (stop, stopped) = oneshot::channel::<()>();
    (stop, tokio::spawn(app.run_until(async move { drop(stopped.await) })))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_services_live_in_two_schemas_of_one_database() {
    let url = fresh().await;
    let aside = PgPool::connect(&url).await.unwrap();
    sqlx::raw_sql(SCHEMAS).execute(&aside).await.unwrap();
    let bus = Memory::new(Arc::new(SystemClock));
    let stage_db = open("stage", &url, "pavane_stage,shop").await;
    let till_db = open("till", &url, "pavane_till,shop").await;
    let app = stage().connect_to(stage_db.clone(), bus.clone(), Config::new("")).await.unwrap();
    let (start, stage) = (app.entry(&START), run(app));
    let till = run(till().connect_to(till_db.clone(), bus, Config::new("")).await.unwrap());
    for key in ["one", "two"] {
        let mut tx = start.begin(Correlation::start()).await.unwrap();
        tx.emit(&Started { key: key.to_owned() }).await.unwrap();
        tx.commit().await.unwrap();
    }
    let count = async |sql: &'static str| sqlx::query_scalar::<_, i64>(sql).fetch_one(&aside).await.unwrap();
    until("the receipts", || async { (count("select count(*) from shop.receipts").await == 2).then_some(()) }).await;
    // Partitions of the inbox are made and dropped where it is.
    for db in [&stage_db, &till_db] {
        keep_partitions(db, Duration::ZERO).await.unwrap();
        forget(db, Duration::ZERO).await.unwrap();
    }
    assert_eq!(count("select count(*) from pavane_stage.pavane_outbox").await, 4, "each service's rows are its own");
    assert_eq!(count("select count(*) from pavane_till.pavane_outbox").await, 0);
    let tables = |schema: &'static str| {
        let tables = sqlx::query_scalar::<_, String>(
            "select relname::text from pg_class where relnamespace::regnamespace::text = $1 and relkind in ('r', 'p', 'v') \
             order by relname",
        );
        tables.bind(schema).fetch_all(&aside)
    };
    let own = tables("pavane_stage").await.unwrap();
    assert!(own.len() > 10 && own.iter().all(|name| name.starts_with("pavane_")), "{own:?}");
    assert_eq!(own, tables("pavane_till").await.unwrap());
    assert_eq!(tables("shop").await.unwrap(), ["receipts", "steps"]);
    assert!(tables("public").await.unwrap().is_empty());
    for (stop, service) in [stage, till] {
        drop(stop);
        service.await.unwrap().unwrap();
    }
}

async fn refusal(db: Db) -> String {
    let bus = Memory::new(Arc::new(SystemClock));
    stage().connect_to(db, bus, Config::new("")).await.unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_path_that_leads_to_the_tables_of_another_schema_is_refused() {
    let url = fresh().await;
    let aside = PgPool::connect(&url).await.unwrap();
    sqlx::raw_sql("create schema pavane_stage").execute(&aside).await.unwrap();
    till().migrate(&open("till", &url, "public").await).await.unwrap();
    let refused = refusal(open("stage", &url, "pavane_stage,public").await).await;
    let expected = "the database's search_path = pavane_stage,public can't be used: Pavane's tables are in the schema public, \
                    and new ones would be made in pavane_stage; if they are this service's, let it begin with public";
    assert!(refused.starts_with(expected), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_path_without_a_schema_is_refused() {
    let refused = refusal(open("stage", &fresh().await, "nowhere").await).await;
    let expected = "the database's search_path = nowhere can't be used: it names no schema that exists";
    assert!(refused.starts_with(expected), "{refused}");
}
