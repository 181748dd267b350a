//! Choreographies of any size: steps in a line, and branches beside it.

use pavane_choreography::{Choreography, Emission, Manifest, Reaction};

use super::shop::{all, decides, entry, events, join, manifest, one_of, react, saga, undo};

/// So many steps that follow one another, each with a "no" and an undo, and so many branches beside them, each a step with an
/// undo that begins with the first one. There is a deadline.
pub(crate) fn wide(steps: usize, branches: usize) -> Choreography {
    let line = (0..steps).map(|step| {
        let (name, before) = (format!("step{step}"), step.checked_sub(1));
        let on = before.map_or("order.placed".to_owned(), |before| format!("step{before}.done"));
        service(&name, &on, one_of(&[&format!("{name}.done"), &format!("{name}.refused")]))
    });
    let beside = (0..branches).map(|branch| {
        let name = format!("branch{branch}");
        service(&name, "order.placed", all(&[&format!("{name}.done")]))
    });
    let services: Vec<Manifest> = std::iter::once(order(steps)).chain(line).chain(beside).collect();
    let ends = services.iter().skip(1).map(|service| format!("{}.undone", service.service));
    let branches = (0..branches).map(|branch| format!("branch{branch}.done"));
    let terminal: Vec<String> = ends.chain(branches).chain(["order.confirmed".to_owned()]).collect();
    let mut saga = saga();
    saga.terminal = terminal.iter().flat_map(|name| events(&[name])).collect();
    Choreography::of(services).saga(saga)
}

/// So many steps side by side, each with a "no" and an undo, and a join of all of them. There is a deadline.
pub(crate) fn joined(branches: usize) -> Choreography {
    let names: Vec<String> = (0..branches).map(|branch| format!("step{branch}")).collect();
    let fact = |fact: &str| names.iter().map(|name| format!("{name}.{fact}")).collect::<Vec<_>>();
    let (done, refused, undone) = (fact("done"), fact("refused"), fact("undone"));
    let parts: Vec<[&str; 1]> = done.iter().map(|name| [name.as_str()]).collect();
    let parts: Vec<&[&str]> = parts.iter().map(|part| &part[..]).collect();
    let failures: Vec<&str> = refused.iter().map(String::as_str).chain(["order.deadline-passed"]).collect();
    let reactions = vec![
        join("confirm", &parts, decides(&["order.confirmed"])),
        react("cancel", &failures, decides(&["order.cancelled"])),
    ];
    let beside = names.iter().zip(done.iter().zip(&refused));
    let beside = beside.map(|(name, (done, refused))| service(name, "order.placed", one_of(&[done, refused])));
    let services: Vec<Manifest> = std::iter::once(placed(reactions)).chain(beside).collect();
    let mut saga = saga();
    saga.terminal = undone.iter().flat_map(|name| events(&[name])).chain(events(&["order.confirmed"])).collect();
    Choreography::of(services).saga(saga)
}

fn order(steps: usize) -> Manifest {
    let last = format!("step{}.done", steps - 1);
    let refused = (0..steps).map(|step| format!("step{step}.refused"));
    let failures: Vec<String> = refused.chain(["order.deadline-passed".to_owned()]).collect();
    let failures: Vec<&str> = failures.iter().map(String::as_str).collect();
    let reactions = vec![
        react("confirm", &[&last], decides(&["order.confirmed"])),
        react("cancel", &failures, decides(&["order.cancelled"])),
    ];
    placed(reactions)
}

fn placed(reactions: Vec<Reaction>) -> Manifest {
    let placed = [all(&["order.placed"]), vec![Emission::Scheduled(events(&["order.deadline-passed"]))]].concat();
    manifest("order", vec![entry("place-order", placed)], reactions)
}

fn service(name: &str, on: &str, emits: Vec<Emission>) -> Manifest {
    let step: Reaction = react("do", &[on], emits);
    let undone = all(&[&format!("{name}.undone")]);
    manifest(name, vec![], vec![step, undo("undo", &format!("{name}.done"), &["order.cancelled"], undone)])
}
