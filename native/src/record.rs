//! One row on its way into the cache: what shall happen to it, and what that was decided from.

use crate::keys::Digest;
use crate::ledger::half;
use storage_sync_codec::Table;

/// Why bytes of the cache cannot be had again from the primary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    LocalFields = 1,
    BitRot,
    Refused,
    LocalChange,
}

impl Loss {
    pub fn text(self) -> &'static str {
        match self {
            Self::LocalFields => "local fields replaced",
            Self::BitRot => "bit rot",
            Self::Refused => "refused by the primary's new row",
            Self::LocalChange => "local change replaced",
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::LocalFields, Self::BitRot, Self::Refused, Self::LocalChange].into_iter().find(|loss| *loss as u8 == byte)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Store these bytes.
    Write(Vec<u8>),
    /// The cached bytes are equal by projection: only the ledger learns the new digests.
    Relist,
    /// The row cannot be represented; its cached version, if we wrote one, goes.
    Refuse { raw_key: Vec<u8>, column: String, reason: String },
    /// Rebuild only: a row that only the cache has, as it is.
    Carry(Vec<u8>),
    /// Take back what an earlier record of this name said.
    Forget,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    pub table: Table,
    /// Cache key, or the ledger's name of a rejected row.
    pub name: String,
    /// The primary's digest of the row.
    pub source: Digest,
    /// Digest of the cached bytes that this was decided from; None when there were none.
    pub before: Option<Digest>,
    pub loss: Option<Loss>,
    pub action: Action,
}

/// Place of the proof; the payload is behind it.
const PROOF_AT: usize = 35;
const FIXED: usize = PROOF_AT + 16;

impl Record {
    /// What it takes in memory and on its way, in bytes.
    pub fn weight(&self) -> usize {
        let payload = match &self.action {
            Action::Write(value) | Action::Carry(value) => value.len(),
            Action::Relist | Action::Forget => 0,
            Action::Refuse { raw_key, column, reason } => raw_key.len() + column.len() + reason.len(),
        };
        payload + self.name.len() + FIXED
    }

    pub fn is_write(&self) -> bool {
        matches!(self.action, Action::Write(_))
    }

    pub fn stage_key(&self) -> Vec<u8> {
        stage_key(self.table, &self.name)
    }

    /// Bytes for the staging file; `decode` proves them.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.weight() + 24);
        let kind = match self.action {
            Action::Write(_) => b'w',
            Action::Carry(_) => b'c',
            Action::Relist => b'l',
            Action::Refuse { .. } => b'r',
            Action::Forget => b'f',
        };
        out.push(kind);
        out.push(self.loss.map_or(0, |loss| loss as u8));
        out.push(u8::from(self.before.is_some()));
        out.extend_from_slice(&self.before.unwrap_or_default());
        out.extend_from_slice(&self.source);
        out.extend_from_slice(&[0; 16]);
        match &self.action {
            Action::Write(value) | Action::Carry(value) => out.extend_from_slice(value),
            Action::Relist | Action::Forget => {}
            Action::Refuse { raw_key, column, reason } => {
                for part in [raw_key.as_slice(), column.as_bytes()] {
                    out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
                    out.extend_from_slice(part);
                }
                out.extend_from_slice(reason.as_bytes());
            }
        }
        let proof = proof_of(&self.stage_key(), &out[..PROOF_AT], &out[FIXED..]);
        out[PROOF_AT..FIXED].copy_from_slice(&proof);
        out
    }

    /// None when the bytes are not what was staged.
    pub fn decode(key: &[u8], data: &[u8]) -> Option<Self> {
        let (table, name) = key.split_first()?;
        let (fixed, payload) = data.split_at_checked(FIXED)?;
        let digest = |at: usize| -> Option<Digest> { fixed[at..at + 16].try_into().ok() };
        if proof_of(key, &fixed[..PROOF_AT], payload) != digest(PROOF_AT)? {
            return None;
        }
        let action = match fixed[0] {
            b'w' => Action::Write(payload.to_vec()),
            b'c' => Action::Carry(payload.to_vec()),
            b'l' => Action::Relist,
            b'f' => Action::Forget,
            b'r' => {
                let (raw_key, rest) = part(payload)?;
                let (column, reason) = part(rest)?;
                Action::Refuse { raw_key: raw_key.to_vec(), column: text(column), reason: text(reason) }
            }
            _ => return None,
        };
        Some(Self {
            table: Table::from_number(*table)?,
            name: String::from_utf8(name.to_vec()).ok()?,
            source: digest(19)?,
            before: if fixed[2] == 1 { digest(3) } else { None },
            loss: Loss::from_byte(fixed[1]),
            action,
        })
    }
}

/// Over all that a staged row is made of: its place, its fixed part and its payload.
fn proof_of(key: &[u8], fixed: &[u8], payload: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for part in [&(key.len() as u64).to_le_bytes(), key, fixed, payload] {
        hasher.update(part);
    }
    half(hasher.finalize())
}

fn part(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = data.split_at_checked(4)?;
    rest.split_at_checked(u32::from_le_bytes(length.try_into().ok()?) as usize)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Place of a row in staging: by table number, then key.
pub fn stage_key(table: Table, name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + name.len());
    key.push(table.number());
    key.extend_from_slice(name.as_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_and_damage_is_seen() {
        let refuse = Action::Refuse { raw_key: vec![0xFF], column: "steps".into(), reason: "not JSON".into() };
        for action in [Action::Write(vec![1, 2, 3]), Action::Relist, refuse, Action::Forget] {
            let record = Record {
                table: Table::Patterns,
                name: "k".into(),
                source: [3; 16],
                before: Some([4; 16]),
                loss: Some(Loss::BitRot),
                action,
            };
            let mut bytes = record.encode();
            assert_eq!(Record::decode(&record.stage_key(), &bytes), Some(record.clone()));
            for at in 0..bytes.len() {
                bytes[at] ^= 1;
                assert_eq!(Record::decode(&record.stage_key(), &bytes), None);
                bytes[at] ^= 1;
            }
            let other = Record { name: "l".into(), ..record };
            assert_eq!(Record::decode(&other.stage_key(), &bytes), None);
        }
    }
}
