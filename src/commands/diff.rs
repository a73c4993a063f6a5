//! `layergate diff`.

use std::sync::Arc;

use super::analyze::Analyzer;
use super::outputs::NamedFiles;
use super::{Exit, console, measure_all, parse_images, printed_json, reading_options, write_html};
use crate::analysis::Analysis;
use crate::cli::{DiffArgs, Format};
use crate::compare::Baseline;
use crate::config::BuildSettings;
use crate::image::DiffId;
use crate::image::snapshot::BoundaryBy;
use crate::report::html::{self, Details, PageSubject};
use crate::report::look::Sizes;
use crate::report::markdown::Compared;
use crate::report::{ImageReport, Report, markdown, text};

/// Runs the command.
///
/// # Errors
/// If an image cannot be measured, or the two must not be compared.
pub async fn run(arguments: &DiffArgs) -> anyhow::Result<Exit> {
    let images = parse_images(&[arguments.base.clone(), arguments.head.clone()])?;
    NamedFiles::default()
        .writes("--html", arguments.html.as_ref())
        .reads_images(&images)
        .reads_build(&arguments.build)
        .check()?;
    let build = BuildSettings::from_settings(&arguments.build.settings())?;
    let mut analyzer = Analyzer::default().with_metadata(&arguments.build.stage.build_metadata)?;
    analyzer.check_flags(&build)?;
    let options = reading_options(&arguments.reading, None)?;
    let mut measured = measure_all(&images, &options, &arguments.reading).await?.into_iter();
    let (before, now) = (measured.next().unwrap_or_default(), measured.next().unwrap_or_default());
    let mut heads = Vec::new();
    for measured in now {
        heads.push(analyzer.analyze(measured, &images[1], &build, true, &options).await);
    }
    // The Dockerfile is that of the current image, and may not match the earlier one.
    analyzer.quiet = true;
    let mut bases = Vec::new();
    for measured in before {
        let base = analyzer.analyze(measured, &images[0], &build, true, &options).await;
        let is_doubtful = has_other_base(&base, &heads);
        bases.push(if is_doubtful { base.with_doubtful_base() } else { base });
    }
    analyzer.finish();
    let (differences, details) = differences(bases, &heads, arguments.html.is_some())?;
    let (many, sizes) = (differences.len() > 1, Sizes::of_flag(arguments.bytes));
    let mut out = Vec::new();
    for image in &differences {
        let compared = Compared { image, base: &images[0].text, head: &images[1].text, many };
        match arguments.format {
            Format::Text => text::write_difference(&compared, console::look(sizes), &mut out)?,
            Format::Markdown => markdown::write_difference(&compared, sizes, &mut out)?,
            Format::Json => {}
        }
    }
    let report = Report::new(None, differences);
    if let Some(path) = &arguments.html {
        let subject = PageSubject::Difference { base: &images[0].text, head: &images[1].text };
        write_html(path, &report, subject, &details, None)?;
    }
    if arguments.format == Format::Json {
        out = printed_json(&report)?.into_bytes();
    }
    console::result(&String::from_utf8_lossy(&out))?;
    Ok(Exit::Success)
}

/// Whether the base image differs. Only if it is the same does the Dockerfile show where the earlier image's base ends:
/// instructions that it has dropped since would otherwise seem to belong to the base image.
fn has_other_base(base: &Analysis, heads: &[Analysis]) -> bool {
    let below = |image: &Analysis| -> Option<Vec<DiffId>> {
        let layers = image.snapshot().layers.iter().take(image.base()?.layers as usize);
        Some(layers.map(|layer| layer.diff_id.clone()).collect())
    };
    let by_dockerfile = base.base().is_some_and(|boundary| boundary.how == BoundaryBy::Dockerfile);
    let own = below(base);
    by_dockerfile && !heads.iter().any(|head| below(head) == own)
}

/// Compares platform by platform, in the order of the head; platforms on one side only are kept. Two single images are
/// compared whatever their platforms. Includes the details for a page, if requested.
fn differences(
    bases: Vec<Analysis>,
    heads: &[Analysis],
    wants_details: bool,
) -> anyhow::Result<(Vec<ImageReport>, Vec<Details>)> {
    let single = bases.len() == 1 && heads.len() == 1;
    let given =
        |image| Baseline { image: Arc::new(image), distance: None, exact: true, how: "as given".to_owned() };
    let platform = |image: &Analysis| image.snapshot().image.canonical_platform();
    let mut bases: Vec<Baseline> = bases.into_iter().map(given).collect();
    let (mut differences, mut details, mut room) = (Vec::new(), Vec::new(), html::MAX_FILES);
    for head in heads {
        let fits = |base: &Baseline| single || platform(&base.image) == platform(head);
        let base = bases.iter().position(fits).map(|at| bases.remove(at));
        differences.push(match &base {
            Some(base) => ImageReport::difference(base, head)?,
            None => ImageReport::added(head),
        });
        if wants_details {
            details.push(Details::of(head, base.as_ref().map(|base| &*base.image), &mut room));
        }
    }
    differences.extend(bases.iter().map(ImageReport::removed));
    Ok((differences, details))
}
