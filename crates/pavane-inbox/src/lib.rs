//! How an event *arrives once*: the idempotent consumer with its step ledger, retries and dead letters.
//!
//! For each event: decode, begin, dedupe, ledger, handle, commit, and only then ack. The dedupe mark, the ledger, the business
//! rows and the emitted events are one local transaction. So a second delivery finds the mark of the first, and a failed handler
//! leaves none. Events that are queued are handled in batches, in one transaction each.
//!
//! See <https://microservices.io/patterns/communication-style/idempotent-consumer.html>.

mod call;
pub mod consumer;
pub mod dead_letter;
pub mod dedupe;
mod engine;
mod handler;
pub mod input;
#[doc(hidden)]
pub mod internal;
mod keys;
pub mod kind;
pub mod metric;
mod reaction;
mod retention;
mod store;
pub mod subscriber;
pub mod unread;
mod waiting;
pub mod wiring;
mod work;

pub use call::{Call, IdempotencyKey};
pub use consumer::Consumer;
pub use handler::{Effect, Handled, Handler, HandlerError, Record};
pub use input::{All, Each, Every, OneOf};
pub use reaction::{Reaction, Tuning, on, on_effect, undo, undo_effect};
pub use retention::{forget, keep_partitions};
pub use store::INBOX;
pub use subscriber::Subscriber;
pub use waiting::{WaitingUndos, waiting_undos};
