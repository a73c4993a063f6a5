//! What a limit is: its key, its needs and its evaluation, in a form shared by all limits.

use super::key::{LimitKey, ValueError};
use super::subject::{Fact, ImageFacts, Subject, Unknown};
use super::{Finding, Metric, Severity};
use crate::image::Bytes;
use crate::image::bytes::Units;
use crate::image::layer_ref::DockerfileLines;
use crate::stages::Evaluation;

/// A limit. No item has a default, so a limit without a headline does not compile.
pub(super) trait Limit: Sized {
    /// Its key, help and description.
    const KEY: LimitKey;
    /// The facts that it needs.
    const NEEDS: Needs;
    /// The key of a stricter limit of the same kind: if that has a finding, this one is not evaluated.
    const COVERED_BY: Option<&'static str>;

    /// Parses a value; `None` for a word that turns the limit off.
    fn parse(text: &str) -> Result<Option<Self>, ValueError>;

    /// What exceeds it.
    fn evaluate(&self, subject: &Subject<'_>) -> Result<Vec<Exceeded>, Unknown>;

    /// What happened, to follow the image's name: `exceeds max-increase: 57.8 MB (+4.2 MB, +7.9%)`.
    fn headline(finding: &Finding, image: &HeadlineContext<'_>) -> String;
}

/// The facts that a limit needs, on each side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Needs {
    /// Facts of the current image.
    pub head: &'static [Fact],
    /// Facts of the baseline; if there are any, the limit can only be evaluated against one.
    pub base: &'static [Fact],
}

/// What the rest of the program needs to know about a limit.
#[derive(Debug)]
pub struct Definition {
    /// Its key, help and description.
    pub key: LimitKey,
    pub(super) needs: Needs,
    pub(super) covered_by: Option<&'static str>,
    /// What happened, to follow the image's name.
    pub headline: fn(&Finding, &HeadlineContext<'_>) -> String,
}

impl Definition {
    pub(super) const fn of<L: Limit>() -> Definition {
        Definition { key: L::KEY, needs: L::NEEDS, covered_by: L::COVERED_BY, headline: L::headline }
    }

    /// Whether it can only be evaluated against a baseline.
    pub fn needs_baseline(&self) -> bool {
        !self.needs.base.is_empty()
    }

    /// Whether it limits growth, which adds up from one change to the next.
    pub fn is_on_growth(&self) -> bool {
        self.needs.base.iter().any(|fact| matches!(fact, Fact::Size | Fact::AppSize))
    }

    /// Whether it limits the size or its growth.
    pub fn is_about_size(&self) -> bool {
        self.needs(Fact::Size) || self.needs(Fact::AppSize)
    }

    /// Whether it needs this fact of the current image.
    pub fn needs(&self, fact: Fact) -> bool {
        self.needs.head.contains(&fact)
    }
}

/// What exceeds a limit: a finding without the parts that all findings of the limit share.
#[derive(Debug)]
pub(super) struct Exceeded {
    pub severity: Severity,
    pub message: String,
    /// Bytes, or a count.
    pub measured: Option<i64>,
    /// The limit, as written.
    pub limit: String,
    /// The part of the image that exceeds it, if that is not the whole image.
    pub about: Option<String>,
    pub help: String,
    pub dockerfile: Option<DockerfileLines>,
}

/// Evaluates one limit.
pub(super) fn evaluate<L: Limit>(limit: &L, subject: &Subject<'_>) -> Result<Vec<Finding>, Unknown> {
    // What a missing baseline means is a separate setting.
    if subject.base.is_err() && !L::NEEDS.base.is_empty() {
        return Ok(Vec::new());
    }
    let known = |side: &ImageFacts<'_>, facts: &[Fact]| {
        facts.iter().try_for_each(|fact| side.knows(*fact, subject.metric))
    };
    known(&subject.head, L::NEEDS.head)?;
    if let Ok(base) = &subject.base {
        known(&base.image, L::NEEDS.base)?;
    }
    let exceeded = limit.evaluate(subject)?;
    let finding = |exceeded: Exceeded| Finding {
        rule: L::KEY.name.into(),
        severity: exceeded.severity,
        message: exceeded.message,
        measured: exceeded.measured,
        limit: Some(exceeded.limit),
        subject: exceeded.about.unwrap_or_else(|| subject.name.to_owned()),
        help: exceeded.help,
        dockerfile: exceeded.dockerfile,
    };
    Ok(exceeded.into_iter().map(finding).collect())
}

/// What a headline can state besides its finding.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeadlineContext<'a> {
    /// Which amount the limits on size and growth evaluate.
    pub metric: Metric,
    /// The current size in the metric.
    pub size: Option<Bytes>,
    /// The size of the baseline in the metric.
    pub base_size: Option<Bytes>,
    /// The uncompressed size, which may be known even if the metric is not.
    pub uncompressed: Option<Bytes>,
    /// How the image is built, if that was evaluated.
    pub stages: Option<&'a Evaluation>,
}

impl HeadlineContext<'_> {
    /// `57.8 MB (+4.2 MB, +7.9%)`; without a baseline only the size.
    pub fn size_and_change(&self, units: Units) -> String {
        let size = |bytes: Bytes| bytes.in_units(units);
        match (self.size, self.base_size) {
            (None, _) => match self.uncompressed {
                Some(bytes) => format!("{} uncompressed", size(bytes)),
                None => "unknown in size".into(),
            },
            (Some(now), None) => size(now),
            (Some(now), Some(base)) if now == base => format!("{} (unchanged)", size(now)),
            (Some(now), Some(base)) => {
                let share = (now - base).percent_of(base);
                let share = share.map_or_else(String::new, |share| format!(", {share}"));
                format!("{} ({}{share})", size(now), (now - base).in_units(units))
            }
        }
    }
}

/// Makes the list of all limits, and a type for a limit with a value.
macro_rules! registry {
    ($($module:ident::$limit:ident),* $(,)?) => {
        /// All limits.
        pub static LIMITS: &[Definition] = &[$(Definition::of::<$module::$limit>()),*];

        /// A limit that is set, with its value.
        #[derive(Debug, Clone, PartialEq, Eq)]
        enum SetLimit { $($limit($module::$limit)),* }

        impl SetLimit {
            fn parse(key: &str, text: &str) -> Result<Option<SetLimit>, ValueError> {
                $(if key == <$module::$limit as Limit>::KEY.name {
                    return Ok($module::$limit::parse(text)?.map(SetLimit::$limit));
                })*
                Ok(None)
            }

            fn definition(&self) -> &'static Definition {
                match self { $(SetLimit::$limit(_) => const { &Definition::of::<$module::$limit>() }),* }
            }

            fn evaluate(&self, subject: &Subject<'_>) -> Result<Vec<Finding>, Unknown> {
                match self { $(SetLimit::$limit(limit) => definition::evaluate(limit, subject)),* }
            }
        }
    };
}
pub(super) use registry;
