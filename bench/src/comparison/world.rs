//! What the tests of the baselines stand on.

use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::{
    audit::Auditor,
    databases::{self, Databases, Options},
    order::{self, FAST_CARD, Order},
    provider::Provider,
    shop::{Server, open_psp},
};

/// A product of which there is nothing left.
const SOLD_OUT: usize = 7;
const DECLINED_CARD: &str = "pm_card_declined";

/// Empty databases, full shelves and a provider.
pub(crate) struct World {
    pub(crate) databases: Databases,
    pub(crate) provider: Provider,
    auditor: Auditor,
    _psp: AbortOnDropHandle<()>,
    _server: Server,
}

impl World {
    pub(crate) async fn open() -> Self {
        let server = Server::start().await.unwrap();
        for service in databases::SERVICES {
            server.postgres.create_database(&format!("test_{service}")).await.unwrap();
        }
        let prefix = server.postgres.url("test_");
        let options = Options { prefix: prefix.clone(), connections: 8, lock_timeout: Duration::ZERO };
        let databases = Databases::connect(&options).await.unwrap();
        databases::migrate(&databases).await.unwrap();
        let (psp_url, psp) = open_psp(Duration::ZERO).await.unwrap();
        let provider = Provider::at(psp_url.clone()).unwrap();
        let mut auditor = Auditor::new(&prefix, &server.postgres.url("postgres"), psp_url).await.unwrap();
        auditor.fill_shelves(&[order::sku(0), order::sku(1)], 100).await.unwrap();
        auditor.fill_shelves(&[order::sku(SOLD_OUT)], 0).await.unwrap();
        Self { databases, provider, auditor, _psp: psp, _server: server }
    }

    pub(crate) async fn in_doubt(&self) -> i64 {
        self.auditor.in_doubt().await.unwrap()
    }

    /// Fails unless the books balance, with this many orders confirmed.
    pub(crate) async fn audit(&self, confirmed: usize) {
        self.auditor.audit(confirmed).await.unwrap();
    }
}

/// An order that nothing is wrong with.
pub(crate) fn good() -> Order {
    Order::of(0, FAST_CARD)
}

/// Orders that a service, or the provider, says no to.
pub(crate) fn bad() -> [Order; 2] {
    [Order::of(SOLD_OUT, FAST_CARD), Order::of(0, DECLINED_CARD)]
}
