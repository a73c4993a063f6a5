//! `multi-stage`: an image has to be a multi-stage build, or ship no build tools and build inputs.

use super::definition::{Exceeded, HeadlineContext, Limit, Needs};
use super::key::{LimitKey, ValueError, ValueForm, choice};
use super::subject::Fact;
use super::{Finding, Severity, Subject, Unknown};
use crate::image::{Bytes, RemovableOutcome};
use crate::stages::{Evaluation, held_against};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultiStage(Severity);

impl MultiStage {
    fn word(&self) -> &'static str {
        match self.0 {
            Severity::Warn => "warn",
            Severity::Fail | Severity::Unenforced => "require",
        }
    }
}

impl Limit for MultiStage {
    const KEY: LimitKey = LimitKey {
        name: "multi-stage",
        value_name: "OUTCOME",
        form: ValueForm::Choice(&["require", "warn", "off"]),
        default: Some("off"),
        help: "Keep build tools and build inputs out of the image, as multi-stage builds do: require, warn or off",
        description: "Whether images must be multi-stage builds, or else ship no build tools or build inputs. `require`: fail; `warn`: warn; `off`: not evaluated.",
        examples: &[],
    };
    const NEEDS: Needs = Needs { head: &[Fact::Stages], base: &[] };
    const COVERED_BY: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Option<MultiStage>, ValueError> {
        let choices = [("require", Some(Severity::Fail)), ("warn", Some(Severity::Warn)), ("off", None)];
        Ok(choice(text, &choices)?.map(MultiStage))
    }

    fn evaluate(&self, subject: &Subject<'_>) -> Result<Vec<Exceeded>, Unknown> {
        let evaluated = subject.head.stages()?;
        let now = subject.head.removable().map(held_against).unwrap_or_default();
        let (severity, note) = match evaluated.outcome {
            RemovableOutcome::Pass => return Ok(Vec::new()),
            RemovableOutcome::Warn => (Severity::Warn, ""),
            RemovableOutcome::Fail => {
                let base = subject.before();
                let before = base.and_then(|base| base.removable().ok()).map(held_against);
                let already = base.and_then(|base| base.recorded_outcome()).map_or_else(
                    || before.is_some_and(|bytes| bytes > Bytes(0)),
                    |outcome| outcome == RemovableOutcome::Fail,
                );
                let before = before.map(|bytes| bytes.0);
                let (severity, note) = subject.unless_inherited(now.0, before, already);
                (severity.min(self.0), note)
            }
        };
        Ok(vec![Exceeded {
            severity,
            message: format!("{}{note}", evaluated.reason),
            measured: i64::try_from(now.0).ok(),
            limit: self.word().into(),
            about: None,
            help: evaluated.help.clone(),
            dockerfile: evaluated.dockerfile.clone(),
        }])
    }

    fn headline(finding: &Finding, image: &HeadlineContext<'_>) -> String {
        let what = image.stages.map_or_else(
            || "is not built in stages".into(),
            |evaluated| what_it_ships(evaluated, finding.measured),
        );
        format!("fails {}: {what}", finding.rule)
    }
}

/// `held`: bytes of the application's own build tools and build inputs.
fn what_it_ships(evaluated: &Evaluation, held: Option<i64>) -> String {
    let own = (evaluated.removable - evaluated.removable_of_base).magnitude();
    let of_base = evaluated.removable_of_base;
    match (evaluated.outcome, own) {
        (RemovableOutcome::Fail, _) if held.is_none_or(|held| held == 0) => {
            format!("builds with tools of its base image and ships them ({of_base})")
        }
        (RemovableOutcome::Fail, own) => format!("ships {own} of removable files"),
        (_, Bytes(0)) => format!("inherits {of_base} of removable files from its base image"),
        (_, own) => {
            let base = if of_base == Bytes(0) { String::new() } else { format!(" and inherits {of_base}") };
            format!("is built in stages, but ships {own} of removable files{base}")
        }
    }
}
