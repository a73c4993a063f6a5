use proptest::prelude::*;

use std::sync::Arc;

use super::*;
use crate::image::layer_ref::LayerRef;
use crate::image::package::Package;
use crate::image::snapshot::BaseImage;
use crate::image::{Ecosystem, Entry, FileList, Filesystem, LayerPath};
use crate::packages::installed;

fn layer(content: u8, step: Option<&str>, size: u64) -> Layer {
    Layer {
        created_by: step.and_then(Instruction::from_history),
        size: Some(Bytes(size)),
        files: Some(1),
        ..Layer::unknown(DiffId::of(&[content]))
    }
}

fn snapshot(layers: Vec<Layer>) -> Snapshot {
    Snapshot::made_up(layers)
}

fn compare(base: &Snapshot, head: &Snapshot) -> Result<Comparison, CompareError> {
    super::compare(&base.clone().into(), &head.clone().into(), None)
}

fn shape(base: &[Layer], head: &[Layer]) -> Vec<(Status, Option<usize>, Option<usize>)> {
    align(base, head).into_iter().map(|pair| (pair.status, pair.base, pair.head)).collect()
}

#[test]
fn waste_between_layers_of_an_estimated_base_image_is_not_told_to_be_joined() {
    let stored = |step: &str, size: u64| files(step, &[("etc/a", size)], &[]);
    let mut image = snapshot(vec![stored("ADD rootfs /", 500), stored("RUN x", 400), stored("RUN own", 300)]);
    let advice = |image: &Snapshot| -> Vec<(u64, &'static str, bool)> {
        let image = Analysis::from(image.clone());
        let found = waste(image.snapshot(), image.filesystem().unwrap());
        found.iter().map(|one| (one.bytes.0, one.advice(), one.stored_by.of_base_image)).collect()
    };
    let join = "combine the two instructions, so that the files are stored once";
    assert_eq!(advice(&image), [(500, join, false), (400, join, false)]);
    image.base = Some(BaseImage { name: None, layers: 2, how: BoundaryBy::History });
    let [inside, above] = advice(&image).try_into().unwrap();
    assert_eq!(inside, (500, "probably comes with the base image: only another base image avoids it", true));
    assert!(above.1.starts_with("these files probably come with the base image") && above.2, "{above:?}");
    image.base = Some(BaseImage { name: None, layers: 2, how: BoundaryBy::Image });
    assert_eq!(advice(&image)[0].1, "comes with the base image: only another base image avoids it");
}

#[test]
fn what_was_copied_and_hidden_again_has_an_advice_that_keeps_the_build_working() {
    let advice = |storing: &str, hiding: &str, replaced: bool| {
        let layer_ref = |index: u64, step: &str| LayerRef {
            index,
            instruction: Instruction::from_history(step),
            dockerfile: None,
            of_base_image: false,
        };
        let (stored_by, hidden_by) = (layer_ref(0, storing), layer_ref(1, hiding));
        let waste = Waste {
            path: "app/".into(),
            elsewhere: false,
            bytes: Bytes(1),
            files: 1,
            replaced,
            stored_by,
            hidden_by,
            base_image_estimated: false,
        };
        waste.advice()
    };
    let both = advice("COPY a /app", "RUN chown -R app /app && chmod -R a+rX /app", true);
    assert_eq!(both, "set the owner and the mode when copying: `COPY --chown=... --chmod=...`");
    assert!(advice("COPY a /app", "RUN chown -R app /app", true).ends_with("`COPY --chown=...`"));
    assert!(advice("COPY a /app", "RUN chmod +x /app/a", true).ends_with("`COPY --chmod=...`"));
    // A command that reads the files before they are deleted needs them during the build.
    for hiding in ["RUN dpkg -i /tmp/a.deb && rm /tmp/a.deb", "RUN rm /tmp/a.deb"] {
        let deleted = advice("COPY a.deb /tmp", hiding, false);
        assert!(deleted.contains("if the build reads them, mount them"), "{deleted}");
    }
}

#[test]
fn one_new_step_in_the_middle_is_one_added_row() {
    let base = [
        layer(1, Some("ADD rootfs /"), 10),
        layer(2, Some("RUN make"), 5),
        layer(3, Some("COPY app /app"), 7),
    ];
    let head = [
        layer(1, Some("ADD rootfs /"), 10),
        layer(9, Some("RUN apt-get install -y git"), 4),
        layer(12, Some("RUN make"), 6),
        layer(13, Some("COPY ./src /app"), 8),
    ];
    use Status::*;
    let expected = [
        (Unchanged, Some(0), Some(0)),
        (Added, None, Some(1)),
        (Rebuilt, Some(1), Some(2)),
        (Changed, Some(2), Some(3)),
    ];
    assert_eq!(shape(&base, &head), expected);
}

/// A layer of these files; a package owns those that begin with its name.
fn files(step: &str, files: &[(&str, u64)], packages: &[&str]) -> Layer {
    let entries = files.iter().map(|(path, size)| Entry::File((*path).into(), Bytes(*size))).collect();
    let package = |name: &&str| {
        let own = (0_u32..).zip(files).filter(|(_, (path, _))| path.contains(*name));
        let files: Vec<u32> = own.map(|(index, _)| index).collect();
        Package {
            ecosystem: Ecosystem::Python,
            name: (*name).into(),
            version: "1".into(),
            anchor: files[0],
            files,
            elsewhere: Vec::new(),
            inside: Bytes(0),
        }
    };
    let list = FileList { packages: packages.iter().map(package).collect(), ..FileList::of(entries) };
    Layer {
        diff_id: DiffId::of(format!("{step} {list:?}").as_bytes()),
        created_by: Instruction::from_history(step),
        size: list.size(),
        files: Some(list.files()),
        file_list: Some(Arc::new(list)),
        ..Layer::unknown(DiffId::of(b""))
    }
}

/// Causes and moves in short form.
fn told(base: &Snapshot, head: &Snapshot) -> Vec<String> {
    let comparison = compare(base, head).unwrap();
    let cause = |cause: &Cause| {
        let parts: Vec<String> =
            cause.parts.iter().map(|part| format!("{} {}", part.name, part.delta.0)).collect();
        format!("{} {}: {}", cause.instruction.as_ref().unwrap().kind(), cause.delta.0, parts.join(", "))
    };
    let moved = |moved: &Moved| {
        format!("{} -> {} {}: {}", moved.from.layer, moved.to.layer, moved.bytes.0, moved.packages.join(", "))
    };
    comparison.causes.iter().map(cause).chain(comparison.moved.iter().map(moved)).collect()
}

#[test]
fn what_a_builder_stage_installs_has_moved_and_is_no_cause() {
    let site = |name: &str| format!("usr/lib/python3/{name}/code.py");
    let (pandas, numpy, pipenv) = (site("pandas"), site("numpy"), site("pipenv"));
    let single = snapshot(vec![
        files("RUN pip install pipenv", &[(&pipenv, 40)], &["pipenv"]),
        files(
            "RUN pipenv sync",
            &[(&pandas, 100), (&numpy, 50), ("root/.cache/pip/x", 7)],
            &["pandas", "numpy"],
        ),
    ]);
    let multi = snapshot(vec![files(
        "COPY /pybase /usr # buildkit",
        &[(&pandas, 100), (&numpy, 50)],
        &["pandas", "numpy"],
    )]);
    let there = told(&single, &multi);
    assert_eq!(there, ["RUN -40: pipenv -40", "RUN -7: root/.cache/pip/x -7", "1 -> 0 150: pandas, numpy"]);
    let back = told(&multi, &single);
    assert_eq!(back, ["RUN 40: pipenv 40", "RUN 7: root/.cache/pip/x 7", "0 -> 1 150: pandas, numpy"]);
}

#[test]
fn a_package_that_went_to_another_directory_counts_with_what_is_left() {
    let base = snapshot(vec![files("RUN make", &[("usr/lib/pandas/a", 100)], &["pandas"])]);
    let head = snapshot(vec![files("COPY venv /opt", &[("opt/venv/pandas/a", 103)], &["pandas"])]);
    assert_eq!(told(&base, &head), ["COPY 3: pandas 3", "0 -> 0 100: pandas"]);
}

#[test]
fn a_package_that_an_image_has_more_than_once_names_its_versions() {
    let with = |versions: &[&str]| {
        let paths: Vec<String> = versions.iter().map(|version| format!("app/{version}/code.js")).collect();
        let sized: Vec<(&str, u64)> = paths.iter().map(|path| (path.as_str(), 10)).collect();
        let mut layer = files("COPY app /app", &sized, versions);
        let list = layer.file_list.as_mut().map(Arc::make_mut).unwrap();
        for package in &mut list.packages {
            package.version = std::mem::replace(&mut package.name, "semver".into());
        }
        snapshot(vec![layer])
    };
    let versions = |base: &[&str], head: &[&str]| {
        let mut comparison = compare(&with(base), &with(head)).unwrap();
        let part = comparison.causes.remove(0).parts.remove(0);
        (part.from.unwrap_or_default(), part.to.unwrap_or_default())
    };
    assert_eq!(versions(&[], &["5.7"]), ("".into(), "5.7".into()));
    assert_eq!(versions(&["7.5"], &["5.7", "6.3"]), ("7.5".into(), "5.7 and 6.3".into()));
    assert_eq!(versions(&["1", "2", "3", "4"], &[]), ("1, 2 and others".into(), "".into()));
}

#[test]
fn a_package_that_the_other_image_still_has_is_not_removed() {
    let layer = |step: &str, version: &str, paths: &[&str]| {
        let sized: Vec<(&str, u64)> = paths.iter().map(|path| (*path, 10)).collect();
        let mut layer = files(step, &sized, &["pip"]);
        layer.file_list.as_mut().map(Arc::make_mut).unwrap().packages[0].version = version.into();
        layer
    };
    let image = |layers: &[Layer]| {
        let mut image = snapshot(layers.to_vec());
        image.packages = Some(installed(&Filesystem::of_layers(layers).unwrap()).into());
        image
    };
    let versions = |base: &[Layer], head: &[Layer]| {
        let mut comparison = compare(&image(base), &image(head)).unwrap();
        let part = comparison.causes.remove(0).parts.remove(0);
        (part.from.unwrap_or_default(), part.to.unwrap_or_default())
    };
    let old = layer("ADD rootfs /", "24.0", &["usr/lib/pip/code.py"]);
    let upgrade = layer("RUN pip install --upgrade pip", "25.0", &["usr/lib/pip/code.py"]);
    let both = [old.clone(), upgrade];
    assert_eq!(versions(&both[..1], &both), ("24.0".into(), "25.0".into()));
    assert_eq!(versions(&both, &both[..1]), ("25.0".into(), "24.0".into()));
    // Some of its files are gone, but not the package.
    let again = [old.clone(), layer("RUN chown -R app /opt", "24.0", &["opt/pip/code.py"])];
    assert_eq!(versions(&again, &again[..1]), ("24.0".into(), "24.0".into()));
    let none = [files("ADD rootfs /", &[("usr/lib/code.py", 5)], &[])];
    assert_eq!(versions(&[old], &none), ("24.0".into(), "".into()));
}

#[test]
fn a_path_that_layers_store_again_is_due_to_the_last() {
    let base = snapshot(vec![files("RUN make", &[("app/a", 10)], &[])]);
    let head = snapshot(vec![
        files("RUN make", &[("app/a", 30)], &[]),
        files("RUN chown -R app /app", &[("app/a", 30)], &[]),
    ]);
    assert_eq!(told(&base, &head), ["RUN 50: app/a 50", "0 -> 1 10: "]);
}

#[test]
fn estargz_of_the_same_files_is_repacked() {
    let plain = snapshot(vec![files("RUN make", &[("app/a", 10), ("app/b", 5)], &[])]);
    let toc = [("stargz.index.json", 3), (".no.prefetch.landmark", 1), ("app/b", 5), ("app/a", 10)];
    let packed = snapshot(vec![files("RUN make", &toc, &[])]);
    let comparison = compare(&plain, &packed).unwrap();
    assert_eq!(comparison.rows[0].status, Status::Repacked);
    assert_eq!(comparison.rows[0].delta, Some(Delta(4)));
    assert_eq!(compare(&packed, &packed).unwrap().rows[0].status, Status::Unchanged);
    // BuildKit puts the table of contents after the end of the tar.
    let mut behind = plain.clone();
    behind.layers[0].diff_id = DiffId::of(b"estargz");
    assert_eq!(compare(&plain, &behind).unwrap().rows[0].status, Status::Rebuilt);
    Arc::make_mut(behind.layers[0].file_list.as_mut().unwrap()).estargz = true;
    assert_eq!(compare(&plain, &behind).unwrap().rows[0].status, Status::Repacked);
}

#[test]
fn an_edited_command_is_changed_and_another_one_is_not() {
    let base = [layer(1, Some("RUN pip install flask pandas"), 10)];
    let edited = [layer(2, Some("RUN pip install flask pandas numpy"), 12)];
    let other = [layer(3, Some("RUN curl -o /x example"), 12)];
    let copy = [layer(4, Some("COPY pip install flask pandas"), 12)];
    assert_eq!(shape(&base, &edited), [(Status::Changed, Some(0), Some(0))]);
    assert_eq!(
        shape(&base, &other),
        [(Status::Removed, Some(0), None), (Status::Added, None, Some(0))].map(|x| x).to_vec()
    );
    assert_eq!(align(&base, &copy).len(), 2);
}

#[test]
fn of_steps_that_look_the_same_those_of_the_most_alike_sizes_are_paired() {
    let [a, b] = ["RUN fetch --token aaaaaaaa1 > /a", "RUN fetch --token bbbbbbbb2 > /b"].map(Some);
    use Status::*;
    let base = [layer(1, a, 1000), layer(2, b, 9000)];
    let removed = [(Removed, Some(0), None), (Rebuilt, Some(1), Some(0))];
    assert_eq!(shape(&base, &[layer(3, b, 9100)]), removed);
    let added = [(Added, None, Some(0)), (Rebuilt, Some(0), Some(1))];
    assert_eq!(shape(&[layer(3, b, 9100)], &base), added);
    // As many as possible are paired nevertheless, in order.
    let both = [(Rebuilt, Some(0), Some(0)), (Rebuilt, Some(1), Some(1))];
    assert_eq!(shape(&base, &[layer(3, a, 9000), layer(4, b, 1000)]), both);
}

#[test]
fn the_same_layer_out_of_order_is_moved() {
    let base = [layer(1, None, 10), layer(2, None, 5), layer(3, None, 7)];
    let head = [layer(2, None, 5), layer(3, None, 7), layer(1, None, 10)];
    use Status::*;
    let expected = [(Unchanged, Some(1), Some(0)), (Unchanged, Some(2), Some(1)), (Moved, Some(0), Some(2))];
    assert_eq!(shape(&base, &head), expected);
}

#[test]
fn layers_without_history_are_matched_by_content_alone() {
    let base = [layer(1, None, 10), layer(2, None, 5)];
    let head = [layer(1, None, 10), layer(3, None, 6)];
    use Status::*;
    let expected = [(Unchanged, Some(0), Some(0)), (Removed, Some(1), None), (Added, None, Some(1))];
    assert_eq!(shape(&base, &head), expected);
}

#[test]
fn unknown_sizes_stay_unknown() {
    let mut base = layer(1, None, 0);
    base.size = None;
    let rows = compare(&snapshot(vec![]), &snapshot(vec![])).unwrap().rows;
    assert!(rows.is_empty());
    let row = row(LayerPair { status: Status::Removed, base: Some(0), head: None }, &[base], &[]);
    assert_eq!((row.delta, row.base_size), (None, None));
}

#[test]
fn content_is_never_compared_with_an_engines_figure() {
    let content = snapshot(vec![]);
    let mut engine = snapshot(vec![]);
    engine.measured = Measured::Engine;
    let error = compare(&content, &engine).unwrap_err().to_string();
    assert!(error.contains("measured by content") && error.contains("by engine"), "{error}");

    let mut classic = engine.clone();
    classic.source.engine = Some("classic image store".into());
    engine.source.engine = Some("containerd image store".into());
    let error = compare(&classic, &engine).unwrap_err().to_string();
    assert!(error.contains("classic image store") && error.contains("containerd image store"), "{error}");
}

/// Few contents and instructions, so that every kind of row occurs by chance.
fn layers() -> impl Strategy<Value = Vec<Layer>> {
    let steps = prop::sample::select(vec![
        None,
        Some("RUN make all"),
        Some("RUN make all install"),
        Some("RUN apt-get install -y git"),
        Some("COPY a /app"),
        Some("COPY b /app"),
        Some("COPY b /srv"),
    ]);
    let made =
        (0u8..12, steps).prop_map(|(content, step)| layer(content, step, u64::from(content) * 1000 + 7));
    prop::collection::vec(made, 0..14)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_layer_is_in_exactly_one_row(base in layers(), head in layers()) {
        let pairs = align(&base, &head);
        let mut base_seen: Vec<usize> = pairs.iter().filter_map(|pair| pair.base).collect();
        let head_seen: Vec<usize> = pairs.iter().filter_map(|pair| pair.head).collect();
        base_seen.sort_unstable();
        prop_assert_eq!(base_seen, (0..base.len()).collect::<Vec<_>>());
        prop_assert_eq!(head_seen, (0..head.len()).collect::<Vec<_>>(), "rows are in head order");
        for pair in &pairs {
            let same = pair.base.zip(pair.head).is_some_and(|(b, h)| base[b].diff_id == head[h].diff_id);
            prop_assert_eq!(same, matches!(pair.status, Status::Unchanged | Status::Moved));
        }
    }

    #[test]
    fn row_deltas_sum_to_the_total_delta(base in layers(), head in layers()) {
        let (base, head) = (snapshot(base), snapshot(head));
        let comparison = compare(&base, &head).unwrap();
        let sum: Delta = comparison.rows.iter().map(|row| row.delta.unwrap()).sum();
        prop_assert_eq!(Some(sum), comparison.deltas.uncompressed);
        let causes: Delta = comparison.causes.iter().map(|cause| cause.delta).sum();
        prop_assert_eq!(Some(causes), comparison.deltas.uncompressed);
    }

    #[test]
    fn an_image_against_itself_is_kept(image in layers()) {
        let image = snapshot(image);
        let comparison = compare(&image, &image).unwrap();
        prop_assert!(comparison.rows.iter().all(|row| row.status == Status::Unchanged));
        prop_assert_eq!(comparison.deltas.uncompressed, Some(Delta(0)));
        prop_assert!(comparison.causes.is_empty());
    }

    #[test]
    fn swapping_base_and_head_negates_every_delta(base in layers(), head in layers()) {
        let (base, head) = (snapshot(base), snapshot(head));
        let there = compare(&base, &head).unwrap();
        let back = compare(&head, &base).unwrap();
        prop_assert_eq!(there.deltas.uncompressed.unwrap().0, -back.deltas.uncompressed.unwrap().0);
        let key = |row: &LayerRow| (row.base_index, row.head_index, row.delta.unwrap().0);
        let mut there: Vec<_> = there.rows.iter().map(key).collect();
        let mut back: Vec<_> = back.rows.iter().map(key).map(|(b, h, delta)| (h, b, -delta)).collect();
        there.sort_unstable();
        back.sort_unstable();
        prop_assert_eq!(there, back);
    }
}

const PATHS: [&str; 10] = [
    "a",
    "a/x",
    "a/x/y",
    "b/x",
    "b/y",
    "usr/lib/p/x",
    "usr/lib/p/y",
    "usr/lib/q/x",
    "usr/lib/q/y/z",
    "app/data/x",
];

fn path() -> impl Strategy<Value = LayerPath> {
    prop::sample::select(PATHS.to_vec()).prop_map(LayerPath::from)
}

fn entry() -> impl Strategy<Value = Entry> {
    prop_oneof![
        8 => (path(), 0u64..9).prop_map(|(path, size)| Entry::File(path, Bytes(size * size * 100))),
        2 => (path(), path()).prop_map(|(path, target)| Entry::HardLink(path, target)),
        1 => path().prop_map(Entry::Dir),
        1 => path().prop_map(Entry::Symlink),
        2 => path().prop_map(Entry::Whiteout),
        1 => path().prop_map(Entry::Opaque),
    ]
}

/// Files, some of them in packages; few names and versions, so that upgrades occur by chance.
fn file_list() -> impl Strategy<Value = FileList> {
    let owned = prop::collection::vec((entry(), prop::option::of(0..3usize)), 0..8);
    let said = prop::collection::vec((0..3usize, 0..3usize, any::<bool>()), 3);
    (owned, said).prop_map(|(owned, said)| {
        let is_file = |index: &usize| matches!(owned[*index].0, Entry::File(..));
        let files: Vec<usize> = (0..owned.len()).filter(is_file).collect();
        let package = |(number, (name, version, system)): (usize, (usize, usize, bool))| Package {
            ecosystem: if system { Ecosystem::Dpkg } else { Ecosystem::Npm },
            name: ["left", "right", "zlib"][name].to_owned(),
            version: ["1", "1.10", "2"][version].to_owned(),
            anchor: files[number % files.len()] as u32,
            files: files
                .iter()
                .filter(|index| owned[**index].1 == Some(number))
                .map(|index| *index as u32)
                .collect(),
            elsewhere: Vec::new(),
            inside: Bytes(0),
        };
        let packages = match files.is_empty() {
            true => Vec::new(),
            false => said.into_iter().enumerate().map(package).collect(),
        };
        FileList { packages, ..FileList::of(owned.iter().map(|(entry, _)| entry.clone()).collect()) }
    })
}

/// A whole image: its layers' files, their file system, and the packages that then exist.
fn image() -> impl Strategy<Value = Snapshot> {
    let steps = prop::sample::select(vec![
        None,
        Some("RUN make all"),
        Some("RUN make all install"),
        Some("COPY a /app"),
    ]);
    prop::collection::vec((file_list(), steps), 0..5).prop_map(|layers| {
        let layer = |(file_list, step): (FileList, Option<&str>)| Layer {
            // The same files make the same layer.
            diff_id: DiffId::of(format!("{file_list:?}").as_bytes()),
            size: file_list.size(),
            files: Some(file_list.files()),
            file_list: Some(Arc::new(file_list)),
            ..layer(0, step, 0)
        };
        let mut image = snapshot(layers.into_iter().map(layer).collect());
        let file_lists: Vec<Arc<FileList>> =
            image.layers.iter().filter_map(|layer| layer.file_list.clone()).collect();
        let filesystem = Filesystem::of(file_lists);
        image.totals.flattened = Some(filesystem.flattened);
        image.totals.wasted = Some(filesystem.wasted);
        image.totals.files = Some(filesystem.files());
        image.packages = Some(installed(&filesystem).into());
        image
    })
}

/// An image in which the files of some layers are unknown.
fn partly_known() -> impl Strategy<Value = Snapshot> {
    (image(), prop::collection::vec(prop::bool::weighted(0.2), 5)).prop_map(|(mut image, hidden)| {
        for (layer, hidden) in image.layers.iter_mut().zip(hidden) {
            layer.file_list = layer.file_list.take().filter(|_| !hidden);
        }
        image
    })
}

/// Splits a layer in two: the entries before a position, and the rest. Packages are left out, because their files may
/// be in both.
fn split_at(layer: &Layer, cut: usize) -> Vec<Layer> {
    let entries = layer.file_list.as_deref().map_or(&[][..], |list| &list.entries);
    let (lower, upper) = entries.split_at(cut.min(entries.len()));
    let part = |entries: &[Entry]| {
        let list = FileList::of(entries.to_vec());
        let diff_id = DiffId::of(format!("part {list:?}").as_bytes());
        Layer { diff_id, size: list.size(), file_list: Some(Arc::new(list)), ..layer.clone() }
    };
    vec![part(lower), part(upper)]
}

fn kinds(files: &FileChanges) -> [(u64, i64); 4] {
    [files.added, files.removed, files.grown, files.shrunk].map(|counted| (counted.files, counted.delta.0))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_byte_is_counted_twice_and_none_is_left_out(base in partly_known(), head in partly_known()) {
        let comparison = compare(&base, &head).unwrap();
        let sum: Delta = comparison.causes.iter().map(|cause| cause.delta).sum();
        prop_assert_eq!(Some(sum), comparison.deltas.uncompressed);
        for cause in &comparison.causes {
            let parts: Delta = cause.parts.iter().map(|part| part.delta).chain([cause.other]).sum();
            prop_assert_eq!(parts, cause.delta);
            for part in cause.parts.iter().filter(|part| part.to.is_none()) {
                let of_head = head.packages.iter().flat_map(|packages| packages.iter());
                let mut same = of_head.filter(|one| Some(one.ecosystem) == part.ecosystem && one.name == part.name);
                prop_assert!(!same.any(|one| part.from.as_ref() == Some(&one.version)), "{:?}", cause);
            }
            let files = |kind| cause.parts.iter().filter(move |part| part.kind == kind);
            for part in files(PartKind::File) {
                let inside = |directory: &CausePart| part.name.starts_with(&format!("{}/", directory.name));
                prop_assert!(!files(PartKind::Directory).any(inside), "{:?}", cause);
            }
        }
        if let Some(files) = &comparison.files {
            let sum: i64 = kinds(files).iter().map(|(_, delta)| delta).sum();
            prop_assert_eq!(Some(Delta(sum)), comparison.deltas.flattened);
            let named: i64 = files.directories.iter().map(|change| change.delta.0).sum();
            prop_assert_eq!(named, sum, "what is named is all, where it is little");
        }
        let of_packages: u64 = head.packages.as_deref().unwrap_or_default().iter().map(|package| package.bytes.0).sum();
        prop_assert!(Some(Bytes(of_packages)) <= head.totals.flattened, "a file is of one package");
    }

    #[test]
    fn an_image_has_nothing_to_tell_from_itself(image in partly_known()) {
        let comparison = compare(&image, &image).unwrap();
        prop_assert!(comparison.causes.is_empty() && comparison.packages.is_empty());
        if let Some(files) = comparison.files {
            prop_assert_eq!(kinds(&files), [(0, 0); 4]);
            prop_assert!(files.directories.is_empty() && files.largest.is_empty());
        }
    }

    #[test]
    fn swapping_base_and_head_negates_packages_files_and_causes(base in image(), head in image()) {
        let there = compare(&base, &head).unwrap();
        let back = compare(&head, &base).unwrap();
        let sum = |causes: &[Cause]| causes.iter().map(|cause| cause.delta.0).sum::<i64>();
        prop_assert_eq!(sum(&there.causes), -sum(&back.causes));

        type Row = (Ecosystem, String, Option<String>, Option<String>, i64);
        let row = |row: &PackageRow| -> Row { (row.ecosystem, row.name.clone(), row.from.clone(), row.to.clone(), row.delta.0) };
        let mut rows: Vec<Row> = there.packages.iter().map(row).collect();
        let mut swapped: Vec<Row> =
            back.packages.iter().map(row).map(|(by, name, from, to, delta)| (by, name, to, from, -delta)).collect();
        rows.sort();
        swapped.sort();
        prop_assert_eq!(rows, swapped);

        let files = there.files.zip(back.files);
        prop_assert_eq!(files.is_none(), base.layers.is_empty() || head.layers.is_empty());
        if let Some((there, back)) = files {
            let [added, removed, grown, shrunk] = kinds(&there).map(|(files, delta)| (files, -delta));
            prop_assert_eq!([removed, added, shrunk, grown], kinds(&back));
        }
    }

    #[test]
    fn layers_split_joined_or_reordered_are_no_cause(image in image(), cut in 0..4_usize) {
        let mut other = image.clone();
        other.layers = image.layers.iter().flat_map(|layer| split_at(layer, cut)).collect();
        other.totals.layers = other.layers.len() as u64;
        let comparison = compare(&image, &other).unwrap();
        prop_assert!(comparison.causes.is_empty(), "{:?}", comparison.causes);
        // In the other direction, two layers without a common path are joined.
        let joined = compare(&other, &image).unwrap();
        prop_assert!(joined.causes.is_empty(), "{:?}", joined.causes);
        other.layers.reverse();
        let comparison = compare(&image, &other).unwrap();
        prop_assert!(comparison.causes.is_empty(), "{:?}", comparison.causes);
        let back = compare(&other, &image).unwrap();
        prop_assert!(back.causes.is_empty(), "{:?}", back.causes);
    }

    #[test]
    fn what_is_wasted_is_all_told(image in image()) {
        let Some(filesystem) = Filesystem::of_layers(&image.layers) else { return Ok(()) };
        let waste = waste(&image, &filesystem);
        let sum: u64 = waste.iter().map(|waste| waste.bytes.0).sum();
        // Ten pairs of layers are listed.
        prop_assert!(Some(Bytes(sum)) <= image.totals.wasted);
        prop_assert!(waste.len() == 10 || Some(Bytes(sum)) == image.totals.wasted);
    }
}
