//! The command line: types for clap, and nothing else.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::image::Platform;
use crate::policy::{Metric, Setting, Settings};
use crate::source::Platforms;

const REPORT_HELP: &str = "\
Each job of a matrix saves its report (check --report FILE --comment never); one job that waits for
all of them puts them together: one comment, one summary, one verdict. The same report twice counts
once; one of another commit is left out and said; an image that --expect names and no report has
fails.

A run for a pull request from a fork has a token that may only read, so it cannot comment. A second
workflow, on workflow_run, gets its reports as an artifact. There the pull request is found by the
head that the run was about, and never by what the artifact says; and the limits are those of
layergate.toml on the branch that it goes to, and those that are given.";

const IMAGE_HELP: &str = "\
How images are named:
  NAME[:TAG], docker-daemon:NAME[:TAG]   an image of the local engine
  docker-archive:FILE[:REF]              `docker save` output, of any Docker version
  oci-archive:FILE[:REF], oci:DIR[:REF]  an OCI layout, packed or not
  docker://HOST/NAME[:TAG][@DIGEST]      an image of a registry, by docker's or podman's login
  inspect:FILE                           a saved `docker inspect` document (totals only)
  snapshot:FILE                          what `layergate inspect -o FILE` wrote
  PATH                                   any of these files; the kind is found by looking inside";

const STAGES_HELP: &str = "\
Examples:
  layergate stages                                       all Dockerfiles below here, by their text
  layergate stages Dockerfile --image api:ci             with the evidence from the image
  layergate stages 'services/*/Dockerfile' --image services/api/Dockerfile=api:ci
  layergate stages --propose Dockerfile --image api:ci   a multi-stage Dockerfile to start from";

const INIT_HELP: &str = "\
What the images are, and how each is built, is found in this order:
  1. workflows: docker/build-push-action, docker/bake-action; in scripts `docker build`,
     `docker compose build`, `docker buildx bake`
  2. docker-bake.hcl or docker-bake.json, or else compose.yaml or docker-compose.yml, at the root
  3. Dockerfiles, those of tests, examples and development left out
What cannot be told from the text alone is said and left out. Nothing is built, run or downloaded.

Two files are written, in which every line is explained:
  layergate.toml                   limits to start from, and the Dockerfile of each image
  .github/workflows/layergate.yml  checks pull requests, and records pushes to the default branch

Examples:
  layergate init                            for the repository that this directory is the root of
  layergate init --print                    to read first
  layergate init --print > /dev/null        only what is found
  layergate init --store oci:registry.example/acme/baselines ../shop

Exit codes:
  0  written, or printed
  2  a file is there already, or no image was found: nothing is written
  3  something could not be read or written";

const SCHEMA_HELP: &str = "\
The schemas are of JSON Schema draft-07, which editors know best. An editor with Taplo, such as
VS Code with Even Better TOML, completes and checks layergate.toml where its first line is

  #:schema https://raw.githubusercontent.com/layergate/layergate/main/schema/layergate.toml.json

or, next to a file that `layergate schema > layergate.toml.json` wrote, #:schema ./layergate.toml.json";

const COMPLETIONS_HELP: &str = "\
Where shells look for it:
  bash        mkdir -p ~/.local/share/bash-completion/completions
              layergate completions bash > ~/.local/share/bash-completion/completions/layergate
  zsh         layergate completions zsh > DIR/_layergate, with DIR in $fpath
  fish        layergate completions fish > ~/.config/fish/completions/layergate.fish
  elvish      layergate completions elvish >> ~/.config/elvish/rc.elv
  powershell  layergate completions powershell >> $PROFILE";

const MAN_HELP: &str = "\
Examples:
  layergate man | man -l -                               read it
  layergate man --output ~/.local/share/man/man1         install all: man layergate-check";

const EVENT_HELP: &str = "\
Events of GitHub Actions:
  pull_request         compared with the code that it is put on, and commented on
  pull_request_target  refused (exit code 2), unless the pull request is of this very repository
                       and its head, or a merge of it, is checked out: the job has a token that
                       may write, and secrets, and a build of a fork's code there could take
                       both. Check on pull_request, and comment from a workflow_run job with
                       `layergate report`
  issue_comment        on a pull request whose head, or a merge of it, is checked out: as
                       pull_request, and refused for a fork as pull_request_target is;
                       otherwise about what is checked out
  push                 compared with the parent; --comment-on-push makes it a check of the pull
                       request whose head was pushed, where there is one
  merge_group          compared with the commit that the group is put on; nothing is commented on
  others               compared with the commit that is checked out; nothing is commented on";

const EXIT_HELP: &str = "\
Exit codes:
  0  pass, warn or accepted      3  an image, file or engine could not be read
  1  a limit is broken           4  a baseline was required and none was found
  2  usage or configuration

Every option can also be set by an environment variable: --max-size is LAYERGATE_MAX_SIZE.
An empty variable counts as not set.";

/// The load gate for container images: measures an image, compares its layers with a stored
/// baseline, reports what changed and by how much, and fails when a limit is broken.
#[derive(Debug, Parser)]
#[command(name = "layergate", version, after_help = EXIT_HELP, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure an image and print its accounting, layers and largest files
    #[command(after_help = IMAGE_HELP)]
    Inspect(Inspect),
    /// Compare two images, layer by layer; never fails for a size
    #[command(after_help = IMAGE_HELP)]
    Diff(Diff),
    /// The gate: measure images, compare them with their baselines, judge, report, comment
    #[command(after_help = format!("{IMAGE_HELP}\n\n{EVENT_HELP}\n\n{EXIT_HELP}"))]
    Check(Box<Check>),
    /// Measure images and store them as the baseline of the checked-out commit
    #[command(after_help = IMAGE_HELP)]
    Record(Record),
    /// Multi-stage adoption: what Dockerfiles and their images ship that only the build needed
    #[command(after_help = format!("{STAGES_HELP}\n\n{IMAGE_HELP}"))]
    Stages(Box<Stages>),
    /// The sizes of an image over the commits that it is recorded for
    History(History),
    /// Put saved reports together: those of a matrix, or of a job that could not comment itself
    #[command(after_help = REPORT_HELP)]
    Report(Box<Reports>),
    /// Write a starting layergate.toml and workflow for a repository, or print them
    #[command(after_help = INIT_HELP)]
    Init(Init),
    /// Print a JSON Schema: of layergate.toml, for editors, or of a document that layergate writes
    #[command(after_help = SCHEMA_HELP)]
    Schema(Schema),
    /// Print what a shell completes this program's commands and options by
    #[command(after_help = COMPLETIONS_HELP)]
    Completions(Completions),
    /// Print the manual page, or write one for each command
    #[command(after_help = MAN_HELP)]
    Man(Manual),
}

/// `layergate inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The image
    #[arg(value_name = "[NAME=]IMAGE")]
    pub image: String,
    /// How to read it.
    #[command(flatten)]
    pub reading: Reading,
    /// How it is built.
    #[command(flatten)]
    pub build: BuildFlags,
    /// List files of the same content, which cost their bytes more than once; reads all layers
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Output")]
    pub duplicates: bool,
    /// List what only the build needed; a snapshot has it always
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Output")]
    pub build_only: bool,
    /// How to print; json is the snapshot without the lists of files
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", help_heading = "Output")]
    pub format: Format,
    /// Write the snapshot with the lists of files to FILE (packed if it ends in .gz or .zst)
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
}

impl Inspect {
    /// Whether what only the build needed is asked for.
    pub fn looks_for_build_only(&self) -> bool {
        self.build_only || self.output.is_some() || self.format == Format::Json
    }
}

/// `layergate diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// The image to compare with
    #[arg(value_name = "BASE")]
    pub base: String,
    /// The image as it is now
    #[arg(value_name = "HEAD")]
    pub head: String,
    /// How to read them.
    #[command(flatten)]
    pub reading: Reading,
    /// How they are built.
    #[command(flatten)]
    pub build: BuildFlags,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", help_heading = "Output")]
    pub format: Format,
}

/// `layergate check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The images to check; without NAME= an image is called by its repository's or file's name
    #[arg(value_name = "[NAME=]IMAGE", required = true)]
    pub images: Vec<String>,
    /// How to read them.
    #[command(flatten)]
    pub reading: Reading,
    /// How they are built.
    #[command(flatten)]
    pub build: BuildFlags,
    /// Where baselines are kept.
    #[command(flatten)]
    pub store: Store,
    /// Compare with this commit's record instead of the one that fits the event and checkout
    #[arg(long, value_name = "COMMIT", help_heading = "Baseline")]
    pub base_commit: Option<String>,
    /// Compare with this image, measured now, and not with a record; several by NAME, or one a line
    #[arg(long, value_name = "[NAME=]IMAGE", help_heading = "Baseline", conflicts_with = "base_commit")]
    pub baseline: Vec<String>,
    /// How to ask GitHub.
    #[command(flatten)]
    pub github: GithubFlags,
    /// Configuration file [default: layergate.toml or .github/layergate.toml, where there is one]
    #[arg(long, value_name = "FILE", help_heading = "Limits")]
    pub config: Option<PathBuf>,
    /// The limits.
    #[command(flatten)]
    pub limits: LimitFlags,
    /// What accepts a broken one.
    #[command(flatten)]
    pub accept: AcceptFlags,
    /// What becomes of the report.
    #[command(flatten)]
    pub output: OutputFlags,
    /// On a push, comment on the open pull request whose head was pushed, and compare as for that one
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Comment on the pull request")]
    pub comment_on_push: bool,
}

/// `layergate report`.
#[derive(Debug, Args)]
pub struct Reports {
    /// Reports that check has saved, and directories that have such somewhere below
    #[arg(value_name = "REPORT", required = true)]
    pub reports: Vec<String>,
    /// An image of which there has to be a report; several, or one a line
    #[arg(long, value_name = "NAME[=PLATFORM]", help_heading = "Reports")]
    pub expect: Vec<String>,
    /// Judge by the target branch's limits, and not as the reports say [default: where the token may write,
    /// whoever made the reports: in a `workflow_run`, `pull_request_target` or `issue_comment`, and for pull
    /// requests from forks]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true", value_parser = BoolishValueParser::new(), help_heading = "Reports")]
    pub judge: Option<bool>,
    /// Configuration file [default: layergate.toml or .github/layergate.toml, where there is one]
    #[arg(long, value_name = "FILE", help_heading = "Limits")]
    pub config: Option<PathBuf>,
    /// The limits.
    #[command(flatten)]
    pub limits: LimitFlags,
    /// What accepts a broken one.
    #[command(flatten)]
    pub accept: AcceptFlags,
    /// How to ask GitHub.
    #[command(flatten)]
    pub github: GithubFlags,
    /// What becomes of the report.
    #[command(flatten)]
    pub output: OutputFlags,
    /// The pull request to comment on [default: the event's; in a `workflow_run`, the one of that run's head]
    #[arg(long, value_name = "NUMBER", help_heading = "Comment on the pull request")]
    pub pull_request: Option<u64>,
}

/// `layergate record`.
#[derive(Debug, Args)]
pub struct Record {
    /// The images to record; without NAME= an image is called by its repository's or file's name
    #[arg(value_name = "[NAME=]IMAGE", required = true)]
    pub images: Vec<String>,
    /// How to read them.
    #[command(flatten)]
    pub reading: Reading,
    /// How they are built.
    #[command(flatten)]
    pub build: BuildFlags,
    /// Where baselines are kept.
    #[command(flatten)]
    pub store: Store,
    /// Configuration file [default: layergate.toml or .github/layergate.toml, where there is one]
    #[arg(long, value_name = "FILE", help_heading = "Dockerfile")]
    pub config: Option<PathBuf>,
    /// The commit that the images were built from [default: the checked-out one]
    #[arg(long, value_name = "COMMIT", help_heading = "Baseline")]
    pub commit: Option<String>,
    /// Keep the records of the newest COMMITS only of each image [default: all]
    #[arg(long, value_name = "COMMITS", help_heading = "Baseline")]
    pub keep: Option<NonZeroUsize>,
    /// Record also in a run for a pull request, whose code is not in the target branch yet
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Baseline")]
    pub pull_requests: bool,
    /// Record also if tracked files differ from the commit
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Baseline")]
    pub dirty: bool,
    /// How to ask GitHub.
    #[command(flatten)]
    pub github: GithubFlags,
}

/// `layergate stages`.
#[derive(Debug, Args)]
pub struct Stages {
    /// Dockerfiles, directories or patterns such as 'services/*/Dockerfile' [default: all below here]
    #[arg(value_name = "DOCKERFILE")]
    pub dockerfiles: Vec<String>,
    /// An image, and which Dockerfile it is of where there are several; repeatable, or one a line
    #[arg(long, value_name = "[DOCKERFILE=]IMAGE")]
    pub image: Vec<String>,
    /// Print a multi-stage Dockerfile made from this one and its image; nothing is edited
    #[arg(long, value_parser = BoolishValueParser::new(), requires = "image")]
    pub propose: bool,
    /// The image that the proposal's final stage builds on [default: a slimmer one, if it is at hand]
    #[arg(long, value_name = "IMAGE", requires = "propose")]
    pub final_base: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
    /// Configuration file [default: layergate.toml or .github/layergate.toml, where there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How images are built.
    #[command(flatten)]
    pub build: StageFlags,
    /// How they are read.
    #[command(flatten)]
    pub reading: Reading,
}

/// `layergate schema`.
#[derive(Debug, Args)]
pub struct Schema {
    /// What it is of
    #[arg(value_enum, default_value_t, value_name = "OF")]
    pub of: SchemaOf,
}

/// What there is a schema of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum SchemaOf {
    /// layergate.toml
    #[default]
    Config,
    /// What `inspect -o FILE` and `inspect --format json` write, and baselines keep
    Snapshot,
    /// What `check --report FILE` and `--format json` of check, diff and report write
    Report,
}

/// `layergate completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// `layergate man`.
#[derive(Debug, Args)]
pub struct Manual {
    /// Write a page for each command to DIR, and print none
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// `layergate history`.
#[derive(Debug, Args)]
pub struct History {
    /// The image, by the name that it is recorded under
    #[arg(value_name = "NAME")]
    pub image: String,
    /// Only this platform [default: each that is recorded]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<Platform>,
    /// Which size is shown: unpacked, visible or compressed
    #[arg(long, value_name = "METRIC", default_value_t)]
    pub metric: Metric,
    /// Show the newest COMMITS; csv and json have all
    #[arg(long, value_name = "COMMITS", default_value = "50")]
    pub last: NonZeroUsize,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: HistoryFormat,
    /// Speak plain HTTP to the registry of an oci: store; without it, only to one of this machine
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Baseline")]
    pub plain_http: bool,
    /// Where baselines are kept.
    #[command(flatten)]
    pub store: Store,
    /// How to ask GitHub.
    #[command(flatten)]
    pub github: GithubFlags,
}

/// `layergate init`.
#[derive(Debug, Args)]
pub struct Init {
    /// The root of the repository
    #[arg(value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    /// Print both files, and write nothing
    #[arg(long, value_parser = BoolishValueParser::new())]
    pub print: bool,
    /// Replace a configuration and a workflow that are there
    #[arg(long, value_parser = BoolishValueParser::new())]
    pub force: bool,
    /// Where the workflow keeps baselines: git:BRANCH of the repository, or oci:HOST/REPO, a repository of a registry
    #[arg(long, value_name = "STORE", default_value = "git:layergate-baselines")]
    pub store: String,
    /// The branch whose pushes are recorded [default: origin's default branch; else main, master or the checked-out one]
    #[arg(long, value_name = "BRANCH")]
    pub branch: Option<String>,
}

/// How to print a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum HistoryFormat {
    /// A table with bars
    #[default]
    Text,
    /// A table and a chart, on GitHub
    Markdown,
    /// For programs: one document
    Json,
    /// For spreadsheets
    Csv,
}

/// How images are built, without their Dockerfile.
#[derive(Debug, Args)]
#[command(next_help_heading = "Dockerfile")]
pub struct StageFlags {
    /// The stage that is built, as for docker build [default: the last one]
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// A build argument, as for docker build; several, or one a line
    #[arg(long, value_name = "NAME=VALUE")]
    pub build_arg: Vec<String>,
}

impl StageFlags {
    /// The flags that are given, by the keys of the configuration file.
    pub fn settings(&self) -> Settings {
        let (target, build_arg) = (self.target.clone(), self.build_arg.clone());
        BuildFlags { dockerfile: None, target, build_arg }.settings()
    }
}

/// How images are read.
#[derive(Debug, Args)]
pub struct Reading {
    /// Measure the image for this platform, or for all [default: this machine's, or the only one]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]|all", help_heading = "Reading")]
    pub platform: Option<Platforms>,
    /// Read all layers and hash them, also those that are known or can be measured by seeking
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Reading")]
    pub verify: bool,
    /// The engine to ask: docker, podman, a docker context, or an address such as ssh://me@host
    #[arg(long, value_name = "ENGINE", help_heading = "Reading")]
    pub engine: Option<String>,
    /// Speak plain HTTP to registries; without it, only to those of this machine
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Reading")]
    pub plain_http: bool,
    /// Where to remember measured layers [default: layergate in the user's cache directory]
    #[arg(long, value_name = "DIR", help_heading = "Reading")]
    pub cache_dir: Option<PathBuf>,
    /// Neither use nor keep what other runs have measured
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Reading")]
    pub no_cache: bool,
    /// Raise a bound that protects from hostile images, such as entries=20000000 (see docs/threat-model.md)
    #[arg(long, value_name = "NAME=NUMBER", help_heading = "Reading")]
    pub read_limit: Vec<String>,
    /// Show no progress
    #[arg(short, long, value_parser = BoolishValueParser::new(), help_heading = "Reading")]
    pub quiet: bool,
}

/// How the images are built.
#[derive(Debug, Args)]
#[command(next_help_heading = "Dockerfile")]
pub struct BuildFlags {
    /// The Dockerfile, to say which line made which layer [default: Dockerfile, for a single image]
    #[arg(long, value_name = "FILE")]
    pub dockerfile: Option<String>,
    /// The stage that is built, as for docker build [default: the last one]
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// A build argument, as for docker build; several, or one a line
    #[arg(long, value_name = "NAME=VALUE")]
    pub build_arg: Vec<String>,
}

impl BuildFlags {
    /// The flags that are given, by the keys of the configuration file.
    pub fn settings(&self) -> Settings {
        given([
            ("dockerfile", "--dockerfile", self.dockerfile.clone()),
            ("target", "--target", self.target.clone()),
            ("build-args", "--build-arg", lines(&self.build_arg)),
        ])
    }
}

/// Where baselines are kept.
#[derive(Debug, Args)]
pub struct Store {
    /// The baseline store: dir:PATH, git:BRANCH of the repository on GitHub (git alone: layergate-baselines), or oci:HOST/REPO, a repository of a registry
    #[arg(long, value_name = "STORE", default_value = "dir:.layergate", help_heading = "Baseline")]
    pub store: String,
}

/// The limits, as flags. Each replaces what the configuration file says.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitFlags {
    /// Which size is judged: unpacked, visible or compressed [default: unpacked]
    #[arg(long, value_name = "METRIC")]
    pub metric: Option<String>,
    /// The most that an image may have, such as "500 MB"
    #[arg(long, value_name = "SIZE")]
    pub max_size: Option<String>,
    /// The most that it may grow: "5%", "10 MB", "5% and 1 MiB" (both), "5% or 20 MB" (either)
    #[arg(long, value_name = "INCREASE")]
    pub max_increase: Option<String>,
    /// Growth that is worth a warning, written alike
    #[arg(long, value_name = "INCREASE")]
    pub warn_increase: Option<String>,
    /// The most that the layers above the base image may grow, written alike
    #[arg(long, value_name = "INCREASE")]
    pub max_own_increase: Option<String>,
    /// The most layers
    #[arg(long, value_name = "COUNT")]
    pub max_layers: Option<String>,
    /// The most that one layer may have unpacked, such as "200 MB"
    #[arg(long, value_name = "SIZE")]
    pub max_layer_size: Option<String>,
    /// The most that may be shipped and not be reachable: "5%" of the image, or "10 MB"
    #[arg(long, value_name = "AMOUNT")]
    pub max_wasted: Option<String>,
    /// The most that the image may ship of what only its build needed, such as "20 MB"
    #[arg(long, value_name = "SIZE")]
    pub max_build_only: Option<String>,
    /// Whether images have to be built in several stages, by evidence: require, warn or off
    #[arg(long, value_name = "OUTCOME")]
    pub multi_stage: Option<String>,
    /// Files that must not be in the image, such as "**/.git/**"; several, or one a line
    #[arg(long, value_name = "PATTERN")]
    pub forbid_paths: Vec<String>,
    /// What a missing baseline means: pass, warn or fail [default: warn if a limit needs one]
    #[arg(long, value_name = "OUTCOME")]
    pub on_missing_baseline: Option<String>,
}

/// What accepts a broken limit, as flags. Each replaces what the configuration file says.
#[derive(Debug, Args)]
#[command(next_help_heading = "Acceptance")]
pub struct AcceptFlags {
    /// A label of the pull request that turns fail into accepted; several, or one a line
    #[arg(long, value_name = "LABEL")]
    pub accept_label: Vec<String>,
    /// A trailer of one of its commits that does the same, such as Image-Size-Accept
    #[arg(long, value_name = "NAME")]
    pub accept_trailer: Option<String>,
    /// The most growth that can be accepted, written like max-increase [default: any]
    #[arg(long, value_name = "INCREASE")]
    pub accept_max_increase: Option<String>,
}

impl AcceptFlags {
    /// The flags that are given, by the keys of `[accept]`.
    pub fn settings(&self) -> Settings {
        given([
            ("labels", "--accept-label", lines(&self.accept_label)),
            ("trailer", "--accept-trailer", self.accept_trailer.clone()),
            ("max-increase", "--accept-max-increase", self.accept_max_increase.clone()),
        ])
    }
}

/// The settings that are given, by their keys: each with its flag.
fn given<const N: usize>(flags: [(&str, &str, Option<String>); N]) -> Settings {
    let setting = |(key, flag, value): (&str, &str, Option<String>)| {
        Some((key.to_owned(), Setting { text: value?, origin: flag.to_owned() }))
    };
    flags.into_iter().filter_map(setting).collect()
}

/// The values of a flag that may be given several times, as one setting.
fn lines(values: &[String]) -> Option<String> {
    Some(values.join("\n")).filter(|lines| !lines.is_empty())
}

/// What becomes of a report.
#[derive(Debug, Args)]
pub struct OutputFlags {
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", help_heading = "Output")]
    pub format: Format,
    /// Write the report to FILE as JSON
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub report: Option<PathBuf>,
    /// How to comment.
    #[command(flatten)]
    pub comment: CommentFlags,
}

/// How to comment on a pull request.
#[derive(Debug, Args)]
#[command(next_help_heading = "Comment on the pull request")]
pub struct CommentFlags {
    /// When to comment; a comment that is there is always brought up to date, except with never
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub comment: CommentWhen,
    /// Tells several gates on one pull request apart
    #[arg(long, value_name = "KEY", default_value = "default")]
    pub comment_key: String,
    /// The login that the token comments under [default: the token's own]
    #[arg(long, value_name = "LOGIN")]
    pub comment_author: Option<String>,
    /// Report a check run on the commit too, with annotations on its lines (needs checks: write)
    #[arg(long, value_parser = BoolishValueParser::new())]
    pub check_run: bool,
    /// Exit with 3 if the comment cannot be posted
    #[arg(long, value_parser = BoolishValueParser::new())]
    pub require_comment: bool,
}

/// How to ask GitHub, for comments and for a store on a branch.
#[derive(Debug, Args)]
#[command(next_help_heading = "GitHub")]
pub struct GithubFlags {
    /// The token to comment with, and to reach a git: store [default: $GITHUB_TOKEN]
    #[arg(long, value_name = "TOKEN", hide_env_values = true)]
    pub github_token: Option<String>,
    /// The address of GitHub's API [default: $GITHUB_API_URL]
    #[arg(long, value_name = "URL")]
    pub github_api_url: Option<String>,
    /// The repository whose branch is the store [default: $GITHUB_REPOSITORY]
    #[arg(long, value_name = "OWNER/NAME")]
    pub github_repository: Option<String>,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people, in a terminal or a log
    #[default]
    Text,
    /// For people, on GitHub
    Markdown,
    /// For programs: one document
    Json,
}

/// When to comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum CommentWhen {
    /// On every run
    Always,
    /// If something changed, or a limit has something to say
    #[default]
    Changes,
    /// If a limit is broken
    Failures,
    /// Never
    Never,
}

impl LimitFlags {
    /// The flags that are given, by the keys of the configuration file.
    pub fn settings(&self) -> Settings {
        given([
            ("metric", "--metric", self.metric.clone()),
            ("max-size", "--max-size", self.max_size.clone()),
            ("max-increase", "--max-increase", self.max_increase.clone()),
            ("warn-increase", "--warn-increase", self.warn_increase.clone()),
            ("max-own-increase", "--max-own-increase", self.max_own_increase.clone()),
            ("max-layers", "--max-layers", self.max_layers.clone()),
            ("max-layer-size", "--max-layer-size", self.max_layer_size.clone()),
            ("max-wasted", "--max-wasted", self.max_wasted.clone()),
            ("max-build-only", "--max-build-only", self.max_build_only.clone()),
            ("multi-stage", "--multi-stage", self.multi_stage.clone()),
            ("forbid-paths", "--forbid-paths", lines(&self.forbid_paths)),
            ("on-missing-baseline", "--on-missing-baseline", self.on_missing_baseline.clone()),
        ])
    }
}
