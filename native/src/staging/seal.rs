//! All rows are here: the snapshot's manifest, doubled rows, what a rebuild carries over.

use crate::errors::{Fault, Outcome};
use crate::ledger::{Entry, PROVED, REFUSED, refused_key, value_digest};
use crate::manifest::complete;
use crate::memory::give_back;
use crate::record::{Action, Record};
use crate::scan::ScanState;
use crate::scope::TABLES;
use std::sync::Arc;
use storage_sync_codec::{Table, ValueState, check_value};

use super::{Core, Waiting, forget};

impl Core {
    pub(super) fn seal(&mut self) -> Outcome<()> {
        if self.sealed {
            return Ok(());
        }
        if self.response.is_some() {
            return Err(Fault::value("a response has not ended"));
        }
        if self.snapshot {
            self.make_manifest()?;
        }
        if self.sibling {
            self.carry_over()?;
        }
        self.flush()?;
        if let Waiting::File(store) = &mut self.waiting {
            store.settle()?;
        }
        self.sealed = true;
        give_back();
        Ok(())
    }

    /// Snapshot path: the rows that arrived are the manifest.
    pub(super) fn make_manifest(&mut self) -> Outcome<()> {
        let mut arrived = Vec::with_capacity(TABLES);
        for (table, lane) in Table::ALL.into_iter().zip(&mut self.lanes) {
            let rows = lane.arrived.len() as u64;
            if let Some(announced) = lane.announced.filter(|announced| *announced != rows) {
                let message = format!("{rows} rows of {} arrived, and it has {announced}", table.name());
                return Err(Fault::stream("truncated", message));
            }
            arrived.push((std::mem::take(&mut lane.arrived), lane.primary_rows));
        }
        let (manifest, doubled) = complete(self.scope, self.scan.as_deref(), arrived)?;
        self.manifest = Some(Arc::new(manifest));
        for group in doubled {
            let counts = &mut self.lane(group.table).counts;
            group.marks.iter().for_each(|mark| counts.take_back(*mark));
            // What each copy became when it came alone no longer holds.
            self.hold(forget(group.table, &refused_key(&group.key, 0)))?;
            if group.unchanged && !self.sibling {
                continue;
            }
            for (ordinal, source) in group.sources.iter().enumerate() {
                self.refuse_doubled(group.table, &group.key, *source, ordinal)?;
            }
        }
        Ok(())
    }

    /// Rebuild: rows of the old file that are as the primary has them, and rows that only the cache has.
    pub(super) fn carry_over(&mut self) -> Outcome<()> {
        let Some(scan) = self.scan.clone() else { return Ok(()) };
        let manifest = self.manifest.clone().ok_or_else(|| Fault::value("there is no manifest"))?;
        let store = match &self.waiting {
            Waiting::File(store) => store,
            Waiting::Memory(_) | Waiting::Closed => return Err(Fault::value("the staging is closed")),
        };
        for table in Table::ALL {
            let compared = manifest.table(table);
            let mut batch: Vec<Record> = Vec::new();
            let mut weight = 0;
            scan.reader.join(table, |key, entry, value| {
                let raw =
                    entry.as_ref().filter(|entry| entry.flag == REFUSED).map_or(key.as_bytes(), |entry| entry.raw_key);
                let lists = [&compared.wanted, &compared.gone, &compared.listed];
                if lists.iter().any(|list| !list.find(raw).is_empty()) {
                    return Ok(());
                }
                let Some(record) = carried(&scan, table, key, entry, value, &compared.settled)? else { return Ok(()) };
                weight += record.weight();
                batch.push(record);
                if weight >= self.batch_bytes / 2 {
                    weight = 0;
                    store.push(std::mem::take(&mut batch))?;
                }
                Ok(())
            })?;
            store.push(batch)?;
        }
        Ok(())
    }
}

/// A row of the old file that the new one keeps: as the primary has it, or cache-only; None for damage.
fn carried(
    scan: &ScanState,
    table: Table,
    key: &str,
    entry: Option<Entry<'_>>,
    value: Option<&[u8]>,
    settled: &[String],
) -> Outcome<Option<Record>> {
    let record = |source, action| Record { table, name: key.to_owned(), source, before: None, loss: None, action };
    let whole = |value: &[u8]| check_value(table, key, value) == ValueState::Whole;
    Ok(match (entry, value) {
        (Some(entry), _) if entry.flag == REFUSED => {
            if settled.iter().any(|name| name == key) {
                return Ok(None);
            }
            let (column, reason) = scan.reader.refusal(table, key)?;
            Some(record(entry.source, Action::Refuse { raw_key: entry.raw_key.to_vec(), column, reason }))
        }
        (Some(entry), Some(value)) if entry.flag == PROVED => {
            (value_digest(value) == entry.value).then(|| record(entry.source, Action::Write(value.to_vec())))
        }
        (_, Some(value)) if whole(value) => Some(record([0; 16], Action::Carry(value.to_vec()))),
        _ => None,
    })
}
