//! do-memory's cached types: same names, same fields, same order, so that serde, postcard and Debug give its very bytes.
//!
//! Text is borrowed from the row or the cached value wherever it needs no unescaping.

mod episode;
mod knowledge;
mod links;
mod pattern;
mod stamp;
mod text;

pub(crate) use episode::*;
pub(crate) use knowledge::*;
pub(crate) use links::*;
pub(crate) use pattern::*;
pub(crate) use stamp::Stamp;
pub(crate) use text::*;

#[cfg(test)]
mod tests;
