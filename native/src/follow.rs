//! What a follow run starts from: the rows that are proven, and what each of them hangs on.

use crate::errors::Outcome;
use crate::keys::{Digest, KeyList};
use crate::ledger::{CACHE_ONLY, Entry, REFUSED, value_digest};
use crate::panics::detached;
use crate::scan::{Scan, ScanState};
use crate::scope::{Scope, ScopeParts, table_named};
use pyo3::prelude::*;
use std::collections::BTreeMap;
use storage_sync_codec::{Owner, Table, belongs_to, embedding_owner, names_others};

/// The cache holds what was proven.
const AS_PROVEN: u8 = 1;
/// The row was rejected, so the cache cannot say what it belongs to.
const REJECTED: u8 = 2;
/// The cache holds something else by now, or nothing.
const DIFFERS: u8 = 3;
/// One of several rows with one key, or a key that is no text.
const ODD: u8 = 4;

/// Table, key, one of the states above, and what the row hangs on.
type Belonging = (&'static str, String, u8, String, String);
/// What a follow run found of one key: the digests of its rows now, none when it is gone.
pub type Changed = BTreeMap<Vec<u8>, Vec<Digest>>;

/// What a follow run may ask for again: keys of one table.
type Asked = BTreeMap<Table, Vec<String>>;

/// All rows that the ledger lists, or those of `asked`.
fn gather(scan: &ScanState, scope: &ScopeParts, asked: Option<&Asked>) -> Outcome<Vec<Belonging>> {
    let mut found = Vec::new();
    // then the scan has hashed every listed value, and each is what was proven
    let clean = scan.is_clean();
    for table in scope.tables() {
        let reads = !clean || names_others(table);
        let mut add = |key: &str, entry: Entry<'_>, value: Option<&[u8]>| -> Outcome<()> {
            if entry.flag == CACHE_ONLY {
                return Ok(());
            }
            if entry.flag == REFUSED {
                let state = if entry.raw_key == key.as_bytes() { REJECTED } else { ODD };
                let (first, second) = if table == Table::Embeddings { owner_of(key) } else { Default::default() };
                found.push((table.name(), key.to_owned(), state, first, second));
                return Ok(());
            }
            if !scan.in_scope(scope, table, key.as_bytes())? {
                return Ok(());
            }
            let held = value.filter(|value| clean || value_digest(value) == entry.value);
            let owners = match (table, held) {
                (Table::Embeddings, _) => Some(owner_of(key)),
                (_, Some(value)) => belongs_to(table, value).ok(),
                (_, None) => (!reads).then(Default::default),
            };
            let state = if (held.is_some() || !reads) && owners.is_some() { AS_PROVEN } else { DIFFERS };
            let (first, second) = owners.unwrap_or_default();
            found.push((table.name(), key.to_owned(), state, first, second));
            Ok(())
        };
        if let Some(asked) = asked {
            for key in asked.get(&table).into_iter().flatten() {
                scan.reader
                    .one(table, key, |key, entry, value| entry.map_or(Ok(()), |entry| add(key, entry, value)))?;
            }
        } else if reads {
            scan.reader.join(table, |key, entry, value| entry.map_or(Ok(()), |entry| add(key, entry, value)))?;
        } else {
            scan.reader.ledger(table, |key, entry| add(key, entry, None))?;
        }
    }
    Ok(found)
}

fn owner_of(key: &str) -> (String, String) {
    match embedding_owner(key) {
        Owner::Episode(id) => ("episode".to_owned(), id.to_string()),
        Owner::Pattern(id) => ("pattern".to_owned(), id.to_string()),
        Owner::Bare(id) => ("bare".to_owned(), id.to_string()),
        Owner::None => Default::default(),
    }
}

/// The rows of a table as they were proven, laid over by what changed since, in key order and each with the mark.
pub fn overlaid(scan: &ScanState, scope: &ScopeParts, table: Table, changed: &Changed, mark: u8) -> Outcome<KeyList> {
    let mut rows = KeyList::new();
    scan.reader.ledger(table, |key, entry| {
        let raw = entry.source_key(key);
        if entry.flag != CACHE_ONLY && !changed.contains_key(raw) && scan.in_scope(scope, table, raw)? {
            rows.push(raw, entry.source, mark);
        }
        Ok(())
    })?;
    for (key, digests) in changed {
        digests.iter().for_each(|digest| rows.push(key, *digest, mark));
    }
    rows.sort();
    Ok(rows)
}

#[pyfunction]
#[pyo3(signature = (scan, scope, asked = None))]
pub fn belongings(
    py: Python<'_>,
    scan: &Scan,
    scope: &Scope,
    asked: Option<BTreeMap<String, Vec<String>>>,
) -> PyResult<Vec<Belonging>> {
    let (state, parts) = (&scan.state, scope.parts);
    let named = |asked: BTreeMap<String, Vec<String>>| -> Outcome<Asked> {
        asked.into_iter().map(|(table, keys)| Ok((table_named(&table)?, keys))).collect()
    };
    let asked = asked.map(named).transpose()?;
    detached(py, || gather(state, &parts, asked.as_ref()))
}
