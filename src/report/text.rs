//! Reports for terminals and logs.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::build_only;
use super::escape::{log, short, short_path};
use super::merge::is_not_delivered;
use super::model::{ImageReport, Report};
use super::table::{Align, text as table};
use super::words;
use crate::compare::files::PathChange;
use crate::compare::{LayerRow, PackageRow, PartKind, Status, Waste};
use crate::image::snapshot::{LayerRef, Place};
use crate::image::{Bytes, Delta, Instruction};
use crate::policy::Verdict;

/// The most causes, parts of one, and packages that are listed; the JSON report has more.
const MAX_LISTED: usize = 10;
/// The widest instruction where there is no terminal to ask.
pub const DEFAULT_INSTRUCTION_WIDTH: usize = 72;

/// Writes a check's report: the answer first, then each image's figures, layers and findings.
///
/// # Errors
/// Whatever writing fails with.
pub fn write_check(report: &Report, width: usize, out: &mut impl Write) -> io::Result<()> {
    let images = words::by_difference(report);
    if images.len() > 1 {
        headline(report.verdict, &words::headline_of_many(report), out)?;
        writeln!(out)?;
    }
    for image in images {
        let sentence = format!("{} {}", log(&words::label(report, image)), words::headline(image));
        headline(image.verdict, &sentence, out)?;
        match is_not_delivered(image) {
            true => write_findings(image, width, out)?,
            false => write_image(image, width, out)?,
        }
    }
    write_acceptance(report, out)?;
    for note in &report.notes {
        writeln!(out, "note: {}", log(note))?;
    }
    Ok(())
}

/// Writes what differs between two images; `named` by its platform where there are several.
///
/// # Errors
/// Whatever writing fails with.
pub fn write_difference(
    image: &ImageReport,
    named: bool,
    width: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    let platform = image.platform.as_deref().filter(|_| named);
    let platform = platform.map_or_else(String::new, |platform| format!(" ({})", log(platform)));
    let base = image.base.as_ref().map_or("nothing", |base| base.name.as_str());
    writeln!(
        out,
        "{} {} \u{2192} {}{platform}",
        paint(Style::new().bold(), "Difference"),
        log(base),
        log(&image.name)
    )?;
    write_image(image, width, out)
}

fn headline(verdict: Verdict, sentence: &str, out: &mut impl Write) -> io::Result<()> {
    let color = match verdict {
        Verdict::Pass => AnsiColor::Green,
        Verdict::Warn | Verdict::Accepted => AnsiColor::Yellow,
        Verdict::Fail => AnsiColor::Red,
    };
    let word = paint(color.on_default().bold(), verdict.as_str());
    writeln!(out, "{} {word}: {}", words::icon(verdict), log(sentence))
}

fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

fn write_image(image: &ImageReport, width: usize, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\n{}\n", figures(image))?;
    if image.delta.is_some() {
        writeln!(out, "  Layers: {}", words::layer_counts(image))?;
        let rows: Vec<[String; 5]> = image
            .layers
            .iter()
            .filter(|row| row.status != Status::Kept)
            .map(|row| layer_cells(row, width))
            .collect();
        if !rows.is_empty() {
            let columns = [
                ("Layer", Align::Left),
                ("Base", Align::Right),
                ("Head", Align::Right),
                ("Delta", Align::Right),
                ("Instruction", Align::Left),
            ];
            writeln!(out, "\n{}", table(columns, rows))?;
        }
        writeln!(out)?;
    }
    for part in [causes, packages, files, waste, build_only].iter().filter_map(|part| part(image, width)) {
        writeln!(out, "{part}\n")?;
    }
    write_findings(image, width, out)?;
    let (lead, label, how) = words::baseline(image);
    let label = label.map(|label| format!("{label}, ")).unwrap_or_default();
    // What the table says is not said again.
    let in_table = words::drift_is_in_table(image);
    let base_image = match words::base_image(image).as_str() {
        _ if in_table => String::new(),
        "" => String::new(),
        text => format!("; {text}"),
    };
    writeln!(out, "  ({}; {lead}{}{}{base_image})\n", words::basis(image), log(&label), log(how))
}

fn write_acceptance(report: &Report, out: &mut impl Write) -> io::Result<()> {
    if let Some(acceptance) = &report.accepted {
        let by = acceptance
            .by
            .as_ref()
            .map_or_else(String::new, |by| [words::accepted_by(acceptance), by].concat());
        let reason = acceptance.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        let text = words::accepted(acceptance).concat() + &by + &reason;
        writeln!(out, "accepted {}", log(&text))?;
    } else {
        for way in words::ways_to_accept(report) {
            writeln!(out, "would be accepted by {}", log(&way.concat()))?;
        }
    }
    Ok(())
}

fn write_findings(image: &ImageReport, width: usize, out: &mut impl Write) -> io::Result<()> {
    for finding in &image.findings {
        writeln!(
            out,
            "  {} {}: {}",
            words::severity(image, finding),
            log(&finding.rule),
            log(&finding.message)
        )?;
        if finding.subject != image.name {
            writeln!(out, "       about {}", short(&log(&finding.subject), width))?;
        }
        if let Some(help) = words::next_step(image, finding) {
            writeln!(out, "       next: {}", log(help))?;
        }
    }
    if !image.findings.is_empty() {
        writeln!(out)?;
    }
    Ok(())
}

/// The instructions that made the difference, with what in each explains it.
fn causes(image: &ImageReport, width: usize) -> Option<String> {
    let delta = image.delta?.unpacked;
    let mut rows = Vec::new();
    for cause in image.causes.iter().take(MAX_LISTED) {
        rows.push([
            cause.delta.grouped(),
            step(cause.dockerfile.as_ref(), cause.instruction.as_ref(), width),
        ]);
        let parts = words::largest_parts(&cause.parts, MAX_LISTED);
        let named: Delta = parts.iter().map(|part| part.delta).sum();
        rows.extend(parts.into_iter().map(|part| {
            let (name, more) = words::part(part);
            let name = match part.kind {
                PartKind::Package => short(&log(&name), width),
                PartKind::Directory | PartKind::File => short_path(&log(&name), width),
            };
            [part.delta.grouped(), format!("  {name}{}", short(&log(&more), width))]
        }));
        let rest = Delta(cause.delta.0 - named.0);
        if rest != Delta(0) && rest != cause.delta {
            rows.push([rest.grouped(), "  other".to_owned()]);
        }
    }
    let left = image.causes.iter().skip(MAX_LISTED).map(|cause| cause.delta).sum::<Delta>();
    if left != Delta(0) {
        rows.push([left.grouped(), "all others".to_owned()]);
    }
    if rows.is_empty() {
        return None;
    }
    let columns = [("Delta", Align::Right), ("Cause", Align::Left)];
    let all = if left == Delta(0) { "all" } else { "the largest" };
    Some(format!("  Causes: {all} of {}\n\n{}", delta.grouped(), table(columns, rows)))
}

fn packages(image: &ImageReport, width: usize) -> Option<String> {
    let columns = [("Delta", Align::Right), ("Package", Align::Left), ("", Align::Left), ("", Align::Left)];
    let cells = |row: &PackageRow| {
        // That it was removed stands beside it.
        let versions = words::versions(row.from.as_deref().filter(|_| row.to.is_some()), row.to.as_deref());
        let versions = if versions.is_empty() { row.from.clone().unwrap_or_default() } else { versions };
        [
            row.delta.grouped(),
            short(&log(&row.name), width),
            format!("{} ({})", words::package_status(row.status), row.ecosystem.as_str()),
            short(&log(&versions), width),
        ]
    };
    let rows: Vec<[String; 4]> = image.packages.iter().take(MAX_LISTED).map(cells).collect();
    let counts = words::package_counts(image);
    (!rows.is_empty()).then(|| format!("  Packages: {counts}\n\n{}", table(columns, rows)))
}

fn files(image: &ImageReport, width: usize) -> Option<String> {
    let changes = image.files.as_ref()?;
    let columns = [("Delta", Align::Right), ("Files", Align::Right), ("Path", Align::Left)];
    let cells = |change: &PathChange| {
        let path = format!("/{}", change.path);
        [change.delta.grouped(), words::counted(Some(change.files)), short_path(&log(&path), width)]
    };
    let rows: Vec<[String; 3]> = words::telling(&changes.directories).map(cells).collect();
    let counts = words::file_counts(changes);
    (!rows.is_empty()).then(|| format!("  Visible files: {counts}\n\n{}", table(columns, rows)))
}

fn waste(image: &ImageReport, width: usize) -> Option<String> {
    Some(waste_list(&image.waste, width)).filter(|list| !list.is_empty())
}

/// What only the build needed, and whether the image is built in stages.
fn build_only(image: &ImageReport, width: usize) -> Option<String> {
    let stages = image.stages.as_ref()?;
    let list = build_only::text_list(&image.build_only, width);
    // What a finding says already is not said again.
    let is_found = image.findings.iter().any(|finding| finding.rule == "multi-stage");
    let verdict = if is_found { String::new() } else { format!("  Stages: {}", log(&words::stages(stages))) };
    let summary =
        build_only::summary(&image.build_only).map(|text| format!("  Build only: {text}\n\n{list}\n\n"));
    (summary.is_some() || image.judges_stages()).then(|| [summary.unwrap_or_default(), verdict].concat())
}

/// What is shipped for nothing, by the two layers that it is due to, and what to do about it.
pub(super) fn waste_list(waste: &[Waste], width: usize) -> String {
    let layer = |layer: &LayerRef| {
        let (place, step) = words::layer_ref(layer);
        let place = place.map(|place| format!("{place} ")).unwrap_or_default();
        short(&log(&format!("{place}{step}")), width)
    };
    let mut rows = Vec::new();
    for waste in waste {
        let files = words::wasted_files(waste);
        rows.push([
            waste.bytes.grouped(),
            format!("{}{files}", short_path(&log(&format!("/{}", waste.path)), width)),
        ]);
        let verb = if waste.replaced { "replaced by" } else { "deleted by" };
        rows.push([String::new(), format!("  stored by {}", layer(&waste.stored_by))]);
        rows.push([String::new(), format!("  {verb} {}", layer(&waste.hidden_by))]);
        rows.push([String::new(), format!("  next: {}", waste.advice())]);
    }
    if rows.is_empty() {
        return String::new();
    }
    table([("Wasted", Align::Right), ("Files, shipped and not to be reached", Align::Left)], rows)
}

/// An instruction, with its line before it where that is certain.
pub(super) fn step(place: Option<&Place>, step: Option<&Instruction>, width: usize) -> String {
    let place = place.map(|place| format!("{} ", words::place(place))).unwrap_or_default();
    let step = step.map_or("(no history)", Instruction::as_str);
    short(&log(&format!("{place}{step}")), width)
}

/// The accounting, both sides, to the byte.
fn figures(image: &ImageReport) -> String {
    let rows = words::figures(image);
    if image.base.is_none() {
        let rows = rows.into_iter().map(|figure| [figure.name.to_owned(), figure.head]).collect();
        return table([("", Align::Left), ("", Align::Right)], rows);
    }
    let columns = [
        ("", Align::Left),
        ("Base", Align::Right),
        ("Head", Align::Right),
        ("Delta", Align::Right),
        ("", Align::Right),
    ];
    let cells = |figure: words::Figure| {
        [figure.name.to_owned(), figure.base, figure.head, figure.delta, figure.share.trim_start().to_owned()]
    };
    table(columns, rows.into_iter().map(cells).collect())
}

fn layer_cells(row: &LayerRow, width: usize) -> [String; 5] {
    let side = |index: Option<u64>, size: Option<Bytes>| match index {
        None => "-".to_owned(),
        Some(_) => words::exact(size),
    };
    [
        words::status(row.status).to_owned(),
        side(row.base_index, row.base_size),
        side(row.head_index, row.head_size),
        row.delta.map_or_else(|| "unknown".into(), Delta::grouped),
        step(row.dockerfile.as_ref(), row.instruction.as_ref(), width),
    ]
}
