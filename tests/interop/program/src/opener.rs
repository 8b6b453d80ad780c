//! A do-memory that opens one file again and again while others commit to it.
//!
//! From a line `go` to a line `stop` on standard input it opens, reads, sometimes writes and closes; then it tells what
//! happened in one JSON line. Times are nanoseconds of the machine's monotonic clock.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use do_memory_core::{Episode, Heuristic};
use do_memory_storage_redb::{RedbQuery, RedbStorage};
use serde::Serialize;
use serde_json::Value;

/// In one round, each with a write at most: as many as a run of ours puts up with.
const MOST_OPENS: usize = 1;
const EPISODES: usize = 4;
const LONGEST_GAP_MS: u64 = 100;

#[repr(C)]
#[derive(Default)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

unsafe extern "C" {
    fn clock_gettime(clock: i32, time: *mut Timespec) -> i32;
}

/// `CLOCK_MONOTONIC`, which other processes read too; the standard library's instants cannot be told.
fn now() -> i64 {
    let mut time = Timespec::default();
    // SAFETY: the pointer is to a whole `timespec`, which the call fills.
    unsafe { clock_gettime(1, &mut time) };
    time.seconds * 1_000_000_000 + time.nanoseconds
}

#[derive(Serialize, Default)]
struct Told {
    opened: u64,
    failed: Vec<(i64, i64)>,
    moved: u64,
    /// Heuristics that only the cache has: key to JSON text.
    rows: BTreeMap<String, String>,
    /// Millionths of a second that were given to an episode's start.
    fractions: BTreeMap<String, u64>,
}

struct Opener<'p> {
    path: &'p Path,
    seed: u64,
    number: u64,
    told: Told,
}

impl Opener<'_> {
    /// Pseudo-random and below `limit`.
    fn draw(&mut self, limit: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % limit
    }

    async fn once(&mut self) -> Result<()> {
        let started = now();
        let store = match RedbStorage::new(self.path).await {
            Ok(store) => store,
            Err(error) if error.to_string().contains("already open") => {
                self.told.failed.push((started, now()));
                return Ok(());
            }
            Err(error) => return Err(error).context("the cache cannot be opened"),
        };
        let inode = std::fs::metadata(self.path)?.ino();
        self.told.opened += 1;
        let mut episodes = store.get_all_episodes(&RedbQuery { limit: None }).await?;
        episodes.sort_by_key(|episode| episode.episode_id);
        if self.draw(10) < 7 {
            self.write(&store, &episodes).await?;
        }
        if std::fs::metadata(self.path)?.ino() != inode {
            self.told.moved += 1;
        }
        Ok(())
    }

    async fn write(&mut self, store: &RedbStorage, episodes: &[Episode]) -> Result<()> {
        self.number += 1;
        if self.draw(10) < 3 {
            let heuristic = Heuristic::new(format!("seen {}", self.number), "look".into(), 0.5);
            store.store_heuristic(&heuristic).await?;
            self.told.rows.insert(heuristic.heuristic_id.to_string(), serde_json::to_string(&heuristic)?);
            return Ok(());
        }
        let place = self.draw(EPISODES as u64) as usize;
        let mut fields = serde_json::to_value(episodes.get(place).context("the cache has episodes")?)?;
        let start = fields["start_time"].as_str().context("an episode has a start")?;
        let moved = format!("{}.{:06}Z", start.get(..19).context("a start has seconds")?, self.number);
        fields["start_time"] = Value::String(moved);
        let episode: Episode = serde_json::from_value(fields)?;
        store.store_episode(&episode).await?;
        self.told.fractions.insert(episode.episode_id.to_string(), self.number);
        Ok(())
    }

    /// One round; true when the line that ends it has arrived.
    async fn round(&mut self, lines: &Receiver<String>) -> Result<bool> {
        for _ in 0..MOST_OPENS {
            let gap = Duration::from_millis(self.draw(LONGEST_GAP_MS));
            if lines.recv_timeout(gap).is_ok() {
                return Ok(true);
            }
            self.once().await?;
        }
        Ok(false)
    }
}

pub async fn run(path: &Path, out: &mut impl Write) -> Result<()> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let mut opener = Opener { path, seed: 9, number: 0, told: Told::default() };
    writeln!(out, "\"ready\"")?;
    out.flush()?;
    while let Ok(line) = lines.recv() {
        if line != "go" {
            bail!("go was expected, not {line:?}");
        }
        if !opener.round(&lines).await? {
            lines.recv().context("stop")?;
        }
        writeln!(out, "{}", serde_json::to_string(&std::mem::take(&mut opener.told))?)?;
        out.flush()?;
    }
    Ok(())
}
