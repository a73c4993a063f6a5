//! How the action comes by the program: what it downloads, what it refuses, and that it runs nothing else.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::support::act::{commit, copy_action, git, has_runner, runner};
use crate::support::{Run, hex_sha256, write_program};

const LINUX: &str = "x86_64-unknown-linux-musl";

/// A download host: files by path, and what was asked for. A path may have answers to give first.
struct Releases {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    first: Arc<Mutex<Vec<u16>>>,
}

impl Releases {
    fn serve(files: &[(&str, &[u8])]) -> Releases {
        let files: HashMap<String, Vec<u8>> =
            files.iter().map(|(path, content)| (format!("/{path}"), content.to_vec())).collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, first) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let (requests, faults) = (Arc::clone(&asked), Arc::clone(&first));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let request = request_of(&stream);
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                let fault = faults.lock().unwrap().pop();
                requests.lock().unwrap().push(request);
                match (fault, files.get(&path)) {
                    (Some(status), _) => answer(stream, status, b"later"),
                    (None, Some(content)) => answer(stream, 200, content),
                    (None, None) => answer(stream, 404, b"no such file"),
                }
            }
        });
        Releases { url, asked, first }
    }

    /// The paths that were asked for.
    fn paths(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|request| request.split(' ').nth(1).unwrap().to_owned()).collect()
    }
}

fn request_of(stream: &TcpStream) -> String {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

fn answer(mut stream: TcpStream, status: u16, body: &[u8]) {
    let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

/// A server whose answers have no length and no end.
fn endless() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            request_of(&stream);
            let _ = stream.write_all(b"HTTP/1.1 200 x\r\nconnection: close\r\n\r\n");
            while stream.write_all(&[0; 1 << 16]).is_ok() {}
        }
    });
    url
}

/// A place with the action's files and what a runner has.
struct Place {
    directory: tempfile::TempDir,
    shell: PathBuf,
}

impl Place {
    fn new(manifest: Option<&str>) -> Place {
        let directory = tempfile::tempdir().unwrap();
        copy_action(directory.path());
        fs::create_dir(directory.path().join("temp")).unwrap();
        if let Some(manifest) = manifest {
            fs::write(directory.path().join("action/manifest"), manifest).unwrap();
        }
        Place { directory, shell: "bash".into() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs the script: what it said, and the program that it named.
    fn install(&self, inputs: &[(&str, &str)]) -> (Run, Option<String>) {
        let output = self.path("output");
        fs::write(&output, "").unwrap();
        let mut command = Command::new(&self.shell);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("RUNNER_OS", "Linux").env("RUNNER_ARCH", "X64").env("GITHUB_OUTPUT", &output);
        command.env("RUNNER_TEMP", self.path("temp")).env("RUNNER_TOOL_CACHE", self.path("tools"));
        command.env("GITHUB_PATH", self.path("paths")).envs(inputs.iter().copied());
        let run = Run::of(command.arg(self.path("action/install.sh")).current_dir(self.directory.path()));
        let named = fs::read_to_string(&output).unwrap();
        let named = named.strip_prefix("binary=").map(|program| program.trim_end().to_owned());
        (run, named)
    }

    /// All files below the tool cache and the temporary directory.
    fn files(&self) -> Vec<String> {
        let mut find = Command::new("find");
        let found = Run::of(find.args(["tools", "temp", "-type", "f"]).current_dir(self.directory.path()));
        found.stdout.lines().map(str::to_owned).collect()
    }
}

/// A program that leaves a trace where it is run.
fn program(says: &str) -> Vec<u8> {
    format!("#!/bin/sh\necho {says}\n").into_bytes()
}

fn line(version: &str, target: &str, content: &[u8]) -> String {
    format!("{version} {target} {} layergate-{target}\n", hex_sha256(content))
}

#[test]
fn a_release_is_downloaded_once_and_checked_each_time() {
    let content = program("installed");
    let releases = Releases::serve(&[(&format!("v0.2.0/layergate-{LINUX}"), &content)]);
    let manifest = format!("# The programs.\n{}", line("0.2.0", LINUX, &content));
    // Whatever sh is: that of macOS is older than all that can be had here, so the plainest ones stand for it.
    for shell in ["bash", "dash", "busybox"] {
        let mut place = Place::new(Some(&manifest));
        place.shell = shell_called(shell, place.directory.path());
        let download = [("ACTION_DOWNLOAD_URL", releases.url.as_str())];
        let (run, named) = place.install(&download);
        run.expect(0);
        let named = named.unwrap();
        // What is run is not what other jobs can write to.
        assert!(Path::new(&named).starts_with(place.path("temp")), "{shell}: {named}");
        assert_eq!(Run::of(&mut Command::new(&named)).expect(0).stdout, "installed\n");
        let cached = format!("tools/layergate/0.2.0/{LINUX}/layergate");
        assert!(place.files().contains(&cached) && place.files().len() == 2, "{:?}", place.files());

        let again = |asked: usize| {
            let mut inputs = download.to_vec();
            inputs.push(("ACTION_COMMAND", "install"));
            let named = place.install(&inputs).1.unwrap();
            assert_eq!(Run::of(&mut Command::new(&named)).expect(0).stdout, "installed\n");
            assert_eq!(releases.paths().len(), asked, "{shell}: {:?}", releases.paths());
            named
        };
        // Another job has put a program of its own beside it.
        write_program(&place.path(&cached).with_file_name("git"), "#!/bin/sh\necho evil\n");
        let named = again(1);
        let path = fs::read_to_string(place.path("paths")).unwrap();
        assert_eq!(Path::new(path.trim_end()), Path::new(&named).parent().unwrap());
        assert_eq!(fs::read_dir(path.trim_end()).unwrap().count(), 1, "the program alone is on the PATH");
        // What somebody has put in its place is not taken; one that cannot be run there can be here.
        fs::write(place.path(&cached), "#!/bin/sh\necho tampered\n").unwrap();
        again(2);
        fs::set_permissions(place.path(&cached), fs::Permissions::from_mode(0o644)).unwrap();
        again(2);
        fs::remove_file(place.path(&cached)).unwrap();
        fs::create_dir(place.path(&cached)).unwrap();
        again(3);
        assert_eq!(fs::read_dir(place.path(&cached)).unwrap().count(), 0);
        releases.asked.lock().unwrap().clear();
    }
}

/// A shell, by its name. What has it as one of many programs gets a link of its own.
fn shell_called(name: &str, directory: &Path) -> PathBuf {
    if name != "busybox" {
        return name.into();
    }
    let link = directory.join("sh");
    std::os::unix::fs::symlink("/bin/busybox", &link).unwrap();
    link
}

#[test]
fn what_is_not_what_the_commit_says_is_never_run() {
    let (right, wrong) = (program("right"), program("touch-nothing; touch ran"));
    let releases = Releases::serve(&[(&format!("v0.2.0/layergate-{LINUX}"), &wrong)]);
    let place = Place::new(Some(&line("0.2.0", LINUX, &right)));
    let (run, named) = place.install(&[("ACTION_DOWNLOAD_URL", &releases.url)]);
    let run = run.expect(2);
    assert_eq!(named, None);
    let (expected, actual) = (hex_sha256(&right), hex_sha256(&wrong));
    assert!(run.stdout.contains(&expected) && run.stdout.contains(&actual), "{}", run.stdout);
    assert!(run.stdout.starts_with("::error title=layergate::What was downloaded from "), "{}", run.stdout);
    assert_eq!(place.files(), Vec::<String>::new());
    assert!(!place.path("ran").exists());
}

#[test]
fn what_there_is_not_is_said_with_what_there_is() {
    let content = program("x");
    let manifest = [
        line("0.3.0", LINUX, &content),
        line("0.3.0", "aarch64-apple-darwin", &content),
        line("0.2.0", LINUX, &content),
    ]
    .concat();
    let releases = Releases::serve(&[]);
    let place = Place::new(Some(&manifest));
    let refused = |inputs: &[(&str, &str)], says: &[&str]| {
        let mut all = vec![("ACTION_DOWNLOAD_URL", releases.url.as_str())];
        all.extend(inputs);
        let (run, named) = place.install(&all);
        let run = run.expect(2);
        let said: Vec<&str> = run.stdout.lines().filter(|line| !line.contains("trying again")).collect();
        assert!(named.is_none() && said.len() == 1, "{}", run.stdout);
        assert!(said[0].starts_with("::error title=layergate::"), "{}", run.stdout);
        assert!(!run.stdout.contains("s3cret") && !run.stdout.contains("##["), "{}", run.stdout);
        for says in says {
            assert!(run.stdout.contains(says), "{says}: {}", run.stdout);
        }
    };
    refused(
        &[("RUNNER_ARCH", "ARM")],
        &["no layergate 0.3.0 for Linux-ARM", &format!("{LINUX}, aarch64-apple-darwin"), "version: source"],
    );
    refused(&[("RUNNER_OS", "macOS"), ("ACTION_VERSION", "0.2.0")], &["x86_64-apple-darwin", LINUX]);
    refused(&[("ACTION_VERSION", "0.9.0")], &["knows no layergate 0.9.0, but: 0.3.0, 0.2.0"]);
    refused(&[("ACTION_VERSION", "../../x\n::warning::y")], &["%0A::warning::y"]);
    refused(&[("ACTION_BINARY", "./not-there")], &["`binary` is ./not-there"]);
    for no_program in ["test", "-v", "."] {
        refused(&[("ACTION_BINARY", no_program)], &["program"]);
    }
    refused(&[("ACTION_COMMAND", "Install")], &["`command` is Install"]);
    refused(&[("ACTION_VERSION", "0\\0562.0")], &["knows no layergate 0\\0562.0"]);
    refused(&[("RUNNER_TEMP", "/not/there")], &["Nothing can be written to /not/there"]);
    // A version that is no release here, and none is asked for by its name alone.
    assert_eq!(releases.paths(), Vec::<String>::new());
    // Neither a login nor a command of the runner's gets from an address into the log.
    refused(
        &[("ACTION_DOWNLOAD_URL", "http://user:s3cret@127.0.0.1:1/##[warning]x")],
        &["Cannot download http://***@127.0.0.1:1/## [warning]x"],
    );
    // What is not there is not asked for again.
    refused(&[], &["Cannot download", "404", "download-url"]);
    assert_eq!(releases.paths(), [format!("/v0.3.0/layergate-{LINUX}")]);

    let branch = Place::new(None);
    let (run, _) = branch.install(&[("ACTION_VERSION", "0.2.0")]);
    assert!(run.expect(2).stdout.contains("this commit of the action is no release"));
    let tools = branch.path("bin");
    fs::create_dir(&tools).unwrap();
    for tool in ["dirname", "mktemp", "tr", "sed", "awk"] {
        std::os::unix::fs::symlink("/bin/busybox", tools.join(tool)).unwrap();
    }
    let bash = Path::new("/bin/bash");
    let branch = Place { shell: bash.into(), ..branch };
    let (run, _) = branch.install(&[("PATH", tools.to_str().unwrap())]);
    assert!(run.expect(2).stdout.contains("there is no cargo to build it with"));
}

/// A workflow may keep what was built in a cache: it is used for the very source that it was built from.
#[test]
fn a_program_is_built_once_for_the_same_source() {
    let place = Place::new(None);
    let write = |name: &str, text: &str| {
        let path = place.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    for name in ["Cargo.toml", "Cargo.lock", "src/main.rs", "schema/one.json", "web/dist/report.html"] {
        write(name, name);
    }
    let tools = place.path("bin");
    fs::create_dir(&tools).unwrap();
    let cargo = "#!/bin/sh\nshift 4\nmkdir -p \"$2/release\"\necho '#!/bin/sh' >\"$2/release/layergate\"\nchmod 755 \"$2/release/layergate\"\n";
    write_program(&tools.join("cargo"), cargo);
    write_program(&tools.join("rustc"), "#!/bin/sh\necho \"rustc ${COMPILER:-1}\"\n");
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let install = |says: &str, compiler: &str| {
        let (run, named) = place.install(&[("PATH", &path), ("COMPILER", compiler)]);
        assert!(run.expect(0).stdout.contains(says), "{says}");
        assert!(named.unwrap().ends_with("layergate-build/release/layergate"));
    };
    let (building, built) = ("building it from the action's own source", "built before from the same source");
    install(building, "1");
    install(built, "1");
    write("src/main.rs", "changed");
    install(building, "1");
    install(built, "1");
    install(building, "2");
    fs::rename(place.path("src/main.rs"), place.path("src/other.rs")).unwrap();
    install(building, "2");
}

#[test]
fn a_manifest_that_has_no_sum_is_believed_in_nothing() {
    for sum in ["", "0000", &"z".repeat(64)] {
        let place = Place::new(Some(&format!("0.2.0 {LINUX} {sum} layergate-{LINUX}\n")));
        let (run, named) = place.install(&[("ACTION_DOWNLOAD_URL", "http://127.0.0.1:1")]);
        let run = run.expect(2);
        assert!(named.is_none(), "{}", run.stdout);
        let says = if sum.is_empty() { "There is no layergate" } else { "has no SHA-256 for" };
        assert!(run.stdout.contains(says), "{}", run.stdout);
    }
}

#[test]
fn an_older_release_that_the_commit_lists_can_be_chosen() {
    let (new, old) = (program("new"), program("old"));
    let path = format!("v0.1.0/layergate-{LINUX}");
    let releases = Releases::serve(&[(&path, &old)]);
    let place = Place::new(Some(&[line("0.2.0", LINUX, &new), line("0.1.0", LINUX, &old)].concat()));
    for version in ["0.1.0", "v0.1.0"] {
        let slash = format!("{}/", releases.url);
        let (run, named) = place.install(&[("ACTION_DOWNLOAD_URL", &slash), ("ACTION_VERSION", version)]);
        run.expect(0);
        assert_eq!(Run::of(&mut Command::new(named.unwrap())).expect(0).stdout, "old\n");
    }
    assert_eq!(releases.paths(), [format!("/{path}")]);
}

#[test]
fn a_download_is_tried_again_and_has_no_token() {
    let content = program("installed");
    let releases = Releases::serve(&[(&format!("v0.2.0/layergate-{LINUX}"), &content)]);
    let manifest = line("0.2.0", LINUX, &content);
    *releases.first.lock().unwrap() = vec![503, 429];
    let place = Place::new(Some(&manifest));
    let secrets = [("GITHUB_TOKEN", "ghs_secret"), ("GH_TOKEN", "ghs_secret")];
    let mut inputs = vec![("ACTION_DOWNLOAD_URL", releases.url.as_str())];
    inputs.extend(secrets);
    let run = place.install(&inputs).0.expect(0);
    assert_eq!(run.stdout.matches("trying again").count(), 2, "{}", run.stdout);
    let asked = releases.asked.lock().unwrap().join("\n").to_lowercase();
    assert!(asked.matches("get /v0.2.0/").count() == 3, "{asked}");
    assert!(!asked.contains("authorization") && !asked.contains("ghs_secret"), "{asked}");
}

#[test]
fn on_an_enterprise_server_releases_are_those_of_the_public_host_over_https_alone() {
    let place = Place::new(Some(&line("0.2.0", LINUX, b"x")));
    let tools = place.path("bin");
    fs::create_dir(&tools).unwrap();
    write_program(&tools.join("curl"), "#!/bin/sh\necho \"$@\" >curl.log\nprintf 404\nexit 22\n");
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let server =
        [("GITHUB_SERVER_URL", "https://ghes.example"), ("GITHUB_API_URL", "https://ghes.example/api/v3")];
    let mut inputs = vec![("PATH", path.as_str()), ("GITHUB_TOKEN", "ghs_secret")];
    inputs.extend(server);
    place.install(&inputs).0.expect(2);
    let asked = fs::read_to_string(place.path("curl.log")).unwrap();
    let address =
        format!("https://github.com/layergate/layergate/releases/download/v0.2.0/layergate-{LINUX}");
    assert!(asked.contains(&address) && asked.contains("--proto =https "), "{asked}");
    assert!(!asked.contains("ghs_secret") && !asked.contains("ghes.example"), "{asked}");
}

#[test]
fn wget_does_where_there_is_no_curl_and_a_cache_that_cannot_be_written_is_none() {
    let content = program("installed");
    let releases = Releases::serve(&[(&format!("v0.2.0/layergate-{LINUX}"), &content)]);
    let place = Place::new(Some(&line("0.2.0", LINUX, &content)));
    let tools = place.path("bin");
    fs::create_dir(&tools).unwrap();
    let needed = [
        "awk",
        "chmod",
        "cp",
        "dirname",
        "grep",
        "head",
        "mkdir",
        "mktemp",
        "mv",
        "rm",
        "sed",
        "sha256sum",
        "sleep",
        "tr",
    ];
    for tool in needed {
        std::os::unix::fs::symlink("/bin/busybox", tools.join(tool)).unwrap();
    }
    let wget = Run::of(Command::new("sh").args(["-c", "command -v wget"])).expect(0).stdout;
    std::os::unix::fs::symlink(wget.trim(), tools.join("wget")).unwrap();
    // A file, where a directory is to be.
    fs::write(place.path("tools"), "").unwrap();
    let place = Place { shell: "/bin/bash".into(), ..place };
    let inputs = [("PATH", tools.to_str().unwrap()), ("ACTION_DOWNLOAD_URL", releases.url.as_str())];
    let (run, named) = place.install(&inputs);
    run.expect(0);
    let named = named.unwrap();
    assert_eq!(Run::of(&mut Command::new(named)).expect(0).stdout, "installed\n");

    fs::remove_file(tools.join("wget")).unwrap();
    let (run, _) = place.install(&inputs);
    assert!(run.expect(2).stdout.contains("neither curl nor wget"));
}

#[test]
fn a_program_that_is_there_is_taken_as_it_is() {
    let place = Place::new(None);
    write_program(&place.path("own"), "#!/bin/sh\necho own\n");
    let (run, named) = place.install(&[("ACTION_BINARY", "./own"), ("ACTION_COMMAND", "install")]);
    run.expect(0);
    let named = named.unwrap();
    assert_eq!(Run::of(&mut Command::new(&named)).expect(0).stdout, "own\n");
    let paths = fs::read_to_string(place.path("paths")).unwrap();
    assert_eq!(
        Path::new(paths.trim_end()).canonicalize().unwrap(),
        place.directory.path().canonicalize().unwrap()
    );
}

#[test]
fn the_manifest_that_a_release_writes_is_the_one_that_is_believed() {
    let programs = tempfile::tempdir().unwrap();
    let (linux, windows, old) = (program("new"), b"MZ".to_vec(), program("old"));
    fs::write(programs.path().join(format!("layergate-{LINUX}")), &linux).unwrap();
    fs::write(programs.path().join("layergate-x86_64-pc-windows-msvc.exe"), &windows).unwrap();
    let before = programs.path().join("before");
    let earlier = [line("0.2.0", LINUX, &old), line("0.1.0", LINUX, &old)].concat();
    fs::write(&before, format!("# comment\n{earlier}")).unwrap();
    let script = format!("{}/action/manifest.sh", env!("CARGO_MANIFEST_DIR"));
    let mut write = Command::new("sh");
    let written = Run::of(write.arg(&script).arg("0.2.0").arg(programs.path()).arg(&before)).expect(0).stdout;
    let lines: Vec<&str> = written.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), 3, "{written}");
    assert!(lines[0].ends_with("layergate-x86_64-pc-windows-msvc.exe"), "{written}");
    assert_eq!(format!("{}\n", lines[1]), line("0.2.0", LINUX, &linux), "not the old one of that version");
    assert_eq!(format!("{}\n", lines[2]), line("0.1.0", LINUX, &old));

    let releases = Releases::serve(&[
        (&format!("v0.2.0/layergate-{LINUX}"), &linux),
        ("v0.2.0/layergate-x86_64-pc-windows-msvc.exe", &windows),
    ]);
    let place = Place::new(Some(&written));
    let download = ("ACTION_DOWNLOAD_URL", releases.url.as_str());
    place.install(&[download]).0.expect(0);
    let (run, named) = place.install(&[download, ("RUNNER_OS", "Windows")]);
    run.expect(0);
    assert_eq!(fs::read(named.unwrap()).unwrap(), windows);

    let empty = tempfile::tempdir().unwrap();
    let mut write = Command::new("sh");
    let run = Run::of(write.arg(&script).arg("0.2.0").arg(empty.path())).expect(2);
    assert!(run.stderr.contains("there is no program"), "{}", run.stderr);
}

/// A repository that has the action as `./`, and a workflow that runs it on an archive.
fn repository(manifest: Option<&str>, inputs: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    copy_action(directory.path());
    if let Some(manifest) = manifest {
        fs::write(directory.path().join("action/manifest"), manifest).unwrap();
    }
    let image = crate::support::fixture("demo/web-v1.tar");
    fs::copy(image, directory.path().join("web.tar")).unwrap();
    let workflows = directory.path().join(".github/workflows");
    fs::create_dir_all(&workflows).unwrap();
    let workflow = format!(
        "on: push\n\
         jobs:\n  gate:\n    runs-on: ubuntu-latest\n    steps:\n\
         \x20     - uses: actions/checkout@v4\n\
         \x20     - id: gate\n        uses: ./\n        with:\n          images: web=web.tar\n          comment: never\n\
         \x20         store: dir:${{{{ runner.temp }}}}/baselines\n{inputs}\
         \x20     - if: always()\n        env:\n          VERDICT: ${{{{ steps.gate.outputs.verdict }}}}\n\
         \x20         BINARY: ${{{{ steps.gate.outputs.binary }}}}\n\
         \x20       run: echo \"the verdict is $VERDICT by $BINARY\"\n"
    );
    fs::write(workflows.join("gate.yml"), workflow).unwrap();
    git(directory.path(), &["init", "--quiet", "--initial-branch", "main"]);
    commit(directory.path(), "start");
    directory
}

fn pushed(repository: &Path, environment: &[(&str, &str)]) -> Run {
    let (mut command, _home) = runner(repository, "push", &json!({ "ref": "refs/heads/main" }));
    for (name, value) in environment {
        command.args(["--env", &format!("{name}={value}")]);
    }
    Run::of(&mut command)
}

#[test]
#[ignore = "needs a runner: tests/run"]
fn a_runner_installs_the_release_of_the_commit_and_runs_it() {
    if !has_runner() {
        return;
    }
    // A download may have 50 MB, and an unoptimized build is about as large: what is served runs the tested program.
    let real = format!("#!/bin/sh\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_layergate")).into_bytes();
    let releases = Releases::serve(&[(&format!("v0.2.0/layergate-{LINUX}"), &real)]);
    let mirror = format!("          download-url: {}\n", releases.url);

    let right = repository(Some(&line("0.2.0", LINUX, &real)), &mirror);
    let run = pushed(right.path(), &[]).expect(0);
    assert!(run.stdout.contains("the verdict is pass by /"), "{}", run.stdout);
    assert!(run.stdout.contains("Job succeeded"), "{}", run.stdout);

    // The tool cache is the runner's, so another job finds it there; the tests' own is told by its version.
    let wrong = repository(Some(&line("0.2.1", LINUX, b"something else")), &mirror);
    let served = Releases::serve(&[(&format!("v0.2.1/layergate-{LINUX}"), &real)]);
    let text = fs::read_to_string(wrong.path().join(".github/workflows/gate.yml")).unwrap();
    fs::write(wrong.path().join(".github/workflows/gate.yml"), text.replace(&releases.url, &served.url))
        .unwrap();
    let run = pushed(wrong.path(), &[]).expect(1);
    assert!(run.stdout.contains("It was not run, and is deleted"), "{}", run.stdout);
    assert!(run.stdout.contains("exit status 2"), "{}", run.stdout);
    assert!(run.stdout.contains("the verdict is  by "), "nothing was run: {}", run.stdout);

    let missing = repository(Some(&line("0.2.0", "aarch64-apple-darwin", &real)), &mirror);
    let run = pushed(missing.path(), &[]).expect(1);
    assert!(
        run.stdout.contains(
            "There is no layergate 0.2.0 for x86_64-unknown-linux-musl, but for: aarch64-apple-darwin"
        ),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("exit status 2"), "{}", run.stdout);
}

#[test]
#[ignore = "needs a runner: tests/run"]
fn a_runner_takes_a_program_that_is_there_without_any_network() {
    if !has_runner() {
        return;
    }
    let binary = format!("          binary: {}\n", env!("CARGO_BIN_EXE_layergate"));
    let run = pushed(repository(None, &binary).path(), &[]).expect(0);
    assert!(run.stdout.contains("the verdict is pass by /"), "{}", run.stdout);
    let run = pushed(repository(None, "          binary: not-there\n").path(), &[]).expect(1);
    assert!(run.stdout.contains("there is no such program"), "{}", run.stdout);
}

#[test]
#[ignore = "needs a runner: tests/run"]
fn a_runner_builds_the_action_s_own_source() {
    if !has_runner() {
        return;
    }
    let repository = repository(None, "          version: source\n");
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut copy = Command::new("cp");
    let parts = ["Cargo.toml", "Cargo.lock", "src", "benches", "schema", "tests"].map(|part| own.join(part));
    Run::of(copy.arg("-r").args(parts).arg(repository.path())).expect(0);
    let page = repository.path().join("web/dist");
    fs::create_dir_all(&page).unwrap();
    fs::copy(own.join("web/dist/report.html"), page.join("report.html")).unwrap();
    // As it would be released this takes minutes; that it is built is the same.
    let quick = [("CARGO_PROFILE_RELEASE_LTO", "off"), ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")];
    let mut environment = vec![("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")];
    environment.extend(quick);
    let home = std::env::var("HOME").unwrap();
    let (cargo_home, rustup_home) = (format!("{home}/.cargo"), format!("{home}/.rustup"));
    let of = |name: &str, usual: String| std::env::var(name).unwrap_or(usual);
    let (cargo_home, rustup_home) = (of("CARGO_HOME", cargo_home), of("RUSTUP_HOME", rustup_home));
    environment.extend([("CARGO_HOME", cargo_home.as_str()), ("RUSTUP_HOME", rustup_home.as_str())]);
    let run = pushed(repository.path(), &environment).expect(0);
    assert!(run.stdout.contains("building it from the action's own source"), "{}", run.stdout);
    assert!(run.stdout.contains("layergate-build/release/layergate"), "{}", run.stdout);
    assert!(run.stdout.contains("the verdict is pass by /"), "{}", run.stdout);
}

/// The tools that the script runs, without one of the two that download.
fn tools_without(place: &Place, left_out: &str) -> String {
    let tools = place.path("bin");
    fs::create_dir(&tools).unwrap();
    for directory in ["/usr/bin", "/bin"] {
        for tool in fs::read_dir(directory).unwrap().map(|tool| tool.unwrap()) {
            if tool.file_name() != left_out {
                let _ = std::os::unix::fs::symlink(tool.path(), tools.join(tool.file_name()));
            }
        }
    }
    tools.display().to_string()
}

#[test]
fn a_download_without_an_end_is_given_up() {
    for shell in ["bash", "dash"] {
        for left_out in ["wget", "curl"] {
            let mut place = Place::new(Some(&line("1.0.0", LINUX, b"x")));
            place.shell = shell.into();
            let path = tools_without(&place, left_out);
            let (run, named) = place.install(&[("ACTION_DOWNLOAD_URL", &endless()), ("PATH", &path)]);
            let run = run.expect(2);
            assert!(
                run.stdout.contains("it is far larger than layergate"),
                "{shell}, no {left_out}: {}",
                run.stdout
            );
            assert!(!run.stdout.contains("trying again"), "{}", run.stdout);
            assert_eq!((named, place.files()), (None, Vec::<String>::new()), "{shell}, no {left_out}");
        }
    }
}

#[test]
fn settings_of_the_user_have_no_say_in_a_download() {
    let content = program("released");
    let file = format!("v1.0.0/layergate-{LINUX}");
    for left_out in ["wget", "curl"] {
        let releases = Releases::serve(&[(&file, &content)]);
        let place = Place::new(Some(&line("1.0.0", LINUX, &content)));
        let home = place.path("home");
        fs::create_dir(&home).unwrap();
        fs::write(home.join(".curlrc"), "proxy = http://127.0.0.1:1\n").unwrap();
        fs::write(home.join(".wgetrc"), "use_proxy = on\nhttp_proxy = http://127.0.0.1:1\n").unwrap();
        let (path, home) = (tools_without(&place, left_out), home.display().to_string());
        let inputs = [("ACTION_DOWNLOAD_URL", releases.url.as_str()), ("PATH", &path), ("HOME", &home)];
        let (run, named) = place.install(&inputs);
        run.expect(0);
        assert!(named.is_some(), "no {left_out}");
    }
}
