//! What the service does about the others' events.

use contracts::{
    OrderId,
    order::{CancelReason, OrderCancelled, OrderConfirmed, OrderDeadlinePassed},
    payment::PaymentCaptured,
};
use pavane::{Event as _, SagaId};
use pavane_contract::{RawEnvelope, SystemClock};
use pavane_testkit::FreshDatabase;
use serde_json::json;

use crate::{
    says::Says,
    world::{World, eur, facts, fine},
};

/// The outcomes that the service told about an order.
fn outcomes(world: &World, id: OrderId) -> Vec<&'static str> {
    let said = world.said(id);
    [OrderConfirmed::NAME, OrderCancelled::NAME]
        .into_iter()
        .flat_map(|name| said.iter().filter(move |event| event.meta.event.name == name).map(move |_| name))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_confirmed_once_it_is_paid() {
    for database in FreshDatabase::of_each_kind().await {
        let world = World::start_on(database).await;
        let id = world.place().await;
        let says = Says(id);
        for (event, status) in [
            (says.authorized(), "authorized"),
            (says.reserved(), "stock-reserved"),
            (says.shipment_created(), "shipment-created"),
            (says.captured(), "confirmed"),
        ] {
            world.order.deliver(&event);
            world.until_status(id, status).await;
        }
        world.order.settle().await;
        let order = world.order(id).await;
        let expected = [
            "order.placed",
            "payment.authorized",
            "inventory.reserved",
            "shipping.created",
            "payment.captured",
            "order.confirmed",
        ];
        assert_eq!(facts(&order), expected);
        assert_eq!(order["version"], 6);
        assert_eq!(order["status_text"], "Confirmed: your order is on its way");
        assert_eq!(outcomes(&world, id), [OrderConfirmed::NAME]);
        let said = world.said(id);
        let confirmed = said.iter().find_map(|event| event.decode::<OrderConfirmed>().ok()).unwrap();
        assert_eq!((confirmed.email.as_str(), &confirmed.total), ("ada@example.com", &eur(900)));
        assert_eq!(world.order.count("select count(*) from pavane_timer").await, 0, "its deadline");
    }
}

/// Tells a "no" and what follows it; checks that the order is cancelled for this reason, once, and when.
async fn cancelled(
    database: FreshDatabase,
    tell: impl Fn(&Says) -> (Vec<RawEnvelope>, Vec<RawEnvelope>),
    reason: CancelReason,
) {
    let world = World::start_on(database).await;
    let id = world.place().await;
    let (before, undos) = tell(&Says(id));
    for event in &before {
        world.order.deliver(event);
    }
    world.order.settle().await;
    let expected = if undos.is_empty() { "cancelled" } else { "cancelling" };
    let order = world.order(id).await;
    assert_eq!(order["status"], expected, "{reason:?}");
    assert_eq!(order["cancel_reason"], json!(reason));
    assert!(order["cancel_reason_text"].is_string());
    for undo in &undos {
        assert_eq!(world.order(id).await["status"], "cancelling", "{reason:?}");
        world.order.deliver(undo);
        world.order.settle().await;
    }
    assert_eq!(world.order(id).await["status"], "cancelled", "{reason:?}");
    assert_eq!(outcomes(&world, id), [OrderCancelled::NAME]);
    let said = world.said(id);
    let told = said.iter().find_map(|event| event.decode::<OrderCancelled>().ok()).unwrap();
    assert_eq!((told.email.as_str(), &told.total, told.reason), ("ada@example.com", &eur(900), reason));
    assert_eq!(world.dead(), [""; 0]);
    assert_eq!(world.order.count("select count(*) from pavane_timer").await, 0, "its deadline");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_cancelled_on_each_no() {
    for database in FreshDatabase::of_each_kind().await {
        cancelled(database, |says| (vec![says.declined()], vec![]), CancelReason::PaymentDeclined).await;
    }
    for database in FreshDatabase::of_each_kind().await {
        let tell = |says: &Says| (vec![says.authorized(), says.out_of_stock()], vec![says.voided()]);
        cancelled(database, tell, CancelReason::OutOfStock).await;
    }
    for database in FreshDatabase::of_each_kind().await {
        let tell = |says: &Says| {
            (vec![says.authorized(), says.reserved(), says.no_carrier()], vec![says.released(), says.voided()])
        };
        cancelled(database, tell, CancelReason::NoCarrier).await;
    }
    for database in FreshDatabase::of_each_kind().await {
        let tell = |says: &Says| {
            let before = vec![says.authorized(), says.reserved(), says.shipment_created(), says.capture_failed()];
            (before, vec![says.voided(), says.shipment_cancelled(), says.released()])
        };
        cancelled(database, tell, CancelReason::CaptureFailed).await;
    }
    for database in FreshDatabase::of_each_kind().await {
        let tell = |says: &Says| (vec![says.authorized(), says.deadline_passed()], vec![says.voided()]);
        cancelled(database, tell, CancelReason::DeadlinePassed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_takes_too_long_is_cancelled() {
    for database in FreshDatabase::of_each_kind().await {
        let world = World::start_on(database).await;
        let mut body = fine();
        body["deadline_seconds"] = 1.into();
        let id = world.post("/orders", body.to_string()).await.id();
        let order = world.until_status(id, "cancelled").await;
        assert_eq!(order["cancel_reason"], "deadline-passed");
        world.order.settle().await;
        assert_eq!(world.times_said::<OrderDeadlinePassed>(id), 1);
        assert_eq!(outcomes(&world, id), [OrderCancelled::NAME]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_changes_nothing_about_an_order_that_made_it() {
    for database in FreshDatabase::of_each_kind().await {
        let world = World::start_on(database).await;
        let id = world.place().await;
        world.order.deliver(&Says(id).captured());
        let before = world.until_status(id, "confirmed").await;
        world.order.deliver(&Says(id).deadline_passed());
        world.order.settle().await;
        assert_eq!(world.order(id).await, before);
        assert_eq!(outcomes(&world, id), [OrderConfirmed::NAME]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_cancels_unless_the_order_is_confirmed() {
    for database in FreshDatabase::of_each_kind().await {
        let world = World::start_on(database).await;
        let id = world.place().await;
        world.order.deliver(&Says(id).authorized());
        world.until_status(id, "authorized").await;
        let now = world.cancel(id).await;
        assert_eq!((now.status, &now.body["status"]), (202, &json!("cancelling")), "{now:?}");
        assert_eq!(now.body["cancel_reason"], "customer-request");
        let again = world.cancel(id).await;
        assert_eq!((again.status, &again.body), (200, &now.body));
        world.order.deliver(&Says(id).voided());
        world.until_status(id, "cancelled").await;
        assert_eq!(world.cancel(id).await.status, 200);
        world.order.settle().await;
        assert_eq!(outcomes(&world, id), [OrderCancelled::NAME]);

        let id = world.place().await;
        world.order.deliver(&Says(id).captured());
        let confirmed = world.until_status(id, "confirmed").await;
        let refused = world.cancel(id).await;
        assert_eq!((refused.status, refused.fields().len()), (409, 0), "{refused:?}");
        assert_eq!(world.order(id).await, confirmed);
        world.order.settle().await;
        assert_eq!(outcomes(&world, id), [OrderConfirmed::NAME]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_outcome_is_forgotten_keeps_its_end() {
    for database in FreshDatabase::of_each_kind().await {
        let world = World::start_on(database).await;
        let id = world.place().await;
        world.order.deliver(&Says(id).captured());
        let confirmed = world.until_status(id, "confirmed").await;
        // As the framework does after its retention.
        sqlx::query("delete from pavane_outcome").execute(world.db.writers()).await.unwrap();
        assert_eq!(world.cancel(id).await.status, 409);
        assert_eq!(world.order(id).await, confirmed);
        world.order.settle().await;
        assert_eq!(outcomes(&world, id), [OrderConfirmed::NAME]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_that_lost_against_the_cancellation_is_waited_for_until_it_is_refunded() {
    for database in FreshDatabase::of_each_kind().await {
        let world = World::start_on(database).await;
        let id = world.place().await;
        let says = Says(id);
        world.cancel(id).await;
        for event in [says.authorized(), says.reserved(), says.shipment_created(), says.captured()] {
            world.order.deliver(&event);
        }
        world.order.settle().await;
        assert_eq!(world.order(id).await["status"], "cancelling");
        for event in [says.released(), says.shipment_cancelled(), says.refunded()] {
            assert_eq!(world.order(id).await["status"], "cancelling");
            world.order.deliver(&event);
            world.order.settle().await;
        }
        assert_eq!(world.order(id).await["status"], "cancelled");
        assert_eq!(outcomes(&world, id), [OrderCancelled::NAME]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn confirming_and_cancelling_at_once_gives_one_outcome() {
    for database in FreshDatabase::of_each_kind().await {
        let world = World::start_on(database).await;
        let mut ids = Vec::new();
        for _ in 0..30 {
            ids.push(world.place().await);
        }
        let captured: Vec<_> = ids.iter().map(|id| Says(*id).captured()).collect();
        let refused: Vec<_> = ids.iter().map(|id| Says(*id).deadline_passed()).collect();
        let tell = async {
            for (captured, deadline) in captured.iter().zip(&refused) {
                world.order.deliver(captured);
                world.order.deliver(deadline);
            }
        };
        let cancel = futures_util::future::join_all(ids.iter().rev().map(|id| world.cancel(*id)));
        let ((), answers) = tokio::join!(tell, cancel);
        world.order.settle().await;
        for (id, answer) in ids.iter().rev().zip(answers) {
            let order = world.order(*id).await;
            let outcomes = outcomes(&world, *id);
            assert_eq!(outcomes.len(), 1, "{order}");
            let confirmed = order["status"] == "confirmed";
            assert_eq!(outcomes == [OrderConfirmed::NAME], confirmed, "{order}");
            assert_eq!(order["status"] == "cancelling", !confirmed, "{order}");
            assert_eq!(answer.status == 409, confirmed, "{order} {answer:?}");
            assert_eq!(order["cancel_reason"].is_null(), confirmed, "{order}");
        }
        assert_eq!(world.dead(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_learnt_at_the_same_time_are_all_kept() {
    for database in FreshDatabase::of_each_kind().await {
        let world = World::start_on(database).await;
        let mut ids = Vec::new();
        for _ in 0..20 {
            ids.push(world.place().await);
        }
        // All at once: three reactions write the same rows.
        for id in &ids {
            let says = Says(*id);
            for event in [
                says.shipment_cancelled(),
                says.capture_failed(),
                says.voided(),
                says.reserved(),
                says.released(),
                says.shipment_created(),
                says.authorized(),
                says.deadline_passed(),
            ] {
                world.order.deliver(&event);
            }
        }
        world.order.settle().await;
        for id in ids {
            let order = world.order(id).await;
            let mut known = facts(&order);
            assert_eq!(known.len(), 9, "{order}");
            assert_eq!((&order["status"], &order["version"]), (&json!("cancelled"), &json!(9)), "{order}");
            let versions: Vec<_> = order["history"].as_array().unwrap().iter().map(|e| e["version"].as_i64()).collect();
            assert_eq!(versions, (1..=9).map(Some).collect::<Vec<_>>());
            known.dedup();
            assert_eq!(known.len(), 9);
        }
        assert_eq!(world.dead(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_told_again_changes_nothing() {
    for database in FreshDatabase::of_each_kind().await {
        let world = World::start_on(database).await;
        let id = world.place().await;
        let says = Says(id);
        let events =
            [says.authorized(), says.reserved(), says.shipment_created(), says.capture_failed(), says.voided()];
        for event in &events {
            world.order.deliver(event);
        }
        world.order.settle().await;
        let before = world.order(id).await;
        for event in events.iter().rev() {
            world.order.deliver(event);
            world.order.deliver(event);
        }
        // Told anew by other events, as after a redrive.
        for event in [says.authorized(), says.capture_failed(), says.declined()] {
            world.order.deliver(&event);
        }
        world.order.settle().await;
        let after = world.order(id).await;
        assert_eq!(after["version"], before["version"].as_i64().unwrap() + 1, "the decline is news");
        assert_eq!(after["status"], "needs-review", "authorised and declined");
        assert_eq!(outcomes(&world, id), [OrderCancelled::NAME]);
        assert_eq!(world.dead(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_about_orders_that_are_not_here_are_kept_as_dead_letters() {
    let world = World::start().await;
    let stranger = OrderId::from(SagaId::new(&SystemClock).as_uuid());
    for event in [Says(stranger).authorized(), Says(stranger).captured(), Says(stranger).declined()] {
        world.order.deliver(&event);
    }
    // About an order that is here, but in the name of another saga: it would bring a second outcome.
    let id = world.place().await;
    let other = PaymentCaptured { order_id: id, amount: eur(900) };
    world.order.publish(SagaId::new(&SystemClock), &other);
    world.order.settle().await;
    let mut dead = world.dead();
    dead.sort();
    assert_eq!(dead.len(), 4, "{dead:?}");
    assert!(dead[0].contains("the saga of an order has the order's id"), "{dead:?}");
    assert!(dead[1..].iter().all(|cause| cause.contains(&format!("there is no order {stranger} here"))), "{dead:?}");
    assert_eq!(world.order(id).await["version"], 1);
    // Nothing else is held up.
    world.order.deliver(&Says(id).captured());
    world.until_status(id, "confirmed").await;
}
