//! The streams are read side by side, and the broker may store an event twice: the view must not depend on that.

use pavane_observe::report::Action;
use pavane_observe::{Limits, State, Update, View};
use proptest::prelude::*;

use crate::script::{Script, at, decision, letter, saga_id, shop};

const CANCELLED: [(&str, Option<&str>); 7] = [
    ("order.placed", None),
    ("payment.authorized", Some("order.placed")),
    ("inventory.reserved", Some("payment.authorized")),
    ("shipping.rejected", Some("inventory.reserved")),
    ("order.cancelled", Some("shipping.rejected")),
    ("payment.voided", Some("order.cancelled")),
    ("inventory.released", Some("order.cancelled")),
];

/// What is in the four streams, in the order of each.
fn streams() -> [Vec<Update>; 3] {
    let mut script = Script::new();
    let mut events: Vec<Update> = CANCELLED.iter().map(|(name, cause)| script.make(1, name, *cause)).collect();
    events.extend(CANCELLED[..5].iter().map(|(name, cause)| script.make(2, name, *cause)));
    let release = ("inventory", "release-stock");
    let letters = [
        letter((1, at(9)), 2, release, "order.cancelled", "no"),
        letter((2, at(9)), 1, release, "order.cancelled", "no"),
    ];
    let decisions = vec![Update::Decision(Box::new(decision(Action::Redrive, &letters[1], at(10))))];
    let letters = letters.into_iter().map(|letter| Update::DeadLetter(Box::new(letter))).collect();
    [events, letters, decisions]
}

fn end(view: &mut View) {
    view.apply([Update::End { at: at(12), last_sequence: 100, reached: true, loaded: true }]);
}

fn expected() -> View {
    let mut view = View::new(Limits::default());
    view.apply(shop().into_iter().map(|declaration| Update::Declared(Box::new(declaration))));
    view.apply(streams().into_iter().flatten());
    end(&mut view);
    view
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_view_is_the_same(choices in proptest::collection::vec(0_usize..6, 60), again in proptest::collection::vec(any::<bool>(), 60)) {
        let mut rest = streams().map(std::collections::VecDeque::from);
        let mut declared: std::collections::VecDeque<_> = shop().into();
        let mut view = View::new(Limits::default());
        let mut batch = Vec::new();
        for (choice, twice) in choices.into_iter().zip(again) {
            match choice {
                3 => batch.extend(declared.pop_front().map(|declaration| Update::Declared(Box::new(declaration)))),
                4 => view.apply(std::mem::take(&mut batch)),
                stream => if let Some(update) = rest[stream % 3].pop_front() {
                    if twice {
                        batch.push(update.clone());
                    }
                    batch.push(update);
                },
            }
        }
        view.apply(batch);
        view.apply(declared.into_iter().map(|declaration| Update::Declared(Box::new(declaration))));
        view.apply(rest.into_iter().flatten());
        end(&mut view);
        let expected = expected();
        for saga in [1, 2] {
            let (mut found, wanted) = (view.saga(saga_id(saga)).unwrap(), expected.saga(saga_id(saga)).unwrap());
            found.timeline.iter_mut().for_each(|event| event.copies = 0);
            prop_assert_eq!(found, wanted);
        }
        prop_assert_eq!(view.overview().states, expected.overview().states);
    }
}

#[test]
fn it_is_the_one_that_is_meant() {
    let view = expected();
    let state = |saga| view.saga(saga_id(saga)).unwrap().summary.state;
    assert_eq!((state(1), state(2)), (State::Compensated, State::NeedsReview));
}

#[test]
fn memory_is_bounded_and_ended_sagas_go_first() {
    let mut script = Script::new();
    let mut limits = Limits::default();
    limits.sagas_max = 3;
    script.view = View::new(limits);
    script.view.apply(shop().into_iter().map(|declaration| Update::Declared(Box::new(declaration))));
    script.event(1, "order.placed", None);
    for saga in 2..=6 {
        for (name, cause) in CANCELLED {
            script.event(saga, name, cause);
        }
    }
    let known = |script: &Script| (1..=9).filter(|saga| script.view.saga(saga_id(*saga)).is_some()).collect::<Vec<_>>();
    assert_eq!(known(&script), [1, 5, 6], "the open one stays");
    assert_eq!((script.view.overview().forgotten, script.view.overview().forgotten_open), (3, 0));
    assert_eq!(script.view.metrics().compensated_total, 5, "what is forgotten was counted");
    for saga in 7..=9 {
        script.event(saga, "order.placed", None);
    }
    assert_eq!(known(&script), [7, 8, 9], "and if need be, the oldest open one goes");
    assert_eq!(script.view.overview().forgotten_open, 1);
}

#[test]
fn a_saga_without_end_does_not_fill_the_memory() {
    let mut script = Script::new();
    let mut limits = Limits::default();
    limits.events_per_saga_max = 1000;
    script.view = View::new(limits);
    for number in 0..1200 {
        script.event(1, &format!("order.note-{number}"), None);
    }
    let report = script.saga(1);
    assert_eq!((report.timeline.len(), report.events_dropped), (1000, 200));
}
