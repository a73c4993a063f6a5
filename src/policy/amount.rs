//! How limits are written: `500 MB`, `5%`, `5% and 1 MiB`, `5% or 20 MB`.

use std::fmt;
use std::str::FromStr;

use crate::image::Bytes;

/// A limit that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Nothing is written.
    #[error("the value is empty")]
    Empty,
    /// There is no number at the start, or it is negative or too large.
    #[error("`{0}` does not start with a number such as 500 or 7.5")]
    Number(String),
    /// A number alone: its unit would be a guess.
    #[error(
        "`{0}` has no unit; write `{0} MB` (1 MB = 1,000,000 bytes) or `{0} MiB` (1 MiB = 1,048,576 bytes)"
    )]
    NoUnit(String),
    /// A unit that is none, or that means two things.
    #[error("unknown unit `{0}`; use B, kB, MB, GB (powers of 1000), KiB, MiB, GiB (powers of 1024){1}")]
    Unit(String, &'static str),
    /// A share where only bytes make sense.
    #[error("`{0}` is a share, and this limit is in bytes; write a size such as 500 MB")]
    Share(String),
    /// `and` together with `or`.
    #[error("`{0}` mixes `and` with `or`; use one of them")]
    Mixed(String),
}

/// One part of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Term {
    /// Bytes.
    Size(Bytes),
    /// A share of something, in millionths of a percent.
    Share(u64),
}

/// An amount of bytes as a limit. Keeps how it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeLimit {
    /// The bound, in bytes.
    pub bytes: Bytes,
    text: String,
}

/// A bound on a difference: bytes, a share, or several of these of which all (`and`) or any (`or`)
/// have to be exceeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Threshold {
    terms: Vec<Term>,
    all: bool,
    text: String,
}

impl Threshold {
    /// The bound in bytes where shares are of `whole`. A difference is over the threshold exactly if
    /// it is greater: shares are rounded down, and differences are whole bytes.
    pub fn bytes_of(&self, whole: Bytes) -> Bytes {
        let amounts = self.terms.iter().map(|term| match term {
            Term::Size(bytes) => *bytes,
            Term::Share(millionths) => {
                let share = u128::from(whole.0) * u128::from(*millionths) / 100_000_000;
                Bytes(u64::try_from(share).unwrap_or(Bytes::MAX.0).min(Bytes::MAX.0))
            }
        });
        let bound = if self.all { amounts.max() } else { amounts.min() };
        bound.unwrap_or_default()
    }
}

impl FromStr for SizeLimit {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<SizeLimit, AmountError> {
        let text = text.trim();
        match text.parse()? {
            Term::Size(bytes) => Ok(SizeLimit { bytes, text: text.to_owned() }),
            Term::Share(_) => Err(AmountError::Share(text.to_owned())),
        }
    }
}

impl FromStr for Threshold {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Threshold, AmountError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let all = words.contains(&"and");
        if all && words.contains(&"or") {
            return Err(AmountError::Mixed(text.trim().to_owned()));
        }
        let parts = words.split(|word| *word == "and" || *word == "or").map(|part| part.join(" "));
        let terms = parts.map(|part| part.parse()).collect::<Result<Vec<Term>, _>>()?;
        Ok(Threshold { terms, all, text: words.join(" ") })
    }
}

impl FromStr for Term {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Term, AmountError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AmountError::Empty);
        }
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = (&text[..end], text[end..].trim());
        let invalid = || AmountError::Number(text.to_owned());
        // In millionths, so that 7.5 and 0.1 are what they say.
        let millionths = decimal_millionths(number).ok_or_else(invalid)?;
        if unit == "%" {
            return u64::try_from(millionths).map(Term::Share).map_err(|_| invalid());
        }
        let bytes = millionths.checked_mul(factor(unit, number)?).ok_or_else(invalid)? / 1_000_000;
        let bytes = u64::try_from(bytes).ok().map(Bytes).filter(|bytes| *bytes <= Bytes::MAX);
        bytes.map(Term::Size).ok_or_else(invalid)
    }
}

fn decimal_millionths(number: &str) -> Option<u128> {
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || part.is_empty() || part.len() > 6 || part.contains('.') {
        return None;
    }
    let whole: u128 = whole.parse().ok()?;
    let part: u128 = format!("{part:0<6}").parse().ok()?;
    whole.checked_mul(1_000_000)?.checked_add(part)
}

fn factor(unit: &str, number: &str) -> Result<u128, AmountError> {
    Ok(match unit.to_ascii_lowercase().as_str() {
        "b" | "byte" | "bytes" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        "" => return Err(AmountError::NoUnit(number.to_owned())),
        "k" | "m" | "g" | "t" => {
            return Err(AmountError::Unit(unit.to_owned(), "; one letter alone could mean either"));
        }
        _ => return Err(AmountError::Unit(unit.chars().take(40).collect(), "")),
    })
}

impl fmt::Display for SizeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_exact_and_always_have_a_unit() {
        for (text, bytes) in [
            ("500 MB", 500_000_000),
            ("500MB", 500_000_000),
            ("1 MiB", 1_048_576),
            ("1.5 GiB", 1_610_612_736),
            ("0.1 kB", 100),
            ("12 B", 12),
            ("0 B", 0),
        ] {
            assert_eq!(text.parse::<SizeLimit>().unwrap().bytes, Bytes(bytes), "{text}");
        }
        for (text, part) in [
            ("500", "`500` has no unit; write `500 MB`"),
            ("500 M", "could mean either"),
            ("500 XB", "unknown unit `XB`"),
            ("5%", "is a share"),
            ("", "is empty"),
            ("-5 MB", "does not start with a number"),
            ("MB", "does not start with a number"),
            ("1.2.3 MB", "does not start with a number"),
            ("99999999999 TB", "does not start with a number"),
        ] {
            let error = text.parse::<SizeLimit>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn and_needs_both_and_or_needs_either() {
        let bound = |text: &str, whole| text.parse::<Threshold>().unwrap().bytes_of(Bytes(whole)).0;
        assert_eq!(bound("5%", 1000), 50);
        assert_eq!(bound("5%", 1019), 50, "rounded down: a growth of 51 is over 5% of 1019");
        assert_eq!(bound("5% and 1 MiB", 1000), 1_048_576);
        assert_eq!(bound("5% and 1 MiB", 1_000_000_000), 50_000_000);
        assert_eq!(bound("5% or 20 MB", 1_000_000_000), 20_000_000);
        assert_eq!(bound("0.5% or 20 MB", 1_000_000_000), 5_000_000);
        assert_eq!(bound("0%", 7), 0);
        assert_eq!(bound("300%", Bytes::MAX.0), Bytes::MAX.0);
        assert!(matches!("5% and 1 MB or 2 MB".parse::<Threshold>(), Err(AmountError::Mixed(_))));
        assert!(matches!("5% and".parse::<Threshold>(), Err(AmountError::Empty)));
        assert!(matches!("".parse::<Threshold>(), Err(AmountError::Empty)));
        assert_eq!("5%  and 1 MiB ".parse::<Threshold>().unwrap().to_string(), "5% and 1 MiB");
    }
}
