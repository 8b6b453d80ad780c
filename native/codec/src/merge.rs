//! From a row of the primary and the cached value to the value to write (docs/projection.md#merge).
//!
//! Each table's row becomes its cached type with neutral values where the primary holds nothing, then takes from the
//! cached value what the primary cannot hold. When the two are equal after that, they are equal by projection.

use crate::cached_value::{decode, encode, Stored};
use crate::columns::{Columns, Fits, Refusal};
use crate::debug;
use crate::key::source_key;
use crate::legacy;
use crate::payload;
use crate::source_row::SourceRow;
use crate::table::Table;
use crate::types::{
    Episode, EpisodePatternRelationship, EpisodeRelationship, EpisodeSummary, Heuristic, Pattern, ProceduralMemory,
    RecommendationFeedback, RecommendationSession, RelationshipMetadata, RelationshipType, Stamp, Str, TaskType, F32,
};
use crate::vector;
use std::borrow::Cow;
use std::collections::HashSet;
use uuid::Uuid;

/// What a row becomes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Merged {
    /// Cache key.
    pub key: String,
    /// None: the cached row is equal by projection, its bytes stay.
    pub value: Option<Vec<u8>>,
    /// The cached row held what the primary cannot hold and the new bytes do not; also when it does not decode.
    pub lost_local: bool,
    /// The column that an old do-memory wrote in a form that a newer one cannot read; read here anyway.
    pub legacy: Option<&'static str>,
}

/// Decode a row, merge it with what the cache holds, encode it.
pub fn merge(row: &SourceRow, cached: Option<&[u8]>) -> Result<Merged, Refusal> {
    let columns = Columns::of(row)?;
    match row.table {
        Table::Episodes => episode(columns, cached),
        Table::Summaries => finish(columns, summary(columns)?, cached),
        Table::Relationships => finish(columns, relationship(columns)?, cached),
        Table::RecommendationSessions => finish(columns, session(columns)?, cached),
        Table::RecommendationFeedback => finish(columns, feedback(columns)?, cached),
        Table::Patterns => pattern(columns, cached),
        Table::Heuristics => finish(columns, heuristic(columns)?, cached),
        Table::Procedural => finish(columns, procedural(columns)?, cached),
        Table::EpisodePatternRelationships => finish(columns, pattern_link(columns)?, cached),
        Table::Embeddings => embedding(columns, row, cached),
    }
}

/// A cached type that takes over what the primary cannot hold.
trait Merge<'a>: Stored<'a> + PartialEq {
    /// Take from the cached value what the primary cannot hold. Returns whether some of that had to be given up.
    fn adopt(&mut self, cached: &Self) -> bool;
}

fn finish<'a, T: Merge<'a>>(columns: Columns<'_>, mut value: T, cached: Option<&'a [u8]>) -> Fits<Merged> {
    let id = value.key();
    let mut lost_local = false;
    if let Some(data) = cached {
        match decode::<T>(data) {
            Ok(old) if old.key() == id => {
                lost_local = value.adopt(&old);
                if !lost_local && value == old {
                    return Ok(Merged { key: id.to_string(), value: None, lost_local, legacy: None });
                }
            }
            _ => lost_local = true,
        }
    }
    let data = encode(&value, columns.size()).or_else(|error| columns.refuse(0, error.0))?;
    Ok(Merged { key: id.to_string(), value: Some(data), lost_local, legacy: None })
}

/// Keep the fraction of a cached time when the whole seconds are equal. Returns whether a fraction was given up.
fn adopt_fraction(time: &mut Stamp, cached: Stamp) -> bool {
    if time.seconds() == cached.seconds() {
        *time = cached;
        return false;
    }
    cached.nanos() != 0
}

fn episode<'a>(columns: Columns<'a>, cached: Option<&'a [u8]>) -> Fits<Merged> {
    let (patterns, heuristics, metadata) = (columns.expanded(10)?, columns.expanded(11)?, columns.expanded(13)?);
    let (steps, old_steps) = legacy::steps(columns, 6)?;
    let (reward, old_reward) = legacy::reward(columns, 8)?;
    let value = Episode {
        episode_id: columns.uuid(0)?,
        task_type: match TaskType::from_column(columns.text(1)?) {
            Some(task_type) => task_type,
            None => return columns.refuse(1, "not a task type"),
        },
        task_description: columns.string(2)?,
        context: columns.json(3)?,
        start_time: columns.time(4)?,
        end_time: columns.optional_time(5)?,
        steps,
        outcome: columns.optional_json(7)?,
        reward,
        reflection: columns.optional_json(9)?,
        patterns: columns.parse(10, &patterns)?,
        heuristics: columns.parse(11, &heuristics)?,
        applied_patterns: Vec::new(),
        salient_features: None,
        metadata: columns.parse(13, &metadata)?,
        tags: columns.tags()?,
        checkpoints: columns.json(12)?,
    };
    let legacy = if old_steps {
        Some("steps")
    } else if old_reward {
        Some("reward")
    } else {
        None
    };
    // The lifetimes of value and cached bytes meet here, at the shortest of what both borrow from.
    let merged = finish::<Episode<'_>>(columns, value, cached)?;
    Ok(Merged { legacy, ..merged })
}

impl<'a> Merge<'a> for Episode<'a> {
    fn adopt(&mut self, cached: &Self) -> bool {
        self.applied_patterns.clone_from(&cached.applied_patterns);
        self.salient_features.clone_from(&cached.salient_features);
        let mut lost = adopt_fraction(&mut self.start_time, cached.start_time);
        lost |= match (&mut self.end_time, cached.end_time) {
            (Some(end), Some(cached)) => adopt_fraction(end, cached),
            (None, Some(cached)) => cached.nanos() != 0,
            (_, None) => false,
        };
        if same_set(&self.tags, &cached.tags) {
            self.tags.clone_from(&cached.tags);
        } else {
            lost |= !cached.tags.is_sorted();
        }
        lost
    }
}

fn same_set(tags: &[Str], others: &[Str]) -> bool {
    if tags == others {
        return true;
    }
    let tags: HashSet<&str> = tags.iter().map(|tag| &**tag).collect();
    let others: HashSet<&str> = others.iter().map(|tag| &**tag).collect();
    tags == others
}

fn summary(columns: Columns<'_>) -> Fits<EpisodeSummary<'_>> {
    let summary_embedding = match columns.optional_blob(4)? {
        None => None,
        Some(bytes) if bytes.len() % 4 == 0 => Some(vector::floats(bytes).map(F32).collect()),
        Some(bytes) => return columns.refuse(4, format!("{} bytes are no whole number of f32", bytes.len())),
    };
    Ok(EpisodeSummary {
        episode_id: columns.uuid(0)?,
        summary_text: columns.string(1)?,
        key_concepts: columns.json(2)?,
        key_steps: columns.json(3)?,
        summary_embedding,
        created_at: Stamp::UNIX_EPOCH,
    })
}

impl<'a> Merge<'a> for EpisodeSummary<'a> {
    fn adopt(&mut self, cached: &Self) -> bool {
        self.created_at = cached.created_at;
        false
    }
}

fn link_type(columns: Columns<'_>, at: usize) -> Fits<RelationshipType> {
    match RelationshipType::from_column(columns.text(at)?) {
        Some(kind) => Ok(kind),
        None => columns.refuse(at, "not a type of relationship"),
    }
}

fn relationship(columns: Columns<'_>) -> Fits<EpisodeRelationship<'_>> {
    Ok(EpisodeRelationship {
        id: columns.uuid(0)?,
        from_episode_id: columns.uuid(1)?,
        to_episode_id: columns.uuid(2)?,
        relationship_type: link_type(columns, 3)?,
        metadata: RelationshipMetadata {
            reason: columns.optional_string(4)?,
            created_by: columns.optional_string(5)?,
            priority: columns.optional_byte(6)?,
            weight: columns.optional_real(7)?,
            custom_fields: columns.json(8)?,
        },
        created_at: columns.time(9)?,
    })
}

impl<'a> Merge<'a> for EpisodeRelationship<'a> {
    fn adopt(&mut self, cached: &Self) -> bool {
        adopt_fraction(&mut self.created_at, cached.created_at)
    }
}

fn pattern_link(columns: Columns<'_>) -> Fits<EpisodePatternRelationship<'_>> {
    Ok(EpisodePatternRelationship {
        id: columns.uuid(0)?,
        episode_id: columns.uuid(1)?,
        pattern_id: columns.uuid(2)?,
        relationship_type: link_type(columns, 3)?,
        metadata: RelationshipMetadata {
            reason: None,
            created_by: None,
            priority: None,
            weight: columns.optional_real(4)?,
            custom_fields: columns.json(5)?,
        },
        created_at: columns.time(6)?,
    })
}

impl<'a> Merge<'a> for EpisodePatternRelationship<'a> {
    fn adopt(&mut self, cached: &Self) -> bool {
        self.metadata.reason.clone_from(&cached.metadata.reason);
        self.metadata.created_by.clone_from(&cached.metadata.created_by);
        self.metadata.priority = cached.metadata.priority;
        adopt_fraction(&mut self.created_at, cached.created_at)
    }
}

fn same_id(columns: Columns<'_>, at: usize, inside: Uuid) -> Fits<()> {
    if columns.uuid(at)? == inside {
        return Ok(());
    }
    columns.refuse(at, format!("the payload holds another id, {inside}"))
}

fn session(columns: Columns<'_>) -> Fits<RecommendationSession<'_>> {
    columns.uuid(0)?;
    let session: RecommendationSession = columns.json(2)?;
    same_id(columns, 0, session.session_id)?;
    same_id(columns, 1, session.episode_id)?;
    Ok(session)
}

impl<'a> Merge<'a> for RecommendationSession<'a> {
    fn adopt(&mut self, _cached: &Self) -> bool {
        false
    }
}

fn feedback(columns: Columns<'_>) -> Fits<RecommendationFeedback<'_>> {
    columns.uuid(0)?;
    let feedback: RecommendationFeedback = columns.json(1)?;
    same_id(columns, 0, feedback.session_id)?;
    Ok(feedback)
}

impl<'a> Merge<'a> for RecommendationFeedback<'a> {
    fn adopt(&mut self, _cached: &Self) -> bool {
        false
    }
}

/// Patterns are equal when the cached one prints as the column, so nothing is parsed when nothing changed.
fn pattern(columns: Columns<'_>, cached: Option<&[u8]>) -> Fits<Merged> {
    let id = columns.uuid(0)?;
    let text = columns.text(1)?;
    let mut lost_local = false;
    if let Some(data) = cached {
        match decode::<Pattern>(data) {
            Ok(old) if old.id() == id => {
                if debug::prints_as(&old, text) {
                    return Ok(Merged { key: id.to_string(), value: None, lost_local, legacy: None });
                }
            }
            _ => lost_local = true,
        }
    }
    let pattern = debug::parse_pattern(text)
        .or_else(|reason| columns.refuse(1, format!("not the Debug text of a pattern: {reason}")))?;
    same_id(columns, 0, pattern.id())?;
    let data = encode(&pattern, columns.size()).or_else(|error| columns.refuse(1, error.0))?;
    Ok(Merged { key: id.to_string(), value: Some(data), lost_local, legacy: None })
}

fn heuristic(columns: Columns<'_>) -> Fits<Heuristic<'_>> {
    Ok(Heuristic {
        heuristic_id: columns.uuid(0)?,
        condition: columns.string(1)?,
        action: columns.string(2)?,
        confidence: columns.real(3)?,
        evidence: columns.json(4)?,
        created_at: columns.time(5)?,
        updated_at: columns.time(6)?,
    })
}

impl<'a> Merge<'a> for Heuristic<'a> {
    fn adopt(&mut self, cached: &Self) -> bool {
        let created = adopt_fraction(&mut self.created_at, cached.created_at);
        adopt_fraction(&mut self.updated_at, cached.updated_at) || created
    }
}

fn procedural(columns: Columns<'_>) -> Fits<ProceduralMemory<'_>> {
    Ok(ProceduralMemory {
        id: columns.uuid(0)?,
        name: columns.string(1)?,
        description: columns.string(2)?,
        context: columns.json(3)?,
        steps: columns.json(4)?,
        effectiveness: columns.json(5)?,
        source_episodes: columns.json(6)?,
        source_patterns: columns.json(7)?,
        created_at: columns.time(8)?,
        updated_at: columns.time(9)?,
    })
}

impl<'a> Merge<'a> for ProceduralMemory<'a> {
    fn adopt(&mut self, cached: &Self) -> bool {
        let created = adopt_fraction(&mut self.created_at, cached.created_at);
        adopt_fraction(&mut self.updated_at, cached.updated_at) || created
    }
}

fn embedding(columns: Columns<'_>, row: &SourceRow, cached: Option<&[u8]>) -> Fits<Merged> {
    if columns.text(0)?.contains('\0') {
        return columns.refuse(0, "a zero byte in a key");
    }
    match columns.text(1)? {
        "episode" | "pattern" | "embedding" => {}
        other => return columns.refuse(1, format!("unknown kind of item `{other}`")),
    }
    let numbers = embedding_numbers(columns)?;
    let count = numbers.len() / 4;
    if count == 0 {
        return columns.refuse(2, "an embedding without numbers");
    }
    let dimension = columns.integer(4)?;
    if usize::try_from(dimension) != Ok(count) {
        return columns.refuse(4, format!("dimension {dimension}, but {count} numbers"));
    }
    if columns.optional_blob(3)?.is_some_and(|blob| *blob != *numbers) {
        return columns.refuse(3, "the vector differs from the JSON text");
    }
    let data = vector::encode(&numbers);
    if data.len() > vector::MAX_EMBEDDING_SIZE {
        let reason = format!("{} bytes encoded, more than do-memory's {}", data.len(), vector::MAX_EMBEDDING_SIZE);
        return columns.refuse(2, reason);
    }
    let Ok(key) = String::from_utf8(source_key(row)) else {
        return columns.refuse(0, "text that is not UTF-8");
    };
    let equal = cached == Some(data.as_slice());
    Ok(Merged { key, value: (!equal).then_some(data), lost_local: false, legacy: None })
}

/// Little-endian bytes of the numbers, all finite.
fn embedding_numbers(columns: Columns<'_>) -> Fits<Cow<'_, [u8]>> {
    let text = columns.text(2)?;
    let numbers = match payload::expand(text, vector::MAX_EMBEDDING_SIZE) {
        None => vector::from_json(text).or_else(|reason| columns.refuse(2, reason))?,
        Some(Err(reason)) => return columns.refuse(2, reason),
        Some(Ok(bytes)) if bytes.len() % 4 != 0 => {
            return columns
                .refuse(2, format!("compressed payload of {} bytes is not a whole number of f32 values", bytes.len()))
        }
        Some(Ok(bytes)) => bytes,
    };
    if let Some(at) = vector::floats(&numbers).position(|number| !number.is_finite()) {
        return columns.refuse(2, format!("element {at} is not finite"));
    }
    Ok(Cow::Owned(numbers))
}
