//! `layergate stages --propose`: a multi-stage Dockerfile to start from.

use std::sync::Arc;

use serde::Serialize;

use super::analyze::{Analyzer, DockerfileSource, build_options};
use super::dockerfiles::{Assigned, DockerfilePath, assign, build_of};
use super::{Exit, UsageError, console, measure, printed_json, reading_options};
use crate::analysis::Analysis;
use crate::cli::{Format, StagesArgs};
use crate::config::Config;
use crate::dockerfile::{BuildOptions, Facts, redacted};
use crate::image::{Bytes, Snapshot};
use crate::propose::{Inputs, NoProposal, Proposal, RuntimeImage, propose, usual_final_base};
use crate::removable::Catalogue;
use crate::report::escape::has_command;
use crate::report::stages::Fix;
use crate::source::{self, ImageReference, NamedImage, Options};

/// Runs the command. The Dockerfile goes to standard output and nothing is edited.
///
/// # Errors
/// If the Dockerfile or the image cannot be read, or there is nothing to propose.
pub async fn run(arguments: &StagesArgs, config: &Config, files: &[DockerfilePath]) -> anyhow::Result<Exit> {
    if arguments.format == Format::Markdown {
        return Err(
            UsageError("--propose prints a Dockerfile; use --format text or --format json".into()).into()
        );
    }
    let [file] = files else {
        let message = format!("--propose takes one Dockerfile, not {}; name one", files.len());
        return Err(UsageError(message).into());
    };
    let images = assign(&arguments.image, files, config)?;
    let [assigned] = images.as_slice() else {
        return Err(UsageError(
            "--propose takes one --image, the one that was built from the Dockerfile".into(),
        )
        .into());
    };
    let options = reading_options(&arguments.reading, None)?;
    let build = build_of(file, Some(assigned), config, &arguments.build.settings())?;
    let catalogue = config.catalogue(&super::today());
    let mut analyzer = Analyzer::new(catalogue.clone()).with_metadata(&arguments.build.build_metadata)?;
    let source = analyzer.source(&file.path).map_err(Unreadable)?;
    let build_options = build_options(&build);
    let facts = source.dockerfile.facts(&build_options).map_err(|error| Unreadable(error.to_string()))?;
    let mut measured = measure(&assigned.image, &options, &arguments.reading).await?;
    let (Some(measured), true) = (measured.pop(), measured.is_empty()) else {
        return Err(UsageError("--propose takes one platform; choose it with --platform".into()).into());
    };
    let analysis = analyzer.analyze(measured, &assigned.image, &build, true, &options).await;
    let asked = arguments.runtime_image.as_deref();
    let base = runtime_image(asked, analysis.snapshot(), &facts, assigned, &options).await?;
    let made_from =
        MadeFrom { source: &source, options: &build_options, facts: &facts, catalogue: &catalogue };
    let mut proposal = made_from.propose(&analysis, base.as_ref())?;
    print(&mut proposal, arguments.format)?;
    Ok(Exit::Success)
}

fn print(proposal: &mut Proposal, format: Format) -> anyhow::Result<()> {
    let written = redacted(&proposal.text);
    if written != proposal.text {
        console::warn(
            "the Dockerfile has values that look like secrets, and the proposal shows *** for each; mount secrets in the instructions that need them instead (RUN --mount=type=secret)",
        );
        proposal.text = written;
    }
    match format {
        Format::Json => console::result(&printed_json(&ProposalDocument::of(proposal))?)?,
        // A Dockerfile must not be altered, and nothing else keeps the runner from reading it as workflow commands.
        Format::Text | Format::Markdown if console::in_actions() && has_command(&proposal.text) => {
            return Err(Unreadable(IS_COMMAND.into()).into());
        }
        Format::Text | Format::Markdown => console::result(&proposal.text)?,
    }
    Ok(())
}

/// The inputs of a proposal besides the image.
pub(super) struct MadeFrom<'a> {
    pub source: &'a DockerfileSource,
    pub options: &'a BuildOptions,
    pub facts: &'a Facts,
    pub catalogue: &'a Catalogue,
}

impl MadeFrom<'_> {
    fn propose(
        &self,
        analysis: &Analysis,
        base: Option<&(String, Option<Snapshot>)>,
    ) -> Result<Proposal, NoProposal> {
        propose(&Inputs {
            dockerfile: &self.source.dockerfile,
            source: &self.source.text,
            options: self.options,
            facts: self.facts,
            snapshot: analysis.snapshot(),
            filesystem: analysis.filesystem(),
            catalogue: self.catalogue,
            runtime_image: base.map(|(name, snapshot)| RuntimeImage { name, snapshot: snapshot.as_ref() }),
        })
    }

    /// What the proposal for an image saves, if there is one and its size is known.
    pub async fn fix(&self, analysis: &Analysis, image: &Assigned, options: &Arc<Options>) -> Option<Fix> {
        let base = runtime_image(None, analysis.snapshot(), self.facts, image, options).await.ok()?;
        let proposal = self.propose(analysis, base.as_ref()).ok()?;
        let first = proposal.moved.iter().map(|lines| lines.line).min()?;
        let last = proposal.moved.iter().map(|lines| lines.end_line).max()?;
        let saves = Bytes(proposal.now.0.checked_sub(proposal.predicted?.0)?);
        let Proposal { runtime_image, script, .. } = proposal;
        Some(Fix { lines: [first, last], runtime_image, saves, script })
    }
}

const IS_COMMAND: &str = "GitHub Actions would read a line of the Dockerfile as a workflow command, so the proposal is not printed; use --format json, which has it as `dockerfile`";

/// A proposal for programs: `layergate.proposal/v1`.
#[derive(Serialize)]
struct ProposalDocument<'a> {
    schema: &'static str,
    layergate: &'static str,
    /// The Dockerfile.
    dockerfile: &'a str,
    /// The base image of its final stage.
    runtime_image: &'a str,
    /// Uncompressed bytes of the current image.
    now: Bytes,
    /// Uncompressed bytes of the proposed image; null if unknown.
    predicted: Option<Bytes>,
    /// The lines that move to the builder stage.
    moved: Vec<[u32; 2]>,
    /// What the final stage copies from the builder stage.
    copied: &'a [String],
    /// What the reader has to check.
    unsure: &'a [String],
}

impl ProposalDocument<'_> {
    fn of(proposal: &Proposal) -> ProposalDocument<'_> {
        ProposalDocument {
            schema: "layergate.proposal/v1",
            layergate: env!("CARGO_PKG_VERSION"),
            dockerfile: &proposal.text,
            runtime_image: &proposal.runtime_image,
            now: proposal.now,
            predicted: proposal.predicted,
            moved: proposal.moved.iter().map(|lines| [lines.line, lines.end_line]).collect(),
            copied: &proposal.copied,
            unsure: &proposal.unsure,
        }
    }
}

/// A Dockerfile that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unreadable(String);

/// The base image for the final stage: the requested one, or a smaller one that is available. One that is missing would
/// prevent building the proposal here.
async fn runtime_image(
    asked: Option<&str>,
    snapshot: &Snapshot,
    facts: &Facts,
    image: &Assigned,
    options: &Arc<Options>,
) -> anyhow::Result<Option<(String, Option<Snapshot>)>> {
    if let Some(name) = asked {
        NamedImage::parse(&format!("docker-daemon:{name}"))?;
        let measured = beside(&image.image, name, options).await;
        if measured.is_none() {
            console::warn(&format!(
                "--runtime-image {name}: not found where the image is, so the expected size is unknown"
            ));
        }
        return Ok(Some((name.to_owned(), measured)));
    }
    let Some(name) = usual_final_base(&facts.base, snapshot) else { return Ok(None) };
    let measured = beside(&image.image, &name, options).await;
    if measured.is_none() {
        console::note(&format!(
            "{name} would make the final stage smaller, but is not found where the image is: pull it, or pass another one with --runtime-image"
        ));
    }
    Ok(measured.map(|measured| (name, Some(measured))))
}

/// An image in the same place as another: in the same engine, or at the same registry.
async fn beside(image: &NamedImage, name: &str, options: &Arc<Options>) -> Option<Snapshot> {
    let transport = match &image.image {
        ImageReference::Daemon(_) => "docker-daemon:",
        ImageReference::Registry(_) => "docker://",
        _ => return None,
    };
    let named = NamedImage::parse(&format!("{transport}{name}")).ok()?;
    source::layers_beside(image, name, None, options).await?;
    source::measure(&named, options).await.ok()?.into_iter().next().map(|measured| measured.snapshot)
}
