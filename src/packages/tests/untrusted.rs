//! Damaged or malicious databases: they yield fewer packages, and do nothing else.

use proptest::prelude::*;

use super::golang::GoScanner;
use super::*;

const DATABASES: [(PackageDatabase, &str); 16] = [
    (PackageDatabase::DpkgStatus, "var/lib/dpkg/status"),
    (PackageDatabase::DpkgList, "var/lib/dpkg/info/tool.list"),
    (PackageDatabase::DpkgPart, "var/lib/dpkg/status.d/tool"),
    (PackageDatabase::DpkgPartList, "var/lib/dpkg/status.d/tool.md5sums"),
    (PackageDatabase::Apk, "lib/apk/db/installed"),
    (PackageDatabase::Rpm, "var/lib/rpm/rpmdb.sqlite"),
    (PackageDatabase::PythonMetadata, "p/tool.dist-info/METADATA"),
    (PackageDatabase::PythonRecord, "p/tool.dist-info/RECORD"),
    (PackageDatabase::PythonInstalled, "p/tool.egg-info/installed-files.txt"),
    (PackageDatabase::Npm, "node_modules/tool/package.json"),
    (PackageDatabase::Gem, "g/specifications/tool-1.gemspec"),
    (PackageDatabase::RpmLog, "var/lib/rpm/rpmdb.sqlite-wal"),
    (PackageDatabase::RpmNdb, "var/lib/rpm/Packages.db"),
    (PackageDatabase::RpmBerkeley, "var/lib/rpm/Packages"),
    (PackageDatabase::Conda, "opt/conda/conda-meta/tool-1-0.json"),
    (PackageDatabase::DotNet, "app/tool.deps.json"),
];

fn take(database: PackageDatabase, path: &str, content: &[u8]) -> LayerPackages {
    let mut collector = PackageCollector::default();
    collector.take(database, &path.into(), content);
    collector.finish(&FileList::of(vec![Entry::File(path.into(), Bytes(1))]))
}

/// Content that passes the first check of each parser.
fn seed(database: PackageDatabase) -> Vec<u8> {
    match database {
        PackageDatabase::DpkgStatus => fixture("dpkg-status"),
        PackageDatabase::DpkgList | PackageDatabase::PythonInstalled => fixture("hostname.list"),
        PackageDatabase::DpkgPart => b"Package: a\nVersion: 1\n".to_vec(),
        PackageDatabase::DpkgPartList => b"00  usr/a\n00  b\n".to_vec(),
        PackageDatabase::Apk => b"P:a\nV:1\nF:usr\nR:a\n\nP:b\nV:2\n".to_vec(),
        PackageDatabase::Rpm => fixture("rpmdb.sqlite.gz"),
        PackageDatabase::PythonMetadata => fixture("six-METADATA"),
        PackageDatabase::PythonRecord => fixture("six-RECORD"),
        PackageDatabase::Npm => br#"{"name":"a","version":"1"}"#.to_vec(),
        PackageDatabase::Gem => fixture("layergate-tiny.gemspec.txt"),
        PackageDatabase::RpmLog => fixture("rpmdb-behind.sqlite-wal.gz"),
        PackageDatabase::RpmNdb => fixture("Packages.db.gz"),
        PackageDatabase::RpmBerkeley => fixture("Packages.gz"),
        PackageDatabase::Conda => fixture("conda-meta.json"),
        PackageDatabase::DotNet => fixture("web.deps.json"),
    }
}

proptest! {
    #[test]
    fn any_bytes_are_taken(content in proptest::collection::vec(any::<u8>(), 0..600)) {
        for (database, path) in DATABASES {
            take(database, path, &content);
        }
    }

    #[test]
    fn damaged_databases_are_taken(
        which in 0..DATABASES.len(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in any::<prop::sample::Index>(),
        end in any::<bool>(),
    ) {
        let (database, path) = DATABASES[which];
        let mut content = seed(database);
        for (at, byte) in damage {
            let at = at.index(content.len());
            content[at] = byte;
        }
        content.truncate(if end { cut.index(content.len()) } else { content.len() });
        let packages = take(database, path, &content);
        for package in packages.declared {
            prop_assert!(word(package.name.as_bytes()).is_some() && word(package.version.as_bytes()).is_some());
        }
    }

    /// Damage to what holds a paged database together: the start of each page.
    #[test]
    fn damaged_pages_are_taken(
        damage in proptest::collection::vec((0..480_usize, 0..32_usize, any::<u8>()), 1..20),
    ) {
        let mut content = fixture("rpmdb.sqlite.gz");
        for (page, at, byte) in damage {
            if let Some(place) = content.get_mut(page * 512 + at) {
                *place = byte;
            }
        }
        take(PackageDatabase::Rpm, "var/lib/rpm/rpmdb.sqlite", &content);
    }

    /// Damage in the pages of the other formats, and in a log beside its database.
    #[test]
    fn damaged_pages_of_other_formats_are_taken(
        damage in proptest::collection::vec((0..32_usize, 0..64_usize, any::<u8>()), 1..20),
    ) {
        for (database, path, name) in [
            (PackageDatabase::RpmNdb, "var/lib/rpm/Packages.db", "Packages.db.gz"),
            (PackageDatabase::RpmBerkeley, "var/lib/rpm/Packages", "Packages.gz"),
            (PackageDatabase::RpmLog, "var/lib/rpm/rpmdb.sqlite-wal", "rpmdb-behind.sqlite-wal.gz"),
        ] {
            let mut content = fixture(name);
            for (page, at, byte) in &damage {
                if let Some(place) = content.get_mut(page * 4096 + at) {
                    *place = *byte;
                }
            }
            let mut collector = PackageCollector::default();
            collector.take(PackageDatabase::Rpm, &"var/lib/rpm/rpmdb.sqlite".into(), fixture("rpmdb-behind.sqlite.gz"));
            collector.take(database, &path.into(), content);
            collector.finish(&FileList::of(vec![Entry::File(path.into(), Bytes(1))]));
        }
    }

    #[test]
    fn any_path_is_looked_at(path in "[a-z./@-]{0,40}(node_modules/|[.]dist-info/|[.]egg/EGG-INFO/|specifications/)?(package.json|RECORD|METADATA|PKG-INFO|a.gemspec)?", size in any::<u64>()) {
        let path = LayerPath::from(path.as_str());
        if let Some(WantedPackageFile::Content { database, length }) = WantedPackageFile::of(path.as_bytes(), size, true) {
            prop_assert!(length <= size && length <= 64 << 20);
            let mut collector = PackageCollector::default();
            collector.take(database, &path, b"{\"name\":\"a\",\"version\":\"1\"}");
            collector.finish(&FileList::default());
        }
    }

    #[test]
    fn any_program_is_scanned(head in proptest::collection::vec(any::<u8>(), 0..400), wide in 0..4_u8, order in 0..4_u8) {
        let head = [b"\x7fELF", [wide, order].as_slice(), &head].concat();
        if let Some(mut scanner) = GoScanner::new(&head) {
            scanner.feed(0, &head);
            scanner.finish();
        }
    }
}

/// An SQLite database with these pages of 512 bytes after the first; the table `Packages` starts on page 2.
fn database(pages: &[Vec<u8>]) -> Vec<u8> {
    let row = |columns: &[(&[u8], u8)]| {
        let types: Vec<u8> = columns.iter().map(|(_, kind)| *kind).collect();
        let values: Vec<u8> = columns.iter().flat_map(|(value, _)| value.to_vec()).collect();
        [vec![types.len() as u8 + 1], types, values].concat()
    };
    let schema = row(&[(b"table", 23), (b"Packages", 29), (b"Packages", 29), (&[2], 1), (b"", 13)]);
    let mut first = vec![0; 512];
    first[..16].copy_from_slice(b"SQLite format 3\0");
    first[16..18].copy_from_slice(&512_u16.to_be_bytes());
    first[100..110].copy_from_slice(&[13, 0, 0, 0, 1, 1, 0x90, 0, 1, 0x90]);
    let cell = [vec![schema.len() as u8, 1], schema].concat();
    first[0x190..0x190 + cell.len()].copy_from_slice(&cell);
    let padded = pages.iter().flat_map(|page| {
        let mut page = page.clone();
        page.resize(512, 0);
        page
    });
    first.into_iter().chain(padded).collect()
}

fn rows(pages: &[Vec<u8>]) -> (usize, Option<()>) {
    let file = database(pages);
    let mut rows = 0;
    let end = sqlite::SqliteFile::new(&file, &[]).unwrap().rows("Packages", |_| {
        rows += 1;
        Some(())
    });
    (rows, end)
}

#[test]
fn trees_that_are_none_end() {
    let leaf = |cell: &[u8]| [&[13, 0, 0, 0, 1, 0, 10, 0, 0, 10], cell].concat();
    let whole = leaf(&[3, 1, 2, 0, 0]);
    assert_eq!(rows(std::slice::from_ref(&whole)), (1, Some(())));
    // An interior page that is its own child, two that are each other's, a child that does not exist.
    let interior =
        |left: u8, right: u8| vec![5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, right, 0, 14, 0, 0, 0, left, 1];
    assert_eq!(rows(&[interior(2, 2)]), (0, None));
    assert_eq!(rows(&[interior(3, 4), interior(2, 2), whole.clone()]), (0, None));
    assert_eq!(rows(&[interior(3, 200), whole.clone()]), (1, None));
    assert_eq!(rows(&[interior(3, 3), whole.clone()]), (1, None));
    assert_eq!(rows(&[interior(0, 0)]), (0, None));
    // A payload whose overflow pages form a circle still has its length; a huge one has none.
    let overflow = |length: &[u8]| {
        let mut page = leaf(&[length, &[1]].concat());
        page.resize(508, 0);
        page.extend([0, 0, 0, 3]);
        page
    };
    let circle = [vec![0, 0, 0, 3], vec![7; 508]].concat();
    assert_eq!(rows(&[overflow(&[0xff, 0xff, 0xff, 0x7f]), circle.clone()]), (0, None));
    assert_eq!(rows(&[overflow(&[0xff; 9]), circle]), (0, None));
    // More cells than a page has room for, and cells outside.
    assert_eq!(rows(&[vec![13, 0, 0, 0xff, 0xff]]), (0, None));
    assert_eq!(rows(&[vec![13, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff]]), (0, None));
    assert_eq!(rows(&[vec![10, 0, 0, 0, 1]]), (0, None));
}

#[test]
fn one_payload_that_many_cells_share_is_put_together_so_often_and_no_more() {
    // 200 identical cells: a payload of one MiB, whose overflow pages are a circle of one.
    let pointers: Vec<u8> = [1, 200].repeat(200);
    let mut page = [vec![13, 0, 0, 0, 200, 0, 0, 0], pointers].concat();
    page.resize(456, 0);
    page.extend([0xc0, 0x80, 0x00, 1]);
    page.resize(456 + 4 + 39, 0);
    page.resize(508, 0);
    let circle = [vec![0, 0, 0, 3], vec![7; 508]].concat();
    let (rows, end) = rows(&[page, circle]);
    assert!(rows < 20, "{rows}");
    assert_eq!(end, None);
}

#[test]
fn a_header_whose_lists_do_not_fit_is_passed_over() {
    let entry = |tag: u32, kind: u32, offset: u32, count: u32| {
        [tag, kind, offset, count].iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>()
    };
    let header = |more: &[Vec<u8>], data: &[u8]| {
        let index =
            [vec![entry(1000, 6, 0, 1), entry(1001, 6, 2, 1), entry(1002, 6, 4, 1)], more.to_vec()].concat();
        let data = [b"a\x001\x002\x00", data].concat();
        let lengths = [index.len() as u32, data.len() as u32].map(u32::to_be_bytes).concat();
        [lengths, index.concat(), data].concat()
    };
    let found = |blob: &[u8]| {
        let path = LayerPath::from("var/lib/rpm/rpmdb.sqlite");
        let mut sink = sink::Sink::default();
        rpm::declare(&path, blob, &mut sink);
        sink.declared.iter().map(|package| package.owns.files.iter().count()).collect::<Vec<_>>()
    };
    assert_eq!(found(&header(&[], b"")), [0]);
    let lists = |indexes: u32, count: u32| {
        [entry(1116, 4, indexes, count), entry(1117, 8, 14, count), entry(1118, 8, 16, 1)]
    };
    let data = b"\0\0\0\0\0\0\0\x09f\0/d/\0";
    assert_eq!(found(&header(&lists(6, 1), data)), [1]);
    // An index of a directory that does not exist, counts and offsets past the end.
    assert_eq!(found(&header(&lists(10, 1), data)), [0]);
    assert_eq!(found(&header(&lists(6, u32::MAX), data)), [1]);
    assert_eq!(found(&header(&lists(u32::MAX, u32::MAX), data)), [0]);
    // Counts of the header itself past the end.
    let mut cut = header(&[], b"");
    cut[3] = 0xff;
    assert_eq!(found(&cut), [0_usize; 0]);
    let mut cut = header(&[], b"");
    cut[7] = 0xff;
    assert_eq!(found(&cut), [0_usize; 0]);
}

#[test]
fn lists_over_the_room_for_them_are_left_out_and_counted() {
    let record = format!("{}\n", "a".repeat(2000)).repeat(10_000);
    let mut collector = PackageCollector::default();
    for n in 0..4 {
        collector.take(
            PackageDatabase::PythonMetadata,
            &format!("p{n}.dist-info/METADATA").as_str().into(),
            b"Name: a\nVersion: 1\n",
        );
        collector.take(
            PackageDatabase::PythonRecord,
            &format!("p{n}.dist-info/RECORD").as_str().into(),
            record.as_bytes(),
        );
    }
    let packages = collector.finish(&FileList::default());
    assert_eq!(packages.refused, 3);
    assert_eq!(packages.unread.len(), 3);
    assert!(packages.unread.iter().all(|(_, why)| *why == Unread::TooMuch), "{:?}", packages.unread);
    assert_eq!(packages.declared.len(), 4);
}

#[test]
fn names_that_are_none_are_left_out() {
    let name = |name: &str| {
        let json = serde_json::json!({ "name": name, "version": "1" }).to_string();
        take(PackageDatabase::Npm, "node_modules/a/package.json", json.as_bytes()).declared.len()
    };
    assert_eq!(name("fine"), 1);
    assert_eq!(name(&"n".repeat(256)), 1);
    for bad in ["", " ", "a b", "a\u{1b}[31m", "a\nb", "ü", &"n".repeat(257)] {
        assert_eq!(name(bad), 0, "{bad:?}");
    }
}
