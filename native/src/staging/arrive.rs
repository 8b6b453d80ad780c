//! One row after the other: proven against the manifest, merged with what the cache holds.

use crate::errors::{Fault, Outcome};
use crate::keys::Digest;
use crate::ledger::{refused_key, value_digest};
use crate::record::{Action, Loss, Record};
use crate::row::assemble;
use crate::scan::Held;
use storage_sync_codec::hrana::Event;
use storage_sync_codec::{SourceRow, Table, Value, merge, row_digest, row_digests, source_key};

use super::{Core, DONE, Fate, MOVED, StepSpec, add, fate_of};

/// Digests are cheaper together: rows wait until there are so many of them, or bytes in them.
const TOGETHER: usize = 32;
const TOGETHER_BYTES: usize = 256 << 10;
/// Why each row of a doubled key is rejected.
pub(super) const DOUBLED: &str = "the primary has more than one row of this key";

/// Rows that wait for their digests, in the order in which they came.
#[derive(Default)]
pub(super) struct Gathered {
    rows: Vec<SourceRow<'static>>,
    bytes: usize,
}

impl Core {
    pub(super) fn take(
        &mut self,
        response: &mut Option<StepSpec>,
        steps: &[StepSpec],
        event: Event<'_>,
    ) -> Outcome<()> {
        match event {
            Event::StepBegin { step } => {
                let spec = steps
                    .get(step)
                    .ok_or_else(|| Fault::stream("shape", format!("an answer to step {step}, which was not asked")))?;
                *response = Some(*spec);
                Ok(())
            }
            Event::StepEnd => {
                *response = None;
                self.settle_rows()
            }
            Event::Row(columns) => {
                let spec = response.ok_or_else(|| Fault::stream("shape", "a row outside of any step"))?;
                if spec.imprint {
                    self.imprint_row(&columns)
                } else if spec.counts {
                    self.source_count(&columns)
                } else {
                    self.arrived(spec, columns)
                }
            }
            // without it the next proof reads more, and is none the worse
            Event::StepError { step, .. } if steps.get(step).is_some_and(|spec| spec.imprint) => Ok(()),
            Event::StepError { code, message, .. } | Event::Error { code, message } => {
                Err(Fault::Stream { code, message })
            }
            Event::End => Ok(()),
        }
    }

    fn imprint_row(&mut self, columns: &[Value<'_>]) -> Outcome<()> {
        let [Value::Text(imprint)] = columns else {
            return Err(Fault::stream("shape", "an imprint is not a single text"));
        };
        self.imprint = Some(String::from_utf8_lossy(imprint).into_owned());
        Ok(())
    }

    pub(super) fn source_count(&mut self, columns: &[Value<'_>]) -> Outcome<()> {
        let (name, count, announced) = match columns {
            [Value::Text(name), Value::Integer(count)] => (name, count, None),
            [Value::Text(name), Value::Integer(count), Value::Integer(rows)] => (name, count, Some(rows)),
            _ => return Err(Fault::stream("shape", "a count row is not (table name, rows, expected rows)")),
        };
        let table = std::str::from_utf8(name).ok().and_then(Table::from_name);
        if let (Some(table), Ok(count)) = (table, u64::try_from(*count)) {
            let lane = self.lane(table);
            lane.primary_rows = Some(count);
            lane.announced = announced.and_then(|rows| u64::try_from(*rows).ok());
        }
        Ok(())
    }

    pub(super) fn arrived(&mut self, spec: StepSpec, columns: Vec<Value<'_>>) -> Outcome<()> {
        // Sent as a number, a real has lost the text that the server digests; real columns come as text.
        if !spec.typed && columns.iter().any(|value| matches!(value, Value::Real(_))) {
            return Err(Fault::stream("real", "a real where none belongs can only be read typed"));
        }
        match spec.table {
            Some(table) => self.gather(assemble(table, columns, spec.typed)?),
            None => Ok(()),
        }
    }

    /// Take a row in; it is judged, at the latest, when its step or its response ends.
    pub(super) fn gather(&mut self, row: SourceRow<'_>) -> Outcome<()> {
        add(&self.progress.rows, 1);
        let bytes = row.bytes();
        if self.gathered.bytes + bytes > TOGETHER_BYTES {
            self.settle_rows()?;
        }
        self.gathered.bytes += bytes;
        self.gathered.rows.push(row.into_owned());
        if self.gathered.rows.len() < TOGETHER { Ok(()) } else { self.settle_rows() }
    }

    /// Judge the rows that wait.
    pub(super) fn settle_rows(&mut self) -> Outcome<()> {
        let Gathered { mut rows, .. } = std::mem::take(&mut self.gathered);
        let algorithm = self.scope.algorithm;
        let digests = match rows.as_slice() {
            // The text of a single row, which may be a large one, is not gathered again.
            [row] => vec![row_digest(row, algorithm)],
            rows => row_digests(rows, algorithm),
        };
        for (row, digest) in rows.drain(..).zip(digests) {
            self.row(&row, digest)?;
        }
        // The room is kept for the next rows.
        self.gathered.rows = rows;
        Ok(())
    }

    fn row(&mut self, row: &SourceRow<'_>, source: Digest) -> Outcome<()> {
        let table = row.table;
        let key = source_key(row);
        let Some(manifest) = self.manifest.clone() else {
            let fate = self.judge(row, &key, source)?;
            if fate != Fate::Same {
                self.keep_source(row)?;
            }
            self.lane(table).arrived.push(&key, source, fate as u8);
            return Ok(());
        };
        let wanted = &manifest.table(table).wanted;
        let found = wanted.find(&key);
        let lane = self.lane(table);
        let open = found.clone().find(|index| wanted.digest(*index) == source && lane.states[*index] != DONE);
        let Some(index) = open else {
            // A row that came twice in one answer is no stranger.
            if !found.clone().any(|index| wanted.digest(index) == source) {
                found.for_each(|index| lane.states[index] = MOVED);
                lane.strangers.push(&key, source, 0);
            }
            return Ok(());
        };
        lane.states[index] = DONE;
        self.keep_source(row)?;
        if found.len() > 1 {
            return self.refuse_doubled(table, &key, source, index - found.start);
        }
        self.judge(row, &key, source).map(|_| ())
    }

    fn keep_source(&mut self, row: &SourceRow<'_>) -> Outcome<()> {
        self.spool.as_mut().map_or(Ok(()), |(spool, _)| spool.keep(row))
    }

    /// Merge with what the cache holds and decide.
    pub(super) fn judge(&mut self, row: &SourceRow<'_>, key: &[u8], source: Digest) -> Outcome<Fate> {
        let table = row.table;
        let name = refused_key(key, 0);
        let held = match &self.scan {
            Some(scan) => scan.reader.held(table, &name)?,
            None => Held::Nothing,
        };
        if self.snapshot && !self.sibling && self.is_unchanged(table, key, &held, source)? {
            return Ok(Fate::Same);
        }
        let before = held.value().map(value_digest);
        let record = match merge(row, held.mergeable()) {
            Err(refusal) => Record {
                table,
                name,
                source,
                before,
                loss: held.is_ours().then_some(Loss::Refused),
                action: Action::Refuse { raw_key: key.to_vec(), column: refusal.column, reason: refusal.reason },
            },
            Ok(merged) => {
                let (action, loss) = match merged.value {
                    // The cache to be must hold the row itself.
                    None if self.sibling => (Action::Write(held.value().map_or_else(Vec::new, <[u8]>::to_vec)), None),
                    None => (Action::Relist, None),
                    Some(value) => (Action::Write(value), loss_of(&held, merged.lost_local)),
                };
                Record { table, name: merged.key, source, before, loss, action }
            }
        };
        let fate = fate_of(&record);
        self.count(&record, fate);
        self.hold(record)?;
        Ok(fate)
    }

    /// Whether the last proof speaks of this very row and the cache still has what was stored for it.
    fn is_unchanged(&self, table: Table, key: &[u8], held: &Held, source: Digest) -> Outcome<bool> {
        let Some(scan) = self.scan.as_ref().filter(|scan| scan.reader.speaks(self.scope.algorithm)) else {
            return Ok(false);
        };
        Ok(match held {
            Held::Proved { source: listed, .. } => *listed == source,
            // What was rejected for being there twice may be there once by now.
            Held::Refused { source: listed, .. } => {
                *listed == source && !scan.reader.is_listed(table, &refused_key(key, 1))?
            }
            _ => false,
        })
    }

    pub(super) fn refuse_doubled(&mut self, table: Table, key: &[u8], source: Digest, ordinal: usize) -> Outcome<()> {
        let name = refused_key(key, ordinal);
        let held = match &self.scan {
            Some(scan) if ordinal == 0 => scan.reader.held(table, &name)?,
            _ => Held::Nothing,
        };
        let column = table.columns().first().map_or("", |column| column.name).to_owned();
        let reason = DOUBLED.to_owned();
        let record = Record {
            table,
            name,
            source,
            before: held.value().map(value_digest),
            loss: held.is_ours().then_some(Loss::Refused),
            action: Action::Refuse { raw_key: key.to_vec(), column, reason },
        };
        let fate = fate_of(&record);
        self.count(&record, fate);
        self.hold(record)
    }
}

/// Why the bytes that other ones replace cannot be had again; None when the primary once gave all of them.
fn loss_of(held: &Held, lost_local: bool) -> Option<Loss> {
    match held {
        Held::Nothing | Held::Refused { value: None, .. } => None,
        Held::Rotten { .. } => Some(Loss::BitRot),
        _ if lost_local => Some(Loss::LocalFields),
        Held::Proved { .. } => None,
        Held::Drifted { .. } | Held::Unlisted { .. } | Held::Refused { .. } => Some(Loss::LocalChange),
    }
}
