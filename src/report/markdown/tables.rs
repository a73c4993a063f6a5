//! The table of images, and the content of the details.

use super::{ImagePart, MAX_SENTENCE};
use crate::compare::files::PathChange;
use crate::compare::{ConfigChange, LayerRow, Moved, PackageRow, Status, Waste};
use crate::image::layer_ref::LayerRef;
use crate::image::snapshot::sum_known;
use crate::image::unread::unread_lines;
use crate::image::{Bytes, Delta};
use crate::limits::{Fact, Metric, Verdict};
use crate::report::escape::{code, plain, prose, short};
use crate::report::instruction;
use crate::report::look::Sizes;
use crate::report::model::ImageReport;
use crate::report::removable;
use crate::report::table::{Align, Column, markdown as table};
use crate::report::words;

/// Maximum characters of the limits of one image.
const MAX_LIMITS: usize = 100;
/// Maximum number of variable or label names listed, and maximum characters of each text in the config.
const MAX_NAMES: usize = 10;
const MAX_TEXT: usize = 80;
/// Maximum rows in a table of packages.
const MAX_ROWS: usize = 30;
/// Maximum number of line pairs listed for moved content.
const MAX_MOVED: usize = 3;

/// The images, one per row; unchanged ones share a row.
pub(super) fn images(images: &[&ImageReport], rows: usize, sizes: Sizes) -> String {
    let (unchanged, told): (Vec<&ImageReport>, Vec<&ImageReport>) =
        images.iter().copied().partition(|image| has_nothing_to_tell(image));
    // A single one needs no more room under its name, and sizes in several metrics have no sum.
    let metric = words::common_metric(unchanged.iter().copied()).filter(|_| unchanged.len() > 1);
    let (unchanged, told) = if metric.is_none() { (Vec::new(), images.to_vec()) } else { (unchanged, told) };
    let single = images.len() == 1;
    let platform = images.first().map(|image| &image.platform);
    let differs = images.iter().any(|image| Some(&image.platform) != platform);
    // If the metrics differ, each size is followed by its own.
    let named = words::common_metric(images.iter().copied()).is_none();
    let look = RowLook { single, with_platform: differs, names_metric: named, sizes };
    let mut cells: Vec<[String; 5]> = told.iter().take(rows).map(|image| image_cells(image, look)).collect();
    if let Some(metric) = metric {
        let size = sum_known(unchanged.iter().map(|image| image.head_size()));
        let (count, size) = (unchanged.len(), size_cell(size, metric, named, sizes));
        let name = if told.is_empty() { format!("all {count}") } else { format!("{count} more") };
        let icon = words::icon(Verdict::Pass).to_owned();
        cells.push([icon, format!("{name}, unchanged"), String::new(), String::new(), size]);
    }
    let text = table(COLUMNS, cells);
    match told.len().saturating_sub(rows) {
        0 => text,
        left => format!("{text}\n\n\u{2026} and {left} more images, in the JSON report."),
    }
}

const COLUMNS: [Column; 5] = [
    ("", Align::Center),
    ("Image", Align::Left),
    ("Change", Align::Right),
    // Before the size: a phone shows the left columns.
    ("Rule", Align::Left),
    ("Size", Align::Right),
];

fn has_nothing_to_tell(image: &ImageReport) -> bool {
    image.verdict == Verdict::Pass && image.findings.is_empty() && image.size_delta() == Some(Delta(0))
}

/// Optional parts of the rows in a table of images.
#[derive(Clone, Copy)]
struct RowLook {
    /// The only row.
    single: bool,
    with_platform: bool,
    /// Whether to name the metric of each size, because they differ.
    names_metric: bool,
    sizes: Sizes,
}

fn size_cell(size: Option<Bytes>, metric: Metric, with_metric: bool, sizes: Sizes) -> String {
    let metric = if with_metric { format!(" {metric}") } else { String::new() };
    plain(&sizes.amount(size)) + &metric
}

fn image_cells(image: &ImageReport, look: RowLook) -> [String; 5] {
    let delta = image.size_delta().zip(image.base_size()).map(|(delta, base)| match delta {
        Delta(0) => "unchanged".to_owned(),
        delta => look.sizes.change(delta, base),
    });
    // The heading of a single image has said where all of the change is the base image's.
    let is_told = look.single && words::only_base_image(image).is_some();
    let drift = image.split.filter(|split| split.base_image != Delta(0) && !is_told);
    let drift = drift.map(|_| format!("<br>{}", plain(&words::base_image(image)).replace(", ", "<br>")));
    let change = match (&image.base, &image.head) {
        _ if image.is_not_delivered() => words::NO_REPORT.into(),
        (Some(_), Some(_)) => delta.map_or_else(|| "unknown".into(), |delta| plain(&delta)),
        (None, _) => "no baseline".into(),
        (_, None) => "\u{2013}".into(),
    };
    [
        match &image.head {
            None if !image.is_not_delivered() => "\u{2013}".into(),
            _ => words::icon(image.verdict).into(),
        },
        // Below the name, so that a phone has room for the important columns.
        match image.platform.as_deref().filter(|_| look.with_platform) {
            Some(platform) => format!("{}<br>{}", code(&image.name), code(platform)),
            None => code(&image.name),
        },
        change + &drift.unwrap_or_default(),
        plain(&short(&words::rules(image, look.single), MAX_LIMITS)),
        match &image.head {
            Some(_) => size_cell(image.head_size(), image.metric, look.names_metric, look.sizes),
            None if image.is_not_delivered() => "\u{2013}".into(),
            None => words::GONE.into(),
        },
    ]
}

/// The differences in detail: layers, packages, files, and waste.
pub(super) fn details(image: &ImageReport, part: &ImagePart<'_>) -> Vec<String> {
    let tables: [fn(&ImageReport, &ImagePart<'_>) -> Option<String>; 7] =
        [layer_table, config_table, moved, package_table, unread_databases, file_table, waste_table];
    tables.iter().filter_map(|table| table(image, part)).collect()
}

fn titled(title: &str, counts: &str, body: &str) -> String {
    format!("**{title}**: {counts}\n\n{body}")
}

fn layer_table(image: &ImageReport, part: &ImagePart<'_>) -> Option<String> {
    let columns = [
        ("Layer", Align::Left),
        ("Instruction", Align::Left),
        ("Base", Align::Right),
        ("Head", Align::Right),
        ("Change", Align::Right),
    ];
    // A rebuilt layer without content is not worth a row.
    let nothing = |row: &LayerRow| {
        let bytes = [row.base_size, row.head_size].into_iter().flatten().map(|bytes| bytes.0).max();
        row.delta == Some(Delta(0)) && bytes == Some(0)
    };
    let shown = |row: &&LayerRow| row.status != Status::Unchanged && !nothing(row);
    let (of_base, own): (Vec<&LayerRow>, Vec<&LayerRow>) =
        image.layers.iter().filter(shown).partition(|row| row.of_base_image == Some(true));
    // To the reader, the base image's layers are one thing.
    let (of_base, own) = match of_base.len() {
        0 | 1 => (Vec::new(), image.layers.iter().filter(shown).collect()),
        _ => (of_base, own),
    };
    let mut rows: Vec<[String; 5]> = base_row(&of_base, part.sizes).into_iter().collect();
    rows.extend(own.iter().map(|row| layer_cells(row, part.sizes)));
    let note = if image.metric == Metric::Uncompressed { "" } else { " (uncompressed)" };
    let title = format!("Layers{note}");
    (!rows.is_empty()).then(|| titled(&title, &words::layer_counts(image), &table(columns, rows)))
}

fn base_row(rows: &[&LayerRow], sizes: Sizes) -> Option<[String; 5]> {
    if rows.is_empty() {
        return None;
    }
    let side = |size: fn(&LayerRow) -> Option<Bytes>, is_there: fn(&LayerRow) -> bool| {
        sum_known(rows.iter().filter(|row| is_there(row)).map(|row| size(row)))
    };
    let base = side(|row| row.base_size, |row| row.base_index.is_some());
    let head = side(|row| row.head_size, |row| row.head_index.is_some());
    let delta = base.zip(head).map_or_else(|| "unknown".into(), |(base, head)| sizes.delta(head - base));
    Some([
        "base image".into(),
        format!("{} layers", rows.len()),
        plain(&sizes.amount(base)),
        plain(&sizes.amount(head)),
        plain(&delta),
    ])
}

fn layer_cells(row: &LayerRow, sizes: Sizes) -> [String; 5] {
    let side = |index: Option<u64>, size| {
        if index.is_none() { String::new() } else { plain(&sizes.amount(size)) }
    };
    [
        words::status(row.status).into(),
        instruction::markdown(row.dockerfile.as_ref(), row.instruction.as_ref()),
        side(row.base_index, row.base_size),
        side(row.head_index, row.head_size),
        row.delta.map_or_else(|| "unknown".into(), |delta| plain(&sizes.delta(delta))),
    ]
}

/// `**Moved**, no change in size: pandas, numpy and 12 more from Dockerfile:9 to Dockerfile:12 (190 MB)`
fn moved(image: &ImageReport, part: &ImagePart<'_>) -> Option<String> {
    let text = |moved: &Moved| {
        let [from, to] = words::moved_between(moved)?;
        let names: Vec<String> =
            words::some_packages(moved).iter().map(|name| plain(&short(name, 60))).collect();
        let what = if names.is_empty() { "files".to_owned() } else { names.join(", ") };
        Some(format!("{what} from {} to {} ({})", code(&from), code(&to), part.sizes.bytes(moved.bytes)))
    };
    let moved: Vec<String> = image.moved.iter().filter_map(text).take(MAX_MOVED).collect();
    (!moved.is_empty()).then(|| format!("**Moved**, no change in size: {}", moved.join("; ")))
}

/// The differences in how containers are started. For variables and labels only names are shown.
fn config_table(image: &ImageReport, _: &ImagePart<'_>) -> Option<String> {
    let columns = [("Config", Align::Left), ("Base", Align::Left), ("Head", Align::Left)];
    let shown = |names: Vec<&str>| {
        let shown = names.iter().take(MAX_NAMES).map(|name| code(&short(name, MAX_TEXT)));
        let more = names.len().saturating_sub(MAX_NAMES);
        shown.chain((more > 0).then(|| format!("and {more} more"))).collect::<Vec<_>>().join(", ")
    };
    let cells = |change: &ConfigChange| {
        let [base, head] = words::config_sides(change).map(shown);
        [change.part.as_str().to_owned(), base, head]
    };
    let rows: Vec<[String; 3]> = image.config.iter().take(MAX_ROWS).map(cells).collect();
    (!rows.is_empty()).then(|| titled("Config", &plain(&words::config(&image.config)), &table(columns, rows)))
}

fn package_table(image: &ImageReport, part: &ImagePart<'_>) -> Option<String> {
    let columns = [
        ("Package", Align::Left),
        ("", Align::Left),
        ("Base", Align::Left),
        ("Head", Align::Left),
        ("Change", Align::Right),
    ];
    let cells = |row: &PackageRow| {
        let version = |version: Option<&String>| version.map_or_else(String::new, |version| code(version));
        // If a name occurs in several places, the place distinguishes them.
        let place = words::repeated_place(image, row);
        let place = place.map_or_else(String::new, |place| format!(" in {}", plain(&place)));
        [
            code(&row.name) + &place,
            format!("{} ({})", words::package_status(row.status), row.ecosystem.as_str()),
            version(row.from.as_ref()),
            version(row.to.as_ref()),
            plain(&part.sizes.delta(row.delta)),
        ]
    };
    let rows: Vec<[String; 5]> = image.packages.iter().take(MAX_ROWS).map(cells).collect();
    if rows.is_empty() {
        return None;
    }
    let body = table(columns, rows) + &more(image.package_counts.all() as usize);
    Some(titled("Packages", &words::package_counts(image), &body))
}

fn more(rows: usize) -> String {
    let left = rows.saturating_sub(MAX_ROWS);
    if left == 0 { String::new() } else { format!("\n\n\u{2026} and {left} more, with smaller differences.") }
}

fn unread_databases(image: &ImageReport, _: &ImagePart<'_>) -> Option<String> {
    let lines = unread_lines(&image.unread_databases);
    let lines: Vec<String> =
        lines.iter().map(|line| format!("- {}", prose(&short(line, MAX_SENTENCE)))).collect();
    let counts = words::files(image.unread_databases.len() as u64);
    (!lines.is_empty()).then(|| titled("Packages not known", &counts, &lines.join("\n")))
}

fn file_table(image: &ImageReport, part: &ImagePart<'_>) -> Option<String> {
    let changes = image.files.as_ref()?;
    let columns = [("Path", Align::Left), ("Files", Align::Right), ("Change", Align::Right)];
    let cells = |change: &PathChange| {
        let path = format!("/{}", change.path);
        [code(&path), words::counted(Some(change.files)), plain(&part.sizes.delta(change.delta))]
    };
    let rows: Vec<[String; 3]> = words::telling(&changes.directories).map(cells).collect();
    (!rows.is_empty()).then(|| titled("Files", &words::file_counts(changes), &table(columns, rows)))
}

fn waste_table(image: &ImageReport, part: &ImagePart<'_>) -> Option<String> {
    let wasted = part.sizes.amount(image.head_totals().and_then(|totals| totals.wasted));
    let counts = format!("{wasted} unreachable");
    (!image.waste.is_empty()).then(|| titled("Wasted", &counts, &waste_rows(&image.waste, part.sizes)))
}

/// Unreachable files, grouped by the two layers that cause them, and what to do about them.
pub(in crate::report) fn waste_rows(waste: &[Waste], sizes: Sizes) -> String {
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
            plain(&sizes.bytes(waste.bytes)),
            files,
            layer(&waste.stored_by),
            layer(&waste.hidden_by),
            prose(waste.advice()),
        ]
    };
    table(columns, waste.iter().map(cells).collect())
}

/// Removable files, and whether the build is multi-stage: the summary line and the content below it.
pub(super) fn removable(image: &ImageReport, part: &ImagePart<'_>) -> Option<(String, String)> {
    let stages = image.stages.as_ref()?;
    let summary = removable::summary(&image.removable, part.sizes);
    if summary.is_none() && !image.evaluates_stages() {
        return None;
    }
    // What a finding already says is not repeated.
    let is_found = image.has_finding_of(Fact::Stages);
    let verdict = (!is_found).then(|| format!("**Stages:** {}.", prose(&words::stages(stages))));
    let rows = summary.as_ref().map(|_| removable::markdown_rows(&image.removable, part.sizes));
    let body = verdict.into_iter().chain(rows).collect::<Vec<_>>().join("\n\n");
    Some((plain(&summary.unwrap_or_else(|| "nothing".into())), body))
}
