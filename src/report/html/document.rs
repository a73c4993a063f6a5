//! The page's document without the files, as `web/src/data.ts` describes it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::PageSubject;
use super::files::{Details, LayerDetails, PackageDetails};
use crate::compare::baseline::short;
use crate::compare::causes::{Moved, StoringLayer};
use crate::compare::{Cause, ConfigChange, LayerRow, PackageRow, Waste};
use crate::image::removable::{Removable, Weight};
use crate::image::{Bytes, Delta, Instruction, Time, Totals, UpdateSize};
use crate::image::{DockerfileLines, LayerRef};
use crate::limits::{Finding, Metric, SizeLimit};
use crate::report::history::{History, HistoryRow};
use crate::report::links::RunLinks;
use crate::report::model::TrendPoint;
use crate::report::{ImageReport, Report, removable, words};

/// Why there are no files if only the report is available.
const NOT_SAVED: &str = "A saved report has no file lists. Run layergate check --html FILE where the image is built to see its files.";
/// Why there are none although the image was available.
const NOT_KNOWN: &str = "The files of this image are not known, or there was no room for them on this page. Measure this image alone, from its layers, to see them.";
/// The meaning of an estimated update size.
const AT_MOST: &str = "What a host that has the baseline downloads at most: where a layer's compressed size is unknown, its uncompressed size is counted.";
/// Stands for an instruction that the image's history lacks.
const NO_HISTORY: &str = "(no history)";

/// Maximum number of variable or label names in one row.
const MAX_NAMES: usize = 20;

#[derive(Serialize)]
pub(super) struct Page<'a> {
    layergate: &'static str,
    verdict: Option<&'static str>,
    headline: &'a str,
    notes: &'a [String],
    images: Vec<PageImage<'a>>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct PageImage<'a> {
    name: &'a str,
    platform: Option<&'a str>,
    verdict: Option<&'static str>,
    headline: String,
    figures: Vec<PageFigure>,
    baseline: Option<String>,
    lines: Option<&'static str>,
    /// Key, value, and the configuration, if it is an extended one.
    limits: Vec<(&'a str, &'a str, Option<&'a str>)>,
    findings: Vec<FindingText<'a>>,
    causes: Vec<CauseText<'a>>,
    moved: Vec<MovedText<'a>>,
    config: Option<ConfigText>,
    layers: Vec<LayerText<'a>>,
    packages: Option<PagePackages<'a>>,
    waste: Vec<WasteText<'a>>,
    removable: Vec<RemovableText<'a>>,
    trend: Vec<ChartPoint>,
    max_size: Option<Bytes>,
    files: Option<String>,
    files_missing: Option<&'static str>,
}

#[derive(Serialize)]
struct PageFigure {
    name: &'static str,
    unit: &'static str,
    head: Option<u64>,
    base: Option<u64>,
    help: &'static str,
}

#[derive(Serialize)]
struct DockerfilePlace<'a> {
    path: &'a str,
    line: u32,
    url: Option<String>,
}

#[derive(Serialize)]
struct FindingText<'a> {
    severity: &'static str,
    rule: &'a str,
    message: String,
    help: &'a str,
    place: Option<DockerfilePlace<'a>>,
}

#[derive(Serialize)]
struct CauseText<'a> {
    text: &'a str,
    place: Option<DockerfilePlace<'a>>,
    delta: Delta,
    parts: Vec<(String, Delta)>,
}

#[derive(Serialize)]
struct MovedText<'a> {
    bytes: Bytes,
    packages: Vec<String>,
    from: LayerName<'a>,
    to: LayerName<'a>,
}

#[derive(Serialize)]
struct ConfigText {
    summary: String,
    rows: Vec<[String; 3]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LayerText<'a> {
    number: Option<u64>,
    status: Option<&'static str>,
    text: &'a str,
    place: Option<DockerfilePlace<'a>>,
    head: Option<Bytes>,
    base: Option<Bytes>,
    delta: Option<Delta>,
    compressed: Option<Bytes>,
    wasted: Option<Bytes>,
    of_base: Option<bool>,
    diff_id: String,
}

#[derive(Serialize)]
struct PagePackages<'a> {
    summary: String,
    complete: bool,
    rows: Vec<PagePackage<'a>>,
}

/// Name, type, version before and now, bytes before and now, difference, layer counted from 1.
#[derive(Serialize)]
struct PagePackage<'a>(
    &'a str,
    &'static str,
    Option<&'a str>,
    Option<&'a str>,
    Option<Bytes>,
    Option<Bytes>,
    Option<Delta>,
    Option<u64>,
);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WasteText<'a> {
    path: &'a str,
    files: u64,
    bytes: Bytes,
    stored_by: LayerName<'a>,
    hidden_by: LayerName<'a>,
    help: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RemovableText<'a> {
    what: &'a str,
    group: &'static str,
    bytes: Bytes,
    files: u64,
    layer: LayerName<'a>,
    of_base: bool,
    r#where: Vec<String>,
    note: String,
    help: &'a str,
}

#[derive(Serialize)]
struct LayerName<'a> {
    text: String,
    place: Option<DockerfilePlace<'a>>,
}

#[derive(Serialize)]
struct ChartPoint {
    label: String,
    time: Option<Time>,
    size: Bytes,
    update: Option<UpdateSize>,
}

/// The `id` of the element with the files of an image.
pub(super) fn files_id(index: usize) -> String {
    format!("files-{index}")
}

impl<'a> Page<'a> {
    pub(super) fn new(
        headline: &'a str,
        report: &'a Report,
        subject: PageSubject<'_>,
        details: &'a [Details],
        links: Option<&RunLinks>,
    ) -> Page<'a> {
        let source =
            |(index, image)| PageSource { image, details: details.get(index), index, subject, links };
        Page {
            layergate: env!("CARGO_PKG_VERSION"),
            verdict: (subject == PageSubject::Check).then(|| report.verdict.as_str()),
            headline,
            notes: &report.notes,
            images: report.images.iter().enumerate().map(source).map(|source| source.image()).collect(),
        }
    }

    pub(super) fn of_histories(headline: &'a str, histories: &'a [History], most: usize) -> Page<'a> {
        let images = histories.iter().flat_map(|history| {
            let platforms = history.by_platform(most).into_iter();
            platforms.map(move |(platform, rows)| of_history(history, platform, &rows))
        });
        let layergate = env!("CARGO_PKG_VERSION");
        Page { layergate, verdict: None, headline, notes: &[], images: images.collect() }
    }
}

/// The trend of one platform, with the figures of its newest baseline and of the one before.
fn of_history<'a>(history: &'a History, platform: &'a str, rows: &[HistoryRow<'a>]) -> PageImage<'a> {
    let newest = |back: usize| rows.len().checked_sub(back).and_then(|at| rows.get(at));
    let [head, base] = [1, 2].map(|back| newest(back).map(|row| &row.point.totals));
    let point = |row: &HistoryRow<'a>| {
        let commit = row.point.commit.as_deref().map_or_else(|| "no commit".into(), short);
        Some(ChartPoint { label: commit, time: row.point.time, size: row.size?, update: row.point.update })
    };
    PageImage {
        name: &history.image,
        platform: Some(platform),
        figures: figures([head, base], history.metric, newest(1).and_then(|row| row.point.update)),
        trend: rows.iter().filter_map(point).collect(),
        max_size: history.max_size,
        ..PageImage::default()
    }
}

/// The smallest maximum size in the metric that is shown.
fn max_size(image: &ImageReport) -> Option<Bytes> {
    let is_shown = |limits: &BTreeMap<String, String>| {
        limits.get("metric").map_or(Ok(Metric::default()), |text| text.parse()) == Ok(image.metric)
    };
    let of_metric = image.rules().filter(|(_, limits)| is_shown(limits));
    let written = of_metric.filter_map(|(_, limits)| limits.get("max-size")?.parse::<SizeLimit>().ok());
    written.map(|limit| limit.bytes).min()
}

/// The differences in how containers are started.
fn config(image: &ImageReport) -> Option<ConfigText> {
    let row = |change: &ConfigChange| {
        let [base, head] = words::config_sides(change).map(|names| match names.get(MAX_NAMES..) {
            Some(more) if !more.is_empty() => {
                format!("{} and {} more", names[..MAX_NAMES].join(", "), more.len())
            }
            _ => names.join(", "),
        });
        [change.part.as_str().to_owned(), base, head]
    };
    let rows: Vec<[String; 3]> = image.config.iter().map(row).collect();
    (!rows.is_empty()).then(|| ConfigText { summary: words::config(&image.config), rows })
}

/// Everything known about one image.
#[derive(Clone, Copy)]
struct PageSource<'a, 'l> {
    image: &'a ImageReport,
    details: Option<&'a Details>,
    index: usize,
    subject: PageSubject<'l>,
    links: Option<&'l RunLinks>,
}

impl<'a> PageSource<'a, '_> {
    fn image(self) -> PageImage<'a> {
        let PageSource { image, details, subject, .. } = self;
        let is_checked = subject == PageSubject::Check;
        let files = details.filter(|details| details.files.is_some()).map(|_| files_id(self.index));
        let why = if details.is_some() { NOT_KNOWN } else { NOT_SAVED };
        PageImage {
            name: &image.name,
            platform: image.platform.as_deref(),
            verdict: is_checked.then(|| image.verdict.as_str()),
            headline: if is_checked { words::headline(image) } else { String::new() },
            figures: figures(
                [image.head_totals(), image.base.as_ref().map(|base| &base.totals)],
                image.metric,
                image.update,
            ),
            baseline: baseline(image, subject),
            lines: image.lines.map(words::lines_by),
            limits: image
                .rules()
                .flat_map(|(source, limits)| {
                    limits.iter().map(move |(key, value)| (key.as_str(), value.as_str(), source))
                })
                .collect(),
            findings: image.findings.iter().map(|finding| self.finding(finding)).collect(),
            causes: image.causes.iter().map(|cause| self.cause(cause)).collect(),
            moved: image.moved.iter().map(|moved| self.moved(moved)).collect(),
            config: config(image),
            layers: self.layers(),
            packages: self.packages(),
            waste: image.waste.iter().map(|waste| self.waste(waste)).collect(),
            removable: removable::in_order(&image.removable)
                .into_iter()
                .map(|one| self.removable(one))
                .collect(),
            trend: image.trend.iter().map(point).collect(),
            max_size: max_size(image),
            files_missing: (files.is_none() && image.head.is_some()).then_some(why),
            files,
        }
    }

    fn place(self, lines: Option<&'a DockerfileLines>) -> Option<DockerfilePlace<'a>> {
        let lines = lines?;
        let url = self.links.and_then(|links| links.to(lines));
        Some(DockerfilePlace { path: &lines.path, line: lines.line, url })
    }

    fn finding(self, finding: &'a Finding) -> FindingText<'a> {
        let of_image = finding.subject == self.image.name;
        let subject = if of_image { String::new() } else { format!("{}: ", finding.subject) };
        FindingText {
            severity: words::severity(self.image, finding),
            rule: &finding.rule,
            message: format!("{subject}{}", finding.message),
            help: words::next_step(self.image, finding).unwrap_or_default(),
            place: self.place(finding.dockerfile.as_ref()),
        }
    }

    fn cause(self, cause: &'a Cause) -> CauseText<'a> {
        let mut parts: Vec<(String, Delta)> = words::largest_parts(&cause.parts, cause.parts.len())
            .into_iter()
            .map(|part| {
                let (name, more) = words::part(part);
                (name + &more, part.delta)
            })
            .collect();
        if !parts.is_empty() && cause.other != Delta(0) {
            parts.push(("other".into(), cause.other));
        }
        CauseText {
            text: instruction(cause.instruction.as_ref()),
            place: self.place(cause.dockerfile.as_ref()),
            delta: cause.delta,
            parts,
        }
    }

    fn moved(self, moved: &'a Moved) -> MovedText<'a> {
        let name = |stored: &'a StoringLayer| LayerName {
            text: stored
                .instruction
                .as_ref()
                .map_or_else(|| format!("layer {}", stored.layer + 1), ToString::to_string),
            place: self.place(stored.dockerfile.as_ref()),
        };
        MovedText {
            bytes: moved.bytes,
            packages: words::some_packages(moved),
            from: name(&moved.from),
            to: name(&moved.to),
        }
    }

    /// The layers of the comparison, else those of the image.
    fn layers(self) -> Vec<LayerText<'a>> {
        let known = self.details.map_or(&[][..], |details| &details.layers);
        if self.image.layers.is_empty() {
            return known.iter().enumerate().map(|(index, layer)| self.layer(index, layer)).collect();
        }
        self.image.layers.iter().map(|row| self.layer_row(row, known)).collect()
    }

    fn layer(self, index: usize, details: &'a LayerDetails) -> LayerText<'a> {
        let layer = &details.layer;
        LayerText {
            number: Some(index as u64 + 1),
            status: None,
            text: instruction(layer.created_by.as_ref()),
            place: self.place(layer.dockerfile.as_ref()),
            head: layer.size,
            base: None,
            delta: None,
            compressed: layer.compressed,
            wasted: details.wasted,
            of_base: details.of_base,
            diff_id: layer.diff_id.to_string(),
        }
    }

    fn layer_row(self, row: &'a LayerRow, known: &'a [LayerDetails]) -> LayerText<'a> {
        let details = row.head_index.and_then(|index| known.get(index as usize));
        LayerText {
            number: row.head_index.map(|index| index + 1),
            status: Some(words::status(row.status)),
            text: instruction(row.instruction.as_ref()),
            place: self.place(row.dockerfile.as_ref()),
            head: row.head_size,
            base: row.base_size,
            delta: row.delta,
            compressed: details.and_then(|details| details.layer.compressed),
            wasted: details.and_then(|details| details.wasted),
            of_base: details.and_then(|details| details.of_base).or(row.of_base_image),
            diff_id: row.diff_id.to_string(),
        }
    }

    /// All packages if they are known, else those that the report lists.
    fn packages(self) -> Option<PagePackages<'a>> {
        let summary = words::package_counts(self.image);
        if let Some(packages) = self.details.and_then(|details| details.packages.as_ref()) {
            let rows = packages.iter().map(|one| package(one, self.image.base.is_some())).collect();
            return Some(PagePackages { summary, complete: true, rows });
        }
        let rows: Vec<PagePackage<'a>> = self.image.packages.iter().map(changed_package).collect();
        (!rows.is_empty()).then_some(PagePackages { summary, complete: false, rows })
    }

    fn waste(self, waste: &'a Waste) -> WasteText<'a> {
        WasteText {
            path: &waste.path,
            files: waste.files,
            bytes: waste.bytes,
            stored_by: self.layer_name(&waste.stored_by),
            hidden_by: self.layer_name(&waste.hidden_by),
            help: waste.advice(),
        }
    }

    fn removable(self, one: &'a Removable) -> RemovableText<'a> {
        let note = match (&one.ignored, one.deleted) {
            (Some(why), _) => format!("accepted: {why}"),
            (None, true) => "deleted by a later layer".to_owned(),
            (None, false) => String::new(),
        };
        let paths = one.paths.iter().map(|path| format!("/{path}"));
        RemovableText {
            what: &one.what,
            group: group(one.weight),
            bytes: one.bytes,
            files: one.files,
            layer: self.layer_name(&one.layer),
            of_base: one.layer.of_base_image,
            r#where: one.packages.iter().cloned().chain(paths).collect(),
            note,
            help: &one.help,
        }
    }

    fn layer_name(self, layer: &'a LayerRef) -> LayerName<'a> {
        LayerName { text: words::layer_ref(layer).1, place: self.place(layer.dockerfile.as_ref()) }
    }
}

/// The figures of head and base; first the one that the size limits use.
fn figures(
    [head, base]: [Option<&Totals>; 2],
    metric: Metric,
    update: Option<UpdateSize>,
) -> Vec<PageFigure> {
    let bytes = |name, of: fn(&Totals) -> Option<Bytes>, help| PageFigure {
        name,
        unit: "bytes",
        head: head.and_then(of).map(|bytes| bytes.0),
        base: base.and_then(of).map(|bytes| bytes.0),
        help,
    };
    let count = |name, of: fn(&Totals) -> Option<u64>, help| PageFigure {
        name,
        unit: "count",
        head: head.and_then(of),
        base: base.and_then(of),
        help,
    };
    let mut figures = vec![
        bytes("Uncompressed", |totals| totals.uncompressed, "Sum of the sizes of all layers."),
        bytes("Flattened", |totals| totals.flattened, "What a container of the image can see."),
        bytes("Compressed", |totals| totals.compressed, "What a full pull downloads."),
    ];
    let first = match metric {
        Metric::Flattened => 1,
        Metric::Compressed | Metric::Update => 2,
        _ => 0,
    };
    figures[..=first].rotate_right(1);
    if let Some(update) = update {
        let (name, help) = match update.estimated {
            true => ("Update, at most", AT_MOST),
            false => ("Update", "What a host that has the baseline downloads."),
        };
        figures.push(PageFigure { name, unit: "bytes", head: Some(update.bytes.0), base: None, help });
    }
    figures.extend([
        bytes(
            "Wasted",
            |totals| totals.wasted,
            "Uncompressed minus flattened: stored and hidden by a later layer.",
        ),
        count("Layers", |totals| Some(totals.layers), "Number of layers."),
        count("Files", |totals| totals.files, "Regular files that a container can see."),
    ]);
    figures
}

fn instruction(instruction: Option<&Instruction>) -> &str {
    instruction.map_or(NO_HISTORY, Instruction::as_str)
}

fn group(weight: Weight) -> &'static str {
    match weight {
        Weight::Tool => "build tools",
        Weight::Input => "build inputs",
        Weight::Cache => "caches",
        Weight::Leftover => "leftovers",
    }
}

fn baseline(image: &ImageReport, subject: PageSubject<'_>) -> Option<String> {
    match (subject, &image.base) {
        (PageSubject::Image, _) => None,
        (PageSubject::Difference { base, .. }, of) => of.as_ref().map(|_| format!("Compared with {base}")),
        (PageSubject::Check, None) => Some(words::baseline(image).2.to_owned()).filter(|why| !why.is_empty()),
        (PageSubject::Check, Some(_)) => {
            let (_, commit, how) = words::baseline(image);
            Some(
                commit
                    .map_or_else(|| format!("Baseline: {how}"), |commit| format!("Baseline {commit}, {how}")),
            )
        }
    }
}

fn package(one: &PackageDetails, compared: bool) -> PagePackage<'_> {
    let (base, head) = (one.base.as_ref(), one.head.as_ref());
    let bytes = |side: Option<&(String, Bytes)>| side.map_or(Bytes(0), |(_, bytes)| *bytes);
    PagePackage(
        &one.name,
        one.ecosystem.as_str(),
        base.map(|(version, _)| version.as_str()),
        head.map(|(version, _)| version.as_str()),
        base.map(|(_, bytes)| *bytes),
        head.map(|(_, bytes)| *bytes),
        compared.then(|| bytes(head) - bytes(base)),
        one.layer.map(|layer| layer + 1),
    )
}

fn changed_package(row: &PackageRow) -> PagePackage<'_> {
    let layer = row.layer.map(|layer| layer + 1);
    PagePackage(
        &row.name,
        row.ecosystem.as_str(),
        row.from.as_deref(),
        row.to.as_deref(),
        None,
        None,
        Some(row.delta),
        layer,
    )
}

fn point(point: &TrendPoint) -> ChartPoint {
    let commit = point.commit.as_ref();
    ChartPoint {
        label: commit.map_or_else(|| "this change".into(), |sha| short(sha)),
        time: None,
        size: point.size,
        update: None,
    }
}
