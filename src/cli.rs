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
Each job of a matrix saves its report (check --report FILE --comment never). A last job merges them:
one comment, one summary, one verdict. A report that arrives twice counts once, and one for another
commit is left out with a note. An image that --require-image names fails if it has no report.

A pull request from a fork has a read-only token, so its run cannot comment. A second workflow, on
workflow_run, downloads the first run's reports. It finds the pull request by the head of that run,
not by what the reports say, and takes the limits from layergate.toml on the target branch and from
the options given here.";

const IMAGE_HELP: &str = "\
How images are named:
  NAME[:TAG], docker-daemon:NAME[:TAG]   an image of the local engine
  docker-archive:FILE[:REF]              `docker save` output, of any Docker version
  oci-archive:FILE[:REF], oci:DIR[:REF]  an OCI layout, as an archive or a directory
  dir:DIR                                a directory written by skopeo (dir:) or podman (docker-dir)
  docker://HOST/NAME[:TAG][@DIGEST]      an image in a registry; uses the login of docker or podman
  containers-storage:NAME                an image in the storage of podman or buildah
  inspect:FILE                           a saved `docker inspect` document (totals only)
  snapshot:FILE                          a file written by `layergate inspect -o FILE`
  PATH                                   any of these, detected by content
Archives may be compressed with gzip, zstd, xz or bzip2. FILE and PATH may be - for standard input.";

const STAGES_HELP: &str = "\
Examples:
  layergate stages                                       all Dockerfiles below this directory, text only
  layergate stages Dockerfile --image api:ci             with the files in the image
  layergate stages 'services/*/Dockerfile' --image services/api/Dockerfile=api:ci
  layergate stages --propose Dockerfile --image api:ci   a multi-stage Dockerfile to start from";

const INIT_HELP: &str = "\
Finds the steps in .github/workflows that build an image, including those in the repository's
composite actions and reusable workflows. After each, it adds a step that checks pull requests, and
one that records baselines on pushes to the default branch. Matrix values, tags and arguments are
kept as expressions. What the workflow publishes does not change, and its jobs get no new
permissions: one small new job comments, and another records.

A build that does not run for both events gets a matrix row in a new workflow,
.github/workflows/layergate.yml. If no workflow builds an image, each Dockerfile gets a row.
layergate.toml gets limits that pass today. Builds that init cannot follow are listed with file and
line.

Examples:
  layergate init                            print the changes as a unified diff
  layergate init --write                    apply them; a second run changes nothing
  layergate init --ask-docker               also follow your bake and compose files
  layergate init --image api=api:latest     set max-size 10% above the size of api

Exit codes:
  0  printed or written, or nothing to do
  2  no image found, or a file cannot be replaced; nothing is written
  3  something could not be read, measured or written";

const FLEET_HELP: &str = "\
Examples:
  layergate fleet acme                           all repositories of an organisation or a user
  layergate fleet acme/shop acme/api             only these
  layergate fleet --repos repositories.txt       those in a file, one OWNER/REPO per line
  layergate fleet acme --format html             a page to search and sort
  layergate fleet acme --fail-on no-baseline,single-stage

The token needs the permission contents: read for all of these repositories: a GitHub App's token, or
a fine-grained personal access token. The token of a workflow run reads only its own repository.

Exit codes:
  0  shown, even if some repositories could not be read
  1  a condition of --fail-on is met
  2  usage error
  3  nothing could be read, or an owner's list of repositories is incomplete";

const SCHEMA_HELP: &str = "\
The schemas are JSON Schema draft-07, which most editors support. An editor with Taplo, such as
VS Code with Even Better TOML, completes and checks layergate.toml if its first line is

  #:schema https://raw.githubusercontent.com/layergate/layergate/main/schema/layergate.toml.json

or, after `layergate schema > layergate.toml.json`, #:schema ./layergate.toml.json";

const COMPLETIONS_HELP: &str = "\
Where to put it:
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
  pull_request         compares with the base commit; posts a comment
  pull_request_target  refused (exit code 2): building a fork's code here could expose the job's
                       secrets and its write token. Allowed if the pull request comes from this
                       repository and its head, or a merge of it, is checked out. For forks, check
                       on pull_request, and comment from a workflow_run job with
                       `layergate report`
  issue_comment        like pull_request if the pull request's head, or a merge of it, is checked
                       out (refused for forks); otherwise compares with the checked-out commit
  push                 compares with the parent commit, or, if the branch is not protected, with its
                       merge base with the default branch; with --comment-on-push, comments on
                       the open pull request whose head was pushed
  merge_group          compares with the base commit of the group; posts no comment
  any other            compares with the checked-out commit, or, if it is not on a protected
                       branch, with its merge base with the default branch; posts no comment";

const EXIT_HELP: &str = "\
Exit codes:
  0  pass, warn, accepted or     3  something could not be read, measured or evaluated
     unenforced                  4  a required baseline was not found
  1  a limit is exceeded
  2  usage or configuration error

Each option is also an environment variable: --max-size is LAYERGATE_MAX_SIZE.
An empty variable counts as not set.";

/// A CI gate for container image size: compares an image layer by layer with the baseline of its
/// base commit, reports what changed, and fails when a limit is exceeded.
#[derive(Debug, Parser)]
#[command(name = "layergate", version, after_help = EXIT_HELP, max_term_width = 100)]
pub struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show an image's size, layers, packages and largest files
    #[command(after_help = IMAGE_HELP)]
    Inspect(InspectArgs),
    /// Compare two images layer by layer; never fails because of a size
    #[command(after_help = IMAGE_HELP)]
    Diff(DiffArgs),
    /// Check images against their baselines and limits, and comment on the pull request
    #[command(after_help = format!("{IMAGE_HELP}\n\n{EVENT_HELP}\n\n{EXIT_HELP}"))]
    Check(Box<CheckArgs>),
    /// Measure images and store them as the baseline of the checked-out commit
    #[command(after_help = IMAGE_HELP)]
    Record(RecordArgs),
    /// Show which Dockerfiles are multi-stage, and which removable files ship
    #[command(after_help = format!("{STAGES_HELP}\n\n{IMAGE_HELP}"))]
    Stages(Box<StagesArgs>),
    /// Show how an image's size changed over commits
    History(HistoryArgs),
    /// Show the images of many repositories: size, growth, waste, and what multi-stage builds would save
    #[command(after_help = FLEET_HELP)]
    Fleet(FleetArgs),
    /// Merge saved reports of a matrix, or of a job that could not comment, into one comment
    #[command(after_help = REPORT_HELP)]
    Report(Box<ReportArgs>),
    /// Add layergate to the workflow that builds your images: prints a diff, or applies it
    #[command(after_help = INIT_HELP)]
    Init(InitArgs),
    /// Print the JSON Schema of layergate.toml or of an output
    #[command(after_help = SCHEMA_HELP)]
    Schema(SchemaArgs),
    /// Generate shell completions
    #[command(after_help = COMPLETIONS_HELP)]
    Completions(CompletionsArgs),
    /// Print the manual page, or write one page per command
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
    /// List files with the same content; reads all layers
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Output")]
    pub duplicates: bool,
    /// List removable files
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Output")]
    pub removable: bool,
    /// Output format; json prints the snapshot without file lists
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", help_heading = "Output")]
    pub format: Format,
    /// Print exact bytes [default: three significant digits]
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Output")]
    pub bytes: bool,
    /// Write the snapshot with file lists to FILE (compressed if it ends in .gz or .zst)
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Write the report to FILE as a self-contained HTML page: a map of files, layers and packages
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub html: Option<PathBuf>,
}

impl InspectArgs {
    /// Whether removable files are requested.
    pub fn looks_for_removable(&self) -> bool {
        self.removable || self.output.is_some() || self.html.is_some() || self.format == Format::Json
    }
}

/// `layergate diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The old image
    #[arg(value_name = "BASE")]
    pub base: String,
    /// The new image
    #[arg(value_name = "HEAD")]
    pub head: String,
    /// How to read them.
    #[command(flatten)]
    pub reading: ReadingFlags,
    /// How they are built.
    #[command(flatten)]
    pub build: BuildFlags,
    /// Output format
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", help_heading = "Output")]
    pub format: Format,
    /// Print exact bytes [default: three significant digits]
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Output")]
    pub bytes: bool,
    /// Write the report to FILE as a self-contained HTML page: a map of files, layers and packages
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub html: Option<PathBuf>,
}

/// `layergate check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Images to check; NAME defaults to the name of the repository or file
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
    /// Compare with the baseline of this commit [default: the base commit of the event or checkout]
    #[arg(long, value_name = "COMMIT", help_heading = "Baseline")]
    pub base_commit: Option<String>,
    /// Compare with this image instead of a stored baseline; repeatable, or one per line. `release`
    /// compares with the baseline of the newest release
    #[arg(long, value_name = "[NAME=]IMAGE", help_heading = "Baseline", conflicts_with = "base_commit")]
    pub baseline: Vec<String>,
    /// How to reach GitHub.
    #[command(flatten)]
    pub github: GithubFlags,
    /// Configuration: a file, or OWNER/REPO//PATH@REF [default: layergate.toml or .github/layergate.toml]
    #[arg(long, value_name = "FILE", help_heading = "Limits")]
    pub config: Option<PathBuf>,
    /// Whose configuration to use on a pull request and in a merge queue
    #[arg(long, value_enum, default_value_t, value_name = "WHOSE", help_heading = "Limits")]
    pub limits_from: LimitsFrom,
    /// The limits.
    #[command(flatten)]
    pub limits: LimitFlags,
    /// What accepts an exceeded limit.
    #[command(flatten)]
    pub accept: AcceptFlags,
    /// Where the report goes.
    #[command(flatten)]
    pub output: OutputFlags,
    /// Ignore changes to these paths in causes and in --comment-min-change; limits still count them.
    /// Repeatable, or one per line
    #[arg(long, value_name = "PATTERN", help_heading = "Comment on the pull request")]
    pub comment_ignore_path: Vec<String>,
    /// On a push, check and comment on the open pull request whose head is the pushed commit
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Comment on the pull request")]
    pub comment_on_push: bool,
}

impl CheckArgs {
    /// The `[comment]` settings given as flags, by key.
    pub fn comment_settings(&self) -> Settings {
        let ignored = given([("ignore-paths", "--comment-ignore-path", lines(&self.comment_ignore_path))]);
        self.output.comment.settings().into_iter().chain(ignored).collect()
    }
}

/// `layergate report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Saved reports, or directories to search recursively
    #[arg(value_name = "REPORT", required = true)]
    pub reports: Vec<String>,
    /// Fail if this image has no report; repeatable, or one per line
    #[arg(long, value_name = "NAME[=PLATFORM]", help_heading = "Reports")]
    pub require_image: Vec<String>,
    /// Whose limits to use: the target branch's, or those in the reports [default: target in a `workflow_run`,
    /// `pull_request_target` or `issue_comment`, and for pull requests from forks; reports elsewhere]
    #[arg(long, value_enum, value_name = "WHOSE", help_heading = "Limits")]
    pub limits_from: Option<ReportLimits>,
    /// Configuration: a file, or OWNER/REPO//PATH@REF [default: layergate.toml or .github/layergate.toml, if present]
    #[arg(long, value_name = "FILE", help_heading = "Limits")]
    pub config: Option<PathBuf>,
    /// The limits.
    #[command(flatten)]
    pub limits: LimitFlags,
    /// What accepts an exceeded limit.
    #[command(flatten)]
    pub accept: AcceptFlags,
    /// How to reach GitHub.
    #[command(flatten)]
    pub github: GithubFlags,
    /// Where the report goes.
    #[command(flatten)]
    pub output: OutputFlags,
    /// Pull request to comment on [default: the event's; in a `workflow_run`, that of the run's head]
    #[arg(long, value_name = "NUMBER", help_heading = "Comment on the pull request")]
    pub pull_request: Option<u64>,
    /// Only update the existing comment, for example with --report-url; print and write nothing else
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Comment on the pull request")]
    pub only_comment: bool,
}

/// `layergate record`.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// Images to record; NAME defaults to the name of the repository or file
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
    /// Configuration: a file, or OWNER/REPO//PATH@REF [default: layergate.toml or .github/layergate.toml, if present]
    #[arg(long, value_name = "FILE", help_heading = "Dockerfile")]
    pub config: Option<PathBuf>,
    /// Commit that the images were built from [default: the checked-out one]
    #[arg(long, value_name = "COMMIT", help_heading = "Baseline")]
    pub commit: Option<String>,
    /// Keep only the newest COMMITS baselines of each image [default: all]
    #[arg(long, value_name = "COMMITS", value_parser = commits, help_heading = "Baseline")]
    pub keep_last: Option<NonZeroUsize>,
    /// Record what `record --store dir:DIR` measured for this commit, for example in another job
    #[arg(long, value_name = "DIR", conflicts_with = "images", help_heading = "Baseline")]
    pub from: Option<PathBuf>,
    /// Record even in a run for a pull request, whose code is not merged yet
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Baseline")]
    pub allow_pull_request: bool,
    /// Record even if tracked files differ from the commit
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Baseline")]
    pub allow_dirty: bool,
    /// How to reach GitHub.
    #[command(flatten)]
    pub github: GithubFlags,
}

/// `layergate stages`.
#[derive(Debug, Args)]
pub struct StagesArgs {
    /// Dockerfiles, directories or patterns such as 'services/*/Dockerfile' [default: all below the current directory]
    #[arg(value_name = "DOCKERFILE")]
    pub dockerfiles: Vec<String>,
    /// Image to measure, as DOCKERFILE=IMAGE if there are several Dockerfiles; repeatable, or one per line
    #[arg(long, value_name = "[DOCKERFILE=]IMAGE")]
    pub image: Vec<String>,
    /// Print a multi-stage Dockerfile made from DOCKERFILE and its image; edits nothing
    #[arg(long, value_parser = BoolishValueParser::new(), requires = "image")]
    pub propose: bool,
    /// Base image of the proposal's final stage [default: a slimmer image, if the engine has one]
    #[arg(long, value_name = "IMAGE", requires = "propose")]
    pub runtime_image: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
    /// Print exact bytes [default: three significant digits]
    #[arg(long, value_parser = BoolishValueParser::new())]
    pub bytes: bool,
    /// Configuration file [default: layergate.toml or .github/layergate.toml, if present]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How images are built.
    #[command(flatten)]
    pub build: StageFlags,
    /// How to read them.
    #[command(flatten)]
    pub reading: ReadingFlags,
}

/// `layergate schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// What the schema describes
    #[arg(value_enum, default_value_t, value_name = "OF")]
    pub of: SchemaOf,
}

/// The documents with a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum SchemaOf {
    /// layergate.toml
    #[default]
    Config,
    /// The output of `inspect -o FILE` and `inspect --format json`, and the form of baselines
    Snapshot,
    /// The output of `check --report FILE`, and of check, diff and report with `--format json`
    Report,
    /// The output of `fleet --format json`
    Fleet,
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
    /// Write a page per command to DIR
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// `layergate history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Names of recorded images
    #[arg(value_name = "NAME", required = true)]
    pub images: Vec<String>,
    /// Show only this platform [default: all recorded ones]
    #[arg(long, value_name = "OS/ARCH[/VARIANT][:OS.VERSION]")]
    pub platform: Option<Platform>,
    /// Size to show: uncompressed, flattened or compressed
    #[arg(long, value_name = "METRIC", default_value_t, value_parser = metric_of_one)]
    pub metric: Metric,
    /// Show only the newest COMMITS; csv and json show all
    #[arg(long, value_name = "COMMITS", value_parser = commits, default_value = "50")]
    pub last: NonZeroUsize,
    /// Output format
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: HistoryFormat,
    /// Print exact bytes [default: three significant digits]
    #[arg(long, value_parser = BoolishValueParser::new())]
    pub bytes: bool,
    /// Configuration file; the HTML page shows its max-size as a line [default: layergate.toml or .github/layergate.toml, if present]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Write the size to FILE as a badge: an SVG, or JSON for shields.io if FILE ends in .json
    #[arg(long, value_name = "FILE")]
    pub badge: Option<PathBuf>,
    /// Use plain HTTP for the registry of an oci: store [default: only on this machine]
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Baseline")]
    pub plain_http: bool,
    /// Where baselines are kept.
    #[command(flatten)]
    pub store: StoreFlags,
    /// How to reach GitHub.
    #[command(flatten)]
    pub github: GithubFlags,
}

/// `layergate fleet`.
#[derive(Debug, Args)]
pub struct FleetArgs {
    /// Organisations, users, repositories, or directories with one baseline store per repository
    #[arg(value_name = "OWNER|OWNER/REPO|dir:DIR", required_unless_present = "repos")]
    pub sources: Vec<String>,
    /// Read repositories from FILE, one OWNER/REPO per line; - for standard input
    #[arg(long, value_name = "FILE")]
    pub repos: Option<PathBuf>,
    /// Branch with the baselines, the same in each repository
    #[arg(long, value_name = "BRANCH", default_value = "layergate-baselines")]
    pub branch: String,
    /// Exit with code 1 if one of these conditions is met; separate several with commas
    #[arg(long, value_name = "CONDITION", value_enum, value_delimiter = ',')]
    pub fail_on: Vec<FleetCondition>,
    /// Output format
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: FleetFormat,
    /// Print exact bytes [default: three significant digits]
    #[arg(long, value_parser = BoolishValueParser::new())]
    pub bytes: bool,
    /// Token that may read the repositories [default: $GITHUB_TOKEN]
    #[arg(long, value_name = "TOKEN", hide_env_values = true, help_heading = "GitHub")]
    pub github_token: Option<String>,
    /// URL of the GitHub API [default: $GITHUB_API_URL]
    #[arg(long, value_name = "URL", help_heading = "GitHub")]
    pub github_api_url: Option<String>,
}

impl FleetArgs {
    /// How to reach GitHub.
    pub fn github(&self) -> GithubFlags {
        GithubFlags {
            github_token: self.github_token.clone(),
            config_token: None,
            github_api_url: self.github_api_url.clone(),
            github_repository: None,
        }
    }
}

/// The conditions for `fleet --fail-on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FleetCondition {
    /// A repository has a Dockerfile and no baselines
    NoBaseline,
    /// An image has no limits in layergate.toml
    NoLimits,
    /// An image ships build tools or build inputs, so the multi-stage limit would fail
    SingleStage,
    /// An image is larger than its own max-size
    MaxSize,
    /// An image has not been recorded for 90 days
    Stale,
    /// A repository could not be read
    Unread,
}

/// How to print the images of many repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum FleetFormat {
    /// Tables for a terminal or a log
    #[default]
    Text,
    /// Tables for GitHub
    Markdown,
    /// For programs: one document
    Json,
    /// For spreadsheets: one row per image
    Csv,
    /// A self-contained page
    Html,
}

/// `layergate init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Root of the repository
    #[arg(value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    /// Apply the changes [default: print them as a unified diff]
    #[arg(long, value_parser = BoolishValueParser::new())]
    pub write: bool,
    /// Ask docker what bake and compose files build, and whether base images exist; only for files that you trust
    #[arg(long, value_parser = BoolishValueParser::new())]
    pub ask_docker: bool,
    /// Built image to derive limits from; repeatable, or one per line
    #[arg(long, value_name = "[NAME=]IMAGE")]
    pub image: Vec<String>,
    /// Store of the workflow's baselines: git:BRANCH or oci:HOST/REPO
    #[arg(long, value_name = "STORE", default_value = "git:layergate-baselines")]
    pub store: String,
    /// Branch whose pushes are recorded [default: origin's default branch; else main, master or the checked-out one]
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
    /// A table and a chart, for GitHub
    Markdown,
    /// For programs: one document
    Json,
    /// For spreadsheets
    Csv,
    /// A self-contained page
    Html,
}

/// How images are built, without their Dockerfile.
#[derive(Debug, Args)]
#[command(next_help_heading = "Dockerfile")]
pub struct StageFlags {
    /// Build stage, as in docker build [default: the last one]
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Build argument, as in docker build; repeatable, or one per line
    #[arg(long, value_name = "NAME=VALUE")]
    pub build_arg: Vec<String>,
    /// Named build context, as in docker build, such as base=docker-image://alpine; repeatable, or one per line
    #[arg(long, value_name = "NAME=VALUE")]
    pub build_context: Vec<String>,
    /// Metadata file of the build (docker buildx build --metadata-file), for exact Dockerfile lines; repeatable,
    /// or one per line
    #[arg(long, value_name = "[NAME=]FILE")]
    pub build_metadata: Vec<String>,
}

impl StageFlags {
    /// The flags given, by the keys of the configuration file.
    pub fn settings(&self) -> Settings {
        given([
            ("target", "--target", self.target.clone()),
            ("build-args", "--build-arg", lines(&self.build_arg)),
            ("build-contexts", "--build-context", lines(&self.build_context)),
        ])
    }
}

/// How images are read.
#[derive(Debug, Args)]
pub struct ReadingFlags {
    /// Platform to measure, or all [default: this machine's platform, or the image's only one]
    #[arg(long, value_name = "OS/ARCH[/VARIANT][:OS.VERSION]|all", help_heading = "Reading")]
    pub platform: Option<Platforms>,
    /// Read and hash every layer, even if it was measured before
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Reading")]
    pub verify: bool,
    /// Container engine: docker, podman, a docker context, or an address such as ssh://me@host
    #[arg(long, value_name = "ENGINE", help_heading = "Reading")]
    pub engine: Option<String>,
    /// Read layers from Docker's store on disk: if this user can (auto), never (off), or as root (sudo) [default: auto]
    #[arg(
        long,
        value_name = "auto|off|sudo",
        default_value = "auto",
        hide_default_value = true,
        help_heading = "Reading"
    )]
    pub engine_store: EngineStoreUse,
    /// Use plain HTTP for registries [default: only for registries on this machine]
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Reading")]
    pub plain_http: bool,
    /// Directory for the cache of measured layers [default: layergate in the user's cache directory]
    #[arg(long, value_name = "DIR", help_heading = "Reading")]
    pub cache_dir: Option<PathBuf>,
    /// Do not use the cache of measured layers
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Reading")]
    pub no_cache: bool,
    /// Raise a safety limit, such as entries=20000000 (see docs/threat-model.md)
    #[arg(long, value_name = "NAME=NUMBER", help_heading = "Reading")]
    pub safety_limit: Vec<String>,
    /// Do not show progress
    #[arg(short, long, value_parser = BoolishValueParser::new(), help_heading = "Reading")]
    pub quiet: bool,
}

/// How the images are built.
#[derive(Debug, Args)]
#[command(next_help_heading = "Dockerfile")]
pub struct BuildFlags {
    /// Dockerfile of the image; reports then name the line that made each layer [default: Dockerfile, for a single image]
    #[arg(long, value_name = "FILE")]
    pub dockerfile: Option<String>,
    /// Which part of it is built.
    #[command(flatten)]
    pub stage: StageFlags,
}

impl BuildFlags {
    /// The flags given, by the keys of the configuration file.
    pub fn settings(&self) -> Settings {
        let mut settings = given([("dockerfile", "--dockerfile", self.dockerfile.clone())]);
        settings.extend(self.stage.settings());
        settings
    }
}

/// Where baselines are kept.
#[derive(Debug, Args)]
pub struct StoreFlags {
    /// Baseline store: git:BRANCH, a branch on GitHub (git means git:layergate-baselines); oci:HOST/REPO, a registry repository; or dir:PATH, a directory that git does not track [default: git:layergate-baselines in GitHub Actions, dir:.layergate elsewhere]
    #[arg(long, value_name = "STORE", help_heading = "Baseline")]
    pub store: Option<String>,
}

/// The limits as flags, generated from the list of limits. Each overrides the configuration file.
#[derive(Debug)]
pub struct LimitFlags {
    settings: Settings,
}

impl LimitFlags {
    /// The flags given, by the keys of the configuration file.
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

/// What accepts an exceeded limit, as flags. Each overrides the configuration file.
#[derive(Debug, Args)]
#[command(next_help_heading = "Acceptance")]
pub struct AcceptFlags {
    /// Pull request label that accepts exceeded limits; repeatable, or one per line
    #[arg(long, value_name = "LABEL")]
    pub accept_label: Vec<String>,
    /// Commit trailer that accepts exceeded limits, such as Image-Size-Accept
    #[arg(long, value_name = "NAME")]
    pub accept_trailer: Option<String>,
    /// Maximum growth that can be accepted (same syntax as --max-increase) [default: any]
    #[arg(long, value_name = "INCREASE")]
    pub accept_max_increase: Option<String>,
}

impl AcceptFlags {
    /// The flags given, by the keys of `[accept]`.
    pub fn settings(&self) -> Settings {
        given([
            ("labels", "--accept-label", lines(&self.accept_label)),
            ("trailer", "--accept-trailer", self.accept_trailer.clone()),
            ("max-increase", "--accept-max-increase", self.accept_max_increase.clone()),
        ])
    }
}

/// The settings given, by key, each with its flag.
fn given<const N: usize>(flags: [(&str, &str, Option<String>); N]) -> Settings {
    let setting = |(key, flag, value): (&str, &str, Option<String>)| {
        Some((key.to_owned(), Setting { text: value?, origin: flag.to_owned() }))
    };
    flags.into_iter().filter_map(setting).collect()
}

/// The values of a repeatable flag, as one setting.
fn lines(values: &[String]) -> Option<String> {
    Some(values.join("\n")).filter(|lines| !lines.is_empty())
}

/// Where a report goes.
#[derive(Debug, Args)]
pub struct OutputFlags {
    /// Output format
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", help_heading = "Output")]
    pub format: Format,
    /// Print exact bytes [default: three significant digits]
    #[arg(long, value_parser = BoolishValueParser::new(), help_heading = "Output")]
    pub bytes: bool,
    /// Write the report to FILE as JSON
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub report: Option<PathBuf>,
    /// Write the report to FILE as a self-contained HTML page: a map of files, layers and packages, and what changed
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub html: Option<PathBuf>,
    /// Write the findings to FILE as SARIF 2.1.0, for code scanning
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub sarif: Option<PathBuf>,
    /// Write the report to FILE as JUnit XML, one test per limit
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub junit: Option<PathBuf>,
    /// Write the sizes to FILE as OpenMetrics text
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub openmetrics: Option<PathBuf>,
    /// Write the size to FILE as a badge: an SVG, or JSON for shields.io if FILE ends in .json
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub badge: Option<PathBuf>,
    /// URL of the full report, such as an artifact URL; the comment and the step summary link to it
    #[arg(long, value_name = "URL", value_parser = web_address, help_heading = "Output")]
    pub report_url: Option<String>,
    /// How to comment.
    #[command(flatten)]
    pub comment: CommentFlags,
}

/// A metric that a single image has.
fn metric_of_one(text: &str) -> Result<Metric, &'static str> {
    let metric = text.parse().ok().filter(|metric| *metric != Metric::Update);
    metric.ok_or("expected uncompressed, flattened or compressed")
}

/// A number of commits.
fn commits(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "expected a number of commits, 1 or more")
}

/// A URL that can be used as it is in a markdown link.
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
    /// When to comment; an existing comment is always updated, unless never
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub comment: CommentWhen,
    /// Post no new comment for a change below SIZE, such as "100 kB", unless a limit warns or fails
    #[arg(long, value_name = "SIZE")]
    pub comment_min_change: Option<String>,
    /// Key that distinguishes several layergate comments on one pull request
    #[arg(long, value_name = "KEY", default_value = "default")]
    pub comment_key: String,
    /// Login the token comments as [default: the token's own login]
    #[arg(long, value_name = "LOGIN")]
    pub comment_author: Option<String>,
    /// Also create a check run on the commit, with annotations (needs checks: write)
    #[arg(long, value_parser = BoolishValueParser::new())]
    pub check_run: bool,
    /// Post small Dockerfile fixes as suggestions on the pull request's lines
    #[arg(long, value_parser = BoolishValueParser::new())]
    pub suggest: bool,
    /// Exit with code 3 if the comment cannot be posted
    #[arg(long, value_parser = BoolishValueParser::new())]
    pub require_comment: bool,
}

impl CommentFlags {
    /// The flags given, by the keys of `[comment]`.
    pub fn settings(&self) -> Settings {
        given([("min-change", "--comment-min-change", self.comment_min_change.clone())])
    }
}

/// How to reach GitHub, for comments and for a store on a branch.
#[derive(Debug, Args)]
#[command(next_help_heading = "GitHub")]
pub struct GithubFlags {
    /// Token for comments and for a git: store [default: $GITHUB_TOKEN]
    #[arg(long, value_name = "TOKEN", hide_env_values = true)]
    pub github_token: Option<String>,
    /// Token for reading the configuration of another repository [default: --github-token]
    #[arg(long, value_name = "TOKEN", hide_env_values = true)]
    pub config_token: Option<String>,
    /// URL of the GitHub API [default: $GITHUB_API_URL]
    #[arg(long, value_name = "URL")]
    pub github_api_url: Option<String>,
    /// Repository with the baseline branch [default: $GITHUB_REPOSITORY]
    #[arg(long, value_name = "OWNER/NAME")]
    pub github_repository: Option<String>,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For a terminal or a log
    #[default]
    Text,
    /// For GitHub
    Markdown,
    /// For programs: one document
    Json,
}

/// Whose configuration counts on a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LimitsFrom {
    /// The configuration at the tip of the target branch
    #[default]
    Target,
    /// The pull request's own limits; acceptance and exceptions never come from the pull request
    Head,
}

/// Whose limits count when saved reports are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportLimits {
    /// Those at the tip of the target branch; every image is evaluated again
    Target,
    /// Those in the reports
    Reports,
}

/// When to comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum CommentWhen {
    /// On every run
    Always,
    /// If the image changed, or a limit warns or fails
    #[default]
    Changes,
    /// If a limit is exceeded
    Failures,
    /// Never
    Never,
}
