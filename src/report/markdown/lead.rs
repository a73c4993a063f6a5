//! The part above the details: the verdict, why, what to do, how to accept it; and the small print at the end.

use super::{ImagePart, MAX_SENTENCE};
use crate::compare::{Cause, CausePart, LayerRow, Status};
use crate::image::layer_ref::{DockerfileLines, LayerRef};
use crate::image::removable::sum;
use crate::image::{Bytes, Delta, Instruction};
use crate::limits::{self, BASELINE_RULE, Definition, Fact, Finding, Metric, Severity, Verdict};
use crate::report::escape::{code, plain, prose, short};
use crate::report::links::{DOCS, HOME, RunLinks};
use crate::report::look::Sizes;
use crate::report::model::{ImageReport, Report};
use crate::report::words;
use crate::sort;

/// Maximum number of causes named, and the share of the difference, in percent, that suffices as an explanation.
const MAX_CAUSES: usize = 3;
const ENOUGH: u128 = 95;
/// Maximum number of instructions named that ship removable files.
const MAX_SHIPPING: usize = 2;
/// Maximum number of parts named for a cause, and the smallest share of it, in percent, worth naming.
const MAX_PARTS: usize = 3;
const WORTH_NAMING: u128 = 2;
/// Maximum number of causes in the details.
const MAX_LISTED: usize = 10;
/// Maximum characters of an instruction in a list of causes; the table of layers shows more.
const MAX_STEP: usize = 80;
/// Maximum characters of a finding's message, and of its advice.
const MAX_FINDING: usize = 1000;
const MAX_HELP: usize = 300;
/// Maximum characters of the text after a label or trailer.
const MAX_AFTER: usize = 60;
/// Maximum number of accepting labels named.
const MAX_WAYS: usize = 5;
/// Maximum number of different reasons given for several images, and of images named for each.
const MAX_REASONS: usize = 3;
const MAX_NAMED: usize = 3;
/// Maximum number of findings listed for one image.
const MAX_FINDINGS: usize = 20;
/// Two spaces make a line break, even where markdown is shown as in files.
const LINE_BREAK: &str = "  \n";

pub(super) fn heading(report: &Report) -> String {
    let (name, sentence) = words::answer(report);
    let name = name.map_or_else(String::new, |name| format!("{} ", code(&name)));
    format!("### {} {name}{}", words::icon(report.verdict), prose(&short(&sentence, MAX_SENTENCE)))
}

/// Why and what to do, how to accept it, and missing baselines; empty if there is nothing to say.
pub(super) fn lead(report: &Report, images: &[&ImageReport], sizes: Sizes) -> String {
    let mut lines = reasons(report, images, sizes);
    let others = match images {
        [image] => other_findings(image),
        _ => None,
    };
    let mut after: Vec<String> = acceptance(report).into_iter().collect();
    after.extend(missing_baselines(report, images));
    if others.is_none() {
        lines.append(&mut after);
    }
    let paragraphs = [lines.join(LINE_BREAK), others.unwrap_or_default(), after.join(LINE_BREAK)];
    let paragraphs: Vec<String> = paragraphs.into_iter().filter(|text| !text.is_empty()).collect();
    paragraphs.join("\n\n")
}

/// How the amounts in a reason are shown.
#[derive(Clone, Copy)]
enum Amounts {
    /// As they are.
    Each(Sizes),
    /// As the largest of several images.
    UpTo(Sizes),
    /// Not at all: two images have the same reason if the rest of the text is equal.
    Hidden,
}

impl Amounts {
    /// An amount, to follow its subject.
    fn of(self, shown: impl Fn(Sizes) -> String) -> String {
        match self {
            Amounts::Each(sizes) => format!(" {}", shown(sizes)),
            Amounts::UpTo(sizes) => format!(" up to {}", shown(sizes)),
            Amounts::Hidden => String::new(),
        }
    }
}

/// Why each image has its result, and what to do about it. What several images share is said once.
fn reasons(report: &Report, images: &[&ImageReport], sizes: Sizes) -> Vec<String> {
    let links = report.links.as_ref();
    let why = |image: &ImageReport, amounts| match image.is_not_delivered() {
        true => Some("no report arrived".to_owned()),
        false if is_about_removable(image) => ships(image, amounts, links),
        false => why(image, amounts, links),
    };
    let mut reasons: Vec<([Option<String>; 2], Vec<&ImageReport>)> = Vec::new();
    let is_told = |image: &&ImageReport| images.len() == 1 || image.verdict != Verdict::Pass;
    for image in images.iter().copied().filter(is_told) {
        let reason = [why(image, Amounts::Hidden), fix(image)];
        if reason.iter().all(Option::is_none) {
            continue;
        }
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, alike)) => alike.push(image),
            None => reasons.push((reason, vec![image])),
        }
    }
    // The heading names an image that is the only one to fail.
    let many = images.len() > 1 && (reasons.len() > 1 || words::only_failing(report).is_none());
    let left: usize = reasons.iter().skip(MAX_REASONS).map(|(_, alike)| alike.len()).sum();
    reasons.truncate(MAX_REASONS);
    let mut told = Vec::new();
    for (index, ([_, fix], alike)) in reasons.iter().enumerate() {
        let labels = alike.iter().map(|image| words::label(report, image)).collect();
        let of = if many { format!(" ({})", named(labels)) } else { String::new() };
        let mut exact = alike.iter().map(|image| why(image, Amounts::Each(sizes)));
        let first = exact.next().flatten();
        let is_same = exact.all(|other| other == first);
        // The images are sorted by growth.
        let first = if is_same { first } else { why(alike[0], Amounts::UpTo(sizes)) };
        told.extend(first.as_ref().map(|why| format!("**Why{of}:** {why}")));
        // Advice for several reasons is given once, after the last of them; images are named by their first reason.
        let is_told_later = reasons[index + 1..].iter().any(|([_, later], _)| later == fix);
        let of = if first.is_none() { of } else { String::new() };
        told.extend(fix.as_ref().filter(|_| !is_told_later).map(|fix| format!("**Fix{of}:** {fix}")));
    }
    told.extend((left > 0).then(|| format!("For {left} more, see the details below.")));
    told
}

/// `app2`, `app10` and 3 more.
fn named(mut labels: Vec<String>) -> String {
    sort::by(&mut labels, |a, b| words::natural(a, b));
    let more = labels.len().saturating_sub(MAX_NAMED);
    let shown: Vec<String> =
        labels.iter().take(MAX_NAMED).map(|label| code(&short(label, MAX_STEP))).collect();
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The instructions that explain the difference, in its direction.
fn why(image: &ImageReport, amounts: Amounts, links: Option<&RunLinks>) -> Option<String> {
    let delta = image.delta.as_ref()?.uncompressed?;
    let along = |cause: &&Cause| cause.delta.0.signum() == delta.0.signum();
    let (of_base, own): (Vec<&Cause>, Vec<&Cause>) =
        image.causes.iter().filter(along).partition(|cause| is_of_base(image, cause));
    let base: Delta = of_base.iter().map(|cause| cause.delta).sum();
    let mut causes: Vec<(Delta, Option<&Cause>)> =
        own.into_iter().map(|cause| (cause.delta, Some(cause))).collect();
    causes.extend((base != Delta(0)).then_some((base, None)));
    sort::by_key(&mut causes, |(delta, _)| std::cmp::Reverse(delta.magnitude()));
    let (mut told, mut shown, mut file) = (Delta(0), Vec::new(), None);
    let is_explained =
        |told: Delta| u128::from(told.magnitude().0) * 100 >= u128::from(delta.magnitude().0) * ENOUGH;
    let count = causes.len();
    for (amount, cause) in causes {
        if shown.len() == MAX_CAUSES || is_explained(told) {
            break;
        }
        told = [told, amount].into_iter().sum();
        shown.push(match cause {
            None => base_image(image) + &amounts.of(|sizes| sizes.delta(amount)),
            Some(cause) => {
                let place = cause.dockerfile.as_ref();
                let text = short_cause(cause, amounts, place.map(|place| linked(place, file, links)));
                file = place.map(|place| place.path.as_str()).or(file);
                text
            }
        });
    }
    if shown.is_empty() {
        return None;
    }
    // If many instructions add little each, where they add it says more.
    let is_small = u128::from(told.magnitude().0) * 2 < u128::from(delta.magnitude().0);
    let note = if image.metric == Metric::Uncompressed { "" } else { " (uncompressed)" };
    if let Some(directory) = (is_small && count > 1).then(|| directory(image, delta, amounts)).flatten() {
        return Some(format!("{directory}, by {count} instructions; the largest: {}{note}", shown.remove(0)));
    }
    let rest = count - shown.len();
    shown.extend((rest > 0 && !is_explained(told)).then(|| format!("{rest} more")));
    Some(listed(shown) + note)
}

/// The directory with most of the difference: `` `/opt/tools/` 42 files +135 kB``.
fn directory(image: &ImageReport, delta: Delta, amounts: Amounts) -> Option<String> {
    let largest = image.files.as_ref()?.directories.first()?;
    let is_most = largest.delta.0.signum() == delta.0.signum()
        && u128::from(largest.delta.magnitude().0) * 2 >= u128::from(delta.magnitude().0);
    let path = code(&short(&format!("/{}", largest.path), MAX_STEP));
    let amount = amounts.of(|sizes| sizes.delta(largest.delta));
    is_most.then(|| format!("{path} {}{amount}", words::files(largest.files)))
}

/// The base image in a reason.
fn base_image(image: &ImageReport) -> String {
    words::base_image_name(image)
        .map_or_else(|| "the base image".into(), |name| format!("base image {}", code(&name)))
}

/// Whether the heading is about removable files rather than growth.
fn is_about_removable(image: &ImageReport) -> bool {
    let is_its = |definition: &Definition| {
        !definition.needs_baseline() && (definition.needs(Fact::Removable) || definition.needs(Fact::Stages))
    };
    words::worst(image).and_then(|first| limits::definition(&first.rule)).is_some_and(is_its)
}

/// The instructions that ship most removable files; the base image's part if they ship none.
fn ships(image: &ImageReport, amounts: Amounts, links: Option<&RunLinks>) -> Option<String> {
    let counting = || image.removable.iter().filter(|one| one.counts());
    let mut layers: Vec<(Bytes, &LayerRef)> = Vec::new();
    for one in counting().filter(|one| !one.layer.of_base_image) {
        match layers.iter_mut().find(|(_, layer)| layer.index == one.layer.index) {
            Some((bytes, _)) => *bytes = bytes.saturating_add(one.bytes),
            None => layers.push((one.bytes, &one.layer)),
        }
    }
    sort::by_key(&mut layers, |(bytes, _)| std::cmp::Reverse(*bytes));
    if layers.is_empty() {
        let base = sum(counting());
        return (base > Bytes(0))
            .then(|| format!("the base image ships{}", amounts.of(|sizes| sizes.bytes(base))));
    }
    let (mut file, mut told) = (None, Vec::new());
    for (bytes, layer) in layers.iter().take(MAX_SHIPPING) {
        let place = layer.dockerfile.as_ref();
        let linked = place.map_or_else(String::new, |place| format!("{} ", linked(place, file, links)));
        file = place.map(|place| place.path.as_str()).or(file);
        let amount = amounts.of(|sizes| sizes.bytes(*bytes));
        told.push(format!("{linked}{}{amount}", step_code(layer.instruction.as_ref())));
    }
    let rest = layers.len() - told.len();
    told.extend((rest > 0).then(|| format!("{rest} more")));
    Some(listed(told))
}

/// An instruction in a list of causes: for a `RUN`, its command.
fn step_code(instruction: Option<&Instruction>) -> String {
    let step = instruction.map_or("(no history)", Instruction::as_str);
    code(&short(step.strip_prefix("RUN ").unwrap_or(step), MAX_STEP))
}

/// `a, b and c`.
fn listed(mut parts: Vec<String>) -> String {
    let last = parts.pop().unwrap_or_default();
    if parts.is_empty() { last } else { format!("{} and {last}", parts.join(", ")) }
}

/// Whether a cause is a layer of the base image.
fn is_of_base(image: &ImageReport, cause: &Cause) -> bool {
    let is_its = |row: &&LayerRow| match cause.head_index {
        Some(index) => row.head_index == Some(index),
        None => row.status == Status::Removed && row.instruction == cause.instruction,
    };
    image.layers.iter().find(is_its).is_some_and(|row| row.of_base_image == Some(true))
}

/// A place, linked if possible; without the file's name if that has just been mentioned.
fn linked(place: &DockerfileLines, file: Option<&str>, links: Option<&RunLinks>) -> String {
    let text = match file == Some(place.path.as_str()) {
        true => format!(":{}", place.line),
        false => words::place(place),
    };
    match links.and_then(|links| links.to(place)) {
        Some(url) => format!("[{}]({url})", code(&text)),
        None => code(&text),
    }
}

/// `Dockerfile:12` `pip install pandas` +18.2 MB (`pandas` 2.2.3 +12.1 MB)
fn short_cause(cause: &Cause, amounts: Amounts, place: Option<String>) -> String {
    let place = place.map_or_else(String::new, |place| format!("{place} "));
    let amount = amounts.of(|sizes| sizes.delta(cause.delta));
    let text = format!("{place}{}{amount}", step_code(cause.instruction.as_ref()));
    let largest = words::largest_parts(&cause.parts, 1).into_iter().next();
    let says_most = |part: &&CausePart| {
        part.delta.0.signum() == cause.delta.0.signum()
            && u128::from(part.delta.magnitude().0) * 2 >= u128::from(cause.delta.magnitude().0)
    };
    let Some(part) = largest.filter(says_most) else { return text };
    let (name, more) = words::part(part);
    let amount = match part.delta == cause.delta {
        true => String::new(),
        false => amounts.of(|sizes| sizes.delta(part.delta)),
    };
    format!("{text} ({}{}{amount})", code(&name), plain(&more))
}

/// What to do first. A missing baseline is explained elsewhere, since only maintainers can fix it.
fn fix(image: &ImageReport) -> Option<String> {
    let first = words::worst(image)?;
    let help = words::next_step(image, first).filter(|_| first.rule != BASELINE_RULE)?;
    Some(prose(&short(help, MAX_HELP)))
}

/// Findings besides the one in the heading.
fn other_findings(image: &ImageReport) -> Option<String> {
    let first = words::worst(image)?;
    let others = image.findings.iter().filter(|finding| !std::ptr::eq(*finding, first));
    let others = others.filter(|finding| finding.rule != BASELINE_RULE).take(MAX_FINDINGS);
    // Advice from the first finding is not repeated, even if it contains more.
    let says_more = |finding: &Finding| !first.help.starts_with(&finding.help);
    let lines: Vec<String> = others.map(|finding| finding_line(image, finding, says_more(finding))).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The findings of one of several images, or those that the heading of a single one leaves out.
pub(super) fn findings(image: &ImageReport, many: bool) -> Option<String> {
    let first = words::worst(image)?;
    let listed = image.findings.iter().filter(|finding| many || std::ptr::eq(*finding, first));
    let line = |finding: &Finding| finding_line(image, finding, many && !std::ptr::eq(finding, first));
    let lines: Vec<String> = listed.take(MAX_FINDINGS).map(line).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn finding_line(image: &ImageReport, finding: &Finding, with_help: bool) -> String {
    let icon = match image.verdict {
        Verdict::Accepted if finding.severity == Severity::Fail => words::icon(Verdict::Accepted),
        _ => words::icon(Verdict::of(std::slice::from_ref(finding))),
    };
    let subject = match finding.subject == image.name {
        true => String::new(),
        false => format!("{}: ", code(&finding.subject)),
    };
    let help = words::next_step(image, finding).filter(|_| with_help);
    let help =
        help.map_or_else(String::new, |help| format!(" {}.", prose(&capitalised(&short(help, MAX_FINDING)))));
    format!(
        "- {icon} **{}**: {subject}{}.{help}",
        plain(&short(&finding.rule, 40)),
        prose(&short(&finding.message, MAX_FINDING)),
    )
}

fn capitalised(sentence: &str) -> String {
    let mut characters = sentence.chars();
    characters
        .next()
        .map_or_else(String::new, |first| format!("{}{}", first.to_uppercase(), characters.as_str()))
}

/// Who has accepted the exceeded limits, or how to accept them.
fn acceptance(report: &Report) -> Option<String> {
    let Some(acceptance) = &report.accepted else {
        let ways = words::ways_to_accept(report);
        let more = ways.len().saturating_sub(MAX_WAYS);
        let way = |[before, name, after]: &[String; 3]| {
            format!("{before}{}{}", code(name), plain(&short(after, MAX_AFTER)))
        };
        let mut ways: Vec<String> = ways.iter().take(MAX_WAYS).map(way).collect();
        ways.extend((more > 0).then(|| format!("one of {more} more, in the JSON report")));
        return (!ways.is_empty())
            .then(|| format!("**Intended?** Add {} and re-run the check.", ways.join(" or ")));
    };
    let [before, name, after] = words::accepted(acceptance);
    let by = acceptance
        .by
        .as_ref()
        .map_or_else(String::new, |by| format!("{}{}", words::accepted_by(acceptance), code(&short(by, 60))));
    let reason =
        acceptance.reason.as_ref().map_or_else(String::new, |text| format!(": {}", plain(&short(text, 300))));
    let lead = if report.verdict == Verdict::Fail { "**Accepted** in part" } else { "**Accepted**" };
    Some(format!("{lead} {before}{}{}{by}{reason}", code(&name), plain(&short(&after, MAX_AFTER))))
}

/// The note that there is no baseline, which the author of a change need not act on.
fn missing_baselines(report: &Report, images: &[&ImageReport]) -> Vec<String> {
    let mut missing: Vec<(&str, &str, Vec<String>)> = Vec::new();
    let is_found = |image: &&&ImageReport| image.findings.iter().any(|finding| finding.rule == BASELINE_RULE);
    for image in images.iter().filter(is_found) {
        let Some(no_base) = &image.no_base else { continue };
        let label = words::label(report, image);
        match missing
            .iter_mut()
            .find(|(message, help, _)| *message == no_base.message && *help == no_base.help)
        {
            Some((.., labels)) => labels.push(label),
            None => missing.push((no_base.message.as_str(), no_base.help.as_str(), vec![label])),
        }
    }
    let many = images.len() > 1;
    let line = |(message, help, labels): (&str, &str, Vec<String>)| {
        let of = if many { format!(" ({})", named(labels)) } else { String::new() };
        let message = message.strip_prefix("no baseline: ").unwrap_or(message);
        format!(
            "**No baseline**{of}: {}, so growth is not evaluated. Nothing for you to do. Maintainers: {}.",
            prose(&short(message, MAX_HELP)),
            prose(&short(help, MAX_HELP))
        )
    };
    missing.into_iter().take(MAX_REASONS).map(line).collect()
}

/// The causes with everything that explains them; they and the rest sum to the difference.
pub(super) fn causes(image: &ImageReport, style: &ImagePart<'_>) -> Option<String> {
    let delta = image.delta.as_ref()?.uncompressed?;
    let along = |cause: &&Cause| cause.delta.0.signum() == delta.0.signum();
    // With many images, each gets a part of the space.
    let most = if style.label.is_some() { MAX_CAUSES } else { MAX_LISTED };
    let shown: Vec<&Cause> = image.causes.iter().filter(along).take(most).collect();
    let named: Delta = shown.iter().map(|cause| cause.delta).sum();
    if named == Delta(0) {
        return None;
    }
    let mut lines: Vec<String> = shown.into_iter().map(|cause| cause_line(cause, style)).collect();
    let rest = Delta(delta.0 - named.0);
    lines.extend((rest != Delta(0)).then(|| format!("- all others {}", style.sizes.delta(rest))));
    let note = if image.metric == Metric::Uncompressed { "" } else { ", uncompressed" };
    Some(format!("**Causes**: {}{note}\n\n{}", words::coverage(image, named), lines.join("\n")))
}

/// `Dockerfile:12` `RUN pip install` +18.2 MB: `pandas` 2.2.3 (+12.1 MB), other +6.1 MB
fn cause_line(cause: &Cause, style: &ImagePart<'_>) -> String {
    let place = cause.dockerfile.as_ref().map(|place| format!("{} ", linked(place, None, style.links)));
    let step = cause.instruction.as_ref().map_or("(no history)", Instruction::as_str);
    let step = format!("{}{}", place.unwrap_or_default(), code(&short(step, MAX_STEP)));
    let worth = |part: &&CausePart| {
        let (part, whole) = (part.delta, cause.delta);
        part.0.signum() == whole.0.signum()
            && u128::from(part.magnitude().0) * 100 >= u128::from(whole.magnitude().0) * WORTH_NAMING
    };
    let amount = style.sizes.delta(cause.delta);
    let named: Vec<&CausePart> =
        words::largest_parts(&cause.parts, MAX_PARTS).into_iter().filter(worth).collect();
    if named.is_empty() {
        return format!("- {step} {amount}");
    }
    let text = |part: &&CausePart| {
        let (name, more) = words::part(part);
        format!("{}{} ({})", code(&name), plain(&more), style.sizes.delta(part.delta))
    };
    let mut parts: Vec<String> = named.iter().map(text).collect();
    let rest = Delta(cause.delta.0 - named.iter().map(|part| part.delta).sum::<Delta>().0);
    parts.extend((rest != Delta(0)).then(|| format!("other {}", style.sizes.delta(rest))));
    format!("- {step} {amount}: {}", parts.join(", "))
}

/// What the figures mean, and where to read on. Not in `<sub>`: GitHub gives that no line height, and on a phone its
/// lines would overlap.
pub(super) fn footer(report: &Report, images: &[&ImageReport]) -> String {
    let links = report.links.as_ref();
    let metric = words::common_metric(images.iter().copied());
    let baseline = |image: &&ImageReport| {
        let is_missing = image.base.is_none() && image.no_base.is_some();
        let none = ("", None, "no baseline");
        let (lead, label, how) = if is_missing { none } else { words::baseline(image) };
        let sha = image.base.as_ref().and_then(|base| base.commit.as_ref()).map(|commit| commit.sha.as_str());
        let url = links.zip(sha).and_then(|(links, sha)| links.commit(sha));
        let label = label.map(|label| match url {
            Some(url) => format!("[{}]({url}), ", code(&label)),
            None => format!("{}, ", code(&label)),
        });
        // What the table shows is not repeated.
        let base_image = match words::base_image(image).as_str() {
            "" => String::new(),
            _ if words::drift_is_in_table(image) => String::new(),
            text => format!(" \u{b7} {}", plain(text)),
        };
        format!("{lead}{}{}{base_image}", label.unwrap_or_default(), prose(&short(how, 200)))
    };
    let basis = |image: &&ImageReport| match metric {
        Some(_) => plain(&words::basis(image)),
        None => format!("sizes in the metrics named above{}", plain(&words::basis_of_any(image))),
    };
    // Images without a baseline say so in the table.
    let compared = |image: &&ImageReport| images.len() == 1 || image.base.is_some();
    let delivered = || images.iter().copied().filter(|image| !image.is_not_delivered());
    let only = |mut texts: Vec<String>, several: &str| {
        texts.dedup();
        if texts.len() > 1 { Some(several.to_owned()) } else { texts.pop() }
    };
    let linked = |name: &str, url: Option<String>| url.map(|url| format!("[{name}]({url})"));
    let parts = [
        linked("layergate", Some(HOME.into())),
        only(delivered().map(|image| basis(&image)).collect(), "sizes measured in several ways"),
        only(delivered().filter(compared).map(|image| baseline(&image)).collect(), "several baselines"),
        words::configurations(report).map(|names| plain(&short(&names, MAX_HELP))),
        linked("run", links.and_then(RunLinks::run)),
        linked("report", report.url.clone()),
        linked("docs", Some(DOCS.into())),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" \u{b7} ")
}
