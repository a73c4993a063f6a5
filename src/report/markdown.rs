//! The comment and the step summary: GitHub-flavoured markdown within a budget of bytes.
//!
//! It answers in order: pass or fail, by how much, which instruction, what to do. Detail is dropped
//! in whole blocks, so a table is never cut.

use std::io::{self, Write};

use super::build_only;
use super::escape::{code, html_code, plain, sentence, short};
use super::history;
use super::merge::is_not_delivered;
use super::model::{ImageReport, Report};
use super::table::{Align, markdown as table};
use super::words;
use crate::compare::files::PathChange;
use crate::compare::{Cause, LayerRow, PackageRow, Part, Status, Waste};
use crate::image::snapshot::{LayerRef, Place};
use crate::image::{Delta, Instruction};
use crate::policy::{Metric, Severity, Verdict};

/// The most bytes of a comment: GitHub takes 65,536 characters, and ours may be outside ASCII.
pub const COMMENT_BUDGET: usize = 60_000;
/// The most bytes of a step summary: GitHub refuses a whole one over 1 MiB.
pub const SUMMARY_BUDGET: usize = 1_000_000;
/// The most causes that are named in the line, and the share of the difference, in percent, that is
/// explained well enough.
const MAX_CAUSES: usize = 3;
const ENOUGH: u128 = 95;
/// The most parts that are named of a cause, and the share of it, in percent, that is worth it.
const MAX_PARTS: usize = 3;
const WORTH_NAMING: u128 = 2;
/// The most characters of an instruction in the line of causes; the table of layers has more of it.
const MAX_STEP: usize = 80;
/// The most notes on the whole.
const MAX_NOTES: usize = 10;
/// The most characters of what a finding says, and of a sentence on the whole.
const MAX_FINDING: usize = 1000;
const MAX_SENTENCE: usize = 300;
/// The most characters of what is said after a label or trailer.
const MAX_AFTER: usize = 60;
/// The most characters of the limits beside a size.
const MAX_LIMITS: usize = 100;
/// The most labels that are named of those that would accept.
const MAX_WAYS: usize = 5;
/// What is said where not all is.
const LEFT_OUT: &str = "Some details are left out to keep this short; the JSON report has all of them.";
/// The most rows of a table of packages.
const MAX_ROWS: usize = 30;

/// Where the table of images is among the blocks.
const TABLE: usize = 1;

/// A part of the text that is kept or dropped as a whole.
struct Block {
    /// 0 is never dropped; the highest goes first.
    rank: usize,
    text: String,
}

/// Writes the report as markdown of at most `budget` bytes.
///
/// # Errors
/// Whatever writing fails with.
pub fn write(report: &Report, budget: usize, out: &mut impl Write) -> io::Result<()> {
    out.write_all(render(report, budget).as_bytes())
}

/// Writes what differs between two images, without a verdict; `named` by its platform where there are
/// several.
///
/// # Errors
/// Whatever writing fails with.
pub fn write_difference(image: &ImageReport, named: bool, out: &mut impl Write) -> io::Result<()> {
    let columns =
        [("", Align::Left), ("Base", Align::Right), ("Head", Align::Right), ("Delta", Align::Right)];
    let base = image.base.as_ref().map_or("", |base| base.name.as_str());
    let platform = image
        .platform
        .as_deref()
        .filter(|_| named)
        .map_or_else(String::new, |platform| format!(" {}", code(platform)));
    writeln!(out, "### {} \u{2192} {}{platform}\n", code(base), code(&image.name))?;
    let rows = words::figures(image).into_iter().map(|figure| {
        let delta = [figure.delta, figure.share].concat();
        [figure.name.to_owned(), figure.base, figure.head, plain(&delta)]
    });
    writeln!(out, "{}", table(columns, rows.collect()))?;
    let parts = [cause_line, layer_table, package_table, file_table, waste_table];
    for part in parts.iter().filter_map(|part| part(image, None)) {
        writeln!(out, "\n{part}")?;
    }
    writeln!(out, "\n{}", footer(&[image]))
}

/// The report as markdown of at most `budget` bytes.
pub fn render(report: &Report, budget: usize) -> String {
    let images = words::by_difference(report);
    let mut blocks = blocks(report, &images);
    let mut rows = images.len();
    loop {
        let text = fit(&blocks, budget);
        if text.len() <= budget {
            return text;
        }
        // Only a table of very many images can be too long by itself; then its last rows go.
        if rows <= 1 {
            return format!("{}\n\n{LEFT_OUT}\n", heading(report, &images));
        }
        rows = rows * 3 / 4;
        if let Some(block) = blocks.get_mut(TABLE) {
            block.text = image_table(&images, rows);
        }
    }
}

/// The blocks that there is room for: those of low ranks first, and what is small also after something that
/// is too large.
fn fit(blocks: &[Block], budget: usize) -> String {
    let length = |text: &str| text.len() + 2;
    let all: usize = blocks.iter().map(|block| length(&block.text)).sum();
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|index| blocks[*index].rank);
    let mut room = if all <= budget { budget } else { budget.saturating_sub(length(LEFT_OUT)) };
    let mut kept = vec![false; blocks.len()];
    for index in order {
        let needed = length(&blocks[index].text);
        kept[index] = blocks[index].rank == 0 || needed <= room;
        if kept[index] {
            room = room.saturating_sub(needed);
        }
    }
    let mut parts: Vec<&str> =
        blocks.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(block, _)| block.text.as_str()).collect();
    parts.extend(kept.contains(&false).then_some(LEFT_OUT));
    format!("{}\n", parts.join("\n\n"))
}

fn blocks(report: &Report, images: &[&ImageReport]) -> Vec<Block> {
    let mut blocks = vec![
        Block { rank: 0, text: heading(report, images) },
        Block { rank: 0, text: image_table(images, images.len()) },
    ];
    let many = images.len() > 1;
    let labels: Vec<String> = images.iter().map(|image| words::label(report, image)).collect();
    for (index, image) in images.iter().enumerate() {
        // The further down the list, the sooner dropped; layers go before causes and findings.
        let optional = |rank: usize, text: String| Block { rank: rank * images.len() + index + 1, text };
        let label = labels.get(index).map(String::as_str).filter(|_| many);
        blocks.extend(findings(image, label).map(|text| optional(0, text)));
        blocks.extend(cause_line(image, label).map(|text| optional(1, text)));
        let details = [layer_table, package_table, file_table, waste_table, build_only_table, history::trend];
        for (rank, detail) in details.iter().enumerate() {
            blocks.extend(detail(image, label).map(|text| optional(2 + rank, text)));
        }
    }
    blocks.extend(acceptance(report).map(|text| Block { rank: 0, text }));
    // Before all that is said of single images, but not at any cost: reports of jobs may have written them.
    blocks.extend(notes(report).map(|text| Block { rank: 1, text }));
    blocks.push(Block { rank: 0, text: footer(images) });
    blocks
}

/// Who has accepted what is broken, or what would.
fn acceptance(report: &Report) -> Option<String> {
    let Some(acceptance) = &report.accepted else {
        let ways = words::ways_to_accept(report);
        let more = ways.len().saturating_sub(MAX_WAYS);
        let way = |[before, name, after]: &[String; 3]| {
            format!("{before}{}{}", code(name), plain(&short(after, MAX_AFTER)))
        };
        let mut ways: Vec<String> = ways.iter().take(MAX_WAYS).map(way).collect();
        ways.extend((more > 0).then(|| format!("{more} more ways, in the JSON report")));
        return (!ways.is_empty())
            .then(|| format!("**Meant to be so?** It would be accepted by {}.", ways.join(" or by ")));
    };
    let [before, name, after] = words::accepted(acceptance);
    let by = acceptance
        .by
        .as_ref()
        .map_or_else(String::new, |by| format!("{}{}", words::accepted_by(acceptance), code(&short(by, 60))));
    let reason =
        acceptance.reason.as_ref().map_or_else(String::new, |text| format!(": {}", plain(&short(text, 300))));
    let lead =
        if report.verdict == Verdict::Fail { "Accepted, but not all that is over:" } else { "Accepted" };
    Some(format!("**{lead}** {before}{}{}{by}{reason}", code(&name), plain(&short(&after, MAX_AFTER))))
}

/// What else is to be said of the whole, in few lines: a list of jobs may be long.
fn notes(report: &Report) -> Option<String> {
    let line = |note: &String| format!("- {}", sentence(&short(note, MAX_SENTENCE)));
    let mut lines: Vec<String> = report.notes.iter().take(MAX_NOTES).map(line).collect();
    if report.notes.len() > MAX_NOTES {
        lines.push(format!("- and {} more notes, in the JSON report", report.notes.len() - MAX_NOTES));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The verdict in one sentence, as plain text.
pub fn headline(report: &Report) -> String {
    let sentence = match report.images.as_slice() {
        [image] => format!("{} {}", image.name, words::headline(image)),
        _ => words::headline_of_many(report),
    };
    super::escape::log(&sentence)
}

fn heading(report: &Report, images: &[&ImageReport]) -> String {
    let icon = words::icon(report.verdict);
    match images {
        [image] => {
            let sentence = short(&words::headline(image), MAX_SENTENCE);
            format!("### {icon} {} {}", code(&image.name), plain(&sentence))
        }
        _ => format!("### {icon} {}", words::headline_of_many(report)),
    }
}

fn image_table(images: &[&ImageReport], rows: usize) -> String {
    let columns = [
        ("Image", Align::Left),
        ("Platform", Align::Left),
        ("Base", Align::Right),
        ("This change", Align::Right),
        ("Delta", Align::Right),
        ("Limit", Align::Right),
        ("", Align::Center),
    ];
    let cells = |image: &&ImageReport| {
        let delta = image.size_delta().zip(image.base_size()).map(|(delta, base)| words::change(delta, base));
        let drift = image.split.filter(|split| split.base_image != Delta(0));
        let drift = drift.map(|_| format!("<br>{}", plain(&words::base_image(image)).replace(", ", "<br>")));
        [
            code(&image.name),
            image.platform.as_deref().map_or_else(|| "unknown".into(), code),
            match &image.base {
                Some(_) => unbroken(&words::amount(image.base_size())),
                None if is_not_delivered(image) => "\u{2013}".into(),
                None => "none".into(),
            },
            match &image.head {
                Some(_) => unbroken(&words::amount(image.head_size())),
                None if is_not_delivered(image) => words::NO_REPORT.into(),
                None => words::GONE.into(),
            },
            delta.map_or_else(|| "\u{2013}".into(), |delta| unbroken(&delta)) + &drift.unwrap_or_default(),
            plain(&short(&words::size_limits(image), MAX_LIMITS)),
            match &image.head {
                None if !is_not_delivered(image) => "not judged".into(),
                _ => format!("{} {}", words::icon(image.verdict), image.verdict.as_str()),
            },
        ]
    };
    let text = table(columns, images.iter().take(rows).map(cells).collect());
    match images.len().saturating_sub(rows) {
        0 => text,
        left => format!("{text}\n\n\u{2026} and {left} more images, in the JSON report."),
    }
}

fn findings(image: &ImageReport, label: Option<&str>) -> Option<String> {
    let line = |finding: &crate::policy::Finding| {
        let icon = match image.verdict {
            Verdict::Accepted if finding.severity == Severity::Fail => words::icon(Verdict::Accepted),
            _ => words::icon(Verdict::of(std::slice::from_ref(finding))),
        };
        let of_image = finding.subject == image.name;
        let subject = if label.is_some() || !of_image {
            format!("{}: ", code(label.filter(|_| of_image).unwrap_or(&finding.subject)))
        } else {
            String::new()
        };
        let name = label.filter(|_| !of_image).map_or_else(String::new, |label| format!("{} ", code(label)));
        format!(
            "- {icon} **{}** ({}): {name}{subject}{}.{}",
            plain(&short(&finding.rule, 40)),
            words::severity(image, finding),
            plain(&short(&finding.message, MAX_FINDING)),
            words::next_step(image, finding).map_or_else(String::new, |help| {
                format!(" {}", plain(&capitalised(&short(help, MAX_FINDING))))
            })
        )
    };
    let lines: Vec<String> = image.findings.iter().take(20).map(line).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn capitalised(sentence: &str) -> String {
    let mut characters = sentence.chars();
    characters
        .next()
        .map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), characters.as_str()))
}

/// The instructions that explain the difference, in its direction; they and the rest sum to it.
fn cause_line(image: &ImageReport, label: Option<&str>) -> Option<String> {
    let delta = image.delta.as_ref()?.unpacked;
    let (mut named, mut shown) = (Delta(0), Vec::new());
    for cause in image.causes.iter().filter(|cause| cause.delta.0.signum() == delta.0.signum()) {
        let explained = u128::from(named.magnitude().0) * 100 >= u128::from(delta.magnitude().0) * ENOUGH;
        if shown.len() == MAX_CAUSES || explained {
            break;
        }
        named = [named, cause.delta].into_iter().sum();
        shown.push(cause_text(cause));
    }
    let rest = Delta(delta.0 - named.0);
    if rest != Delta(0) {
        shown.push(format!("all others {rest}"));
    }
    let name = label.map_or_else(String::new, |label| format!(" of {}", code(label)));
    let name = [name.as_str(), unpacked_note(image)].concat();
    let coverage = words::coverage(image, named);
    (named != Delta(0)).then(|| format!("**Cause{name}** ({coverage}): {}", shown.join("; ")))
}

/// `Dockerfile:12` `RUN pip install` +18.2 MiB: `pandas` 2.2.3 (+12.1 MiB), other +6.1 MiB
fn cause_text(cause: &Cause) -> String {
    let place = cause.dockerfile.as_ref().map(|place| format!("{} ", code(&words::place(place))));
    let step = cause.instruction.as_ref().map_or("(no history)", Instruction::as_str);
    let step = format!("{}{}", place.unwrap_or_default(), code(&short(step, MAX_STEP)));
    let worth = |part: &&Part| {
        let (part, whole) = (part.delta, cause.delta);
        part.0.signum() == whole.0.signum()
            && u128::from(part.magnitude().0) * 100 >= u128::from(whole.magnitude().0) * WORTH_NAMING
    };
    let named: Vec<&Part> = words::largest_parts(&cause.parts, MAX_PARTS).into_iter().filter(worth).collect();
    if named.is_empty() {
        return format!("{step} {}", cause.delta);
    }
    let text = |part: &&Part| {
        let (name, more) = words::part(part);
        format!("{}{} ({})", code(&name), plain(&more), part.delta)
    };
    let mut parts: Vec<String> = named.iter().map(text).collect();
    let rest = Delta(cause.delta.0 - named.iter().map(|part| part.delta).sum::<Delta>().0);
    if rest != Delta(0) {
        parts.push(format!("other {rest}"));
    }
    format!("{step} {}: {}", cause.delta, parts.join(", "))
}

/// An instruction, with its line before it where that is certain.
pub(super) fn located(place: Option<&Place>, step: Option<&Instruction>) -> String {
    let place = place.map(|place| format!("{} ", code(&words::place(place))));
    format!("{}{}", place.unwrap_or_default(), instruction(step))
}

/// Details under a line that opens them.
fn folded(title: &str, label: Option<&str>, counts: &str, body: &str) -> String {
    let name = label.map_or_else(String::new, |label| format!(" of {}", summary_name(label)));
    format!("<details><summary>{title}{name}: {counts}</summary>\n\n{body}\n\n</details>")
}

fn package_table(image: &ImageReport, label: Option<&str>) -> Option<String> {
    let columns = [
        ("Package", Align::Left),
        ("", Align::Left),
        ("Base", Align::Left),
        ("This change", Align::Left),
        ("Delta", Align::Right),
    ];
    let cells = |row: &PackageRow| {
        let version = |version: Option<&String>| version.map_or_else(String::new, |version| code(version));
        [
            code(&row.name),
            format!("{} ({})", words::package_status(row.status), row.ecosystem.as_str()),
            version(row.from.as_ref()),
            version(row.to.as_ref()),
            unbroken(&row.delta.to_string()),
        ]
    };
    let rows: Vec<[String; 5]> = image.packages.iter().take(MAX_ROWS).map(cells).collect();
    let more = more(image.package_counts.all() as usize);
    (!rows.is_empty())
        .then(|| folded("Packages", label, &words::package_counts(image), &(table(columns, rows) + &more)))
}

fn more(rows: usize) -> String {
    let left = rows.saturating_sub(MAX_ROWS);
    if left == 0 { String::new() } else { format!("\n\n\u{2026} and {left} more, with smaller differences.") }
}

fn file_table(image: &ImageReport, label: Option<&str>) -> Option<String> {
    let changes = image.files.as_ref()?;
    let columns = [("Path", Align::Left), ("Files", Align::Right), ("Delta", Align::Right)];
    let cells = |change: &PathChange| {
        let path = format!("/{}", change.path);
        [code(&path), words::counted(Some(change.files)), unbroken(&change.delta.to_string())]
    };
    let rows: Vec<[String; 3]> = words::telling(&changes.directories).map(cells).collect();
    (!rows.is_empty()).then(|| folded("Files", label, &words::file_counts(changes), &table(columns, rows)))
}

fn waste_table(image: &ImageReport, label: Option<&str>) -> Option<String> {
    let wasted = words::amount(image.head_totals().and_then(|totals| totals.wasted));
    let counts = format!("{wasted}, shipped and not to be reached");
    (!image.waste.is_empty()).then(|| folded("Wasted", label, &counts, &waste_rows(&image.waste)))
}

/// What only the build needed, and whether the image is built in stages.
fn build_only_table(image: &ImageReport, label: Option<&str>) -> Option<String> {
    let stages = image.stages.as_ref()?;
    let summary = build_only::summary(&image.build_only);
    if summary.is_none() && !image.judges_stages() {
        return None;
    }
    // What a finding says already is not said again.
    let is_found = image.findings.iter().any(|finding| finding.rule == "multi-stage");
    let verdict = (!is_found).then(|| format!("**Stages:** {}.", plain(&words::stages(stages))));
    let rows = summary.as_ref().map(|_| build_only::markdown_rows(&image.build_only));
    let body = verdict.into_iter().chain(rows).collect::<Vec<_>>().join("\n\n");
    Some(folded("Build only", label, &plain(&summary.unwrap_or_else(|| "nothing".into())), &body))
}

/// What is shipped for nothing, by the two layers that it is due to, and what to do about it.
pub(super) fn waste_rows(waste: &[Waste]) -> String {
    let columns = [
        ("Wasted", Align::Right),
        ("Files", Align::Left),
        ("Stored by", Align::Left),
        ("Hidden by", Align::Left),
        ("What to do", Align::Left),
    ];
    let layer = |layer: &LayerRef| {
        let (place, step) = words::layer_ref(layer);
        let place = place.map(|place| format!("{} ", code(&place)));
        format!("{}{}", place.unwrap_or_default(), code(&short(&step, 80)))
    };
    let cells = |waste: &Waste| {
        let path = code(&format!("/{}", waste.path));
        let files = path + &words::wasted_files(waste);
        [
            unbroken(&waste.bytes.to_string()),
            files,
            layer(&waste.stored_by),
            layer(&waste.hidden_by),
            plain(waste.advice()),
        ]
    };
    table(columns, waste.iter().map(cells).collect())
}

fn layer_table(image: &ImageReport, label: Option<&str>) -> Option<String> {
    let columns = [
        ("Layer", Align::Left),
        ("Instruction", Align::Left),
        ("Base", Align::Right),
        ("This change", Align::Right),
        ("Delta", Align::Right),
    ];
    // A step that was run again and holds nothing has nothing to say.
    let nothing = |row: &LayerRow| {
        let bytes = [row.base_size, row.head_size].into_iter().flatten().map(|bytes| bytes.0).max();
        row.delta == Some(Delta(0)) && bytes == Some(0)
    };
    let shown = |row: &&LayerRow| row.status != Status::Kept && !nothing(row);
    let rows: Vec<[String; 5]> = image.layers.iter().filter(shown).map(layer_cells).collect();
    if rows.is_empty() {
        return None;
    }
    let title = ["Layers", unpacked_note(image)].concat();
    Some(folded(&title, label, &words::layer_counts(image), &table(columns, rows)))
}

/// Layers are compared by their unpacked bytes, also where another size is judged.
fn unpacked_note(image: &ImageReport) -> &'static str {
    if image.metric == Metric::Unpacked { "" } else { " (unpacked)" }
}

/// A name in the line that opens details.
pub(super) fn summary_name(name: &str) -> String {
    html_code(&short(name, 80))
}

fn layer_cells(row: &LayerRow) -> [String; 5] {
    let side = |index: Option<u64>, size| {
        if index.is_none() { String::new() } else { unbroken(&words::amount(size)) }
    };
    [
        words::status(row.status).into(),
        located(row.dockerfile.as_ref(), row.instruction.as_ref()),
        side(row.base_index, row.base_size),
        side(row.head_index, row.head_size),
        row.delta.map_or_else(|| "unknown".into(), |delta| unbroken(&delta.to_string())),
    ]
}

/// Keeps a number and its unit on one line, however narrow the column; a share may go below.
fn unbroken(amount: &str) -> String {
    plain(amount).replace(' ', "\u{a0}").replace("\u{a0}(", " (")
}

fn instruction(step: Option<&Instruction>) -> String {
    step.map_or_else(|| "(no history)".into(), |step| code(step.as_str()))
}

/// What the figures mean. In no `<sub>`: GitHub gives that no line height, and on a phone its lines would
/// lie on each other.
fn footer(images: &[&ImageReport]) -> String {
    let line = |image: &&ImageReport| {
        let (lead, label, how) = words::baseline(image);
        let label = label.map(|label| format!("{}, ", code(&label))).unwrap_or_default();
        // What the table says is not said again.
        let in_table = words::drift_is_in_table(image);
        let base_image = match words::base_image(image).as_str() {
            _ if in_table => String::new(),
            "" => String::new(),
            text => format!(" \u{b7} {}", plain(text)),
        };
        format!("{} \u{b7} {lead}{label}{}{base_image}", plain(&words::basis(image)), plain(&short(how, 200)))
    };
    let mut lines: Vec<String> = images.iter().filter(|image| !is_not_delivered(image)).map(line).collect();
    lines.dedup();
    match lines.as_slice() {
        [] => String::new(),
        [line] => line.clone(),
        [line, ..] => format!("{line}, and others"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Snapshot;
    use crate::policy::Acceptance;
    use crate::report::model::Ways;

    /// A report of images that fail, in which every text that anyone may write is as long as this one.
    fn report(images: usize, text: &str) -> Report {
        let image = |index: usize| {
            let mut image = ImageReport::added(&Snapshot::made_up(Vec::new()));
            image.name = format!("{index}{text}");
            image.platform = Some(text.to_owned());
            image.verdict = Verdict::Fail;
            image.limits = ["max-size", "max-increase"].map(|key| (key.to_owned(), text.to_owned())).into();
            let finding = |rule: &str| crate::policy::Finding {
                rule: rule.to_owned(),
                severity: Severity::Fail,
                message: text.to_owned(),
                measured: None,
                limit: Some(text.to_owned()),
                subject: text.to_owned(),
                help: text.to_owned(),
                dockerfile: None,
            };
            image.findings = vec![finding("max-size"), finding(text)];
            image
        };
        let mut report = Report::new(None, (0..images).map(image).collect());
        report.notes = vec![text.to_owned(); 20];
        let ways = Ways {
            labels: vec![text.to_owned(); 20],
            trailer: Some(text.to_owned()),
            max_increase: Some(text.to_owned()),
        };
        report.accept = Some(ways);
        report
    }

    #[test]
    fn no_text_is_too_long_for_a_comment() {
        for text in
            ["x", "|", "$", "@", "#1 ", "\u{202e}", "\u{1f600}", "a\n"].map(|text| text.repeat(10_000))
        {
            for images in [1, 5] {
                let mut report = report(images, &text);
                let fits = |report: &Report, budget: usize| {
                    let rendered = render(report, budget);
                    assert!(rendered.len() <= budget, "{images}: {} bytes", rendered.len());
                    rendered
                };
                let whole = fits(&report, COMMENT_BUDGET - 200);
                assert!(whole.contains("| Image |"), "{}", whole.len());
                // A comment that has room for nothing else still says what happened.
                let least = fits(&report, 9000);
                assert!(least.starts_with("### \u{274c} ") && least.ends_with(&format!("{LEFT_OUT}\n")));
                report.accepted = Some(Acceptance {
                    label: Some(text.clone()),
                    reason: Some(text.clone()),
                    by: Some(text.clone()),
                    at: Some(text.clone()),
                    ..Acceptance::default()
                });
                fits(&report, COMMENT_BUDGET);
            }
        }
    }
}
