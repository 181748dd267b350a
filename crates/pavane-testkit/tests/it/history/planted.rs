//! Violations that are planted in a history that is right.

use pavane::SagaId;
use pavane_contract::EventId;
use pavane_testkit::history::{Change, Emitted, GivenUp, History, Op, Published, Record, Row};

const OUTCOME: &str = "a saga has one outcome";
const ENDS: &str = "what is accepted ends";
const RECORDED: &str = "each service is recorded";
const EMITTED: &str = "what is handled emits what it must";
const STEP: &str = "a step is kept, or undone once";
const PUBLISHED: &str = "what is committed is published, and nothing else";
const CAUSED: &str = "an event leaves with the commit that has its cause";
const HANDLED: &str = "an event is handled once by each reaction";
const ORDER: &str = "events of a key are published in the order of their commits";
const LEFT: &str = "nothing is left to be done";
const GIVEN_UP: &str = "nothing is given up";
const CALLED: &str = "a call has its effect once";

/// What is wrong, the law that has to find it, what the law has to say, and what makes it wrong.
type Plant = (&'static str, &'static str, &'static str, fn(&mut Vec<Record>));

const PLANTS: &[Plant] = &[
    ("two outcomes", OUTCOME, "it was decided as", |records| {
        let mut again =
            change(records, |row| matches!(row, Row::Outcome { event, .. } if event == "trip.confirmed")).clone();
        "another".clone_into(&mut again.service);
        records.push(Record::Changed(again));
    }),
    ("a saga that is decided again", OUTCOME, "it was decided as", |records| {
        let again = change(records, |row| matches!(row, Row::Outcome { .. })).clone();
        records.push(Record::Changed(again));
    }),
    ("an outcome that nobody is told", OUTCOME, "its commit has no such event", |records| {
        let told = |row: &Row| matches!(row, Row::Outbox { event, .. } if event.event.name == "trip.confirmed");
        let at = position(records, told);
        records.remove(at);
    }),
    ("a service that isn't recorded", RECORDED, "no commit of car was recorded", |records| {
        records.retain(|it| !matches!(it, Record::Changed(change) if change.service == "car"));
    }),
    ("a service under another name", RECORDED, "no service has declared itself as car", |records| {
        records.retain(|it| !matches!(it, Record::Declared(declared) if declared.manifest.service == "car"));
    }),
    ("a trip that never ends", ENDS, "has not ended", |records| {
        let saga = saga_that_was(records, "trip.confirmed");
        end_not(records, saga);
    }),
    ("an undo that didn't happen", STEP, "is done, although trip.cancelled", |records| {
        let at = position(records, |row| matches!(row, Row::Ledger { state, .. } if state == "undone"));
        records.remove(at);
    }),
    ("an undo that nobody asked for", STEP, "nothing asked to undo it", |records| {
        let saga = saga_that_was(records, "trip.confirmed");
        add_state(records, saga, "done", "undone");
    }),
    ("an undo that happened twice", STEP, "was undone twice", |records| {
        let saga = saga_of(records, "undone");
        add_state(records, saga, "undone", "undone");
    }),
    ("a step that happened twice", STEP, "was done twice", |records| {
        let saga = saga_that_was(records, "trip.confirmed");
        add_state(records, saga, "done", "done");
    }),
    ("a step after its undo", STEP, "ran after its undo", |records| {
        let saga = saga_of(records, "undone");
        add_state(records, saga, "undone", "done");
    }),
    ("a step that doesn't end", STEP, "still runs", |records| {
        let saga = saga_that_was(records, "trip.confirmed");
        add_state(records, saga, "done", "running");
    }),
    ("a join that doesn't run", STEP, "has all it waits for, and has not run", |records| {
        let confirmed = saga_that_was(records, "trip.confirmed");
        let ran = |row: &Row| {
            matches!(row, Row::Ledger { saga, step, state, .. }
            if *saga == confirmed && step == "confirm" && state == "done")
        };
        let at = position(records, ran);
        records.remove(at);
    }),
    ("a ghost", PUBLISHED, "was never committed", |records| {
        let at = position(records, |row| matches!(row, Row::Outbox { .. }));
        records.remove(at);
    }),
    ("a lost event", PUBLISHED, "is not in the stream", |records| {
        let at = records.iter().position(|it| matches!(it, Record::Published(_))).unwrap();
        records.remove(at);
    }),
    ("an event on a subject of another key", PUBLISHED, "was published to", |records| {
        "events.trip.requested.other".clone_into(&mut published(records).subject);
    }),
    ("an event that is committed twice", PUBLISHED, "was committed twice", |records| {
        let again = change(records, |row| matches!(row, Row::Outbox { .. })).clone();
        records.push(Record::Changed(again));
    }),
    ("an event without its cause", CAUSED, "without what caused it", |records| {
        let caused = |row: &Row| matches!(row, Row::Outbox { event, .. } if event.event.name == "flight.seat-held");
        let at = position(records, caused);
        if let Record::Changed(change) = &mut records[at] {
            change.tx += 1_000_000;
        }
    }),
    (
        "a seat that is held without a word",
        EMITTED,
        "without flight.seat-held v1 or flight.seat-refused v1",
        |records| {
            let said = |row: &Row| matches!(row, Row::Outbox { event, .. } if event.event.name == "flight.seat-held");
            let at = position(records, said);
            records.remove(at);
        },
    ),
    (
        "a price that is settled without a word",
        EMITTED,
        "without trip.price-settled v1 or trip.price-asked v1",
        |records| {
            let said = |row: &Row| matches!(row, Row::Outbox { event, .. } if event.event.name == "trip.price-asked");
            let at = position(records, said);
            records.remove(at);
        },
    ),
    ("an event that a reaction missed", HANDLED, "was not handled by", |records| {
        let at = position(records, |row| matches!(row, Row::Inbox { .. }));
        records.remove(at);
    }),
    ("an event that is handled twice", HANDLED, "was handled 2 times", |records| {
        let mut again = change(records, |row| matches!(row, Row::Inbox { .. })).clone();
        if let Row::Inbox { handled_at, .. } = &mut again.row {
            *handled_at += 1;
        }
        records.push(Record::Changed(again));
    }),
    ("an event that nobody emitted", HANDLED, "which is not in the stream", |records| {
        let mut other = change(records, |row| matches!(row, Row::Inbox { .. })).clone();
        if let Row::Inbox { event_id, .. } = &mut other.row {
            *event_id = "01890000-0000-7000-8000-000000000000".parse::<EventId>().unwrap();
        }
        records.push(Record::Changed(other));
    }),
    ("an event that overtook another of its key", ORDER, "published before it", |records| {
        overtake(records);
    }),
    ("an event that isn't sent", LEFT, "has not sent its row", |records| {
        gone(records, |row| matches!(row, Row::Unsent { .. }));
    }),
    ("a timer of a saga that is over", LEFT, "is left, and its saga has ended", |records| {
        gone(records, |row| matches!(row, Row::Timer { .. }));
    }),
    ("a timer that doesn't go off", LEFT, "is over-due", |records| {
        let mut timer = change(records, |row| matches!(row, Row::Timer { .. })).clone();
        let saga = if let Row::Timer { due_at, saga, .. } = &mut timer.row {
            *due_at = timer.at - 20_000_000;
            *saga
        } else {
            unreachable!("it is a timer")
        };
        timer.op = Op::Insert;
        end_not(records, saga);
        records.push(Record::Changed(timer));
    }),
    ("an undo that waits", LEFT, "still waits for its step", |records| {
        let saga = saga_that_was(records, "trip.confirmed");
        let event_id = published(records).event.id;
        add(records, Row::Waiting { reaction: "remove-points".to_owned(), event_id, saga });
    }),
    ("a dead letter that isn't published", LEFT, "is not published", |records| {
        add(records, Row::DeadLetter { id: 1, reaction: "confirm".to_owned(), cut_at: None });
    }),
    ("an event that is given up", GIVEN_UP, "gave up on trip.", |records| {
        let event = published(records).event.clone();
        records.push(letter(event));
    }),
    ("a call that had its effect twice", CALLED, "had 2 effects", |records| {
        let again = records.iter().find(|it| matches!(it, Record::Called(call) if call.effective)).cloned();
        records.extend(again);
    }),
];

/// What looks wrong and isn't: what it is, and what makes it look so.
type Innocent = (&'static str, fn(&mut Vec<Record>));

const INNOCENT: &[Innocent] = &[
    ("an event that was published again, behind others of its key", |records| {
        let mut again = published(records).clone();
        again.sequence += 1_000_000;
        records.push(Record::Published(again));
    }),
    ("a row of the inbox that is moved to another partition", |records| {
        let moved = change(records, |row| matches!(row, Row::Inbox { .. })).clone();
        records.push(Record::Changed(moved));
    }),
    ("a row of the ledger that is written again as it is", |records| {
        let mut again = change(records, |row| matches!(row, Row::Ledger { state, .. } if state == "done")).clone();
        (again.op, again.tx) = (Op::Update, again.tx + 1_000_000);
        let at = position(records, |row| *row == again.row);
        records.insert(at + 1, Record::Changed(again));
    }),
    ("a dead letter that was redriven", |records| {
        let mut given_up =
            change(records, |row| matches!(row, Row::Inbox { reaction, .. } if reaction == "hold-car")).clone();
        let id = if let Row::Inbox { event_id, given_up, .. } = &mut given_up.row {
            *given_up = Some("1".to_owned());
            *event_id
        } else {
            unreachable!("it is of the inbox")
        };
        let event = records.iter_mut().filter_map(event).find(|it| it.event.id == id).unwrap().event.clone();
        records.insert(0, Record::Changed(given_up));
        records.push(letter(event));
    }),
    ("a timer that is set after the outcome", |records| {
        let mut timer = change(records, |row| matches!(row, Row::Timer { .. })).clone();
        (timer.op, timer.tx) = (Op::Insert, timer.tx + 1_000_000);
        if let Row::Timer { due_at, .. } = &mut timer.row {
            *due_at += 3_600_000_000;
        }
        records.push(Record::Changed(timer));
    }),
    ("an event that was refused and tried again, behind others of its key", |records| {
        let id = overtake(records);
        let mut again = change(records, |row| matches!(row, Row::Outbox { event, .. } if event.id == id)).clone();
        again.op = Op::Update;
        records.push(Record::Changed(again));
    }),
];

/// Fails unless each is found by its law, in its words, and nothing is found in what only looks wrong.
pub(super) fn each_is_found(history: &History) {
    for (name, law, words, plant) in PLANTS {
        let mut records = history.records().to_vec();
        plant(&mut records);
        let report = History::new(records).check();
        let found = report.laws().iter().find(|it| it.name == *law).unwrap();
        assert!(found.violations.iter().any(|it| it.what.contains(words)), "{name} is not found:\n{report}");
    }
    for (name, plant) in INNOCENT {
        let mut records = history.records().to_vec();
        plant(&mut records);
        let report = History::new(records).check();
        assert!(report.passed(), "{name} is taken for wrong:\n{report}");
    }
}

fn is(record: &Record, wanted: impl Fn(&Row) -> bool) -> bool {
    matches!(record, Record::Changed(change) if wanted(&change.row))
}

fn position(records: &[Record], wanted: impl Fn(&Row) -> bool) -> usize {
    records.iter().position(|it| is(it, &wanted)).expect("there is such a row")
}

fn change(records: &[Record], wanted: impl Fn(&Row) -> bool) -> &Change {
    let Record::Changed(change) = &records[position(records, wanted)] else { unreachable!("it is a change") };
    change
}

fn published(records: &mut [Record]) -> &mut Published {
    records.iter_mut().find_map(event).expect("there is an event")
}

fn event(record: &mut Record) -> Option<&mut Published> {
    if let Record::Published(published) = record { Some(published) } else { None }
}

/// A saga that ended so.
fn saga_that_was(records: &[Record], outcome: &str) -> SagaId {
    let Row::Outcome { saga, .. } =
        change(records, |row| matches!(row, Row::Outcome { event, .. } if event == outcome)).row
    else {
        unreachable!("it is an outcome")
    };
    saga
}

/// A saga with a step in this state.
fn saga_of(records: &[Record], wanted: &str) -> SagaId {
    let Row::Ledger { saga, .. } =
        change(records, |row| matches!(row, Row::Ledger { state, .. } if state == wanted)).row
    else {
        unreachable!("it is a step")
    };
    saga
}

/// After all, a step of the saga that was once in one state comes into another.
fn add_state(records: &mut Vec<Record>, saga: SagaId, once: &str, then: &str) {
    let of_it = |row: &Row| matches!(row, Row::Ledger { saga: of, state, step, .. } if *of == saga && state == once && step != "confirm");
    let mut next = change(records, of_it).clone();
    if let Row::Ledger { state, .. } = &mut next.row {
        then.clone_into(state);
    }
    // In a commit of its own, as a new row.
    (next.op, next.tx) = (Op::Insert, next.tx + 1_000_000);
    records.push(Record::Changed(next));
}

/// A row that was deleted stays.
fn gone(records: &mut Vec<Record>, wanted: impl Fn(&Row) -> bool) {
    let deleted = |it: &Record| matches!(it, Record::Changed(change) if change.op == Op::Delete) && is(it, &wanted);
    let at = records.iter().position(deleted).expect("there was such a row");
    records.remove(at);
}

fn add(records: &mut Vec<Record>, row: Row) {
    let mut change = change(records, |_| true).clone();
    (change.op, change.row) = (Op::Insert, row);
    "trip".clone_into(&mut change.service);
    records.push(Record::Changed(change));
}

/// The two first events of a trip change places in the stream; returns the id of the one that comes later now.
fn overtake(records: &mut [Record]) -> EventId {
    let saga = saga_that_was(records, "trip.confirmed");
    let of_trip =
        records.iter_mut().filter_map(event).filter(|it| it.event.saga == saga && it.event.event.owner() == "trip");
    let [first, second] = of_trip.take(2).collect::<Vec<_>>().try_into().expect("two events of the trip");
    std::mem::swap(&mut first.sequence, &mut second.sequence);
    first.event.id
}

/// A dead letter of the car service.
fn letter(event: Emitted) -> Record {
    let letter = r#"{"at":"2026-01-01T00:00:00Z","service":"car","reaction":"hold-car","cause":"no","event":null}"#;
    let mut letter: GivenUp = serde_json::from_str(letter).unwrap();
    letter.event = Some(event);
    Record::GivenUp(letter)
}

/// Nobody has decided the saga.
fn end_not(records: &mut Vec<Record>, saga: SagaId) {
    let decides = |row: &Row| matches!(row, Row::Outcome { saga: of, .. } if *of == saga);
    let ends =
        |it: &Published| it.event.saga == saga && ["trip.confirmed", "trip.cancelled"].contains(&&*it.event.event.name);
    records.retain(|it| !is(it, decides) && !matches!(it, Record::Published(it) if ends(it)));
}
