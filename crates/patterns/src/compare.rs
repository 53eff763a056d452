//! Comparing strings with a text.

/// Whether `bytes` stand in `text` at `start`, with ASCII letters of either case where `fold` says so.
#[inline]
pub(crate) fn stands_at(text: &[u8], start: usize, bytes: &[u8], fold: bool) -> bool {
    let here = text.get(start..start.saturating_add(bytes.len()));
    here.is_some_and(|here| match fold {
        true => here.eq_ignore_ascii_case(bytes),
        false => here == bytes,
    })
}
