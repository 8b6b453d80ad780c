//! What an earlier run staged, if it still proves its digest.

use crate::errors::{Fault, Outcome};
use crate::families::Came;
use crate::kept::store_families;
use crate::ledger::{REFUSED, value_digest};
use crate::manifest::Manifest;
use crate::panics::Quiet;
use crate::record::{Action, Record};
use crate::scan::{Held, Reader};
use crate::store::{self, STAGE, Store};
use redb::{ReadableDatabase, ReadableTable};
use std::sync::atomic::Ordering;
use storage_sync_codec::Table;

use super::arrive::DOUBLED;
use super::{Core, Counts, DONE, Fate, WAITING, Waiting, add, fate_of, forget};

impl Core {
    /// Open what an earlier run staged, if this path can use it.
    /// `came`: the manifest that a build remembers for the next resume.
    pub(super) fn open(&mut self, came: &Came) -> Outcome<()> {
        if !self.sibling && !crate::create::is_there(&self.path)? {
            return Ok(());
        }
        let mut opened = store::open(&self.path, self.layout(), &self.identity, !self.snapshot)?;
        let mut stale = Vec::new();
        if opened.existed && !self.resume(&opened.database, &mut stale)? {
            drop(opened);
            (stale, opened) = (Vec::new(), store::open(&self.path, self.layout(), &self.identity, false)?);
        }
        if !self.sibling && !opened.existed {
            // Another path's leftovers were cleared; a small in-place run needs no file.
            drop(opened);
            return std::fs::remove_file(&self.path).map_err(|error| Fault::io(error, &self.path));
        }
        store_families(&opened.database, came)?;
        let store =
            Store::start(opened.database, self.layout(), &self.path, self.batch_bytes / 4, &self.progress.durable)?;
        store.push(stale)?;
        self.waiting = Waiting::File(store);
        self.find_pending();
        Ok(())
    }

    /// Count what is staged and still proves its digest; all else is `stale`. False for a staging with a damaged record,
    /// which may stand at a place where it is never found: nothing of it is counted.
    fn resume(&mut self, database: &redb::Database, stale: &mut Vec<Record>) -> Outcome<bool> {
        let manifest = self.manifest.clone().ok_or_else(|| Fault::value("a snapshot starts over"))?;
        let transaction = Quiet::new(database.begin_read()?);
        if self.sibling {
            let reader = Quiet::new(Reader::new(&transaction)?);
            for table in Table::ALL {
                self.resume_sibling(&manifest, &reader, table, stale)?;
            }
        } else if let Some(stage) = crate::tables::open_if(&transaction, STAGE)? {
            let rows: redb::Range<'_, &[u8], &[u8]> = ReadableTable::range::<&[u8]>(&stage, ..)?;
            for row in rows {
                let (key, value) = row?;
                let Some(record) = Record::decode(key.value(), value.value()) else {
                    self.forget_resumed();
                    return Ok(false);
                };
                self.resume_record(&manifest, record, stale)?;
            }
        }
        Ok(true)
    }

    fn forget_resumed(&mut self) {
        for lane in &mut self.lanes {
            lane.states.fill(WAITING);
            lane.counts = Counts::default();
        }
        for counter in [&self.progress.rows, &self.progress.resumed, &self.progress.staged_bytes] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    fn resume_sibling(
        &mut self,
        manifest: &Manifest,
        reader: &Reader,
        table: Table,
        stale: &mut Vec<Record>,
    ) -> Outcome<()> {
        let wanted = &manifest.table(table).wanted;
        let held = self.scan.clone();
        let mut found_rows: Vec<(usize, Fate, u64)> = Vec::new();
        reader.join(table, |key, entry, value| {
            let raw = entry.as_ref().map_or(key.as_bytes(), |entry| entry.source_key(key));
            let found = wanted.find(raw);
            let listed = entry.filter(|entry| found.len() == 1 && wanted.digest(found.start) == entry.source);
            let proves = match (&listed, value) {
                (Some(entry), _) if entry.flag == REFUSED => reader.refusal(table, key)?.1 != DOUBLED,
                (Some(entry), Some(value)) => value_digest(value) == entry.value,
                _ => false,
            };
            if let Some(entry) = listed.filter(|_| proves) {
                let held = match &held {
                    Some(scan) => scan.reader.held(table, key)?,
                    None => Held::Nothing,
                };
                let fate = match held.value().map(value_digest) {
                    _ if entry.flag == REFUSED => {
                        if held.is_ours() {
                            Fate::Withdraw
                        } else {
                            Fate::Refuse
                        }
                    }
                    None => Fate::Insert,
                    Some(before) if before == entry.value => Fate::Same,
                    Some(_) => Fate::Update,
                };
                found_rows.push((found.start, fate, value.map_or(0, |value| value.len() as u64)));
            } else {
                stale.push(forget(table, key));
            }
            Ok(())
        })?;
        for (index, fate, bytes) in found_rows {
            let lane = self.lane(table);
            lane.states[index] = DONE;
            if let Some(counter) = lane.counts.counter(fate) {
                *counter += 1;
            }
            add(&self.progress.rows, 1);
            add(&self.progress.resumed, 1);
            add(&self.progress.staged_bytes, bytes);
        }
        Ok(())
    }

    fn resume_record(&mut self, manifest: &Manifest, record: Record, stale: &mut Vec<Record>) -> Outcome<()> {
        let (raw, doubled) = match &record.action {
            Action::Refuse { raw_key, reason, .. } => (raw_key.as_slice(), reason == DOUBLED),
            _ => (record.name.as_bytes(), false),
        };
        let wanted = &manifest.table(record.table).wanted;
        let found = wanted.find(raw);
        let now = match &self.scan {
            Some(scan) => scan.reader.value(record.table, &record.name)?.map(|value| value_digest(&value)),
            None => None,
        };
        if doubled || found.len() != 1 || wanted.digest(found.start) != record.source || now != record.before {
            stale.push(forget(record.table, &record.name));
            return Ok(());
        }
        let lane = self.lane(record.table);
        lane.states[found.start] = DONE;
        add(&self.progress.rows, 1);
        add(&self.progress.resumed, 1);
        let fate = fate_of(&record);
        self.count(&record, fate);
        Ok(())
    }
}
