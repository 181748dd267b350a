//! Personal data: which of it the shop's events carry, and that nobody sees it who doesn't say why.

use std::{collections::BTreeSet, fs, path::Path};

use async_nats::HeaderMap;
use demo::customer;
use pavane::SagaId;
use pavane_contract::{Clock as _, EventId, SystemClock};
use pavane_testkit::servers::{Process, ProcessOptions};
use serde_json::{Value, json};

use crate::{
    command::{Ran, pavane},
    house::{House, On, count, messages, until},
    invariants::manifests,
};

/// Words in the name of a field that ask for a decision.
const SUSPICIOUS: [&str; 16] = [
    "email", "mail", "address", "name", "phone", "card", "token", "street", "city", "postal", "zip", "birth", "iban",
    "account", "customer", "ship_to",
];
/// Fields that sound personal and aren't, each with the reason.
const EXEMPT: [(&str, &str); 3] = [
    ("order.placed /details/ship_to/country", "a country names nobody, and carriers are found by it"),
    ("payment.authorized /details/ship_to/country", "as in order.placed"),
    ("inventory.reserved /ship_to/country", "as in order.placed"),
];

/// The fields of all events, each with a word in front.
fn fields() -> BTreeSet<(&'static str, String)> {
    let mut found = BTreeSet::new();
    for declared in manifests().iter().flat_map(|manifest| &manifest.events) {
        let field = |pointer: &String| format!("{} {pointer}", declared.event.name);
        found.extend(declared.fields.personal.iter().map(|pointer| ("personal", field(pointer))));
        found.extend(declared.fields.open.iter().map(|pointer| ("open", field(pointer))));
    }
    found
}

/// What is here is in every service's manifest: wire format.
#[test]
fn the_manifests_say_which_fields_are_personal() {
    let mut personal: BTreeSet<String> = ["/city", "/name", "/postal_code", "/street"]
        .iter()
        .flat_map(|part| {
            ["order.placed /details/ship_to", "payment.authorized /details/ship_to", "inventory.reserved /ship_to"]
                .map(|at| format!("{at}{part}"))
        })
        .collect();
    personal.extend(["order.placed /card", "order.confirmed /email", "order.cancelled /email"].map(str::to_owned));
    let found: BTreeSet<_> = fields().into_iter().filter(|(kind, _)| *kind == "personal").map(|it| it.1).collect();
    assert_eq!(found, personal);
    let declared = manifests().iter().flat_map(|manifest| manifest.events.clone()).count();
    let goldens = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../services/contracts/golden")).unwrap();
    assert_eq!(declared, goldens.count(), "every event's fields are declared");
}

#[test]
fn a_field_that_sounds_personal_is_declared_so_or_exempt() {
    let open = fields().into_iter().filter(|(kind, _)| *kind == "open").map(|it| it.1);
    let suspicious: Vec<String> = open
        .filter(|field| {
            let pointer = field.split(' ').nth(1).unwrap();
            SUSPICIOUS.iter().any(|word| pointer.contains(word))
        })
        .collect();
    let exempt: BTreeSet<_> = EXEMPT.iter().map(|(field, _)| (*field).to_owned()).collect();
    assert_eq!(suspicious.into_iter().collect::<BTreeSet<_>>(), exempt);
}

/// What nobody may see.
const SECRETS: [&str; 8] = [
    "ada.king@example.org",
    "Augusta Ada King",
    "St James Square 12",
    "Marylebone",
    "W1A-4711",
    "pm_card_visa",
    "4711147114711",
    "charles@example.org",
];
const TOKEN: &str = "the-token-of-annabella";

fn secrets_in(text: &str) -> Vec<&'static str> {
    SECRETS.into_iter().filter(|secret| text.contains(secret)).collect()
}

/// A shop, a monitor, an order, and what can't be handled about another.
struct Told {
    house: House,
    monitor: Process,
    order: String,
}

impl Told {
    async fn start() -> Self {
        let house = House::start_with(On::Sqlite, &[("RUST_LOG", "debug")]).await;
        let environment = [
            ("NATS_URL", house.nats.url()),
            ("MONITOR_OPEN", "yes".to_owned()),
            ("MONITOR_TOKENS", format!("annabella:{TOKEN}")),
            ("RUST_LOG", "debug".to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let monitor = Process::start("monitor", ProcessOptions { environment, arguments: Vec::new() }).await.unwrap();
        customer::fill_shelves(&house.shop, 10).await.unwrap();
        let order = json!({
            "email": SECRETS[0], "currency": "EUR", "card": SECRETS[5],
            "lines": [{ "sku": "book", "quantity": 1, "unit_price_minor": 1999 }],
            "ship_to": {
                "name": SECRETS[1], "street": SECRETS[2], "city": SECRETS[3], "postal_code": SECRETS[4], "country": "GB",
            },
        });
        let response = house.shop.http().post(house.shop.url("order", "/orders")).json(&order).send().await.unwrap();
        let placed: Value = response.json().await.unwrap();
        let order = placed["id"].as_str().unwrap().to_owned();
        let told = Self { house, monitor, order };
        told.say_what_can_not_be_handled().await;
        let stranger = told.house.stranger().await;
        until("the order to be confirmed and the rest to be kept", || async {
            let saga = told.get(&format!("/api/sagas/{}", told.order)).await;
            let done = saga.contains(r#""state":"completed""#) && count(&stranger, "DEAD_LETTERS").await == 4;
            let seen = told.get("/api/dead-letters").await;
            (done && serde_json::from_str::<Value>(&seen).unwrap()["total"] == 4).then_some(())
        })
        .await;
        told
    }

    /// Personal fields of another type, personal data where none belongs, no JSON, and an event of which nobody said anything.
    async fn say_what_can_not_be_handled(&self) {
        let stranger = self.house.stranger().await;
        let id = SagaId::new(&SystemClock).to_string();
        let number: u64 = SECRETS[6].parse().unwrap();
        let ship_to = json!({ "name": "a", "street": "b", "city": "c", "postal_code": "d", "country": "GB" });
        let total = json!({ "minor": 1, "currency": "EUR" });
        for (event, body) in [
            ("order.placed", json!({ "order_id": id, "details": { "lines": [], "ship_to": ship_to }, "total": total, "card": number }).to_string()),
            ("order.placed", json!({ "order_id": id, "details": { "lines": [], "ship_to": SECRETS[1] }, "total": total, "card": "c" }).to_string()),
            ("order.placed", json!({ "order_id": 7, SECRETS[7]: SECRETS[7] }).to_string()),
            ("order.placed", format!("{{ \"card\": \"{}\" ", SECRETS[5])),
            ("stranger.said", json!({ "to": SECRETS[7] }).to_string()),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [
                ("ce-specversion", "1.0"),
                ("ce-id", EventId::new(&SystemClock).to_string().as_str()),
                ("ce-type", event),
                ("ce-source", "test"),
                ("ce-subject", &id),
                ("ce-time", SystemClock.now().to_string().as_str()),
                ("ce-eventversion", "1"),
                ("ce-correlationid", &id),
                ("x-customer", SECRETS[7]),
            ] {
                headers.insert(name, value);
            }
            let subject = format!("events.{event}.{id}");
            stranger.publish_with_headers(subject, headers, body.into()).await.unwrap().await.unwrap();
        }
    }

    async fn get(&self, path: &str) -> String {
        reqwest::get(format!("{}{path}", self.monitor.url())).await.unwrap().text().await.unwrap()
    }

    async fn pavane(&self, arguments: &[&str]) -> Ran {
        pavane(&self.house.nats.url(), &[("RUST_LOG", "debug")], arguments).await
    }

    async fn reveal(&self, path: &str, token: Option<&str>, reason: &str) -> (u16, String) {
        let request = self.house.shop.http().post(format!("{}{path}/reveal", self.monitor.url()));
        let request = request.json(&json!({ "reason": reason }));
        let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

/// Everything that the monitor can be asked for.
fn pages(order: &str, events: usize) -> Vec<String> {
    let mut paths: Vec<String> =
        ["", "/sagas", "/dead-letters", "/api/overview", "/api/sagas", "/api/stuck", "/api/flow"]
            .into_iter()
            .chain(["/api/dead-letters", "/api/dead-letter-groups", "/api/choreography", "/metrics", "/openapi.json"])
            .map(str::to_owned)
            .collect();
    paths.push(format!("/api/sagas/{order}"));
    paths.extend(SECRETS.map(|secret| format!("/api/sagas?text={}", secret.replace(' ', "%20"))));
    paths.extend((1..=events).map(|sequence| format!("/api/events/{sequence}")));
    paths.extend((1..=4).map(|sequence| format!("/api/dead-letters/{sequence}")));
    for service in ["order", "payment", "inventory", "shipping", "notification"] {
        paths.push(format!("/api/sagas/{order}/test-case?service={service}"));
    }
    paths
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_no_personal_data() {
    let told = Told::start().await;
    let order = told.order.as_str();
    for arguments in [
        &["map"][..],
        &["verify"],
        &["explain", "order.placed"],
        &["stuck"],
        &["trace", order],
        &["doctor"],
        &["dead-letters", "list", "--every"],
        &["dead-letters", "show", "1"],
        &["dead-letters", "show", "2"],
        &["dead-letters", "show", "3"],
        &["dead-letters", "show", "4"],
        &["dead-letters", "redrive", "--all", "--dry-run", "--insist", "--reason", "a look"],
    ] {
        for json in [&[][..], &["--json"]] {
            let ran = told.pavane(&[arguments, json].concat()).await;
            assert!(ran.code < 2, "{arguments:?}: {ran:?}");
            assert_eq!(secrets_in(&format!("{}{}", ran.out, ran.err)), [""; 0], "{arguments:?}: {ran:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn personal_data_is_shown_only_to_those_who_give_a_reason() {
    let told = Told::start().await;
    let stranger = told.house.stranger().await;
    let events = messages(&stranger, "EVENTS").await;
    let bodies: String = events.iter().map(|event| String::from_utf8_lossy(&event.payload).into_owned()).collect();
    assert_eq!(secrets_in(&bodies).len(), SECRETS.len(), "it is there to be found");

    // What the monitor answers.
    for path in &pages(&told.order, events.len()) {
        let answer = told.get(path).await;
        assert_eq!(secrets_in(&answer), [""; 0], "{path}: {answer}");
    }
    let placed: Value = serde_json::from_str(&told.get("/api/dead-letters/1").await).unwrap();
    assert_eq!(
        (&placed["message"]["body"]["card"], &placed["message"]["redacted"]),
        (&"(personal)".into(), &true.into())
    );
    assert_eq!(placed["message"]["body"]["total"]["minor"], 1, "the rest is shown");
    let no_json: Value = serde_json::from_str(&told.get("/api/dead-letters/4").await).unwrap();
    assert_eq!(no_json["message"]["hidden"], "the body is not JSON");

    // What the processes log, and what dead letters say of their causes.
    let processes = told.house.processes.iter().map(|(name, process)| (*name, process));
    for (name, process) in processes.chain([("monitor", &told.monitor)]) {
        let log = process.log();
        assert!(log.contains("INFO"), "{name}: {log}");
        assert_eq!(secrets_in(&log), [""; 0], "{name}: {log}");
    }
    for letter in messages(&stranger, "DEAD_LETTERS").await {
        let cause = letter.headers.get("pavane-dead-cause").unwrap().as_str();
        assert!(cause.contains(" at line 1 column "), "it says where: {cause}");
        assert_eq!(secrets_in(cause), [""; 0], "{cause}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reveals_personal_data_is_kept_with_the_reason() {
    let told = Told::start().await;
    let stranger = told.house.stranger().await;
    let audit = async || {
        let kept = messages(&stranger, "AUDIT").await;
        let kept: Vec<Value> = kept.iter().map(|kept| serde_json::from_slice(&kept.payload).unwrap()).collect();
        kept.iter().map(|it| format!("{} {} {}", it["action"], it["by"], it["reason"])).collect::<Vec<_>>()
    };
    let events = messages(&stranger, "EVENTS").await;
    let at = |name: &str| 1 + events.iter().position(|event| event.subject.contains(name)).unwrap();
    let (placed, confirmed) = (at(&format!("order.placed.{}", told.order)), at("order.confirmed"));

    // Nobody without a name, nobody without a reason: nothing is shown, and nothing kept.
    let path = format!("/api/events/{placed}");
    for (token, reason, expected) in
        [(None, "why not", 401), (Some("another-token-that-long"), "why not", 401), (Some(TOKEN), " ", 400)]
    {
        let (status, answer) = told.reveal(&path, token, reason).await;
        assert_eq!((status, secrets_in(&answer).len()), (expected, 0), "{answer}");
    }
    for arguments in
        [&["dead-letters", "show", "1", "--reveal"][..], &["dead-letters", "show", "1", "--reveal", "--reason", " "]]
    {
        let ran = told.pavane(arguments).await;
        assert_eq!((ran.code, secrets_in(&ran.out).len()), (2, 0), "{ran:?}");
    }
    assert!(stranger.get_stream("AUDIT").await.is_err(), "nobody decided anything");

    let (status, answer) = told.reveal(&path, Some(TOKEN), "she asks what we have").await;
    assert_eq!((status, secrets_in(&answer)), (200, SECRETS[1..=5].to_vec()), "{answer}");
    let (status, answer) =
        told.reveal(&format!("/api/events/{confirmed}"), Some(TOKEN), "and where she reads mail").await;
    assert_eq!((status, secrets_in(&answer)), (200, vec![SECRETS[0]]), "{answer}");
    let (status, answer) = told.reveal("/api/dead-letters/4", Some(TOKEN), "what is that").await;
    assert_eq!((status, secrets_in(&answer)), (200, vec![SECRETS[5], SECRETS[7]]), "{answer}");
    let shown = ["dead-letters", "show", "1", "--reveal", "--by", "Ada", "--reason", "which card was it"];
    let ran = told.pavane(&shown).await;
    assert_eq!((ran.code, secrets_in(&ran.out)), (0, vec![SECRETS[6], SECRETS[7]]), "{ran:?}");

    let expected = [
        r#""reveal" "annabella" "she asks what we have""#,
        r#""reveal" "annabella" "and where she reads mail""#,
        r#""reveal" "annabella" "what is that""#,
        r#""reveal" "Ada" "which card was it""#,
    ];
    assert_eq!(audit().await, expected);
    let traced = told.pavane(&["trace", &told.order]).await.out;
    assert!(traced.contains(&format!("annabella looked at personal data of event {placed}: she asks")), "{traced}");
    // To look is not to decide.
    let open: Value = serde_json::from_str(&told.get("/api/dead-letters").await).unwrap();
    assert_eq!(open["total"], 4);
}
