//! Reports for terminals and logs.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::escape::log;
use super::instruction;
use super::look::TextLayout;
use super::model::{ImageReport, Report};
use super::removable;
use super::table::{Align, ListLine, list, text as table, wrapped};
use super::words;
use crate::compare::files::PathChange;
use crate::compare::{LayerRow, Moved, PackageRow, Status, Waste};
use crate::image::unread::unread_lines;
use crate::image::{Bytes, Delta};
use crate::limits::{Fact, Verdict};

/// Maximum number of causes, of parts of a cause, and of packages listed; the JSON report has more.
const MAX_LISTED: usize = 10;
/// The indentation of a finding's lines.
const INDENT: &str = "       ";

/// Writes a check's report: the answer first, then what to do about it, then each image's figures and layers.
///
/// # Errors
/// Any error from writing.
pub fn write_check(report: &Report, look: TextLayout, out: &mut impl Write) -> io::Result<()> {
    let images = words::by_difference(report);
    let many = images.len() > 1;
    if many {
        headline(report.verdict, &words::headline_of_many(report), out)?;
        write_acceptance(report, look, out)?;
        writeln!(out)?;
    }
    for image in images {
        let sentence = format!("{} {}", log(&words::label(report, image)), words::headline(image));
        headline(image.verdict, &sentence, out)?;
        write_findings(image, look, out)?;
        if !many {
            write_acceptance(report, look, out)?;
        }
        match image.is_not_delivered() {
            true => writeln!(out)?,
            false => write_image(image, look, out)?,
        }
    }
    if let Some(configurations) = words::configurations(report) {
        writeln!(out, "{}", log(&configurations))?;
    }
    for note in &report.notes {
        writeln!(out, "note: {}", log(note))?;
    }
    Ok(())
}

/// Two images that were compared, as they were requested.
pub use super::markdown::Compared;

/// Writes the differences between two images.
///
/// # Errors
/// Any error from writing.
pub fn write_difference(compared: &Compared<'_>, look: TextLayout, out: &mut impl Write) -> io::Result<()> {
    let Compared { image, base, head, many } = *compared;
    let platform = image.platform.as_deref().filter(|_| many);
    let platform = platform.map_or_else(String::new, |platform| format!(" for {platform}"));
    let answer = words::difference(image, look.sizes);
    write_wrapped("", &format!("{head} {answer}{base}{platform}"), look, out)?;
    write_image(image, look, out)
}

fn headline(verdict: Verdict, sentence: &str, out: &mut impl Write) -> io::Result<()> {
    let color = match verdict {
        Verdict::Pass => AnsiColor::Green,
        Verdict::Warn | Verdict::Accepted | Verdict::Unenforced => AnsiColor::Yellow,
        Verdict::Fail => AnsiColor::Red,
    };
    let word = paint(color.on_default().bold(), verdict.as_str());
    writeln!(out, "{} {word}: {}", words::icon(verdict), log(sentence))
}

fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

fn write_image(image: &ImageReport, look: TextLayout, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\n{}\n", figures(image, look))?;
    if image.delta.is_some() {
        writeln!(out, "  Layers: {}", words::layer_counts(image))?;
        let changed = image.layers.iter().filter(|row| row.status != Status::Unchanged);
        let rows: Vec<[String; 6]> = changed.map(|row| layer_cells(row, look)).collect();
        if !rows.is_empty() {
            let columns = [
                ("Layer", Align::Right),
                ("", Align::Left),
                ("Base", Align::Right),
                ("Head", Align::Right),
                ("Change", Align::Right),
                ("Instruction", Align::Rest),
            ];
            writeln!(out, "\n{}", table(columns, rows, look))?;
        }
        if !image.config.is_empty() {
            writeln!(out, "  Config: {}", log(&words::config(&image.config)))?;
        }
        writeln!(out)?;
    }
    for part in [causes, moved, packages, unread_databases, files, waste, removable]
        .iter()
        .filter_map(|part| part(image, look))
    {
        writeln!(out, "{part}\n")?;
    }
    let (lead, label, how) = words::baseline(image);
    let label = label.map(|label| format!("{label}, ")).unwrap_or_default();
    // What the table shows is not repeated.
    let base_image = match words::base_image(image).as_str() {
        "" => String::new(),
        _ if words::drift_is_in_table(image) => String::new(),
        text => format!("; {text}"),
    };
    let sentence = format!("({}; {lead}{label}{how}{base_image})", words::basis(image));
    write_wrapped("  ", &sentence, look, out)?;
    writeln!(out)
}

fn write_acceptance(report: &Report, look: TextLayout, out: &mut impl Write) -> io::Result<()> {
    let sentence = if let Some(acceptance) = &report.accepted {
        let by = acceptance
            .by
            .as_ref()
            .map_or_else(String::new, |by| [words::accepted_by(acceptance), by].concat());
        let reason = acceptance.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        format!("accepted {}{by}{reason}", words::accepted(acceptance).concat())
    } else {
        let ways: Vec<String> = words::ways_to_accept(report).iter().map(|way| way.concat()).collect();
        if ways.is_empty() {
            return Ok(());
        }
        format!("intended? add {}, and re-run the check", ways.join(" or "))
    };
    write_wrapped("  ", &sentence, look, out)
}

fn write_wrapped(indent: &str, sentence: &str, look: TextLayout, out: &mut impl Write) -> io::Result<()> {
    let room = look.columns.saturating_sub(indent.len()).max(24);
    wrapped(&log(sentence), room, look).iter().try_for_each(|line| writeln!(out, "{indent}{line}"))
}

fn write_findings(image: &ImageReport, look: TextLayout, out: &mut impl Write) -> io::Result<()> {
    for finding in &image.findings {
        let severity = words::severity(image, finding);
        write_wrapped("  ", &format!("{severity} {}: {}", finding.rule, finding.message), look, out)?;
        if finding.subject != image.name {
            write_wrapped(INDENT, &format!("about {}", finding.subject), look, out)?;
        }
        if let Some(help) = words::next_step(image, finding) {
            write_wrapped(INDENT, &format!("next: {help}"), look, out)?;
        }
    }
    Ok(())
}

/// The instructions that made the difference, with what in each explains it.
fn causes(image: &ImageReport, look: TextLayout) -> Option<String> {
    let delta = image.delta?.uncompressed?;
    let mut items: Vec<(String, Vec<ListLine>)> = Vec::new();
    let mut add = |delta: Delta, line: ListLine| items.push((look.sizes.delta(delta), vec![line]));
    for cause in image.causes.iter().take(MAX_LISTED) {
        let step = instruction::text(cause.dockerfile.as_ref(), cause.instruction.as_ref());
        add(cause.delta, ListLine::Cut(step));
        let parts = words::largest_parts(&cause.parts, MAX_LISTED);
        let named: Delta = parts.iter().map(|part| part.delta).sum();
        for part in parts {
            let (name, more) = words::part(part);
            add(part.delta, ListLine::Path(format!("  {}", log(&name)), log(&more)));
        }
        let rest = Delta(cause.delta.0 - named.0);
        if rest != Delta(0) && rest != cause.delta {
            add(rest, ListLine::Cut("  other".to_owned()));
        }
    }
    let left = image.causes.iter().skip(MAX_LISTED).map(|cause| cause.delta).sum::<Delta>();
    if left != Delta(0) {
        add(left, ListLine::Cut("all others".to_owned()));
    }
    if items.is_empty() {
        return None;
    }
    let all = if left == Delta(0) { "all" } else { "the largest" };
    let listed = list(["Change", "Cause"], items, look);
    Some(format!("  Causes: {all} of {}\n\n{listed}", look.sizes.delta(delta)))
}

/// What moved from one instruction to another: not a cause, and mentioned so that nobody looks for it.
fn moved(image: &ImageReport, look: TextLayout) -> Option<String> {
    let cells = |moved: &Moved| {
        let [from, to] = words::moved_between(moved)?;
        let what = words::some_packages(moved).join(", ");
        Some([look.sizes.bytes(moved.bytes), log(&format!("{from} → {to}")), log(&what)])
    };
    let rows: Vec<_> = image.moved.iter().filter_map(cells).take(MAX_LISTED).collect();
    let columns = [("Moved", Align::Right), ("From", Align::Left), ("", Align::Rest)];
    (!rows.is_empty()).then(|| table(columns, rows, look))
}

fn packages(image: &ImageReport, look: TextLayout) -> Option<String> {
    let columns = [("Change", Align::Right), ("", Align::Left), ("Package", Align::Rest)];
    let cells = |row: &PackageRow| {
        // A removal is stated beside it.
        let versions = words::versions(row.from.as_deref().filter(|_| row.to.is_some()), row.to.as_deref());
        let versions = if versions.is_empty() { row.from.clone().unwrap_or_default() } else { versions };
        let place =
            words::repeated_place(image, row).map_or_else(String::new, |place| format!(" in {place}"));
        [
            look.sizes.delta(row.delta),
            format!("{} ({})", words::package_status(row.status), row.ecosystem.as_str()),
            log(&format!("{} {versions}{place}", row.name)),
        ]
    };
    let rows: Vec<[String; 3]> = image.packages.iter().take(MAX_LISTED).map(cells).collect();
    let counts = words::package_counts(image);
    (!rows.is_empty()).then(|| format!("  Packages: {counts}\n\n{}", table(columns, rows, look)))
}

fn unread_databases(image: &ImageReport, _: TextLayout) -> Option<String> {
    let lines: Vec<String> =
        unread_lines(&image.unread_databases).iter().map(|line| format!("  {}", log(line))).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn files(image: &ImageReport, look: TextLayout) -> Option<String> {
    let changes = image.files.as_ref()?;
    let columns = [("Change", Align::Right), ("Files", Align::Right), ("Path", Align::Path)];
    let cells = |change: &PathChange| {
        let path = format!("/{}", change.path);
        [look.sizes.delta(change.delta), words::counted(Some(change.files)), log(&path)]
    };
    let rows: Vec<[String; 3]> = words::telling(&changes.directories).map(cells).collect();
    let counts = words::file_counts(changes);
    (!rows.is_empty()).then(|| format!("  Flattened files: {counts}\n\n{}", table(columns, rows, look)))
}

fn waste(image: &ImageReport, look: TextLayout) -> Option<String> {
    Some(waste_list(&image.waste, look)).filter(|list| !list.is_empty())
}

/// Removable files, and whether the build is multi-stage.
fn removable(image: &ImageReport, look: TextLayout) -> Option<String> {
    let stages = image.stages.as_ref()?;
    let files = removable::text_list(&image.removable, look);
    // What a finding already says is not repeated.
    let is_found = image.has_finding_of(Fact::Stages);
    let room = look.columns.saturating_sub(2);
    let verdict = wrapped(&log(&format!("Stages: {}", words::stages(stages))), room, look).join("\n  ");
    let verdict = if is_found { String::new() } else { format!("  {verdict}") };
    let summary = removable::summary(&image.removable, look.sizes)
        .map(|text| format!("  Removable: {text}\n\n{files}\n\n"));
    (summary.is_some() || image.evaluates_stages()).then(|| [summary.unwrap_or_default(), verdict].concat())
}

/// Unreachable files, grouped by the two layers that cause them, and what to do about them.
pub(super) fn waste_list(waste: &[Waste], look: TextLayout) -> String {
    let item = |waste: &Waste| {
        let verb = if waste.replaced { "replaced by" } else { "deleted by" };
        let lines = vec![
            ListLine::Path(log(&format!("/{}", waste.path)), words::wasted_files(waste)),
            ListLine::Cut(format!("stored by {}", instruction::layer(&waste.stored_by))),
            ListLine::Cut(format!("{verb} {}", instruction::layer(&waste.hidden_by))),
            ListLine::Prose(format!("next: {}", waste.advice())),
        ];
        (look.sizes.bytes(waste.bytes), lines)
    };
    if waste.is_empty() {
        return String::new();
    }
    list(["Wasted", "Unreachable files"], waste.iter().map(item).collect(), look)
}

/// The sizes of both sides.
fn figures(image: &ImageReport, look: TextLayout) -> String {
    let rows = words::figures(image, look.sizes);
    if image.base.is_none() {
        let rows = rows.into_iter().map(|figure| [figure.name.to_owned(), figure.head]).collect();
        return table([("", Align::Left), ("", Align::Right)], rows, look);
    }
    let columns = [
        ("", Align::Left),
        ("Base", Align::Right),
        ("Head", Align::Right),
        ("Change", Align::Right),
        ("", Align::Right),
    ];
    let cells = |figure: words::Figure| {
        [figure.name.to_owned(), figure.base, figure.head, figure.delta, figure.share.trim_start().to_owned()]
    };
    table(columns, rows.into_iter().map(cells).collect(), look)
}

fn layer_cells(row: &LayerRow, look: TextLayout) -> [String; 6] {
    let side = |index: Option<u64>, size: Option<Bytes>| match index {
        None => "-".to_owned(),
        Some(_) => look.sizes.amount(size),
    };
    [
        row.head_index.map_or_else(|| "-".to_owned(), |index| (index + 1).to_string()),
        words::status(row.status).to_owned(),
        side(row.base_index, row.base_size),
        side(row.head_index, row.head_size),
        row.delta.map_or_else(|| "unknown".into(), |delta| look.sizes.delta(delta)),
        instruction::text(row.dockerfile.as_ref(), row.instruction.as_ref()),
    ]
}
