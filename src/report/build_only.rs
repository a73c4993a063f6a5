//! What an image ships and only its build needed, for every output.

use super::escape::{code, log, plain, short, short_path};
use super::markdown::located;
use super::table::{Align, markdown, text};
use super::words;
use crate::image::snapshot::LayerRef;
use crate::image::{BuildOnly, Bytes, Weight};

/// The most rows; JSON has all of them.
const MAX_ROWS: usize = 12;
/// The most packages and paths of one row.
const MAX_NAMED: usize = 3;

/// `12.3 MiB that only the build needed, 8 MiB of it with the base image`; nothing where there is none.
pub fn summary(found: &[BuildOnly]) -> Option<String> {
    let sum = |of_base: bool| -> u64 {
        let fits = |one: &&BuildOnly| one.counts() && (one.layer.of_base_image || !of_base);
        found.iter().filter(fits).map(|one| one.bytes.0).sum()
    };
    let (all, of_base) = (Bytes(sum(false)), Bytes(sum(true)));
    let deleted: u64 = found.iter().filter(|one| one.deleted).map(|one| one.bytes.0).sum();
    if all == Bytes(0) && deleted == 0 {
        return None;
    }
    let base = match of_base {
        Bytes(0) => String::new(),
        of_base if of_base == all => ", all of it with the base image".to_owned(),
        of_base => format!(", {of_base} of it with the base image"),
    };
    let deleted = match deleted {
        0 => String::new(),
        bytes => format!("; {} more were deleted in a later step", Bytes(bytes)),
    };
    Some(format!("{all} that only the build needed{base}{deleted}"))
}

/// What is ours first: it is what a change of the Dockerfile can help.
pub fn in_order(found: &[BuildOnly]) -> Vec<&BuildOnly> {
    let mut found: Vec<&BuildOnly> = found.iter().collect();
    let key = |one: &&BuildOnly| {
        (one.ignored.is_some(), one.layer.of_base_image, one.deleted, std::cmp::Reverse(one.bytes))
    };
    found.sort_by_key(key);
    found
}

/// Those that say something: programs that build and what they read, and of the others what is not nothing
/// beside the largest.
fn shown(found: &[BuildOnly]) -> Vec<&BuildOnly> {
    let largest = found.iter().map(|one| one.bytes.0).max().unwrap_or_default();
    let tells =
        |one: &&BuildOnly| one.weight <= Weight::Input || one.bytes.0 >= largest / 100 || one.kind == SECRETS;
    in_order(found).into_iter().filter(tells).take(MAX_ROWS).collect()
}

/// The kind that matters whatever its size.
const SECRETS: &str = "secrets";

/// A list for terminals and logs: each kind with where it is and what to do.
pub fn text_list(found: &[BuildOnly], width: usize) -> String {
    let mut rows = Vec::new();
    let shown = shown(found);
    for one in &shown {
        let files = words::files(one.files);
        rows.push([one.bytes.grouped(), format!("{}{} ({files})", log(&one.what), state(one))]);
        rows.push([String::new(), format!("  in {}", places_text(one, width))]);
        rows.push([String::new(), format!("  stored by {}", stored_by_text(&one.layer, width))]);
        let next = one
            .ignored
            .as_ref()
            .map_or_else(|| format!("next: {}", one.help), |why| format!("accepted: {why}"));
        rows.push([String::new(), format!("  {}", log(&next))]);
    }
    if rows.is_empty() {
        return String::new();
    }
    let more = more(found.len() - shown.len());
    text([("Build only", Align::Right), ("What, where, and what to do", Align::Left)], rows) + &more
}

/// The same as a table of GitHub's.
pub fn markdown_rows(found: &[BuildOnly]) -> String {
    let columns = [
        ("Bytes", Align::Right),
        ("What", Align::Left),
        ("Where", Align::Left),
        ("Stored by", Align::Left),
        ("What to do", Align::Left),
    ];
    let cells = |one: &BuildOnly| {
        let stored_by = match (one.layer.of_base_image, &one.layer.dockerfile, &one.layer.instruction) {
            (true, ..) => "the base image".to_owned(),
            (false, None, None) => format!("layer {}", one.layer.index + 1),
            (false, place, step) => located(place.as_ref(), step.as_ref()),
        };
        let next = one.ignored.as_ref().map_or_else(|| one.help.clone(), |why| format!("accepted: {why}"));
        [
            plain(&one.bytes.to_string()).replace(' ', "\u{a0}"),
            plain(&format!("{}{}", one.what, state(one))),
            names(one).iter().map(|name| code(name)).collect::<Vec<_>>().join(", "),
            stored_by,
            plain(&next),
        ]
    };
    let shown = shown(found);
    let left = more(found.len() - shown.len());
    markdown(columns, shown.into_iter().map(cells).collect()) + &left
}

fn more(left: usize) -> String {
    match left {
        0 => String::new(),
        left => format!("\n\n\u{2026} and {left} more, with fewer bytes; the JSON report has all of them."),
    }
}

fn state(one: &BuildOnly) -> &'static str {
    match (one.deleted, one.ignored.is_some()) {
        (true, _) => ", deleted in a later step and shipped all the same",
        (false, true) => ", not counted",
        (false, false) => "",
    }
}

/// The packages, or the directories and files where they are of none.
fn names(one: &BuildOnly) -> Vec<String> {
    let paths = one.paths.iter().map(|path| format!("/{path}"));
    let names = one.packages.iter().take(MAX_NAMED).cloned();
    let names: Vec<String> =
        if one.packages.is_empty() { paths.take(MAX_NAMED).collect() } else { names.collect() };
    let all = if one.packages.is_empty() { one.paths.len() } else { one.packages.len() };
    if all > names.len() { names.into_iter().chain(["\u{2026}".to_owned()]).collect() } else { names }
}

fn places_text(one: &BuildOnly, width: usize) -> String {
    let names: Vec<String> = names(one).iter().map(|name| short_path(&log(name), width / 2)).collect();
    short(&names.join(", "), width)
}

fn stored_by_text(layer: &LayerRef, width: usize) -> String {
    let step = super::text::step(layer.dockerfile.as_ref(), layer.instruction.as_ref(), width);
    match (layer.of_base_image, &layer.instruction) {
        (true, _) => "the base image".to_owned(),
        (false, None) => format!("layer {}", layer.index + 1),
        (false, Some(_)) => step,
    }
}
