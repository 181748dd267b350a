//! What dead letters mean for their sagas, and what is known before they are redriven.

use pavane_observe::{
    LetterFilter, State, Update,
    redrive::Concern,
    report::{Action, LetterFate},
};

use crate::script::{BOUGHT, Script, at, decision, letter};

const RELEASE: (&str, &str) = ("inventory", "release-stock");
const CREATE: (&str, &str) = ("shipping", "create-shipment");
const AUTHORIZE: (&str, &str) = ("payment", "authorize-payment");
const MAIL: (&str, &str) = ("notification", "send-confirmation");

/// A cancelled order whose stock can't be released.
fn failed_undo() -> (Script, u64) {
    let mut script = Script::new();
    script.chain(1, &["order.placed", "payment.authorized", "inventory.reserved"]);
    script.event(1, "order.cancelled", None);
    script.event(1, "payment.voided", Some("order.cancelled"));
    let letter = script.dead_letter(1, RELEASE, "order.cancelled", "the warehouse is on fire");
    script.all_idle();
    (script, letter)
}

#[test]
fn a_failed_undo_needs_review_until_a_redrive_of_it_succeeds() {
    let (mut script, letter) = failed_undo();
    assert_eq!(script.state(1), State::NeedsReview);
    assert!(script.waits(1)[0].contains("in vain: release-stock gave up (dead letter 1)"), "{:?}", script.waits(1));
    assert!(script.view.dead_letter(letter).unwrap().undo);
    script.decide(Action::Redrive, letter);
    script.redriven(1, RELEASE, "order.cancelled");
    assert_eq!(script.state(1), State::Compensating);
    // It fails again, with another letter.
    let second = script.dead_letter(1, RELEASE, "order.cancelled", "still on fire");
    assert_eq!(script.state(1), State::NeedsReview);
    script.decide(Action::Redrive, second);
    script.redriven(1, RELEASE, "order.cancelled");
    script.event(1, "inventory.released", Some("order.cancelled"));
    script.all_idle();
    let report = script.saga(1);
    assert_eq!(report.summary.state, State::Compensated);
    assert_eq!((report.dead_letters.len(), report.decisions.len()), (2, 2));
    assert_eq!(report.timeline.iter().filter(|event| !event.redriven_to.is_empty()).count(), 1);
}

#[test]
fn a_failed_undo_is_over_when_somebody_discards_it() {
    let (mut script, letter) = failed_undo();
    script.decide(Action::Discard, letter);
    script.all_idle();
    assert_eq!(script.state(1), State::Compensated);
    assert_eq!(script.view.dead_letter(letter).unwrap().fate, LetterFate::Discarded);
}

#[test]
fn a_saga_that_somebody_resolved_is_resolved() {
    let (mut script, letter) = failed_undo();
    script.decide(Action::Resolve, letter);
    assert_eq!(script.state(1), State::Resolved);
    assert!(script.waits(1).is_empty());
}

#[test]
fn a_step_that_gave_up_leaves_its_saga_stuck_at_once() {
    let mut script = Script::new();
    script.event(1, "order.placed", None);
    script.dead_letter(1, AUTHORIZE, "order.placed", "rejected");
    assert_eq!(script.state(1), State::Stuck);
    // The deadline cancels it, and nothing was done.
    script.event(1, "order.cancelled", None);
    script.all_idle();
    assert_eq!(script.state(1), State::Stuck, "what the provider did is for somebody to look at");
    script.decide(Action::Discard, 1);
    script.all_idle();
    assert_eq!(script.state(1), State::Compensated);
}

#[test]
fn a_step_that_told_its_saga_that_it_gave_up_is_not_stuck() {
    let mut script = Script::new();
    script.chain(1, &["order.placed", "payment.authorized", "inventory.reserved"]);
    script.dead_letter(1, CREATE, "inventory.reserved", "no route");
    script.event(1, "shipping.rejected", Some("inventory.reserved"));
    assert_eq!(script.state(1), State::InProgress);
    let plan = script.view.plan(&LetterFilter::default());
    assert!(!plan.letters[0].go);
    script.all_idle();
    let concerns = script.view.plan(&LetterFilter::default()).letters.remove(0).concerns;
    assert!(matches!(concerns.as_slice(), [Concern::SagaWasTold(_)]), "{concerns:?}");
}

#[test]
fn a_mail_that_can_not_be_sent_leaves_its_saga_stuck() {
    let mut script = Script::new();
    script.chain(1, &BOUGHT);
    script.all_idle();
    assert_eq!(script.state(1), State::Completed);
    script.dead_letter(1, MAIL, "order.confirmed", "no such mailbox");
    script.all_idle();
    assert_eq!(script.state(1), State::Stuck);
    // The saga has ended, which doesn't speak against sending its mail.
    let plan = script.view.plan(&LetterFilter::default());
    assert!(plan.letters[0].go, "{:?}", plan.letters[0].concerns);
    script.decide(Action::Redrive, 1);
    script.redriven(1, MAIL, "order.confirmed");
    script.stands("notification_send-confirmation", 6, 6, 0);
    assert!(script.waits(1)[0].contains("notification to handle order.confirmed"), "{:?}", script.waits(1));
    script.all_idle();
    assert_eq!(script.state(1), State::Completed);
}

#[test]
fn what_speaks_against_a_redrive_is_told() {
    let mut script = Script::new();
    script.all_idle();
    // Answered by another delivery; barred; unknown; not for it.
    script.chain(1, &["order.placed", "payment.authorized"]);
    script.dead_letter(1, AUTHORIZE, "order.placed", "a");
    script.event(2, "order.placed", None);
    script.event(2, "order.cancelled", None);
    script.dead_letter(2, AUTHORIZE, "order.placed", "b");
    script.dead_letter(3, ("loyalty", "add-points"), "order.confirmed", "c");
    script.dead_letter(4, AUTHORIZE, "order.confirmed", "d");
    script.all_idle();
    let plan = script.view.plan(&LetterFilter::default());
    assert_eq!(plan.go(), 0);
    let concerns: Vec<_> = plan.letters.iter().map(|letter| letter.concerns[0].clone()).collect();
    assert!(
        matches!(&concerns[0], Concern::AlreadyApplied(what) if what.contains("payment.authorized")),
        "{concerns:?}"
    );
    assert!(matches!(&concerns[1], Concern::Barred(what) if what.contains("void-payment")), "{concerns:?}");
    assert!(
        matches!(&concerns[2], Concern::NobodyListens(what) if what.contains("loyalty/add-points")),
        "{concerns:?}"
    );
    assert!(matches!(&concerns[3], Concern::NotForIt(_)), "{concerns:?}");
    let mut plan = plan;
    plan.insist();
    assert_eq!(plan.go(), 3, "insisting doesn't help where nobody listens");
    // After 45 days the service has forgotten what it did.
    let mut filter = LetterFilter::default();
    filter.sequences = vec![1];
    script.pass(46 * 86_400);
    let mut plan = script.view.plan(&filter);
    let concerns = &plan.letters[0].concerns;
    assert!(concerns.iter().any(|concern| matches!(concern, Concern::MayBeForgotten(_))), "{concerns:?}");
    plan.insist();
    assert_eq!(plan.go(), 0, "nor where an effect could run twice");
}

#[test]
fn what_will_not_come_by_itself_is_told_before_what_is_only_late() {
    let mut script = Script::new();
    let failed =
        ["order.placed", "payment.authorized", "inventory.reserved", "shipping.created", "payment.capture-failed"];
    script.chain(1, &failed);
    script.event(1, "order.cancelled", Some("payment.capture-failed"));
    script.dead_letter(1, ("payment", "void-payment"), "order.cancelled", "the provider is gone");
    script.pass(60);
    let waits = script.waits(1);
    assert!(waits[0].contains("in vain: void-payment gave up"), "{waits:?}");
    assert!(waits[1].contains("from inventory") || waits[1].contains("from shipping"), "{waits:?}");
}

#[test]
fn a_discarded_letter_excuses_its_own_event_only() {
    let mut script = Script::new();
    script.chain(1, &["order.placed", "payment.authorized", "inventory.reserved"]);
    script.stands("order_track-progress", 0, 0, 0);
    let letter = script.dead_letter(1, ("order", "track-progress"), "payment.authorized", "no paper");
    script.decide(Action::Discard, letter);
    let waits = script.waits(1).join("\n");
    assert!(!waits.contains("order to handle payment.authorized (track-progress)"), "{waits}");
    assert!(waits.contains("order to handle inventory.reserved (track-progress)"), "{waits}");
}

#[test]
fn letters_are_grouped_by_who_and_why() {
    let mut script = Script::new();
    for saga in 1..=3 {
        script.dead_letter(saga, CREATE, "inventory.reserved", &format!("no route to {saga}0000"));
    }
    script.dead_letter(4, CREATE, "inventory.reserved", "no carrier");
    script.dead_letter(5, MAIL, "order.confirmed", "no carrier");
    let groups = script.view.dead_letter_groups(&LetterFilter::default());
    let told: Vec<_> =
        groups.iter().map(|group| (group.count, group.reaction.as_str(), group.cause.as_str())).collect();
    assert_eq!(told[0], (3, "create-shipment", "no route to …"));
    assert_eq!(told.len(), 3);
    let mut filter = LetterFilter::default();
    filter.group = Some(groups[0].id.clone());
    assert_eq!(script.view.dead_letters(&filter).len(), 3);
    script.decide(Action::Discard, 1);
    assert_eq!(script.view.dead_letters(&filter).len(), 2);
    filter.decided = true;
    assert_eq!(script.view.dead_letters(&filter).len(), 3);
}

#[test]
fn a_decision_about_another_letter_of_that_number_is_none() {
    let mut script = Script::new();
    script.event(1, "order.placed", None);
    let old = letter((1, at(0)), 9, MAIL, "order.confirmed", "of a stream that is gone");
    script.view.apply([Update::Decision(Box::new(decision(Action::Redrive, &old, at(0))))]);
    script.dead_letter(1, AUTHORIZE, "order.placed", "new");
    assert_eq!(script.view.dead_letter(1).unwrap().fate, LetterFate::Open);
}
