//! The structure of the program, as `ARCHITECTURE.md` shows it: which room may import which, that no files import
//! each other in a circle, and that no two types share a name. Read from the sources: a crate for each room would let the compiler say the same,
//! and make half of what is private public and each build several.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proc_macro2::TokenTree;
use syn::ext::IdentExt as _;
use syn::visit::{self, Visit};

/// What any room may import, as it may the standard library.
const EVERYWHERE: &str = "sort";

/// Each room, and the rooms that it may import. A room may only name rooms that stand above it here, so no rooms
/// import each other in a circle.
const ROOMS: &[(&str, &[&str])] = &[
    // Pure: no file, no network, no clock.
    (EVERYWHERE, &[]),
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
    ("fleet", &["image", "limits"]),
    ("propose", &["dockerfile", "image", "removable", "shell", "tools"]),
    (
        "report",
        &[
            "analysis",
            "compare",
            "dockerfile",
            "image",
            "config",
            "fleet",
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
    ("baseline", &["compare", "files", "fleet", "github", "image", "layer", "registry"]),
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
            "fleet",
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

/// What a pure room may not name: files, the network, processes, the environment, the clock.
const OUTSIDE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::env",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::time::SystemTime",
    "std::time::Instant",
    "std::thread::sleep",
    "tokio",
    "reqwest",
    "hyper",
    "octocrab",
    "rustix",
    "tempfile",
    "ignore",
    "indicatif",
];

/// What of it a pure room names all the same, and why.
const TOUCHED: &[(&str, &str, &str)] = &[
    ("image::platform", "std::env::consts::ARCH", "a constant: what the program was built for"),
    ("layer::input", "std::fs::File", "reads at a position what an edge has opened"),
    ("layer::input", "std::os::unix::fs::FileExt::read_at", "how that is done on Unix"),
    ("layer::input", "std::os::windows::fs::FileExt::seek_read", "how that is done on Windows"),
];

/// Names that two types share, and why.
const SHARED_NAMES: &[(&str, &str)] = &[("Tunnel", "an empty one stands for it where there is no Unix")];

/// `["image", "snapshot"]`; the crate itself is empty.
type Module = Vec<String>;
/// `["std", "fs", "File"]`, or what of the crate it names, which starts with `crate`.
type Name = Vec<String>;

const CRATE: &str = "crate";

/// What a file of the program names, its tests left out.
#[derive(Default)]
struct Named {
    /// Each path from its root, whatever `use` has made of its beginning.
    used: BTreeSet<Name>,
    /// What of it others may name as its own (`pub use`), and what that is.
    handed_on: BTreeMap<String, Name>,
    /// The types that it defines.
    types: Vec<String>,
}

/// Reads one file. What a path means is taken from all its `use`, wherever they stand.
struct Reading {
    module: Module,
    /// Names that stand for a path.
    known: BTreeMap<String, Name>,
    found: Named,
    /// Whether this is the first pass, which looks for `use` alone.
    learns: bool,
}

impl Reading {
    fn of(module: &[String], text: &str) -> Named {
        let file = syn::parse_file(text).unwrap();
        let (known, found) = (BTreeMap::new(), Named::default());
        let mut reading = Reading { module: module.to_vec(), known, found, learns: true };
        reading.visit_file(&file);
        reading.learns = false;
        reading.visit_file(&file);
        reading.found
    }

    /// From the root on; `None` where it starts with a name of the file's own.
    fn rooted(&self, path: &[String]) -> Option<Name> {
        let inside = |module: &[String], rest: &[String]| [&[CRATE.into()], module, rest].concat();
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(path.to_vec()),
            "self" => Some(inside(&self.module, rest)),
            "super" => {
                let above = path.iter().take_while(|part| *part == "super").count();
                let kept = self.module.len().saturating_sub(above);
                Some(inside(&self.module[..kept], &path[above..]))
            }
            "std" | "core" | "alloc" => Some(path.to_vec()),
            // A crate that no `use` has brought in; alone it is somebody's variable.
            other if !rest.is_empty() && OUTSIDE.contains(&other) && !self.known.contains_key(other) => {
                Some(path.to_vec())
            }
            _ => self.known.get(first).map(|known| [known.as_slice(), rest].concat()),
        }
    }

    fn name(&mut self, path: &[String]) {
        self.found.used.extend(self.rooted(path));
    }

    /// The paths of a `use`, each with the name that it has here.
    fn imported(&self, tree: &syn::UseTree, mut path: Name, found: &mut Vec<(String, Name)>) {
        match tree {
            syn::UseTree::Path(part) => {
                path.push(part.ident.unraw().to_string());
                self.imported(&part.tree, path, found);
            }
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.imported(tree, path.clone(), found));
            }
            syn::UseTree::Glob(_) => found.push(("*".into(), path)),
            syn::UseTree::Name(name) if name.ident == "self" && !path.is_empty() => {
                found.push((path.last().cloned().unwrap_or_default(), path));
            }
            syn::UseTree::Name(name) => {
                path.push(name.ident.unraw().to_string());
                found.push((name.ident.unraw().to_string(), path));
            }
            syn::UseTree::Rename(renamed) => {
                if renamed.ident != "self" || path.is_empty() {
                    path.push(renamed.ident.unraw().to_string());
                }
                found.push((renamed.rename.unraw().to_string(), path));
            }
        }
    }

    fn import(&mut self, item: &syn::ItemUse) {
        let mut imported = Vec::new();
        self.imported(&item.tree, Vec::new(), &mut imported);
        let is_public = !matches!(item.vis, syn::Visibility::Inherited);
        for (name, path) in imported {
            // `pub use digest::Digest` is of a module inside of this one, or of a crate that nobody asks for here.
            let path = self.rooted(&path).unwrap_or_else(|| {
                let inside = [&[CRATE.into()], self.module.as_slice(), &path].concat();
                if is_public { inside } else { path }
            });
            assert!(path != [CRATE], "{}: the whole crate is imported as `{name}`", self.module.join("::"));
            if self.learns {
                self.known.insert(name, path);
                continue;
            }
            if is_public {
                self.found.handed_on.insert(name, path.clone());
            }
            self.found.used.insert(path);
        }
    }

    /// The paths in what a macro is given, which is no code before it is expanded.
    fn tokens(&mut self, tokens: proc_macro2::TokenStream) {
        let mut path: Name = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(word) if colons == 2 && !path.is_empty() => {
                    path.push(word.unraw().to_string());
                    colons = 0;
                }
                TokenTree::Ident(word) => {
                    self.name(&std::mem::replace(&mut path, vec![word.unraw().to_string()]));
                    colons = 0;
                }
                TokenTree::Punct(sign) if sign.as_char() == ':' => colons += 1,
                other => {
                    self.name(&std::mem::take(&mut path));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.name(&path);
    }

    fn define(&mut self, name: &syn::Ident) {
        if !self.learns {
            self.found.types.push(name.to_string());
        }
    }
}

/// Whether something is there in tests only.
fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Path>().is_ok_and(|of| of.is_ident("test"))
    })
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for Reading {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if is_test(attributes(item)) {
            return;
        }
        match item {
            syn::Item::Use(item) => return self.import(item),
            syn::Item::ExternCrate(_) => panic!("{}: extern crate", self.module.join("::")),
            syn::Item::Mod(inside) if inside.content.is_some() => {
                self.module.push(inside.ident.to_string());
                visit::visit_item(self, item);
                self.module.pop();
                return;
            }
            syn::Item::Struct(item) => self.define(&item.ident),
            syn::Item::Enum(item) => self.define(&item.ident),
            syn::Item::Trait(item) => self.define(&item.ident),
            syn::Item::Type(item) => self.define(&item.ident),
            syn::Item::Union(item) => self.define(&item.ident),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Name = path.segments.iter().map(|part| part.ident.unraw().to_string()).collect();
        if !self.learns {
            self.name(&parts);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        if !self.learns {
            self.tokens(called.tokens.clone());
        }
        visit::visit_macro(self, called);
    }
}

/// All files of the program but its tests, by their modules: `image::snapshot`.
static FILES: LazyLock<BTreeMap<Module, Named>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeMap::new();
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
            let named = Reading::of(&module, &fs::read_to_string(&path).unwrap());
            files.insert(module, named);
        }
    }
    files
});

/// What modules hand on: the path from outside, and whose it is.
fn handed_on() -> BTreeMap<Name, Name> {
    let of = |(module, named): (&Module, &'static Named)| {
        let module = module.clone();
        let outside = move |name: &String| [module.as_slice(), std::slice::from_ref(name)].concat();
        named
            .handed_on
            .iter()
            .map(move |(name, path)| (outside(name), path[1..].to_vec()))
            .collect::<Vec<_>>()
    };
    FILES.iter().flat_map(of).collect()
}

/// The file that a path of the crate is in.
fn file_of(path: &[String], handed_on: &BTreeMap<Name, Name>) -> Option<&'static Module> {
    let mut path = path.to_vec();
    for _ in 0..4 {
        let longest = (1..=path.len()).rev().find(|length| handed_on.contains_key(&path[..*length]));
        let Some(length) = longest else { break };
        if FILES.contains_key(&path[..length]) {
            break;
        }
        path = [handed_on[&path[..length]].clone(), path[length..].to_vec()].concat();
    }
    (1..=path.len()).rev().find_map(|length| FILES.get_key_value(&path[..length])).map(|(module, _)| module)
}

/// The files that each file imports.
fn imports() -> BTreeMap<Module, BTreeSet<Module>> {
    let handed_on = handed_on();
    let imported = |(module, named): (&Module, &Named)| {
        let of_crate = named.used.iter().filter_map(|path| path.strip_prefix(&[CRATE.to_owned()]));
        let found = of_crate.filter_map(|path| file_of(path, &handed_on)).filter(|other| *other != module);
        (module.clone(), found.cloned().collect())
    };
    FILES.iter().map(imported).collect()
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
            if other.first().is_some_and(|other| other == EVERYWHERE) {
                continue;
            }
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

#[test]
fn no_two_types_share_a_name() {
    let mut files: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (module, named) in &*FILES {
        for name in &named.types {
            files.entry(name).or_default().push(module.join("::"));
        }
    }
    assert!(files.len() > 500, "only {} types were found", files.len());
    files.retain(|_, files| files.len() > 1);
    let known: Vec<&str> = SHARED_NAMES.iter().map(|(name, _)| *name).collect();
    let shared: Vec<&str> = files.keys().copied().collect();
    assert_eq!(shared, known, "names that types share, and those that have a reason: {files:#?}");
}

#[test]
fn pure_rooms_touch_nothing_outside() {
    let edges = ROOMS.iter().position(|(room, _)| *room == "files").unwrap();
    let pure: Vec<&str> = ROOMS[..edges].iter().map(|(room, _)| *room).collect();
    let mut touched = BTreeSet::new();
    for (module, named) in
        FILES.iter().filter(|(module, _)| module.first().is_some_and(|room| pure.contains(&room.as_str())))
    {
        for path in named.used.iter().map(|path| path.join("::")) {
            let is_outside = |outside: &&&str| path == **outside || path.starts_with(&format!("{outside}::"));
            if OUTSIDE.iter().find(is_outside).is_some() {
                touched.insert((module.join("::"), path));
            }
        }
    }
    let known = TOUCHED.iter().map(|(module, path, _)| ((*module).to_owned(), (*path).to_owned())).collect();
    assert_eq!(touched, known, "what pure rooms touch, and what of it has a reason");
}

/// That a test sees what somebody might write to get around it.
#[test]
fn no_way_of_writing_an_import_is_passed_over() {
    let module: Module = vec!["image".into(), "bytes".into()];
    let names = |code: &str| Reading::of(&module, code).used;
    for code in [
        "use crate::network::agent;",
        "pub use crate::network::agent;",
        "pub(crate) use crate::network::agent;",
        "use super::super::network::agent as other; fn f() { other() }",
        "use crate::{network::{self as net}}; fn f() { net::agent() }",
        "use crate::network; fn f() { network::agent() }",
        "fn f() { crate::network /* here */ ::agent() }",
        "fn f() { crate::r#network::agent() }",
        "fn f() { let _ = format!(\"{}\", crate::network::agent()); }",
        "fn f() { let _ = vec![(1, [super::super::network::agent()])]; }",
        "macro_rules! f { () => { $crate::network::agent() }; }",
        "mod tests {} fn f() { crate::network::agent() }",
        "mod inner { fn f() { super::super::super::network::agent() } }",
        "type Agent = crate::network::agent;",
    ] {
        let found = names(code);
        let is_named = |path: &Name| path.starts_with(&["crate".into(), "network".into()]);
        assert!(found.iter().any(is_named), "{code}: {found:?}");
    }
    for code in [
        "use std::fs; fn f() { fs::read(p) }",
        "fn f() { std::fs::read(p) }",
        "use std::{fs as disk}; fn f() { disk::read(p) }",
    ] {
        assert!(names(code).contains(["std", "fs", "read"].map(str::to_owned).as_slice()), "{code}");
    }
    for code in [
        "use crate as c;",
        "use crate::*;",
        "use super::super as up;",
        "use crate::{self as up};",
        "extern crate self as layergate;",
    ] {
        assert!(std::panic::catch_unwind(|| names(code)).is_err(), "{code}");
    }
    assert!(names("#[cfg(test)] mod tests { use crate::network; }").is_empty());
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
