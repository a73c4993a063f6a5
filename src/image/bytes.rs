//! Amounts of bytes and differences between them.

use std::fmt;
use std::iter::Sum;
use std::ops::Sub;

use serde::{Deserialize, Serialize};

/// An amount of bytes. Never blocks, never "size" without a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// A signed difference of two amounts of bytes: head minus base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Delta(pub i64);

/// The binary units of IEC 80000-13, smallest first.
const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

impl Bytes {
    /// The largest amount that layergate accepts (2^63 - 1), so that every difference fits a [`Delta`].
    pub const MAX: Bytes = Bytes(i64::MAX as u64);

    /// The sum, or [`Bytes::MAX`] where it is more than can be counted: for amounts that foreign documents
    /// or layers claim.
    pub fn saturating_add(self, other: Bytes) -> Bytes {
        self.checked_add(other).unwrap_or(Bytes::MAX)
    }

    /// `self + other`, or `None` above [`Bytes::MAX`]: sizes in an archive are claims, not facts.
    pub fn checked_add(self, other: Bytes) -> Option<Bytes> {
        self.0.checked_add(other.0).map(Bytes).filter(|sum| *sum <= Bytes::MAX)
    }

    /// The whole number with thousands separators, without a unit: `1,000,835,744`.
    pub fn grouped(self) -> String {
        group_digits(self.0)
    }
}

impl Delta {
    /// Head minus base.
    pub fn between(base: Bytes, head: Bytes) -> Delta {
        Delta(head.0 as i64 - base.0 as i64)
    }

    /// The amount without its sign.
    pub fn magnitude(self) -> Bytes {
        Bytes(self.0.unsigned_abs())
    }

    /// The whole number with sign and thousands separators: `-89,234,924`, `+74,985`, `0`.
    pub fn grouped(self) -> String {
        format!("{}{}", sign(self.0), group_digits(self.0.unsigned_abs()))
    }

    /// This difference as a share of `base`, with one decimal and a sign (`+7.9%`), or `None` where
    /// `base` is 0 and a share means nothing.
    pub fn percent_of(self, base: Bytes) -> Option<String> {
        percent_of(self, base, 1)
    }

    /// The share as a bare number for machines, two decimals and no percent sign: `7.94`, `-8.92`.
    pub fn percent_number(self, base: Bytes) -> Option<String> {
        percent_of(self, base, 2).map(|text| text.trim_matches(['+', '%']).to_owned())
    }
}

fn percent_of(delta: Delta, base: Bytes, decimals: u32) -> Option<String> {
    if base.0 == 0 {
        return None;
    }
    let scale = 10u128.pow(decimals);
    let scaled = u128::from(delta.0.unsigned_abs()) * 100 * scale;
    let base = u128::from(base.0);
    let rounded = (scaled + base / 2) / base;
    let (whole, part) = (rounded / scale, rounded % scale);
    let sign = if rounded == 0 { "" } else { sign(delta.0) };
    Some(format!("{sign}{whole}.{part:0width$}%", width = decimals as usize))
}

fn sign(value: i64) -> &'static str {
    match value {
        0 => "",
        1.. => "+",
        _ => "-",
    }
}

/// A number with a comma between each three digits.
pub fn group_digits(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

impl fmt::Display for Bytes {
    /// The amount for people, in binary units with one decimal: `18.4 MiB`; below 1 KiB exact.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = |unit: usize| {
            let shift = 10 * unit;
            (u128::from(self.0) * 10 + ((1u128 << shift) >> 1)) >> shift
        };
        // The unit is chosen after rounding, so that 1,048,575 B reads 1.0 MiB, never 1024.0 KiB.
        let unit = (0..UNITS.len()).find(|unit| tenths(*unit) < 10_240).unwrap_or(UNITS.len() - 1);
        let text = match unit {
            0 => format!("{} B", self.0),
            _ => format!("{}.{} {}", tenths(unit) / 10, tenths(unit) % 10, UNITS[unit]),
        };
        f.pad(&text)
    }
}

impl fmt::Display for Delta {
    /// The difference for people, with its sign: `+18.4 MiB`, `-512 B`, `0 B`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}{}", sign(self.0), self.magnitude()))
    }
}

impl Sum for Delta {
    fn sum<I: Iterator<Item = Delta>>(iter: I) -> Delta {
        // What foreign documents claim may be more than can be counted.
        Delta(iter.fold(0, |sum: i64, delta| sum.saturating_add(delta.0)))
    }
}

impl Sub for Bytes {
    type Output = Delta;

    fn sub(self, base: Bytes) -> Delta {
        Delta::between(base, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_well_at_every_unit_boundary() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1_048_575, "1.0 MiB"),
            (1_048_576, "1.0 MiB"),
            (19_293_798, "18.4 MiB"),
            (1_073_741_823, "1.0 GiB"),
            (i64::MAX as u64, "8.0 EiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(Bytes(bytes).to_string(), text, "{bytes}");
        }
    }

    #[test]
    fn differences_carry_their_sign_and_their_share() {
        let delta = Bytes(911_600_820) - Bytes(1_000_835_744);
        assert_eq!(delta.grouped(), "-89,234,924");
        assert_eq!(delta.percent_of(Bytes(1_000_835_744)).as_deref(), Some("-8.9%"));
        assert_eq!(delta.percent_number(Bytes(1_000_835_744)).as_deref(), Some("-8.92"));
        assert_eq!(delta.to_string(), "-85.1 MiB");
        assert_eq!(Delta(0).percent_of(Bytes(5)).as_deref(), Some("0.0%"));
        assert_eq!(Delta(7).percent_of(Bytes(0)), None);
        assert_eq!(Delta(0).to_string(), "0 B");
    }

    #[test]
    fn sums_that_no_difference_could_hold_are_refused() {
        assert_eq!(Bytes::MAX.checked_add(Bytes(1)), None);
        assert_eq!(Bytes(u64::MAX).checked_add(Bytes(1)), None);
        assert_eq!(Bytes(1).checked_add(Bytes(2)), Some(Bytes(3)));
    }
}
