//! What two images store, path by path. Images may have millions of files: entries are sorted in place, and what is
//! equal on both sides takes no memory.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use crate::image::{Bytes, Delta, Entry, FileList, Package};
use crate::packages::Claims;

/// A path that is stored on one side or on both.
#[derive(Debug, Clone, Copy)]
pub(super) struct PathDelta<'a> {
    pub path: &'a [u8],
    /// Its bytes on each side; `None` if it is not there.
    pub base: Option<Bytes>,
    pub head: Option<Bytes>,
    /// The last layer that stores it on each side.
    pub base_layer: u64,
    pub head_layer: u64,
    /// The package that owns the file on each side.
    pub base_owner: Option<&'a Package>,
    pub head_owner: Option<&'a Package>,
    /// The package inside the file, if this is only that package's part.
    inside: Option<&'a Package>,
}

impl<'a> PathDelta<'a> {
    pub fn delta(&self) -> Delta {
        self.head.unwrap_or_default() - self.base.unwrap_or_default()
    }

    fn new(path: &'a [u8], inside: Option<&'a Package>) -> PathDelta<'a> {
        PathDelta {
            path,
            base: None,
            head: None,
            base_layer: 0,
            head_layer: 0,
            base_owner: None,
            head_owner: None,
            inside,
        }
    }

    fn is_of(&self, inside: Option<&Package>) -> bool {
        match (self.inside, inside) {
            (Some(own), Some(other)) => own.ecosystem == other.ecosystem && own.name == other.name,
            (None, None) => true,
            _ => false,
        }
    }

    fn add(&mut self, size: Bytes, owner: Option<&'a Package>, place: FilePosition) {
        let layer = place.layer() as u64;
        let (side, side_layer, side_owner) = match place.is_head() {
            false => (&mut self.base, &mut self.base_layer, &mut self.base_owner),
            true => (&mut self.head, &mut self.head_layer, &mut self.head_owner),
        };
        *side_layer = layer;
        // The sum of everything was countable, so a part of it is.
        *side = Some(side.unwrap_or_default().saturating_add(size));
        *side_owner = owner.or(*side_owner);
    }

    fn name(&self) -> Option<&'a str> {
        self.head_owner.or(self.base_owner).map(|owner| owner.name.as_str())
    }
}

/// An image's layers, as far as their files are known, and the packages of files that are declared in
/// another layer.
pub(super) struct Owners<'a> {
    layers: Vec<Option<&'a FileList>>,
    claims: Claims<'a>,
    /// For each requested layer, the package that owns each entry, and the packages inside entries.
    own: Vec<OnceCell<OwnPackages<'a>>>,
}

struct OwnPackages<'a> {
    owners: Vec<Option<u32>>,
    inside: BTreeMap<u32, Vec<&'a Package>>,
}

impl<'a> Owners<'a> {
    pub fn of(layers: Vec<Option<&'a FileList>>) -> Owners<'a> {
        let claims = Claims::of(layers.iter().copied());
        let own = layers.iter().map(|_| OnceCell::new()).collect();
        Owners { layers, claims, own }
    }

    fn package(&self, (layer, package): (usize, u32)) -> Option<&'a Package> {
        self.entries(layer)?.packages.get(package as usize)
    }

    fn entries(&self, layer: usize) -> Option<&'a FileList> {
        self.layers.get(layer).copied().flatten()
    }

    /// Adds a file to its path. The content of an archive counts for the packages inside it.
    fn add_to(&self, of_path: &mut Vec<PathDelta<'a>>, path: &'a [u8], size: Bytes, place: FilePosition) {
        let layer = place.layer();
        let (Some(file_list), Some(own)) = (self.entries(layer), self.own.get(layer)) else { return };
        let packages =
            own.get_or_init(|| OwnPackages { owners: file_list.owners(), inside: file_list.inside() });
        let own = packages.owners.get(place.entry as usize).copied().flatten();
        let own = own.and_then(|own| self.package((layer, own)));
        let claimed = self.claims.owner(path, layer, own.map(|own| own.ecosystem));
        let mut add = |inside: Option<&'a Package>, size, owner| {
            let at = of_path.iter().position(|found| found.is_of(inside)).unwrap_or_else(|| {
                of_path.push(PathDelta::new(path, inside));
                of_path.len() - 1
            });
            of_path[at].add(size, owner, place);
        };
        let mut size = size;
        for package in packages.inside.get(&place.entry).filter(|_| claimed.is_none()).into_iter().flatten() {
            size = (size - package.inside).magnitude();
            add(Some(*package), package.inside, Some(*package));
        }
        add(None, size, claimed.and_then(|claimed| self.package(claimed)).or(own));
    }
}

/// Where a file is stored: the side, the layer, and its entry there.
#[derive(Debug, Clone, Copy)]
struct FilePosition {
    /// Twice the layer, plus one on the head's side.
    layer_and_side: u32,
    entry: u32,
}

impl FilePosition {
    fn layer(self) -> usize {
        self.layer_and_side as usize / 2
    }

    fn is_head(self) -> bool {
        self.layer_and_side % 2 == 1
    }
}

/// Calls `tell` for each path that these layers store, in order; for one with packages inside, once per part. `sides`
/// are base and head.
pub(super) fn each_path<'a>(sides: [(&Owners<'a>, &[usize]); 2], mut tell: impl FnMut(&PathDelta<'a>)) {
    let file = |place: &FilePosition| {
        let (owners, _) = sides[usize::from(place.is_head())];
        match owners.entries(place.layer())?.entries.get(place.entry as usize)? {
            Entry::File(path, size) => Some((path.as_bytes(), *size)),
            _ => None,
        }
    };
    let path = |place: &FilePosition| file(place).map(|(path, _)| path);
    let mut places = places(sides);
    // A stable sort keeps files of one path in layer order.
    places.sort_by(|one, other| path(one).cmp(&path(other)));
    let mut of_path = Vec::new();
    for group in places.chunk_by(|one, other| path(one) == path(other)) {
        of_path.clear();
        for place in group {
            let (owners, _) = sides[usize::from(place.is_head())];
            if let Some((path, size)) = file(place) {
                owners.add_to(&mut of_path, path, size, *place);
            }
        }
        of_path.sort_by_key(PathDelta::name);
        of_path.iter().for_each(&mut tell);
    }
}

/// The regular files of these layers.
fn places(sides: [(&Owners<'_>, &[usize]); 2]) -> Vec<FilePosition> {
    let mut lists = Vec::new();
    for (side, (owners, layers)) in (0..).zip(sides) {
        let one =
            |layer: &usize| Some((*layer as u32 * 2 + side, owners.entries(*layer)?.entries.as_slice()));
        lists.extend(layers.iter().filter_map(one));
    }
    let mut places = Vec::with_capacity(lists.iter().map(|(_, entries)| entries.len()).sum());
    for (layer_and_side, entries) in lists {
        let files = (0..).zip(entries).filter(|(_, entry)| matches!(entry, Entry::File(..)));
        places.extend(files.map(|(entry, _)| FilePosition { layer_and_side, entry }));
    }
    places
}
