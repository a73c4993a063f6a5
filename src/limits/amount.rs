//! How limits are written: `500 MB`, `5%`, `5% and 1 MiB`, `5% or 20 MB`.

use std::fmt;
use std::str::FromStr;

use crate::image::Bytes;
use crate::image::bytes::{Unit, Units, told_apart};

/// A limit that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Nothing is written.
    #[error("the value is empty")]
    Empty,
    /// It does not start with a number, or the number is negative or too large.
    #[error("`{0}` does not start with a number such as 500 or 7.5")]
    Number(String),
    /// A number without a unit: guessing one would be wrong.
    #[error(
        "`{0}` has no unit; write `{0} MB` (1 MB = 1,000,000 bytes) or `{0} MiB` (1 MiB = 1,048,576 bytes)"
    )]
    NoUnit(String),
    /// The same, for a limit that also accepts a percentage.
    #[error("`{0}` has no unit; write `{0}%`, `{0} MB` or `{0} MiB`")]
    NoUnitOfIncrease(String),
    /// An unknown or ambiguous unit.
    #[error("unknown unit `{0}`; use B, kB, MB, GB (powers of 1000), KiB, MiB, GiB (powers of 1024){1}")]
    Unit(String, &'static str),
    /// A percentage for a limit that only accepts sizes.
    #[error("`{0}` is a percentage, and this limit takes a size; write one such as 500 MB")]
    Share(String),
    /// `and` together with `or`.
    #[error("`{0}` mixes `and` with `or`; use one of them")]
    Mixed(String),
}

/// One part of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Term {
    /// Bytes, and the unit in which they were written.
    Size(Bytes, Unit),
    /// A share of something, in millionths of a percent.
    Share(u64),
}

/// A size limit. Keeps the text as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeLimit {
    /// The limit, in bytes.
    pub bytes: Bytes,
    unit: Unit,
    text: String,
}

/// A limit on a difference: bytes, a share, or several of these, of which all (`and`) or any (`or`) have to be
/// exceeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Threshold {
    terms: Vec<Term>,
    all: bool,
    text: String,
}

/// A limit in bytes, and the unit in which people read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bound {
    pub bytes: Bytes,
    /// The unit in which it was written; `None` for a percentage.
    unit: Option<Unit>,
}

impl Bound {
    fn unit_for(self, amount: Bytes) -> Unit {
        self.unit.unwrap_or_else(|| Units::Decimal.suiting(amount))
    }

    /// The units for other sizes next to it.
    pub fn units(self) -> Units {
        self.unit.map_or(Units::Decimal, Unit::units)
    }

    /// What was measured, with enough digits to show that it exceeds the limit.
    pub fn measured(self, measured: Bytes) -> String {
        told_apart(measured, self.bytes, self.unit_for(measured))
    }

    /// How much over the limit it is.
    pub fn excess(self, measured: Bytes) -> String {
        let over = (measured - self.bytes).magnitude();
        over.in_unit(self.unit_for(over))
    }
}

impl SizeLimit {
    pub(super) fn bound(&self) -> Bound {
        Bound { bytes: self.bytes, unit: Some(self.unit) }
    }

    /// What was measured, and by how much it exceeds this limit: `1.91 MB`, `0.113 MB over the limit of 1.8 MB`.
    pub fn exceeded_by(&self, measured: Bytes) -> (String, String) {
        let bound = self.bound();
        let over = format!("{} over the limit of {}", bound.excess(measured), unbroken(&self.text));
        (bound.measured(measured), over)
    }
}

impl Threshold {
    /// The limit in bytes, with shares of `whole`. A difference exceeds the threshold exactly if it is greater: shares
    /// are rounded down, and differences are whole bytes.
    pub fn bytes_of(&self, whole: Bytes) -> Bytes {
        self.bound(whole).bytes
    }

    /// The same, with the unit of the decisive part.
    pub(super) fn bound(&self, whole: Bytes) -> Bound {
        let bounds = self.terms.iter().map(|term| match term {
            Term::Size(bytes, unit) => Bound { bytes: *bytes, unit: Some(*unit) },
            Term::Share(millionths) => {
                let share = u128::from(whole.0) * u128::from(*millionths) / 100_000_000;
                let bytes = Bytes(u64::try_from(share).unwrap_or(Bytes::MAX.0).min(Bytes::MAX.0));
                Bound { bytes, unit: None }
            }
        });
        let bytes = |bound: &Bound| bound.bytes;
        let bound = if self.all { bounds.max_by_key(bytes) } else { bounds.min_by_key(bytes) };
        bound.unwrap_or(Bound { bytes: Bytes(0), unit: None })
    }

    /// The share, in millionths of a percent, if there is one.
    pub(super) fn share(&self) -> Option<u64> {
        self.terms.iter().find_map(|term| match term {
            Term::Share(millionths) => Some(*millionths),
            Term::Size(..) => None,
        })
    }
}

impl FromStr for SizeLimit {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<SizeLimit, AmountError> {
        let text = text.trim();
        match text.parse()? {
            Term::Size(bytes, unit) => Ok(SizeLimit { bytes, unit, text: text.to_owned() }),
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
        let terms = parts.map(|part| part.parse()).collect::<Result<Vec<Term>, _>>();
        let terms = terms.map_err(|error| match error {
            AmountError::NoUnit(number) => AmountError::NoUnitOfIncrease(number),
            other => other,
        })?;
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
        // In millionths, so that 7.5 and 0.1 are exact.
        let millionths = decimal_millionths(number).ok_or_else(invalid)?;
        if unit == "%" {
            return u64::try_from(millionths).map(Term::Share).map_err(|_| invalid());
        }
        let unit = unit_of(unit, number)?;
        let bytes = millionths.checked_mul(u128::from(unit.bytes())).ok_or_else(invalid)? / 1_000_000;
        let bytes = u64::try_from(bytes).ok().map(Bytes).filter(|bytes| *bytes <= Bytes::MAX);
        bytes.map(|bytes| Term::Size(bytes, unit)).ok_or_else(invalid)
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

fn unit_of(unit: &str, number: &str) -> Result<Unit, AmountError> {
    match unit.to_ascii_lowercase().as_str() {
        "" => Err(AmountError::NoUnit(number.to_owned())),
        "k" | "m" | "g" | "t" => {
            Err(AmountError::Unit(unit.to_owned(), "; one letter alone could mean either"))
        }
        "byte" | "bytes" => Unit::named("B").ok_or_else(|| AmountError::NoUnit(number.to_owned())),
        name => Unit::named(name).ok_or_else(|| AmountError::Unit(unit.chars().take(40).collect(), "")),
    }
}

impl fmt::Display for SizeLimit {
    /// As written in the settings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Display for Threshold {
    /// As written in the settings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// A limit for people: as written, but without line breaks between a number and its unit.
pub fn unbroken(limit: &str) -> String {
    let words: Vec<&str> = limit.split_whitespace().collect();
    let mut out = String::with_capacity(limit.len());
    for (index, word) in words.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| words.get(before));
        let is_unit = Unit::named(word).is_some()
            && before.is_some_and(|word| word.ends_with(|c: char| c.is_ascii_digit()));
        if index > 0 {
            out.push(if is_unit { '\u{a0}' } else { ' ' });
        }
        out.push_str(word);
    }
    out
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
            ("5%", "is a percentage"),
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
    fn amounts_are_told_in_the_unit_of_the_part_that_decides() {
        let told = |text: &str, whole, measured| {
            let bound = text.parse::<Threshold>().unwrap().bound(Bytes(whole));
            let texts = [bound.measured(Bytes(measured)), bound.excess(Bytes(measured))];
            texts.map(|text| text.replace('\u{a0}', " "))
        };
        assert_eq!(told("1 GiB", 0, 1_385_083_642), ["1.29 GiB", "0.29 GiB"]);
        assert_eq!(told("500 MB", 0, 1_385_083_642), ["1,385 MB", "885 MB"]);
        assert_eq!(told("5%", 1_000_000, 60_000), ["60 kB", "10 kB"]);
        assert_eq!(told("5% and 1 MiB", 1_000_000, 2_000_000), ["1.91 MiB", "0.907 MiB"]);
        assert_eq!(told("5% and 1 MiB", 100_000_000, 6_000_000), ["6 MB", "1 MB"]);
        assert_eq!(unbroken("5%  and 1 MiB or 20MB"), "5% and 1\u{a0}MiB or 20MB");
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
        let error = "5".parse::<Threshold>().unwrap_err().to_string();
        assert_eq!(error, "`5` has no unit; write `5%`, `5 MB` or `5 MiB`");
        assert_eq!("5%  and 1 MiB ".parse::<Threshold>().unwrap().to_string(), "5% and 1 MiB");
    }
}
