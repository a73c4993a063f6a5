//! A short summary of a repository's baselines: the newest of each image, and what is needed to show its history. A
//! baseline branch keeps it in one small file, so that many repositories cost one request. It is made by folding
//! baselines, oldest first, so it retains what is known from baselines that were removed since.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::image::platform::platform_key;
use crate::image::schema::{self, SchemaError};
use crate::image::{Bytes, Classes, LimitInForce, Snapshot, StageAdoption, Time, Totals, UpdateSize};

/// The `schema` of a summary that this version writes.
const SCHEMA: &str = "layergate.summary/v1";
/// Seconds in a day, and in the period over which a change is reported.
pub const DAY: i64 = 86_400;
pub const WINDOW: i64 = 30 * DAY;
/// How many days with a baseline are kept: those of the period before the newest baseline, and one before each of
/// these.
const MAX_DAYS: usize = 62;
/// The most images that one document may list.
const MAX_IMAGES: usize = 20_000;

/// A summary that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SummaryError {
    /// The document is of another kind or of a newer version.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The text is not JSON, or a field is missing or of another type.
    #[error("not a summary of baselines: {0}")]
    Json(#[from] serde_json::Error),
    /// Its content is contradictory or impossible.
    #[error("{0}")]
    Inconsistent(&'static str),
}

impl SummaryError {
    /// Whether a newer version wrote it.
    pub fn is_newer(&self) -> bool {
        matches!(self, SummaryError::Schema(SchemaError::Newer { .. }))
    }
}

/// The images of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    schema: String,
    /// One for each image and platform, by name.
    pub images: Vec<ImageSummary>,
}

/// One image for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSummary {
    /// The image's name.
    pub image: String,
    /// The image's platform, as `os/arch[/variant][:os.version]`, or `unknown`.
    pub platform: String,
    /// The newest baseline.
    #[serde(flatten)]
    pub newest: RecordSummary,
    /// When the first baseline was recorded that, like each one since, has the newest one's multi-stage state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages_since: Option<Time>,
    /// The uncompressed size at the end of each day with a baseline, oldest first: when, and how many bytes.
    #[serde(default)]
    pub days: Vec<(Time, Bytes)>,
}

/// A summary of one baseline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSummary {
    /// The commit that it was recorded for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// When the commit was made, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// When it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Time>,
    /// The sizes.
    pub totals: Totals,
    /// What a host downloads to move here from the previously recorded image, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<UpdateSize>,
    /// Bytes of removable files by class, if they were looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removable: Option<Classes>,
    /// Whether it is a multi-stage build.
    #[serde(default)]
    pub stages: StageAdoption,
    /// Bytes that a builder stage would leave behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saving: Option<Bytes>,
    /// The limits that its configuration sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitInForce>,
}

impl RecordSummary {
    /// The summary of a snapshot.
    pub fn of(snapshot: &Snapshot) -> RecordSummary {
        let commit = snapshot.commit.as_ref();
        let recorded = snapshot.recorded.as_ref();
        let found = snapshot.removable.as_ref();
        RecordSummary {
            commit: commit.map(|commit| commit.sha.clone()),
            time: commit.and_then(|commit| commit.time),
            recorded: recorded.map(|recorded| recorded.time),
            totals: snapshot.totals,
            update: snapshot.update,
            removable: found.map(|found| Classes::of(found.iter().filter(|one| one.counts()))),
            stages: recorded.map(|recorded| recorded.stages).unwrap_or_default(),
            saving: recorded.and_then(|recorded| recorded.saving),
            limits: recorded.map(|recorded| recorded.limits.clone()).unwrap_or_default(),
        }
    }

    /// When it was recorded, else when its commit was made.
    pub fn made(&self) -> Option<Time> {
        self.recorded.or(self.time)
    }

    /// Decides which of two baselines is newer: a slow job for an older commit may finish later, and a commit's time
    /// may come from a clock that is fast.
    fn age(&self) -> Option<Time> {
        self.time.into_iter().chain(self.recorded).min()
    }

    fn amounts(&self) -> impl Iterator<Item = Bytes> {
        let classes = self.removable.map(|classes| classes.sum());
        self.totals.amounts().into_iter().chain([self.saving, classes]).flatten()
    }
}

impl Summary {
    /// The summary of a repository without baselines.
    pub fn new() -> Summary {
        Summary { schema: SCHEMA.into(), images: Vec::new() }
    }

    /// Parses a summary. Anyone who may write to the branch may have written it.
    ///
    /// # Errors
    /// [`SummaryError`], also for a document that a newer version wrote.
    pub fn from_json(json: &[u8]) -> Result<Summary, SummaryError> {
        schema::check(json, "layergate.summary", 1)?;
        let summary: Summary = serde_json::from_slice(json)?;
        if summary.images.len() > MAX_IMAGES || summary.images.iter().any(|row| row.days.len() > MAX_DAYS) {
            return Err(SummaryError::Inconsistent("it lists too many images or days"));
        }
        let amounts = |row: &ImageSummary| {
            row.newest.update.is_none_or(|update| update.is_countable())
                && row
                    .newest
                    .amounts()
                    .chain(row.days.iter().map(|(_, size)| *size))
                    .all(|one| one <= Bytes::MAX)
        };
        match summary.images.iter().all(amounts) {
            true => Ok(summary),
            false => Err(SummaryError::Inconsistent("an amount is too large")),
        }
    }

    /// The document, with one image per line, so that Git stores changes compactly.
    ///
    /// # Errors
    /// Any error from encoding.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let lines = self.images.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
        let schema = &self.schema;
        Ok(format!("{{\"schema\":\"{schema}\",\"images\":[\n{}\n]}}\n", lines.join(",\n")))
    }

    /// Whether an image has a baseline.
    pub fn has(&self, image: &str) -> bool {
        self.images.iter().any(|row| row.image == image)
    }

    /// Adds a snapshot.
    pub fn put_snapshot(&mut self, snapshot: &Snapshot) {
        let platform = platform_key(snapshot.image.platform.as_ref());
        self.put(&snapshot.image.name, &platform, RecordSummary::of(snapshot));
    }

    /// Adds a baseline.
    pub fn put(&mut self, image: &str, platform: &str, record: RecordSummary) {
        let key = |row: &ImageSummary| (row.image.as_str(), row.platform.as_str()).cmp(&(image, platform));
        match self.images.binary_search_by(key) {
            Ok(at) => self.images[at].put(record),
            Err(at) => self.images.insert(at, ImageSummary::new(image, platform, record)),
        }
    }

    /// Forgets the images and platforms that no longer exist.
    pub fn retain(&mut self, is_kept: impl Fn(&str, &str) -> bool) {
        self.images.retain(|row| is_kept(&row.image, &row.platform));
    }

    /// The number of images; platforms are not counted separately.
    pub fn count(&self) -> usize {
        self.images.iter().map(|row| row.image.as_str()).collect::<HashSet<_>>().len()
    }
}

impl Default for Summary {
    fn default() -> Summary {
        Summary::new()
    }
}

impl ImageSummary {
    fn new(image: &str, platform: &str, record: RecordSummary) -> ImageSummary {
        let (image, platform) = (image.to_owned(), platform.to_owned());
        let stages_since = record.made();
        let mut summary = ImageSummary { image, platform, newest: record, stages_since, days: Vec::new() };
        summary.note_size();
        summary
    }

    fn put(&mut self, record: RecordSummary) {
        if record.age().zip(self.newest.age()).is_some_and(|(new, known)| new < known) {
            return;
        }
        if record.stages != self.newest.stages {
            self.stages_since = record.made();
        }
        self.newest = record;
        self.note_size();
    }

    /// Stores the newest size as that of its day.
    fn note_size(&mut self) {
        let (Some(made), Some(size)) = (self.newest.made(), self.newest.totals.uncompressed) else { return };
        // Clocks differ, so a day never precedes the one before.
        let made = self.days.last().map_or(made, |(last, _)| made.max(*last));
        if self.days.last().is_some_and(|(last, _)| last.day() == made.day()) {
            self.days.pop();
        }
        self.days.push((made, size));
        let of_window = self.days.partition_point(|(time, _)| *time < made.before(WINDOW + DAY));
        // One older size is kept: the one at the start of the period.
        self.days.drain(..of_window.saturating_sub(1));
        self.days.drain(..self.days.len().saturating_sub(MAX_DAYS));
    }

    /// The size that a change is measured from, and when it was recorded: the last one at least thirty days ago, else
    /// the first known.
    pub fn before(&self, now: Time) -> Option<(Time, Bytes)> {
        let old = self.days.partition_point(|(time, _)| *time <= now.before(WINDOW));
        self.days.get(old.saturating_sub(1)).copied()
    }
}
