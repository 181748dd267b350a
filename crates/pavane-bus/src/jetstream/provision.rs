use std::time::Duration;

use async_nats::jetstream::{
    ErrorCode,
    stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType},
};

use super::{Inner, api::Failure};
use crate::{
    Error, Topology,
    drift::{Drift, set},
    topology::{DEAD_LETTERS, DEAD_LETTERS_SUBJECTS, EVENTS, EVENTS_SUBJECTS},
};

/// No limit, in the server's words.
const UNLIMITED: i64 = -1;

/// How often a look and a creation may miss each other while several services provision at once.
const RACES_MAX: usize = 4;

impl Inner {
    pub(super) async fn provision(&self, topology: &Topology) -> Result<(), Error> {
        for wanted in streams(topology)? {
            self.provision_stream(&wanted).await?;
        }
        if topology.replicas == 1 {
            tracing::warn!(
                "the streams have one replica: in production the server needs `sync_interval: always`, or three replicas, \
                 because it acknowledges before it syncs to disk"
            );
        }
        Ok(())
    }

    async fn provision_stream(&self, wanted: &Config) -> Result<(), Error> {
        let name = &wanted.name;
        for _ in 0..RACES_MAX {
            match self.api::<Info>(&format!("STREAM.INFO.{name}"), &()).await {
                Ok(found) => return self.update_stream(found.config, wanted).await,
                Err(failure) if failure.code() == Some(ErrorCode::STREAM_NOT_FOUND) => {}
                Err(failure) => return Err(failure.into()),
            }
            match self.api::<Info>(&format!("STREAM.CREATE.{name}"), wanted).await {
                Ok(created) => return check_echo(&created.config, wanted),
                // Another service was faster; look at what it made.
                Err(failure) if failure.code() == Some(ErrorCode::STREAM_NAME_EXIST) => {}
                Err(failure) => return Err(explain(name, failure)),
            }
        }
        Err(Error::Unavailable(format!("the stream {name} is being created and deleted by others")))
    }

    async fn update_stream(&self, found: Config, wanted: &Config) -> Result<(), Error> {
        if !differences(&found, wanted).judge(format!("the stream {}", wanted.name))? {
            return Ok(());
        }
        // Everything else stays as it is, what an operator added by hand included.
        let updated = Config {
            subjects: wanted.subjects.clone(),
            max_age: wanted.max_age,
            duplicate_window: wanted.duplicate_window,
            max_bytes: if wanted.max_bytes == UNLIMITED { found.max_bytes } else { wanted.max_bytes },
            ..found
        };
        tracing::info!(stream = wanted.name, "updating the stream");
        let answer = self.api::<Info>(&format!("STREAM.UPDATE.{}", wanted.name), &updated).await;
        check_echo(&answer.map_err(|failure| explain(&wanted.name, failure))?.config, wanted)
    }
}

fn streams(topology: &Topology) -> Result<[Config; 2], Error> {
    let events = Config {
        max_bytes: match topology.max_bytes {
            Some(bytes) => i64::try_from(bytes).unwrap_or(i64::MAX),
            None => UNLIMITED,
        },
        ..stream(EVENTS, &EVENTS_SUBJECTS, topology.max_age, topology)
    };
    let dead_letters = stream(DEAD_LETTERS, &DEAD_LETTERS_SUBJECTS, topology.dead_letter_max_age, topology);
    for config in [&events, &dead_letters] {
        if !config.max_age.is_zero() && config.duplicate_window > config.max_age {
            return Err(Error::Other(format!(
                "duplicate_window is {:?}, longer than the {:?} that {} keeps its messages; use a shorter window, for example 2 minutes",
                config.duplicate_window, config.max_age, config.name
            )));
        }
    }
    Ok([events, dead_letters])
}

fn stream(name: &str, subjects: &[&str], max_age: Duration, topology: &Topology) -> Config {
    Config {
        name: name.to_owned(),
        subjects: subjects.iter().map(ToString::to_string).collect(),
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        num_replicas: topology.replicas,
        max_age,
        duplicate_window: topology.duplicate_window,
        max_bytes: UNLIMITED,
        max_messages: UNLIMITED,
        max_messages_per_subject: UNLIMITED,
        max_consumers: -1,
        max_message_size: -1,
        allow_direct: true,
        ..Config::default()
    }
}

fn differences(found: &Config, wanted: &Config) -> Drift {
    const EDIT: &str = "change it with `nats stream edit`, or want the existing value";
    const RECREATE: &str = "it can't be changed: move the messages to a new stream";
    const LOSES: &str = "it loses messages silently: remove it with `nats stream edit`";
    let mut drift = Drift::default();
    drift.gains("subjects", &set(&found.subjects), &set(&wanted.subjects));
    drift.grows("max_age", &unlimited(found.max_age), &unlimited(wanted.max_age));
    drift.grows("duplicate_window", &found.duplicate_window, &wanted.duplicate_window);
    if wanted.max_bytes != UNLIMITED {
        drift.grows("max_bytes", &limit(found.max_bytes), &limit(wanted.max_bytes));
    }
    drift.fixed("replicas", &found.num_replicas, &wanted.num_replicas, EDIT);
    drift.fixed("storage", &found.storage, &wanted.storage, RECREATE);
    drift.fixed("retention", &found.retention, &wanted.retention, RECREATE);
    drift.fixed("discard", &found.discard, &wanted.discard, EDIT);
    drift.fixed("sealed", &found.sealed, &false, RECREATE);
    drift.fixed("mirror", &found.mirror.is_some(), &false, RECREATE);
    drift.fixed("no_ack", &found.no_ack, &false, LOSES);
    drift.fixed("max_msgs_per_subject", &limit(found.max_messages_per_subject), &u64::MAX, LOSES);
    drift.fixed("subject_transform", &found.subject_transform.is_some(), &false, LOSES);
    drift
}

/// A server that ignores a setting answers with another one than it was asked for.
fn check_echo(echoed: &Config, wanted: &Config) -> Result<(), Error> {
    match differences(echoed, wanted).judge(format!("the stream {}", wanted.name)) {
        Ok(false) => Ok(()),
        Ok(true) => Err(Error::Unsupported(format!("it did not apply the settings of the stream {}", wanted.name))),
        Err(error) => Err(Error::Unsupported(format!("it changed the settings that it was given: {error}"))),
    }
}

fn explain(stream: &str, failure: Failure) -> Error {
    match failure.code() {
        Some(ErrorCode::STREAM_SUBJECT_OVERLAP) => Error::Differs {
            what: format!("another stream with subjects of {stream}"),
            difference: "no two streams may take the same subjects; delete the other one, or use another account"
                .to_owned(),
        },
        _ => failure.into(),
    }
}

/// Zero means for ever.
fn unlimited(age: Duration) -> Duration {
    if age.is_zero() { Duration::MAX } else { age }
}

/// Zero and below mean no limit.
fn limit(value: i64) -> u64 {
    u64::try_from(value).ok().filter(|value| *value > 0).unwrap_or(u64::MAX)
}
