//! Untrusted input, secrets, and who decides what.

mod attack;
mod bad_input;
mod corpus;
mod moves;
mod safety;
mod secrets;
pub mod surroundings;
pub mod trust;
pub mod untrusted;
