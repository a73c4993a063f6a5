//! `layergate init` on repositories of many shapes, each a directory of `tests/fixtures/init`: what it prints is
//! `expected.diff`, which a person has read; what it says is `expected.txt`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::act::{commit, git, has_runner, pull_request, runner};
use crate::support::engine::Engine;
use crate::support::fake_github::{BOT, FakeGithub};
use crate::support::{FakeLayer, Item, Run, fixture, layergate, oci_layout, skip, tar_of};

const CONFIGURATION: &str = "layergate.toml";
/// Repositories whose bake and compose files docker is asked about.
const ASKED: [&str; 2] = ["bake", "compose"];

fn names() -> Vec<String> {
    let entries = fs::read_dir(fixture("init")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Those for which no docker is needed.
fn names_without_docker() -> Vec<String> {
    let names: Vec<String> = names().into_iter().filter(|name| !ASKED.contains(&name.as_str())).collect();
    assert!(names.len() >= 15);
    names
}

/// A copy of a repository, in a directory of its name.
fn repository(name: &str, into: &Path) -> PathBuf {
    let root = into.join(name);
    copy(Path::new(&fixture(&format!("init/{name}/repository"))), &root);
    git(&root, &["init", "--quiet", "--initial-branch", "main"]);
    commit(&root, "start");
    root
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

fn init(root: &Path, arguments: &[&str]) -> Run {
    Run::of(layergate().arg("init").args(arguments).arg(root))
}

/// The root of a newer engine, whose client has buildx and compose, and the address of that engine.
fn modern_client() -> Option<(PathBuf, String)> {
    let state = std::env::var_os("LAYERGATE_TEST_MODERN_CONTAINERD").filter(|path| !path.is_empty())?;
    let state = PathBuf::from(state);
    let pid = fs::read_to_string(state.join("pid")).ok()?;
    let root = PathBuf::from(format!("/proc/{}/root", pid.trim()));
    let address = format!("unix://{}", state.join("docker.sock").display());
    root.join("usr/bin/docker").exists().then_some((root, address))
}

/// Runs `init` with what the repository needs to be followed.
fn init_as_meant(name: &str, root: &Path, home: &Path, write: bool) -> Run {
    let mut command = layergate();
    command.arg("init").args(write.then_some("--write"));
    if ASKED.contains(&name) {
        let (modern, host) = modern_client().expect("tests/run starts newer engines");
        command.arg("--ask-docker").env("HOME", home).env("DOCKER_HOST", host);
        command.env("PATH", with_modern(&modern, home));
    }
    Run::of(command.arg(root))
}

/// A `PATH` with the modern client first; its plugins are configured in `home`.
fn with_modern(modern: &Path, home: &Path) -> String {
    fs::create_dir_all(home.join(".docker")).unwrap();
    let plugins = modern.join("usr/libexec/docker/cli-plugins");
    fs::write(home.join(".docker/config.json"), json!({ "cliPluginsExtraDirs": [plugins] }).to_string())
        .unwrap();
    let own = std::env::var("PATH").unwrap();
    let bin = home.join("bin");
    fs::create_dir_all(&bin).unwrap();
    #[cfg(unix)]
    let _ = std::os::unix::fs::symlink(modern.join("usr/bin/docker"), bin.join("docker"));
    format!("{}:{own}", bin.display())
}

/// All files of a repository, but for Git's.
fn content(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with(".git") {
                open.push(path);
            } else if path.is_file() {
                files.insert(path.strip_prefix(root).unwrap().into(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

#[test]
fn each_repository_gets_the_diff_that_was_read() {
    diffs_that_were_read(&names_without_docker());
}

#[test]
#[ignore = "needs newer engines: tests/run"]
fn each_repository_that_docker_reads_gets_the_diff_that_was_read() {
    diffs_that_were_read(&ASKED.map(str::to_owned));
}

/// A diff without the examples of the limits that are not set: there is one more with each limit.
fn without_other_limits(diff: &str) -> String {
    let (mut is_configuration, mut is_example) = (false, false);
    let mut shown = String::new();
    for line in diff.lines() {
        if line.starts_with("+++ ") {
            is_configuration = line.ends_with("/layergate.toml");
        }
        is_example &= line.starts_with("+# ");
        match line {
            _ if is_example => continue,
            _ if is_configuration && line.starts_with("@@ -0,0 ") => shown += "@@ -0,0 +1 @@",
            _ => shown += line,
        }
        shown.push('\n');
        is_example |= line == "+# Other limits:";
    }
    shown
}

fn diffs_that_were_read(names: &[String]) {
    let directory = tempfile::tempdir().unwrap();
    let update = std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always");
    for name in names {
        let root = repository(name, directory.path());
        let before = content(&root);
        let run = init_as_meant(name, &root, &directory.path().join("home"), false).expect(0);
        assert_eq!(content(&root), before, "{name}: printing has changed something");
        let said =
            [("expected.diff", without_other_limits(&run.stdout)), ("expected.txt", run.stderr.clone())];
        for (file, text) in said {
            let path = fixture(&format!("init/{name}/{file}"));
            if update {
                fs::write(&path, &text).unwrap();
            }
            let expected = fs::read_to_string(&path).unwrap_or_default();
            assert!(expected == text, "{path} differs; INSTA_UPDATE=always writes it:\n{text}");
        }
        // The diff is one that git applies, and --write makes the same of the files.
        let patch = directory.path().join("patch");
        fs::write(&patch, &run.stdout).unwrap();
        git(&root, &["apply", "--whitespace=nowarn", patch.to_str().unwrap()]);
        let applied = content(&root);
        git(&root, &["checkout", "--quiet", "."]);
        git(&root, &["clean", "--quiet", "-fd"]);
        let written = init_as_meant(name, &root, &directory.path().join("home"), true).expect(0);
        assert_eq!(written.stdout, "");
        assert_eq!(content(&root), applied, "{name}: the diff is not what is written");
    }
}

#[test]
fn what_is_there_stays_byte_for_byte_and_a_second_time_changes_nothing() {
    stays_byte_for_byte(&names_without_docker());
}

#[test]
#[ignore = "needs newer engines: tests/run"]
fn what_is_there_stays_byte_for_byte_where_docker_reads_it() {
    stays_byte_for_byte(&ASKED.map(str::to_owned));
}

fn stays_byte_for_byte(names: &[String]) {
    let directory = tempfile::tempdir().unwrap();
    for name in names {
        let root = repository(name, directory.path());
        let before = content(&root);
        let home = directory.path().join("home");
        init_as_meant(name, &root, &home, true).expect(0);
        let after = content(&root);
        for (path, text) in &before {
            let (text, changed) =
                (String::from_utf8(text.clone()).unwrap(), String::from_utf8(after[path].clone()).unwrap());
            // Every line of it is still there, in its order and as it was; only lines are added.
            let mut rest = changed.split_inclusive('\n');
            for line in text.split_inclusive('\n') {
                let is_last = !line.ends_with('\n');
                let same =
                    |other: &str| other == line || is_last && other.trim_end_matches(['\r', '\n']) == line;
                assert!(rest.any(same), "{name}: {}: {line:?} is not as it was", path.display());
            }
            let endings = text.matches("\r\n").count();
            assert!(
                endings == 0 || changed.matches('\n').count() == changed.matches("\r\n").count(),
                "{name}"
            );
        }
        let again = init_as_meant(name, &root, &home, true).expect(0);
        assert!(again.stderr.contains("nothing to do"), "{name}: {}", again.stderr);
        assert_eq!(content(&root), after, "{name}: a second time changes something");
        assert_eq!(init_as_meant(name, &root, &home, false).expect(0).stdout, "", "{name}");
    }
}

/// What an auditor finds in the workflows and actions of a repository, and how often.
fn findings(zizmor: &std::ffi::OsStr, root: &Path) -> BTreeMap<String, usize> {
    let mut audit = Command::new(zizmor);
    let config = format!("{}/.github/zizmor.yml", env!("CARGO_MANIFEST_DIR"));
    audit.args(["--offline", "--no-progress", "--format", "json", "--no-exit-codes", "--config", &config]);
    let run = Run::unwatched(audit.arg(root)).expect(0);
    let mut found = BTreeMap::new();
    for one in run.json().as_array().unwrap() {
        *found.entry(one["ident"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    found
}

#[test]
#[ignore = "needs zizmor and actionlint: tests/run"]
fn auditors_find_nothing_in_what_is_added() {
    let program = |name: &str| std::env::var_os(name).filter(|path| !path.is_empty());
    let (zizmor, actionlint) = (program("LAYERGATE_TEST_ZIZMOR"), program("LAYERGATE_TEST_ACTIONLINT"));
    let directory = tempfile::tempdir().unwrap();
    for name in names() {
        let root = repository(&name, directory.path());
        let has_workflows = root.join(".github").exists();
        let before = zizmor
            .as_ref()
            .filter(|_| has_workflows)
            .map(|zizmor| findings(zizmor, &root))
            .unwrap_or_default();
        let run = init_as_meant(&name, &root, &directory.path().join("home"), true);
        run.expect(0);
        if let Some(zizmor) = &zizmor {
            assert_eq!(findings(zizmor, &root), before, "{name}");
        }
        if let Some(actionlint) = &actionlint {
            let mut lint = Command::new(actionlint);
            Run::unwatched(lint.current_dir(&root).args(["-shellcheck=", "-pyflakes="])).expect(0);
        }
    }
    if zizmor.is_none() || actionlint.is_none() {
        skip("the audit of written workflows", "`zizmor` or `actionlint` was not installed for it");
    }
}

#[test]
fn bake_and_compose_files_are_not_followed_unless_docker_may_be_asked() {
    let directory = tempfile::tempdir().unwrap();
    for (name, place) in [("bake", "bake.yml:15"), ("compose", "compose.yml:15")] {
        let root = repository(name, directory.path());
        let run = init(&root, &[]).expect(2);
        assert!(run.stderr.contains(&format!("{place}: not followed: ")), "{}", run.stderr);
        assert!(run.stderr.contains("--ask-docker") && run.stdout.is_empty(), "{}", run.stderr);
    }
}

#[cfg(unix)]
#[test]
fn an_answer_of_docker_has_a_limit() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let (root, bin) = (repository("bake", directory.path()), directory.path().join("bin"));
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("docker"), "#!/bin/sh\nexec yes x\n").unwrap();
    fs::set_permissions(bin.join("docker"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let run = Run::of(layergate().args(["init", "--ask-docker"]).arg(&root).env("PATH", path)).expect(2);
    assert!(run.stderr.contains("bake.yml:15: not followed: docker did not answer within"), "{}", run.stderr);
}

#[test]
fn what_cannot_be_done_is_said_with_the_way_out() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let run = init(root, &[]).expect(2);
    assert!(run.stderr.contains("no step in .github/workflows builds an image"), "{}", run.stderr);
    fs::write(root.join("Dockerfile"), "FROM scratch\n").unwrap();
    for (arguments, expected) in [
        (&["--store", "dir:x"][..], "lost when the job ends"),
        (&["--store", "svn:x"], "svn:x"),
        (&["--branch", "a*"], "the branch a*"),
        (&["--image", "other=x.tar"], "no build makes an image with this name"),
    ] {
        let run = init(root, arguments).expect(2);
        assert!(run.stderr.contains(expected), "{}", run.stderr);
    }
    let run = init(&root.join("gone"), &[]).expect(2);
    assert!(run.stderr.contains("pass the root of a repository"), "{}", run.stderr);
    git(root, &["init", "--quiet"]);
    fs::create_dir(root.join("inner")).unwrap();
    let printed = init(&root.join("inner"), &[]).expect(0).stdout;
    assert!(printed.contains("b/.github/workflows/layergate.yml"), "{printed}");
    assert!(!root.join(CONFIGURATION).exists());
}

#[test]
fn a_configuration_stays_and_limits_are_those_that_an_image_holds() {
    let directory = tempfile::tempdir().unwrap();
    let root = repository("load", directory.path());
    let layer = FakeLayer::plain(&tar_of(&[Item::File("app", 70_000_000)]), "COPY app /app # buildkit");
    let image = oci_layout(&directory.path().join("image"), &[layer]);
    let named = format!("shop={}", image.display());
    init(&root, &["--write", "--image", &named]).expect(0);
    let text = fs::read_to_string(root.join(CONFIGURATION)).unwrap();
    assert!(text.contains("max-size = \"78 MB\" # 70000000 bytes"), "{text}");
    let check = ["check", "--store", "dir:store", &named];
    Run::of(layergate().current_dir(&root).args(check)).expect(0);

    for file in [CONFIGURATION, ".github/layergate.toml"] {
        let root = repository("prebuilt", &directory.path().join(file.replace('/', "-")));
        fs::write(root.join(file), "# mine\n").unwrap();
        init(&root, &["--write"]).expect(0);
        assert_eq!(fs::read_to_string(root.join(file)).unwrap(), "# mine\n");
        assert_eq!(root.join(CONFIGURATION).exists(), file == CONFIGURATION);
    }
}

#[test]
fn an_own_store_and_branch_are_written() {
    let directory = tempfile::tempdir().unwrap();
    let root = repository("none", directory.path());
    let printed =
        init(&root, &["--store", "oci:ghcr.io/acme/sizes", "--branch", "release/1.x"]).expect(0).stdout;
    for part in [
        "branches: [release/1.x]",
        "store: oci:ghcr.io/acme/sizes",
        "refs/heads/release/1.x",
        "packages: write",
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    assert!(!printed.contains("contents: write"), "{printed}");
}

#[test]
fn the_default_branch_is_that_of_origin_whatever_is_checked_out() {
    let directory = tempfile::tempdir().unwrap();
    let (origin, clone) = (directory.path().join("acme/shop"), directory.path().join("clone"));
    fs::create_dir_all(&origin).unwrap();
    fs::write(origin.join("Dockerfile"), "FROM scratch\n").unwrap();
    git(&origin, &["init", "--quiet", "--initial-branch", "trunk"]);
    commit(&origin, "start");
    git(directory.path(), &["clone", "--quiet", "acme/shop", "clone"]);
    git(&clone, &["checkout", "--quiet", "-b", "feature"]);
    let printed = init(&clone, &[]).expect(0).stdout;
    assert!(printed.contains("branches: [trunk]") && printed.contains("[images.shop]"), "{printed}");
}

#[cfg(unix)]
#[test]
fn no_link_leads_out_of_the_repository_and_nothing_is_half_written() {
    use std::os::unix::fs::symlink;
    let directory = tempfile::tempdir().unwrap();
    let (root, outside) = (directory.path().join("root"), directory.path().join("outside"));
    fs::create_dir_all(outside.join("workflows")).unwrap();
    fs::create_dir(&root).unwrap();
    let secret = "on: push\njobs: {a: {steps: [{run: docker build -t outside-name .}]}}";
    fs::write(outside.join("workflows/ci.yml"), secret).unwrap();
    fs::write(outside.join("Dockerfile.far"), "FROM scratch\n").unwrap();
    fs::write(root.join("Dockerfile"), "FROM scratch\n").unwrap();
    symlink(outside.join("Dockerfile.far"), root.join("Dockerfile.far")).unwrap();
    symlink(&outside, root.join(".github")).unwrap();
    let printed = init(&root, &[]).expect(0);
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
    let run = init(&root, &["--write"]).expect(2);
    assert!(run.stderr.contains("cannot be written"), "{}", run.stderr);
    assert!(!outside.join("workflows/layergate.yml").exists() && !root.join(CONFIGURATION).exists());

    // One that leads nowhere yet.
    fs::remove_file(root.join(".github")).unwrap();
    symlink(directory.path().join("nowhere"), root.join(".github")).unwrap();
    init(&root, &["--write"]).expect(2);
    assert!(!directory.path().join("nowhere").exists() && !root.join(CONFIGURATION).exists());
}

#[test]
fn untrusted_workflows_are_read_within_bounds_and_break_out_of_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir_all(root.join(".github/workflows")).unwrap();
    let write = |name: &str, text: &str| fs::write(root.join(".github/workflows").join(name), text).unwrap();
    write("big.yml", &"# x\n".repeat(400_000));
    write("deep.yml", &"[".repeat(100_000));
    write("broken.yml", "on: [push\njobs: }");
    write(
        "flow.yml",
        "on: [push, pull_request]\njobs: {a: {runs-on: x, steps: [{run: 'docker build -t flow:1 .'}]}}\n",
    );
    write("loop.yml", "on: [push, pull_request]\njobs:\n  a:\n    uses: ./.github/workflows/loop.yml\n");
    let odd = "on: [push, pull_request]\njobs:\n  a:\n    runs-on: x\n    if: \"a: b # ${{ c }}\\n  evil: true\"\n    steps:\n      - if: \"x == '\\\"' # y: z\"\n        run: docker build -t 'odd\" evil:1' -t fine:1 .\n";
    write("odd.yml", odd);
    let run = init(root, &[]).expect(0);
    for part in [
        "big.yml: not followed",
        "deep.yml:1: not followed",
        "broken.yml:2: not followed",
        "flow.yml:2: not followed",
    ] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    assert!(run.stdout.contains("x == '\\\"' # y: z"), "{}", run.stdout);
    init(root, &["--write"]).expect(0);
    assert!(!fs::read_to_string(root.join(".github/workflows/odd.yml")).unwrap().contains("\nevil"));
}

/// Stand-ins for the actions that a repository uses: the runner fetches none. They do what the real ones do with the
/// inputs that the repositories have.
fn stand_ins(at: &Path, github: &FakeGithub) -> Vec<String> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let layergate = at.join("layergate");
    fs::create_dir_all(layergate.join("action")).unwrap();
    fs::copy(own.join("action/install.sh"), layergate.join("action/install.sh")).unwrap();
    let mut text = fs::read_to_string(own.join("action.yml")).unwrap();
    for (input, value) in [
        ("binary", env!("CARGO_BIN_EXE_layergate")),
        ("github-api-url", &github.url),
        ("github-repository", "acme/shop"),
    ] {
        let (before, after) = text.split_once(&format!("\n  {input}:\n")).unwrap();
        text = format!("{before}\n  {input}:\n    default: {value}\n{after}");
    }
    text = text.replace("default: ${{ github.token }}", "default: ghs_secret-token");
    fs::write(layergate.join("action.yml"), text).unwrap();
    let mut mapped = vec![format!("layergate/layergate@main={}", layergate.display())];
    copy(Path::new(&fixture("actions")), &at.join("actions"));
    for (action, directory, commit) in [
        ("docker/setup-buildx-action", "nothing", "4d04d5d9486b7bd6fa91e7baf45bbb4f8b9deedd"),
        ("docker/setup-qemu-action", "nothing", "96fe6ef7f33517b61c61be40b68a1882f3264fb8"),
        ("docker/login-action", "nothing", "b45d80f862d83dbcd57f89517bcf500b2ab88fb2"),
        ("docker/metadata-action", "metadata", "dc802804100637a589fabce1cb79ff13a1411302"),
        ("docker/build-push-action", "build-push", "d08e5c354a6adb9ed34480a06d141179aa583294"),
        ("docker/bake-action", "bake", "d3418bd7d0e9324001bca92fa8ba175ea7e6dc9b"),
        ("actions/upload-artifact", "upload", "043fb46d1a93c77aae656e7c1c64a875d1fc6a0a"),
        ("actions/download-artifact", "download", "3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c"),
    ] {
        mapped.push(format!("{action}@{commit}={}", at.join("actions").join(directory).display()));
    }
    mapped
}

/// Runs all workflows of a repository for an event.
fn act(
    root: &Path,
    at: &Path,
    mapped: &[String],
    modern: &(PathBuf, String),
    name: &str,
    event: &Value,
) -> Run {
    let (mut command, _home) = runner(root, name, event);
    let home = at.join("home");
    let artifacts = at.join(format!("artifacts-{}", fastrand::u64(..)));
    fs::create_dir_all(&artifacts).unwrap();
    let path = with_modern(&modern.0, &home);
    for (variable, value) in [
        ("DOCKER_HOST", modern.1.clone()),
        ("DOCKER_CONFIG", home.join(".docker").display().to_string()),
        ("STAND_IN_ARTIFACTS", artifacts.display().to_string()),
        // GitHub's runners check out to a directory of the repository's name; this one does not.
        ("COMPOSE_PROJECT_NAME", root.file_name().unwrap().to_str().unwrap().to_owned()),
        ("PATH", path.clone()),
    ] {
        command.env(variable, &value).args(["--env", &format!("{variable}={value}")]);
    }
    for one in mapped {
        command.args(["--local-repository", one]);
    }
    Run::of(command.env("PATH", path))
}

#[test]
#[ignore = "needs a runner and newer engines: tests/run"]
fn what_is_written_records_and_checks_by_a_real_runner() {
    let Some(engine) = Engine::of_this_run("the written workflows by a real runner") else { return };
    drop(engine);
    let Some(modern) = modern_client() else {
        return skip("the written workflows by a real runner", "no modern engine was started for it");
    };
    if !has_runner() {
        return;
    }
    // What grows, and the image that the comment is about.
    let run = [
        ("load", "app", "shop"),
        ("push-on-main", "app", "push-on-main"),
        ("multi-platform", "server/app", "server"),
        ("matrix", "services/api/app", "api-debug"),
        ("bake", "more", "app-debian"),
        ("compose", "web/page", "web"),
        ("reusable", "app", "shop"),
        ("composite", "app", "shop"),
        ("monorepo", "api/app", "api"),
        ("none", "services/web/page", "web"),
        ("prebuilt", "app", "shop"),
        ("callers", "api/app", "callers-1-api"),
        ("dash", "app", "shop"),
        ("make", "tools/app", "tools"),
        ("podman", "app", "shop"),
        ("rows", "app", "shop"),
    ];
    let only = std::env::var("LAYERGATE_TEST_INIT_ONLY").ok();
    let has_podman = Command::new("podman").arg("--version").output().is_ok_and(|run| run.status.success());
    if !has_podman {
        skip("init of podman", "no podman was installed for it");
    }
    for (name, file, image) in run
        .into_iter()
        .filter(|(name, ..)| has_podman || *name != "podman")
        .filter(|(name, ..)| only.as_deref().is_none_or(|only| only == *name))
    {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        let github = FakeGithub::start();
        let mapped = stand_ins(at, &github);
        let root = repository(name, at);
        init_as_meant(name, &root, &at.join("home"), true).expect(0);
        commit(&root, "gate");
        let base = git(&root, &["rev-parse", "HEAD"]);
        let push = json!({ "ref": "refs/heads/main", "before": "0".repeat(40), "after": base });
        let pushed = act(&root, at, &mapped, &modern, "push", &push).expect(0);
        let recorded = format!("for {} in git:layergate-baselines", &base[..12]);
        assert!(pushed.stdout.contains(&recorded), "{name}: {}{}", pushed.stdout, pushed.stderr);

        git(&root, &["checkout", "--quiet", "-b", "change"]);
        fs::write(root.join(file), "x".repeat(2 << 20)).unwrap();
        let head = commit(&root, "change");
        git(&root, &["checkout", "--quiet", "--detach", "main"]);
        git(&root, &["merge", "--quiet", "--no-ff", "--message", "test merge", &head]);
        // This runner skips what needs a reusable workflow that has failed, whatever its condition says.
        let comments_elsewhere = ["reusable", "callers"].contains(&name);
        let checked = act(&root, at, &mapped, &modern, "pull_request", &pull_request(&head, &base));
        assert_eq!(checked.code, 1, "{name}: {}{}", checked.stdout, checked.stderr);
        if comments_elsewhere {
            let grew = format!("{image} exceeds max-increase");
            assert!(checked.stdout.contains(&grew), "{}", checked.stdout);
            continue;
        }
        let comments = github.bodies_of(BOT).join("\n");
        assert!(
            comments.contains(&format!("`{image}`")) && comments.contains("+5% and 1 MiB"),
            "{name}: {comments}\n{}",
            checked.stdout
        );
    }
}

#[test]
fn what_one_job_measures_another_records() {
    let directory = tempfile::tempdir().unwrap();
    let root = repository("load", directory.path());
    let layer = FakeLayer::plain(&tar_of(&[Item::File("app", 10)]), "COPY app /app");
    let image = oci_layout(&directory.path().join("image"), &[layer]);
    let record = |arguments: &[&str]| Run::of(layergate().current_dir(&root).arg("record").args(arguments));
    record(&["--store", "dir:kept", &format!("shop={}", image.display())]).expect(0);
    record(&["--store", "dir:stored", "--from", "kept"]).expect(0);
    let [kept, stored] = ["kept", "stored"].map(|store| content(&root.join(store)));
    // A record, a list of files, and the .gitignore of a store in a checkout.
    assert!(kept.len() == 3 && kept == stored, "{kept:?} {stored:?}");

    // Of another commit there is nothing.
    fs::write(root.join("more"), "").unwrap();
    commit(&root, "next");
    let run = record(&["--store", "dir:stored", "--from", "kept"]).expect(3);
    assert!(run.stderr.contains("--from kept: nothing was recorded there for"), "{}", run.stderr);
    record(&["--from", "kept", "shop:1"]).expect(2);
    record(&[]).expect(2);
}
