use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream::{self, stream};
use futures_util::{TryStreamExt as _, future::try_join_all};
use tokio::time::{self, Instant};

use super::{Error, Nats, NatsOptions, Tools, free_port, leash};

/// How many servers a cluster has: the fewest that go on without one of them.
const SERVERS: usize = 3;
/// For elections on a busy machine.
const LIMIT: Duration = Duration::from_mins(1);
/// For one request: without a leader nobody answers.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// How often in a row a probe must succeed: just after they have met, the servers may lose one another once more.
const PROBES: usize = 3;
/// A stream that is made and deleted again.
const PROBE: &str = "pavane-testkit-probe";

/// Real nats-servers with JetStream on 127.0.0.1 that are one cluster.
#[derive(Debug)]
pub struct NatsCluster {
    servers: Vec<Nats>,
    /// On which they talk to one another.
    ports: Vec<u16>,
}

impl NatsCluster {
    /// Starts three servers, and waits until each accepts clients. That is before they have agreed on a leader, so nothing
    /// can be said about streams until it [is formed](Self::wait_until_formed).
    ///
    /// # Errors
    /// As for [`Nats::start`].
    pub async fn start(tools: &Tools) -> Result<Self, Error> {
        Self::start_with(tools, "").await
    }

    /// As [`start`](Self::start), with more of each server's configuration, as text: users and their permissions and so on.
    ///
    /// # Errors
    /// As for [`Nats::start`].
    pub async fn start_with(tools: &Tools, config: &str) -> Result<Self, Error> {
        let binary = tools.nats_server().await?;
        let ports: Result<Vec<_>, _> = (0..SERVERS).map(|_| free_port()).collect();
        let ports = ports.map_err(Error::io("find a port for", &binary))?;
        let options = |server| NatsOptions { config: member(server, &ports, config), ..NatsOptions::default() };
        let servers = try_join_all((0..SERVERS).map(|server| Nats::start_with(tools, options(server)))).await?;
        Ok(Self { servers, ports })
    }

    /// Where clients connect: all servers, separated by commas.
    pub fn url(&self) -> String {
        self.servers.iter().map(Nats::url).collect::<Vec<_>>().join(",")
    }

    /// The servers.
    pub fn servers(&mut self) -> &mut [Nats] {
        &mut self.servers
    }

    /// The server that calls itself `name`, as a leader is named: `n0`, `n1` or `n2`.
    pub fn server_of(&mut self, name: &str) -> Option<&mut Nats> {
        let server = (0..SERVERS).find(|server| name_of(*server) == name)?;
        self.servers.get_mut(server)
    }

    /// Has the servers, which go on, take another configuration in the place of that which they were [started
    /// with](Self::start_with).
    ///
    /// # Errors
    /// As for [`Nats::reconfigure`].
    pub fn reconfigure(&mut self, config: &str) -> Result<(), Error> {
        let mut servers = self.servers.iter_mut().enumerate();
        servers.try_for_each(|(server, nats)| nats.reconfigure(member(server, &self.ports, config)))
    }

    /// Waits until each server has all that a stream has, for every stream: then the next one may fail.
    ///
    /// # Errors
    /// When they don't in time; what was said at last is in the message.
    pub async fn wait_until_replicated(&self) -> Result<(), Error> {
        let deadline = Instant::now() + LIMIT;
        while let Err(error) = self.ask_for_replicas().await {
            wait(deadline, "the streams", "replicated", &error).await?;
        }
        Ok(())
    }

    /// Waits until streams with a replica on each server can be made: all have met, and agreed on a leader. On a busy machine a
    /// server may miss another one again at any time.
    ///
    /// # Errors
    /// When none can be made in time; what was said at last is in the message.
    pub async fn wait_until_formed(&self) -> Result<(), Error> {
        let deadline = Instant::now() + LIMIT;
        let mut made = 0;
        while made < PROBES {
            match self.probe().await {
                Ok(()) => made += 1,
                Err(error) => {
                    made = 0;
                    wait(deadline, "the cluster", "formed", &error).await?;
                }
            }
        }
        Ok(())
    }

    /// The name of the server that leads `stream`, once there is one.
    ///
    /// # Errors
    /// When nobody leads it in time, or there is no such stream; what was said at last is in the message.
    pub async fn leader_of(&self, stream: &str) -> Result<String, Error> {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.ask_for_leader(stream).await {
                Ok(leader) => return Ok(leader),
                Err(error) => wait(deadline, stream, "led", &error).await?,
            }
        }
    }

    /// Has the leader of `stream` step down, waits until another server leads it, and returns its name.
    ///
    /// # Errors
    /// As for [`leader_of`](Self::leader_of); and when no other server takes over in time.
    pub async fn step_down(&self, stream: &str) -> Result<String, Error> {
        let deadline = Instant::now() + LIMIT;
        let old = self.leader_of(stream).await?;
        loop {
            let error = match self.ask_to_step_down(stream).await {
                Ok(()) => format!("{old} still leads").into(),
                Err(error) => error,
            };
            let new = self.leader_of(stream).await?;
            if new != old {
                return Ok(new);
            }
            wait(deadline, stream, "led by another server", &error).await?;
        }
    }

    async fn probe(&self) -> Result<(), async_nats::Error> {
        let api = self.api().await?;
        let config = stream::Config { name: PROBE.into(), num_replicas: SERVERS, ..Default::default() };
        api.create_stream(config).await?;
        api.delete_stream(PROBE).await?;
        Ok(())
    }

    async fn ask_for_leader(&self, stream: &str) -> Result<String, async_nats::Error> {
        let stream = self.api().await?.get_stream(stream).await?;
        let leader = stream.cached_info().cluster.as_ref().and_then(|cluster| cluster.leader.clone());
        Ok(leader.ok_or("nobody leads it")?)
    }

    async fn ask_for_replicas(&self) -> Result<(), async_nats::Error> {
        let api = self.api().await?;
        let names: Vec<String> = api.stream_names().try_collect().await?;
        for name in names {
            let stream = api.get_stream(&name).await?;
            let replicas = stream.cached_info().cluster.as_ref().map(|cluster| &*cluster.replicas).unwrap_or_default();
            let current = replicas.iter().filter(|it| it.current && !it.offline).count();
            if current + 1 < stream.cached_info().config.num_replicas {
                return Err(format!("{current} servers beside the leader have all of {name}").into());
            }
        }
        Ok(())
    }

    async fn ask_to_step_down(&self, stream: &str) -> Result<(), async_nats::Error> {
        let request = format!("STREAM.LEADER.STEPDOWN.{stream}");
        let answer: jetstream::response::Response<serde_json::Value> = self.api().await?.request(request, &()).await?;
        match answer {
            jetstream::response::Response::Ok(_) => Ok(()),
            jetstream::response::Response::Err { error } => Err(error.into()),
        }
    }

    /// Connects anew for each request: the server that answered the last one may be killed or paused by now.
    async fn api(&self) -> Result<jetstream::Context, async_nats::Error> {
        let options = ConnectOptions::new().connection_timeout(ANSWER_LIMIT);
        let urls: Vec<_> = self.servers.iter().map(Nats::url).collect();
        let mut api = jetstream::new(options.connect(urls.as_slice()).await?);
        api.set_timeout(ANSWER_LIMIT);
        Ok(api)
    }
}

/// Waits a little before the next attempt, unless it would be too late.
async fn wait(deadline: Instant, name: &str, awaited: &'static str, error: &async_nats::Error) -> Result<(), Error> {
    if Instant::now() >= deadline {
        return Err(Error::TimedOut { name: name.to_owned(), awaited, limit: LIMIT, log: error.to_string() });
    }
    time::sleep(leash::POLL).await;
    Ok(())
}

fn name_of(server: usize) -> String {
    format!("n{server}")
}

/// The configuration of one server. It tells clients nothing of the others: they may be meant to go through a proxy to each.
fn member(server: usize, ports: &[u16], config: &str) -> String {
    let routes = ports.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect::<Vec<_>>().join(", ");
    format!(
        "server_name: {}\ncluster {{\nname: test\nlisten: \"127.0.0.1:{}\"\nroutes: [{routes}]\nno_advertise: true\n}}\n{config}\n",
        name_of(server),
        ports[server]
    )
}
