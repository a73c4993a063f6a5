//! Amounts of bytes and differences between them.

use std::fmt;
use std::iter::Sum;
use std::ops::Sub;

use serde::{Deserialize, Serialize};

/// An amount of bytes. Never blocks, never "size" without a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// A signed difference between two amounts of bytes: head minus base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Delta(pub i64);

/// The two families of units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Units {
    /// Powers of 1000: kB, MB, GB. What people see unless they wrote another unit themselves.
    #[default]
    Decimal,
    /// Powers of 1024: KiB, MiB, GiB (IEC 80000-13).
    Binary,
}

/// One unit, such as MB or GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    units: Units,
    power: u32,
}

/// Separates a number from its unit, so that no line breaks there.
const NO_BREAK: char = '\u{a0}';
/// Maximum decimals of an amount: enough to tell any amount of bytes from its neighbour.
const MOST_DECIMALS: u32 = 18;

impl Units {
    fn names(self) -> [&'static str; 7] {
        match self {
            Units::Decimal => ["B", "kB", "MB", "GB", "TB", "PB", "EB"],
            Units::Binary => ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"],
        }
    }

    fn unit(self, power: u32) -> Unit {
        Unit { units: self, power }
    }

    /// The unit that suits an amount. It is chosen after rounding: 999,950 B reads 1 MB, never 1000 kB.
    pub fn suiting(self, amount: Bytes) -> Unit {
        let suits = |unit: &Unit| unit.rounded(amount, 0) < 1000;
        (0..7).map(|power| self.unit(power)).find(suits).unwrap_or(self.unit(6))
    }
}

impl Unit {
    /// The unit with this name, in any case; `None` if the word is not a unit.
    pub fn named(name: &str) -> Option<Unit> {
        let of = |units: Units| {
            let at = units.names().iter().position(|known| known.eq_ignore_ascii_case(name))?;
            Some(units.unit(u32::try_from(at).ok()?))
        };
        of(Units::Decimal).or_else(|| of(Units::Binary))
    }

    /// The family it belongs to.
    pub fn units(self) -> Units {
        self.units
    }

    /// The number of bytes in one unit.
    pub fn bytes(self) -> u64 {
        match self.units {
            Units::Decimal => 1000_u64.pow(self.power),
            Units::Binary => 1 << (10 * self.power),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.units.names().get(self.power as usize).copied().unwrap_or("B")
    }

    /// An amount in hundredths, tenths and so on of this unit, rounded half up.
    fn rounded(self, amount: Bytes, decimals: u32) -> u128 {
        let factor = u128::from(self.bytes());
        (u128::from(amount.0) * 10u128.pow(decimals) + factor / 2) / factor
    }

    /// The decimals that give an amount three significant digits.
    fn decimals(self, amount: Bytes) -> u32 {
        let is_short = |decimals: &u32| self.rounded(amount, *decimals) < 1000;
        let most = if self.power == 0 { 0 } else { 3 };
        (0..=most).rev().find(is_short).unwrap_or(0)
    }

    /// `1,385 MB`, `0.289 GiB`: without trailing zeros.
    fn text(self, amount: Bytes, decimals: u32) -> String {
        let (scaled, scale) = (self.rounded(amount, decimals), 10u128.pow(decimals));
        let whole = group_digits(u64::try_from(scaled / scale).unwrap_or(u64::MAX));
        let part = format!("{:0width$}", scaled % scale, width = decimals as usize);
        let part = if decimals == 0 { "" } else { part.trim_end_matches('0') };
        let point = if part.is_empty() { "" } else { "." };
        format!("{whole}{point}{part}{NO_BREAK}{}", self.name())
    }
}

/// An amount that exceeds a limit, in the limit's unit, with enough digits to show that it does.
pub fn told_apart(measured: Bytes, limit: Bytes, unit: Unit) -> String {
    let unit = measured.readable(unit);
    // The number as shown has to exceed the limit, not only the exact one.
    let is_over = |decimals: &u32| {
        let shown = unit.rounded(measured, *decimals) * u128::from(unit.bytes());
        shown > u128::from(limit.0) * 10u128.pow(*decimals)
    };
    let decimals = (unit.decimals(measured)..=MOST_DECIMALS).find(is_over);
    match decimals {
        Some(decimals) if measured > limit => unit.text(measured, decimals),
        _ => measured.in_unit(unit),
    }
}

impl Bytes {
    /// The largest amount that layergate accepts (2^63 - 1), so that every difference fits a [`Delta`].
    pub const MAX: Bytes = Bytes(i64::MAX as u64);

    /// The sum, capped at [`Bytes::MAX`]: for amounts that untrusted documents or layers claim.
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

    /// The amount to the byte: `1,000,835,744 B`.
    pub fn exact(self) -> String {
        Unit { units: Units::Decimal, power: 0 }.text(self, 0)
    }

    /// Three significant digits in the family's unit that suits the amount: `1.39 GB`, `412 kB`, `12 B`.
    pub fn in_units(self, units: Units) -> String {
        let unit = units.suiting(self);
        unit.text(self, unit.decimals(self).min(2))
    }

    /// Three significant digits, with whole numbers in full, in this unit; in the family's unit that suits the amount
    /// if that is less than a tenth of this one.
    pub fn in_unit(self, unit: Unit) -> String {
        let unit = self.readable(unit);
        unit.text(self, unit.decimals(self))
    }

    /// The unit itself, or the one of its family that suits if the amount is less than a tenth of it.
    fn readable(self, unit: Unit) -> Unit {
        let is_readable = u128::from(self.0) * 10 >= u128::from(unit.bytes());
        if is_readable { unit } else { unit.units.suiting(self) }
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

    /// The difference to the byte, with its sign: `-89,234,924 B`.
    pub fn exact(self) -> String {
        format!("{}{}", sign(self.0), self.magnitude().exact())
    }

    /// The difference with its sign, in the family's unit that suits it.
    pub fn in_units(self, units: Units) -> String {
        format!("{}{}", sign(self.0), self.magnitude().in_units(units))
    }

    /// This difference as a share of `base`: `+7.9%`; without decimals from 100%; `12x` for growth to ten times `base`
    /// or more. `None` if `base` is 0, where a share means nothing.
    pub fn percent_of(self, base: Bytes) -> Option<String> {
        if base.0 == 0 {
            return None;
        }
        let tenths = scaled_percent(self, base, 1);
        let times = (i128::from(self.0) + i128::from(base.0)) / i128::from(base.0);
        if times >= 10 {
            let half =
                (i128::from(self.0) + i128::from(base.0) + i128::from(base.0) / 2) / i128::from(base.0);
            return Some(format!("{}x", group_digits(u64::try_from(half).unwrap_or(u64::MAX))));
        }
        let decimals = u32::from(tenths < 1000);
        Some(percent_text(self, base, decimals))
    }

    /// The share with enough decimals to show that it exceeds `limit`, which is in millionths of a percent.
    pub fn percent_over(self, base: Bytes, limit: u64) -> Option<String> {
        let usual = self.percent_of(base)?;
        let is_over = |decimals: &u32| {
            scaled_percent(self, base, *decimals) * 10u128.pow(6 - decimals) > u128::from(limit)
        };
        let is_rounded = |decimals: u32| usual == percent_text(self, base, decimals);
        match (1..=6).find(is_over) {
            Some(decimals) if decimals > 1 && (is_rounded(0) || is_rounded(1)) => {
                Some(percent_text(self, base, decimals))
            }
            _ => Some(usual),
        }
    }

    /// The share as a bare number for machines, two decimals and no percent sign: `7.94`, `-8.92`.
    pub fn percent_number(self, base: Bytes) -> Option<String> {
        (base.0 > 0).then(|| percent_text(self, base, 2).trim_matches(['+', '%']).to_owned())
    }
}

/// A share in percent, times a power of ten, rounded half up and without its sign. `base` is not 0.
fn scaled_percent(delta: Delta, base: Bytes, decimals: u32) -> u128 {
    let base = u128::from(base.0);
    (u128::from(delta.0.unsigned_abs()) * 100 * 10u128.pow(decimals) + base / 2) / base
}

fn percent_text(delta: Delta, base: Bytes, decimals: u32) -> String {
    let (rounded, scale) = (scaled_percent(delta, base, decimals), 10u128.pow(decimals));
    let sign = if rounded == 0 { "" } else { sign(delta.0) };
    let part = format!(".{:0width$}", rounded % scale, width = decimals as usize);
    format!("{sign}{}{}%", rounded / scale, if decimals == 0 { "" } else { &part })
}

fn sign(value: i64) -> &'static str {
    match value {
        0 => "",
        1.. => "+",
        _ => "-",
    }
}

/// A number with thousands separators: `1,385`.
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
    /// The amount for people: `57.8 MB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.in_units(Units::Decimal))
    }
}

impl fmt::Display for Delta {
    /// The difference for people, with its sign: `+18.4 MB`, `-512 B`, `0 B`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}{}", sign(self.0), self.magnitude()))
    }
}

impl Sum for Delta {
    fn sum<I: Iterator<Item = Delta>>(iter: I) -> Delta {
        // Untrusted documents may claim amounts that overflow.
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

    fn decimal(bytes: u64) -> String {
        Bytes(bytes).to_string().replace(NO_BREAK, " ")
    }

    fn unit(name: &str) -> Unit {
        Unit::named(name).unwrap()
    }

    #[test]
    fn amounts_have_three_digits_at_every_unit_boundary() {
        let cases = [
            (0, "0 B"),
            (12, "12 B"),
            (999, "999 B"),
            (1000, "1 kB"),
            (1023, "1.02 kB"),
            (9_994, "9.99 kB"),
            (9_995, "10 kB"),
            (412_345, "412 kB"),
            (999_499, "999 kB"),
            (999_500, "1 MB"),
            (57_800_000, "57.8 MB"),
            (1_385_083_642, "1.39 GB"),
            (i64::MAX as u64, "9.22 EB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(decimal(bytes), text, "{bytes}");
        }
        let binary = |bytes: u64| Bytes(bytes).in_units(Units::Binary).replace(NO_BREAK, " ");
        assert_eq!(binary(1023), "1 KiB");
        assert_eq!(binary(19_293_798), "18.4 MiB");
        assert_eq!(binary(1_073_741_824), "1 GiB");
        assert_eq!(Bytes(57_800_000).to_string(), "57.8\u{a0}MB");
        assert_eq!(Bytes(1_000_835_744).exact(), "1,000,835,744\u{a0}B");
    }

    #[test]
    fn a_unit_that_somebody_wrote_is_kept() {
        let text = |bytes: u64, name: &str| Bytes(bytes).in_unit(unit(name)).replace(NO_BREAK, " ");
        assert_eq!(text(1_385_083_642, "GiB"), "1.29 GiB");
        assert_eq!(text(1_385_083_642, "mb"), "1,385 MB");
        assert_eq!(text(311_341_818, "GiB"), "0.29 GiB");
        assert_eq!(text(300_000, "GiB"), "293 KiB");
        assert_eq!(text(300_000, "B"), "300,000 B");
        assert_eq!(Delta(-500_000).in_units(Units::Decimal), "-500\u{a0}kB");
        assert_eq!(Unit::named("M"), None);
        assert_eq!(unit("TiB").bytes(), 1 << 40);
    }

    #[test]
    fn what_is_over_a_limit_is_seen_to_be() {
        let text = |measured, limit, name| {
            told_apart(Bytes(measured), Bytes(limit), unit(name)).replace(NO_BREAK, " ")
        };
        assert_eq!(text(600_000_000, 500_000_000, "MB"), "600 MB");
        assert_eq!(text(500_400_000, 500_000_000, "MB"), "500.4 MB");
        assert_eq!(text(500_000_001, 500_000_000, "MB"), "500.000001 MB");
        assert_eq!(text(1_234_700_000, 1_234_500_000, "GB"), "1.235 GB");
        assert_eq!(text((1 << 30) + 1, 1 << 30, "GiB"), "1.000000001 GiB");
        assert_eq!(text(13, 12, "B"), "13 B");
    }

    #[test]
    fn differences_carry_their_sign_and_their_share() {
        let delta = Bytes(911_600_820) - Bytes(1_000_835_744);
        assert_eq!(delta.grouped(), "-89,234,924");
        assert_eq!(delta.percent_of(Bytes(1_000_835_744)).as_deref(), Some("-8.9%"));
        assert_eq!(delta.percent_number(Bytes(1_000_835_744)).as_deref(), Some("-8.92"));
        assert_eq!(delta.to_string(), "-89.2\u{a0}MB");
        assert_eq!(Delta(0).percent_of(Bytes(5)).as_deref(), Some("0.0%"));
        assert_eq!(Delta(7).percent_of(Bytes(0)), None);
        assert_eq!(Delta(7).percent_number(Bytes(0)), None);
        assert_eq!(Delta(0).to_string(), "0\u{a0}B");
    }

    #[test]
    fn shares_have_no_more_digits_than_they_need() {
        let share = |delta, base| Delta(delta).percent_of(Bytes(base)).unwrap();
        assert_eq!(share(999, 1000), "+99.9%");
        assert_eq!(share(9996, 10_000), "+100%");
        assert_eq!(share(-1000, 1000), "-100%");
        assert_eq!(share(8_999, 1000), "+900%");
        assert_eq!(share(9_000, 1000), "10x");
        assert_eq!(share(11_600, 1000), "13x");
        let over = |delta, base, limit| Delta(delta).percent_over(Bytes(base), limit).unwrap();
        assert_eq!(over(60, 1000, 5_000_000), "+6.0%");
        assert_eq!(over(50_004, 1_000_000, 5_000_000), "+5.0004%");
        assert_eq!(over(1_000_001, 1_000_000, 100_000_000), "+100.0001%");
        assert_eq!(over(12_000, 1000, 100_000_000), "13x");
    }

    #[test]
    fn sums_that_no_difference_could_hold_are_refused() {
        assert_eq!(Bytes::MAX.checked_add(Bytes(1)), None);
        assert_eq!(Bytes(u64::MAX).checked_add(Bytes(1)), None);
        assert_eq!(Bytes(1).checked_add(Bytes(2)), Some(Bytes(3)));
    }
}
