//! Java archives, made by `jar` and by `zip`, and damaged or malicious ones.

use proptest::prelude::*;

use super::zip::{ArchiveBudget, ZipError};
use super::*;

/// The artifacts of an archive: what it is, what is inside and how many of its bytes that has.
fn read(name: &str, mut content: &[u8]) -> (Option<String>, Vec<(String, u64)>, Option<ZipError>) {
    let mut work = ArchiveBudget { inflated: 64 << 20, entries: 100_000 };
    let (found, error) = java::read(name.as_bytes(), &mut content, &mut work);
    let shown = |artifact: java::Artifact| format!("{}@{}", artifact.name, artifact.version);
    let inside = found.inside.into_iter().map(|(artifact, bytes)| (shown(artifact), bytes)).collect();
    (found.main.map(shown), inside, error)
}

fn inside(artifacts: &[(&str, u64)]) -> Vec<(String, u64)> {
    artifacts.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect()
}

#[test]
fn a_library_is_what_maven_says_it_is() {
    let library = fixture("java/greeter-1.2.0.jar");
    let found = packages(&[("app/lib/greeter-1.2.0.jar", &library), ("app/lib/other.txt", b"")]);
    assert_eq!(found, expected(&[("maven/org.example:greeter@1.2.0", &["app/lib/greeter-1.2.0.jar"])]));
}

/// `jar` writes lengths after the content, and the libraries are deflated.
#[test]
fn a_web_archive_holds_libraries() {
    let (main, found, error) = read("shop.war", &fixture("java/shop.war"));
    assert!(error.is_none(), "{error:?}");
    assert_eq!(main.as_deref(), Some("org.example:shop@3.0"));
    assert_eq!(found, inside(&[("org.example:greeter@1.2.0", 694), ("org.example:quiet-log@0.9", 702)]));
}

/// Spring Boot stores its libraries uncompressed, and may put a script before the archive.
#[test]
fn a_program_of_spring_boot_holds_libraries_with_bytes_of_their_own() {
    let program = fixture("java/app.jar");
    let (main, mut found, error) = read("app.jar", &program);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(main.as_deref(), Some("org.example:web-app@2.1.0-SNAPSHOT"));
    found.sort();
    assert_eq!(found, inside(&[("org.example:greeter@1.2.0", 1606), ("org.example:quiet-log@0.9", 1618)]));

    let (_, declared) = read_layer(&[("srv/app.jar", &program)]);
    let mut file_list = FileList::of(vec![Entry::File("srv/app.jar".into(), Bytes(program.len() as u64))]);
    (file_list.packages, file_list.unread) = declared.of_file_list(&file_list);
    let text = serde_json::to_string(&file_list).unwrap();
    assert_eq!(serde_json::from_str::<FileList>(&text).unwrap(), file_list);
    let installed =
        crate::packages::installed(&crate::image::filesystem::Filesystem::of(vec![file_list.clone().into()]));
    let bytes: Vec<(&str, u64, u64)> =
        installed.iter().map(|package| (package.name.as_str(), package.bytes.0, package.files)).collect();
    let own = program.len() as u64 - 1606 - 1618;
    let expected = [
        ("org.example:greeter", 1606, 0),
        ("org.example:quiet-log", 1618, 0),
        ("org.example:web-app", own, 1),
    ];
    assert_eq!(bytes, expected);
}

#[test]
fn an_archive_that_a_package_of_the_distribution_brings_is_that_package() {
    let status = b"Package: libgreeter-java\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n";
    let program = fixture("java/app.jar");
    let found = packages(&[
        ("var/lib/dpkg/status", status),
        ("var/lib/dpkg/info/libgreeter-java.list", b"/usr/share/java/app.jar\n"),
        ("usr/share/java/app.jar", &program),
    ]);
    let own = ["var/lib/dpkg/info/libgreeter-java.list", "usr/share/java/app.jar"];
    assert_eq!(found, expected(&[("deb/libgreeter-java@1", &own)]));
}

/// An entry of an archive, stored uncompressed.
fn entry(name: &str, content: &[u8]) -> Vec<u8> {
    let mut entry = b"PK\x03\x04\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    entry.extend((content.len() as u32).to_le_bytes());
    entry.extend((content.len() as u32).to_le_bytes());
    entry.extend((name.len() as u16).to_le_bytes());
    [&entry[..], b"\0\0", name.as_bytes(), content].concat()
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), b"PK\x05\x06".to_vec(), vec![0; 18]].concat()
}

fn pom(id: &str) -> Vec<u8> {
    let properties = format!("groupId=g\nartifactId={id}\nversion=1\n");
    entry(&format!("META-INF/maven/g/{id}/pom.properties"), properties.as_bytes())
}

#[test]
fn of_several_artifacts_an_archive_is_the_one_that_it_is_called_by() {
    let shaded = archive(&[pom("guava"), pom("tool"), pom("tool-cli")]);
    let (main, mut copied, _) = read("tool-cli-1.jar", &shaded);
    copied.sort();
    assert_eq!(main.as_deref(), Some("g:tool-cli@1"));
    assert_eq!(copied, inside(&[("g:guava@1", 0), ("g:tool@1", 0)]));
    let (main, copied, _) = read("app.jar", &shaded);
    assert_eq!((main, copied.len()), (None, 3));
    assert_eq!(read("app.jar", &archive(&[pom("tool")])).0.as_deref(), Some("g:tool@1"));
    assert_eq!(read("app.jar", &archive(&[])).0, None);
    let long = entry("META-INF/maven/g/a/b/pom.properties", b"groupId=g\nartifactId=a\nversion=1\n");
    assert_eq!(read("a.jar", &archive(&[long])).0, None);
}

#[test]
fn what_is_no_archive_or_a_damaged_one_is_told_apart() {
    let whole = fixture("java/app.jar");
    assert_eq!(unread(&[("a.jar", b"version https://git-lfs.github.com/spec/v1\n")]), []);
    assert_eq!(unread(&[("a.jar", &[0; 400])]), []);
    assert_eq!(unread(&[("a.jar", &whole[..2000])]), [("a.jar".to_owned(), Unread::Damaged)]);
    let mut streamed = entry("a.class", b"");
    streamed[6] = 8;
    let streamed = archive(&[streamed]);
    assert_eq!(unread(&[("a.jar", &streamed)]), [("a.jar".to_owned(), Unread::UnknownFormat)]);
    // A damaged one inside is treated like any other file.
    let broken = archive(&[entry("lib/b.jar", &whole[..500]), pom("a")]);
    let (main, found, error) = read("a.jar", &broken);
    assert_eq!((main.as_deref(), found, error.is_none()), (Some("g:a@1"), Vec::new(), true));
}

#[test]
fn archives_in_archives_end_at_a_depth() {
    let mut nested = archive(&[pom("deepest")]);
    for depth in 0..8 {
        nested = archive(&[pom(&format!("level{depth}")), entry("lib/next.jar", &nested)]);
    }
    let (main, found, error) = read("app.jar", &nested);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(main.as_deref(), Some("g:level7@1"));
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["g:level3@1", "g:level4@1", "g:level5@1", "g:level6@1"]);
    // No byte is counted twice.
    assert!(found.iter().map(|(_, bytes)| bytes).sum::<u64>() < nested.len() as u64);
}

#[test]
fn what_is_uncompressed_has_an_end() {
    let zeros = vec![0; 4 << 20];
    let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packed, &zeros).unwrap();
    let packed = packed.finish().unwrap();
    let mut bomb = entry("lib/a.jar", &packed);
    bomb[8] = 8;
    let bomb = archive(&[bomb]);
    let mut work = ArchiveBudget { inflated: 1 << 20, entries: 10 };
    let (_, error) = java::read(b"a.jar", &mut bomb.as_slice(), &mut work);
    assert!(matches!(error, Some(ZipError::TooMuch)), "{error:?}");
    assert_eq!(work.inflated, 0);
    let many = archive(&vec![entry("a", b""); 11]);
    let mut work = ArchiveBudget { inflated: 1 << 20, entries: 10 };
    let (_, error) = java::read(b"a.jar", &mut many.as_slice(), &mut work);
    assert!(matches!(error, Some(ZipError::TooMuch)), "{error:?}");
}

proptest! {
    #[test]
    fn damaged_archives_are_taken(
        which in 0..3_usize,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in any::<prop::sample::Index>(),
        end in any::<bool>(),
    ) {
        let mut content = fixture(["java/greeter-1.2.0.jar", "java/shop.war", "java/app.jar"][which]);
        for (at, byte) in damage {
            let at = at.index(content.len());
            content[at] = byte;
        }
        content.truncate(if end { cut.index(content.len()) } else { content.len() });
        let size = Bytes(content.len() as u64);
        let (_, found) = read_layer(&[("a.jar", &content)]);
        let mut file_list = FileList::of(vec![Entry::File("a.jar".into(), size)]);
        (file_list.packages, file_list.unread) = found.of_file_list(&file_list);
        let text = serde_json::to_string(&file_list).unwrap();
        prop_assert_eq!(serde_json::from_str::<FileList>(&text).unwrap(), file_list);
    }
}
