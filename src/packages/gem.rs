//! Ruby gems (RubyGems' "Specification reference" and the layout of its `Gem.dir`).

use super::sink::Sink;
use std::collections::HashMap;

use super::fields::lines;
use super::{Declared, Ecosystem, Owns, word};
use crate::image::path::split;
use crate::image::{Entry, FileList, LayerPath};

/// Maximum directories of one gem: an image has one or two versions of Ruby.
const MAX_DIRECTORIES: usize = 16;

/// Reads `specifications/[default/]NAME-VERSION[-PLATFORM].gemspec`. The gem's directories are named like that file.
pub fn take(path: &LayerPath, content: &[u8], sink: &mut Sink) {
    let Some((root, full_name)) = root_and_name(path) else { return };
    let (from_name, from_version) = split_name(full_name);
    let name = assigned(content, b"name").or_else(|| word(from_name));
    let version = assigned(content, b"version").or_else(|| word(from_version));
    let (Some(name), Some(version)) = (name, version) else { return };
    let at = |directory: &str, suffix: &str| {
        [root, b"/", directory.as_bytes(), b"/", full_name, suffix.as_bytes()].concat()
    };
    let own = [path.as_bytes().to_vec(), at("cache", ".gem"), at("build_info", ".info")];
    let Some(files) = sink.room.keep(own) else { return };
    let below = ["gems", "doc"].map(|directory| LayerPath::clean(&at(directory, ""))).into();
    sink.declare(Ecosystem::Gem, name, version, path, Owns { files, below, ..Owns::default() });
}

/// Adds the directories of compiled extensions, whose paths contain the platform and the version of Ruby:
/// `extensions/PLATFORM/RUBY/NAME-VERSION`.
pub fn add_extensions(file_list: &FileList, declared: &mut [Declared]) {
    let gems = declared.iter().enumerate().filter(|(_, package)| package.ecosystem == Ecosystem::Gem);
    let gems: HashMap<(Vec<u8>, Vec<u8>), usize> = gems
        .filter_map(|(index, gem)| {
            root_and_name(&gem.anchor).map(|(root, name)| ((root.to_vec(), name.to_vec()), index))
        })
        .collect();
    if gems.is_empty() {
        return;
    }
    for entry in &file_list.entries {
        let Entry::File(path, _) = entry else { continue };
        let Some((root, name, directory)) = extension(path.as_bytes()) else { continue };
        let gem = gems.get(&(root.to_vec(), name.to_vec())).and_then(|index| declared.get_mut(*index));
        if let Some(gem) = gem
            && gem.owns.below.len() < MAX_DIRECTORIES
            && !gem.owns.below.iter().any(|known| known.as_bytes() == directory)
        {
            gem.owns.below.push(LayerPath::clean(directory));
        }
    }
}

/// Where gems are installed, and the gem's full name, from the path of its specification.
fn root_and_name(path: &LayerPath) -> Option<(&[u8], &[u8])> {
    let (directory, name) = path.split()?;
    let directory = directory.strip_suffix(b"/default").unwrap_or(directory);
    Some((split(directory).0, name.strip_suffix(b".gemspec")?))
}

/// `NAME-VERSION[-PLATFORM]`: a version starts with a digit.
fn split_name(full_name: &[u8]) -> (&[u8], &[u8]) {
    let is_start = |pair: &[u8]| matches!(pair, [b'-', digit] if digit.is_ascii_digit());
    let Some(at) = full_name.windows(2).position(is_start) else { return (full_name, &[]) };
    let (name, rest) = full_name.split_at(at);
    let version = rest.split(|byte| *byte == b'-').nth(1).unwrap_or_default();
    (name, version)
}

/// The literal that a specification assigns: `s.name = "x".freeze`, `s.version = Gem::Version.new("1")`.
fn assigned(content: &[u8], attribute: &[u8]) -> Option<String> {
    lines(content).find_map(|line| {
        let dot = line.iter().position(|byte| *byte == b'.')?;
        let value = line.get(dot + 1..)?.strip_prefix(attribute)?.trim_ascii_start().strip_prefix(b"=")?;
        let value = value.trim_ascii_start();
        let value = value.strip_prefix(b"Gem::Version.new(").unwrap_or(value).trim_ascii_start();
        let (quote, text) = value.split_first().filter(|(quote, _)| matches!(quote, b'"' | b'\''))?;
        word(text.split(|byte| byte == quote).next()?)
    })
}

/// For a file in `ROOT/extensions/PLATFORM/RUBY/FULL-NAME/`: the root, the gem's full name, and the path of that
/// directory.
fn extension(path: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    const NAME: &[u8] = b"extensions";
    let mut start = 0;
    for part in path.split(|byte| *byte == b'/') {
        let after = start + part.len() + 1;
        if part == NAME {
            let rest = path.get(after..)?;
            let slashes: Vec<usize> = rest
                .iter()
                .enumerate()
                .filter(|(_, byte)| **byte == b'/')
                .map(|(at, _)| at)
                .take(3)
                .collect();
            let [_, before, end] = slashes.as_slice() else { return None };
            let root = path.get(..start.saturating_sub(1))?;
            return Some((root, rest.get(before + 1..*end)?, path.get(..after + end)?));
        }
        start = after;
    }
    None
}
