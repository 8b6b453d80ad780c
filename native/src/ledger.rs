//! Entries of the ledger: what a proven manifest said about a row, and what we stored for it.

use crate::keys::Digest;

pub const PROVED: u8 = 1;
pub const REFUSED: u8 = 2;
pub const CACHE_ONLY: u8 = 3;
const FIXED: usize = 33;

/// One value of `storage_sync_digest`.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    pub flag: u8,
    /// Digest of the primary's row; zeros for cache-only rows.
    pub source: Digest,
    /// Digest of the stored bytes, of a cache-only row as it was last seen; zeros for rejected rows.
    pub value: Digest,
    /// Source key of a rejected row, which need not be UTF-8.
    pub raw_key: &'a [u8],
}

/// First half of blake3 over stored bytes.
pub fn value_digest(value: &[u8]) -> Digest {
    half(blake3::hash(value))
}

/// The part of a blake3 hash that is kept.
pub fn half(whole: blake3::Hash) -> Digest {
    let mut half = [0; 16];
    half.copy_from_slice(&whole.as_bytes()[..16]);
    half
}

impl<'a> Entry<'a> {
    pub fn proved(source: Digest, value: Digest) -> Self {
        Self { flag: PROVED, source, value, raw_key: &[] }
    }

    pub fn refused(source: Digest, raw_key: &'a [u8]) -> Self {
        Self { flag: REFUSED, source, value: [0; 16], raw_key }
    }

    pub fn cache_only(value: Digest) -> Self {
        Self { flag: CACHE_ONLY, source: [0; 16], value, raw_key: &[] }
    }

    /// Source key of the row that is listed under `key`.
    pub fn source_key<'k>(&self, key: &'k str) -> &'k [u8]
    where
        'a: 'k,
    {
        if self.flag == REFUSED { self.raw_key } else { key.as_bytes() }
    }

    /// Whether the bytes are those that the entry was made of; zeros, as older files have them, tell nothing.
    pub fn is_of(&self, value: &[u8]) -> bool {
        self.value == [0; 16] && self.flag == CACHE_ONLY || value_digest(value) == self.value
    }

    /// None for bytes that are no entry; such a row counts as not listed.
    pub fn decode(data: &'a [u8]) -> Option<Self> {
        let (fixed, raw_key) = data.split_at_checked(FIXED)?;
        let flag = fixed[0];
        if !(PROVED..=CACHE_ONLY).contains(&flag) || (flag != REFUSED && !raw_key.is_empty()) {
            return None;
        }
        Some(Self { flag, source: fixed[1..17].try_into().ok()?, value: fixed[17..].try_into().ok()?, raw_key })
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FIXED + self.raw_key.len());
        out.push(self.flag);
        out.extend_from_slice(&self.source);
        out.extend_from_slice(&self.value);
        out.extend_from_slice(self.raw_key);
        out
    }
}

/// Key of a row in the ledger and in the quarantine.
pub fn ledger_key(table: &str, key: &str) -> String {
    format!("{table}/{key}")
}

/// All ledger keys of `table` are at or above the first and below the second.
pub fn ledger_bounds(table: &str) -> (String, String) {
    (format!("{table}/"), format!("{table}0"))
}

/// Table and key of a ledger key.
pub fn split_ledger_key(text: &str) -> (&str, &str) {
    text.split_once('/').unwrap_or((text, ""))
}

/// The name under which a rejected row is listed: its source key when that is text, else its hex; a doubled
/// row gets its ordinal behind a NUL.
pub fn refused_key(raw: &[u8], ordinal: usize) -> String {
    let base = match std::str::from_utf8(raw) {
        Ok(text) if !text.contains('\0') => text.to_owned(),
        _ => format!("x'{}'", crate::keys::hex_upper(raw)),
    };
    if ordinal == 0 { base } else { format!("{base}\0{ordinal}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back() {
        let entry = Entry::refused([7; 16], b"\xFFkey");
        let bytes = entry.encode();
        let again = Entry::decode(&bytes).expect("an entry");
        assert_eq!((again.flag, again.source, again.raw_key), (REFUSED, [7; 16], b"\xFFkey".as_slice()));
        assert!(Entry::decode(&bytes[..20]).is_none());
        assert!(Entry::decode(&[9; 33]).is_none());
    }
}
