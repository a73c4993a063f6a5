//! Packages of programming languages.

use super::*;

#[test]
fn a_wheel_owns_what_its_record_lists() {
    let (metadata, record) = (fixture("six-METADATA"), fixture("six-RECORD"));
    let at = "usr/lib/python3.11/site-packages";
    let [six, compiled, meta, list] = [
        "six.py",
        "__pycache__/six.cpython-311.pyc",
        "six-1.17.0.dist-info/METADATA",
        "six-1.17.0.dist-info/RECORD",
    ]
    .map(|path| format!("{at}/{path}"));
    let later = format!("{at}/__pycache__/six.cpython-312.opt-1.pyc");
    let other = format!("{at}/other.py");
    let found = packages(&[
        (&list, &record),
        (&six, b""),
        (&compiled, b""),
        (&later, b""),
        (&other, b""),
        (&meta, &metadata),
    ]);
    assert_eq!(found, expected(&[("pypi/six@1.17.0", &[&list, &six, &compiled, &later, &meta])]));
}

#[test]
fn a_record_is_csv_and_may_point_outside() {
    let record = b"\"a, \"\"b\"\".py\",sha256=x,1\n../../../bin/tool,,\n/opt/abs,,\n../../../../../../../etc/x,,\n\"cut";
    let found = packages(&[
        (
            "usr/lib/python3/site-packages/A.b__C-1.dist-info/METADATA",
            b"Name: A.b__C\r\nVersion: 1\r\n\r\nVersion: 2",
        ),
        ("usr/lib/python3/site-packages/A.b__C-1.dist-info/RECORD", record),
        ("usr/lib/python3/site-packages/a, \"b\".py", b""),
        ("usr/bin/tool", b""),
        ("opt/abs", b""),
        ("etc/x", b""),
        ("usr/lib/python3/site-packages/A.b__C-1.dist-info/INSTALLER", b""),
    ]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "pypi/a-b-c@1");
    assert_eq!(found[0].1.len(), 7);
}

#[test]
fn eggs_come_in_three_forms() {
    let info = b"Metadata-Version: 1.0\nName: Tool\nVersion: 0.9\n";
    let found = packages(&[
        ("p/one.egg-info", info),
        ("p/two.egg-info/PKG-INFO", info),
        ("p/two.egg-info/installed-files.txt", b"../two/__init__.py\nPKG-INFO\n\n../../bin/two\n"),
        ("p/two/__init__.py", b""),
        ("bin/two", b""),
        ("p/three-1.egg/EGG-INFO/PKG-INFO", info),
        ("p/three-1.egg/three/__init__.py", b""),
        ("p/four.egg-info/PKG-INFO", info),
        ("p/four.egg-info/top_level.txt", b"four"),
        ("p/four/__init__.py", b""),
    ]);
    let tool = "pypi/tool@0.9";
    let expected = expected(&[
        (tool, &["p/four.egg-info/PKG-INFO", "p/four.egg-info/top_level.txt"]),
        (tool, &["p/one.egg-info"]),
        (tool, &["p/three-1.egg/EGG-INFO/PKG-INFO", "p/three-1.egg/three/__init__.py"]),
        (
            tool,
            &[
                "p/two.egg-info/PKG-INFO",
                "p/two.egg-info/installed-files.txt",
                "p/two/__init__.py",
                "bin/two",
            ],
        ),
    ]);
    assert_eq!(found, expected);
}

#[test]
fn a_node_package_ends_where_a_nested_one_starts() {
    let found = packages(&[
        ("app/node_modules/is-odd/package.json", br#"{"name":"is-odd","version":"3.0.1","x":{"name":1}}"#),
        ("app/node_modules/is-odd/index.js", b""),
        (
            "app/node_modules/is-odd/node_modules/@s/is-number/package.json",
            b"\xef\xbb\xbf{\"name\":\"@s/is-number\",\"version\":\"6.0.0\"}",
        ),
        ("app/node_modules/is-odd/node_modules/@s/is-number/lib/a/b.js", b""),
        ("app/node_modules/is-odd/dist/package.json", br#"{"type":"module"}"#),
        ("app/node_modules/no-version/package.json", br#"{"name":"no-version"}"#),
        ("app/node_modules/is-odder/index.js", b""),
        ("app/index.js", b""),
    ]);
    let expected = expected(&[
        (
            "npm/@s/is-number@6.0.0",
            &[
                "app/node_modules/is-odd/node_modules/@s/is-number/package.json",
                "app/node_modules/is-odd/node_modules/@s/is-number/lib/a/b.js",
            ],
        ),
        (
            "npm/is-odd@3.0.1",
            &[
                "app/node_modules/is-odd/package.json",
                "app/node_modules/is-odd/index.js",
                "app/node_modules/is-odd/dist/package.json",
            ],
        ),
    ]);
    assert_eq!(found, expected);
}

#[test]
fn a_conda_package_owns_what_its_record_lists() {
    let record = fixture("conda-meta.json");
    let at = "opt/conda";
    let [meta, library, header, cached, metadata] = [
        "conda-meta/tool-2.5-py311_0.json",
        "lib/python3.11/site-packages/tool/__init__.py",
        "include/tool.h",
        "pkgs/tool-2.5-py311_0/info/index.json",
        "lib/python3.11/site-packages/tool-2.5.dist-info/METADATA",
    ]
    .map(|path| format!("{at}/{path}"));
    let found = packages(&[
        (&meta, &record),
        (&library, b""),
        (&header, b""),
        (&cached, b""),
        (&metadata, b"Name: tool\nVersion: 2.5\n"),
        ("opt/conda/lib/other.so", b""),
    ]);
    let own = [meta, library, header, cached, metadata];
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    assert_eq!(found, expected(&[("conda/tool@2.5", &own)]));
}

#[test]
fn a_dotnet_program_says_which_files_are_of_which_package() {
    let document = fixture("web.deps.json");
    let found = packages(&[
        ("app/web.deps.json", &document),
        ("app/web.dll", b""),
        ("app/Newtonsoft.Json.dll", b""),
        ("app/SQLitePCLRaw.core.dll", b""),
        ("app/runtimes/linux-x64/native/libe_sqlite3.so", b""),
        ("app/de/Humanizer.resources.dll", b""),
        ("app/Humanizer.dll", b""),
        ("app/libhostfxr.so", b""),
        ("app/unknown.dll", b""),
        ("other/Newtonsoft.Json.dll", b""),
    ]);
    let expected = expected(&[
        ("nuget/Humanizer.Core@2.14.1", &["app/de/Humanizer.resources.dll", "app/Humanizer.dll"]),
        ("nuget/Microsoft.NETCore.App.Runtime.linux-x64@8.0.4", &["app/libhostfxr.so"]),
        ("nuget/Newtonsoft.Json@13.0.3", &["app/Newtonsoft.Json.dll"]),
        (
            "nuget/SQLitePCLRaw.lib.e_sqlite3@2.1.8",
            &["app/SQLitePCLRaw.core.dll", "app/runtimes/linux-x64/native/libe_sqlite3.so"],
        ),
    ]);
    assert_eq!(found, expected);
}

#[test]
fn a_gem_owns_its_directories_by_the_name_of_its_specification() {
    let specification = fixture("layergate-tiny.gemspec.txt");
    for root in ["", "usr/local/bundle/", "var/lib/gems/3.1.0/"] {
        let at = |path: &str| format!("{root}{path}");
        let own = [
            at("specifications/layergate-tiny-0.2.1.gemspec"),
            at("gems/layergate-tiny-0.2.1/lib/layergate_tiny.rb"),
            at("doc/layergate-tiny-0.2.1/ri/cache.ri"),
            at("cache/layergate-tiny-0.2.1.gem"),
            at("extensions/x86_64-linux/3.1.0/layergate-tiny-0.2.1/gem_make.out"),
        ];
        let others =
            [at("gems/layergate-tiny-0.2.10/a.rb"), at("extensions/x86_64-linux/3.1.0/other-1/gem_make.out")];
        let files = own.iter().chain(&others);
        let files: Vec<(&str, &[u8])> = files.map(|path| (path.as_str(), specification.as_slice())).collect();
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        assert_eq!(packages(&files), expected(&[("gem/layergate-tiny@0.2.1", &own)]));
    }
}

#[test]
fn a_gem_is_known_by_its_file_name_where_its_text_is_a_program() {
    let gem = |name: &str, text: &str| {
        let path = format!("g/specifications/{name}.gemspec");
        packages(&[(&path, text.as_bytes())]).first().map(|(package, _)| package.clone())
    };
    let found = |text: &str| Some(text.to_string());
    assert_eq!(gem("nokogiri-1.15.0-x86_64-linux", "s.name = NAME"), found("gem/nokogiri@1.15.0"));
    assert_eq!(gem("a-b-2.0", "s.version = A::VERSION\n"), found("gem/a-b@2.0"));
    assert_eq!(
        gem("x-1", "  s.name = %q{x}\n  spec.name= 'real'\n  s.version = Gem::Version.new(\"3\")\n"),
        found("gem/real@3")
    );
    assert_eq!(gem("x", "s.name = 'x'"), None);
}
