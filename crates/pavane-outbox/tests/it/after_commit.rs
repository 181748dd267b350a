//! What is called after a commit, and what never is.

use std::{
    mem,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use pavane_outbox::{Config, Correlation, Db, Emissions, Error, Tx, internal::CrashPoint, migration::OUTBOX};
use pavane_testkit::servers::{Direction, Postgres, Proxy};
use sqlx::Any;

use crate::shelf::{Gate, Shelf, everything, noted};

/// Who was called, in order.
#[derive(Clone, Default)]
struct Called(Arc<Mutex<Vec<&'static str>>>);

impl Called {
    fn after(&self, tx: &mut Tx<Any>, who: &'static str) {
        let called = self.clone();
        tx.after_commit(move || called.0.lock().unwrap().push(who));
    }

    fn taken(&self) -> Vec<&'static str> {
        mem::take(&mut self.0.lock().unwrap())
    }
}

#[tokio::test]
async fn functions_are_called_in_order_and_only_when_the_commit_succeeded() {
    for shelf in Shelf::each().await {
        let called = Called::default();
        let mut tx = shelf.begin().await;
        called.after(&mut tx, "first");
        tx.emit(&noted("a", "text")).await.unwrap();
        called.after(&mut tx, "second");
        assert_eq!(called.taken(), [""; 0], "not before the commit");
        tx.commit().await.unwrap();
        assert_eq!(called.taken(), ["first", "second"]);

        let mut tx = shelf.begin().await;
        called.after(&mut tx, "rolled back");
        tx.rollback().await.unwrap();
        let mut tx = shelf.begin().await;
        called.after(&mut tx, "dropped");
        drop(tx);

        let deferred = "create table nobody (id integer primary key); \
                        create table refers (id integer references nobody (id) deferrable initially deferred)";
        sqlx::raw_sql(deferred).execute(shelf.db.writers()).await.unwrap();
        let mut tx = shelf.begin().await;
        called.after(&mut tx, "failed");
        sqlx::raw_sql("insert into refers values (1)").execute(tx.conn()).await.unwrap();
        assert!(tx.commit().await.is_err(), "what is checked at the commit fails it");
        assert_eq!(called.taken(), [""; 0]);
    }
}

#[tokio::test]
async fn a_panic_after_the_commit_harms_nothing() {
    for shelf in Shelf::each().await {
        let called = Called::default();
        let mut tx = shelf.begin().await;
        tx.emit(&noted("a", "kept")).await.unwrap();
        called.after(&mut tx, "before");
        tx.after_commit(|| panic!("oh no"));
        called.after(&mut tx, "behind");
        tx.commit().await.unwrap();
        assert_eq!(called.taken(), ["before", "behind"]);
        crate::shelf::run_dry(&mut shelf.relay()).await;
        assert_eq!(shelf.stored(), ["kept"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_called_when_nobody_knows_whether_it_committed() {
    let postgres = Postgres::shared().await.unwrap();
    let url = postgres.fresh_database().await.unwrap();
    let proxy = Proxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, postgres.port()))).await.unwrap();
    let through = url.replace(&format!(":{}/", postgres.port()), &format!(":{}/", proxy.address().port()));
    let direct = Db::<Any>::open(Config::new("shelf", &url)).await.unwrap();
    direct.migrate(&OUTBOX).await.unwrap();
    let gate = Arc::new(Gate::default());
    let mut config = Config::new("shelf", &through);
    config.answer_timeout = Duration::from_millis(500);
    config.crash_points = Some(Arc::clone(&gate) as _);
    let db = Db::<Any>::open(config).await.unwrap();

    let called = Called::default();
    let mut tx = db.begin(Correlation::start(), Emissions::new("shelf/test", everything())).await.unwrap();
    tx.emit(&noted("a", "text")).await.unwrap();
    called.after(&mut tx, "unknown");
    gate.close(CrashPoint::BeforeCommit);
    let lose_the_answer = async {
        gate.reached().await;
        proxy.black_hole(Direction::ToClient);
        gate.open();
    };
    let (committed, ()) = tokio::join!(db.within(tx.commit()), lose_the_answer);
    assert!(matches!(committed, Err(Error::NoAnswer(_))), "{committed:?}");
    let kept: i64 = sqlx::query_scalar("select count(*) from pavane_outbox").fetch_one(direct.readers()).await.unwrap();
    assert_eq!((kept, called.taken()), (1, vec![]), "it did commit, and only its answer is lost");
}
