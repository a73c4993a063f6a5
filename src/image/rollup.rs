//! Reduces many differing paths to the few directories that explain most of the difference.
//!
//! A directory stands for its content unless one part of it explains nearly all: the result names the deepest
//! directory, or the single file, that holds at least 80% of its parent's change.

use std::collections::BTreeMap;

use crate::image::Delta;

/// The share of a directory's change, in percent, from which a part is named in its place.
const MOST: u128 = 80;
/// Directories with fewer parts (`/`, `/usr`) say too little: their content is named instead.
const TOO_HIGH: usize = 2;

/// A directory or file that explains a part of the difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Explained {
    /// Relative to the image's root.
    pub path: Vec<u8>,
    /// Whether it is a directory, and stands for its content.
    pub is_directory: bool,
    /// How many files differ.
    pub files: u64,
    /// Bytes, with a sign.
    pub delta: Delta,
}

/// Explains differing paths by a few directories and files, largest first. Every path is in exactly one of them.
pub(crate) fn roll_up<'a>(paths: impl IntoIterator<Item = (&'a [u8], Delta)>) -> Vec<Explained> {
    let mut found = Vec::new();
    let mut left = vec![PathGroup { prefix: 0, members: paths.into_iter().collect() }];
    while let Some(group) = left.pop() {
        found.extend(explain(group, &mut left));
    }
    found.sort_by(|a, b| b.delta.magnitude().cmp(&a.delta.magnitude()).then_with(|| a.path.cmp(&b.path)));
    found
}

/// Directories in the root that say too little about their content.
const SYSTEM: [&[u8]; 8] = [b"usr", b"var", b"etc", b"opt", b"home", b"root", b"lib", b"srv"];

/// One directory for all of the paths, if it says something.
pub(crate) fn together<'a>(paths: impl IntoIterator<Item = (&'a [u8], Delta)>) -> Option<Explained> {
    let members: Vec<(&[u8], Delta)> = paths.into_iter().collect();
    let (first, _) = members.first()?;
    let mut prefix = first.len();
    let inside = |prefix: usize| {
        let above = &first[..prefix];
        members.iter().all(|(path, _)| *path == above || above.ends_with(b"/") && path.starts_with(above))
    };
    while !inside(prefix) {
        prefix = slash_before(first, prefix)?;
    }
    let found = PathGroup { prefix, members }.explained()?;
    (!SYSTEM.contains(&found.path.as_slice())).then_some(found)
}

/// Where the directory that contains `path[..end]` ends, slash included.
fn slash_before(path: &[u8], end: usize) -> Option<usize> {
    let inside = path[..end].strip_suffix(b"/").unwrap_or(&path[..end]);
    inside.iter().rposition(|byte| *byte == b'/').map(|at| at + 1)
}

/// Paths with a common prefix: that of their directory, slash included.
struct PathGroup<'a> {
    prefix: usize,
    members: Vec<(&'a [u8], Delta)>,
}

impl<'a> PathGroup<'a> {
    fn delta(&self) -> Delta {
        self.members.iter().map(|(_, delta)| *delta).sum()
    }

    fn depth(&self) -> usize {
        self.members.first().map_or(0, |(path, _)| path[..self.prefix].iter().filter(|b| **b == b'/').count())
    }

    /// The members, grouped by the next part of their paths.
    fn parts(self) -> Vec<PathGroup<'a>> {
        let mut parts: BTreeMap<&[u8], PathGroup<'a>> = BTreeMap::new();
        for (path, delta) in self.members {
            let rest = &path[self.prefix..];
            let length = rest.iter().position(|byte| *byte == b'/').map_or(rest.len(), |at| at + 1);
            let new = || PathGroup { prefix: self.prefix + length, members: Vec::new() };
            parts.entry(&rest[..length]).or_insert_with(new).members.push((path, delta));
        }
        parts.into_values().collect()
    }

    /// Whether all members are one path: a layer may store a file many times.
    fn is_one_path(&self) -> bool {
        let first = self.members.first().map(|(path, _)| *path);
        self.members.iter().all(|(path, _)| Some(*path) == first)
    }

    fn explained(&self) -> Option<Explained> {
        let (path, _) = self.members.first()?;
        let is_directory = !self.is_one_path();
        let directory = &path[..self.prefix];
        let path = if is_directory { directory.strip_suffix(b"/").unwrap_or(directory) } else { path };
        let (files, delta) = (self.members.len() as u64, self.delta());
        Some(Explained { path: path.to_vec(), is_directory, files, delta })
    }
}

/// What explains a group, or nothing if its parts do; these are added to `left` then. A work list instead of a
/// recursion: paths may be deep.
fn explain<'a>(mut group: PathGroup<'a>, left: &mut Vec<PathGroup<'a>>) -> Option<Explained> {
    loop {
        if group.is_one_path() {
            return group.explained();
        }
        let (whole, high, summary) = (group.delta(), group.depth() < TOO_HIGH, group.explained());
        let mut parts = group.parts();
        let gross: u128 = parts.iter().map(|part| u128::from(part.delta().magnitude().0)).sum();
        // Additions and removals that cancel out are still a change.
        let cancels = u128::from(whole.magnitude().0) * 100 < gross * MOST;
        let most = parts.iter().position(|part| parts.len() == 1 || is_most(part.delta(), whole));
        match most {
            Some(at) => {
                group = parts.swap_remove(at);
                left.extend(parts);
            }
            None if high || cancels => {
                left.extend(parts);
                return None;
            }
            None => return summary,
        }
    }
}

fn is_most(part: Delta, whole: Delta) -> bool {
    part.0.signum() == whole.0.signum()
        && u128::from(part.magnitude().0) * 100 >= u128::from(whole.magnitude().0) * MOST
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rolled(paths: &[(&str, i64)]) -> Vec<(String, i64, u64)> {
        let paths = paths.iter().map(|(path, delta)| (path.as_bytes(), Delta(*delta)));
        let text = |e: &Explained| {
            String::from_utf8_lossy(&e.path).into_owned() + if e.is_directory { "/" } else { "" }
        };
        roll_up(paths).iter().map(|e| (text(e), e.delta.0, e.files)).collect()
    }

    fn one(path: &str, delta: i64, files: u64) -> (String, i64, u64) {
        (path.to_owned(), delta, files)
    }

    #[test]
    fn the_deepest_directory_that_explains_nearly_all_is_named() {
        assert_eq!(rolled(&[]), []);
        assert_eq!(rolled(&[("a/b/x", 5), ("a/b/x", 6)]), [one("a/b/x", 11, 2)], "a file many times");
        assert_eq!(rolled(&[("app/model.bin", 20)]), [one("app/model.bin", 20, 1)]);
        let thrice = [("a/x", 5), ("a/x", 5), ("a/x", 5)];
        assert_eq!(rolled(&thrice), [one("a/x", 15, 3)], "a name that is there three times");
        let deep = "d/".repeat(50_000) + "x";
        assert_eq!(rolled(&[(&deep, 1), ("y", -1)]).len(), 2);
        assert_eq!(
            rolled(&[("app/data/a/x", 50), ("app/data/b/y", 50), ("app/run", 3)]),
            [one("app/data/", 100, 2), one("app/run", 3, 1)]
        );
        assert_eq!(
            rolled(&[("usr/lib/a/x", 40), ("usr/lib/a/y", 40), ("var/cache/z", 60)]),
            [one("usr/lib/a/", 80, 2), one("var/cache/z", 60, 1)],
            "the root says too little"
        );
        assert_eq!(
            rolled(&[("a/b/c/x", 90), ("a/b/c/y", 90), ("a/b/d", 10)]),
            [one("a/b/c/", 180, 2), one("a/b/d", 10, 1)]
        );
    }

    #[test]
    fn one_directory_is_named_for_all_where_it_says_something() {
        let all = |paths: &[&str]| {
            let found = together(paths.iter().map(|path| (path.as_bytes(), Delta(1))))?;
            Some((String::from_utf8(found.path).unwrap(), found.is_directory, found.files))
        };
        let one = |path: &str, files| Some((path.to_owned(), true, files));
        assert_eq!(all(&["app/data/a/x", "app/data/b"]), one("app/data", 2));
        assert_eq!(all(&["app/data/ab/x", "app/data/a"]), one("app/data", 2));
        assert_eq!(all(&["build/x", "build/y/z", "build/y/w"]), one("build", 3));
        assert_eq!(all(&["a/b/x", "a/b/x"]), Some(("a/b/x".to_owned(), false, 2)));
        assert_eq!(all(&["app/x"]), Some(("app/x".to_owned(), false, 1)));
        assert_eq!(all(&["usr/lib/x", "usr/bin/x"]), None);
        assert_eq!(all(&["x", "y"]), None);
        assert_eq!(all(&["app/x", "application"]), None);
        assert_eq!(all(&[]), None);
    }

    #[test]
    fn what_went_and_what_came_are_both_named() {
        assert_eq!(
            rolled(&[("opt/app/v1/x", -100), ("opt/app/v2/x", 105)]),
            [one("opt/app/v2/x", 105, 1), one("opt/app/v1/x", -100, 1)]
        );
        assert_eq!(rolled(&[("a/b/x", 5), ("a/b/y", -5)]), [one("a/b/x", 5, 1), one("a/b/y", -5, 1)]);
    }
}
