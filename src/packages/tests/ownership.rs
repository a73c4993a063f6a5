//! The owner of a file that several packages claim.

use super::*;

const STATUS: &[u8] = b"Package: tool\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n";

#[test]
fn lists_from_before_and_after_the_merge_of_usr_find_their_files() {
    let list = b"/.\n/bin/one\n/usr/lib/two\n/sbin\n/usr/sbin\n/usr/sbin/three\n/bin/both\n/usr/share/x\n";
    let found = packages(&[
        ("usr/bin/one", b""),
        ("lib/two", b""),
        ("usr/sbin/three", b""),
        ("bin/both", b""),
        ("usr/bin/both", b""),
        ("share/x", b""),
        ("var/lib/dpkg/info/tool.list", list),
        ("var/lib/dpkg/status", STATUS),
    ]);
    let own = ["usr/bin/one", "lib/two", "usr/sbin/three", "bin/both", "var/lib/dpkg/info/tool.list"];
    assert_eq!(found, expected(&[("deb/tool@1", &own)]));
}

#[test]
fn a_package_inside_a_package_of_the_distribution_is_the_same_seen_from_inside() {
    let info = b"Name: tool\nVersion: 1\n";
    let files: &[(&str, &[u8])] = &[
        ("var/lib/dpkg/status", STATUS),
        (
            "var/lib/dpkg/info/tool.list",
            b"/usr/lib/python3/dist-packages/tool.py\n/usr/lib/python3/dist-packages/tool-1.egg-info\n\
              /usr/lib/python3/dist-packages/tool-1.dist-info/METADATA\n\
              /usr/lib/python3/dist-packages/tool-1.dist-info/RECORD\n\
              /usr/lib/node_modules/npm/package.json\n/usr/lib/node_modules/npm/a.js\n",
        ),
        ("usr/lib/python3/dist-packages/tool.py", b""),
        ("usr/lib/python3/dist-packages/__pycache__/tool.cpython-311.pyc", b""),
        ("usr/lib/python3/dist-packages/tool-1.egg-info", info),
        // Compiled after it was installed, and recorded then.
        ("usr/lib/python3/dist-packages/tool-1.dist-info/METADATA", info),
        (
            "usr/lib/python3/dist-packages/tool-1.dist-info/RECORD",
            b"tool.py,,\n__pycache__/tool.cpython-311.pyc,,\ntool-1.dist-info/METADATA,,\ntool-1.dist-info/RECORD,,\n",
        ),
        ("usr/lib/node_modules/npm/package.json", br#"{"name":"npm","version":"1"}"#),
        ("usr/lib/node_modules/npm/a.js", b""),
    ];
    let own: Vec<&str> = files[1..].iter().map(|(path, _)| *path).collect();
    assert_eq!(packages(files), expected(&[("deb/tool@1", &own)]));
    // One that owns a file is a separate package.
    let more: Vec<_> = [files, &[("usr/lib/node_modules/npm/b.js", b"" as &[u8])]].concat();
    let found = expected(&[("deb/tool@1", &own), ("npm/npm@1", &["usr/lib/node_modules/npm/b.js"])]);
    assert_eq!(packages(&more), found);
}

#[test]
fn a_listed_file_is_its_lister_s_and_the_deeper_of_two_listers_has_it() {
    let found = packages(&[
        ("p/z-1.dist-info/METADATA", b"Name: a-outer\nVersion: 1\n"),
        ("p/z-1.dist-info/RECORD", b"z-1.dist-info/METADATA,,\nz/_vendor/in.py,,\nz/_vendor/in-1.dist-info/METADATA,,\nz/node_modules/js/package.json,,\n"),
        ("p/z/_vendor/in.py", b""),
        ("p/z/_vendor/in-1.dist-info/METADATA", b"Name: inner\nVersion: 2\n"),
        ("p/z/_vendor/in-1.dist-info/RECORD", b"in.py,,\nin-1.dist-info/METADATA,,\n"),
        ("p/z/node_modules/js/package.json", br#"{"name":"js","version":"1"}"#),
    ]);
    let expected = expected(&[
        (
            "pypi/a-outer@1",
            &["p/z-1.dist-info/METADATA", "p/z-1.dist-info/RECORD", "p/z/node_modules/js/package.json"],
        ),
        (
            "pypi/inner@2",
            &[
                "p/z/_vendor/in.py",
                "p/z/_vendor/in-1.dist-info/METADATA",
                "p/z/_vendor/in-1.dist-info/RECORD",
            ],
        ),
    ]);
    assert_eq!(found, expected);
}

#[test]
fn only_regular_files_have_owners() {
    let path = |text: &str| LayerPath::from(text);
    let entries = vec![
        Entry::Dir(path("node_modules/a")),
        Entry::Symlink(path("node_modules/a/l")),
        Entry::HardLink(path("node_modules/a/h"), path("node_modules/a/f")),
        Entry::Whiteout(path("node_modules/a/w")),
        Entry::File(path("node_modules/a/f"), Bytes(1)),
    ];
    let declared = Declared {
        ecosystem: Ecosystem::Npm,
        name: "a".into(),
        version: "1".into(),
        anchor: path("node_modules/a/package.json"),
        owns: Owns { below: vec![path("node_modules/a")], ..Owns::default() },
    };
    assert_eq!(owners(&FileList::of(entries), &[declared]), [None, None, None, None, Some(0)]);
}

#[test]
fn directories_that_a_list_has_before_their_files_are_not_kept() {
    let mut room = paths::PackageBudget::default();
    let list = [
        "/.",
        "/usr",
        "/usr/bin",
        "/usr/bin/a",
        "/usr/bin/ab",
        "/usr/bin/a/b",
        "",
        "/usr/bin/a/b/c\0",
        "/etc",
    ];
    let paths = room.keep(list).unwrap();
    let kept: Vec<_> = paths.iter().map(String::from_utf8_lossy).collect();
    assert_eq!(kept, ["usr/bin/a", "usr/bin/ab", "usr/bin/a/b", "etc"]);
}

#[test]
fn packages_are_in_one_order() {
    let found = packages(&[
        ("b/node_modules/x/package.json", br#"{"name":"x","version":"1"}"#),
        ("a/node_modules/x/package.json", br#"{"name":"x","version":"1"}"#),
        ("a/node_modules/y/package.json", br#"{"name":"a","version":"1"}"#),
        ("lib/apk/db/installed", b"P:z\nV:1\n\nP:b\nV:1\n"),
    ]);
    let expected = expected(&[
        ("apk/b@1", &[]),
        ("apk/z@1", &[]),
        ("npm/a@1", &["a/node_modules/y/package.json"]),
        ("npm/x@1", &["a/node_modules/x/package.json"]),
        ("npm/x@1", &["b/node_modules/x/package.json"]),
    ]);
    assert_eq!(found, expected);
}

#[test]
fn each_of_many_packages_has_its_own_files() {
    let mut entries = Vec::new();
    for n in 0..200_000 {
        entries.push(Entry::File(
            format!("app/node_modules/p{}/lib/deep/er/f{n}.js", n % 1000).as_str().into(),
            Bytes(1),
        ));
    }
    let package = |n: usize| Declared {
        ecosystem: Ecosystem::Npm,
        name: format!("p{n}"),
        version: "1".into(),
        anchor: format!("app/node_modules/p{n}/package.json").as_str().into(),
        owns: Owns { below: vec![format!("app/node_modules/p{n}").as_str().into()], ..Owns::default() },
    };
    let declared: Vec<_> = (0..1000).map(package).collect();
    let owners = owners(&FileList::of(entries), &declared);
    assert!(owners.iter().enumerate().all(|(n, owner)| *owner == Some(n as u32 % 1000)));
}
