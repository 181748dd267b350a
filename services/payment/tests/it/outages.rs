//! The provider is away, or its answers are lost: nothing is lost, nothing is doubled.

use std::time::Duration;

use anyhow::Result;
use pavane_contract::RawEnvelope;
use pavane_testkit::{servers::Direction, until};
use psp::Faults;
use tokio::net::TcpListener;

use crate::{
    order::{Order, TOTAL},
    provider::{FOREVER, INSTANT, Provider},
    world::World,
};

const ORDERS: usize = 4;
pub(crate) const QUICK: Duration = Duration::from_millis(500);

#[tokio::test]
async fn orders_placed_while_the_provider_is_down_are_authorised_once_it_is_up() -> Result<()> {
    // Only this test listens there, and it hangs up on every caller.
    let down = TcpListener::bind("127.0.0.1:0").await?;
    let address = down.local_addr()?;
    let elsewhere = Provider::start(INSTANT).await?;
    let mut world = World::start_apart(elsewhere, &format!("http://{address}")).await?;
    let orders = [Order::new(), Order::new()];
    world.publish(orders.iter().map(|order| order.placed("pm_card_visa")));
    for _ in 0..2 * orders.len() {
        drop(down.accept().await?);
    }
    drop(down);
    world.provider = Provider::start_on(TcpListener::bind(address).await?, INSTANT).await?;
    world.payment.settle().await;
    for order in &orders {
        assert_eq!(world.said(order.saga), ["authorized"]);
        assert_eq!(world.provider.intents_of(order.id).await?.len(), 1);
    }
    assert_eq!((world.provider.commands(), world.attempts().await, world.dead_letters()), (orders.len(), 0, 0));
    Ok(())
}

#[tokio::test]
async fn answers_that_mean_not_now_are_waited_for_and_use_up_no_attempts() -> Result<()> {
    for status in [401, 403, 408, 409, 429, 500, 502, 503, 504] {
        let world = World::start(INSTANT).await?;
        world.provider.turn_away([Some(status), Some(status)]);
        let order = Order::new();
        world.handle([order.placed("pm_card_visa")]).await;
        assert_eq!((world.said(order.saga), world.provider.commands()), (vec!["authorized".to_owned()], 3), "{status}");
        assert_eq!((world.attempts().await, world.dead_letters()), (0, 0), "{status}");
        world.stop().await;
    }
    Ok(())
}

#[tokio::test]
async fn answers_that_make_no_sense_are_asked_for_again_a_limited_number_of_times() -> Result<()> {
    // A success that can't be read among them.
    for status in [200, 302, 400, 404, 405, 422] {
        let world = World::start(INSTANT).await?;
        world.provider.turn_away([Some(status)]);
        let order = Order::new();
        world.handle([order.placed("pm_card_visa")]).await;
        assert_eq!((world.said(order.saga), world.provider.commands()), (vec!["authorized".to_owned()], 2), "{status}");
        assert_eq!(world.attempts().await, 1, "{status}: counted, or it would be asked for for ever");
        world.stop().await;
    }
    Ok(())
}

/// The charge is made, its answer is lost, and the next answer is nonsense: the cancellation must wait all the same.
#[tokio::test]
async fn nonsense_after_a_lost_answer_does_not_let_the_charge_be_forgotten() -> Result<()> {
    let faults = Faults { slow: FOREVER, hold: FOREVER };
    for nonsense in [400, 404] {
        let world = World::start_with(faults, QUICK).await?;
        world.provider.turn_away([None, Some(nonsense)]);
        let order = Order::new();
        world.publish([order.placed("pm_card_timeout_after_charge")]);
        world.until_busy("authorize-payment").await;
        world.handle([order.cancelled()]).await;
        assert_eq!(world.said(order.saga), ["authorized", "voided"], "{nonsense}");
        assert_eq!(world.provider.books().await?, (0, 0, 0, 0), "{nonsense}");
        assert_eq!(world.dead_letters(), 0, "{nonsense}");
    }
    Ok(())
}

/// At each stage the provider does what it is asked, and nobody hears of it; then it is asked again.
#[tokio::test]
async fn lost_answers_are_asked_for_again_and_nothing_is_done_twice() -> Result<()> {
    let world = World::start_with(INSTANT, QUICK).await?;
    let orders: Vec<_> = (0..ORDERS).map(|_| Order::new()).collect();
    let (some, all) = (TOTAL, TOTAL * i64::try_from(ORDERS)?);
    let placed: fn(&Order) -> RawEnvelope = |order| order.placed("pm_card_visa");
    let stages = [(placed, "authorized"), (Order::shipped, "captured"), (Order::cancelled, "refunded")];
    let mut said = Vec::new();
    for (event, outcome) in stages {
        world.provider.network.black_hole(Direction::ToClient);
        world.publish(orders.iter().map(event));
        let moved = async || {
            let (captured, refunded, _, open) = world.provider.books().await.ok()?;
            let amount = match outcome {
                "authorized" => open,
                "captured" => captured,
                _ => refunded,
            };
            (amount >= some).then_some(())
        };
        until(outcome, moved).await;
        assert_eq!(world.said(orders[0].saga), said, "nothing is said before the answer is known");
        world.provider.network.cut();
        world.provider.network.heal();
        world.payment.settle().await;
        said.push(outcome);
        for order in &orders {
            assert_eq!(world.said(order.saga), said);
            assert_eq!(world.provider.intents_of(order.id).await?.len(), 1);
        }
    }
    assert_eq!(world.provider.books().await?, (all, all, 0, 0));
    assert_eq!(world.dead_letters(), 0);
    Ok(())
}
