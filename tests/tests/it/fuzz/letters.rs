//! Dead letters: what can't be handled is kept as it came.

use inventory::Inventory;
use pavane_bus::{
    Outgoing,
    topology::{DEAD_LETTERS, EVENTS},
};
use pavane_contract::codec::Headers;
use pavane_inbox::dead_letter::header;
use pavane_testkit::given;
use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::{Tried, fuzz_async, message};

/// The inventory has one reaction that reads this.
const SUBJECT: &str = "events.payment.authorized.7";

#[test]
fn dead_letters_keep_the_event_as_it_came() {
    fuzz_async("letters", &Runtime::new().unwrap(), |input| async move { kept(&input).await });
}

async fn kept(input: &[u8]) -> Tried {
    let (headers, payload) = message(input);
    let mut stage = given(inventory::service(Inventory)).await;
    let outgoing = Outgoing {
        subject: SUBJECT.to_owned(),
        headers: headers.clone(),
        payload: payload.clone().into(),
        message_id: "fuzz".to_owned(),
    };
    if stage.bus().try_publish(vec![outgoing]).iter().any(Result::is_err) {
        // Its headers are none that a bus takes, so it never gets there.
        return Ok(());
    }
    stage.settle().await;
    let letters = stage.bus().messages(DEAD_LETTERS);
    let answers = stage.bus().messages(EVENTS).len() - 1;
    prop_assert_eq!(letters.len() + answers, 1, "it is neither kept nor handled, or both");
    for letter in letters {
        let said = |name| letter.message.headers.get(name).unwrap_or_default().to_owned();
        prop_assert_eq!(&letter.message.payload[..], &payload[..]);
        prop_assert_eq!(own(&letter.message.headers), own(&headers));
        prop_assert_eq!(said(header::SUBJECT), SUBJECT);
        prop_assert_eq!(said(header::SEQUENCE), "1");
        let cause = said(header::CAUSE);
        prop_assert!(!cause.is_empty() && !cause.contains(char::is_control), "{cause:?}");
    }
    Ok(())
}

/// The event's own headers, without what the broker and dead letters add.
fn own(headers: &Headers) -> Vec<(&str, &str)> {
    let added = |name: &str| ["nats-", "pavane-dead-"].iter().any(|prefix| name.starts_with(prefix));
    headers.iter().filter(|(name, _)| !added(&name.to_ascii_lowercase())).collect()
}
