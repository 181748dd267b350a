//! Requests that are sent again.

use std::{collections::HashSet, time::Duration};

use contracts::order::OrderPlaced;
use order::Settings;
use pavane_testkit::FreshDatabase;
use serde_json::Value;

use crate::world::{Answer, World, fine};

fn other() -> Value {
    let mut body = fine();
    body["lines"][0]["quantity"] = 3.into();
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_gets_the_same_answer_and_places_one_order() {
    for database in FreshDatabase::of_each_kind().await {
        let world = World::start_on(database).await;
        let first = world.place_with_key("k 1", &fine()).await;
        assert_eq!((first.status, first.replayed), (201, false));
        // The order goes on meanwhile; the answer is the one that was given.
        world.cancel(first.id()).await;

        let again = world.place_with_key("k 1", &fine()).await;
        assert_eq!(again, Answer { replayed: true, ..first.clone() });
        let spaced = serde_json::to_string_pretty(&fine()).unwrap();
        let request = world.client.post(format!("{}/orders", world.url)).header("Idempotency-Key", "k 1");
        let respaced = Answer::of(request.body(spaced).send().await.unwrap()).await;
        assert_eq!(respaced, again);

        let refused = world.place_with_key("k 1", &other()).await;
        assert_eq!((refused.status, refused.fields()), (422, vec!["Idempotency-Key"]), "{refused:?}");
        let new = world.place_with_key("k 2", &other()).await;
        assert_eq!(new.status, 201);
        assert_ne!(new.id(), first.id());

        world.order.settle().await;
        assert_eq!(world.times_said::<OrderPlaced>(first.id()), 1);
        assert_eq!(world.order.count("select count(*) from orders").await, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_the_same_time_with_one_key_place_one_order() {
    for database in FreshDatabase::of_each_kind().await {
        let world = World::start_on(database).await;
        for round in 0..5 {
            let key = format!("race-{round}");
            let body = fine();
            let answers = futures_util::future::join_all((0..20).map(|_| world.place_with_key(&key, &body))).await;
            let ids: HashSet<_> = answers.iter().map(Answer::id).collect();
            assert_eq!(ids.len(), 1);
            assert!(answers.iter().all(|answer| answer.status == 201 && answer.text == answers[0].text));
            assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
        }
        world.order.settle().await;
        assert_eq!(world.order.count("select count(*) from orders").await, 5);
        assert_eq!(world.order.bus().messages("EVENTS").len(), 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_the_same_time_with_one_key_and_other_bodies_place_one_order() {
    for database in FreshDatabase::of_each_kind().await {
        let world = World::start_on(database).await;
        let bodies: Vec<_> = (0..20).map(|n| if n % 2 == 0 { fine() } else { other() }).collect();
        let answers = futures_util::future::join_all(bodies.iter().map(|body| world.place_with_key("one", body))).await;
        let placed: HashSet<_> = answers.iter().filter(|answer| answer.status == 201).map(Answer::id).collect();
        assert_eq!(placed.len(), 1);
        assert_eq!(answers.iter().filter(|answer| answer.status == 422).count(), 10);
        assert_eq!(world.order.count("select count(*) from orders").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_may_be_mended_under_its_key() {
    let world = World::start().await;
    let mut bad = fine();
    bad["email"] = "nobody".into();
    assert_eq!(world.place_with_key("mend", &bad).await.status, 422);
    assert_eq!(world.place_with_key("mend", &fine()).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_once_is_not_refused_because_the_rules_have_changed() {
    for database in FreshDatabase::of_each_kind().await {
        let before = World::start_on(database).await;
        let mut body = fine();
        body["deadline_seconds"] = 600.into();
        let first = before.place_with_key("rules", &body).await;
        let mut stricter = Settings::default();
        stricter.deadline_max = Duration::from_mins(1);
        let after = before.beside(stricter).await;
        assert_eq!(after.place_with_key("rules", &body).await, Answer { replayed: true, ..first });
        assert_eq!(after.place_with_key("new", &body).await.fields(), ["deadline_seconds"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_forgotten_after_a_day() {
    for database in FreshDatabase::of_each_kind().await {
        let world = World::start_on(database).await;
        let first = world.place_with_key("old", &fine()).await;
        let age = "update idempotency_keys set created_at = created_at - 86400000000";
        sqlx::query(age).execute(world.db.writers()).await.unwrap();
        let second = world.place_with_key("old", &other()).await;
        assert_eq!((second.status, second.replayed), (201, false));
        assert_ne!(second.id(), first.id());
        assert_eq!(world.place_with_key("old", &other()).await.id(), second.id());
        assert_eq!(world.order.count("select count(*) from idempotency_keys").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_can_not_be_used_is_refused() {
    let world = World::start().await;
    for key in ["", &"x".repeat(256), "a\tb"] {
        let answer = world.place_with_key(key, &fine()).await;
        assert_eq!((answer.status, answer.fields()), (400, vec!["Idempotency-Key"]), "{key:?}");
    }
    assert_eq!(world.place_with_key(&"x".repeat(255), &fine()).await.status, 201);
    let twice = world.client.post(format!("{}/orders", world.url));
    let twice = twice.header("Idempotency-Key", "a").header("Idempotency-Key", "b").body(fine().to_string());
    assert_eq!(Answer::of(twice.send().await.unwrap()).await.status, 400);
}
