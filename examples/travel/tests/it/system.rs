//! The travel booking as a system: its services, their provider, and what travellers do. For the tests, and for `examples/travel.rs`.

use std::{collections::BTreeMap, net::TcpListener, sync::Arc, time::Duration};

use axum::{
    extract::Request,
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use pavane::{SagaId, database::Error};
use pavane_testkit::{BoxError, Network, Saga, System, Violation, World};
use sqlx::{Postgres, types::Json};
use travel::{
    car::{self, Car},
    contracts::{TripId, Wishes},
    flight::{self, Flight},
    hotel::{self, Hotel},
    itinerary,
    provider::{self, Balance, Client, Faults, Provider, Settings, Stock},
    ticketing::{self, Ticketing},
    trip::{
        self,
        entries::{self, APPROVE, CANCEL, NewTrip, REQUEST},
    },
};

/// How long the provider knows an idempotency key, and how long the services count on it, with clocks that are minutes apart.
const KEY_LIVES: (Duration, Duration) = (Duration::from_mins(30), Duration::from_mins(15));

/// Sets it up.
pub(crate) fn travel(system: &mut System<Postgres>) {
    if let Err(error) = set_up(system) {
        panic!("failed to set the travel booking up: {error}");
    }
}

fn set_up(system: &mut System<Postgres>) -> Result<(), BoxError> {
    let faults = Faults { late: Duration::ZERO, key_life: KEY_LIVES.0 };
    let provider = Provider::new(Arc::new(system.clock()), faults);
    let mut settings = Settings::at(&serve(&provider, system.network())?)?;
    settings.key_life = KEY_LIVES.1;
    let client = Client::new(settings)?;
    let of = |client: &Client| client.clone();
    let (airline, hotel, rental, office) = (of(&client), of(&client), of(&client), client);
    system.service(trip::service);
    system.service(move || flight::service(Flight::new(airline.clone())));
    system.service(move || hotel::service(Hotel::new(hotel.clone())));
    system.service(move || car::service(Car::new(rental.clone())));
    system.service(move || ticketing::service(Ticketing::new(office.clone())));
    system.service(itinerary::service);
    system.begin(request);
    system.interlude(cancel);
    system.interlude(answer);
    system.invariant("all or nothing", move |world| balance(world, provider.clone()));
    Ok(())
}

/// Serves the provider until the run's runtime ends.
fn serve(provider: &Provider, network: Network) -> Result<String, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let url = format!("http://{}", listener.local_addr()?);
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let router = provider::router(provider).layer(middleware::from_fn(move |request, next| {
        let network = network.clone();
        async move { unreliable(&network, request, next).await }
    }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

/// Requests get lost on their way, or their answers do.
async fn unreliable(network: &Network, request: Request, next: Next) -> Response {
    if network.loses_request() {
        return StatusCode::GATEWAY_TIMEOUT.into_response();
    }
    let answer = next.run(request).await;
    if network.loses_answer() { StatusCode::GATEWAY_TIMEOUT.into_response() } else { answer }
}

async fn request(world: World<Postgres>, number: usize) -> Result<SagaId, BoxError> {
    Ok(entries::request(&world.entry("trip", &REQUEST), &new_trip(number)).await?.saga())
}

/// Trips of all kinds: of up to three, some without a seat, a room, a car or money, and many with a dearer room.
fn new_trip(number: usize) -> NewTrip {
    let every = |nth: usize, then: &str, otherwise: &str| {
        if number % nth == nth - 1 { then.to_owned() } else { otherwise.to_owned() }
    };
    let wishes = Wishes {
        passengers: (0..=number % 3).map(|seat| format!("passenger {seat}")).collect(),
        flight: every(7, "full", &every(6, "flaky", "PV7")),
        hotel: every(8, "full", &every(3, "dear", "Arbeau")),
        room_quote_cents: Stock::Room.price_cents(),
        car: (number % 4 != 3).then(|| every(5, "full", "small")),
        card: every(11, "declined", "visa"),
    };
    let traveller = format!("traveller {number}");
    NewTrip { traveller, reference: None, wishes, deadline_seconds: 7_200, hold_seconds: 5_400, answer_seconds: 3_600 }
}

async fn cancel(world: World<Postgres>, saga: Saga) -> Result<(), BoxError> {
    let _decision = entries::cancel(&world.entry("trip", &CANCEL), TripId::of(saga.id)).await?;
    Ok(())
}

/// Agrees, mostly. A question that was not asked, or is closed, is none.
async fn answer(world: World<Postgres>, saga: Saga) -> Result<(), BoxError> {
    let agrees = !saga.number.is_multiple_of(4);
    match entries::answer(&world.entry("trip", &APPROVE), TripId::of(saga.id), "traveller", agrees).await {
        Err(Error::NotAsked { .. } | Error::Answered { .. } | Error::Expired { .. } | Error::Decided { .. }) => Ok(()),
        answered => Ok(answered?),
    }
}

/// What each service has for a trip: its parts that are not released, and letters.
const PARTS: [(&str, &str); 4] = [
    ("flight", "select trip, 'seats ' || status, count(*) from seat where status <> 'released' group by trip, status"),
    ("hotel", "select trip, 'rooms ' || status, count(*) from room where status <> 'released' group by trip, status"),
    ("car", "select trip, 'cars ' || status, count(*) from car where status <> 'released' group by trip, status"),
    ("itinerary", "select trip, kind, count(*) from letter group by trip, kind"),
];

type Parts = BTreeMap<String, i64>;

/// A trip that is confirmed has all its seats, its room, its car if there was one, and an itinerary. Every other trip has nothing but an
/// apology, and cost no more than a fee.
async fn balance(world: World<Postgres>, provider: Provider) -> Result<Vec<Violation>, BoxError> {
    let mut parts: BTreeMap<TripId, Parts> = BTreeMap::new();
    for (service, sql) in PARTS {
        let rows: Vec<(TripId, String, i64)> = sqlx::query_as(sql).fetch_all(world.db(service).readers()).await?;
        for (trip, what, count) in rows {
            parts.entry(trip).or_default().insert(what, count);
        }
    }
    let sql = "select id, status, wishes, coalesce(has_car, false), coalesce(total_cents, 0) from trip";
    let trips = sqlx::query_as(sql).fetch_all(world.db("trip").readers()).await?;
    let trips: Vec<(TripId, String, Json<Wishes>, bool, i64)> = trips;
    let (mut violations, mut booked, mut revenue) = (Vec::new(), Parts::new(), 0);
    for (trip, status, Json(wishes), has_car, total_cents) in trips {
        let found = parts.remove(&trip).unwrap_or_default();
        let expected = expected(&status, &wishes, has_car)?;
        if found != expected {
            let what = format!("the trip is {status} and should have {expected:?}, and has {found:?}");
            violations.push(Violation::of(trip.saga(), what));
        }
        revenue += if status == "confirmed" { total_cents } else { 0 };
        for (part, count) in expected {
            *booked.entry(part).or_default() += count;
        }
    }
    violations.extend(parts.into_keys().map(|trip| Violation::of(trip.saga(), "nobody requested the trip")));
    violations.extend(at_the_provider(&provider.balance(), &booked, revenue));
    Ok(violations)
}

fn expected(status: &str, wishes: &Wishes, has_car: bool) -> Result<Parts, BoxError> {
    let seats = i64::try_from(wishes.passengers.len())?;
    let parts = match status {
        "confirmed" => {
            vec![("seats booked", seats), ("rooms booked", 1), ("cars booked", has_car.into()), ("itinerary", 1)]
        }
        "cancelled" => vec![("apology", 1)],
        _ => vec![],
    };
    Ok(parts.into_iter().filter(|(_, count)| *count > 0).map(|(part, count)| (part.to_owned(), count)).collect())
}

/// The provider holds nothing any more, has booked what trips have, and was paid what they cost, and fees.
fn at_the_provider(balance: &Balance, booked: &Parts, revenue: i64) -> Option<Violation> {
    let of = |part: &str| booked.get(part).copied().unwrap_or_default();
    let has = |stock: Stock| balance.booked.get(&stock).copied().unwrap_or_default();
    let expected = (0, of("seats booked"), of("rooms booked"), of("cars booked"), revenue);
    let paid = balance.charged_cents - balance.refunded_cents - balance.fee_cents;
    let held = balance.held.values().sum::<i64>();
    let found = (held, has(Stock::Seat), has(Stock::Room), has(Stock::Car), paid);
    let what = format!("the provider should have (held, seats, rooms, cars, cents) {expected:?}, and has {found:?}");
    (found != expected).then(|| Violation::overall(what))
}
