//! What `layergate inspect` prints of one image.

use std::cmp::Reverse;
use std::io::{self, Write};

use super::build_only;
use super::escape::{code, log, short, short_path};
use super::table::{self, Align, Column};
use super::words::{counted, exact};
use crate::compare::waste;
use crate::image::census::PathRef;
use crate::image::package::Installed;
use crate::image::snapshot::{Duplicate, Place};
use crate::image::{Bytes, Instruction, Layer, Snapshot};
use crate::layer::Applied;

/// How many paths are listed.
const MAX_PATHS: usize = 10;

/// Writes an image's accounting, layers, largest and wasted files for a terminal or a log.
///
/// # Errors
/// Whatever writing fails with.
pub fn write_text(
    snapshot: &Snapshot,
    files: Option<&Applied<'_>>,
    width: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    let image = &snapshot.image;
    writeln!(out, "Image {} ({}, {})", log(&image.name), log(&image.reference), snapshot.platform_text())?;
    write_tables(snapshot, files, &Style::Text { width }, out)
}

/// Writes the same as markdown.
///
/// # Errors
/// Whatever writing fails with.
pub fn write_markdown(
    snapshot: &Snapshot,
    files: Option<&Applied<'_>>,
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(out, "### {} {}", code(&snapshot.image.name), code(&snapshot.platform_text()))?;
    write_tables(snapshot, files, &Style::Markdown, out)
}

/// How tables and the hostile text in them are written.
enum Style {
    Text { width: usize },
    Markdown,
}

impl Style {
    fn table<const N: usize>(&self, columns: [Column; N], rows: Vec<[String; N]>) -> String {
        match self {
            Style::Text { .. } => table::text(columns, rows),
            Style::Markdown => table::markdown(columns, rows),
        }
    }

    fn hostile(&self, text: &str) -> String {
        match self {
            Style::Text { width } => short(&log(text), *width),
            Style::Markdown => code(text),
        }
    }

    fn step(&self, place: Option<&Place>, step: Option<&Instruction>) -> String {
        match self {
            Style::Text { width } => super::text::step(place, step, *width),
            Style::Markdown => super::markdown::located(place, step),
        }
    }

    fn path(&self, path: PathRef<'_>) -> String {
        let path = format!("/{path}");
        match self {
            Style::Text { width } => short_path(&log(&path), *width),
            Style::Markdown => self.hostile(&path),
        }
    }
}

fn write_tables(
    snapshot: &Snapshot,
    files: Option<&Applied<'_>>,
    style: &Style,
    out: &mut impl Write,
) -> io::Result<()> {
    let columns = [("", Align::Left), ("", Align::Right), ("", Align::Right)];
    writeln!(out, "\n{}", style.table(columns, accounting(snapshot)))?;
    let columns = [
        ("Layer", Align::Right),
        ("Bytes", Align::Right),
        ("Compressed", Align::Right),
        ("Files", Align::Right),
        ("Instruction", Align::Left),
    ];
    let rows = snapshot.layers.iter().enumerate().map(|(index, layer)| layer_row(index, layer, style));
    writeln!(out, "\n{}", style.table(columns, rows.collect()))?;
    if let Some(installed) = snapshot.packages.as_deref().filter(|packages| !packages.is_empty()) {
        writeln!(out, "\n{}", packages(installed, style))?;
    }
    let Some(applied) = files else { return Ok(()) };
    let columns = [("Bytes", Align::Right), ("Layer", Align::Right), ("Largest files", Align::Left)];
    let rows = largest(&applied.existing, |file| (file.size, Reverse(file.path.0)))
        .map(|file| [file.size.grouped(), (file.layer + 1).to_string(), style.path(file.path)]);
    writeln!(out, "\n{}", style.table(columns, rows.collect()))?;
    if let Some(copies) = &snapshot.duplicates {
        writeln!(out, "\n{}", duplicates(copies, style))?;
    }
    if let Some(found) = snapshot.build_only.as_deref()
        && let Some(summary) = build_only::summary(found)
    {
        let list = match style {
            Style::Text { width } => build_only::text_list(found, *width),
            Style::Markdown => build_only::markdown_rows(found),
        };
        writeln!(out, "\nBuild only: {summary}\n\n{list}")?;
    }
    if applied.wasted == Bytes(0) {
        return Ok(());
    }
    let waste = waste(snapshot, applied);
    let list = match style {
        Style::Text { width } => super::text::waste_list(&waste, *width),
        Style::Markdown => super::markdown::waste_rows(&waste),
    };
    writeln!(out, "\n{list}")?;
    // One file of each pair of layers is what the list above has named.
    if applied.waste.len() == waste.len() {
        return Ok(());
    }
    let columns = [("Bytes", Align::Right), ("Layers", Align::Left), ("Largest wasted files", Align::Left)];
    let rows = largest(&applied.waste, |file| (file.size, Reverse(file.path.0))).map(|file| {
        let layers = format!("stored by {}, hidden by {}", file.stored_by + 1, file.hidden_by + 1);
        [file.size.grouped(), layers, style.path(file.path)]
    });
    writeln!(out, "\n{}", style.table(columns, rows.collect()))
}

/// Files that are there more than once, and what one of each would save.
fn duplicates(copies: &[Duplicate], style: &Style) -> String {
    let columns =
        [("To save", Align::Right), ("Copies", Align::Right), ("Files of the same content", Align::Left)];
    let row = |copy: &Duplicate| {
        let saving = Bytes(copy.bytes.0.saturating_mul(copy.copies - 1));
        let paths: Vec<String> =
            copy.paths.iter().take(3).map(|path| style.hostile(&format!("/{path}"))).collect();
        [saving.grouped(), counted(Some(copy.copies)), paths.join(", ")]
    };
    if copies.is_empty() {
        return "  No two files have the same content.".to_owned();
    }
    style.table(columns, copies.iter().take(MAX_PATHS).map(row).collect())
}

/// The largest packages, and how many there are.
fn packages(installed: &[Installed], style: &Style) -> String {
    let columns = [
        ("Bytes", Align::Right),
        ("Files", Align::Right),
        ("Layer", Align::Right),
        ("Largest packages", Align::Left),
    ];
    let rows = largest(installed, |package| (package.bytes, Reverse(&package.name))).map(|package| {
        let name = format!("{} {} ({})", package.name, package.version, package.ecosystem.as_str());
        let (files, layer) = (counted(Some(package.files)), (package.layer + 1).to_string());
        [package.bytes.grouped(), files, layer, style.hostile(&name)]
    });
    let mut rows: Vec<[String; 4]> = rows.collect();
    if let Some(more) = installed.len().checked_sub(rows.len()).filter(|more| *more > 0) {
        let bytes = installed.iter().map(|package| Some(package.bytes));
        let all = exact(crate::image::snapshot::sum_known(bytes));
        rows.push([all, String::new(), String::new(), format!("all packages, {more} more than are shown")]);
    }
    style.table(columns, rows)
}

fn accounting(snapshot: &Snapshot) -> Vec<[String; 3]> {
    let totals = &snapshot.totals;
    let bytes = |name: &str, bytes: Option<Bytes>| {
        [name.to_owned(), exact(bytes), bytes.map_or_else(String::new, |bytes| bytes.to_string())]
    };
    let count = |name: &str, of: Option<u64>| [name.to_owned(), counted(of), String::new()];
    let mut rows = vec![bytes("unpacked bytes", Some(totals.unpacked))];
    if let Some(base) = snapshot.base.as_ref().filter(|base| base.layers > 0) {
        let below = snapshot.layers.iter().take(base.layers as usize).map(|layer| layer.size);
        if let Some(below) = crate::image::snapshot::sum_known(below) {
            let guess = super::words::boundary(base.how);
            rows.push(bytes(&format!("  of the base image{guess}"), Some(below)));
            rows.push(bytes("  own", Some((totals.unpacked - below).magnitude())));
        }
    }
    rows.extend([
        bytes("visible bytes", totals.visible),
        bytes("wasted bytes", totals.wasted),
        bytes("compressed bytes", totals.compressed),
        count("layers", Some(totals.layers)),
        count("files", totals.files),
    ]);
    rows
}

fn layer_row(index: usize, layer: &Layer, style: &Style) -> [String; 5] {
    let step = layer.created_by.as_ref();
    [
        (index + 1).to_string(),
        exact(layer.size),
        exact(layer.compressed),
        counted(layer.files),
        style.step(layer.dockerfile.as_ref(), step),
    ]
}

/// The first few in descending order, without putting all of them in order.
fn largest<'t, T, K: Ord>(files: &'t [T], key: impl Fn(&'t T) -> K) -> impl Iterator<Item = &'t T> {
    let mut files: Vec<&T> = files.iter().collect();
    if files.len() > MAX_PATHS {
        files.select_nth_unstable_by_key(MAX_PATHS, |file| Reverse(key(file)));
        files.truncate(MAX_PATHS);
    }
    files.sort_by_key(|file| Reverse(key(file)));
    files.into_iter()
}
