//! Joins and questions: what explores clean, and what is caught when one piece is missing.

use pavane_choreography::{Choreography, Emission, Finding, Manifest, Reaction, Role, Saga};

use crate::{
    shop::{all, decides, entry, event, events, join, manifest, one_of, react, undo},
    travel,
};

/// A saga of these services, from `<first>.requested` to `<first>.confirmed` or `<first>.cancelled`.
fn saga(first: &str, terminal: &[&str]) -> Saga {
    let fact = |fact: &str| event(&format!("{first}.{fact}"));
    let mut saga = Saga::new(first).within(std::time::Duration::from_mins(5));
    saga.starts_with = Some(fact("requested"));
    (saga.completes_with, saga.aborts_with) = (vec![fact("confirmed")], vec![fact("cancelled")]);
    saga.terminal = [events(terminal), vec![fact("confirmed")]].concat();
    saga
}

/// "Book a flight and a hotel; if the hotel fails, cancel the flight."
fn trip() -> Choreography {
    let requested = [all(&["trip.requested"]), vec![Emission::Scheduled(events(&["trip.overdue"]))]].concat();
    let confirm = join("confirm", &[&["flight.booked"], &["hotel.booked"]], decides(&["trip.confirmed"]));
    let cancel = react("cancel", &["hotel.refused", "trip.overdue"], decides(&["trip.cancelled"]));
    let flight = react("book-flight", &["trip.requested"], all(&["flight.booked"]));
    let hotel = react("book-hotel", &["trip.requested"], one_of(&["hotel.booked", "hotel.refused"]));
    let cancel_flight = undo("cancel-flight", "flight.booked", &["trip.cancelled"], all(&["flight.cancelled"]));
    let cancel_hotel = undo("cancel-hotel", "hotel.booked", &["trip.cancelled"], all(&["hotel.cancelled"]));
    let trip = manifest("trip", vec![entry("request", requested)], vec![confirm, cancel]);
    let services = [
        trip,
        manifest("flight", vec![], vec![flight, cancel_flight]),
        manifest("hotel", vec![], vec![hotel, cancel_hotel]),
    ];
    Choreography::of(services).saga(saga("trip", &["flight.cancelled", "hotel.cancelled"]))
}

/// Payment and inventory, both on the order.
fn order() -> Choreography {
    let requested = [all(&["order.requested"]), vec![Emission::Scheduled(events(&["order.overdue"]))]].concat();
    let confirm = join("confirm", &[&["payment.authorized"], &["inventory.reserved"]], decides(&["order.confirmed"]));
    let failures = ["payment.declined", "inventory.rejected", "order.overdue"];
    let cancel = react("cancel", &failures, decides(&["order.cancelled"]));
    let authorize = react("authorize", &["order.requested"], one_of(&["payment.authorized", "payment.declined"]));
    let reserve = react("reserve", &["order.requested"], one_of(&["inventory.reserved", "inventory.rejected"]));
    let void = undo("void", "payment.authorized", &["order.cancelled"], all(&["payment.voided"]));
    let release = undo("release", "inventory.reserved", &["order.cancelled"], all(&["inventory.released"]));
    let order = manifest("order", vec![entry("request", requested)], vec![confirm, cancel]);
    let services = [
        order,
        manifest("payment", vec![], vec![authorize, void]),
        manifest("inventory", vec![], vec![reserve, release]),
    ];
    Choreography::of(services).saga(saga("order", &["payment.voided", "inventory.released"]))
}

#[test]
fn a_flight_and_a_hotel() {
    trip().assert_sound();
    order().assert_sound();
}

/// Every choreography with one thing less, and what is missing.
fn mutants(whole: &Choreography) -> Vec<(String, Choreography)> {
    let mut mutants = Vec::new();
    for (at, manifest) in whole.manifests().iter().enumerate() {
        let mut mutant = |what: String, change: &dyn Fn(&mut Manifest)| {
            let mut manifests = whole.manifests().to_vec();
            change(&mut manifests[at]);
            let less = Choreography::of(manifests).saga(whole.sagas()[0].clone());
            mutants.push((format!("{}: {what}", manifest.service), less));
        };
        for (ix, entry) in manifest.entries.iter().enumerate().skip_while(|(_, entry)| entry.answers.is_none()) {
            mutant(format!("the entry point {}", entry.name), &|it| drop(it.entries.remove(ix)));
            mutant(format!("the question of {}", entry.name), &|it| it.entries[ix].answers = None);
            mutant(format!("the expiry of {}", entry.name), &|it| {
                it.entries[ix].answers.as_mut().unwrap().expires_with = None;
            });
        }
        for (ix, entry) in manifest.entries.iter().enumerate().filter(|(_, entry)| entry.emits.len() > 1) {
            mutant(format!("the timer of {}", entry.name), &|it| drop(it.entries[ix].emits.pop()));
        }
        for (ix, reaction) in manifest.reactions.iter().enumerate() {
            let name = &reaction.name;
            mutant(name.clone(), &|it| drop(it.reactions.remove(ix)));
            for (part, one) in reaction.parts().iter().enumerate() {
                mutant(format!("the part {} of {name}", one.name()), &|it| remove_part(&mut it.reactions[ix], part));
            }
            for (on, event) in reaction.on.iter().enumerate().filter(|_| reaction.parts().is_empty()) {
                mutant(format!("the trigger {} of {name}", event.name), &|it| drop(it.reactions[ix].on.remove(on)));
            }
            for group in 0..if reaction.emits.len() > 1 { reaction.emits.len() } else { 0 } {
                let what = format!("{} from {name}", reaction.emits[group].events()[0].name);
                mutant(what, &|it| drop(it.reactions[ix].emits.remove(group)));
            }
        }
    }
    mutants
}

fn remove_part(join: &mut Reaction, part: usize) {
    let Role::Join { of } = &mut join.role else { unreachable!("only joins have parts") };
    let removed = of.remove(part);
    join.on.retain(|event| !removed.events().contains(event));
}

/// What is noticed of each thing that is missing.
fn noticed(whole: &Choreography) -> String {
    let told = mutants(whole).into_iter().map(|(what, less)| {
        let finding = |found: Finding| {
            let at = found.event.map_or(found.reaction, |event| event.name);
            format!("{} ({at})", found.rule.message())
        };
        let rules: Vec<String> = less.check().into_iter().map(finding).collect();
        let wrong = less.explore(&less.sagas()[0]).err().map(|violation| violation.kind.to_string());
        assert!(!rules.is_empty() || wrong.is_some(), "nothing notices that this is missing: {what}");
        format!("{what}\n  checks: {}\n  model:  {}\n", rules.join("; "), wrong.unwrap_or_default())
    });
    told.collect()
}

#[test]
fn a_piece_of_the_trip_that_is_missing_is_noticed() {
    insta::assert_snapshot!(noticed(&trip()));
}

#[test]
fn a_piece_of_the_order_that_is_missing_is_noticed() {
    insta::assert_snapshot!(noticed(&order()));
}

/// The checks alone notice all of it.
#[test]
fn a_piece_of_the_travel_that_is_missing_is_noticed() {
    let unnoticed = mutants(&travel::choreography()).into_iter().filter(|(_, less)| less.check().is_empty());
    assert_eq!(unnoticed.map(|(what, _)| what).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn the_travel_is_sound() {
    travel::choreography().assert_sound();
    let exploration = travel::choreography().explore(&travel::saga()).unwrap();
    insta::assert_snapshot!(exploration, @"saga trip: 11942 states by 20861 moves, up to 18 moves deep, stand for every interleaving; all of its 250 ends are sound (4 completed, 246 aborted)");
}
