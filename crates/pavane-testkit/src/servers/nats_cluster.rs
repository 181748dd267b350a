use futures_util::future::try_join_all;

use super::{Error, Nats, NatsOptions, Tools, free_port};

/// How many servers a cluster has: the fewest that go on without one of them.
const SERVERS: usize = 3;

/// Real nats-servers with JetStream on 127.0.0.1 that are one cluster.
#[derive(Debug)]
pub struct NatsCluster {
    servers: Vec<Nats>,
}

impl NatsCluster {
    /// Starts three servers, and waits until each accepts clients. That is before they have agreed on a leader, so nothing
    /// can be said about streams for a while.
    ///
    /// # Errors
    /// As for [`Nats::start`].
    pub async fn start(tools: &Tools) -> Result<Self, Error> {
        let binary = tools.nats_server().await?;
        let ports: Result<Vec<_>, _> = (0..SERVERS).map(|_| free_port()).collect();
        let ports = ports.map_err(Error::io("find a port for", &binary))?;
        let starting = (0..SERVERS).map(|server| Nats::start_with(tools, member(server, &ports)));
        Ok(Self { servers: try_join_all(starting).await? })
    }

    /// Where clients connect: all servers, separated by commas.
    pub fn url(&self) -> String {
        self.servers.iter().map(Nats::url).collect::<Vec<_>>().join(",")
    }

    /// The servers.
    pub fn servers(&mut self) -> &mut [Nats] {
        &mut self.servers
    }
}

/// The options of one server, with the ports on which they talk to one another.
fn member(server: usize, ports: &[u16]) -> NatsOptions {
    let routes = ports.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect::<Vec<_>>().join(", ");
    let config = format!(
        "server_name: n{server}\ncluster {{\nname: test\nlisten: \"127.0.0.1:{}\"\nroutes: [{routes}]\n}}\n",
        ports[server]
    );
    NatsOptions { config, ..NatsOptions::default() }
}
