//! The README's sixth service under the fault matrix.

use contracts::{Money, order::OrderConfirmed};
use pavane::{
    Envelope, Handled,
    any::{Service, Tx},
    on,
};
use pavane_testkit::fault_matrix;
use sqlx::{
    SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};

struct Loyalty;

async fn add_points(_: &Loyalty, tx: &mut Tx, order: &Envelope<OrderConfirmed>) -> Handled {
    let insert = sqlx::query("insert into points (order_id, email, points) values ($1, $2, $3)");
    let insert = insert.bind(order.order_id.to_string()).bind(order.email.clone()).bind(order.total.minor / 100);
    insert.execute(tx.conn()).await?;
    Ok(())
}

#[tokio::test]
async fn it_does_no_harm_whatever_fails() {
    let sql = include_str!("../../migrations/0001_points.sql");
    let tables = || Migration::new(1, "points".into(), MigrationType::Simple, sql.into_sql_str(), false);
    let total = Money { minor: 998, currency: "EUR".parse().unwrap() };
    let order_id = "0192f0c8-5b3e-7d3a-9a51-0c7e5a1b2c3d".parse().unwrap();
    fault_matrix(move || {
        let migrations = Migrator::with_migrations(vec![tables()]);
        Service::new("loyalty", Loyalty).migrations(migrations).react("add-points", on(add_points))
    })
    .event(&OrderConfirmed { order_id, email: "ada@example.com".into(), total })
    .assert()
    .await;
}

#[test]
fn the_readme_shows_what_is_run_here() {
    let file = include_str!("loyalty.rs");
    let (begin, end) = (file.find("async fn add_points").unwrap(), file.find("#[tokio::test]").unwrap());
    let readme = include_str!("../../../README.md");
    for code in [file[begin..end].trim_end(), r#".react("add-points", on(add_points))"#] {
        assert!(readme.contains(code), "the README should show this:\n{code}");
    }
}
