//! The conditions that a scheduled job can fail on.

use std::collections::BTreeSet;

use serde::Serialize;

use super::summary::DAY;
use super::{FleetImage, FleetRepository, NotRead, RepositoryState};
use crate::image::{Day, LimitInForce, StageAdoption, Time};
use crate::limits::{Enforce, Metric, SizeLimit};

/// The maximum age of an image's newest baseline.
const STALE: i64 = 90 * DAY;

/// A condition of `--fail-on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// A repository has a Dockerfile and no baselines.
    NoBaseline,
    /// An image has no limits in its configuration.
    NoLimits,
    /// An image ships build tools or build inputs.
    SingleStage,
    /// An image is larger than its own `max-size`.
    MaxSize,
    /// An image was not recorded for 90 days.
    Stale,
    /// A repository could not be read.
    Unread,
}

/// A condition that is met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Met {
    /// The condition.
    pub condition: Condition,
    /// The repository.
    pub repository: String,
    /// The image; null if this is about the whole repository.
    pub image: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl Condition {
    /// The condition's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Condition::NoBaseline => "no-baseline",
            Condition::NoLimits => "no-limits",
            Condition::SingleStage => "single-stage",
            Condition::MaxSize => "max-size",
            Condition::Stale => "stale",
            Condition::Unread => "unread",
        }
    }
}

/// The conditions that are met, in their order. Archived repositories meet none.
pub(super) fn met(
    conditions: &[Condition],
    repositories: &[FleetRepository],
    unread: &[NotRead],
    now: Time,
) -> Vec<Met> {
    let mut met = Vec::new();
    let mut seen = BTreeSet::new();
    for condition in conditions.iter().copied().filter(|condition| seen.insert(condition.as_str())) {
        let mut add = |repository: &str, image: Option<&str>, message: String| {
            met.push(Met {
                condition,
                repository: repository.to_owned(),
                image: image.map(str::to_owned),
                message,
            });
        };
        if condition == Condition::Unread {
            unread.iter().for_each(|unread| add(&unread.name, None, unread.message.clone()));
            continue;
        }
        for repository in repositories.iter().filter(|repository| !repository.archived) {
            if condition == Condition::NoBaseline && repository.state == RepositoryState::NoBaseline {
                add(
                    &repository.name,
                    None,
                    format!("{} and no baselines", repository.dockerfiles.join(", ")),
                );
            }
            for image in &repository.images {
                if let Some(message) = of_image(condition, image, now) {
                    add(&repository.name, Some(&image.image), message);
                }
            }
        }
    }
    met
}

fn of_image(condition: Condition, image: &FleetImage, now: Time) -> Option<String> {
    match condition {
        Condition::NoBaseline | Condition::Unread => None,
        Condition::NoLimits => (!image.has_limits()).then(|| "no limits in layergate.toml".to_owned()),
        Condition::SingleStage => (image.stages == StageAdoption::SingleStage).then(|| {
            let saves =
                image.saving.map_or_else(String::new, |saving| format!("; a builder stage saves {saving}"));
            format!("ships build tools or build inputs{saves}")
        }),
        Condition::MaxSize => over_max_size(image, &now.day()),
        Condition::Stale => {
            let recorded = image.recorded.filter(|recorded| *recorded < now.before(STALE))?;
            Some(format!("last recorded on {}", recorded.day()))
        }
    }
}

/// Evaluates each configuration by itself, like a check.
fn over_max_size(image: &FleetImage, today: &Day) -> Option<String> {
    let sources: BTreeSet<Option<&str>> = image.limits.iter().map(|limit| limit.source.as_deref()).collect();
    sources.into_iter().find_map(|source| {
        let of = |limit: &&LimitInForce| limit.source.as_deref() == source;
        let value = |key: &str| {
            image.limits.iter().filter(of).find(|limit| limit.key == key).map(|limit| &limit.value)
        };
        let limit: SizeLimit = value("max-size")?.parse().ok()?;
        let metric: Metric = value("metric").map_or(Ok(Metric::default()), |text| text.parse()).ok()?;
        let enforce: Enforce = value("enforce").map_or(Ok(Enforce::default()), |text| text.parse()).ok()?;
        // A single image has no update size.
        let size = metric.of(&image.totals).filter(|_| metric != Metric::Update)?;
        let is_over = size > limit.bytes && enforce.holds_on(today);
        is_over.then(|| {
            let (measured, over) = limit.exceeded_by(size);
            format!("{measured} {metric}, {over}")
        })
    })
}
