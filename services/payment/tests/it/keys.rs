//! The provider has forgotten the keys: a call that may have been carried out is looked up, not repeated.

use std::iter::repeat_n;

use anyhow::Result;
use pavane_testkit::until;
use psp::Faults;

use crate::{
    order::{Order, TOTAL},
    outages::QUICK,
    provider::{FOREVER, INSTANT, Provider},
    world::World,
};

/// More than a test waits for.
const MANY: usize = 100_000;

async fn turned_away(provider: &Provider, since: usize) {
    until("a command that is turned away", async || (provider.commands() > since).then_some(())).await;
}

#[tokio::test]
async fn a_charge_whose_answer_was_lost_a_day_ago_is_found_and_not_made_again() -> Result<()> {
    let world = World::start_with(Faults { slow: FOREVER, hold: FOREVER }, QUICK).await?;
    world.provider.turn_away([None].into_iter().chain(repeat_n(Some(503), MANY)));
    let order = Order::new();
    world.publish([order.placed("pm_card_timeout_after_charge")]);
    turned_away(&world.provider, 1).await;
    world.a_day_later().await?;
    world.payment.settle().await;
    assert_eq!((world.said(order.saga), world.dead_letters()), (vec!["authorized".to_owned()], 0));
    assert_eq!(world.provider.intents_of(order.id).await?.len(), 1, "the amount is set aside once");
    Ok(())
}

#[tokio::test]
async fn a_charge_that_never_arrived_is_made_a_day_later() -> Result<()> {
    let world = World::start(INSTANT).await?;
    world.provider.turn_away(repeat_n(Some(503), MANY));
    let order = Order::new();
    world.publish([order.placed("pm_card_visa")]);
    turned_away(&world.provider, 0).await;
    world.a_day_later().await?;
    world.provider.let_in();
    world.payment.settle().await;
    assert_eq!((world.said(order.saga), world.dead_letters()), (vec!["authorized".to_owned()], 0));
    assert_eq!(world.provider.intents_of(order.id).await?.len(), 1);
    Ok(())
}

/// The provider is closed to commands all the time, so whatever is said was found.
#[tokio::test]
async fn capture_and_void_that_were_carried_out_are_found() -> Result<()> {
    for captured in [true, false] {
        let world = World::start(INSTANT).await?;
        let order = Order::new();
        world.handle([order.placed("pm_card_visa")]).await;
        world.provider.turn_away(repeat_n(Some(503), MANY));
        let before = world.provider.commands();
        if captured {
            world.publish([order.shipped()]);
            turned_away(&world.provider, before).await;
            world.provider.capture(order.id).await?;
        } else {
            world.publish([order.cancelled()]);
            turned_away(&world.provider, before).await;
            world.provider.cancel(order.id).await?;
        }
        world.a_day_later().await?;
        world.payment.settle().await;
        let expected = if captured { ["authorized", "captured"] } else { ["authorized", "voided"] };
        assert_eq!((world.said(order.saga), world.dead_letters()), (expected.map(str::to_owned).to_vec(), 0));
        let books = if captured { (TOTAL, 0, 0, 0) } else { (0, 0, 0, 0) };
        assert_eq!(world.provider.books().await?, books);
    }
    Ok(())
}

#[tokio::test]
async fn a_refund_that_was_made_a_day_ago_is_not_made_again() -> Result<()> {
    let world = World::start(INSTANT).await?;
    let order = Order::new();
    world.handle([order.placed("pm_card_visa")]).await;
    world.handle([order.shipped()]).await;
    world.provider.turn_away(repeat_n(Some(503), MANY));
    let before = world.provider.commands();
    world.publish([order.cancelled()]);
    turned_away(&world.provider, before).await;
    world.provider.refund(order.id).await?;
    world.a_day_later().await?;
    world.payment.settle().await;
    assert_eq!(world.said(order.saga), ["authorized", "captured", "refunded"]);
    assert_eq!((world.provider.books().await?, world.dead_letters()), ((TOTAL, TOTAL, 0, 0), 0));
    Ok(())
}
