//! `layergate stages`: which Dockerfiles are multi-stage, and what they ship.

use std::sync::Arc;

use super::analyze::{Analyzer, DockerfileSource, build_options};
use super::dockerfiles::{Assigned, DockerfileSearch, assign, build_of, dockerfiles, named_contexts};
use super::propose::MadeFrom;
use super::{Exit, configuration, console, measure, printed_json, reading_options};
use crate::analysis::Analysis;
use crate::cli::{Format, StagesArgs};
use crate::config::BuildSettings;
use crate::dockerfile::{DockerfileError, DockerfileFacts};
use crate::image::RemovableOutcome;
use crate::removable::Catalogue;
use crate::report::look::Sizes;
use crate::report::stages::{Adoption, DockerfileEntry};
use crate::source::Options;
use crate::stages::{ByText, evaluate_stages};

/// Runs the command.
///
/// # Errors
/// If a named Dockerfile or an image cannot be read.
pub async fn run(arguments: &StagesArgs) -> anyhow::Result<Exit> {
    let config = configuration::load(arguments.config.as_deref())?;
    let DockerfileSearch { files, templates } = dockerfiles(&arguments.dockerfiles)?;
    let templates: Vec<String> = templates.iter().map(|path| path.display().to_string()).collect();
    if arguments.propose {
        return super::propose::run(arguments, &config, &files).await;
    }
    let images = assign(&arguments.image, &files, &config)?;
    let options = reading_options(&arguments.reading, None)?;
    let flags = arguments.build.settings();
    let catalogue = config.catalogue(&super::today());
    let mut analyzer = Analyzer::new(catalogue.clone()).with_metadata(&arguments.build.build_metadata)?;
    let (mut entries, mut all_read) = (Vec::new(), true);
    for (index, file) in files.iter().enumerate() {
        let own: Vec<&Assigned> = images.iter().filter(|image| image.file == index).collect();
        let build = build_of(file, own.first().copied(), &config, &flags)?;
        let path = file.path.display().to_string();
        let source = match analyzer.source(&file.path) {
            Ok(source) => source,
            Err(error) => {
                all_read &= !file.named;
                console::warn(&error);
                entries.push(DockerfileEntry::unreadable(path, error));
                continue;
            }
        };
        for assigned in &own {
            for mut measured in measure(&assigned.image, &options, &arguments.reading).await? {
                // Findings use the image's name in the configuration.
                if let Some(name) = &assigned.name {
                    measured.snapshot.image.name.clone_from(name);
                }
                let analysis = analyzer.analyze(measured, &assigned.image, &build, true, &options).await;
                let of = Of { source: &source, build: &build, catalogue: &catalogue };
                entries.push(of.image(&path, &analysis, assigned, &options).await);
            }
        }
        if own.is_empty() {
            let of = Of { source: &source, build: &build, catalogue: &catalogue };
            entries.push(of.text(&path));
        }
    }
    analyzer.finish();
    let asks = |entry: &DockerfileEntry| entry.by_text.as_ref().is_some_and(ByText::asks_for_context);
    let contexts = if entries.iter().any(asks) { named_contexts()? } else { Vec::new() };
    console::result(&rendered(Adoption::new(entries, templates, contexts), arguments)?)?;
    Ok(if all_read { Exit::Success } else { Exit::Unreadable })
}

/// The inputs of an entry besides the image.
struct Of<'a> {
    source: &'a DockerfileSource,
    build: &'a BuildSettings,
    catalogue: &'a Catalogue,
}

impl Of<'_> {
    fn facts(&self, path: &str) -> Result<DockerfileFacts, DockerfileError> {
        let facts = self.source.dockerfile.facts(&build_options(self.build))?;
        let digest = self.source.dockerfile.digest().clone();
        Ok(DockerfileFacts { path: path.to_owned(), digest, facts })
    }

    fn text(&self, path: &str) -> DockerfileEntry {
        match self.facts(path) {
            Ok(facts) => DockerfileEntry::of(&facts, None, None),
            Err(error) => DockerfileEntry::unreadable(path.to_owned(), error.to_string()),
        }
    }

    async fn image(
        &self,
        path: &str,
        analysis: &Analysis,
        image: &Assigned,
        options: &Arc<Options>,
    ) -> DockerfileEntry {
        let dockerfile = match self.facts(path) {
            Ok(dockerfile) => dockerfile,
            Err(error) => return DockerfileEntry::unreadable(path.to_owned(), error.to_string()),
        };
        let build_options = build_options(self.build);
        let made_from = MadeFrom {
            source: self.source,
            options: &build_options,
            facts: &dockerfile.facts,
            catalogue: self.catalogue,
        };
        let fails =
            evaluate_stages(analysis).is_some_and(|evaluated| evaluated.outcome == RemovableOutcome::Fail);
        let fix = if fails { made_from.fix(analysis, image, options).await } else { None };
        DockerfileEntry::of(&dockerfile, Some(analysis), fix)
    }
}

fn rendered(adoption: Adoption, arguments: &StagesArgs) -> anyhow::Result<String> {
    let mut out = Vec::new();
    let sizes = Sizes::of_flag(arguments.bytes);
    match arguments.format {
        Format::Text => adoption.write_text(console::look(sizes), &mut out)?,
        Format::Markdown => adoption.write_markdown(sizes, &mut out)?,
        Format::Json => return Ok(printed_json(&adoption)?),
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}
