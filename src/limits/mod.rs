//! Limits: what an image may have, and what is reported if it exceeds them. Pure: nothing is read, nothing is printed.
//!
//! One file is one limit: its key, how it is written, the facts that it needs, its evaluation and its headline. Flags,
//! configuration keys, action inputs, the schema, the documents and the report are generated from the list below.
//!
//! `docs/development.md` says how to add one.

mod amount;
mod definition;
mod enforce;
mod finding;
mod forbid_paths;
mod growth;
mod key;
mod max_app_increase;
mod max_increase;
mod max_layer_size;
mod max_layers;
mod max_removable;
mod max_size;
mod max_update;
mod max_wasted;
mod metric;
mod multi_stage;
mod on_missing_baseline;
mod subject;
mod warn_increase;
mod warn_update;

pub use amount::{AmountError, SizeLimit, Threshold, unbroken};
pub use definition::{Definition, HeadlineContext};
pub use enforce::Enforce;
pub use finding::{Finding, NOT_EVALUATED_RULE, Severity, Verdict};
pub use key::{LimitKey, ValueError, ValueForm};
pub use metric::Metric;
pub use on_missing_baseline::{BASELINE_RULE, OnMissingBaseline};
pub use subject::{BaseFacts, Fact, ImageFacts, LayerFacts, NoBase, Occasion, Subject, Unknown};

use definition::{Limit, registry};

// In the order of help, documents and findings: of several findings, the first is the headline.
registry! {
    max_increase::MaxIncrease,
    warn_increase::WarnIncrease,
    max_app_increase::MaxAppIncrease,
    max_update::MaxUpdate,
    warn_update::WarnUpdate,
    max_size::MaxSize,
    max_layers::MaxLayers,
    max_layer_size::MaxLayerSize,
    max_wasted::MaxWasted,
    multi_stage::MultiStage,
    max_removable::MaxRemovable,
    forbid_paths::ForbidPaths,
}

/// The keys of `[limits]`: the limits, and the settings for evaluating them. Each is also a flag and an action input.
pub fn keys() -> impl Iterator<Item = &'static LimitKey> {
    let limits = LIMITS.iter().map(|limit| &limit.key);
    [&metric::KEY].into_iter().chain(limits).chain([&on_missing_baseline::KEY, &enforce::KEY])
}

/// The key with this name.
pub fn key(name: &str) -> Option<&'static LimitKey> {
    keys().find(|key| key.name == name)
}

/// The limit with this key, which is also the rule of its findings.
pub fn definition(key: &str) -> Option<&'static Definition> {
    LIMITS.iter().find(|limit| limit.key.name == key)
}

/// The limits of one image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// Which amount the limits on size and growth evaluate.
    pub metric: Metric,
    /// Whether they are enforced.
    pub enforce: Enforce,
    on_missing_baseline: Option<OnMissingBaseline>,
    set: Vec<SetLimit>,
}

impl Limits {
    /// Parses limits; `written` returns the text of a key.
    ///
    /// # Errors
    /// The first key with an invalid value, and why it is invalid.
    pub fn parse<'t>(
        written: impl Fn(&'static str) -> Option<&'t str>,
    ) -> Result<Limits, (&'static str, ValueError)> {
        let mut limits = Limits::default();
        for key in keys() {
            let Some(text) = written(key.name) else { continue };
            limits.set_one(key, text.trim()).map_err(|error| (key.name, error))?;
        }
        Ok(limits)
    }

    fn set_one(&mut self, key: &LimitKey, text: &str) -> Result<(), ValueError> {
        if key.name == metric::KEY.name {
            self.metric = text.parse()?;
        } else if key.name == enforce::KEY.name {
            self.enforce = text.parse()?;
        } else if key.name == on_missing_baseline::KEY.name {
            self.on_missing_baseline = Some(text.parse()?);
        } else {
            self.set.extend(SetLimit::parse(key.name, text)?);
        }
        Ok(())
    }

    /// Whether there are no limits at all, so that no image could ever fail.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Whether some limit can only be evaluated against a baseline.
    fn need_baseline(&self) -> bool {
        // A single image has no update.
        let needs = |limit: &Definition| {
            limit.needs_baseline() || self.metric == Metric::Update && limit.needs(Fact::Size)
        };
        self.set.iter().any(|limit| needs(limit.definition()))
    }

    /// Evaluates an image. A limit that needs an unknown fact has a failing finding: a gate that cannot see must not
    /// pass.
    pub fn evaluate(&self, subject: &Subject<'_>) -> Vec<Finding> {
        self.evaluate_or(subject, |_, _| None)
    }

    /// The same, but `known_elsewhere` may supply the findings of a limit that needs an unknown fact.
    pub fn evaluate_or(
        &self,
        subject: &Subject<'_>,
        known_elsewhere: impl Fn(&'static Definition, Unknown) -> Option<Vec<Finding>>,
    ) -> Vec<Finding> {
        let missing = on_missing_baseline::evaluate(self.on_missing_baseline, self.need_baseline(), subject);
        let mut findings = Vec::from_iter(missing);
        for limit in &self.set {
            let definition = limit.definition();
            let is_covered = |by: &str| findings.iter().any(|finding| finding.rule == by);
            if definition.covered_by.is_some_and(is_covered) {
                continue;
            }
            let found = limit.evaluate(subject).unwrap_or_else(|unknown| {
                known_elsewhere(definition, unknown)
                    .unwrap_or_else(|| vec![unknown.finding(definition.key.name, subject)])
            });
            findings.extend(found);
        }
        if !self.enforce.holds_on(&subject.today) {
            findings.iter_mut().for_each(Finding::do_not_enforce);
        }
        findings
    }
}

#[cfg(test)]
mod tests;
