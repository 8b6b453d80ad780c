//! Patterns; the derived Debug text of `Pattern` is what the primary stores.

use super::{Stamp, Str, TaskContext, F32};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::enum_variant_names, reason = "the name is part of the stored text")]
pub(crate) enum Pattern<'a> {
    ToolSequence {
        id: Uuid,
        #[serde(borrow)]
        tools: Vec<Str<'a>>,
        #[serde(borrow)]
        context: TaskContext<'a>,
        success_rate: F32,
        avg_latency: TimeDelta,
        occurrence_count: usize,
        effectiveness: PatternEffectiveness,
    },
    DecisionPoint {
        id: Uuid,
        #[serde(borrow)]
        condition: Str<'a>,
        #[serde(borrow)]
        action: Str<'a>,
        outcome_stats: OutcomeStats,
        #[serde(borrow)]
        context: TaskContext<'a>,
        effectiveness: PatternEffectiveness,
    },
    ErrorRecovery {
        id: Uuid,
        #[serde(borrow)]
        error_type: Str<'a>,
        #[serde(borrow)]
        recovery_steps: Vec<Str<'a>>,
        success_rate: F32,
        #[serde(borrow)]
        context: TaskContext<'a>,
        effectiveness: PatternEffectiveness,
    },
    ContextPattern {
        id: Uuid,
        #[serde(borrow)]
        context_features: Vec<Str<'a>>,
        #[serde(borrow)]
        recommended_approach: Str<'a>,
        evidence: Vec<Uuid>,
        success_rate: F32,
        effectiveness: PatternEffectiveness,
    },
}

impl Pattern<'_> {
    pub fn id(&self) -> Uuid {
        match self {
            Pattern::ToolSequence { id, .. }
            | Pattern::DecisionPoint { id, .. }
            | Pattern::ErrorRecovery { id, .. }
            | Pattern::ContextPattern { id, .. } => *id,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OutcomeStats {
    pub success_count: usize,
    pub failure_count: usize,
    pub total_count: usize,
    pub avg_duration_secs: F32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PatternEffectiveness {
    pub times_retrieved: usize,
    pub times_applied: usize,
    pub success_when_applied: usize,
    pub failure_when_applied: usize,
    pub avg_reward_delta: F32,
    pub last_used: Stamp,
    pub created_at: Stamp,
}
