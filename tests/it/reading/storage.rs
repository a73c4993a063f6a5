//! Images in the storage of Podman and Buildah, read from their files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Run, layergate, skip};

/// A storage of its own, filled by Buildah.
struct Storage {
    directory: tempfile::TempDir,
    /// Who builds: root, or a user that has none of its rights.
    user: Option<String>,
}

/// Eight layers: hard links, whiteouts, replaced files, a file of another user that only it may read, and names
/// that are long or not ASCII.
const DOCKERFILE: &str = "FROM scratch
COPY busybox /bin/busybox
RUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]
RUN mkdir -p /data/old && seq 1 9000 > /data/old/a && ln /data/old/a /data/link
RUN rm -r /data/old && seq 1 300 > /data/new
RUN n=$(printf '%0180d' 7) && mkdir -p /data/$n && seq 1 40 > \"/data/$n/ö ü\"
RUN mkdir -p /home/app/.ssh && seq 1 90 > /home/app/.ssh/id_rsa && chmod 400 /home/app/.ssh/id_rsa && chown 1000 /home/app/.ssh/id_rsa
RUN seq 1 5 > /data/new && rm /data/link && seq 1 800 > /data/link
";

impl Storage {
    /// `None` where nothing was started or installed for it.
    fn filled(test: &str, user: Option<String>) -> Option<Storage> {
        let Some(busybox) = std::env::var_os("LAYERGATE_TEST_BUSYBOX").filter(|path| !path.is_empty()) else {
            skip(test, "LAYERGATE_TEST_BUSYBOX is not set");
            return None;
        };
        // Below a directory that every user may enter.
        let directory = tempfile::Builder::new().prefix("storage").tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let context = directory.path().join("context");
        fs::create_dir(&context).unwrap();
        fs::copy(busybox, context.join("busybox")).unwrap();
        fs::write(context.join("Dockerfile"), DOCKERFILE).unwrap();
        let storage = Storage { directory, user };
        if let Some(user) = &storage.user {
            Run::of(Command::new("chown").args(["-R", user]).arg(storage.directory.path())).expect(0);
        }
        let build =
            ["build", "--layers", "--isolation", "chroot", "--network", "host", "--tag", "localhost/app:1"];
        storage.buildah(&[&build[..], &[&context.display().to_string()]].concat());
        Some(storage)
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    /// What `containers-storage:` calls an image here.
    fn image(&self, name: &str) -> String {
        format!("containers-storage:[vfs@{}]{name}", self.root().display())
    }

    fn buildah(&self, arguments: &[&str]) -> Run {
        let run = self.directory.path().join("run");
        let mut command = self.as_user("buildah");
        command.arg("--root").arg(self.root()).arg("--runroot").arg(run).args(["--storage-driver", "vfs"]);
        Run::of(command.args(arguments)).expect(0)
    }

    /// A command as the user of the storage.
    fn as_user(&self, program: &str) -> Command {
        let home = self.directory.path();
        match &self.user {
            None => Command::new(program),
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", user, "--regid", user, "--clear-groups", program]);
                command
                    .env("HOME", home)
                    .env("XDG_RUNTIME_DIR", home)
                    .env("TMPDIR", home)
                    .env("USER", user)
                    .current_dir(home);
                command
            }
        }
    }

    fn layergate(&self, options: &[&str], image: &str) -> Command {
        let mut command = self.as_user(&self.program().display().to_string());
        command.args(["inspect", "--format", "json", "--no-cache"]).args(options).arg(image);
        command
    }

    fn inspect(&self, options: &[&str], image: &str) -> Run {
        Run::of(&mut self.layergate(options, image)).expect(0)
    }

    fn is_rootless(&self) -> bool {
        self.user.is_some() || !is_root()
    }

    /// The program where every user may run it.
    fn program(&self) -> PathBuf {
        let copy = self.directory.path().join("layergate");
        if !copy.exists() {
            fs::copy(layergate().get_program(), &copy).unwrap();
        }
        copy
    }

    fn saved(&self, kind: &str) -> PathBuf {
        let file = self.directory.path().join(format!("{kind}.tar"));
        self.buildah(&["push", "localhost/app:1", &format!("{kind}:{}", file.display())]);
        file
    }
}

fn figures(run: &Run) -> (serde_json::Value, Vec<serde_json::Value>) {
    let mut json = run.json();
    json["totals"].as_object_mut().unwrap().remove("compressed");
    let layers = json["layers"].as_array().unwrap().iter();
    (
        json["totals"].clone(),
        layers.map(|layer| serde_json::json!([layer["diff_id"], layer["size"]])).collect(),
    )
}

/// For root, and for a user with none of its rights.
#[test]
#[ignore = "needs buildah: tests/run"]
fn an_image_of_the_storage_has_the_numbers_of_what_is_saved_of_it() {
    const TEST: &str = "an image of the container storage";
    let Some(rootless) = std::env::var("LAYERGATE_TEST_ROOTLESS").ok().filter(|user| !user.is_empty()) else {
        return skip(TEST, "LAYERGATE_TEST_ROOTLESS is not set");
    };
    for user in if is_root() { vec![None, Some(rootless)] } else { vec![None] } {
        let Some(storage) = Storage::filled(TEST, user) else { return };
        let expected = figures(&storage.inspect(&[], &storage.saved("docker-archive").display().to_string()));
        assert_eq!(expected.1.len(), 7);
        assert_eq!(
            figures(&storage.inspect(&[], &storage.saved("oci-archive").display().to_string())),
            expected
        );
        let id = storage.buildah(&["images", "--no-trunc", "--quiet", "localhost/app:1"]).stdout;
        let id = id.trim().trim_start_matches("sha256:").to_owned();
        for name in ["app:1", "localhost/app:1", &id, &id[..12]] {
            let run = storage.inspect(&[], &storage.image(name));
            assert_eq!(figures(&run), expected, "{name}");
            // One file is closed to whoever is not root.
            let said = run.stderr.contains("1 file was not searched for packages");
            assert_eq!(said, storage.is_rootless(), "{}", run.stderr);
            // Blobs of the storage are plain tars, and nothing is distributed that way.
            assert!(run.json()["totals"]["compressed"].is_null());
        }
        // With every byte read and hashed, the tar is the one that the diff ID names.
        let image = storage.image("app:1");
        if storage.is_rootless() {
            let refused = Run::of(&mut storage.layergate(&["--verify"], &image)).expect(3);
            assert!(refused.stderr.contains("run this command under `podman unshare`"), "{}", refused.stderr);
            let mut unshared = storage.as_user("buildah");
            let inner = storage.layergate(&["--verify"], &image);
            let arguments =
                inner.get_args().skip_while(|argument| !argument.to_string_lossy().ends_with("layergate"));
            let program = storage.program();
            let arguments: Vec<_> = match storage.user {
                Some(_) => arguments.collect(),
                None => std::iter::once(program.as_os_str()).chain(inner.get_args()).collect(),
            };
            unshared.arg("unshare").args(arguments);
            assert_eq!(figures(&Run::of(&mut unshared).expect(0)), expected);
        } else {
            assert_eq!(figures(&storage.inspect(&["--verify"], &image)), expected);
        }
    }
}

#[test]
#[ignore = "needs buildah: tests/run"]
fn what_the_storage_lacks_is_said() {
    let Some(storage) = Storage::filled("what a container storage lacks", None) else { return };
    let fails = |image: &str| Run::of(layergate().args(["inspect", image])).expect(3).stderr;
    let message = fails(&storage.image("ap:1"));
    assert!(message.contains("no image `ap:1`; the nearest names are `localhost/app:1`"), "{message}");
    let empty = storage.directory.path().join("nothing");
    let message = fails(&format!("containers-storage:[vfs@{}]app", empty.display()));
    assert!(message.contains("no image in the container storage at"), "{message}");
    for entry in fs::read_dir(storage.root().join("vfs-layers")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "gz") {
            fs::remove_file(path).unwrap();
        }
    }
    let message = fails(&storage.image("app:1"));
    assert!(message.contains("measure the output of `podman save` instead"), "{message}");
}

#[test]
#[ignore = "needs buildah: tests/run"]
fn an_index_of_the_storage_has_its_platforms() {
    let Some(storage) = Storage::filled("an index of a container storage", None) else { return };
    let context = storage.directory.path().join("context");
    fs::write(context.join("Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n").unwrap();
    let context = context.display().to_string();
    storage.buildah(&["build", "--quiet", "--platform", "linux/arm64", "--tag", "localhost/arm:1", &context]);
    storage.buildah(&["manifest", "create", "localhost/both:1"]);
    for image in ["app", "arm"] {
        let image = format!("containers-storage:localhost/{image}:1");
        storage.buildah(&["manifest", "add", "localhost/both:1", &image]);
    }
    let both = storage.image("both:1");
    let text = Run::of(&mut storage.layergate(&["--platform", "linux/arm64"], &both)).expect(0);
    assert_eq!(text.json()["totals"]["layers"], 1);
    let all = layergate_text(&storage, &both);
    assert!(all.contains("linux/amd64") && all.contains("linux/arm64"), "{all}");
}

fn layergate_text(storage: &Storage, image: &str) -> String {
    let mut command = storage.as_user(&storage.program().display().to_string());
    Run::of(command.args(["inspect", "--no-cache", "--platform", "all", image])).expect(0).stdout
}

/// A file of a layer that is a link by now leads nowhere.
#[test]
#[ignore = "needs buildah: tests/run"]
fn a_link_in_the_storage_is_not_followed() {
    let Some(storage) = Storage::filled("links in a container storage", None) else { return };
    let files = walk(&storage.root().join("vfs/dir"));
    let busybox: Vec<_> = files.iter().filter(|path| path.ends_with("bin/busybox")).collect();
    assert!(!busybox.is_empty());
    for file in busybox {
        fs::remove_file(file).unwrap();
        std::os::unix::fs::symlink("/bin/true", file).unwrap();
    }
    let message = Run::of(layergate().args(["inspect", &storage.image("app:1")])).expect(3).stderr;
    assert!(message.contains("cannot open bin/busybox below"), "{message}");
}

fn walk(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.symlink_metadata().unwrap().is_dir() {
            true => found.extend(walk(&path)),
            false => found.push(path),
        }
    }
    found
}

fn is_root() -> bool {
    Run::of(Command::new("id").arg("-u")).expect(0).stdout.trim() == "0"
}
