//! What a regex of a set is expected to cost.

use super::marks::Mark;
use super::required::{rate, Required};

/// Cycles for a byte of text that one regex reads alone: about what an automaton takes that is built as it is needed.
const ALONE: f64 = 5.0;

/// Cycles for a candidate, beside the bytes that are read there.
const CANDIDATE: f64 = 300.0;

/// The most bytes that are expected to be read before a literal.
const MOST_PLACES: usize = 1000;

/// Cycles for a byte of ordinary text, by how often the literals stand in it, or the run of bytes that is looked for
/// before them.
pub(super) fn cycles(required: Option<&Required>, mark: Option<&Mark>) -> f64 {
    if let Some(mark) = mark {
        return mark.cost().min(ALONE);
    }
    let Some(required) = required else {
        return ALONE;
    };
    let literals = required.literals.iter();
    let rate: f64 = literals.map(|literal| rate(literal, required.fold)).sum();
    let places = required.furthest.map_or(MOST_PLACES, |far| {
        far.saturating_sub(required.nearest).min(MOST_PLACES)
    });
    #[allow(clippy::cast_precision_loss)] // At most 1,000.
    let each = CANDIDATE + ALONE * places as f64;
    (rate * each).min(ALONE)
}
