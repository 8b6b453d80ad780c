//! What a manifest lists: families of rows, and the imprint over them (docs/protocol.md#what-a-proof-reads).

use crate::errors::{Fault, Outcome};
use crate::keys::{KeyList, hex_upper, unhex_digest, unhex_into};
use crate::scope::{ScopeParts, TABLES};
use storage_sync_codec::Table;

/// Digits that name a family.
pub const MARK: usize = 16;
/// Bytes of a row's digest.
const DIGEST: usize = 16;
/// Mark of a row that is to be fetched.
pub const WANTED: u8 = 0;

/// What a manifest lists of rows that belong together: `NUMBER:KEY:DIGEST` of each, joined by commas.
pub type Family = Vec<u8>;

/// What arrived of a manifest, and the imprint that it adds up to; empty where nothing did.
#[derive(Default)]
pub struct Came {
    pub imprint: String,
    pub families: Vec<Family>,
}

/// Whether only the mark of a family came: rows have colons.
pub fn is_mark(family: &[u8]) -> bool {
    family.len() == MARK && family.iter().all(u8::is_ascii_hexdigit)
}

/// An answer that is not of the form that was asked for.
pub fn shape(message: impl Into<String>) -> Fault {
    Fault::stream("shape", message)
}

/// What two ways of joining make the imprint of: in order, and where there are many by their first two digits.
pub fn imprints<'a>(scope: &'a ScopeParts, families: &'a [Family]) -> impl Iterator<Item = String> + 'a {
    let half = |text: &[u8]| hex_upper(&scope.algorithm.digest(text)[..16]);
    let joined = move |texts: &[String]| half(texts.concat().as_bytes());
    let digests: Vec<String> = families.iter().map(|family| half(family)).collect();
    let in_order = joined(&digests);
    std::iter::once(in_order).chain(std::iter::once_with(move || {
        let mut sorted = digests;
        sorted.sort_unstable();
        let groups: Vec<String> = sorted.chunk_by(|a, b| a[..2] == b[..2]).map(joined).collect();
        joined(&groups)
    }))
}

/// The rows that families list, by table.
pub fn unfolded(scope: &ScopeParts, families: &[Family]) -> Outcome<Vec<KeyList>> {
    let mut tables: Vec<KeyList> = (0..TABLES).map(|_| KeyList::new()).collect();
    let mut key = Vec::new();
    for row in families.iter().flat_map(|family| family.split(|byte| *byte == b',')).filter(|row| !row.is_empty()) {
        let cut = row.iter().position(|byte| matches!(byte, b':' | b'.')).ok_or_else(|| shape("a row has no table"))?;
        let table = table_numbered(scope, &row[..cut])?;
        let (named, digest) = row[cut + 1..]
            .split_at_checked((row.len() - cut - 1).saturating_sub(2 * DIGEST))
            .ok_or_else(|| shape("a manifest row has no digest"))?;
        let digest = unhex_digest(digest).ok_or_else(|| shape("a manifest row has a broken digest"))?;
        let named = named.strip_suffix(b":").ok_or_else(|| shape("a manifest row has no digest"))?;
        key.clear();
        if row[cut] == b':' {
            key.extend_from_slice(named);
        } else if !unhex_into(named, &mut key) {
            return Err(shape("a manifest row has a broken key"));
        }
        tables[usize::from(table.number())].push(&key, digest, WANTED);
    }
    tables.iter_mut().for_each(KeyList::sort);
    Ok(tables)
}

pub fn table_numbered(scope: &ScopeParts, digits: &[u8]) -> Outcome<Table> {
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    number
        .and_then(Table::from_number)
        .filter(|table| scope.includes(*table))
        .ok_or_else(|| shape("the manifest names a table outside the scope"))
}
