//! `enforce`: whether exceeding a limit fails the check. A setting, not a limit.

use std::str::FromStr;

use super::key::{LimitKey, ValueError, ValueForm};
use crate::image::Day;

pub(super) const KEY: LimitKey = LimitKey {
    name: "enforce",
    value_name: "WHETHER",
    form: ValueForm::Enforce,
    default: Some("true"),
    help: "Whether exceeded limits fail the check: true, false, or the first day on which they do, such as 2027-01-31",
    description: "Whether exceeded limits fail the check. `false`: everything is measured, commented and listed, and the verdict is `unenforced`, which passes. A day such as `2027-01-31`: enforced from that day, in UTC.",
    examples: &["false", "2027-01-31"],
};

/// Whether exceeding a limit fails the check.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Enforce {
    /// It does.
    #[default]
    Always,
    /// It does not.
    Never,
    /// It does from this day.
    From(Day),
}

impl Enforce {
    /// Whether limits are enforced on a day.
    pub fn holds_on(&self, today: &Day) -> bool {
        match self {
            Enforce::Always => true,
            Enforce::Never => false,
            Enforce::From(day) => today >= day,
        }
    }
}

impl FromStr for Enforce {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Enforce, ValueError> {
        match text {
            "true" => Ok(Enforce::Always),
            "false" => Ok(Enforce::Never),
            day => day.parse().map(Enforce::From).map_err(|_| {
                ValueError::new(format!("`{day}` is not true, false, or a day such as 2027-01-31"))
            }),
        }
    }
}
