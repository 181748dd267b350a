//! The shop's saga is sound, and what that means in numbers.

use pavane_choreography::{Choreography, Entry, Manifest, Reaction, Saga, model::ViolationKind};

use crate::shop::{
    self, OrderCancelled, OrderConfirmed, OrderPlaced, all, decides, entry, event, manifest, one_of, react,
};

#[test]
fn the_shop_is_sound() {
    shop::choreography().assert_sound();
}

#[test]
fn the_shops_saga_is_explored_whole() {
    let exploration = shop::choreography().explore(&shop::saga()).unwrap();
    insta::assert_snapshot!(exploration, @"saga order: 515 states by 700 moves, up to 15 moves deep, stand for every interleaving; all of its 41 ends are sound (2 completed, 39 aborted)");
}

/// The kind of violation in the shop after a change.
fn violation(change: impl FnOnce(&mut Vec<Manifest>)) -> ViolationKind {
    let mut manifests = shop::manifests();
    change(&mut manifests);
    Choreography::of(manifests).explore(&shop::saga()).unwrap_err().kind
}

#[test]
fn a_saga_that_completes_although_a_step_said_no() {
    let kind = violation(|shop| shop[0].reactions[1].on.push(event("inventory.rejected")));
    let steps = vec!["inventory/reserve-stock (barred)".to_owned()];
    assert_eq!(kind, ViolationKind::CompletedWithout { steps });
}

#[test]
fn a_reaction_that_can_never_answer() {
    let kind = violation(|shop| shop[0].reactions[1].emits = one_of(&[]));
    let waiting = vec!["order/confirm-order for payment.captured".to_owned()];
    assert_eq!(kind, ViolationKind::WaitsForEver { waiting });
}

#[test]
fn reactions_that_go_round() {
    let kind = violation(|shop| {
        shop[0].reactions.push(react("remind", &["order.placed", "payment.nudged"], all(&["order.reminded"])));
        shop[1].reactions.push(react("nudge", &["order.reminded"], all(&["payment.nudged"])));
    });
    assert!(matches!(kind, ViolationKind::Endless { .. }), "{kind:?}");
}

/// The shop, and a voucher that a customer may redeem at any time. `when` undoes that.
fn with_a_voucher(when: &[&str]) -> Choreography {
    let redeem = entry("redeem", all(&["voucher.redeemed"]));
    let restore = shop::undo("restore", "voucher.redeemed", when, all(&["voucher.restored"]));
    let mut manifests = shop::manifests();
    manifests.push(manifest("voucher", vec![redeem], vec![restore]));
    Choreography::of(manifests)
}

#[test]
fn an_entry_point_that_is_undone_is_explored() {
    let exploration = with_a_voucher(&["order.cancelled"]).explore(&shop::saga()).unwrap();
    insta::assert_snapshot!(exploration, @"saga order: 831 states by 1097 moves, up to 17 moves deep, stand for every interleaving; all of its 82 ends are sound (4 completed, 78 aborted)");
    let violation = with_a_voucher(&["shipping.rejected"]).explore(&shop::saga()).unwrap_err();
    assert_eq!(violation.kind, ViolationKind::NotUndone { steps: vec!["voucher/redeem (done)".to_owned()] });
    assert!(violation.to_string().contains("redeem: emits voucher.redeemed"), "{violation}");
}

/// An order service that has nobody to wait for.
fn alone(entries: Vec<Entry>, reactions: Vec<Reaction>) -> Choreography {
    Choreography::of([manifest("order", entries, reactions)])
}

#[test]
fn a_saga_that_never_aborts_or_never_completes() {
    let place = |outcome: &[&str]| entry("place-order", [all(&["order.placed"]), decides(outcome)].concat());
    let kind = |outcome| alone(vec![place(&[outcome])], vec![]).explore(&shop::saga()).unwrap_err().kind;
    assert_eq!(kind("order.confirmed"), ViolationKind::NeverAborts);
    assert_eq!(kind("order.cancelled"), ViolationKind::NeverCompletes);
}

#[test]
fn a_saga_that_decides_at_once_needs_no_deadline() {
    let settle = react("settle", &["order.placed"], decides(&["order.confirmed", "order.cancelled"]));
    alone(vec![entry("place-order", all(&["order.placed"]))], vec![settle]).explore(&shop::saga()).unwrap();
}

#[test]
fn a_saga_that_cannot_abort_needs_no_deadline() {
    let confirm = react("confirm", &["order.placed"], decides(&["order.confirmed"]));
    let choreography = alone(vec![entry("place-order", all(&["order.placed"]))], vec![confirm]);
    let saga = Saga::new("order").starts_with::<OrderPlaced>().completes_with::<OrderConfirmed>();
    choreography.explore(&saga).unwrap();
    // If it could, it would need one.
    let kind = choreography.explore(&saga.aborts_with::<OrderCancelled>()).unwrap_err().kind;
    assert_eq!(kind, ViolationKind::NoOutcome { gathering: vec![] });
}

#[test]
fn an_entry_that_refuses_starts_no_saga() {
    let settle = react("settle", &["order.placed"], decides(&["order.confirmed", "order.cancelled"]));
    let place = entry("place-order", one_of(&["order.placed", "order.refused"]));
    alone(vec![place], vec![settle]).explore(&shop::saga()).unwrap();
}

#[test]
fn the_start_of_another_saga_is_its_own_matter() {
    let mut manifests = shop::manifests();
    manifests[0].entries.push(entry("return-order", all(&["order.returned"])));
    manifests[0].reactions.push(react("undo-order", &["order.returned"], all(&["order.cancelled"])));
    let choreography = Choreography::of(manifests).saga(shop::saga());
    assert_eq!(choreography.explore(&shop::saga()).unwrap_err().kind, ViolationKind::BothOutcomes);
    let mut returns = Saga::new("return");
    returns.starts_with = Some(event("order.returned"));
    choreography.saga(returns).explore(&shop::saga()).unwrap();
}

#[test]
#[should_panic(expected = "it is aborted, but not every step is undone: payment/capture-payment (done)")]
fn assert_sound_shows_what_goes_wrong() {
    let mut manifests = shop::manifests();
    manifests[1].reactions.retain(|reaction| reaction.name != "refund-payment");
    Choreography::of(manifests).saga(shop::saga()).assert_sound();
}
