//! How the test kit takes a service apart. Not a part of the public interface: it changes without notice.

use pavane_bus::Bus;
use pavane_inbox::Consumer;
use pavane_outbox::{Database, relay::Relay};

use crate::database::App;

/// What [`App::run_until`] runs, for a test or a simulation that steps it by hand.
#[expect(clippy::type_complexity, reason = "a named pair would be one more word to learn")]
pub fn into_parts<S, DB: Database, B: Bus>(app: App<S, DB, B>) -> (Vec<Consumer<S, DB, B>>, Relay<DB, B>) {
    (app.consumers, Relay::new(app.db, app.bus, app.config.relay))
}
