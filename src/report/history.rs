//! The sizes of an image over its recorded commits: as a table with bars, as markdown with a chart that GitHub
//! draws, as JSON and as CSV; and the chart of a comment. Pure.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::escape::{cell, code, log, summary_name};
use super::look::{Sizes, TextLayout};
use super::model::{ImageReport, TrendPoint};
use super::table::{self, Align, Column};
use crate::compare::baseline::HistoryPoint;
use crate::image::{Bytes, Delta, UpdateSize};
use crate::limits::Metric;

/// The `schema` of a history that this version writes.
const SCHEMA: &str = "layergate.history/v1";
/// How wide the longest bar is, in characters.
const BAR: usize = 24;
/// The fewest points that make a trend, and the most that fit into a comment's chart.
const FEWEST: usize = 3;

/// Mermaid's own first colour is almost white; this blue is visible on white and on black.
const COLOUR: &str = r##"%%{init: {"themeVariables": {"xyChart": {"plotColorPalette": "#218bff"}}}}%%"##;

/// The columns of both tables.
const COLUMNS: [Column; 6] = [
    ("Commit", Align::Left),
    ("Date", Align::Left),
    ("Size", Align::Right),
    ("Change", Align::Right),
    ("Update", Align::Right),
    ("Layers", Align::Right),
];

/// The recorded sizes of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// `layergate.history/v1`.
    pub schema: String,
    /// The image's name.
    pub image: String,
    /// The size that is shown; the document has all of them.
    pub metric: Metric,
    /// One per commit and platform, in the order in which they were recorded.
    pub points: Vec<HistoryPoint>,
    /// The configured maximum size, in the metric. Not part of the document.
    #[serde(skip)]
    pub max_size: Option<Bytes>,
}

impl History {
    /// The history of an image; of one platform only, if one is named.
    pub fn new(image: &str, metric: Metric, points: Vec<HistoryPoint>, platform: Option<&str>) -> History {
        let wanted = |point: &HistoryPoint| platform.is_none_or(|platform| point.platform == platform);
        let points = points.into_iter().filter(wanted).collect();
        History { schema: SCHEMA.into(), image: image.into(), metric, points, max_size: None }
    }

    /// The newest points of each platform.
    pub(super) fn by_platform(&self, most: usize) -> BTreeMap<&str, Vec<HistoryRow<'_>>> {
        let mut platforms: BTreeMap<&str, Vec<HistoryRow<'_>>> = BTreeMap::new();
        for point in &self.points {
            let rows = platforms.entry(&point.platform).or_default();
            let size = self.metric.of(&point.totals);
            let before = rows.last().and_then(|row| row.size);
            rows.push(HistoryRow { point, size, before });
        }
        for rows in platforms.values_mut() {
            rows.drain(..rows.len().saturating_sub(most));
        }
        platforms
    }
}

/// A recorded size, and the one before.
pub(super) struct HistoryRow<'a> {
    pub(super) point: &'a HistoryPoint,
    pub(super) size: Option<Bytes>,
    before: Option<Bytes>,
}

impl HistoryRow<'_> {
    /// The cells for [`COLUMNS`]; `escaped` escapes the commit, which anyone may have written.
    fn cells(&self, sizes: Sizes, escaped: impl Fn(&str) -> String) -> [String; 6] {
        let layers = self.point.totals.layers.to_string();
        let (size, change) = (sizes.amount(self.size), self.change(sizes));
        [escaped(&self.commit()), self.date(), size, change, self.update(sizes), layers]
    }

    /// What a host downloads to move here from the previous baseline.
    fn update(&self, sizes: Sizes) -> String {
        self.point.update.map_or_else(String::new, |update| update_text(update, sizes))
    }

    fn commit(&self) -> String {
        self.point.commit.as_ref().map_or_else(|| "no commit".into(), |sha| sha.chars().take(12).collect())
    }

    fn date(&self) -> String {
        self.point.time.map_or_else(|| "unknown".into(), |time| time.day().to_string())
    }

    fn change(&self, sizes: Sizes) -> String {
        match self.size.zip(self.before) {
            Some((size, before)) if size == before => "0".into(),
            Some((size, before)) => sizes.change(size - before, before),
            None => String::new(),
        }
    }
}

/// An update size; an estimate is marked as an upper bound.
pub(super) fn update_text(update: UpdateSize, sizes: Sizes) -> String {
    let most = if update.estimated { "\u{2264} " } else { "" };
    format!("{most}{}", sizes.bytes(update.bytes))
}

/// Writes tables with bars, newest last as in a log; the newest `most` of each platform.
///
/// # Errors
/// Any error from writing.
pub fn write_text(history: &History, most: usize, look: TextLayout, out: &mut impl Write) -> io::Result<()> {
    for (platform, rows) in history.by_platform(most) {
        let sizes = look.sizes;
        writeln!(
            out,
            "{} {} ({})\n",
            log(&history.image),
            answer(history.metric, &rows, sizes),
            log(platform)
        )?;
        let known = || rows.iter().filter_map(|row| row.size.map(|size| size.0));
        let (least, largest) = (known().min().unwrap_or(0), known().max().unwrap_or(0));
        let [commit, date, size, delta, update, layers] = COLUMNS;
        let columns = [commit, date, size, delta, update, layers, ("", Align::Left)];
        let cells = |row: &HistoryRow<'_>| {
            let [commit, date, size, delta, update, layers] = row.cells(sizes, log);
            let bar = row.size.map_or_else(String::new, |size| bar(size.0, least, largest));
            [commit, date, size, delta, update, layers, bar]
        };
        writeln!(out, "{}\n", table::text(columns, rows.iter().map(cells).collect(), look))?;
        if largest > least {
            let (least, largest) = (sizes.bytes(Bytes(least)), sizes.bytes(Bytes(largest)));
            writeln!(out, "  bars from {least} (one mark) to {largest} ({BAR})\n")?;
        }
    }
    Ok(())
}

/// `is 1.39 GB uncompressed, +60.3 MB (+4.5%) over 12 commits`
fn answer(metric: Metric, rows: &[HistoryRow<'_>], sizes: Sizes) -> String {
    let known: Vec<Bytes> = rows.iter().filter_map(|row| row.size).collect();
    let (Some(first), Some(last)) = (known.first(), known.last()) else {
        return format!("has no known {metric} size");
    };
    let (least, largest) =
        known.iter().fold((*last, *last), |(least, largest), size| (least.min(*size), largest.max(*size)));
    let change = match (known.len(), *last - *first) {
        (1, _) => String::new(),
        (count, Delta(0)) if least == largest => format!(", unchanged over {count} commits"),
        (count, Delta(0)) => format!(
            ", as {count} commits ago, and between {} and {} since",
            sizes.bytes(least),
            sizes.bytes(largest)
        ),
        (count, delta) => format!(", {} over {count} commits", sizes.change(delta, *first)),
    };
    format!("is {} {metric}{change}", sizes.bytes(*last))
}

/// Bars start at the smallest size rather than at zero, so that differences are visible.
fn bar(size: u64, least: u64, largest: u64) -> String {
    let span = u128::from(largest - least);
    let part = u128::from(size - least) * (BAR as u128 - 1);
    let length = (part + span / 2).checked_div(span).unwrap_or(0);
    "\u{2588}".repeat(1 + length as usize)
}

/// Writes tables and charts for GitHub.
///
/// # Errors
/// Any error from writing.
pub fn write_markdown(history: &History, most: usize, sizes: Sizes, out: &mut impl Write) -> io::Result<()> {
    for (platform, rows) in history.by_platform(most) {
        let answer = answer(history.metric, &rows, sizes);
        writeln!(out, "### {} {answer} ({})\n", code(&history.image), code(platform))?;
        let point = |row: &HistoryRow<'_>| Some((hash(row.point.commit.as_deref(), "none"), row.size?));
        let points: Vec<(String, Bytes)> = rows.iter().filter_map(point).collect();
        if let Some(chart) = chart(history.metric, &points) {
            writeln!(out, "{chart}\n")?;
        }
        let rows = rows.iter().map(|row| row.cells(sizes, code)).collect();
        writeln!(out, "{}\n", table::markdown(COLUMNS, rows))?;
    }
    Ok(())
}

/// Writes all points, with a heading line (RFC 4180).
///
/// # Errors
/// Any error from writing.
pub fn write_csv(histories: &[History], out: &mut impl Write) -> io::Result<()> {
    let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    csv.write_record([
        "image",
        "platform",
        "commit",
        "time",
        "uncompressed",
        "flattened",
        "wasted",
        "compressed",
        "layers",
        "files",
        "update",
        "update_classic",
        "update_estimated",
    ])?;
    let known = |bytes: Option<Bytes>| bytes.map_or_else(String::new, |bytes| bytes.0.to_string());
    let points =
        histories.iter().flat_map(|history| history.points.iter().map(|point| (&history.image, point)));
    for (image, HistoryPoint { commit, time, platform, totals, update }) in points {
        csv.write_record([
            &cell(image),
            &cell(platform),
            &cell(commit.as_deref().unwrap_or_default()),
            &time.map_or_else(String::new, |time| time.to_string()),
            &known(totals.uncompressed),
            &known(totals.flattened),
            &known(totals.wasted),
            &known(totals.compressed),
            &totals.layers.to_string(),
            &totals.files.map_or_else(String::new, |files| files.to_string()),
            &known(update.map(|update| update.bytes)),
            &known(update.map(|update| update.classic_bytes)),
            &update.map_or_else(String::new, |update| update.estimated.to_string()),
        ])?;
    }
    csv.flush()
}

/// The chart for a comment: the recorded sizes and this change.
pub(super) fn trend(image: &ImageReport, label: Option<&str>) -> Option<String> {
    let point = |point: &TrendPoint| (hash(point.commit.as_deref(), "now"), point.size);
    let points: Vec<(String, Bytes)> = image.trend.iter().map(point).collect();
    let chart = chart(image.metric, &points)?;
    let name = label.map_or_else(String::new, |label| format!(" of {}", summary_name(label)));
    Some(format!("<details><summary>Size{name} over recorded commits</summary>\n\n{chart}\n\n</details>"))
}

/// A commit in a chart: hexadecimal digits only.
fn hash(commit: Option<&str>, without: &str) -> String {
    let digits = |sha: &str| sha.chars().filter(char::is_ascii_hexdigit).take(7).collect();
    commit.map_or_else(|| without.to_owned(), digits)
}

/// A chart of sizes in Mermaid's language, which GitHub draws; commits are named as by [`hash`].
fn chart(metric: Metric, points: &[(String, Bytes)]) -> Option<String> {
    if points.len() < FEWEST {
        return None;
    }
    let largest = points.iter().map(|(_, size)| size.0).max()?;
    let least = points.iter().map(|(_, size)| size.0).min()?;
    let (unit, scale) = if largest >= 1_000_000 { ("MB", 1_000_000_u32) } else { ("kB", 1000) };
    let amount = |bytes: u64| format!("{:.2}", bytes as f64 / f64::from(scale));
    // Room above and below, so that a constant line is drawn too.
    let room = ((largest - least) / 10).max(largest / 200).max(u64::from(scale) / 50);
    let labels: Vec<String> = points.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let sizes: Vec<String> = points.iter().map(|(_, size)| amount(size.0)).collect();
    Some(format!(
        "```mermaid\n{COLOUR}\nxychart-beta\n    title \"{metric} size\"\n    x-axis [{}]\n    y-axis \"{unit}\" {} --> {}\n    line [{}]\n```",
        labels.join(", "),
        amount(least.saturating_sub(room)),
        amount(largest.saturating_add(room)),
        sizes.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Snapshot, Time, Totals};

    fn point(commit: &str, time: Option<Time>, uncompressed: u64) -> HistoryPoint {
        let totals =
            Totals { uncompressed: Some(Bytes(uncompressed)), ..Snapshot::made_up(Vec::new()).totals };
        HistoryPoint {
            commit: Some(commit.into()),
            time,
            platform: "linux/amd64".into(),
            totals,
            update: None,
        }
    }

    #[test]
    fn a_table_has_what_each_commit_changed() {
        let mut points = vec![
            point(&"a".repeat(40), Time::from_seconds(0), 2_000_000),
            point(&"b".repeat(40), Time::from_seconds(86_400), 4_000_000),
            point("x\u{202e}y\n::error::", None, 3_000_000),
        ];
        let (bytes, classic_bytes) = (Bytes(2_100_000), Bytes(9_000_000));
        points[1].update = Some(UpdateSize { bytes, classic_bytes, estimated: true });
        let history = History::new("api", Metric::Uncompressed, points, None);
        let mut out = Vec::new();
        write_text(&history, 2, TextLayout { columns: 100, wraps: false, sizes: Sizes::Rounded }, &mut out)
            .unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            !text.contains("aaaa") && !text.contains('\u{202e}') && !text.contains("\n::error"),
            "{text}"
        );
        assert!(text.contains("bbbbbbbbbbbb  1970-01-02  4\u{a0}MB   +2\u{a0}MB (+100%)"), "{text}");
        assert!(text.contains("  \u{2264} 2.1\u{a0}MB  ") && !text.contains("9\u{a0}MB"), "{text}");
        assert!(text.contains("unknown"), "{text}");
    }

    #[test]
    fn what_came_back_to_its_size_is_not_unchanged() {
        let said = |sizes: [u64; 3]| {
            let points = sizes.map(|size| point(&"a".repeat(40), Time::from_seconds(0), size)).to_vec();
            let history = History::new("api", Metric::Uncompressed, points, None);
            let rows = history.by_platform(9).into_values().next().unwrap();
            answer(history.metric, &rows, Sizes::Rounded)
        };
        assert_eq!(said([6000, 6000, 6000]), "is 6\u{a0}kB uncompressed, unchanged over 3 commits");
        assert_eq!(
            said([6000, 1000, 6000]),
            "is 6\u{a0}kB uncompressed, as 3 commits ago, and between 1\u{a0}kB and 6\u{a0}kB since"
        );
    }

    #[test]
    fn a_chart_has_numbers_and_hashes_alone() {
        let at = |commit: Option<&str>, size| (hash(commit, "now"), Bytes(size));
        let points =
            [at(Some("abcdef0123"), 1_000_000), at(Some("\"]\n```x"), 2_000_000), at(None, 2_000_000)];
        let chart = chart(Metric::Flattened, &points).unwrap();
        assert_eq!(
            chart,
            "```mermaid\n%%{init: {\"themeVariables\": {\"xyChart\": {\"plotColorPalette\": \"#218bff\"}}}}%%\nxychart-beta\n    title \"flattened size\"\n    x-axis [\"abcdef0\", \"\", \"now\"]\n    y-axis \"MB\" 0.90 --> 2.10\n    line [1.00, 2.00, 2.00]\n```"
        );
        assert_eq!(super::chart(Metric::Flattened, &points[..2]), None);
    }

    #[test]
    fn a_spreadsheet_gets_no_formula() {
        let history = History::new(
            "=cmd|' /C calc'!A0",
            Metric::Uncompressed,
            vec![point("a,b\n::x::", None, 7)],
            None,
        );
        let mut out = Vec::new();
        write_csv(std::slice::from_ref(&history), &mut out).unwrap();
        let line = String::from_utf8(out).unwrap().split("\r\n").nth(1).unwrap().to_owned();
        assert_eq!(line, "'=cmd|' /C calc'!A0,linux/amd64,\"a,b\u{240a}::x::\",,7,,,,0,,,,");
    }
}
