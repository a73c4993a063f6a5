//! The images of many repositories, read from a fake GitHub and from directories.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use axum::http::Method;
use layergate::image::Time;
use serde_json::{Value, json};

use crate::check::gate::{Checkout, image};
use crate::security::surroundings::limited;
use crate::support::fake_fleet::{Baselines, FleetRepository};
use crate::support::fake_github::{FakeGithub, Fault, Shape};
use crate::support::{Run, layergate, skip};

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_secs().try_into().unwrap()
}

/// The time that many days ago.
fn ago(days: i64) -> Time {
    Time::from_seconds(now() - days * 86_400).unwrap()
}

fn fleet(github: &FakeGithub, arguments: &[&str]) -> Command {
    let mut command = layergate();
    command.arg("fleet").args(arguments);
    command.env("GITHUB_TOKEN", "ghs_secret-token").env("GITHUB_API_URL", &github.url);
    command
}

/// A summary of one image.
fn summary(image: &str, size: u64, stages: &str) -> Value {
    let totals = json!({
        "layers": 7, "files": 100, "uncompressed": size, "flattened": size - 1000, "wasted": 1000,
        "compressed": size / 3,
    });
    let saving = if stages == "single_stage" { size / 4 } else { 0 };
    json!({
        "image": image, "platform": "linux/amd64", "commit": "c".repeat(40), "time": ago(1),
        "recorded": ago(1), "totals": totals, "stages": stages, "saving": saving,
        "removable": { "build_tools": saving, "build_inputs": 0, "caches": 0, "leftovers": 10 },
        "limits": [{ "key": "max-size", "value": "1 GB" }],
        "stages_since": ago(200),
        "days": [[ago(40), size - 5_000_000], [ago(1), size]],
    })
}

fn document(images: &[Value]) -> String {
    json!({ "schema": "layergate.summary/v1", "images": images }).to_string()
}

fn repository(name: &str, baselines: Baselines) -> FleetRepository {
    FleetRepository {
        baselines,
        root: Some(vec!["Dockerfile", "src/"]),
        ..FleetRepository::new("acme", name)
    }
}

/// A thousand that are to be seen, of which 300 have a branch of baselines, and some that are not.
fn thousand(github: &FakeGithub) -> Vec<FleetRepository> {
    let mut all = Vec::new();
    let long = |text: &str| {
        let hash = github.repository().git(&["hash-object", "-w", "--stdin"], text.as_bytes()).unwrap();
        Baselines::Long(String::from_utf8(hash).unwrap().trim().to_owned())
    };
    for index in 0..1000_u64 {
        let name = format!("r{index:03}");
        let stages = if index % 5 == 0 { "single_stage" } else { "multi_stage" };
        let good = document(&[summary(&name, 100_000_000 + index, stages)]);
        let baselines = match index {
            0..4 => Baselines::Text(good[..good.len() / 2].to_owned()),
            4..8 => Baselines::Text(good.replace("summary/v1", "summary/v2")),
            8..10 => Baselines::NoSummary,
            10..15 => long(&good),
            15..300 => Baselines::Text(good),
            _ => Baselines::None,
        };
        let mut one = repository(&name, baselines);
        match index {
            20 => one.before = Some("old-name".into()),
            30..35 | 300..310 => one.archived = true,
            310..320 => one.fork = true,
            320..330 => one.root = None,
            330..800 => one.root = Some(vec!["README.md", "docker/", "src/"]),
            _ => {}
        }
        if (330..340).contains(&index) {
            one.docker = Some(vec!["Dockerfile.dev", "README.md", "app.Dockerfile", "Dockerfile.md"]);
        }
        all.push(one);
    }
    for index in 0..20 {
        let hidden = repository(&format!("hidden-{index}"), Baselines::NoSummary);
        all.push(FleetRepository { visible: false, ..hidden });
    }
    all
}

#[test]
fn a_thousand_repositories_cost_a_request_a_hundred_and_nothing_is_lost() {
    let github = FakeGithub::start();
    let all = thousand(&github);
    github.world().fleet.clone_from(&all);
    let started = Instant::now();
    let run = Run::of(&mut fleet(&github, &["acme", "--format", "json"])).expect(0);
    let elapsed = started.elapsed();
    let requests = github.world().requests.clone();
    let (graphql, rest): (Vec<&String>, Vec<&String>) =
        requests.iter().partition(|request| request.as_str() == "POST /graphql");
    assert_eq!((graphql.len(), rest.len()), (10, 5), "{requests:?}");
    assert!(rest.iter().all(|request| request.contains("/git/blobs/")), "{rest:?}");
    assert!(elapsed < Duration::from_secs(30), "{elapsed:?}");
    let _ = writeln!(
        std::io::stderr().lock(),
        "fleet of a thousand repositories: {} requests, {} ms",
        requests.len(),
        elapsed.as_millis()
    );

    let fleet_json = run.json();
    let totals = &fleet_json["totals"];
    let of = |name: &str| totals[name].as_u64().unwrap();
    assert_eq!(fleet_json["schema"], "layergate.fleet/v1");
    assert_eq!((of("repositories"), of("recorded"), of("unread")), (1000, 290, 10));
    // 200 with one in the root, and ten in docker/; what has none, forks and archived ones are not expected to.
    assert_eq!(of("no_baseline"), 200 + 10);
    assert_eq!((of("images"), of("single_stage"), of("multi_stage")), (285, 57, 228));
    assert!(run.stderr.matches("warning: ").count() == 10, "{}", run.stderr);
    let unread = fleet_json["unread"].as_array().unwrap();
    let reasons = |reason: &str| unread.iter().filter(|one| one["reason"] == reason).count();
    assert_eq!((reasons("broken"), reasons("newer"), reasons("no_summary")), (4, 4, 2), "{unread:?}");
    let repositories = fleet_json["repositories"].as_array().unwrap();
    assert_eq!(repositories.len(), 1000);
    let long = repositories.iter().find(|one| one["name"] == "acme/r012").unwrap();
    assert_eq!(long["images"][0]["totals"]["uncompressed"], 100_000_012);
    assert_eq!(long["images"][0]["change"]["bytes"], 5_000_000);
    let docker = repositories.iter().find(|one| one["name"] == "acme/r330").unwrap();
    assert_eq!(docker["dockerfiles"], json!(["docker/Dockerfile.dev", "docker/app.Dockerfile"]));
    let archived = repositories.iter().find(|one| one["name"] == "acme/r030").unwrap();
    assert!(archived["archived"] == true && archived["images"][0]["image"] == "r030", "{archived}");
}

#[test]
fn repositories_by_name_are_read_a_hundred_at_a_time_and_what_is_not_seen_is_said() {
    let github = FakeGithub::start();
    let all = thousand(&github);
    github.world().fleet.clone_from(&all);
    let mut names: Vec<String> = all.iter().map(|one| format!("{}/{}", one.owner, one.name)).collect();
    names.push("acme/old-name".into());
    names.push("# a comment".into());
    let mut command = fleet(&github, &["--repos", "-", "--format", "json"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(names.join("\n").as_bytes()).unwrap();
    let run = Run::from(child.wait_with_output().unwrap()).expect(0);
    let graphql = github.world().requests.iter().filter(|request| request.contains("graphql")).count();
    assert_eq!(graphql, 11);
    let fleet = run.json();
    assert_eq!((&fleet["totals"]["repositories"], &fleet["totals"]["unread"]), (&json!(1000), &json!(30)));
    assert!(run.stderr.contains("acme/hidden-7: Could not resolve to a Repository"), "{}", run.stderr);
    assert!(run.stderr.contains("acme/old-name was renamed to acme/r020"), "{}", run.stderr);
}

#[test]
fn rate_limits_are_waited_for_and_a_page_that_is_too_much_is_asked_for_in_parts() {
    let github = FakeGithub::start();
    let all: Vec<FleetRepository> = (0..150)
        .map(|index| {
            let text = document(&[summary("app", 50_000_000 + index, "not_needed")]);
            repository(&format!("r{index:03}"), Baselines::Text(text))
        })
        .collect();
    github.world().fleet.clone_from(&all);
    let soon = (now() + 2).to_string();
    let fault = |status, shape, headers, times| Fault {
        method: Method::POST,
        path: "/graphql",
        status,
        shape,
        headers,
        times,
        message: "You have exceeded a secondary rate limit",
        ..Fault::default()
    };
    let reset: &'static str = Box::leak(soon.into_boxed_str());
    for fault in [
        fault(403, Shape::Json, vec![("retry-after", "1")], 1),
        fault(429, Shape::Json, vec![("retry-after", "1")], 1),
        fault(200, Shape::Limited, vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset)], 1),
        // A read is tried three times before it counts as too much.
        fault(502, Shape::Json, Vec::new(), 3),
    ] {
        github.fail(fault);
    }
    let run = Run::of(&mut fleet(&github, &["acme", "--format", "json"])).expect(0);
    assert_eq!(run.json()["totals"]["recorded"], 150);
    assert_eq!(run.stderr.matches("rate limit is used up; waiting").count(), 3, "{}", run.stderr);
    // 6 that failed, and three pages of fifty.
    assert_eq!(github.world().requests.len(), 9, "{:?}", github.world().requests);
    let times = github.world().times.clone();
    assert!(times[1] - times[0] >= Duration::from_secs(1), "{times:?}");

    // Where GitHub looks up fewer than were asked for, what is left out is no repository without baselines.
    github.world().most_at_once = Some(30);
    let names: Vec<String> = all.iter().map(|one| format!("acme/{}", one.name)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for arguments in [&["acme"][..], &names] {
        let run = Run::of(&mut fleet(&github, &[arguments, &["--format", "json"]].concat())).expect(0).json();
        assert_eq!((&run["totals"]["recorded"], &run["totals"]["no_baseline"]), (&json!(150), &json!(0)));
    }
    github.world().most_at_once = Some(1);
    let few = Run::of(&mut fleet(&github, &["acme"])).expect(3);
    assert!(few.stderr.contains("that is more than GitHub looks up at once"), "{}", few.stderr);
    github.world().most_at_once = None;
    github.fail(fault(200, Shape::TimedOut, Vec::new(), 1));
    let run = Run::of(&mut fleet(&github, &["acme", "--format", "json"])).expect(0);
    assert_eq!(run.json()["totals"]["recorded"], 150);

    // What it asks for is more than anybody waits: what was read is shown, and that there is more.
    github.fail(fault(429, Shape::Json, vec![("retry-after", "9999")], 1));
    let run = Run::of(&mut fleet(&github, &["acme", "--format", "json"])).expect(3);
    assert!(run.stderr.contains("acme: cannot list the repositories of acme yet"), "{}", run.stderr);
    assert_eq!(run.json()["unread"][0]["reason"], "refused");
}

#[test]
fn what_nobody_can_read_is_said_with_what_to_do() {
    let github = FakeGithub::start();
    github.world().fleet = vec![repository("app", Baselines::None)];
    let run = Run::of(&mut fleet(&github, &["nobody"])).expect(3);
    assert!(run.stderr.contains("nobody: no such user or organisation"), "{}", run.stderr);
    // To a token that may see none of them, an owner has no repositories.
    github.world().fleet.push(FleetRepository { visible: false, ..FleetRepository::new("hidden", "app") });
    let run = Run::of(&mut fleet(&github, &["hidden"])).expect(3);
    assert!(run.stderr.contains("hidden: the token sees no repository of it"), "{}", run.stderr);
    assert!(run.stdout.starts_with("0 images in 0 repositories, 0 B; 1 not read\n"), "{}", run.stdout);
    let run = Run::of(&mut fleet(&github, &["acme/secret"])).expect(3);
    assert!(run.stderr.contains("the token cannot read it"), "{}", run.stderr);
    for (arguments, text) in [
        (&["a b"][..], "write OWNER, OWNER/REPO or dir:DIR"),
        (&["acme/../x"], "write OWNER/REPO or dir:DIR"),
        (&["acme", "--branch", "a b"], "invalid branch name"),
        (&["acme", "--fail-on", "everything"], "possible values: no-baseline, no-limits, single-stage"),
        (&[], "required"),
    ] {
        let run = Run::of(&mut fleet(&github, arguments)).expect(2);
        assert!(run.stderr.contains(text), "{arguments:?}: {}", run.stderr);
    }
    let mut command = fleet(&github, &["acme"]);
    let run = Run::of(command.env_remove("GITHUB_TOKEN")).expect(2);
    assert!(run.stderr.contains("a GitHub App's token"), "{}", run.stderr);
}

#[test]
fn a_repository_of_which_github_knows_a_part_is_not_read() {
    let github = FakeGithub::start();
    let text = document(&[summary("app", 5_000_000, "not_needed")]);
    let good = repository("good", Baselines::Text(text.clone()));
    let broken = FleetRepository { broken: true, ..repository("broken", Baselines::Text(text)) };
    github.world().fleet = vec![broken, good];
    for arguments in [&["acme"][..], &["acme/broken", "acme/good"]] {
        let run = Run::of(&mut fleet(&github, &[arguments, &["--format", "json"]].concat())).expect(0);
        let (totals, unread) = (&run.json()["totals"], &run.json()["unread"]);
        assert_eq!((&totals["recorded"], &totals["no_baseline"]), (&json!(1), &json!(0)), "{totals}");
        assert_eq!((&unread[0]["name"], &unread[0]["reason"]), (&json!("acme/broken"), &json!("refused")));
        assert_eq!(unread.as_array().unwrap().len(), 1, "{unread}");
        assert!(run.stderr.contains("acme/broken: GitHub could not say all of it: Something went wrong"));
        Run::of(&mut fleet(&github, &[arguments, &["--fail-on", "unread"]].concat())).expect(1);
    }
}

#[test]
fn directories_of_one_name_are_each_there_and_none_is_there_twice() {
    let directory = tempfile::tempdir().unwrap();
    for (store, size) in [("one/shop", 5_000_000), ("two/shop", 7_000_000)] {
        let store = directory.path().join(store);
        std::fs::create_dir_all(store.join("records")).unwrap();
        std::fs::write(store.join("summary.json"), document(&[summary("app", size, "not_needed")])).unwrap();
    }
    let run = |sources: &[&str]| {
        let arguments = [&["fleet", "--format", "json"], sources].concat();
        Run::of(layergate().current_dir(directory.path()).args(arguments)).expect(0).json()
    };
    let both = run(&["dir:one", "dir:two"]);
    assert_eq!(both["totals"]["uncompressed"], 12_000_000);
    let names: Vec<&Value> =
        both["repositories"].as_array().unwrap().iter().map(|repository| &repository["name"]).collect();
    assert_eq!(names, ["shop", "two/shop"]);
    let twice = run(&["dir:one", "dir:one/shop", "dir:./one"]);
    assert_eq!(twice["totals"]["uncompressed"], 5_000_000, "{twice}");
    // What a later version has recorded is called so here too.
    let of_later = directory.path().join("three/later/records/x/app");
    std::fs::create_dir_all(&of_later).unwrap();
    let record = json!({ "schema": "layergate.snapshot/v9" }).to_string();
    std::fs::write(of_later.join("linux%2famd64.json"), record).unwrap();
    let later = run(&["dir:one", "dir:three"]);
    assert_eq!(
        (&later["unread"][0]["name"], &later["unread"][0]["reason"]),
        (&json!("later"), &json!("newer"))
    );
}

#[test]
#[ignore = "needs setpriv: tests/run"]
fn a_directory_that_cannot_be_looked_into_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for (name, mode) in
        [("", 0o755), ("all", 0o755), ("all/shop", 0o755), ("all/shop/records", 0o755), ("all/closed", 0o700)]
    {
        std::fs::create_dir_all(path.join(name)).unwrap();
        std::fs::set_permissions(path.join(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    let Some(run) = limited(r#"exec "$0" "$@""#, &["fleet", &format!("dir:{}", path.join("all").display())])
    else {
        return skip("a directory of somebody else", "this is root, and there is no setpriv");
    };
    let run = run.expect(0);
    assert!(run.stderr.contains("all/closed: Permission denied"), "{}", run.stderr);
}

#[test]
fn a_scheduled_job_fails_on_what_it_is_told_to() {
    let github = FakeGithub::start();
    let mut old = summary("old", 3_000_000_000, "single_stage");
    (old["time"], old["recorded"]) = (json!(ago(100)), json!(ago(100)));
    let mut free = summary("free", 10_000_000, "multi_stage");
    free["limits"] = json!([]);
    github.world().fleet = vec![
        repository("shop", Baselines::Text(document(&[free, old]))),
        repository("none", Baselines::None),
        repository("broken", Baselines::Text("{".into())),
    ];
    for (condition, said) in [
        ("no-baseline", "no-baseline: acme/none: Dockerfile and no baselines"),
        ("no-limits", "no-limits: acme/shop free: no limits in layergate.toml"),
        (
            "single-stage",
            "single-stage: acme/shop old: ships build tools or build inputs; a builder stage saves 750 MB",
        ),
        ("max-size", "max-size: acme/shop old: 3 GB uncompressed, 2 GB over the limit of 1 GB"),
        ("stale", "stale: acme/shop old: last recorded on "),
        ("unread", "unread: acme/broken: summary.json: not a layergate.summary document"),
    ] {
        let run = Run::of(&mut fleet(&github, &["acme", "--fail-on", condition])).expect(1);
        assert!(run.stderr.contains(said), "{condition}: {}", run.stderr);
        assert_eq!(run.stderr.matches("error: ").count(), 1, "{}", run.stderr);
    }
    let run = Run::of(&mut fleet(&github, &["acme", "--fail-on", "max-size,no-limits", "--format", "json"]))
        .expect(1);
    assert_eq!(run.json()["met"].as_array().unwrap().len(), 2);
    // What is not enforced yet does not fail.
    let mut later = summary("old", 3_000_000_000, "multi_stage");
    later["limits"] = json!([{ "key": "max-size", "value": "1 GB" }, { "key": "enforce", "value": "false" }]);
    github.world().fleet = vec![repository("shop", Baselines::Text(document(&[later])))];
    Run::of(&mut fleet(&github, &["acme", "--fail-on", "max-size,unread,no-baseline"])).expect(0);
}

#[test]
fn what_record_writes_is_what_fleet_reads_from_a_branch_and_from_directories() {
    let github = FakeGithub::start();
    let checkout = Checkout::new();
    std::fs::write(checkout.path().join("layergate.toml"), "[limits]\nmax-size = \"9 MB\"\n").unwrap();
    let record = |store: &str, name: &str, size| {
        let mut command = layergate();
        command.current_dir(checkout.path()).args(["record", "--store", store]);
        command.env("GITHUB_TOKEN", "ghs_secret-token").env("GITHUB_API_URL", &github.url);
        let image = image(checkout.path(), name, size).replacen("app=", &format!("{name}="), 1);
        command.arg(image).env("GITHUB_REPOSITORY", "acme/shop");
        Run::of(&mut command).expect(0);
    };
    for (date, size) in [("2026-03-01T00:00:00Z", 2_000_000), ("2026-03-02T00:00:00Z", 3_000_000)] {
        checkout.commit_at(date);
        record("git", "app", size);
        record("dir:stores/shop", "app", size);
    }
    record("git", "web", 1_000_000);
    record("dir:stores/shop", "web", 1_000_000);
    github.world().fleet = vec![repository("shop", Baselines::Pushed)];
    let of_branch = Run::of(&mut fleet(&github, &["acme", "--format", "json"])).expect(0).json();
    let mut command = layergate();
    command.current_dir(checkout.path()).args(["fleet", "dir:stores", "--format", "json"]);
    let of_directory = Run::of(&mut command).expect(0).json();
    for fleet in [&of_branch, &of_directory] {
        let images = fleet["repositories"][0]["images"].as_array().unwrap();
        assert_eq!(images.len(), 2, "{fleet:#}");
        assert_eq!((&images[0]["image"], &images[1]["image"]), (&json!("app"), &json!("web")));
        assert_eq!(images[0]["totals"]["uncompressed"], 3_000_000);
        assert_eq!(images[0]["limits"], json!([{ "key": "max-size", "value": "9 MB" }]));
        assert_eq!(fleet["totals"]["uncompressed"], 4_000_000);
    }
    assert_eq!(of_directory["repositories"][0]["name"], "shop");
    let text = Run::of(&mut fleet(&github, &["acme"])).expect(0).stdout;
    assert!(text.starts_with("2 images in 1 repository, 4 MB; none is single-stage (2 unknown)\n"), "{text}");

    // Of a branch whose summary is gone, the next record makes it anew, with all images.
    let repository = github.repository();
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        Run::of(command.current_dir(repository.path()).args(["-c", script])).expect(0);
    };
    shell(
        "export GIT_INDEX_FILE=i GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
         b=refs/heads/layergate-baselines; git read-tree $b && printf '0 %040d\\tsummary.json\\n' 0 | git update-index --index-info \
         && git update-ref $b $(git commit-tree $(git write-tree) -p $b -m x)",
    );
    let gone = Run::of(&mut fleet(&github, &["acme"])).expect(3);
    assert!(gone.stderr.contains("the next `layergate record` writes it"), "{}", gone.stderr);
    checkout.commit("again");
    record("git", "web", 1_500_000);
    let again = Run::of(&mut fleet(&github, &["acme", "--format", "json"])).expect(0).json();
    assert_eq!(again["totals"]["uncompressed"], 4_500_000);
}

#[test]
fn what_a_summary_says_is_shown_as_text_whoever_wrote_it() {
    let github = FakeGithub::start();
    let bad = "=x\n::error::|`</script><img src=x onerror=alert(1)>##[warning]\u{202e}";
    let mut image = summary(bad, 5_000_000, "single_stage");
    (image["platform"], image["commit"]) = (json!(bad), json!(bad));
    image["limits"] = json!([{ "key": bad, "value": bad, "source": bad }]);
    github.world().fleet = vec![repository("shop", Baselines::Text(document(&[image])))];
    for format in ["text", "markdown", "csv", "json", "html"] {
        let run = Run::of(&mut fleet(&github, &["acme", "--format", format])).expect(0);
        let lines = run.stdout.lines().filter(|line| line.trim_start().starts_with("::")).count();
        // A page goes to a file.
        let is_command = format != "html" && run.stdout.contains("##[");
        assert_eq!((lines, is_command), (0, false), "{format}: {}", run.stdout);
        // Its script makes them visible.
        let is_hidden = format != "html" && run.stdout.contains('\u{202e}');
        let is_markup = ["markdown", "html"].contains(&format) && run.stdout.contains("<img");
        assert!(!is_hidden && !is_markup, "{format}: {}", run.stdout);
    }
}
