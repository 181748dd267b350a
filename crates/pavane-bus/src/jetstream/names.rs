use std::borrow::Cow;

use crate::{ConsumerConfig, Error};

/// The prefix of a key-value bucket's stream.
const BUCKET: &str = "KV_";
/// The prefix of a key-value bucket's subjects.
const BUCKET_SUBJECT: &str = "$KV.";

/// Names and subjects at the server: the one place that knows the namespace.
///
/// Inside Pavane an event's subject is `events.<owner>.<fact>.<key>` whatever the namespace is. It is added to each subject and
/// stream name that is sent, and removed from those that are received.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    namespace: Option<String>,
}

impl Names {
    /// # Errors
    ///
    /// When the namespace has characters other than letters, digits and `-`.
    pub(super) fn new(namespace: Option<&str>) -> Result<Self, Error> {
        let usable = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        match namespace {
            Some(name) if !usable(name) => Err(Error::Setting {
                setting: "PAVANE_NAMESPACE",
                value: format!("{name:?}"),
                why: "it begins subjects and names of streams, where `_` ends it: use letters, digits and `-`, for example \
                      \"shop\""
                    .to_owned(),
            }),
            _ => Ok(Self { namespace: namespace.map(str::to_owned) }),
        }
    }

    /// A stream's name at the server: `EVENTS` is `shop_EVENTS`, and the bucket's `KV_CLAIMS` is `KV_shop_CLAIMS`.
    pub(super) fn stream<'n>(&self, name: &'n str) -> Cow<'n, str> {
        match (&self.namespace, name.strip_prefix(BUCKET)) {
            (None, _) => Cow::Borrowed(name),
            (Some(namespace), Some(bucket)) => Cow::Owned(format!("{BUCKET}{namespace}_{bucket}")),
            (Some(namespace), None) => Cow::Owned(format!("{namespace}_{name}")),
        }
    }

    /// A subject or a filter at the server: `events.>` is `shop.events.>`, and `$KV.CLAIMS.7` is `$KV.shop_CLAIMS.7`.
    pub(super) fn subject<'s>(&self, subject: &'s str) -> Cow<'s, str> {
        match (&self.namespace, subject.strip_prefix(BUCKET_SUBJECT)) {
            // A stream of this namespace has nothing else.
            _ if subject == ">" => Cow::Borrowed(subject),
            (None, _) => Cow::Borrowed(subject),
            (Some(namespace), Some(key)) => Cow::Owned(format!("{BUCKET_SUBJECT}{namespace}_{key}")),
            (Some(namespace), None) => Cow::Owned(format!("{namespace}.{subject}")),
        }
    }

    pub(super) fn subjects<S: AsRef<str>>(&self, subjects: &[S]) -> Vec<String> {
        subjects.iter().map(|subject| self.subject(subject.as_ref()).into_owned()).collect()
    }

    /// The reverse of [`subject`](Self::subject). A subject of another namespace stays as it is.
    pub(super) fn local(&self, subject: String) -> String {
        let Some(namespace) = &self.namespace else { return subject };
        if let Some(rest) = subject.strip_prefix(namespace).and_then(|rest| rest.strip_prefix('.')) {
            return rest.to_owned();
        }
        let own = || subject.strip_prefix(BUCKET_SUBJECT)?.strip_prefix(namespace)?.strip_prefix('_');
        match own() {
            Some(key) => format!("{BUCKET_SUBJECT}{key}"),
            None => subject,
        }
    }

    /// A consumer with its filters at the server. It belongs to its stream, so its own name needs no namespace.
    pub(super) fn consumer(&self, wanted: &ConsumerConfig) -> ConsumerConfig {
        ConsumerConfig { filter_subjects: self.subjects(&wanted.filter_subjects), ..wanted.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_mapped_and_come_back() {
        let shop = Names::new(Some("shop")).unwrap();
        for (stream, expected) in [("EVENTS", "shop_EVENTS"), ("KV_PAVANE_MANIFESTS", "KV_shop_PAVANE_MANIFESTS")] {
            assert_eq!(shop.stream(stream), expected);
            assert_eq!(Names::default().stream(stream), stream);
        }
        for (subject, expected) in [
            ("events.order.placed.7", "shop.events.order.placed.7"),
            ("dead.payment.take.events.order.placed.7", "shop.dead.payment.take.events.order.placed.7"),
            ("$KV.PAVANE_MANIFESTS.order", "$KV.shop_PAVANE_MANIFESTS.order"),
            ("_INBOX_order", "shop._INBOX_order"),
            (">", ">"),
        ] {
            assert_eq!(shop.subject(subject), expected);
            assert_eq!(shop.local(expected.to_owned()), subject);
            assert_eq!(Names::default().subject(subject), subject);
            assert_eq!(Names::default().local(subject.to_owned()), subject);
        }
        for foreign in ["shopping.events.order.placed.7", "events.order.placed.7", "$KV.shopping_CLAIMS.7"] {
            assert_eq!(shop.local(foreign.to_owned()), foreign);
        }
    }

    #[test]
    fn a_namespace_is_one_token() {
        for name in ["", "a.b", "a_b", "*", "a b", ">"] {
            let error = Names::new(Some(name)).unwrap_err().to_string();
            assert!(error.contains(&format!("PAVANE_NAMESPACE = {name:?}")) && error.contains("\"shop\""), "{error}");
        }
        assert!(Names::new(Some("team-2")).is_ok());
    }
}
