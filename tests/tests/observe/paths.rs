//! Every path that the shop's sagas take, by the choreography's own account of them.

use pavane_observe::{State, report::Fate};

use crate::script::{BOUGHT, Script};

/// Event by event: what happens, because of what, and where the saga then stands.
type Path<'a> = &'a [(&'a str, Option<&'a str>, State)];

const PLACED: (&str, Option<&str>, State) = ("order.placed", None, State::InProgress);
const AUTHORIZED: (&str, Option<&str>, State) = ("payment.authorized", Some("order.placed"), State::InProgress);
const RESERVED: (&str, Option<&str>, State) = ("inventory.reserved", Some("payment.authorized"), State::InProgress);
const SHIPPED: (&str, Option<&str>, State) = ("shipping.created", Some("inventory.reserved"), State::InProgress);
const CAPTURED: (&str, Option<&str>, State) = ("payment.captured", Some("shipping.created"), State::InProgress);

const PATHS: [(&str, Path<'_>); 8] = [
    (
        "confirmed",
        &[
            PLACED,
            AUTHORIZED,
            RESERVED,
            SHIPPED,
            CAPTURED,
            ("order.confirmed", Some("payment.captured"), State::Completed),
        ],
    ),
    (
        "declined",
        &[
            PLACED,
            ("payment.declined", Some("order.placed"), State::InProgress),
            ("order.cancelled", Some("payment.declined"), State::Compensated),
        ],
    ),
    (
        "out of stock",
        &[
            PLACED,
            AUTHORIZED,
            ("inventory.rejected", Some("payment.authorized"), State::InProgress),
            // The void need not say anything; without a look at its consumer it can't be waited for.
            ("order.cancelled", Some("inventory.rejected"), State::Compensated),
            ("payment.voided", Some("order.cancelled"), State::Compensated),
        ],
    ),
    (
        "no carrier",
        &[
            PLACED,
            AUTHORIZED,
            RESERVED,
            ("shipping.rejected", Some("inventory.reserved"), State::InProgress),
            ("order.cancelled", Some("shipping.rejected"), State::Compensating),
            ("payment.voided", Some("order.cancelled"), State::Compensating),
            ("inventory.released", Some("order.cancelled"), State::Compensated),
        ],
    ),
    (
        "capture fails",
        &[
            PLACED,
            AUTHORIZED,
            RESERVED,
            SHIPPED,
            ("payment.capture-failed", Some("shipping.created"), State::InProgress),
            ("order.cancelled", Some("payment.capture-failed"), State::Compensating),
            ("inventory.released", Some("order.cancelled"), State::Compensating),
            ("payment.voided", Some("order.cancelled"), State::Compensating),
            ("shipping.cancelled", Some("order.cancelled"), State::Compensated),
        ],
    ),
    (
        "cancelled while it is captured",
        &[
            PLACED,
            AUTHORIZED,
            RESERVED,
            SHIPPED,
            ("order.cancelled", None, State::Compensating),
            ("inventory.released", Some("order.cancelled"), State::Compensating),
            ("payment.captured", Some("shipping.created"), State::Compensating),
            ("shipping.cancelled", Some("order.cancelled"), State::Compensating),
            ("payment.refunded", Some("order.cancelled"), State::Compensated),
        ],
    ),
    ("cancelled before anything happened", &[PLACED, ("order.cancelled", None, State::Compensated)]),
    (
        "the deadline passes after the end",
        &[
            PLACED,
            AUTHORIZED,
            RESERVED,
            SHIPPED,
            CAPTURED,
            ("order.confirmed", Some("payment.captured"), State::Completed),
            ("order.deadline-passed", None, State::Completed),
        ],
    ),
];

#[test]
fn every_path_of_the_shop_ends_as_it_should() {
    for (title, path) in PATHS {
        let mut script = Script::new();
        for (event, cause, expected) in path {
            script.event(1, event, *cause);
            script.pass(1);
            assert_eq!(script.state(1), *expected, "{title}: after {event}: {:?}", script.waits(1));
        }
        let report = script.saga(1);
        assert!(report.deviations.is_empty(), "{title}: {:?}", report.deviations);
        assert!(report.outstanding.is_empty(), "{title}: {:?}", report.outstanding);
        let (state, overview) = (report.summary.state, script.view.overview());
        assert_eq!(overview.states[&state], 1, "{title}");
        let metrics = script.view.metrics();
        assert_eq!(metrics.completed_total + metrics.compensated_total, 1, "{title}");
        assert_eq!(metrics.completed_seconds.count, metrics.completed_total, "{title}");
        assert_eq!(metrics.compensated_seconds.count, metrics.compensated_total, "{title}");
    }
}

#[test]
fn the_timeline_tells_who_did_what_because_of_what() {
    let mut script = Script::new();
    for (event, cause) in [
        ("order.placed", None),
        ("payment.authorized", Some("order.placed")),
        ("inventory.reserved", Some("payment.authorized")),
        ("shipping.rejected", Some("inventory.reserved")),
        ("order.cancelled", Some("shipping.rejected")),
        ("inventory.released", Some("order.cancelled")),
    ] {
        script.now += 2;
        script.event(1, event, cause);
    }
    let report = script.saga(1);
    let lines: Vec<String> = report
        .timeline
        .iter()
        .map(|event| {
            let by = event.emitted_by.as_deref().unwrap_or("?");
            format!("{} {} by {by} took {:?} {:?}", event.sequence, event.event, event.took_ms, event.role)
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    1 order.placed by order/place-order took None Start
    2 payment.authorized by payment/authorize-payment took Some(2000) Step
    3 inventory.reserved by inventory/reserve-stock took Some(2000) Step
    4 shipping.rejected by shipping/create-shipment took Some(2000) Other
    5 order.cancelled by order/cancel-order took Some(2000) Aborts
    6 inventory.released by inventory/release-stock took Some(2000) Undo
    ");
    let effects: Vec<_> = report.effects.iter().map(|effect| (effect.step.as_str(), effect.fate)).collect();
    assert_eq!(effects, [("authorize-payment", Fate::Presumed), ("reserve-stock", Fate::Undone)]);
    assert_eq!(report.outcome.as_deref(), Some("order.cancelled"));
    assert_eq!(script.view.overview().failed_by["shipping.rejected"], 1);
}

#[test]
fn effects_are_armed_until_the_outcome_and_then_kept_or_undone() {
    let mut script = Script::new();
    script.chain(1, &["order.placed", "payment.authorized"]);
    let fate = |script: &Script| script.saga(1).effects[0].fate;
    assert_eq!(fate(&script), Fate::Armed);
    script.event(1, "order.cancelled", None);
    script.stands("payment_void-payment", 0, 0, 0);
    assert_eq!(fate(&script), Fate::Undoing);
    script.event(1, "payment.voided", Some("order.cancelled"));
    assert_eq!(fate(&script), Fate::Undone);
    script.chain(2, &BOUGHT);
    assert!(script.saga(2).effects.iter().all(|effect| effect.fate == Fate::Kept));
}

#[test]
fn what_is_not_declared_is_told() {
    let mut script = Script::new();
    script.event(1, "order.placed", None);
    script.event(1, "payment.captured", Some("order.placed"));
    script.event(1, "payment.taken", Some("order.placed"));
    let deviations: Vec<_> = script.saga(1).deviations.into_iter().map(|deviation| deviation.what).collect();
    assert_eq!(
        deviations,
        [
            "no reaction of payment declares that it emits payment.captured v1 on order.placed",
            "payment does not declare that it emits payment.taken v1",
        ]
    );
}
