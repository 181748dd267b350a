//! One service as it runs: in several instances, stopped and started, behind HTTP or not.

use pavane::SagaId;
use pavane_contract::SystemClock;
use pavane_testkit::{FreshDatabase, Instances, Served, until};

use crate::shop::{OrderCancelled, PaymentCharged, Scales, StockReleased, StockReserved, stock};

const PIECES: &str = "select pieces from shelf";

fn charged(number: usize) -> PaymentCharged {
    PaymentCharged { order: number.to_string(), cents: 995, pieces: 1 }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_handle_each_event_once_and_it_settles_when_all_is_said() {
    for database in FreshDatabase::of_each_kind().await {
        let mut service = Instances::none(&database, || stock(Scales::default())).await;
        let sagas: Vec<_> = (0..20).map(|_| SagaId::new(&SystemClock)).collect();
        let events: Vec<_> =
            sagas.iter().enumerate().map(|(number, saga)| service.publish(*saga, &charged(number))).collect();
        assert_eq!((service.count(PIECES).await, service.pending("reserve").undelivered), (60, 20), "none runs");
        service.start().await;
        service.start().await;
        service.deliver_all(&events);
        service.settle().await;
        assert_eq!(service.count(PIECES).await, 40);
        for (number, saga) in sagas.iter().enumerate() {
            let reserved = StockReserved { order: number.to_string(), pieces: 1 };
            assert_eq!(service.emitted::<StockReserved>(*saga), [reserved]);
        }
        service.stop().await;

        // What comes while all are away is handled by the next one.
        service.publish(sagas[7], &OrderCancelled { order: "7".into() });
        assert_eq!(service.emitted_names(sagas[7]), ["stock.reserved"]);
        service.start().await;
        service.settle().await;
        assert_eq!(service.emitted_names(sagas[7]), ["stock.reserved", "stock.released"]);
        assert_eq!(service.emitted::<StockReleased>(sagas[7]), [StockReleased { order: "7".into() }]);
        assert_eq!(service.emitted_events(sagas[8]).len(), 1, "of another saga");
        assert!(service.dead_letters().is_empty());
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_gives_up_on_is_told_when_it_settles() {
    let service = Instances::one(&FreshDatabase::sqlite(), || stock(Scales::default())).await;
    let saga = SagaId::new(&SystemClock);
    service.publish(saga, &PaymentCharged { pieces: Scales::UNLUCKY, ..charged(1) });
    service.settle().await;
    let letters = service.dead_letters();
    assert_eq!((letters.len(), letters[0].reaction.as_str()), (1, "reserve"));
}

#[tokio::test]
async fn what_is_served_stops_when_it_is_told() {
    let mut served = Served::start(|listener, shutdown| async move {
        drop(listener);
        shutdown.await;
        Ok::<_, std::io::Error>(())
    })
    .await;
    assert_eq!(served.url("/healthz"), format!("http://{}/healthz", served.address()));
    served.stop().await;
    // Once is enough.
    served.stop().await;
}

#[tokio::test]
#[should_panic(expected = "the service ended with an error: \"no power\"")]
async fn what_ends_with_an_error_fails_its_test() {
    Served::start(|_, _| async { Err::<(), _>("no power") }).await.stop().await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "waited 60s in vain for the moon")]
async fn what_never_comes_fails_its_test() {
    until("the moon", async || None::<()>).await;
}
