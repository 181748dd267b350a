use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::{services::Services, *};
use crate::comparison::world::{World, bad, good};

/// The services, in this process.
async fn served(world: &World) -> (String, AbortOnDropHandle<Result<()>>) {
    let services = Services { databases: world.databases.clone(), provider: world.provider.clone() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (url, AbortOnDropHandle::new(tokio::spawn(services::serve(listener, services))))
}

#[tokio::test]
async fn an_order_ends_as_it_must_and_leaves_nothing_behind() {
    let world = World::open().await;
    let (url, _services) = served(&world).await;
    let orchestrator = Orchestrator::open("one", world.databases.clone(), url).await.unwrap();
    assert_eq!(orchestrator.place(good()).await.unwrap(), Ending::Confirmed);
    for order in bad() {
        assert_eq!(orchestrator.place(order).await.unwrap(), Ending::Cancelled);
    }
    world.audit(1).await;
}

#[tokio::test]
async fn a_saga_is_carried_on_from_wherever_it_was() {
    let world = World::open().await;
    let (url, _services) = served(&world).await;
    let orchestrator = Orchestrator::open("one", world.databases.clone(), url.clone()).await.unwrap();
    for logged in 0..STEPS.len() {
        let order = good();
        store::begin(&world.databases.order, "one", &order).await.unwrap();
        let mut saga = Saga { order, done: 0, intent_id: None, undoing: false };
        // One more step than the log knows of.
        for (step, _) in &STEPS[..=logged] {
            let answer = orchestrator.ask(*step, &saga).await.unwrap();
            saga.intent_id = saga.intent_id.or(answer.intent_id);
            saga.done += 1;
            if saga.done <= logged {
                store::log_step(&world.databases.order, &saga).await.unwrap();
            }
        }
    }
    let refused = &bad()[0];
    store::begin(&world.databases.order, "one", refused).await.unwrap();
    let recovered = Orchestrator::open("one", world.databases.clone(), url).await.unwrap();
    world.audit(STEPS.len()).await;
    assert_eq!(recovered.ending(&refused.id).await.unwrap(), Some(Ending::Cancelled));
}

#[tokio::test]
async fn what_is_asked_twice_happens_once() {
    let world = World::open().await;
    let (url, _services) = served(&world).await;
    let orchestrator = Orchestrator::open("one", world.databases.clone(), url).await.unwrap();
    let order = good();
    store::begin(&world.databases.order, "one", &order).await.unwrap();
    let mut saga = Saga { order, done: 0, intent_id: None, undoing: false };
    let rest = [Step::TakeOut, Step::Dispatch];
    for step in STEPS.iter().map(|(step, _)| *step).chain(rest) {
        let (one, two) = join!(orchestrator.ask(step, &saga), orchestrator.ask(step, &saga));
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!((one.yes, &one.intent_id), (true, &two.intent_id), "{step:?}");
        assert!(two.yes, "{step:?}");
        saga.intent_id = saga.intent_id.or(one.intent_id);
    }
    saga.done = STEPS.len();
    store::confirm(&world.databases.order, &saga).await.unwrap();
    world.audit(1).await;
}
