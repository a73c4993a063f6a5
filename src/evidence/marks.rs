//! What censuses say of files by their content.

use super::catalogue::MarkKind;
use crate::image::{Bytes, Census};
use crate::layer::Applied;

pub(super) struct Marks<'a>(std::marker::PhantomData<&'a ()>);

impl<'a> Marks<'a> {
    pub fn of(_: &'a [&'a Census], _: &Applied<'a>) -> Marks<'a> {
        Marks(std::marker::PhantomData)
    }
    pub fn of_file(&self, _: &[u8], _: u32, _: u32) -> Vec<MarkKind> {
        Vec::new()
    }
    pub fn debug_bytes(&self, _: u32, _: u32) -> Option<Bytes> {
        None
    }
}
