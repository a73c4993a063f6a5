//! Parses saved reports. Their content is untrusted: a job of a fork may have written anything.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::escape::short;
use super::model::{ImageReport, Report};
use crate::compare::Deltas;
use crate::config::MAX_EXTENDED;
use crate::image::schema::{self, SchemaError};
use crate::image::{Platform, Removable};
use crate::limits::{self, ValueForm, Verdict};

/// Maximum number of images in one report, or in all reports of a run together.
pub const MAX_IMAGES: usize = 1000;
/// Maximum number of entries in a list.
const MAX_ENTRIES: usize = 10_000;
/// Maximum number of fields in an object.
const MAX_FIELDS: usize = 200;
/// Maximum bytes of a text: an instruction may be a program.
const MAX_TEXT: usize = 256 << 10;
/// The largest number (256 TiB, as bytes), so that the sum of a list cannot overflow.
const MAX_NUMBER: u64 = 1 << 48;
/// Maximum bytes of an image's name.
const MAX_NAME: usize = 1024;
/// Maximum characters of a sentence, and of a word such as a limit.
const MAX_SENTENCE: usize = 1000;
const MAX_WORD: usize = 200;
/// Maximum number of ways to accept, and of notes.
const MAX_WAYS: usize = 20;
const MAX_NOTES: usize = 100;
/// Maximum number of databases that could not be read.
const MAX_UNREAD: usize = 1000;

/// A document that is not a report, or not one that this version can use.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The document is of another kind or of a newer version.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The text is not JSON, or a field is missing, of another type, or over a maximum.
    #[error("not a layergate report: {0}; write it with check --report")]
    Json(String),
    /// Its content is contradictory or impossible.
    #[error("the report contradicts itself: {0}; write it with check --report")]
    Inconsistent(String),
}

impl Report {
    /// Parses a saved report. Its verdicts and differences are computed from its findings and amounts, whatever it
    /// states.
    ///
    /// # Errors
    /// [`ReportError`], also for a document that a newer major version wrote.
    pub fn from_json(json: &[u8]) -> Result<Report, ReportError> {
        schema::check(json, "layergate.report", 1)?;
        let failed = |error: serde_json::Error| ReportError::Json(error.to_string());
        // Checked before anything is kept; fields of a later version may be of any size.
        serde_json::from_slice::<BoundedText<false>>(json).map_err(failed)?;
        let mut report: Report = serde_json::from_slice(json).map_err(failed)?;
        let known = serde_json::to_vec(&report).map_err(failed)?;
        serde_json::from_slice::<BoundedText<true>>(&known).map_err(failed)?;
        report.check().map_err(ReportError::Inconsistent)?;
        report.shorten();
        report.images.iter_mut().for_each(ImageReport::settle);
        Ok(report)
    }

    fn check(&self) -> Result<(), String> {
        if self.images.len() > MAX_IMAGES {
            return Err(format!("it has {} images, and at most {MAX_IMAGES} are read", self.images.len()));
        }
        if !is_version(&self.layergate) {
            return Err("`layergate` is not a version".into());
        }
        if self.head_sha.as_deref().is_some_and(|sha| !is_commit(sha)) {
            return Err("`head_sha` is not a commit".into());
        }
        self.images.iter().try_for_each(ImageReport::check)?;
        let is_something = |image: &ImageReport| image.head.is_some() || image.is_not_delivered();
        if !self.images.iter().any(is_something) {
            return Err("it has no image that was measured".into());
        }
        Ok(())
    }

    /// Cuts texts for people to a readable length.
    fn shorten(&mut self) {
        self.notes.truncate(MAX_NOTES);
        self.notes.iter_mut().for_each(|note| cut(note, MAX_SENTENCE));
        if let Some(ways) = &mut self.accept {
            ways.labels.truncate(MAX_WAYS);
            let words = ways.labels.iter_mut().chain(&mut ways.trailer).chain(&mut ways.max_increase);
            words.for_each(|word| cut(word, MAX_WORD));
        }
        if let Some(accepted) = &mut self.accepted {
            let words = [&mut accepted.label, &mut accepted.trailer, &mut accepted.commit];
            let more = [&mut accepted.by, &mut accepted.at];
            words.into_iter().chain(more).flatten().for_each(|word| cut(word, MAX_WORD));
            accepted.reason.iter_mut().for_each(|reason| cut(reason, MAX_SENTENCE));
        }
        self.configurations.truncate(1 + MAX_EXTENDED);
        self.configurations.iter_mut().for_each(|name| cut(name, MAX_WORD));
        self.images.iter_mut().for_each(ImageReport::shorten);
    }
}

impl ImageReport {
    fn check(&self) -> Result<(), String> {
        if self.name.is_empty() || self.name.len() > MAX_NAME {
            return Err(format!("an image has a name of {} bytes", self.name.len()));
        }
        if let Some(platform) = &self.platform {
            platform.parse::<Platform>().map_err(|error| format!("{}: {error}", self.name))?;
        }
        if !self.removable.iter().all(Removable::is_short) {
            return Err(format!("the description of the removable files of {} is too long", self.name));
        }
        if self.is_not_delivered() && Verdict::of(&self.findings) != Verdict::Fail {
            return Err(format!("{} was not measured, but does not fail", self.name));
        }
        Ok(())
    }

    fn shorten(&mut self) {
        self.extended.truncate(MAX_EXTENDED);
        self.extended.iter_mut().for_each(|extended| cut(&mut extended.source, MAX_WORD));
        let extended = self.extended.iter_mut().map(|extended| &mut extended.limits);
        for limits in extended.chain([&mut self.limits]) {
            limits.retain(|key, _| limits::key(key).is_some());
            // A list of paths is compared, but not shown.
            let is_list = |key: &str| limits::key(key).is_some_and(|key| key.form == ValueForm::Paths);
            let shown = limits.iter_mut().filter(|(key, _)| !is_list(key));
            shown.for_each(|(_, limit)| cut(limit, MAX_WORD));
        }
        for finding in &mut self.findings {
            let words = [&mut finding.rule, &mut finding.subject];
            words.into_iter().chain(&mut finding.limit).for_each(|word| cut(word, MAX_WORD));
            [&mut finding.message, &mut finding.help]
                .into_iter()
                .for_each(|sentence| cut(sentence, MAX_SENTENCE));
        }
        if let Some(missing) = &mut self.no_base {
            [&mut missing.message, &mut missing.help]
                .into_iter()
                .for_each(|sentence| cut(sentence, MAX_SENTENCE));
        }
        self.config.truncate(MAX_UNREAD);
        for change in &mut self.config {
            [&mut change.base, &mut change.head]
                .into_iter()
                .flatten()
                .for_each(|text| cut(text, MAX_SENTENCE));
            for names in [&mut change.added, &mut change.removed] {
                names.truncate(MAX_UNREAD);
                names.iter_mut().for_each(|name| cut(name, MAX_WORD));
            }
        }
        self.unread_databases.truncate(MAX_UNREAD);
        self.unread_databases.iter_mut().for_each(|file| cut(&mut file.path, MAX_WORD));
        if let Some(base) = &mut self.base {
            cut(&mut base.name, MAX_WORD);
            cut(&mut base.how, MAX_SENTENCE);
        }
        if let Some(stages) = &mut self.stages {
            [&mut stages.reason, &mut stages.help]
                .into_iter()
                .for_each(|sentence| cut(sentence, MAX_SENTENCE));
        }
        self.base_image.iter_mut().for_each(|name| cut(name, MAX_WORD));
        self.dockerfile.iter_mut().for_each(|own| cut(&mut own.path, MAX_NAME));
        self.removable.iter_mut().for_each(|found| cut(&mut found.help, MAX_SENTENCE));
    }

    /// Recomputes what follows from its data.
    fn settle(&mut self) {
        let both = self.base.as_ref().map(|base| &base.totals).zip(self.head_totals());
        self.delta = both.map(|(base, head)| Deltas::of(base, head));
        if self.head.is_none() && self.base.is_some() {
            // A removed image exceeds no limit.
            self.findings.clear();
        }
        self.verdict = match (Verdict::of(&self.findings), self.verdict) {
            (Verdict::Fail, Verdict::Accepted) if self.is_acceptable() => Verdict::Accepted,
            (verdict, _) => verdict,
        };
    }
}

fn is_version(text: &str) -> bool {
    // In the form of our own versions: anything looser might form a sentence.
    let (numbers, before) =
        text.split_once('-').map_or((text, None), |(numbers, before)| (numbers, Some(before)));
    let is_number =
        |part: &str| (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    numbers.split('.').count() == 3
        && numbers.split('.').all(is_number)
        && before.is_none_or(|before| {
            let number = ["alpha", "beta", "rc"].iter().find_map(|stage| before.strip_prefix(stage));
            number.is_some_and(|number| {
                number.len() <= 4 && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            })
        })
}

fn is_commit(sha: &str) -> bool {
    sha.len() <= 64 && sha.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn cut(text: &mut String, most: usize) {
    // Bytes first: most texts are short and need no change.
    if text.len() > most {
        *text = short(text, most);
    }
}

/// Checks a document without keeping any of it, and rejects what no report has; numbers only if `NUMBERS`.
struct BoundedText<const NUMBERS: bool>;

impl<'de, const NUMBERS: bool> Deserialize<'de> for BoundedText<NUMBERS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BoundedText::<NUMBERS>)
    }
}

impl<'de, const NUMBERS: bool> Visitor<'de> for BoundedText<NUMBERS> {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a report")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E: Error>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self, E> {
        if NUMBERS && number > MAX_NUMBER {
            Err(E::custom(format!("{number} is too large")))
        } else {
            Ok(self)
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self, E> {
        self.visit_u64(number.unsigned_abs())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self, E> {
        // No field that is read has such a value.
        Ok(self)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self, E> {
        if text.len() > MAX_TEXT {
            return Err(E::custom(format!(
                "a text has {} bytes, and at most {MAX_TEXT} are read",
                text.len()
            )));
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        for _ in 0..=MAX_ENTRIES {
            if list.next_element::<Self>()?.is_none() {
                return Ok(self);
            }
        }
        Err(A::Error::custom(format!("a list has over {MAX_ENTRIES} entries")))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self, A::Error> {
        for _ in 0..=MAX_FIELDS {
            if fields.next_entry::<Self, Self>()?.is_none() {
                return Ok(self);
            }
        }
        Err(A::Error::custom(format!("an object has over {MAX_FIELDS} fields")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Bytes, Snapshot};
    use crate::limits::{Finding, Severity};
    use crate::report::model::MISSING_RULE;

    fn measured() -> ImageReport {
        ImageReport::added(&Snapshot::made_up(Vec::new()).into())
    }

    fn missing(name: &str) -> ImageReport {
        let finding = Finding {
            rule: MISSING_RULE.into(),
            severity: Severity::Fail,
            message: "none".into(),
            measured: None,
            limit: None,
            subject: name.into(),
            help: String::new(),
            dockerfile: None,
        };
        ImageReport::without_image(name, None, vec![finding])
    }

    fn read(report: &Report) -> Result<Report, ReportError> {
        Report::from_json(&serde_json::to_vec(report).unwrap())
    }

    #[test]
    fn a_report_cannot_say_that_it_passes_while_its_findings_fail() {
        let mut report = Report::new(None, vec![missing("api")]);
        for claimed in [Verdict::Pass, Verdict::Accepted] {
            report.images[0].verdict = claimed;
            assert_eq!(read(&report).unwrap().images[0].verdict, Verdict::Fail);
        }
        report.images[0].findings.clear();
        assert!(read(&report).is_err(), "nothing, and no failure");
        report.images.clear();
        assert!(read(&report).is_err(), "no image");
        report.schema = "layergate.report/v2".into();
        assert!(read(&report).is_err());
        assert!(Report::from_json(b"{\"schema\":\"layergate.report/v1\"}").is_err());
    }

    #[test]
    fn what_follows_is_not_taken_from_it() {
        let mut report = Report::new(Some("abc1".into()), vec![measured()]);
        assert_eq!(read(&report).unwrap(), report);
        for version in ["1.20.3", "1.0.0-rc.1", "1.0.0-beta2"] {
            assert!(is_version(version), "{version}");
        }
        let totals = report.images[0].head.as_ref().unwrap().totals;
        let gone = ImageReport { head: None, ..measured() };
        let base = crate::report::model::Base {
            name: "x".into(),
            totals,
            commit: None,
            distance: None,
            exact: true,
            how: String::new(),
        };
        report.images[0].base = Some(base.clone());
        report.images[0].head.as_mut().unwrap().totals.uncompressed =
            totals.uncompressed.map(|bytes| Bytes(bytes.0 + 5));
        assert_eq!(
            read(&report).unwrap().images[0].delta.unwrap().uncompressed.unwrap().0,
            5,
            "growth cannot be left out"
        );
        report.images = vec![ImageReport { base: Some(base), ..gone }];
        assert!(read(&report).is_err(), "all that it had is gone");
    }

    #[test]
    fn what_no_report_has_is_refused() {
        let good = serde_json::to_value(Report::new(Some("abc1".into()), vec![measured()])).unwrap();
        let with = |pointer: &str, value: serde_json::Value| {
            let mut document = good.clone();
            *document.pointer_mut(pointer).unwrap() = value;
            Report::from_json(&serde_json::to_vec(&document).unwrap()).map_err(|error| error.to_string())
        };
        let long = "x".repeat(MAX_TEXT + 1);
        for (pointer, value, words) in [
            ("/images/0/head/totals/uncompressed", u64::MAX.into(), "is too large"),
            ("/images/0/head/totals/uncompressed", 1.5.into(), "invalid type"),
            ("/layergate", "0.1.0; reviewed and accepted".into(), "not a version"),
            ("/layergate", "0.1.0-accepted".into(), "not a version"),
            ("/layergate", "0.1.0-".into(), "not a version"),
            ("/images/0/reference", long.into(), "a text has"),
            ("/images/0/name", "".into(), "a name of 0 bytes"),
            ("/images/0/name", "x".repeat(MAX_NAME + 1).into(), "a name of"),
            ("/images/0/platform", "linux/amd64 `x`".into(), "linux/amd64 `x`"),
            ("/head_sha", "abc1 @team".into(), "not a commit"),
            ("/images/0/layers", vec![0; MAX_ENTRIES + 1].into(), "a list has over"),
        ] {
            let error = with(pointer, value).unwrap_err();
            assert!(error.contains(words), "{pointer}: {error}");
        }
        let twice = with("/images/0/layers", 0.into()).unwrap_err();
        assert_eq!(twice.matches("invalid type").count(), 1, "{twice}");
    }

    #[test]
    fn what_a_later_version_adds_is_passed_over() {
        let report = Report::new(Some("abc1".into()), vec![measured()]);
        let mut document = serde_json::to_value(&report).unwrap();
        document["images"][0]["took"] = serde_json::json!({ "seconds": 1.5, "nanoseconds": u64::MAX });
        assert_eq!(Report::from_json(document.to_string().as_bytes()).unwrap(), report);
        let many: serde_json::Map<_, _> =
            (0..=MAX_FIELDS).map(|number| (number.to_string(), serde_json::Value::Null)).collect();
        document["images"][0]["limits"] = serde_json::Value::Object(many);
        let error = Report::from_json(document.to_string().as_bytes()).unwrap_err();
        assert!(error.to_string().contains("an object has over"), "{error}");
    }

    #[test]
    fn what_is_for_people_is_cut() {
        let mut report = Report::new(None, vec![missing("api")]);
        report.images[0].findings[0].message = "m".repeat(100_000);
        report.images[0].limits.insert("max-size".into(), "9".repeat(100_000));
        report.images[0].limits.insert("no-limit".into(), "x".into());
        report.notes = vec!["n".repeat(100_000); 500];
        let read = read(&report).unwrap();
        assert!(serde_json::to_vec(&read).unwrap().len() < 200_000);
        assert_eq!(read.images[0].limits.len(), 1);
    }
}
