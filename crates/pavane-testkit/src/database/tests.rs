use std::sync::Arc;

use super::{Databases, Place, Settings, TestDatabase};
use crate::VirtualClock;

const SET_UP: &str = "create table parent (id int primary key); insert into parent values (7); \
                      create table child (id int generated always as identity, parent int references parent, \
                                          twice int generated always as (parent * 2) stored, at timestamptz default now()); \
                      insert into child (parent) values (7); create sequence numbers";

async fn open(databases: &Databases) -> TestDatabase<sqlx::Postgres> {
    let clock = Arc::new(VirtualClock::new(0));
    let settings = Settings { service: "billing".to_owned(), clock, crash_points: None };
    let set_up = async |db: &super::Db<sqlx::Postgres>| sqlx::raw_sql(SET_UP).execute(db.writers()).await.map(drop);
    databases.open(&settings, set_up).await.unwrap()
}

/// The database's name, its rows, and the next number of each sequence.
async fn look(database: &TestDatabase<sqlx::Postgres>) -> (String, String) {
    let look = "select current_database()::text, (select json_agg(parent)::text from parent) \
                || (select json_agg(row(id, parent, twice, at)) from child) || nextval('numbers') || nextval('child_id_seq')";
    sqlx::query_as(look).fetch_one(database.db.writers()).await.unwrap()
}

#[tokio::test]
async fn a_database_serves_again_with_its_first_rows_unless_more_than_rows_was_changed() {
    let databases = Databases::new(Place::Postgres);
    let run = async |database: &TestDatabase<sqlx::Postgres>, sql: &'static str| {
        sqlx::raw_sql(sql).execute(database.db.writers()).await.unwrap();
    };
    let database = open(&databases).await;
    let (name, first) = look(&database).await;
    run(&database, "delete from child; update parent set id = 8; insert into parent values (9); insert into child (parent) values (9)")
        .await;
    databases.close(&database).await;
    let database = open(&databases).await;
    assert_eq!(look(&database).await, (name.clone(), first));
    // What is rolled back changes nothing.
    run(&database, "begin; create table more (id int); rollback").await;
    databases.close(&database).await;
    let database = open(&databases).await;
    assert_eq!(look(&database).await.0, name);
    run(&database, "create table more (id int)").await;
    databases.close(&database).await;
    let database = open(&databases).await;
    assert_ne!(look(&database).await.0, name);
    run(&database, "drop sequence numbers").await;
    let database = {
        databases.close(&database).await;
        open(&databases).await
    };
    look(&database).await;
}
