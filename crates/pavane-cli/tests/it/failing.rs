//! No answer: one clear line, and exit status 2.

use pavane_testkit::servers::{Nats, NatsOptions, Tools, free_port};

use crate::{
    command::{Ran, pavane},
    stage::Stage,
};

fn one_line(ran: &Ran, what: &str) {
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
    assert!(ran.err.starts_with("pavane: ") && ran.err.contains(what), "{ran:?}");
}

#[tokio::test]
async fn nothing_answers() {
    let url = format!("nats://127.0.0.1:{}", free_port().unwrap());
    for command in [&["map"][..], &["verify"], &["stuck"], &["doctor"], &["trace", "1"], &["dead-letters", "list"]] {
        let ran = pavane(&url, &[command, &["--patience", "0"]].concat()).await;
        one_line(&ran, "no NATS server answers at");
    }
    let ran = pavane(&url, &["stuck", "--json", "--patience", "0"]).await;
    let error: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
    assert!(error["error"].as_str().unwrap().contains("no NATS server answers at"), "{ran:?}");
}

#[tokio::test]
async fn nothing_is_deployed() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    one_line(&pavane(&nats.url(), &["stuck"]).await, "there is no stream EVENTS");
    one_line(&pavane(&nats.url(), &["map"]).await, "no service has a declaration");
    let doctor = pavane(&nats.url(), &["doctor"]).await;
    assert_eq!(doctor.code, 1, "the doctor has an answer: {doctor:?}");
    assert!(doctor.out.contains("there is no stream EVENTS"), "{doctor:?}");
}

#[tokio::test]
async fn the_user_is_refused_or_may_not_look() {
    let config = r#"authorization { users [
        { user: ann, password: ann }
        { user: bob, password: bob, permissions { publish: "_INBOX.>", subscribe: "_INBOX_pavane.>" } } ] }"#;
    let options = NatsOptions { config: config.to_owned(), ..NatsOptions::default() };
    let nats = Nats::start_with(&Tools::from_env(), options).await.unwrap();
    let as_user = |name: &'static str| ["stuck", "--nats-user", name, "--nats-password", name];
    one_line(&pavane(&nats.url(), &["stuck"]).await, "does not accept the credentials");
    one_line(&pavane(&nats.url(), &as_user("bob")).await, "permission denied");
    one_line(&pavane(&nats.url(), &as_user("ann")).await, "there is no stream EVENTS");
}

#[tokio::test]
async fn a_screen_needs_a_terminal() {
    let stage = Stage::empty().await;
    one_line(&pavane(&stage.url(), &["watch"]).await, "this is no terminal");
}

#[tokio::test]
async fn completions_need_no_server() {
    for (shell, says) in [("bash", "complete -F"), ("zsh", "#compdef pavane"), ("fish", "complete -c pavane")] {
        let ran = pavane("nats://127.0.0.1:1", &["completions", shell]).await;
        assert_eq!(ran.code, 0);
        for expected in [says, "dead-letters", "redrive", "doctor"] {
            assert!(ran.out.contains(expected), "{shell} {expected}");
        }
    }
}
