//! What many repositories need: starting without failing, and one place for limits.

use std::fs;

use serde_json::{Value, json};

use crate::check::gate::image;
use crate::security::trust::{Change, Files, MAX};
use crate::support::fake_github::{BOT, Fault, SharedFile, pull_request};
use crate::support::{FakeLayer, Item, Run, layergate, oci_layout, tar_of};

const NOT_ENFORCED: &str = "enforce = false\n[limits]\nmax-size = \"110 kB\"\n";

#[test]
fn limits_that_are_not_enforced_are_told_everywhere_and_fail_nothing() {
    let change = Change::new(&[("layergate.toml", NOT_ENFORCED)], &[]);
    let run = change.check(&["--report", "r.json", "--junit", "j.xml", "--sarif", "s.json"]).expect(0);
    let heading = "\u{26a0}\u{fe0f} unenforced: app exceeds max-size: 120 kB (+20 kB, +20.0%); not enforced";
    assert!(run.stdout.starts_with(heading), "{}", run.stdout);
    assert!(run.stdout.contains("10 kB over the limit of 110 kB"), "{}", run.stdout);
    assert!(run.stderr.contains("::warning ") && !run.stderr.contains("::error "), "{}", run.stderr);
    let comment = change.comment();
    assert!(comment.contains("exceeds max-size: 120 kB") && comment.contains("; not enforced"), "{comment}");
    assert!(comment.contains("max-size = 110 kB"), "{comment}");
    let text = |name: &str| fs::read_to_string(change.checkout.path().join(name)).unwrap();
    let report: Value = serde_json::from_str(&text("r.json")).unwrap();
    assert_eq!(
        (&report["verdict"], &report["images"][0]["verdict"]),
        (&"unenforced".into(), &"unenforced".into())
    );
    let image = &report["images"][0];
    assert_eq!(
        (&image["findings"][0]["severity"], &image["limits"]["enforce"]),
        (&"unenforced".into(), &"false".into())
    );
    assert!(
        text("j.xml").contains("failures=\"0\"") && text("j.xml").contains("unenforced: "),
        "{}",
        text("j.xml")
    );
    let sarif: Value = serde_json::from_str(&text("s.json")).unwrap();
    assert_eq!(sarif["runs"][0]["results"][0]["level"], "warning");
}

#[test]
fn whether_limits_are_enforced_is_the_targets_and_may_begin_on_a_day() {
    let enforced = MAX;
    let from = |day: &str| format!("enforce = \"{day}\"\n{MAX}");
    let (past, future) = (from("2000-01-01"), from("2999-12-31"));
    let one = "enforce = false\n[limits]\nmax-size = \"110 kB\"\n[images.app]\nenforce = true\n";
    // Without quotes, it is a date of TOML.
    let bare = future.replace('"', "").replace("110 kB", "\"110 kB\"");
    let cases: [(Files<'_>, Files<'_>, &[&str], i32); 10] = [
        // A pull request decides nothing about its own verdict.
        (&[("layergate.toml", enforced)], &[("layergate.toml", NOT_ENFORCED)], &[], 1),
        (&[("layergate.toml", NOT_ENFORCED)], &[("layergate.toml", enforced)], &[], 0),
        (&[("layergate.toml", &past)], &[], &[], 1),
        (&[("layergate.toml", &future)], &[], &[], 0),
        (&[("layergate.toml", &bare)], &[], &[], 0),
        (&[("layergate.toml", one)], &[], &[], 1),
        (&[("layergate.toml", enforced)], &[], &["--enforce", "false"], 0),
        (&[("layergate.toml", NOT_ENFORCED)], &[], &["--enforce", "true"], 1),
        (&[("layergate.toml", NOT_ENFORCED)], &[], &["--enforce", "2000-01-01"], 1),
        // Where nothing was in force, whoever adopts limits may start with those.
        (&[("x", "x")], &[("layergate.toml", NOT_ENFORCED)], &[], 0),
    ];
    for (target, own, more, code) in cases {
        let change = Change::new(target, own);
        let run = change.check(more);
        assert_eq!(run.code, code, "{target:?} {own:?} {more:?}: {}{}", run.stdout, run.stderr);
        assert!(run.stdout.contains("exceeds max-size"), "{}", run.stdout);
    }
    let change = Change::new(&[("layergate.toml", &future)], &[("layergate.toml", MAX)]);
    let run = change.check(&["--comment", "failures"]).expect(0);
    assert!(run.stdout.contains("this PR changes limits: enforce 2999-12-31 -> none"), "{}", run.stdout);
    let comment = change.comment();
    assert!(comment.contains("; not enforced until 2999-12-31"), "{comment}");
}

#[test]
fn a_baseline_that_is_missing_fails_no_more_than_a_limit_and_what_cannot_be_measured_does() {
    let directory = tempfile::tempdir().unwrap();
    let app = image(directory.path(), "app", 5000);
    let store = format!("dir:{}", directory.path().join("store").display());
    let check = |more: &[&str]| {
        let arguments = [&["check", "--store", &store, "--enforce", "false"], more].concat();
        Run::of(layergate().current_dir(directory.path()).args(arguments))
    };
    check(&[&app, "--max-increase", "1%", "--on-missing-baseline", "fail"]).expect(0);
    check(&["app=none.tar", "--max-size", "1 B"]).expect(3);
    let gone = directory.path().join("app").join("index.json");
    fs::write(gone, "{").unwrap();
    check(&[&app, "--max-size", "1 B"]).expect(3);
}

#[test]
fn a_small_change_makes_no_new_comment_and_updates_the_one_that_exists() {
    let changed = |rules: &str, base: &[Item<'_>], head: &[Item<'_>]| {
        let change = Change::new(&[("layergate.toml", rules)], &[]);
        let layout = |name: &str, items: &[Item<'_>]| {
            let layer = FakeLayer::gzip(&tar_of(items), "COPY . /");
            format!("app={}", oci_layout(&change.elsewhere.path().join(name), &[layer]).display())
        };
        let (base, head) = (layout("one", base), layout("two", head));
        let record = ["record", &base, "--commit", &change.base, "--allow-pull-request"];
        Run::of(&mut change.command(&record)).expect(0);
        let run = Run::of(&mut change.command(&["check", &head, "--no-cache", "--report", "r.json"]));
        (change, head, run)
    };
    let base = [Item::File("app/main.py", 1000), Item::File("app/main.pyc", 500_000)];
    let grown = |main, compiled| [Item::File("app/main.py", main), Item::File("app/main.pyc", compiled)];
    let rules = "[comment]\nmin-change = \"100 kB\"\nignore-paths = [\"**/*.pyc\"]\n";
    let comments = |change: &Change| change.github.bodies_of(BOT).len();
    for (main, compiled, expected) in [
        (50_000, 500_000, 0),
        (101_001, 500_000, 1),
        (1000, 900_000, 0),
        (50_000, 100_000, 0),
        (200_000, 300_000, 1),
    ] {
        let (change, _, run) = changed(rules, &base, &grown(main, compiled));
        run.expect(0);
        assert_eq!(comments(&change), expected, "{main} {compiled}");
    }
    // Without these rules each of them is worth one.
    let (change, ..) = changed("[limits]\nmax-size = \"1 GB\"\n", &base, &grown(50_000, 500_000));
    assert_eq!(comments(&change), 1);

    let (change, head, _) = changed(rules, &base, &grown(1000, 900_000));
    let report: Value =
        serde_json::from_slice(&fs::read(change.checkout.path().join("r.json")).unwrap()).unwrap();
    let image = &report["images"][0];
    assert_eq!(
        (&image["ignored"], &image["causes"], &report["min_change"]),
        (&400_000.into(), &json!([]), &100_000.into())
    );
    // Limits count what is ignored here, and what a limit says is told.
    let over = ["check", &head, "--no-cache", "--max-increase", "10 kB"];
    Run::of(&mut change.command(&over)).expect(1);
    assert_eq!(comments(&change), 1);
    // The one that exists is updated, whatever the change.
    Run::of(&mut change.command(&["check", &head, "--no-cache", "--max-increase", "1 MB"])).expect(0);
    assert!(change.comment().contains("within its limits"), "{}", change.comment());
    // What the jobs of a matrix were told counts where their reports are put together.
    let other = Change::new(&[("x", "x")], &[]);
    let saved = change.checkout.path().join("r.json").display().to_string();
    let head = change.head.clone();
    let report = |more: &[&str]| {
        let mut command = other.command(&[&["report", &saved], more].concat());
        let payload = other.payload.to_string().replace(&other.head, &head);
        fs::write(other.elsewhere.path().join("event.json"), payload).unwrap();
        Run::of(&mut command).expect(0)
    };
    report(&[]);
    assert_eq!(other.github.bodies_of(BOT).len(), 0);
    report(&["--comment-min-change", "1 B"]);
    assert_eq!(other.github.bodies_of(BOT).len(), 0, "the change of what is not ignored is nothing");
    report(&["--comment", "always"]);
    assert_eq!(other.github.bodies_of(BOT).len(), 1);
}

const STRICT: &str = "[limits]\nmax-size = \"110 kB\"\n";
const WIDE: &str = "[limits]\nmax-size = \"1 MB\"\n";

/// Checks an image of 120 kB, 100 kB before, by `layergate.toml`, which extends `central.toml`, which may extend
/// `third.toml`.
fn by_files(own: &str, central: &str, third: &str, more: &[&str]) -> Run {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    let (base, head) = (image(directory.path(), "base", 100_000), image(directory.path(), "head", 120_000));
    let store = format!("dir:{}", directory.path().join("store").display());
    let run = |arguments: &[&str]| Run::of(layergate().current_dir(directory.path()).args(arguments));
    run(&["record", &base, "--store", &store]).expect(0);
    write("layergate.toml", &format!("extends = \"central.toml\"\n{own}"));
    write("central.toml", central);
    write("third.toml", third);
    run(&[&["check", &head, "--store", &store], more].concat())
}

#[test]
fn the_worse_verdict_of_two_files_counts() {
    let allow = |words: &str, limits: &str| format!("{limits}[allow]\nloosen = [{words}]\n");
    let until = |day: &str| format!("{STRICT}[allow]\nloosen = [\"max-size\"]\nuntil = \"{day}\"\n");
    let of_image = |name: &str| format!("{STRICT}[allow.images.{name}]\nloosen = [\"max-size\"]\n");
    let [size, layers, enforce, paths] =
        ["max-size", "max-layers", "enforce", "forbid-paths"].map(|key| format!("{key:?}"));
    let not = |limits: &str| format!("enforce = false\n{limits}");
    let from = |day: &str| format!("enforce = \"{day}\"\n{STRICT}");
    let limit = |text: &str| format!("[limits]\n{text}\n");
    let none = String::new();
    let (strict, wide) = (STRICT.to_owned(), WIDE.to_owned());
    let forbids = limit("forbid-paths = [\"a\"]");
    let bare = until("2999-12-31").replace("\"2999-12-31\"", "2999-12-31");
    let rows: [(&String, &String, &[&str], i32); 44] = [
        (&wide, &strict, &[], 1),
        (&strict, &wide, &[], 1),
        (&strict, &strict, &[], 1),
        (&wide, &wide, &[], 0),
        (&none, &strict, &[], 1),
        (&none, &wide, &[], 0),
        (&none, &none, &["--max-size", "110 kB"], 1),
        // What the central file lets others set.
        (&wide, &allow(&size, STRICT), &[], 0),
        (&wide, &allow(&layers, STRICT), &[], 1),
        (&wide, &until("2000-01-01"), &[], 1),
        (&wide, &until("2999-12-31"), &[], 0),
        (&wide, &bare, &[], 0),
        (&wide, &of_image("app"), &[], 0),
        (&wide, &of_image("other"), &[], 1),
        (&none, &allow(&size, STRICT), &[], 1),
        (&strict, &allow(&size, WIDE), &[], 1),
        // Flags go before the own file, and not before the central one.
        (&none, &strict, &["--max-size", "1 MB"], 1),
        (&strict, &wide, &["--max-size", "1 MB"], 0),
        (&none, &allow(&size, STRICT), &["--max-size", "1 MB"], 0),
        (&none, &strict, &["--enforce", "false"], 1),
        (&none, &allow(&enforce, STRICT), &["--enforce", "false"], 0),
        // Each file says whether it is enforced.
        (&not(""), &strict, &[], 1),
        (&none, &not(STRICT), &[], 0),
        (&strict, &not(STRICT), &[], 1),
        (&strict, &not(WIDE), &[], 1),
        (&not(STRICT), &wide, &[], 0),
        (&not(STRICT), &strict, &[], 1),
        (&not(""), &allow(&enforce, STRICT), &[], 0),
        // What a central file lets others set is no limit of its own.
        (&not(&limit("max-increase = \"5%\"")), &allow("\"max-increase\"", WIDE), &[], 0),
        (&limit("max-increase = \"5%\""), &allow("\"max-increase\"", WIDE), &[], 1),
        (&none, &from("2999-12-31"), &[], 0),
        (&none, &from("2000-01-01"), &[], 1),
        // Images and metrics are each file's own.
        (&none, &"[images.app]\nmax-size = \"110 kB\"\n".to_owned(), &[], 1),
        (&none, &"[images.other]\nmax-size = \"110 kB\"\n".to_owned(), &[], 0),
        (&limit("metric = \"compressed\""), &strict, &[], 1),
        (&limit("metric = \"compressed\"\nmax-size = \"110 kB\""), &wide, &[], 0),
        (&wide, &limit("metric = \"compressed\"\nmax-size = \"1 B\""), &[], 1),
        (&limit("max-increase = \"50%\""), &limit("max-increase = \"10%\""), &[], 1),
        (&limit("max-increase = \"50%\""), &limit("warn-increase = \"10%\""), &[], 0),
        (&limit("forbid-paths = []"), &forbids, &[], 1),
        (&limit("forbid-paths = [\"zzz\"]"), &allow(&paths, &forbids), &[], 0),
        // What cannot be used is no verdict.
        (&none, &limit("max-sise = \"1 MB\""), &[], 2),
        (&none, &allow("\"max-sise\"", ""), &[], 2),
        (&none, &"extends = \"central.toml\"\n".to_owned(), &[], 2),
    ];
    for (index, (own, central, more, code)) in rows.iter().enumerate() {
        let run = by_files(own, central, "", more);
        let said = format!("{index}: {own:?} {central:?} {more:?}: {}{}", run.stdout, run.stderr);
        assert_eq!(run.code, *code, "{said}");
    }
}

#[test]
fn a_chain_of_files_is_short_and_each_of_it_counts() {
    let on = |limits: &str| format!("extends = \"third.toml\"\n{limits}");
    let allows = format!("{STRICT}[allow]\nloosen = [\"max-size\"]\n");
    for (own, central, third, code) in [
        ("", on(""), STRICT, 1),
        (WIDE, on(WIDE), STRICT, 1),
        ("", on(WIDE), allows.as_str(), 0),
        (WIDE, on(""), allows.as_str(), 0),
        ("", on(""), allows.as_str(), 1),
        // The file between lets nobody loosen its own.
        (WIDE, on(STRICT), allows.as_str(), 1),
        ("", on(""), "extends = \"layergate.toml\"\n", 2),
        ("", on(""), "extends = \"gone.toml\"\n", 3),
    ] {
        let run = by_files(own, &central, third, &[]);
        assert_eq!(run.code, code, "{own:?} {central:?} {third:?}: {}{}", run.stdout, run.stderr);
    }
    let directory = tempfile::tempdir().unwrap();
    let app = image(directory.path(), "app", 5000);
    let check = |own: &str| {
        fs::write(directory.path().join("layergate.toml"), own).unwrap();
        Run::of(layergate().current_dir(directory.path()).args(["check", &app]))
    };
    for index in 1..=4 {
        let text = format!("extends = \"{}.toml\"\n", index + 1);
        fs::write(directory.path().join(format!("{index}.toml")), text).unwrap();
    }
    let deep = check("extends = \"1.toml\"\n").expect(2);
    assert!(
        deep.stderr.contains("3.toml:1 (extends): at most 3 files can be extended in a row"),
        "{}",
        deep.stderr
    );
    // A file that cannot be read is an error, also where nothing would fail.
    for own in ["extends = \"gone.toml\"\n", "extends = \"gone.toml\"\nenforce = false\n"] {
        let gone = check(own).expect(3);
        assert!(gone.stderr.contains("cannot read the configuration gone.toml: "), "{}", gone.stderr);
    }
}

#[test]
fn what_accepts_is_named_by_every_file_that_has_limits() {
    let accepts = |label: &str, more: &str| format!("{more}[accept]\nlabels = [\"{label}\"]\n");
    let allows = format!("{STRICT}[allow]\nloosen = [\"accept\"]\n");
    for (own, central, code) in [
        (accepts("size-ok", ""), STRICT.to_owned(), 1),
        (accepts("size-ok", ""), accepts("size-ok", STRICT), 0),
        (String::new(), accepts("size-ok", STRICT), 0),
        (accepts("other", ""), accepts("size-ok", STRICT), 1),
        (accepts("size-ok", STRICT), " ".to_owned(), 0),
        (accepts("size-ok", ""), allows, 0),
    ] {
        let own = format!("extends = \"central.toml\"\n{own}");
        let target = [("layergate.toml", own.as_str()), ("central.toml", central.as_str())];
        let change = Change::new(&target, &[]);
        change.github.world().labelled = vec![("ann", "size-ok", "2026-11-01T09:00:00Z", true)];
        let run = change.check(&[]);
        assert_eq!(run.code, code, "{own:?} {central:?}: {}{}", run.stdout, run.stderr);
    }
}

const CENTRAL: &str = "acme/.github//layergate.toml@v1";

fn central(text: &'static str, token: Option<&'static str>) -> SharedFile {
    SharedFile { repository: "acme/.github", path: "layergate.toml", at: "v1", text, token }
}

#[test]
fn limits_of_another_repository_count_until_the_target_says_otherwise() {
    let extends = format!("extends = \"{CENTRAL}\"\n{WIDE}");
    // What a pull request makes of it counts once it is merged.
    let own: [Files<'_>; 3] = [&[], &[("layergate.toml", WIDE)], &[("layergate.toml", "")]];
    for files in own {
        let change = Change::new(&[("layergate.toml", &extends)], files);
        change.github.world().shared = vec![central(STRICT, None)];
        let run = change.check(&["--report", "r.json", "--html", "p.html"]).expect(1);
        let footer = format!("limits of layergate.toml of main and {CENTRAL}");
        assert!(run.stdout.contains(&format!("(limit of {CENTRAL})")), "{}", run.stdout);
        let one_line = run.stdout.replace("\n", " ");
        assert!(one_line.contains(&footer), "{}", run.stdout);
        assert!(
            change.comment().contains("limits of layergate.toml of main and acme/"),
            "{}",
            change.comment()
        );
        let report = fs::read(change.checkout.path().join("r.json")).unwrap();
        let report: Value = serde_json::from_slice(&report).unwrap();
        assert_eq!(report["configurations"], json!(["layergate.toml of main", CENTRAL]));
        let image = &report["images"][0];
        assert_eq!(image["limits"], json!({ "max-size": "1 MB" }));
        assert_eq!(image["extended"], json!([{ "source": CENTRAL, "limits": { "max-size": "110 kB" } }]));
        let page = fs::read_to_string(change.checkout.path().join("p.html")).unwrap();
        assert!(
            page.contains(&format!("[\"max-size\",\"110 kB\",\"{CENTRAL}\"]"))
                && page.contains("\"maxSize\":110000,")
        );
        if !files.is_empty() {
            assert!(run.stdout.contains("this PR changes limits: extends"), "{}", run.stdout);
        }
    }
    // Nor does it have anything read that the target does not name.
    let change = Change::new(&[("layergate.toml", WIDE)], &[("layergate.toml", &extends)]);
    change.github.world().shared = vec![central(STRICT, None)];
    change.check(&[]).expect(0);
    let asked = change.github.world().requests.iter().any(|request| request.contains("/repos/acme/.github/"));
    assert!(!asked);
    // A workflow names one, and the repository needs no file.
    let change = Change::new(&[("x", "x")], &[("layergate.toml", WIDE)]);
    change.github.world().shared = vec![central(STRICT, None)];
    let run = change.check(&["--config", CENTRAL]).expect(1);
    assert!(run.stdout.contains("over the limit of 110 kB"), "{}", run.stdout);
    change.check(&["--config", "acme/.github//layergate.toml"]).expect(2);
    let record = ["record", &change.image(1000), "--commit", &change.base, "--allow-pull-request"];
    Run::of(&mut change.command(&[&record[..], &["--config", CENTRAL]].concat())).expect(0);
    // A file beside the one that names it, in the same repository.
    let beside = "extends = \"../limits.toml\"\n";
    let change =
        Change::new(&[(".github/layergate.toml", beside), ("limits.toml", STRICT)], &[("limits.toml", WIDE)]);
    change.check(&[]).expect(1);
}

#[test]
fn a_configuration_that_cannot_be_read_is_never_no_limits() {
    const TOKEN: &str = "Bearer ghp_config-token";
    let extends = format!("extends = \"{CENTRAL}\"\n");
    let change = Change::new(&[("layergate.toml", &extends)], &[]);
    change.github.world().shared = vec![central(STRICT, Some(TOKEN))];
    let refused = change.check(&[]).expect(3);
    assert!(refused.stderr.contains("pass `config-token` (contents: read)"), "{}", refused.stderr);
    change.check(&["--config-token", "ghp_config-token"]).expect(1);
    change.check(&["--config", CENTRAL]).expect(3);
    change.check(&["--config", CENTRAL, "--config-token", "ghp_config-token"]).expect(1);
    change.github.fail(Fault { path: "/repos/acme/.github/", status: 500, times: 9, ..Fault::default() });
    change.check(&["--config-token", "ghp_config-token"]).expect(3);
    change.github.world().faults.clear();
    let mut without = change.command(&["check", &change.image(120_000), "--no-cache", "--config", CENTRAL]);
    let without = Run::of(without.env_remove("GITHUB_TOKEN")).expect(3);
    assert!(without.stderr.contains("there is no token"), "{}", without.stderr);
    change.github.world().shared = vec![central("[limits]\nmax-sise = \"1 MB\"\n", None)];
    let broken = change.check(&[]).expect(2);
    assert!(broken.stderr.contains(&format!("{CENTRAL}:2: unknown key `max-sise`")), "{}", broken.stderr);
}

#[test]
fn a_fork_has_no_token_for_it_and_the_trusted_job_evaluates() {
    let extends = format!("extends = \"{CENTRAL}\"\n");
    let by_input = ["--config", CENTRAL];
    let cases: [(Files<'_>, &[&str]); 2] =
        [(&[("layergate.toml", &extends)], &[]), (&[("x", "x")], &by_input)];
    for (target, named) in cases {
        let mut change = Change::new(target, &[]);
        change.github.world().shared = vec![central(STRICT, Some("Bearer ghp_config-token"))];
        change.payload["pull_request"]["head"]["repo"]["full_name"] = "mallory/shop".into();
        let run = change.check(&[&["--report", "r.json", "--comment", "never"], named].concat()).expect(3);
        assert!(
            run.stderr.contains("cannot read the configuration acme/.github//layergate.toml@v1"),
            "{}",
            run.stderr
        );
        let report = change.checkout.path().join("r.json");
        assert!(report.exists(), "{named:?}: {}", run.stderr);
        fs::copy(&report, change.elsewhere.path().join("r.json")).unwrap();
        let head = ("mallory/shop", "change", change.head.as_str());
        change.github.world().pulls = vec![pull_request(7, head, &change.base)];
        let run = json!({ "workflow_run": {
            "id": 500, "event": "pull_request", "head_sha": change.head, "head_branch": "change", "conclusion": "failure",
            "head_repository": { "full_name": "mallory/shop" },
        } });
        let evaluate = |more: &[&str]| {
            let saved = change.elsewhere.path().join("r.json").display().to_string();
            let mut command = change.command(&[&["report", &saved], named, more].concat());
            fs::write(change.elsewhere.path().join("event.json"), run.to_string()).unwrap();
            command.env("GITHUB_EVENT_NAME", "workflow_run").env("GITHUB_REF", "refs/heads/main");
            Run::of(&mut command)
        };
        let evaluated = evaluate(&["--config-token", "ghp_config-token", "--require-image", "app"]).expect(1);
        assert!(change.comment().contains("exceeds max-size"), "{}", change.comment());
        assert!(evaluated.stdout.contains("over the limit of 110 kB"), "{}", evaluated.stdout);
        evaluate(&[]).expect(3);
    }
}

#[test]
fn the_newest_release_is_a_baseline() {
    let change = Change::new(&[("layergate.toml", "[limits]\nmax-increase = \"10 kB\"\n")], &[]);
    // Compared with the target, it grows; the release was larger.
    change.check(&[]).expect(1);
    let none = change.check(&["--baseline", "release"]).expect(0);
    assert!(none.stderr.contains("there is no release yet"), "{}", none.stderr);
    change.check(&["--baseline", "release", "--on-missing-baseline", "fail"]).expect(4);
    let checkout = &change.checkout;
    checkout.git(&["checkout", "--quiet", "--orphan", "old"]);
    let released = checkout.commit("released");
    checkout.git(&["tag", "--annotate", "--message", "x", "v1/2.0", &released]);
    change.push(&["refs/tags/v1/2.0"]);
    checkout.git(&["checkout", "--quiet", "--force", "--detach", "main"]);
    let record = ["record", &change.image(115_000), "--commit", &released, "--allow-pull-request"];
    Run::of(&mut change.command(&record)).expect(0);
    change.github.world().release = Some("v1/2.0");
    let run = change.check(&["--baseline", "release", "--report", "r.json"]).expect(0);
    assert!(run.stderr.contains("compared with release v1/2.0"), "{}", run.stderr);
    let report: Value = serde_json::from_slice(&fs::read(checkout.path().join("r.json")).unwrap()).unwrap();
    let base = &report["images"][0]["base"];
    assert_eq!((&base["commit"]["sha"], &base["exact"]), (&released.as_str().into(), &true.into()));
    // Without anybody to ask that is said.
    let mut alone = layergate();
    alone.current_dir(checkout.path()).args(["check", &change.image(1000), "--baseline", "release"]);
    Run::of(&mut alone).expect(2);
}

#[test]
fn dependabot_gets_its_comment_by_the_second_workflow() {
    let branch = "dependabot/docker/python-3.14";
    let extends = format!("extends = \"{CENTRAL}\"\n");
    let change = Change::new(&[("layergate.toml", &extends)], &[]);
    change.github.world().shared = vec![central(STRICT, Some("Bearer ghp_config-token"))];
    let saved = change.elsewhere.path().join("r.json").display().to_string();
    let image = change.image(120_000);
    let mut check = change.command(&["check", &image, "--no-cache", "--report", &saved]);
    check.env("GITHUB_ACTOR", "dependabot[bot]");
    change.github.fail(Fault {
        method: axum::http::Method::POST,
        path: "/comments",
        status: 403,
        message: "Resource not accessible by integration",
        times: 9,
        ..Fault::default()
    });
    // Its run has no secrets either, and its token may only read.
    Run::of(&mut check).expect(3);
    change.github.world().faults.clear();
    change.github.world().pulls = vec![pull_request(7, ("acme/shop", branch, &change.head), &change.base)];
    let run = json!({ "workflow_run": {
        "id": 500, "run_attempt": 1, "event": "pull_request", "head_sha": change.head, "head_branch": branch,
        "head_repository": { "full_name": "acme/shop" },
    } });
    let mut report =
        change.command(&["report", &saved, "--config-token", "ghp_config-token", "--require-image", "app"]);
    fs::write(change.elsewhere.path().join("event.json"), run.to_string()).unwrap();
    report.env("GITHUB_EVENT_NAME", "workflow_run").env("GITHUB_REF", "refs/heads/main");
    Run::of(&mut report).expect(1);
    assert!(change.comment().contains("exceeds max-size"), "{}", change.comment());
}
