//! The output of `layergate inspect` for one image.

use std::cmp::Reverse;
use std::io::{self, Write};

use super::escape::{code, log};
use super::instruction;
use super::look::{Sizes, TextLayout};
use super::removable;
use super::table::{self, Align, Column};
use super::words::counted;
use crate::analysis::Analysis;
use crate::compare::waste;
use crate::image::layer_ref::DockerfileLines;
use crate::image::package::Installed;
use crate::image::path::PathRef;
use crate::image::snapshot::Duplicate;
use crate::image::{Bytes, Instruction, Layer, Snapshot};

/// How many paths are listed.
const MAX_PATHS: usize = 10;

/// Writes an image's sizes, layers, largest and wasted files for a terminal or a log.
///
/// # Errors
/// Any error from writing.
pub fn write_text(analysis: &Analysis, look: TextLayout, out: &mut impl Write) -> io::Result<()> {
    let snapshot = analysis.snapshot();
    let image = &snapshot.image;
    let answer = answer(snapshot, look.sizes);
    let sentence = log(&format!("{}: {answer} ({})", image.reference, snapshot.platform_text()));
    let lines = table::wrapped(&sentence, look.columns, look);
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    write_tables(analysis, &Style::Text(look), out)
}

/// Writes the same as markdown.
///
/// # Errors
/// Any error from writing.
pub fn write_markdown(analysis: &Analysis, sizes: Sizes, out: &mut impl Write) -> io::Result<()> {
    let snapshot = analysis.snapshot();
    let answer = answer(snapshot, sizes);
    let (reference, platform) = (code(&snapshot.image.reference), code(&snapshot.platform_text()));
    writeln!(out, "### {reference}: {answer} ({platform})")?;
    write_tables(analysis, &Style::Markdown(sizes), out)
}

/// `1.39 GB in 12 layers, 38.9 kB wasted`
fn answer(snapshot: &Snapshot, sizes: Sizes) -> String {
    let totals = &snapshot.totals;
    let size = totals.uncompressed.map_or_else(|| "unknown size".into(), |size| sizes.bytes(size));
    let layers = if totals.layers == 1 { "1 layer".into() } else { format!("{} layers", totals.layers) };
    let wasted = totals.wasted.map_or_else(String::new, |wasted| format!(", {} wasted", sizes.bytes(wasted)));
    format!("{size} in {layers}{wasted}")
}

/// How tables and the untrusted text in them are written.
enum Style {
    Text(TextLayout),
    Markdown(Sizes),
}

impl Style {
    fn sizes(&self) -> Sizes {
        match self {
            Style::Text(TextLayout { sizes, .. }) | Style::Markdown(sizes) => *sizes,
        }
    }

    fn table<const N: usize>(&self, columns: [Column; N], rows: Vec<[String; N]>) -> String {
        match self {
            Style::Text(look) => table::text(columns, rows, *look),
            Style::Markdown(_) => table::markdown(columns, rows),
        }
    }

    fn untrusted(&self, text: &str) -> String {
        match self {
            Style::Text(_) => log(text),
            Style::Markdown(_) => code(text),
        }
    }

    fn step(&self, place: Option<&DockerfileLines>, step: Option<&Instruction>) -> String {
        match self {
            Style::Text(_) => instruction::text(place, step),
            Style::Markdown(_) => instruction::markdown(place, step),
        }
    }

    fn path(&self, path: PathRef<'_>) -> String {
        let path = format!("/{path}");
        match self {
            Style::Text(_) => log(&path),
            Style::Markdown(_) => self.untrusted(&path),
        }
    }
}

fn write_tables(analysis: &Analysis, style: &Style, out: &mut impl Write) -> io::Result<()> {
    let snapshot = analysis.snapshot();
    let columns = [("", Align::Left), ("", Align::Right)];
    writeln!(out, "\n{}", style.table(columns, accounting(snapshot, style.sizes())))?;
    let columns = [
        ("Layer", Align::Right),
        ("Size", Align::Right),
        ("Compressed", Align::Right),
        ("Files", Align::Right),
        ("Instruction", Align::Rest),
    ];
    let rows = snapshot.layers.iter().enumerate().map(|(index, layer)| layer_row(index, layer, style));
    writeln!(out, "\n{}", style.table(columns, rows.collect()))?;
    if let Some(by) = snapshot.lines {
        writeln!(out, "\n  ({})", super::words::lines_by(by))?;
    }
    if let Some(installed) = snapshot.packages.as_deref().filter(|packages| !packages.is_empty()) {
        writeln!(out, "\n{}", packages(installed, style))?;
    }
    let Some(filesystem) = analysis.filesystem() else { return Ok(()) };
    let columns = [("Size", Align::Right), ("Layer", Align::Right), ("Largest files", Align::Path)];
    let rows = largest(filesystem.existing(), |file| (file.size, Reverse(file.path.0)))
        .map(|file| [style.sizes().bytes(file.size), (file.layer + 1).to_string(), style.path(file.path)]);
    writeln!(out, "\n{}", style.table(columns, rows.collect()))?;
    if let Some(copies) = &snapshot.duplicates {
        writeln!(out, "\n{}", duplicates(copies, style))?;
    }
    if let Some(found) = snapshot.removable.as_deref()
        && let Some(summary) = removable::summary(found, style.sizes())
    {
        let list = match style {
            Style::Text(look) => removable::text_list(found, *look),
            Style::Markdown(sizes) => removable::markdown_rows(found, *sizes),
        };
        writeln!(out, "\nRemovable: {summary}\n\n{list}")?;
    }
    if filesystem.wasted == Bytes(0) {
        return Ok(());
    }
    let waste = waste(snapshot, filesystem);
    let list = match style {
        Style::Text(look) => super::text::waste_list(&waste, *look),
        Style::Markdown(sizes) => super::markdown::waste_rows(&waste, *sizes),
    };
    writeln!(out, "\n{list}")?;
    // The list above has already named one file for each pair of layers.
    if filesystem.waste().len() == waste.len() {
        return Ok(());
    }
    let columns = [("Size", Align::Right), ("Layers", Align::Left), ("Largest wasted files", Align::Path)];
    let rows = largest(filesystem.waste(), |file| (file.size, Reverse(file.path.0))).map(|file| {
        let layers = format!("stored by {}, hidden by {}", file.stored_by + 1, file.hidden_by + 1);
        [style.sizes().bytes(file.size), layers, style.path(file.path)]
    });
    writeln!(out, "\n{}", style.table(columns, rows.collect()))
}

/// Files that exist more than once, and what keeping one of each would save.
fn duplicates(copies: &[Duplicate], style: &Style) -> String {
    let columns =
        [("To save", Align::Right), ("Copies", Align::Right), ("Files with the same content", Align::Rest)];
    let row = |copy: &Duplicate| {
        let saving = Bytes(copy.bytes.0.saturating_mul(copy.copies - 1));
        let paths: Vec<String> =
            copy.paths.iter().take(3).map(|path| style.untrusted(&format!("/{path}"))).collect();
        [style.sizes().bytes(saving), counted(Some(copy.copies)), paths.join(", ")]
    };
    if copies.is_empty() {
        return "  No two files have the same content.".to_owned();
    }
    style.table(columns, copies.iter().take(MAX_PATHS).map(row).collect())
}

/// The largest packages, and the number of all.
fn packages(installed: &[Installed], style: &Style) -> String {
    let columns = [
        ("Size", Align::Right),
        ("Files", Align::Right),
        ("Layer", Align::Right),
        ("Largest packages", Align::Rest),
    ];
    let rows = largest(installed.iter(), |package| (package.bytes, Reverse(&package.name))).map(|package| {
        let name = format!("{} {} ({})", package.name, package.version, package.ecosystem.as_str());
        let (files, layer) = (counted(Some(package.files)), (package.layer + 1).to_string());
        [style.sizes().bytes(package.bytes), files, layer, style.untrusted(&name)]
    });
    let mut rows: Vec<[String; 4]> = rows.collect();
    if let Some(more) = installed.len().checked_sub(rows.len()).filter(|more| *more > 0) {
        let bytes = installed.iter().map(|package| Some(package.bytes));
        let all = style.sizes().amount(crate::image::snapshot::sum_known(bytes));
        rows.push([all, String::new(), String::new(), format!("all packages, including {more} not shown")]);
    }
    style.table(columns, rows)
}

fn accounting(snapshot: &Snapshot, sizes: Sizes) -> Vec<[String; 2]> {
    let totals = &snapshot.totals;
    let bytes = |name: &str, bytes: Option<Bytes>| [name.to_owned(), sizes.amount(bytes)];
    let count = |name: &str, of: Option<u64>| [name.to_owned(), counted(of)];
    let mut rows = vec![bytes("uncompressed", totals.uncompressed)];
    if let Some(base) = snapshot.base.as_ref().filter(|base| base.layers > 0) {
        let below = snapshot.layers.iter().take(base.layers as usize).map(|layer| layer.size);
        if let Some((below, all)) = crate::image::snapshot::sum_known(below).zip(totals.uncompressed) {
            let how = super::words::boundary(base.how);
            rows.push(bytes(&format!("  base image{how}"), Some(below)));
            rows.push(bytes("  application layers", Some((all - below).magnitude())));
        }
    }
    rows.extend([
        bytes("flattened", totals.flattened),
        bytes("wasted", totals.wasted),
        bytes("compressed", totals.compressed),
        count("layers", Some(totals.layers)),
        count("files", totals.files),
    ]);
    rows
}

fn layer_row(index: usize, layer: &Layer, style: &Style) -> [String; 5] {
    let step = layer.created_by.as_ref();
    [
        (index + 1).to_string(),
        style.sizes().amount(layer.size),
        style.sizes().amount(layer.compressed),
        counted(layer.files),
        style.step(layer.dockerfile.as_ref(), step),
    ]
}

/// The first few in descending order, without keeping all of them.
fn largest<T, K: Ord>(files: impl Iterator<Item = T>, key: impl Fn(&T) -> K) -> impl Iterator<Item = T> {
    const KEPT: usize = 1024;
    let mut largest: Vec<T> = Vec::new();
    for file in files {
        largest.push(file);
        if largest.len() == KEPT {
            largest.select_nth_unstable_by_key(MAX_PATHS, |file| Reverse(key(file)));
            largest.truncate(MAX_PATHS);
        }
    }
    largest.sort_by_key(|file| Reverse(key(file)));
    largest.truncate(MAX_PATHS);
    largest.into_iter()
}
