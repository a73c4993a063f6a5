//! A key of `[limits]`: its name and description, and how its value is written.

use std::fmt;

use super::AmountError;

/// How a key of `[limits]` is written and described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitKey {
    /// Its name, which is also that of the flag and of the action's input.
    pub name: &'static str,
    /// The placeholder for its value in help: `SIZE`.
    pub value_name: &'static str,
    /// How its value is written.
    pub form: ValueForm,
    /// The default, if that is not "no limit".
    pub default: Option<&'static str>,
    /// One line, for help and for the action's input.
    pub help: &'static str,
    /// Full sentences, for the schema and the documents.
    pub description: &'static str,
    /// Example values; the first is the best to start from.
    pub examples: &'static [&'static str],
}

impl LimitKey {
    /// A line of TOML that sets it.
    pub fn toml_example(&self) -> String {
        let first = self.examples.first().copied().unwrap_or_default();
        let value = match self.form {
            ValueForm::Size | ValueForm::Increase => format!("{first:?}"),
            ValueForm::Count => first.to_owned(),
            ValueForm::Paths => format!("{:?}", self.examples),
            ValueForm::Enforce => first.to_owned(),
            ValueForm::Choice(words) => format!("{:?}", words.first().copied().unwrap_or_default()),
        };
        format!("{} = {value}", self.name)
    }
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueForm {
    /// A size with a unit.
    Size,
    /// A percentage or a size, or several joined by `and` or `or`.
    Increase,
    /// A whole number.
    Count,
    /// Path patterns, one per line.
    Paths,
    /// `true`, `false` or a day.
    Enforce,
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl ValueForm {
    /// How it is written, as a sentence for the schema and the documents.
    pub fn description(self) -> &'static str {
        match self {
            ValueForm::Size => {
                "A number with a unit: B, kB, MB, GB or TB (powers of 1000), KiB, MiB, GiB or TiB (powers of 1024)."
            }
            ValueForm::Increase => {
                "A percentage such as `5%`, a size such as `10 MB`, or several of these joined by `and` (all must be exceeded) or `or` (one is enough)."
            }
            ValueForm::Paths => "A list, or a text with one pattern per line.",
            ValueForm::Count | ValueForm::Enforce | ValueForm::Choice(_) => "",
        }
    }
}

/// An invalid value, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(String);

impl ValueError {
    pub(super) fn new(message: impl fmt::Display) -> ValueError {
        ValueError(message.to_string())
    }
}

impl From<AmountError> for ValueError {
    fn from(error: AmountError) -> ValueError {
        ValueError::new(error)
    }
}

/// One of the words of a choice.
pub(super) fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, ValueError> {
    let found = choices.iter().find(|choice| choice.0 == text);
    found.map(|choice| choice.1).ok_or_else(|| {
        let known: Vec<&str> = choices.iter().map(|choice| choice.0).collect();
        ValueError::new(format!("`{text}` is not one of {}", known.join(", ")))
    })
}

/// A whole number.
pub(super) fn count(text: &str) -> Result<u64, ValueError> {
    text.parse().map_err(|_| ValueError::new(format!("`{text}` is not a whole number such as 20")))
}
