use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use pavane_contract::Key;
use pavane_outbox::{Config, Correlation, Database, Db, Decision, Emissions, Error, Failure, chain};
use pavane_testkit::servers::{Direction, Postgres, Proxy};
use sqlx::{Any, postgres::PgPoolOptions};

use crate::shelf::{Shelf, noted, run_dry};

#[tokio::test]
async fn of_many_decisions_about_one_saga_one_wins() {
    for shelf in Shelf::each().await {
        let saga = shelf.begin().await.saga();
        let decisions: Vec<_> = (0..8)
            .map(|number| {
                let db = shelf.db.clone();
                let emissions = vec![pavane_choreography::Emission::Outcome(vec![pavane_contract::EventRef::of::<
                    crate::shelf::Noted,
                >()])];
                tokio::spawn(async move {
                    let emissions = Emissions::new("shelf/judge", emissions);
                    let mut tx = db.begin(Correlation::of(saga), emissions).await.unwrap();
                    let outcome = tx.decide(&noted("a", &number.to_string())).await.unwrap();
                    tx.commit().await.unwrap();
                    outcome
                })
            })
            .collect();
        let mut won = 0;
        for decision in decisions {
            won += usize::from(decision.await.unwrap() == Decision::Won);
        }
        run_dry(&mut shelf.relay()).await;
        assert_eq!((won, shelf.stored().len()), (1, 1));
    }
}

#[tokio::test]
async fn a_decision_that_rolls_back_leaves_the_saga_undecided() {
    for shelf in Shelf::each().await {
        let mut tx = shelf.begin().await;
        let saga = tx.saga();
        assert_eq!(tx.decide(&noted("a", "first")).await.unwrap(), Decision::Won);
        drop(tx);
        let emissions =
            vec![pavane_choreography::Emission::Outcome(vec![pavane_contract::EventRef::of::<crate::shelf::Noted>()])];
        let mut tx = shelf.db.begin(Correlation::of(saga), Emissions::new("shelf/judge", emissions)).await.unwrap();
        assert_eq!(tx.decide(&noted("a", "second")).await.unwrap(), Decision::Won);
    }
}

#[tokio::test]
async fn more_events_than_fit_one_statement_leave_in_order() {
    for shelf in Shelf::each().await {
        let mut tx = shelf.begin().await;
        for number in 0..2500 {
            tx.emit(&noted("a", &number.to_string())).await.unwrap();
        }
        tx.commit().await.unwrap();
        run_dry(&mut shelf.relay()).await;
        assert_eq!(shelf.stored(), (0..2500).map(|number| number.to_string()).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_postgresql_that_is_not_there_is_named_with_what_the_last_attempt_ended_with() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut config = Config::new("shelf", format!("postgres://me:secret@{nobody}/shelf"));
    config.acquire_timeout = Duration::from_millis(100);
    let error = Db::<Any>::open(config).await.unwrap_err();
    assert!(matches!(error, Error::NoConnection { .. }), "{error:?}");
    assert_eq!(error.failure(), Failure::Unavailable);
    let told = chain(&error);
    assert!(told.contains(&format!("{nobody}/shelf")) && told.contains("refused"), "{told}");
    assert!(!told.contains("secret") && told.matches("refused").count() == 1, "{told}");
}

/// A pool of its own, with few connections, to a fresh database that is asked for with a password. Through a network that can fail.
async fn few(connections: u32) -> (Db<Any>, Proxy) {
    let postgres = Postgres::shared().await.unwrap();
    let proxy = Proxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, postgres.port()))).await.unwrap();
    let url = postgres.fresh_database().await.unwrap().replace("postgres@", "postgres:secret@");
    let url = url.replace(&format!(":{}/", postgres.port()), &format!(":{}/", proxy.address().port()));
    let mut config = Config::new("shelf", url);
    (config.connections, config.acquire_timeout) = (connections, Duration::from_millis(200));
    (Db::open(config).await.unwrap(), proxy)
}

async fn refused<DB: Database>(db: &Db<DB>) -> Error {
    let refused = db.begin(Correlation::start(), Emissions::nothing("shelf")).await.map(drop).unwrap_err();
    assert_eq!(refused.failure(), Failure::Unavailable);
    assert!(!chain(&refused).contains("secret"), "{}", chain(&refused));
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_whose_connections_are_all_in_use_says_so() {
    let (db, proxy) = few(2).await;
    let emissions = || Emissions::nothing("shelf");
    let _held = [
        db.begin(Correlation::start(), emissions()).await.unwrap(),
        db.begin(Correlation::start(), emissions()).await.unwrap(),
    ];
    // More than the server would let in, if each of them asked it at once.
    let waiting: Vec<_> = (0..500)
        .map(|_| {
            tokio::spawn({
                let db = db.clone();
                async move { refused(&db).await }
            })
        })
        .collect();
    for refused in waiting {
        let refused = refused.await.unwrap();
        assert!(matches!(refused, Error::Exhausted { size: 2, .. }), "{refused:?}");
        let told = chain(&refused);
        let parts =
            [&format!("@{}/fresh_", proxy.address()), "within 200ms", "all 2 of the pool are in use", "held open"];
        assert!(parts.iter().all(|part| told.contains(part)), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_of_its_users_says_so_too() {
    let options = PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_millis(200));
    let url =
        Postgres::shared().await.unwrap().fresh_database().await.unwrap().replace("postgres@", "postgres:secret@");
    let pool = options.connect(&url).await.unwrap();
    let _held = pool.begin().await.unwrap();
    let told = chain(&refused(&Db::from_pool("shelf", pool.clone())).await);
    let address = url.replace("postgres:secret", "…");
    assert!(told.contains(&address) && told.contains("all 1 of the pool are in use"), "{address}: {told}");
}

/// Those who wait for the one that is tried, too: the pool is full then, and not exhausted.
#[tokio::test(flavor = "multi_thread")]
async fn a_pool_whose_server_went_away_says_what_the_last_attempt_ended_with() {
    let (db, proxy) = few(1).await;
    let address = proxy.address();
    drop(proxy);
    db.distrust();
    for refused in [tokio::join!(refused(&db), refused(&db))].into_iter().flat_map(<[Error; 2]>::from) {
        assert!(matches!(refused, Error::NoConnection { .. }), "{refused:?}");
        let told = chain(&refused);
        assert!(told.contains(&format!("@{address}/fresh_")) && told.contains("refused"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_whose_server_does_not_answer_says_so() {
    let (db, proxy) = few(1).await;
    proxy.black_hole(Direction::ToClient);
    db.distrust();
    let refused = refused(&db).await;
    assert!(matches!(refused, Error::NoConnection { .. }), "{refused:?}");
    assert!(chain(&refused).contains("no answer within 2s"), "{}", chain(&refused));
}

#[tokio::test]
async fn bad_input_is_a_clear_error() {
    for shelf in Shelf::each().await {
        let mut tx = shelf.begin().await;
        let long = tx.emit(&noted(&"k".repeat(Key::MAX_BYTES + 1), "")).await.unwrap_err();
        assert_eq!(long.to_string(), "the key of shelf.noted v1 has 257 bytes, over the limit of 256");
        // What PostgreSQL can't store as text must not break the transaction that it is emitted in.
        for odd in ["\u{0}", "\u{fffd}", "'\"\\", "\u{1f600}", ""] {
            tx.emit(&noted(odd, odd)).await.unwrap();
        }
        tx.commit().await.unwrap();
        run_dry(&mut shelf.relay()).await;
        assert_eq!(shelf.stored(), ["\u{0}", "\u{fffd}", "'\"\\", "\u{1f600}", ""]);
    }
    let url = Db::<Any>::open(Config::new("shelf", "mysql://user:secret@host/db")).await.unwrap_err();
    assert!(matches!(url, Error::Url(_)));
    assert!(!url.to_string().contains("secret"), "{url}");
}
