//! Days and times of the calendar, in UTC.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A day, as RFC 3339 writes it: `2027-01-31`. Days compare as their texts do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(String);

/// A text that is not a day.
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

    /// When it begins, in seconds since 1970 (`days_from_civil` of the same paper).
    fn start(&self) -> i64 {
        let mut parts = self.0.split('-').map(|part| part.parse::<i64>().unwrap_or_default());
        let (year, month, day) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        let year = year - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let year_of_era = year.rem_euclid(400);
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        (era * 146_097 + day_of_era - 719_468) * 86_400
    }
}

/// A time to the second, in UTC. Documents write it as in RFC 3339: `2027-01-31T08:30:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time(i64);

/// A text that is not a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a time in UTC such as 2027-01-31T08:30:00Z")]
pub struct NoTime;

impl Time {
    const YEAR_0: i64 = -62_167_219_200;
    const YEAR_10000: i64 = 253_402_300_800;

    /// A time in seconds since 1970. `None` if its year does not fit the four digits of RFC 3339.
    pub fn from_seconds(seconds: i64) -> Option<Time> {
        (Time::YEAR_0..Time::YEAR_10000).contains(&seconds).then_some(Time(seconds))
    }

    /// Seconds since 1970.
    pub fn seconds(self) -> i64 {
        self.0
    }

    /// The day it falls on.
    pub fn day(self) -> Day {
        Day::of(self.0)
    }

    /// The time this many seconds earlier.
    pub fn before(self, seconds: i64) -> Time {
        Time(self.0.saturating_sub(seconds).clamp(Time::YEAR_0, Time::YEAR_10000 - 1))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = self.0.rem_euclid(86_400);
        write!(f, "{}T{:02}:{:02}:{:02}Z", self.day(), second / 3600, second / 60 % 60, second % 60)
    }
}

impl FromStr for Time {
    type Err = NoTime;

    fn from_str(text: &str) -> Result<Time, NoTime> {
        let (day, clock) = text.split_once('T').ok_or(NoTime)?;
        let day: Day = day.parse().map_err(|NoDay| NoTime)?;
        let mut parts = clock.strip_suffix('Z').ok_or(NoTime)?.split(':');
        let mut next = |most: u32| number(parts.next()?, 2).filter(|number| *number <= most);
        let (Some(hour), Some(minute), Some(second)) = (next(23), next(59), next(59)) else {
            return Err(NoTime);
        };
        match parts.next() {
            None => Ok(Time(day.start() + i64::from(hour * 3600 + minute * 60 + second))),
            Some(_) => Err(NoTime),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        <std::borrow::Cow<'_, str>>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The number that a text of exactly this many digits states.
fn number(text: &str, digits: usize) -> Option<u32> {
    let fits = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

impl FromStr for Day {
    type Err = NoDay;

    fn from_str(text: &str) -> Result<Day, NoDay> {
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
        for text in
            ["", "2027", "2027-1-31", "2027-01-32", "2023-02-29", "2100-02-29", "2027-13-01", "2027-00-01"]
        {
            assert_eq!(text.parse::<Day>(), Err(NoDay), "{text}");
        }
        for text in ["2027-01-31T00:00:00Z", "2027-01-31-", "+027-01-31", "2027-01-00", "31.01.2027"] {
            assert_eq!(text.parse::<Day>(), Err(NoDay), "{text}");
        }
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (Time::YEAR_0, "0000-01-01T00:00:00Z"),
            (Time::YEAR_10000 - 1, "9999-12-31T23:59:59Z"),
        ] {
            let time = Time::from_seconds(seconds).unwrap();
            assert_eq!(time.to_string(), text);
            assert_eq!(text.parse(), Ok(time), "{text}");
            let json = serde_json::to_string(&time).unwrap();
            assert_eq!(serde_json::from_str::<Time>(&json).unwrap(), time);
        }
        for seconds in [i64::MIN, Time::YEAR_0 - 1, Time::YEAR_10000, i64::MAX] {
            assert_eq!(Time::from_seconds(seconds), None, "{seconds}");
        }
        for text in [
            "",
            "2027-01-31",
            "2027-01-31T08:30Z",
            "2027-01-31T24:00:00Z",
            "2027-01-31T08:60:00Z",
            "2027-02-30T00:00:00Z",
        ] {
            assert_eq!(text.parse::<Time>(), Err(NoTime), "{text}");
        }
        for text in
            ["2027-01-31T08:30:00", "2027-01-31T08:30:00+01:00", "2027-01-31T08:30:00:00Z", "1700000000"]
        {
            assert_eq!(text.parse::<Time>(), Err(NoTime), "{text}");
        }
    }
}
