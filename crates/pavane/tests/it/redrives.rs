//! A redrive names a stored dead letter, which is what is handled, whatever the redrive says.

use pavane::SagaId;
use pavane_bus::{Bus as _, Memory, Outgoing};
use pavane_contract::{
    EventId, RawEnvelope, SystemClock,
    codec::{self, Headers},
};
use pavane_inbox::{Consumer, internal::turn_now};

use crate::stage::{Cancelled, Stage, Started, State, databases, envelope, until};

const LETTER: &str = "pavane-redrive-letter";
const GET: &str = "$JS.API.STREAM.MSG.GET.DEAD_LETTERS";

fn started(key: &str) -> RawEnvelope {
    envelope(EventId::new(&SystemClock), SagaId::new(&SystemClock), &Started { key: key.into() })
}

fn naming(letter: &str) -> Headers {
    Headers::from_iter([(LETTER, letter.to_owned())])
}

/// Publishes a message of somebody who may redrive, and waits until the stage has dealt with it.
async fn say(stage: &Stage, subject: &str, headers: Headers, payload: Vec<u8>) {
    let message_id = format!("said-{}", EventId::new(&SystemClock));
    let said = Outgoing { subject: subject.to_owned(), headers, payload: payload.into(), message_id };
    stage.bus.publish(vec![said]).await.remove(0).unwrap();
    stage.settle().await;
}

/// Takes turns until something was delivered.
async fn turned(consumer: &mut Consumer<State, sqlx::Any, Memory>) {
    while turn_now(consumer, 1).await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_redrive_says_itself_is_not_believed_and_is_kept_with_who_said_what() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        let forged = started("forged");
        let (said, body) = (codec::encode(&forged), forged.body.to_vec());
        let also = |headers: &Headers, letter: u64| {
            let mut headers = headers.clone();
            headers.push(LETTER, letter.to_string());
            headers
        };
        let (step, charge) =
            (stage.keep_letter("step", &started("fine")).await, stage.keep_letter("charge", &started("theirs")).await);
        let elsewhere = "dead.other.step.events.stage.started.fine".to_owned();
        let elsewhere = stage.publish_to(elsewhere, &started("fine"), "of-another-service").await;
        // Its own letter, of an event that came where it doesn't belong.
        let misplaced = "dead.stage.step.events.stage.started.x".to_owned();
        let misplaced = stage.publish_to(misplaced, &forged, "misplaced").await;
        let structured = Headers::from_iter([("content-type", "application/cloudevents+json".to_owned())]);
        let json = codec::to_json(&forged).unwrap().into_bytes();
        let on = "redrive.stage.step.events.stage.started";
        let cases = [
            (format!("{on}.forged"), said.clone(), body.clone(), "it has a header ce-"),
            (format!("{on}.fine"), also(&said, step), body.clone(), "it has a header ce-"),
            (format!("{on}.fine"), also(&Headers::default(), step), body.clone(), "it has a body of its own"),
            (format!("{on}.forged"), structured, json, "it has a body of its own"),
            (format!("{on}.fine"), Headers::default(), Vec::new(), "it names no dead letter"),
            (format!("{on}.fine"), naming("seven"), Vec::new(), "which is no sequence"),
            (format!("{on}.fine"), naming("0"), Vec::new(), "which is no sequence"),
            (format!("{on}.fine"), naming("999"), Vec::new(), "999 is not there (any more)"),
            (format!("{on}.theirs"), naming(&charge.to_string()), Vec::new(), "dead.stage.charge."),
            (format!("{on}.fine"), naming(&elsewhere.to_string()), Vec::new(), "dead.other.step."),
            (format!("{on}.other"), naming(&step.to_string()), Vec::new(), "dead.stage.step.events.stage.started.fine"),
            ("redrive.stage.step.fine".to_owned(), naming(&step.to_string()), Vec::new(), "it came on"),
        ];
        let mut refused = vec![misplaced];
        for (subject, headers, payload, why) in cases {
            let before = stage.letters_of("step").len();
            say(&stage, &subject, headers.clone(), payload.clone()).await;
            let letters = stage.letters_of("step");
            assert_eq!(letters.len(), before + 1, "{subject} {headers:?} is not kept");
            let letter = stage.bus.dead_letter_at(letters[before]).await.unwrap().unwrap();
            let cause = letter.headers.get("pavane-dead-cause").unwrap();
            assert!(cause.contains(why), "{subject} {headers:?}: {cause}");
            assert_eq!(letter.payload, payload, "what was said is kept");
            refused.push(letters[before]);
        }
        // Kept by the service itself, and still nothing that could be said by redriving it.
        for letter in refused {
            stage.redrive(letter).await;
            stage.settle().await;
        }
        for key in ["forged", "fine", "theirs"] {
            assert_eq!(stage.done(key).await, [""; 0], "{key} was believed");
        }
        assert!(stage.script.calls.lock().unwrap().is_empty());
        stage.redrive(step).await;
        stage.settle().await;
        assert_eq!(stage.done("fine").await, ["step"], "the letter itself can be redriven");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_was_cut_is_refused_with_where_the_body_is() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        let event = started("cut");
        let subject = "dead.stage.step.events.stage.started.cut".to_owned();
        let mut headers = codec::encode(&event);
        headers.push("pavane-dead-cut", "12345".to_owned());
        let cut = Outgoing { subject, headers, payload: Vec::new().into(), message_id: "cut".into() };
        let letter = stage.bus.publish(vec![cut]).await.remove(0).unwrap().sequence;
        stage.redrive(letter).await;
        stage.settle().await;
        let causes = stage.dead_causes_of("step");
        assert_eq!(causes.len(), 1, "{causes:?}");
        assert!(
            causes[0].contains("lacks its body of 12345 bytes") && causes[0].contains("pavane_dead_letter"),
            "{causes:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_of_a_redriven_event_is_like_the_first_one_and_can_be_redriven() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        stage.publish_raw(&started("impossible"), "first").await;
        stage.settle().await;
        for times in 2..=3 {
            let letters = stage.letters_of("charge");
            stage.redrive(*letters.last().unwrap()).await;
            stage.settle().await;
            assert_eq!(stage.script.calls.lock().unwrap().len(), times);
        }
        let letters = stage.letters_of("charge");
        assert_eq!(letters.len(), 3);
        let mut told = Vec::new();
        for letter in letters {
            let stored = stage.bus.dead_letter_at(letter).await.unwrap().unwrap();
            let event = codec::decode(&stored.headers, stored.payload.clone(), 1 << 20).unwrap();
            // Where the whole event is, also after it was redriven.
            let at = ["pavane-dead-subject", "pavane-dead-sequence"]
                .map(|name| stored.headers.get(name).unwrap().to_owned());
            told.push((stored.subject, at, event));
        }
        assert!(told.iter().all(|letter| *letter == told[0]), "{told:#?}");
    }
}

/// Nothing is known then: neither that it may be handled nor that it must not.
#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_waits_for_a_bus_that_does_not_show_the_letter() {
    for database in databases().await {
        let (stage, mut step) = Stage::by_hand(database, "step").await;
        let letter = stage.keep_letter("step", &started("later")).await;
        stage.redrive(letter).await;
        stage.bus.forbid(GET);
        for _ in 0..5 {
            turned(&mut step).await;
        }
        assert_eq!(stage.done("later").await, [""; 0]);
        assert_eq!(stage.letters_waiting().await, 0, "it is no attempt, so there is no last one");
        stage.bus.permit();
        turned(&mut step).await;
        assert_eq!(stage.done("later").await, ["step"]);
    }
}

/// It waits in the service's own database, as the event that it is: whatever becomes of the letter meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_is_redriven_while_its_step_runs_waits_and_undoes() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        let provider = stage.script.provider.lock().await;
        let saga = stage.start("slow").await;
        until("the call", || async { (!stage.script.calls.lock().unwrap().is_empty()).then_some(()) }).await;
        let cancelled = envelope(EventId::new(&SystemClock), saga, &Cancelled { key: "slow".into() });
        stage.redrive(stage.keep_letter("refund", &cancelled).await).await;
        until("the undo to wait", || async { (stage.undos_waiting().await == 1).then_some(()) }).await;
        stage.bus.roll_back("DEAD_LETTERS", 0);
        drop(provider);
        stage.settle().await;
        assert_eq!(stage.done("slow").await, ["charge", "refund", "step"]);
        assert!(stage.bus.messages("DEAD_LETTERS").is_empty());
    }
}
