//! Who may read what the monitor knows, and from where.

use monitor::{Settings, Token};
use pavane_bus::jetstream::Config;
use pavane_testkit::{
    Served,
    servers::{Nats, Tools},
};
use reqwest::{Client, RequestBuilder, StatusCode, header};
use tokio::net::TcpListener;

const READS: &str = "the-reading-token";
const ANNA: &str = "the-token-of-anna";

/// A monitor without a shop.
struct Monitor {
    served: Served,
    http: Client,
    _nats: Nats,
}

impl Monitor {
    async fn start(settings: Settings) -> Self {
        let nats = Nats::start(&Tools::from_env()).await.unwrap();
        let config = Config::new(nats.url(), monitor::NAME);
        let served =
            Served::start(|listener, shutdown| monitor::run(config, settings, listener, Box::pin(shutdown))).await;
        Self { served, http: Client::new(), _nats: nats }
    }

    fn get(&self, path: &str, token: Option<&str>) -> RequestBuilder {
        let request = self.http.get(self.served.url(path));
        if let Some(token) = token { request.bearer_auth(token) } else { request }
    }

    async fn status(&self, path: &str, token: Option<&str>) -> StatusCode {
        self.get(path, token).send().await.unwrap().status()
    }
}

fn closed() -> Settings {
    let token = |token| Token::new(token).unwrap();
    Settings::default().with_read_token(token(READS)).with_person("anna", token(ANNA)).unwrap()
}

/// Every address of the API that can be asked for, from its own description.
async fn addresses(monitor: &Monitor) -> Vec<String> {
    let description: serde_json::Value = monitor.get("/openapi.json", None).send().await.unwrap().json().await.unwrap();
    let paths = description["paths"].as_object().unwrap();
    let read = paths.iter().filter(|(path, methods)| path.starts_with("/api/") && methods.get("get").is_some());
    let addresses = read.map(|(path, _)| path.replace("{saga}", "x").replace("{sequence}", "1").replace("{id}", "1"));
    addresses.filter(|path| path != "/api/access").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_without_a_token_unless_the_monitor_is_open() {
    let monitor = Monitor::start(closed()).await;
    let addresses = addresses(&monitor).await;
    assert!(addresses.len() > 10, "{addresses:?}");
    for path in &addresses {
        assert_eq!(monitor.status(path, None).await, StatusCode::UNAUTHORIZED, "{path}");
        for token in [READS, ANNA] {
            assert_ne!(monitor.status(path, Some(token)).await, StatusCode::UNAUTHORIZED, "{path}");
        }
    }
    // Probes, Prometheus and the sign-in need none.
    for path in ["/healthz", "/metrics", "/", "/assets/js/app.js", "/api/access"] {
        assert_eq!(monitor.status(path, None).await, StatusCode::OK, "{path}");
    }
    let access: serde_json::Value = monitor.get("/api/access", Some(ANNA)).send().await.unwrap().json().await.unwrap();
    assert_eq!(access, serde_json::json!({ "access": "granted", "may_read": true, "name": "anna" }));
    let discard = monitor.http.post(monitor.served.url("/api/discards")).bearer_auth(READS);
    let discard = discard.json(&serde_json::json!({ "selection": { "service": "x" }, "reason": "y" }));
    assert_eq!(discard.send().await.unwrap().status(), StatusCode::FORBIDDEN, "a reader does not act");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_the_monitors_is_not_answered() {
    let mut settings = Settings::default().opened();
    settings.hosts = vec!["monitor.shop.example".to_owned()];
    let monitor = Monitor::start(settings).await;
    let asked = async |path: &str, host: &str| {
        monitor.get(path, None).header(header::HOST, host).send().await.unwrap().status()
    };
    for path in ["/api/overview", "/"] {
        assert_eq!(asked(path, "monitor.shop.example:4000").await, StatusCode::OK, "{path}");
        assert_eq!(asked(path, "evil.example").await, StatusCode::MISDIRECTED_REQUEST, "{path}");
    }
    assert_eq!(asked("/metrics", "monitor:8080").await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_guesses_tokens_has_to_wait() {
    let monitor = Monitor::start(closed()).await;
    for guess in 0..10 {
        let token = format!("a-wrong-token-number-{guess}");
        assert_eq!(monitor.status("/api/overview", Some(&token)).await, StatusCode::UNAUTHORIZED);
    }
    let answer = monitor.get("/api/overview", Some(ANNA)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS, "the right one, too: it might be a guess");
    assert!(answer.headers().contains_key(header::RETRY_AFTER));
}

#[tokio::test]
async fn a_monitor_that_nobody_may_read_does_not_start() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config::new("nats://127.0.0.1:9", monitor::NAME);
    let refused =
        monitor::run(config, Settings::default(), listener, Box::pin(std::future::pending())).await.unwrap_err();
    assert!(format!("{refused:#}").contains("nobody may read: set MONITOR_TOKENS"), "{refused:#}");
}
