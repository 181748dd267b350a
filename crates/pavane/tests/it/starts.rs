//! What must not start doesn't.

use std::{sync::Arc, time::Duration};

use pavane::{
    Config, Declared, EntryPoint, Envelope, Handled, Saga,
    any::{Db, Service, Tx},
    database::Config as DbConfig,
    on, on_effect, undo,
};
use pavane_bus::Memory;
use pavane_contract::SystemClock;

use crate::stage::{Cancelled, Charged, Declined, Failed, Started, Stepped};

const START: EntryPoint = EntryPoint::new("start");

pub(crate) async fn refusal(service: Service<()>, change: impl FnOnce(&mut Config)) -> String {
    let db = Db::open(DbConfig::new("stage", "sqlite::memory:")).await.unwrap();
    let mut config = Config::new("");
    change(&mut config);
    pavane_outbox::chain(&service.connect_to(db, Memory::new(Arc::new(SystemClock)), config).await.unwrap_err())
}

async fn step((): &(), tx: &mut Tx, started: &Envelope<Started>) -> Handled {
    tx.emit(&Stepped { key: started.key.clone() }).await?;
    Ok(())
}

async fn undo_step((): &(), _: &mut Tx, _: &Envelope<Stepped>) -> Handled {
    Ok(())
}

async fn call((): &(), _: &pavane::any::Call<'_>, _: &Envelope<Started>) -> Result<(), pavane::HandlerError> {
    Ok(())
}

async fn record((): &(), _: &mut Tx, _: &Envelope<Started>, (): ()) -> Handled {
    Ok(())
}

async fn undo_charge((): &(), _: &mut Tx, _: &Envelope<Charged>) -> Handled {
    Ok(())
}

fn stage() -> Service<()> {
    Service::new("stage", ())
}

#[tokio::test]
async fn a_wiring_table_that_would_break_a_guarantee_is_refused() {
    let fine = |_: &mut Config| {};
    for (service, expected) in [
        (Service::new("Stage!", ()), "is not a name"),
        (stage().react("a", on(step)).react("a", on(step)), "two reactions or entry points are named \"a\""),
        (
            stage()
                .entry(&START, Declared::emits::<Stepped>)
                .react("start", on(step))
                .react("b", undo(undo_step).when::<Cancelled>()),
            "two reactions or entry points are named \"start\"",
        ),
        (
            stage()
                .entry(&START, Declared::emits::<Stepped>)
                .react("a", on(step).emits::<Stepped>())
                .react("b", undo(undo_step).when::<Cancelled>()),
            "which 2 of this service's reactions and entry points emit",
        ),
        (
            stage().entry(&START, Declared::emits_each::<Stepped>).react("b", undo(undo_step).when::<Cancelled>()),
            "the entry point \"start\" emits a list of stage.stepped v1, which the undo \"b\" is for",
        ),
        (Service::new("other", ()).react("a", on(step).emits::<Stepped>()), "which belongs to \"stage\""),
        (
            stage()
                .react("a", on(step).emits::<Stepped>().schedules::<Stepped>())
                .react("b", undo(undo_step).when::<Cancelled>()),
            "the step \"a\" schedules stage.stepped v1, which the undo \"b\" is for",
        ),
        (
            stage().react("a", on(step).emits::<Stepped>()).outlives_outcome::<Stepped>(),
            "stage.stepped v1 outlives the outcome, but nothing schedules it: add .schedules::<…>()",
        ),
        (
            stage().react("b", undo(undo_step).when::<Cancelled>()),
            "which 0 of this service's reactions and entry points emit",
        ),
        (stage().react("a", on(step).or(step)), "two handlers for stage.started"),
        (stage().react("a", on(step).tuned(|tuning| tuning.max_attempts = 0)), "max_attempts = 0"),
        (
            stage()
                .react(
                    "a",
                    on_effect(call, record)
                        .emits_one_of::<(Charged, Declined)>()
                        .gives_up_with(|started: &Envelope<Started>| Declined { key: started.key.clone() }),
                )
                .react("b", undo(undo_charge).when::<Cancelled>()),
            "whether the effect happened is not known",
        ),
    ] {
        let refused = refusal(service, fine).await;
        assert!(refused.contains(expected), "{refused:?} should say {expected:?}");
    }
}

#[tokio::test]
async fn a_question_that_could_not_be_asked_or_answered_is_refused() {
    for (service, expected) in [
        (
            stage().entry(&START, |entry| entry.answers::<Stepped>().emits::<Started>()),
            "the entry point \"start\" answers stage.stepped v1, which no other line of this wiring table emits at once",
        ),
        (
            stage()
                .react("a", on(step).schedules::<Stepped>())
                .entry(&START, |entry| entry.answers::<Stepped>().emits::<Started>()),
            "\"a\" names stage.stepped v1 in .schedules, but the entry point \"start\" answers it",
        ),
        (
            stage()
                .react("a", on(step).emits::<Stepped>())
                .react("b", on(step).decides::<Stepped>())
                .entry(&START, |entry| entry.answers::<Stepped>().emits::<Started>()),
            "\"b\" names stage.stepped v1 in .decides",
        ),
        (
            stage()
                .react("a", on(step).emits::<Stepped>())
                .react("b", on(step).gives_up_with(|started: &Envelope<Started>| Stepped { key: started.key.clone() }))
                .entry(&START, |entry| entry.answers::<Stepped>().emits::<Started>()),
            "\"b\" names stage.stepped v1 in .gives_up_with",
        ),
        (
            stage()
                .react("a", on(step).emits::<Stepped>())
                .entry(&START, |entry| entry.answers::<Stepped>().may_emit::<Started>()),
            "the entry point \"start\" answers a question, and may emit nothing: add .emits_one_of::<(…)>()",
        ),
        (
            stage()
                .react("a", on(step).emits::<Stepped>())
                .entry(&START, |entry| entry.answers::<Stepped>().expires_with::<Failed>().emits::<Started>()),
            "\"a\" emits stage.stepped v1, which expires with stage.failed v1, and does not schedule that",
        ),
        (
            stage()
                .react("a", on(step).emits::<Stepped>())
                .entry(&START, |entry| entry.answers::<Stepped>().emits::<Started>())
                .entry(&EntryPoint::new("again"), |entry| entry.answers::<Stepped>().emits::<Failed>()),
            "stage.stepped v1 is answered by two entry points, \"start\" and \"again\"",
        ),
    ] {
        let refused = refusal(service, |_| {}).await;
        assert!(refused.contains(expected), "{refused:?} should say {expected:?}");
    }
}

#[tokio::test]
async fn a_setting_that_would_break_a_guarantee_is_refused() {
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let short_inbox = refusal(stage(), |config| config.inbox_retention = days(37)).await;
    assert!(short_inbox.contains("inbox_retention") && short_inbox.contains("handled twice"), "{short_inbox}");
    let horizon = refusal(stage(), |config| config.relay.durability_horizon = days(8)).await;
    assert!(horizon.contains("durability_horizon"), "{horizon}");
    let rows = refusal(stage(), |config| config.outbox_rows = 0).await;
    assert!(rows.contains("outbox_rows = 0") && rows.contains("1000000"), "{rows}");
    let age = refusal(stage(), |config| config.outbox_age = Duration::from_secs(1)).await;
    assert!(age.contains("outbox_age"), "{age}");
    let saga = stage().saga(Saga::new("slow").within(days(60)));
    let long = refusal(saga, |_| {}).await;
    assert!(long.contains("Saga::within") && long.contains("would be forgotten before it ends"), "{long}");
    let saga = stage().saga(Saga::new("slow").within(days(60)));
    let refused = refusal(saga, |config| {
        (config.inbox_retention, config.relay.outcome_retention) = (days(62), days(62));
        config.topology.replicas = 2;
    });
    assert!(refused.await.contains("1, 3 or 5"), "a longer memory is enough");
    let payload_max = stage().react("a", on(step).emits::<Stepped>().tuned(|tuning| tuning.payload_max = 1 << 20));
    let payload_max = refusal(payload_max, |_| {}).await;
    assert!(payload_max.contains("is 1048576 bytes") && payload_max.contains("use 983040 or less"), "{payload_max}");
    let replicas = refusal(stage(), |config| config.topology.replicas = 2).await;
    assert!(replicas.contains("1, 3 or 5"), "{replicas}");
}

#[tokio::test]
async fn an_undeclared_event_can_not_be_emitted() {
    let db = Db::open(DbConfig::new("stage", "sqlite::memory:")).await.unwrap();
    let bus = Memory::new(Arc::new(SystemClock));
    let app = stage().entry(&START, Declared::emits::<Started>).connect_to(db, bus, Config::new("")).await.unwrap();
    let mut tx = app.entry(&START).begin(pavane::Correlation::start()).await.unwrap();
    let error = tx.emit(&Stepped { key: "x".into() }).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "stage/start does not declare that it emits stage.stepped v1: add .emits::<…>() to its line in the wiring table"
    );
}

#[tokio::test]
#[should_panic(expected = "stage has no entry point \"start\": add .entry(…) to its wiring table")]
async fn an_entry_point_that_is_not_wired_is_missed_when_its_handle_is_made() {
    let db = Db::open(DbConfig::new("stage", "sqlite::memory:")).await.unwrap();
    let app = stage().connect_to(db, Memory::new(Arc::new(SystemClock)), Config::new("")).await.unwrap();
    app.entry(&START);
}
