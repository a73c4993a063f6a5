//! `extends` and `[allow]`: limits that many repositories share. All files of a chain are evaluated, and the worst
//! verdict counts, so that no setting has to say which limit is stricter.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::Settings;
use crate::image::Day;
use crate::limits;

/// Maximum number of files in a chain.
pub const MAX_EXTENDED: usize = 3;
/// What can be loosened besides limits.
const OTHERS: [&str; 2] = ["accept", "removable"];

/// A configuration that another one names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigReference {
    /// A file beside the one that names it.
    File(String),
    /// A file of a repository.
    Remote(RemoteConfig),
}

/// A file of a repository: `acme/.github//layergate.toml@main`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteConfig {
    /// The owner of the repository.
    pub owner: String,
    /// The repository.
    pub name: String,
    /// The file.
    pub path: String,
    /// A branch, a tag or a commit.
    pub at: String,
}

/// Not a valid reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}`: expected a file, or OWNER/REPO//PATH@REF such as acme/.github//layergate.toml@main")]
pub struct NoConfigReference(String);

impl FromStr for ConfigReference {
    type Err = NoConfigReference;

    fn from_str(text: &str) -> Result<ConfigReference, NoConfigReference> {
        let failed = || NoConfigReference(text.chars().take(200).collect());
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(failed());
        }
        if text.starts_with('/') || !text.contains("//") {
            return Ok(ConfigReference::File(text.to_owned()));
        }
        let remote = RemoteConfig::parse(text).ok_or_else(failed)?;
        Ok(ConfigReference::Remote(remote))
    }
}

impl RemoteConfig {
    fn parse(text: &str) -> Option<RemoteConfig> {
        let (repository, rest) = text.split_once("//")?;
        let (owner, name) = repository.split_once('/')?;
        let (path, at) = rest.split_once('@')?;
        let is_word = |part: &str| {
            !["", ".", ".."].contains(&part)
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        let is_path = path.split('/').all(|part| !["", ".", ".."].contains(&part));
        let fits = is_word(owner) && is_word(name) && is_path && !at.is_empty();
        let remote =
            || RemoteConfig { owner: owner.into(), name: name.into(), path: path.into(), at: at.into() };
        fits.then(remote)
    }
}

impl fmt::Display for RemoteConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}//{}@{}", self.owner, self.name, self.path, self.at)
    }
}

/// What a configuration allows those that extend it to loosen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allow {
    all: Loosen,
    images: BTreeMap<String, Loosen>,
}

/// Keys that others may set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Loosen {
    keys: Vec<String>,
    /// The last day on which they may.
    until: Option<Day>,
}

impl Loosen {
    fn allows(&self, key: &str, today: &Day) -> bool {
        self.until.as_ref().is_none_or(|until| today <= until) && self.keys.iter().any(|own| own == key)
    }
}

impl Allow {
    /// The keys of `[allow]` and of its sections of images.
    pub const KEYS: [&str; 2] = ["loosen", "until"];

    /// Adds a section; without an image, for all images.
    ///
    /// # Errors
    /// The key whose value cannot be used, and why.
    pub fn add(&mut self, image: Option<&str>, settings: &Settings) -> Result<(), (&'static str, String)> {
        let mut loosen = Loosen::default();
        let words = settings.get("loosen").map_or("", |setting| setting.text.as_str());
        for word in words.lines().map(str::trim).filter(|word| !word.is_empty()) {
            if limits::key(word).is_none() && !OTHERS.contains(&word) {
                let message = format!("`{word}` is not a limit, `enforce`, `accept` or `removable`");
                return Err(("loosen", message));
            }
            if image.is_some() && OTHERS.contains(&word) {
                return Err(("loosen", format!("`{word}` is for all images; it belongs under [allow]")));
            }
            loosen.keys.push(word.to_owned());
        }
        if let Some(until) = settings.get("until") {
            let text = until.text.trim();
            let day = text.parse::<Day>().map_err(|error| ("until", format!("`{text}`: {error}")))?;
            loosen.until = Some(day);
        }
        match image {
            Some(image) => drop(self.images.insert(image.to_owned(), loosen)),
            None => self.all = loosen,
        }
        Ok(())
    }

    /// Whether others may set a key for an image on a day; without an image, for all images.
    pub fn allows(&self, key: &str, image: Option<&str>, today: &Day) -> bool {
        let own = image.and_then(|image| self.images.get(image));
        self.all.allows(key, today) || own.is_some_and(|own| own.allows(key, today))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Setting;

    #[test]
    fn a_reference_is_a_file_or_a_file_of_a_repository() {
        let text = "acme/.github//limits/layergate.toml@release/1.x";
        let Ok(ConfigReference::Remote(remote)) = text.parse() else { panic!("{text}") };
        assert_eq!((remote.path.as_str(), remote.at.as_str()), ("limits/layergate.toml", "release/1.x"));
        assert_eq!(remote.to_string(), text);
        for file in ["layergate.toml", "../central/limits.toml", "/etc/layergate.toml", "a/b@c.toml"] {
            assert_eq!(file.parse(), Ok(ConfigReference::File(file.into())));
        }
        for text in [
            "",
            "acme/.github//layergate.toml",
            "acme/.github//layergate.toml@",
            "acme//layergate.toml@main",
            "acme/x/y//layergate.toml@main",
            "acme/..//layergate.toml@main",
            "acme/.github//../layergate.toml@main",
            "acme/.github///layergate.toml@main",
            "acme/.github//@main",
            "https://example.com/layergate.toml@main",
            "a\nb",
        ] {
            assert!(text.parse::<ConfigReference>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_may_be_loosened_is_of_images_and_ends() {
        let setting = |text: &str| Setting { text: text.into(), origin: "test".into() };
        let settings = |loosen: &str, until: Option<&str>| {
            let until = until.map(|until| ("until".to_owned(), setting(until)));
            Settings::from_iter([("loosen".to_owned(), setting(loosen))].into_iter().chain(until))
        };
        let mut allow = Allow::default();
        allow.add(None, &settings("max-layers", None)).unwrap();
        allow.add(Some("api"), &settings("max-size\nenforce", Some("1970-01-02"))).unwrap();
        let allows = |key, image, time| allow.allows(key, image, &Day::of(time));
        assert!(allows("max-layers", None, 0) && allows("max-layers", Some("web"), 0));
        assert!(allows("max-size", Some("api"), 0) && allows("max-size", Some("api"), 86_400));
        assert!(!allows("max-size", Some("api"), 2 * 86_400), "the last day is over");
        assert!(!allows("max-size", Some("web"), 0) && !allows("max-size", None, 0));
        assert_eq!(allow.add(None, &settings("max-sise", None)).unwrap_err().0, "loosen");
        // A setting for all images cannot be allowed for one.
        for word in ["accept", "removable"] {
            assert_eq!(allow.add(Some("api"), &settings(word, None)).unwrap_err().0, "loosen");
        }
        assert_eq!(allow.add(None, &settings("max-size", Some("soon"))).unwrap_err().0, "until");
    }
}
