use std::time::Duration;

use async_nats::jetstream::{
    ErrorCode,
    stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType},
};

use super::{Inner, api::Failure, command, names::Names};
use crate::{
    Error, Topology,
    drift::{Drift, set},
    topology::{DEAD_LETTERS, DEAD_LETTERS_SUBJECTS, DECLARATIONS, EVENTS, EVENTS_SUBJECTS},
};

/// No limit, as the server writes it.
const UNLIMITED: i64 = -1;

/// How often the check and the creation may conflict while several services provision at once.
pub(super) const RACES_MAX: usize = 4;

impl Inner {
    pub(super) async fn provision(&self, topology: &Topology) -> Result<(), Error> {
        for wanted in streams(topology, &self.names)? {
            if self.verify_only {
                self.verify_stream(&wanted).await?;
            } else {
                self.provision_stream(&wanted).await?;
            }
        }
        if topology.replicas == 1 {
            tracing::warn!(
                "the streams have one replica: in production the server needs `sync_interval: always`, or three replicas, \
                 because it acknowledges before it syncs to disk"
            );
        }
        Ok(())
    }

    /// Checks, and changes nothing.
    async fn verify_stream(&self, wanted: &Config) -> Result<(), Error> {
        let what = format!("the stream {}", wanted.name);
        match self.api::<Info>(&format!("STREAM.INFO.{}", wanted.name), &()).await {
            Ok(found) => differences(&found.config, wanted).verify(what, &command::edit_stream(wanted)),
            Err(failure) if failure.code() == Some(ErrorCode::STREAM_NOT_FOUND) => {
                Err(Error::Missing { what, command: command::add_stream(wanted) })
            }
            Err(failure) => Err(failure.into()),
        }
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
                // Another service was faster; check what it created.
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
        // Everything else stays as it is, also what an operator set.
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

fn streams(topology: &Topology, names: &Names) -> Result<[Config; 2], Error> {
    let stream = |name: &str, subjects: &[&str], max_age, max_bytes| {
        stream(names.stream(name).into_owned(), names.subjects(subjects), max_age, max_bytes, topology)
    };
    let events = stream(EVENTS, &EVENTS_SUBJECTS, topology.max_age, topology.max_bytes);
    let (max_age, max_bytes) = (topology.dead_letter_max_age, topology.dead_letter_max_bytes);
    let dead_letters = stream(DEAD_LETTERS, &DEAD_LETTERS_SUBJECTS, max_age, max_bytes);
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

fn stream(
    name: String,
    subjects: Vec<String>,
    max_age: Duration,
    max_bytes: Option<u64>,
    topology: &Topology,
) -> Config {
    Config {
        name,
        subjects,
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        num_replicas: topology.replicas,
        max_age,
        duplicate_window: topology.duplicate_window,
        max_bytes: max_bytes.map_or(UNLIMITED, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
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

/// A server that ignores a setting answers with another configuration than it was sent.
fn check_echo(echoed: &Config, wanted: &Config) -> Result<(), Error> {
    match differences(echoed, wanted).judge(format!("the stream {}", wanted.name)) {
        Ok(false) => Ok(()),
        Ok(true) => Err(Error::Unsupported(format!("it did not apply the settings of the stream {}", wanted.name))),
        Err(error) => Err(Error::Unsupported(format!("it changed the settings that it was given: {error}"))),
    }
}

pub(super) fn explain(stream: &str, failure: Failure) -> Error {
    match failure.code() {
        Some(ErrorCode::STREAM_SUBJECT_OVERLAP) => Error::Differs {
            what: format!("another stream with subjects of {stream}"),
            difference: "no two streams may take the same subjects; delete the other one, or use another account"
                .to_owned(),
        },
        // A user's own bucket: there is no setting for it.
        Some(ErrorCode::STREAM_MAX_BYTES_REQUIRED) if stream.starts_with("KV_") && !stream.ends_with(DECLARATIONS) => {
            let bucket = &stream["KV_".len()..];
            Error::Other(format!(
                "the account requires a limit for each stream; create the bucket with `nats kv add {bucket} --max-bucket-size …`"
            ))
        }
        Some(ErrorCode::STREAM_MAX_BYTES_REQUIRED) => {
            let setting =
                if stream.ends_with(DEAD_LETTERS) { "PAVANE_DEAD_LETTER_MAX_BYTES" } else { "PAVANE_MAX_BYTES" };
            Error::Setting {
                setting,
                value: "(none)".to_owned(),
                why: format!(
                    "the account requires a limit for each stream, and {stream} would have none; set it to a number of bytes, for \
                     example 10737418240, or Topology's field of that name"
                ),
            }
        }
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
