//! The lines before one that was found, some of which may lie in earlier chunks.

use super::Piece;
use crate::jobs::scan::binary::Binary;
use crate::jobs::scan::carry::read_again;
use crate::jobs::scan::error::ScanErrorKind;
use crate::jobs::scan::facts::View;
use crate::jobs::scan::held_lines::Kind;
use crate::jobs::scan::lines::known::Around;
use crate::jobs::scan::lines::LinesFile;
use crate::jobs::scan::plan::Plan;
use crate::source::FileFacts;
use memchr::{memchr_iter, memrchr};
use std::ops::Range;

impl LinesFile {
    /// Shows the lines before one that was found.
    pub(super) fn before(
        &mut self,
        plan: &Plan,
        around: &mut Around,
        view: Option<&View<'_>>,
        piece: Piece<'_>,
        rows: &mut Vec<u8>,
    ) {
        let (wanted, cause) = (around.shown.before, piece.start);
        let (mut lines, mut number) = (0, piece.number);
        let mut here = 0..0;
        if let Some(view) = view {
            let upto = usize::try_from(piece.start - view.offset).unwrap_or(0);
            let low = around.lowest(view).min(upto);
            here = lines_before(view.bytes, low..upto, wanted, &mut lines);
            number = self.newlines + 2;
        }
        let all = around.shown_from(view);
        if lines < wanted && all {
            let upto = around.upto;
            let file = self.text.again().cloned();
            let kept = std::mem::take(&mut around.kept);
            if kept.is_short(wanted - lines) && !self.done {
                let kind = ScanErrorKind::ContextForgotten {
                    lines: lines + kept.len(),
                };
                plan.error(&self.entry.path, piece.start, kind);
            }
            for (line, back) in kept.last(wanted - lines, upto) {
                if self.done {
                    break;
                }
                let again;
                let bytes = match line.bytes() {
                    Some(bytes) => Ok(bytes),
                    None if plan.report.is_summary() => Ok(&b""[..]),
                    None => match read_context(plan, file.as_ref(), line.start, line.end) {
                        Ok(read) => {
                            again = self.as_read(read);
                            Ok(again.as_slice())
                        }
                        Err(kind) => Err(kind),
                    },
                };
                if let Err(kind) = bytes {
                    plan.error(&self.entry.path, line.start, kind);
                    around.upto = line.end;
                    continue;
                }
                let piece = Piece {
                    start: line.start,
                    end: line.end,
                    number: number.saturating_sub(back as u64),
                    bytes: bytes.ok(),
                    cause,
                };
                self.show(plan, around, piece, Kind::Context, rows);
            }
            around.kept = kept;
        }
        if let Some(view) = view {
            let mut start = here.start;
            let bytes = view.bytes.get(here.clone()).unwrap_or_default();
            for at in memchr_iter(b'\n', bytes) {
                if self.done {
                    return;
                }
                let end = here.start + at + 1;
                let piece = self.piece_at(plan, view, start..end);
                self.show(plan, around, Piece { cause, ..piece }, Kind::Context, rows);
                start = end;
            }
        }
        around.kept.clear(&plan.budget);
    }

    /// Bytes that were read again, as ripgrep sees them.
    fn as_read(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        if self.text.binary == Binary::Stream {
            for byte in bytes.iter_mut().filter(|byte| **byte == 0) {
                *byte = b'\n';
            }
        }
        bytes
    }

    /// The chunk's last lines, of which some may have to be shown before a line in the next chunk.
    pub(super) fn keep_around(&mut self, plan: &Plan, around: &mut Around, view: &View<'_>) {
        let wanted = around.shown.before;
        let Some(last) = view.facts.last_newline.filter(|_| wanted > 0) else {
            return;
        };
        let low = around.lowest(view).min(last + 1);
        let mut lines = 0;
        let here = lines_before(view.bytes, low..last + 1, wanted, &mut lines);
        if lines >= wanted || !around.shown_from(Some(view)) {
            around.kept.clear(&plan.budget);
        }
        let mut start = here.start;
        for at in memchr_iter(b'\n', view.bytes.get(here.clone()).unwrap_or_default()) {
            let end = here.start + at + 1;
            let bytes = view.bytes.get(start..end);
            let (from, upto) = (view.offset + start as u64, view.offset + end as u64);
            around.kept.push(from, upto, bytes, &plan.budget);
            start = end;
        }
        around.kept.trim(wanted, &plan.budget);
    }
}

impl Around {
    /// The first place of a chunk from which lines may have to be shown before a line.
    fn lowest(&self, view: &View<'_>) -> usize {
        let shown = usize::try_from(self.upto.saturating_sub(view.offset)).unwrap_or(usize::MAX);
        self.from.max(shown)
    }

    /// Whether no line of the chunk's own was shown so far, so that lines before the chunk may have to be.
    fn shown_from(&self, view: Option<&View<'_>>) -> bool {
        view.is_none_or(|view| self.lowest(view) == self.from)
    }
}

/// The last lines, `wanted` of them at most, of a range that begins and ends where lines do. Adds their number to
/// `lines`.
fn lines_before(
    bytes: &[u8],
    range: Range<usize>,
    wanted: usize,
    lines: &mut usize,
) -> Range<usize> {
    let mut start = range.end;
    while *lines < wanted && start > range.start {
        let before = bytes.get(range.start..start - 1).unwrap_or_default();
        start = memrchr(b'\n', before).map_or(range.start, |at| range.start + at + 1);
        *lines += 1;
    }
    start..range.end
}

/// Reads a line again that is shown because of where it stands.
fn read_context(
    plan: &Plan,
    file: Option<&FileFacts>,
    start: u64,
    end: u64,
) -> Result<Vec<u8>, ScanErrorKind> {
    let bytes = end - start;
    if bytes > plan.max_line_bytes {
        return Err(ScanErrorKind::LongContext { bytes });
    }
    read_again(file, start, bytes).map_err(ScanErrorKind::of_context)
}
