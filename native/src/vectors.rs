//! What the stored embeddings say about themselves: dimensions, broken ones, owners that are not there.

use crate::keys::{KeyList, uuid_bytes};
use std::collections::BTreeMap;
use storage_sync_codec::{Owner, Table, embedding_owner};

/// Gathered while a file is scanned.
#[derive(Default)]
pub struct Vectors {
    /// How often each dimension occurs.
    dimensions: BTreeMap<usize, u64>,
    /// Undecodable, empty, not finite or zero.
    broken: KeyList,
    orphans: KeyList,
    episodes: Vec<[u8; 16]>,
    patterns: Vec<[u8; 16]>,
}

/// The little-endian numbers of a stored embedding; None when it does not decode whole.
pub fn numbers(value: &[u8]) -> Option<&[u8]> {
    let mut count: u64 = 0;
    for (index, byte) in value.iter().enumerate().take(10) {
        count |= u64::from(byte & 0x7F).checked_shl(7 * u32::try_from(index).ok()?)?;
        if byte & 0x80 == 0 {
            let rest = &value[index + 1..];
            let wanted = usize::try_from(count).ok()?.checked_mul(4)?;
            return (rest.len() == wanted).then_some(rest);
        }
    }
    None
}

fn usable(numbers: &[u8]) -> bool {
    let mut any = false;
    for part in numbers.chunks_exact(4) {
        let number = f32::from_le_bytes([part[0], part[1], part[2], part[3]]);
        if !number.is_finite() {
            return false;
        }
        any |= number != 0.0;
    }
    any
}

impl Vectors {
    /// Remember an owner; keys come in order, so the lists stay sorted.
    pub fn see_owner(&mut self, table: Table, key: &[u8]) {
        let Some(id) = uuid_bytes(key) else { return };
        match table {
            Table::Episodes => self.episodes.push(id),
            Table::Patterns => self.patterns.push(id),
            _ => {}
        }
    }

    /// Judge one embedding; all owners have been seen.
    pub fn see_embedding(&mut self, key: &str, value: &[u8]) {
        let found = numbers(value);
        if let Some(numbers) = found {
            *self.dimensions.entry(numbers.len() / 4).or_default() += 1;
        }
        if !found.is_some_and(usable) {
            self.broken.push(key.as_bytes(), [0; 16], 0);
        }
        let present = match embedding_owner(key) {
            Owner::Episode(id) => self.episodes.binary_search(id.as_bytes()).is_ok(),
            Owner::Pattern(id) => self.patterns.binary_search(id.as_bytes()).is_ok(),
            // A bare UUID that names neither has no owner by design.
            Owner::Bare(_) | Owner::None => true,
        };
        if !present {
            self.orphans.push(key.as_bytes(), [0; 16], 0);
        }
    }

    /// Forget the owners once all embeddings were judged.
    pub fn settle(&mut self) {
        self.episodes = Vec::new();
        self.patterns = Vec::new();
    }

    pub fn orphans(&self, limit: usize) -> (usize, Vec<String>) {
        listed(&self.orphans, limit)
    }

    pub fn broken(&self, limit: usize) -> (usize, Vec<String>) {
        listed(&self.broken, limit)
    }

    pub fn most_frequent(&self) -> Option<usize> {
        self.dimensions.iter().max_by_key(|(_, count)| **count).map(|(dimension, _)| *dimension)
    }

    /// Whether some decodable embedding has another dimension; empty ones count as broken already.
    pub fn has_other_than(&self, dimension: usize) -> bool {
        self.dimensions.keys().any(|found| *found != dimension && *found != 0)
    }
}

/// Whether one embedding is broken or not of `dimension`.
pub fn is_bad(value: &[u8], dimension: Option<usize>) -> bool {
    match numbers(value) {
        Some(found) => !usable(found) || dimension.is_some_and(|wanted| wanted * 4 != found.len()),
        None => true,
    }
}

fn listed(keys: &KeyList, limit: usize) -> (usize, Vec<String>) {
    (keys.len(), (0..keys.len().min(limit)).map(|index| keys.key_text(index)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_vectors_are_told() {
        let one = [&[1u8][..], &1f32.to_le_bytes()].concat();
        assert!(!is_bad(&one, Some(1)));
        assert!(is_bad(&one, Some(2)));
        assert!(is_bad(&[0], None));
        assert!(is_bad(&[1, 0, 0, 0, 0], None));
        assert!(is_bad(&[&[1u8][..], &f32::NAN.to_le_bytes()].concat(), None));
        assert!(is_bad(&[0xFF; 12], None));
    }
}
