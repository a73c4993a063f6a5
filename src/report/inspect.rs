//! What `layergate inspect` prints of one image.

use std::io::{self, Write};

use super::escape::{code, log, short};
use super::table::{Align, markdown, text};
use crate::image::bytes::group_digits;
use crate::image::{Bytes, Snapshot};
use crate::layer::{Applied, apply};

/// How many paths are listed.
const MAX_PATHS: usize = 10;

/// Writes an image's accounting, layers and largest paths for a terminal or a log.
///
/// # Errors
/// Whatever writing fails with.
pub fn write_text(snapshot: &Snapshot, width: usize, out: &mut impl Write) -> io::Result<()> {
    let image = &snapshot.image;
    writeln!(out, "Image {} ({}, {})\n", log(&image.name), log(&image.reference), snapshot.platform_text())?;
    let rows = accounting(snapshot)
        .into_iter()
        .map(|(name, exact, human)| [name.to_owned(), exact, human])
        .collect();
    writeln!(out, "{}\n", text([("", Align::Left), ("", Align::Right), ("", Align::Right)], rows))?;
    let columns = [
        ("Layer", Align::Right),
        ("Bytes", Align::Right),
        ("Compressed", Align::Right),
        ("Files", Align::Right),
        ("Instruction", Align::Left),
    ];
    let step =
        |step: Option<&str>| step.map_or_else(|| "(no history)".into(), |step| short(&log(step), width));
    writeln!(out, "{}", text(columns, layer_rows(snapshot, step)))?;
    let Some(applied) = applied(snapshot) else { return Ok(()) };
    let paths = largest(&applied)
        .into_iter()
        .map(|(path, size, layer)| [size.grouped(), layer, short(&log(&path), width)]);
    let columns = [("Bytes", Align::Right), ("Layer", Align::Right), ("Largest files", Align::Left)];
    writeln!(out, "\n{}", text(columns, paths.collect()))?;
    let wasted: Vec<_> = wasted(&applied)
        .into_iter()
        .map(|(path, size, how)| [size.grouped(), how, short(&log(&path), width)])
        .collect();
    if !wasted.is_empty() {
        let columns = [
            ("Bytes", Align::Right),
            ("Stored, hidden by", Align::Left),
            ("Wasted: shipped, cannot be reached", Align::Left),
        ];
        writeln!(out, "\n{}", text(columns, wasted))?;
    }
    Ok(())
}

/// Writes the same as markdown.
///
/// # Errors
/// Whatever writing fails with.
pub fn write_markdown(snapshot: &Snapshot, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "### {} {}\n", code(&snapshot.image.name), code(&snapshot.platform_text()))?;
    let rows = accounting(snapshot)
        .into_iter()
        .map(|(name, exact, human)| [name.to_owned(), exact, human])
        .collect();
    writeln!(out, "{}\n", markdown([("", Align::Left), ("Exact", Align::Right), ("", Align::Right)], rows))?;
    let columns = [
        ("Layer", Align::Right),
        ("Bytes", Align::Right),
        ("Compressed", Align::Right),
        ("Files", Align::Right),
        ("Instruction", Align::Left),
    ];
    let step = |step: Option<&str>| step.map_or_else(|| "(no history)".into(), code);
    writeln!(out, "{}", markdown(columns, layer_rows(snapshot, step)))?;
    let Some(applied) = applied(snapshot) else { return Ok(()) };
    let columns = [("Bytes", Align::Right), ("Layer", Align::Right), ("Largest files", Align::Left)];
    let paths = largest(&applied).into_iter().map(|(path, size, layer)| [size.grouped(), layer, code(&path)]);
    writeln!(out, "\n{}", markdown(columns, paths.collect()))
}

fn accounting(snapshot: &Snapshot) -> Vec<(&'static str, String, String)> {
    let totals = &snapshot.totals;
    let bytes = |name, bytes: Option<Bytes>| {
        let exact = bytes.map_or_else(|| "unknown".into(), Bytes::grouped);
        (name, exact, bytes.map_or_else(String::new, |bytes| bytes.to_string()))
    };
    let count = |name, count: Option<u64>| {
        (name, count.map_or_else(|| "unknown".into(), group_digits), String::new())
    };
    vec![
        bytes("unpacked bytes", Some(totals.unpacked)),
        bytes("visible bytes", totals.visible),
        bytes("wasted bytes", totals.wasted),
        bytes("compressed bytes", totals.compressed),
        count("layers", Some(totals.layers)),
        count("files", totals.files),
    ]
}

fn layer_rows(snapshot: &Snapshot, step: impl Fn(Option<&str>) -> String) -> Vec<[String; 5]> {
    let exact = |bytes: Option<Bytes>| bytes.map_or_else(|| "unknown".into(), Bytes::grouped);
    let row = |(index, layer): (usize, &crate::image::Layer)| {
        [
            (index + 1).to_string(),
            exact(layer.size),
            exact(layer.compressed),
            layer.files.map_or_else(|| "unknown".into(), group_digits),
            step(layer.created_by.as_ref().map(|step| step.as_str())),
        ]
    };
    snapshot.layers.iter().enumerate().map(row).collect()
}

/// The image's file system, where all censuses are at hand.
fn applied(snapshot: &Snapshot) -> Option<Applied> {
    let censuses: Vec<_> =
        snapshot.layers.iter().map(|layer| layer.census.as_ref()).collect::<Option<_>>()?;
    (!censuses.is_empty()).then(|| apply(censuses))
}

fn largest(applied: &Applied) -> Vec<(String, Bytes, String)> {
    let mut files: Vec<_> = applied.existing.iter().collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.size));
    let shown = files.into_iter().take(MAX_PATHS);
    shown.map(|file| (format!("/{}", file.path), file.size, (file.layer + 1).to_string())).collect()
}

fn wasted(applied: &Applied) -> Vec<(String, Bytes, String)> {
    let mut files: Vec<_> = applied.waste.iter().collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.size));
    let how = |stored: usize, hidden: usize| format!("layer {}, layer {}", stored + 1, hidden + 1);
    let shown = files.into_iter().take(MAX_PATHS);
    shown.map(|file| (format!("/{}", file.path), file.size, how(file.stored_by, file.hidden_by))).collect()
}
