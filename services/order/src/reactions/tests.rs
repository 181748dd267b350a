use futures_util::FutureExt as _;
use pavane_testkit::given;

use super::*;

/// What is announced before the commit is announced also when there is none.
#[tokio::test]
async fn a_change_is_announced_once_it_is_committed_and_not_when_it_fails() {
    let orders = Orders::default();
    let changes = orders.changes.clone();
    let mut stage = given(crate::service(orders)).await;
    let order_id = order_of(stage.saga());
    let insert = "insert into orders (id, email, currency, total_minor, lines, facts, status, version, placed_at, deadline_at) \
                  values ($1, 'ada@example.com', 'EUR', 998, '[]', 1, 'payment-pending', 1, 0, 0)";
    sqlx::query(insert).bind(order_id.to_string()).execute(stage.db().writers()).await.unwrap();
    // What the handler writes is refused at the commit.
    let refuse = "create table nobody (id integer primary key); \
                  create table refused (id integer references nobody (id) deferrable initially deferred); \
                  create trigger refuse after insert on order_history begin insert into refused values (1); end";
    sqlx::raw_sql(refuse).execute(stage.db().writers()).await.unwrap();

    let released = StockReleased { order_id };
    let mut next = Box::pin(changes.next(order_id));
    assert_eq!(next.as_mut().now_or_never(), None);
    stage.receive(&released).await;
    assert_eq!(stage.dead_letters().len(), 1, "no attempt could be committed");
    assert_eq!(next.as_mut().now_or_never(), None, "nothing has changed");

    sqlx::raw_sql("drop trigger refuse").execute(stage.db().writers()).await.unwrap();
    stage.receive(&released).await;
    assert_eq!(next.now_or_never(), Some(()));
}
