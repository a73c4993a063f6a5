//! What is not as it should be around the program: pipes that nobody writes, devices, links, too few threads and files,
//! and an engine that never ends an answer.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Cost, FakeLayer, Item, Run, layergate, oci_layout, run, skip, tar_of};

fn pipe(directory: &Path, name: &str) -> String {
    let path = directory.join(name);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path.display().to_string()
}

/// A saved image of one file.
fn archive(directory: &Path) -> String {
    let layer = tar_of(&[Item::File("f", 10)]);
    let id = crate::support::hex_sha256(&layer);
    let config = serde_json::json!({ "architecture": "amd64", "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{id}")] } });
    let manifest =
        serde_json::json!([{ "Config": "config.json", "RepoTags": ["app:1"], "Layers": ["l/layer.tar"] }]);
    let mut tar = tar::Builder::new(Vec::new());
    let files = [
        ("l/layer.tar", layer),
        ("config.json", config.to_string().into()),
        ("manifest.json", manifest.to_string().into()),
    ];
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    let path = directory.join("image.tar");
    fs::write(&path, tar.into_inner().unwrap()).unwrap();
    path.display().to_string()
}

#[test]
fn a_pipe_that_nobody_writes_is_named_while_it_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let (silent, layout) =
        (pipe(directory.path(), "silent"), oci_layout(directory.path(), &[]).display().to_string());
    let report = pipe(directory.path(), "report.json");
    let waits: [(&str, &[&str]); 5] = [
        (&silent, &["inspect", &silent]),
        (&silent, &["inspect", &format!("docker-archive:{silent}")]),
        (&silent, &["inspect", &format!("snapshot:{silent}")]),
        (&silent, &["report", &silent]),
        (&report, &["check", &layout, "--max-size", "1 GB", "--report", &report]),
    ];
    for (pipe, arguments) in waits {
        let mut child =
            layergate().args(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = Vec::new();
        let mut stderr = child.stderr.take().unwrap();
        let begun = Instant::now();
        while !String::from_utf8_lossy(&said).contains("nothing has been written to it yet\n") {
            assert!(begun.elapsed() < Duration::from_secs(60), "{arguments:?}");
            let mut byte = [0];
            assert_eq!(
                stderr.read(&mut byte).unwrap(),
                1,
                "{arguments:?}: {}",
                String::from_utf8_lossy(&said)
            );
            said.push(byte[0]);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains(&format!("waiting for the pipe {pipe}")), "{said}");
    }
}

#[test]
fn what_a_shell_hands_over_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let archive = archive(directory.path());
    let program = env!("CARGO_BIN_EXE_layergate");
    for line in [
        r#""$0" inspect --format json <(cat "$1")"#,
        r#""$0" inspect --format json docker-archive:<(cat "$1")"#,
        r#""$0" inspect --format json docker-archive:- < "$1""#,
        r#"cat "$1" | "$0" inspect --format json docker-archive:-"#,
        r#"cat "$1" | "$0" inspect --format json /dev/stdin"#,
        r#"mkfifo "$1.pipe"; cat "$1" > "$1.pipe" & "$0" inspect --format json "$1.pipe""#,
        r#""$0" inspect --format json snapshot:<("$0" inspect --format json "$1")"#,
    ] {
        let mut shell = Command::new("bash");
        shell.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", directory.path());
        let read = Run::of(shell.args(["-c", line, program, &archive])).expect(0);
        assert_eq!(read.json()["totals"]["files"], 1, "{line}");
    }
}

#[test]
fn a_device_is_no_file() {
    for arguments in [
        ["inspect", "/dev/zero"],
        ["inspect", "docker-archive:/dev/zero"],
        ["inspect", "snapshot:/dev/zero"],
        ["inspect", "inspect:/dev/null"],
        ["report", "/dev/zero"],
    ] {
        let refused = run(&arguments).expect(3);
        assert!(refused.stderr.contains("it is a device, not a file"), "{arguments:?}: {}", refused.stderr);
    }
}

/// `/proc/kmsg` looks like a file, and reading it as root waits for ever; so does `trace_pipe`. A pull request can commit
/// links to them.
#[test]
fn what_the_kernel_makes_up_is_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let archive = archive(directory.path());
    let kernel = ["/proc/kmsg", "/proc/self/environ", "/sys/kernel/notes"];
    let in_directory = |arguments: &[&str]| {
        let mut command = layergate();
        Run::of(command.current_dir(directory.path()).args(arguments))
    };
    for place in kernel.into_iter().filter(|place| Path::new(place).exists()) {
        let refused = |arguments: &[&str], code: i32| {
            let run = in_directory(arguments).expect(code);
            let said = format!("{}{}", run.stdout, run.stderr);
            assert!(said.contains("the kernel generates its content"), "{arguments:?}: {said}");
        };
        for image in ["", "docker-archive:", "inspect:", "snapshot:"] {
            refused(&["inspect", &format!("{image}{place}")], 3);
        }
        refused(&["report", place], 3);
        refused(&["inspect", &archive, "--build-metadata", place], 2);
        for (name, code) in [("layergate.toml", 2), ("Dockerfile", 0)] {
            symlink(place, directory.path().join(name)).unwrap();
            let named = if code == 0 { vec!["--dockerfile", name] } else { vec![] };
            refused(&[&["check", &archive, "--max-size", "1 GB"][..], &named].concat(), code);
            in_directory(&["stages"]);
            fs::remove_file(directory.path().join(name)).unwrap();
        }
    }
}

#[test]
fn a_device_is_no_configuration_and_no_dockerfile() {
    let directory = tempfile::tempdir().unwrap();
    let layout = oci_layout(directory.path(), &[FakeLayer::plain(&tar_of(&[Item::File("f", 10)]), "COPY")]);
    let layout = layout.display().to_string();
    let in_directory = |arguments: &[&str]| {
        let mut command = layergate();
        Run::of(command.current_dir(directory.path()).args(arguments))
    };
    let link = |name: &str, to: &str| {
        let path = directory.path().join(name);
        let _ = fs::remove_file(&path);
        symlink(to, path).unwrap();
    };
    let pipe = pipe(directory.path(), "pipe");
    for device in ["/dev/zero", "/dev/null", "/dev/tty", pipe.as_str()] {
        let named = in_directory(&["check", &layout, "--max-size", "1 GB", "--config", device]).expect(2);
        assert!(
            named.stderr.contains(&format!("{device}: it is not a regular file")),
            "{device}: {}",
            named.stderr
        );
        for place in ["layergate.toml", ".github/layergate.toml"] {
            fs::create_dir_all(directory.path().join(".github")).unwrap();
            link(place, device);
            let usual = in_directory(&["check", &layout, "--max-size", "1 GB"]).expect(2);
            assert!(
                usual.stderr.contains(&format!("{place}: it is not a regular file")),
                "{device}: {}",
                usual.stderr
            );
            fs::remove_file(directory.path().join(place)).unwrap();
        }
        // It only explains.
        let lines = in_directory(&["check", &layout, "--max-size", "1 GB", "--dockerfile", device]).expect(0);
        assert!(lines.stderr.contains("it is not a regular file"), "{device}: {}", lines.stderr);
        link("Dockerfile", device);
        in_directory(&["check", &layout, "--max-size", "1 GB"]).expect(0);
    }
}

#[test]
fn the_files_of_a_step_are_no_pipes() {
    let directory = tempfile::tempdir().unwrap();
    let layout = oci_layout(directory.path(), &[FakeLayer::plain(&tar_of(&[Item::File("f", 10)]), "COPY")]);
    let (output, summary) = (pipe(directory.path(), "output"), pipe(directory.path(), "summary"));
    let mut command = layergate();
    command.args(["check", &layout.display().to_string(), "--max-size", "1 GB", "--comment", "never"]);
    command
        .args(["--store", &format!("dir:{}", directory.path().join("store").display())])
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_EVENT_NAME", "push")
        .env("RUNNER_TEMP", directory.path());
    let done = Run::of(command.env("GITHUB_OUTPUT", &output).env("GITHUB_STEP_SUMMARY", &summary)).expect(0);
    for file in [&output, &summary] {
        assert!(done.stderr.contains(&format!("to {file}: it is a pipe")), "{}", done.stderr);
    }
}

#[test]
fn pruning_follows_no_link() {
    let directory = tempfile::tempdir().unwrap();
    let layout = oci_layout(directory.path(), &[FakeLayer::gzip(&tar_of(&[Item::File("f", 10)]), "COPY")]);
    let layout = layout.display().to_string();
    let away = directory.path().join("away");
    fs::create_dir_all(away.join("ab")).unwrap();
    let old = |name: &str| {
        let path = away.join(name);
        fs::write(&path, name).unwrap();
        let time = std::time::SystemTime::now() - Duration::from_secs(99 * 24 * 3600);
        fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        path
    };
    let (in_directory, stamp) = (old("ab/keep"), old("stamp"));
    type Prepare = fn(&Path, &Path);
    let prepare: [(&str, Prepare); 4] = [
        ("a kind", |cache, away| symlink(away, cache.join("v1/layers")).unwrap()),
        ("a part of it", |cache, away| {
            fs::create_dir_all(cache.join("v1/images")).unwrap();
            symlink(away.join("ab"), cache.join("v1/images/ab")).unwrap();
        }),
        ("the stamp", |cache, away| symlink(away.join("stamp"), cache.join("v1/pruned")).unwrap()),
        ("all of it", |cache, away| {
            fs::remove_dir(cache.join("v1")).unwrap();
            symlink(away, cache.join("v1")).unwrap();
        }),
    ];
    for (number, (what, prepare)) in prepare.into_iter().enumerate() {
        let cache = directory.path().join(format!("cache{number}"));
        fs::create_dir_all(cache.join("v1")).unwrap();
        prepare(&cache, &away);
        run(&["inspect", &layout, "--cache-dir", &cache.display().to_string()]).expect(0);
        assert!(in_directory.exists(), "{what}");
        assert_eq!(fs::read(&stamp).unwrap(), b"stamp", "{what}");
        assert!(!away.join("pruned").exists(), "{what}");
    }
}

/// Runs a line of the shell as somebody whose number of processes can be limited.
pub fn limited(line: &str, arguments: &[&str]) -> Option<Run> {
    let root =
        fs::metadata("/proc/self").is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0);
    let mut command = Command::new(if root { "setpriv" } else { "bash" });
    if root {
        command.args(["--reuid", "65533", "--regid", "65533", "--clear-groups", "bash"]);
        let works = Command::new("setpriv").args(["--reuid", "65533", "--clear-groups", "true"]).status();
        if !works.is_ok_and(|status| status.success()) {
            return None;
        }
    }
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", "/nonexistent");
    Some(Run::of(command.args(["-c", line, env!("CARGO_BIN_EXE_layergate")]).args(arguments)))
}

#[test]
#[ignore = "needs setpriv: tests/run"]
fn too_low_limits_are_an_error_and_no_crash() {
    let directory = tempfile::Builder::new().prefix("layergate-limits").tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(directory.path(), open).unwrap();
    let layers: Vec<_> =
        (1..9).map(|size| FakeLayer::gzip(&tar_of(&[Item::File("f", size)]), "COPY")).collect();
    let layout = oci_layout(directory.path(), &layers).display().to_string();
    // One thread is enough for files.
    let Some(read) = limited(r#"ulimit -u 1; exec "$0" inspect --no-cache "$1""#, &[&layout]) else {
        return skip("limits of processes", "this is root, and there is no setpriv");
    };
    read.expect(0);
    // An engine or a registry takes more.
    let refused = limited(r#"ulimit -u 1; exec "$0" inspect --no-cache docker://localhost:1/app"#, &[])
        .unwrap()
        .expect(3);
    assert!(
        refused.stderr.contains("ulimit -u") || refused.stderr.contains("localhost:1"),
        "{}",
        refused.stderr
    );
    let mut refusals = 0;
    for files in 3..12 {
        let line = format!(r#"ulimit -n {files}; exec "$0" inspect --no-cache "$1""#);
        let read = limited(&line, &[&layout]).unwrap();
        // Below that, the shell cannot start it.
        assert!([0, 3, 127].contains(&read.code), "{files}: {} {}", read.code, read.stderr);
        refusals += usize::from(read.code == 3);
    }
    assert!(refusals > 0);
    for mebibytes in [32, 64, 128, 256, 512] {
        let started = format!(r#"ulimit -v {}; exec "$0" "#, mebibytes * 1024);
        if limited(&format!("{started} --version"), &[]).unwrap().code != 0 {
            continue;
        }
        let read = limited(&format!(r#"{started} inspect --no-cache "$1""#), &[&layout]).unwrap();
        assert!([0, 3].contains(&read.code), "{mebibytes}: {} {}", read.code, read.stderr);
    }
}

/// The same of a check with all that it reads, of a packed archive, and of what jobs have saved.
#[test]
#[ignore = "needs setpriv: tests/run"]
fn too_low_limits_end_no_command_in_a_crash() {
    let directory = tempfile::Builder::new().prefix("layergate-limits").tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let archive = archive(directory.path());
    fs::write(path("packed.tar.xz"), crate::support::tarball::xz(&fs::read(&archive).unwrap())).unwrap();
    fs::write(path("layergate.toml"), "[limits]\nmax-size = \"1 GB\"\nmulti-stage = \"warn\"\n").unwrap();
    fs::write(path("Dockerfile"), "FROM scratch\nCOPY f /\n").unwrap();
    let record = ["record", &archive, "--commit", &"a".repeat(40), "--store"];
    run(&[&record[..], &[&format!("dir:{}", path("store"))]].concat()).expect(0);
    run(&["check", &archive, "--max-size", "1 GB", "--report", &path("report.json")]).expect(0);
    let opened = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    let mut all = vec![directory.path().to_path_buf()];
    while let Some(one) = all.pop() {
        let is_directory = one.is_dir();
        fs::set_permissions(&one, opened(if is_directory { 0o755 } else { 0o644 })).unwrap();
        all.extend(fs::read_dir(&one).into_iter().flatten().map(|entry| entry.unwrap().path()));
    }
    let store = format!("dir:{}", path("store"));
    let base = "a".repeat(40);
    let commands: [&[&str]; 3] = [
        &[
            "check",
            &archive,
            "--no-cache",
            "--store",
            &store,
            "--base-commit",
            &base,
            "--config",
            &path("layergate.toml"),
            "--dockerfile",
            &path("Dockerfile"),
            "--max-increase",
            "1%",
        ],
        &["inspect", "--no-cache", &path("packed.tar.xz")],
        &["report", &path("report.json")],
    ];
    let (mut refusals, mut passes) = (0, 0);
    for command in commands {
        let limits = (3..12).map(|files| format!("ulimit -n {files}"));
        let limits = limits.chain([1, 2].map(|threads| format!("ulimit -u {threads}")));
        let memory =
            [48, 56, 64, 80, 96, 128, 256].map(|mebibytes| format!("ulimit -v {}", mebibytes * 1024));
        for limit in limits.chain(memory) {
            let started = limited(&format!(r#"{limit}; exec "$0" "$@""#), &["--version"]);
            let Some(started) = started else {
                return skip("limits of processes", "this is root, and there is no setpriv");
            };
            // The system cannot load it.
            if started.code != 0 {
                continue;
            }
            let run = limited(&format!(r#"{limit}; exec "$0" "$@""#), command).unwrap();
            assert!([0, 3].contains(&run.code), "{limit}: {command:?}: {} {}", run.code, run.stderr);
            (refusals, passes) = (refusals + i32::from(run.code == 3), passes + i32::from(run.code == 0));
        }
    }
    assert!(refusals > 0 && passes > 20, "{refusals} {passes}");
}

/// What an engine answers, by the end of the path: a status, and what is repeated without an end.
type Answer = (&'static str, u16, &'static str);

/// An engine that never ends one of its answers; it counts what it could send.
fn endless_engine(socket: &Path, answers: &'static [Answer]) -> std::sync::Arc<std::sync::atomic::AtomicU64> {
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let listener = UnixListener::bind(socket).unwrap();
    let counter = sent.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let counter = counter.clone();
            std::thread::spawn(move || answer(stream, answers, &counter));
        }
    });
    sent
}

fn answer(mut stream: UnixStream, answers: &[Answer], sent: &std::sync::atomic::AtomicU64) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.split(' ').nth(1).unwrap_or_default();
    let endless = answers.iter().find(|(end, ..)| path.ends_with(end));
    let id = format!("sha256:{}", "1".repeat(64));
    let body = match path {
        _ if path.ends_with("/version") => {
            r#"{"Version":"28.0","ApiVersion":"1.48","MinAPIVersion":"1.24","Os":"linux","Arch":"amd64"}"#
                .to_owned()
        }
        _ if path.ends_with("/json") => format!(
            r#"{{"Id":"{id}","Os":"linux","Architecture":"amd64","RootFS":{{"Type":"layers","Layers":["{id}"]}}}}"#
        ),
        _ => "[]".to_owned(),
    };
    let Some((_, status, unit)) = endless else {
        let _ = write!(
            stream,
            "HTTP/1.1 200 x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        return;
    };
    let _ = write!(stream, "HTTP/1.1 {status} x\r\nConnection: close\r\n\r\n{{");
    let piece = unit.repeat((1 << 20) / unit.len());
    // Whoever reads all of this has no bound.
    for _ in 0..256 {
        if stream.write_all(piece.as_bytes()).is_err() {
            return;
        }
        sent.fetch_add(piece.len() as u64, std::sync::atomic::Ordering::SeqCst);
    }
}

#[test]
fn an_answer_of_an_engine_is_read_up_to_a_bound() {
    const CASES: [(&str, &[Answer]); 5] = [
        ("the version", &[("/version", 200, " ")]),
        ("the image", &[("/json", 200, " ")]),
        ("labels without an end", &[("/json", 200, r#""Config":{"Labels":{"a":"b"}},"#)]),
        ("an error", &[("/json", 500, "x")]),
        ("another error", &[("/version", 404, "{")]),
    ];
    for (what, answers) in CASES {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("engine.sock");
        let sent = endless_engine(&socket, answers);
        let engine = format!("unix://{}", socket.display());
        let refused = run(&["inspect", "docker-daemon:app:1", "--engine", &engine, "--no-cache"]).expect(3);
        assert!(refused.stderr.contains("its answer has over 8388608 bytes"), "{what}: {}", refused.stderr);
        let sent = sent.load(std::sync::atomic::Ordering::SeqCst);
        assert!(sent < 24 << 20, "{what}: {sent}");
    }
}

/// An API that repeats a text to whatever it is asked, so many times, within a JSON list.
fn wordy_api(unit: &'static str, times: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = BufReader::new(stream.try_clone().unwrap()).lines();
            while request.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n[\"";
            let many = unit.repeat(1 << 10).into_bytes();
            let mut sent = stream.write_all(head);
            for _ in 0..times / (1 << 10) {
                sent = sent.and_then(|()| stream.write_all(&many));
            }
            let _ = sent.and_then(|()| stream.write_all(b"\"]"));
        }
    });
    address
}

#[test]
fn an_answer_of_the_api_is_read_up_to_a_bound() {
    const MANY: usize = 47 << 20;
    for (unit, times, code, said) in [
        ("0123456789abcdef", MANY / 16, 4, "app is not recorded in git:layergate-baselines"),
        ("0123456789abcdef", 64 << 20, 3, "GitHub's answer has over 50331648 bytes"),
        ("\",\"", MANY / 3, 3, "or over 1048576 values"),
        ("\",[\"", MANY / 3, 3, "or over 1048576 values"),
    ] {
        let api = wordy_api(unit, times);
        let variables =
            [("GITHUB_API_URL", api.as_str()), ("GITHUB_TOKEN", "t"), ("GITHUB_REPOSITORY", "acme/shop")];
        let cost = Cost::with(&variables, &["history", "app", "--store", "git"], code);
        assert!(cost.stderr.contains(said), "{unit} {times}: {}", cost.stderr);
        assert!(cost.peak < 160 << 10, "{unit} {times}: {cost:?}");
    }
}
