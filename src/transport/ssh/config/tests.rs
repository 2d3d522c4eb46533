//! Whole configurations, rule by rule.
