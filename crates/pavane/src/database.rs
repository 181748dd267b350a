//! What depends on a database, with the database as a type parameter. It is for code that serves all databases, such as a test
//! kit.
//!
//! A service takes these names, without a parameter, from the module of its database.

pub use pavane_inbox::Call;
pub use pavane_outbox::{Config, Database, Db, Dialect, Emissions, Error, Guest, Tx};

pub use crate::{app::App, entry::Entry, readiness::Readiness, service::Service};

/// The names for one database.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
macro_rules! names {
    ($database:ty) => {
        use pavane_bus::JetStream;

        /// The service's database: where transactions begin. Cheap to clone.
        pub type Db = crate::database::Db<$database>;
        /// A local transaction that may emit events: business rows and outbox rows commit together or not at all.
        pub type Tx = crate::database::Tx<$database>;
        /// What an effect's call gets: the idempotency key, the time that is left, and the service's database for reading.
        pub type Call<'a> = crate::database::Call<'a, $database>;
        /// Emits events in a transaction that the user began and commits. PostgreSQL only.
        pub type Guest<'c> = crate::database::Guest<'c, $database>;
        /// A service: its state, and its part of the choreography as a table.
        pub type Service<S> = crate::database::Service<S, $database>;
        /// A connected service, ready to run.
        pub type App<S, B = JetStream> = crate::database::App<S, $database, B>;
        /// A place where events enter from outside. Cheap to clone: pass it to your request handlers.
        pub type Entry = crate::database::Entry<$database>;
        /// Tells whether a service can do its work right now. Cheap to clone: use it in your `/readyz`.
        pub type Readiness<B = JetStream> = crate::database::Readiness<$database, B>;
    };
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) use names;
