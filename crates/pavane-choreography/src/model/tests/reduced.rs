//! The reduced search finds what the whole one does: what is wrong, who is named, and every end. A dependency that it forgets is
//! noticed.

use std::collections::{BTreeSet, HashSet, VecDeque};

use proptest::{collection::vec, option, prelude::*, sample::Index, strategy::ValueTree as _, test_runner::TestRunner};

use super::{
    Choreography, Listeners, Model, Move, Rules, State, ViolationKind, any, search,
    seats::{seats, seats_and_bags, seats_and_hotel},
    shop,
};
use crate::{
    Emission, Entry, Manifest, Reaction,
    model::{
        Violation,
        footprint::{Access, Place},
        properties::EMITTED_MAX,
        reduce::Reduction,
        state::Used,
    },
};

/// More states than most of these have. What is larger is left out.
const STATES_MAX: usize = 5_000;

/// Everything that can be said about a choreography.
#[derive(Debug, Default, PartialEq, Eq)]
struct Findings {
    /// What is wrong, and with whom, anywhere.
    wrong: BTreeSet<String>,
    /// How it may end.
    ends: HashSet<State>,
    /// Whether an event is emitted over and over. There is no looking at all of that.
    endless: bool,
}

/// A step of a search: what follows from a state, and whether it is an end.
type Next<'m> = dyn Fn(&State) -> (Vec<(Move, State)>, bool) + 'm;

/// A state without what only a reduced search says: that an entry point will never be used.
fn without_never(state: &State) -> State {
    let open = |used: &Used| if *used == Used::Never { Used::NotYet } else { *used };
    State { used: state.used.iter().map(open).collect(), ..state.clone() }
}

/// By a search that goes on where something is wrong. `None` if there are too many states.
fn findings(model: &Model, next: &Next<'_>) -> Option<Findings> {
    let mut findings = Findings::default();
    let (mut seen, mut differ): (HashSet<State>, HashSet<State>) = Default::default();
    let nothing_yet = model.nothing_yet();
    let beginnings = model.beginnings().into_iter().filter_map(|by| model.next(&nothing_yet, by));
    let mut queue: VecDeque<State> = beginnings.collect();
    while let Some(state) = queue.pop_front() {
        if !seen.insert(state.clone()) {
            continue;
        }
        differ.insert(without_never(&state));
        if differ.len() > model.states_max {
            return None;
        }
        if state.deliveries.iter().any(|delivery| delivery.emitted() > EMITTED_MAX) {
            findings.endless = true;
            continue;
        }
        if state.completed && state.aborted {
            findings.wrong.insert(ViolationKind::BothOutcomes.to_string());
        }
        let refused = state.refused.iter().zip(&model.steps).filter(|(refused, _)| **refused);
        findings.wrong.extend(refused.map(|(_, step)| format!("{} is given a second event", model.label(*step))));
        let (next, is_end) = next(&state);
        queue.extend(next.into_iter().map(|(_, next)| next));
        if is_end {
            findings.wrong.extend(model.wrong_at_the_end(&state).map(|wrong| wrong.to_string()));
            findings.ends.insert(without_never(&state));
        }
    }
    Some(findings)
}

fn whole(model: &Model) -> Option<Findings> {
    findings(model, &|state| {
        let mut moves = Vec::new();
        model.moves(state, &mut moves);
        let next: Vec<_> = moves.into_iter().filter_map(|by| Some((by, model.next(state, by)?))).collect();
        let is_end = !next.iter().any(|(by, _)| by.must_happen());
        (next, is_end)
    })
}

fn reduced(model: &Model) -> Option<Findings> {
    let reduction = Reduction::of(model);
    findings(model, &|state| {
        let next = reduction.next(state);
        let is_end = next.is_empty();
        (next, is_end)
    })
}

/// Whether the two agree. `None` where there is too much to look at.
fn agree(model: &Model) -> Option<bool> {
    let whole = whole(model)?;
    let Some(reduced) = reduced(model) else { return Some(false) };
    Some(whole.endless == reduced.endless && (whole.endless || whole == reduced))
}

/// A step of a choreography that was meant to be sound, more or less.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each may be without the others")]
struct Plan {
    /// The events that it runs on: the start, and what steps before it emit.
    on: Vec<Index>,
    /// Whether it waits for all of them. Then a part may also be the "no" of its step.
    joins: bool,
    /// Whether it runs once for each item of a list. Without a list, it runs once.
    items: bool,
    /// Whether its undo waits for that of the step before it in its service.
    ordered: bool,
    /// Whether it can say no.
    refuses: bool,
    effect: bool,
    gives_up: bool,
    undo: Option<Undo>,
    /// Whether its "no" is heard.
    heard: bool,
}

#[derive(Debug, Clone)]
struct Undo {
    effect: bool,
    emits: bool,
}

fn plan() -> impl Strategy<Value = Plan> {
    let undo = (any::<bool>(), any::<bool>()).prop_map(|(effect, emits)| Undo { effect, emits });
    let on = prop_oneof![
        5 => (vec(any::<Index>(), 1), Just(false)),
        1 => (vec(any::<Index>(), 2), Just(false)),
        4 => (vec(any::<Index>(), 2..=3), Just(true)),
    ];
    let flags = (any::<bool>(), prop::bool::weighted(0.3), prop::bool::weighted(0.3), prop::bool::weighted(0.9));
    let (items, ordered) = (prop::bool::weighted(0.15), prop::bool::weighted(0.2));
    let undo = (option::weighted(0.85, undo), ordered);
    (on, items, flags, undo).prop_map(|((on, joins), items, (refuses, effect, gives_up, heard), (undo, ordered))| {
        Plan { on, joins, items, ordered, refuses, effect, gives_up, undo, heard }
    })
}

/// A question of the service that decides: what it is asked after, whether it expires, and whether a "no" is heard.
fn asked() -> impl Strategy<Value = Option<(Index, bool, bool)>> {
    option::weighted(0.4, (any::<Index>(), prop::bool::weighted(0.7), prop::bool::weighted(0.8)))
}

/// Steps in lines, forks and joins, with undos, a deadline, a question, a customer who cancels; often sound, often nearly.
fn grown() -> impl Strategy<Value = Choreography> {
    let ends = (any::<Index>(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.2), asked());
    (vec(plan(), 1..=4), ends).prop_map(|(plans, (confirm_on, deadline, cancel, undecided, asked))| {
        let mut services: Vec<Manifest> =
            ["b", "c"].map(|service| shop::manifest(service, Vec::new(), Vec::new())).into();
        let mut done = vec!["a.started".to_owned()];
        let mut failures = vec!["a.due".to_owned()];
        for (number, plan) in plans.iter().enumerate() {
            let service = &mut services[number % 2];
            service.reactions.extend(reactions(plan, number, &service.service, &done));
            let all_done = if plan.items { "all" } else { "done" };
            done.push(format!("{}.{all_done}{number}", service.service));
            failures.extend(plan.heard.then(|| format!("{}.refused{number}", service.service)));
        }
        let mut started = shop::all(&["a.started"]);
        started.extend(deadline.then(|| Emission::Scheduled(shop::events(&["a.due"]))));
        let mut entries = vec![shop::entry("start", started)];
        entries.extend(cancel.then(|| shop::entry("cancel", shop::decides(&["a.aborted"]))));
        let mut reactions = Vec::new();
        if let Some((on, expires, heard)) = asked {
            let (ask, answer) = question(on.get(&done).as_str(), expires);
            reactions.push(ask);
            entries.push(answer);
            done.push("a.approved".to_owned());
            failures.extend(expires.then(|| "a.expired".to_owned()));
            failures.extend(heard.then(|| "a.disapproved".to_owned()));
        }
        let failures: Vec<&str> = failures.iter().map(String::as_str).collect();
        let confirms = if undecided { shop::all(&["a.completed"]) } else { shop::decides(&["a.completed"]) };
        let confirm = shop::react("confirm", &[confirm_on.get(&done).as_str()], confirms);
        reactions.extend([confirm, shop::react("cancel-it", &failures, shop::decides(&["a.aborted"]))]);
        services.push(shop::manifest("a", entries, reactions));
        Choreography::of(services)
    })
}

fn question(on: &str, expires: bool) -> (Reaction, Entry) {
    let mut asks = shop::all(&["a.asked"]);
    asks.extend(expires.then(|| Emission::Scheduled(shop::events(&["a.expired"]))));
    let answers = shop::one_of(&["a.approved", "a.disapproved"]);
    (shop::react("ask", &[on], asks), shop::answer("answer", "a.asked", expires.then_some("a.expired"), answers))
}

/// A join of all of these. Of the last one, a "no" is enough.
fn joined(name: &str, on: &[&str], emits: Vec<Emission>) -> Reaction {
    let no = on.last().map(|last| last.replace("done", "refused")).unwrap_or_default();
    let mut parts: Vec<Vec<&str>> = Vec::new();
    for event in on {
        let is_new = parts.iter().all(|part| !part.contains(event));
        parts.extend(is_new.then(|| vec![*event]));
    }
    if let Some(last) = parts.last_mut().filter(|last| !last.contains(&&*no)) {
        last.push(&no);
    }
    let parts: Vec<&[&str]> = parts.iter().map(Vec::as_slice).collect();
    shop::join(name, &parts, emits)
}

fn reactions(plan: &Plan, number: usize, service: &str, before: &[String]) -> Vec<Reaction> {
    let [done, refused, undone] = ["done", "refused", "undone"].map(|fact| format!("{service}.{fact}{number}"));
    let on: Vec<&str> = plan.on.iter().map(|on| on.get(before).as_str()).collect();
    let emits = if plan.refuses { shop::one_of(&[&done, &refused]) } else { shop::all(&[&done]) };
    let gives_up_with = plan.gives_up.then(|| shop::event(&refused));
    let name = format!("do{number}");
    let begin = |name: &str, emits| if plan.joins { joined(name, &on, emits) } else { shop::react(name, &on, emits) };
    let mut reactions = Vec::new();
    let step = if plan.items {
        let [wanted, all] = ["wanted", "all"].map(|fact| format!("{service}.{fact}{number}"));
        reactions.push(begin(&format!("split{number}"), shop::list(&[&wanted, &refused])));
        reactions.push(shop::every(&format!("all{number}"), &done, &[], shop::all(&[&all])));
        shop::each(&name, &wanted, emits)
    } else {
        begin(&name, emits)
    };
    reactions.push(Reaction { effect: plan.effect, gives_up_with, ..step });
    reactions.extend(plan.undo.as_ref().map(|undo| {
        let emits = if undo.emits { shop::maybe(&[&undone]) } else { Vec::new() };
        let reaction = shop::undo(&format!("undo{number}"), &done, &["a.aborted"], emits);
        let before = number.checked_sub(2).filter(|_| plan.ordered);
        let after_undo_of = before.map(|before| shop::event(&format!("{service}.done{before}")));
        Reaction { effect: undo.effect, after_undo_of: after_undo_of.into_iter().collect(), ..reaction }
    }));
    reactions
}

fn model(choreography: &Choreography, sizes: Index) -> Model {
    Model { states_max: STATES_MAX, ..any::model(choreography, sizes) }
}

proptest! {
    #[test]
    fn a_grown_choreography_has_the_same_findings(choreography in grown(), sizes in any::<Index>(), give_ups in any::<bool>()) {
        let model = Model { give_ups, ..model(&choreography, sizes) };
        prop_assert_ne!(agree(&model), Some(false), "{:?}\n{:?}", whole(&model), reduced(&model));
    }

    #[test]
    fn an_odd_choreography_has_the_same_findings(choreography in any::choreography(), sizes in any::<Index>(), give_ups in any::<bool>()) {
        let model = Model { give_ups, ..model(&choreography, sizes) };
        prop_assert_ne!(agree(&model), Some(false), "{:?}\n{:?}", whole(&model), reduced(&model));
    }

    #[test]
    fn a_counterexample_is_as_short_as_that_of_the_whole_search(choreography in grown(), sizes in any::<Index>()) {
        let model = model(&choreography, sizes);
        let (whole, reduced) = (search::whole(&model), search::reduced(&model));
        prop_assume!(!matches!(&whole, Err(found) if matches!(found.kind, ViolationKind::TooManyStates { .. })));
        match (whole, reduced) {
            (Ok(whole), Ok(reduced)) => {
                prop_assert_eq!((reduced.completed, reduced.aborted), (whole.completed, whole.aborted));
            }
            (Err(whole), Err(reduced)) => {
                let told = [whole, reduced].map(|found| Violation::of(&model, "any", found));
                prop_assert_eq!(told[0].to_string(), told[1].to_string());
            }
            (whole, reduced) => prop_assert!(false, "{whole:?}, but {reduced:?}"),
        }
    }
}

#[test]
fn the_shop_and_the_broken_shops_have_the_same_findings() {
    let mut broken = shop::manifests();
    broken[0].reactions[1].on.push(shop::event("inventory.rejected"));
    let mut twice = shop::manifests();
    twice[2].reactions[0].on.push(shop::event("order.placed"));
    let mut silent = shop::manifests();
    silent[0].reactions[1].emits = shop::one_of(&[]);
    for manifests in [shop::manifests(), broken, twice, silent] {
        let model = Model::of(&Choreography::of(manifests), &shop::saga(), Listeners::ThatMatter);
        assert_eq!(agree(&model), Some(true));
    }
    assert_eq!(agree(&super::shop_without_refund()), Some(true));
}

#[test]
fn trips_with_items_have_the_same_findings() {
    let trips =
        [(seats(), &[2][..]), (seats_and_hotel(), &[0]), (seats_and_bags(), &[2, 1]), (seats_and_bags(), &[0, 2])];
    for (trip, sizes) in trips {
        assert_eq!(agree(&super::items::model(&trip, sizes)), Some(true), "{sizes:?}");
    }
}

/// How many choreographies it takes until somebody notices that footprints lack something.
fn noticed_after(forgets: fn(Place, Access) -> bool) -> Option<usize> {
    let mut runner = TestRunner::deterministic();
    let strategy = (prop_oneof![grown().boxed(), any::choreography().boxed()], any::<Index>());
    (0..300).find(|_| {
        let (choreography, sizes) = strategy.new_tree(&mut runner).unwrap().current();
        let rules = Rules { forgets, ..Rules::RUNTIME };
        agree(&Model { rules, ..model(&choreography, sizes) }) == Some(false)
    })
}

/// Whether a touch is left out of the footprints.
type Forgets = fn(Place, Access) -> bool;

#[test]
fn a_dependency_that_is_forgotten_is_noticed() {
    let forgotten: [(&str, Forgets); 8] = [
        ("that step and undo share a row", |place, _| matches!(place, Place::Row(_))),
        ("that a delivery waits for its event", |place, access| {
            matches!(place, Place::Waiting(_)) && access == Access::Add
        }),
        ("that services decide once", |place, _| matches!(place, Place::Decided(_))),
        ("that an event comes due after it was scheduled", |place, _| matches!(place, Place::Timer(_))),
        ("that what can't answer may give up or not", |place, _| matches!(place, Place::Once(_))),
        ("that a question is open once it is asked", |place, access| {
            matches!(place, Place::Once(_)) && access == Access::Add
        }),
        ("that an answer comes before its timer or not at all", |place, access| {
            matches!(place, Place::Timer(_)) && access == Access::Take
        }),
        ("that an outcome cancels timers", |place, access| matches!(place, Place::Timer(_)) && access == Access::Clear),
    ];
    for (what, forgets) in forgotten {
        assert!(noticed_after(forgets).is_some(), "nobody notices if it is forgotten {what}");
    }
}
