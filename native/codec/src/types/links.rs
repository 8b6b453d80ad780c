//! Relationships and recommendations.

use super::{Map, Stamp, Str, TaskOutcome, F32};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EpisodeRelationship<'a> {
    pub id: Uuid,
    pub from_episode_id: Uuid,
    pub to_episode_id: Uuid,
    pub relationship_type: RelationshipType,
    #[serde(borrow)]
    pub metadata: RelationshipMetadata<'a>,
    pub created_at: Stamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EpisodePatternRelationship<'a> {
    pub id: Uuid,
    pub episode_id: Uuid,
    pub pattern_id: Uuid,
    pub relationship_type: RelationshipType,
    #[serde(borrow)]
    pub metadata: RelationshipMetadata<'a>,
    pub created_at: Stamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RelationshipType {
    ParentChild,
    DependsOn,
    Follows,
    RelatedTo,
    Blocks,
    Duplicates,
    References,
}

impl RelationshipType {
    pub fn from_column(text: &str) -> Option<RelationshipType> {
        Some(match text {
            "parent_child" => RelationshipType::ParentChild,
            "depends_on" => RelationshipType::DependsOn,
            "follows" => RelationshipType::Follows,
            "related_to" => RelationshipType::RelatedTo,
            "blocks" => RelationshipType::Blocks,
            "duplicates" => RelationshipType::Duplicates,
            "references" => RelationshipType::References,
            _ => return None,
        })
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RelationshipMetadata<'a> {
    #[serde(borrow)]
    pub reason: Option<Str<'a>>,
    #[serde(borrow)]
    pub created_by: Option<Str<'a>>,
    pub priority: Option<u8>,
    pub weight: Option<F32>,
    #[serde(borrow, default)]
    pub custom_fields: Map<'a>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RecommendationSession<'a> {
    pub session_id: Uuid,
    pub episode_id: Uuid,
    pub timestamp: Stamp,
    #[serde(borrow)]
    pub recommended_pattern_ids: Vec<Str<'a>>,
    pub recommended_playbook_ids: Vec<Uuid>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RecommendationFeedback<'a> {
    pub session_id: Uuid,
    #[serde(borrow)]
    pub applied_pattern_ids: Vec<Str<'a>>,
    pub consulted_episode_ids: Vec<Uuid>,
    #[serde(borrow)]
    pub outcome: TaskOutcome<'a>,
    pub agent_rating: Option<F32>,
}
