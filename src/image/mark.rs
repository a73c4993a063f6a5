//! Marks: facts found in the content of files, such as debug symbols, secrets and development packages. A file list
//! keeps them beside its files, because a cached layer is not read again.

use std::fmt;

use serde::de::{self, IgnoredAny, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bytes::Bytes;
use super::entry::Entry;
use super::path::LayerPath;

/// Maximum marks of one layer.
pub const MAX_MARKS: usize = 200_000;
/// Maximum directories that all marks of a layer name, and maximum bytes of their paths.
pub const MAX_DIRECTORIES: usize = 100_000;
/// See [`MAX_DIRECTORIES`].
pub const MAX_DIRECTORY_BYTES: usize = 8 << 20;

/// A fact found in the content of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// An ELF file with sections that only a debugger or a linker reads.
    Unstripped {
        /// The file, as an entry of the file list.
        entry: u32,
        /// The bytes of the sections that `strip` would remove.
        bytes: Bytes,
    },
    /// A file that holds what looks like a secret. The secret itself is never kept.
    Secret {
        /// The file, as an entry of the file list.
        entry: u32,
        /// What it looks like.
        kind: SecretKind,
    },
    /// A file in which a package manager lists which of its installed packages only development needs. The list is
    /// complete: a package that is not named is needed, and if none is named, all are.
    Dev {
        /// The file, as an entry of the file list.
        entry: u32,
        /// The directories of those packages, relative to the image's root; none is inside another, and some may not
        /// exist.
        directories: Vec<LayerPath>,
    },
    /// A project's own manifest, which names the packages that development needs, but not their dependencies. It counts
    /// only if no [`Mark::Dev`] knows better.
    DevDeclared {
        /// The file, as an entry of the file list.
        entry: u32,
        /// The directories where those packages would be, relative to the image's root.
        directories: Vec<LayerPath>,
    },
}

impl Mark {
    /// The file that the mark is about, as an entry of the file list.
    pub fn entry(&self) -> u32 {
        match self {
            Mark::Unstripped { entry, .. } | Mark::Secret { entry, .. } => *entry,
            Mark::Dev { entry, .. } | Mark::DevDeclared { entry, .. } => *entry,
        }
    }

    /// The directories that the mark names.
    pub fn directories(&self) -> &[LayerPath] {
        match self {
            Mark::Dev { directories, .. } | Mark::DevDeclared { directories, .. } => directories,
            Mark::Unstripped { .. } | Mark::Secret { .. } => &[],
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Mark::Unstripped { .. } => "debug",
            Mark::Secret { .. } => "secret",
            Mark::Dev { .. } => "dev",
            Mark::DevDeclared { .. } => "dev-declared",
        }
    }

    /// The sort key of marks; no two marks of a layer share it.
    fn order(&self) -> (u32, &'static str) {
        (self.entry(), self.word())
    }
}

/// The kind of secret that a file seems to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretKind {
    /// A private key in PEM, OpenSSH or OpenPGP format.
    PrivateKey,
    /// A key store: PKCS #12, or Java's own format.
    KeyStore,
    /// A token or password of a Node package manager.
    NpmToken,
    /// A password of a Python package index.
    PypiPassword,
    /// A password in `.netrc`.
    NetrcPassword,
    /// Git credentials, in Git's store or in a configuration.
    GitCredentials,
    /// An access key of AWS.
    AwsKey,
    /// A key of a Google Cloud service account, or a user's login.
    GcpKey,
    /// The login that `docker login` stores.
    DockerAuth,
    /// A password of a Maven repository.
    MavenPassword,
    /// A token of a Cargo registry.
    CargoToken,
    /// A password or token of Composer.
    ComposerAuth,
    /// A key of a Ruby gem server.
    GemKey,
    /// The credentials of a Kubernetes client.
    KubeConfig,
    /// Terraform state, which holds everything that Terraform made in plain text.
    TerraformState,
    /// An environment file that sets a password, a token or a key.
    EnvFile,
}

impl SecretKind {
    /// All kinds.
    pub const ALL: [SecretKind; 16] = [
        SecretKind::PrivateKey,
        SecretKind::KeyStore,
        SecretKind::NpmToken,
        SecretKind::PypiPassword,
        SecretKind::NetrcPassword,
        SecretKind::GitCredentials,
        SecretKind::AwsKey,
        SecretKind::GcpKey,
        SecretKind::DockerAuth,
        SecretKind::MavenPassword,
        SecretKind::CargoToken,
        SecretKind::ComposerAuth,
        SecretKind::GemKey,
        SecretKind::KubeConfig,
        SecretKind::TerraformState,
        SecretKind::EnvFile,
    ];

    /// The word in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            SecretKind::PrivateKey => "private-key",
            SecretKind::KeyStore => "key-store",
            SecretKind::NpmToken => "npm-token",
            SecretKind::PypiPassword => "pypi-password",
            SecretKind::NetrcPassword => "netrc-password",
            SecretKind::GitCredentials => "git-credentials",
            SecretKind::AwsKey => "aws-key",
            SecretKind::GcpKey => "gcp-key",
            SecretKind::DockerAuth => "docker-auth",
            SecretKind::MavenPassword => "maven-password",
            SecretKind::CargoToken => "cargo-token",
            SecretKind::ComposerAuth => "composer-auth",
            SecretKind::GemKey => "gem-key",
            SecretKind::KubeConfig => "kube-config",
            SecretKind::TerraformState => "terraform-state",
            SecretKind::EnvFile => "env-file",
        }
    }
}

/// In documents a mark is a short array, like an entry: `["debug",12,3456]`, `["secret",5,"private-key"]`,
/// `["dev",7,["app/node_modules/typescript"]]`, `["dev-declared",9,["app/node_modules/typescript"]]`.
impl Serialize for Mark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(3)?;
        tuple.serialize_element(self.word())?;
        tuple.serialize_element(&self.entry())?;
        match self {
            Mark::Unstripped { bytes, .. } => tuple.serialize_element(bytes)?,
            Mark::Secret { kind, .. } => tuple.serialize_element(kind.as_str())?,
            Mark::Dev { directories, .. } | Mark::DevDeclared { directories, .. } => {
                let texts: Vec<String> = directories.iter().map(LayerPath::to_string).collect();
                tuple.serialize_element(&texts)?;
            }
        }
        tuple.end()
    }
}

/// A mark from a document; `None` if it is of a kind that only newer versions know.
pub struct ReadMark(Option<Mark>);

impl<'de> Deserialize<'de> for ReadMark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ReadMark, D::Error> {
        deserializer.deserialize_seq(MarkVisitor)
    }
}

struct MarkVisitor;

impl<'de> Visitor<'de> for MarkVisitor {
    type Value = ReadMark;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mark such as [\"debug\", 12, 3456]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ReadMark, A::Error> {
        let word: String = part(&mut seq, "its kind")?;
        let entry: u32 = part(&mut seq, "its file")?;
        let mark = match word.as_str() {
            "debug" => Some(Mark::Unstripped { entry, bytes: part(&mut seq, "its bytes")? }),
            "secret" => {
                let word: String = part(&mut seq, "the secret's kind")?;
                let kind = SecretKind::ALL.into_iter().find(|kind| kind.as_str() == word);
                kind.map(|kind| Mark::Secret { entry, kind })
            }
            "dev" => Some(Mark::Dev { entry, directories: part(&mut seq, "its directories")? }),
            "dev-declared" => {
                Some(Mark::DevDeclared { entry, directories: part(&mut seq, "its directories")? })
            }
            _ => None,
        };
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(ReadMark(mark))
    }
}

fn part<'de, A: SeqAccess<'de>, T: Deserialize<'de>>(seq: &mut A, what: &str) -> Result<T, A::Error> {
    seq.next_element()?.ok_or_else(|| de::Error::custom(format!("a mark without {what}")))
}

/// The known marks of a document, validated: untrusted input.
pub(super) fn checked(marks: Vec<ReadMark>, entries: &[Entry]) -> Result<Vec<Mark>, &'static str> {
    let marks: Vec<Mark> = marks.into_iter().filter_map(|mark| mark.0).collect();
    if marks.len() > MAX_MARKS {
        return Err("a file list with more marks than any layer has");
    }
    if !marks.is_sorted_by(|one, next| one.order() < next.order()) {
        return Err("the marks of a file list are not ascending");
    }
    let directories = || marks.iter().flat_map(Mark::directories);
    let bytes: usize = directories().map(|path| path.as_bytes().len()).sum();
    if directories().count() > MAX_DIRECTORIES || bytes > MAX_DIRECTORY_BYTES {
        return Err("the marks of a file list name more directories than any layer has");
    }
    if directories().any(|path| path.as_bytes().is_empty()) {
        return Err("a mark in a file list is for the whole image");
    }
    for mark in &marks {
        match (entries.get(mark.entry() as usize), mark) {
            (Some(Entry::File(_, size)), Mark::Unstripped { bytes, .. }) if bytes > size => {
                return Err("a mark of a file list has more bytes than its file");
            }
            (Some(Entry::File(..)), _) => {}
            _ => return Err("a mark in a file list is for no file"),
        }
    }
    Ok(marks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::FileList;

    fn file_list(marks: Option<Vec<Mark>>) -> FileList {
        let files = vec![
            Entry::Dir("a".into()),
            Entry::File("a/b".into(), Bytes(9)),
            Entry::File("c".into(), Bytes(0)),
        ];
        FileList { marks, ..FileList::of(files) }
    }

    fn read(marks: &str) -> Result<FileList, serde_json::Error> {
        serde_json::from_str(&format!(r#"{{"entries":[["d","a"],["f","a/b",9],["f","c",0]]{marks}}}"#))
    }

    #[test]
    fn marks_survive_their_document() {
        let marks = vec![
            Mark::Unstripped { entry: 1, bytes: Bytes(9) },
            Mark::Dev {
                entry: 2,
                directories: vec!["app/node_modules/a".into(), LayerPath::clean(b"b\xff")],
            },
            Mark::DevDeclared { entry: 2, directories: Vec::new() },
            Mark::Secret { entry: 2, kind: SecretKind::PrivateKey },
        ];
        let marked = file_list(Some(marks));
        let text = serde_json::to_string(&marked).unwrap();
        let end = r#""marks":[["debug",1,9],["dev",2,["app/node_modules/a","b\\xff"]],["dev-declared",2,[]],["secret",2,"private-key"]]}"#;
        assert!(text.ends_with(end), "{text}");
        assert_eq!(serde_json::from_str::<FileList>(&text).unwrap(), marked);
        for kind in SecretKind::ALL {
            let marked = file_list(Some(vec![Mark::Secret { entry: 1, kind }]));
            let text = serde_json::to_string(&marked).unwrap();
            assert_eq!(serde_json::from_str::<FileList>(&text).unwrap(), marked, "{text}");
        }
    }

    #[test]
    fn not_looked_for_is_not_none() {
        let (unknown, none) = (file_list(None), file_list(Some(Vec::new())));
        assert_eq!(read("").unwrap(), unknown);
        assert_eq!(read(r#","marks":null"#).unwrap(), unknown);
        assert_eq!(read(r#","marks":[]"#).unwrap(), none);
        for file_list in [unknown, none] {
            let text = serde_json::to_string(&file_list).unwrap();
            assert_eq!(serde_json::from_str::<FileList>(&text).unwrap(), file_list, "{text}");
        }
    }

    #[test]
    fn marks_of_a_newer_version_are_passed_over() {
        let newer = r#","marks":[["mood",0,{"a":1},2],["secret",1,"passphrase"],["debug",1,3,"more"]]"#;
        let known = file_list(Some(vec![Mark::Unstripped { entry: 1, bytes: Bytes(3) }]));
        assert_eq!(read(newer).unwrap(), known);
    }

    #[test]
    fn marks_that_cannot_be_are_refused() {
        let bad = [
            r#"["debug",1,10]"#,
            r#"["debug",0,1]"#,
            r#"["debug",3,1]"#,
            r#"["debug",-1,1]"#,
            r#"["debug",1,1],["debug",1,1]"#,
            r#"["debug",2,0],["debug",1,1]"#,
            r#"["dev",1,["/"]]"#,
            r#"["dev",1,"a"]"#,
            r#"["dev",1]"#,
            r#"["secret",1]"#,
            r#"["debug"]"#,
            r#"[]"#,
            r#"7"#,
        ];
        for bad in bad {
            assert!(read(&format!(r#","marks":[{bad}]"#)).is_err(), "{bad}");
        }
        let paths = |count: usize, length: usize| vec![format!("{:?}", "x".repeat(length)); count].join(",");
        for (count, length, fits) in [(3, 4, true), (MAX_DIRECTORIES + 1, 1, false), (3000, 3000, false)] {
            let marks = format!(r#","marks":[["dev",1,[{}]]]"#, paths(count, length));
            assert_eq!(read(&marks).is_ok(), fits, "{count} of {length}");
        }
    }
}
