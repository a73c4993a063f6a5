//! Sorting lists that are short or sorted once: the standard library's sort is compiled for each type, five kilobytes
//! each time, and a runner downloads the program in every job. This one sorts indexes, for any type. For lists with an
//! entry per file of an image, the standard library's is faster.

use std::cmp::Ordering;

/// Sorts by a key, which is computed once per item. Stable.
pub fn by_key<T, K: Ord>(items: &mut [T], key: impl FnMut(&T) -> K) {
    let keys: Vec<K> = items.iter().map(key).collect();
    arrange(items, numbers(keys.len(), &|one, other| keys[one].cmp(&keys[other])));
}

/// Sorts by a comparison. Stable.
pub fn by<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let order = numbers(items.len(), &|one, other| compare(&items[one], &items[other]));
    arrange(items, order);
}

/// Moves to each index the item at the index that `order` names.
fn arrange<T>(items: &mut [T], order: Vec<usize>) {
    for at in 0..order.len() {
        // That item may already have been swapped away.
        let mut from = order[at];
        while from < at {
            from = order[from];
        }
        items.swap(at, from);
    }
}

/// The numbers below `count`, sorted by `compare`.
fn numbers(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|one, other| compare(*one, *other));
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_sorts_as_the_standard_library_does(keys in prop::collection::vec(0_u8..20, 0..60)) {
            let mut items: Vec<(u8, usize)> = keys.into_iter().zip(0..).collect();
            let mut expected = items.clone();
            expected.sort_by_key(|(key, _)| *key);
            super::by_key(&mut items, |(key, _)| *key);
            prop_assert_eq!(&items, &expected);
            expected.reverse();
            super::by(&mut items, |one, other| other.cmp(one));
            prop_assert_eq!(items, expected);
        }
    }
}
