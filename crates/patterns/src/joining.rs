//! Joins what is most alike, until few are left.

/// Joins two of `sets` after the other, those that `apart` says lie least apart, until `most` are left. Calls `joined`
/// with the place of both and that of the last: the second is now part of the first, and the last in the second's place.
pub(crate) fn join<T>(
    sets: &mut Vec<T>,
    most: usize,
    unite: impl Fn(&T, &T) -> T,
    apart: impl Fn(&T, &T) -> f64,
    mut joined: impl FnMut(usize, usize, usize),
) {
    // For each the one before that is nearest.
    let nearest = |sets: &[T], number: usize| {
        let before = sets[..number].iter().enumerate();
        let before = before.map(|(other, one)| (apart(one, &sets[number]), other));
        before.min_by(|one, other| one.0.total_cmp(&other.0))
    };
    let mut pairs: Vec<Option<(f64, usize)>> = (0..sets.len())
        .map(|number| nearest(sets, number))
        .collect();
    while sets.len() > most {
        let best = pairs.iter().enumerate();
        let best = best.filter_map(|(number, pair)| pair.map(|(apart, one)| (apart, one, number)));
        let Some((_, one, other)) = best.min_by(|one, other| one.0.total_cmp(&other.0)) else {
            break;
        };
        let gone = sets.swap_remove(other);
        pairs.swap_remove(other);
        sets[one] = unite(&sets[one], &gone);
        let moved = sets.len();
        joined(one, other, moved);
        for number in 0..sets.len() {
            let changed = [one, other, moved];
            if changed.contains(&number)
                || pairs[number].is_some_and(|(_, of)| changed.contains(&of))
            {
                pairs[number] = nearest(sets, number);
            } else if number > one {
                let apart = apart(&sets[one], &sets[number]);
                if pairs[number].is_none_or(|(least, _)| apart < least) {
                    pairs[number] = Some((apart, one));
                }
            }
        }
    }
}
