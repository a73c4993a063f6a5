//! Packages of distributions.

use super::*;

#[test]
fn dpkg_declares_what_has_its_list_in_the_layer() {
    let (status, hostname, libcap) =
        (fixture("dpkg-status"), fixture("hostname.list"), fixture("libcap-ng0.list"));
    let layer: &[(&str, &[u8])] = &[
        ("usr/bin/hostname", b""),
        ("usr/share/doc/hostname/copyright", b""),
        ("lib/x86_64-linux-gnu/libcap-ng.so.0.0.0", b""),
        ("var/lib/dpkg/info/hostname.list", &hostname),
        ("var/lib/dpkg/info/hostname.md5sums", b"x"),
        ("var/lib/dpkg/info/libcap-ng0:amd64.list", &libcap),
        ("var/lib/dpkg/info/libcap-ng0:amd64.triggers", b"x"),
        ("var/lib/dpkg/info/nano.list", b"/etc/nanorc\n"),
        ("etc/nanorc", b""),
        ("var/lib/dpkg/status", &status),
    ];
    let found = expected(&[
        (
            "deb/hostname@3.23+nmu1",
            &[
                "usr/bin/hostname",
                "usr/share/doc/hostname/copyright",
                "var/lib/dpkg/info/hostname.list",
                "var/lib/dpkg/info/hostname.md5sums",
            ],
        ),
        (
            "deb/libcap-ng0@0.8.3-1+b3",
            &[
                "lib/x86_64-linux-gnu/libcap-ng.so.0.0.0",
                "var/lib/dpkg/info/libcap-ng0:amd64.list",
                "var/lib/dpkg/info/libcap-ng0:amd64.triggers",
            ],
        ),
    ]);
    assert_eq!(packages(layer), found);
    // In any order of the tar.
    let mut backwards = layer.to_vec();
    backwards.reverse();
    let names =
        |found: &[(String, Vec<String>)]| found.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&packages(&backwards)), names(&found));
    // Lists without a status, or a status without lists, declare nothing in this layer.
    assert_eq!(packages(&layer[..9]), []);
    assert_eq!(packages(&layer[9..]), []);
}

#[test]
fn dpkg_tells_architectures_apart() {
    let status = b"Package: libc6\nStatus: install ok installed\nArchitecture: i386\nVersion: 1\n\n\
        Package: libc6\nStatus: hold ok installed\nArchitecture: amd64\nVersion: 2\n\n\
        Package: libc6-dev\nStatus: install ok half-installed\nArchitecture: amd64\nVersion: 2\n";
    let layer: &[(&str, &[u8])] = &[
        ("var/lib/dpkg/info/libc6:amd64.list", b"/.\n/lib\n"),
        ("var/lib/dpkg/info/libc6:i386.list", b"/.\n/lib\n"),
        ("var/lib/dpkg/info/libc6:arm64.list", b"/.\n/lib\n"),
        ("var/lib/dpkg/info/libc6-dev:amd64.list", b"/.\n"),
        ("var/lib/dpkg/status", status),
    ];
    let found = expected(&[
        ("deb/libc6@1", &["var/lib/dpkg/info/libc6:i386.list"]),
        ("deb/libc6@2", &["var/lib/dpkg/info/libc6:amd64.list"]),
    ]);
    assert_eq!(packages(layer), found);
}

#[test]
fn status_d_declares_a_package_a_file() {
    let found = packages(&[
        ("usr/share/zoneinfo/UTC", b""),
        ("var/lib/dpkg/status.d/base-files", b"Package: base-files\nVersion: 12.4\nDescription: x\n y\n"),
        ("var/lib/dpkg/status.d/tzdata", b"Package: tzdata\nVersion: 2024a-0\nArchitecture: all\n"),
        (
            "var/lib/dpkg/status.d/tzdata.md5sums",
            b"d41d8cd98f00b204e9800998ecf8427e  usr/share/zoneinfo/UTC\nd41d8cd98f00b204e9800998ecf8427e  a b\n",
        ),
        ("a b", b""),
    ]);
    assert_eq!(
        found,
        expected(&[
            ("deb/base-files@12.4", &["var/lib/dpkg/status.d/base-files"]),
            (
                "deb/tzdata@2024a-0",
                &[
                    "usr/share/zoneinfo/UTC",
                    "var/lib/dpkg/status.d/tzdata",
                    "var/lib/dpkg/status.d/tzdata.md5sums",
                    "a b"
                ],
            ),
        ])
    );
}

#[test]
fn apk_lists_directories_and_the_files_in_each() {
    let installed = b"C:Q1abc=\nP:alpine-baselayout\nV:3.6.5-r0\nA:x86_64\nT:Alpine base dir structure\n\
        F:dev\nF:etc\nR:motd\nZ:Q1SLkS9hBidUbPwwrw+XR0Whv3ww8=\nF:etc/crontabs\nR:root\na:0:0:600\n\n\
        C:Q1def=\nP:musl\nV:1.2.5-r1\nF:\nR:top\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\n\n\
        P:no-version\nF:etc\nR:other\n";
    for database in ["lib/apk/db/installed", "usr/lib/apk/db/installed"] {
        let found = packages(&[
            ("etc/motd", b""),
            ("etc/crontabs/root", b""),
            ("etc/other", b""),
            ("top", b""),
            ("lib/ld-musl-x86_64.so.1", b""),
            (database, installed),
        ]);
        let expected = expected(&[
            ("apk/alpine-baselayout@3.6.5-r0", &["etc/motd", "etc/crontabs/root"]),
            ("apk/musl@1.2.5-r1", &["top", "lib/ld-musl-x86_64.so.1"]),
        ]);
        assert_eq!(found, expected);
    }
}

#[test]
fn rpm_reads_a_database_that_rpm_wrote() {
    let database = fixture("rpmdb.sqlite.gz");
    let long =
        "usr/share/hello/data/a file with a rather long name, so that the header needs overflow pages 60";
    let found = packages(&[
        ("usr/bin/hello", b""),
        ("etc/hello.conf", b""),
        (long, b""),
        ("usr/lib/tiny/one", b""),
        ("usr/lib/tiny/two", b""),
        ("var/lib/rpm/rpmdb.sqlite", &database),
    ]);
    let expected = expected(&[
        ("rpm/layergate-hello@2:1.4-3", &["usr/bin/hello", "etc/hello.conf", long]),
        ("rpm/layergate-tiny@0.1~rc1-1", &["usr/lib/tiny/one"]),
    ]);
    assert_eq!(found, expected);
}

/// The two packages of the fixtures, by a database of this name, and the files that it is read from.
fn rpms(databases: &[(&str, &[u8])]) -> Vec<(String, Vec<String>)> {
    let files: [(&str, &[u8]); 3] =
        [("usr/bin/hello", b""), ("etc/hello.conf", b""), ("usr/lib/tiny/one", b"")];
    packages(&[&files[..], databases].concat())
}

fn both_rpms() -> Vec<(String, Vec<String>)> {
    expected(&[
        ("rpm/layergate-hello@2:1.4-3", &["usr/bin/hello", "etc/hello.conf"]),
        ("rpm/layergate-tiny@0.1~rc1-1", &["usr/lib/tiny/one"]),
    ])
}

#[test]
fn rpm_keeps_its_database_in_three_places_and_formats() {
    let formats = [
        ("rpmdb.sqlite", "rpmdb.sqlite.gz"),
        ("Packages.db", "Packages.db.gz"),
        ("Packages", "Packages.gz"),
        ("Packages", "Packages-big-endian.gz"),
    ];
    for place in ["var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm"] {
        for (name, stored) in formats {
            let (path, database) = (format!("{place}/{name}"), fixture(stored));
            assert_eq!(rpms(&[(&path, &database)]), both_rpms(), "{path} {stored}");
        }
    }
}

#[test]
fn rows_that_stand_only_in_the_log_are_read() {
    let (file, log) = (fixture("rpmdb-behind.sqlite.gz"), fixture("rpmdb-behind.sqlite-wal.gz"));
    let [path, log_path] = ["var/lib/rpm/rpmdb.sqlite", "var/lib/rpm/rpmdb.sqlite-wal"];
    let behind = expected(&[("rpm/layergate-tiny@0.1~rc1-1", &["usr/lib/tiny/one"])]);
    assert_eq!(rpms(&[(path, &file)]), behind, "the file alone has only one of the two");
    assert_eq!(rpms(&[(path, &file), (log_path, &log)]), both_rpms());
    assert_eq!(rpms(&[(log_path, &log), (path, &file)]), both_rpms());
    assert_eq!(rpms(&[(path, &file), (log_path, b"")]), behind);
    // Uncommitted frames do not count, nor do frames left behind by another log.
    assert_eq!(rpms(&[(path, &file), (log_path, &log[..32 + 24 + 4096])]), behind);
    let mut stale = log.clone();
    stale[20] ^= 1;
    assert_eq!(rpms(&[(path, &file), (log_path, &stale)]), behind);
    assert_eq!(unread(&[(log_path, &log)]), [(log_path.to_owned(), Unread::LogAlone)]);
}

#[test]
fn databases_that_cannot_be_read_are_said() {
    let cut = |name: &str, at: usize| fixture(name)[..at].to_vec();
    let cases: [(&str, Vec<u8>, Unread); 12] = [
        ("var/lib/rpm/rpmdb.sqlite", cut("rpmdb.sqlite.gz", 9000), Unread::Damaged),
        ("var/lib/rpm/rpmdb.sqlite", b"nothing that is known".to_vec(), Unread::Damaged),
        ("var/lib/rpm/Packages.db", cut("Packages.db.gz", 5000), Unread::Damaged),
        ("var/lib/rpm/Packages.db", b"\x00\x01\x02\x03\x04\x05\x06\x07".to_vec(), Unread::UnknownFormat),
        ("var/lib/rpm/Packages", cut("Packages.gz", 9000), Unread::Damaged),
        ("var/lib/rpm/Packages", vec![0; 4096], Unread::UnknownFormat),
        ("lib/apk/db/installed", b"{}\n".to_vec(), Unread::UnknownFormat),
        ("var/lib/dpkg/status", b"<html>\n".to_vec(), Unread::UnknownFormat),
        ("opt/conda/conda-meta/a-1-0.json", b"{\"name\": ".to_vec(), Unread::Damaged),
        ("app/web.deps.json", b"[]".to_vec(), Unread::Damaged),
        ("var/lib/dpkg/status", vec![b'x'; (32 << 20) + 1], Unread::TooLarge),
        ("app/node_modules/a/package.json", vec![b' '; (1 << 20) + 1], Unread::TooLarge),
    ];
    for (path, content, why) in cases {
        assert_eq!(unread(&[(path, &content)]), [(path.to_owned(), why)], "{path}: {} bytes", content.len());
    }
    let empty: [(&str, &[u8]); 3] =
        [("lib/apk/db/installed", b"\n"), ("var/lib/dpkg/status", b""), ("var/lib/rpm/rpmdb.sqlite", b"")];
    assert_eq!(unread(&empty), [], "one of no packages is whole");
}

#[test]
fn what_a_database_lists_and_the_layer_does_not_have_is_kept_by_its_path() {
    let (file_list, found) = read_layer(&[
        (
            "lib/apk/db/installed",
            b"P:a\nV:1\nF:usr/bin\nR:here\nR:there\nF:lib/apk/db\nR:triggers\n\nP:b\nV:2\nF:lib\nR:b.so\n",
        ),
        ("usr/bin/here", b""),
        ("usr/lib/b.so", b""),
        ("p/a-1.dist-info/METADATA", b"Name: a\nVersion: 1\n"),
        ("p/a-1.dist-info/RECORD", b"elsewhere.py,,\n"),
    ]);
    let (packages, _) = found.of_file_list(&file_list);
    let elsewhere: Vec<_> =
        packages.iter().map(|package| (package.name.as_str(), package.elsewhere.as_slice())).collect();
    let there: [&[LayerPath]; 2] = [&["usr/bin/there".into()], &[]];
    assert_eq!(elsewhere, [("a", there[0]), ("b", there[1]), ("a", there[1])]);
}

#[test]
fn a_table_of_many_pages_is_read_in_order_and_whole() {
    let file = fixture("many.sqlite.gz");
    let database = sqlite::SqliteFile::new(&file, &[]).unwrap();
    let mut blobs = Vec::new();
    let end = database.rows("Packages", |row| {
        let [_, sqlite::Value::Bytes(blob)] = sqlite::columns(row) else { panic!("a row without a blob") };
        blobs.push(blob.to_vec());
        Some(())
    });
    assert_eq!(end, Some(()));
    let row = |n: usize| vec![(n % 251) as u8; n % 1500];
    assert_eq!(blobs, (1..=2000).filter(|n| n % 10 != 0).map(row).collect::<Vec<_>>());
    assert_eq!(database.rows("Missing", |_| Some(())), None);
    assert_eq!(database.rows("Other", |_| panic!("it has no rows")), Some(()));
}
