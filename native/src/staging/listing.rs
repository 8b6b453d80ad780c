//! What a sealed staging tells: rows that wait, refused ones, and those that would be lost.

use crate::errors::{Fault, Outcome};
use crate::ledger::REFUSED;
use crate::panics::Quiet;
use crate::record::Action;
use crate::scan::{Held, Reader};
use crate::scope::table_named;
use redb::{ReadableDatabase, ReadableTable};
use std::collections::BTreeMap;
use std::ops::Bound as Limit;
use storage_sync_codec::{Table, only_projection};

use super::{Core, Lost, Refusals, Waiting};

/// Token of a listing that goes over all tables: `table` NUL `key`.
fn token(after: Option<&str>) -> Outcome<(usize, Option<String>)> {
    let Some(after) = after else { return Ok((0, None)) };
    let (table, key) = after.split_once('\0').ok_or_else(|| Fault::value("after must be table NUL key"))?;
    Ok((usize::from(table_named(table)?.number()), Some(key.to_owned())))
}

/// Tables from the token's on, each with the key to start behind.
fn from_token(after: Option<&str>) -> Outcome<impl Iterator<Item = (Table, Option<String>)>> {
    let (first, key) = token(after)?;
    let mut key = Some(key);
    Ok(Table::ALL.into_iter().skip(first).map(move |table| (table, key.take().flatten())))
}

impl Core {
    pub(super) fn staged(&self, table: Table, after: Option<&str>, limit: usize) -> Outcome<Vec<(String, Vec<u8>)>> {
        let mut rows = Vec::new();
        if let (Waiting::File(store), true) = (&self.waiting, self.sibling) {
            let transaction = Quiet::new(store.database()?.begin_read()?);
            let open = transaction.open_table(crate::tables::byte_table(table.name()))?;
            let start = after.map_or(Limit::Unbounded, Limit::Excluded);
            for row in ReadableTable::range::<&str>(&open, (start, Limit::Unbounded))?.take(limit) {
                let (key, value) = row?;
                rows.push((key.value().to_owned(), value.value().to_vec()));
            }
            return Ok(rows);
        }
        self.records(table, after, |record| {
            if let Action::Write(value) = record.action {
                rows.push((record.name, value));
            }
            Ok(rows.len() < limit)
        })?;
        Ok(rows)
    }

    /// Rejected rows of the manifest, whether judged in this run or in an earlier one.
    pub(super) fn refused(&self, after: Option<&str>, limit: usize) -> Outcome<Vec<(String, String, String, String)>> {
        self.require_sealed()?;
        let mut rows = Vec::new();
        for (table, key) in from_token(after)? {
            let mut found = self.refused_now(table)?;
            self.refused_before(table, &mut found)?;
            let start = key.map_or(Limit::Unbounded, Limit::Excluded);
            for (name, (column, reason)) in found.range::<String, _>((start, Limit::Unbounded)) {
                if rows.len() == limit {
                    return Ok(rows);
                }
                rows.push((table.name().to_owned(), name.clone(), column.clone(), reason.clone()));
            }
        }
        Ok(rows)
    }

    /// Remember what will be asked about a sibling once its file is closed.
    pub fn remember(&mut self) -> Outcome<()> {
        let tables = Table::ALL.into_iter().map(|table| self.refused_now(table)).collect::<Outcome<Vec<_>>>()?;
        self.finished = Some(tables);
        Ok(())
    }

    pub(super) fn refused_now(&self, table: Table) -> Outcome<Refusals> {
        if let Some(tables) = &self.finished {
            return Ok(tables[usize::from(table.number())].clone());
        }
        let mut found = BTreeMap::new();
        if let (Waiting::File(store), true) = (&self.waiting, self.sibling) {
            let transaction = Quiet::new(store.database()?.begin_read()?);
            let reader = Quiet::new(Reader::new(&transaction)?);
            reader.ledger(table, |key, entry| {
                if entry.flag == REFUSED {
                    found.insert(key.to_owned(), reader.refusal(table, key)?);
                }
                Ok(())
            })?;
        } else {
            self.records(table, None, |record| {
                if let Action::Refuse { column, reason, .. } = record.action {
                    found.insert(record.name, (column, reason));
                }
                Ok(true)
            })?;
        }
        Ok(found)
    }

    pub(super) fn refused_before(&self, table: Table, found: &mut Refusals) -> Outcome<()> {
        let Some(scan) = self.scan.as_ref().filter(|_| !self.sibling) else { return Ok(()) };
        let compared = self.require_sealed()?.table(table);
        if compared.still_refused == 0 {
            return Ok(());
        }
        scan.reader.ledger(table, |key, entry| {
            if entry.flag == REFUSED && !compared.settled.iter().any(|name| name == key) && !found.contains_key(key) {
                found.insert(key.to_owned(), scan.reader.refusal(table, key)?);
            }
            Ok(())
        })
    }

    /// Bytes of the cache that the transaction takes away and the primary cannot give back.
    pub(super) fn replaced(&self, after: Option<&str>, limit: usize) -> Outcome<Vec<Lost>> {
        let manifest = self.require_sealed()?;
        let mut rows = Vec::new();
        let Some(scan) = self.scan.as_ref() else { return Ok(rows) };
        for (table, key) in from_token(after)? {
            let lane = &self.lanes[usize::from(table.number())];
            let gone = &manifest.table(table).gone;
            let first =
                key.as_ref().map_or(0, |key| gone.find(key.as_bytes()).end.max(gone.lower_bound(key.as_bytes())));
            let mut removals = (first..gone.len()).map(|index| gone.key_text(index)).peekable();
            let mut found: Vec<Lost> = Vec::new();
            let room = limit - rows.len();
            if !self.sibling {
                self.records(table, key.as_deref(), |record| {
                    if let (Some(loss), Some(old)) = (record.loss, scan.reader.value(table, &record.name)?) {
                        found.push((table, record.name, old, loss.text()));
                    }
                    Ok(found.len() < room)
                })?;
            }
            let mut taken = 0;
            while taken < room {
                let Some(name) = removals.next() else { break };
                let Some(old) = scan.reader.value(table, &name)? else { continue };
                let kept = lane.kept.contains(&name);
                let reason = if !kept {
                    "gone from the primary"
                } else if !only_projection(table, &old).unwrap_or(false) {
                    "left the window with local fields"
                } else if !matches!(scan.reader.held(table, &name)?, Held::Proved { .. }) {
                    "left the window with a local change"
                } else {
                    continue;
                };
                found.push((table, name, old, reason));
                taken += 1;
            }
            found.sort_by(|a, b| a.1.cmp(&b.1));
            found.truncate(room);
            rows.extend(found);
            if rows.len() >= limit {
                break;
            }
        }
        Ok(rows)
    }
}
