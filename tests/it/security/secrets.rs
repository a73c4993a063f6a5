//! Secrets: whatever a run is fed, none of them is in what it prints, writes, records or posts.
//!
//! Every secret is one of a kind, so that finding its text anywhere is finding the secret. What it was
//! called is looked for too: otherwise an output that says nothing would pass.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::stores::baselines::{BRANCH, files_of, in_run, sha};
use crate::support::fake_github::FakeGithub;
use crate::support::{FakeLayer, Run, configured_layout, fixture, layergate};

/// Letters and digits that no output has by chance. Put together here, so that nothing that looks for
/// tokens in source text takes them for real ones.
fn made_up(start: &str, number: usize, length: usize) -> String {
    let body = format!("z{number:02}Q7w{}", "Zq3Rx8Ty5Uv2Bn6Mk9Lp4Jh7Gf1Ds".repeat(2));
    format!("{start}{}", &body[..length])
}

/// A step of a history with a secret, and what has to be left of it.
struct Planted {
    secret: String,
    step: String,
    shown: &'static str,
}

/// Steps that make a layer. `{}` is the secret.
const STEPS: &[(&str, usize, &str, &str)] = &[
    // What builders put before a command, in the shell form, the classic builder's, and the exec form.
    ("", 12, "RUN |2 NPM_TOKEN={} MODE=ci /bin/sh -c npm ci # buildkit", "RUN npm ci"),
    ("", 12, "|1 ANY_NAME={} /bin/sh -c make classic", "RUN make classic"),
    ("", 12, "RUN |1 ANY_NAME={} /app/tool --exec # buildkit", "RUN \u{2026}"),
    // By the name.
    ("", 12, "RUN /bin/sh -c tool --password={} --one # buildkit", "tool --password=*** --one"),
    ("", 12, "RUN /bin/sh -c tool --api-key {} --two # buildkit", "tool --api-key *** --two"),
    (
        "",
        12,
        "RUN /bin/sh -c export DB_PASSWORD='{} x' && three # buildkit",
        "export DB_PASSWORD='***' && three",
    ),
    ("", 12, "ENV SIGNING_SECRET={} AND=four", "ENV SIGNING_SECRET=*** AND=four"),
    ("", 12, "LABEL com.example.token={}", "LABEL com.example.token=***"),
    (
        "",
        12,
        "COPY --chown=me:me --from-token={} a /five # buildkit",
        "COPY --chown=me:me --from-token=*** a /five",
    ),
    ("", 12, "/bin/sh -c echo //registry.npmjs.org/:_authToken={} > /six", "/:_authToken=*** > /six"),
    // Behind quotes that do not add up.
    (
        "",
        12,
        "RUN /bin/sh -c sed -i \"s/\\\"//g\" f && tool --password \"{}\" --seven # buildkit",
        "tool --password \"***\" --seven",
    ),
    (
        "",
        12,
        "RUN /bin/sh -c tr -d \\\" < f && curl -H \"X-Api-Key: {}\" eight # buildkit",
        "curl -H \"X-Api-Key: ***\" eight",
    ),
    ("", 12, "RUN curl -fsSLu me:{} https://nine.example # buildkit", "curl -fsSLu *** https://nine.example"),
    // By the place.
    ("", 12, "RUN git clone https://me:{}@git.example/seven # buildkit", "https://***@git.example/seven"),
    ("", 12, "RUN migrate mysql://root:{}@db/eight # buildkit", "mysql://***@db/eight"),
    ("", 12, "RUN curl -u me:{} https://nine.example # buildkit", "curl -u *** https://nine.example"),
    ("", 12, "RUN curl -H \"Authorization: Bearer {}\" ten # buildkit", "Authorization: Bearer ***"),
    ("", 12, "RUN docker login -u me -p {} eleven.example # buildkit", "login -u me -p *** eleven.example"),
    ("", 12, "RUN echo 'root:{}' | chpasswd # buildkit", "RUN echo '***' | chpasswd"),
    ("", 12, "RUN x 'AccountName=a;AccountKey={}==;E=twelve' # buildkit", "AccountKey=***;E=twelve"),
    ("", 12, "RUN curl 'https://x.example/?sig={}&thirteen=1' # buildkit", "?sig=***&thirteen=1"),
    ("", 12, "RUN java -storepass {} -fourteen # buildkit", "java -storepass *** -fourteen"),
    // By the shape.
    ("ghp_", 36, "RUN fifteen {} # buildkit", "RUN fifteen ***"),
    ("github_pat_", 40, "RUN sixteen {} # buildkit", "RUN sixteen ***"),
    ("glpat-", 20, "RUN seventeen {} # buildkit", "RUN seventeen ***"),
    ("npm_", 36, "RUN eighteen {} # buildkit", "RUN eighteen ***"),
    ("xoxb-", 30, "RUN nineteen {} # buildkit", "RUN nineteen ***"),
    ("sk_live_", 24, "RUN twenty {} # buildkit", "RUN twenty ***"),
    ("AIza", 35, "RUN twentyone {} # buildkit", "RUN twentyone ***"),
    ("sk-ant-", 40, "RUN twentytwo {} # buildkit", "RUN twentytwo ***"),
    ("hvs.", 24, "RUN twentythree {} # buildkit", "RUN twentythree ***"),
    ("dckr_pat_", 24, "RUN twentyfour {} # buildkit", "RUN twentyfour ***"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJ", 24, "RUN twentyfive {} # buildkit", "RUN twentyfive ***"),
    ("-----BEGIN PRIVATE KEY-----", 40, "RUN echo '{}' > /twentysix # buildkit", "RUN echo '***"),
];

fn planted() -> Vec<Planted> {
    let plant = |(number, (start, length, step, shown)): (
        usize,
        &(&'static str, usize, &'static str, &'static str),
    )| {
        let secret = made_up(start, number, *length);
        Planted {
            step: step.replace("{}", &secret),
            secret: secret.replace("-----BEGIN PRIVATE KEY-----", ""),
            shown,
        }
    };
    STEPS.iter().enumerate().map(plant).collect()
}

/// Steps without a layer, the environment and the labels of the config.
const SETTINGS: [(&str, usize); 8] = [
    ("ARG ARG_TOKEN={}", 60),
    ("ENV ENV_TOKEN={}", 61),
    ("ENV ANY_OTHER_NAME={}", 62),
    ("LABEL any.label={}", 63),
    ("CMD [\"serve\" \"--token\" \"{}\"]", 64),
    ("HEALTHCHECK &{[\"CMD-SHELL\" \"curl -u me:{} localhost\"] \"30s\"", 65),
    ("/bin/sh -c #(nop)  ENTRYPOINT [\"run\" \"--password={}\"]", 66),
    ("ONBUILD ENV ON_BUILD_SECRET={}", 67),
];

/// A file of one name with this content.
fn layer_of(path: &str, content: &[u8], step: &str) -> FakeLayer {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, path, content).unwrap();
    FakeLayer::gzip(&tar.into_inner().unwrap(), step)
}

/// What a run is fed with, and where it may write.
struct Scene {
    directory: tempfile::TempDir,
    planted: Vec<Planted>,
    /// All secrets.
    secrets: Vec<String>,
    /// What was printed, written and posted, and by what.
    seen: Vec<(String, Vec<u8>)>,
}

impl Scene {
    fn new() -> Scene {
        let planted = planted();
        let mut secrets: Vec<String> = planted.iter().map(|one| one.secret.clone()).collect();
        secrets.extend((60..90).map(|number| made_up("", number, 12)));
        Scene { directory: tempfile::tempdir().unwrap(), planted, secrets, seen: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn image(&self, name: &str, bytes: usize) -> String {
        let content = |index: usize| vec![b'x'; bytes * (index + 1)];
        let step =
            |(index, one): (usize, &Planted)| layer_of(&format!("f{index}"), &content(index), &one.step);
        let mut layers: Vec<FakeLayer> = self.planted.iter().enumerate().map(step).collect();
        let env = format!("API_KEY={}\n", made_up("", 70, 12));
        layers.push(layer_of("app/.env", env.as_bytes(), "COPY .env /app/"));
        let layout = configured_layout(&self.path(name), &layers, |config| {
            for (step, number) in SETTINGS {
                let step = step.replace("{}", &made_up("", number, 12));
                let history = config["history"].as_array_mut().unwrap();
                history.push(json!({ "created_by": step, "empty_layer": true }));
            }
            config["config"] = json!({
                "Env": [format!("RUNTIME_TOKEN={}", made_up("", 71, 12))],
                "Labels": {
                    "org.opencontainers.image.base.name": format!("me:{}@registry.example/base", made_up("", 72, 12)),
                },
            });
        });
        format!("app={}", layout.display())
    }

    /// The Dockerfile of such an image: the same steps as somebody wrote them.
    fn dockerfile(&self) -> String {
        let mut text = format!("FROM me:{}@registry.example/base\n", made_up("", 72, 12));
        for one in &self.planted {
            let step = one.step.trim_end_matches(" # buildkit").replace("/bin/sh -c ", "");
            let step = if step.contains('|') && !step.contains("chpasswd") { one.shown } else { &step };
            let keyword = ["RUN ", "ENV ", "LABEL ", "COPY "].iter().any(|keyword| step.starts_with(keyword));
            text.push_str(&format!("{}{step}\n", if keyword { "" } else { "RUN " }));
        }
        let address = made_up("", 73, 12);
        text.push_str(&format!(
            "RUN pip install git+https://me:{address}@git.example/tool \\\n && gcc --version\n"
        ));
        text.push_str(&format!(
            "RUN apt-get install -y gcc make && tool --password {}\n",
            made_up("", 74, 12)
        ));
        text
    }

    fn run(&mut self, command: &mut Command, code: i32) -> Run {
        let run = Run::of(command).expect(code);
        let what = format!("{:?}", command.get_args().collect::<Vec<_>>());
        self.seen.push((format!("stdout of {what}"), run.stdout.clone().into_bytes()));
        self.seen.push((format!("stderr of {what}"), run.stderr.clone().into_bytes()));
        run
    }

    fn file(&mut self, path: &Path) {
        let content = fs::read(path).unwrap();
        let content = if content.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            zstd::decode_all(content.as_slice()).unwrap()
        } else if content.starts_with(&[0x1f, 0x8b]) {
            let mut uncompressed = Vec::new();
            std::io::copy(&mut flate2::read::MultiGzDecoder::new(content.as_slice()), &mut uncompressed)
                .unwrap();
            uncompressed
        } else {
            content
        };
        self.seen.push((path.display().to_string(), content));
    }

    fn files_below(&mut self, directory: &Path) {
        let mut count = 0;
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.files_below(&path)
            } else {
                self.file(&path)
            }
            count += 1;
        }
        assert!(count > 0, "{}", directory.display());
    }

    /// Every object of a repository, commits and trees included.
    fn objects_of(&mut self, github: &FakeGithub) {
        let git = |arguments: &[&str]| github.repository().git(arguments, b"").unwrap();
        let listed = git(&["cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)"]);
        for line in String::from_utf8(listed.clone()).unwrap().lines() {
            let (name, kind) = line.split_once(' ').unwrap();
            let content = git(&["cat-file", kind, name]);
            let uncompressed = zstd::decode_all(content.as_slice()).unwrap_or_default();
            self.seen.push((format!("{kind} {name}"), [content, uncompressed].concat()));
        }
    }

    #[track_caller]
    fn assert_clean(&self) {
        let mut leaks = Vec::new();
        for (what, content) in &self.seen {
            let text = String::from_utf8_lossy(content);
            for secret in self.secrets.iter().map(String::as_str).chain(["secret-token"]) {
                if let Some(at) = text.find(secret) {
                    let before: Vec<char> = text[..at].chars().rev().take(100).collect();
                    leaks.push(format!("{what}: ...{}{secret}", before.iter().rev().collect::<String>()));
                }
            }
        }
        assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
    }

    /// What was told that is like this, all together.
    fn said(&self, part: &str) -> String {
        let seen = self.seen.iter().filter(|(what, _)| what.contains(part));
        seen.map(|(_, content)| String::from_utf8_lossy(content).into_owned()).collect()
    }

    #[track_caller]
    fn assert_shown(&self, part: &str) {
        let said = self.said(part);
        for one in &self.planted {
            let quoted = serde_json::to_string(one.shown).unwrap();
            let shown = said.contains(one.shown) || said.contains(quoted.trim_matches('"'));
            assert!(shown, "{part} does not have {}", one.shown);
        }
    }
}

#[test]
fn no_output_has_a_secret_of_an_image() {
    let mut scene = Scene::new();
    assert!(scene.planted.len() >= 20);
    let (before, after) = (scene.image("before", 100), scene.image("after", 3000));
    fs::write(scene.path("Dockerfile"), scene.dockerfile()).unwrap();
    let here = scene.directory.path().to_owned();
    let at = |arguments: &[&str]| {
        let mut command = layergate();
        command.current_dir(&here).env("GITHUB_TOKEN", "ghs_secret-token").args(arguments);
        command
    };
    for format in ["text", "markdown", "json"] {
        scene.run(&mut at(&["inspect", &after, "--duplicates", "--removable", "--format", format]), 0);
        scene.run(&mut at(&["diff", &before, &after, "--format", format]), 0);
        scene.run(&mut at(&["stages", "Dockerfile", "--format", format]), 0);
        scene.run(&mut at(&["stages", "Dockerfile", "--image", &after, "--format", format]), 0);
    }
    scene.run(&mut at(&["inspect", &after, "-o", "snapshot.json"]), 0);
    scene.file(&here.join("snapshot.json"));
    let store = format!("dir:{}", here.join("store").display());
    scene.run(&mut at(&["record", &before, "--store", &store, "--commit", &sha(1)]), 0);
    scene.run(&mut at(&["record", &after, "--store", &store, "--commit", &sha(2)]), 0);
    scene.files_below(&here.join("store"));
    for format in ["text", "markdown", "json", "csv"] {
        scene.run(&mut at(&["history", "app", "--store", &store, "--format", format]), 0);
    }
    let limits = ["--max-increase", "1%", "--max-layer-size", "1 KB", "--multi-stage", "require"];
    let check = ["check", &after, "--store", &store, "--base-commit"];
    let base = sha(1);
    for format in ["text", "markdown", "json"] {
        let all = [&check[..], &[&base, "--format", format, "--report", "report.json"], &limits].concat();
        scene.run(&mut at(&all), 1);
        scene.file(&here.join("report.json"));
    }
    scene.assert_clean();
    for output in ["snapshot.json", "store/records", "report.json"] {
        scene.assert_shown(output);
    }
    for (command, format) in [("inspect", "json"), ("diff", "json"), ("check", "json"), ("check", "text")] {
        let said = scene.said(&format!("[\"{command}\""));
        assert!(said.contains("tool --password=***"), "{command} {format}");
    }
}

#[test]
fn neither_a_pull_request_nor_a_branch_of_baselines_has_a_secret() {
    let mut scene = Scene::new();
    let github = FakeGithub::start();
    let (before, after) = (scene.image("before", 100), scene.image("after", 3000));
    let here = scene.directory.path().to_owned();
    scene.run(in_run(&github, &here, "push").args(["record", &before, "--commit", &sha(1)]), 0);
    assert!(files_of(&github).iter().any(|path| path.starts_with("records/")));
    scene.objects_of(&github);
    let event = json!({
        "pull_request": {
            "number": 7,
            "head": { "sha": sha(2), "repo": { "full_name": "acme/shop" } },
            "base": { "ref": "main", "sha": sha(1), "repo": { "full_name": "acme/shop" } },
        }
    });
    fs::write(here.join("event.json"), event.to_string()).unwrap();
    let mut check = in_run(&github, &here, "pull_request");
    check.args([
        "check",
        &after,
        "--base-commit",
        &sha(1),
        "--max-increase",
        "1%",
        "--max-layer-size",
        "1 KB",
    ]);
    check
        .env("GITHUB_EVENT_PATH", here.join("event.json"))
        .env("GITHUB_RUN_ID", "1")
        .env("GITHUB_SHA", sha(2));
    check.env("GITHUB_OUTPUT", here.join("output")).env("GITHUB_STEP_SUMMARY", here.join("summary"));
    let run = scene.run(&mut check, 1);
    assert!(run.stderr.contains("::error"), "{}", run.stderr);
    for name in ["output", "summary"] {
        scene.file(&here.join(name));
    }
    let reports: Vec<PathBuf> = fs::read_dir(&here).unwrap().map(|entry| entry.unwrap().path()).collect();
    for report in reports.iter().filter(|path| path.to_string_lossy().contains("layergate-report")) {
        scene.file(report);
    }
    let comments: Vec<String> = github.world().comments.iter().map(|comment| comment.body.clone()).collect();
    assert_eq!(comments.len(), 1);
    scene.seen.push(("comment".into(), comments[0].clone().into_bytes()));
    scene.assert_clean();
    scene.assert_shown("layergate-report");
    scene.assert_shown("blob");
    for output in ["comment", "summary"] {
        assert!(scene.said(output).contains("twentyfive ***"), "{output}: {}", scene.said(output));
    }
    assert!(github.repository().line(&["rev-parse", BRANCH]).is_some());
}

/// A snapshot as an earlier version wrote it: with the secrets in it.
fn old_snapshot(scene: &Scene, new: &str) -> String {
    let mut document: Value = serde_json::from_str(new).unwrap();
    for (layer, one) in document["layers"].as_array_mut().unwrap().iter_mut().zip(&scene.planted) {
        if !one.step.contains("|1") && !one.step.contains("|2") {
            let step = one.step.trim_end_matches(" # buildkit").replace("/bin/sh -c ", "");
            layer["created_by"] = Value::from(step.replace("echo //", "RUN echo //"));
        }
    }
    document["image"]["reference"] =
        Value::from(format!("docker://me:{}@registry.example/app", made_up("", 75, 12)));
    document.to_string()
}

#[test]
fn what_an_earlier_version_recorded_is_shown_without_secrets_and_still_fits() {
    let mut scene = Scene::new();
    let (before, after) = (scene.image("before", 100), scene.image("after", 3000));
    let here = scene.directory.path().to_owned();
    let at = |arguments: &[&str]| {
        let mut command = layergate();
        command.current_dir(&here).args(arguments);
        command
    };
    scene.run(&mut at(&["inspect", &before, "-o", "new.json"]), 0);
    let old = old_snapshot(&scene, &fs::read_to_string(here.join("new.json")).unwrap());
    let planted = scene.planted.iter().filter(|one| old.contains(&one.secret)).count();
    assert!(planted >= 20, "{planted}");
    fs::write(here.join("old.json"), old).unwrap();
    for format in ["text", "markdown", "json"] {
        scene.run(&mut at(&["inspect", "app=snapshot:old.json", "--format", format]), 0);
        scene.run(&mut at(&["diff", "snapshot:old.json", &after, "--format", format]), 0);
        let check =
            ["check", &after, "--baseline", "app=snapshot:old.json", "--max-increase", "1%", "--format"];
        scene.run(&mut at(&[&check[..], &[format]].concat()), 1);
    }
    scene.run(&mut at(&["inspect", "snapshot:old.json", "-o", "again.json"]), 0);
    scene.file(&here.join("again.json"));
    scene.assert_clean();
    scene.assert_shown("again.json");
    let diff = scene.run(&mut at(&["diff", "snapshot:old.json", &after, "--format", "json"]), 0).json();
    let layers = diff["images"][0]["layers"].as_array().or_else(|| diff["layers"].as_array()).unwrap();
    let statuses: Vec<&str> = layers.iter().map(|layer| layer["status"].as_str().unwrap()).collect();
    assert!(statuses.iter().all(|status| ["rebuilt", "unchanged"].contains(status)), "{statuses:?}");

    // What docker itself says of an image has all of its environment.
    let mut inspected: Value = serde_json::from_str(
        &fs::read_to_string(fixture("engines/docker-20.10/edge-v1.inspect.json")).unwrap(),
    )
    .unwrap();
    inspected["Config"]["Env"] = json!([format!("A_TOKEN={}", made_up("", 76, 12))]);
    inspected["RepoTags"] = json!([format!("me:{}@registry.example/web:1", made_up("", 77, 12))]);
    fs::write(here.join("inspected.json"), inspected.to_string()).unwrap();
    for format in ["text", "markdown", "json"] {
        scene.run(&mut at(&["inspect", "inspect:inspected.json", "--format", format]), 0);
    }
    scene.assert_clean();
}

#[test]
fn no_message_has_a_secret_of_the_command_line_or_the_environment() {
    let mut scene = Scene::new();
    let image = scene.image("image", 100);
    let here = scene.directory.path().to_owned();
    let secret = |number| made_up("", number, 12);
    let login = |number, scheme: &str, rest: &str| format!("{scheme}me:{}@{rest}", secret(number));
    let auth = "bWU6ejgwUTd3WnEzUng4";
    scene.secrets.push(auth.into());
    let registries = json!({ "auths": { "127.0.0.1:1": { "auth": auth } } });
    fs::write(here.join("config.json"), registries.to_string()).unwrap();
    let proxy = login(81, "http://", "127.0.0.1:1");
    let at = |arguments: &[&str]| {
        let mut command = layergate();
        command.current_dir(&here).env("DOCKER_CONFIG", &here).env("GITHUB_TOKEN", "ghs_secret-token");
        command.env("LAYERGATE_GITHUB_TOKEN", "ghs_secret-token").args(arguments);
        command
    };
    // Registries, which know a login from the settings of docker and of the proxy.
    scene.run(&mut at(&["inspect", "docker://127.0.0.1:1/app"]), 3);
    scene.run(at(&["inspect", "docker://registry.example/app"]).env("HTTPS_PROXY", &proxy), 3);
    let image_with_login = login(82, "docker://", "registry.example/app");
    scene.run(&mut at(&["inspect", &image_with_login]), 2);
    scene.run(&mut at(&["inspect", &login(82, "", "registry.example/app=")]), 2);
    scene.run(&mut at(&["check", &image, "--baseline", &image_with_login]), 2);
    // Engines.
    scene.run(at(&["inspect", "app:1"]).env("DOCKER_HOST", login(83, "ssh://", "host.invalid")), 3);
    scene.run(at(&["inspect", "app:1"]).env("DOCKER_HOST", login(83, "tcp://", "127.0.0.1:1")), 3);
    scene.run(&mut at(&["inspect", "app:1", "--engine", &login(84, "what://", "host")]), 3);
    // Stores, and GitHub.
    for store in [login(85, "oci:", "registry.example/app"), login(85, "https://", "registry.example/app")] {
        let run = scene.run(&mut at(&["record", &image, "--store", &store, "--commit", &sha(1)]), 2);
        assert!(run.stderr.contains("***@registry.example"), "{}", run.stderr);
    }
    let github = FakeGithub::start();
    for rest in [github.url.trim_start_matches("http://"), "no address"] {
        let api = login(86, "http://", rest);
        let flags = ["--github-api-url", &api, "--github-repository", "acme/shop", "--store", "git"];
        let mut record = at(&[&["record", &image, "--commit", &sha(1)], &flags[..]].concat());
        let run = Run::of(&mut record);
        let code = run.code;
        assert!([0, 2, 3].contains(&code), "{code} {}", run.stderr);
        scene.run(&mut record, code);
    }
    let mut without = layergate();
    without.current_dir(&here).args(["record", &image, "--store", "git", "--github-repository", "acme/shop"]);
    let run = scene.run(without.args(["--commit", &sha(1)]), 2);
    assert!(run.stderr.contains("set GITHUB_TOKEN (contents: read to check"), "{}", run.stderr);
    // What clap says of a command line, and of the environment.
    let token = made_up("ghp_", 87, 36);
    for odd in [
        vec!["check", &image, "--format", &token],
        vec!["check", &image, "--no-such-option", &token],
        vec![token.as_str()],
        vec!["inspect", &image, "--platform", &token],
        vec!["record", &image, "--keep-last", &token],
    ] {
        scene.run(&mut at(&odd), 2);
    }
    for help in [vec!["--help"], vec!["check", "--help"], vec!["record", "-h"], vec!["--version"]] {
        scene.run(&mut at(&help), 0);
    }
    scene.run(&mut at(&["inspect", &image, "--safety-limit", &format!("{token}=1")]), 2);
    let settings = format!("[limits]\nmax-size = \"{token}\"\n");
    fs::write(here.join("layergate.toml"), settings).unwrap();
    scene.run(&mut at(&["check", &image]), 2);
    scene.assert_clean();
    assert!(scene.said("--engine").contains("what://***@host"), "{}", scene.said("--engine"));
    assert!(scene.said("--no-such-option").contains("--no-such-option"));
}

#[test]
fn a_dockerfile_that_is_proposed_has_no_secret_of_the_one_that_it_is_made_from() {
    let mut scene = Scene::new();
    let here = scene.directory.path().to_owned();
    let (of_env, of_run) = (made_up("", 78, 12), made_up("", 79, 12));
    let install = format!("pip install --index-url https://me:{of_run}@pypi.example/simple flask");
    let layers = [
        layer_of("usr/local/bin/python3", &[b'x'; 5000], "RUN make python # buildkit"),
        layer_of("app/app.py", b"x", "COPY app.py /app/ # buildkit"),
        layer_of(
            "root/.cache/pip/http/a",
            &[b'x'; 9_000_000],
            &format!("RUN /bin/sh -c {install} # buildkit"),
        ),
    ];
    let layout = configured_layout(&here.join("app"), &layers, |config| {
        let history = config["history"].as_array_mut().unwrap();
        let empty = |step: String| json!({ "created_by": step, "empty_layer": true });
        history.insert(1, empty("CMD [\"python3\"]".into()));
        history.insert(2, empty(format!("ENV API_TOKEN={of_env}")));
        history.push(empty("CMD [\"python3\" \"/app/app.py\"]".into()));
    });
    let dockerfile = format!(
        "# the users' image\nFROM python:3\nENV API_TOKEN={of_env}\nCOPY app.py /app/\n# what's needed\nRUN {install}\nCMD [\"python3\", \"/app/app.py\"]\n"
    );
    fs::write(here.join("Dockerfile"), dockerfile).unwrap();
    for format in ["text", "json"] {
        let mut propose = layergate();
        let image = format!("oci:{}", layout.display());
        propose.current_dir(&here).args([
            "stages",
            "--propose",
            "Dockerfile",
            "--image",
            &image,
            "--format",
            format,
        ]);
        let run = scene.run(&mut propose, 0);
        assert!(run.stdout.contains("ENV API_TOKEN=***"), "{}", run.stdout);
        let whole = if format == "json" { "\\nCOPY app.py /app/\\n" } else { "\nCOPY app.py /app/\n" };
        assert!(run.stdout.contains(whole), "{}", run.stdout);
        assert!(run.stdout.contains("https://***@pypi.example/simple"), "{}", run.stdout);
        assert!(run.stderr.contains("shows *** for each"), "{}", run.stderr);
    }
    scene.assert_clean();
}
