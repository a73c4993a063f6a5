//! The sentences that all outputs share.

use super::escape::short;
use super::merge::{MISSING_RULE, is_not_delivered};
use super::model::{ImageReport, Report};
use crate::baseline::find::short as short_sha;
use crate::compare::files::PathChange;
use crate::compare::{FileChanges, LayerRow, PackageStatus, Part, PartKind, Status, Waste};
use crate::image::bytes::group_digits;
use crate::image::snapshot::{BoundaryBy, LayerRef, Place};
use crate::image::{Bytes, Delta, Measured, Totals};
use crate::policy::stages::Outcome;
use crate::policy::{Acceptance, BASELINE_RULE, Finding, Judgement, Severity, Verdict};

/// The icon of a verdict. Never alone: words say the same.
pub fn icon(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "\u{2705}",
        Verdict::Warn => "\u{26a0}\u{fe0f}",
        Verdict::Accepted => "\u{2611}\u{fe0f}",
        Verdict::Fail => "\u{274c}",
    }
}

/// An amount, or the word for what is not known.
pub fn amount(bytes: Option<Bytes>) -> String {
    bytes.map_or_else(|| "unknown".into(), |bytes| bytes.to_string())
}

/// An amount to the byte, or the word for what is not known.
pub fn exact(bytes: Option<Bytes>) -> String {
    bytes.map_or_else(|| "unknown".into(), Bytes::grouped)
}

/// A count, or the word for what is not known.
pub fn counted(count: Option<u64>) -> String {
    count.map_or_else(|| "unknown".into(), group_digits)
}

/// A difference and its share: `+18.4 MiB (+7.9%)`.
pub fn change(delta: Delta, base: Bytes) -> String {
    match delta.percent_of(base).filter(|_| delta != Delta(0)) {
        Some(share) => format!("{delta} ({share})"),
        None => delta.to_string(),
    }
}

/// What happened, in one sentence after the image's name: the answer to "pass or fail, by how much".
pub fn headline(image: &ImageReport) -> String {
    let worst = image.findings.iter().map(|finding| finding.severity).max();
    let mut worst = image.findings.iter().filter(|finding| Some(finding.severity) == worst);
    let Some(first) = worst.next() else { return calm_headline(image) };
    let accepted = if image.verdict == Verdict::Accepted { "; accepted" } else { "" };
    let sentence = finding_headline(image, first) + accepted;
    match worst.count() {
        0 => sentence,
        1 => format!("{sentence}, and 1 more finding"),
        more => format!("{sentence}, and {more} more findings"),
    }
}

fn calm_headline(image: &ImageReport) -> String {
    if image.head.is_none() {
        let platform = image.platform.as_deref().unwrap_or("its platform");
        return format!("is no longer there for {platform}");
    }
    let moved = movement(image);
    if image.base.is_none() {
        return format!("{moved}; no baseline to compare with");
    }
    let limited = image.limits.keys().any(|key| key != "metric" && key != "on-missing-baseline");
    if limited { format!("{moved}, within the limits") } else { moved }
}

fn finding_headline(image: &ImageReport, finding: &Finding) -> String {
    let limit = finding.limit.as_deref().unwrap_or("unknown");
    match finding.rule.as_str() {
        "max-increase" | "warn-increase" => format!("{}, over the +{limit} limit", movement(image)),
        "max-own-increase" => {
            let own =
                image.split.map_or_else(|| "more".to_owned(), |split| split.own.magnitude().to_string());
            format!("grew {own} without its base image, over the +{limit} limit")
        }
        "max-size" => format!("is {}, over the limit of {limit}", amount(image.head_size())),
        "max-layers" => {
            let layers = image.head_totals().map(|totals| totals.layers);
            format!("has {} layers, over the limit of {limit}", counted(layers))
        }
        "max-layer-size" => format!("has a layer over the limit of {limit}"),
        "max-build-only" => {
            let judged = image.stages.as_ref().map(|stages| stages.build_only);
            format!("ships {} that only its build needed, over the limit of {limit}", amount(judged))
        }
        "multi-stage" => match &image.stages {
            Some(stages) => stages_headline(stages, finding.measured),
            None => "is not built in stages".into(),
        },
        "forbid-paths" => "has files that are forbidden".into(),
        "max-wasted" => {
            let wasted = image.head_totals().and_then(|totals| totals.wasted);
            format!("wastes {}, over the limit of {limit}", amount(wasted))
        }
        MISSING_RULE => "has no report".into(),
        BASELINE_RULE => {
            let why = if image.has_unusable_base() {
                "its baseline cannot be used"
            } else {
                "no baseline was found"
            };
            format!("is {}; {why}", amount(image.head_size()))
        }
        _ => format!("{}: {}", movement(image), finding.message),
    }
}

/// `held` is what is held against the image: bytes of our own programs that build, and what they read.
fn stages_headline(judged: &Judgement, held: Option<i64>) -> String {
    let own = (judged.build_only - judged.build_only_of_base).magnitude();
    let of_base = judged.build_only_of_base;
    match (judged.outcome, own) {
        (Outcome::Fail, _) if held.is_none_or(|held| held == 0) => {
            format!("builds with its base image, and ships {of_base} that only that needed")
        }
        (Outcome::Fail, own) => format!("ships {own} that only its build needed"),
        (_, Bytes(0)) => format!("inherits {of_base} that only builds need from its base image"),
        (_, own) => {
            let base = if of_base == Bytes(0) { String::new() } else { format!(", and inherits {of_base}") };
            format!("is built in stages, but ships {own} that only builds need{base}")
        }
    }
}

fn movement(image: &ImageReport) -> String {
    let Some((delta, base)) = image.size_delta().zip(image.base_size()) else {
        return format!("is {}", amount(image.head_size()));
    };
    let share = delta.percent_of(base).map(|share| format!(" ({share})")).unwrap_or_default();
    match delta.0 {
        0 => "did not change in size".into(),
        1.. => format!("grew {}{share}", delta.magnitude()),
        _ => format!("shrank {}{share}", delta.magnitude()),
    }
}

/// The sentence over a report of several images.
pub fn headline_of_many(report: &Report) -> String {
    let count = |verdict| report.images.iter().filter(|image| image.verdict == verdict).count();
    let missing = report.images.iter().filter(|image| is_not_delivered(image)).count();
    let all = report.images.iter().filter(|image| image.head.is_some()).count() + missing;
    let sentence = match report.verdict {
        Verdict::Fail => format!("{} of {all} images fail", count(Verdict::Fail)),
        Verdict::Warn => format!("{all} images pass, {} with a warning", count(Verdict::Warn)),
        Verdict::Accepted => {
            format!("{} of {all} images over a limit and accepted", count(Verdict::Accepted))
        }
        Verdict::Pass => format!("{all} images within their limits"),
    };
    let sentence = match missing {
        0 => sentence,
        missing => format!("{sentence}, {missing} of them without a report"),
    };
    match report.images.len() - all {
        0 => sentence,
        gone => format!("{sentence}, {gone} no longer there"),
    }
}

/// By what a broken limit is accepted, around what is hostile text: the words before it, it, and those after it.
pub fn accepted(acceptance: &Acceptance) -> [String; 3] {
    let when =
        acceptance.at.as_deref().map_or_else(String::new, |at| format!(" on {}", at.get(..10).unwrap_or(at)));
    match (&acceptance.label, &acceptance.trailer) {
        (Some(label), _) => ["by the label ".into(), label.clone(), when],
        (None, trailer) => {
            let commit = acceptance.commit.as_deref().map_or("a commit".into(), short_sha);
            let name = trailer.clone().unwrap_or_default();
            ["by the trailer ".into(), name, format!(" of {commit}{when}")]
        }
    }
}

/// What leads in who has accepted: a label is GitHub's word, and a commit's author is the commit's own.
pub fn accepted_by(acceptance: &Acceptance) -> &'static str {
    if acceptance.label.is_some() { ", by " } else { ", its author given as " }
}

/// What would accept a broken limit, in the same three parts for each way.
pub fn ways_to_accept(report: &Report) -> Vec<[String; 3]> {
    let mut failing = report.images.iter().filter(|image| image.verdict == Verdict::Fail);
    let Some(ways) = report.accept.as_ref().filter(|_| failing.any(ImageReport::is_acceptable)) else {
        return Vec::new();
    };
    let up_to =
        ways.max_increase.as_ref().map_or_else(String::new, |bound| format!(" (growth up to {bound})"));
    let labels = ways.labels.iter().map(|label| ["the label ".into(), label.clone(), up_to.clone()]);
    let trailer = ways
        .trailer
        .iter()
        .map(|name| ["the commit trailer ".into(), format!("{name}: REASON"), up_to.clone()]);
    labels.chain(trailer).collect()
}

/// The limits that a table shows beside a size, or the others where there are no such.
pub fn size_limits(image: &ImageReport) -> String {
    let limit = |key: &str, prefix: &str| image.limits.get(key).map(|limit| format!("{prefix}{limit}"));
    let limits = [
        limit("max-increase", "+"),
        limit("warn-increase", "warn +"),
        limit("max-own-increase", "own +"),
        limit("max-size", "max "),
    ];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    if !limits.is_empty() {
        return limits.join(", ");
    }
    // Where none is about the size: "none" beside a broken limit would be a riddle.
    let others = [
        image.limits.get("max-wasted").map(|limit| format!("wasted {limit}")),
        image.limits.get("max-layer-size").map(|limit| format!("a layer {limit}")),
        image.limits.get("max-layers").map(|limit| format!("{limit} layers")),
        image.limits.get("max-build-only").map(|limit| format!("build only {limit}")),
        image.limits.get("multi-stage").filter(|rule| *rule != "off").map(|_| "stages".to_owned()),
    ];
    let others: Vec<String> = others.into_iter().flatten().collect();
    if others.is_empty() { "none".into() } else { others.join(", ") }
}

/// The name of a part of a cause, and what else is to be said of it. Both are hostile text.
pub fn part(part: &Part) -> (String, String) {
    match part.kind {
        PartKind::Package => {
            let versions = versions(part.from.as_deref(), part.to.as_deref());
            (part.name.clone(), if versions.is_empty() { versions } else { format!(" {versions}") })
        }
        PartKind::Directory => (format!("/{}/", part.name), format!(" {}", files(part.files))),
        PartKind::File => (format!("/{}", part.name), String::new()),
    }
}

/// `2.1 → 2.2`, `2.2`, `2.1 removed`. Versions are hostile text, and may be long.
pub fn versions(from: Option<&str>, to: Option<&str>) -> String {
    // A version has no blanks: what comes after one is a sentence.
    let word = |version: &str| short(version.split_whitespace().next().unwrap_or_default(), 40);
    let (from, to) = (from.map(word), to.map(word));
    let (from, to) = (from.as_deref(), to.as_deref());
    match (from, to) {
        (Some(from), Some(to)) if from != to => format!("{from} \u{2192} {to}"),
        (_, Some(to)) => to.to_owned(),
        (Some(from), None) => format!("{from} removed"),
        (None, None) => String::new(),
    }
}

/// `1 file`, `1,234 files`.
pub fn files(count: u64) -> String {
    if count == 1 { "1 file".into() } else { format!("{} files", group_digits(count)) }
}

/// Those of the changes, largest first, that are not nothing beside the largest, and some of them anyway.
pub fn telling(changes: &[PathChange]) -> impl Iterator<Item = &PathChange> {
    let largest = changes.first().map_or(0, |change| change.delta.magnitude().0);
    let tells = move |change: &PathChange| change.delta.magnitude().0 >= largest / 100;
    changes
        .iter()
        .enumerate()
        .filter(move |(index, change)| *index < 3 || tells(change))
        .map(|(_, change)| change)
}

/// The word for what became of a package.
pub fn package_status(status: PackageStatus) -> &'static str {
    match status {
        PackageStatus::Added => "added",
        PackageStatus::Removed => "removed",
        PackageStatus::Upgraded => "upgraded",
        PackageStatus::Downgraded => "downgraded",
        PackageStatus::Changed => "changed",
    }
}

/// `2 upgraded, 1 added`.
pub fn package_counts(image: &ImageReport) -> String {
    use PackageStatus::{Added, Changed, Downgraded, Removed, Upgraded};
    let counts = image.package_counts;
    let parts = [
        (counts.upgraded, Upgraded),
        (counts.downgraded, Downgraded),
        (counts.added, Added),
        (counts.removed, Removed),
        (counts.changed, Changed),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts = parts.map(|(count, status)| format!("{} {}", group_digits(*count), package_status(*status)));
    parts.collect::<Vec<_>>().join(", ")
}

/// The largest of a cause's parts, largest first: of what is named, the eye takes in the first.
pub fn largest_parts(parts: &[Part], most: usize) -> Vec<&Part> {
    let mut parts: Vec<&Part> = parts.iter().collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.delta.magnitude()));
    parts.truncate(most);
    parts
}

/// What an image is called where several are spoken of: its name, and its platform where the name alone
/// does not tell.
pub fn label(report: &Report, image: &ImageReport) -> String {
    let namesakes = report.images.iter().filter(|other| other.name == image.name).count();
    match image.platform.as_deref().filter(|_| namesakes > 1) {
        Some(platform) => format!("{} {platform}", image.name),
        None => image.name.clone(),
    }
}

/// `12 added, 3 removed, 1 grown`.
pub fn file_counts(changes: &FileChanges) -> String {
    let counts = [
        (changes.added, "added"),
        (changes.removed, "removed"),
        (changes.grown, "grown"),
        (changes.shrunk, "shrunk"),
    ];
    let parts = counts.iter().filter(|(counted, _)| counted.files > 0);
    let parts = parts.map(|(counted, word)| format!("{} {word}", group_digits(counted.files)));
    parts.collect::<Vec<_>>().join(", ")
}

/// How much of what went in the difference's direction is named: `98% of what grew`.
pub fn coverage(image: &ImageReport, named: Delta) -> String {
    let direction = image.delta.as_ref().map_or(0, |delta| delta.unpacked.0.signum());
    let along = image.causes.iter().map(|cause| cause.delta).filter(|delta| delta.0.signum() == direction);
    let word = if direction < 0 { "shrank" } else { "grew" };
    format!("{} of what {word}", share(named, along.sum()))
}

/// A share in whole percent.
pub fn share(named: Delta, whole: Delta) -> String {
    let (named, whole) = (i128::from(named.0), i128::from(whole.0));
    match (named * 100).checked_div(whole) {
        // Never rounded up to all of it.
        Some(100) if named != whole => "99%".into(),
        Some(share) => format!("{share}%"),
        None => "none".into(),
    }
}

/// How many files two layers waste, after where they are: ` (3 files)`; nothing for the one that is named.
pub fn wasted_files(waste: &Waste) -> String {
    match (waste.files, waste.elsewhere) {
        (1, _) => String::new(),
        (count, false) => format!(" ({})", files(count)),
        (count, true) => format!(" and elsewhere ({})", files(count)),
    }
}

/// A place in few words.
pub fn place(place: &Place) -> String {
    match place.short_name() {
        Some(name) => format!("\u{2026}/{name}:{}", place.line),
        None => place.to_string(),
    }
}

/// A layer's instruction and place, or its number: `RUN make (Dockerfile:5)`.
pub fn layer_ref(layer: &LayerRef) -> (Option<String>, String) {
    let place = layer.dockerfile.as_ref().map(place);
    let step = layer.instruction.as_ref().map(|step| step.as_str().to_owned());
    (place, step.unwrap_or_else(|| format!("layer {}", layer.index + 1)))
}

/// Whether there is no base image, now and before.
fn is_built_on_nothing(image: &ImageReport) -> bool {
    let of_base = |row: &LayerRow| row.of_base_image == Some(true);
    !image.layers.iter().any(of_base)
}

/// Whether an image is built in stages, and why that is said.
pub fn stages(judged: &Judgement) -> String {
    let word = match judged.outcome {
        Outcome::Pass => "pass",
        Outcome::Warn => "pass, with something left to do",
        Outcome::Fail => "built where it runs",
    };
    format!("{word}: {}", judged.reason)
}

/// How sure it is where the base image ends.
pub fn boundary(how: BoundaryBy) -> &'static str {
    match how {
        BoundaryBy::Dockerfile | BoundaryBy::Image => "",
        BoundaryBy::Label => " (as the image's label says)",
        BoundaryBy::History => " (a guess)",
    }
}

/// Whether a table has the base image's drift already, and nothing is to be added, such as that it is a guess.
pub fn drift_is_in_table(image: &ImageReport) -> bool {
    image.split.is_some_and(|split| split.base_image != Delta(0) && boundary(split.how).is_empty())
}

/// What of the difference is the base image's; empty where that is not known.
pub fn base_image(image: &ImageReport) -> String {
    let Some(split) = image.split.as_ref().filter(|_| !is_built_on_nothing(image)) else {
        return String::new();
    };
    let guess = boundary(split.how);
    match split.base_image {
        Delta(0) => format!("base image unchanged{guess}"),
        drift => format!("base image {drift}, own layers {}{guess}", split.own),
    }
}

/// What the sizes of an image mean, for the small print.
pub fn basis(image: &ImageReport) -> String {
    let measured = match image.measured {
        Measured::Content => "counted from the layers",
        Measured::Engine => "as the engine reported it",
    };
    format!("{} size, {measured}", image.metric)
}

/// What is said of a baseline: what leads in, its commit as `main@a1b2c3d`, and why this one. The last two are
/// text from documents that anyone may have written.
pub fn baseline(image: &ImageReport) -> (&'static str, Option<String>, &str) {
    let Some(base) = &image.base else {
        return match &image.no_base {
            // A finding has said why.
            Some(_) if image.findings.iter().any(|finding| finding.rule == BASELINE_RULE) => {
                ("", None, "no baseline")
            }
            Some(missing) => ("", None, &missing.message),
            None => ("baseline ", None, "none"),
        };
    };
    let label = base.commit.as_ref().map(|commit| {
        let sha: String = commit.sha.chars().take(7).collect();
        let branch = commit.reference.as_deref().and_then(|reference| reference.strip_prefix("refs/heads/"));
        branch.map_or_else(|| sha.clone(), |branch| format!("{}@{sha}", super::escape::short(branch, 60)))
    });
    ("baseline ", label, &base.how)
}

/// `2 changed, 1 added, 9 unchanged (171 MiB)`.
pub fn layer_counts(image: &ImageReport) -> String {
    let of = |status: Status| image.layers.iter().filter(move |row| row.status == status);
    let words = [
        (Status::Rebuilt, "rebuilt"),
        (Status::Changed, "changed"),
        (Status::Added, "added"),
        (Status::Removed, "removed"),
        (Status::Moved, "moved"),
    ];
    let mut parts: Vec<String> = words
        .iter()
        .map(|(status, word)| (of(*status).count(), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let kept = of(Status::Kept).count();
    if kept > 0 {
        let bytes = crate::image::snapshot::sum_known(of(Status::Kept).map(|row| row.head_size));
        parts.push(format!(
            "{kept} unchanged ({})",
            bytes.map_or_else(|| "size unknown".into(), |b| b.to_string())
        ));
    }
    if parts.is_empty() { "none".into() } else { parts.join(", ") }
}

/// The word for a row's status.
pub fn status(status: Status) -> &'static str {
    match status {
        Status::Kept => "unchanged",
        Status::Moved => "moved",
        Status::Rebuilt => "rebuilt",
        Status::Changed => "changed",
        Status::Added => "added",
        Status::Removed => "removed",
    }
}

/// A signed count: `+2`, `-3`, `0`.
pub fn signed_count(value: i64) -> String {
    let sign = match value {
        0 => "",
        1.. => "+",
        _ => "-",
    };
    format!("{sign}{}", group_digits(value.unsigned_abs()))
}

/// The word for a finding's severity.
pub fn severity(image: &ImageReport, finding: &Finding) -> &'static str {
    match finding.severity {
        Severity::Fail if image.verdict == Verdict::Accepted => "accepted",
        Severity::Fail => "fail",
        Severity::Warn => "warn",
    }
}

/// What to do about a finding; nothing where it is accepted.
pub fn next_step<'a>(image: &ImageReport, finding: &'a Finding) -> Option<&'a str> {
    let is_accepted = finding.severity == Severity::Fail && image.verdict == Verdict::Accepted;
    Some(finding.help.as_str()).filter(|help| !help.is_empty() && !is_accepted)
}

/// The images of a report, largest difference first; equal ones by name and platform. Those of which nothing is
/// known come before all, and then those that fail: among many others nobody would see them.
pub fn by_difference(report: &Report) -> Vec<&ImageReport> {
    let mut images: Vec<&ImageReport> = report.images.iter().collect();
    let size = |image: &ImageReport| image.size_delta().map_or(0, |delta| delta.magnitude().0);
    images.sort_by(|a, b| {
        let unknown = is_not_delivered(b).cmp(&is_not_delivered(a));
        let fails = (b.verdict == Verdict::Fail).cmp(&(a.verdict == Verdict::Fail));
        unknown
            .then(fails)
            .then_with(|| size(b).cmp(&size(a)))
            .then_with(|| (&a.name, &a.platform).cmp(&(&b.name, &b.platform)))
    });
    images
}

/// What stands for the size of an image that is no longer there.
pub const GONE: &str = "gone";
/// What stands for the size of an image of which no report came.
pub const NO_REPORT: &str = "no report";

/// One figure of the accounting on both sides, to the byte.
pub struct Figure {
    /// What is counted.
    pub name: &'static str,
    /// The baseline's, or empty without one.
    pub base: String,
    /// The image's own.
    pub head: String,
    /// Head minus base, or empty where a side is unknown.
    pub delta: String,
    /// The difference as a share of the base, as ` (+7.9%)`, or empty.
    pub share: String,
}

/// The accounting of both sides.
pub fn figures(image: &ImageReport) -> Vec<Figure> {
    let (base, head) = (image.base.as_ref().map(|base| &base.totals), image.head_totals());
    let bytes = |name, of: fn(&Totals) -> Option<Bytes>| {
        let exact = |totals: &Totals| exact(of(totals));
        let delta = base.and_then(of).zip(head.and_then(of)).map(|(base, head)| (head - base, base));
        let share = delta.and_then(|(delta, base)| delta.percent_of(base).filter(|_| delta != Delta(0)));
        Figure {
            name,
            base: base.map_or_else(String::new, exact),
            head: head.map_or_else(|| GONE.into(), exact),
            delta: delta.map_or_else(String::new, |(delta, _)| delta.grouped()),
            share: share.map_or_else(String::new, |share| format!(" ({share})")),
        }
    };
    let count = |name, of: fn(&Totals) -> Option<u64>| {
        let shown = |totals: &Totals| counted(of(totals));
        let delta = base.and_then(of).zip(head.and_then(of)).map(|(base, head)| head as i64 - base as i64);
        let (base, delta) =
            (base.map_or_else(String::new, shown), delta.map_or_else(String::new, signed_count));
        Figure { name, base, head: head.map_or_else(|| GONE.into(), shown), delta, share: String::new() }
    };
    let mut figures = vec![bytes("unpacked bytes", |totals| Some(totals.unpacked))];
    figures.extend(split_figures(image));
    figures.extend([
        bytes("visible bytes", |totals| totals.visible),
        bytes("wasted bytes", |totals| totals.wasted),
        bytes("compressed bytes", |totals| totals.compressed),
        count("layers", |totals| Some(totals.layers)),
        count("files", |totals| totals.files),
    ]);
    figures
}

/// The unpacked bytes, split where the base image ends.
fn split_figures(image: &ImageReport) -> Vec<Figure> {
    let (Some(split), Some(base), Some(head)) = (&image.split, &image.base, image.head_totals()) else {
        return Vec::new();
    };
    if is_built_on_nothing(image) {
        return Vec::new();
    }
    let own_head = Bytes((split.own_base.0 as i64 + split.own.0).max(0) as u64);
    let rest = |totals: &Totals, own: Bytes| (totals.unpacked - own).magnitude();
    let figure = |name, base: Bytes, head: Bytes| {
        let delta = head - base;
        let share = delta.percent_of(base).filter(|_| delta != Delta(0));
        Figure {
            name,
            base: base.grouped(),
            head: head.grouped(),
            delta: delta.grouped(),
            share: share.map_or_else(String::new, |share| format!(" ({share})")),
        }
    };
    vec![
        figure("  of the base image", rest(&base.totals, split.own_base), rest(head, own_head)),
        figure("  own", split.own_base, own_head),
    ]
}
