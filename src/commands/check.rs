//! `layergate check`: the gate.

use std::collections::BTreeSet;

use super::bases::Bases;
use super::locate::Locator;
use super::publish::publish;
use super::{Exit, console, load_config, measure, parse_images, reading_options, refuse_twins, set_variable};
use super::{accept, comment, event};
use crate::cli::Check;
use crate::compare::{censuses, file_system};
use crate::github::Context;
use crate::image::Snapshot;
use crate::report::{ImageReport, Report};
use crate::source::Platforms;

/// Runs the command. Settings are checked before anything is measured; then come the verdict in the
/// log, the summary, the outputs, the annotations and, as the least reliable, the comment.
///
/// # Errors
/// What kept the check from its end.
pub async fn run(arguments: &Check) -> anyhow::Result<Exit> {
    let images = parse_images(&arguments.images)?;
    let config = load_config(arguments.config.as_deref())?;
    comment::check_flags(&arguments.output.comment)?;
    let flags = arguments.limits.settings();
    for image in &images {
        config.limits_for(&image.display_name(), None, &flags)?;
    }
    let accept = config.accept(&arguments.accept.settings())?;
    let mut context = Context::read(set_variable);
    if let Some(context) = &mut context {
        event::understand(arguments, context).await?;
    }

    let mut base = Bases::choose(arguments, &images, context.as_ref()).await?;
    let options = reading_options(&arguments.reading, base.directory())?;
    for image in &images {
        base.prepare(image, &options).await;
    }
    let (mut snapshots, mut of_images) = (Vec::new(), Vec::new());
    let mut locator = Locator::new(config.catalogue());
    let build_flags = arguments.build.settings();
    for image in &images {
        let measured = measure(image, &options, &arguments.reading).await?;
        of_images.extend(measured.iter().map(|_| image));
        snapshots.extend(measured);
    }
    // What a baseline has in common with an image need not be fetched.
    for layer in snapshots.iter().flat_map(|snapshot| &snapshot.layers) {
        if let Some(census) = &layer.census {
            options.known.learn(&layer.diff_id, census.clone());
        }
    }
    let censuses: Vec<_> = snapshots.iter().map(censuses).collect();
    let files: Vec<_> = censuses.iter().map(|of| of.as_deref().map(file_system)).collect();
    let mut judgements = Vec::new();
    for ((snapshot, image), files) in snapshots.iter_mut().zip(of_images).zip(&files) {
        let build = config.build_of(&snapshot.image.name, snapshot.image.platform.as_ref(), &build_flags)?;
        let (single, files) = (images.len() == 1, files.as_ref());
        judgements.push(locator.explain(snapshot, image, &build, single, files, &options).await);
    }
    refuse_twins(&snapshots)?;
    let names: Vec<&str> = snapshots.iter().map(|snapshot| snapshot.image.name.as_str()).collect();
    if let Some((section, image)) = config.misspelt(&names) {
        console::warn(&format!(
            "[images.{section}] of the configuration is of no image here, and {image} has no section; is it meant for {image}?"
        ));
    }
    base.measure(&arguments.reading, &options).await?;
    let pull_request = context.as_ref().is_some_and(|context| context.pull_request.is_some());
    let mut reports = Vec::new();
    for ((head, stages), files) in snapshots.iter().zip(&judgements).zip(&files) {
        let baseline = base.of(head, &options).await?;
        let (limits, settings) = config.limits_for(&head.image.name, head.image.platform.as_ref(), &flags)?;
        let (stages, files) = (stages.as_ref(), files.as_ref());
        let mut report =
            ImageReport::evaluate(head, baseline.as_ref(), &limits, &settings, pull_request, stages, files)?;
        report.add_trend(head, base.history(&head.image.name).await);
        reports.push(report);
        if limits.is_empty() {
            let name = &head.image.name;
            console::warn(&format!(
                "no limit is set for {name}, so it cannot fail; set max-increase or max-size"
            ));
        }
    }
    if options.platform == Platforms::All {
        reports.extend(gone(&snapshots, &mut base).await?);
    }
    let mut report = Report::new(head_sha(&base, context.as_ref()), reports);
    accept::apply(&mut report, &accept, &arguments.github, context.as_ref()).await;
    publish(&report, &arguments.output, &arguments.github, context.as_ref()).await
}

/// The platforms that the baselines of the images have and the images have not.
async fn gone(heads: &[Snapshot], base: &mut Bases) -> anyhow::Result<Vec<ImageReport>> {
    let names: BTreeSet<&str> = heads.iter().map(|head| head.image.name.as_str()).collect();
    let mut gone = Vec::new();
    for name in names {
        let here: Vec<_> =
            heads.iter().filter(|head| head.image.name == name).map(Snapshot::canonical_platform).collect();
        let recorded = base.platforms(name).await?;
        let missing = recorded.iter().filter(|base| !here.contains(&base.snapshot.canonical_platform()));
        gone.extend(missing.map(ImageReport::removed));
    }
    Ok(gone)
}

/// The commit that the images are of: a pull request's own head rather than its test merge.
fn head_sha(base: &Bases, context: Option<&Context>) -> Option<String> {
    let pull = context.and_then(|context| context.pull_request.as_ref().map(|pull| pull.head_sha.clone()));
    pull.or_else(|| base.head_sha()).or_else(|| context?.sha.clone())
}
