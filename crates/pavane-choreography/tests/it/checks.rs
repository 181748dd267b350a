//! Each rule of the static checks, broken once.

use pavane_choreography::{Choreography, Emission, Finding, Manifest, Reaction, Rule, Saga};

use crate::shop::{self, all, decides, entry, event, manifest, one_of, react, undo};

/// What is found in the shop after a change.
fn found(change: impl FnOnce(&mut Vec<Manifest>)) -> Vec<Finding> {
    let mut manifests = shop::manifests();
    change(&mut manifests);
    Choreography::of(manifests).saga(shop::saga()).check()
}

fn reaction<'m>(manifests: &'m mut [Manifest], name: &str) -> &'m mut Reaction {
    manifests.iter_mut().flat_map(|manifest| &mut manifest.reactions).find(|reaction| reaction.name == name).unwrap()
}

fn remove(manifests: &mut [Manifest], name: &str) {
    for manifest in manifests {
        manifest.reactions.retain(|reaction| reaction.name != name);
    }
}

/// The rule, who and which event of each finding, briefly.
fn brief(findings: &[Finding]) -> Vec<(Rule, String, &str)> {
    let label = |it: &Finding| format!("{}/{}", it.service, it.reaction);
    findings.iter().map(|it| (it.rule, label(it), it.event.as_ref().map_or("", |event| &event.name))).collect()
}

#[test]
fn nothing_is_found_in_the_shop() {
    assert_eq!(found(|_| {}), []);
}

#[test]
fn an_event_that_nobody_consumes() {
    let findings = found(|shop| reaction(shop, "track-progress").on.retain(|event| event.name != "payment.refunded"));
    assert_eq!(brief(&findings), [(Rule::Unconsumed, "payment/refund-payment".to_owned(), "payment.refunded")]);
    insta::assert_snapshot!(findings[0], @r"
    nobody consumes the event
      who:   payment/refund-payment
      event: payment.refunded v1
      path:  order.placed → payment/authorize-payment → payment.declined → order/cancel-order → order.cancelled → payment/refund-payment → payment.refunded
      mend:  let a reaction consume it, stop emitting it, or declare it terminal on the saga
    ");
}

#[test]
fn a_terminal_event_needs_no_consumer() {
    let mut manifests = shop::manifests();
    reaction(&mut manifests, "track-progress").on.retain(|event| event.name != "payment.refunded");
    let mut saga = shop::saga();
    saga.terminal.push(event("payment.refunded"));
    assert_eq!(Choreography::of(manifests).saga(saga).check(), []);
}

#[test]
fn a_wait_for_an_event_that_nobody_emits() {
    let findings = found(|shop| reaction(shop, "send-confirmation").on.push(event("order.forgotten")));
    assert_eq!(brief(&findings), [(Rule::Unemitted, "notification/send-confirmation".to_owned(), "order.forgotten")]);
}

#[test]
fn a_wait_for_another_version_than_the_emitted_one() {
    let findings = found(|shop| reaction(shop, "send-cancellation").on[0].version = 2);
    assert_eq!(findings[0].rule, Rule::Unemitted);
    insta::assert_snapshot!(findings[0], @r"
    nobody emits the event
      who:   notification/send-cancellation
      event: order.cancelled v2
      mend:  agree on the version: 1 is emitted, 2 is waited for
    ");
}

#[test]
fn a_step_without_an_undo() {
    let findings = found(|shop| {
        remove(shop, "refund-payment");
        reaction(shop, "track-progress").on.retain(|event| event.name != "payment.refunded");
    });
    assert_eq!(brief(&findings), [(Rule::MissingUndo, "payment/capture-payment".to_owned(), "payment.captured")]);
    insta::assert_snapshot!(findings[0], @r"
    nothing undoes the step if the saga fails after it
      who:   payment/capture-payment
      event: payment.captured v1
      saga:  order
      path:  order.placed → payment/authorize-payment → payment.authorized → inventory/reserve-stock → inventory.reserved → shipping/create-shipment → shipping.created → payment/capture-payment → payment.captured → order.deadline-passed, at any time → order/cancel-order → order.cancelled
      mend:  add an undo to payment, triggered by order.cancelled, or declare without_undo::<…>() if payment.captured leaves nothing behind
    ");
}

#[test]
fn a_step_that_leaves_nothing_behind_needs_no_undo() {
    let mut manifests = shop::manifests();
    // Shipping only asks for a quote.
    remove(&mut manifests, "cancel-shipment");
    reaction(&mut manifests, "track-progress").on.retain(|event| event.name != "shipping.cancelled");
    let rules = |saga: Saga| -> Vec<Rule> {
        let findings = Choreography::of(manifests.clone()).saga(saga).check();
        findings.into_iter().map(|finding| finding.rule).collect()
    };
    assert_eq!(rules(shop::saga()), [Rule::MissingUndo]);
    let mut saga = shop::saga();
    saga.without_undo.push(event("shipping.created"));
    assert_eq!(rules(saga), []);
}

#[test]
fn an_undo_that_nothing_triggers() {
    let findings = found(|shop| reaction(shop, "release-stock").on.clear());
    assert_eq!(brief(&findings), [(Rule::Untriggered, "inventory/release-stock".to_owned(), "inventory.reserved")]);
    insta::assert_snapshot!(findings[0], @r"
    nothing triggers the reaction
      who:   inventory/release-stock
      event: inventory.reserved v1
      path:  order.placed → payment/authorize-payment → payment.authorized → inventory/reserve-stock → inventory.reserved
      mend:  trigger it by the event that says that inventory.reserved must be undone
    ");
}

#[test]
fn an_undo_of_what_another_service_does() {
    let findings = found(|shop| {
        shop[3].reactions.push(undo("unpay", "payment.captured", &["order.cancelled"], vec![]));
    });
    assert_eq!(brief(&findings), [(Rule::UndoOfNothing, "shipping/unpay".to_owned(), "payment.captured")]);
}

#[test]
fn an_undo_with_two_steps_and_a_step_with_two_undos() {
    let findings = found(|shop| {
        let mut second = reaction(shop, "reserve-stock").clone();
        second.name = "reserve-again".to_owned();
        shop[2].reactions.push(second);
    });
    assert_eq!(
        brief(&findings),
        [
            (Rule::MissingUndo, "inventory/reserve-again".to_owned(), "inventory.reserved"),
            (Rule::AmbiguousUndo, "inventory/release-stock".to_owned(), "inventory.reserved"),
        ]
    );

    let findings = found(|shop| {
        let mut second = reaction(shop, "release-stock").clone();
        second.name = "release-again".to_owned();
        shop[2].reactions.push(second);
    });
    assert_eq!(brief(&findings), [(Rule::AmbiguousUndo, "inventory/reserve-stock".to_owned(), "")]);
    insta::assert_snapshot!(findings[0], @r"
    the undo does not belong to exactly one step
      who:   inventory/reserve-stock
      mend:  let one reaction undo it, not release-stock and release-again, or split the step
    ");
}

#[test]
fn giving_up_on_what_may_have_happened() {
    for name in ["capture-payment", "refund-payment"] {
        let mut manifests = shop::manifests();
        reaction(&mut manifests, name).gives_up_with = Some(event("payment.capture-failed"));
        let choreography = Choreography::of(manifests).saga(shop::saga());
        let rules: Vec<_> = choreography.check().iter().map(|finding| finding.rule).collect();
        assert_eq!(rules, [Rule::CannotGiveUp], "{name}");
    }
}

#[test]
fn a_step_whose_success_nobody_waits_for() {
    let findings = found(|shop| {
        shop[3].reactions.push(react("insure", &["inventory.reserved"], all(&["shipping.insured"])));
        shop[3].reactions.push(undo("cancel-insurance", "shipping.insured", &["order.cancelled"], vec![]));
        reaction(shop, "track-progress").on.push(event("shipping.insured"));
    });
    assert_eq!(brief(&findings), [(Rule::UnusedSuccess, "shipping/insure".to_owned(), "shipping.insured")]);
    insta::assert_snapshot!(findings[0], @r"
    the saga can complete without waiting for the step
      who:   shipping/insure
      event: shipping.insured v1
      saga:  order
      path:  order.placed → payment/authorize-payment → payment.authorized → inventory/reserve-stock → inventory.reserved → shipping/insure → shipping.insured
      mend:  let a reaction that leads to order.confirmed consume it, or declare it terminal
    ");
}

/// What ships the order is a step of its own here, and runs when the order is confirmed.
fn with_a_step_after_completion(shop: &mut [Manifest], emits: Vec<Emission>, undone_on: &str) {
    shop[3].reactions.push(react("hand-over", &["order.confirmed"], emits));
    shop[3].reactions.push(undo("call-back", "shipping.handed-over", &[undone_on], vec![]));
    reaction(shop, "track-progress").on.extend(["shipping.handed-over", "shipping.lost"].map(event));
    shop[0].entries.push(entry("return-order", all(&["order.returned"])));
    reaction(shop, "track-progress").on.push(event("order.returned"));
}

#[test]
fn a_step_after_completion_that_can_say_no() {
    let emits = one_of(&["shipping.handed-over", "shipping.lost"]);
    let findings = found(|shop| with_a_step_after_completion(shop, emits, "order.returned"));
    let expected = [
        (Rule::UnusedSuccess, "shipping/hand-over".to_owned(), "shipping.handed-over"),
        (Rule::FailsAfterCompletion, "shipping/hand-over".to_owned(), "shipping.lost"),
    ];
    assert_eq!(brief(&findings), expected);
    insta::assert_snapshot!(findings[0], @r"
    the saga can complete without waiting for the step
      who:   shipping/hand-over
      event: shipping.handed-over v1
      saga:  order
      path:  order.placed → payment/authorize-payment → payment.authorized → inventory/reserve-stock → inventory.reserved → shipping/create-shipment → shipping.created → payment/capture-payment → payment.captured → order/confirm-order → order.confirmed → shipping/hand-over → shipping.handed-over
      mend:  declare it terminal: it comes after order.confirmed, which can't wait for it
    ");
    insta::assert_snapshot!(findings[1], @r"
    it can fail although the saga has completed by then
      who:   shipping/hand-over
      event: shipping.lost v1
      saga:  order
      mend:  let it succeed always, by trying again as long as it takes; or let it run before order.confirmed, where the saga can still abort
    ");
}

#[test]
fn an_undo_that_only_an_abort_triggers_after_completion() {
    let findings = found(|shop| {
        with_a_step_after_completion(shop, all(&["shipping.handed-over"]), "order.cancelled");
        reaction(shop, "track-progress").on.retain(|event| event.name != "shipping.lost");
    });
    let never = findings.iter().find(|finding| finding.rule == Rule::NeverUndone).unwrap();
    insta::assert_snapshot!(never, @r"
    the undo never runs, as the saga has completed when its step runs
      who:   shipping/call-back
      event: shipping.handed-over v1
      saga:  order
      mend:  remove it, or trigger it by an event that can come after order.confirmed; order.cancelled can't
    ");
}

#[test]
fn a_reaction_after_completion_that_gives_up() {
    let findings = found(|shop| {
        reaction(shop, "send-confirmation").gives_up_with = Some(event("notification.failed"));
        reaction(shop, "track-progress").on.push(event("notification.failed"));
    });
    let expected = [(Rule::FailsAfterCompletion, "notification/send-confirmation".to_owned(), "notification.failed")];
    assert_eq!(brief(&findings), expected);
    insta::assert_snapshot!(findings[0], @r"
    it can fail although the saga has completed by then
      who:   notification/send-confirmation
      event: notification.failed v1
      saga:  order
      mend:  remove .gives_up_with(…): it is retried, and then kept as a dead letter for a person; or let it run before order.confirmed
    ");
}

/// It is retriable, and what undoes it later is no abort.
#[test]
fn a_step_after_completion_that_always_succeeds_is_fine() {
    let mut manifests = shop::manifests();
    with_a_step_after_completion(&mut manifests, all(&["shipping.handed-over"]), "order.returned");
    reaction(&mut manifests, "track-progress").on.retain(|event| event.name != "shipping.lost");
    let mut saga = shop::saga();
    saga.terminal.push(event("shipping.handed-over"));
    assert_eq!(Choreography::of(manifests).saga(saga).check(), []);
}

#[test]
fn a_cycle_that_nothing_stops() {
    let findings = found(|shop| {
        shop[0].reactions.push(react("remind", &["payment.nudged"], all(&["order.reminded"])));
        shop[1].reactions.push(react("nudge", &["order.reminded"], all(&["payment.nudged"])));
    });
    assert_eq!(brief(&findings), [(Rule::Cycle, "order/remind".to_owned(), "order.reminded")]);
    insta::assert_snapshot!(findings[0], @r"
    the reactions can go round for ever
      who:   order/remind
      event: order.reminded v1
      path:  order.reminded → payment/nudge → payment.nudged → order/remind → order.reminded
      mend:  give a reaction on it an undo or an outcome, which run once in a saga, or break the cycle
    ");
}

#[test]
fn a_cycle_through_a_step_stops() {
    let findings = found(|shop| {
        reaction(shop, "reserve-stock").on.push(event("shipping.rejected"));
        reaction(shop, "create-shipment").emits = one_of(&["shipping.created", "shipping.rejected"]);
    });
    assert_eq!(findings, []);
}

#[test]
fn a_wait_without_a_deadline() {
    let findings = found(|shop| {
        shop[0].entries[0].emits.retain(|group| !matches!(group, Emission::Scheduled(_)));
        reaction(shop, "cancel-order").on.retain(|event| event.name != "order.deadline-passed");
    });
    assert_eq!(brief(&findings), [(Rule::NoDeadline, "order/place-order".to_owned(), "order.placed")]);
    insta::assert_snapshot!(findings[0], @r"
    no deadline ends the wait
      who:   order/place-order
      event: order.placed v1
      saga:  order
      path:  order/place-order → order.placed → payment/authorize-payment
      mend:  schedule an event in order/place-order that leads to order.cancelled, due within 300s
    ");
}

#[test]
fn an_event_of_another_service() {
    let findings = found(|shop| {
        shop[3].reactions.push(react("meddle", &["order.placed"], all(&["payment.declined"])));
    });
    assert_eq!(brief(&findings), [(Rule::ForeignEvent, "shipping/meddle".to_owned(), "payment.declined")]);
}

#[test]
fn a_service_that_decides_one_outcome_only() {
    let findings = found(|shop| {
        reaction(shop, "confirm-order").emits = all(&["order.confirmed"]);
    });
    let rules: Vec<_> = findings.iter().map(|finding| finding.rule).collect();
    assert_eq!(rules, [Rule::OneOutcome, Rule::NotDecided]);
}

#[test]
fn two_services_that_decide() {
    let findings = found(|shop| {
        remove(shop, "confirm-order");
        shop[1].reactions.push(react("confirm-payment", &["payment.captured"], decides(&["order.confirmed"])));
    });
    assert!(findings.iter().any(|finding| finding.rule == Rule::TwoDeciders), "{findings:?}");
}

#[test]
fn an_answer_without_an_event() {
    let findings = found(|shop| reaction(shop, "send-confirmation").emits = one_of(&[]));
    assert_eq!(brief(&findings), [(Rule::EmptyEmission, "notification/send-confirmation".to_owned(), "")]);
}

#[test]
fn a_name_that_is_taken() {
    let findings = found(|shop| {
        let twin = reaction(shop, "send-confirmation").clone();
        shop[4].reactions.push(twin);
        shop.push(manifest("order", vec![], vec![]));
    });
    assert_eq!(
        brief(&findings),
        [(Rule::SameName, "notification/send-confirmation".to_owned(), ""), (Rule::SameName, "order/".to_owned(), ""),]
    );
}

#[test]
fn a_choreography_without_a_whole_saga() {
    let rules = |choreography: Choreography| -> Vec<Rule> {
        choreography.check().into_iter().map(|finding| finding.rule).collect()
    };
    assert_eq!(rules(Choreography::of(shop::manifests())), [Rule::NoSaga]);
    let nothing_said = Choreography::of(shop::manifests()).saga(Saga::new("order"));
    assert!(rules(nothing_said).starts_with(&[Rule::IncompleteSaga; 3]));
}

#[test]
fn a_saga_that_nobody_outside_starts() {
    let findings = found(|shop| {
        shop[0].entries.remove(0);
        shop[0].reactions.push(react("reorder", &["order.cancelled"], all(&["order.placed"])));
    });
    let start = findings.iter().find(|finding| finding.saga.is_some() && finding.rule == Rule::Unemitted).unwrap();
    assert_eq!(start.event, Some(event("order.placed")));
}

#[test]
fn a_saga_that_cannot_abort_needs_no_outcome() {
    let confirm = react("confirm-order", &["order.placed"], all(&["order.confirmed"]));
    let place = entry("place-order", all(&["order.placed"]));
    let rules = |saga: Saga| -> Vec<Rule> {
        let order = manifest("order", vec![place.clone()], vec![confirm.clone()]);
        Choreography::of([order]).saga(saga).check().into_iter().map(|finding| finding.rule).collect()
    };
    let mut saga = shop::saga();
    assert!(rules(saga.clone()).contains(&Rule::NotDecided));
    saga.aborts_with.clear();
    assert!(!rules(saga).contains(&Rule::NotDecided));
}

#[test]
fn an_entry_of_its_own_is_nothing_to_find() {
    let findings = found(|shop| {
        shop[2].entries.push(entry("restock", all(&["inventory.restocked"])));
        shop[4].reactions.push(react("tell-buyers", &["inventory.restocked"], vec![]));
    });
    assert_eq!(findings, []);
}
