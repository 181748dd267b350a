//! What is disturbed: a system as a bank would run it.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use futures_util::{StreamExt as _, stream};
use pavane_testkit::{
    history::{History, Recorder, Report},
    servers::{
        Direction, NatsCluster, PostgresOptions, PostgresPair, Process, ProcessOptions, Proxy, Replication, Tools,
    },
};
use sqlx::{Connection as _, PgConnection};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep},
};

use super::{
    clock::{Clock, Clocks},
    disk::Disk,
};

pub(super) const INSTANCES: usize = 2;

/// Until everything has come to rest.
const REST_WITHIN: Duration = Duration::from_mins(3);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many there are at once: each is some twenty processes.
static WORLDS: Semaphore = Semaphore::const_new(2);
/// Everybody else, as the tests themselves, may do everything.
const SERVICES_LOGIN: [(&str, &str); 2] = [("NATS_USER", "services"), ("NATS_PASSWORD", "services")];

/// How an instance of a service is run.
pub(super) struct Program {
    pub(super) service: &'static str,
    pub(super) binary: &'static str,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(&'static str, String)>,
}

/// One of several processes of a service.
pub(super) struct Instance {
    pub(super) process: Process,
    /// To each of the NATS servers.
    pub(super) links: Vec<Proxy>,
    pub(super) clock: Clock,
}

/// Whom services call, which knows nothing of events.
pub(super) struct Provider {
    /// `None` where it can't be killed: it keeps its books in memory.
    pub(super) process: Option<Process>,
    /// Between it and its callers.
    pub(super) link: Proxy,
    /// Its one caller; `None` where there are several.
    pub(super) caller: Option<&'static str>,
}

pub(super) struct World {
    pub(super) recorder: Recorder,
    pub(super) nats: NatsCluster,
    pub(super) postgres: PostgresPair,
    pub(super) disk: Disk,
    pub(super) provider: Provider,
    pub(super) instances: BTreeMap<&'static str, Vec<Instance>>,
    /// Connections to the database that nobody else can have.
    pub(super) taken: Vec<PgConnection>,
    _clocks: Clocks,
    _permit: SemaphorePermit<'static>,
}

impl World {
    /// Starts the servers and two instances of each service.
    pub(super) async fn start(provider: Provider, programs: Vec<Program>) -> Self {
        let permit = WORLDS.acquire().await.unwrap();
        let tools = Tools::from_env();
        let mut nats = NatsCluster::start_with(&tools, &users("")).await.unwrap();
        nats.wait_until_formed().await.unwrap();
        let disk = Disk::new();
        let options = PostgresOptions { environment: disk.environment(), ..PostgresOptions::default() };
        let postgres = PostgresPair::start_with(&tools, options, Replication::Synchronous).await.unwrap();
        let (clocks, mut recorder) = (Clocks::new(), Recorder::new(nats.url()));
        let mut instances: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for program in programs {
            let database = postgres.create_database(program.service).await.unwrap();
            for number in 0..INSTANCES {
                let instance = start(&program, number, &mut nats, &database, &clocks).await;
                instances.entry(program.service).or_default().push(instance);
            }
            recorder.audit(program.service, database).await.unwrap();
        }
        Self {
            recorder,
            nats,
            postgres,
            disk,
            provider,
            instances,
            taken: Vec::new(),
            _clocks: clocks,
            _permit: permit,
        }
    }

    /// What has happened, once nothing is under way any more and no law is broken but these, or after a while.
    pub(super) async fn at_rest(&self, but_for: &[&str]) -> (History, Report) {
        let deadline = Instant::now() + REST_WITHIN;
        loop {
            let read = self.recorder.read().await.map(|history| (history.check(), history));
            let is_over = Instant::now() > deadline;
            match read {
                Ok((report, history)) if is_over || broken(&report).iter().all(|law| but_for.contains(law)) => {
                    return (history, report);
                }
                Err(error) if is_over => panic!("{error}"),
                Ok(_) | Err(_) => sleep(LOOK_EVERY).await,
            }
        }
    }

    pub(super) fn services(&self) -> Vec<&'static str> {
        self.instances.keys().copied().collect()
    }

    /// Where a service answers HTTP, by instance.
    pub(super) fn urls(&self, service: &str) -> impl Iterator<Item = String> {
        self.instances[service].iter().map(|instance| instance.process.url())
    }

    pub(super) fn instance(&mut self, service: &str, instance: usize) -> &mut Instance {
        &mut self.instances.get_mut(service).unwrap()[instance]
    }

    /// Takes all connections that the database has left.
    pub(super) async fn take_connections(&mut self) {
        let url = self.postgres.url("postgres");
        while let Ok(connection) = PgConnection::connect(&url).await {
            self.taken.push(connection);
        }
    }

    /// Lets the services publish no event of `owner`.
    pub(super) fn forbid(&mut self, owner: &str) {
        let denied = format!("permissions: {{ publish: {{ deny: [\"events.{owner}.>\"] }} }}");
        self.nats.reconfigure(&users(&denied)).unwrap();
    }

    /// Lets them publish everything.
    pub(super) fn permit(&mut self) {
        self.nats.reconfigure(&users("")).unwrap();
    }
}

impl Instance {
    /// Breaks the connections to NATS, and takes no new ones.
    pub(super) fn cut_off(&self) {
        for link in &self.links {
            link.refuse();
        }
    }

    pub(super) fn silence(&self, direction: Direction) {
        for link in &self.links {
            link.black_hole(direction);
        }
    }

    pub(super) fn delay(&self, latency: Duration) {
        for link in &self.links {
            link.delay(latency);
        }
    }

    /// What was on its way is lost, as when a cable is pulled for good.
    pub(super) fn reconnect(&self) {
        for link in &self.links {
            link.cut();
            link.heal();
        }
    }

    /// Starts the process again and again, as whatever runs it in production does: one that can't reach what it needs in time ends.
    pub(super) async fn start(&mut self) {
        let mut attempts = 0;
        while let Err(error) = self.process.restart().await {
            attempts += 1;
            assert!(attempts < 5, "{error}");
        }
    }
}

/// The laws that are.
pub(super) fn broken(report: &Report) -> Vec<&str> {
    report.laws().iter().filter(|law| !law.violations.is_empty()).map(|law| law.name.as_str()).collect()
}

/// Who may do what at the servers.
fn users(permissions: &str) -> String {
    format!(
        "no_auth_user: tests\nauthorization {{ users: [\n{{ user: tests, password: tests }}\n{{ user: services, password: services, {permissions} }}\n] }}\n"
    )
}

async fn start(program: &Program, number: usize, nats: &mut NatsCluster, database: &str, clocks: &Clocks) -> Instance {
    let Program { service, binary, arguments, environment } = program;
    let servers: Vec<_> =
        nats.servers().iter().map(|server| SocketAddr::from(([127, 0, 0, 1], server.port()))).collect();
    let links: Vec<Proxy> = stream::iter(servers).then(Proxy::start).map(Result::unwrap).collect().await;
    let url = links.iter().map(|link| format!("nats://{}", link.address())).collect::<Vec<_>>().join(",");
    let (clock, clock_environment) = clocks.make(&format!("{service}-{number}"));
    let own = [("NATS_URL", url), ("PAVANE_REPLICAS", "3".to_owned()), ("DATABASE_URL", database.to_owned())];
    let login = SERVICES_LOGIN.map(|(name, value)| (name, value.to_owned()));
    let all = own.into_iter().chain(login).chain(clock_environment).chain(environment.iter().cloned());
    let environment = all.map(|(name, value)| (name.to_owned(), value)).collect();
    let process = Process::start(binary, ProcessOptions { environment, arguments: arguments.clone() }).await.unwrap();
    Instance { process, links, clock }
}
