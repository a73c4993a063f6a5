//! Packages of images: each kind of database, in the layer of its files and in another, and those that cannot
//! be read.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{FakeLayer, Run, fixture, layergate, oci_layout, tar_with_modes};

/// A file of a layer: its path, its mode and its content.
type File = (String, u32, Vec<u8>);

fn file(path: &str, content: impl Into<Vec<u8>>) -> File {
    (path.to_owned(), 0o644, content.into())
}

/// What a tool wrote, uncompressed where it is stored packed.
fn stored(name: &str) -> Vec<u8> {
    let content = std::fs::read(fixture(&format!("packages/{name}"))).unwrap();
    if !name.ends_with(".gz") {
        return content;
    }
    let mut uncompressed = Vec::new();
    flate2::read::GzDecoder::new(content.as_slice()).read_to_end(&mut uncompressed).unwrap();
    uncompressed
}

/// An image of these layers, plain and packed by turns: one is jumped over, the other passes by.
fn image(directory: &Path, name: &str, layers: &[Vec<File>]) -> PathBuf {
    let layers: Vec<FakeLayer> = layers
        .iter()
        .enumerate()
        .map(|(index, files)| {
            let step = format!("COPY layer{index} /");
            if index % 2 == 0 {
                FakeLayer::gzip(&tar_with_modes(files), &step)
            } else {
                FakeLayer::plain(&tar_with_modes(files), &step)
            }
        })
        .collect();
    oci_layout(&directory.join(name), &layers)
}

fn run(arguments: &[&str], images: &[&PathBuf]) -> Run {
    Run::of(layergate().args(arguments).arg("--no-cache").args(images)).expect(0)
}

/// The packages of an image, each as `TYPE/NAME@VERSION` with its bytes and the number of its files.
fn installed(layers: &[Vec<File>]) -> Vec<(String, u64, u64)> {
    let directory = tempfile::tempdir().unwrap();
    let run = run(&["inspect", "--format", "json"], &[&image(directory.path(), "image", layers)]);
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
    let document = run.json();
    let text = |package: &Value, key: &str| package[key].as_str().unwrap().to_owned();
    let shown = |package: &Value| {
        let name =
            format!("{}/{}@{}", text(package, "type"), text(package, "name"), text(package, "version"));
        (name, package["bytes"].as_u64().unwrap(), package["files"].as_u64().unwrap())
    };
    document["packages"].as_array().unwrap().iter().map(shown).collect()
}

/// A program as Go's linker lays it out, as far as its build information goes.
fn go_program() -> Vec<u8> {
    let put = |file: &mut Vec<u8>, at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    let modules = "path\texample.org/tool\nmod\texample.org/tool\tv1.4.0\t\n";
    let modules = [&[b'<'; 16], modules.as_bytes(), &[b'>'; 16]].concat();
    let mut info = [b"\xff Go buildinf:\x08\x02".as_slice(), &[0; 16], b"\x08go1.22.1"].concat();
    info.push(modules.len() as u8);
    info.extend(modules);
    let mut file = vec![0; 0x2000];
    put(&mut file, 0, b"\x7fELF\x02\x01\x01");
    put(&mut file, 32, &64_u64.to_le_bytes());
    put(&mut file, 54, &[56, 0, 2, 0]);
    for (index, (kind, flags, offset, length)) in
        [(4_u32, 4_u32, 0xf00, 0x40), (1, 6, 0x2000, info.len())].into_iter().enumerate()
    {
        let at = 64 + 56 * index;
        put(&mut file, at, &kind.to_le_bytes());
        put(&mut file, at + 4, &flags.to_le_bytes());
        put(&mut file, at + 8, &(offset as u64).to_le_bytes());
        put(&mut file, at + 32, &(length as u64).to_le_bytes());
    }
    put(&mut file, 0xf00, b"\x04\0\0\0\x10\0\0\0\x04\0\0\0Go\0\0");
    file.extend(info);
    file
}

/// Of each kind in the documents' table the files of a layer, and the packages that are found in it.
fn kinds() -> Vec<(&'static str, Vec<File>, Vec<&'static str>)> {
    let tool = || file("usr/bin/tool", "x".repeat(500));
    let rpm = |path: &str, name: &str| {
        vec![file(path, stored(name)), file("usr/bin/hello", "x"), file("usr/lib/tiny/one", "y")]
    };
    let rpms = vec!["rpm/layergate-hello@2:1.4-3", "rpm/layergate-tiny@0.1~rc1-1"];
    let status = "Package: tool\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n";
    vec![
        (
            "Debian, Ubuntu, distroless",
            vec![
                file("var/lib/dpkg/status", status),
                file("var/lib/dpkg/info/tool.list", "/usr/bin/tool\n"),
                tool(),
            ],
            vec!["deb/tool@1"],
        ),
        (
            "Debian, Ubuntu, distroless",
            vec![
                file("var/lib/dpkg/status.d/tool", "Package: tool\nVersion: 2\n"),
                file("var/lib/dpkg/status.d/tool.md5sums", "0  usr/bin/tool\n"),
                tool(),
            ],
            vec!["deb/tool@2"],
        ),
        (
            "Alpine",
            vec![file("lib/apk/db/installed", "P:tool\nV:1-r0\nF:usr/bin\nR:tool\n"), tool()],
            vec!["apk/tool@1-r0"],
        ),
        (
            "Alpine",
            vec![file("usr/lib/apk/db/installed", "P:tool\nV:1-r0\nF:usr/bin\nR:tool\n"), tool()],
            vec!["apk/tool@1-r0"],
        ),
        ("RPM", rpm("var/lib/rpm/rpmdb.sqlite", "rpmdb.sqlite.gz"), rpms.clone()),
        ("RPM", rpm("usr/lib/sysimage/rpm/Packages.db", "Packages.db.gz"), rpms.clone()),
        ("RPM", rpm("usr/share/rpm/Packages", "Packages.gz"), rpms.clone()),
        (
            "RPM",
            [
                rpm("usr/share/rpm/rpmdb.sqlite", "rpmdb-behind.sqlite.gz"),
                vec![file("usr/share/rpm/rpmdb.sqlite-wal", stored("rpmdb-behind.sqlite-wal.gz"))],
            ]
            .concat(),
            rpms,
        ),
        (
            "Python",
            vec![
                file("p/six-1.17.0.dist-info/METADATA", stored("six-METADATA")),
                file("p/six-1.17.0.dist-info/RECORD", stored("six-RECORD")),
            ],
            vec!["pypi/six@1.17.0"],
        ),
        (
            "Node",
            vec![file("app/node_modules/a/package.json", r#"{"name":"a","version":"3.0.1"}"#)],
            vec!["npm/a@3.0.1"],
        ),
        (
            "Ruby",
            vec![file(
                "usr/lib/ruby/gems/3.1.0/specifications/layergate-tiny-0.2.1.gemspec",
                stored("layergate-tiny.gemspec.txt"),
            )],
            vec!["gem/layergate-tiny@0.2.1"],
        ),
        (
            "Java",
            vec![file("app/greeter.jar", stored("java/greeter-1.2.0.jar"))],
            vec!["maven/org.example:greeter@1.2.0"],
        ),
        (
            "Java",
            vec![file("srv/shop.war", stored("java/shop.war"))],
            vec![
                "maven/org.example:greeter@1.2.0",
                "maven/org.example:quiet-log@0.9",
                "maven/org.example:shop@3.0",
            ],
        ),
        (
            ".NET",
            vec![
                file("app/web.deps.json", stored("web.deps.json")),
                file("app/Newtonsoft.Json.dll", "x".repeat(300)),
            ],
            vec![
                "nuget/Humanizer.Core@2.14.1",
                "nuget/Microsoft.NETCore.App.Runtime.linux-x64@8.0.4",
                "nuget/Newtonsoft.Json@13.0.3",
                "nuget/SQLitePCLRaw.lib.e_sqlite3@2.1.8",
            ],
        ),
        (
            "conda",
            vec![file("opt/conda/conda-meta/tool-2.5-py311_0.json", stored("conda-meta.json"))],
            vec!["conda/tool@2.5"],
        ),
        (
            "Go",
            vec![("usr/bin/tool".to_owned(), 0o755, go_program())],
            vec!["golang/example.org/tool@v1.4.0"],
        ),
        (
            "Rust",
            vec![("usr/bin/tool".to_owned(), 0o755, stored("layergate-audited"))],
            vec!["cargo/layergate-audited@0.3.1"],
        ),
    ]
}

#[test]
fn each_kind_of_the_table_is_read_from_plain_and_packed_layers() {
    let table = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/numbers.md")).unwrap();
    let rows = table.lines().skip_while(|line| !line.starts_with("| packages |")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|')).map(|row| row.split('|').nth(1).unwrap().trim());
    let rows: BTreeSet<&str> = rows.collect();
    let kinds = kinds();
    assert_eq!(
        rows,
        kinds.iter().map(|(kind, ..)| *kind).collect(),
        "a row for each kind, and a kind for each row"
    );
    for (kind, files, expected) in kinds {
        let names =
            |layers: &[Vec<File>]| installed(layers).into_iter().map(|(name, ..)| name).collect::<Vec<_>>();
        assert_eq!(names(std::slice::from_ref(&files)), expected, "{kind}, packed");
        assert_eq!(names(&[vec![file("etc/os-release", "ID=x\n")], files]), expected, "{kind}, plain");
    }
}

/// What a program of Spring Boot has inside has its bytes, and so a library that grows is named.
#[test]
fn a_library_inside_of_a_program_that_grows_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let program = stored("java/app.jar");
    let found = installed(&[vec![file("srv/app.jar", program.as_slice())]]);
    let own = program.len() as u64 - 1606 - 1618;
    let expected = [
        ("maven/org.example:greeter@1.2.0".to_owned(), 1606, 0),
        ("maven/org.example:quiet-log@0.9".to_owned(), 1618, 0),
        ("maven/org.example:web-app@2.1.0-SNAPSHOT".to_owned(), own, 1),
    ];
    assert_eq!(found, expected);
    let [before, after] = [("before", vec![]), ("after", program.clone())]
        .map(|(name, content)| image(directory.path(), name, &[vec![file("srv/app.jar", content)]]));
    let report = run(&["diff", "--format", "json"], &[&before, &after]).json();
    let cause = &report["images"][0]["causes"][0];
    let part = |part: &Value| (part["name"].as_str().unwrap().to_owned(), part["delta"].as_u64().unwrap());
    let parts: Vec<_> = cause["parts"].as_array().unwrap().iter().map(part).collect();
    let expected =
        [("org.example:web-app", own), ("org.example:quiet-log", 1618), ("org.example:greeter", 1606)];
    assert_eq!(parts, expected.map(|(name, bytes)| (name.to_owned(), bytes)));
    assert_eq!((&cause["delta"], &cause["other"]), (&json!(program.len()), &json!(0)));
}

/// A database in the top layer: its packages have the files of the layers below, in the accounting and among
/// the causes.
#[test]
fn files_belong_to_their_package_whichever_layer_its_database_is_in() {
    let python = "usr/lib/python3/site-packages/tool-1.dist-info";
    let files = |size: usize| {
        vec![
            file("usr/bin/tool", "x".repeat(size)),
            file("usr/lib/libtool.so", "x".repeat(2000)),
            file(&format!("{python}/METADATA"), "Name: tool\nVersion: 1\n"),
            file("srv/data", "x".repeat(70)),
        ]
    };
    let listed = ["usr/bin/tool", "lib/libtool.so", &format!("{python}/METADATA")];
    let apk: String = listed
        .iter()
        .map(|path| path.rsplit_once('/').unwrap())
        .map(|(directory, name)| format!("F:{directory}\nR:{name}\n"))
        .collect();
    let apk = format!("P:tool\nV:1-r0\n{apk}");
    let dpkg: String = listed.iter().map(|path| format!("/{path}\n")).collect();
    let status = "Package: tool\nStatus: install ok installed\nVersion: 1-r0\nArchitecture: all\n";
    let (part, sums) = ("Package: tool\nVersion: 1-r0\n", listed.map(|path| format!("0  {path}\n")).concat());
    let of_part = (part.len() + sums.len()) as u64;
    let databases = [
        ("apk", vec![file("lib/apk/db/installed", apk)], 0, 0),
        (
            "deb",
            vec![file("var/lib/dpkg/status", status), file("var/lib/dpkg/info/tool.list", dpkg.as_str())],
            dpkg.len() as u64,
            1,
        ),
        (
            "deb",
            vec![file("var/lib/dpkg/status.d/tool", part), file("var/lib/dpkg/status.d/tool.md5sums", sums)],
            of_part,
            2,
        ),
    ];
    for (kind, database, own, own_files) in databases {
        let directory = tempfile::tempdir().unwrap();
        let metadata = "Name: tool\nVersion: 1\n".len() as u64;
        let found = installed(&[files(9000), vec![file("etc/x", "x")], database.clone()]);
        assert_eq!(
            found,
            [(format!("{kind}/tool@1-r0"), 9000 + 2000 + metadata + own, 3 + own_files)],
            "{kind}"
        );
        let [base, head] = [("base", 9000), ("head", 12_000)]
            .map(|(name, size)| image(directory.path(), name, &[files(size), database.clone()]));
        let report = run(&["diff", "--format", "json"], &[&base, &head]).json();
        let image = &report["images"][0];
        assert_eq!(image["packages"][0]["name"], "tool", "{image}");
        assert_eq!(image["packages"][0]["delta"], 3000);
        let part = &image["causes"][0]["parts"][0];
        assert_eq!(
            (&part["kind"], &part["type"], &part["name"]),
            (&json!("package"), &json!(kind), &json!("tool"))
        );
        assert_eq!(part["delta"], 3000);
    }
}

/// An rpm database above the files of its packages, as where it was copied in by itself.
#[test]
fn an_rpm_database_above_its_files_names_them() {
    let files = vec![file("usr/bin/hello", "x".repeat(400)), file("usr/lib/tiny/one", "x".repeat(30))];
    let database = vec![file("usr/lib/sysimage/rpm/Packages.db", stored("Packages.db.gz"))];
    let expected = [
        ("rpm/layergate-hello@2:1.4-3".to_owned(), 400, 1),
        ("rpm/layergate-tiny@0.1~rc1-1".to_owned(), 30, 1),
    ];
    assert_eq!(installed(&[files.clone(), database.clone()]), expected);
    assert_eq!(installed(&[database, files]), expected, "and below them");
}

/// What `pip` puts in the place of a distribution's file is pip's, although each later layer repeats the
/// database.
#[test]
fn a_package_of_a_language_keeps_what_it_replaced() {
    let at = "usr/lib/python3/site-packages";
    let database =
        |more: &str| file("lib/apk/db/installed", format!("P:py3-tool\nV:1-r0\nF:{at}\nR:tool.py\n{more}"));
    let found = installed(&[
        vec![database(""), file(&format!("{at}/tool.py"), "x".repeat(100))],
        vec![
            file(&format!("{at}/tool.py"), "x".repeat(300)),
            file(&format!("{at}/tool-2.dist-info/METADATA"), "Name: tool\nVersion: 2\n"),
            file(&format!("{at}/tool-2.dist-info/RECORD"), "tool.py,,\n"),
        ],
        vec![database("\nP:curl\nV:8-r0\nF:usr/bin\nR:curl\n"), file("usr/bin/curl", "x".repeat(50))],
    ]);
    let bytes = |name: &str| found.iter().find(|(found, ..)| found == name).map(|(_, bytes, _)| *bytes);
    assert_eq!(bytes("apk/curl@8-r0"), Some(50), "{found:?}");
    assert_eq!(bytes("apk/py3-tool@1-r0"), Some(0));
    assert!(bytes("pypi/tool@2").is_some_and(|bytes| bytes > 300));
}

#[test]
fn a_database_that_cannot_be_read_is_said_once_and_fails_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let damaged = stored("Packages.gz")[..9000].to_vec();
    let base = image(directory.path(), "base", &[vec![file("etc/x", "x")]]);
    let layers = [vec![file("etc/x", "x")], vec![file("var/lib/rpm/Packages", damaged.as_slice())]];
    let head = image(directory.path(), "head", &layers);
    let line = "not all packages in /var/lib/rpm/Packages (layer 2) could be read: the file is damaged or incomplete";
    let inspected = run(&["inspect"], &[&head]);
    assert_eq!(inspected.stderr.matches(line).count(), 1, "{}", inspected.stderr);
    assert!(inspected.stderr.starts_with("warning: head: "), "{}", inspected.stderr);
    let text = run(&["diff"], &[&base, &head]);
    assert!(text.stdout.contains(line), "{}", text.stdout);
    let markdown = run(&["diff", "--format", "markdown"], &[&base, &head]);
    assert!(
        markdown.stdout.contains("Packages not known") && markdown.stdout.contains("damaged or incomplete"),
        "{}",
        markdown.stdout
    );
    let report = run(&["diff", "--format", "json"], &[&base, &head]).json();
    let expected = json!([{ "path": "var/lib/rpm/Packages", "layer": 1, "why": "damaged" }]);
    assert_eq!(report["images"][0]["unread_databases"], expected);
    // One that a later layer replaces is of no matter any more.
    let whole = vec![file("var/lib/rpm/Packages", stored("Packages.gz"))];
    let later = image(directory.path(), "later", &[layers.to_vec(), vec![whole]].concat());
    assert!(!run(&["inspect"], &[&later]).stderr.contains("warning"));
    // Many are told in a few lines.
    let many = (0..20).map(|n| file(&format!("app{n}/web.deps.json"), "{")).collect();
    let many = run(&["inspect"], &[&image(directory.path(), "many", &[many])]);
    assert_eq!(many.stderr.lines().count(), 6, "{}", many.stderr);
    assert!(many.stderr.contains("nor those in 15 more files"), "{}", many.stderr);
}
