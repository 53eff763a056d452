//! Images of the control words.

use super::{zeroed, Megakernel};
use crate::{control, priority, words, PipelineError, CONTROL_MIN_WORDS};
use alloc::vec::Vec;
use core::ops::Range;

/// One tenant's mask and quota, as the control words hold them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TenantWords {
    /// Zero means that the tenant may not run.
    pub mask: u32,
    /// Slots that it may have in flight.
    pub quota: u32,
}

impl Megakernel {
    /// The control words of a kernel with the first `tenant_count` tenants' masks open, default quotas, and
    /// `observables` words for results, all zero.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] for more tenants than there are mask words, and for more observables than
    /// [`control::MAX_OBSERVABLES`].
    pub fn try_encode_control(
        shutdown: bool,
        tenant_count: u32,
        observables: u32,
    ) -> Result<Vec<u8>, PipelineError> {
        let mut image = Vec::new();
        Self::try_encode_control_into(shutdown, tenant_count, observables, &mut image)?;
        Ok(image)
    }

    /// As [`Megakernel::try_encode_control`], but reuses the memory of `image` and overwrites its contents.
    ///
    /// # Errors
    /// As there, and `image` is as it was.
    pub fn try_encode_control_into(
        shutdown: bool,
        tenant_count: u32,
        observables: u32,
        image: &mut Vec<u8>,
    ) -> Result<(), PipelineError> {
        let tenants = usize::try_from(tenant_count).unwrap_or(usize::MAX);
        if tenants > control::TENANT_MASK_WORDS {
            return Err(PipelineError::InvalidArgument {
                what: "more tenants than there are mask words",
                fix: "use at most 29 tenants",
            });
        }
        if observables > control::MAX_OBSERVABLES {
            return Err(PipelineError::InvalidArgument {
                what: "more observables than a region may have",
                fix: "use at most 16,777,216 observables",
            });
        }
        zeroed(image, control::observable_word(observables))?;
        let quotas = [control::DEFAULT_QUOTA; control::TENANT_QUOTA_WORDS];
        let open = [control::TENANT_OPEN; control::TENANT_MASK_WORDS];
        let stored = words::write(image, control::SHUTDOWN, u32::from(shutdown))
            && words::write(image, control::TENANT_BASE, control::TENANT_MASK_BASE_VALUE)
            && words::write_all(image, control::TENANT_MASKS, &open[..tenants])
            && words::write_all(image, control::TENANT_QUOTAS, &quotas);
        debug_assert!(stored, "the image has at least the control words");
        Ok(())
    }

    /// [`Megakernel::try_encode_control`], by its other name.
    ///
    /// # Errors
    /// As there.
    pub fn encode_control(
        shutdown: bool,
        tenant_count: u32,
        observables: u32,
    ) -> Result<Vec<u8>, PipelineError> {
        Self::try_encode_control(shutdown, tenant_count, observables)
    }

    /// Whether the image asks the kernel to leave; false for an image that is cut short.
    #[must_use]
    pub fn read_shutdown(control_bytes: &[u8]) -> bool {
        words::read(control_bytes, control::SHUTDOWN).unwrap_or(0) != 0
    }

    /// Slots finished; 0 for an image that is cut short.
    #[must_use]
    pub fn read_done_count(control_bytes: &[u8]) -> u32 {
        words::read(control_bytes, control::DONE_COUNT).unwrap_or(0)
    }

    /// Fences completed; 0 for an image that is cut short.
    #[must_use]
    pub fn read_epoch(control_bytes: &[u8]) -> u32 {
        words::read(control_bytes, control::EPOCH).unwrap_or(0)
    }

    /// Observable number `index`; 0 where there is none.
    #[must_use]
    pub fn read_observable(control_bytes: &[u8], index: u32) -> u32 {
        control::observable_word(index)
            .and_then(|word| words::read(control_bytes, word))
            .unwrap_or(0)
    }

    /// Each opcode that was executed, with its number of executions. If the image is cut short, only the counters that
    /// it still contains are read.
    #[must_use]
    pub fn read_metrics(control_bytes: &[u8]) -> Vec<(u32, u32)> {
        (0u32..)
            .map_while(|opcode| Some((opcode, control::metric_word(opcode)?)))
            .map_while(|(opcode, word)| Some((opcode, words::read(control_bytes, word)?)))
            .filter(|(_, executions)| *executions != 0)
            .collect()
    }

    /// As [`Megakernel::read_shutdown`], strictly.
    ///
    /// # Errors
    /// [`PipelineError::Decode`] for bytes that are no image of control words.
    pub fn try_read_shutdown(control_bytes: &[u8]) -> Result<bool, PipelineError> {
        check(control_bytes).map(|()| Self::read_shutdown(control_bytes))
    }

    /// As [`Megakernel::read_done_count`], strictly.
    ///
    /// # Errors
    /// [`PipelineError::Decode`] for bytes that are no image of control words.
    pub fn try_read_done_count(control_bytes: &[u8]) -> Result<u32, PipelineError> {
        check(control_bytes).map(|()| Self::read_done_count(control_bytes))
    }

    /// As [`Megakernel::read_epoch`], strictly.
    ///
    /// # Errors
    /// [`PipelineError::Decode`] for bytes that are no image of control words.
    pub fn try_read_epoch(control_bytes: &[u8]) -> Result<u32, PipelineError> {
        check(control_bytes).map(|()| Self::read_epoch(control_bytes))
    }

    /// As [`Megakernel::read_observable`], strictly.
    ///
    /// # Errors
    /// [`PipelineError::Decode`] for bytes that are no image of control words;
    /// [`PipelineError::InvalidArgument`] for an observable that the image does not have.
    pub fn try_read_observable(control_bytes: &[u8], index: u32) -> Result<u32, PipelineError> {
        check(control_bytes)?;
        control::observable_word(index)
            .and_then(|word| words::read(control_bytes, word))
            .ok_or(PipelineError::InvalidArgument {
                what: "an observable that the image does not have",
                fix: "ask for one below the number that the image was encoded with",
            })
    }

    /// As [`Megakernel::read_metrics`], strictly.
    ///
    /// # Errors
    /// [`PipelineError::Decode`] for bytes that are no image of control words.
    pub fn try_read_metrics(control_bytes: &[u8]) -> Result<Vec<(u32, u32)>, PipelineError> {
        check(control_bytes).map(|()| Self::read_metrics(control_bytes))
    }

    /// Mask and quota of a tenant.
    ///
    /// # Errors
    /// [`PipelineError::Decode`] for bytes that are no image of control words;
    /// [`PipelineError::InvalidArgument`] for a tenant id that has no mask word.
    pub fn try_read_tenant(
        control_bytes: &[u8],
        tenant: u32,
    ) -> Result<TenantWords, PipelineError> {
        check(control_bytes)?;
        let (mask, quota) = tenant_words(tenant)?;
        Ok(TenantWords {
            mask: words::read(control_bytes, mask).unwrap_or(0),
            quota: words::read(control_bytes, quota).unwrap_or(0),
        })
    }

    /// Stores mask and quota of a tenant.
    ///
    /// # Errors
    /// As [`Megakernel::try_read_tenant`], and nothing is stored.
    pub fn try_write_tenant(
        control_bytes: &mut [u8],
        tenant: u32,
        value: TenantWords,
    ) -> Result<(), PipelineError> {
        check(control_bytes)?;
        let (mask, quota) = tenant_words(tenant)?;
        let stored = words::write(control_bytes, quota, value.quota)
            && words::write(control_bytes, mask, value.mask);
        debug_assert!(stored, "the image's shape was checked");
        Ok(())
    }

    /// The observables that a tenant may use, which its indexes are relative to. Each tenant whose mask is open has an
    /// equal share.
    ///
    /// # Errors
    /// As [`Megakernel::try_read_tenant`], and [`PipelineError::InvalidArgument`] for a tenant whose mask is closed.
    pub fn try_observable_window(
        control_bytes: &[u8],
        tenant: u32,
    ) -> Result<Range<u32>, PipelineError> {
        let closed = PipelineError::InvalidArgument {
            what: "a tenant whose mask is closed",
            fix: "open its mask first",
        };
        if Self::try_read_tenant(control_bytes, tenant)?.mask == 0 {
            return Err(closed);
        }
        let is_open = |word: &usize| words::read(control_bytes, *word).unwrap_or(0) != 0;
        let count = |tenants: Range<u32>| {
            let open = tenants
                .map_while(control::mask_word)
                .filter(is_open)
                .count();
            u32::try_from(open).unwrap_or(u32::MAX)
        };
        let observables = control_bytes.len() / words::WORD_BYTES - control::OBSERVABLES;
        let observables = u32::try_from(observables).unwrap_or(u32::MAX);
        control::observable_window(observables, count(0..u32::MAX), count(0..tenant)).ok_or(closed)
    }

    /// The partitions of the ring by priority: see [`priority`].
    ///
    /// # Errors
    /// [`PipelineError::Decode`] for bytes that are no image of control words, and for offsets that decrease.
    pub fn try_read_priority_offsets(
        control_bytes: &[u8],
    ) -> Result<[u32; priority::OFFSETS], PipelineError> {
        check(control_bytes)?;
        words::read_array(control_bytes, control::PRIORITY_OFFSETS)
            .filter(priority::are_offsets)
            .ok_or(PipelineError::Decode {
                what: "the priorities' partitions",
                offset: control::PRIORITY_OFFSETS * words::WORD_BYTES,
                fix: "store offsets that never decrease",
            })
    }

    /// Stores the partitions of the ring by priority.
    ///
    /// # Errors
    /// [`PipelineError::Decode`] for bytes that are no image of control words; [`PipelineError::InvalidArgument`] for
    /// offsets that decrease. Nothing is stored then.
    pub fn try_write_priority_offsets(
        control_bytes: &mut [u8],
        offsets: &[u32; priority::OFFSETS],
    ) -> Result<(), PipelineError> {
        check(control_bytes)?;
        if !priority::are_offsets(offsets) {
            return Err(PipelineError::InvalidArgument {
                what: "partitions that overlap",
                fix: "let the offsets never decrease",
            });
        }
        let stored = words::write_all(control_bytes, control::PRIORITY_OFFSETS, offsets);
        debug_assert!(stored, "the image's shape was checked");
        Ok(())
    }
}

/// Words of a tenant's mask and quota.
fn tenant_words(tenant: u32) -> Result<(usize, usize), PipelineError> {
    control::mask_word(tenant)
        .zip(control::quota_word(tenant))
        .ok_or(PipelineError::InvalidArgument {
            what: "a tenant id that has no mask word",
            fix: "use a tenant id of 0 to 28",
        })
}

/// Refuses bytes that cannot be control words.
fn check(bytes: &[u8]) -> Result<(), PipelineError> {
    let least = CONTROL_MIN_WORDS * words::WORD_BYTES;
    if bytes.len() < least || !bytes.len().is_multiple_of(words::WORD_BYTES) {
        return Err(PipelineError::Decode {
            what: "the control words",
            offset: bytes.len(),
            fix: "hand in all of them: 640 bytes and 4 more for each observable",
        });
    }
    if words::read(bytes, control::TENANT_BASE) != Some(control::TENANT_MASK_BASE_VALUE) {
        return Err(PipelineError::Decode {
            what: "the control words",
            offset: control::TENANT_BASE * words::WORD_BYTES,
            fix: "hand in words of this version of the protocol, whose masks begin at word 3",
        });
    }
    Ok(())
}
