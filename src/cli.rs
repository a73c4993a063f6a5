//! The command line: types for clap, and nothing else.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::config::{Setting, Settings};
use crate::image::Platform;
use crate::limits::{self, LimitKey, Metric, ValueForm};
use crate::source::{EngineStoreUse, Platforms};

const REPORT_HELP: &str = "\
Each job of a matrix saves its report (check --report FILE --comment never); one job that waits for
all of them puts them together: one comment, one summary, one verdict. The same report twice counts
once; one of another commit is left out and said; an image that --require-image names and no report has
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
  dir:DIR                                a directory of skopeo (dir:) or podman (docker-dir)
  docker://HOST/NAME[:TAG][@DIGEST]      an image of a registry, by docker's or podman's login
  containers-storage:NAME                an image in the storage of podman or buildah
  inspect:FILE                           a saved `docker inspect` document (totals only)
  snapshot:FILE                          what `layergate inspect -o FILE` wrote
  PATH                                   any of these files; the kind is found by looking inside
Archives may be packed with gzip, zstd, xz or bzip2. FILE and PATH may be - for standard input.";

const STAGES_HELP: &str = "\
Examples:
  layergate stages                                       all Dockerfiles below here, by their text
  layergate stages Dockerfile --image api:ci             with the evidence from the image
  layergate stages 'services/*/Dockerfile' --image services/api/Dockerfile=api:ci
  layergate stages --propose Dockerfile --image api:ci   a multi-stage Dockerfile to start from";

const INIT_HELP: &str = "\
Finds the steps of .github/workflows that build an image, those in composite actions and reusable
workflows of the repository included, and puts layergate behind them: a check for pull requests,
a record for pushes to the default branch. Matrix values, tags and arguments stay the workflow's
own expressions. What the workflow ships does not change, and no permission is added to its jobs:
a small job of its own comments, another records.

A build that does not run for both events gets a row in a workflow of its own,
.github/workflows/layergate.yml. So do the Dockerfiles of a repository whose workflows build none.
layergate.toml gets limits that hold today. What is not followed is said, with file and line.

Examples:
  layergate init                            print the changes as a unified diff
  layergate init --write                    apply them; a second time changes nothing
  layergate init --ask-docker               follow bake and compose files of your own, too
  layergate init --image api=api:latest     set max-size to what api measures now and a tenth more

Exit codes:
  0  printed or written, or nothing to do
  2  no image was found, or a file cannot be replaced: nothing is written
  3  something could not be read, measured or written";

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
    Inspect(InspectArgs),
    /// Compare two images, layer by layer; never fails for a size
    #[command(after_help = IMAGE_HELP)]
    Diff(DiffArgs),
    /// The gate: measure images, compare them with their baselines, evaluate, report, comment
    #[command(after_help = format!("{IMAGE_HELP}\n\n{EVENT_HELP}\n\n{EXIT_HELP}"))]
    Check(Box<CheckArgs>),
    /// Measure images and store them as the baseline of the checked-out commit
    #[command(after_help = IMAGE_HELP)]
    Record(RecordArgs),
    /// Show which Dockerfiles are multi-stage, and their images' removable files
    #[command(after_help = format!("{STAGES_HELP}\n\n{IMAGE_HELP}"))]
    Stages(Box<StagesArgs>),
    /// The sizes of an image over the commits that it is recorded for
    History(HistoryArgs),
    /// Put saved reports together: those of a matrix, or of a job that could not comment itself
    #[command(after_help = REPORT_HELP)]
    Report(Box<ReportArgs>),
    /// Add layergate to the workflow that builds the images: prints a diff, or writes it
    #[command(after_help = INIT_HELP)]
    Init(InitArgs),
    /// Print a JSON Schema: of layergate.toml, for editors, or of a document that layergate writes
    #[command(after_help = SCHEMA_HELP)]
    Schema(SchemaArgs),
    /// Print what a shell completes this program's commands and options by
    #[command(after_help = COMPLETIONS_HELP)]
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for each command
    #[command(after_help = MAN_HELP)]
    Man(ManualArgs),
}

/// `layergate inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The image
    #[arg(value_name = "[NAME=]IMAGE")]
    pub image: String,
    /// How to read it.
    #[command(flatten)]
    pub reading: ReadingFlags,
    /// How it is built.
    #[command(flatten)]
    pub build: BuildFlags,
    /// List files of the same content, which cost their bytes more than once; reads all layers
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Output")]
    pub duplicates: bool,
    /// List removable files; a snapshot always has them
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Output")]
    pub removable: bool,
    /// How to print; json is the snapshot without the lists of files
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", help_heading = "Output")]
    pub format: Format,
    /// Print sizes to the byte [default: rounded to three digits]
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Output")]
    pub bytes: bool,
    /// Write the snapshot with the lists of files to FILE (packed if it ends in .gz or .zst)
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Write the report to FILE as an HTML page that needs nothing else: a map of the files, layers, packages
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub html: Option<PathBuf>,
}

impl InspectArgs {
    /// Whether removable files are asked for.
    pub fn looks_for_removable(&self) -> bool {
        self.removable || self.output.is_some() || self.html.is_some() || self.format == Format::Json
    }
}

/// `layergate diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The image to compare with
    #[arg(value_name = "BASE")]
    pub base: String,
    /// The image as it is now
    #[arg(value_name = "HEAD")]
    pub head: String,
    /// How to read them.
    #[command(flatten)]
    pub reading: ReadingFlags,
    /// How they are built.
    #[command(flatten)]
    pub build: BuildFlags,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", help_heading = "Output")]
    pub format: Format,
    /// Print sizes to the byte [default: rounded to three digits]
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Output")]
    pub bytes: bool,
    /// Write the report to FILE as an HTML page that needs nothing else: a map of the files, layers, packages
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub html: Option<PathBuf>,
}

/// `layergate check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The images to check; without NAME= an image is called by its repository's or file's name
    #[arg(value_name = "[NAME=]IMAGE", required = true)]
    pub images: Vec<String>,
    /// How to read them.
    #[command(flatten)]
    pub reading: ReadingFlags,
    /// How they are built.
    #[command(flatten)]
    pub build: BuildFlags,
    /// Where baselines are kept.
    #[command(flatten)]
    pub store: StoreFlags,
    /// Compare with this commit's record instead of the one that fits the event and checkout
    #[arg(long, value_name = "COMMIT", help_heading = "Baseline")]
    pub base_commit: Option<String>,
    /// Compare with this image, measured now, and not with a record; several by NAME, or one a line
    #[arg(long, value_name = "[NAME=]IMAGE", help_heading = "Baseline", conflicts_with = "base_commit")]
    pub baseline: Vec<String>,
    /// How to ask GitHub.
    #[command(flatten)]
    pub github: GithubFlags,
    /// Configuration file [default: layergate.toml or .github/layergate.toml]
    #[arg(long, value_name = "FILE", help_heading = "Limits")]
    pub config: Option<PathBuf>,
    /// Whose configuration counts on a pull request and in a merge queue
    #[arg(long, value_enum, default_value_t, value_name = "WHOSE", help_heading = "Limits")]
    pub limits_from: LimitsFrom,
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
pub struct ReportArgs {
    /// Reports that check has saved, and directories that have such somewhere below
    #[arg(value_name = "REPORT", required = true)]
    pub reports: Vec<String>,
    /// An image of which there has to be a report; several, or one a line
    #[arg(long, value_name = "NAME[=PLATFORM]", help_heading = "Reports")]
    pub require_image: Vec<String>,
    /// Whose limits count: the target branch's, or those that the reports were made with [default: target where the
    /// token may write, whoever made the reports: in a `workflow_run`, `pull_request_target` or `issue_comment`, and
    /// for pull requests from forks; reports elsewhere]
    #[arg(long, value_enum, value_name = "WHOSE", help_heading = "Limits")]
    pub limits_from: Option<ReportLimits>,
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
    /// Only update the comment of the check, such as with --report-url: print, write and annotate nothing
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Comment on the pull request")]
    pub only_comment: bool,
}

/// `layergate record`.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// The images to record; without NAME= an image is called by its repository's or file's name
    #[arg(value_name = "[NAME=]IMAGE", required_unless_present = "from")]
    pub images: Vec<String>,
    /// How to read them.
    #[command(flatten)]
    pub reading: ReadingFlags,
    /// How they are built.
    #[command(flatten)]
    pub build: BuildFlags,
    /// Where baselines are kept.
    #[command(flatten)]
    pub store: StoreFlags,
    /// Configuration file [default: layergate.toml or .github/layergate.toml, where there is one]
    #[arg(long, value_name = "FILE", help_heading = "Dockerfile")]
    pub config: Option<PathBuf>,
    /// The commit that the images were built from [default: the checked-out one]
    #[arg(long, value_name = "COMMIT", help_heading = "Baseline")]
    pub commit: Option<String>,
    /// Keep the records of the newest COMMITS only of each image [default: all]
    #[arg(long, value_name = "COMMITS", value_parser = commits, help_heading = "Baseline")]
    pub keep_last: Option<NonZeroUsize>,
    /// Record what `record --store dir:DIR` has measured for this commit, in another job for example
    #[arg(long, value_name = "DIR", conflicts_with = "images", help_heading = "Baseline")]
    pub from: Option<PathBuf>,
    /// Record also in a run for a pull request, whose code is not in the target branch yet
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Baseline")]
    pub allow_pull_request: bool,
    /// Record also if tracked files differ from the commit
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Baseline")]
    pub allow_dirty: bool,
    /// How to ask GitHub.
    #[command(flatten)]
    pub github: GithubFlags,
}

/// `layergate stages`.
#[derive(Debug, Args)]
pub struct StagesArgs {
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
    pub runtime_image: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
    /// Print sizes to the byte [default: rounded to three digits]
    #[arg(long, value_parser = BoolishValueParser::new())]
    pub bytes: bool,
    /// Configuration file [default: layergate.toml or .github/layergate.toml, where there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How images are built.
    #[command(flatten)]
    pub build: StageFlags,
    /// How they are read.
    #[command(flatten)]
    pub reading: ReadingFlags,
}

/// `layergate schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
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
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// `layergate man`.
#[derive(Debug, Args)]
pub struct ManualArgs {
    /// Write a page for each command to DIR, and print none
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// `layergate history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// The images, by the names that they are recorded under
    #[arg(value_name = "NAME", required = true)]
    pub images: Vec<String>,
    /// Only this platform [default: each that is recorded]
    #[arg(long, value_name = "OS/ARCH[/VARIANT][:OS.VERSION]")]
    pub platform: Option<Platform>,
    /// Which size is shown: uncompressed, flattened or compressed
    #[arg(long, value_name = "METRIC", default_value_t)]
    pub metric: Metric,
    /// Show the newest COMMITS; csv and json have all
    #[arg(long, value_name = "COMMITS", value_parser = commits, default_value = "50")]
    pub last: NonZeroUsize,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: HistoryFormat,
    /// Print sizes to the byte [default: rounded to three digits]
    #[arg(long, value_parser = BoolishValueParser::new())]
    pub bytes: bool,
    /// Configuration file, whose max-size is a line of the page [default: layergate.toml or .github/layergate.toml, where there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Write the size to FILE as a badge: an SVG, or JSON for shields.io if it ends in .json
    #[arg(long, value_name = "FILE")]
    pub badge: Option<PathBuf>,
    /// Speak plain HTTP to the registry of an oci: store; without it, only to one of this machine
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Baseline")]
    pub plain_http: bool,
    /// Where baselines are kept.
    #[command(flatten)]
    pub store: StoreFlags,
    /// How to ask GitHub.
    #[command(flatten)]
    pub github: GithubFlags,
}

/// `layergate init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The root of the repository
    #[arg(value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    /// Apply the changes [default: print them as a unified diff]
    #[arg(long, value_parser = BoolishValueParser::new())]
    pub write: bool,
    /// Ask docker what bake and compose files of the repository build, and whether base images exist; only for files that you trust
    #[arg(long, value_parser = BoolishValueParser::new())]
    pub ask_docker: bool,
    /// An image that was built already, to set its limits by; several, or one a line
    #[arg(long, value_name = "[NAME=]IMAGE")]
    pub image: Vec<String>,
    /// Where the workflow keeps baselines: git:BRANCH of the repository, or oci:HOST/REPO of a registry
    #[arg(long, value_name = "STORE", default_value = "git:layergate-baselines")]
    pub store: String,
    /// The branch whose pushes are recorded [default: origin's default branch; else main, master or the checked-out one]
    #[arg(long, value_name = "BRANCH")]
    pub branch: Option<String>,
    /// How to read the images of --image.
    #[command(flatten)]
    pub reading: ReadingFlags,
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
    /// For a browser: a page that needs nothing else
    Html,
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
    /// What the build says of itself (docker buildx build --metadata-file), for exact lines; several, or one a line
    #[arg(long, value_name = "[NAME=]FILE")]
    pub build_metadata: Vec<String>,
}

impl StageFlags {
    /// The flags that are given, by the keys of the configuration file.
    pub fn settings(&self) -> Settings {
        given([
            ("target", "--target", self.target.clone()),
            ("build-args", "--build-arg", lines(&self.build_arg)),
        ])
    }
}

/// How images are read.
#[derive(Debug, Args)]
pub struct ReadingFlags {
    /// Measure the image for this platform, or for all [default: this machine's, or the only one]
    #[arg(long, value_name = "OS/ARCH[/VARIANT][:OS.VERSION]|all", help_heading = "Reading")]
    pub platform: Option<Platforms>,
    /// Read all layers and hash them, also those that are known or can be measured by seeking
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Reading")]
    pub verify: bool,
    /// The engine to ask: docker, podman, a docker context, or an address such as ssh://me@host
    #[arg(long, value_name = "ENGINE", help_heading = "Reading")]
    pub engine: Option<String>,
    /// Read layers from the Docker engine's store on disk: where this user may, never, or as root by sudo [default: auto]
    #[arg(
        long,
        value_name = "auto|off|sudo",
        default_value = "auto",
        hide_default_value = true,
        help_heading = "Reading"
    )]
    pub engine_store: EngineStoreUse,
    /// Speak plain HTTP to registries; without it, only to those of this machine
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Reading")]
    pub plain_http: bool,
    /// Where to remember measured layers [default: layergate in the user's cache directory]
    #[arg(long, value_name = "DIR", help_heading = "Reading")]
    pub cache_dir: Option<PathBuf>,
    /// Neither use nor keep what other runs have measured
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Reading")]
    pub no_cache: bool,
    /// Raise a bound that protects from untrusted images, such as entries=20000000 (see docs/threat-model.md)
    #[arg(long, value_name = "NAME=NUMBER", help_heading = "Reading")]
    pub safety_limit: Vec<String>,
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
    /// What of it is built.
    #[command(flatten)]
    pub stage: StageFlags,
}

impl BuildFlags {
    /// The flags that are given, by the keys of the configuration file.
    pub fn settings(&self) -> Settings {
        let mut settings = given([("dockerfile", "--dockerfile", self.dockerfile.clone())]);
        settings.extend(self.stage.settings());
        settings
    }
}

/// Where baselines are kept.
#[derive(Debug, Args)]
pub struct StoreFlags {
    /// The baseline store: git:BRANCH of the repository on GitHub (git alone: layergate-baselines), oci:HOST/REPO, a repository of a registry, or dir:PATH, a directory that git does not track [default: git:layergate-baselines in GitHub Actions, dir:.layergate elsewhere]
    #[arg(long, value_name = "STORE", help_heading = "Baseline")]
    pub store: Option<String>,
}

/// The limits, as flags that are made from the list of limits. Each replaces what the configuration file says.
#[derive(Debug)]
pub struct LimitFlags {
    settings: Settings,
}

impl LimitFlags {
    /// The flags that are given, by the keys of the configuration file.
    pub fn settings(&self) -> Settings {
        self.settings.clone()
    }
}

impl Args for LimitFlags {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.args(limits::keys().map(limit_flag))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        LimitFlags::augment_args(command)
    }
}

impl FromArgMatches for LimitFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<LimitFlags, clap::Error> {
        let setting = |key: &LimitKey| {
            let values: Vec<String> = matches.get_many(key.name)?.cloned().collect();
            let text = if key.form == ValueForm::Paths { lines(&values)? } else { values.join("\n") };
            let origin = format!("--{}", key.name);
            Some((key.name.to_owned(), Setting { text, origin }))
        };
        Ok(LimitFlags { settings: limits::keys().filter_map(setting).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = LimitFlags::from_arg_matches(matches)?;
        Ok(())
    }
}

fn limit_flag(key: &'static LimitKey) -> Arg {
    let is_list = key.form == ValueForm::Paths;
    let several = if is_list { "; repeatable, or one per line" } else { "" };
    let default = key.default.map_or_else(String::new, |default| format!(" [default: {default}]"));
    Arg::new(key.name)
        .long(key.name)
        .value_name(key.value_name)
        .help_heading("Limits")
        .help(format!("{}{several}{default}", key.help))
        .action(if is_list { ArgAction::Append } else { ArgAction::Set })
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
    /// Print sizes to the byte [default: rounded to three digits]
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Output")]
    pub bytes: bool,
    /// Write the report to FILE as JSON
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub report: Option<PathBuf>,
    /// Write the report to FILE as an HTML page that needs nothing else: a map of the files, layers, packages
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub html: Option<PathBuf>,
    /// Write the findings to FILE as SARIF 2.1.0, for code scanning
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub sarif: Option<PathBuf>,
    /// Write the report to FILE as JUnit XML: a test for each limit
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub junit: Option<PathBuf>,
    /// Write the sizes to FILE as OpenMetrics text
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub openmetrics: Option<PathBuf>,
    /// Write the size to FILE as a badge: an SVG, or JSON for shields.io if it ends in .json
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub badge: Option<PathBuf>,
    /// Address of the full report, such as an artifact's; the comment and the step summary link to it
    #[arg(long, value_name = "URL", value_parser = web_address, help_heading = "Output")]
    pub report_url: Option<String>,
    /// How to comment.
    #[command(flatten)]
    pub comment: CommentFlags,
}

/// A number of commits.
fn commits(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "expected a number of commits, 1 or more")
}

/// An address that can stand in a link of markdown as it is.
fn web_address(text: &str) -> Result<String, &'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#@!$&*+,;=%".contains(c);
    let is_web = text.starts_with("https://") || text.starts_with("http://");
    let fits = is_web && text.chars().all(is_plain);
    if fits { Ok(text.to_owned()) } else { Err("expected an address that starts with https://") }
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
    /// Suggest small fixes of the Dockerfile on the lines of the pull request, to accept with a click
    #[arg(long, value_parser = BoolishValueParser::new())]
    pub suggest: bool,
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

/// Whose configuration counts on a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LimitsFrom {
    /// The target branch's, at its tip
    #[default]
    Target,
    /// The limits of the pull request's own; its acceptance and exceptions never count
    Head,
}

/// Whose limits count where saved reports are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportLimits {
    /// Those of the target branch, at its tip: every image is evaluated anew
    Target,
    /// Those that the reports were made with
    Reports,
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
