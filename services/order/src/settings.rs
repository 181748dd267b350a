use std::time::Duration;

/// Names the default deadline in the environment.
const DEADLINE: &str = "ORDER_DEADLINE_SECONDS";
/// Names the longest deadline in the environment.
const DEADLINE_MAX: &str = "ORDER_DEADLINE_MAX_SECONDS";

/// The order service's own settings.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// How long an order may take until it is cancelled, unless the request says otherwise. Default 15 minutes.
    pub deadline: Duration,
    /// The longest deadline that a request may ask for. Default one day.
    pub deadline_max: Duration,
    /// Streams of one order's events (`GET /orders/{id}/events`) that may be open at once. Default 1000.
    pub streams_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { deadline: Duration::from_mins(15), deadline_max: Duration::from_hours(24), streams_max: 1000 }
    }
}

/// A setting that can't be used. Reads after "failed to read the settings: ".
#[derive(Debug, thiserror::Error)]
#[error("{setting} = {value:?} can't be used: {why}")]
struct Error {
    setting: &'static str,
    value: String,
    why: String,
}

impl Settings {
    /// The defaults, changed by the environment:
    ///
    /// | variable | meaning | default |
    /// |---|---|---|
    /// | `ORDER_DEADLINE_SECONDS` | how long an order may take | 900 |
    /// | `ORDER_DEADLINE_MAX_SECONDS` | the longest that a request may ask for | 86400 |
    ///
    /// # Errors
    ///
    /// When a variable can't be used.
    pub fn from_env() -> anyhow::Result<Self> {
        Ok(Self::from_vars(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))?)
    }

    fn from_vars(var: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let defaults = Self::default();
        let deadline_max = seconds(DEADLINE_MAX, var(DEADLINE_MAX))?.unwrap_or(defaults.deadline_max);
        let deadline = seconds(DEADLINE, var(DEADLINE))?.unwrap_or(defaults.deadline.min(deadline_max));
        if deadline > deadline_max {
            return Err(Error {
                setting: DEADLINE,
                value: deadline.as_secs().to_string(),
                why: format!("it is more than {DEADLINE_MAX} = {}", deadline_max.as_secs()),
            });
        }
        Ok(Self { deadline, deadline_max, ..defaults })
    }
}

/// The longest deadline that can be set, in seconds. Outcomes and the ledger are kept for 45 days: every order must have ended
/// by then.
const LONGEST: u64 = 7 * 24 * 60 * 60;

fn seconds(setting: &'static str, value: Option<String>) -> Result<Option<Duration>, Error> {
    let Some(value) = value else { return Ok(None) };
    match value.parse() {
        Ok(seconds @ 1..=LONGEST) => Ok(Some(Duration::from_secs(seconds))),
        _ => Err(Error { setting, value, why: format!("use a number of seconds from 1 to {LONGEST}") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(deadline: Option<&str>, max: Option<&str>) -> Result<(u64, u64), String> {
        let var = |name: &str| if name == DEADLINE { deadline } else { max }.map(str::to_owned);
        let settings = Settings::from_vars(var).map_err(|error| error.to_string())?;
        Ok((settings.deadline.as_secs(), settings.deadline_max.as_secs()))
    }

    #[test]
    fn the_environment_changes_the_defaults() {
        assert_eq!(settings(None, None), Ok((900, 86_400)));
        assert_eq!(settings(Some("5"), None), Ok((5, 86_400)));
        assert_eq!(settings(None, Some("60")), Ok((60, 60)));
    }

    #[test]
    fn what_can_not_be_used_is_named() {
        for (deadline, max, expected) in [
            (Some("0"), None, "ORDER_DEADLINE_SECONDS = \"0\" can't be used: use a number of seconds from 1 to 604800"),
            (Some("soon"), None, "ORDER_DEADLINE_SECONDS = \"soon\""),
            (Some("61"), Some("60"), "it is more than ORDER_DEADLINE_MAX_SECONDS = 60"),
            (None, Some("700000"), "ORDER_DEADLINE_MAX_SECONDS = \"700000\""),
        ] {
            let error = settings(deadline, max).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
