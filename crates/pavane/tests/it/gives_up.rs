//! Failures: retried, counted, and kept when nothing helps.

use pavane::SagaId;
use pavane_bus::{Bus as _, Outgoing};
use pavane_contract::{EventId, SystemClock, codec::Headers};

use crate::stage::{Stage, Started, databases, envelope};

/// What the bus takes in one message.
const MESSAGE_MAX: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_fails_is_tried_again_and_leaves_no_trace_of_its_failures() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        stage.script.failures.lock().unwrap().insert("twice".into(), 2);
        stage.start("twice").await;
        stage.settle().await;
        assert_eq!(stage.done("twice").await, ["charge", "step"]);
        assert!(stage.bus.messages("DEAD_LETTERS").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_last_attempt_the_event_is_kept_with_its_cause_and_the_saga_is_told() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        stage.script.failures.lock().unwrap().insert("always".into(), u32::MAX);
        for key in ["before", "always", "after"] {
            stage.start(key).await;
        }
        stage.settle().await;
        assert_eq!(stage.done("always").await, ["charge"]);
        assert!(stage.said("always").contains(&"stage.failed".to_owned()));
        let dead = stage.bus.messages("DEAD_LETTERS");
        assert_eq!(dead.len(), 1);
        let header = |name| dead[0].message.headers.get(name).unwrap().to_owned();
        assert_eq!(header("pavane-dead-cause"), "told to fail");
        assert_eq!(header("pavane-dead-attempts"), "3");
        assert_eq!(header("pavane-dead-reaction"), "step");
        assert_eq!(dead[0].message.subject, "dead.stage.step.events.stage.started.always");
        for key in ["before", "after"] {
            assert_eq!(stage.done(key).await, ["charge", "step"], "a poison event must not block others");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn panics_rejections_and_broken_promises_end_as_dead_letters() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        for key in ["panic-now", "reject-now", "silent-now", "fine"] {
            stage.start(key).await;
        }
        stage.settle().await;
        let mut causes: Vec<_> = stage
            .bus
            .messages("DEAD_LETTERS")
            .iter()
            .map(|dead| dead.message.headers.get("pavane-dead-cause").unwrap().to_owned())
            .collect();
        causes.sort();
        assert_eq!(
            causes,
            [
                "stage/step: it declares that it emits exactly one of stage.stepped v1, stage.refused v1, and emitted 0",
                "the handler panicked: told to panic",
                "told to reject",
            ]
        );
        assert_eq!(stage.done("fine").await, ["charge", "step"]);
        assert_eq!(stage.done("silent-now").await, ["charge"]);
    }
}

/// Found by the simulation: the second one's dead letter was taken for a duplicate of the first one's, and the event was lost.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_with_the_sequence_of_one_that_the_broker_lost_is_another_dead_letter() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        for (id, dead) in [("first", 2), ("second", 4)] {
            let garbage = Outgoing {
                subject: "events.stage.started.x".into(),
                headers: Headers::default(),
                payload: id.into(),
                message_id: id.into(),
            };
            let receipt = stage.bus.publish(vec![garbage]).await.remove(0).unwrap();
            assert_eq!(receipt.sequence, 1);
            stage.settle().await;
            assert_eq!(stage.bus.messages("DEAD_LETTERS").len(), dead, "one for each reaction");
            stage.bus.roll_back("EVENTS", 0);
        }
    }
}

/// Its user may publish on its own subjects only, so what is said there about another's event is not believed.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_came_on_a_subject_that_is_not_its_own_is_kept_as_a_dead_letter() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        let forged =
            |key: &str| envelope(EventId::new(&SystemClock), SagaId::new(&SystemClock), &Started { key: key.into() });
        // On the subject of another key, and of another event that the same reaction would hear.
        let subjects = ["events.stage.started.other", "events.stage.stepped.forged"];
        for (n, subject) in subjects.into_iter().enumerate() {
            stage.publish_to(subject.to_owned(), &forged("forged"), &format!("forged-{n}")).await;
        }
        stage.start("fine").await;
        stage.settle().await;
        assert_eq!(stage.done("forged").await, [""; 0], "nothing was believed");
        assert_eq!(stage.done("fine").await, ["charge", "step"]);
        let letters = stage.bus.messages("DEAD_LETTERS");
        let causes: Vec<_> = letters.iter().filter_map(|it| it.message.headers.get("pavane-dead-cause")).collect();
        // Two reactions run on `started`, and one on `stepped`.
        assert_eq!(causes.len(), 3, "{causes:?}");
        let first = "it came on \"events.stage.started.other\" and says that it is stage.started v1 about \"forged\"";
        assert!(causes.iter().any(|cause| cause.contains(first)), "{causes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_kept_and_stops_nothing() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        let garbage = |headers: Headers, payload: &'static [u8], id: &str| Outgoing {
            subject: "events.stage.started.x".into(),
            headers,
            payload: payload.into(),
            message_id: id.into(),
        };
        let headers = |version: &str, body_kind: &str| -> Headers {
            [
                ("ce-specversion", "1.0"),
                ("ce-id", "0192a6b2-0000-7000-8000-000000000001"),
                ("ce-type", body_kind),
                ("ce-source", "elsewhere"),
                ("ce-subject", "x"),
                ("ce-time", "2026-01-01T00:00:00Z"),
                ("ce-eventversion", version),
                ("ce-correlationid", "0192a6b2-0000-7000-8000-000000000002"),
            ]
            .into_iter()
            .map(|(name, value)| (name, value.to_owned()))
            .collect()
        };
        stage
            .bus
            .publish(vec![
                garbage(Headers::default(), b"\xff\xfe", "1"),
                garbage(headers("1", "stage.started"), b"{", "2"),
                garbage(headers("7", "stage.started"), b"{\"key\":\"x\"}", "3"),
                garbage(headers("1", "stage.other"), b"{\"key\":\"x\"}", "4"),
            ])
            .await;
        stage.start("fine").await;
        stage.settle().await;
        // Two reactions run on `started`, and each keeps what it can't handle.
        assert_eq!(stage.bus.messages("DEAD_LETTERS").len(), 8);
        assert_eq!(stage.done("fine").await, ["charge", "step"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_reaches_only_the_reaction_that_gave_up_and_starts_anew() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        stage.script.outages.lock().unwrap().clone_from(&0);
        stage.start("panic-again").await;
        stage.settle().await;
        stage.redrive(stage.letters_of("step")[0]).await;
        stage.settle().await;
        assert_eq!(
            stage.done("panic-again").await,
            ["charge"],
            "the saga was told that the step failed: nothing may run"
        );
        assert_eq!(stage.script.calls.lock().unwrap().len(), 1, "other reactions must not see a redrive");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_can_not_be_stored_waits_and_its_handler_runs_no_more() {
    for database in databases().await {
        let mut stage = Stage::open(database).await;
        stage.fill_dead_letters(true);
        stage.script.failures.lock().unwrap().insert("impossible-always".into(), u32::MAX);
        let started = envelope(
            EventId::new(&SystemClock),
            SagaId::new(&SystemClock),
            &Started { key: "impossible-always".into() },
        );
        stage.publish_raw(&started, "first").await;
        stage.start("fine").await;
        stage.settle().await;
        assert_eq!(stage.letters_waiting().await, 2, "one of each reaction");
        assert_eq!(stage.done("fine").await, ["charge", "step"], "others go on");
        assert!(stage.said("impossible-always").contains(&"stage.failed".to_owned()), "the saga is told at once");
        // As it comes again when its end got lost.
        stage.publish_raw(&started, "again").await;
        stage.settle().await;
        assert_eq!(stage.script.calls.lock().unwrap().len(), 2, "one for each event");
        let mut stage = stage.restart().await;
        stage.fill_dead_letters(false);
        stage.settle().await;
        assert_eq!(stage.bus.messages("DEAD_LETTERS").len(), 2);
        assert_eq!(stage.letters_waiting().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_of_what_was_given_up_runs_once_for_each_redrive() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        let started =
            envelope(EventId::new(&SystemClock), SagaId::new(&SystemClock), &Started { key: "impossible".into() });
        stage.publish_raw(&started, "first").await;
        stage.settle().await;
        stage.redrive(stage.letters_of("charge")[0]).await;
        stage.settle().await;
        assert_eq!(stage.script.calls.lock().unwrap().len(), 2, "the redrive calls again");
        assert_eq!(stage.bus.messages("DEAD_LETTERS").len(), 2, "and is another dead letter");
        stage.publish_raw(&started, "again").await;
        stage.settle().await;
        assert_eq!(stage.script.calls.lock().unwrap().len(), 2, "but what comes again by itself does not");
        assert_eq!(stage.bus.messages("DEAD_LETTERS").len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_keeps_its_bytes_and_is_cut_where_it_would_not_fit() {
    for database in databases().await {
        let stage = Stage::open(database).await;
        let bytes: Vec<u8> = (0..=255).collect();
        let large = vec![0xff; MESSAGE_MAX - 64];
        for (id, payload) in [("bytes", bytes.clone()), ("large", large.clone())] {
            let garbage = Outgoing {
                subject: "events.stage.started.x".into(),
                headers: Headers::default(),
                payload: payload.into(),
                message_id: id.into(),
            };
            stage.bus.publish(vec![garbage]).await.remove(0).unwrap();
        }
        stage.start("fine").await;
        stage.settle().await;
        assert_eq!(stage.done("fine").await, ["charge", "step"]);
        let dead = stage.bus.messages("DEAD_LETTERS");
        assert_eq!(dead.len(), 4, "each of two reactions keeps both");
        let (cut, whole): (Vec<_>, Vec<_>) =
            dead.iter().partition(|letter| letter.message.headers.get("pavane-dead-cut").is_some());
        assert_eq!((cut.len(), whole.len()), (2, 2));
        assert!(whole.iter().all(|letter| letter.message.payload == bytes));
        for letter in cut {
            assert_eq!(letter.message.headers.get("pavane-dead-cut"), Some(large.len().to_string().as_str()));
            assert_eq!(letter.message.headers.get("pavane-dead-sequence"), Some("2"), "where the whole event is");
        }
        let kept = sqlx::query_scalar(
            "select count(*) from pavane_dead_letter where cut_at is not null and length(body) = $1",
        );
        let bytes = i64::try_from(large.len()).unwrap();
        let kept: i64 = kept.bind(bytes).fetch_one(stage.db.readers()).await.unwrap();
        assert_eq!(kept, 2, "and the whole body is in the database");
    }
}
