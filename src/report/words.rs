//! The sentences that all outputs share.

use std::cmp::Ordering;

use super::escape::short;
use super::look::Sizes;
use super::model::{ImageReport, MISSING_RULE, Report};
use crate::compare::baseline::short as short_sha;
use crate::compare::causes::StoringLayer;
use crate::compare::files::PathChange;
use crate::compare::{
    Cause, CausePart, ConfigChange, ConfigPart, FileChanges, LayerRow, Moved, PackageRow, PackageStatus,
    PartKind, Status, Waste,
};
use crate::config::Acceptance;
use crate::image::bytes::{Units, group_digits};
use crate::image::layer_ref::{DockerfileLines, LayerRef};
use crate::image::snapshot::{BoundaryBy, sum_known};
use crate::image::{Bytes, Day, Delta, ImageName, LinesBy, Measured, Totals, UpdateSize};
use crate::limits::{self, BASELINE_RULE, Finding, Metric, NOT_EVALUATED_RULE, Severity, Verdict};
use crate::sort;
use crate::stages::{Evaluation, RemovableOutcome};

/// Maximum characters of a text in the config.
const MAX_CONFIG: usize = 60;

/// The icon of a verdict. Never used alone: words say the same.
pub fn icon(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "\u{2705}",
        Verdict::Warn | Verdict::Unenforced => "\u{26a0}\u{fe0f}",
        Verdict::Accepted => "\u{2611}\u{fe0f}",
        Verdict::Fail => "\u{274c}",
    }
}

/// An amount, or the word for unknown.
pub fn amount(bytes: Option<Bytes>) -> String {
    bytes.map_or_else(|| "unknown".into(), |bytes| bytes.to_string())
}

/// A count, or the word for unknown.
pub fn counted(count: Option<u64>) -> String {
    count.map_or_else(|| "unknown".into(), group_digits)
}

/// The finding for the headline: the first of the most serious ones, with exceeded limits before those that could not
/// be evaluated.
pub fn worst(image: &ImageReport) -> Option<&Finding> {
    let worst = image.findings.iter().map(|finding| finding.severity).max()?;
    let mut serious = image.findings.iter().filter(|finding| finding.severity == worst);
    serious.clone().find(|finding| finding.rule != NOT_EVALUATED_RULE).or_else(|| serious.next())
}

/// What happened, in one sentence after the image's name: pass or fail, and by how much.
pub fn headline(image: &ImageReport) -> String {
    let drift = only_base_image(image).map_or_else(String::new, |drift| format!("; {drift}"));
    let Some(first) = worst(image) else { return calm_headline(image) + &drift };
    let outcome = outcome(image, first);
    // A finding's message ends with the reason why it does not fail.
    let note = first.message.rfind(" (warning only: ").and_then(|at| first.message.get(at..)).unwrap_or("");
    let sentence = format!("{}{note}{outcome}{drift}", finding_headline(image, first));
    let others = image.findings.iter().filter(|finding| finding.severity == first.severity).count() - 1;
    match others {
        0 => sentence,
        1 => format!("{sentence}, and 1 more finding"),
        more => format!("{sentence}, and {more} more findings"),
    }
}

/// `base image python:3.13-slim grew 4.2 MB`, if that certainly explains the whole difference.
pub fn only_base_image(image: &ImageReport) -> Option<String> {
    let split = image.split.filter(|split| boundary(split.how).is_empty() && split.app == Delta(0))?;
    let is_its = |cause: &Cause| {
        let row = image.layers.iter().find(|row| row.head_index == cause.head_index);
        cause.head_index.is_none() || row.is_some_and(|row| row.of_base_image == Some(true))
    };
    if split.base_image == Delta(0) || !image.causes.iter().all(is_its) {
        return None;
    }
    let name = base_image_name(image).map_or_else(String::new, |name| format!(" {name}"));
    let verb = if split.base_image > Delta(0) { "grew" } else { "shrank" };
    Some(format!("base image{name} {verb} {}", split.base_image.magnitude()))
}

/// The base image's name without its registry and digest; untrusted text.
pub fn base_image_name(image: &ImageReport) -> Option<String> {
    let name = ImageName::parse(image.base_image.as_deref()?);
    let tag = name.tag.map_or_else(String::new, |tag| format!(":{tag}"));
    Some(short(&format!("{}{tag}", name.short()), MAX_CONFIG))
}

/// Why an exceeded limit does not fail, to follow a sentence; empty if it does.
fn outcome(image: &ImageReport, finding: &Finding) -> String {
    match finding.severity {
        Severity::Unenforced => format!("; {}", enforcement(image)),
        Severity::Fail if image.verdict == Verdict::Accepted => "; accepted".into(),
        Severity::Fail | Severity::Warn => String::new(),
    }
}

/// `not enforced until 2027-01-31`.
fn enforcement(image: &ImageReport) -> String {
    let until = image.values_of("enforce").find_map(|text| text.trim().parse::<Day>().ok());
    until.map_or_else(|| "not enforced".into(), |day| format!("not enforced until {day}"))
}

fn calm_headline(image: &ImageReport) -> String {
    if image.head.is_none() {
        let platform = image.platform.as_deref().unwrap_or("its platform");
        return format!("no longer has an image for {platform}");
    }
    let size = image.shown().size_and_change(Units::Decimal);
    if image.base.is_none() {
        return format!("is {size}; no baseline to compare with");
    }
    if image.set_limits().next().is_some() {
        format!("is {size}, within its limits")
    } else {
        format!("is {size}")
    }
}

fn finding_headline(image: &ImageReport, finding: &Finding) -> String {
    if let Some(limit) = limits::definition(&finding.rule) {
        return (limit.headline)(finding, &image.shown());
    }
    match finding.rule.as_str() {
        MISSING_RULE => "has no report".into(),
        NOT_EVALUATED_RULE => format!("is not evaluated in full: {}", finding.message),
        BASELINE_RULE if image.has_unusable_base() => {
            format!("is {}; its baseline cannot be used", image.shown().size_and_change(Units::Decimal))
        }
        BASELINE_RULE => {
            format!("is {}; no baseline to compare with", image.shown().size_and_change(Units::Decimal))
        }
        _ => format!("is {}: {}", image.shown().size_and_change(Units::Decimal), finding.message),
    }
}

/// The difference between two images, to stand between their names: `is 1.9 MB, +348 kB (+22.3%) compared with `.
pub fn difference(image: &ImageReport, sizes: Sizes) -> String {
    match (image.head_size(), image.base_size()) {
        (Some(head), Some(base)) if head == base => {
            format!("is {}, unchanged in size compared with ", sizes.bytes(head))
        }
        (Some(head), Some(base)) => {
            format!("is {}, {} compared with ", sizes.bytes(head), sizes.change(head - base, base))
        }
        (Some(head), None) => format!("is {} and new compared with ", sizes.bytes(head)),
        (None, Some(base)) => format!("lacks this platform, which is {} in ", sizes.bytes(base)),
        (None, None) => "compared with ".into(),
    }
}

/// How much changed: `: 5 layers, 31 packages, 214 files changed · update size 84.2 MB`; empty if nothing did.
pub fn changed(image: &ImageReport, sizes: Sizes) -> String {
    let layers = image.layers.iter().filter(|row| row.status != Status::Unchanged).count() as u64;
    let files = image
        .files
        .as_ref()
        .map_or(0, |files| files.added.files + files.removed.files + files.grown.files + files.shrunk.files);
    let count = |count: u64, word: &str| {
        let ending = if count == 1 { "" } else { "s" };
        (count > 0).then(|| format!("{} {word}{ending}", group_digits(count)))
    };
    let parts = [count(layers, "layer"), count(image.package_counts.all(), "package"), count(files, "file")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let changed = (!parts.is_empty()).then(|| format!("{} changed", parts.join(", ")));
    let update =
        image.update.filter(|update| update.bytes > Bytes(0)).map(|update| update_size(update, sizes));
    let said: Vec<String> = changed.into_iter().chain(update).collect();
    if said.is_empty() { String::new() } else { format!(": {}", said.join(" \u{b7} ")) }
}

/// `update size 84.2 MB`; an estimate is marked as an upper bound.
fn update_size(update: UpdateSize, sizes: Sizes) -> String {
    let most = if update.estimated { "at most " } else { "" };
    format!("update size {most}{}", sizes.bytes(update.bytes))
}

/// Compares names in natural order: `app2` before `app10`.
pub fn natural(one: &str, other: &str) -> Ordering {
    let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (mut a, mut b) = (one, other);
    loop {
        let (in_a, in_b) = (digits(a), digits(b));
        let order = if in_a > 0 && in_b > 0 {
            let (x, y) = (a[..in_a].trim_start_matches('0'), b[..in_b].trim_start_matches('0'));
            (a, b) = (&a[in_a..], &b[in_b..]);
            x.len().cmp(&y.len()).then_with(|| x.cmp(y))
        } else {
            let (mut left, mut right) = (a.chars(), b.chars());
            let (x, y) = (left.next(), right.next());
            (a, b) = (left.as_str(), right.as_str());
            if x.is_none() && y.is_none() {
                return one.cmp(other);
            }
            x.cmp(&y)
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Where a layer of the image was made: a Dockerfile line, or the layer's number.
fn layer_place(image: &ImageReport, layer: u64) -> String {
    let row = image.layers.iter().find(|row| row.head_index == Some(layer));
    let lines = row.and_then(|row| row.dockerfile.as_ref());
    lines.map_or_else(|| format!("layer {}", layer + 1), place)
}

/// The place of a package, if others have the same name.
pub fn repeated_place(image: &ImageReport, row: &PackageRow) -> Option<String> {
    let namesakes = image.packages.iter().filter(|other| other.name == row.name).count();
    Some(layer_place(image, row.layer.filter(|_| namesakes > 1)?))
}

/// Where limits come from, if not only from the usual file: `limits of layergate.toml and ...`.
pub fn configurations(report: &Report) -> Option<String> {
    let (last, before) = report.configurations.split_last()?;
    let and = if before.is_empty() { String::new() } else { format!("{} and ", before.join(", ")) };
    Some(format!("limits of {and}{last}"))
}

/// The answer of a whole report: the name of the image that it is about, if it is about one, and the sentence after that
/// name. Both are untrusted text.
pub fn answer(report: &Report) -> (Option<String>, String) {
    match (report.images.as_slice(), only_failing(report)) {
        ([image], _) => (Some(image.name.clone()), headline(image)),
        (_, Some((image, others))) => (Some(label(report, image)), format!("{}; {others}", headline(image))),
        _ => (None, headline_of_many(report)),
    }
}

/// The failing image, if it is the only one of several, and what to say of the others.
pub fn only_failing(report: &Report) -> Option<(&ImageReport, String)> {
    let mut failing = report.images.iter().filter(|image| image.verdict == Verdict::Fail);
    let image = failing.next().filter(|image| !image.is_not_delivered())?;
    // An image whose limits are not enforced may exceed them.
    if report.images.iter().any(|other| matches!(other.verdict, Verdict::Unenforced | Verdict::Accepted)) {
        return None;
    }
    let others = report.images.iter().filter(|other| other.head.is_some()).count() - 1;
    let pass = match others {
        0 => return None,
        1 => "the other image passes".to_owned(),
        others => format!("{others} others pass"),
    };
    failing.next().is_none().then(|| (image, pass + &removed(report.images.len() - 1 - others)))
}

/// The headline of a report of several images.
pub fn headline_of_many(report: &Report) -> String {
    let count = |verdict| report.images.iter().filter(|image| image.verdict == verdict).count();
    let missing = report.images.iter().filter(|image| image.is_not_delivered()).count();
    let all = report.images.iter().filter(|image| image.head.is_some()).count() + missing;
    let sentence = match report.verdict {
        Verdict::Fail => match count(Verdict::Fail) {
            1 => format!("1 of {all} images fails"),
            count => format!("{count} of {all} images fail"),
        },
        Verdict::Unenforced => {
            format!("{} of {all} images exceed a limit; not enforced", count(Verdict::Unenforced))
        }
        Verdict::Warn => format!("{all} images pass, {} with a warning", count(Verdict::Warn)),
        Verdict::Accepted => {
            format!("{} of {all} images exceed a limit; accepted", count(Verdict::Accepted))
        }
        Verdict::Pass => format!("{all} images within their limits"),
    };
    let sentence = match missing {
        0 => sentence,
        1 if count(Verdict::Fail) == 1 => format!("1 of {all} images has no report"),
        missing if count(Verdict::Fail) == missing => format!("{missing} of {all} images have no report"),
        missing => format!("{sentence}, {missing} of them without a report"),
    };
    sentence + &removed(report.images.len() - all)
}

/// `, 2 removed`: the images that the baseline has and the report has not.
fn removed(count: usize) -> String {
    if count == 0 { String::new() } else { format!(", {count} removed") }
}

/// How an exceeded limit was accepted, as untrusted text and the words around it: before, text, after.
pub fn accepted(acceptance: &Acceptance) -> [String; 3] {
    let when =
        acceptance.at.as_deref().map_or_else(String::new, |at| format!(" on {}", at.get(..10).unwrap_or(at)));
    let of =
        acceptance.pull.map_or_else(String::new, |pull| format!(" of #{pull} (ahead in the merge queue)"));
    match (&acceptance.label, &acceptance.trailer) {
        (Some(label), _) => {
            let added = if when.is_empty() { when } else { format!(", added{when}") };
            ["by the label ".into(), label.clone(), of + &added]
        }
        (None, trailer) => {
            let commit = acceptance.commit.as_deref().map_or("a commit".into(), short_sha);
            let name = trailer.clone().unwrap_or_default();
            ["by the trailer ".into(), name, format!(" of {commit}{of}{when}")]
        }
    }
}

/// Introduces who accepted: GitHub vouches for labels, but a commit's author is only what the commit says.
pub fn accepted_by(acceptance: &Acceptance) -> &'static str {
    match (&acceptance.label, &acceptance.at) {
        (Some(_), Some(_)) => " by ",
        (Some(_), None) => ", added by ",
        (None, _) => ", its author given as ",
    }
}

/// What would accept an exceeded limit, each in the same three parts.
pub fn ways_to_accept(report: &Report) -> Vec<[String; 3]> {
    let mut failing = report.images.iter().filter(|image| image.verdict == Verdict::Fail);
    let Some(ways) = report.accept.as_ref().filter(|_| failing.any(ImageReport::is_acceptable)) else {
        return Vec::new();
    };
    let up_to = ways
        .max_increase
        .as_ref()
        .map_or_else(String::new, |bound| format!(" (growth up to {})", bound.replace('\n', " and ")));
    let labels = ways.labels.iter().map(|label| ["the label ".into(), label.clone(), up_to.clone()]);
    let trailer = ways
        .trailer
        .iter()
        .map(|name| ["the commit trailer ".into(), format!("{name}: REASON"), up_to.clone()]);
    labels.chain(trailer).collect()
}

/// The exceeded limits, each with its value: `max-increase = 1%`. For a single image also those that are not exceeded.
pub fn rules(image: &ImageReport, single: bool) -> String {
    let rule = |rule: &str, value: &str| format!("{rule} = {}", limits::unbroken(&value.replace('\n', ", ")));
    let found = image.findings.iter().filter(|finding| limits::definition(&finding.rule).is_some());
    let mut exceeded: Vec<String> =
        found.map(|finding| rule(&finding.rule, finding.limit.as_deref().unwrap_or("unknown"))).collect();
    exceeded.dedup();
    if !exceeded.is_empty() || !single {
        return exceeded.join(", ");
    }
    let of = |about_size: bool| -> Vec<String> {
        let shown = image.set_limits().filter(|(limit, _)| limit.is_about_size() == about_size);
        shown.map(|(limit, value)| rule(limit.key.name, value)).collect()
    };
    let limits = of(true);
    // Limits that are not about size are shown if there are no others: an empty cell would be a riddle.
    if limits.is_empty() { of(false).join(", ") } else { limits.join(", ") }
}

/// The name of a part of a cause, and a remark about it. Both are untrusted text.
pub fn part(part: &CausePart) -> (String, String) {
    match part.kind {
        PartKind::Package => {
            let versions = versions(part.from.as_deref(), part.to.as_deref());
            (part.name.clone(), if versions.is_empty() { versions } else { format!(" {versions}") })
        }
        PartKind::Directory => (format!("/{}/", part.name), format!(" {}", files(part.files))),
        PartKind::File => (format!("/{}", part.name), String::new()),
    }
}

/// `2.1 → 2.2`, `2.2`, `2.1 removed`. Versions are untrusted text, and may be long.
pub fn versions(from: Option<&str>, to: Option<&str>) -> String {
    // A version contains no blanks: text after one is a sentence, except between several versions.
    let word = |version: &str| {
        let words: Vec<String> = version.split_whitespace().take(5).map(|word| short(word, 40)).collect();
        match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [_, "and", _] => words.join(" "),
            [first, _, "and", "others"] if first.ends_with(',') => words.join(" "),
            [first, ..] => first.to_owned(),
            [] => String::new(),
        }
    };
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

/// The largest changes, those that are not negligible beside the largest, and always a few.
pub fn telling(changes: &[PathChange]) -> impl Iterator<Item = &PathChange> {
    let largest = changes.first().map_or(0, |change| change.delta.magnitude().0);
    let tells = move |change: &PathChange| change.delta.magnitude().0 >= largest / 100;
    changes
        .iter()
        .enumerate()
        .filter(move |(index, change)| *index < 3 || tells(change))
        .map(|(_, change)| change)
}

/// The word for a package's status.
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

/// The largest of a cause's parts, largest first, since readers look at the first.
pub fn largest_parts(parts: &[CausePart], most: usize) -> Vec<&CausePart> {
    let mut parts: Vec<&CausePart> = parts.iter().collect();
    sort::by_key(&mut parts, |part| std::cmp::Reverse(part.delta.magnitude()));
    parts.truncate(most);
    parts
}

/// An image's label among several: its name, and its platform if the name is not unique.
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

/// Where something moved: both places, each as a Dockerfile line or else as a layer; `None` if they read the same.
pub fn moved_between(moved: &Moved) -> Option<[String; 2]> {
    let at = |stored: &StoringLayer| {
        stored.dockerfile.as_ref().map_or_else(|| format!("layer {}", stored.layer + 1), place)
    };
    let places = [at(&moved.from), at(&moved.to)];
    (places[0] != places[1]).then_some(places)
}

/// A few of the packages that moved, and the number of others.
pub fn some_packages(moved: &Moved) -> Vec<String> {
    const NAMED: usize = 3;
    let more = moved.packages.len().saturating_sub(NAMED) as u64 + moved.more_packages;
    let mut names: Vec<String> = moved.packages.iter().take(NAMED).cloned().collect();
    names.extend((more > 0).then(|| format!("{} more", group_digits(more))));
    names
}

/// How much of the growth or shrinkage is named: `98% of what grew`.
pub fn coverage(image: &ImageReport, named: Delta) -> String {
    let direction = image.delta.and_then(|delta| delta.uncompressed).map_or(0, |delta| delta.0.signum());
    let along = image.causes.iter().map(|cause| cause.delta).filter(|delta| delta.0.signum() == direction);
    let word = if direction < 0 { "shrank" } else { "grew" };
    format!("{} of what {word}", share(named, along.sum()))
}

/// A share in whole percent.
pub fn share(named: Delta, whole: Delta) -> String {
    let (named, whole) = (i128::from(named.0), i128::from(whole.0));
    match (named * 100).checked_div(whole) {
        // Never rounded up to the whole.
        Some(100) if named != whole => "99%".into(),
        Some(share) => format!("{share}%"),
        None => "none".into(),
    }
}

/// The number of files that two layers waste, after their places: ` (3 files)`; empty for a single file, which is
/// named.
pub fn wasted_files(waste: &Waste) -> String {
    match (waste.files, waste.elsewhere) {
        (1, _) => String::new(),
        (count, false) => format!(" ({})", files(count)),
        (count, true) => format!(" and elsewhere ({})", files(count)),
    }
}

/// A place in few words.
pub fn place(place: &DockerfileLines) -> String {
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

/// Whether there is no base image, now or before.
fn is_built_on_nothing(image: &ImageReport) -> bool {
    let of_base = |row: &LayerRow| row.of_base_image == Some(true);
    !image.layers.iter().any(of_base)
}

/// Whether the build is multi-stage, and the reason for that result.
pub fn stages(evaluated: &Evaluation) -> String {
    let word = match evaluated.outcome {
        RemovableOutcome::Pass => "pass",
        RemovableOutcome::Warn => "pass, with a warning",
        RemovableOutcome::Fail => "not multi-stage",
    };
    format!("{word}: {}", evaluated.reason)
}

/// How certain the base image boundary is.
pub fn boundary(how: BoundaryBy) -> &'static str {
    match how {
        BoundaryBy::Provenance | BoundaryBy::Dockerfile | BoundaryBy::Image => "",
        BoundaryBy::Label => " (as the image's label says)",
        BoundaryBy::History => " (estimated)",
    }
}

/// Whether a table already shows the base image's drift, and nothing needs to be added, such as that it is estimated.
pub fn drift_is_in_table(image: &ImageReport) -> bool {
    image.split.is_some_and(|split| split.base_image != Delta(0) && boundary(split.how).is_empty())
}

/// The base image's part of the difference; empty if unknown.
pub fn base_image(image: &ImageReport) -> String {
    let Some(split) = image.split.as_ref().filter(|_| !is_built_on_nothing(image)) else {
        return String::new();
    };
    let how = boundary(split.how);
    match split.base_image {
        Delta(0) => format!("base image unchanged{how}"),
        drift if split.app == Delta(0) => format!("base image {drift}{how}"),
        drift => format!("base image {drift}, application layers {}{how}", split.app),
    }
}

/// The meaning of an image's sizes, for the small print.
pub fn basis(image: &ImageReport) -> String {
    format!("{} size{}", image.metric, basis_of_any(image))
}

/// The same without the metric.
pub fn basis_of_any(image: &ImageReport) -> String {
    let measured = match image.measured {
        Measured::Content => "",
        Measured::Engine => " as the engine reports it",
    };
    let lines = image.lines.map_or_else(String::new, |by| format!("; {}", lines_by(by)));
    format!("{measured}{lines}")
}

/// `USER root -> app, 2 ENV, ENTRYPOINT`: the differences in how containers are started. The texts are untrusted.
pub fn config(changes: &[ConfigChange]) -> String {
    let one = |change: &ConfigChange| {
        let part = change.part.as_str();
        match (change.part, &change.base, &change.head) {
            (ConfigPart::User | ConfigPart::Workdir | ConfigPart::Stopsignal, Some(base), Some(head)) => {
                let [base, head] = [base, head].map(|text| short(text, MAX_CONFIG));
                format!("{part} {base} \u{2192} {head}")
            }
            _ => match change.added.len() + change.removed.len() {
                0 => part.to_owned(),
                names => format!("{names} {part}"),
            },
        }
    };
    changes.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// A part of the config before and now: its text or, for variables, ports and labels, the removed names and the new
/// ones.
pub fn config_sides(change: &ConfigChange) -> [Vec<&str>; 2] {
    match change.added.is_empty() && change.removed.is_empty() {
        true => [&change.base, &change.head].map(|text| text.iter().map(String::as_str).collect()),
        false => [&change.removed, &change.added].map(|names| names.iter().map(String::as_str).collect()),
    }
}

/// How lines are known.
pub fn lines_by(by: LinesBy) -> &'static str {
    match by {
        LinesBy::Provenance => "line numbers from build provenance",
        LinesBy::Estimated => "line numbers estimated",
    }
}

/// The metric of all measured images; `None` if they differ.
pub fn common_metric<'a>(images: impl IntoIterator<Item = &'a ImageReport>) -> Option<Metric> {
    let mut metrics = images.into_iter().filter(|image| image.head.is_some()).map(|image| image.metric);
    let first = metrics.next().unwrap_or_default();
    metrics.all(|other| other == first).then_some(first)
}

/// The sum of a size over all measured images; `None` if one is unknown, or the metrics differ.
pub fn size_of_all(images: &[ImageReport], size: fn(&ImageReport) -> Option<Bytes>) -> Option<Bytes> {
    common_metric(images)?;
    sum_known(images.iter().filter(|image| image.head.is_some()).map(size))
}

/// The description of a baseline: an introduction, its commit as `main@a1b2c3d`, and why it was chosen. The last two
/// are text from documents that anyone may have written.
pub fn baseline(image: &ImageReport) -> (&'static str, Option<String>, &str) {
    let Some(base) = &image.base else {
        return match &image.no_base {
            // A finding already says why.
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

/// `2 changed, 1 added, 9 unchanged (171 MB)`.
pub fn layer_counts(image: &ImageReport) -> String {
    let of = |status: Status| image.layers.iter().filter(move |row| row.status == status);
    let words = [
        (Status::Rebuilt, "rebuilt"),
        (Status::Changed, "changed"),
        (Status::Added, "added"),
        (Status::Removed, "removed"),
        (Status::Moved, "moved"),
        (Status::Repacked, "repacked"),
    ];
    let mut parts: Vec<String> = words
        .iter()
        .map(|(status, word)| (of(*status).count(), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let kept = of(Status::Unchanged).count();
    if kept > 0 {
        let bytes = sum_known(of(Status::Unchanged).map(|row| row.head_size));
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
        Status::Unchanged => "unchanged",
        Status::Moved => "moved",
        Status::Rebuilt => "rebuilt",
        Status::Changed => "changed",
        Status::Repacked => "repacked",
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
        Severity::Unenforced => "unenforced",
        Severity::Warn => "warn",
    }
}

/// What to do about a finding; `None` if it is accepted.
pub fn next_step<'a>(image: &ImageReport, finding: &'a Finding) -> Option<&'a str> {
    let is_accepted = finding.severity == Severity::Fail && image.verdict == Verdict::Accepted;
    Some(finding.help.as_str()).filter(|help| !help.is_empty() && !is_accepted)
}

/// The images of a report, largest growth first and shrinkage last; equal ones by name and platform. Images without a
/// report come first, then those that fail: among many others they would be overlooked.
pub fn by_difference(report: &Report) -> Vec<&ImageReport> {
    let mut images: Vec<&ImageReport> = report.images.iter().collect();
    let growth = |image: &ImageReport| {
        let delta = image.size_delta().unwrap_or_default();
        (delta.0 >= 0, delta.magnitude())
    };
    sort::by(&mut images, |a, b| {
        let unknown = b.is_not_delivered().cmp(&a.is_not_delivered());
        let exceeds = |image: &ImageReport| match image.verdict {
            Verdict::Fail => 2,
            Verdict::Unenforced => 1,
            _ => 0,
        };
        let fails = exceeds(b).cmp(&exceeds(a));
        unknown
            .then(fails)
            .then_with(|| growth(b).cmp(&growth(a)))
            .then_with(|| natural(&a.name, &b.name))
            .then_with(|| a.platform.cmp(&b.platform))
    });
    images
}

/// Stands for the size of a removed image.
pub const GONE: &str = "gone";
/// Stands for the size of an image without a report.
pub const NO_REPORT: &str = "no report";

/// One figure on both sides.
pub struct Figure {
    /// What it counts.
    pub name: &'static str,
    /// The baseline's value; empty without a baseline.
    pub base: String,
    /// The image's own value.
    pub head: String,
    /// Head minus base; empty if a side is unknown.
    pub delta: String,
    /// The difference as a share of the base, as ` (+7.9%)`, or empty.
    pub share: String,
}

/// The sizes of both sides.
pub fn figures(image: &ImageReport, sizes: Sizes) -> Vec<Figure> {
    let (base, head) = (image.base.as_ref().map(|base| &base.totals), image.head_totals());
    let bytes = |name, of: fn(&Totals) -> Option<Bytes>| {
        let shown = |totals: &Totals| sizes.amount(of(totals));
        let delta = base.and_then(of).zip(head.and_then(of)).map(|(base, head)| (head - base, base));
        let share = delta.and_then(|(delta, base)| delta.percent_of(base).filter(|_| delta != Delta(0)));
        Figure {
            name,
            base: base.map_or_else(String::new, shown),
            head: head.map_or_else(|| GONE.into(), shown),
            delta: delta.map_or_else(String::new, |(delta, _)| sizes.delta(delta)),
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
    let mut figures = vec![bytes("uncompressed", |totals| totals.uncompressed)];
    figures.extend(split_figures(image, sizes));
    figures.extend([
        bytes("flattened", |totals| totals.flattened),
        bytes("wasted", |totals| totals.wasted),
        bytes("compressed", |totals| totals.compressed),
    ]);
    figures.extend(image.update.map(|update| update_figure(update, sizes)));
    figures.extend([count("layers", |totals| Some(totals.layers)), count("files", |totals| totals.files)]);
    figures
}

/// What a host that has the baseline downloads.
fn update_figure(update: UpdateSize, sizes: Sizes) -> Figure {
    Figure {
        name: if update.estimated { "update, at most" } else { "update" },
        base: String::new(),
        head: sizes.amount(Some(update.bytes)),
        delta: String::new(),
        share: String::new(),
    }
}

/// The uncompressed size, split at the base image boundary.
fn split_figures(image: &ImageReport, sizes: Sizes) -> Vec<Figure> {
    let (Some(split), Some(base), Some(head)) = (&image.split, &image.base, image.head_totals()) else {
        return Vec::new();
    };
    if is_built_on_nothing(image) {
        return Vec::new();
    }
    let own_head = Bytes((split.app_base.0 as i64 + split.app.0).max(0) as u64);
    let rest = |totals: &Totals, own: Bytes| Some((totals.uncompressed? - own).magnitude());
    let Some((base_below, head_below)) = rest(&base.totals, split.app_base).zip(rest(head, own_head)) else {
        return Vec::new();
    };
    let figure = |name, base: Bytes, head: Bytes| {
        let delta = head - base;
        let share = delta.percent_of(base).filter(|_| delta != Delta(0));
        Figure {
            name,
            base: sizes.bytes(base),
            head: sizes.bytes(head),
            delta: sizes.delta(delta),
            share: share.map_or_else(String::new, |share| format!(" ({share})")),
        }
    };
    vec![
        figure("  base image", base_below, head_below),
        figure("  application layers", split.app_base, own_head),
    ]
}

#[cfg(test)]
mod tests {
    use super::{natural, versions};

    #[test]
    fn several_versions_are_all_shown_and_no_sentence_is() {
        for (from, to, shown) in [
            (Some("24.0 and 25.0"), Some("25.0"), "24.0 and 25.0 \u{2192} 25.0"),
            (Some("1, 2 and others"), None, "1, 2 and others removed"),
            (Some("1 is old"), Some("2, not 3 and more"), "1 \u{2192} 2,"),
        ] {
            assert_eq!(versions(from, to), shown);
        }
    }

    #[test]
    fn names_are_in_the_order_in_which_people_count() {
        let mut names = ["app10", "app2", "app", "b1", "app02", "app2-x", "App1"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["App1", "app", "app02", "app2", "app2-x", "app10", "b1"]);
    }
}
