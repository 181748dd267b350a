use std::{fmt, sync::Arc};

use pavane_bus::{Bus, Error as BusError, JetStream};
use pavane_choreography::{Declaration, Manifest, ReactionSettings, Saga, Settings};
use pavane_contract::{EventRef, EventSet, personal::EventFields};
use pavane_inbox::{Consumer, INBOX, Reaction, consumer, kind::Complete, unread, wiring};
use pavane_outbox::{Database, Db, Failure, migration::OUTBOX};
use sqlx::migrate::Migrator;

use crate::{
    Config,
    database::App,
    entry::{Declared, EntryPoint},
    patience::Patience,
    supervisor::Tasks,
    unread::Unread,
};

/// Why a service can't start, or had to stop. Each reads after "failed to run the service: ".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The wiring table has a mistake.
    #[error(transparent)]
    Wiring(#[from] wiring::Error),
    /// A setting would break a guarantee, or can't be parsed.
    #[error("{setting} = {value} can't be used: {why}")]
    Setting {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What is wrong, and what would work.
        why: String,
    },
    /// The database can't be used.
    #[error(transparent)]
    Database(#[from] pavane_outbox::Error),
    /// The service's own migrations failed.
    #[error("the service's own tables can't be brought up to date")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The bus can't be used.
    #[error(transparent)]
    Bus(#[from] pavane_bus::Error),
    /// A reaction can't consume its events.
    #[error("the reaction {reaction:?} can't consume its events")]
    Consumer {
        /// Which reaction.
        reaction: String,
        /// Why.
        #[source]
        cause: consumer::Error,
    },
    /// The service can't find out whether events expired before they were read.
    #[error("failed to look for events that expired unread")]
    Unread(#[from] unread::Error),
    /// A background task panicked again and again.
    #[error("{task} can't be kept running: {cause}")]
    Task {
        /// Which task.
        task: String,
        /// Its last failure.
        cause: String,
    },
}

/// A service: its state, and its part of the choreography as a table.
///
/// # Examples
///
/// ```no_run
/// # use pavane::{Envelope, Event, Handled, on, any::{Service, Tx}};
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
/// # #[event(name = "order.confirmed", key = order_id)]
/// # struct OrderConfirmed { order_id: String }
/// struct Loyalty;
///
/// async fn add_points(_: &Loyalty, tx: &mut Tx, order: &Envelope<OrderConfirmed>) -> Handled {
///     let insert = sqlx::query("insert into points (order_id, points) values ($1, 10)");
///     insert.bind(&order.order_id).execute(tx.conn()).await?;
///     Ok(())
/// }
///
/// fn service() -> Service<Loyalty> {
///     Service::new("loyalty", Loyalty).react("add-points", on(add_points))
/// }
/// ```
#[must_use = "a service does nothing until it is connected and run"]
pub struct Service<S, DB: Database> {
    name: String,
    state: S,
    entries: Vec<pavane_choreography::Entry>,
    /// The fields of the events that may be emitted at the entry points.
    fields: Vec<EventFields>,
    sagas: Vec<Saga>,
    outlive_outcome: Vec<EventRef>,
    reactions: Vec<(String, Reaction<S, DB>)>,
    migrations: Option<Migrator>,
}

impl<S: Send + Sync + 'static, DB: Database> Service<S, DB> {
    /// A service without reactions. Its name owns events (`<name>.<fact>`), consumers and subjects, so it is wire format.
    pub fn new(name: impl Into<String>, state: S) -> Self {
        let (entries, fields, sagas, reactions) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let outlive_outcome = Vec::new();
        Self { name: name.into(), state, entries, fields, sagas, outlive_outcome, reactions, migrations: None }
    }

    /// Adds the service's own migrations, which run when it connects.
    pub fn migrations(mut self, migrations: Migrator) -> Self {
        self.migrations = Some(migrations);
        self
    }

    /// Declares an entry point (a request, a schedule, a person), what may be emitted there, and the question that it answers, if it
    /// does.
    ///
    /// Where a reaction of the service undoes one of its events, the entry point is a step: it emits that event once in a saga, and not
    /// after its undo ([`Error::Barred`](crate::database::Error::Barred), [`Error::StepTwice`](crate::database::Error::StepTwice)).
    pub fn entry<const ANSWERS: bool>(
        mut self,
        point: &EntryPoint,
        declare: impl FnOnce(Declared) -> Declared<ANSWERS>,
    ) -> Self {
        let Declared { emits, fields, answers } = declare(Declared::default());
        self.fields.extend(fields);
        self.entries.push(pavane_choreography::Entry { name: point.name().to_owned(), emits, answers });
        self
    }

    /// Declares a saga that starts at this service: what starts it, how it ends, and within what time. The service
    /// refuses to start if the saga would be forgotten before that; the checks and the monitor use the rest.
    pub fn saga(mut self, saga: Saga) -> Self {
        self.sagas.push(saga);
        self
    }

    /// Lets scheduled events outlive the outcome: they come although this service has [decided](crate::database::Tx::decide) the
    /// saga, which cancels all others that it has scheduled there. For what follows the outcome: a request to review what was bought.
    pub fn outlives_outcome<Set: EventSet>(mut self) -> Self {
        self.outlive_outcome.extend(Set::refs());
        self
    }

    /// Adds a reaction. Its name becomes part of its durable consumer's name, so a renamed reaction consumes everything again.
    pub fn react<K: Complete>(mut self, name: impl Into<String>, reaction: Reaction<S, DB, K>) -> Self {
        self.reactions.push((name.into(), reaction.complete()));
        self
    }

    /// The service's part of the choreography as plain data.
    pub fn manifest(&self) -> Manifest {
        let reactions = self.reactions.iter().map(|(name, reaction)| reaction.manifest(name)).collect();
        let emitted = self.reactions.iter().flat_map(|(_, reaction)| reaction.fields());
        let mut events: Vec<_> = self.fields.iter().chain(emitted).cloned().collect();
        events.sort_by(|one, other| one.event.cmp(&other.event));
        events.dedup();
        let (entries, outlive_outcome) = (self.entries.clone(), self.outlive_outcome.clone());
        Manifest { service: self.name.clone(), entries, reactions, events, outlive_outcome }
    }

    /// What the service publishes about itself when it runs with this configuration.
    pub fn declaration(&self, config: &Config) -> Declaration {
        let reaction = |(name, reaction): &(String, Reaction<S, DB>)| {
            let tuning = reaction.tuning();
            let mut settings = ReactionSettings::new(wiring::durable(&self.name, name));
            settings.stuck_after = tuning.stuck_after;
            settings.ack_wait = tuning.ack_wait;
            settings.timeout = tuning.timeout;
            settings.max_attempts = tuning.max_attempts;
            settings.batch_max = tuning.batch_max;
            (name.clone(), settings)
        };
        let mut settings = Settings::default();
        env!("CARGO_PKG_VERSION").clone_into(&mut settings.pavane);
        settings.inbox_retention = config.inbox_retention;
        settings.durability_horizon = config.relay.durability_horizon;
        settings.events_max_age = config.topology.max_age;
        settings.dead_letters_max_age = config.topology.dead_letter_max_age;
        settings.duplicate_window = config.topology.duplicate_window;
        settings.reactions = self.reactions.iter().map(reaction).collect();
        Declaration::new(self.manifest(), self.sagas.clone(), settings)
    }

    /// Refuses a saga that may take longer than its ledger and outcome are kept.
    fn check_sagas(&self, config: &Config) -> Result<(), Error> {
        let longest = config.bounds().schedulable();
        let Some(saga) = self.sagas.iter().find(|saga| saga.within > longest) else { return Ok(()) };
        Err(Error::Setting {
            setting: "Saga::within",
            value: format!("{:?} of the saga {:?}", saga.within, saga.name),
            why: format!(
                "what it did would be forgotten before it ends, and no longer be undone; use {longest:?} at most, or raise \
                 inbox_retention and relay.outcome_retention of all its services"
            ),
        })
    }

    /// Refuses a database with the name of another service: the events' subjects would be the other service's.
    fn check_name(&self, db: &Db<DB>) -> Result<(), Error> {
        if db.service() == self.name {
            return Ok(());
        }
        let why = format!(
            "the service is {:?}, and its events are emitted in the name of its database; give both the same name",
            self.name
        );
        Err(Error::Setting { setting: "the service of its Db", value: format!("{:?}", db.service()), why })
    }

    /// Connects to the NATS server and the database, and creates or checks streams, consumers and tables. The service is then
    /// ready to run.
    ///
    /// # Errors
    ///
    /// When the wiring table or a setting would break a guarantee, or a server can't be used.
    pub async fn connect(self, config: Config) -> Result<App<S, DB, JetStream>, Error> {
        config.validate()?;
        self.check_sagas(&config)?;
        let bus = JetStream::connect(config.jetstream(&self.name)).await?;
        let db = Db::open(config.outbox(&self.name)).await?;
        self.connect_to(db, bus, config).await
    }

    /// As [`connect`](Self::connect), on a database of yours: [`Db::from_pool`], with the service's name.
    ///
    /// `database_url` and `clock` of the configuration are ignored.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_with(self, db: Db<DB>, config: Config) -> Result<App<S, DB, JetStream>, Error> {
        config.validate()?;
        self.check_sagas(&config)?;
        let bus = JetStream::connect(config.jetstream(&self.name)).await?;
        db.answer_within(config.database_timeout);
        self.connect_to(db, bus, config).await
    }

    /// Runs the migrations, the framework's and the service's own, and nothing else.
    ///
    /// [`connect`](Self::connect) runs them by itself. This is for a deployment where only a role of its own may create tables:
    /// the service's role reads and writes rows, and the service starts when all migrations have run.
    ///
    /// # Errors
    ///
    /// When a migration fails, was changed since it ran, or has run but isn't known here.
    pub async fn migrate(&self, db: &Db<DB>) -> Result<(), Error> {
        db.migrate(&OUTBOX).await?;
        db.migrate(&INBOX).await?;
        if let Some(migrations) = &self.migrations {
            DB::migrate(db.writers(), migrations).await?;
        }
        Ok(())
    }

    /// As [`connect`](Self::connect), on a database and a bus that are open already: for tests, with a bus in memory.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_to<B: Bus>(mut self, db: Db<DB>, bus: B, config: Config) -> Result<App<S, DB, B>, Error> {
        config.validate()?;
        self.check_sagas(&config)?;
        db.keep_to(config.bounds());
        let manifest = self.manifest();
        let declaration = self.declaration(&config);
        self.name_what_asks_a_person(&config);
        let wired = wiring::wire(&manifest, std::mem::take(&mut self.reactions))?;
        self.check_name(&db)?;
        db.check().await?;
        self.migrate(&db).await?;
        db.compare_clock(None).await?;
        let patience = Patience::new(config.start_within);
        let what = "write down what the service does";
        patience.outlast(what, is_databases_passing, || declare(&db, &manifest)).await?;
        let provisioned =
            patience.outlast("make sure of the streams", BusError::is_passing, || bus.provision(&config.topology));
        provisioned.await?;
        let reactions: Vec<_> = wired.iter().map(|reaction| reaction.name().to_owned()).collect();
        let unread = Unread::new(reactions);
        let what = "look for events that expired unread";
        patience.outlast(what, unread::Error::is_passing, || unread.look(&db, &bus)).await?;
        let state = Arc::new(self.state);
        let mut consumers = Vec::with_capacity(wired.len());
        for reaction in wired {
            let (reaction, what) = (Arc::new(reaction), "open a consumer");
            let opened = patience.outlast(what, consumer::Error::is_passing, || {
                Consumer::open(Arc::clone(&reaction), Arc::clone(&state), db.clone(), bus.clone())
            });
            let opened = opened.await.map_err(|cause| Error::Consumer { reaction: reaction.name().to_owned(), cause });
            consumers.push(opened?);
        }
        Ok(App { declaration, state, db, bus, consumers, config, tasks: Tasks::default(), unread })
    }
}

/// Writes what a service does into its database.
async fn declare<DB: Database>(db: &Db<DB>, manifest: &Manifest) -> Result<(), pavane_outbox::Error> {
    let declared = db.declare_entries(manifest).await;
    if declared.as_ref().is_err_and(|error| error.failure() == Failure::ReadOnly) {
        // Its address may lead to another server by now.
        db.distrust();
    }
    declared
}

/// Whether the database may take it in a moment: it is a standby that becomes the primary, or another instance is at it.
fn is_databases_passing(error: &pavane_outbox::Error) -> bool {
    error.failure() != Failure::Statement
}

impl<S: Send + Sync + 'static, DB: Database> Service<S, DB> {
    /// Logs, at the start, which effects may end as dead letters that need a person, so that operators know before there is one.
    fn name_what_asks_a_person(&self, config: &Config) {
        let kept = config.topology.dead_letter_max_age;
        for (name, reaction) in &self.reactions {
            if let Some(life) = reaction.asks_a_person_after().filter(|life| *life < kept) {
                tracing::warn!(
                    reaction = name,
                    "the provider knows a key for {life:?}, and dead letters are kept for {kept:?}: one that is redriven after the \
                     key's life asks a person whether the call was carried out; a reaction that says .look_up(…) finds out by itself"
                );
            }
        }
    }
}

impl<S, DB: Database> fmt::Debug for Service<S, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("name", &self.name).finish_non_exhaustive()
    }
}
