//! Merges reports: those of the jobs of a matrix, or of a job that could not comment itself.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{ImageReport, MISSING_RULE, Report};
use super::saved::MAX_IMAGES;
use crate::compare::baseline::short;
use crate::image::platform::platform_key;
use crate::image::{Bytes, Platform};
use crate::limits::{Finding, Severity};

/// Reports that cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// There is none.
    #[error(
        "there is no report{of}; have each job save one with check --report, upload it even if the check fails, and pass the files or their directory"
    )]
    Nothing {
        /// The commit, in words.
        of: String,
    },
    /// No commit was requested, and the reports are for several.
    #[error("{one} is for commit {first}, but {other} is for {second}; merge only reports of one run")]
    Commits {
        /// A file.
        one: String,
        /// Its commit.
        first: String,
        /// Another file.
        other: String,
        /// Its commit.
        second: String,
    },
    /// There are more images than anybody reads.
    #[error("the reports have over {MAX_IMAGES} images in total; merge fewer of them")]
    Images,
    /// Two jobs have measured one image with different results.
    #[error(
        "{one} and {other} differ on the image `{image}`; give each job's images their own names (NAME=IMAGE), and merge only reports of one run"
    )]
    Twins {
        /// A file.
        one: String,
        /// Another file.
        other: String,
        /// The image, with its platform.
        image: String,
    },
}

/// A report, and the file that it was in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The file, for people.
    pub file: String,
    /// The report.
    pub report: Report,
}

/// An image that must have a report.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expected {
    /// The image's name.
    pub name: String,
    /// Its platform; `None` for any.
    pub platform: Option<Platform>,
}

impl Expected {
    /// Parses `NAME` or `NAME=PLATFORM`.
    pub fn parse(text: &str) -> Option<Expected> {
        let (name, platform) = match text.split_once('=') {
            Some((name, platform)) => (name, Some(platform.parse().ok()?)),
            None => (text, None),
        };
        (!name.is_empty()).then(|| Expected { name: name.to_owned(), platform })
    }

    fn not_delivered(&self) -> ImageReport {
        not_delivered(&self.name, self.platform.as_ref())
    }

    fn is(&self, image: &ImageReport) -> bool {
        // A removed platform does not count as expected.
        self.name == image.name
            && image.head.is_some()
            && self
                .platform
                .as_ref()
                .is_none_or(|own| platform_key(Some(own)) == platform_key(image.runs_on().as_ref()))
    }
}

/// Merges reports. With `head`, reports for other commits are left out and mentioned; without it, all must be for one
/// commit. Expected images without a report fail.
///
/// # Errors
/// [`MergeError`].
pub fn merge(saved: Vec<Saved>, expected: &[Expected], head: Option<&str>) -> Result<Report, MergeError> {
    let mut notes = Vec::new();
    let (saved, others): (Vec<Saved>, Vec<Saved>) =
        saved.into_iter().partition(|saved| head.is_none() || saved.report.head_sha.as_deref() == head);
    if let Some(other) = others.first() {
        // Without their names, which whoever saved them has chosen.
        let of = other.report.head_sha.as_deref().map_or("no commit".into(), short);
        notes.push(match others.len() {
            1 => format!("a report is for another commit, {of}, and is left out"),
            more => {
                format!("{more} reports are left out, because they belong to other commits, such as {of}")
            }
        });
    }
    let Some(first) = saved.first() else {
        // All jobs failed before they could report. The comment says so, if it is known what to expect.
        if !expected.is_empty() {
            let missing = expected.iter().map(Expected::not_delivered).collect();
            return Ok(Report { notes, ..Report::new(head.map(str::to_owned), missing) });
        }
        let of = head.map(|head| format!(" of {}", short(head)));
        return Err(MergeError::Nothing { of: of.unwrap_or_default() });
    };
    same_commit(first, &saved)?;
    let head_sha = first.report.head_sha.clone();
    let versions: BTreeSet<String> = saved.iter().map(|saved| saved.report.layergate.clone()).collect();
    if versions.len() > 1 {
        let versions: Vec<String> = versions.into_iter().take(10).collect();
        notes.push(format!("the jobs use different versions of layergate: {}", versions.join(", ")));
    }
    notes.extend(saved.iter().flat_map(|saved| saved.report.notes.iter().cloned()));
    let accept = saved.iter().find_map(|saved| saved.report.accept.clone());
    let accepted = saved.iter().find_map(|saved| saved.report.accepted.clone());
    // The smallest of all jobs; any change, if one has none.
    let least: Option<Vec<Bytes>> = saved.iter().map(|saved| saved.report.min_change).collect();
    let min_change = least.and_then(|least| least.into_iter().min());
    let configurations =
        saved.iter().map(|saved| &saved.report.configurations).find(|names| !names.is_empty());
    let configurations = configurations.cloned().unwrap_or_default();
    let mut images = distinct(saved)?;
    let missing = expected.iter().filter(|expected| !images.iter().any(|image| expected.is(image)));
    let missing: Vec<ImageReport> = missing.map(Expected::not_delivered).collect();
    images.extend(missing);
    Ok(Report { accept, accepted, notes, configurations, min_change, ..Report::new(head_sha, images) })
}

/// Renames unexpected images in untrusted reports to `unexpected image 1` and so on, because a report may use any words
/// as an image's name. Returns their number.
pub fn name_unexpected(saved: &mut [Saved], is_expected: impl Fn(&str) -> bool) -> usize {
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let images = saved.iter_mut().flat_map(|saved| &mut saved.report.images);
    for image in images.filter(|image| !is_expected(&image.name)) {
        let next = numbers.len() + 1;
        let number = *numbers.entry(image.name.clone()).or_insert(next);
        image.name = format!("unexpected image {number}");
        image.reference.clone_from(&image.name);
        if let Some(base) = &mut image.base {
            base.name.clone_from(&image.name);
        }
    }
    numbers.len()
}

fn same_commit(first: &Saved, saved: &[Saved]) -> Result<(), MergeError> {
    let of = |saved: &Saved| saved.report.head_sha.clone().unwrap_or_else(|| "none".into());
    match saved.iter().find(|saved| saved.report.head_sha != first.report.head_sha) {
        Some(other) => Err(MergeError::Commits {
            one: first.file.clone(),
            first: of(first),
            other: other.file.clone(),
            second: of(other),
        }),
        None => Ok(()),
    }
}

/// All images, each once: the same report may have been saved twice.
fn distinct(saved: Vec<Saved>) -> Result<Vec<ImageReport>, MergeError> {
    let mut seen: BTreeMap<(String, String), (String, ImageReport)> = BTreeMap::new();
    for Saved { file, report } in saved {
        for image in report.images {
            let key = (image.name.clone(), platform_key(image.runs_on().as_ref()));
            match seen.get(&key) {
                Some((_, same)) if *same == image => {}
                Some((one, _)) => {
                    let image = match &image.platform {
                        Some(platform) => format!("{} ({platform})", image.name),
                        None => image.name,
                    };
                    return Err(MergeError::Twins { one: one.clone(), other: file, image });
                }
                None if seen.len() == MAX_IMAGES => return Err(MergeError::Images),
                None => {
                    seen.insert(key, (file.clone(), image));
                }
            }
        }
    }
    Ok(seen.into_values().map(|(_, image)| image).collect())
}

/// Stands for an image without a report. A gate that has not seen it must not pass.
pub(super) fn not_delivered(name: &str, platform: Option<&Platform>) -> ImageReport {
    let finding = Finding {
        rule: MISSING_RULE.into(),
        severity: Severity::Fail,
        message: "no report arrived".into(),
        measured: None,
        limit: None,
        subject: name.to_owned(),
        help: "check the job that measures it: it failed earlier, was skipped, or did not save its report"
            .into(),
        dockerfile: None,
    };
    ImageReport::without_image(name, platform, vec![finding])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Bytes, Snapshot};
    use crate::limits::Verdict;

    fn image(name: &str, size: u64) -> ImageReport {
        let mut head = Snapshot::made_up(Vec::new());
        head.image.name = name.to_owned();
        head.totals.uncompressed = Some(Bytes(size));
        ImageReport::added(&head.into())
    }

    fn saved(file: &str, sha: &str, images: Vec<ImageReport>) -> Saved {
        Saved { file: file.to_owned(), report: Report::new(Some(sha.to_owned()), images) }
    }

    fn expected(names: &[&str]) -> Vec<Expected> {
        names.iter().map(|name| Expected::parse(name).unwrap()).collect()
    }

    #[test]
    fn every_image_is_there_once_and_those_that_are_not_there_fail() {
        let reports = vec![
            saved("a", "1", vec![image("api", 1)]),
            saved("b", "1", vec![image("web", 2)]),
            saved("a again", "1", vec![image("api", 1)]),
        ];
        let all = merge(reports.clone(), &expected(&["api", "web"]), None).unwrap();
        assert_eq!((all.images.len(), all.verdict, all.notes.len()), (2, Verdict::Pass, 0));
        let fewer = merge(reports, &expected(&["api", "web", "worker=linux/arm64"]), Some("1")).unwrap();
        assert_eq!((fewer.images.len(), fewer.verdict), (3, Verdict::Fail));
        let missing = fewer.images.iter().find(|image| image.is_not_delivered()).unwrap();
        assert_eq!((missing.name.as_str(), missing.platform.as_deref()), ("worker", Some("linux/arm64")));
    }

    #[test]
    fn reports_of_other_commits_are_left_out_or_refused() {
        let reports = || vec![saved("a", "1", vec![image("api", 1)]), saved("b", "2", vec![image("web", 2)])];
        let of_one = merge(reports(), &[], Some("2")).unwrap();
        assert_eq!((of_one.images.len(), of_one.notes.len()), (1, 1), "{:?}", of_one.notes);
        assert!(matches!(merge(reports(), &[], None), Err(MergeError::Commits { .. })));
        assert!(matches!(merge(reports(), &[], Some("3")), Err(MergeError::Nothing { .. })));
        let none = merge(reports(), &expected(&["api"]), Some("3")).unwrap();
        assert_eq!((none.images.len(), none.verdict, none.notes.len()), (1, Verdict::Fail, 1));
    }

    #[test]
    fn what_nobody_expects_has_no_words_of_its_own() {
        let names = |saved: &[Saved]| -> Vec<String> {
            saved
                .iter()
                .flat_map(|saved| saved.report.images.iter().map(|image| image.name.clone()))
                .collect()
        };
        let mut reports = vec![
            saved("a", "1", vec![image("approved by security", 1), image("api", 1)]),
            saved("b", "1", vec![image("web", 2), image("approved by security", 1)]),
            saved("c", "1", vec![image("unexpected image 1", 2)]),
        ];
        assert_eq!(name_unexpected(&mut reports, |name| name == "api"), 3);
        let numbered = |number: usize| format!("unexpected image {number}");
        assert_eq!(names(&reports), [numbered(1), "api".into(), numbered(2), numbered(1), numbered(3)]);
        // One image in two reports is still one.
        assert_eq!(merge(reports, &expected(&["api"]), None).unwrap().images.len(), 4);
        let mut known = vec![saved("a", "1", vec![image("api", 1)])];
        assert_eq!((name_unexpected(&mut known, |_| true), names(&known)), (0, vec!["api".to_owned()]));
    }

    #[test]
    fn two_images_of_one_name_are_refused_and_mixed_versions_said() {
        let twins = vec![saved("a", "1", vec![image("api", 1)]), saved("b", "1", vec![image("api", 2)])];
        assert!(matches!(merge(twins, &[], None), Err(MergeError::Twins { .. })));
        let mut old = saved("b", "1", vec![image("web", 2)]);
        old.report.layergate = "0.0.1".into();
        let mixed = merge(vec![saved("a", "1", vec![image("api", 1)]), old], &[], None).unwrap();
        assert!(mixed.notes[0].contains("0.0.1"), "{:?}", mixed.notes);
    }
}
