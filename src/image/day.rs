//! A day of the calendar, in UTC.

use std::fmt;
use std::str::FromStr;

/// A day, as RFC 3339 writes it: `2027-01-31`. Days compare as their texts do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(String);

/// A text that is no day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a day such as 2027-01-31")]
pub struct NoDay;

impl Day {
    /// The day of a time in seconds since 1970 (the algorithm `civil_from_days` of Howard Hinnant's paper
    /// "chrono-Compatible Low-Level Date Algorithms").
    pub fn of(time: i64) -> Day {
        let days = time.div_euclid(86_400) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Day(format!("{year:04}-{month:02}-{day:02}"))
    }
}

/// A time in seconds since 1970 as RFC 3339 writes it, in UTC: `2027-01-31T08:30:00Z`.
pub fn rfc3339(time: i64) -> String {
    let second = time.rem_euclid(86_400);
    format!("{}T{:02}:{:02}:{:02}Z", Day::of(time), second / 3600, second / 60 % 60, second % 60)
}

impl FromStr for Day {
    type Err = NoDay;

    fn from_str(text: &str) -> Result<Day, NoDay> {
        let number = |part: &str, digits: usize| {
            let fits = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
            if fits { part.parse::<u32>().ok() } else { None }
        };
        let mut parts = text.split('-');
        let mut next = |digits| number(parts.next()?, digits);
        let (Some(year), Some(month), Some(day)) = (next(4), next(2), next(2)) else { return Err(NoDay) };
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 => 28 + u32::from(is_leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => 0,
        };
        let is_all = parts.next().is_none();
        if is_all && (1..=days).contains(&day) { Ok(Day(text.to_owned())) } else { Err(NoDay) }
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (time, day) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (951_782_400, "2000-02-29"),
            (1_709_251_199, "2024-02-29"),
            (1_709_251_200, "2024-03-01"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(Day::of(time).to_string(), day, "{time}");
            assert_eq!(day.parse(), Ok(Day::of(time)), "{day}");
        }
        assert_eq!(rfc3339(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59Z");
        for text in
            ["", "2027", "2027-1-31", "2027-01-32", "2023-02-29", "2100-02-29", "2027-13-01", "2027-00-01"]
        {
            assert_eq!(text.parse::<Day>(), Err(NoDay), "{text}");
        }
        for text in ["2027-01-31T00:00:00Z", "2027-01-31-", "+027-01-31", "2027-01-00", "31.01.2027"] {
            assert_eq!(text.parse::<Day>(), Err(NoDay), "{text}");
        }
    }
}
