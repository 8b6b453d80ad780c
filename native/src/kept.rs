//! What a build remembers of the primary's manifest, so that a resume is sent only what changed since
//! (docs/protocol.md#rebuild).

use crate::errors::{Fault, Outcome};
use crate::families::{Came, Family, MARK, imprints, unfolded};
use crate::keys::{Digest, KeyList, hex_upper};
use crate::ledger::CACHE_ONLY;
use crate::panics::{Quiet, detached};
use crate::scan::Reader;
use crate::scope::{Scope, ScopeParts, TABLES, root_of_tables};
use crate::store;
use crate::tables::{ByteTable, META, META_STAGING, open_if};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use storage_sync_codec::Table;

/// Number of a family, as it was listed, to what was listed of it, and the imprint over all; it leaves the file with
/// the commit that finishes a build.
pub const MANIFEST: ByteTable = TableDefinition::new("storage_sync_manifest");
/// Name of the imprint among them.
const IMPRINT: &str = "imprint";
/// Digits of a mark that come first in `known_families`.
const HEAD: usize = 2;

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

/// Store the families of a manifest, in a commit of their own, in place of those of an earlier one.
pub fn store_families(database: &Database, came: &Came) -> Outcome<()> {
    if came.families.is_empty() {
        return Ok(());
    }
    let transaction = database.begin_write()?;
    transaction.delete_table(MANIFEST)?;
    {
        let mut table = transaction.open_table(MANIFEST)?;
        for (number, family) in came.families.iter().enumerate() {
            table.insert(format!("{number:010}").as_str(), family.as_slice())?;
        }
        table.insert(IMPRINT, came.imprint.as_bytes())?;
    }
    transaction.commit()?;
    Ok(())
}

/// The manifest that a build was made for.
#[pyclass(frozen, module = "storage_sync._native")]
pub struct KeptManifest {
    /// Of an unfinished build, by their marks.
    families: BTreeMap<Vec<u8>, Family>,
    whole: Option<Remembered>,
    finished: Option<Finished>,
}

/// The manifest of an unfinished build, of which nothing is missing: its families add up to the imprint.
struct Remembered {
    imprint: String,
    /// By table number.
    rows: Vec<KeyList>,
}

impl Remembered {
    fn of(scope: &ScopeParts, imprint: String, families: &[Family]) -> Option<Self> {
        if !imprints(scope, families).any(|made| made == imprint) {
            return None;
        }
        let rows = unfolded(scope, families).ok()?;
        Some(Self { imprint, rows })
    }
}

/// What a finished build, which remembers no families, says of itself.
struct Finished {
    meta: Vec<(String, Vec<u8>)>,
    root: String,
    /// By table number: every row that the build has a proof of.
    rows: Vec<KeyList>,
}

impl Finished {
    /// None for a build that is not finished.
    fn of(transaction: &ReadTransaction, scope: &ScopeParts) -> Outcome<Option<Self>> {
        let mut meta = Vec::new();
        for row in open_if(transaction, META)?.iter().flat_map(ReadableTable::iter).flatten() {
            let (key, value) = row?;
            meta.push((key.value().to_owned(), value.value().to_vec()));
        }
        if meta.iter().any(|(key, _)| key == META_STAGING) {
            return Ok(None);
        }
        let reader = Quiet::new(Reader::new(transaction)?);
        let mut rows: Vec<KeyList> = (0..TABLES).map(|_| KeyList::new()).collect();
        for table in Table::ALL {
            let listed = &mut rows[usize::from(table.number())];
            reader.ledger(table, |key, entry| {
                if entry.flag != CACHE_ONLY {
                    listed.push(entry.source_key(key), entry.source, 0);
                }
                Ok(())
            })?;
            listed.sort();
        }
        let root = root_of_tables(scope, &rows);
        Ok(Some(Self { meta, root, rows }))
    }
}

impl KeptManifest {
    fn of(transaction: &ReadTransaction, scope: &ScopeParts) -> Outcome<Self> {
        let mut listed: Vec<Family> = Vec::new();
        let mut imprint = None;
        if let Some(stored) = open_if(transaction, MANIFEST)? {
            for row in stored.iter()? {
                let (name, value) = row?;
                if name.value() == IMPRINT {
                    imprint = Some(String::from_utf8_lossy(value.value()).into_owned());
                } else {
                    listed.push(value.value().to_vec());
                }
            }
        }
        let whole = imprint.and_then(|imprint| Remembered::of(scope, imprint, &listed));
        // marks are made again, so that a damaged family is only one that is not known
        let mark = |family: &Family| hex_upper(&scope.algorithm.digest(family)).as_bytes()[..MARK].to_vec();
        let families = listed.into_iter().map(|family| (mark(&family), family)).collect();
        Ok(Self { families, whole, finished: Finished::of(transaction, scope)? })
    }

    /// What a finished build lists, or the manifest that an unfinished one remembers whole, by table number.
    pub fn rows(&self) -> Option<&[KeyList]> {
        let remembered = self.whole.as_ref().map(|whole| whole.rows.as_slice());
        self.finished.as_ref().map(|finished| finished.rows.as_slice()).or(remembered)
    }

    /// The family of a mark.
    pub fn family(&self, mark: &[u8]) -> Option<&[u8]> {
        self.families.get(mark).map(Vec::as_slice)
    }

    fn read(path: &Path, identity: &[u8], scope: &ScopeParts) -> Outcome<Option<Self>> {
        let Some(database) = store::open_of(path, identity)? else { return Ok(None) };
        let transaction = Quiet::new(database.begin_read()?);
        Self::of(&transaction, scope).map(Some)
    }
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

    /// Of the manifest that an unfinished build remembers whole.
    #[getter]
    fn imprint(&self) -> Option<&str> {
        self.whole.as_ref().map(|whole| whole.imprint.as_str())
    }

    /// What a finished build says of itself, beside its rows.
    #[getter]
    fn meta<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (key, value) in self.finished.iter().flat_map(|finished| &finished.meta) {
            dict.set_item(key, PyBytes::new(py, value))?;
        }
        Ok(dict)
    }

    #[getter]
    fn root(&self) -> Option<&str> {
        self.finished.as_ref().map(|finished| finished.root.as_str())
    }

    /// For the manifest's `:known`: by their first two digits the marks of all families.
    fn known_families(&self) -> PyResult<String> {
        let mut heads: BTreeMap<String, String> = BTreeMap::new();
        for mark in self.families.keys().map(|mark| String::from_utf8_lossy(mark)) {
            heads.entry(mark[..HEAD].to_owned()).or_default().push_str(&mark);
        }
        serde_json::to_string(&heads).map_err(|error| Fault::value(error.to_string()).into())
    }
}
