//! Forms that earlier releases of do-memory wrote and later ones cannot read (docs/formats.md#encodings).
//!
//! They are tried only when the present form does not fit.

use crate::columns::{Columns, Fits};
use crate::types::{ExecutionResult, ExecutionStep, Map, RewardScore, Stamp, Str, F32};
use serde::de::{Deserialize, Deserializer, IgnoredAny};
use serde_json::value::RawValue;

/// Steps, and whether some carry their parameters as JSON instead of as JSON text.
pub(crate) fn steps(columns: Columns<'_>, at: usize) -> Fits<(Vec<ExecutionStep<'_>>, bool)> {
    let refusal = match columns.json(at) {
        Ok(steps) => return Ok((steps, false)),
        Err(refusal) => refusal,
    };
    let old: Vec<OldStep> = columns.json(at).map_err(|_| refusal.clone())?;
    let steps: Option<Vec<_>> = old.into_iter().map(OldStep::renew).collect();
    steps.map(|steps| (steps, true)).ok_or(refusal)
}

/// The reward, and whether it lacks `abstention_score`, which makes it none.
pub(crate) fn reward(columns: Columns<'_>, at: usize) -> Fits<(Option<RewardScore>, bool)> {
    match columns.optional_json(at) {
        Ok(reward) => Ok((reward, false)),
        Err(refusal) => match columns.json::<OldReward>(at) {
            Ok(old) if old.abstention_score.is_none() => Ok((None, true)),
            _ => Err(refusal),
        },
    }
}

#[derive(serde::Deserialize)]
struct OldStep<'a> {
    step_number: usize,
    timestamp: Stamp,
    #[serde(borrow)]
    tool: Str<'a>,
    #[serde(borrow)]
    action: Str<'a>,
    #[serde(borrow, default, deserialize_with = "present")]
    parameters_json: Option<Str<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    parameters: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<ExecutionResult<'a>>,
    latency_ms: u64,
    tokens_used: Option<usize>,
    #[serde(borrow)]
    metadata: Map<'a>,
}

impl<'a> OldStep<'a> {
    fn renew(self) -> Option<ExecutionStep<'a>> {
        Some(ExecutionStep {
            step_number: self.step_number,
            timestamp: self.timestamp,
            tool: self.tool,
            action: self.action,
            parameters_json: self.parameters_json.or_else(|| self.parameters.map(|raw| Str::from(raw.get())))?,
            result: self.result,
            latency_ms: self.latency_ms,
            tokens_used: self.tokens_used,
            metadata: self.metadata,
        })
    }
}

#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "the fields say what the form must have")]
struct OldReward {
    total: F32,
    base: F32,
    efficiency: F32,
    complexity_bonus: F32,
    quality_multiplier: F32,
    learning_bonus: F32,
    #[serde(default, deserialize_with = "present")]
    abstention_score: Option<IgnoredAny>,
}

/// A field that is there: `null` is a value of it, and none that stands for a field that is not there.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
