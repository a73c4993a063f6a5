//! Acceptance ahead in a merge queue. A group includes all changes ahead of it, but may be compared with a baseline
//! without them: their accepted growth is not this change's. The comment on an accepted pull request carries hidden
//! data about it, because nothing else of a check stays with the pull request. Pure.

use serde::{Deserialize, Serialize};

use super::model::{ImageReport, Report};
use crate::config::{Accept, Acceptance};
use crate::image::{Bytes, Delta};
use crate::limits::{self, Finding, Metric, Threshold, Verdict};

/// Maximum bytes for it in a comment; a longer one is omitted.
const MOST: usize = 4000;

/// What was accepted for one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedImage {
    image: String,
    platform: Option<String>,
    /// How much the image grew, in the metric.
    growth: Option<Delta>,
    findings: Vec<AcceptedFinding>,
}

/// An exceeded limit that somebody has accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct AcceptedFinding {
    rule: String,
    subject: String,
    measured: i64,
}

/// An accepted pull request ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedAhead {
    /// How many commits its own commit is behind the group's, plus one.
    pub distance: u64,
    /// Its number, and how it was accepted.
    pub acceptance: Acceptance,
    /// What was accepted.
    pub images: Vec<AcceptedImage>,
}

/// The accepted part of a report, in characters that cannot end an HTML comment and mean nothing to GitHub.
pub fn write_accepted(report: &Report) -> Option<String> {
    let accepted = report.images.iter().filter(|image| image.verdict == Verdict::Accepted);
    let finding = |finding: &Finding| {
        let measured = finding.measured?;
        Some(AcceptedFinding { rule: finding.rule.clone(), subject: finding.subject.clone(), measured })
    };
    let image = |image: &ImageReport| AcceptedImage {
        image: image.name.clone(),
        platform: image.platform.clone(),
        growth: image.size_delta(),
        findings: image.failures().filter_map(finding).collect(),
    };
    let images: Vec<AcceptedImage> = accepted.map(image).collect();
    let json = serde_json::to_string(&images).ok().filter(|_| !images.is_empty())?;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || " \"\\,:[]{}._/+-".contains(letter);
    let escaped: String = json
        .encode_utf16()
        .map(|unit| match char::from_u32(u32::from(unit)).filter(|letter| plain(*letter)) {
            Some(letter) => letter.to_string(),
            None => format!("\\u{unit:04x}"),
        })
        .collect();
    (escaped.len() <= MOST).then_some(escaped)
}

/// Parses the output of [`write_accepted`]; empty if it is invalid.
pub fn read_accepted(text: &str) -> Vec<AcceptedImage> {
    serde_json::from_str(text).unwrap_or_default()
}

impl Report {
    /// Accepts images that fail only because of what was accepted ahead.
    pub fn accept_ahead(&mut self, ahead: &[AcceptedAhead]) {
        for image in self.images.iter_mut().filter(|image| image.verdict == Verdict::Fail) {
            let shown: &ImageReport = image;
            let below = accepted_below(shown, ahead);
            let covered =
                shown.is_acceptable() && shown.failures().all(|found| is_covered(found, shown, &below));
            if let (true, Some((by, _))) = (covered, below.first()) {
                self.accepted = Some((*by).clone());
                image.verdict = Verdict::Accepted;
            }
        }
        self.verdict = super::worst(&self.images);
    }

    /// Accepts the exceeded limits of each acceptable image. A missing report or baseline is not an exceeded limit.
    /// `max-increase` of the acceptance applies to this change's growth only.
    pub fn accept_with(&mut self, acceptance: &Acceptance, accept: &Accept, ahead: &[AcceptedAhead]) {
        for image in self.images.iter_mut().filter(|image| image.verdict == Verdict::Fail) {
            let below = accepted_below(image, ahead);
            let of_others = sum(below.iter().filter_map(|(_, accepted)| Some(accepted.growth?.0)));
            let own = image.size_delta().map(|growth| Delta(growth.0.saturating_sub(of_others)));
            if accept.reaches(own.zip(image.base_size())) && image.is_acceptable() {
                image.verdict = Verdict::Accepted;
                self.accepted = Some(acceptance.clone());
            }
        }
        self.verdict = super::worst(&self.images);
    }
}

/// What was accepted for an image in the entries that its baseline lacks.
fn accepted_below<'a>(
    image: &ImageReport,
    ahead: &'a [AcceptedAhead],
) -> Vec<(&'a Acceptance, &'a AcceptedImage)> {
    let distance = image.base.as_ref().and_then(|base| base.distance).unwrap_or(0);
    let since = ahead.iter().filter(|entry| entry.distance <= distance);
    let own = |entry: &'a AcceptedAhead| {
        let is_it = |one: &&AcceptedImage| one.image == image.name && one.platform == image.platform;
        Some((&entry.acceptance, entry.images.iter().find(is_it)?))
    };
    since.filter_map(own).collect()
}

/// Whether a limit is exceeded only by what was accepted; growth may exceed that by at most its limit.
fn is_covered(found: &Finding, image: &ImageReport, below: &[(&Acceptance, &AcceptedImage)]) -> bool {
    let Some(measured) = found.measured else { return false };
    let of_entry = |(_, accepted): &(&Acceptance, &AcceptedImage)| {
        let same = |one: &&AcceptedFinding| one.rule == found.rule && one.subject == found.subject;
        accepted.findings.iter().filter(same).map(|one| one.measured).max()
    };
    let accepted: Vec<i64> = below.iter().filter_map(of_entry).collect();
    let Some(most) = accepted.iter().max() else { return false };
    let growth = growth_base(found, image)
        .zip(found.limit.as_deref().and_then(|limit| limit.parse::<Threshold>().ok()));
    match growth {
        Some((before, limit)) => {
            let of_others = sum(accepted.iter().copied());
            let bound = limit.bytes_of(Bytes(before.0.saturating_add_signed(of_others)));
            measured.saturating_sub(of_others) <= bound.0 as i64
        }
        None => measured <= *most,
    }
}

/// Saturating, because anyone may have written the amounts.
fn sum(growth: impl Iterator<Item = i64>) -> i64 {
    growth.fold(0, i64::saturating_add)
}

/// The size that growth is measured from, if the limit is about growth. Updates do not add up: the layers of one
/// replace those of another.
fn growth_base(found: &Finding, image: &ImageReport) -> Option<Bytes> {
    let limit = limits::definition(&found.rule).filter(|limit| limit.is_on_growth())?;
    match limit.needs(limits::Fact::AppSize) {
        true => image.split.map(|split| split.app_base),
        false => image.base_size().filter(|_| image.metric != Metric::Update),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(rule: &str, measured: i64) -> AcceptedImage {
        let finding = AcceptedFinding { rule: rule.into(), subject: "app".into(), measured };
        AcceptedImage {
            image: "app".into(),
            platform: None,
            growth: Some(Delta(measured)),
            findings: vec![finding],
        }
    }

    fn fails(rule: &str, limit: &str, measured: i64) -> ImageReport {
        let found = Finding {
            rule: rule.into(),
            severity: limits::Severity::Fail,
            message: String::new(),
            measured: Some(measured),
            limit: Some(limit.into()),
            subject: "app".into(),
            help: String::new(),
            dockerfile: None,
        };
        let mut image = ImageReport::without_image("app", None, vec![found]);
        let totals = crate::image::Snapshot::made_up(Vec::new()).totals;
        let totals = crate::image::Totals { uncompressed: Some(Bytes(1000)), ..totals };
        let (name, how) = ("app".into(), String::new());
        let base =
            super::super::model::Base { name, totals, commit: None, distance: Some(2), exact: false, how };
        image.base = Some(base);
        image
    }

    fn verdict(image: ImageReport, ahead: &[(u64, AcceptedImage)]) -> Verdict {
        let mut report = Report::new(None, vec![image]);
        let entry = |(distance, image): &(u64, AcceptedImage)| AcceptedAhead {
            distance: *distance,
            acceptance: Acceptance::default(),
            images: vec![image.clone()],
        };
        report.accept_ahead(&ahead.iter().map(entry).collect::<Vec<_>>());
        report.verdict
    }

    #[test]
    fn growth_beyond_what_is_accepted_ahead_has_the_limit_of_one_change() {
        let grown = |measured| fails("max-increase", "5%", measured);
        let ahead = [(1, accepted("max-increase", 200))];
        // 5% of 1000 and of the 200 accepted on top.
        assert_eq!(verdict(grown(200), &ahead), Verdict::Accepted);
        assert_eq!(verdict(grown(260), &ahead), Verdict::Accepted);
        assert_eq!(verdict(grown(261), &ahead), Verdict::Fail);
        let two = [ahead[0].clone(), (2, accepted("max-increase", 300))];
        assert_eq!(verdict(grown(575), &two), Verdict::Accepted);
        assert_eq!(verdict(grown(576), &two), Verdict::Fail);
        // The baseline includes what is further ahead; acceptance of another image or limit does not count here.
        assert_eq!(verdict(grown(200), &[(3, accepted("max-increase", 200))]), Verdict::Fail);
        assert_eq!(verdict(grown(200), &[(1, accepted("max-size", 2000))]), Verdict::Fail);
        let other = AcceptedImage { image: "web".into(), ..accepted("max-increase", 200) };
        assert_eq!(verdict(grown(200), &[(1, other)]), Verdict::Fail);
        assert_eq!(verdict(grown(200), &[]), Verdict::Fail);
    }

    #[test]
    fn what_has_no_growth_may_be_no_worse_than_what_is_accepted_ahead() {
        let ahead = [(1, accepted("max-size", 1200))];
        assert_eq!(verdict(fails("max-size", "1 kB", 1200), &ahead), Verdict::Accepted);
        assert_eq!(verdict(fails("max-size", "1 kB", 1201), &ahead), Verdict::Fail);
        let mut unknown = fails("max-size", "1 kB", 1200);
        unknown.findings[0].measured = None;
        assert_eq!(verdict(unknown, &ahead), Verdict::Fail);
    }

    #[test]
    fn what_is_carried_along_is_read_again_and_is_no_markup() {
        let mut image = fails("max-increase", "5%", 200);
        image.verdict = Verdict::Accepted;
        image.name = "a-->\n<b>@team #7 \u{1f600}\u{e9}".into();
        let report = Report::new(None, vec![image.clone()]);
        let text = write_accepted(&report).unwrap();
        assert!(text.is_ascii() && !text.contains(['<', '>', '@', '#', '\n', '&', '`', '!']), "{text}");
        let [read] = read_accepted(&text).try_into().unwrap();
        assert_eq!((read.image, read.findings[0].measured), (image.name.clone(), 200));
        for other in ["", "[", "{}", "[{\"image\":1}]"] {
            assert!(read_accepted(other).is_empty(), "{other}");
        }
        image.name = "x".repeat(MOST);
        assert_eq!(write_accepted(&Report::new(None, vec![image])), None);
        assert_eq!(write_accepted(&Report::new(None, vec![fails("max-increase", "5%", 200)])), None);
    }
}
