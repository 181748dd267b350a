//! What the test kit needs of a service. Not a part of the public interface: it changes without notice.

use pavane_bus::Bus;
use pavane_inbox::Consumer;
use pavane_outbox::{Database, relay::Relay};

use crate::database::App;

/// The tasks of [`App::run_until`], for a test or a simulation that calls each turn itself.
#[expect(clippy::type_complexity, reason = "a named pair would be one more word to learn")]
pub fn into_parts<S, DB: Database, B: Bus>(app: App<S, DB, B>) -> (Vec<Consumer<S, DB, B>>, Relay<DB, B>) {
    (app.consumers, Relay::new(app.db, app.bus, app.config.relay))
}
