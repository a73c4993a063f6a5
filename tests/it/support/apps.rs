//! Real applications, built from typical Dockerfiles and run, with everything that pip, pipenv, npm, apt, gcc and javac
//! leave in an image. `apps.py` makes the base images from this machine's own packages, and builds install only from a
//! directory that `tests/run` serves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::support::engine::Engine;
use crate::support::{Run, fixture, skip};

/// The base images: a tag, the base, the layer's name in `apps.py`, and the instructions after it.
const BASES: [(&str, &str, &str, &str); 8] = [
    ("debian:bookworm-slim", "scratch", "debian", "CMD [\"bash\"]\n"),
    ("gcc:12", "debian:bookworm-slim", "compilers", "CMD [\"bash\"]\n"),
    (
        "python:3-slim",
        "debian:bookworm-slim",
        "python",
        "RUN ldconfig\nENV LANG C.UTF-8\nCMD [\"python3\"]\n",
    ),
    ("python:3", "python:3-slim", "compilers-on-python", "CMD [\"python3\"]\n"),
    ("node:20-slim", "debian:bookworm-slim", "node", NODE),
    ("node:20", "gcc:12", "node-on-compilers", NODE),
    ("eclipse-temurin:17-jre", "debian:bookworm-slim", "jre", JAVA),
    ("eclipse-temurin:17", "debian:bookworm-slim", "jdk", JAVA),
];
const SITE: &str = "<!DOCTYPE html>\n<title>Tides</title>\n<p>High water &amp; low water</p>\n";
const NODE: &str = "ENTRYPOINT [\"docker-entrypoint.sh\"]\nCMD [\"node\"]\n";
const JAVA: &str = "ENV JAVA_HOME=/opt/java/openjdk\nENV PATH=/opt/java/openjdk/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n";

/// Queries containers from within their network, so that they need no client program.
const CLIENT: &str = "apps-client:1";

/// An application in `tests/it/support/apps`, whose `Dockerfile` has one stage.
pub struct App {
    pub name: &'static str,
    /// The build context.
    pub dir: PathBuf,
    /// Its URL inside the container, and the answer expected there.
    pub url: &'static str,
    pub answer: &'static str,
}

impl App {
    /// The application of a name.
    #[track_caller]
    pub fn named(name: &str) -> App {
        App::all().into_iter().find(|app| app.name == name).unwrap()
    }

    pub fn all() -> Vec<App> {
        let app = |name, url, answer| App { name, dir: directory().join(name), url, answer };
        vec![
            app("seed", "http://127.0.0.1:80/", "notes: water the plants\n"),
            app("node-dev", "http://127.0.0.1:3000/", "asks again in 2 minutes\n"),
            app("c-server", "http://127.0.0.1:8080/", "hello from C\n"),
            app("apt-deps", "http://127.0.0.1:8000/", "5 scalars\n"),
            app("static-site", "http://127.0.0.1:8080/", SITE),
            app("java", "http://127.0.0.1:8080/", "hello from Java\n"),
        ]
    }

    /// `single`, which is what people start from; `multistage`, which is what they should have; or another variant.
    pub fn dockerfile(&self, kind: &str) -> PathBuf {
        match (self.name, kind) {
            ("seed", "multistage") => fixture("seed/Dockerfile.multistage").into(),
            (_, "single") => self.dir.join("Dockerfile"),
            _ => self.dir.join(format!("Dockerfile.{kind}")),
        }
    }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/apps")
}

/// The engine of this run, with all base images and with packages for builds to install.
pub fn engine(test: &str) -> Option<Engine> {
    let engine = Engine::of_this_run(test)?;
    if Packages::of_this_run().is_none() {
        skip(test, "no packages are served for it");
        return None;
    }
    bases(&engine);
    Some(engine)
}

/// The directory that is served while tests run, and its URL.
struct Packages {
    directory: String,
    address: String,
}

impl Packages {
    fn of_this_run() -> Option<Packages> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (directory, address) = ("LAYERGATE_TEST_PACKAGES", "LAYERGATE_TEST_PACKAGES_AT");
        Some(Packages { directory: variable(directory)?, address: variable(address)? })
    }
}

/// Copies a served file into a directory.
pub fn copy_served(name: &str, directory: &Path) {
    let packages = Packages::of_this_run().expect("packages are served by tests/run");
    fs::copy(Path::new(&packages.directory).join(name), directory.join(name)).unwrap();
}

/// Runs `apps.py`.
fn make(arguments: &[&str]) {
    let mut command = Command::new("python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/apps.py"));
    Run::of(command.args(arguments)).expect(0);
}

/// Builds the base images, once.
pub fn bases(engine: &Engine) {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let packages = Packages::of_this_run().expect("packages are served by tests/run");
        let repository = format!("{}/debs", packages.directory);
        fs::create_dir_all(&repository).unwrap();
        make(&["debs", &repository]);
        // All from one directory, because a builder keeps a copy of the last context from there.
        let context = tempfile::tempdir().unwrap();
        let [tar, path] = ["root.tar", "Dockerfile"].map(|name| context.path().join(name));
        let build = |tag: &str, text: &str| {
            fs::write(&path, text).unwrap();
            engine.build(context.path(), &path.display().to_string(), tag);
        };
        for (tag, from, layer, rest) in BASES {
            make(&["root", layer, &tar.display().to_string(), &packages.address]);
            build(tag, &format!("FROM {from}\nADD root.tar /\n{rest}"));
        }
        fs::remove_file(tar).unwrap();
        engine.copy_busybox(context.path());
        build(CLIENT, "FROM scratch\nCOPY busybox /bin/busybox\nENTRYPOINT [\"/bin/busybox\"]\n");
    });
}

/// Builds `rust:1`, which few tests need, from the toolchain that compiles them.
pub fn rust(engine: &Engine) {
    let packages = Packages::of_this_run().expect("packages are served by tests/run");
    let context = tempfile::tempdir().unwrap();
    let [tar, path] = ["root.tar", "Dockerfile"].map(|name| context.path().join(name));
    make(&["root", "rust", &tar.display().to_string(), &packages.address]);
    let home = "ENV CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    fs::write(&path, format!("FROM gcc:12\nADD root.tar /\n{home}\nCMD [\"bash\"]\n")).unwrap();
    engine.build(context.path(), &path.display().to_string(), "rust:1");
}

/// Builds an application from this Dockerfile, which may be anywhere: the context is the application's.
pub fn build(engine: &Engine, app: &App, dockerfile: &Path, tag: &str) {
    bases(engine);
    engine.build(&app.dir, &dockerfile.display().to_string(), tag);
}

/// The image of one of its own Dockerfiles. It is built once, however often it is requested.
pub fn image(engine: &Engine, app: &App, kind: &str) -> String {
    let tag = format!("apps-{}:{kind}", app.name);
    build(engine, app, &app.dockerfile(kind), &tag);
    tag
}

/// Starts a container from an image of the application, and returns its answer once there is one. Each container has
/// its own network, so that several may use the same port.
#[track_caller]
pub fn answers(engine: &Engine, image: &str, app: &App) -> String {
    let container = engine.docker(&["run", "--detach", "--network", "none", image]);
    let container = container.trim();
    let script = format!(
        "for try in $(/bin/busybox seq 150); do /bin/busybox wget -q -O - {} 2>/dev/null && exit 0; \
         /bin/busybox sleep 0.2; done; exit 1",
        app.url
    );
    let network = format!("container:{container}");
    let asked =
        engine.docker_with(&["run", "--rm", "--network", &network, CLIENT, "sh", "-c", &script], true);
    let log = engine.docker_with(&["logs", container], true);
    engine.docker(&["rm", "--force", container]);
    asked.unwrap_or_else(|why| panic!("{image} does not answer: {why}\n{log:?}"))
}

#[test]
#[ignore = "needs an engine, and packages to install: tests/run"]
fn apps_build_and_answer() {
    let Some(engine) = engine("real applications") else { return };
    for app in App::all() {
        let kinds = ["single", "multistage", "gcc"].into_iter();
        let kinds: Vec<&str> = kinds.filter(|kind| app.dockerfile(kind).exists()).collect();
        assert!(kinds.starts_with(&["single", "multistage"]), "{}", app.name);
        for kind in kinds {
            let image = image(&engine, &app, kind);
            assert_eq!(answers(&engine, &image, &app), app.answer, "{image}");
        }
    }
}
