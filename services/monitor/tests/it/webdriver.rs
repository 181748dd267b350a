//! A headless Chromium, driven over HTTP as <https://www.w3.org/TR/webdriver2/> describes it.

use std::{env, path::PathBuf, process::Stdio, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use pavane_testkit::servers::free_port;
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

const PATIENCE: Duration = Duration::from_mins(1);
/// What the protocol calls an element in JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window.
pub(crate) struct Browser {
    http: Client,
    session: String,
    // Killed when dropped, and the browser with it.
    _driver: Child,
    _profile: TempDir,
}

/// Light or dark.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scheme {
    Light,
    Dark,
}

impl Browser {
    /// Starts a browser that can reach nothing but this machine.
    pub(crate) async fn start() -> Self {
        let (driver, chromium) = (program("CHROMEDRIVER", "chromedriver"), program("CHROMIUM", "chromium"));
        let profile = TempDir::new().unwrap();
        let port = free_port().unwrap();
        let mut command = Command::new(driver);
        command.arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let driver = command.spawn().unwrap();
        let base = format!("http://127.0.0.1:{port}");
        let http = Client::builder().timeout(PATIENCE).build().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while http.get(format!("{base}/status")).send().await.is_err() {
            assert!(Instant::now() < deadline, "chromedriver does not answer");
            sleep(Duration::from_millis(50)).await;
        }
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL" },
            // Over a pipe, so that the browser ends when its driver does, however this test ends.
            "goog:chromeOptions": { "binary": chromium, "args": [
                "--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                "--window-size=1360,1010", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                format!("--user-data-dir={}", profile.path().display()),
            ] },
        } } });
        let answer = http.post(format!("{base}/session")).json(&capabilities).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        let id = answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("chromium does not start: {answer}"));
        Self { session: format!("{base}/session/{id}"), http, _driver: driver, _profile: profile }
    }

    /// Opens an address.
    pub(crate) async fn open(&self, url: &str) {
        self.post("/url", json!({ "url": url })).await;
    }

    /// What a script returns.
    pub(crate) async fn evaluate(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// Waits until an expression is true in the page, and returns what it is.
    pub(crate) async fn until(&self, expression: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let value = self.evaluate(&format!("return {expression}")).await;
            if value.as_bool() != Some(false) && !value.is_null() {
                return value;
            }
            if Instant::now() > deadline {
                let page = self.evaluate("return document.body.innerText").await;
                panic!("waited too long for {expression}; the page says:\n{}", page.as_str().unwrap_or_default());
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until an element has this text.
    pub(crate) async fn until_says(&self, selector: &str, text: &str) {
        let (selector, text) = (json!(selector), json!(text));
        self.until(&format!("[...document.querySelectorAll({selector})].some((it) => it.innerText.includes({text}))"))
            .await;
    }

    /// Clicks on the element that a selector finds, once it is there.
    pub(crate) async fn click(&self, selector: &str) {
        let element = self.find(selector).await;
        self.post(&format!("/element/{element}/click"), json!({})).await;
    }

    /// Types into the element that a selector finds, once it is there.
    pub(crate) async fn write(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        self.post(&format!("/element/{element}/value"), json!({ "text": text })).await;
    }

    /// Presses a key, wherever the focus is.
    pub(crate) async fn press(&self, key: &str) {
        let actions = [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })];
        self.post("/actions", json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] })).await;
    }

    /// A picture of the window, as PNG.
    pub(crate) async fn screenshot(&self, scheme: Scheme) -> Vec<u8> {
        self.scheme(scheme).await;
        // A canvas is drawn with the next frames.
        self.wait_for_frames().await;
        let answer: Value =
            self.http.get(format!("{}/screenshot", self.session)).send().await.unwrap().json().await.unwrap();
        BASE64_STANDARD.decode(answer["value"].as_str().unwrap()).unwrap()
    }

    /// Lets pages believe that somebody prefers this.
    pub(crate) async fn scheme(&self, scheme: Scheme) {
        let value = match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let features = json!([{ "name": "prefers-color-scheme", "value": value }]);
        self.post(
            "/goog/cdp/execute",
            json!({ "cmd": "Emulation.setEmulatedMedia", "params": { "features": features } }),
        )
        .await;
    }

    /// The errors and violations in the console since the last call.
    pub(crate) async fn errors(&self) -> Vec<String> {
        let log = self.post("/se/log", json!({ "type": "browser" })).await;
        let severe =
            log.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        severe.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    async fn wait_for_frames(&self) {
        let script = "const done = arguments[0]; let left = 40; const frame = () => (left-- ? requestAnimationFrame(frame) : done(true)); frame();";
        self.post("/execute/async", json!({ "script": script, "args": [] })).await;
    }

    async fn find(&self, selector: &str) -> String {
        self.until(&format!("document.querySelector({}) !== null", json!(selector))).await;
        let found = self.post("/element", json!({ "using": "css selector", "value": selector })).await;
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.http.post(format!("{}{path}", self.session)).json(&body).send().await.unwrap();
        let (status, mut answer) = (answer.status(), answer.json::<Value>().await.unwrap());
        assert!(status.is_success(), "{path} {body}: {}", answer["value"]["message"]);
        answer["value"].take()
    }
}

/// Where a program is. There is no dashboard without a browser, so a missing one fails the test.
fn program(variable: &str, name: &str) -> PathBuf {
    if let Some(path) = env::var_os(variable) {
        return path.into();
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("there is no {name}: `apt-get install chromium chromium-driver`, or say where it is in {variable}")
    })
}
