//! Files whose package is declared in another layer: a database that was copied in alone, or a layer that holds the
//! databases of the files in all others.

use std::collections::HashMap;

use super::other_name;
use crate::image::{Ecosystem, FileList, LayerPath};

/// Which packages list files that are in other layers.
pub struct Claims<'a>(HashMap<&'a [u8], Claim>);

#[derive(Debug, Clone, Copy)]
struct Claim {
    /// The last package that lists the path: its layer, and its index in that layer.
    package: (usize, u32),
    /// The first layer that declares a package of this name.
    since: usize,
}

impl<'a> Claims<'a> {
    /// The claims of an image's layers, lowest first; the files of some may be unknown.
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

    /// The package of another layer that owns a file: its layer, and its index in that layer. A package of the file's
    /// own layer (`owner`) takes precedence, unless it is a language's and the distribution's came later: then both are
    /// the same package, seen from two sides.
    pub fn owner(&self, path: &[u8], layer: usize, owner: Option<Ecosystem>) -> Option<(usize, u32)> {
        if self.0.is_empty() || owner.is_some_and(Ecosystem::is_distribution) {
            return None;
        }
        let by_other = || other_name(path).and_then(|other| self.0.get(other.as_slice()));
        let claim = self.0.get(path).or_else(by_other)?;
        (owner.is_none() || layer < claim.since).then_some(claim.package)
    }
}
