//! Patterns out of their Rust Debug text, the only place where the primary keeps them whole (docs/formats.md#encodings).
//!
//! The reader is strict by its last step: the value must print as the very text that it was read from.

use crate::types::{ComplexityLevel, OutcomeStats, Pattern, PatternEffectiveness, Stamp, Str, TaskContext, F32};
use chrono::TimeDelta;
use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::str::FromStr;
use uuid::Uuid;

/// What does not fit, and at which byte.
pub(crate) type Fault = String;

/// The pattern whose Debug text this is, letter for letter.
pub(crate) fn parse_pattern(text: &str) -> Result<Pattern<'_>, Fault> {
    let mut reader = Reader { text, at: 0 };
    let pattern = reader.pattern()?;
    if reader.at != text.len() {
        return Err(reader.fault("the end"));
    }
    if !prints_as(&pattern, text) {
        return Err("does not print as the text that it was read from".into());
    }
    Ok(pattern)
}

/// Whether the Debug text of a value is this text, without making it.
pub(crate) fn prints_as(value: &impl fmt::Debug, text: &str) -> bool {
    struct Expect<'a>(&'a str);

    impl fmt::Write for Expect<'_> {
        fn write_str(&mut self, piece: &str) -> fmt::Result {
            self.0 = self.0.strip_prefix(piece).ok_or(fmt::Error)?;
            Ok(())
        }
    }

    let mut expect = Expect(text);
    write!(expect, "{value:?}").is_ok() && expect.0.is_empty()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn fault(&self, wanted: &str) -> Fault {
        format!("expected {wanted} at byte {}", self.at)
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), Fault> {
        if self.take(token) {
            Ok(())
        } else {
            Err(self.fault(&format!("`{token}`")))
        }
    }

    /// A bare word, up to what may follow one.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find([',', ' ', ')', ']', '}']).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn parsed<T: FromStr>(&mut self, wanted: &str) -> Result<T, Fault> {
        let start = self.at;
        let word = self.word();
        word.parse().map_err(|_| format!("expected {wanted} at byte {start}"))
    }

    fn number(&mut self) -> Result<usize, Fault> {
        self.parsed("a number")
    }

    fn float(&mut self) -> Result<F32, Fault> {
        self.parsed("a number").map(F32)
    }

    fn stamp(&mut self) -> Result<Stamp, Fault> {
        self.parsed("a time")
    }

    fn uuid(&mut self) -> Result<Uuid, Fault> {
        self.parsed("a UUID")
    }

    fn string(&mut self) -> Result<Str<'a>, Fault> {
        self.expect("\"")?;
        let rest = self.rest();
        let plain = rest.find(['"', '\\']).ok_or_else(|| self.fault("a closing quote"))?;
        if rest.as_bytes()[plain] == b'"' {
            self.at += plain + 1;
            return Ok(Str(Cow::Borrowed(&rest[..plain])));
        }
        let mut text = String::with_capacity(plain + 16);
        loop {
            let rest = self.rest();
            let plain = rest.find(['"', '\\']).ok_or_else(|| self.fault("a closing quote"))?;
            text.push_str(&rest[..plain]);
            self.at += plain + 1;
            if rest.as_bytes()[plain] == b'"' {
                return Ok(Str(Cow::Owned(text)));
            }
            text.push(self.escape()?);
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<char, Fault> {
        let plain = match self.rest().bytes().next() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'\'') => '\'',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'0') => '\0',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(self.fault("an escape")),
        };
        self.at += 1;
        Ok(plain)
    }

    fn unicode_escape(&mut self) -> Result<char, Fault> {
        let wanted = "a code point in braces";
        let digits = self
            .rest()
            .strip_prefix("u{")
            .and_then(|rest| rest.split_once('}'))
            .map(|(digits, _)| digits)
            .filter(|digits| (1..=6).contains(&digits.len()))
            .ok_or_else(|| self.fault(wanted))?;
        let symbol = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).ok_or_else(|| self.fault(wanted))?;
        self.at += digits.len() + 3;
        Ok(symbol)
    }

    fn list<T>(&mut self, item: fn(&mut Self) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
        self.expect("[")?;
        let mut items = Vec::new();
        if self.take("]") {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.take("]") {
                return Ok(items);
            }
            self.expect(", ")?;
        }
    }

    fn option<T>(&mut self, item: fn(&mut Self) -> Result<T, Fault>) -> Result<Option<T>, Fault> {
        if self.take("None") {
            return Ok(None);
        }
        self.expect("Some(")?;
        let value = item(self)?;
        self.expect(")")?;
        Ok(Some(value))
    }

    /// One field of a struct, with what comes before its value.
    fn field<T>(&mut self, before: &str, item: fn(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.expect(before)?;
        item(self)
    }

    fn strings(&mut self) -> Result<Vec<Str<'a>>, Fault> {
        self.list(Self::string)
    }

    fn pattern(&mut self) -> Result<Pattern<'a>, Fault> {
        let pattern = if self.take("ToolSequence { ") {
            Pattern::ToolSequence {
                id: self.field("id: ", Self::uuid)?,
                tools: self.field(", tools: ", Self::strings)?,
                context: self.field(", context: ", Self::context)?,
                success_rate: self.field(", success_rate: ", Self::float)?,
                avg_latency: self.field(", avg_latency: ", Self::duration)?,
                occurrence_count: self.field(", occurrence_count: ", Self::number)?,
                effectiveness: self.field(", effectiveness: ", Self::effectiveness)?,
            }
        } else if self.take("DecisionPoint { ") {
            Pattern::DecisionPoint {
                id: self.field("id: ", Self::uuid)?,
                condition: self.field(", condition: ", Self::string)?,
                action: self.field(", action: ", Self::string)?,
                outcome_stats: self.field(", outcome_stats: ", Self::outcome_stats)?,
                context: self.field(", context: ", Self::context)?,
                effectiveness: self.field(", effectiveness: ", Self::effectiveness)?,
            }
        } else if self.take("ErrorRecovery { ") {
            Pattern::ErrorRecovery {
                id: self.field("id: ", Self::uuid)?,
                error_type: self.field(", error_type: ", Self::string)?,
                recovery_steps: self.field(", recovery_steps: ", Self::strings)?,
                success_rate: self.field(", success_rate: ", Self::float)?,
                context: self.field(", context: ", Self::context)?,
                effectiveness: self.field(", effectiveness: ", Self::effectiveness)?,
            }
        } else if self.take("ContextPattern { ") {
            Pattern::ContextPattern {
                id: self.field("id: ", Self::uuid)?,
                context_features: self.field(", context_features: ", Self::strings)?,
                recommended_approach: self.field(", recommended_approach: ", Self::string)?,
                evidence: self.field(", evidence: ", |reader| reader.list(Self::uuid))?,
                success_rate: self.field(", success_rate: ", Self::float)?,
                effectiveness: self.field(", effectiveness: ", Self::effectiveness)?,
            }
        } else {
            return Err(self.fault("the name of a pattern"));
        };
        self.expect(" }")?;
        Ok(pattern)
    }

    fn context(&mut self) -> Result<TaskContext<'a>, Fault> {
        let context = TaskContext {
            language: self.field("TaskContext { language: ", |reader| reader.option(Self::string))?,
            framework: self.field(", framework: ", |reader| reader.option(Self::string))?,
            complexity: self.field(", complexity: ", Self::complexity)?,
            domain: self.field(", domain: ", Self::string)?,
            tags: self.field(", tags: ", Self::strings)?,
        };
        self.expect(" }")?;
        Ok(context)
    }

    fn complexity(&mut self) -> Result<ComplexityLevel, Fault> {
        if self.take("Simple") {
            Ok(ComplexityLevel::Simple)
        } else if self.take("Moderate") {
            Ok(ComplexityLevel::Moderate)
        } else if self.take("Complex") {
            Ok(ComplexityLevel::Complex)
        } else {
            Err(self.fault("a complexity"))
        }
    }

    fn duration(&mut self) -> Result<TimeDelta, Fault> {
        let start = self.at;
        let secs = self.field("TimeDelta { secs: ", |reader| reader.parsed("a number"))?;
        let nanos = self.field(", nanos: ", |reader| reader.parsed("a number"))?;
        self.expect(" }")?;
        TimeDelta::new(secs, nanos).ok_or_else(|| format!("expected a duration in range at byte {start}"))
    }

    fn outcome_stats(&mut self) -> Result<OutcomeStats, Fault> {
        let stats = OutcomeStats {
            success_count: self.field("OutcomeStats { success_count: ", Self::number)?,
            failure_count: self.field(", failure_count: ", Self::number)?,
            total_count: self.field(", total_count: ", Self::number)?,
            avg_duration_secs: self.field(", avg_duration_secs: ", Self::float)?,
        };
        self.expect(" }")?;
        Ok(stats)
    }

    fn effectiveness(&mut self) -> Result<PatternEffectiveness, Fault> {
        let effectiveness = PatternEffectiveness {
            times_retrieved: self.field("PatternEffectiveness { times_retrieved: ", Self::number)?,
            times_applied: self.field(", times_applied: ", Self::number)?,
            success_when_applied: self.field(", success_when_applied: ", Self::number)?,
            failure_when_applied: self.field(", failure_when_applied: ", Self::number)?,
            avg_reward_delta: self.field(", avg_reward_delta: ", Self::float)?,
            last_used: self.field(", last_used: ", Self::stamp)?,
            created_at: self.field(", created_at: ", Self::stamp)?,
        };
        self.expect(" }")?;
        Ok(effectiveness)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effectiveness(delta: f32) -> PatternEffectiveness {
        PatternEffectiveness {
            times_retrieved: 1,
            times_applied: 2,
            success_when_applied: 1,
            failure_when_applied: 1,
            avg_reward_delta: F32(delta),
            last_used: Stamp::from_timestamp(1_700_000_000, 120_000_000).unwrap(),
            created_at: Stamp::from_timestamp(0, 0).unwrap(),
        }
    }

    fn recovery(error: &str, rate: f32) -> Pattern<'_> {
        Pattern::ErrorRecovery {
            id: Uuid::nil(),
            error_type: error.into(),
            recovery_steps: vec!["a".into(), "".into()],
            success_rate: F32(rate),
            context: TaskContext {
                language: Some("None".into()),
                framework: None,
                complexity: ComplexityLevel::Simple,
                domain: ", tags: [".into(),
                tags: vec![],
            },
            effectiveness: effectiveness(rate),
        }
    }

    #[test]
    fn every_text_comes_back() {
        let texts =
            ["", "a\"b\\c'd", "\n\r\t\0\u{7f}\u{1}", "e\u{301} \u{301}", "\u{200b}\u{feff}\u{e000}", "🚀é", "} ] )"];
        for text in texts {
            let pattern = recovery(text, 0.1);
            let printed = format!("{pattern:?}");
            assert_eq!(parse_pattern(&printed).unwrap(), pattern, "{printed}");
        }
    }

    #[test]
    fn every_float_comes_back() {
        let floats =
            [0.0, -0.0, 1e-7, 1e16, 3.4e38, 1e-45, f32::INFINITY, f32::NEG_INFINITY, 0.1, 16_777_216.0, 1.5e20];
        for float in floats {
            let pattern = recovery("e", float);
            assert_eq!(parse_pattern(&format!("{pattern:?}")).unwrap(), pattern, "{float:?}");
        }
        assert!(parse_pattern(&format!("{:?}", recovery("e", f32::NAN))).is_ok());
    }

    #[test]
    fn durations_and_far_times_come_back() {
        for (secs, nanos) in [(0, 42_000_000), (-2, 500_000_000), (9_223_372_036_854_775, 0), (-1, 999_999_999)] {
            let mut effectiveness = effectiveness(0.5);
            effectiveness.last_used = Stamp::from_timestamp(253_402_300_800, 1).unwrap();
            effectiveness.created_at = Stamp::from_timestamp(-62_167_219_201, 0).unwrap();
            let pattern = Pattern::ToolSequence {
                id: Uuid::max(),
                tools: vec![],
                context: TaskContext {
                    language: None,
                    framework: Some("\"".into()),
                    complexity: ComplexityLevel::Complex,
                    domain: "".into(),
                    tags: vec!["x".into()],
                },
                success_rate: F32(1.0),
                avg_latency: TimeDelta::new(secs, nanos).unwrap(),
                occurrence_count: usize::MAX,
                effectiveness,
            };
            assert_eq!(parse_pattern(&format!("{pattern:?}")).unwrap(), pattern);
        }
    }

    #[test]
    fn another_spelling_is_refused() {
        let good = format!("{:?}", recovery("e", 0.5));
        for (from, to) in [
            ("0.5", "0.50"),
            ("0.5", ".5"),
            ("\"e\"", "\"\\u{65}\""),
            ("00000000-0000-0000-0000-000000000000", "00000000000000000000000000000000"),
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00+00:00"),
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
            ("Some(\"None\")", "Some( \"None\")"),
            ("Simple", "Simpler"),
            ("ErrorRecovery", "ErrorRecovers"),
            ("times_applied: 2", "times_applied: +2"),
            ("times_applied: 2", "times_applied: 18446744073709551616"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good);
            assert!(parse_pattern(&bad).is_err(), "{bad}");
        }
        assert!(parse_pattern(&format!("{good} ")).is_err());
        for end in 0..good.len() {
            assert!(parse_pattern(&good[..end]).is_err());
        }
    }
}
