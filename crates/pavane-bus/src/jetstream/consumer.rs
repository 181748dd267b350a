use async_nats::jetstream::{
    ErrorCode,
    consumer::{AckPolicy, Config, Consumer, DeliverPolicy, FromConsumer, Info, pull},
};

use super::{Inner, api::Failure, command};
use crate::{ConsumerConfig, ConsumerPosition, Error, drift::Drift, topology::EVENTS};

/// How often the check and the creation may conflict while several instances start at once.
const RACES_MAX: usize = 4;

/// Deliver without limit: the inbox counts attempts, and a consumer that gives up by itself loses messages.
const MAX_DELIVER: i64 = -1;

impl Inner {
    /// Opens a durable consumer: creates it, or checks that the existing one is as wanted and applies safe changes.
    pub(super) async fn open_consumer(&self, wanted: &ConsumerConfig) -> Result<Consumer<pull::Config>, Error> {
        wanted.validate()?;
        let wanted = &self.names.consumer(wanted);
        for _ in 0..RACES_MAX {
            match self.consumer_info(&wanted.durable).await {
                Ok(found) if self.verify_only => return self.verified(found, wanted),
                Ok(found) => return self.update_consumer(found, wanted).await,
                Err(failure) if failure.code() == Some(ErrorCode::CONSUMER_NOT_FOUND) => {}
                Err(failure) => return Err(failure.about(&self.names.stream(EVENTS))),
            }
            if self.verify_only {
                let command = command::add_consumer(&self.names.stream(EVENTS), wanted);
                return Err(Error::Missing { what: format!("the consumer {}", wanted.durable), command });
            }
            match self.write_consumer(wanted, config(wanted), "create").await {
                Ok(created) => return self.checked(created, wanted),
                // Another instance was faster; check what it created.
                Err(failure) if failure.code() == Some(ErrorCode::CONSUMER_ALREADY_EXISTS) => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(Error::Unavailable(format!("the consumer {} is being created and deleted by others", wanted.durable)))
    }

    pub(super) async fn consumer_info(&self, durable: &str) -> Result<Info, Failure> {
        self.api(&format!("CONSUMER.INFO.{}.{durable}", self.names.stream(EVENTS)), &serde_json::json!({})).await
    }

    pub(super) async fn consumer_position(&self, durable: &str) -> Result<Option<ConsumerPosition>, Error> {
        let info = match self.consumer_info(durable).await {
            Ok(info) => info,
            Err(failure) if failure.code() == Some(ErrorCode::CONSUMER_NOT_FOUND) => return Ok(None),
            Err(failure) => return Err(failure.about(&self.names.stream(EVENTS))),
        };
        Ok(Some(ConsumerPosition {
            delivered: info.delivered.stream_sequence,
            settled: info.ack_floor.stream_sequence,
            unsettled: u64::try_from(info.num_ack_pending).unwrap_or(u64::MAX),
            undelivered: info.num_pending,
        }))
    }

    /// Checks, and changes nothing.
    fn verified(&self, found: Info, wanted: &ConsumerConfig) -> Result<Consumer<pull::Config>, Error> {
        let fix = command::edit_consumer(&self.names.stream(EVENTS), wanted);
        differences(&found.config, wanted).verify(format!("the consumer {}", wanted.durable), &fix)?;
        self.consumer(found)
    }

    async fn update_consumer(&self, found: Info, wanted: &ConsumerConfig) -> Result<Consumer<pull::Config>, Error> {
        if !differences(&found.config, wanted).judge(format!("the consumer {}", wanted.durable))? {
            return self.consumer(found);
        }
        let asked = config(wanted);
        if filters(&found.config) != filters(&asked) {
            tracing::warn!(
                consumer = wanted.durable,
                position = found.delivered.stream_sequence,
                "adding filters: events of the new subjects that are older than the consumer's position are not delivered"
            );
        }
        let updated = Config {
            filter_subject: asked.filter_subject,
            filter_subjects: asked.filter_subjects,
            ack_wait: asked.ack_wait,
            max_ack_pending: asked.max_ack_pending,
            ..found.config
        };
        let info = self.write_consumer(wanted, updated, "update").await?;
        self.checked(info, wanted)
    }

    /// A single filter is part of the subject, so that permissions can bind a service to its filter.
    async fn write_consumer(&self, wanted: &ConsumerConfig, config: Config, action: &str) -> Result<Info, Failure> {
        let filter =
            if config.filter_subject.is_empty() { String::new() } else { format!(".{}", config.filter_subject) };
        let stream = self.names.stream(EVENTS);
        let name = format!("CONSUMER.CREATE.{stream}.{}{filter}", wanted.durable);
        self.api(&name, &serde_json::json!({ "stream_name": stream, "config": config, "action": action })).await
    }

    /// A server that ignores a setting answers with another configuration than it was sent.
    fn checked(&self, info: Info, wanted: &ConsumerConfig) -> Result<Consumer<pull::Config>, Error> {
        match differences(&info.config, wanted).judge(format!("the consumer {}", wanted.durable)) {
            Ok(false) => self.consumer(info),
            Ok(true) => {
                Err(Error::Unsupported(format!("it did not apply the settings of the consumer {}", wanted.durable)))
            }
            Err(error) => Err(Error::Unsupported(format!("it changed the settings that it was given: {error}"))),
        }
    }

    fn consumer(&self, info: Info) -> Result<Consumer<pull::Config>, Error> {
        let config = pull::Config::try_from_consumer_config(info.config.clone())
            .map_err(|error| Error::Other(format!("the consumer {} is unusable: {error}", info.name)))?;
        Ok(Consumer::new(config, info, self.context.clone()))
    }
}

fn config(wanted: &ConsumerConfig) -> Config {
    let mut subjects: Vec<String> = crate::drift::set(&wanted.filter_subjects).into_iter().collect();
    let single = if subjects.len() == 1 { subjects.pop().unwrap_or_default() } else { String::new() };
    Config {
        durable_name: Some(wanted.durable.clone()),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: wanted.ack_wait,
        max_ack_pending: i64::try_from(wanted.max_ack_pending).unwrap_or(i64::MAX),
        max_deliver: MAX_DELIVER,
        filter_subject: single,
        filter_subjects: subjects,
        ..Config::default()
    }
}

fn differences(found: &Config, wanted: &ConsumerConfig) -> Drift {
    const RECREATE: &str =
        "it can't be changed: use another durable name, or delete the consumer and let it read all again";
    const EDIT: &str = "it breaks redelivery: remove it with `nats consumer edit`";
    let mut drift = Drift::default();
    let existing = ConsumerConfig {
        durable: wanted.durable.clone(),
        filter_subjects: filters(found),
        ack_wait: found.ack_wait,
        max_ack_pending: usize::try_from(found.max_ack_pending).unwrap_or(usize::MAX),
    };
    drift.consumer(&existing, wanted);
    drift.fixed("deliver_subject", &found.deliver_subject, &None, RECREATE);
    drift.fixed("ack_policy", &found.ack_policy, &AckPolicy::Explicit, RECREATE);
    drift.fixed("deliver_policy", &found.deliver_policy, &DeliverPolicy::All, RECREATE);
    drift.fixed("max_deliver", &found.max_deliver, &MAX_DELIVER, EDIT);
    drift.fixed("backoff", &found.backoff, &Vec::new(), EDIT);
    drift.fixed("headers_only", &found.headers_only, &false, EDIT);
    drift
}

fn filters(config: &Config) -> Vec<String> {
    if config.filter_subject.is_empty() {
        let mut subjects = config.filter_subjects.clone();
        subjects.sort();
        subjects
    } else {
        vec![config.filter_subject.clone()]
    }
}
