//! Travel, and travellers who don't give up.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use pavane_contract::{Clock as _, SystemClock};
use pavane_testkit::{
    Violation,
    history::{Answered, Called, Recorder},
    servers::Proxy,
};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use travel::{
    demo::{
        audit::{self, Books, Check},
        company::{Company, SERVICES},
        running::FAULTS,
        scenario,
        traveller::{self, Settled},
    },
    provider::{self, Provider},
};

use super::world::{self, Program, World};

/// For one request: an instance that stands still doesn't answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// For an answer of any instance.
const PATIENCE: Duration = Duration::from_mins(4);

pub(super) struct Agency {
    company: Company,
    provider: Provider,
    before: Books,
    _provider: DropGuard,
}

impl Agency {
    /// Starts everything. The provider keeps its books in memory, so it is in this process; it forgets the keys of requests after 7 s.
    pub(super) async fn open() -> (World, Self) {
        let provider = Provider::new(Arc::new(SystemClock), FAULTS);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (served, stopped) = (provider.clone(), stop.clone().cancelled_owned());
        tokio::spawn(async move { provider::serve(listener, &served, stopped).await.unwrap() });
        let link = Proxy::start(address).await.unwrap();
        let environment = [("PROVIDER_URL", format!("http://{}", link.address()))];
        let program = |service: &'static str| {
            let arguments = ["--only", service].map(str::to_owned).into();
            Program { service, binary: "travel", arguments, environment: environment.to_vec() }
        };
        let callee = world::Provider { process: None, link, caller: None };
        let world = World::start(callee, SERVICES.into_iter().map(program).collect()).await;
        let mut company = Company::new(ANSWER_WITHIN, PATIENCE).unwrap();
        company.add("provider", format!("http://{address}"));
        for service in SERVICES {
            for url in world.urls(service) {
                company.add(service, url);
            }
        }
        let before = Books::read(&company).await.unwrap();
        (world, Self { company, provider, before, _provider: stop.drop_guard() })
    }

    /// What its travellers do.
    pub(super) fn trips(&self, seed: u64) -> impl Fn(usize) -> BoxFuture<'static, Settled> + Clone + use<> {
        let (company, scenarios) = (self.company.clone(), Arc::new(scenario::draw(1000, seed)));
        move |number| {
            let (company, scenario) = (company.clone(), scenarios[number % scenarios.len()]);
            async move { traveller::travel(&company, number, scenario).await.unwrap() }.boxed()
        }
    }

    /// Notes what only the travellers and the provider know.
    pub(super) fn note(&self, recorder: &Recorder, trips: &[Settled]) {
        let at = SystemClock.now();
        for trip in trips {
            let saga = Some(trip.trip.parse().unwrap());
            recorder.note(Answered { at, what: "POST /trips".to_owned(), saga, accepted: true });
        }
        let holds = self.provider.holds().into_iter().map(|(order, _)| {
            let key = format!("{:?} {}", order.stock, order.reference);
            Called { at, what: "hold".to_owned(), key, effective: true }
        });
        let charges = self.provider.charged().into_iter().map(|trip| {
            let key = trip.to_string();
            Called { at, what: "charge".to_owned(), key, effective: true }
        });
        for called in holds.chain(charges) {
            recorder.note(called);
        }
    }

    /// How much the auditor looks at, once it has waited, and what is wrong.
    pub(super) async fn audit(&self, trips: &[Settled]) -> (usize, Vec<Violation>) {
        let checks = audit::wait(&self.company, &self.before, trips).await.unwrap();
        // Under disturbances a trip may end otherwise than without: its deadline may pass, or a hold expire.
        let checks: Vec<_> = checks.iter().filter(|check| check.what != "trips that ended as they must").collect();
        let wrong = checks.iter().filter(|check| !check.passed());
        let wrong = wrong
            .map(|Check { what, expected, found, .. }| Violation::overall(format!("{what}: {found}, not {expected}")));
        (checks.len(), wrong.collect())
    }
}
