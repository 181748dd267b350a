//! The rules of shipping, without any I/O.

use pavane::contract::EventId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who delivers where: ISO 3166-1 alpha-2 code of the country, and the carrier.
const CARRIERS: [(&str, &str); 18] = [
    ("AT", "Post AG"),
    ("BE", "bpost"),
    ("CA", "Canada Post"),
    ("CH", "Swiss Post"),
    ("CZ", "PPL"),
    ("DE", "DHL"),
    ("DK", "PostNord"),
    ("ES", "Correos"),
    ("FI", "Posti"),
    ("FR", "Colissimo"),
    ("GB", "Royal Mail"),
    ("IE", "An Post"),
    ("IT", "Poste Italiane"),
    ("NL", "PostNL"),
    ("NO", "Bring"),
    ("PL", "InPost"),
    ("SE", "PostNord"),
    ("US", "USPS"),
];

/// Why something breaks the rules. Each reads after "failed to …: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// Not a status.
    #[error("must be one of created, dispatched, cancelled")]
    Status,
}

/// Who delivers to a country; `None` where nobody does.
pub(crate) fn carrier(country: &str) -> Option<&'static str> {
    let found = CARRIERS.iter().find(|(code, _)| *code == country);
    found.map(|(_, carrier)| *carrier)
}

/// The parcel's tracking number: the country it goes to, and the id of the event that asks for it, so that asking again
/// gives the same number and asking for another parcel gives another.
pub(crate) fn tracking(country: &str, event: EventId) -> String {
    format!("{country}{:X}", event.as_uuid().as_simple())
}

/// Where a parcel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Status {
    /// A carrier takes it, once the order is confirmed.
    Created,
    /// The carrier has it.
    Dispatched,
    /// It will not go out.
    Cancelled,
}

impl Status {
    /// Each of them, in the order in which they come.
    pub(crate) const ALL: [Self; 3] = [Self::Created, Self::Dispatched, Self::Cancelled];

    /// As it is stored and sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Dispatched => "dispatched",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads what [`as_str`](Self::as_str) gives.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(Error::Status)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use pavane::contract::SystemClock;

    use super::*;

    #[test]
    fn a_carrier_delivers_where_it_is_at_home_and_nowhere_else() {
        for (country, expected) in [
            ("DE", Some("DHL")),
            ("GB", Some("Royal Mail")),
            ("US", Some("USPS")),
            ("AQ", None),
            ("de", None),
            ("", None),
        ] {
            assert_eq!(carrier(country), expected, "{country:?}");
        }
    }

    #[test]
    fn a_country_has_one_carrier() {
        let countries: HashSet<_> = CARRIERS.iter().map(|(country, _)| country).collect();
        assert_eq!(countries.len(), CARRIERS.len());
    }

    #[test]
    fn a_tracking_number_depends_on_the_event_only() {
        let event: EventId = "0192f0c8-5b3e-7d3a-9a51-0c7e5a1b2c3d".parse().unwrap();
        assert_eq!(tracking("DE", event), "DE0192F0C85B3E7D3A9A510C7E5A1B2C3D");
        assert_ne!(tracking("DE", event), tracking("DE", EventId::new(&SystemClock)));
    }

    #[test]
    fn a_status_survives_text() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Ok(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        assert_eq!(Status::parse("lost"), Err(Error::Status));
    }
}
