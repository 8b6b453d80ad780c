//! The derived table: each episode's newest recommendation session, as do-memory 0.1.47 rebuilds it at every open.

use crate::errors::Outcome;
use redb::ReadableTable;
use std::collections::BTreeMap;
use storage_sync_codec::session_stamp;

/// Newest session of each episode, by (time, session id), among those seen.
#[derive(Default)]
pub struct Newest {
    sessions: BTreeMap<String, (i64, u32, String)>,
}

/// Where an index is not what the sessions say.
#[derive(Default)]
pub struct Difference {
    /// Entries of the index.
    pub rows: u64,
    /// Episodes that it names and that have no session.
    pub stale: Vec<String>,
    /// Episodes that it lacks or names with another session, and the right one.
    pub wrong: BTreeMap<String, String>,
}

impl Newest {
    /// One stored session. One that does not decode is reported elsewhere; it can be nobody's newest.
    pub fn see(&mut self, value: &[u8]) {
        let Ok((episode, session, seconds, nanos)) = session_stamp(value) else { return };
        let stamp = (seconds, nanos, session);
        match self.sessions.get_mut(&episode) {
            Some(best) if *best >= stamp => {}
            Some(best) => *best = stamp,
            None => {
                self.sessions.insert(episode, stamp);
            }
        }
    }

    /// Compare the index of the file with these sessions.
    pub fn against(mut self, index: Option<&impl ReadableTable<&'static str, &'static str>>) -> Outcome<Difference> {
        let mut found = Difference::default();
        if let Some(index) = index {
            for row in index.iter()? {
                let (episode, session) = row?;
                found.rows += 1;
                match self.sessions.get(episode.value()) {
                    Some(best) if best.2 == session.value() => {
                        self.sessions.remove(episode.value());
                    }
                    Some(_) => {}
                    None => found.stale.push(episode.value().to_owned()),
                }
            }
        }
        found.wrong = self.sessions.into_iter().map(|(episode, (_, _, session))| (episode, session)).collect();
        Ok(found)
    }
}

impl Difference {
    pub fn count(&self) -> u64 {
        (self.stale.len() + self.wrong.len()) as u64
    }

    /// The first `limit` episodes in order.
    pub fn keys(&self, limit: usize) -> Vec<String> {
        let mut keys: Vec<&String> = self.stale.iter().chain(self.wrong.keys()).collect();
        keys.sort_unstable();
        keys.into_iter().take(limit).cloned().collect()
    }
}
