//! Handlers that quote personal data in what they say of their failures.

use pavane::{
    Envelope, Event, Handled, HandlerError,
    any::{Call, Service, Tx},
    on, on_effect, undo,
};
use pavane_testkit::given;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const EMAIL: &str = "ada.king@example.org";

macro_rules! event {
    ($name:ident, $wire:literal) => {
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
        #[event(name = $wire, key = room)]
        struct $name {
            room: u16,
            #[schemars(extend("x-personal" = true))]
            email: String,
        }
    };
}

event!(Asked, "guest.asked");
event!(Left, "guest.left");
event!(Held, "hotel.held");

/// Says in each way that a handler has of whom it could not do something for.
async fn quote((): &(), _: &mut Tx, asked: &Envelope<Asked>) -> Handled {
    match asked.room {
        1 => Err(HandlerError::reject(format!("no bed for {:?} in room {}", asked.email, asked.room))),
        2 => panic!("no room {} for {}", asked.room, asked.email),
        room => Err(std::io::Error::other(format!("room {room} is taken by {}", asked.email)).into()),
    }
}

async fn call((): &(), _: &Call<'_>, asked: &Envelope<Asked>) -> Result<(), HandlerError> {
    Err(HandlerError::reject(format!("the provider does not know {}", asked.email)))
}

async fn record((): &(), _: &mut Tx, _: &Envelope<Asked>, (): ()) -> Handled {
    Ok(())
}

async fn hold((): &(), tx: &mut Tx, asked: &Envelope<Asked>) -> Handled {
    Ok(tx.emit(&Held { room: asked.room, email: asked.email.clone() }).await?)
}

async fn let_go((): &(), _: &mut Tx, held: &Envelope<Held>) -> Handled {
    Err(HandlerError::reject(format!("{} still sleeps in room {}", held.email, held.room)))
}

fn hotel() -> Service<()> {
    Service::new("hotel", ())
        .react("quote", on(quote).tuned(|tuning| tuning.max_attempts = 1))
        .react("call", on_effect(call, record))
        .react("hold", on(hold).emits::<Held>())
        .react("let-go", undo(let_go).when::<Left>())
}

#[tokio::test]
async fn a_cause_quotes_no_personal_value_of_its_event() {
    for (room, expected) in [
        (1, "no bed for \"(personal)\" in room 1"),
        (2, "the handler panicked: no room 2 for (personal)"),
        (3, "room 3 is taken by (personal)"),
    ] {
        let mut stage = given(hotel()).receive(&Asked { room, email: EMAIL.to_owned() }).await;
        // Of the undo, whose event is the one that its step emitted and not the one that came.
        stage.receive(&Left { room, email: "charles@example.org".to_owned() }).await;
        let mut causes: Vec<_> =
            stage.dead_letters().into_iter().map(|letter| (letter.reaction, letter.cause)).collect();
        causes.sort();
        let still = format!("(personal) still sleeps in room {room}");
        let told = [("call", "the provider does not know (personal)"), ("let-go", &*still), ("quote", expected)];
        assert_eq!(causes, told.map(|(reaction, cause)| (reaction.to_owned(), cause.to_owned())));
    }
}

#[tokio::test]
async fn a_personal_field_of_another_type_is_not_quoted() {
    let mut stage = given(hotel()).await;
    let mut event = stage.envelope(&Asked { room: 4, email: EMAIL.to_owned() });
    event.body = format!("{{\"room\": {EMAIL:?}, \"email\": 4711471147114711}}").into();
    stage.deliver(&event).await;
    let letters = stage.dead_letters();
    assert_eq!(letters.len(), 3);
    for letter in letters {
        let expected = "the body does not fit the contract: invalid type: string, expected u16 at line 1 column 31";
        assert_eq!(letter.cause, expected);
    }
}
