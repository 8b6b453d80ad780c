//! What do-memory itself reads, as JSON lines `{"table", "key", "value"}` with the names of the cache.
//!
//! `interop cache FILE`: every row of a redb file, through `RedbStorage`; a pattern gives a second line of the
//! table `pattern_dumps` with its Debug text. `interop primary FILE`: rows of a libSQL file, through `TursoStorage`.
//! `interop write FILE`: store one episode in a redb file, open it again and read the episode back.
//! `interop opener FILE`: race for the file, as `tests/faults/racers.py` describes it (see `opener.rs`).
//! `interop each|own-sync PRIMARY FILE`: fill a redb file from a libSQL file (see `instead.rs`).

mod instead;
mod opener;

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use do_memory_core::{ComplexityLevel, Episode, StorageBackend, TaskContext, TaskType};
use do_memory_storage_redb::{RedbQuery, RedbStorage};
use do_memory_storage_turso::TursoStorage;
use serde::Serialize;
use uuid::Uuid;

const EVERY: RedbQuery = RedbQuery { limit: None };

fn line(out: &mut impl Write, table: &str, key: impl ToString, value: &impl Serialize) -> Result<()> {
    let row = serde_json::json!({"table": table, "key": key.to_string(), "value": value});
    writeln!(out, "{row}").context("standard output")
}

async fn cache(path: &Path, out: &mut impl Write) -> Result<()> {
    let store = RedbStorage::new(path).await?;
    let episodes = store.get_all_episodes(&EVERY).await?;
    for episode in &episodes {
        let id = episode.episode_id;
        line(out, "episodes", id, episode)?;
        if let Some(summary) = store.get_episode_summary(id).await? {
            line(out, "summaries", id, &summary)?;
        }
        for link in store.get_episode_pattern_relationships(id).await? {
            line(out, "episode_pattern_relationships", link.id, &link)?;
        }
        if let Some(session) = store.get_recommendation_session_for_episode(id).await? {
            line(out, "recommendation_episode_index", id, &session.session_id)?;
        }
    }
    for relationship in store.get_all_relationships().await? {
        line(out, "relationships", relationship.id, &relationship)?;
    }
    for pattern in store.get_all_patterns(&EVERY).await? {
        line(out, "patterns", pattern.id(), &pattern)?;
        line(out, "pattern_dumps", pattern.id(), &format!("{pattern:?}"))?;
    }
    for heuristic in store.get_all_heuristics(&EVERY).await? {
        line(out, "heuristics", heuristic.heuristic_id, &heuristic)?;
    }
    for procedural in store.query_procedural(None).await? {
        line(out, "procedural", procedural.id, &procedural)?;
    }
    for session in store.list_recommendation_sessions().await? {
        line(out, "recommendation_sessions", session.session_id, &session)?;
    }
    for feedback in store.list_recommendation_feedback().await? {
        line(out, "recommendation_feedback", feedback.session_id, &feedback)?;
    }
    for key in store.list_embedding_ids().await? {
        let vector = store.get_embedding(&key).await?.context("a listed embedding is there")?;
        line(out, "embeddings", key, &vector)?;
    }
    Ok(())
}

async fn ids(store: &TursoStorage, sql: &str) -> Result<Vec<Uuid>> {
    let connection = store.get_connection().await?;
    let mut rows = connection.query(sql, ()).await?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().await? {
        found.push(row.get::<String>(0)?.parse()?);
    }
    Ok(found)
}

async fn primary(path: &Path, out: &mut impl Write) -> Result<()> {
    let store = TursoStorage::new_local(path).await?;
    for id in ids(&store, "SELECT episode_id FROM episodes").await? {
        let episode = store.get_episode(id).await?.context("a listed episode is there")?;
        line(out, "episodes", id, &episode)?;
    }
    for id in ids(&store, "SELECT heuristic_id FROM heuristics").await? {
        line(out, "heuristics", id, &store.get_heuristic(id).await?)?;
    }
    for id in ids(&store, "SELECT procedural_id FROM procedural_memory").await? {
        line(out, "procedural", id, &store.get_procedural(id).await?)?;
    }
    for id in ids(&store, "SELECT relationship_id FROM episode_relationships").await? {
        line(out, "relationships", id, &store.get_relationship_by_id(id).await?)?;
    }
    for id in ids(&store, "SELECT session_id FROM recommendation_sessions").await? {
        line(out, "recommendation_sessions", id, &store.get_recommendation_session(id).await?)?;
    }
    for id in ids(&store, "SELECT session_id FROM recommendation_feedback").await? {
        line(out, "recommendation_feedback", id, &store.get_recommendation_feedback(id).await?)?;
    }
    Ok(())
}

async fn write(path: &Path, out: &mut impl Write) -> Result<()> {
    let context = TaskContext {
        language: Some("rust".into()),
        framework: None,
        complexity: ComplexityLevel::Simple,
        domain: "interop".into(),
        tags: vec!["written-by-do-memory".into()],
    };
    let episode = Episode::new("Written by do-memory beside our ledger".into(), context, TaskType::Testing);
    {
        let store = RedbStorage::new(path).await?;
        store.store_episode(&episode).await?;
    }
    let store = RedbStorage::new(path).await?;
    let read = store.get_episode(episode.episode_id).await?.context("the stored episode is there")?;
    ensure!(serde_json::to_value(&read)? == serde_json::to_value(&episode)?, "the episode read back differs");
    line(out, "episodes", read.episode_id, &read)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["cache", path] => cache(Path::new(path), &mut out).await?,
        ["primary", path] => primary(Path::new(path), &mut out).await?,
        ["write", path] => write(Path::new(path), &mut out).await?,
        ["each", from, path] => instead::each(Path::new(from), Path::new(path), &mut out).await?,
        ["own-sync", from, path] => instead::own_sync(Path::new(from), Path::new(path), &mut out).await?,
        ["opener", path] => opener::run(Path::new(path), &mut out).await?,
        _ => bail!("usage: interop cache|primary|write|opener FILE | each|own-sync PRIMARY FILE"),
    }
    out.flush().context("standard output")
}
