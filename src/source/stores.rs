//! Where the stores of containers/storage are (containers-storage.conf(5)), and how
//! `containers-storage:[[DRIVER@]ROOT[+RUN][:OPTIONS]]NAME` names one (containers-transports(5)).

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{SourceError, excerpt, read_file};

/// The drivers that keep each layer in a directory.
const DRIVERS: [&str; 2] = ["overlay", "vfs"];
/// Maximum bytes of a configuration file.
const MAX_CONFIG: u64 = 1 << 20;

/// The directory of a store, and the driver whose part of it is meant.
#[derive(Debug, Clone)]
pub struct Root {
    /// The graph root.
    pub path: PathBuf,
    driver: Option<String>,
}

/// One driver's part of a store.
#[derive(Debug, Clone)]
pub struct DriverStore {
    root: PathBuf,
    driver: &'static str,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Configuration {
    storage: Storage,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Storage {
    driver: String,
    graphroot: Option<String>,
    rootless_storage_path: Option<String>,
    options: StorageOptions,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StorageOptions {
    additionalimagestores: Vec<PathBuf>,
}

impl Root {
    /// The stores that a reference (without its transport) names, and the rest of it, which names an image.
    ///
    /// # Errors
    /// [`SourceError`] if a configuration file cannot be used.
    pub fn of_reference(text: &str) -> Result<(Vec<Root>, &str), SourceError> {
        match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
            Some((place, name)) => Ok((vec![Root::named(place)], name)),
            None => Ok((Root::usual()?, text)),
        }
    }

    fn named(place: &str) -> Root {
        let (driver, path) = match place.split_once('@') {
            Some((driver, path)) => (Some(driver.to_owned()), path),
            None => (None, place),
        };
        let path = path.split(['+', ':']).next().unwrap_or(path);
        Root { path: path.into(), driver }
    }

    /// The stores of this user, from the configuration file.
    fn usual() -> Result<Vec<Root>, SourceError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let home = variable("HOME").map(PathBuf::from).unwrap_or_default();
        let rootless = is_rootless();
        let config_home = variable("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
        let files = match variable("CONTAINERS_STORAGE_CONF") {
            Some(file) => vec![PathBuf::from(file)],
            None => {
                let own = Some(config_home.join("containers/storage.conf")).filter(|_| rootless);
                let shared = ["/etc/containers/storage.conf", "/usr/share/containers/storage.conf"];
                own.into_iter().chain(shared.map(PathBuf::from)).collect()
            }
        };
        let file = files.iter().find(|file| file.exists());
        let storage = file.map(|file| read_configuration(file)).transpose()?.unwrap_or_default().storage;
        // The root in a shared file is that of root's own store.
        let own_file =
            !rootless || file.is_some_and(|file| !file.starts_with("/etc") && !file.starts_with("/usr"));
        let data_home = variable("XDG_DATA_HOME").map_or_else(|| home.join(".local/share"), PathBuf::from);
        let path = match (storage.graphroot.filter(|_| own_file), storage.rootless_storage_path) {
            (Some(path), _) => PathBuf::from(expanded(&path, &home)),
            (None, Some(path)) if rootless => PathBuf::from(expanded(&path, &home)),
            _ if rootless => data_home.join("containers/storage"),
            _ => "/var/lib/containers/storage".into(),
        };
        let driver = variable("STORAGE_DRIVER").or(Some(storage.driver).filter(|driver| !driver.is_empty()));
        let additional = storage.options.additionalimagestores.into_iter();
        let additional = additional.map(|path| Root { path, driver: None });
        Ok(std::iter::once(Root { path, driver }).chain(additional).collect())
    }

    /// The parts of the store that have images; the configured driver's only, if one is set.
    pub fn places(&self) -> Vec<DriverStore> {
        let wanted = |driver: &&&str| match self.driver.as_deref() {
            // `fuse-overlayfs` stores layers as overlay does.
            Some("overlay2") => **driver == "overlay",
            Some(own) => own == **driver,
            None => true,
        };
        let place = |driver: &&'static str| DriverStore { root: self.path.clone(), driver };
        let places: Vec<DriverStore> = DRIVERS.iter().filter(wanted).map(place).collect();
        places.into_iter().filter(|place| place.images().is_dir()).collect()
    }
}

impl DriverStore {
    /// The directory of the images' documents.
    pub fn images(&self) -> PathBuf {
        self.root.join(format!("{}-images", self.driver))
    }

    /// The directory of the layers' documents.
    pub fn layers(&self) -> PathBuf {
        self.root.join(format!("{}-layers", self.driver))
    }

    /// Where the files of a layer are.
    pub fn uncompressed(&self, id: &str) -> PathBuf {
        match self.driver {
            "vfs" => self.root.join("vfs/dir").join(id),
            driver => self.root.join(driver).join(id).join("diff"),
        }
    }
}

fn read_configuration(path: &Path) -> Result<Configuration, SourceError> {
    let malformed = |error: String| SourceError::Malformed {
        image: "containers-storage".into(),
        name: path.display().to_string(),
        error: excerpt(&error),
    };
    let content = read_file(path, MAX_CONFIG)?;
    let text = String::from_utf8(content).map_err(|error| malformed(error.to_string()))?;
    toml::from_str(&text).map_err(|error| malformed(error.message().to_owned()))
}

/// A path with the user's environment variables expanded.
fn expanded(path: &str, home: &Path) -> String {
    let user = std::env::var("USER").unwrap_or_default();
    path.replace("$HOME", &home.to_string_lossy())
        .replace("$USER", &user)
        .replace("$UID", &user_id().to_string())
}

/// Whether Podman and Buildah would keep images in the user's own store; `podman unshare` sets the variables too.
fn is_rootless() -> bool {
    let marked = ["_CONTAINERS_ROOTLESS_UID", "_CONTAINERS_USERNS_CONFIGURED"];
    user_id() != 0 || marked.iter().any(|name| std::env::var_os(name).is_some())
}

#[cfg(unix)]
fn user_id() -> u32 {
    match std::env::var("_CONTAINERS_ROOTLESS_UID").ok().and_then(|id| id.parse().ok()) {
        Some(id) => id,
        None => rustix::process::geteuid().as_raw(),
    }
}

#[cfg(not(unix))]
fn user_id() -> u32 {
    1
}
