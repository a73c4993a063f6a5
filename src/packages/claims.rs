//! Files whose package is declared in another layer than they are in: a database that was copied in alone,
//! or a layer that holds the databases of all that the others have.

use std::collections::HashMap;

use super::other_name;
use crate::image::{Ecosystem, FileList, LayerPath};

/// Which packages list files that are in other layers.
pub struct Claims<'a>(HashMap<&'a [u8], Claim>);

#[derive(Debug, Clone, Copy)]
struct Claim {
    /// The last package that lists the path: its layer, and which of that layer's.
    package: (usize, u32),
    /// The first layer that declares a package of this name.
    since: usize,
}

impl<'a> Claims<'a> {
    /// Those of an image's layers, lowest first; of some the files may not be known.
    pub fn of(layers: impl IntoIterator<Item = Option<&'a FileList>>) -> Claims<'a> {
        let mut claims = HashMap::new();
        let mut since: HashMap<(Ecosystem, &str), usize> = HashMap::new();
        for (layer, file_list) in layers.into_iter().enumerate() {
            let packages = file_list.map_or(&[][..], |file_list| &file_list.packages);
            for (index, package) in (0_u32..).zip(packages) {
                if !package.ecosystem.is_distribution() {
                    continue;
                }
                let since = *since.entry((package.ecosystem, &package.name)).or_insert(layer);
                let claim = Claim { package: (layer, index), since };
                claims.extend(package.elsewhere.iter().map(|path: &LayerPath| (path.as_bytes(), claim)));
            }
        }
        Claims(claims)
    }

    /// The package of another layer that a file is of: its layer, and which of that layer's packages. A
    /// package of the file's own layer goes before (`owner`), unless it is one of a language and the
    /// distribution's came later: then it is that one, seen from inside.
    pub fn owner(&self, path: &[u8], layer: usize, owner: Option<Ecosystem>) -> Option<(usize, u32)> {
        if self.0.is_empty() || owner.is_some_and(Ecosystem::is_distribution) {
            return None;
        }
        let by_other = || other_name(path).and_then(|other| self.0.get(other.as_slice()));
        let claim = self.0.get(path).or_else(by_other)?;
        (owner.is_none() || layer < claim.since).then_some(claim.package)
    }
}
