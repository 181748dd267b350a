//! What is refused, and kept with its cause.

use pavane::database::Error;
use pavane_testkit::envelope_each;

use super::*;
use crate::starts::refusal;

#[tokio::test]
async fn an_empty_list_is_refused_unless_something_stands_for_it() {
    let mut stage = stage(&State::default()).await;
    stage.receive(&Requested::of("7", 0)).await;
    assert_eq!(stage.emitted::<NoSeats>(), [NoSeats::of("7", 0)]);
    let mut tx = stage.entry(&BOOK).begin(Correlation::start()).await.unwrap();
    let refused = tx.emit_each(wanted(0)).await.unwrap_err();
    assert!(matches!(&refused, Error::NoItems { .. }), "{refused:?}");
    let said = refused.to_string();
    assert!(said.contains("flight/book") && said.contains(".or_if_none::<…>()"), "{said}");
}

#[tokio::test]
async fn a_saga_has_up_to_a_thousand_items_and_one_list_of_an_event() {
    let stage = stage(&State::default()).await;
    let mut tx = stage.entry(&BOOK).begin(Correlation::start()).await.unwrap();
    let refused = tx.emit_each(wanted(1001)).await;
    assert!(matches!(refused, Err(Error::TooManyItems { .. })), "{refused:?}");
    tx.emit_each(wanted(1000)).await.unwrap();
    let refused = tx.emit_each(wanted(1)).await;
    assert!(matches!(refused, Err(Error::SecondList { .. })), "{refused:?}");
    tx.commit().await.unwrap();
    // They were written in several statements.
    let stamps =
        "select count(distinct headers ->> '$') from pavane_outbox where headers like '%[\"ce-itemcount\",\"1000\"]%'";
    assert_eq!(stage.count(stamps).await, 1000);
}

/// What the declaration says about either and or is checked when the handler has returned.
#[tokio::test]
async fn a_handler_emits_its_list_or_what_stands_for_it() {
    async fn neither((): &(), _: &mut Tx, _: &Envelope<Requested>) -> Handled {
        Ok(())
    }
    async fn both((): &(), tx: &mut Tx, trip: &Envelope<Requested>) -> Handled {
        tx.emit(&NoSeats::of(&trip.trip, 0)).await?;
        tx.emit_each(wanted(1)).await?;
        Ok(())
    }
    let neither = on(neither).emits_each::<SeatWanted>().or_if_none::<NoSeats>();
    let both = on(both).emits_each::<SeatWanted>().or_if_none::<NoSeats>();
    for split in [neither, both] {
        let mut stage = given(Service::new("flight", ()).react("split", split)).receive(&Requested::of("7", 1)).await;
        assert!(stage.emitted_names().is_empty());
        let letters = stage.dead_letters();
        assert!(
            letters.len() == 1
                && letters[0]
                    .cause
                    .contains("emits a list of flight.seat-wanted v1, or flight.no-seats v1 for an empty one"),
            "{letters:?}"
        );
        stage.settle().await;
    }
}

#[tokio::test]
async fn an_event_without_an_item_is_no_item() {
    let mut stage = stage(&State::default()).await;
    stage.receive(&SeatWanted::of("7", 0)).await;
    let letters = stage.dead_letters();
    assert!(letters.len() == 1 && letters[0].cause.contains("is about no item"), "{letters:?}");
    assert_eq!(stage.count("select count(*) from pavane_ledger").await, 0);
    // Of a join as well, and it names the event that came without.
    stage.receive(&Ticketed::of("7", 0)).await;
    let letters = stage.dead_letters();
    assert!(letters.len() == 2 && letters[1].cause.contains("is about no item"), "{letters:?}");
}

#[tokio::test]
async fn a_second_event_of_an_item_and_one_of_another_list_are_refused() {
    let mut stage = stage(&State::default()).await;
    let held = stage.envelope_each(&[SeatHeld::of("7", 0), SeatHeld::of("7", 1)]);
    stage.deliver(&held[0]).await;
    let again = stage.envelope_each(&[SeatHeld::of("7", 0), SeatHeld::of("7", 1)]);
    stage.deliver(&again[0]).await;
    let causes =
        |stage: &Stage<State>| -> Vec<_> { stage.dead_letters().into_iter().map(|letter| letter.cause).collect() };
    let letters = causes(&stage);
    assert!(letters.iter().any(|cause| cause.contains("has every flight.seat-held already")), "{letters:?}");
    assert!(letters.iter().any(|cause| cause.contains("or once for each item")), "{letters:?}");
    let longer = stage.envelope_each(&[SeatHeld::of("7", 0), SeatHeld::of("7", 1), SeatHeld::of("7", 2)]);
    stage.deliver(&longer[2]).await;
    let letters = causes(&stage);
    assert!(letters.iter().any(|cause| cause.contains("all of them have one count")), "{letters:?}");
    stage.deliver(&held[1]).await;
    assert_eq!(stage.emitted::<Booked>(), [Booked::of("7", 2)]);
}

#[tokio::test]
async fn an_item_that_gives_up_says_so_for_itself_and_never_runs() {
    async fn hold((): &(), tx: &mut Tx, wanted: Each<SeatWanted>) -> Handled {
        if wanted.seat == 1 {
            return Err(HandlerError::reject("broken"));
        }
        tx.emit(&SeatHeld::of(&wanted.trip, wanted.seat)).await?;
        Ok(())
    }
    async fn release((): &(), _: &mut Tx, _: Each<SeatHeld>) -> Handled {
        Ok(())
    }
    let failed = |wanted: &Envelope<SeatWanted>| SeatRefused::of(&wanted.trip, wanted.seat);
    let service = Service::new("flight", ())
        .react("hold", on(hold).emits::<SeatHeld>().gives_up_with(failed))
        .react("release", undo(release).when::<Cancelled>());
    let mut stage = given(service).await;
    stage.receive_each(&wanted(2)).await;
    let items: HashMap<_, _> =
        stage.emitted_events().iter().map(|event| (event.meta.event.name.clone(), event.meta.cause.item)).collect();
    assert_eq!(items["flight.seat-refused"], Item::new(2, 2));
    assert_eq!(items["flight.seat-held"], Item::new(1, 2));
    let barred = "select count(*) from pavane_ledger where step = 'hold' and item = '2' and state = 'barred'";
    assert_eq!(stage.count(barred).await, 1);
    // After the undo there is nothing left to say.
    let mut stage = {
        let service = Service::new("flight", ())
            .react("hold", on(hold).emits::<SeatHeld>().gives_up_with(failed))
            .react("release", undo(release).when::<Cancelled>());
        given(service).receive(&Cancelled::of("7", 0)).await
    };
    stage.receive_each(&wanted(2)).await;
    assert!(stage.emitted_names().is_empty() && stage.dead_letters().is_empty());
}

#[tokio::test]
async fn a_step_that_ran_without_items_is_not_taken_for_one_that_has_some() {
    let mut stage = stage(&State::default()).await;
    let wanted = stage.envelope_each(&wanted(1));
    let before = "insert into pavane_ledger (saga, step, state, changed_at) values ($1, 'hold', 'done', 7)";
    let insert = sqlx::query(before).bind(wanted[0].meta.cause.saga.to_string());
    insert.execute(stage.db().writers()).await.unwrap();
    stage.deliver(&wanted[0]).await;
    let letters = stage.dead_letters();
    assert!(letters.len() == 1 && letters[0].cause.contains("has this step without items"), "{letters:?}");
}

/// The second one has another key: the provider would take it for another call.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_events_of_one_item_at_once_one_is_called_for() {
    for database in FreshDatabase::of_each_kind().await {
        let airline = State::default();
        let service = {
            let airline = Arc::clone(&airline);
            move || flight(&airline)
        };
        let mut flights = Instances::none(&database, service).await;
        flights.start().await;
        flights.start().await;
        for number in 0..30 {
            let (saga, trip) = (SagaId::new(&SystemClock), number.to_string());
            let list = [SeatHeld::of(&trip, 0), SeatHeld::of(&trip, 1)];
            let (mut first, second) = (envelope_each(saga, &list), envelope_each(saga, &list));
            // The first item makes the row of the step as a whole; the second one is the one that comes twice at once.
            first.extend(second.into_iter().skip(1));
            flights.deliver_all(&first);
        }
        flights.settle().await;
        assert_eq!(airline.issued.lock().unwrap().len(), 60, "{}", database.url());
        // The join has refused the second one, too.
        assert_eq!(flights.dead_letters().len(), 60);
        flights.stop().await;
    }
}

#[tokio::test]
async fn a_step_that_has_no_items_any_more_does_not_forget_those_that_it_had() {
    async fn hold((): &(), tx: &mut Tx, wanted: &Envelope<SeatWanted>) -> Handled {
        tx.emit(&SeatHeld::of(&wanted.trip, 0)).await?;
        Ok(())
    }
    async fn release((): &(), _: &mut Tx, _: &Envelope<SeatHeld>) -> Handled {
        Ok(())
    }
    let service = Service::new("flight", ())
        .react("hold", on(hold).emits::<SeatHeld>())
        .react("release", undo(release).when::<Cancelled>());
    let mut stage = given(service).await;
    let cancelled = stage.envelope(&Cancelled::of("7", 0));
    let before = "insert into pavane_ledger (saga, step, item, state, changed_at) values ($1, 'hold', '', 'gathering', 7), \
                  ($1, 'hold', '2', 'done', 7)";
    let insert = sqlx::query(before).bind(cancelled.meta.cause.saga.to_string());
    insert.execute(stage.db().writers()).await.unwrap();
    stage.deliver(&cancelled).await;
    let letters = stage.dead_letters();
    assert!(letters.len() == 1 && letters[0].cause.contains("has items of this step"), "{letters:?}");
}

#[tokio::test]
async fn a_wiring_table_that_can_not_work_is_refused() {
    async fn list((): &(), tx: &mut Tx, wanted: Each<SeatWanted>) -> Handled {
        tx.emit_each([SeatHeld::of(&wanted.trip, 0)]).await?;
        Ok(())
    }
    async fn whole((): &(), _: &mut Tx, _: &Envelope<SeatHeld>) -> Handled {
        Ok(())
    }
    async fn decide((): &(), _: &mut Tx, _: Each<SeatWanted>) -> Handled {
        Ok(())
    }
    async fn of_item((): &(), _: &mut Tx, _: Each<SeatHeld>) -> Handled {
        Ok(())
    }
    let service = || Service::new("flight", ());
    let nested = service().react("hold", on(list).emits_each::<SeatHeld>());
    let timer = service().react("hold", on(list).schedules::<SeatHeld>());
    let undone =
        service().react("hold", on(list).emits::<SeatHeld>()).react("release", undo(whole).when::<Cancelled>());
    let outcome = service().react("hold", on(decide).decides::<SeatHeld>());
    let outcome = outcome.react("release", undo(of_item).when::<Cancelled>());
    let nothing = service().react("hold", on(list).emits::<SeatHeld>().or_if_none::<NoSeats>());
    for (service, why) in [
        (nested, "runs for each item and names flight.seat-held v1 in .emits_each"),
        (timer, "runs for each item and names flight.seat-held v1 in .schedules"),
        (outcome, "runs for each item and names flight.seat-held v1 in .decides"),
        (undone, "the undo \"release\" must take Each<…>, as its step \"hold\" does"),
        (nothing, ".or_if_none::<…>() without a list"),
    ] {
        let refused = refusal(service, |_| {}).await;
        assert!(refused.contains(why), "{refused}");
    }
}
