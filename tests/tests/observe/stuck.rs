//! What is overdue is named, with service and event; and nothing else is.

use pavane_choreography::Emission;
use pavane_contract::EventRef;
use pavane_observe::{Filter, State, Update};

use crate::script::{ALLOWED, BOUGHT, Script, durables, is_of, saga_id, shop};

/// Until its shipment is there.
const FORWARD: [&str; 4] = [BOUGHT[0], BOUGHT[1], BOUGHT[2], BOUGHT[3]];

#[expect(clippy::cast_possible_wrap, reason = "half a minute")]
const ALLOWED_SECONDS: i64 = ALLOWED.as_secs() as i64;

#[test]
fn an_overdue_answer_is_named() {
    let mut script = Script::new();
    script.chain(1, &FORWARD);
    script.pass(ALLOWED_SECONDS);
    assert_eq!(script.state(1), State::InProgress);
    script.pass(17);
    assert_eq!(script.state(1), State::Stuck);
    assert_eq!(
        script.waits(1),
        ["waiting 47 s for payment.captured or payment.capture-failed from payment; stuck after 30 s"]
    );
    let stuck = script.view.stuck();
    assert_eq!((stuck.len(), stuck[0].waits_on.as_slice()), (1, ["payment".to_owned()].as_slice()));
    let metrics = script.view.metrics();
    let expected =
        ("payment".to_owned(), "capture-payment".to_owned(), "payment.captured|payment.capture-failed".to_owned());
    assert_eq!(metrics.stuck, [(expected, 1)].into());
    // It comes after all.
    script.event(1, "payment.captured", Some("shipping.created"));
    script.event(1, "order.confirmed", Some("payment.captured"));
    script.look();
    assert_eq!(script.state(1), State::Completed);
    assert!(script.view.stuck().is_empty() && script.view.metrics().stuck.is_empty());
}

#[test]
fn the_service_that_stops_is_named_and_no_other() {
    // What is there when the service stops, and what its silence is then called.
    let cases: [(&str, &[&str], &str); 5] = [
        ("payment", &["order.placed"], "payment.authorized or payment.declined from payment"),
        (
            "inventory",
            &["order.placed", "payment.authorized"],
            "inventory.reserved or inventory.rejected from inventory",
        ),
        (
            "shipping",
            &["order.placed", "payment.authorized", "inventory.reserved"],
            "shipping.created or shipping.rejected from shipping",
        ),
        ("order", &["order.placed", "payment.declined"], "order.cancelled from order"),
        ("notification", &BOUGHT, "notification to handle order.confirmed (send-confirmation)"),
    ];
    for (service, events, expected) in cases {
        let mut script = Script::new();
        script.pass(100);
        script.all_idle();
        script.chain(1, events);
        script.others_idle(service);
        for durable in durables().iter().filter(|durable| is_of(durable, service)) {
            script.stands(durable, 0, 0, 0);
        }
        script.pass(ALLOWED_SECONDS);
        script.others_idle(service);
        assert!(script.view.stuck().is_empty(), "{service}: too early: {:?}", script.view.stuck());
        script.pass(5);
        script.others_idle(service);
        let stuck = script.view.stuck();
        assert_eq!(stuck.len(), 1, "{service}");
        assert_eq!(stuck[0].waits_on, [service], "{:?}", script.waits(1));
        assert!(stuck[0].waits_for.as_ref().unwrap().contains(expected), "{service}: {:?}", stuck[0].waits_for);
        let mut filter = Filter::default();
        filter.service = Some(service.to_owned());
        assert_eq!(script.view.sagas(&filter).total, 1);
    }
}

#[test]
fn a_service_that_catches_up_is_no_longer_named() {
    let mut script = Script::new();
    script.all_idle();
    script.chain(1, &BOUGHT);
    script.others_idle("notification");
    script.stands("notification_send-confirmation", 0, 0, 0);
    script.pass(60);
    assert_eq!(script.state(1), State::Stuck);
    script.all_idle();
    assert_eq!(script.state(1), State::Completed);
    assert!(script.waits(1).is_empty());
}

#[test]
fn an_event_that_was_given_out_and_never_settled_is_named_once_it_is_certain() {
    let mut script = Script::new();
    let durable = "notification_send-confirmation";
    for saga in 1..=3 {
        script.chain(saga, &BOUGHT);
    }
    // The service was killed while it had the confirmations of the first and the third in hand.
    script.stands(durable, 0, script.sequence, 2);
    let awaited = |script: &Script, saga| script.waits(saga).iter().any(|wait| wait.contains("(send-confirmation)"));
    assert!((1..=3).all(|saga| awaited(&script, saga)), "it was given them just now");
    script.pass(40);
    assert!(awaited(&script, 1) && !awaited(&script, 2), "what may long be handled is not called awaited for ever");
    assert_eq!(script.state(1), State::Stuck, "the first one behind what is settled");
    assert_eq!((script.state(2), script.state(3)), (State::Completed, State::Completed), "may be the settled one");
    script.stands(durable, 0, script.sequence, 3);
    assert_eq!((script.state(2), script.state(3)), (State::Stuck, State::Stuck), "as many in hand as there are");
}

#[test]
fn the_last_in_a_long_queue_is_not_stuck_while_the_queue_moves() {
    let mut script = Script::new();
    let durable = "payment_authorize-payment";
    for saga in 1..=100 {
        script.event(saga, "order.placed", None);
    }
    // One order in two seconds.
    for done in 1..=80 {
        script.pass(2);
        script.event(done, "payment.authorized", Some("order.placed"));
        script.works(durable, u64::from(done));
        assert!(script.view.stuck().iter().all(|stuck| !stuck.waits_on.contains(&"payment".to_owned())), "at {done}");
    }
    // Now it stops: the others have waited long enough.
    script.pass(ALLOWED_SECONDS + 1);
    let waiting: Vec<_> = script.view.stuck().into_iter().filter(|stuck| stuck.waits_on == ["payment"]).collect();
    assert_eq!(waiting.len(), 20);
}

#[test]
fn while_events_are_still_being_read_nobody_is_late() {
    let mut script = Script::new();
    script.event(1, "order.placed", None);
    script.now += 3600;
    let at = crate::script::at(script.now);
    // The answer is in the stream already, unread.
    script.view.apply([Update::End { at, last_sequence: 2, reached: false, loaded: false }]);
    assert_eq!(script.state(1), State::InProgress);
    assert_eq!(script.saga(1).outstanding[0].waited_ms, 0);
}

#[test]
fn a_step_that_may_be_barred_is_not_waited_for_unless_its_service_is_away() {
    let mut script = Script::new();
    script.event(1, "order.placed", None);
    script.event(1, "order.cancelled", None);
    // Payment has handled both: the undo came first, and barred the step.
    script.idle(&["payment_authorize-payment", "payment_void-payment"]);
    script.pass(100);
    assert_eq!(script.state(1), State::Compensated);
    // Of another order it has handled neither.
    script.event(2, "order.placed", None);
    script.event(2, "order.cancelled", None);
    script.stands("payment_authorize-payment", 2, 2, 0);
    script.stands("payment_void-payment", 2, 2, 0);
    assert_eq!(script.state(2), State::Compensating);
    script.pass(40);
    assert_eq!((script.state(1), script.state(2)), (State::Compensated, State::Stuck));
    assert!(script.waits(2).iter().all(|wait| wait.contains("payment to handle")), "{:?}", script.waits(2));
}

#[test]
fn an_undo_that_waits_for_a_running_effect_is_waited_for() {
    let mut script = Script::new();
    script.event(1, "order.placed", None);
    script.event(1, "order.cancelled", None);
    script.stands("payment_authorize-payment", 0, 1, 1);
    script.stands("payment_void-payment", 0, 2, 1);
    script.pass(10);
    assert_eq!(script.state(1), State::Compensating);
    script.event(1, "payment.authorized", Some("order.placed"));
    script.idle(&["payment_authorize-payment"]);
    assert_eq!(script.state(1), State::Compensating);
    script.event(1, "payment.voided", Some("order.cancelled"));
    script.idle(&["payment_void-payment"]);
    assert_eq!(script.state(1), State::Compensated);
}

#[test]
fn a_reaction_that_gave_up_and_said_so_owes_no_other_answer() {
    let mut script = Script::new();
    let mut shipping = shop().into_iter().find(|it| it.manifest.service == "shipping").unwrap();
    let create = shipping.manifest.reactions.iter_mut().find(|it| it.name == "create-shipment").unwrap();
    // What it says when it gives up is none of its answers.
    create.emits = vec![Emission::All(vec![EventRef { name: "shipping.created".to_owned(), version: 1 }])];
    script.view.apply([Update::Declared(Box::new(shipping))]);
    script.chain(1, &["order.placed", "payment.authorized", "inventory.reserved"]);
    let owes = |script: &Script| script.waits(1).iter().any(|wait| wait.contains("shipping.created from shipping"));
    assert!(owes(&script));
    script.event(1, "shipping.rejected", Some("inventory.reserved"));
    assert!(!owes(&script), "{:?}", script.waits(1));
}

#[test]
fn a_saga_that_nobody_ends_is_named_when_its_time_is_over() {
    let mut script = Script::new();
    // An event of nobody's declaration starts nothing; this one is the saga's start, and everything answers.
    script.event(1, "order.placed", None);
    script.event(1, "payment.authorized", Some("order.placed"));
    script.event(1, "inventory.reserved", Some("payment.authorized"));
    script.event(1, "shipping.created", Some("inventory.reserved"));
    script.event(1, "payment.captured", Some("shipping.created"));
    script.pass(25 * 3600);
    let waits = script.waits(1);
    assert!(waits.iter().any(|wait| wait.contains("order.confirmed or order.cancelled from anybody")), "{waits:?}");
}

#[test]
fn a_saga_is_found_by_its_key_its_id_and_its_events() {
    let mut script = Script::new();
    script.chain(1, &FORWARD);
    script.chain(2, &FORWARD);
    let event = script.saga(2).timeline[1].id.to_string();
    for text in ["order-2", &saga_id(2).to_string(), &event] {
        assert_eq!(script.view.find(text), [saga_id(2)], "{text}");
    }
    assert!(script.view.find("order-3").is_empty() && script.view.find("").is_empty());
    let mut filter = Filter::default();
    filter.text = Some("order-".to_owned());
    filter.limit = 1;
    let page = script.view.sagas(&filter);
    assert_eq!((page.total, page.sagas.len()), (2, 1));
}
