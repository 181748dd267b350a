//! The screen, drawn from a recorded stream at a fixed time.

use pavane_bus::{
    Message,
    jetstream::{ConsumerReport, Position, Stored},
    topology::{DEAD_LETTERS, EVENTS},
};
use pavane_contract::Timestamp;
use pavane_observe::{Limits, Update, View};
use ratatui::{Terminal, backend::TestBackend};
use serde::Deserialize;

use super::{Look, screen};

const RECORDING: &str = include_str!("../../../tests/it/recording.jsonl");
const START: i64 = 1_800_000_000;

#[derive(Deserialize)]
struct Recorded {
    stream: String,
    subject: String,
    headers: Vec<(String, String)>,
    payload: String,
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_second(START + i64::try_from(second).unwrap()).unwrap()
}

/// Everything that was recorded, an event a second, as it is a minute later.
fn view() -> View {
    let mut view = View::new(Limits::default());
    let mut sequences = [0; 2];
    for line in RECORDING.lines() {
        let recorded: Recorded = serde_json::from_str(line).unwrap();
        let message = Message {
            subject: recorded.subject,
            headers: recorded.headers.into_iter().collect(),
            payload: recorded.payload.into(),
        };
        let mut stored = |of: usize| {
            sequences[of] += 1;
            Stored::new(sequences[of], at(sequences[of]), message.clone())
        };
        let update = match recorded.stream.as_str() {
            EVENTS => Some(pavane_observe::event(&stored(0))),
            DEAD_LETTERS => pavane_observe::dead_letter(&stored(1)).map(|letter| Update::DeadLetter(Box::new(letter))),
            _ => pavane_observe::declaration(&Stored::new(1, at(0), message)),
        };
        view.apply(update);
    }
    let now = at(sequences[0] + 60);
    let reports =
        view.flow().reactions.into_iter().filter(|reaction| reaction.reaction != "ship-stock").map(|reaction| {
            let mut report = ConsumerReport::new(reaction.durable, at(0));
            let away = reaction.service == "shipping";
            let sequence = if away { 10 } else { sequences[0] };
            let settled = Position::new(sequence, Some(at(sequence)));
            (report.delivered, report.settled) = (settled, settled);
            (report.pending, report.waiting_pulls) = if away { (3, 0) } else { (0, 1) };
            report
        });
    let reports = reports.collect();
    view.apply([
        Update::Consumers { at: now, reports },
        Update::End { at: now, last_sequence: sequences[0], reached: true, loaded: true },
    ]);
    view
}

fn drawn(view: &View, trouble: Option<&str>, scrolled: usize, size: (u16, u16)) -> Terminal<TestBackend> {
    let look = Look {
        overview: view.overview(),
        flow: view.flow(),
        stuck: view.stuck(),
        trouble: trouble.map(str::to_owned),
        scrolled,
    };
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(|frame| screen::draw(frame, &look)).unwrap();
    terminal
}

#[test]
fn the_screen_shows_states_rates_lag_and_what_is_stuck() {
    insta::assert_snapshot!(drawn(&view(), None, 0, (150, 42)).backend());
}

#[test]
fn it_scrolls_and_says_when_nothing_new_comes() {
    let view = view();
    let text = drawn(&view, Some("the bus is unavailable"), 2, (150, 42)).backend().to_string();
    assert!(text.contains("the bus is unavailable"), "{text}");
    let shown = |text: &str| view.stuck().iter().filter(|saga| text.contains(&saga.key)).count();
    let all = drawn(&view, None, 0, (150, 42)).backend().to_string();
    assert_eq!((shown(&all), shown(&text)), (4, 2), "{text}");
}

#[test]
fn a_small_screen_is_no_reason_to_fail() {
    for size in [(1, 1), (20, 5), (80, 24)] {
        drawn(&view(), None, 0, size);
    }
}
