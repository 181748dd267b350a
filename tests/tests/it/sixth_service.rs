//! A sixth service, as the README tells to write it.

use demo::{customer, scenario::Scenario};
use pavane::{any::Db, database::Config as DbConfig};
use pavane_testkit::servers::{Process, ProcessOptions};
use sqlx::Row as _;
use tempfile::TempDir;

use crate::house::{House, On, stocked, until};

#[test]
fn the_readme_shows_the_code_that_is_tested() {
    let readme = include_str!("../../../README.md");
    for file in [include_str!("../../examples/loyalty.rs"), include_str!("../../migrations/0001_points.sql")] {
        assert!(readme.contains(file), "the README should show this:\n{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_joins_late_hears_everything_once() {
    let house = House::start(On::Sqlite).await;
    stocked(&house.shop, 20).await;
    let place = |scenario, orders| customer::place_all(&house.shop, vec![scenario; orders], 4, || {});
    place(Scenario::Confirmed, 4).await.unwrap();
    let folder = TempDir::new().unwrap();
    let database = format!("sqlite:{}", folder.path().join("loyalty.db").display());
    let environment = vec![("NATS_URL".to_owned(), house.nats.url()), ("DATABASE_URL".to_owned(), database.clone())];
    let options = ProcessOptions { environment, arguments: Vec::new() };
    let mut loyalty = Process::start("examples/loyalty", options).await.unwrap();
    place(Scenario::Declined, 2).await.unwrap();
    place(Scenario::Confirmed, 2).await.unwrap();
    let db: Db = Db::open(DbConfig::new("test", database)).await.unwrap();
    let rows = || async {
        let rows = sqlx::query("select points from points order by points").fetch_all(db.readers()).await.unwrap();
        rows.iter().map(|row| row.get::<i64, _>(0)).collect::<Vec<_>>()
    };
    until("six customers to have their points", || async { (rows().await.len() == 6).then_some(()) }).await;
    loyalty.kill().await.unwrap();
    loyalty.restart().await.unwrap();
    place(Scenario::Confirmed, 1).await.unwrap();
    until("a seventh", || async { (rows().await.len() == 7).then_some(()) }).await;
    assert!(rows().await.iter().all(|points| *points > 0));
}
