//! The mutation proof: whatever is removed from the wiring tables, something notices. The page lists it all.

use std::{slice, sync::LazyLock};

use pavane_choreography::{Choreography, Emission, JoinPart, Manifest, Reaction, Role, Rule, model::Violation};
use pavane_contract::EventRef;
use travel::trip;

use crate::choreography::manifests;

/// What nothing notices, and why that is right.
const UNNOTICED: [(&str, &str); 4] = [
    (
        "entry point trip/cancel-trip",
        "The saga does without it: whatever it starts, the deadline starts too. That a traveller can cancel is a promise of the HTTP side, \
         and the demo holds it.",
    ),
    (
        "reaction flight/keep-seats",
        "Nothing follows from it, and others consume its event too. The simulation and the demo's audit see seats that are still held.",
    ),
    ("reaction itinerary/send-itinerary", "As above: they count the letters."),
    ("reaction itinerary/apologise", "As above."),
];

struct Mutant {
    what: String,
    manifests: Vec<Manifest>,
}

/// Removes one thing after the other.
struct Cutter {
    mutants: Vec<Mutant>,
    whole: Vec<Manifest>,
}

impl Cutter {
    fn cut(&mut self, at: usize, what: String, change: impl FnOnce(&mut Manifest)) {
        let mut manifests = self.whole.clone();
        change(&mut manifests[at]);
        self.mutants.push(Mutant { what, manifests });
    }

    fn entries(&mut self, at: usize) {
        let manifest = self.whole[at].clone();
        for (ix, entry) in manifest.entries.iter().enumerate() {
            let label = format!("{}/{}", manifest.service, entry.name);
            self.cut(at, format!("entry point {label}"), |it| drop(it.entries.remove(ix)));
            if entry.answers.as_ref().is_some_and(|question| question.expires_with.is_some()) {
                self.cut(at, format!("expiry of {label}"), |it| {
                    it.entries[ix].answers.as_mut().unwrap().expires_with = None;
                });
            }
            for (event, kind) in answers(&entry.emits) {
                self.cut(at, format!("{kind} {event} of {label}"), |it| without(&mut it.entries[ix].emits, &event));
            }
        }
    }

    fn reactions(&mut self, at: usize) {
        let manifest = self.whole[at].clone();
        for (ix, reaction) in manifest.reactions.iter().enumerate() {
            let kind = if reaction.undoes().is_some() { "undo" } else { "reaction" };
            let label = format!("{}/{}", manifest.service, reaction.name);
            self.cut(at, format!("{kind} {label}"), |it| drop(it.reactions.remove(ix)));
            for (part, described) in reaction.parts().iter().enumerate() {
                self.cut(at, format!("part {} of {label}", described.name()), |it| {
                    narrow(&mut it.reactions[ix], part, described.events());
                });
                for event in described.events().iter().filter(|_| described.events().len() > 1) {
                    self.cut(at, format!("alternative {} of {label}", event.name), |it| {
                        narrow(&mut it.reactions[ix], part, slice::from_ref(event));
                    });
                }
            }
            for (on, event) in reaction.on.iter().enumerate().filter(|_| reaction.parts().is_empty()) {
                let what = format!("trigger {} of {label}", event.name);
                self.cut(at, what, |it| drop(it.reactions[ix].on.remove(on)));
            }
            for (event, kind) in answers(&reaction.emits) {
                self.cut(at, format!("{kind} {event} of {label}"), |it| without(&mut it.reactions[ix].emits, &event));
            }
        }
    }
}

/// Takes events away from a part of a join; without any, the part is gone.
fn narrow(join: &mut Reaction, part: usize, gone: &[EventRef]) {
    join.on.retain(|event| !gone.contains(event));
    let Role::Join { of } = &mut join.role else { panic!("{} has no parts", join.name) };
    if let JoinPart::OneOf(events) = &mut of[part] {
        events.retain(|event| !gone.contains(event));
    }
    of.retain(|part| part.events().iter().any(|event| join.on.contains(event)));
}

/// The events of these groups, and what each is called here.
fn answers(emits: &[Emission]) -> Vec<(String, &'static str)> {
    let of = |group: &Emission| {
        let kind = if matches!(group, Emission::Scheduled(_)) { "timer" } else { "answer" };
        group.events().iter().map(|event| (event.name.clone(), kind)).collect::<Vec<_>>()
    };
    emits.iter().flat_map(of).collect()
}

fn without(emits: &mut [Emission], name: &str) {
    for group in emits {
        if let Emission::All(events)
        | Emission::Each(events)
        | Emission::OneOf(events)
        | Emission::Maybe(events)
        | Emission::Outcome(events)
        | Emission::Scheduled(events) = group
        {
            events.retain(|event| event.name != name);
        }
    }
}

/// A mutant, and what notices it.
struct Notice {
    what: String,
    rules: Vec<Rule>,
    violation: Option<Violation>,
}

impl Notice {
    /// What waits, is undone or expires must go wrong in the model, too. Of the rest, the model is asked where no check says anything:
    /// it looks at every state of what it finds sound.
    fn of(Mutant { what, manifests }: Mutant) -> Self {
        let choreography = Choreography::of(manifests).saga(trip::saga());
        let mut rules: Vec<Rule> = choreography.check().into_iter().map(|finding| finding.rule).collect();
        rules.dedup();
        let is_explored = rules.is_empty() || must_go_wrong(&what);
        let violation = if is_explored { choreography.explore(&trip::saga()).err() } else { None };
        Self { what, rules, violation }
    }
}

/// An undo, its trigger, a part of a join. (Without one of its alternatives, a part makes the deadline end the saga, which is sound: the
/// static checks say that nobody consumes the event.)
fn must_go_wrong(what: &str) -> bool {
    let undoes = UNDOS.iter().any(|undo| what.ends_with(undo));
    undoes && !what.starts_with("answer") || what.starts_with("part ")
}

const UNDOS: [&str; 4] = ["release-seat", "release-room", "release-car", "refund-tickets"];

static NOTICES: LazyLock<Vec<Notice>> = LazyLock::new(|| {
    let mut cutter = Cutter { mutants: Vec::new(), whole: manifests() };
    for at in 0..cutter.whole.len() {
        cutter.entries(at);
        cutter.reactions(at);
    }
    cutter.mutants.into_iter().map(Notice::of).collect()
});

#[test]
fn whatever_is_removed_is_noticed() {
    let unnoticed = NOTICES.iter().filter(|notice| notice.rules.is_empty() && notice.violation.is_none());
    let mut unnoticed: Vec<&str> = unnoticed.map(|notice| notice.what.as_str()).collect();
    let mut known = UNNOTICED.map(|(what, _)| what);
    unnoticed.sort_unstable();
    known.sort_unstable();
    assert_eq!(unnoticed, known);
}

#[test]
fn each_undo_and_each_part_has_a_counterexample() {
    let notices: Vec<_> = NOTICES.iter().filter(|notice| must_go_wrong(&notice.what)).collect();
    let (triggers, parts) = (1, 3);
    assert_eq!(notices.len(), UNDOS.len() * (1 + triggers) + parts);
    let missed: Vec<_> = notices.iter().filter(|it| it.violation.is_none()).map(|notice| &notice.what).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

/// The table of the page.
pub(crate) fn table() -> String {
    let row = |Notice { what, rules, violation }: &Notice| {
        let rules: Vec<&str> = rules.iter().map(|rule| rule.message()).collect();
        let violation = violation.as_ref().map(|violation| violation.kind.to_string()).unwrap_or_default();
        format!("| {what} | {} | {violation} |\n", rules.join("; "))
    };
    let unnoticed = |notice: &&Notice| UNNOTICED.iter().any(|(what, _)| *what == notice.what);
    let rows: String = NOTICES.iter().filter(|notice| !unnoticed(notice)).map(row).collect();
    let unnoticed = UNNOTICED.map(|(what, why)| format!("- **{what}**: {why}\n")).concat();
    format!(
        "| removed | static checks | model checker |\n|---|---|---|\n{rows}\nNot noticed, and why that is right:\n\n{unnoticed}"
    )
}
