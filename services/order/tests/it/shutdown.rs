//! Stopping and starting again.

use std::time::Duration;

use contracts::order::OrderPlaced;
use order::Settings;
use pavane_testkit::FreshDatabase;
use tokio::time::{Instant, timeout};

use crate::world::{World, fine};

#[tokio::test(flavor = "multi_thread")]
async fn a_service_stops_with_clients_connected_and_goes_on_where_it_stopped() {
    for database in FreshDatabase::of_each_kind().await {
        let mut world = World::start_on(database).await;
        let id = world.place().await;
        let request = world.client.get(format!("{}/orders/{id}/events", world.url));
        let mut stream = request.send().await.unwrap();
        assert!(stream.chunk().await.unwrap().is_some());

        let started = Instant::now();
        world.served.begin_stop();
        // The stream ends, well before it is cut off.
        let ended = async { while stream.chunk().await.unwrap().is_some() {} };
        timeout(Duration::from_secs(5), ended).await.unwrap();
        world.served.stop().await;
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
        assert!(world.client.get(format!("{}/healthz", world.url)).send().await.is_err());

        let again = world.beside(Settings::default()).await;
        assert_eq!(again.order(id).await["status"], "payment-pending");
        assert_eq!(again.cancel(id).await.status, 202);
        again.order.settle().await;
        assert_eq!(again.times_said::<OrderPlaced>(id), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_before_the_stop_is_published() {
    for database in FreshDatabase::of_each_kind().await {
        let mut world = World::start_on(database).await;
        let body = fine().to_string();
        let placing = (0..50).map(|_| world.post("/orders", body.clone()));
        let placed = futures_util::future::join_all(placing).await;
        world.served.stop().await;
        for answer in placed {
            assert_eq!(world.times_said::<OrderPlaced>(answer.id()), 1);
        }
    }
}
