//! Platforms as an image index names them (OCI image index specification, "platform").

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an image runs on, as `os/arch[/variant][:os.version]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Platform {
    /// The operating system, by Go's `GOOS` names.
    pub os: String,
    /// The processor architecture, by Go's `GOARCH` names.
    pub architecture: String,
    /// The architecture's variant, such as `v7` of `arm`.
    pub variant: Option<String>,
    /// The version of the operating system that the image is for (`os.version`), as Windows images state it.
    pub os_version: Option<String>,
    /// What the image requires of the operating system (`os.features`), such as `win32k`.
    pub os_features: Vec<String>,
}

/// A text that is not `os/arch[/variant][:os.version]`.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not a platform; write it as os/arch, os/arch/variant or os/arch:os.version, such as linux/amd64, linux/arm/v7 or windows/amd64:10.0.20348"
)]
pub struct InvalidPlatform(String);

impl Platform {
    /// From the three platform fields of configs and indexes; `None` if one of the first two is missing or any is
    /// malformed.
    pub fn from_fields(os: &str, architecture: &str, variant: Option<&str>) -> Option<Platform> {
        let variant = variant.filter(|variant| !variant.is_empty());
        let fields = [Some(os), Some(architecture), variant];
        fields.into_iter().flatten().collect::<Vec<_>>().join("/").parse().ok()
    }

    /// The platform with the fields `os.version` and `os.features`. Malformed values are dropped.
    pub fn with_os(self, version: Option<&str>, features: &[String]) -> Platform {
        let os_version = version.filter(|version| is_plain(version)).map(str::to_owned);
        let mut os_features: Vec<String> =
            features.iter().filter(|feature| is_plain(feature)).cloned().collect();
        os_features.sort();
        os_features.dedup();
        Platform { os_version, os_features, ..self }
    }

    /// The platform of this machine's containers: Linux, even if the desktop is not.
    pub fn of_this_machine() -> Platform {
        Platform::named("linux", std::env::consts::ARCH, None)
    }

    /// From the names that people and machines use besides Go's, as containerd accepts them.
    fn named(os: &str, architecture: &str, variant: Option<&str>) -> Platform {
        let (os, architecture) = (os.to_ascii_lowercase(), architecture.to_ascii_lowercase());
        let (architecture, implied) = match architecture.as_str() {
            "x86_64" | "x86-64" => ("amd64", None),
            "aarch64" => ("arm64", None),
            "x86" | "i386" => ("386", None),
            "armhf" => ("arm", Some("v7")),
            "armel" => ("arm", Some("v6")),
            other => (other, None),
        };
        Platform {
            os: if os == "macos" { "darwin".into() } else { os },
            architecture: architecture.into(),
            variant: variant.or(implied).map(str::to_owned),
            os_version: None,
            os_features: Vec::new(),
        }
    }

    /// The platform as it is recorded: without a variant that the architecture implies (`arm64/v8`, `amd64/v1`), and
    /// without the revision of a Windows version, which changes monthly.
    pub fn canonical(&self) -> Platform {
        let usual = matches!(
            (self.architecture.as_str(), self.variant.as_deref()),
            ("arm64", Some("v8")) | ("amd64", Some("v1"))
        );
        let build = |version: &String| version.splitn(4, '.').take(3).collect::<Vec<_>>().join(".");
        let os_version = match self.os.as_str() {
            "windows" => self.os_version.as_ref().map(build),
            _ => self.os_version.clone(),
        };
        Platform { variant: self.variant.clone().filter(|_| !usual), os_version, ..self.clone() }
    }

    /// Whether an image for `self` is what a request for `wanted` means. A variant that is not requested, or that is
    /// the architecture's only usual one (`arm64/v8`), does not matter. The end of a version may be left out.
    pub fn satisfies(&self, wanted: &Platform) -> bool {
        let (own, other) = (self.canonical(), wanted.canonical());
        let is_version = |wanted: &String| {
            let own = self.os_version.as_deref().and_then(|own| own.strip_prefix(wanted.as_str()));
            own.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        own.os == other.os
            && own.architecture == other.architecture
            && (other.variant.is_none() || own.variant == other.variant)
            && wanted.os_version.as_ref().is_none_or(is_version)
            && wanted.os_features.iter().all(|feature| self.os_features.contains(feature))
    }
}

/// Whether a text can be a part of a platform.
fn is_plain(part: &str) -> bool {
    (1..=64).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

impl fmt::Display for Platform {
    /// Version and features are written together, as in containerd's `windows(10.0.20348+win32k)/amd64`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))?;
        if self.os_version.is_some() || !self.os_features.is_empty() {
            write!(f, ":{}", self.os_version.as_deref().unwrap_or_default())?;
        }
        self.os_features.iter().try_for_each(|feature| write!(f, "+{feature}"))
    }
}

impl FromStr for Platform {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Platform, InvalidPlatform> {
        let invalid = || InvalidPlatform(text.chars().take(100).collect());
        let (machine, os) = text.split_once(':').map_or((text, None), |(machine, os)| (machine, Some(os)));
        let parts: Vec<&str> = machine.split('/').collect();
        let mut of_os = os.unwrap_or_default().split('+').map(str::to_owned);
        let version = of_os.next().filter(|version| !version.is_empty());
        let features: Vec<String> = of_os.collect();
        let mut all =
            parts.iter().copied().chain(version.as_deref()).chain(features.iter().map(String::as_str));
        let says_nothing = os.is_some() && version.is_none() && features.is_empty();
        if !(2..=3).contains(&parts.len()) || !all.all(is_plain) || says_nothing {
            return Err(invalid());
        }
        let platform = Platform::named(parts[0], parts[1], parts.get(2).copied());
        Ok(platform.with_os(version.as_deref(), &features))
    }
}

impl TryFrom<String> for Platform {
    type Error = InvalidPlatform;

    fn try_from(text: String) -> Result<Platform, InvalidPlatform> {
        text.parse()
    }
}

impl From<Platform> for String {
    fn from(platform: Platform) -> String {
        platform.to_string()
    }
}

/// The name under which a platform is recorded.
pub fn platform_key(platform: Option<&Platform>) -> String {
    platform.map_or_else(|| "unknown".into(), |platform| platform.canonical().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_asked_for_as_loosely_as_people_do() {
        let image: Platform = "linux/arm64/v8".parse().unwrap();
        assert!(image.satisfies(&"linux/arm64".parse().unwrap()));
        assert!("linux/arm64".parse::<Platform>().unwrap().satisfies(&image));
        assert!(!"linux/arm/v6".parse::<Platform>().unwrap().satisfies(&"linux/arm/v7".parse().unwrap()));
        for bad in ["", "linux", "linux/", "linux/amd64/v1/x", "linux/am d64", "linux/amd64\n"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_of_machines_are_those_of_go() {
        for (text, platform) in [
            ("linux/x86_64", "linux/amd64"),
            ("Linux/AArch64", "linux/arm64"),
            ("linux/armhf", "linux/arm/v7"),
            ("macos/aarch64", "darwin/arm64"),
            ("linux/i386", "linux/386"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), platform);
        }
    }

    #[test]
    fn a_version_of_the_system_is_asked_for_as_exactly_as_one_likes() {
        let image: Platform = "windows/amd64:10.0.20348.2113+win32k".parse().unwrap();
        assert_eq!(image.to_string(), "windows/amd64:10.0.20348.2113+win32k");
        assert_eq!(image.canonical().to_string(), "windows/amd64:10.0.20348+win32k");
        for wanted in [
            "windows/amd64",
            "windows/amd64:10.0.20348",
            "windows/amd64:10.0.20348.2113",
            "windows/amd64:+win32k",
        ] {
            assert!(image.satisfies(&wanted.parse().unwrap()), "{wanted}");
        }
        for wanted in ["windows/amd64:10.0.2034", "windows/amd64:10.0.17763", "windows/amd64:10.0.20348.1"] {
            assert!(!image.satisfies(&wanted.parse().unwrap()), "{wanted}");
        }
        for bad in ["windows/amd64:", "windows/amd64:+", "windows/amd64:1 0", "windows/amd64:1++a"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad:?}");
        }
    }
}
