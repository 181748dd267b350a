//! Questions to people, as services ask and answer them: what docs/questions.md says.

use std::time::Duration;

use pavane::{
    Correlation, Declared, EntryPoint, Envelope, Event, Handled, SagaId,
    any::{Entry, Service, Tx},
    database::Error,
    on,
};
use pavane_contract::SystemClock;
use pavane_testkit::{FreshDatabase, Instances, Stage, fault_matrix, given};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

const APPROVE: EntryPoint = EntryPoint::new("approve");
const DAY: Duration = Duration::from_hours(24);

macro_rules! event {
    ($name:ident, $wire:literal) => {
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
        #[event(name = $wire, key = trip)]
        struct $name {
            trip: String,
        }
    };
}

event!(PriceRaised, "hotel.price-raised");
event!(PriceAsked, "trip.price-asked");
event!(ApprovalExpired, "trip.approval-expired");
event!(PriceApproved, "trip.price-approved");
event!(PriceRefused, "trip.price-refused");
event!(Confirmed, "trip.confirmed");
event!(Cancelled, "trip.cancelled");

fn trip() -> Service<()> {
    Service::new("trip", ())
        .react("ask-price", on(ask_price).emits::<PriceAsked>().schedules::<ApprovalExpired>())
        .entry(&APPROVE, |entry| {
            entry
                .answers::<PriceAsked>()
                .expires_with::<ApprovalExpired>()
                .emits_one_of::<(PriceApproved, PriceRefused)>()
        })
        .react("confirm", on(confirm).decides::<Confirmed>())
        .react("give-up", on(refused).or(expired).decides::<Cancelled>())
}

async fn ask_price((): &(), tx: &mut Tx, raised: &Envelope<PriceRaised>) -> Handled {
    let trip = raised.trip.clone();
    tx.emit_after(DAY, &ApprovalExpired { trip: trip.clone() }).await?;
    tx.emit(&PriceAsked { trip }).await?;
    Ok(())
}

/// What the handler of an HTTP request does.
async fn answer(approve: &Entry, saga: SagaId, clerk: &str, agrees: bool) -> Result<(), Error> {
    let mut tx = approve.answer(saga, clerk).await?;
    let trip = tx.question().map(|asked| asked.meta.key.to_string()).unwrap_or_default();
    if agrees {
        tx.emit(&PriceApproved { trip }).await?;
    } else {
        tx.emit(&PriceRefused { trip }).await?;
    }
    tx.commit().await
}

async fn confirm((): &(), tx: &mut Tx, approved: &Envelope<PriceApproved>) -> Handled {
    let _outcome = tx.decide(&Confirmed { trip: approved.trip.clone() }).await?;
    Ok(())
}

async fn refused((): &(), tx: &mut Tx, refused: &Envelope<PriceRefused>) -> Handled {
    let _outcome = tx.decide(&Cancelled { trip: refused.trip.clone() }).await?;
    Ok(())
}

async fn expired((): &(), tx: &mut Tx, expired: &Envelope<ApprovalExpired>) -> Handled {
    let _outcome = tx.decide(&Cancelled { trip: expired.trip.clone() }).await?;
    Ok(())
}

fn raised() -> PriceRaised {
    PriceRaised { trip: "7".to_owned() }
}

/// A trip whose price was raised, on each database.
async fn asked() -> [Stage<()>; 2] {
    let stages = [given(trip()).receive(&raised()).await, given(trip()).on_postgres().receive(&raised()).await];
    for stage in &stages {
        assert_eq!(stage.emitted_names(), ["trip.price-asked"]);
    }
    stages
}

#[tokio::test]
async fn an_answer_leads_on_and_nothing_expires() {
    for (agrees, expected) in
        [(true, ["trip.price-approved", "trip.confirmed"]), (false, ["trip.price-refused", "trip.cancelled"])]
    {
        for mut stage in asked().await {
            let approve = stage.entry(&APPROVE);
            let [question] = &approve.open_questions(100).await.unwrap()[..] else { panic!() };
            assert_eq!(question.saga, stage.saga());
            answer(&approve, question.saga, "clerk-7", agrees).await.unwrap();
            assert_eq!(stage.settle().await.emitted_names(), expected);
            assert!(stage.advance(2 * DAY).await.emitted_names().is_empty());
            let again = answer(&approve, stage.saga(), "clerk-8", agrees).await.unwrap_err().to_string();
            assert!(again.contains("was answered by \"clerk-7\" at ") && again.contains(expected[0]), "{again}");
            assert!(approve.open_questions(100).await.unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn without_an_answer_the_question_expires() {
    for mut stage in asked().await {
        assert_eq!(stage.advance(DAY).await.emitted_names(), ["trip.approval-expired", "trip.cancelled"]);
        let late = answer(&stage.entry(&APPROVE), stage.saga(), "clerk-7", true).await;
        assert!(matches!(&late, Err(Error::Decided { outcome, .. }) if outcome == "trip.cancelled"), "{late:?}");
    }
}

#[tokio::test]
async fn a_reaction_that_asks_again_gives_up() {
    for mut stage in asked().await {
        stage.receive(&raised()).await;
        let letters = stage.dead_letters();
        assert!(letters[0].cause.contains("trip/ask-price emits trip.price-asked v1, which the saga"), "{letters:?}");
        assert!(letters[0].cause.contains("asked before"), "{letters:?}");
        answer(&stage.entry(&APPROVE), stage.saga(), "clerk-7", true).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_instances_one_takes_the_answer() {
    for database in FreshDatabase::of_each_kind().await {
        let mut trips = Instances::one(&database, trip).await;
        trips.start().await;
        let doors = [trips.connect().await.entry(&APPROVE), trips.connect().await.entry(&APPROVE)];
        for agrees in [true, false, true, false] {
            let saga = SagaId::new(&SystemClock);
            let early = answer(&doors[0], saga, "clerk-0", true).await;
            assert!(matches!(early, Err(Error::NotAsked { .. })), "{early:?}");
            trips.publish(saga, &raised());
            trips.settle().await;
            let (one, other) =
                tokio::join!(answer(&doors[0], saga, "clerk-7", agrees), answer(&doors[1], saga, "clerk-8", !agrees));
            let (winner, loser) = if one.is_ok() { (agrees, other) } else { (!agrees, one) };
            assert!(matches!(loser, Err(Error::Answered { .. })), "{loser:?}");
            trips.settle().await;
            let end = if winner {
                ["trip.price-approved", "trip.confirmed"]
            } else {
                ["trip.price-refused", "trip.cancelled"]
            };
            assert_eq!(trips.emitted_names(saga)[1..], end);
        }
        assert_eq!(trips.count("select count(*) from pavane_timer").await, 0);
        trips.stop().await;
    }
}

#[tokio::test]
async fn a_question_is_asked_once_under_every_fault() {
    let approved = PriceApproved { trip: "7".to_owned() };
    let (refused, expired) = (PriceRefused { trip: "7".to_owned() }, ApprovalExpired { trip: "7".to_owned() });
    for matrix in [fault_matrix(trip), fault_matrix(trip).on_postgres()] {
        matrix.event(&raised()).event(&approved).event(&refused).event(&expired).assert().await;
    }
}

#[tokio::test]
async fn an_answer_names_who_gives_it() {
    let stage = given(trip()).receive(&raised()).await;
    let begun = stage.entry(&APPROVE).begin(Correlation::of(stage.saga())).await.unwrap_err().to_string();
    assert!(begun.starts_with("trip/approve answers trip.price-asked v1: begin with answer(saga, by)"), "{begun}");
}

#[test]
fn the_manifest_says_what_is_answered_and_until_when() {
    let manifest = serde_json::to_value(trip().manifest()).unwrap();
    let expected = json!({
        "asks": { "name": "trip.price-asked", "version": 1 },
        "expires_with": { "name": "trip.approval-expired", "version": 1 }
    });
    assert_eq!(manifest["entries"][0]["answers"], expected);
    let plain = Service::<()>::new("trip", ()).entry(&APPROVE, Declared::emits::<PriceAsked>).manifest();
    assert_eq!(serde_json::to_value(plain).unwrap()["entries"][0].get("answers"), None);
}
