//! `layergate check`: evaluates the limits.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ahead::Asking;
use super::analyze::Analyzer;
use super::baseline_source::BaselineSource;
use super::configuration::{self, Chosen, ConfigurationRequest};
use super::outputs::NamedFiles;
use super::publish::{self, publish};
use super::{
    Exit, console, lines_of, measure_all, parse_images, reading_options, refuse_twins, set_variable,
};
use super::{accept, comment, event, stores, today};
use crate::analysis::Analysis;
use crate::cli::CheckArgs;
use crate::compare::Baseline;
use crate::compare::baseline::Missing;
use crate::config::{BuildSettings, CommentRules, Config, Settings};
use crate::github::Context;
use crate::image::snapshot::ImageIdentity;
use crate::image::{MeasuredImage, Snapshot};
use crate::limits::Occasion;
use crate::report::html::{self, Details};
use crate::report::{ImageReport, Report, Terms};
use crate::source::{NamedImage, Options, Platforms};

/// Runs the command. Settings are checked before anything is measured; then come the verdict in the log, the summary,
/// the outputs, the annotations and, as the least reliable part, the comment.
///
/// # Errors
/// Whatever prevented the check from completing.
pub async fn run(arguments: &CheckArgs) -> anyhow::Result<Exit> {
    let images = parse_images(&arguments.images)?;
    images.iter().try_for_each(stores::refuse_shadow)?;
    let baselines = lines_of(&arguments.baseline).filter_map(|text| NamedImage::parse(text).ok());
    NamedFiles::default()
        .writes_all(&arguments.output)
        .reads_images(images.iter().chain(&baselines.collect::<Vec<_>>()))
        .reads_build(&arguments.build)
        .reads(arguments.config.iter())
        .check()?;
    comment::check_flags(&arguments.output.comment)?;
    let mut context = Context::read(set_variable);
    if let Some(context) = &mut context {
        event::resolve_event(arguments, context).await?;
    }
    let context = context.as_ref();
    let Chosen { config, note, unread } = configuration::of_check(&request(arguments), context).await?;
    let merge_queue = context.is_some_and(Context::is_merge_queue);
    let pull_request = merge_queue || context.is_some_and(|context| context.pull_request.is_some());
    let occasion = Occasion { pull_request, merge_queue, today: today() };
    let rules = Rules::new(arguments, &config, &images, occasion)?;
    let accept = config.accept(&arguments.accept.settings(), &rules.occasion.today)?;
    let mut analyzer = Analyzer::new(config.catalogue(&rules.occasion.today))
        .with_metadata(&arguments.build.stage.build_metadata)?;
    analyzer.check_flags(&BuildSettings::from_settings(&rules.build)?)?;

    let mut base = BaselineSource::choose(arguments, &images, context).await?;
    let options = reading_options(&arguments.reading, base.directory())?;
    for image in &images {
        base.prepare(image, &options).await;
    }
    let heads = measure_heads(&images, &options, arguments).await?;
    let identities: Vec<ImageIdentity> =
        heads.iter().map(|(_, measured)| measured.snapshot.image.clone()).collect();
    refuse_twins(&identities.iter().collect::<Vec<_>>())?;
    warn_of_misspelt_section(&config, &identities);
    base.measure(&arguments.reading, &options).await?;
    let (mut reports, mut details, mut room) = (Vec::new(), Vec::new(), html::MAX_FILES);
    // One after the other: an image is no longer needed once its report is made.
    for (image, measured) in heads {
        let ImageIdentity { name, platform, .. } = measured.snapshot.image.clone();
        let build = config.build_of(&name, platform.as_ref(), &rules.build)?;
        let baseline = base.of(&measured.snapshot, &options).await?;
        analyzer.baseline = baseline.as_ref().ok().map(|baseline| baseline.image.clone());
        let head = analyzer.analyze(measured, image, &build, images.len() == 1, &options).await;
        let mut report = rules.evaluate(&head, baseline.as_ref())?;
        if arguments.output.html.is_some() {
            let base = baseline.as_ref().ok().map(|baseline| &*baseline.image);
            details.push(Details::of(&head, base, &mut room));
        }
        report.add_trend(base.history(&name).await);
        reports.push(report);
    }
    analyzer.finish();
    if options.platform == Platforms::All {
        reports.extend(gone(&identities, &mut base).await?);
    }
    let mut report = Report::new(head_sha(&base, context), reports);
    report.target = context.and_then(|context| context.pull_request.as_ref()?.base_branch.clone());
    report.configurations = config.sources();
    report.min_change = rules.comment.min_change;
    report.notes.extend(note);
    report.url = arguments.output.report_url.clone();
    report.links = publish::links(&report, context);
    let asking = Asking { github: &arguments.github, comment: &arguments.output.comment };
    accept::apply(&mut report, &accept, asking, context).await;
    let exit = publish(&report, &details, &arguments.output, &arguments.github, context).await?;
    Ok(unless_unread(exit, unread))
}

/// A check whose configuration could not be read must not pass.
fn unless_unread(exit: Exit, unread: Option<String>) -> Exit {
    match (exit, unread) {
        (Exit::Success, Some(error)) => {
            console::error(&error);
            Exit::Unreadable
        }
        (exit, _) => exit,
    }
}

fn request(arguments: &CheckArgs) -> ConfigurationRequest<'_> {
    ConfigurationRequest {
        named: arguments.config.as_deref(),
        from: arguments.limits_from,
        has_limits: !arguments.limits.settings().is_empty(),
        github: &arguments.github,
    }
}

/// The rules to evaluate images by.
struct Rules<'a> {
    config: &'a Config,
    limits: Settings,
    build: Settings,
    comment: CommentRules,
    occasion: Occasion,
}

impl<'a> Rules<'a> {
    /// Rejects invalid limits before anything is measured.
    fn new(
        arguments: &CheckArgs,
        config: &'a Config,
        images: &[NamedImage],
        occasion: Occasion,
    ) -> anyhow::Result<Rules<'a>> {
        let comment = config.comment(&arguments.comment_settings())?;
        let (limits, build) = (arguments.limits.settings(), arguments.build.settings());
        for image in images {
            config.rulesets_for(&image.display_name(), None, &limits, &occasion.today)?;
        }
        Ok(Rules { config, limits, build, comment, occasion })
    }

    fn evaluate(
        &self,
        head: &Analysis,
        baseline: Result<&Baseline, &Missing>,
    ) -> anyhow::Result<ImageReport> {
        let ImageIdentity { name, platform, .. } = &head.snapshot().image;
        let Rules { config, occasion, comment, .. } = self;
        let rulesets = config.rulesets_for(name, platform.as_ref(), &self.limits, &occasion.today)?;
        if rulesets.iter().all(|ruleset| ruleset.limits.is_empty()) {
            console::warn(&format!(
                "no limit is set for {name}, so it cannot fail; set max-increase or max-size"
            ));
        }
        let terms = Terms { rulesets: &rulesets, occasion, ignored: comment.ignored.as_ref() };
        Ok(ImageReport::evaluate(head, baseline, &terms))
    }
}

/// Measures the images, and remembers their layers: those that a baseline shares need not be fetched.
async fn measure_heads<'a>(
    images: &'a [NamedImage],
    options: &Arc<Options>,
    arguments: &CheckArgs,
) -> anyhow::Result<Vec<(&'a NamedImage, MeasuredImage)>> {
    let mut heads = Vec::new();
    for (image, measured) in images.iter().zip(measure_all(images, options, &arguments.reading).await?) {
        measured.iter().for_each(|measured| say_taken_on_word(&measured.snapshot, options));
        heads.extend(measured.into_iter().map(|measured| (image, measured)));
    }
    for layer in heads.iter().flat_map(|(_, measured)| &measured.snapshot.layers) {
        if let Some(file_list) = &layer.file_list {
            options.known.learn(&layer.diff_id, file_list.clone());
        }
    }
    Ok(heads)
}

fn warn_of_misspelt_section(config: &Config, images: &[ImageIdentity]) {
    let names: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
    if let Some((section, image)) = config.misspelt(&names) {
        console::warn(&format!(
            "[images.{section}] in the configuration matches no image; did you mean [images.{image}]?"
        ));
    }
}

/// Reports layers that were not read because the store supplied their files: they are only as trustworthy as the
/// store's writers.
fn say_taken_on_word(snapshot: &Snapshot, options: &Options) {
    let (taken, all) = (options.known.taken_on_word(snapshot), snapshot.layers.len());
    if taken > 0 {
        console::note(&format!(
            "{}: {taken} of {all} layers were taken from the baseline store without reading them; --verify reads them all",
            snapshot.image.name
        ));
    }
}

/// The platforms that the images' baselines have and the images lack.
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

/// The commit of the images: a pull request's own head rather than its test merge.
fn head_sha(base: &BaselineSource, context: Option<&Context>) -> Option<String> {
    let pull = context.and_then(|context| context.pull_request.as_ref().map(|pull| pull.head_sha.clone()));
    pull.or_else(|| base.head_sha()).or_else(|| context?.sha.clone())
}
