//! Where the readers of package databases put what they find, within safety limits.

use super::paths::PackageBudget;
use super::room::PackageCost;
use super::{Declared, Ecosystem, Owns, Unread};
use crate::image::LayerPath;
use crate::image::file_list::{MAX_PACKAGES, MAX_UNREAD};

/// What a package costs after its layer has been read: in the file list, in the image's packages, in a report.
const LATER: u64 = 512;

/// Collects packages as they are found.
#[derive(Default)]
pub(super) struct Sink {
    /// What was found.
    pub declared: Vec<Declared>,
    /// The remaining room.
    pub room: PackageBudget,
    /// The databases that were not read.
    pub unread: Vec<(LayerPath, Unread)>,
}

impl Sink {
    /// Reports a database that was not read, or only in part.
    pub fn unread(&mut self, path: &LayerPath, why: Unread) {
        if self.unread.len() < MAX_UNREAD {
            self.unread.push((path.clone(), why));
        }
    }

    /// Adds a package, if there is room.
    pub fn declare(
        &mut self,
        ecosystem: Ecosystem,
        name: String,
        version: String,
        anchor: &LayerPath,
        owns: Owns,
    ) {
        let of_image = PackageCost { declared: 1, memory: LATER, work: 0 };
        if self.declared.len() >= MAX_PACKAGES || !self.room.image.spend(of_image) {
            self.room.refused += 1;
            return;
        }
        let below: usize = owns.below.iter().map(|path| path.as_bytes().len()).sum();
        let cost = size_of::<Declared>() + name.len() + version.len() + anchor.as_bytes().len() + below;
        if self.room.spend(cost).is_some() {
            self.declared.push(Declared { ecosystem, name, version, anchor: anchor.clone(), owns });
        }
    }
}
