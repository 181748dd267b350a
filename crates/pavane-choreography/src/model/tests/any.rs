//! Any choreography, however odd: nothing panics, and stateright agrees about it.

use pavane_contract::EventRef;
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{Index, subsequence},
};
use stateright::{Checker as _, Model as _};

use super::{Choreography, Listeners, Model, ViolationKind, search, shop};
use crate::{Emission, Entry, JoinPart, Manifest, Question, Reaction, Role, Saga, items};

const EVENTS: [&str; 6] = ["a.started", "a.completed", "a.aborted", "a.due", "b.asked", "b.answered"];

fn owned_by(service: &str) -> Vec<&'static str> {
    EVENTS.into_iter().filter(|event| event.starts_with(service)).collect()
}

fn emission(service: &'static str) -> impl Strategy<Value = Emission> {
    let owned = owned_by(service);
    let events = subsequence(owned, 0..=2).prop_map(|names| shop::events(&names));
    (events, 0..6).prop_map(|(events, kind)| match kind {
        0 => Emission::All(events),
        1 => Emission::OneOf(events),
        2 => Emission::Maybe(events),
        3 => Emission::Outcome(events),
        4 => Emission::Each(events),
        _ => Emission::Scheduled(events),
    })
}

/// One to three parts, of one or two events each, or of every item; the same event may be in several.
fn join() -> impl Strategy<Value = Role> {
    let every = prop::sample::select(EVENTS.to_vec()).prop_map(|name| JoinPart::Every(shop::event(name)));
    let one_of = subsequence(EVENTS.to_vec(), 1..=2).prop_map(|names| JoinPart::OneOf(shop::events(&names)));
    let part = prop_oneof![1 => every, 3 => one_of];
    vec(part, 1..=3).prop_map(|of| Role::Join { of })
}

fn role(service: &'static str) -> impl Strategy<Value = Role> {
    let owned = prop::sample::select(owned_by(service)).prop_map(shop::event);
    prop_oneof![
        3 => Just(Role::React),
        2 => Just(Role::Each),
        2 => join(),
        3 => owned.prop_map(|undoes| Role::Undo { undoes }),
    ]
}

fn reaction(service: &'static str) -> impl Strategy<Value = Reaction> {
    let owned = || prop::sample::select(owned_by(service)).prop_map(shop::event);
    let on = subsequence(EVENTS.to_vec(), 0..=2);
    let after = option::weighted(0.2, owned());
    (on, vec(emission(service), 0..=2), role(service), any::<bool>(), option::weighted(0.2, owned()), after).prop_map(
        |(on, emits, role, effect, gives_up_with, after)| {
            let reaction = Reaction { role, effect, gives_up_with, ..shop::react("", &on, emits) };
            let joined: Vec<EventRef> = reaction.parts().iter().flat_map(JoinPart::events).cloned().collect();
            let on = if joined.is_empty() { reaction.on } else { joined };
            Reaction { on, after_undo_of: after.into_iter().collect(), ..reaction }
        },
    )
}

fn question(service: &'static str) -> impl Strategy<Value = Question> {
    let owned = || prop::sample::select(owned_by(service)).prop_map(shop::event);
    (owned(), option::of(owned())).prop_map(|(asks, expires_with)| Question { asks, expires_with })
}

fn manifest(service: &'static str) -> impl Strategy<Value = Manifest> {
    let entry = (vec(emission(service), 0..=1), option::of(question(service)));
    (vec(reaction(service), 0..=3), entry).prop_map(move |(mut reactions, (emits, answers))| {
        for (number, reaction) in reactions.iter_mut().enumerate() {
            reaction.name = format!("reaction-{number}");
        }
        let entry = Entry { name: "entry".to_owned(), emits, answers };
        Manifest {
            service: service.to_owned(),
            entries: vec![entry],
            reactions,
            events: Vec::new(),
            outlive_outcome: Vec::new(),
        }
    })
}

pub(super) fn choreography() -> impl Strategy<Value = Choreography> {
    (manifest("a"), manifest("b"), any::<bool>()).prop_map(|(mut a, b, deadline)| {
        let mut emits = shop::all(&["a.started"]);
        if deadline {
            emits.push(Emission::Scheduled(shop::events(&["a.due"])));
        }
        a.entries.push(shop::entry("start", emits));
        Choreography::of([a, b])
    })
}

/// Any choreography, with so many items of its lists.
pub(super) fn model(choreography: &Choreography, sizes: Index) -> Model {
    let combinations = items::combinations(choreography, &saga(), usize::MAX).unwrap();
    let sizes = sizes.get(&combinations);
    let (choreography, saga) = items::expand(choreography, &saga(), sizes);
    let model = Model::of(&choreography, &saga, Listeners::ThatMatter);
    Model { one_outcome_is_enough: sizes.has_none(), ..model }
}

pub(super) fn saga() -> Saga {
    let mut saga = Saga::new("any");
    saga.starts_with = Some(shop::event("a.started"));
    saga.completes_with = shop::events(&["a.completed"]);
    saga.aborts_with = shop::events(&["a.aborted"]);
    saga.without_undo =
        (0..4).flat_map(|step| ["b", "c"].map(|it| shop::event(&format!("{it}.wanted{step}")))).collect();
    saga
}

proptest! {
    #[test]
    fn stateright_agrees_about_any_choreography(choreography in choreography(), sizes in any::<Index>()) {
        let model = || Model { states_max: 2_000, ..model(&choreography, sizes) };
        let ours = search::whole(&model());
        // It would look on, and on.
        prop_assume!(!matches!(&ours, Err(found) if matches!(found.kind, ViolationKind::TooManyStates { .. })));
        let theirs = model().checker().spawn_bfs().join();
        match (ours, theirs.discovery("sound")) {
            (Ok(ours), None) => prop_assert_eq!(ours.states, theirs.unique_state_count()),
            // That an outcome isn't reachable isn't a property of a state.
            (Err(ours), None) => prop_assert!(ours.moves.is_empty(), "{:?}", ours),
            (Err(ours), Some(theirs)) => prop_assert_eq!(ours.moves.len(), theirs.into_actions().len() + 1),
            (Ok(ours), Some(theirs)) => prop_assert!(false, "{ours:?}, but {theirs:?}"),
        }
    }

    #[test]
    fn any_choreography_can_be_checked_and_drawn(choreography in choreography(), sizes in any::<Index>()) {
        let choreography = choreography.saga(saga());
        let all = [choreography.map(), choreography.mermaid(), choreography.dot()];
        prop_assert!(all.iter().all(|text| !text.is_empty()));
        for finding in choreography.check() {
            prop_assert!(!finding.to_string().is_empty());
        }
        for path in choreography.paths(&saga()) {
            prop_assert!(!path.title.is_empty());
        }
        let model = Model { states_max: 2_000, ..model(&choreography, sizes) };
        if let Err(found) = search::reduced(&model) {
            prop_assert!(!crate::model::Violation::of(&model, "any", found).to_string().is_empty());
        }
    }
}
