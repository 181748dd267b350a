use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    ops::Range,
};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{SeqAccess, Visitor},
};

use super::header;

/// A message's headers, in the order in which they were added. Names compare without case, as NATS servers do.
///
/// All values share one buffer: an event has a dozen headers, which are made and read for each event.
#[derive(Clone, Default)]
pub struct Headers {
    fields: Vec<Field>,
    values: String,
}

#[derive(Clone)]
struct Field {
    name: Cow<'static, str>,
    value: Range<usize>,
}

impl Headers {
    /// An empty list, with room for `headers` headers whose values have `bytes` bytes together.
    pub fn with_capacity(headers: usize, bytes: usize) -> Self {
        Self { fields: Vec::with_capacity(headers), values: String::with_capacity(bytes) }
    }

    /// Adds a header after the others.
    pub fn push(&mut self, name: impl Into<Cow<'static, str>>, value: impl fmt::Display) {
        let start = self.values.len();
        // Writing to a string can't fail. A value whose `Display` fails ends early.
        write!(self.values, "{value}").ok();
        self.fields.push(Field { name: name.into(), value: start..self.values.len() });
    }

    /// As [`push`](Self::push), for a text, which is several times cheaper.
    pub fn push_str(&mut self, name: impl Into<Cow<'static, str>>, value: &str) {
        let start = self.values.len();
        self.values.push_str(value);
        self.fields.push(Field { name: name.into(), value: start..self.values.len() });
    }

    /// The first value of a header. A name in the same case as `name` goes before one in another case.
    pub fn get(&self, name: &str) -> Option<&str> {
        // Nearly always the case agrees, and comparing without case costs ten times as much.
        let same = self.fields.iter().find(|field| field.name == name);
        let field = same.or_else(|| self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)))?;
        Some(&self.values[field.value.clone()])
    }

    /// The headers as name and value.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.fields.iter().map(|field| (field.name.as_ref(), &self.values[field.value.clone()]))
    }

    /// Sorts them by name; those of one name keep their order.
    pub fn sort(&mut self) {
        self.fields.sort_by(|one, other| one.name.cmp(&other.name));
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Headers {}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<N: Into<Cow<'static, str>>, V: fmt::Display> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(headers: I) -> Self {
        let mut collected = Self::default();
        for (name, value) in headers {
            collected.push(name, value);
        }
        collected
    }
}

/// Written as a sequence of pairs of name and value.
impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Pair<'a>(#[serde(borrow)] Cow<'a, str>, #[serde(borrow)] Cow<'a, str>);

        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence of pairs of name and value")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<Headers, A::Error> {
                let mut headers = Headers::with_capacity(header::USUAL, header::USUAL_BYTES);
                while let Some(Pair(name, value)) = pairs.next_element()? {
                    headers.push_str(header::name(&name), &value);
                }
                Ok(headers)
            }
        }

        deserializer.deserialize_seq(Pairs)
    }
}
