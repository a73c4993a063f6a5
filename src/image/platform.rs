//! Platforms as an image index names them (OCI image index specification, "platform").

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an image runs on, as `os/arch[/variant]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Platform {
    /// The operating system, by Go's `GOOS` names.
    pub os: String,
    /// The processor architecture, by Go's `GOARCH` names.
    pub architecture: String,
    /// The architecture's variant, such as `v7` of `arm`.
    pub variant: Option<String>,
}

/// A text that is not `os/arch` or `os/arch/variant`.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not a platform; write it as os/arch or os/arch/variant, such as linux/amd64 or linux/arm/v7"
)]
pub struct InvalidPlatform(String);

impl Platform {
    /// From the three fields that configs and indexes spell a platform with; `None` where one of
    /// the first two is missing or any is malformed.
    pub fn from_fields(os: &str, architecture: &str, variant: Option<&str>) -> Option<Platform> {
        let variant = variant.filter(|variant| !variant.is_empty());
        let fields = [Some(os), Some(architecture), variant];
        fields.into_iter().flatten().collect::<Vec<_>>().join("/").parse().ok()
    }

    /// The platform that this program runs on; containers are Linux also where the desktop is not.
    pub fn of_this_machine() -> Platform {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            other => other,
        };
        Platform { os: "linux".into(), architecture: architecture.into(), variant: None }
    }

    /// The platform without a variant that its architecture has anyway (`arm64/v8`, `amd64/v1`):
    /// the name under which it is recorded.
    pub fn canonical(&self) -> Platform {
        let usual = matches!(
            (self.architecture.as_str(), self.variant.as_deref()),
            ("arm64", Some("v8")) | ("amd64", Some("v1"))
        );
        Platform { variant: self.variant.clone().filter(|_| !usual), ..self.clone() }
    }

    /// Whether an image for `self` is what somebody means who asks for `wanted`. A variant that is
    /// not asked for, or that is the architecture's only usual one (`arm64/v8`), does not matter.
    pub fn satisfies(&self, wanted: &Platform) -> bool {
        let (own, other) = (self.canonical(), wanted.canonical());
        own.os == other.os
            && own.architecture == other.architecture
            && (other.variant.is_none() || own.variant == other.variant)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Platform, InvalidPlatform> {
        let invalid = || InvalidPlatform(text.chars().take(100).collect());
        let parts: Vec<&str> = text.split('/').collect();
        let plain = |part: &&str| {
            !part.is_empty()
                && part.len() <= 64
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        if !(2..=3).contains(&parts.len()) || !parts.iter().all(plain) {
            return Err(invalid());
        }
        Ok(Platform {
            os: parts[0].into(),
            architecture: parts[1].into(),
            variant: parts.get(2).map(|variant| (*variant).to_owned()),
        })
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
}
