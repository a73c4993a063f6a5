//! Images, from every place that they can be read from.

mod archives;
mod cache;
mod content_store;
mod engine_store;
mod engines;
mod everywhere;
mod identity;
mod images;
mod indexes;
mod links;
pub mod marks;
mod modern;
pub mod network;
mod packages;
mod platforms;
mod quick;
mod registry;
mod several;
mod storage;
mod update;
