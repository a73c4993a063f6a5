//! `layergate stages --propose`: a multi-stage Dockerfile to start from.

use std::sync::Arc;

use serde::Serialize;

use super::dockerfiles::{Assigned, File, assign, build_of};
use super::locate::Locator;
use super::{Exit, UsageError, console, measure, printed_json, reading_options};
use crate::cli::{Format, Stages};
use crate::compare::{censuses, file_system};
use crate::dockerfile::{BuildOptions, redacted};
use crate::image::{Bytes, Snapshot};
use crate::policy::Config;
use crate::propose::{FinalBase, Inputs, Proposal, propose, usual_final_base};
use crate::report::escape::has_command;
use crate::source::{self, ImageReference, NamedImage, Options};

/// Runs the command. The Dockerfile goes to standard output and nothing is edited.
///
/// # Errors
/// Where the Dockerfile or the image cannot be read, or there is nothing to propose.
pub async fn run(arguments: &Stages, config: &Config, files: &[File]) -> anyhow::Result<Exit> {
    if arguments.format == Format::Markdown {
        return Err(
            UsageError("--propose prints a Dockerfile, or --format json what is known of it".into()).into()
        );
    }
    let [file] = files else {
        let message = format!("--propose takes one Dockerfile, and these are {}; name one", files.len());
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
    let catalogue = config.catalogue();
    let mut locator = Locator::new(catalogue.clone());
    let source = locator.source(&file.path).map_err(Unreadable)?;
    let build_options = BuildOptions { target: build.target.clone(), args: build.arguments.clone() };
    let facts = source.dockerfile.facts(&build_options).map_err(|error| Unreadable(error.to_string()))?;
    let mut measured = measure(&assigned.image, &options, &arguments.reading).await?;
    let [snapshot] = measured.as_mut_slice() else {
        return Err(
            UsageError("--propose takes an image of one platform; choose it with --platform".into()).into()
        );
    };
    let censuses = censuses(snapshot).ok_or(crate::propose::NoProposal::NoFiles)?;
    let applied = file_system(&censuses);
    locator.explain(snapshot, &assigned.image, &build, true, Some(&applied), &options).await;
    let base = final_base(arguments, snapshot, &facts, assigned, &options).await?;
    let mut proposal = propose(&Inputs {
        dockerfile: &source.dockerfile,
        source: &source.text,
        options: &build_options,
        facts: &facts,
        snapshot,
        applied: &applied,
        catalogue: &catalogue,
        final_base: base.as_ref().map(|(name, snapshot)| FinalBase { name, snapshot: snapshot.as_ref() }),
    })?;
    let written = redacted(&proposal.text);
    if written != proposal.text {
        console::warn(
            "the Dockerfile has values in it that look like secrets, and *** stands for each in what is proposed; mount secrets in their steps instead (RUN --mount=type=secret)",
        );
        proposal.text = written;
    }
    match arguments.format {
        Format::Json => console::result(&printed_json(&Document::of(&proposal))?)?,
        // A Dockerfile is not to be changed, and there is no other way to keep a log from reading it.
        Format::Text | Format::Markdown if console::in_actions() && has_command(&proposal.text) => {
            return Err(Unreadable(IS_COMMAND.into()).into());
        }
        Format::Text | Format::Markdown => console::result(&proposal.text)?,
    }
    Ok(Exit::Success)
}

const IS_COMMAND: &str = "the Dockerfile has a line that the log of a GitHub Actions run would take for a command, so what is proposed is not printed; use --format json, which has it under `dockerfile`";

/// A proposal for programs: `layergate.proposal/v1`.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    layergate: &'static str,
    /// The Dockerfile.
    dockerfile: &'a str,
    /// The image that its final stage builds on.
    final_base: &'a str,
    /// Unpacked bytes of the image as it is.
    now: Bytes,
    /// Those of the image that it makes; null where that is not known.
    predicted: Option<Bytes>,
    /// The lines that only the builder has then.
    moved: Vec<[u32; 2]>,
    /// What the final stage copies from the builder.
    copied: &'a [String],
    /// What a reader has to judge.
    unsure: &'a [String],
}

impl Document<'_> {
    fn of(proposal: &Proposal) -> Document<'_> {
        Document {
            schema: "layergate.proposal/v1",
            layergate: env!("CARGO_PKG_VERSION"),
            dockerfile: &proposal.text,
            final_base: &proposal.final_base,
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

/// The image for the final stage: the one that is asked for, or a smaller one where that is at hand. One that
/// is not there would keep the proposal from being built here.
async fn final_base(
    arguments: &Stages,
    snapshot: &Snapshot,
    facts: &crate::dockerfile::Facts,
    image: &Assigned,
    options: &Arc<Options>,
) -> anyhow::Result<Option<(String, Option<Snapshot>)>> {
    if let Some(name) = &arguments.final_base {
        NamedImage::parse(&format!("docker-daemon:{name}"))?;
        let measured = beside(&image.image, name, options).await;
        if measured.is_none() {
            console::warn(&format!(
                "--final-base {name}: not found where the image is, so the size that is expected is not known"
            ));
        }
        return Ok(Some((name.clone(), measured)));
    }
    let Some(name) = usual_final_base(&facts.base, snapshot) else { return Ok(None) };
    let measured = beside(&image.image, &name, options).await;
    if measured.is_none() {
        console::note(&format!(
            "{name} would be a smaller image for the final stage, and is not found where the image is: pull it, or name one with --final-base"
        ));
    }
    Ok(measured.map(|measured| (name, Some(measured))))
}

/// An image that is where another is: in the same engine, or at the same registry.
async fn beside(image: &NamedImage, name: &str, options: &Arc<Options>) -> Option<Snapshot> {
    let transport = match &image.image {
        ImageReference::Daemon(_) => "docker-daemon:",
        ImageReference::Registry(_) => "docker://",
        _ => return None,
    };
    let named = NamedImage::parse(&format!("{transport}{name}")).ok()?;
    source::layers_beside(image, name, None, options).await?;
    source::measure(&named, options).await.ok()?.into_iter().next()
}
