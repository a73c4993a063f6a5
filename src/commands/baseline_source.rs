//! What a check compares images with: the baselines in a store, or named images.

use std::collections::HashMap;
use std::sync::Arc;

use super::{
    UsageError, console, event, fetch_files, github, lines_of, local_git, measure_all, refuse_second_input,
    stores,
};
use crate::analysis::Analysis;
use crate::baseline::find::{FoundBaseline, other_variant};
use crate::baseline::{Ancestry, BaselineFinder, DirStore, Git, Store, StoreError, StoreName, Trigger};
use crate::cli::{CheckArgs, ReadingFlags};
use crate::compare::baseline::{Baseline, HistoryPoint, Missing, Reason, short};
use crate::github::{Context, Deciding, PullRequest, Repository, releases};
use crate::image::platform::platform_key;
use crate::image::{DiffId, FileList, Platform, Snapshot};
use crate::source::{ImageReference, NamedImage, Options, Platforms};

/// Stands for the newest release's baseline, in place of an image.
const RELEASE: &str = "release";
/// A directory has no index, so each baseline must be read; this many take a few milliseconds.
const MOST_READ: usize = 300;

/// The source of baselines.
pub enum BaselineSource {
    /// The baselines in a store.
    Recorded(Store, Box<Ancestry>),
    /// Named images; a store may save measuring them.
    Named(Vec<NamedBaseline>, Option<Store>),
}

/// An image used as a baseline.
pub struct NamedBaseline {
    /// The name of the image to compare with it.
    name: String,
    image: NamedImage,
    /// Its measurement, once made.
    measured: Vec<Arc<Analysis>>,
}

impl BaselineSource {
    /// The requested source, or the stored baselines that fit the event. The commits are determined here.
    pub async fn choose(
        arguments: &CheckArgs,
        images: &[NamedImage],
        context: Option<&Context>,
    ) -> anyhow::Result<BaselineSource> {
        let (store, github) = (&arguments.store, &arguments.github);
        let open = || stores::open(store, github, arguments.reading.plain_http);
        let given = given_baselines(arguments, images)?;
        refuse_second_input(images.iter().chain(given.iter().map(|given| &given.image)))?;
        for path in given.iter().filter_map(|given| given.image.image.path()) {
            stores::refuse_committed(path, "--baseline", context)?;
        }
        if given.is_empty() {
            return Ok(BaselineSource::Recorded(open()?, Box::new(find_ancestry(arguments, context).await?)));
        }
        // A branch keeps baselines by commit only, so neither is needed.
        let is_branch = matches!(stores::name(store, github)?, StoreName::Branch(_));
        Ok(BaselineSource::Named(given, if is_branch { None } else { Some(open()?) }))
    }

    /// The directory with the baselines, if the store is one.
    pub fn directory(&self) -> Option<&DirStore> {
        match self {
            BaselineSource::Recorded(store, _) | BaselineSource::Named(_, Some(store)) => store.directory(),
            BaselineSource::Named(_, None) => None,
        }
    }

    /// The commit that is checked out, or that the run is about.
    pub fn head_sha(&self) -> Option<String> {
        match self {
            BaselineSource::Recorded(_, ancestry) => ancestry.head.as_ref().map(|head| head.sha.clone()),
            BaselineSource::Named(..) => local_git().head().map(|head| head.sha),
        }
    }

    /// Fetches the file lists that the baseline shares with an image before measuring it: known layers need not be
    /// exported or downloaded. Skipped for local files: reading them is cheaper. This only saves work, so an unusable
    /// baseline is reported later, with the one for the image's own platform.
    pub async fn prepare(&mut self, image: &NamedImage, options: &Options) {
        let BaselineSource::Recorded(store, ancestry) = self else { return };
        if store.directory().is_some()
            || !matches!(image.image, ImageReference::Daemon(_) | ImageReference::Registry(_))
        {
            return;
        }
        let found = BaselineFinder::new(store, ancestry).platforms(&image.display_name()).await;
        for baseline in found.unwrap_or_default() {
            fetch_files(&baseline.snapshot, store, options).await;
        }
    }

    /// Measures the images named as baselines, except those recorded with the image.
    pub async fn measure(&mut self, reading: &ReadingFlags, options: &Arc<Options>) -> anyhow::Result<()> {
        if let BaselineSource::Named(given, store) = self {
            let (mut recorded, mut unknown) = (Vec::new(), Vec::new());
            for given in &*given {
                let found = recorded_with(&given.image, store.as_ref(), options).await;
                unknown.extend(found.is_none().then_some(&given.image));
                recorded.push(found);
            }
            let mut measured = measure_all(unknown, options, reading).await?.into_iter();
            for (given, recorded) in given.iter_mut().zip(recorded) {
                let measured = match recorded {
                    Some(recorded) => vec![recorded.into()],
                    None => measured.next().unwrap_or_default(),
                };
                let files = |diff_id: &DiffId| options.known.files(diff_id);
                let analyses =
                    measured.into_iter().map(|measured| Arc::new(Analysis::recorded(measured, files)));
                given.measured = analyses.collect();
            }
            refuse_second_baselines(given)?;
        }
        Ok(())
    }

    /// The baseline of an image, with the known file lists of its layers; or why there is none.
    pub async fn of(
        &mut self,
        head: &Snapshot,
        options: &Options,
    ) -> anyhow::Result<Result<Baseline, Missing>> {
        let is_alone = options.platform != Platforms::All;
        match self {
            BaselineSource::Recorded(store, ancestry) => {
                let found = BaselineFinder::new(store, ancestry).baseline(head, is_alone).await?;
                if let Some(problem) = ancestry.take_problem() {
                    console::warn(&format!("the base commit may not be exact: {problem}"));
                }
                let found = match found {
                    Ok(found) => found,
                    Err(missing) => return Ok(Err(missing)),
                };
                fetch_files(&found.snapshot, store, options).await;
                Ok(Ok(baseline(found, |diff_id| options.known.files(diff_id))))
            }
            BaselineSource::Named(given, _) => Ok(given_baseline(given, head, is_alone)),
        }
    }

    /// The recorded sizes of an image, for a chart. They explain nothing and fail nothing, so they are left out if they
    /// would cost much.
    pub async fn history(&self, name: &str) -> Vec<HistoryPoint> {
        let BaselineSource::Recorded(store, _) = self else { return Vec::new() };
        let history = async {
            let costly = match store {
                Store::Branch(_) => false,
                Store::Directory(store) => store.overview(name)?.commits > MOST_READ,
                // Each baseline would cost a request.
                Store::Registry(_) => true,
            };
            if costly { Ok(Vec::new()) } else { Ok(store.history(name).await?.points) }
        };
        history.await.unwrap_or_else(|error: StoreError| {
            console::warn(&format!("no chart of the size of {name}: {error}"));
            Vec::new()
        })
    }

    /// The baselines of an image for all its platforms.
    pub async fn platforms(&mut self, name: &str) -> anyhow::Result<Vec<Baseline>> {
        Ok(match self {
            BaselineSource::Recorded(store, ancestry) => {
                let found = BaselineFinder::new(store, ancestry).platforms(name).await?;
                found.into_iter().map(|found| baseline(found, |_| None)).collect()
            }
            BaselineSource::Named(given, _) => {
                let of_name = given.iter().filter(|given| given.name == name);
                of_name.flat_map(|given| given.measured.iter().map(|one| given.measured_now(one))).collect()
            }
        })
    }
}

fn baseline(found: FoundBaseline, files: impl Fn(&DiffId) -> Option<Arc<FileList>>) -> Baseline {
    let FoundBaseline { snapshot, distance, exact, how } = found;
    Baseline { image: Arc::new(Analysis::recorded(snapshot, files)), distance, exact, how }
}

/// The named baselines. If there are several, each belongs to the image of the same name.
fn given_baselines(arguments: &CheckArgs, images: &[NamedImage]) -> anyhow::Result<Vec<NamedBaseline>> {
    let named: Vec<&str> = lines_of(&arguments.baseline).collect();
    let mut given = Vec::new();
    for text in named.iter().filter(|_| named != [RELEASE]) {
        let baseline = NamedImage::parse(text)?;
        stores::refuse_shadow(&baseline)?;
        // A single one without a name belongs to the single image.
        let alone = images.len() == 1 && named.len() == 1 && baseline.name.is_none();
        let name = if alone { images[0].display_name() } else { baseline.display_name() };
        if !images.iter().any(|image| image.display_name() == name) {
            let message =
                format!("--baseline {text}: this check has no image named `{name}`; write NAME=IMAGE");
            return Err(UsageError(message).into());
        }
        given.push(NamedBaseline { name, image: baseline, measured: Vec::new() });
    }
    Ok(given)
}

/// The baseline that the store attached to an image in a registry. It only saves work: unless it certainly equals a
/// measurement, the image is measured, and so are all platforms together.
async fn recorded_with(image: &NamedImage, store: Option<&Store>, options: &Options) -> Option<Snapshot> {
    let (ImageReference::Registry(name), Some(store)) = (&image.image, store) else { return None };
    let wanted = match &options.platform {
        Platforms::One(platform) if !options.verify => platform.clone(),
        Platforms::Usual if !options.verify => Platform::of_this_machine(),
        _ => return None,
    };
    let recorded = match store.of_image(name).await {
        Ok(recorded) => recorded,
        Err(error) => {
            console::warn(&format!(
                "measuring {}, because its stored baseline cannot be used: {error}",
                image.text
            ));
            return None;
        }
    };
    let fits = |one: &Snapshot| one.image.platform.as_ref().is_some_and(|own| own.satisfies(&wanted));
    let mut found = recorded.into_iter().find(fits)?;
    found.image.name = image.display_name();
    found.image.reference.clone_from(&image.text);
    fetch_files(&found, store, options).await;
    Some(found)
}

fn given_baseline(given: &[NamedBaseline], head: &Snapshot, is_alone: bool) -> Result<Baseline, Missing> {
    let of_name = || given.iter().filter(|given| given.name == head.image.name);
    let key = |one: &Snapshot| platform_key(one.image.platform.as_ref());
    let each =
        |given: &'_ NamedBaseline| given.measured.iter().map(|one| key(one.snapshot())).collect::<Vec<_>>();
    let other = other_variant(&of_name().flat_map(each).collect(), &key(head)).filter(|_| is_alone);
    let wanted = other.unwrap_or_else(|| key(head));
    let fits = |one: &&Arc<Analysis>| key(one.snapshot()) == wanted;
    let mut found = of_name().filter_map(|given| Some(given.measured_now(given.measured.iter().find(fits)?)));
    found.next().ok_or_else(|| match of_name().next() {
        Some(given) => {
            let (name, text, platform) = (&given.name, &given.image.text, head.platform_text());
            Missing {
                reason: Reason::OtherPlatform,
                message: format!("no baseline: {text} has no image for {platform}"),
                help: format!("pass --baseline {name}=IMAGE with one that has {platform}"),
            }
        }
        None => Missing {
            reason: Reason::NeverRecorded,
            message: "no baseline: no --baseline is given for this image".into(),
            help: "pass the image to compare with as --baseline NAME=IMAGE".into(),
        },
    })
}

/// If one image and platform had two baselines, one would be ignored.
fn refuse_second_baselines(given: &[NamedBaseline]) -> Result<(), UsageError> {
    let mut seen = HashMap::new();
    for baseline in given {
        for measured in &baseline.measured {
            let image = &measured.snapshot().image;
            let of = (&baseline.name, image.canonical_platform());
            if let Some(first) = seen.insert(of, &baseline.image.text) {
                return Err(UsageError(format!(
                    "--baseline: `{first}` and `{}` are both for `{}`; pass only one",
                    baseline.image.text, baseline.name
                )));
            }
        }
    }
    Ok(())
}

impl NamedBaseline {
    fn measured_now(&self, image: &Arc<Analysis>) -> Baseline {
        // Only recorded images belong to a commit.
        let how = match &image.snapshot().commit {
            Some(_) => format!("recorded with {}", self.image.text),
            None => format!("measured now from {}", self.image.text),
        };
        Baseline { image: image.clone(), distance: None, exact: true, how }
    }
}

/// The commits to compare with: the requested ones, or those that fit the event.
async fn find_ancestry(arguments: &CheckArgs, context: Option<&Context>) -> anyhow::Result<Ancestry> {
    let git = local_git();
    if lines_of(&arguments.baseline).eq([RELEASE]) {
        return of_release(arguments, context, &git).await;
    }
    let Some(name) = &arguments.base_commit else {
        // Without a token or a repository, only the checkout is known.
        let of_run = context.and_then(|context| github::of_run(&arguments.github, context).ok()?);
        let repository = of_run.map(|(client, (owner, name))| Repository::new(client, owner, name));
        let run_sha = context.filter(|context| !context.is_about_default_branch());
        let run_sha = run_sha.and_then(|context| context.sha.as_deref());
        let (trigger, target) = trigger(context);
        return Ok(Ancestry::of(&trigger, &git, repository, run_sha, target.as_deref()).await);
    };
    let message = || {
        format!(
            "--base-commit {name}: no such commit here; write its full hash, or run in a checkout that has it"
        )
    };
    Ancestry::named(name, "the commit given by --base-commit", &git)
        .ok_or_else(|| UsageError(message()).into())
}

/// The commit of the newest release.
async fn of_release(arguments: &CheckArgs, context: Option<&Context>, git: &Git) -> anyhow::Result<Ancestry> {
    let of_run = context.map(|context| github::of_run(&arguments.github, context)).transpose()?.flatten();
    let Some((client, (owner, name))) = of_run else {
        let message = "--baseline release asks GitHub for the newest release, which needs a workflow run and a token; pass the release's commit with --base-commit instead";
        return Err(UsageError(message.into()).into());
    };
    let Some(release) = releases::newest(&Repository::new(client, owner, name)).await? else {
        console::warn("--baseline release: there is no release yet");
        return Ok(Ancestry::none(git));
    };
    console::note(&format!("compared with release {}, commit {}", release.tag, short(&release.commit)));
    Ancestry::named(&release.commit, "the newest release", git).ok_or_else(|| {
        anyhow::anyhow!("the newest release points to `{}`, which is not a commit", release.commit)
    })
}

/// What triggered the run, and the branch that its change is to be merged into.
fn trigger(context: Option<&Context>) -> (Trigger, Option<String>) {
    let Some(context) = context else { return (Trigger::Other, None) };
    let target = match event::deciding(context) {
        Deciding::Branch(branch) => Some(branch),
        Deciding::Checkout | Deciding::Unknown => None,
    };
    // Whoever pushed may have opened a pull request to a branch of their own.
    let is_its =
        |pull: &&PullRequest| context.event_name != "push" || target.is_none() || pull.base_branch == target;
    if let Some(pull) = context.pull_request.as_ref().filter(is_its) {
        return (Trigger::PullRequest { head: pull.head_sha.clone(), base: pull.base_sha.clone() }, target);
    }
    let trigger = match &context.merge_group_base {
        Some(base) => return (Trigger::MergeGroup { base: base.clone() }, target),
        // The checkout knows the parent, whatever the event says.
        None if context.event_name == "push" => {
            Trigger::Push { before: context.push_before.clone().unwrap_or_default() }
        }
        None => Trigger::Other,
    };
    (if target.is_some() { Trigger::Unmerged(Box::new(trigger)) } else { trigger }, target)
}
