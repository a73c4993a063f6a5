//! `layergate check`: the gate.

use std::collections::BTreeSet;

use super::analyze::Analyzer;
use super::baseline_source::BaselineSource;
use super::configuration::{self, ConfigurationRequest};
use super::publish::{self, publish};
use super::{Exit, console, measure_all, parse_images, reading_options, refuse_twins, set_variable};
use super::{accept, comment, event};
use crate::cli::CheckArgs;
use crate::compare::Baseline;
use crate::config::BuildSettings;
use crate::github::Context;
use crate::image::Snapshot;
use crate::image::snapshot::ImageIdentity;
use crate::report::html::{self, Details};
use crate::report::{ImageReport, Report};
use crate::source::{Options, Platforms};

/// Runs the command. Settings are checked before anything is measured; then come the verdict in the
/// log, the summary, the outputs, the annotations and, as the least reliable, the comment.
///
/// # Errors
/// What kept the check from its end.
pub async fn run(arguments: &CheckArgs) -> anyhow::Result<Exit> {
    let images = parse_images(&arguments.images)?;
    comment::check_flags(&arguments.output.comment)?;
    let flags = arguments.limits.settings();
    let mut context = Context::read(set_variable);
    if let Some(context) = &mut context {
        event::resolve_event(arguments, context).await?;
    }
    let wanted = ConfigurationRequest {
        named: arguments.config.as_deref(),
        from: arguments.limits_from,
        has_limits: !flags.is_empty(),
        github: &arguments.github,
    };
    let chosen = configuration::of_check(&wanted, context.as_ref()).await?;
    let config = chosen.config;
    for image in &images {
        config.limits_for(&image.display_name(), None, &flags)?;
    }
    let accept = config.accept(&arguments.accept.settings())?;
    let mut analyzer =
        Analyzer::new(config.catalogue()).with_metadata(&arguments.build.stage.build_metadata)?;
    let build_flags = arguments.build.settings();
    analyzer.check_flags(&BuildSettings::from_settings(&build_flags)?)?;

    let mut base = BaselineSource::choose(arguments, &images, context.as_ref()).await?;
    let options = reading_options(&arguments.reading, base.directory())?;
    for image in &images {
        base.prepare(image, &options).await;
    }
    let mut heads = Vec::new();
    for (image, measured) in images.iter().zip(measure_all(&images, &options, &arguments.reading).await?) {
        measured.iter().for_each(|measured| say_taken_on_word(&measured.snapshot, &options));
        heads.extend(measured.into_iter().map(|measured| (image, measured)));
    }
    // What a baseline has in common with an image need not be fetched.
    for layer in heads.iter().flat_map(|(_, measured)| &measured.snapshot.layers) {
        if let Some(file_list) = &layer.file_list {
            options.known.learn(&layer.diff_id, file_list.clone());
        }
    }
    let identities: Vec<ImageIdentity> =
        heads.iter().map(|(_, measured)| measured.snapshot.image.clone()).collect();
    refuse_twins(&identities.iter().collect::<Vec<_>>())?;
    let names: Vec<&str> = identities.iter().map(|image| image.name.as_str()).collect();
    if let Some((section, image)) = config.misspelt(&names) {
        console::warn(&format!(
            "[images.{section}] of the configuration is of no image here, and {image} has no section; is it meant for {image}?"
        ));
    }
    base.measure(&arguments.reading, &options).await?;
    let pull_request = context.as_ref().is_some_and(|context| context.pull_request.is_some());
    let (mut reports, mut details, mut room) = (Vec::new(), Vec::new(), html::MAX_FILES);
    // One after the other: an image is no longer needed once its report is made.
    for (image, measured) in heads {
        let ImageIdentity { name, platform, .. } = measured.snapshot.image.clone();
        let build = config.build_of(&name, platform.as_ref(), &build_flags)?;
        let head = analyzer.analyze(measured, image, &build, images.len() == 1, &options).await;
        let baseline = base.of(head.snapshot(), &options).await?;
        let (limits, settings) = config.limits_for(&name, platform.as_ref(), &flags)?;
        let mut report = ImageReport::evaluate(&head, baseline.as_ref(), &limits, &settings, pull_request)?;
        if arguments.output.html.is_some() {
            let base = baseline.as_ref().ok().map(|baseline| &*baseline.image);
            details.push(Details::of(&head, base, &mut room));
        }
        report.add_trend(base.history(&name).await);
        reports.push(report);
        if limits.is_empty() {
            console::warn(&format!(
                "no limit is set for {name}, so it cannot fail; set max-increase or max-size"
            ));
        }
    }
    analyzer.finish();
    if options.platform == Platforms::All {
        reports.extend(gone(&identities, &mut base).await?);
    }
    let mut report = Report::new(head_sha(&base, context.as_ref()), reports);
    report.notes.extend(chosen.note);
    report.url = arguments.output.report_url.clone();
    report.links = publish::links(&report, context.as_ref());
    accept::apply(&mut report, &accept, &arguments.github, context.as_ref()).await;
    publish(&report, &details, &arguments.output, &arguments.github, context.as_ref()).await
}

/// Says what was measured without being read: it is as true as whoever may write to the store.
fn say_taken_on_word(snapshot: &Snapshot, options: &Options) {
    let (taken, all) = (options.known.taken_on_word(snapshot), snapshot.layers.len());
    if taken > 0 {
        console::note(&format!(
            "{}: {taken} of {all} layers were not read; what is in them is the baseline store's word. --verify reads them all",
            snapshot.image.name
        ));
    }
}

/// The platforms that the baselines of the images have and the images have not.
async fn gone(heads: &[ImageIdentity], base: &mut BaselineSource) -> anyhow::Result<Vec<ImageReport>> {
    let names: BTreeSet<&str> = heads.iter().map(|head| head.name.as_str()).collect();
    let mut gone = Vec::new();
    for name in names {
        let of_name = heads.iter().filter(|head| head.name == name);
        let here: Vec<_> = of_name.map(ImageIdentity::canonical_platform).collect();
        let recorded = base.platforms(name).await?;
        let is_gone = |base: &&Baseline| !here.contains(&base.image.snapshot().image.canonical_platform());
        gone.extend(recorded.iter().filter(is_gone).map(ImageReport::removed));
    }
    Ok(gone)
}

/// The commit that the images are of: a pull request's own head rather than its test merge.
fn head_sha(base: &BaselineSource, context: Option<&Context>) -> Option<String> {
    let pull = context.and_then(|context| context.pull_request.as_ref().map(|pull| pull.head_sha.clone()));
    pull.or_else(|| base.head_sha()).or_else(|| context?.sha.clone())
}
