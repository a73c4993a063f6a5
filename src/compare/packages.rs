//! The packages of two images: which were added, removed, or have another version.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::image::package::Installed;
use crate::image::{Bytes, Delta, Ecosystem};
use crate::sort;

/// What happened to a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PackageStatus {
    /// Only in the head image.
    Added,
    /// Only in the base image.
    Removed,
    /// A later version.
    Upgraded,
    /// An earlier version.
    Downgraded,
    /// The same version, with other bytes.
    Changed,
}

/// How many packages differ, by what happened to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PackageCounts {
    /// Only in the head image.
    pub added: u64,
    /// Only in the base image.
    pub removed: u64,
    /// With a later version.
    pub upgraded: u64,
    /// With an earlier version.
    pub downgraded: u64,
    /// With the same version but other bytes.
    pub changed: u64,
}

impl PackageCounts {
    /// Counts rows.
    pub fn of(rows: &[PackageRow]) -> PackageCounts {
        let count = |status| rows.iter().filter(|row| row.status == status).count() as u64;
        PackageCounts {
            added: count(PackageStatus::Added),
            removed: count(PackageStatus::Removed),
            upgraded: count(PackageStatus::Upgraded),
            downgraded: count(PackageStatus::Downgraded),
            changed: count(PackageStatus::Changed),
        }
    }

    /// All of them.
    pub fn all(self) -> u64 {
        self.added + self.removed + self.upgraded + self.downgraded + self.changed
    }
}

/// A package that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PackageRow {
    /// The packaging system that installed it.
    #[serde(rename = "type")]
    pub ecosystem: Ecosystem,
    /// Its name.
    pub name: String,
    /// What happened to it.
    pub status: PackageStatus,
    /// Its version in the base image.
    pub from: Option<String>,
    /// Its version in the head image.
    pub to: Option<String>,
    /// Bytes of its flattened files, head minus base; a missing package counts 0.
    pub delta: Delta,
    /// The head image's layer that added it, counted from 0.
    pub layer: Option<u64>,
}

/// The packages that differ, largest difference first. Packages of one name are paired by version, and the rest in
/// order, so that an upgrade is one row.
pub fn package_rows(base: &[Installed], head: &[Installed]) -> Vec<PackageRow> {
    let mut by_name: BTreeMap<(Ecosystem, &str), [Vec<&Installed>; 2]> = BTreeMap::new();
    for (side, packages) in [base, head].into_iter().enumerate() {
        for package in packages {
            by_name.entry((package.ecosystem, &package.name)).or_default()[side].push(package);
        }
    }
    let mut rows: Vec<PackageRow> = by_name.into_values().flat_map(|[base, head]| pair(base, head)).collect();
    sort::by_key(&mut rows, |row| Reverse(row.delta.magnitude()));
    rows
}

/// Pairs packages of one name: by place and version, by place, by version, and the rest in version order.
fn pair(base: Vec<&Installed>, head: Vec<&Installed>) -> Vec<PackageRow> {
    let (mut base, mut head) = (base, head);
    // Among equal ones the first are paired, in either direction of the comparison.
    let in_order = |a: &&Installed, b: &&Installed| {
        let versions = compare_versions(&a.version, &b.version);
        versions.then_with(|| (&a.declared_by, a.bytes).cmp(&(&b.declared_by, b.bytes)))
    };
    sort::by(&mut base, in_order);
    sort::by(&mut head, in_order);
    let mut rows = Vec::new();
    let mut match_by = |key: &dyn Fn(&Installed) -> String| {
        let mut by_key: HashMap<String, Vec<&Installed>> = HashMap::new();
        std::mem::take(&mut base)
            .into_iter()
            .rev()
            .for_each(|old| by_key.entry(key(old)).or_default().push(old));
        head.retain(|new| match by_key.get_mut(&key(new)).and_then(Vec::pop) {
            Some(old) => {
                rows.extend(row(Some(old), Some(new)));
                false
            }
            None => true,
        });
        base.extend(by_key.into_values().flatten());
        sort::by(&mut base, in_order);
    };
    match_by(&|package| format!("{}\n{}", package.version, place(package)));
    match_by(&place);
    match_by(&|package| package.version.clone());
    let (mut base, mut head) = (base.into_iter(), head.into_iter());
    loop {
        match (base.next(), head.next()) {
            (None, None) => return rows,
            (old, new) => rows.extend(row(old, new)),
        }
    }
}

/// The place of a package, without its version: the path of the file that declares it may contain it.
fn place(package: &Installed) -> String {
    package.declared_by.replace(&package.version, "")
}

fn row(base: Option<&Installed>, head: Option<&Installed>) -> Option<PackageRow> {
    let shown = head.or(base)?;
    let bytes = |side: Option<&Installed>| side.map_or(Bytes(0), |package| package.bytes);
    let delta = bytes(head) - bytes(base);
    let status = match (base, head) {
        (None, _) => PackageStatus::Added,
        (_, None) => PackageStatus::Removed,
        (Some(base), Some(head)) => match compare_versions(&base.version, &head.version) {
            Ordering::Less => PackageStatus::Upgraded,
            Ordering::Greater => PackageStatus::Downgraded,
            Ordering::Equal if delta == Delta(0) => return None,
            Ordering::Equal => PackageStatus::Changed,
        },
    };
    let version = |side: Option<&Installed>| side.map(|package| package.version.clone());
    Some(PackageRow {
        ecosystem: shown.ecosystem,
        name: shown.name.clone(),
        status,
        from: version(base),
        to: version(head),
        delta,
        layer: head.map(|package| package.layer),
    })
}

/// Which of two versions is later, roughly as in all ecosystems: an epoch before a colon counts most, digits count as
/// numbers, and `~` and letters come before the end and before numbers. Different versions are never equal.
fn compare_versions(one: &str, other: &str) -> Ordering {
    let epoch = |version: &str| {
        let epoch = version.split_once(':').and_then(|(epoch, _)| epoch.parse::<u64>().ok());
        epoch.unwrap_or(0)
    };
    epoch(one).cmp(&epoch(other)).then_with(|| pieces(one).cmp(pieces(other))).then_with(|| one.cmp(other))
}

/// The parts between separators: rank, number, letters.
fn pieces(version: &str) -> impl Iterator<Item = (u8, usize, &str)> {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let mut rest = version;
    let mut ended = false;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| !c.is_ascii_alphanumeric() && c != '~');
        let Some(first) = rest.chars().next() else {
            // The end of a version sorts between pre-releases and what follows a release.
            return (!std::mem::replace(&mut ended, true)).then_some((2, 0, ""));
        };
        let same = |c: char| c.is_ascii_digit() == first.is_ascii_digit() && c.is_ascii_alphanumeric();
        let length = if first == '~' { 1 } else { rest.find(|c| !same(c)).unwrap_or(rest.len()) };
        let (piece, after) = rest.split_at(length);
        rest = after;
        Some(match first {
            '~' => (0, 0, ""),
            digit if digit.is_ascii_digit() => {
                let number = piece.trim_start_matches('0');
                (3, number.len(), number)
            }
            _ => (1, 0, piece),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, bytes: u64) -> Installed {
        let (name, version) = (name.to_owned(), version.to_owned());
        let declared_by = String::new();
        Installed {
            ecosystem: Ecosystem::Npm,
            name,
            version,
            bytes: Bytes(bytes),
            files: 1,
            layer: 0,
            declared_by,
        }
    }

    fn placed(place: &str, version: &str) -> Installed {
        Installed { declared_by: place.to_owned(), ..package("semver", version, 10) }
    }

    #[test]
    fn an_upgrade_is_one_row() {
        let base = [package("a", "1.9", 10), package("b", "1", 5), package("gone", "1", 7)];
        let head = [package("a", "1.10", 14), package("b", "1", 5), package("new", "2", 3)];
        let rows = package_rows(&base, &head);
        let told: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.status, row.delta.0)).collect();
        assert_eq!(
            told,
            [
                ("gone", PackageStatus::Removed, -7),
                ("a", PackageStatus::Upgraded, 4),
                ("new", PackageStatus::Added, 3)
            ]
        );
        assert!(package_rows(&head, &head).is_empty());
    }

    #[test]
    fn several_versions_of_one_name_are_paired_by_version_first() {
        let base = [package("a", "1", 10), package("a", "2", 20)];
        let head = [package("a", "2", 20), package("a", "3", 30)];
        let rows = package_rows(&base, &head);
        assert_eq!(rows.len(), 1);
        assert_eq!(
            (rows[0].from.as_deref(), rows[0].to.as_deref(), rows[0].delta.0),
            (Some("1"), Some("3"), 20)
        );
    }

    #[test]
    fn what_is_in_one_place_is_one_package() {
        let told = |base: &[Installed], head: &[Installed]| {
            let rows = package_rows(base, head).into_iter();
            let mut told: Vec<_> =
                rows.map(|row| format!("{:?} {:?} {:?}", row.status, row.from, row.to)).collect();
            told.sort();
            told
        };
        let base = [placed("a/semver", "9.9.0"), placed("b/semver", "8.0.0")];
        let head = [placed("a/semver", "10.0.0"), placed("b/semver", "8.1.0")];
        let upgrades =
            ["Upgraded Some(\"8.0.0\") Some(\"8.1.0\")", "Upgraded Some(\"9.9.0\") Some(\"10.0.0\")"];
        assert_eq!(told(&base, &head), upgrades);
        let moved =
            |places: [&str; 2], versions: [&str; 2]| [0, 1].map(|at| placed(places[at], versions[at]));
        let base = moved(["a", "b"], ["9.9.0", "8.0.0"]);
        let head = moved(["c", "d"], ["10.0.0", "8.1.0"]);
        assert_eq!(told(&base, &head), upgrades, "in the order of versions");
        let named = [placed("x/semver-1.0.dist-info", "1.0")];
        let renamed = [placed("x/semver-2.0.dist-info", "2.0")];
        assert_eq!(told(&named, &renamed), ["Upgraded Some(\"1.0\") Some(\"2.0\")"]);
    }

    #[test]
    fn versions_are_in_the_order_of_their_releases() {
        for (earlier, later) in [
            ("1.9", "1.10"),
            ("2.36-9+deb12u9", "2.36-9+deb12u10"),
            ("3.0", "1:2.0"),
            ("1.0~rc1", "1.0"),
            ("1.0-rc.1", "1.0"),
            ("1.0rc1", "1.0"),
            ("1.0", "1.0.1"),
            ("09", "10"),
            ("v1.2.3", "v1.12.0"),
            ("1.0a", "1.0b"),
            ("99999999999999999999998", "99999999999999999999999"),
        ] {
            assert_eq!(compare_versions(earlier, later), Ordering::Less, "{earlier} {later}");
            assert_eq!(compare_versions(later, earlier), Ordering::Greater, "{earlier} {later}");
            assert_eq!(compare_versions(later, later), Ordering::Equal);
        }
    }
}
