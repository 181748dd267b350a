//! Where every saga is, what it waits for, from whom and since when: a view of the whole system, made from its streams alone.
//!
//! Nothing here is needed to run a system, and nothing that is observed depends on it. A [`Feed`] reads what is
//! stored at the broker: the services' declarations, every event, every dead letter, and what people decided. A
//! [`View`] folds it, in memory and within [`Limits`], and answers. The fold is pure: the same updates give the same view
//! to every reader, so the monitor and the command line say the same.
//!
//! ```no_run
//! use pavane_bus::{JetStream, jetstream::Config};
//! use pavane_observe::{Feed, Limits, View};
//!
//! # async fn example() -> Result<(), pavane_observe::Error> {
//! let bus = JetStream::connect(Config::new("nats://127.0.0.1:4222", "monitor")).await?;
//! let (mut feed, mut view) = (Feed::new(bus), View::new(Limits::default()));
//! loop {
//!     view.apply(feed.next().await?);
//!     for stuck in view.stuck() {
//!         println!("{}: {:?}", stuck.key, stuck.waits_for);
//!     }
//! }
//! # }
//! ```
//!
//! # What a saga waits for
//!
//! For each event, it waits for the reactions that run on it and declare what they emit. An answer is an event of the declared
//! kind that this event caused; for a decision, any outcome of that service counts. An undo is awaited once its trigger *and*
//! the event of its step are there. A step whose undo was triggered may have been barred, and then emits nothing: that is only
//! known once both were handled. The consumers' positions say what was handled, also by reactions that emit nothing.
//!
//! Time is the broker's. While events are still being read, it is the time of the last one read, so that catching up never looks
//! like waiting. While an awaited reaction's consumer is busy with earlier events, no time passes for it: to be last in a long
//! queue is not to be stuck.
//!
//! # Items
//!
//! An event about an [item](pavane_contract::Item) is followed by itself: each owes its own answer and its own undo, and a saga is compensated
//! when every item that was done is undone. A list is there when it has as many events as they say, and so is the part of a
//! join that waits for every item. What differs by the item only is told as one.
//!
//! # Questions to people
//!
//! A question is open from the event that asks until there is an event of the entry point that answers, its expiry, or an outcome. A
//! service knows more than the streams do: it may have cancelled the timer, which closes the question.
//!
//! # Acting
//!
//! [`redrive`] delivers dead letters to their reaction again, after a check of each; [`audit`] records who decided what, and
//! why.
//!
//! # Personal data
//!
//! A view keeps no bodies. [`event_at`] and [`dead_letter_at`] read one, [sealed](Sealed): it is shown without what the services
//! declare as personal, or in full to a person who gives a name and a reason.

pub mod audit;
mod error;
mod feed;
mod message;
pub mod redrive;
pub mod report;
mod rules;
mod update;
mod view;

pub use error::Error;
pub use feed::Feed;
pub use message::{Sealed, StoredMessage, dead_letter_at, event_at};
pub use report::{SagaReport, SagaSummary, State};
pub use update::{SeenEvent, Update, dead_letter, decision, declaration, event};
pub use view::{Changes, Filter, LetterFilter, Limits, Page, View};
