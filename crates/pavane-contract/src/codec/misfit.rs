use std::fmt;

/// Why a body can't be read or written, without quoting the body: errors go into logs and dead letters, and a body may have
/// personal data.
///
/// A message of a field's own code (`#[serde(try_from = …)]`, a hand-written `Deserialize`) may quote the body, so it is left
/// out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit(String);

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misfit {}

impl From<serde_json::Error> for Misfit {
    fn from(error: serde_json::Error) -> Self {
        // Errors of the JSON syntax quote nothing.
        if !error.is_data() {
            return Self(error.to_string());
        }
        let text = error.to_string();
        let at = format!(" at line {} column {}", error.line(), error.column());
        let text = text.strip_suffix(at.as_str()).unwrap_or(&text);
        let at = if error.line() == 0 { "" } else { at.as_str() };
        Self(format!("{}{at}", without_values(text)))
    }
}

/// Beginnings of serde's errors that name only the contract's own fields and types.
const NAMES_ONLY: [&str; 4] =
    ["missing field ", "duplicate field ", "invalid length ", "data did not match any variant"];
/// Beginnings of serde's errors that quote the body.
const QUOTES: [&str; 4] = ["invalid type", "invalid value", "unknown variant", "unknown field"];
/// The kinds of values, as serde names them before it quotes one.
const KINDS: [&str; 17] = [
    "null",
    "boolean",
    "integer",
    "floating point",
    "character",
    "string",
    "byte array",
    "unit value",
    "Option value",
    "newtype struct",
    "sequence",
    "map",
    "enum",
    "unit variant",
    "newtype variant",
    "tuple variant",
    "struct variant",
];

/// Serde's message without the value that it quotes. See <https://docs.rs/serde/1/serde/de/trait.Error.html>.
fn without_values(text: &str) -> String {
    if NAMES_ONLY.iter().any(|start| text.starts_with(start)) {
        return text.to_owned();
    }
    let Some(what) = QUOTES.iter().find(|what| text.starts_with(**what)) else {
        return "one of its values is refused".to_owned();
    };
    let kind = text[what.len()..].strip_prefix(": ").and_then(|rest| {
        let end = rest.find([',', '`', '"']).unwrap_or(rest.len());
        KINDS.into_iter().find(|kind| *kind == rest[..end].trim_end())
    });
    // The last one: the value may have such words, too.
    let expected = text.rsplit_once(", expected ").map(|(_, expected)| expected);
    let kind = kind.map_or(String::new(), |kind| format!(": {kind}"));
    let expected = expected.map_or(String::new(), |expected| format!(", expected {expected}"));
    format!("{what}{kind}{expected}")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read is of interest")]
    struct Body {
        number: u8,
        #[serde(default)]
        pay: Pay,
        #[serde(default)]
        pair: (u8, String),
        #[serde(default)]
        checked: Checked,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Pay {
        #[default]
        Cash,
        Card,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(try_from = "String")]
    struct Checked;

    impl TryFrom<String> for Checked {
        type Error = String;

        fn try_from(text: String) -> Result<Self, String> {
            Err(format!("{text} is no good, expected better"))
        }
    }

    #[test]
    fn it_says_what_is_wrong_and_quotes_nothing() {
        for (body, expected) in [
            (r#"{"number": "ada@example.org"}"#, "invalid type: string, expected u8 at line 1 column 28"),
            (r#"{"number": "ada, expected \"b\", ada"}"#, "invalid type: string, expected u8 at line 1 column 37"),
            (r#"{"number": 4711}"#, "invalid value: integer, expected u8 at line 1 column 15"),
            (r#"{"number": 47.11}"#, "invalid type: floating point, expected u8 at line 1 column 16"),
            (r#"{"number": null}"#, "invalid type: null, expected u8 at line 1 column 15"),
            (r#"{"number": {"ada": 1}}"#, "invalid type: map, expected u8 at line 1 column 11"),
            (
                r#"{"ada@example.org": 1}"#,
                "unknown field, expected one of `number`, `pay`, `pair`, `checked` at line 1 column 18",
            ),
            (
                r#"{"number": 1, "pay": "ada`, expected x"}"#,
                "unknown variant, expected `cash` or `card` at line 1 column 39",
            ),
            (r#"{"number": 1, "pair": [1]}"#, "invalid length 1, expected a tuple of size 2 at line 1 column 25"),
            (r#"{"number": 1, "checked": "ada"}"#, "one of its values is refused at line 1 column 31"),
            (r#"{"number": 1, "number": 2}"#, "duplicate field `number` at line 1 column 22"),
            ("{}", "missing field `number` at line 1 column 2"),
            (r#"{"number": ada}"#, "expected value at line 1 column 12"),
            (r#"{"number": 1"#, "EOF while parsing an object at line 1 column 12"),
        ] {
            let misfit = Misfit::from(serde_json::from_str::<Body>(body).unwrap_err());
            assert_eq!(misfit.to_string(), expected, "{body}");
            assert!(!format!("{misfit:?}").contains("ada"), "{misfit:?}");
        }
    }
}
