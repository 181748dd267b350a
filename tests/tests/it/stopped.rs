//! A service is stopped. The operator is told in time which orders wait for it: by the monitor, by `pavane stuck` and
//! by the metric. When the service is back, they have nothing to tell any more.

use std::time::Duration;

use futures_util::future::join_all;
use pavane::Timestamp;
use pavane_contract::{Clock as _, SystemClock};
use pavane_testkit::servers::{Process, ProcessOptions};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    command::pavane,
    house::{House, On},
};

/// `stuck_after` of a reaction that sets none, in milliseconds.
const STUCK_AFTER: i64 = 30_000;
/// How much later than that everybody has to know.
const NOTICE: i64 = 5_000;
/// A machine that has much else to do may start a process late.
const PATIENCE: Duration = Duration::from_secs(90);

/// A service that is stopped, and what is missed then.
struct Case {
    service: &'static str,
    /// Killed, not stopped in good order.
    killed: bool,
    /// What is said of an order that waits for it.
    sentence: &'static str,
    /// What the metric calls it.
    event: &'static str,
    card: &'static str,
}

const CASES: [Case; 5] = [
    Case {
        // The provider takes so long for this card that there is time to stop the service that took the order.
        service: "order",
        killed: false,
        sentence: "for order.confirmed from order; stuck after 30 s",
        event: "order.confirmed",
        card: "pm_card_slow",
    },
    Case {
        service: "payment",
        killed: true,
        sentence: "for payment.authorized or payment.declined from payment; stuck after 30 s",
        event: "payment.authorized|payment.declined",
        card: "pm_card_visa",
    },
    Case {
        service: "inventory",
        killed: false,
        sentence: "for inventory.reserved or inventory.rejected from inventory; stuck after 30 s",
        event: "inventory.reserved|inventory.rejected",
        card: "pm_card_visa",
    },
    Case {
        service: "shipping",
        killed: true,
        sentence: "for shipping.created or shipping.rejected from shipping; stuck after 30 s",
        event: "shipping.created|shipping.rejected",
        card: "pm_card_visa",
    },
    Case {
        // It answers nothing, so that it handles the event is what is awaited.
        service: "notification",
        killed: false,
        sentence: "for notification to handle order.confirmed (send-confirmation); stuck after 30 s",
        event: "send-confirmation",
        card: "pm_card_visa",
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_service_is_named_in_time_and_cleared_when_it_is_back() {
    join_all(CASES.iter().map(a_service_is_stopped)).await;
}

async fn a_service_is_stopped(case: &Case) {
    let mut house = House::start(On::Sqlite).await;
    let open = ("MONITOR_OPEN".to_owned(), "yes".to_owned());
    let environment = vec![("NATS_URL".to_owned(), house.nats.url()), open];
    let monitor = Process::start("monitor", ProcessOptions { environment, arguments: Vec::new() }).await.unwrap();
    let watch = Watch { case, monitor: monitor.url(), nats: house.nats.url() };
    demo::customer::fill_shelves(&house.shop, 10).await.unwrap();
    if case.service != "order" {
        stop(&mut house, case).await;
    }
    let orders = [place(&house, case.card).await, place(&house, case.card).await];
    if case.service == "order" {
        for order in &orders {
            watch.until("it is in the stream", async || watch.report(order).await).await;
        }
        stop(&mut house, case).await;
    }
    let began = watch.began(&orders).await;
    let (seen, told) = tokio::join!(watch.monitor_names(&orders, began), watch.command_names(&orders, began));
    // The numbers are of interest only, and shown with `--nocapture`.
    println!("{}: after {seen} ms the monitor, after {told} ms the command", case.service);

    house.process(case.service).restart().await.unwrap();
    watch.until("the monitor has nothing to tell", async || watch.monitor_is_clear(&orders).await).await;
    watch.until("the command has nothing to tell", async || watch.command_is_clear().await).await;
}

async fn stop(house: &mut House, case: &Case) {
    let process = house.process(case.service);
    if case.killed { process.kill().await.unwrap() } else { process.terminate().await.unwrap() }
}

async fn place(house: &House, card: &str) -> String {
    let order = json!({
        "email": "someone@example.com", "currency": "EUR", "card": card,
        "lines": [{ "sku": "book", "quantity": 1, "unit_price_minor": 1999 }],
        "ship_to": { "name": "A", "street": "B", "city": "C", "postal_code": "D", "country": "FR" },
    });
    let answer = house.shop.http().post(house.shop.url("order", "/orders")).json(&order).send().await.unwrap();
    let view: Value = answer.error_for_status().unwrap().json().await.unwrap();
    view["id"].as_str().unwrap().to_owned()
}

/// Everybody who watches one shop.
struct Watch<'a> {
    case: &'a Case,
    monitor: String,
    nats: String,
}

impl Watch<'_> {
    /// When the last of these orders began to wait for the service, by the broker's clock.
    async fn began(&self, orders: &[String]) -> Timestamp {
        let mut began = Timestamp::UNIX_EPOCH;
        for order in orders {
            let since = self.until("it waits", async || Some(time(&self.wait(&self.report(order).await?)?["since"])));
            began = began.max(since.await);
        }
        began
    }

    /// Until the monitor calls both orders stuck, in all that it tells. Returns how long they had waited then.
    async fn monitor_names(&self, orders: &[String; 2], began: Timestamp) -> i64 {
        let after = self.until("the monitor names them", async || {
            let mut named = true;
            for order in orders {
                let report = self.report(order).await?;
                let wait = self.wait(&report)?;
                let late = wait["overdue"] == true && report["summary"]["state"] == "stuck";
                named &= self.is_named_in_time(late, &report, time(&wait["since"]));
            }
            named.then(|| millis_since(began))
        });
        let after = after.await;
        for order in orders {
            let summary = &self.report(order).await.unwrap()["summary"];
            assert!(says(summary, self.case.sentence), "{summary}");
        }
        let stuck = self.ask("/api/stuck").await.unwrap();
        let stuck: Vec<_> = stuck.as_array().unwrap().iter().map(|saga| saga["key"].as_str().unwrap()).collect();
        assert!(stuck.len() == 2 && orders.iter().all(|order| stuck.contains(&order.as_str())), "{stuck:?}");
        let Case { service, event, .. } = self.case;
        let expected = format!("pavane_sagas_stuck{{service=\"{service}\",event=\"{event}\"}} 2");
        let metrics = self.metrics().await.unwrap();
        assert!(metrics.lines().any(|line| line == expected), "{expected} is not in {metrics}");
        after
    }

    /// Until `pavane stuck` names both orders. Returns how long they had waited then.
    async fn command_names(&self, orders: &[String; 2], began: Timestamp) -> i64 {
        let after = self.until("the command names them", async || {
            let (code, answer) = self.command().await;
            let sagas = answer["sagas"].as_array().unwrap();
            let in_it = |order: &String| {
                sagas.iter().any(|saga| {
                    saga["key"] == **order
                        && says(saga, self.case.sentence)
                        && saga["waits_on"] == json!([self.case.service])
                })
            };
            let named = self.is_named_in_time(orders.iter().all(in_it), &answer, began);
            assert_eq!(code, i32::from(!sagas.is_empty()), "{answer}");
            named.then(|| millis_since(began))
        });
        after.await
    }

    /// Passes on whether what waits since `began` is named, which it may not be too early and must be in time: by the time
    /// that the answer is true of, whenever it came.
    fn is_named_in_time(&self, named: bool, answer: &Value, began: Timestamp) -> bool {
        let waited = time(&answer["as_of"]).duration_since(began).as_millis();
        let service = self.case.service;
        assert!(
            named || waited <= i128::from(STUCK_AFTER + NOTICE),
            "{service} isn't named after {waited} ms: {answer}"
        );
        assert!(!named || waited >= i128::from(STUCK_AFTER), "{service} is named after {waited} ms: {answer}");
        named
    }

    async fn monitor_is_clear(&self, orders: &[String]) -> Option<()> {
        for order in orders {
            let report = self.report(order).await?;
            let ended = report["summary"]["state"] == "completed" && report["outstanding"] == json!([]);
            ended.then_some(())?;
        }
        let quiet =
            self.ask("/api/stuck").await? == json!([]) && !self.metrics().await?.contains("pavane_sagas_stuck{");
        quiet.then_some(())
    }

    async fn command_is_clear(&self) -> Option<()> {
        let (code, answer) = self.command().await;
        (code == 0 && answer["sagas"] == json!([])).then_some(())
    }

    /// What the monitor says of an order.
    async fn report(&self, order: &str) -> Option<Value> {
        Some(self.ask(&format!("/api/sagas/{order}")).await?["report"].take())
    }

    /// What an order waits for from the service.
    fn wait<'a>(&self, report: &'a Value) -> Option<&'a Value> {
        let waits = report["outstanding"].as_array()?;
        waits.iter().find(|wait| wait["sentence"].as_str().is_some_and(|it| it.ends_with(self.case.sentence)))
    }

    async fn ask(&self, path: &str) -> Option<Value> {
        let answer = reqwest::get(format!("{}{path}", self.monitor)).await.ok()?;
        answer.error_for_status().ok()?.json().await.ok()
    }

    async fn metrics(&self) -> Option<String> {
        reqwest::get(format!("{}/metrics", self.monitor)).await.ok()?.text().await.ok()
    }

    /// `pavane stuck`: its exit status and its answer.
    async fn command(&self) -> (i32, Value) {
        let ran = pavane(&self.nats, &[], &["stuck", "--json"]).await;
        (ran.code, serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}")))
    }

    async fn until<T>(&self, what: &str, condition: impl AsyncFn() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            assert!(Instant::now() < deadline, "{} is stopped: not so after {PATIENCE:?}: {what}", self.case.service);
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}

fn says(summary: &Value, sentence: &str) -> bool {
    summary["waits_for"].as_str().is_some_and(|it| it.ends_with(sentence))
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

fn millis_since(began: Timestamp) -> i64 {
    i64::try_from(SystemClock.now().duration_since(began).as_millis()).unwrap()
}
