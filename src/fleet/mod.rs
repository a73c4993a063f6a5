//! The images of many repositories: each image's size and waste, the totals, and which conditions of a scheduled job
//! are met. Pure: summaries go in, one document comes out, and every output is made from it.

mod condition;
mod summary;

use std::collections::BTreeMap;

use serde::Serialize;

pub use condition::{Condition, Met};
pub use summary::{DAY, ImageSummary, RecordSummary, Summary, SummaryError};

use crate::image::{Bytes, Classes, Delta, LimitInForce, StageAdoption, Time, Totals, UpdateSize};
use crate::limits::{self, Limits};
use crate::sort;

/// The `schema` of the document that this version writes.
pub const SCHEMA: &str = "layergate.fleet/v1";

/// The images of many repositories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Fleet {
    /// The document's kind and major version.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA)))]
    pub schema: String,
    /// The version of layergate that wrote it.
    pub layergate: String,
    /// When it was made, as RFC 3339 writes it.
    pub generated: Time,
    /// The branch read in each GitHub repository.
    pub branch: String,
    /// Totals of all images, except those of archived repositories.
    pub totals: FleetTotals,
    /// The conditions of `--fail-on` that are met.
    pub met: Vec<Met>,
    /// The repositories, by name.
    pub repositories: Vec<FleetRepository>,
    /// What could not be read.
    pub unread: Vec<NotRead>,
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FleetRepository {
    /// Its name: `OWNER/NAME`, or the path of its store.
    pub name: String,
    /// Its page.
    pub url: Option<String>,
    /// Whether it has baselines.
    pub state: RepositoryState,
    /// Whether it is archived: its images count in no totals.
    pub archived: bool,
    /// The requested name, if the repository has been renamed.
    pub renamed_from: Option<String>,
    /// The Dockerfiles in its root and in `docker/`.
    pub dockerfiles: Vec<String>,
    /// Its images, one for each platform.
    pub images: Vec<FleetImage>,
}

/// Whether a repository has baselines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RepositoryState {
    /// It has some.
    Recorded,
    /// It has a Dockerfile and none.
    NoBaseline,
    /// It has none, and none are expected: it has no Dockerfile, or is a fork or archived.
    NotExpected,
    /// It has some that cannot be read.
    Unread,
}

/// The latest recorded state of an image for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FleetImage {
    /// The image's name.
    pub image: String,
    /// The image's platform, as `os/arch[/variant][:os.version]`, or `unknown`.
    pub platform: String,
    /// The commit that it was built from.
    pub commit: Option<String>,
    /// When it was recorded or, if that is unknown, committed; in RFC 3339 format.
    pub recorded: Option<Time>,
    /// Its sizes.
    pub totals: Totals,
    /// What a host downloads to move here from the previously recorded image, if known.
    pub update: Option<UpdateSize>,
    /// How its uncompressed size has changed; null if only one size is known.
    pub change: Option<Change>,
    /// Removable files by class, if they were looked for.
    pub removable: Option<Classes>,
    /// Whether it is a multi-stage build.
    pub stages: StageAdoption,
    /// Since when the baselines say so, in RFC 3339 format.
    pub stages_since: Option<Time>,
    /// Bytes that a builder stage would leave behind, if its files are known.
    pub saving: Option<Bytes>,
    /// The limits that its configuration sets.
    pub limits: Vec<LimitInForce>,
}

/// A change of the uncompressed size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Change {
    /// In bytes.
    pub bytes: Delta,
    /// The size before.
    pub from: Bytes,
    /// When the size before was recorded, in RFC 3339 format.
    pub since: Time,
    /// Whether that is less than thirty days ago, because there is no older baseline.
    pub shorter: bool,
}

/// What could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NotRead {
    /// A repository, an owner or a directory.
    pub name: String,
    /// Why not, as a keyword.
    pub reason: UnreadReason,
    /// Why not, and what to do.
    pub message: String,
}

/// Why something could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum UnreadReason {
    /// It does not exist, or the token may not see it.
    NotVisible,
    /// A newer version of layergate wrote it.
    Newer,
    /// It is not a summary of baselines.
    Broken,
    /// It has baselines, but no summary of them yet.
    NoSummary,
    /// GitHub refused, or did not answer.
    Refused,
}

/// All images together. Sums include only known values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FleetTotals {
    /// Number of repositories examined.
    pub repositories: u64,
    /// Number of these whose baselines could be read.
    pub recorded: u64,
    /// Number with a Dockerfile but no baselines.
    pub no_baseline: u64,
    /// Number of repositories, owners and directories that could not be read.
    pub unread: u64,
    /// Number of images; platforms are not counted separately.
    pub images: u64,
    /// Number of images with a multi-stage build.
    pub multi_stage: u64,
    /// Number of images that ship build tools or build inputs.
    pub single_stage: u64,
    /// Number of images that need no builder stage.
    pub not_needed: u64,
    /// Number of images for which that is unknown.
    pub unknown: u64,
    /// Number of images without limits.
    pub no_limits: u64,
    /// Bytes of all layers.
    pub uncompressed: Bytes,
    /// Number of images, one per platform, whose size is unknown.
    pub unknown_sizes: u64,
    /// How that sum has changed.
    pub change: Delta,
    /// Bytes of files that containers of the images cannot see.
    pub wasted: Bytes,
    /// Bytes of removable files.
    pub removable: Bytes,
    /// Bytes that builder stages would leave behind.
    pub saving: Bytes,
}

/// A repository as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundRepository {
    /// Its name.
    pub name: String,
    /// Its page.
    pub url: Option<String>,
    /// Whether it is archived.
    pub archived: bool,
    /// Whether it is a fork.
    pub fork: bool,
    /// The requested name, if the repository is now called otherwise.
    pub renamed_from: Option<String>,
    /// The Dockerfiles found.
    pub dockerfiles: Vec<String>,
    /// Its recorded summary; `None` if it has no baselines.
    pub baselines: Option<Result<Summary, (UnreadReason, String)>>,
}

impl Fleet {
    /// Combines repositories, as of a point in time. One found twice counts once.
    pub fn new(
        branch: &str,
        found: Vec<FoundRepository>,
        mut unread: Vec<NotRead>,
        conditions: &[Condition],
        now: Time,
    ) -> Fleet {
        // A directory may have the same name as a GitHub repository.
        let mut by_name: BTreeMap<(String, Option<String>), FoundRepository> = BTreeMap::new();
        for found in found {
            let key = (found.name.clone(), found.url.clone());
            let known = by_name.entry(key).or_insert_with(|| found.clone());
            known.renamed_from = known.renamed_from.take().or(found.renamed_from);
        }
        let mut repositories = Vec::new();
        for found in by_name.into_values() {
            if let Some(Err((reason, message))) = &found.baselines {
                let (name, reason, message) = (found.name.clone(), *reason, message.clone());
                unread.push(NotRead { name, reason, message });
            }
            repositories.push(FleetRepository::new(found, now));
        }
        let mut totals = FleetTotals { unread: unread.len() as u64, ..FleetTotals::default() };
        repositories.iter().for_each(|repository| totals.add(repository));
        let met = condition::met(conditions, &repositories, &unread, now);
        Fleet {
            schema: SCHEMA.into(),
            layergate: env!("CARGO_PKG_VERSION").into(),
            generated: now,
            branch: branch.to_owned(),
            totals,
            met,
            repositories,
            unread,
        }
    }

    /// All images, each with its repository.
    pub fn images(&self) -> impl Iterator<Item = (&FleetRepository, &FleetImage)> {
        self.repositories.iter().flat_map(|of| of.images.iter().map(move |image| (of, image)))
    }

    /// The images that a builder stage would make smaller, those with most to save first.
    pub fn to_adopt(&self) -> Vec<(&FleetRepository, &FleetImage)> {
        let saves = |(of, image): &(&FleetRepository, &FleetImage)| {
            !of.archived && image.stages == StageAdoption::SingleStage
        };
        let mut images: Vec<_> = self.images().filter(saves).collect();
        sort::by_key(&mut images, |(of, image)| (std::cmp::Reverse(image.saving), &of.name, &image.image));
        images
    }

    /// The repositories with a Dockerfile and no baselines.
    pub fn without_baseline(&self) -> impl Iterator<Item = &FleetRepository> {
        self.repositories.iter().filter(|of| of.state == RepositoryState::NoBaseline)
    }
}

impl FleetRepository {
    fn new(found: FoundRepository, now: Time) -> FleetRepository {
        let expected = !found.dockerfiles.is_empty() && !found.fork && !found.archived;
        let (state, images) = match found.baselines {
            Some(Ok(summary)) => {
                let images = summary.images.into_iter().map(|image| FleetImage::new(image, now)).collect();
                (RepositoryState::Recorded, images)
            }
            Some(Err(_)) => (RepositoryState::Unread, Vec::new()),
            None if expected => (RepositoryState::NoBaseline, Vec::new()),
            None => (RepositoryState::NotExpected, Vec::new()),
        };
        FleetRepository {
            name: found.name,
            url: found.url,
            state,
            archived: found.archived,
            renamed_from: found.renamed_from,
            dockerfiles: found.dockerfiles,
            images,
        }
    }

    /// Whether an image has several platforms, which must then be named.
    pub fn has_platforms(&self, image: &str) -> bool {
        self.images.iter().filter(|other| other.image == image).count() > 1
    }
}

impl FleetImage {
    fn new(summary: ImageSummary, now: Time) -> FleetImage {
        let change = summary.change(now);
        let ImageSummary { image, platform, newest, stages_since, .. } = summary;
        FleetImage {
            image,
            platform,
            recorded: newest.made(),
            commit: newest.commit,
            totals: newest.totals,
            update: newest.update,
            change,
            removable: newest.removable,
            stages: newest.stages,
            stages_since: stages_since.filter(|_| newest.stages != StageAdoption::Unknown),
            saving: newest.saving,
            limits: newest.limits,
        }
    }

    /// Whether its configuration limits anything. A limit that this version does not know, such as a later version's,
    /// counts.
    pub fn has_limits(&self) -> bool {
        self.limits.iter().any(|limit| {
            let written = |key| (key == limit.key).then_some(limit.value.as_str());
            limits::key(&limit.key).is_none()
                || Limits::parse(written).map_or(true, |alone| !alone.is_empty())
        })
    }
}

impl ImageSummary {
    fn change(&self, now: Time) -> Option<Change> {
        let (since, from) = self.before(now)?;
        let shorter = since > now.before(summary::WINDOW);
        if shorter && self.days.len() < 2 {
            return None;
        }
        let bytes = self.newest.totals.uncompressed? - from;
        Some(Change { bytes, from, since, shorter })
    }
}

impl FleetTotals {
    fn add(&mut self, repository: &FleetRepository) {
        self.repositories += 1;
        self.recorded += u64::from(repository.state == RepositoryState::Recorded);
        self.no_baseline += u64::from(repository.state == RepositoryState::NoBaseline);
        if repository.archived {
            return;
        }
        // Of several platforms, the one with most to do decides the image's state.
        let mut by_name: BTreeMap<&str, StageAdoption> = BTreeMap::new();
        for image in &repository.images {
            let stages = by_name.entry(&image.image).or_insert(image.stages);
            if image.stages == StageAdoption::SingleStage {
                *stages = image.stages;
            }
            self.no_limits += u64::from(!image.has_limits());
            self.unknown_sizes += u64::from(image.totals.uncompressed.is_none());
            let add = |sum: &mut Bytes, bytes: Option<Bytes>| {
                *sum = sum.saturating_add(bytes.unwrap_or_default());
            };
            add(&mut self.uncompressed, image.totals.uncompressed);
            add(&mut self.wasted, image.totals.wasted);
            add(&mut self.removable, image.removable.map(|classes| classes.sum()));
            add(&mut self.saving, image.saving);
            let change = image.change.as_ref().map_or(0, |change| change.bytes.0);
            self.change = Delta(self.change.0.saturating_add(change));
        }
        for stages in by_name.into_values() {
            self.images += 1;
            *match stages {
                StageAdoption::MultiStage => &mut self.multi_stage,
                StageAdoption::SingleStage => &mut self.single_stage,
                StageAdoption::NotNeeded => &mut self.not_needed,
                StageAdoption::Unknown => &mut self.unknown,
            } += 1;
        }
    }
}

#[cfg(test)]
mod tests;
