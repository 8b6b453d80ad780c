//! What a user of do-memory's crates would do instead of a sync: each row by itself, or do-memory's own sync.
//!
//! Both print one JSON line `{"read_s", "write_s", "rows"}`; do-memory's own sync reads while it writes.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use do_memory_core::{StorageBackend, StorageSynchronizer};
use do_memory_storage_redb::RedbStorage;
use do_memory_storage_turso::TursoStorage;

use crate::ids;

fn say(out: &mut impl Write, read_s: f64, write_s: f64, rows: usize) -> Result<()> {
    writeln!(out, "{}", serde_json::json!({"read_s": read_s, "write_s": write_s, "rows": rows}))
        .context("standard output")
}

/// Read all that the crates can read of the primary, then store row by row, a transaction each.
pub async fn each(primary: &Path, cache: &Path, out: &mut impl Write) -> Result<()> {
    let began = Instant::now();
    let source = TursoStorage::new_local(primary).await?;
    let mut episodes = Vec::new();
    let mut summaries = Vec::new();
    for id in ids(&source, "SELECT episode_id FROM episodes").await? {
        episodes.extend(source.get_episode(id).await?);
        summaries.extend(source.get_summary(id).await?);
    }
    let mut heuristics = Vec::new();
    for id in ids(&source, "SELECT heuristic_id FROM heuristics").await? {
        heuristics.extend(source.get_heuristic(id).await?);
    }
    let mut procedural = Vec::new();
    for id in ids(&source, "SELECT procedural_id FROM procedural_memory").await? {
        procedural.extend(source.get_procedural(id).await?);
    }
    let patterns = source.get_all_patterns().await?;
    let relationships = source.get_all_relationships().await?;
    let sessions = source.list_recommendation_sessions().await?;
    let feedback = source.list_recommendation_feedback().await?;
    let mut embeddings: Vec<(String, Vec<f32>)> = Vec::new();
    for key in source.list_embedding_ids().await? {
        if let Some(vector) = source.get_embedding(&key).await? {
            embeddings.push((key, vector));
        }
    }
    let read_s = began.elapsed().as_secs_f64();

    let began = Instant::now();
    let target = RedbStorage::new(cache).await?;
    for row in &episodes {
        target.store_episode(row).await?;
    }
    for row in &summaries {
        target.store_episode_summary(row).await?;
    }
    for row in &patterns {
        target.store_pattern(row).await?;
    }
    for row in &heuristics {
        target.store_heuristic(row).await?;
    }
    for row in &procedural {
        target.store_procedural(row).await?;
    }
    for row in &relationships {
        target.store_relationship(row).await?;
    }
    for row in &sessions {
        target.store_recommendation_session(row).await?;
    }
    for row in &feedback {
        target.store_recommendation_feedback(row).await?;
    }
    for (key, vector) in &embeddings {
        target.store_embedding(key, vector.clone()).await?;
    }
    let rows = episodes.len() + summaries.len() + patterns.len() + heuristics.len() + procedural.len();
    let rows = rows + relationships.len() + sessions.len() + feedback.len() + embeddings.len();
    drop(target);
    say(out, read_s, began.elapsed().as_secs_f64(), rows)
}

/// `StorageSynchronizer::sync_all_recent_episodes`, from the beginning of time; it notes in the primary how far it came.
pub async fn own_sync(primary: &Path, cache: &Path, out: &mut impl Write) -> Result<()> {
    let source = Arc::new(TursoStorage::new_local(primary).await?);
    source.initialize_schema().await?;
    let began = Instant::now();
    let target = Arc::new(RedbStorage::new(cache).await?);
    let sync = StorageSynchronizer::new(source, target);
    let stats = sync.sync_all_recent_episodes(std::time::UNIX_EPOCH.into()).await?;
    drop(sync);
    say(out, 0.0, began.elapsed().as_secs_f64(), stats.episodes_synced)
}
