//! Cached values on their own: from and into postcard, as text, as a check, as what single fields say.

use crate::table::Table;
use crate::types::{
    Episode, EpisodePatternRelationship, EpisodeRelationship, EpisodeSummary, Heuristic, Pattern, ProceduralMemory,
    RecommendationFeedback, RecommendationSession, Stamp,
};
use crate::vector;
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// A value or a text that is not what do-memory would write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CodecError(pub String);

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CodecError {}

/// What a cached value is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ValueState {
    /// Decodes whole, and its id is the key.
    Whole,
    Undecodable(String),
    /// Decodes, but holds another id than its key; the id.
    WrongKey(String),
}

/// A cached type: what its key is, and whether the primary can hold all of it.
pub(crate) trait Stored<'a>: Serialize + Deserialize<'a> {
    fn key(&self) -> Uuid;
    fn only_projection(&self) -> bool;
}

/// Run one expression for the cached type of a table other than `embeddings`.
macro_rules! for_type {
    ($table:expr, $type:ident => $body:expr, embeddings => $vector:expr) => {
        for_type!(
            $table, $type => $body, embeddings => $vector;
            Episodes: Episode,
            Summaries: EpisodeSummary,
            Relationships: EpisodeRelationship,
            RecommendationSessions: RecommendationSession,
            RecommendationFeedback: RecommendationFeedback,
            Patterns: Pattern,
            Heuristics: Heuristic,
            Procedural: ProceduralMemory,
            EpisodePatternRelationships: EpisodePatternRelationship,
        )
    };
    (
        $table:expr, $type:ident => $body:expr, embeddings => $vector:expr;
        $($variant:ident: $cached:ident,)+
    ) => {
        match $table {
            $(Table::$variant => {
                type $type<'a> = $cached<'a>;
                $body
            })+
            Table::Embeddings => $vector,
        }
    };
}

/// Decode a whole value.
pub(crate) fn decode<'a, T: Deserialize<'a>>(data: &'a [u8]) -> Result<T, CodecError> {
    match postcard::take_from_bytes::<T>(data) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(CodecError(format!("{} bytes too many", rest.len()))),
        Err(error) => Err(CodecError(error.to_string())),
    }
}

pub(crate) fn encode<T: Serialize>(value: &T, size_hint: usize) -> Result<Vec<u8>, CodecError> {
    postcard::serialize_with_flavor(value, Room(Vec::with_capacity(size_hint)))
        .map_err(|error| CodecError(error.to_string()))
}

/// Where postcard writes: as its own vector, but with room from the start.
struct Room(Vec<u8>);

impl postcard::ser_flavors::Flavor for Room {
    type Output = Vec<u8>;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Vec<u8>> {
        Ok(self.0)
    }
}

fn numbers(data: &[u8]) -> Result<&[u8], CodecError> {
    vector::split(data).map_err(CodecError)
}

fn to_json<T: Serialize>(value: &T) -> Result<String, CodecError> {
    serde_json::to_string(value).map_err(|error| CodecError(error.to_string()))
}

fn from_json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, CodecError> {
    serde_json::from_str(text).map_err(|error| CodecError(error.to_string()))
}

/// serde_json text of a cached value; the whole value must be consumed.
pub fn decode_json(table: Table, data: &[u8]) -> Result<String, CodecError> {
    for_type!(table, Cached => to_json(&decode::<Cached>(data)?),
        embeddings => vector::to_json(numbers(data)?).map_err(CodecError))
}

/// Cache bytes of a value given as serde_json text.
pub fn encode_json(table: Table, text: &str) -> Result<Vec<u8>, CodecError> {
    for_type!(table, Cached => encode(&from_json::<Cached>(text)?, text.len()),
        embeddings => encode(&from_json::<Vec<f32>>(text)?, text.len()))
}

/// Rust Debug text of a cached pattern: what the primary's column `pattern_type` holds.
pub fn pattern_debug(data: &[u8]) -> Result<String, CodecError> {
    decode::<Pattern>(data).map(|pattern| format!("{pattern:?}"))
}

/// Whether a value decodes whole and belongs to its key.
pub fn check_value(table: Table, key: &str, data: &[u8]) -> ValueState {
    fn state<'a, T: Stored<'a>>(key: &str, data: &'a [u8]) -> ValueState {
        let id = match decode::<T>(data) {
            Ok(value) => value.key(),
            Err(error) => return ValueState::Undecodable(error.0),
        };
        let mut buffer = Uuid::encode_buffer();
        let id = id.hyphenated().encode_lower(&mut buffer);
        if id == key {
            ValueState::Whole
        } else {
            ValueState::WrongKey(id.to_owned())
        }
    }

    for_type!(table, Cached => state::<Cached>(key, data), embeddings => match numbers(data) {
        Ok(_) => ValueState::Whole,
        Err(error) => ValueState::Undecodable(error.0),
    })
}

/// Whether the value holds nothing that the primary cannot hold, so that it could be rebuilt from it.
pub fn only_projection(table: Table, data: &[u8]) -> Result<bool, CodecError> {
    for_type!(table, Cached => decode::<Cached>(data).map(|value| value.only_projection()),
        embeddings => numbers(data).map(|_| true))
}

/// Episode id, session id, seconds and nanoseconds of a cached recommendation session.
pub fn session_stamp(data: &[u8]) -> Result<(String, String, i64, u32), CodecError> {
    let session: RecommendationSession = decode(data)?;
    let time = session.timestamp;
    Ok((session.episode_id.to_string(), session.session_id.to_string(), time.seconds(), time.nanos()))
}

/// Whether the value of a row of this table says what the row belongs to; else `belongs_to` says nothing of it.
pub fn names_others(table: Table) -> bool {
    use Table::{EpisodePatternRelationships, Episodes, RecommendationSessions, Relationships};
    matches!(table, Episodes | Relationships | EpisodePatternRelationships | RecommendationSessions)
}

/// What a cached row hangs on: of an episode the second at which it began, of a link its two ends, of a session its
/// episode; empty where the key says it or there is nothing.
pub fn belongs_to(table: Table, data: &[u8]) -> Result<(String, String), CodecError> {
    Ok(match table {
        Table::Episodes => (decode::<Episode>(data)?.start_time.seconds().to_string(), String::new()),
        Table::Relationships => {
            let link: EpisodeRelationship = decode(data)?;
            (link.from_episode_id.to_string(), link.to_episode_id.to_string())
        }
        Table::EpisodePatternRelationships => {
            let link: EpisodePatternRelationship = decode(data)?;
            (link.episode_id.to_string(), link.pattern_id.to_string())
        }
        Table::RecommendationSessions => {
            let session: RecommendationSession = decode(data)?;
            (session.episode_id.to_string(), String::new())
        }
        _ => (String::new(), String::new()),
    })
}

/// The numbers of a cached embedding.
pub fn embedding_values(data: &[u8]) -> Result<Vec<f32>, CodecError> {
    Ok(vector::floats(numbers(data)?).collect())
}

fn whole(time: Stamp) -> bool {
    time.nanos() == 0
}

impl<'a> Stored<'a> for Episode<'a> {
    fn key(&self) -> Uuid {
        self.episode_id
    }

    fn only_projection(&self) -> bool {
        self.applied_patterns.is_empty()
            && self.salient_features.is_none()
            && whole(self.start_time)
            && self.end_time.is_none_or(whole)
            && self.tags.is_sorted_by(|a, b| a < b)
    }
}

impl<'a> Stored<'a> for EpisodeSummary<'a> {
    fn key(&self) -> Uuid {
        self.episode_id
    }

    fn only_projection(&self) -> bool {
        self.created_at == Stamp::UNIX_EPOCH
    }
}

impl<'a> Stored<'a> for EpisodeRelationship<'a> {
    fn key(&self) -> Uuid {
        self.id
    }

    fn only_projection(&self) -> bool {
        whole(self.created_at)
    }
}

impl<'a> Stored<'a> for EpisodePatternRelationship<'a> {
    fn key(&self) -> Uuid {
        self.id
    }

    fn only_projection(&self) -> bool {
        let local = &self.metadata;
        whole(self.created_at) && local.reason.is_none() && local.created_by.is_none() && local.priority.is_none()
    }
}

impl<'a> Stored<'a> for RecommendationSession<'a> {
    fn key(&self) -> Uuid {
        self.session_id
    }

    fn only_projection(&self) -> bool {
        true
    }
}

impl<'a> Stored<'a> for RecommendationFeedback<'a> {
    fn key(&self) -> Uuid {
        self.session_id
    }

    fn only_projection(&self) -> bool {
        true
    }
}

impl<'a> Stored<'a> for Pattern<'a> {
    fn key(&self) -> Uuid {
        self.id()
    }

    fn only_projection(&self) -> bool {
        true
    }
}

impl<'a> Stored<'a> for Heuristic<'a> {
    fn key(&self) -> Uuid {
        self.heuristic_id
    }

    fn only_projection(&self) -> bool {
        whole(self.created_at) && whole(self.updated_at)
    }
}

impl<'a> Stored<'a> for ProceduralMemory<'a> {
    fn key(&self) -> Uuid {
        self.id
    }

    fn only_projection(&self) -> bool {
        whole(self.created_at) && whole(self.updated_at)
    }
}
