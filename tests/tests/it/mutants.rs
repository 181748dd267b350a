//! The mutation proof: whatever is removed from the services' wiring tables, something notices.

use std::{env, fs, sync::LazyLock};

use pavane_choreography::{Choreography, Emission, Manifest, Rule, model::Violation};

use order::saga;

use crate::invariants::manifests;

/// The page that lists every mutant and what catches it.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/choreography-mutants.md");
/// Set to write the page anew.
const BLESS: &str = "PAVANE_BLESS";

/// What nothing notices, and why that is right.
const UNNOTICED: [(&str, &str); 10] = [
    (
        "entry point order/cancel-order",
        "The saga does without it: whatever it starts, the deadline starts too. That a customer can cancel is a promise \
         of the HTTP contract, and the end-to-end tests hold it.",
    ),
    (
        "reaction notification/send-confirmation",
        "Nothing follows from it, and others consume its event too. That a customer is told is held by the service's own \
         tests; no saga can fail to end for want of it.",
    ),
    ("reaction notification/send-cancellation", "As above."),
    ("reaction inventory/ship-stock", "As above: it follows the outcome, and nothing follows from it."),
    ("reaction shipping/dispatch-shipment", "As above."),
    (
        "trigger payment.authorized of order/track-progress",
        "It only shows how far an order is, and the stock is still reserved on the same event. The service's own tests \
         hold what a customer sees.",
    ),
    (
        "trigger inventory.reserved of order/track-progress",
        "As above; the shipment is still created on the same event.",
    ),
    ("trigger shipping.created of order/track-progress", "As above; the payment is still captured on the same event."),
    (
        "answer inventory.rejected of inventory/reserve-stock",
        "It still says so when it gives up, and that it answers otherwise as well is not declared any more: the runtime \
         refuses an answer that is not declared, so the service's own tests fail.",
    ),
    ("answer shipping.rejected of shipping/create-shipment", "As above."),
];

struct Mutant {
    what: String,
    manifests: Vec<Manifest>,
}

/// Every choreography with one thing less.
fn mutants() -> Vec<Mutant> {
    let mut mutants = Vec::new();
    let shop = manifests();
    for (at, manifest) in shop.iter().enumerate() {
        let service = &manifest.service;
        let mut mutant = |what: String, change: &dyn Fn(&mut Manifest)| {
            let mut manifests = shop.clone();
            change(&mut manifests[at]);
            mutants.push(Mutant { what, manifests });
        };
        for (ix, entry) in manifest.entries.iter().enumerate() {
            mutant(format!("entry point {service}/{}", entry.name), &|it| drop(it.entries.remove(ix)));
            // Without its only answer, an entry point might as well not be there.
            for (group, emission) in entry.emits.iter().enumerate().filter(|_| entry.emits.len() > 1) {
                let what = if matches!(emission, Emission::Scheduled(_)) { "deadline" } else { "answer" };
                let name = format!("{what} {} of {service}/{}", emission.events()[0].name, entry.name);
                mutant(name, &|it| drop(it.entries[ix].emits.remove(group)));
            }
        }
        for (ix, reaction) in manifest.reactions.iter().enumerate() {
            let kind = if reaction.undoes().is_some() { "undo" } else { "reaction" };
            let label = format!("{service}/{}", reaction.name);
            mutant(format!("{kind} {label}"), &|it| drop(it.reactions.remove(ix)));
            for (on, event) in reaction.on.iter().enumerate() {
                let name = format!("trigger {} of {label}", event.name);
                mutant(name, &|it| drop(it.reactions[ix].on.remove(on)));
            }
            for event in reaction.emits.iter().flat_map(Emission::events) {
                let name = format!("answer {} of {label}", event.name);
                mutant(name, &|it| {
                    let emits = std::mem::take(&mut it.reactions[ix].emits);
                    it.reactions[ix].emits = emits.into_iter().map(|group| without(group, &event.name)).collect();
                });
            }
        }
    }
    mutants
}

fn without(group: Emission, name: &str) -> Emission {
    let rest: Vec<_> = group.events().iter().filter(|event| event.name != name).cloned().collect();
    match group {
        Emission::All(_) => Emission::All(rest),
        Emission::Each(_) => Emission::Each(rest),
        Emission::OneOf(_) => Emission::OneOf(rest),
        Emission::Maybe(_) => Emission::Maybe(rest),
        Emission::Outcome(_) => Emission::Outcome(rest),
        Emission::Scheduled(_) => Emission::Scheduled(rest),
        other => other,
    }
}

/// A mutant, and what notices it.
struct Notice {
    what: String,
    rules: Vec<Rule>,
    violation: Option<Violation>,
}

/// What notices each mutant of a choreography that is sound.
fn notices() -> &'static [Notice] {
    static NOTICES: LazyLock<Vec<Notice>> = LazyLock::new(|| mutants().into_iter().map(notice).collect());
    let findings = Choreography::of(manifests()).saga(saga()).check();
    assert!(findings.is_empty(), "there is something missing already: `the_choreography_is_sound` shows what");
    &NOTICES
}

fn notice(Mutant { what, manifests }: Mutant) -> Notice {
    let choreography = Choreography::of(manifests).saga(saga());
    let mut rules: Vec<Rule> = choreography.check().into_iter().map(|finding| finding.rule).collect();
    rules.dedup();
    let violation = choreography.explore(&saga()).err();
    Notice { what, rules, violation }
}

#[test]
fn whatever_is_removed_is_noticed() {
    let unnoticed = notices().iter().filter(|notice| notice.rules.is_empty() && notice.violation.is_none());
    let mut unnoticed: Vec<&str> = unnoticed.map(|notice| notice.what.as_str()).collect();
    let mut known = UNNOTICED.map(|(what, _)| what);
    unnoticed.sort_unstable();
    known.sort_unstable();
    assert_eq!(unnoticed, known);
}

/// What a service undoes, when, and by when it is over: the checks see it missing, and the model checker shows what
/// happens then.
#[test]
fn each_undo_each_of_its_triggers_and_each_deadline_has_a_counterexample() {
    let shop = manifests();
    let undos = shop.iter().flat_map(|manifest| {
        let undos = manifest.reactions.iter().filter(|reaction| reaction.undoes().is_some());
        undos.map(|undo| (format!("{}/{}", manifest.service, undo.name), undo.on.len()))
    });
    let undos: Vec<(String, usize)> = undos.collect();
    assert!(!undos.is_empty());
    let of_undo = |what: &str| undos.iter().any(|(undo, _)| what.ends_with(undo)) && !what.starts_with("answer");
    let notices: Vec<_> =
        notices().iter().filter(|notice| of_undo(&notice.what) || notice.what.starts_with("deadline")).collect();
    let deadlines = 1;
    assert_eq!(notices.len(), deadlines + undos.iter().map(|(_, triggers)| 1 + triggers).sum::<usize>());
    for Notice { what, rules, violation } in notices {
        assert!(!rules.is_empty(), "no check notices the missing {what}");
        let violation = violation.as_ref().unwrap_or_else(|| panic!("the model checker misses the missing {what}"));
        assert!(violation.sequence.text().contains("place-order"), "{violation}");
    }
}

#[test]
fn the_page_of_mutants_is_up_to_date() {
    let page = page();
    if env::var_os(BLESS).is_some() {
        fs::write(PAGE, &page).unwrap();
    }
    let committed = fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        committed == page,
        "docs/choreography-mutants.md is stale: run `{BLESS}=1 cargo test -p shop-tests the_page_of_mutants`"
    );
}

fn page() -> String {
    let rows: Vec<String> = notices().iter().filter_map(row).collect();
    let unnoticed: Vec<String> = UNNOTICED.iter().map(|(what, why)| format!("- **{what}**: {why}")).collect();
    let without_refund = notices().iter().find(|notice| notice.what == "undo payment/refund-payment").unwrap();
    let violation = without_refund.violation.as_ref().unwrap();
    format!(
        "# What happens when something is missing from the shop's choreography\n\n\
         Made from the services' wiring tables by `{BLESS}=1 cargo test -p shop-tests the_page_of_mutants`; a test fails \
         when it is stale.\n\n\
         The mutation proof removes one thing after the other: each entry point, reaction, undo, trigger, answer and deadline. \
         The table says which static checks notice, and how the saga then goes wrong in the model checker's shortest \
         counterexample.\n\n\
         For example, without `refund-payment`, an order is charged and never refunded:\n\n\
         ```text\n{}```\n\n\
         ```mermaid\n{}```\n\n\
         ## Noticed\n\n\
         | removed | static checks | model checker |\n|---|---|---|\n{}\n\n\
         ## Not noticed, and why that is right\n\n{}\n",
        violation.sequence.text(),
        violation.sequence.mermaid(),
        rows.join("\n"),
        unnoticed.join("\n")
    )
}

fn row(Notice { what, rules, violation }: &Notice) -> Option<String> {
    if UNNOTICED.iter().any(|(unnoticed, _)| unnoticed == what) {
        return None;
    }
    let rules: Vec<&str> = rules.iter().map(|rule| rule.message()).collect();
    let violation = violation.as_ref().map(|violation| violation.kind.to_string()).unwrap_or_default();
    Some(format!("| {what} | {} | {violation} |", rules.join("; ")))
}
