//! Each test card, without and with an outcome that the customer sees.

use std::time::Duration;

use anyhow::Result;
use psp::Faults;

use crate::{
    order::{Order, TOTAL},
    provider::{FOREVER, INSTANT},
    world::World,
};

const QUICK: Duration = Duration::from_millis(300);

#[tokio::test]
async fn each_card_ends_as_it_should() -> Result<()> {
    // Card, and what is said when the order is placed, when it is shipped and when it is cancelled.
    let cases = [
        ("pm_card_visa", "authorized", Some("captured"), Some("refunded")),
        ("pm_card_slow", "authorized", Some("captured"), Some("refunded")),
        ("pm_card_error_once", "authorized", Some("captured"), Some("refunded")),
        ("pm_card_timeout_after_charge", "authorized", Some("captured"), Some("refunded")),
        ("pm_card_capture_fails", "authorized", Some("capture-failed"), Some("voided")),
        ("pm_card_declined", "declined", None, None),
    ];
    for (card, placed, shipped, cancelled) in cases {
        let world = World::start(INSTANT).await?;
        let order = Order::new();
        let mut said = vec![placed];
        world.handle([order.placed(card)]).await;
        assert_eq!(world.said(order.saga), said, "{card} placed");
        if shipped.is_some() {
            said.extend(shipped);
            world.handle([order.shipped()]).await;
            assert_eq!(world.said(order.saga), said, "{card} shipped");
        }
        said.extend(cancelled);
        world.handle([order.cancelled()]).await;
        assert_eq!(world.said(order.saga), said, "{card} cancelled");

        let refunded = if cancelled == Some("refunded") { TOTAL } else { 0 };
        assert_eq!(world.provider.books().await?, (refunded, refunded, 0, 0), "{card}");
        assert_eq!(world.provider.intents_of(order.id).await?.len(), 1, "{card}");
        assert_eq!(world.dead_letters(), 0, "{card}");
        world.stop().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_time_out_after_the_charge_charges_once_and_the_saga_goes_on() -> Result<()> {
    let world = World::start_with(Faults { slow: Duration::ZERO, hold: FOREVER }, QUICK).await?;
    let order = Order::new();
    world.handle([order.placed("pm_card_timeout_after_charge")]).await;
    assert_eq!(world.said(order.saga), ["authorized"]);
    assert_eq!(world.provider.intents_of(order.id).await?.len(), 1);
    assert_eq!(world.provider.books().await?, (0, 0, 1, TOTAL));
    world.handle([order.shipped()]).await;
    assert_eq!(world.said(order.saga), ["authorized", "captured"]);
    assert_eq!(world.provider.books().await?, (TOTAL, 0, 0, 0));
    Ok(())
}

#[tokio::test]
async fn a_card_slower_than_our_patience_authorises_once() -> Result<()> {
    let world = World::start_with(Faults { slow: 4 * QUICK, hold: FOREVER }, QUICK).await?;
    let order = Order::new();
    world.handle([order.placed("pm_card_slow")]).await;
    assert_eq!(world.said(order.saga), ["authorized"]);
    assert_eq!(world.provider.intents_of(order.id).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn what_the_provider_does_not_take_is_a_no_and_not_an_error() -> Result<()> {
    let world = World::start(INSTANT).await?;
    for (card, minor) in [("pm_card_nobody_knows", TOTAL), ("pm_card_visa", 0), ("pm_card_visa", 100_000_000)] {
        let order = Order::new();
        world.handle([order.placed_for(card, minor)]).await;
        assert_eq!(world.said(order.saga), ["declined"], "{card} {minor}");
        assert_eq!(world.provider.intents_of(order.id).await?, []);
    }
    assert_eq!(world.dead_letters(), 0);
    Ok(())
}

#[tokio::test]
async fn duplicates_of_every_event_change_nothing() -> Result<()> {
    let world = World::start(INSTANT).await?;
    let order = Order::new();
    let events = [order.placed("pm_card_visa"), order.shipped(), order.cancelled()];
    for event in &events {
        world.handle([event.clone(), event.clone()]).await;
    }
    let said = ["authorized", "captured", "refunded"];
    assert_eq!(world.said(order.saga), said);
    for event in &events {
        world.handle([event.clone(), event.clone()]).await;
    }
    assert_eq!(world.said(order.saga), said);
    assert_eq!(world.provider.books().await?, (TOTAL, TOTAL, 0, 0));
    Ok(())
}

#[tokio::test]
async fn a_shipment_that_nobody_paid_for_is_kept_as_a_dead_letter() -> Result<()> {
    let world = World::start(INSTANT).await?;
    let order = Order::new();
    world.handle([order.shipped()]).await;
    assert_eq!((world.said(order.saga), world.dead_letters()), (vec![], 1));
    Ok(())
}
