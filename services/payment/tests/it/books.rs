//! The service's own rows say what the provider's books say.

use anyhow::Result;
use sqlx::Row as _;

use crate::{
    order::{Order, TOTAL},
    provider::INSTANT,
    world::World,
};

#[tokio::test]
async fn rows_and_provider_agree_to_the_cent() -> Result<()> {
    let world = World::start(INSTANT).await?;
    let [kept, refunded, voided, declined, open] = [(); 5].map(|()| Order::new());
    let visa = [&kept, &refunded, &open].map(|order| order.placed("pm_card_visa"));
    world.handle(visa).await;
    world.handle([voided.placed("pm_card_capture_fails"), declined.placed("pm_card_declined")]).await;
    world.handle([&kept, &refunded, &voided].map(Order::shipped)).await;
    world.handle([&refunded, &voided].map(Order::cancelled)).await;

    for (order, expected) in [
        (&kept, [TOTAL, TOTAL, 0, 0]),
        (&refunded, [TOTAL, TOTAL, TOTAL, 0]),
        (&voided, [TOTAL, 0, 0, TOTAL]),
        (&declined, [0, 0, 0, 0]),
        (&open, [TOTAL, 0, 0, 0]),
    ] {
        let sql = "select authorized, captured, refunded, voided from payment where order_id = $1";
        let row = sqlx::query(sql).bind(order.id.to_string()).fetch_one(world.payment.db().readers()).await?;
        assert_eq!([0, 1, 2, 3].map(|column| row.get::<i64, _>(column)), expected, "{:?}", world.said(order.saga));
    }
    assert_eq!(world.provider.books().await?, (2 * TOTAL, TOTAL, 1, TOTAL));

    // The constraint holds even against our own mistakes: what was captured can't be voided as well.
    let id = kept.id.to_string();
    let both = sqlx::query("update payment set voided = 1 where order_id = $1").bind(id);
    assert!(both.execute(world.payment.db().writers()).await.is_err());
    Ok(())
}
