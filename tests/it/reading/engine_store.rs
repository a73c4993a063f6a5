//! Images of Docker's classic image store, read from its files: as root, by `sudo`, or not at all.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::engine::Modern;
use crate::support::{Run, hex_sha256, skip};

/// Hard links, whiteouts, replaced files, a pipe, and a name that is not ASCII.
const DOCKERFILE: &str = r#"FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN mkdir -p /data/old /data/kept && seq 1 9000 > /data/old/a && ln /data/old/a /data/link && mkfifo /data/kept/id_rsa
RUN rm -r /data/old && mkdir /data/old && seq 1 70 > "/data/old/ö new" && ln -s /etc/shadow /data/kept/.npmrc
RUN seq 1 3000 > /data/kept/b && mkdir -p /usr/lib/python3/site-packages/a-1.dist-info && printf 'Name: a\nVersion: 1\n' > /usr/lib/python3/site-packages/a-1.dist-info/METADATA
RUN chmod 600 /data/link
WORKDIR /data
"#;

const TAG: &str = "engine-store:1";
const INSPECT: [&str; 5] = ["inspect", "--no-cache", "--format", "json", TAG];

/// The user that the tests have made, who has no rights.
fn user(test: &str) -> Option<String> {
    let user = std::env::var("LAYERGATE_TEST_ROOTLESS").ok().filter(|user| !user.is_empty());
    if user.is_none() {
        skip(test, "LAYERGATE_TEST_ROOTLESS is not set");
    }
    user
}

fn classic(test: &str) -> Option<Modern> {
    let modern = Modern::classic(test)?;
    let context = modern.context(DOCKERFILE);
    modern.shell(
        &context,
        &format!(
            "docker buildx build --quiet --network host --allow network.host --provenance=false --tag {TAG} ."
        ),
    );
    Some(modern)
}

fn measures(mut snapshot: Value) -> Value {
    snapshot["source"].take();
    snapshot
}

#[test]
#[ignore = "needs newer engines: tests/run"]
fn an_image_of_the_classic_store_is_read_from_its_files() {
    let test = "the classic store's files";
    let (Some(modern), Some(user)) = (classic(test), user(test)) else { return };
    let expected = measures(modern.engine.inspect(TAG));
    let layers = expected["layers"].as_array().unwrap();
    assert!(layers.len() >= 6, "{expected}");
    assert!(expected["totals"]["wasted"].as_u64().unwrap() > 30_000, "{expected}");
    let count = layers.iter().map(|layer| layer["diff_id"].as_str()).collect::<BTreeSet<_>>().len();
    let read = format!("engine-store:1: read {count} of {count} layers from the engine's store on disk");
    let (on_disk, by_sudo) = (&*format!("{read} in "), &*format!("{read}, by sudo in "));
    let export = "engine-store:1: read the engine's export in ";
    let anything = "ALL=(root) NOPASSWD: ALL";
    for (who, options, says) in [
        (None, &[][..], on_disk),
        (None, &["--engine-store", "sudo"], on_disk),
        (None, &["--engine-store", "off"], export),
        (Some((user.as_str(), anything)), &["--engine-store", "sudo"], by_sudo),
        (Some((&user, anything)), &[], export),
        (Some((&user, "")), &["--engine-store", "sudo"], export),
    ] {
        let run = Run::of(modern.at_home(who).args(INSPECT).args(options)).expect(0);
        assert!(run.stderr.contains(says), "{who:?} {options:?}: {}", run.stderr);
        assert_eq!(measures(run.json()), expected, "{who:?} {options:?}");
        let refused = "its store on disk, which is faster to read, cannot be read: sudo: ";
        let is_told = who.is_some_and(|(_, rule)| rule.is_empty());
        assert_eq!(run.stderr.contains(refused), is_told, "{who:?} {options:?}: {}", run.stderr);
    }
}

/// What the process says that reads as root, to requests for one layer each.
struct Reader {
    process: std::process::Child,
}

impl Reader {
    fn start(command: &mut Command) -> Reader {
        let process = command.arg("read-engine-store").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        Reader { process: process.unwrap() }
    }

    fn ask(&mut self, kind: &str, chain: &str, name: &str) -> Result<Vec<u8>, String> {
        let requests = self.process.stdin.as_mut().unwrap();
        write!(requests, "{kind} {chain} 0 100000 {}\n{name}", name.len()).unwrap();
        requests.flush().unwrap();
        self.answer()
    }

    fn answer(&mut self) -> Result<Vec<u8>, String> {
        let answers = self.process.stdout.as_mut().unwrap();
        let mut head = [0; 5];
        answers.read_exact(&mut head).unwrap();
        let mut content = vec![0; u32::from_be_bytes(head[1..].try_into().unwrap()) as usize];
        answers.read_exact(&mut content).unwrap();
        if head[0] == 0 { Ok(content) } else { Err(String::from_utf8(content).unwrap()) }
    }

    fn end(mut self) -> i32 {
        drop(self.process.stdin.take());
        self.process.wait().unwrap().code().unwrap()
    }
}

#[test]
#[ignore = "needs newer engines: tests/run"]
fn nothing_but_layers_is_handed_out() {
    let Some(modern) = classic("what is read as root") else { return };
    modern.engine.docker(&["volume", "create", "engine-store-secret"]);
    let data = modern.path("data");
    let secret = data.join("volumes/engine-store-secret/_data/key");
    let wrote =
        Run::of(crate::support::engine::as_root("sh").args(["-c", "echo secret > \"$0\""]).arg(&secret));
    wrote.expect(0);
    let inspected: Value = serde_json::from_str(&modern.engine.docker(&["image", "inspect", TAG])).unwrap();
    let diff_ids = inspected[0]["RootFS"]["Layers"].as_array().unwrap();
    let mut chains = vec![diff_ids[0].as_str().unwrap().replace("sha256:", "")];
    for diff_id in &diff_ids[1..] {
        let chain = format!("sha256:{} {}", chains.last().unwrap(), diff_id.as_str().unwrap());
        chains.push(hex_sha256(chain.as_bytes()));
    }
    let (first, with_pipe, chain) = (&chains[0], &chains[2], &chains[3]);

    let mut reader = Reader::start(&mut modern.at_home(None));
    assert_eq!(reader.answer(), Ok(Vec::new()), "the store can be read");
    assert_eq!(reader.ask("document", first, "diff"), Ok(diff_ids[0].as_str().unwrap().into()));
    assert!(reader.ask("content", first, "bin/busybox").unwrap().starts_with(b"\x7fELF"));
    assert!(reader.ask("content", chain, "data/old/ö new").unwrap().starts_with(b"1\n2\n"));
    let up = "../".repeat(12);
    for name in [
        "size".to_owned(),
        "mounts".into(),
        format!("{up}etc/shadow"),
        format!("{up}var/lib/docker/volumes/engine-store-secret/_data/key"),
        "../../../../../volumes/engine-store-secret/_data/key".into(),
        "diff/../cache-id".into(),
        String::new(),
    ] {
        assert!(reader.ask("document", first, &name).is_err(), "{name}");
    }
    for name in [
        format!("{up}etc/shadow"),
        "../lower".into(),
        "../../../volumes/engine-store-secret/_data/key".into(),
        "data/kept/.npmrc".into(),
        "/etc/shadow".into(),
        "data".into(),
        "/var/lib/docker/volumes/engine-store-secret/_data/key".into(),
    ] {
        assert!(reader.ask("content", chain, &name).is_err(), "{name}");
    }
    assert!(reader.ask("content", with_pipe, "data/link").is_ok());
    let pipe = reader.ask("content", with_pipe, "data/kept/id_rsa");
    assert_eq!(pipe, Err("it is no regular file".into()), "it is not waited for");
    for chain in ["..", "../../../../volumes", &first.to_uppercase(), &first[..63]] {
        assert!(reader.ask("document", chain, "diff").is_err(), "{chain}");
    }
    assert_eq!(reader.end(), 0);

    // What is no request ends it.
    let mut reader = Reader::start(&mut modern.at_home(None));
    reader.answer().unwrap();
    writeln!(reader.process.stdin.as_mut().unwrap(), "write {first} 0 10 4").unwrap();
    assert_eq!(reader.end(), 3);
    modern.engine.docker(&["volume", "rm", "engine-store-secret"]);
}

/// A directory of that name that is not root's may say anything.
#[test]
#[ignore = "needs newer engines: tests/run"]
fn a_store_that_others_may_change_is_not_read() {
    let test = "a store of others";
    let (Some(modern), Some(user)) = (classic(test), user(test)) else { return };
    for change in [format!("chown {user} /var/lib/docker"), "chmod 777 /var/lib/docker".to_owned()] {
        let script = format!(
            "mount --make-rprivate /; mount -t tmpfs -o mode=755 tmpfs /var/lib; \
             mkdir -p /var/lib/docker/image/overlay2/layerdb/sha256; {change}; exec \"$0\" read-engine-store"
        );
        let mut command = crate::support::engine::as_root("unshare");
        command.args(["--mount", "sh", "-ec", &script]).arg(crate::support::layergate().get_program());
        let run = Run::of(&mut command).expect(0);
        assert!(run.stdout.contains("/var/lib/docker is not a directory of root's"), "{}", run.stdout);
    }
    drop(modern);
}

#[test]
#[ignore = "needs newer engines: tests/run"]
fn what_is_read_from_the_store_is_never_recorded() {
    let Some(modern) = classic("the classic store and record") else { return };
    let context = modern.context(DOCKERFILE);
    let (cache, store) = (context.path("cache"), format!("dir:{}", context.path("store")));
    let run =
        |arguments: &[&str]| Run::of(modern.at_home(None).args(arguments).args(["--cache-dir", &cache]));
    let count = |kind: &str| fs::read_dir(format!("{cache}/v1/{kind}")).map_or(0, Iterator::count);
    let first = run(&["inspect", TAG]).expect(0);
    assert!(first.stderr.contains("layers from the engine's store on disk"), "{}", first.stderr);
    assert!(count("seen") > 0 && count("layers") == 0 && count("images") == 0);
    let again = run(&["inspect", TAG]).expect(0);
    assert!(again.stderr.contains("layers are known, none was read"), "{}", again.stderr);
    assert_eq!(again.stdout, first.stdout);
    let recorded = run(&["record", TAG, "--allow-dirty", "--store", &store]).expect(0);
    assert!(recorded.stderr.contains("read the engine's export"), "{}", recorded.stderr);
    assert!(count("layers") > 0, "what was recorded was hashed");
}
