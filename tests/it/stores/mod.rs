//! Baselines: the base commit, and stores.

pub mod baselines;
mod branch;
mod directory;
mod fleet;
mod graphs;
mod history;
mod oci_odd;
mod oci_store;
mod thousand;
