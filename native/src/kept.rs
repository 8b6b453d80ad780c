//! What an unfinished build remembers of the primary's manifest, so that a resume asks only for what moved since
//! (docs/protocol.md#rebuild).

use crate::errors::{Fault, Outcome};
use crate::keys::{Bucket, Digest, KeyList};
use crate::ledger::CACHE_ONLY;
use crate::panics::{Quiet, detached};
use crate::scan::{Reader, Scan, known_bucket, known_table};
use crate::scope::{Scope, ScopeParts, TABLES, bucket_digest, table_named};
use crate::store;
use crate::tables::{ByteTable, open_if};
use pyo3::prelude::*;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use storage_sync_codec::Table;

/// `table number/bucket` to the bucket's rows; it leaves the file with the commit that finishes a build.
pub const MANIFEST: ByteTable = TableDefinition::new("storage_sync_manifest");

/// One bucket as it came: table, bucket, and its rows as `append_row` writes them; no rows, the bucket is gone.
pub type Came = (Table, Bucket, Vec<u8>);

/// Rows of one bucket: its digest, computed from them, and them.
struct KeptBucket {
    digest: Digest,
    rows: Vec<u8>,
}

/// Append one row: length of its key, key, digest.
pub fn append_row(out: &mut Vec<u8>, key: &[u8], digest: &Digest) {
    out.extend_from_slice(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(digest);
}

/// The rows of a bucket; None for bytes that are no such list.
pub fn rows_of(mut data: &[u8]) -> Option<Vec<(&[u8], Digest)>> {
    let mut rows = Vec::new();
    while !data.is_empty() {
        let (length, rest) = data.split_at_checked(4)?;
        let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
        let (key, rest) = rest.split_at_checked(length)?;
        let (digest, rest) = rest.split_at_checked(16)?;
        rows.push((key, digest.try_into().ok()?));
        data = rest;
    }
    Some(rows)
}

fn name_of(table: Table, bucket: Bucket) -> String {
    format!("{}/{}", table.number(), bucket.hex())
}

fn named(name: &str) -> Option<(Table, Bucket)> {
    let (number, bucket) = name.split_once('/')?;
    Some((Table::from_number(number.parse().ok()?)?, Bucket::from_hex(bucket.as_bytes())?))
}

/// Store buckets that came, in a commit of their own.
pub fn store_buckets(database: &Database, buckets: &[Came]) -> Outcome<()> {
    if buckets.is_empty() {
        return Ok(());
    }
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(MANIFEST)?;
        for (owner, bucket, rows) in buckets {
            let name = name_of(*owner, *bucket);
            if rows.is_empty() {
                table.remove(name.as_str())?;
            } else {
                table.insert(name.as_str(), rows.as_slice())?;
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

/// The manifest that a build was made for, as far as it is known.
#[pyclass(frozen, module = "storage_sync._native")]
pub struct KeptManifest {
    tables: Vec<BTreeMap<Bucket, KeptBucket>>,
}

impl KeptManifest {
    fn of(transaction: &ReadTransaction, scope: &ScopeParts) -> Outcome<Self> {
        let mut tables = Vec::with_capacity(TABLES);
        let reader = Quiet::new(Reader::new(transaction)?);
        for table in Table::ALL {
            tables.push(if scope.includes(table) { staged(&reader, scope, table)? } else { BTreeMap::new() });
        }
        if let Some(stored) = open_if(transaction, MANIFEST)? {
            for row in stored.iter()? {
                let (name, data) = row?;
                let (Some((table, bucket)), Some(rows)) = (named(name.value()), rows_of(data.value())) else {
                    continue;
                };
                let digest = bucket_digest(scope.algorithm, rows.iter().map(|row| row.1));
                let kept = KeptBucket { digest, rows: data.value().to_vec() };
                tables[usize::from(table.number())].insert(bucket, kept);
            }
        }
        Ok(Self { tables })
    }

    /// Give every bucket of `table` that `came` does not speak of to `add`: bucket, digest, rows.
    pub fn fill(
        &self,
        table: Table,
        came: impl Fn(Bucket) -> bool,
        mut add: impl FnMut(Bucket, Digest, &[(&[u8], Digest)]),
    ) {
        for (bucket, kept) in &self.tables[usize::from(table.number())] {
            if let (false, Some(rows)) = (came(*bucket), rows_of(&kept.rows)) {
                add(*bucket, kept.digest, &rows);
            }
        }
    }

    fn read(path: &Path, identity: &[u8], scope: &ScopeParts) -> Outcome<Option<Self>> {
        let Some(database) = store::open_of(path, identity)? else { return Ok(None) };
        let transaction = Quiet::new(database.begin_read()?);
        Self::of(&transaction, scope).map(Some)
    }
}

/// Buckets of the rows that are in the build already.
fn staged(reader: &Reader, scope: &ScopeParts, table: Table) -> Outcome<BTreeMap<Bucket, KeptBucket>> {
    let mut rows = KeyList::new();
    reader.ledger(table, |key, entry| {
        match entry.flag {
            CACHE_ONLY => {}
            _ if entry.raw_key.is_empty() => rows.push(key.as_bytes(), entry.source, 0),
            _ => rows.push(entry.raw_key, entry.source, 0),
        }
        Ok(())
    })?;
    rows.sort();
    let mut buckets: BTreeMap<Bucket, (Vec<Digest>, Vec<u8>)> = BTreeMap::new();
    for index in 0..rows.len() {
        let (digests, data) = buckets.entry(rows.bucket(index)).or_default();
        digests.push(rows.digest(index));
        append_row(data, &rows.key(index), &rows.digest(index));
    }
    let kept = |(digests, rows): (Vec<Digest>, Vec<u8>)| KeptBucket {
        digest: bucket_digest(scope.algorithm, digests.into_iter()),
        rows,
    };
    Ok(buckets.into_iter().map(|(bucket, found)| (bucket, kept(found))).collect())
}

#[pymethods]
impl KeptManifest {
    #[staticmethod]
    #[pyo3(name = "read")]
    fn read_from(py: Python<'_>, path: PathBuf, identity: Vec<u8>, scope: &Scope) -> PyResult<Option<Self>> {
        let scope = scope.parts;
        detached(py, || match Self::read(&path, &identity, &scope) {
            Ok(kept) => Ok(kept),
            Err(Fault::Database(error)) if matches!(*error, redb::DatabaseError::DatabaseAlreadyOpen) => {
                Err(Fault::Database(error))
            }
            // A build that cannot be read remembers nothing; the staging makes it again.
            Err(_) => Ok(None),
        })
    }

    /// What this build and the scan know, for the manifest's `:known`.
    fn known_buckets(&self, scan: Option<&Scan>, tables: Vec<String>) -> PyResult<String> {
        let mut parts = Vec::new();
        let patterns = tables.iter().any(|name| name == Table::Patterns.name());
        for name in tables {
            let table = table_named(&name)?;
            let kept = &self.tables[usize::from(table.number())];
            let mut all: BTreeMap<Bucket, Digest> = kept.iter().map(|(bucket, kept)| (*bucket, kept.digest)).collect();
            if let Some(scan) = scan.map(|scan| scan.state.table_in(patterns, table)) {
                if all.is_empty() && scan.is_whole() {
                    parts.extend(scan.whole_root().map(|root| known_table(table, root)));
                    continue;
                }
                for (bucket, digest) in scan.buckets().iter().filter(|(bucket, _)| !scan.is_dirty(*bucket)) {
                    all.entry(*bucket).or_insert(*digest);
                }
            }
            parts.extend(all.iter().map(|(bucket, digest)| known_bucket(table, *bucket, digest)));
        }
        Ok(format!("[{}]", parts.join(",")))
    }
}
