//! Episodes and what they are made of (docs/formats.md#values).

use super::{Map, Stamp, Str, F32};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Episode<'a> {
    pub episode_id: Uuid,
    pub task_type: TaskType,
    #[serde(borrow)]
    pub task_description: Str<'a>,
    #[serde(borrow)]
    pub context: TaskContext<'a>,
    pub start_time: Stamp,
    pub end_time: Option<Stamp>,
    #[serde(borrow)]
    pub steps: Vec<ExecutionStep<'a>>,
    #[serde(borrow)]
    pub outcome: Option<TaskOutcome<'a>>,
    pub reward: Option<RewardScore>,
    #[serde(borrow)]
    pub reflection: Option<Reflection<'a>>,
    pub patterns: Vec<Uuid>,
    pub heuristics: Vec<Uuid>,
    #[serde(borrow, default)]
    pub applied_patterns: Vec<PatternApplication<'a>>,
    #[serde(borrow, default)]
    pub salient_features: Option<SalientFeatures<'a>>,
    #[serde(borrow)]
    pub metadata: Map<'a>,
    #[serde(borrow, default)]
    pub tags: Vec<Str<'a>>,
    #[serde(borrow, default)]
    pub checkpoints: Vec<CheckpointMeta<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TaskType {
    CodeGeneration,
    Debugging,
    Refactoring,
    Testing,
    Analysis,
    Documentation,
    Other,
}

impl TaskType {
    /// From the text of the column, which is not the text in JSON.
    pub fn from_column(text: &str) -> Option<TaskType> {
        Some(match text {
            "code_generation" => TaskType::CodeGeneration,
            "debugging" => TaskType::Debugging,
            "refactoring" => TaskType::Refactoring,
            "testing" => TaskType::Testing,
            "analysis" => TaskType::Analysis,
            "documentation" => TaskType::Documentation,
            "other" => TaskType::Other,
            _ => return None,
        })
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TaskContext<'a> {
    #[serde(borrow)]
    pub language: Option<Str<'a>>,
    #[serde(borrow)]
    pub framework: Option<Str<'a>>,
    pub complexity: ComplexityLevel,
    #[serde(borrow)]
    pub domain: Str<'a>,
    #[serde(borrow)]
    pub tags: Vec<Str<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ComplexityLevel {
    Simple,
    Moderate,
    Complex,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExecutionStep<'a> {
    pub step_number: usize,
    pub timestamp: Stamp,
    #[serde(borrow)]
    pub tool: Str<'a>,
    #[serde(borrow)]
    pub action: Str<'a>,
    #[serde(borrow)]
    pub parameters_json: Str<'a>,
    #[serde(borrow)]
    pub result: Option<ExecutionResult<'a>>,
    pub latency_ms: u64,
    pub tokens_used: Option<usize>,
    #[serde(borrow)]
    pub metadata: Map<'a>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ExecutionResult<'a> {
    Success {
        #[serde(borrow)]
        output: Str<'a>,
    },
    Error {
        #[serde(borrow)]
        message: Str<'a>,
    },
    Timeout,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum TaskOutcome<'a> {
    Success {
        #[serde(borrow)]
        verdict: Str<'a>,
        #[serde(borrow)]
        artifacts: Vec<Str<'a>>,
    },
    PartialSuccess {
        #[serde(borrow)]
        verdict: Str<'a>,
        #[serde(borrow)]
        completed: Vec<Str<'a>>,
        #[serde(borrow)]
        failed: Vec<Str<'a>>,
    },
    Failure {
        #[serde(borrow)]
        reason: Str<'a>,
        #[serde(borrow)]
        error_details: Option<Str<'a>>,
    },
    Abstained {
        #[serde(borrow)]
        reason: Str<'a>,
        stopped_at_step: usize,
        #[serde(borrow)]
        infeasibility_signals: Vec<Str<'a>>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RewardScore {
    pub total: F32,
    pub base: F32,
    pub efficiency: F32,
    pub complexity_bonus: F32,
    pub quality_multiplier: F32,
    pub learning_bonus: F32,
    pub abstention_score: F32,
    #[serde(default)]
    pub raw_reward: F32,
    #[serde(default)]
    pub normalized_reward: F32,
    #[serde(default)]
    pub decayed_reward: F32,
    #[serde(default)]
    pub effective_reward: F32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reflection<'a> {
    #[serde(borrow)]
    pub successes: Vec<Str<'a>>,
    #[serde(borrow)]
    pub improvements: Vec<Str<'a>>,
    #[serde(borrow)]
    pub insights: Vec<Str<'a>>,
    pub generated_at: Stamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PatternApplication<'a> {
    pub pattern_id: Uuid,
    pub applied_at_step: usize,
    pub outcome: ApplicationOutcome,
    #[serde(borrow)]
    pub notes: Option<Str<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ApplicationOutcome {
    Helped,
    NoEffect,
    Hindered,
    Pending,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SalientFeatures<'a> {
    #[serde(borrow)]
    pub critical_decisions: Vec<Str<'a>>,
    #[serde(borrow)]
    pub tool_combinations: Vec<Vec<Str<'a>>>,
    #[serde(borrow)]
    pub error_recovery_patterns: Vec<Str<'a>>,
    #[serde(borrow)]
    pub key_insights: Vec<Str<'a>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CheckpointMeta<'a> {
    pub checkpoint_id: Uuid,
    #[serde(default)]
    pub episode_id: Uuid,
    pub step_number: usize,
    #[serde(alias = "created_at")]
    pub timestamp: Stamp,
    #[serde(borrow, alias = "reason")]
    pub label: Str<'a>,
    #[serde(borrow)]
    pub salient_features_snapshot: Option<SalientFeatures<'a>>,
    #[serde(default)]
    pub is_abstention_checkpoint: bool,
    #[serde(borrow)]
    pub note: Option<Str<'a>>,
}
