//! Stopping and starting again.

use std::time::Duration;

use contracts::order::OrderPlaced;
use order::Settings;
use tokio::time::{Instant, timeout};

use crate::world::{World, databases, fine};

#[tokio::test(flavor = "multi_thread")]
async fn a_service_stops_with_clients_connected_and_goes_on_where_it_stopped() {
    for database in databases().await {
        let mut world = World::start_on(database.clone()).await;
        let id = world.place().await;
        let request = world.client.get(format!("{}/orders/{id}/events", world.url));
        let mut stream = request.send().await.unwrap();
        assert!(stream.chunk().await.unwrap().is_some());

        let started = Instant::now();
        world.begin_stop();
        // The stream ends, well before it is cut off.
        let ended = async { while stream.chunk().await.unwrap().is_some() {} };
        timeout(Duration::from_secs(5), ended).await.unwrap();
        (&mut world.running).await.unwrap().unwrap();
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
        assert!(world.client.get(format!("{}/healthz", world.url)).send().await.is_err());

        let again = World::join(world.bus.clone(), database, Settings::default()).await;
        assert_eq!(again.order(id).await["status"], "payment-pending");
        assert_eq!(again.cancel(id).await.status, 202);
        again.settle().await;
        assert_eq!(again.times_said::<OrderPlaced>(id), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_before_the_stop_is_published() {
    for database in databases().await {
        let mut world = World::start_on(database).await;
        let body = fine().to_string();
        let placing = (0..50).map(|_| world.post("/orders", body.clone()));
        let placed = futures_util::future::join_all(placing).await;
        world.begin_stop();
        (&mut world.running).await.unwrap().unwrap();
        for answer in placed {
            assert_eq!(world.times_said::<OrderPlaced>(answer.id()), 1);
        }
    }
}
