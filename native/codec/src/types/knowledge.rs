//! Heuristics, summaries and procedures.

use super::{PatternEffectiveness, Stamp, Str, TaskContext, F32};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Heuristic<'a> {
    pub heuristic_id: Uuid,
    #[serde(borrow)]
    pub condition: Str<'a>,
    #[serde(borrow)]
    pub action: Str<'a>,
    pub confidence: F32,
    pub evidence: Evidence,
    pub created_at: Stamp,
    pub updated_at: Stamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Evidence {
    pub episode_ids: Vec<Uuid>,
    pub success_rate: F32,
    pub sample_size: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EpisodeSummary<'a> {
    pub episode_id: Uuid,
    #[serde(borrow)]
    pub summary_text: Str<'a>,
    #[serde(borrow)]
    pub key_concepts: Vec<Str<'a>>,
    #[serde(borrow)]
    pub key_steps: Vec<Str<'a>>,
    pub summary_embedding: Option<Vec<F32>>,
    pub created_at: Stamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProceduralMemory<'a> {
    pub id: Uuid,
    #[serde(borrow)]
    pub name: Str<'a>,
    #[serde(borrow)]
    pub description: Str<'a>,
    #[serde(borrow)]
    pub context: TaskContext<'a>,
    #[serde(borrow)]
    pub steps: Vec<PlaybookStep<'a>>,
    pub effectiveness: PatternEffectiveness,
    pub source_episodes: Vec<Uuid>,
    pub source_patterns: Vec<Uuid>,
    pub created_at: Stamp,
    pub updated_at: Stamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlaybookStep<'a> {
    pub order: usize,
    #[serde(borrow)]
    pub action: Str<'a>,
    #[serde(borrow)]
    pub tool_hint: Option<Str<'a>>,
    #[serde(borrow)]
    pub expected_result: Option<Str<'a>>,
}
