//! Real engines, started by `tests/run`: the machine's own Docker, and newer ones with their tools.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::apps::{self, App};
use crate::support::{Run, layergate, skip, write_program};

/// An engine to build with and to measure from.
#[derive(Clone)]
pub struct Engine {
    pub host: String,
    pub client: OsString,
    busybox: OsString,
}

impl Engine {
    /// The engine that `tests/run` has started.
    pub fn of_this_run(test: &str) -> Option<Engine> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let engine = || {
            Some(Engine {
                host: variable("LAYERGATE_TEST_DOCKER_HOST")?.into_string().ok()?,
                client: variable("LAYERGATE_TEST_DOCKER")?,
                busybox: variable("LAYERGATE_TEST_BUSYBOX")?,
            })
        };
        let engine = engine();
        if engine.is_none() {
            skip(test, "no container engine was started for it");
        }
        engine
    }

    /// The same client for another engine.
    pub fn at(&self, host: &str) -> Engine {
        Engine { host: host.to_owned(), ..self.clone() }
    }

    pub fn docker(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(&self.client);
        command.env("DOCKER_HOST", &self.host).env("DOCKER_BUILDKIT", "1").args(arguments);
        Run::of(&mut command).expect(0).stdout
    }

    /// Runs the client with BuildKit or the classic builder; the error is what it printed.
    pub fn docker_with(&self, arguments: &[&str], buildkit: bool) -> Result<String, String> {
        let mut command = Command::new(&self.client);
        command.env("DOCKER_HOST", &self.host).env("DOCKER_BUILDKIT", if buildkit { "1" } else { "0" });
        let run = Run::of(command.args(arguments));
        if run.code == 0 { Ok(run.stdout) } else { Err(format!("{}{}", run.stdout, run.stderr)) }
    }

    /// Builds `tag` from `context`, with BuildKit.
    pub fn build(&self, context: &Path, dockerfile: &str, tag: &str) {
        let context = context.display().to_string();
        self.docker(&["build", "--quiet", "--network", "host", "--file", dockerfile, "--tag", tag, &context]);
    }

    /// Copies the static busybox into a build context.
    pub fn copy_busybox(&self, context: &Path) {
        fs::copy(&self.busybox, context.join("busybox")).unwrap();
    }

    pub fn layergate(&self, arguments: &[&str]) -> Run {
        Run::of(layergate().env("DOCKER_HOST", &self.host).args(arguments))
    }

    pub fn inspect(&self, image: &str) -> Value {
        self.layergate(&["inspect", "--format", "json", image]).expect(0).json()
    }

    /// The engine's own figure.
    fn size(&self, image: &str) -> u64 {
        self.docker(&["image", "inspect", "--format", "{{.Size}}", image]).trim().parse().unwrap()
    }

    /// Builds an image of one file, and measures it directly.
    fn build_small(&self, context: &Path, tag: &str) -> Value {
        self.copy_busybox(context);
        let dockerfile = context.join("Dockerfile");
        fs::write(&dockerfile, "FROM scratch\nCOPY busybox /bin/busybox\n").unwrap();
        self.build(context, &dockerfile.display().to_string(), tag);
        self.inspect(tag)["totals"].clone()
    }
}

/// A newer engine than the machine's own, with the tools of its release (`tests/modern-engine`).
pub struct Modern {
    /// The engine, accessed with the machine's own client.
    pub engine: Engine,
    state: PathBuf,
}

/// A command to run as root.
pub fn as_root(program: &str) -> Command {
    let id = Run::of(Command::new("id").arg("-u")).expect(0).stdout;
    if id.trim() == "0" {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg("--").arg(program);
    command
}

/// A directory that an engine's own tools and the tests both read and write.
pub struct Shared {
    directory: tempfile::TempDir,
}

impl Modern {
    /// Docker with its containerd image store.
    pub fn containerd(test: &str) -> Option<Modern> {
        Modern::of("LAYERGATE_TEST_MODERN_CONTAINERD", test)
    }

    /// Docker with its classic image store.
    pub fn classic(test: &str) -> Option<Modern> {
        Modern::of("LAYERGATE_TEST_MODERN_CLASSIC", test)
    }

    /// Docker with its containerd image store and its own network, in which BuildKit's generators run. It cannot reach
    /// a registry on this machine.
    pub fn with_network(test: &str) -> Option<Modern> {
        Modern::of("LAYERGATE_TEST_MODERN_NETWORK", test)
    }

    fn of(variable: &str, test: &str) -> Option<Modern> {
        let engine = Engine::of_this_run(test)?;
        let Some(state) = std::env::var_os(variable).filter(|state| !state.is_empty()) else {
            skip(test, &format!("{variable} is not set"));
            return None;
        };
        let state = PathBuf::from(state);
        let engine = engine.at(&format!("unix://{}", state.join("docker.sock").display()));
        Some(Modern { engine, state })
    }

    /// The program in a mount namespace where this engine's data is at `/var/lib/docker`, as on most machines. It runs
    /// as root, or as a user that may use the engine, and `sudo` only as `rule` allows.
    pub fn at_home(&self, user: Option<(&str, &str)>) -> Command {
        let mut command = as_root(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/at-home"));
        command.arg(&self.state).arg(layergate().get_program());
        command.args(user.map_or(["", ""], |(user, rule)| [user, rule])).arg("/var/lib/layergate");
        command
    }

    /// A path below its state.
    pub fn path(&self, name: &str) -> PathBuf {
        self.state.join(name)
    }

    /// Podman, running beside Docker with the containerd image store.
    pub fn podman(&self) -> Engine {
        self.engine.at(&format!("unix://{}", self.state.join("podman.sock").display()))
    }

    /// Where that Podman keeps its images, as `containers-storage:` names it. Only root may read it.
    pub fn podman_storage(&self) -> String {
        format!("overlay@{}", self.state.join("containers/storage").display())
    }

    /// A new directory with busybox and a Dockerfile in it.
    pub fn context(&self, dockerfile: &str) -> Shared {
        let directory = tempfile::tempdir_in(self.state.join("tmp")).unwrap();
        self.engine.copy_busybox(directory.path());
        fs::write(directory.path().join("Dockerfile"), dockerfile).unwrap();
        Shared { directory }
    }

    /// Runs a shell script with the engine's own tools in a directory shared with them, and returns its output.
    #[track_caller]
    pub fn shell(&self, directory: &Shared, script: &str) -> String {
        let name = directory.directory.path().file_name().unwrap().display().to_string();
        // Root may have written files that the tests read.
        let script = format!("set -e; cd '/tmp/{name}'; chmod a+rx .; {script}; chmod -R a+rX .");
        let mut command = Command::new("tests/modern-engine");
        command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("run").arg(&self.state);
        Run::of(command.args(["sh", "-c", &script])).expect(0).stdout.trim().to_owned()
    }
}

impl Shared {
    /// A file of the directory, by its path for the tests.
    pub fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }
}

#[test]
#[ignore = "needs an engine, and packages to install: tests/run"]
fn the_tutorials_application_passes_in_two_stages_and_fails_in_one() {
    let Some(engine) = apps::engine("the tutorial's application") else { return };
    let app = App::named("seed");
    apps::build(&engine, &app, &app.dockerfile("single"), "notesapp:default");
    apps::build(&engine, &app, &app.dockerfile("multistage"), "notesapp:multistage");
    assert_eq!(apps::answers(&engine, "notesapp:multistage", &app), app.answer);

    let sizes = ["notesapp:default", "notesapp:multistage"].map(|image| {
        let measured = engine.inspect(image);
        assert_eq!(measured["totals"]["uncompressed"], engine.size(image), "{image}: the engine's own size");
        assert_eq!(measured["measured"], "content");
        assert!(measured["source"]["engine"].as_str().unwrap().starts_with("docker "));
        assert_eq!(measured["image"]["name"], "notesapp");
        measured["totals"]["uncompressed"].as_i64().unwrap()
    });
    let store = tempfile::tempdir().unwrap();
    let store = format!("dir:{}", store.path().display());
    let limit = format!("{} B", sizes[1]);
    let check = |image: &str| engine.layergate(&["check", image, "--store", &store, "--max-size", &limit]);
    let failed = check("notesapp:default").expect(1);
    assert!(failed.stdout.contains("over the limit of "), "{}", failed.stdout);
    check("docker-daemon:notesapp:multistage").expect(0);

    // pip's cache, pipenv, and the environment that it locked in are gone.
    let saved = layergate::image::Delta(sizes[1] - sizes[0]);
    assert!(saved.0 < -50_000_000, "{saved}");
    let difference =
        engine.layergate(&["diff", "--bytes", "notesapp:default", "notesapp:multistage"]).expect(0).stdout;
    assert!(difference.contains(&saved.grouped()), "{saved}: {difference}");
}

#[test]
#[ignore = "needs an engine: tests/run"]
fn an_image_measures_the_same_by_name_and_from_its_save() {
    let Some(engine) = Engine::of_this_run("by name and from a save") else { return };
    let context = tempfile::tempdir().unwrap();
    engine.copy_busybox(context.path());
    fs::write(
        context.path().join("Dockerfile"),
        "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n\
         RUN mkdir -p /data/cache && seq 1 5000 > /data/cache/a && ln /data/cache/a /data/b\n\
         RUN rm -rf /data/cache && mkdir /data/cache && seq 1 10 > /data/cache/new\nRUN chmod 600 /data/b\n",
    )
    .unwrap();
    engine.build(context.path(), &context.path().join("Dockerfile").display().to_string(), "layers:1");
    let save = context.path().join("layers.tar").display().to_string();
    engine.docker(&["save", "--output", &save, "layers:1"]);
    let parts = |mut snapshot: Value| {
        [snapshot["totals"].take(), snapshot["layers"].take(), snapshot["image"]["id"].take()]
    };
    let by_name = parts(engine.inspect("layers:1"));
    let from_save = parts(engine.inspect(&save));
    assert_eq!(by_name, from_save);
    assert!(by_name[0]["wasted"].as_u64().unwrap() > 20_000, "{}", by_name[0]);

    assert_eq!(exported(&engine, "layers:1"), by_name[0]["flattened"], "what `docker export` writes");
    // What a container of the image sees is the flattened size.
    let seen = engine.docker(&[
        "run", "--rm", "--network", "none", "layers:1", "/bin/busybox", "sh", "-c",
        "find / -xdev -type f -links 1 ! -path '/etc/host*' ! -path /etc/resolv.conf ! -path /.dockerenv -exec stat -c %s {} + ; stat -c %s /data/b",
    ]);
    let sizes: Vec<u64> = seen.lines().map(|line| line.parse().unwrap()).collect();
    let visible = by_name[0]["flattened"].as_u64().unwrap();
    // After `chmod`, the file under /data/b has only that name, so it is in both lists.
    let twice = *sizes.last().unwrap();
    assert_eq!(sizes.iter().sum::<u64>() - twice, visible, "{seen}");
}

/// The bytes of the regular files in `docker export` of a container that never ran. Files that the engine adds
/// (`.dockerenv`, `etc/hosts` and the like) are empty then.
pub fn exported(engine: &Engine, image: &str) -> u64 {
    let file = tempfile::NamedTempFile::new().unwrap();
    let container = engine.docker(&["create", image, "/bin/sh"]);
    engine.docker(&["export", "--output", &file.path().display().to_string(), container.trim()]);
    engine.docker(&["rm", container.trim()]);
    let mut archive = tar::Archive::new(fs::File::open(file.path()).unwrap());
    let entries = archive.entries().unwrap().map(Result::unwrap);
    entries.filter(|entry| entry.header().entry_type().is_file()).map(|entry| entry.size()).sum()
}

#[test]
#[ignore = "needs an engine: tests/run"]
fn the_base_image_ends_where_the_one_that_is_named_does() {
    let Some(engine) = Engine::of_this_run("a base image by its name") else { return };
    let context = tempfile::tempdir().unwrap();
    engine.copy_busybox(context.path());
    let build = |text: &str, tag: &str| {
        let path = context.path().join("Dockerfile");
        fs::write(&path, text).unwrap();
        engine.build(context.path(), &path.display().to_string(), tag);
    };
    let label = "org.opencontainers.image.base.name";
    build("FROM scratch\nCOPY busybox /bin/busybox\nCOPY busybox /bin/sh\nENV A=1\n", "layergate/base:1");
    let own = "COPY Dockerfile /own\n";
    build(&format!("FROM layergate/base:1\nLABEL {label}=layergate/base:1\n{own}"), "on-base:1");
    for _ in ["exported", "known"] {
        let base = engine.inspect("on-base:1")["base"].take();
        assert_eq!(base, serde_json::json!({ "name": "layergate/base:1", "layers": 2, "how": "label" }));
    }
    // A named image that is not below this one, or does not exist, is not its base image.
    build(&format!("FROM scratch\nLABEL {label}=layergate/base:1\n{own}"), "on-base:2");
    assert!(engine.inspect("on-base:2")["base"].is_null());
    build(&format!("FROM layergate/base:1\nLABEL {label}=layergate/none:1\n{own}"), "on-base:3");
    assert!(engine.inspect("on-base:3")["base"].is_null());
}

#[test]
#[ignore = "needs an engine: tests/run"]
fn an_engine_over_tls_by_environment_and_by_context() {
    let Some(engine) = Engine::of_this_run("an engine over TLS") else { return };
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(host), Some(certificates)) =
        (variable("LAYERGATE_TEST_DOCKER_TLS"), variable("LAYERGATE_TEST_DOCKER_CERTS"))
    else {
        return skip("an engine over TLS", "no engine that speaks TLS was started for it");
    };
    let context = tempfile::tempdir().unwrap();
    let expected = engine.build_small(context.path(), "tls:1");

    let inspect = ["inspect", "--format", "json", "tls:1"];
    let by_environment = |verify: &str, directory: &str| {
        let mut command = layergate();
        command.env("DOCKER_HOST", &host).env("DOCKER_TLS_VERIFY", verify).env("DOCKER_CERT_PATH", directory);
        Run::of(command.args(inspect))
    };
    assert_eq!(by_environment("1", &certificates).expect(0).json()["totals"], expected);
    let refused = by_environment("1", "/nowhere").expect(3);
    assert!(refused.stderr.contains("DOCKER_CERT_PATH"), "{}", refused.stderr);
    by_environment("", "").expect(3);

    let config = context.path().join("docker");
    let file = |name: &str| format!("{name}={certificates}/{name}.pem");
    let endpoint = format!("host={host},{},{},{}", file("ca"), file("cert"), file("key"));
    let mut create = Command::new(&engine.client);
    create.env("DOCKER_CONFIG", &config).args(["context", "create", "remote", "--docker", &endpoint]);
    Run::of(&mut create).expect(0);
    for (arguments, environment) in [(&["--engine", "remote"][..], ""), (&[], "remote")] {
        let mut command = layergate();
        command.env("DOCKER_CONFIG", &config).env("DOCKER_CONTEXT", environment);
        assert_eq!(Run::of(command.args(inspect).args(arguments)).expect(0).json()["totals"], expected);
    }
    let mut unknown = layergate();
    unknown.env("DOCKER_CONFIG", &config).args(inspect).args(["--engine", "elsewhere"]);
    let unknown = Run::of(&mut unknown).expect(3);
    assert!(unknown.stderr.contains("docker context ls"), "{}", unknown.stderr);
}

/// The stand-in for ssh runs the command here: it only matters that docker's own client requests the engine's stream
/// from it.
#[test]
#[ignore = "needs an engine: tests/run"]
fn an_engine_over_ssh() {
    let Some(engine) = Engine::of_this_run("an engine over ssh") else { return };
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let script = format!(
        "#!/bin/sh\necho \"$*\" >> {log}\n\
         while [ $# -gt 0 ] && [ \"$1\" != docker ]; do shift; done\n\
         DOCKER_HOST={host} exec {client} system dial-stdio\n",
        log = log.display(),
        host = engine.host,
        client = Path::new(&engine.client).display(),
    );
    write_program(&directory.path().join("ssh"), &script);
    let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap());
    let expected = engine.build_small(directory.path(), "ssh:1");
    let mut command = layergate();
    command.env("PATH", path).args(["inspect", "--format", "json", "ssh:1"]);
    command.args(["--engine", "ssh://me@build-host:2222"]);
    assert_eq!(Run::of(&mut command).expect(0).json()["totals"], expected);
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("-l me -p 2222 -- build-host docker system dial-stdio"), "{log}");

    let refusing = "#!/bin/sh\necho Host key verification failed. >&2\nexit 255\n";
    write_program(&directory.path().join("ssh"), refusing);
    let failed = Run::of(&mut command).expect(3);
    for part in ["Host key verification failed", "ssh://me@build-host:2222", "docker version"] {
        assert!(failed.stderr.contains(part), "{}", failed.stderr);
    }
}

#[test]
#[ignore = "needs an engine: tests/run"]
fn an_image_that_the_engine_does_not_have() {
    let Some(engine) = Engine::of_this_run("an unknown image") else { return };
    let run = engine.layergate(&["inspect", "no-such-image:v1"]).expect(3);
    for part in ["no-such-image:v1", "build or pull it first", &engine.host] {
        assert!(run.stderr.contains(part), "{}", run.stderr);
    }
}
