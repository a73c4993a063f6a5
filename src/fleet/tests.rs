use super::*;
use crate::image::Snapshot;

const NOW: i64 = 1_800_000_000;

fn now() -> Time {
    Time::from_seconds(NOW).unwrap()
}

fn record(days_ago: i64, size: u64, stages: StageAdoption) -> RecordSummary {
    let made = now().before(days_ago * DAY);
    let totals = Totals { uncompressed: Some(Bytes(size)), ..Snapshot::made_up(Vec::new()).totals };
    RecordSummary {
        commit: Some(format!("{:040x}", made.seconds())),
        time: Some(made),
        recorded: Some(made),
        totals,
        update: None,
        removable: None,
        stages,
        saving: Some(Bytes(if stages == StageAdoption::SingleStage { size / 2 } else { 0 })),
        limits: Vec::new(),
    }
}

fn summary_of(records: &[(i64, u64, StageAdoption)]) -> Summary {
    let mut summary = Summary::new();
    for (days_ago, size, stages) in records {
        summary.put("api", "linux/amd64", record(*days_ago, *size, *stages));
    }
    summary
}

fn repository(name: &str, baselines: Option<Summary>) -> FoundRepository {
    FoundRepository {
        name: name.into(),
        dockerfiles: vec!["Dockerfile".into()],
        baselines: baselines.map(Ok),
        ..FoundRepository::default()
    }
}

fn change(records: &[(i64, u64, StageAdoption)]) -> Option<(i64, bool)> {
    let fleet = Fleet::new("b", vec![repository("a", Some(summary_of(records)))], Vec::new(), &[], now());
    let change = fleet.repositories[0].images[0].change.clone()?;
    Some((change.bytes.0, change.shorter))
}

#[test]
fn a_change_is_told_from_the_last_record_that_is_thirty_days_old() {
    use StageAdoption::NotNeeded as Any;
    // A single baseline gives none, unless nothing was recorded for a month.
    assert_eq!(change(&[(3, 100, Any)]), None);
    assert_eq!(change(&[(40, 100, Any)]), Some((0, false)));
    assert_eq!(change(&[(20, 100, Any), (3, 130, Any)]), Some((30, true)));
    assert_eq!(change(&[(31, 90, Any), (20, 100, Any), (3, 130, Any)]), Some((40, false)));
    assert_eq!(change(&[(60, 10, Any), (30, 95, Any), (29, 99, Any), (0, 130, Any)]), Some((35, false)));
    // Of many baselines a day, the last one counts; and a year of them leaves those that are needed.
    let daily: Vec<(i64, u64, StageAdoption)> =
        (0..365).rev().flat_map(|days| [(days, 7, Any), (days, 1000 + days as u64, Any)]).collect();
    assert_eq!(change(&daily), Some((-30, false)));
    assert!(summary_of(&daily).images[0].days.len() < 40);
}

#[test]
fn it_is_said_since_when_an_image_is_built_as_it_is() {
    let since = |records: &[(i64, u64, StageAdoption)]| {
        (NOW - summary_of(records).images[0].stages_since.unwrap().seconds()) / DAY
    };
    let (single, multi) = (StageAdoption::SingleStage, StageAdoption::MultiStage);
    assert_eq!(since(&[(90, 1, single), (50, 1, multi), (20, 1, multi)]), 50);
    assert_eq!(since(&[(90, 1, multi), (50, 1, single), (20, 1, multi)]), 20);
    // A slow job for an older commit does not change the newest state.
    assert_eq!(since(&[(90, 1, single), (50, 1, multi), (60, 1, single)]), 50);
}

#[test]
fn a_commit_of_a_fast_clock_stays_the_newest_no_longer_than_it_is() {
    let mut summary = Summary::new();
    let of_future =
        RecordSummary { time: Some(now().before(-400 * DAY)), ..record(2, 100, StageAdoption::NotNeeded) };
    summary.put("api", "linux/amd64", of_future);
    summary.put("api", "linux/amd64", record(1, 200, StageAdoption::NotNeeded));
    assert_eq!(summary.images[0].newest.totals.uncompressed, Some(Bytes(200)));
}

#[test]
fn what_limits_nothing_is_no_limit() {
    let has_limits = |limits: &[(&str, &str)]| {
        let limit = |(key, value): &(&str, &str)| LimitInForce {
            key: (*key).into(),
            value: (*value).into(),
            source: None,
        };
        let newest = record(1, 100, StageAdoption::NotNeeded);
        let newest = RecordSummary { limits: limits.iter().map(limit).collect(), ..newest };
        let mut summary = Summary::new();
        summary.put("api", "linux/amd64", newest);
        let found = vec![repository("a", Some(summary))];
        let fleet = Fleet::new("b", found, Vec::new(), &[Condition::NoLimits], now());
        assert_eq!((fleet.totals.no_limits, fleet.met.len()), (fleet.met.len() as u64, fleet.met.len()));
        fleet.met.is_empty()
    };
    assert!(!has_limits(&[]) && !has_limits(&[("enforce", "false"), ("metric", "flattened")]));
    assert!(!has_limits(&[("multi-stage", "off"), ("on-missing-baseline", "fail")]));
    assert!(
        has_limits(&[("multi-stage", "warn")]) && has_limits(&[("enforce", "false"), ("max-layers", "9")])
    );
    // A limit of a later version, and a truncated one.
    assert!(has_limits(&[("max-colours", "9")]) && has_limits(&[("forbid-paths", "a, [b")]));
}

#[test]
fn a_summary_is_read_as_it_was_written_and_none_that_cannot_be() {
    let summary = summary_of(&[(20, 100, StageAdoption::SingleStage), (3, 130, StageAdoption::MultiStage)]);
    let json = summary.to_json().unwrap();
    assert_eq!(Summary::from_json(json.as_bytes()).unwrap(), summary);
    assert_eq!(json.lines().count(), 3, "{json}");
    assert_eq!(Summary::from_json(Summary::new().to_json().unwrap().as_bytes()).unwrap(), Summary::new());
    assert!(Summary::from_json(json.replace("summary/v1", "summary/v2").as_bytes()).unwrap_err().is_newer());
    for (from, to) in [("130", "99999999999999999999"), ("\"days\":[", "\"days\":[7,"), ("summary/", "x/")] {
        assert!(Summary::from_json(json.replacen(from, to, 1).as_bytes()).is_err(), "{from}");
    }
    // What a later version says of stages is not known to this one.
    let later = json.replace("multi_stage", "distroless");
    assert_eq!(Summary::from_json(later.as_bytes()).unwrap().images[0].newest.stages, StageAdoption::Unknown);
}

#[test]
fn totals_count_each_image_once_and_no_archived_ones() {
    let mut shop = summary_of(&[(1, 300, StageAdoption::MultiStage)]);
    shop.put("api", "linux/arm64", record(1, 200, StageAdoption::SingleStage));
    let archived = FoundRepository { archived: true, ..repository("old", Some(shop.clone())) };
    let broken = FoundRepository {
        baselines: Some(Err((UnreadReason::Broken, "no JSON".into()))),
        ..repository("broken", None)
    };
    let fork = FoundRepository { fork: true, ..repository("fork", None) };
    let found = vec![repository("shop", Some(shop)), archived, broken, fork, repository("none", None)];
    let fleet =
        Fleet::new("b", found.clone(), Vec::new(), &[Condition::SingleStage, Condition::Unread], now());
    let totals = fleet.totals;
    assert_eq!((totals.repositories, totals.recorded, totals.no_baseline, totals.unread), (5, 2, 1, 1));
    assert_eq!((totals.images, totals.single_stage, totals.multi_stage), (1, 1, 0));
    assert_eq!((totals.uncompressed, totals.saving), (Bytes(500), Bytes(100)));
    assert_eq!(fleet.to_adopt().len(), 1);
    let met: Vec<&str> = fleet.met.iter().map(|met| met.repository.as_str()).collect();
    assert_eq!(met, ["shop", "broken"]);
    // Repositories found in two ways are listed once.
    let twice = Fleet::new("b", [found.clone(), found.clone()].concat(), Vec::new(), &[], now());
    assert_eq!(twice.totals, totals);
    // A directory of the same name is a different entry.
    let shop = summary_of(&[(1, 300, StageAdoption::MultiStage)]);
    let of_github =
        FoundRepository { url: Some("https://github.example/shop".into()), ..repository("shop", Some(shop)) };
    let both = Fleet::new("b", [found, vec![of_github]].concat(), Vec::new(), &[], now());
    assert_eq!((both.totals.images, both.totals.uncompressed), (2, Bytes(800)));
}
