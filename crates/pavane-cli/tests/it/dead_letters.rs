//! `dead-letters`: looking, redriving, discarding.

use std::time::Duration;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use pavane_bus::topology::{AUDIT, DEAD_LETTERS, EVENTS};

use crate::{
    command::{assert_said, command, ended, pavane},
    stage::{COMPENSATED, CONFIRMED, Stage, UNREADABLE},
};

const BECAUSE: [&str; 2] = ["--reason", "payment reads it now"];

async fn messages(stage: &Stage, stream: &str) -> u64 {
    stage.bus.stream_report(stream).await.unwrap().map_or(0, |report| report.messages)
}

#[tokio::test]
async fn they_are_listed_by_cause_and_shown_one_by_one() {
    let stage = Stage::recorded().await;
    let url = stage.url();
    let listed = pavane(&url, &["dead-letters", "list"]).await;
    assert_eq!(listed.code, 1);
    assert_said!(listed.out);
    let shown = pavane(&url, &["dead-letters", "show", "3"]).await;
    assert_eq!(shown.code, 0);
    assert_said!(shown.out);
    let json = pavane(&url, &["dead-letters", "list", "--cause", "expected a formatted UUID", "--json"]).await.json();
    assert_eq!(json["letters"].as_array().unwrap().len(), 1);
    assert_eq!(json["letters"][0]["key"], UNREADABLE[2]);
    let missing = pavane(&url, &["dead-letters", "show", "9"]).await;
    assert_eq!((missing.code, missing.err.as_str()), (2, "pavane: there is no dead letter 9\n"));
}

#[tokio::test]
async fn a_large_group_is_shown_in_part_unless_every_letter_is_wanted() {
    let stage = Stage::open().await;
    for attempt in 1..=7 {
        let cause = format!("shelf {attempt} is gone");
        stage.give_up(("inventory", "reserve-stock"), "payment.authorized", CONFIRMED, &cause).await;
    }
    let url = stage.url();
    let listed = pavane(&url, &["dead-letters", "list"]).await.out;
    assert!(listed.starts_with("7 × inventory/reserve-stock\n  shelf … is gone\n"), "{listed}");
    assert_eq!((listed.matches("8 attempts").count(), listed.contains("… and 2 more")), (5, true), "{listed}");
    let listed = pavane(&url, &["dead-letters", "list", "--every"]).await.out;
    assert_eq!((listed.matches("8 attempts").count(), listed.contains("more")), (7, false), "{listed}");
    let narrow =
        ["dead-letters", "discard", "--reaction", "reserve-stock", "--cause", "shelf 3", BECAUSE[0], BECAUSE[1]];
    assert_eq!(pavane(&url, &narrow).await.out, "1 of 1 discarded\n");
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let stage = Stage::recorded().await;
    let url = stage.url();
    let events = messages(&stage, EVENTS).await;
    for what in ["redrive", "discard"] {
        let ran = pavane(&url, &["dead-letters", what, "--all", "--dry-run", BECAUSE[0], BECAUSE[1]]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.out.contains("3 of 3 would be"), "{ran:?}");
    }
    assert_eq!((messages(&stage, EVENTS).await, messages(&stage, DEAD_LETTERS).await), (events, 3));
    assert_eq!(messages(&stage, AUDIT).await, 0);
}

#[tokio::test]
async fn a_redrive_reaches_its_reaction_once_and_is_kept() {
    let stage = Stage::recorded().await;
    let url = stage.url();
    let redriven = pavane(&url, &["dead-letters", "redrive", "1", "--by", "Ada", BECAUSE[0], BECAUSE[1]]).await;
    assert_eq!((redriven.code, redriven.out.as_str()), (0, "1 of 1 redriven\n"), "{redriven:?}");
    let last = stage.bus.stream_report(EVENTS).await.unwrap().unwrap().last_sequence;
    let event = stage.bus.stored(EVENTS, last).await.unwrap().unwrap().message;
    let subject = format!("redrive.payment.authorize-payment.events.order.placed.{}", UNREADABLE[0]);
    assert_eq!(event.subject, subject);
    // It names the letter, and says nothing else.
    assert_eq!(event.headers.get("pavane-redrive-letter"), Some("1"));
    assert!(event.payload.is_empty() && event.headers.iter().all(|(name, _)| !name.starts_with("ce-")), "{event:?}");
    let traced = pavane(&url, &["trace", UNREADABLE[0], "--json"]).await.json();
    let timeline = &traced[0]["timeline"];
    assert_eq!(timeline[0]["redriven_to"][0], "payment/authorize-payment", "{timeline}");
    let decision = &traced[0]["decisions"][0];
    assert_eq!((&decision["by"], &decision["reason"]), (&"Ada".into(), &BECAUSE[1].into()));
    // It was decided about: neither the filter nor its number redrives it again.
    let again = pavane(&url, &["dead-letters", "redrive", "1", BECAUSE[0], BECAUSE[1]]).await;
    assert_eq!(again.code, 1);
    assert_said!(again.out);
    let others = pavane(&url, &["dead-letters", "redrive", "--service", "payment", BECAUSE[0], BECAUSE[1]]).await;
    assert_eq!((others.code, others.out.as_str()), (0, "2 of 2 redriven\n"));
    assert_eq!(stage.bus.stream_report(EVENTS).await.unwrap().unwrap().last_sequence, last + 2);
}

#[tokio::test]
async fn what_speaks_against_a_redrive_is_said() {
    let stage = Stage::open().await;
    stage.order(CONFIRMED).await;
    stage.settled().await;
    stage.give_up(("payment", "authorize-payment"), "order.placed", CONFIRMED, "too late").await;
    stage.give_up(("billing", "send-bill"), "order.confirmed", CONFIRMED, "no paper").await;
    let url = stage.url();
    let left = pavane(&url, &["dead-letters", "redrive", "--all", BECAUSE[0], BECAUSE[1]]).await;
    assert_eq!(left.code, 1);
    assert_said!(left.out);
    // Insisting helps against what is merely useless, not against what can't work.
    let insisted = pavane(&url, &["dead-letters", "redrive", "--all", "--insist", BECAUSE[0], BECAUSE[1]]).await;
    assert_eq!(insisted.code, 1);
    assert!(insisted.out.ends_with("1 of 2 redriven, 1 left alone\n"), "{insisted:?}");
}

#[tokio::test]
async fn a_discarded_letter_is_gone_and_its_record_stays() {
    let stage = Stage::recorded().await;
    let url = stage.url();
    let discarded = pavane(&url, &["dead-letters", "discard", "2", "3", "--reason", "test orders"]).await;
    assert_eq!((discarded.code, discarded.out.as_str()), (0, "2 of 2 discarded\n"));
    assert_eq!((messages(&stage, DEAD_LETTERS).await, messages(&stage, AUDIT).await), (1, 2));
    let listed = pavane(&url, &["dead-letters", "list", "--json"]).await.json();
    assert_eq!(listed["letters"].as_array().unwrap().len(), 1);
    let traced = pavane(&url, &["trace", UNREADABLE[1], "--json"]).await.json();
    assert_eq!(traced[0]["decisions"][0]["by"], "tester");
}

#[tokio::test]
async fn an_undo_that_was_given_up_on_is_retried_by_its_saga() {
    let stage = Stage::open().await;
    stage.order_until(COMPENSATED, "order.cancelled").await;
    stage.settled().await;
    let url = stage.url();
    let retry = |more: &'static [&'static str]| [&["retry-undo", COMPENSATED], &BECAUSE[..], more].concat();
    let none = pavane(&url, &retry(&[])).await;
    assert_eq!(none.code, 2);
    assert!(none.err.contains("no undo of this saga gave up"), "{none:?}");

    stage.give_up(("payment", "void-payment"), "order.cancelled", COMPENSATED, "the provider is gone").await;
    // Not an undo: it is not what makes the saga need a decision.
    stage.give_up(("order", "track-progress"), "inventory.reserved", COMPENSATED, "no paper").await;
    let dry = pavane(&url, &retry(&["--dry-run"])).await;
    assert_eq!((dry.code, dry.out.as_str(), messages(&stage, AUDIT).await), (0, "1 of 1 would be redriven\n", 0));
    let retried = pavane(&url, &retry(&["--by", "Ada"])).await;
    assert_eq!((retried.code, retried.out.as_str()), (0, "1 of 1 redriven\n"), "{retried:?}");
    let last = stage.bus.stream_report(EVENTS).await.unwrap().unwrap().last_sequence;
    let event = stage.bus.stored(EVENTS, last).await.unwrap().unwrap().message;
    assert_eq!(event.subject, format!("redrive.payment.void-payment.events.order.cancelled.{COMPENSATED}"));
    let traced = pavane(&url, &["trace", COMPENSATED, "--json"]).await.json();
    assert_eq!(
        (&traced[0]["decisions"][0]["by"], &traced[0]["decisions"][0]["reaction"]),
        (&"Ada".into(), &"void-payment".into())
    );
    let unknown = pavane(&url, &["retry-undo", "no-such-order", BECAUSE[0], BECAUSE[1]]).await;
    assert!(unknown.code == 2 && unknown.err.contains("no-such-order"), "{unknown:?}");
    stage.order_again(CONFIRMED).await;
    stage.order(CONFIRMED).await;
    let either = pavane(&url, &["retry-undo", CONFIRMED, BECAUSE[0], BECAUSE[1]]).await;
    assert!(either.code == 2 && either.err.contains("could be any of these sagas"), "{either:?}");
}

#[tokio::test]
async fn nobody_acts_by_mistake() {
    let stage = Stage::recorded().await;
    let url = stage.url();
    for (arguments, why) in [
        (&["redrive", BECAUSE[0], BECAUSE[1]][..], "--all"),
        (&["discard", BECAUSE[0], BECAUSE[1]], "--all"),
        (&["redrive", "--all"], "--reason"),
        (&["redrive", "--all", "--reason", " "], "a decision needs a name and a reason"),
        (&["discard", "1", "9", BECAUSE[0], BECAUSE[1]], "there is no dead letter 9"),
    ] {
        let ran = pavane(&url, &[&["dead-letters"], arguments].concat()).await;
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.err.contains(why), "{ran:?}");
    }
    assert_eq!((messages(&stage, DEAD_LETTERS).await, messages(&stage, AUDIT).await), (3, 0));
}

#[tokio::test]
async fn ctrl_c_stops_between_two_letters_and_says_how_far_it_got() {
    let stage = Stage::recorded().await;
    let arguments = ["dead-letters", "redrive", "--all", "--rate", "1", BECAUSE[0], BECAUSE[1]];
    let child = command(&stage.url(), &arguments).spawn().unwrap();
    stage.until("the first one is redriven", async || messages(&stage, AUDIT).await > 0).await;
    kill(Pid::from_raw(child.id().unwrap().cast_signed()), Signal::SIGINT).unwrap();
    let ran = tokio::time::timeout(Duration::from_secs(10), ended(child)).await.unwrap();
    assert_eq!(ran.code, 1, "{ran:?}");
    let decided = messages(&stage, AUDIT).await;
    assert!(decided < 3, "it went on");
    let expected = format!("{decided} of 3 redriven; stopped by you: the others are dead letters as before\n");
    assert_eq!(ran.out, expected);
}
