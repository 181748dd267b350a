//! Cancellations at every moment: before, while and after the money moves.

use std::time::Duration;

use anyhow::Result;
use pavane_testkit::{FreshDatabase, servers::Direction, until};
use psp::Faults;

use crate::{
    order::{Order, TOTAL},
    provider::{FOREVER, INSTANT},
    world::World,
};

#[tokio::test]
async fn a_cancellation_that_comes_first_bars_every_step() -> Result<()> {
    let world = World::start(INSTANT).await?;
    let order = Order::new();
    world.handle([order.cancelled()]).await;
    world.handle([order.placed("pm_card_visa"), order.shipped()]).await;
    assert_eq!(world.said(order.saga), Vec::<String>::new());
    assert_eq!(world.provider.intents_of(order.id).await?, [], "the provider was never asked");
    assert_eq!(world.dead_letters(), 0);
    Ok(())
}

#[tokio::test]
async fn a_cancellation_while_the_card_is_being_authorised_ends_voided() -> Result<()> {
    let world = World::start(Faults { slow: Duration::from_millis(500), hold: FOREVER }).await?;
    let order = Order::new();
    world.publish([order.placed("pm_card_slow")]);
    world.until_busy("authorize-payment").await;
    world.publish([order.cancelled()]);
    world.until_an_undo_waits().await;
    assert_eq!(world.said(order.saga), Vec::<String>::new(), "the void waits for the authorisation");
    world.payment.settle().await;
    assert_eq!(world.said(order.saga), ["authorized", "voided"]);
    assert_eq!(world.provider.books().await?, (0, 0, 0, 0));
    Ok(())
}

#[tokio::test]
async fn after_the_void_nothing_can_be_captured() -> Result<()> {
    let world = World::start(INSTANT).await?;
    let order = Order::new();
    world.handle([order.placed("pm_card_visa")]).await;
    world.handle([order.cancelled()]).await;
    world.handle([order.shipped()]).await;
    assert_eq!(world.said(order.saga), ["authorized", "voided"]);
    assert_eq!(world.provider.books().await?, (0, 0, 0, 0));
    Ok(())
}

#[tokio::test]
async fn a_capture_that_the_void_was_faster_than_fails() -> Result<()> {
    let world = World::start(INSTANT).await?;
    let order = Order::new();
    world.handle([order.placed("pm_card_visa")]).await;
    world.provider.cancel(order.id).await?;
    world.handle([order.shipped()]).await;
    assert_eq!(world.said(order.saga), ["authorized", "capture-failed"]);
    world.handle([order.cancelled()]).await;
    assert_eq!(world.said(order.saga), ["authorized", "capture-failed", "voided"]);
    assert_eq!((world.provider.books().await?, world.dead_letters()), ((0, 0, 0, 0), 0));
    Ok(())
}

/// The cancellation and the capture set out together, many times, so that each of them wins some.
async fn the_money_ends_right_whether_capture_or_cancellation_wins(world: World) -> Result<()> {
    const ORDERS: usize = 60;
    let orders: Vec<_> = (0..ORDERS).map(|_| Order::new()).collect();
    world.handle(orders.iter().map(|order| order.placed("pm_card_visa"))).await;
    world.handle(orders.iter().flat_map(|order| [order.shipped(), order.cancelled()])).await;

    let (captured, refunded, open, _) = world.provider.books().await?;
    assert_eq!((captured - refunded, open), (0, 0));
    let mut charged = 0;
    for order in &orders {
        let mut said = world.said(order.saga);
        // What a void and a capture say at the same time may be published in any order.
        said.sort();
        let said: Vec<_> = said.iter().map(String::as_str).collect();
        match said[..] {
            ["authorized", "captured", "refunded"] => charged += TOTAL,
            ["authorized", "voided"] | ["authorized", "capture-failed", "voided"] => {}
            _ => panic!("{said:?}"),
        }
    }
    assert_eq!(captured, charged);
    assert_eq!(world.dead_letters(), 0);
    Ok(())
}

#[tokio::test]
async fn the_money_ends_right_in_a_race_on_sqlite() -> Result<()> {
    the_money_ends_right_whether_capture_or_cancellation_wins(World::start(INSTANT).await?).await
}

#[tokio::test]
async fn the_money_ends_right_in_a_race_on_postgres() -> Result<()> {
    let world = World::start_on(FreshDatabase::postgres().await).await?;
    the_money_ends_right_whether_capture_or_cancellation_wins(world).await
}

/// The capture reaches the provider, and its answer is lost: the void must leave the money to the refund, and the refund
/// must wait until the capture is known.
#[tokio::test]
async fn a_cancellation_while_the_answer_to_the_capture_is_lost_ends_refunded() -> Result<()> {
    let world = World::start_with(INSTANT, Duration::from_millis(500)).await?;
    let order = Order::new();
    world.handle([order.placed("pm_card_visa")]).await;
    world.provider.network.black_hole(Direction::ToClient);
    world.publish([order.shipped()]);
    until("the capture", async || (world.provider.books().await.ok()?.0 == TOTAL).then_some(())).await;
    world.publish([order.cancelled()]);
    world.until_an_undo_waits().await;
    assert_eq!(world.said(order.saga), ["authorized"]);
    world.provider.network.cut();
    world.provider.network.heal();
    world.payment.settle().await;
    assert_eq!(world.said(order.saga), ["authorized", "captured", "refunded"]);
    assert_eq!(world.provider.books().await?, (TOTAL, TOTAL, 0, 0));
    Ok(())
}
