//! The comment and the step summary: GitHub-flavoured markdown within a budget of bytes.
//!
//! In this order, it answers: pass or fail, by how much, which instruction, what to do. Details are dropped in whole
//! blocks, so a table is never cut.

mod lead;
mod tables;

use std::io::{self, Write};

use super::escape::{code, plain, sentence, short, summary_name};
use super::history;
use super::links::RunLinks;
use super::look::Sizes;
use super::model::{ImageReport, Report};
use super::table::{Align, markdown as table};
use super::words;
use crate::limits::Verdict;
use crate::sort;

pub(super) use tables::waste_rows;

/// Maximum bytes of a comment: GitHub allows 65,536 characters, and ours may be outside ASCII.
pub const COMMENT_BUDGET: usize = 60_000;
/// Maximum bytes of a step summary: GitHub refuses one over 1 MiB entirely.
pub const SUMMARY_BUDGET: usize = 1_000_000;
/// Maximum number of notes about the whole.
const MAX_NOTES: usize = 10;
/// Maximum characters of a note about the whole.
const MAX_SENTENCE: usize = 300;
/// The end of details.
const CLOSE: &str = "</details>";
/// Shown if something is omitted.
const LEFT_OUT: &str = "Some details are left out to keep this short; the JSON report has all of them.";

/// The index of the table of images among the blocks.
const TABLE: usize = 2;
/// With more images than this, those that pass share one collapsed section.
const MAX_OPEN: usize = 3;

/// How one image's part is written.
#[derive(Debug, Clone, Copy, Default)]
struct ImagePart<'a> {
    /// The image's label, if there are several.
    label: Option<&'a str>,
    sizes: Sizes,
    links: Option<&'a RunLinks>,
}

impl ImagePart<'_> {
    /// A summary line with this title; after the image's name, if there are several images.
    fn opening(&self, title: &str) -> String {
        match self.label {
            Some(label) => format!("{} {}", summary_name(label), title.to_lowercase()),
            None => title.to_owned(),
        }
    }
}

/// A part of the text that is kept or dropped as a whole.
struct Block {
    /// 0 is never dropped; the highest goes first.
    rank: usize,
    text: String,
    /// The details that contain it.
    fold: Option<usize>,
}

/// A collapsed section ("details").
struct Fold {
    opening: String,
    /// The details that contain it.
    within: Option<usize>,
}

/// Everything that could be shown.
#[derive(Default)]
struct Blocks {
    blocks: Vec<Block>,
    folds: Vec<Fold>,
    /// The details that contain new blocks.
    within: Option<usize>,
}

impl Blocks {
    fn push(&mut self, rank: usize, text: impl Into<Option<String>>) {
        let block = |text| Block { rank, text, fold: self.within };
        self.blocks.extend(text.into().map(block));
    }

    /// Adds details, unless they are empty.
    fn fold(&mut self, summary: String, parts: Vec<(usize, String)>) {
        if parts.is_empty() {
            return;
        }
        let fold = Some(self.open(summary));
        self.blocks.extend(parts.into_iter().map(|(rank, text)| Block { rank, text, fold }));
    }

    fn open(&mut self, summary: String) -> usize {
        let opening = format!("<details><summary>{summary}</summary>");
        self.folds.push(Fold { opening, within: self.within });
        self.folds.len() - 1
    }

    /// The details that contain the given ones, and these, outermost first.
    fn around(&self, fold: Option<usize>) -> Vec<usize> {
        let mut folds = Vec::new();
        let mut next = fold;
        while let Some(fold) = next {
            folds.push(fold);
            next = self.folds.get(fold).and_then(|fold| fold.within);
        }
        folds.reverse();
        folds
    }
}

/// Writes the report as markdown of at most `budget` bytes.
///
/// # Errors
/// Any error from writing.
pub fn write(report: &Report, budget: usize, sizes: Sizes, out: &mut impl Write) -> io::Result<()> {
    out.write_all(rendered(report, budget, sizes).as_bytes())
}

/// Two images that were compared, as they were requested.
#[derive(Debug, Clone, Copy)]
pub struct Compared<'a> {
    /// The differences.
    pub image: &'a ImageReport,
    /// The baseline image.
    pub base: &'a str,
    /// The current image.
    pub head: &'a str,
    /// Whether the platform must be named.
    pub many: bool,
}

/// Writes the differences between two images, without a verdict.
///
/// # Errors
/// Any error from writing.
pub fn write_difference(compared: &Compared<'_>, sizes: Sizes, out: &mut impl Write) -> io::Result<()> {
    let columns =
        [("", Align::Left), ("Base", Align::Right), ("Head", Align::Right), ("Change", Align::Right)];
    let image = compared.image;
    let platform = image.platform.as_deref().filter(|_| compared.many);
    let platform = platform.map_or_else(String::new, |platform| format!(" for {}", code(platform)));
    let answer = words::difference(image, sizes);
    let (head, base) = (code(compared.head), code(compared.base));
    writeln!(out, "### {head} {}{base}{platform}\n", plain(&answer))?;
    let rows = words::figures(image, sizes).into_iter().map(|figure| {
        let delta = [figure.delta, figure.share].concat();
        [figure.name.to_owned(), figure.base, figure.head, plain(&delta)]
    });
    writeln!(out, "{}", table(columns, rows.collect()))?;
    let part = ImagePart { sizes, ..ImagePart::default() };
    for text in tables::details(image, &part) {
        writeln!(out, "\n{text}")?;
    }
    writeln!(out, "\n{}", plain(&words::basis(image)))
}

/// The report as markdown of at most `budget` bytes.
pub fn render(report: &Report, budget: usize) -> String {
    rendered(report, budget, Sizes::Rounded)
}

fn rendered(report: &Report, budget: usize, sizes: Sizes) -> String {
    let images = words::by_difference(report);
    let mut blocks = blocks(report, &images, sizes);
    let mut rows = images.len();
    loop {
        let text = fit(&blocks, budget);
        if text.len() <= budget {
            return text;
        }
        // Only a table of very many images can be too long by itself; then its last rows are dropped.
        if rows <= 1 {
            return format!("{}\n\n{LEFT_OUT}\n", lead::heading(report));
        }
        rows = rows * 3 / 4;
        if let Some(block) = blocks.blocks.get_mut(TABLE) {
            block.text = tables::images(&images, rows, sizes);
        }
    }
}

/// The blocks that fit: those of low ranks first; smaller ones may still fit after one that is too large.
fn fit(all: &Blocks, budget: usize) -> String {
    let Blocks { blocks, folds, .. } = all;
    let length = |text: &str| text.len() + 2;
    let ends = |fold: &Fold| length(&fold.opening) + length(CLOSE);
    let whole: usize = blocks.iter().map(|block| length(&block.text)).chain(folds.iter().map(ends)).sum();
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    sort::by_key(&mut order, |index| blocks[*index].rank);
    let mut room = if whole <= budget { budget } else { budget.saturating_sub(length(LEFT_OUT)) };
    let mut kept = vec![false; blocks.len()];
    let mut opened = vec![false; folds.len()];
    for index in order {
        let block = &blocks[index];
        let around = all.around(block.fold);
        let closed: usize =
            around.iter().filter(|fold| !opened[**fold]).map(|fold| ends(&folds[*fold])).sum();
        let needed = length(&block.text) + closed;
        kept[index] = block.rank == 0 || needed <= room;
        if kept[index] {
            room = room.saturating_sub(needed);
            around.into_iter().for_each(|fold| opened[fold] = true);
        }
    }
    // The lead may be empty.
    let shown = blocks.iter().zip(&kept).filter(|(block, kept)| **kept && !block.text.is_empty());
    let mut parts = nested(all, shown.map(|(block, _)| block));
    parts.extend(kept.contains(&false).then_some(LEFT_OUT));
    format!("{}\n", parts.join("\n\n"))
}

/// The texts of blocks, with the surrounding details opened and closed.
fn nested<'a>(all: &'a Blocks, shown: impl Iterator<Item = &'a Block>) -> Vec<&'a str> {
    let (mut parts, mut open) = (Vec::new(), Vec::new());
    for block in shown {
        let around = all.around(block.fold);
        let shared = open.iter().zip(&around).take_while(|(one, other)| one == other).count();
        parts.extend(open.iter().skip(shared).map(|_| CLOSE));
        parts.extend(around.iter().skip(shared).map(|fold| all.folds[*fold].opening.as_str()));
        parts.push(block.text.as_str());
        open = around;
    }
    parts.extend(open.iter().map(|_| CLOSE));
    parts
}

fn blocks(report: &Report, images: &[&ImageReport], sizes: Sizes) -> Blocks {
    let mut blocks = Blocks::default();
    blocks.push(0, lead::heading(report));
    // An empty lead keeps the table at its index; it is the last to be dropped.
    blocks.push(1, lead::lead(report, images, sizes));
    blocks.push(0, tables::images(images, images.len(), sizes));
    let shares = |image: &ImageReport| images.len() > MAX_OPEN && image.verdict == Verdict::Pass;
    let (sharing, own): (Vec<_>, Vec<_>) = images.iter().enumerate().partition(|(_, image)| shares(image));
    for (index, image) in own {
        image_blocks(&mut blocks, report, (images.len(), index), image, sizes);
    }
    if !sharing.is_empty() {
        blocks.within = Some(blocks.open(format!("{} images that pass", sharing.len())));
    }
    for (index, image) in sharing {
        image_blocks(&mut blocks, report, (images.len(), index), image, sizes);
    }
    blocks.within = None;
    // Before everything about single images, but droppable: reports of other jobs may have written these notes.
    blocks.push(1, notes(report));
    blocks.push(0, Some(lead::footer(report, images)).filter(|text| !text.is_empty()));
    blocks
}

/// The part about one image, at an index among several. The further down the list, the sooner it is dropped; layers go
/// before findings.
fn image_blocks(
    blocks: &mut Blocks,
    report: &Report,
    (images, index): (usize, usize),
    image: &ImageReport,
    sizes: Sizes,
) {
    let rank = |rank: usize| (1 + rank) * images + index + 1;
    let name = words::label(report, image);
    let label = Some(name.as_str()).filter(|_| images > 1);
    let part = ImagePart { label, sizes, links: report.links.as_ref() };
    let details = [lead::findings(image, images > 1), lead::causes(image, &part)].into_iter().flatten();
    let details = details.chain(tables::details(image, &part));
    let details: Vec<(usize, String)> =
        details.enumerate().map(|(detail, text)| (rank(detail), text)).collect();
    blocks.fold(part.opening("Details") + &words::changed(image, sizes), details);
    if let Some((summary, text)) = tables::removable(image, &part) {
        blocks.fold(format!("{}: {summary}", part.opening("Removable")), vec![(rank(8), text)]);
    }
    blocks.push(rank(9), history::trend(image, label));
}

/// Remarks about the whole, in few lines: a list of jobs may be long.
fn notes(report: &Report) -> Option<String> {
    let line = |note: &String| format!("- {}", sentence(&short(note, MAX_SENTENCE)));
    let mut lines: Vec<String> = report.notes.iter().take(MAX_NOTES).map(line).collect();
    if report.notes.len() > MAX_NOTES {
        lines.push(format!("- and {} more notes, in the JSON report", report.notes.len() - MAX_NOTES));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The verdict in one sentence, as plain text.
pub fn headline(report: &Report) -> String {
    let (name, sentence) = words::answer(report);
    let sentence = name.map_or_else(String::new, |name| name + " ") + &sentence;
    super::escape::log(&sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Acceptance;
    use crate::image::Snapshot;
    use crate::limits::Severity;
    use crate::report::model::AcceptanceRules;

    /// A report of failing images in which every text that anyone may write is as long as this one.
    fn report(images: usize, text: &str) -> Report {
        let image = |index: usize| {
            let mut image = ImageReport::added(&Snapshot::made_up(Vec::new()).into());
            image.name = format!("{index}{text}");
            image.platform = Some(text.to_owned());
            image.verdict = Verdict::Fail;
            image.limits = ["max-size", "max-increase"].map(|key| (key.to_owned(), text.to_owned())).into();
            let finding = |rule: &str| crate::limits::Finding {
                rule: rule.to_owned(),
                severity: Severity::Fail,
                message: text.to_owned(),
                measured: None,
                limit: Some(text.to_owned()),
                subject: text.to_owned(),
                help: text.to_owned(),
                dockerfile: None,
            };
            image.findings = vec![finding("max-size"), finding(text)];
            image
        };
        let mut report = Report::new(None, (0..images).map(image).collect());
        report.notes = vec![text.to_owned(); 20];
        let ways = AcceptanceRules {
            labels: vec![text.to_owned(); 20],
            trailer: Some(text.to_owned()),
            max_increase: Some(text.to_owned()),
        };
        report.accept = Some(ways);
        report
    }

    #[test]
    fn no_text_is_too_long_for_a_comment() {
        for text in
            ["x", "|", "$", "@", "#1 ", "\u{202e}", "\u{1f600}", "a\n"].map(|text| text.repeat(10_000))
        {
            for images in [1, 5] {
                let mut report = report(images, &text);
                let fits = |report: &Report, budget: usize| {
                    let rendered = render(report, budget);
                    assert!(rendered.len() <= budget, "{images}: {} bytes", rendered.len());
                    rendered
                };
                let whole = fits(&report, COMMENT_BUDGET - 200);
                assert!(whole.contains("| Image |"), "{}", whole.len());
                // Even a comment without room for anything else says what happened.
                let least = fits(&report, 5000);
                assert!(least.starts_with("### \u{274c} ") && least.ends_with(&format!("{LEFT_OUT}\n")));
                report.accepted = Some(Acceptance {
                    label: Some(text.clone()),
                    reason: Some(text.clone()),
                    by: Some(text.clone()),
                    at: Some(text.clone()),
                    ..Acceptance::default()
                });
                fits(&report, COMMENT_BUDGET);
            }
        }
    }

    #[test]
    fn the_heading_says_that_others_pass_only_if_they_do() {
        let mut report = report(2, "x");
        report.images[1].verdict = Verdict::Warn;
        assert!(headline(&report).ends_with("; the other image passes"), "{}", headline(&report));
        report.images[1].verdict = Verdict::Unenforced;
        assert_eq!(headline(&report), "1 of 2 images fails");
    }
}
