//! The SQL of the framework's tables, run by another tool.

use pavane_inbox::INBOX;
use pavane_outbox::{Config, Db, migration::OUTBOX};
use pavane_testkit::servers::Postgres;
use tempfile::TempDir;

use crate::command::pavane;

/// Nobody is there: the command has to do without.
const NO_NATS: &str = "nats://127.0.0.1:1";

/// How many migrations the framework ran itself: another tool takes no time, as it says.
async fn ran_here(db: &Db<sqlx::Any>) -> i64 {
    let count = "select (select count(*) from pavane_outbox_migrations where execution_time <> 0) \
                 + (select count(*) from pavane_inbox_migrations where execution_time <> 0)";
    sqlx::query_scalar(count).fetch_one(db.writers()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_with_the_printed_tables_has_nothing_left_to_do() {
    let folder = TempDir::new().unwrap();
    let sqlite = format!("sqlite:{}", folder.path().join("order.db").display());
    let postgres = Postgres::shared().await.unwrap().fresh_database().await.unwrap();
    for (url, arguments) in [(sqlite, vec!["migrations", "--sqlite"]), (postgres, vec!["migrations"])] {
        let printed = pavane(NO_NATS, &arguments).await;
        assert_eq!(printed.code, 0, "{printed:?}");
        let db: Db<sqlx::Any> = Db::open(Config::new("order", &url)).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(printed.out.clone())).execute(db.writers()).await.unwrap();
        db.migrate(&OUTBOX).await.unwrap();
        db.migrate(&INBOX).await.unwrap();
        assert_eq!(ran_here(&db).await, 0);
        let markers = printed.out.lines().filter(|line| line.starts_with("-- migration ")).count();
        assert_eq!(markers, OUTBOX.scripts.len() + INBOX.scripts.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_a_migration_is_printed_alone() {
    let url = Postgres::shared().await.unwrap().fresh_database().await.unwrap();
    let db: Db<sqlx::Any> = Db::open(Config::new("order", &url)).await.unwrap();
    let all = pavane(NO_NATS, &["--json", "migrations"]).await.json();
    let all = all["migrations"].as_array().unwrap();
    let name = |at: usize| all[at]["name"].as_str().unwrap().to_owned();
    // The first of the outbox's and all of the inbox's were run before, by an older version.
    let (first, last) = (name(0), name(all.len() - 1));
    assert!(first == "outbox-1" && last.starts_with("inbox-"), "{first} {last}");
    let before = all.iter().filter(|it| it["name"] == "outbox-1" || it["name"].as_str().unwrap().starts_with("inbox-"));
    let before: String = before.map(|it| it["sql"].as_str().unwrap()).collect();
    sqlx::raw_sql(sqlx::AssertSqlSafe(before)).execute(db.writers()).await.unwrap();
    let rest = pavane(NO_NATS, &["migrations", "--after", &first, "--after", &last]).await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(rest.out.clone())).execute(db.writers()).await.unwrap();
    db.migrate(&OUTBOX).await.unwrap();
    assert_eq!(ran_here(&db).await, 0);
    // What it says to run the next time leaves nothing.
    let next = rest.out.lines().find_map(|line| line.split_once("adds: pavane ")).unwrap().1.split(' ');
    let next = pavane(NO_NATS, &next.collect::<Vec<_>>()).await;
    assert!(next.code == 0 && next.out.contains("There is nothing new."), "{next:?}");
    let wrong = pavane(NO_NATS, &["migrations", "--after", "outbox-99"]).await;
    assert!(
        wrong.code == 2 && wrong.err.contains("there is no migration outbox-99 to come after: outbox-1"),
        "{wrong:?}"
    );
    let wrong = pavane(NO_NATS, &["migrations", "--after", "7"]).await;
    assert!(wrong.code == 2 && wrong.err.contains("outbox-1 for example"), "{wrong:?}");
}
