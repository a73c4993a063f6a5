//! The structure of the program, as `ARCHITECTURE.md` shows it: which room may import which, that no files import
//! each other in a circle, and that no two types share a name. Read from the sources: a crate for each room would let the compiler say the same,
//! and make half of what is private public and each build several.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Each room, and the rooms that it may import. A room may only name rooms that stand above it here, so no rooms
/// import each other in a circle.
const ROOMS: &[(&str, &[&str])] = &[
    // Pure: no file, no network, no clock.
    ("redact", &[]),
    ("shell", &[]),
    ("tools", &[]),
    ("image", &["redact"]),
    ("packages", &["image"]),
    ("marks", &["image", "packages", "redact"]),
    ("layer", &["image", "marks", "packages"]),
    ("dockerfile", &["image", "redact", "shell", "tools"]),
    ("removable", &["dockerfile", "image", "packages", "tools"]),
    ("analysis", &["dockerfile", "image", "redact", "removable"]),
    ("compare", &["analysis", "image", "packages"]),
    ("stages", &["analysis", "dockerfile", "image", "redact", "removable", "tools"]),
    ("limits", &["analysis", "compare", "image", "removable", "stages"]),
    ("config", &["image", "limits", "removable"]),
    ("propose", &["dockerfile", "image", "removable", "shell", "tools"]),
    (
        "report",
        &[
            "analysis",
            "compare",
            "dockerfile",
            "image",
            "config",
            "limits",
            "stages",
            "redact",
            "removable",
            "shell",
        ],
    ),
    ("setup", &["dockerfile", "image", "limits", "report"]),
    // Edges.
    ("files", &[]),
    ("network", &["files"]),
    ("registry", &["image", "network", "redact"]),
    ("github", &["files", "image", "network", "redact"]),
    ("source", &["files", "image", "layer", "packages", "redact", "registry"]),
    ("baseline", &["compare", "files", "github", "image", "layer", "registry"]),
    ("cli", &["config", "image", "limits", "source"]),
    (
        "commands",
        &[
            "analysis",
            "baseline",
            "cli",
            "compare",
            "dockerfile",
            "files",
            "github",
            "image",
            "layer",
            "config",
            "limits",
            "stages",
            "propose",
            "redact",
            "removable",
            "report",
            "setup",
            "source",
        ],
    ),
];

/// Files that import each other all the same, and why.
const CIRCLES: &[(&[&str], &str)] = &[(
    &["setup::build", "setup::script"],
    "a step of a workflow either calls an action or runs a script, which yields the same kinds of builds",
)];

/// Names that two types share, and why.
const SHARED_NAMES: &[(&str, &str)] = &[("Tunnel", "an empty one stands for it where there is no Unix")];

/// `["image", "snapshot"]`; the crate itself is empty.
type Module = Vec<String>;

/// The code of a file in words and signs: no comments, and nothing of the tests at its end.
fn tokens(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut tokens: Vec<String> = Vec::new();
    let mut is_word = false;
    for c in lines.flat_map(|line| line.chars().chain(['\n'])) {
        let of_word = c.is_ascii_alphanumeric() || c == '_';
        match tokens.last_mut() {
            Some(last) if of_word && is_word || c == ':' && last == ":" => last.push(c),
            _ if c.is_whitespace() => {}
            _ => tokens.push(c.into()),
        }
        is_word = of_word;
    }
    tokens
}

/// All files of the program but its tests, by their modules: `image::snapshot`.
fn modules() -> BTreeMap<Module, Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules = BTreeMap::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let inside = path.strip_prefix(&root).unwrap().with_extension("");
            let mut module: Module = inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            let is_code = path.extension().is_some_and(|ending| ending == "rs");
            if !is_code || module.iter().any(|part| part == "tests") || module == ["main"] {
                continue;
            }
            module.retain(|part| part != "mod" && part != "lib");
            modules.insert(module, tokens(&path));
        }
    }
    modules
}

/// What a module names, and what of it it only hands on (`pub use`).
#[derive(Default)]
struct Named {
    used: Vec<Vec<String>>,
    handed_on: Vec<Vec<String>>,
}

/// The paths that code names, from the root of the crate: of `use super::{a, b::C}` in `x::y` these are `x::a` and
/// `x::b::C`.
fn named(module: &Module, tokens: &[String]) -> Named {
    let mut named = Named::default();
    let (mut at, mut is_public) = (0, false);
    while let Some(token) = tokens.get(at) {
        let before = |index: usize| at.checked_sub(index).and_then(|at| tokens.get(at)).map(String::as_str);
        if token == "use" {
            is_public = matches!(before(1), Some("pub" | ")"));
        } else if token == ";" {
            is_public = false;
        }
        // What follows `::` goes on with a path, and `pub(crate)` is none.
        let is_start = before(1) != Some("::") && tokens.get(at + 1).is_some_and(|next| next == "::");
        let of_module = before(1) == Some("use") && tokens.get(at + 1).is_some();
        let base = match token.as_str() {
            "crate" if is_start => Some((Vec::new(), 2)),
            "self" if is_start => Some((module.clone(), 2)),
            "super" if is_start => {
                let above = tokens[at..].chunks(2).take_while(|pair| pair[0] == "super").count();
                Some((module[..module.len().saturating_sub(above)].to_vec(), 2 * above))
            }
            // `pub use digest::Digest`
            _ if of_module && is_public => Some((module.clone(), 0)),
            _ => None,
        };
        match base {
            Some((base, length)) => {
                let to = if is_public { &mut named.handed_on } else { &mut named.used };
                at = expand(&base, tokens, at + length, to);
            }
            None => at += 1,
        }
    }
    named
}

/// One path, or all those of a list in braces; where what follows it starts.
fn expand(base: &[String], tokens: &[String], mut at: usize, found: &mut Vec<Vec<String>>) -> usize {
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    let mut path = base.to_vec();
    loop {
        if token(at) == "{" {
            at += 1;
            while !matches!(token(at), "}" | "") {
                at = if token(at) == "," { at + 1 } else { expand(&path, tokens, at, found) };
            }
            return at + 1;
        }
        if !token(at).starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '*') {
            // No path at all, such as `self::<T>`.
            return at + 1;
        }
        path.push(token(at).to_owned());
        at += 1;
        if token(at) != "::" {
            break;
        }
        at += 1;
    }
    found.push(path);
    if token(at) == "as" { at + 2 } else { at }
}

/// What modules hand on: the path from outside, and whose it is.
fn handed_on(modules: &BTreeMap<Module, Vec<String>>) -> BTreeMap<Vec<String>, Vec<String>> {
    let mut all = BTreeMap::new();
    for (module, tokens) in modules {
        for path in named(module, tokens).handed_on {
            all.insert([module.as_slice(), &path[path.len() - 1..]].concat(), path);
        }
    }
    all
}

/// The file that a path is in.
fn file_of<'a>(
    path: &[String],
    modules: &'a BTreeMap<Module, Vec<String>>,
    handed_on: &BTreeMap<Vec<String>, Vec<String>>,
) -> Option<&'a Module> {
    let mut path = path.to_vec();
    for _ in 0..4 {
        let longest = (1..=path.len()).rev().find(|length| handed_on.contains_key(&path[..*length]));
        let Some(length) = longest else { break };
        if modules.contains_key(&path[..length]) {
            break;
        }
        path = [handed_on[&path[..length]].clone(), path[length..].to_vec()].concat();
    }
    (1..=path.len()).rev().find_map(|length| modules.get_key_value(&path[..length])).map(|(module, _)| module)
}

/// The files that each file imports.
fn imports() -> BTreeMap<Module, BTreeSet<Module>> {
    let modules = modules();
    let handed_on = handed_on(&modules);
    let mut imports = BTreeMap::new();
    for (module, tokens) in &modules {
        let mut found = BTreeSet::new();
        for path in named(module, tokens).used {
            found.extend(file_of(&path, &modules, &handed_on).filter(|other| *other != module).cloned());
        }
        imports.insert(module.clone(), found);
    }
    imports
}

#[test]
fn rooms_import_only_the_rooms_below_them() {
    let mut above: Vec<&str> = Vec::new();
    for (room, allowed) in ROOMS {
        assert!(allowed.iter().all(|other| above.contains(other)), "{room} may import only rooms above it");
        above.push(room);
    }
    let mut seen = BTreeMap::new();
    for (module, found) in imports() {
        let Some(room) = module.first() else { continue };
        let (_, allowed) =
            ROOMS.iter().find(|(name, _)| name == room).unwrap_or_else(|| panic!("{room} is a new room"));
        for other in found.iter().filter(|other| other.first() != Some(room)) {
            let (name, other) = (module.join("::"), other.first().cloned().unwrap_or_default());
            assert!(allowed.contains(&other.as_str()), "{name} imports {other}: {room} may not");
            seen.entry(room.clone()).or_insert_with(BTreeSet::new).insert(other);
        }
    }
    for (room, allowed) in ROOMS {
        let imported = seen.remove(*room).unwrap_or_default();
        let allowed: BTreeSet<String> = allowed.iter().map(|other| (*other).to_owned()).collect();
        assert_eq!(imported, allowed, "what {room} imports, and may import");
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut imports = imports();
    // A module names what is inside of it, and that may use what the module itself defines.
    for (module, found) in &mut imports {
        found.retain(|other| !other.starts_with(module) && !module.starts_with(other));
    }
    let mut circles: BTreeSet<Vec<String>> = BTreeSet::new();
    for module in imports.keys() {
        let back = |other: &&Module| reached(other, &imports).contains(module);
        let circle: BTreeSet<Module> = reached(module, &imports).iter().filter(back).cloned().collect();
        circles.insert(circle.iter().map(|module| module.join("::")).collect());
    }
    circles.remove(&Vec::new());
    let known: BTreeSet<Vec<String>> =
        CIRCLES.iter().map(|(files, _)| files.iter().map(|file| (*file).to_owned()).collect()).collect();
    assert_eq!(circles, known, "the circles that there are, and those that have a reason");
}

/// All that a file imports, and what that imports.
fn reached(module: &Module, imports: &BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<Module> {
    let (mut reached, mut left) = (BTreeSet::new(), vec![module.clone()]);
    while let Some(next) = left.pop() {
        for other in imports.get(&next).into_iter().flatten() {
            if reached.insert(other.clone()) {
                left.push(other.clone());
            }
        }
    }
    reached
}

/// The names of the types that a file defines, those of its tests left out. rustfmt puts each at the start of a line.
fn types(text: &str) -> impl Iterator<Item = &str> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().filter_map(|line| {
        let mut words =
            line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty());
        let visibility = ["pub", "crate", "super", "in"];
        let word = words.find(|word| !visibility.contains(word))?;
        let is_type = !line.starts_with(' ') && ["struct", "enum", "trait", "type", "union"].contains(&word);
        words.next().filter(|_| is_type)
    })
}

#[test]
fn no_two_types_share_a_name() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for module in modules().keys() {
        let path = src.join(module.iter().collect::<std::path::PathBuf>());
        let path = [path.with_extension("rs"), path.join("mod.rs"), path.join("lib.rs")]
            .into_iter()
            .find(|path| path.exists());
        let Some(text) = path.map(|path| fs::read_to_string(path).unwrap()) else { continue };
        for name in types(&text) {
            files.entry(name.to_owned()).or_default().push(module.join("::"));
        }
    }
    assert!(files.len() > 500, "only {} types were found", files.len());
    files.retain(|_, files| files.len() > 1);
    let known: Vec<&str> = SHARED_NAMES.iter().map(|(name, _)| *name).collect();
    let shared: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(shared, known, "names that types share, and those that have a reason: {files:#?}");
}

#[test]
fn the_files_that_the_map_names_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let map = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let named = map.split('`').skip(1).step_by(2).filter(|word| word.ends_with(".rs") && word.contains('/'));
    let named: Vec<&str> = named.collect();
    assert!(named.len() > 15, "{named:?}");
    for file in named {
        assert!(root.join("src").join(file).exists() || root.join(file).exists(), "{file} is not there");
    }
}
