use proptest::prelude::*;

use super::*;
use crate::image::snapshot::{ImageIdentity, SourceInfo, sum_known};

fn layer(content: u8, step: Option<&str>, size: u64) -> Layer {
    Layer {
        diff_id: DiffId::of(&[content]),
        digest: None,
        media_type: None,
        created_by: step.and_then(Instruction::from_history),
        size: Some(Bytes(size)),
        compressed: None,
        files: Some(1),
        dockerfile: None,
        contents: None,
        census: None,
    }
}

fn snapshot(layers: Vec<Layer>) -> Snapshot {
    Snapshot {
        schema: crate::image::snapshot::SCHEMA.into(),
        image: ImageIdentity { name: "app".into(), reference: "app".into(), platform: None, id: None },
        source: SourceInfo { transport: "docker-archive".into(), engine: None },
        measured: Measured::Content,
        commit: None,
        totals: Totals {
            layers: layers.len() as u64,
            files: None,
            unpacked: sum_known(layers.iter().map(|layer| layer.size)).unwrap(),
            visible: None,
            wasted: None,
            compressed: None,
        },
        layers,
        history: Vec::new(),
        base: None,
        base_name: None,
        base_by_dockerfile: false,
        packages: None,
        duplicates: None,
    }
}

fn shape(base: &[Layer], head: &[Layer]) -> Vec<(Status, Option<usize>, Option<usize>)> {
    align(base, head).into_iter().map(|pair| (pair.status, pair.base, pair.head)).collect()
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
        (Kept, Some(0), Some(0)),
        (Added, None, Some(1)),
        (Rebuilt, Some(1), Some(2)),
        (Changed, Some(2), Some(3)),
    ];
    assert_eq!(shape(&base, &head), expected);
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
fn the_same_layer_out_of_order_is_moved() {
    let base = [layer(1, None, 10), layer(2, None, 5), layer(3, None, 7)];
    let head = [layer(2, None, 5), layer(3, None, 7), layer(1, None, 10)];
    use Status::*;
    let expected = [(Kept, Some(1), Some(0)), (Kept, Some(2), Some(1)), (Moved, Some(0), Some(2))];
    assert_eq!(shape(&base, &head), expected);
}

#[test]
fn layers_without_history_are_matched_by_content_alone() {
    let base = [layer(1, None, 10), layer(2, None, 5)];
    let head = [layer(1, None, 10), layer(3, None, 6)];
    use Status::*;
    let expected = [(Kept, Some(0), Some(0)), (Removed, Some(1), None), (Added, None, Some(1))];
    assert_eq!(shape(&base, &head), expected);
}

#[test]
fn unknown_sizes_stay_unknown() {
    let mut base = layer(1, None, 0);
    base.size = None;
    let rows = compare(&snapshot(vec![]), &snapshot(vec![])).unwrap().rows;
    assert!(rows.is_empty());
    let row = row(Pair { status: Status::Removed, base: Some(0), head: None }, &[base], &[]);
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

/// Few contents and few steps, so that chance makes every kind of row.
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
            prop_assert_eq!(same, matches!(pair.status, Status::Kept | Status::Moved));
        }
    }

    #[test]
    fn row_deltas_sum_to_the_total_delta(base in layers(), head in layers()) {
        let (base, head) = (snapshot(base), snapshot(head));
        let comparison = compare(&base, &head).unwrap();
        let sum: Delta = comparison.rows.iter().map(|row| row.delta.unwrap()).sum();
        prop_assert_eq!(sum, comparison.deltas.unpacked);
        let causes: Delta = comparison.causes.iter().map(|cause| cause.delta).sum();
        prop_assert_eq!(causes, comparison.deltas.unpacked);
    }

    #[test]
    fn an_image_against_itself_is_kept(image in layers()) {
        let image = snapshot(image);
        let comparison = compare(&image, &image).unwrap();
        prop_assert!(comparison.rows.iter().all(|row| row.status == Status::Kept));
        prop_assert_eq!(comparison.deltas.unpacked, Delta(0));
        prop_assert!(comparison.causes.is_empty());
    }

    #[test]
    fn swapping_base_and_head_negates_every_delta(base in layers(), head in layers()) {
        let (base, head) = (snapshot(base), snapshot(head));
        let there = compare(&base, &head).unwrap();
        let back = compare(&head, &base).unwrap();
        prop_assert_eq!(there.deltas.unpacked.0, -back.deltas.unpacked.0);
        let key = |row: &LayerRow| (row.base_index, row.head_index, row.delta.unwrap().0);
        let mut there: Vec<_> = there.rows.iter().map(key).collect();
        let mut back: Vec<_> = back.rows.iter().map(key).map(|(b, h, delta)| (h, b, -delta)).collect();
        there.sort_unstable();
        back.sort_unstable();
        prop_assert_eq!(there, back);
    }
}
