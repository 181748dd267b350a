mod replication;

use std::mem;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use super::postgres::ROLE;
use super::{Error, Postgres, PostgresOptions, Proxy, Tools};

/// When a commit on the primary of a [`PostgresPair`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum Replication {
    /// When the standby has it, too: a failover loses no commit that was acknowledged.
    Synchronous,
    /// When the primary has it: a failover may lose the last commits.
    Asynchronous,
}

/// Two real PostgreSQL servers, a primary and a standby that repeats what it does, behind one address that doesn't change.
///
/// While the standby of a synchronous pair is killed or paused, commits hang. After a [`fail_over`](Self::fail_over) they don't:
/// the new primary waits for nobody until there is a standby again.
#[derive(Debug)]
pub struct PostgresPair {
    proxy: Proxy,
    replication: Replication,
    primary: Postgres,
    standby: Option<Postgres>,
    databases: AtomicU32,
}

impl PostgresPair {
    /// Starts both servers, and waits until the standby is up to date: some two seconds.
    ///
    /// # Errors
    /// As for [`Postgres::start`]; and when the standby does not follow in time.
    pub async fn start(tools: &Tools, replication: Replication) -> Result<Self, Error> {
        Self::start_with(tools, PostgresOptions::default(), replication).await
    }

    /// Starts both servers with `options`.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub async fn start_with(tools: &Tools, options: PostgresOptions, replication: Replication) -> Result<Self, Error> {
        let primary = Postgres::start_with(tools, options).await?;
        let proxy = Proxy::start(address(&primary)).await;
        let proxy = proxy.map_err(|reason| Error::Io { doing: "open a port".to_owned(), reason })?;
        let mut pair = Self { proxy, replication, primary, standby: None, databases: AtomicU32::new(0) };
        pair.rejoin().await?;
        Ok(pair)
    }

    /// Where clients connect for `database`, whichever server is the primary.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{ROLE}@{}/{database}", self.proxy.address())
    }

    /// Creates the database `name`, and returns its URL.
    ///
    /// # Errors
    /// As for [`Postgres::create_database`].
    pub async fn create_database(&self, name: &str) -> Result<String, Error> {
        self.primary.create_database(name).await?;
        Ok(self.url(name))
    }

    /// Creates a database with a name of its own, for one test, and returns its URL.
    ///
    /// # Errors
    /// As for [`Postgres::create_database`].
    pub async fn fresh_database(&self) -> Result<String, Error> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        self.create_database(&format!("fresh_{number}")).await
    }

    /// The network between the clients and the primary.
    pub const fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// The server that takes writes.
    pub const fn primary(&mut self) -> &mut Postgres {
        &mut self.primary
    }

    /// The server that repeats what the primary does, if there is one.
    pub const fn standby(&mut self) -> Option<&mut Postgres> {
        self.standby.as_mut()
    }

    /// Kills the primary with SIGKILL and makes the standby the primary. The address leads to it, all connections are reset.
    /// There is no standby then, until [`rejoin`](Self::rejoin).
    ///
    /// # Errors
    /// [`Error::NoStandby`]; and when the primary does not end, or the standby does not become the primary in time.
    pub async fn fail_over(&mut self) -> Result<(), Error> {
        let standby = self.standby.as_mut().ok_or(Error::NoStandby)?;
        self.primary.kill().await?;
        replication::promote(standby).await?;
        // The old primary is gone with its files: what it alone has is lost.
        self.primary = self.standby.take().ok_or(Error::NoStandby)?;
        self.lead_to_primary();
        self.proxy.cut();
        Ok(())
    }

    /// Has the two change places, in good order: the primary stops, the standby becomes the primary, the old one comes back as
    /// its standby. No commit is lost, whatever the replication. Connections that are open break.
    ///
    /// The address still leads to the old one, as a name whose change has not spread: who connects can read, and each write is
    /// refused with SQLSTATE 25006. [`lead_to_primary`](Self::lead_to_primary) ends that for new connections.
    ///
    /// # Errors
    /// [`Error::NoStandby`]; and when one of the two does not stop, start or follow in time.
    pub async fn hand_over(&mut self) -> Result<(), Error> {
        let standby = self.standby.as_mut().ok_or(Error::NoStandby)?;
        replication::will_follow(&self.primary, standby.port()).await?;
        // It ends when the standby has received everything, so the two have not parted.
        self.primary.stop().await?;
        replication::promote(standby).await?;
        self.primary.restart_as_standby().await?;
        mem::swap(&mut self.primary, standby);
        self.replicate().await
    }

    /// Leads new connections to the primary. Those that are open stay where they are.
    pub fn lead_to_primary(&self) {
        self.proxy.lead_to(address(&self.primary));
    }

    /// Makes a new standby, by copying the primary, if there is none: the pair is as it was at first.
    ///
    /// # Errors
    /// When the primary does not run, or the standby does not start or follow in time.
    pub async fn rejoin(&mut self) -> Result<(), Error> {
        if self.standby.is_some() {
            return Ok(());
        }
        self.standby = Some(self.primary.start_standby().await?);
        self.replicate().await
    }

    async fn replicate(&self) -> Result<(), Error> {
        replication::streams(&self.primary).await?;
        match self.replication {
            // Not before: commits would wait for a standby that isn't there.
            Replication::Synchronous => replication::make_synchronous(&self.primary).await,
            Replication::Asynchronous => Ok(()),
        }
    }
}

fn address(server: &Postgres) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, server.port()).into()
}
