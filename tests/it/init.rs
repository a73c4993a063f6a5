//! `layergate init` on repositories that are made up: what it writes is accepted by whoever reads it, and works.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::act::{act, commit, copy_action, git, has_runner, pull_request};
use crate::engine::Engine;
use crate::fake_github::{BOT, FakeGithub};
use crate::support::{FakeLayer, Item, Run, layergate, oci_layout, skip, tar_of};

const CONFIGURATION: &str = "layergate.toml";
const WORKFLOW: &str = ".github/workflows/layergate.yml";

/// A repository, and what is found in it.
struct Made {
    called: &'static str,
    files: &'static [(&'static str, &'static str)],
    /// The branch that is checked out; none, where there is no Git.
    branch: Option<&'static str>,
    /// `NAME=IMAGE` of each image.
    images: &'static [&'static str],
    /// What the workflow has in it.
    written: &'static [&'static str],
}

const APP: &str = "FROM scratch\nCOPY app /app\n";
const STAGED: &str = "FROM scratch AS init-build\nCOPY app /app\nFROM scratch AS init-prod\nCOPY --from=init-build /app /app\nFROM init-prod AS init-dev\nCOPY app /dev-app\n";

const MADE: [Made; 10] = [
    Made {
        called: "init-single",
        files: &[("Dockerfile", APP), ("app", "x")],
        branch: Some("main"),
        images: &["init-single=init-single:ci"],
        written: &["branches: [main]", "run: docker build --tag init-single:ci ."],
    },
    Made {
        called: "init-services",
        files: &[
            ("services/init-api/Dockerfile", APP),
            ("services/init-api/app", "x"),
            ("services/init-web/Dockerfile", "FROM scratch\nCOPY services/init-web/page /page\n"),
            ("services/init-web/page", "y"),
            ("tests/Dockerfile", "FROM alpine\n"),
        ],
        branch: Some("main"),
        images: &["init-api=init-api:ci", "init-web=init-web:ci"],
        written: &[
            "docker build --tag init-api:ci services/init-api\n",
            "docker build --tag init-web:ci --file services/init-web/Dockerfile .\n",
        ],
    },
    Made {
        called: "init-compose",
        files: &[
            (
                "compose.yaml",
                "services:\n  init-front: {build: ., image: 'acme/init-front:${TAG:-v1}'}\n  init-back:\n    build: {context: back}\n  db: {image: postgres}\n",
            ),
            ("Dockerfile", APP),
            ("app", "x"),
            ("back/Dockerfile", APP),
            ("back/app", "x"),
        ],
        branch: Some("main"),
        images: &["init-front=acme/init-front:v1", "init-back=layergate-init-back:latest"],
        written: &["run: docker compose --file compose.yaml build init-front init-back", "TAG: v1"],
    },
    Made {
        called: "init-bake",
        files: &[
            (
                "docker-bake.hcl",
                "group \"default\" { targets = [\"init-one\", \"init-two\"] }\ntarget \"init-one\" {\n  tags = [\"acme/one\"]\n}\ntarget \"init-two\" {\n  context = \"two\"\n  platforms = [\"linux/amd64\", \"linux/arm64\"]\n}\n",
            ),
            ("Dockerfile", APP),
            ("app", "x"),
            ("two/Dockerfile", APP),
            ("two/app", "x"),
        ],
        branch: Some("main"),
        images: &["init-one=init-one:ci", "init-two=init-two:ci"],
        written: &[
            "docker buildx bake --load --file docker-bake.hcl --set init-one.tags=init-one:ci --set init-two.tags=init-two:ci --set init-two.platform=linux/amd64 init-one init-two",
        ],
    },
    Made {
        called: "init-action",
        files: &[
            (
                ".github/workflows/release.yml",
                "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: docker/build-push-action@v6\n        with: {context: ., file: build/Dockerfile, load: true, tags: 'init-loaded:1'}\n      - uses: docker/build-push-action@v6\n        with: {context: pushed, push: true, tags: 'ghcr.io/acme/init-pushed:${{ github.sha }}'}\n      - uses: docker/build-push-action@v6\n        with: {context: packed, outputs: 'type=oci,dest=/tmp/x.tar', tags: init-packed}\n",
            ),
            ("build/Dockerfile", APP),
            ("app", "x"),
            ("pushed/Dockerfile", APP),
            ("pushed/app", "x"),
            ("packed/Dockerfile", APP),
            ("packed/app", "x"),
        ],
        branch: Some("main"),
        images: &["init-loaded=init-loaded:ci", "init-pushed=init-pushed:ci", "init-packed=init-packed:ci"],
        written: &[
            "docker build --tag init-loaded:ci --file build/Dockerfile .\n",
            ", as .github/workflows/release.yml does",
        ],
    },
    Made {
        called: "init-target",
        files: &[
            (
                ".github/workflows/ci.yaml",
                "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: docker build --target init-prod --build-arg A=1 -t init-staged .\n",
            ),
            ("Dockerfile", STAGED),
            ("app", "x"),
        ],
        branch: Some("main"),
        images: &["init-staged=init-staged:ci"],
        written: &["run: docker build --tag init-staged:ci --target init-prod --build-arg A=1 ."],
    },
    Made {
        called: "init-odd",
        files: &[
            ("services/odd one/Dockerfile", APP),
            ("services/odd one/app", "x"),
            ("services/$(touch odd-two)/Dockerfile", APP),
            ("services/$(touch odd-two)/app", "x"),
            ("services/${{ github.odd-three }}/Dockerfile", APP),
            ("services/${{ github.odd-three }}/app", "x"),
            ("-odd'four\"/Dockerfile", APP),
            ("-odd'four\"/app", "x"),
        ],
        branch: Some("main"),
        images: &[
            "odd-four=odd-four:ci",
            "touch-odd-two=touch-odd-two:ci",
            "github-odd-three=github-odd-three:ci",
            "odd-one=odd-one:ci",
        ],
        written: &["docker build --tag odd-one:ci \"$CONTEXT_"],
    },
    Made {
        called: "init-without-git",
        files: &[("Containerfile", APP), ("app", "x")],
        branch: None,
        images: &["init-without-git=init-without-git:ci"],
        written: &["branches: [main]", "--file Containerfile ."],
    },
    Made {
        called: "init-again",
        files: &[
            ("Dockerfile", APP),
            ("app", "x"),
            (".github/layergate.toml", "[limits]\nmax-layers = 3\n"),
            ("layergate.lock", ""),
        ],
        branch: Some("main"),
        images: &["init-again=init-again:ci"],
        written: &[],
    },
    Made {
        called: "init-master",
        files: &[("Dockerfile", APP), ("app", "x")],
        branch: Some("master"),
        images: &["init-master=init-master:ci"],
        written: &["branches: [master]"],
    },
];

impl Made {
    /// Makes it, in a directory of its name.
    fn repository(&self, directory: &Path) -> std::path::PathBuf {
        let root = directory.join(self.called);
        for (name, text) in self.files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        if let Some(branch) = self.branch {
            git(&root, &["init", "--quiet", "--initial-branch", branch]);
            commit(&root, "start");
        }
        root
    }

    fn has_configuration(&self) -> bool {
        self.files.iter().any(|(name, _)| name.ends_with(CONFIGURATION))
    }

    /// Where its configuration gets.
    fn configuration(&self) -> &'static str {
        if self.has_configuration() { ".github/layergate.toml" } else { CONFIGURATION }
    }

    /// Runs `init` as somebody would who means it.
    fn init(&self, root: &Path) -> Run {
        let force: &[&str] = if self.has_configuration() { &["--force"] } else { &[] };
        init(root, force).expect(0)
    }
}

fn init(root: &Path, arguments: &[&str]) -> Run {
    Run::of(layergate().arg("init").args(arguments).arg(root))
}

/// The `NAME=IMAGE` lines that a workflow gives to each of its steps.
fn images_of(workflow: &str) -> Vec<Vec<String>> {
    let lines: Vec<&str> = workflow.lines().collect();
    let step = |index: usize| match lines[index].trim().strip_prefix("images: ") {
        Some("|") => {
            let list = lines[index + 1..].iter().take_while(|line| line.starts_with("            "));
            Some(list.map(|line| line.trim().to_owned()).collect())
        }
        one => one.map(|one| vec![one.to_owned()]),
    };
    (0..lines.len()).filter_map(step).collect()
}

#[test]
fn what_is_written_for_ten_repositories_is_what_is_in_them_and_is_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let layer = FakeLayer::plain(&tar_of(&[Item::File("app", 10)]), "COPY app /app");
    let image = oci_layout(&directory.path().join("image"), &[layer]).display().to_string();
    let mut workflows = Vec::new();
    for made in &MADE {
        let root = made.repository(directory.path());
        let run = made.init(&root);
        assert_eq!(run.stdout, "");
        let workflow = fs::read_to_string(root.join(WORKFLOW)).unwrap();
        let expected: Vec<String> = made.images.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(images_of(&workflow), [expected.clone(), expected], "{workflow}");
        for part in made.written {
            assert!(workflow.contains(part), "{}: {part} is not in\n{workflow}", made.called);
        }
        for line in made.images {
            let (name, _) = line.split_once('=').unwrap();
            assert!(run.stderr.contains(&format!("  {name}: ")), "{}", run.stderr);
            let named = format!("{name}={image}");
            let arguments = ["check", "--config", made.configuration(), "--store", "dir:store", &named];
            let check = Run::of(layergate().current_dir(&root).args(arguments)).expect(0);
            // All that it says of Dockerfiles is that this image is none of theirs.
            assert!(!check.stderr.contains("cannot read"), "{}", check.stderr);
        }
        workflows.push(root.join(WORKFLOW));
    }
    let Some(zizmor) = std::env::var_os("LAYERGATE_TEST_ZIZMOR").filter(|path| !path.is_empty()) else {
        return skip("the audit of written workflows", "no `zizmor` was installed for it");
    };
    let mut audit = Command::new(zizmor);
    audit.current_dir(env!("CARGO_MANIFEST_DIR")).args([
        "--offline",
        "--no-progress",
        "--persona",
        "auditor",
    ]);
    Run::of(audit.args(["--config", ".github/zizmor.yml"]).args(workflows)).expect(0);
}

/// Whether the engine's client has a command that not every package of it comes with.
fn has_command(engine: &Engine, command: &str) -> bool {
    Command::new(&engine.client)
        .args([command, "version"])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Lets a workflow use the action of this checkout, the program that is tested, and a stand-in for GitHub.
fn with_own_action(root: &Path, github: &FakeGithub) {
    copy_action(root);
    let inputs = format!(
        "uses: ./\n        with:\n          binary: {}\n          github-token: ghs_secret-token\n          github-repository: acme/shop\n          github-api-url: {}\n",
        env!("CARGO_BIN_EXE_layergate"),
        github.url,
    );
    let workflow = fs::read_to_string(root.join(WORKFLOW)).unwrap();
    let uses = "uses: layergate/layergate@main\n        with:\n";
    assert_eq!(workflow.matches(uses).count(), 2, "{workflow}");
    fs::write(root.join(WORKFLOW), workflow.replace(uses, &inputs)).unwrap();
}

#[test]
fn what_is_written_records_and_checks_by_a_real_runner() {
    let Some(engine) = Engine::of_this_run("the written workflows by a real runner") else { return };
    if !has_runner() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for made in &MADE {
        // Debian's client comes without these, and what is written for them is compared with what is expected above.
        let needs = [("docker compose", "compose"), ("docker buildx", "buildx")];
        let needed = needs.iter().find(|(part, _)| made.written.iter().any(|line| line.contains(part)));
        if let Some((part, _)) = needed.filter(|(_, command)| !has_command(&engine, command)) {
            let mut terminal = std::io::stderr().lock();
            let _ =
                writeln!(terminal, "NOT RUN a written workflow with {part}: the client has no such command");
            continue;
        }
        let root = made.repository(directory.path());
        made.init(&root);
        // The runner would run these too, and fetch their actions.
        for (name, _) in made.files.iter().filter(|(name, _)| name.contains("/workflows/")) {
            fs::remove_file(root.join(name)).unwrap();
        }
        let github = FakeGithub::start();
        with_own_action(&root, &github);
        if made.branch.is_none() {
            git(&root, &["init", "--quiet", "--initial-branch", "main"]);
        }
        commit(&root, "gate");
        let branch = made.branch.unwrap_or("main");
        let base = git(&root, &["rev-parse", "HEAD"]);
        let push = json!({ "ref": format!("refs/heads/{branch}"), "before": "0".repeat(40), "after": base });
        let run = act(&engine, &root, "push", &push).expect(0);
        assert!(
            run.stdout.contains(&format!("for {} in git:layergate-baselines", &base[..12])),
            "{}",
            run.stdout
        );

        git(&root, &["checkout", "--quiet", "-b", "change"]);
        let (file, _) = made.files.iter().find(|(_, text)| *text == "x").unwrap();
        fs::write(root.join(file), "x".repeat(2 << 20)).unwrap();
        let head = commit(&root, "change");
        git(&root, &["checkout", "--quiet", "--detach", branch]);
        git(&root, &["merge", "--quiet", "--no-ff", "--message", "test merge", &head]);
        let run = act(&engine, &root, "pull_request", &pull_request(&head, &base));
        assert_eq!(run.code, 1, "{}: {}{}", made.called, run.stdout, run.stderr);
        let [comment] = github.bodies_of(BOT).try_into().unwrap();
        assert!(
            comment.contains("over the limit of +5% and 1 MiB")
                || comment.contains("over the +5% and 1 MiB limit"),
            "{}: {comment}",
            made.called
        );
        let (name, _) = made.images[0].split_once('=').unwrap();
        assert!(comment.contains(&format!("`{name}`")), "{comment}");
        assert!(comment.contains("Dockerfile:") || comment.contains("Containerfile:"), "{comment}");
    }
    assert!(!directory.path().join("init-odd/odd-two").exists());
}

#[test]
fn nothing_that_is_there_is_overwritten() {
    for existing in [CONFIGURATION, ".github/layergate.toml", WORKFLOW, ".github/workflows/layergate.yaml"] {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join(".github/workflows")).unwrap();
        fs::write(root.join("Dockerfile"), APP).unwrap();
        fs::write(root.join(existing), "# mine\n").unwrap();
        let run = init(root, &[]).expect(2);
        for part in [existing, "there already", "--print", "--force"] {
            assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
        }
        let is_written = |path: &str| root.join(path).exists();
        let written = [CONFIGURATION, WORKFLOW].iter().filter(|path| is_written(path)).count();
        assert_eq!(written, usize::from([CONFIGURATION, WORKFLOW].contains(&existing)));
        assert_eq!(fs::read_to_string(root.join(existing)).unwrap(), "# mine\n");
        let files =
            fs::read_dir(root).unwrap().chain(fs::read_dir(root.join(".github/workflows")).unwrap()).count();

        let printed = init(root, &["--print"]).expect(0).stdout;
        let after =
            fs::read_dir(root).unwrap().chain(fs::read_dir(root.join(".github/workflows")).unwrap()).count();
        assert_eq!(files, after);
        init(root, &["--force"]).expect(0);
        let of = if existing == ".github/layergate.toml" { existing } else { CONFIGURATION };
        // What is there under another name is replaced there, so that there are no two of them.
        let workflow = if existing.ends_with(".yaml") { existing } else { WORKFLOW };
        let workflows = fs::read_dir(root.join(".github/workflows")).unwrap().count();
        assert_eq!(workflows, 1, "{existing}");
        for path in [of, workflow] {
            let text = fs::read_to_string(root.join(path)).unwrap();
            assert!(printed.contains(&format!("# ---- {path}\n{text}")), "{path}: {printed}");
        }
    }
}

#[test]
fn a_workflow_that_runs_layergate_is_not_doubled() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir_all(root.join(".github/workflows")).unwrap();
    fs::write(root.join("Dockerfile"), APP).unwrap();
    let own = "jobs: {a: {steps: [{uses: layergate/layergate@v1}]}}";
    fs::write(root.join(".github/workflows/size.yml"), own).unwrap();
    let run = init(root, &[]).expect(2);
    assert!(run.stderr.contains(".github/workflows/size.yml runs layergate already"), "{}", run.stderr);
    assert!(!root.join(CONFIGURATION).exists());
}

#[test]
fn what_cannot_be_done_is_said_with_the_way_out() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let run = init(root, &[]).expect(2);
    assert!(
        run.stderr.contains("no image is found: looked for builds in .github/workflows"),
        "{}",
        run.stderr
    );
    fs::write(root.join("Dockerfile"), APP).unwrap();
    for (arguments, expected) in [
        (&["--store", "dir:x"][..], "gone after its job"),
        (&["--store", "svn:x"], "svn:x"),
        (&["--branch", "a*"], "--branch a*"),
    ] {
        let run = init(root, arguments).expect(2);
        assert!(run.stderr.contains(expected), "{}", run.stderr);
    }
    let run = init(&root.join("gone"), &[]).expect(2);
    assert!(run.stderr.contains("name the root of a repository"), "{}", run.stderr);
    git(root, &["init", "--quiet"]);
    fs::create_dir(root.join("inner")).unwrap();
    let run = init(&root.join("inner"), &[]).expect(2);
    assert!(run.stderr.contains("is inside of the repository"), "{}", run.stderr);
    assert!(!root.join(CONFIGURATION).exists());
}

#[cfg(unix)]
#[test]
fn no_link_leads_out_of_the_repository() {
    use std::os::unix::fs::symlink;
    let directory = tempfile::tempdir().unwrap();
    let (root, outside) = (directory.path().join("root"), directory.path().join("outside"));
    fs::create_dir_all(outside.join("workflows")).unwrap();
    fs::create_dir(&root).unwrap();
    let secret = "jobs: {a: {steps: [{run: docker build -t outside-name .}]}}";
    fs::write(outside.join("workflows/ci.yml"), secret).unwrap();
    fs::write(outside.join("Dockerfile.far"), APP).unwrap();
    fs::write(root.join("Dockerfile"), APP).unwrap();
    symlink(outside.join("Dockerfile.far"), root.join("Dockerfile.far")).unwrap();
    symlink(&outside, root.join(".github")).unwrap();
    let printed = init(&root, &["--print"]).expect(0);
    assert!(
        !printed.stdout.contains("outside-name") && !printed.stdout.contains("far"),
        "{}",
        printed.stdout
    );
    assert!(
        printed.stderr.contains("not looked at") && printed.stderr.contains("Dockerfile.far"),
        "{}",
        printed.stderr
    );
    let run = init(&root, &["--force"]).expect(2);
    assert!(run.stderr.contains("a link leads out"), "{}", run.stderr);
    assert!(!outside.join("workflows/layergate.yml").exists() && !root.join(CONFIGURATION).exists());

    // One that leads nowhere yet.
    fs::remove_file(root.join(".github")).unwrap();
    symlink(directory.path().join("nowhere"), root.join(".github")).unwrap();
    init(&root, &["--force"]).expect(2);
    assert!(!directory.path().join("nowhere").exists());
}

#[test]
fn an_own_store_and_branch_are_written() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::write(root.join("Dockerfile"), APP).unwrap();
    let arguments = ["--store", "oci:ghcr.io/acme/sizes", "--branch", "release/1.x", "--print"];
    let printed = init(root, &arguments).expect(0).stdout;
    for part in ["branches: [release/1.x]", "store: oci:ghcr.io/acme/sizes", "log in to ghcr.io"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    assert!(!printed.contains("contents: write"), "{printed}");
}

#[test]
fn the_default_branch_is_that_of_origin_whatever_is_checked_out() {
    let directory = tempfile::tempdir().unwrap();
    let (origin, clone) = (directory.path().join("acme/shop"), directory.path().join("clone"));
    fs::create_dir_all(&origin).unwrap();
    fs::write(origin.join("Dockerfile"), APP).unwrap();
    git(&origin, &["init", "--quiet", "--initial-branch", "trunk"]);
    commit(&origin, "start");
    git(directory.path(), &["clone", "--quiet", "acme/shop", "clone"]);
    git(&clone, &["checkout", "--quiet", "-b", "feature"]);
    let printed = init(&clone, &["--print"]).expect(0).stdout;
    assert!(printed.contains("branches: [trunk]") && printed.contains("[images.shop]"), "{printed}");
}

#[test]
fn a_file_of_variables_that_is_not_committed_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::write(root.join("Dockerfile"), APP).unwrap();
    let compose = "services:\n  api: {build: {context: ., args: {SITE: '${SITE}'}}, image: 'api:${TAG:?}'}\n";
    fs::write(root.join("compose.yaml"), compose).unwrap();
    fs::write(root.join(".env"), "TAG=of-this-machine\nSITE=internal.example\n").unwrap();
    git(root, &["init", "--quiet", "--initial-branch", "main"]);
    let printed = init(root, &["--print"]).expect(0);
    let all = format!("{}{}", printed.stdout, printed.stderr);
    assert!(!all.contains("of-this-machine") && !all.contains("internal.example"), "{all}");
    assert!(
        all.contains("the variable TAG is not there") && all.contains("docker build --tag api:ci"),
        "{all}"
    );

    commit(root, "with it");
    let printed = init(root, &["--print"]).expect(0).stdout;
    assert!(printed.contains("api=api:of-this-machine") && printed.contains("docker compose"), "{printed}");
}
