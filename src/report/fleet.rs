//! The images of many repositories as tables for a terminal and for GitHub, and as CSV. Pure.

use std::io::{self, Write};

use super::escape::{self, code, log, plain};
use super::history::update_text;
use super::look::{Sizes, TextLayout};
use super::table::{self, Align, Column, wrapped};
use crate::fleet::{Change, Fleet, FleetImage, FleetRepository};
use crate::image::{Bytes, Delta, LimitInForce, StageAdoption, Time};
use crate::sort;

/// Maximum number of repositories without baselines, and of images to adopt, in a table for people.
const MOST: usize = 20;

const COLUMNS: [Column; 10] = [
    ("Image", Align::Path),
    ("Size", Align::Right),
    ("30 days", Align::Right),
    ("Update", Align::Right),
    ("Wasted", Align::Right),
    ("Removable", Align::Right),
    ("Saves", Align::Right),
    ("Stages", Align::Left),
    ("Limits", Align::Left),
    ("Recorded", Align::Left),
];

type Row<'a> = (&'a FleetRepository, &'a FleetImage);

/// The number of images and repositories, their size, and what adopting multi-stage builds would save.
pub fn answer(fleet: &Fleet, sizes: Sizes) -> String {
    let totals = &fleet.totals;
    let mut parts = vec![format!(
        "{} in {}, {}{}",
        counted(totals.images, "image"),
        counted_with(totals.recorded, "repository", "repositories"),
        sizes.bytes(totals.uncompressed),
        if totals.unknown_sizes > 0 {
            format!(" and {} of unknown size", totals.unknown_sizes)
        } else {
            String::new()
        },
    )];
    let of_stages = || match totals.single_stage {
        0 if totals.unknown > 0 => format!("none is single-stage ({} unknown)", totals.unknown),
        0 => "none is single-stage".into(),
        count => {
            let verb = if count == 1 { "is" } else { "are" };
            format!(
                "{count} {verb} single-stage, and builder stages would save {}",
                sizes.bytes(totals.saving)
            )
        }
    };
    parts.extend((totals.images > 0).then(of_stages));
    let without = counted_with(totals.no_baseline, "repository", "repositories");
    parts.extend((totals.no_baseline > 0).then(|| format!("{without} with a Dockerfile and no baselines")));
    parts.extend((totals.unread > 0).then(|| format!("{} not read", totals.unread)));
    parts.join("; ")
}

fn counted(count: u64, one: &str) -> String {
    counted_with(count, one, &format!("{one}s"))
}

fn counted_with(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Writes a fleet for a terminal or a log.
///
/// # Errors
/// Any error from writing.
pub fn write_text(fleet: &Fleet, look: TextLayout, out: &mut impl Write) -> io::Result<()> {
    let sizes = look.sizes;
    for line in wrapped(&answer(fleet, sizes), look.columns, look) {
        writeln!(out, "{line}")?;
    }
    let rows = by_size(fleet);
    if !rows.is_empty() {
        let cells = |row: &Row<'_>| {
            let mut cells = cells(row, sizes, log);
            // There is no room for both; the page and the document have both.
            cells[8] = match row.1.has_limits() {
                false => "none".into(),
                true => row.1.limits.len().to_string(),
            };
            cells
        };
        writeln!(out, "\n{}", table::text(COLUMNS, rows.iter().map(cells).collect(), look))?;
        writeln!(out, "\n  {}", total_line(fleet, sizes))?;
    }
    let adopt = fleet.to_adopt();
    if !adopt.is_empty() {
        writeln!(out, "\nMulti-stage builds would save:\n")?;
        let columns = [("Saves", Align::Right), ("Size", Align::Right), ("Image", Align::Path)];
        let cell = |row: &Row<'_>| {
            [sizes.amount(row.1.saving), sizes.amount(row.1.totals.uncompressed), name(row, log)]
        };
        writeln!(out, "{}", table::text(columns, adopt.iter().take(MOST).map(cell).collect(), look))?;
        write_more(adopt.len(), "  ", out)?;
    }
    let without: Vec<&FleetRepository> = fleet.without_baseline().collect();
    if !without.is_empty() {
        writeln!(out, "\nDockerfile in the root or in docker/, and no baselines:\n")?;
        for repository in without.iter().take(MOST) {
            let files = log(&repository.dockerfiles.join(", "));
            writeln!(out, "  {}  {files}", log(&repository.name))?;
        }
        write_more(without.len(), "  ", out)?;
    }
    Ok(())
}

fn write_more(count: usize, indent: &str, out: &mut impl Write) -> io::Result<()> {
    match count.saturating_sub(MOST) {
        0 => Ok(()),
        more => writeln!(out, "{indent}and {more} more (--format json or csv has all)"),
    }
}

/// Writes a fleet for GitHub.
///
/// # Errors
/// Any error from writing.
pub fn write_markdown(fleet: &Fleet, sizes: Sizes, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "### {}\n", plain(&answer(fleet, sizes)))?;
    let rows = by_size(fleet);
    if !rows.is_empty() {
        let cells = rows.iter().map(|row| cells(row, sizes, code)).collect();
        writeln!(out, "{}\n\n{}\n", table::markdown(COLUMNS, cells), plain(&total_line(fleet, sizes)))?;
    }
    let adopt = fleet.to_adopt();
    if !adopt.is_empty() {
        writeln!(out, "#### Multi-stage builds would save\n")?;
        for row in adopt.iter().take(MOST) {
            let size = sizes.amount(row.1.totals.uncompressed);
            writeln!(out, "1. {} of {size} in {}", sizes.amount(row.1.saving), name(row, code))?;
        }
        writeln!(out)?;
        write_more(adopt.len(), "", out)?;
    }
    let without: Vec<&FleetRepository> = fleet.without_baseline().collect();
    if !without.is_empty() {
        writeln!(out, "#### Dockerfile in the root or in `docker/`, and no baselines\n")?;
        for repository in without.iter().take(MOST) {
            let files: Vec<String> = repository.dockerfiles.iter().map(|file| code(file)).collect();
            writeln!(out, "- {}: {}", code(&repository.name), files.join(", "))?;
        }
        writeln!(out)?;
        write_more(without.len(), "", out)?;
    }
    if !fleet.unread.is_empty() {
        writeln!(out, "#### Not read\n")?;
        for unread in &fleet.unread {
            writeln!(out, "- {}: {}", code(&unread.name), plain(&unread.message))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// `+1.2 GB in 30 days; 2.1 GB wasted; 31 GB removable; 76 multi-stage; 57 single-stage; 12 without limits`
fn total_line(fleet: &Fleet, sizes: Sizes) -> String {
    let totals = &fleet.totals;
    let has_change = fleet.images().any(|(of, image)| !of.archived && image.change.is_some());
    let change = match totals.change {
        Delta(0) => "unchanged in 30 days".into(),
        delta => format!("{} in 30 days", sizes.delta(delta)),
    };
    let bytes =
        |bytes: Bytes, what: &str| (bytes > Bytes(0)).then(|| format!("{} {what}", sizes.bytes(bytes)));
    let count = |count: u64, what: &str| (count > 0).then(|| format!("{count} {what}"));
    let parts = [
        has_change.then_some(change),
        bytes(totals.wasted, "wasted"),
        bytes(totals.removable, "removable"),
        count(totals.multi_stage, "multi-stage"),
        count(totals.single_stage, "single-stage"),
        count(totals.not_needed, "without need of a builder stage"),
        count(totals.unknown, "of unknown stages"),
        count(totals.no_limits, "without limits"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Largest first.
fn by_size(fleet: &Fleet) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = fleet.images().collect();
    sort::by_key(&mut rows, |(of, image)| {
        (std::cmp::Reverse(image.totals.uncompressed), &of.name, &image.image)
    });
    rows
}

/// The cells for [`COLUMNS`]; `escaped` escapes names.
fn cells(row: &Row<'_>, sizes: Sizes, escaped: impl Fn(&str) -> String) -> [String; 10] {
    let (_, image) = row;
    let known = |bytes: Option<Bytes>| bytes.map_or_else(String::new, |bytes| sizes.bytes(bytes));
    let limits = match image.limits.as_slice() {
        [] => "none".to_owned(),
        limits => limits.iter().map(|limit| escaped(&limit_text(limit))).collect::<Vec<_>>().join(", "),
    };
    [
        name(row, &escaped),
        sizes.amount(image.totals.uncompressed),
        change(image.change.as_ref(), sizes),
        image.update.map_or_else(String::new, |update| update_text(update, sizes)),
        known(image.totals.wasted),
        known(image.removable.map(|classes| classes.sum())),
        known(image.saving.filter(|_| image.stages == StageAdoption::SingleStage)),
        image.stages.as_str().to_owned(),
        limits,
        day(image.recorded),
    ]
}

/// `acme/shop web linux/arm64`, without parts that are not needed to distinguish it.
pub(super) fn name((of, image): &Row<'_>, escaped: impl Fn(&str) -> String) -> String {
    let last = of.name.rsplit('/').next().unwrap_or_default();
    let is_alone = of.images.iter().all(|other| other.image == image.image);
    let mut text = of.name.clone();
    if !(is_alone && image.image == last) {
        text = format!("{text} {}", image.image);
    }
    if of.has_platforms(&image.image) {
        text = format!("{text} {}", image.platform);
    }
    let archived = if of.archived { " (archived)" } else { "" };
    format!("{}{archived}", escaped(&text))
}

/// `+1.2 MB`, with the period if that is shorter than the heading says.
fn change(change: Option<&Change>, sizes: Sizes) -> String {
    let Some(change) = change else { return String::new() };
    let since = if change.shorter { format!(" since {}", change.since.day()) } else { String::new() };
    match change.bytes {
        Delta(0) => format!("0{since}"),
        delta => format!("{}{since}", sizes.delta(delta)),
    }
}

pub(super) fn limit_text(limit: &LimitInForce) -> String {
    let source = limit.source.as_ref().map_or_else(String::new, |source| format!(" ({source})"));
    format!("{} = {}{source}", limit.key, limit.value)
}

fn day(time: Option<Time>) -> String {
    time.map_or_else(|| "unknown".into(), |time| time.day().to_string())
}

/// A value in a cell; empty if unknown.
fn shown<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// Writes a heading line and one line per image (RFC 4180).
///
/// # Errors
/// Any error from writing.
pub fn write_csv(fleet: &Fleet, out: &mut impl Write) -> io::Result<()> {
    let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    csv.write_record([
        "repository",
        "state",
        "archived",
        "image",
        "platform",
        "commit",
        "recorded",
        "uncompressed",
        "flattened",
        "wasted",
        "compressed",
        "layers",
        "change",
        "change_since",
        "update",
        "update_classic",
        "update_estimated",
        "removable",
        "stages",
        "stages_since",
        "saving",
        "limits",
    ])?;
    let known = |bytes: Option<Bytes>| shown(bytes.map(|bytes| bytes.0));
    for of in &fleet.repositories {
        let state = serde_json::to_value(of.state)?;
        let state = state.as_str().unwrap_or_default();
        let head = [escape::cell(&of.name), state.to_owned(), of.archived.to_string()];
        if of.images.is_empty() {
            let empty = std::iter::repeat_n(String::new(), 19);
            csv.write_record(head.iter().cloned().chain(empty))?;
        }
        for image in &of.images {
            let limits: Vec<String> = image.limits.iter().map(limit_text).collect();
            let change = image.change.as_ref();
            let own = [
                escape::cell(&image.image),
                escape::cell(&image.platform),
                escape::cell(image.commit.as_deref().unwrap_or_default()),
                shown(image.recorded),
                known(image.totals.uncompressed),
                known(image.totals.flattened),
                known(image.totals.wasted),
                known(image.totals.compressed),
                image.totals.layers.to_string(),
                shown(change.map(|change| change.bytes.0)),
                shown(change.map(|change| change.since)),
                known(image.update.map(|update| update.bytes)),
                known(image.update.map(|update| update.classic_bytes)),
                shown(image.update.map(|update| update.estimated)),
                known(image.removable.map(|classes| classes.sum())),
                image.stages.as_str().to_owned(),
                shown(image.stages_since),
                known(image.saving),
                escape::cell(&limits.join("; ")),
            ];
            csv.write_record(head.iter().chain(&own))?;
        }
    }
    csv.flush()
}
