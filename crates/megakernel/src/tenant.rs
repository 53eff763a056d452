//! Tenants: which may run, how many slots of each at a time, and its window of opcodes.

use gristmill_protocol::{control, opcode, PipelineError};
use gristmill_ring::SharedWords;
use std::sync::atomic::Ordering;

/// Opens, closes and limits tenants in the control words of a running kernel.
#[derive(Debug, Clone)]
pub struct TenantRegistry {
    control: SharedWords,
}

/// One tenant.
#[derive(Debug, Clone)]
pub struct TenantHandle {
    control: SharedWords,
    id: u32,
}

impl TenantRegistry {
    /// The registry behind a kernel's control words.
    pub fn new(control: SharedWords) -> Self {
        Self { control }
    }

    /// The tenant with this id.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] for an id without a mask word (29 and above).
    pub fn tenant(&self, id: u32) -> Result<TenantHandle, PipelineError> {
        if id as usize >= control::TENANT_MASK_WORDS {
            return Err(PipelineError::InvalidArgument {
                what: "a tenant id that has no mask word",
                fix: "use an id of 0 to 28",
            });
        }
        Ok(TenantHandle {
            control: self.control.clone(),
            id,
        })
    }
}

impl TenantHandle {
    /// The id, as slots carry it.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The opcodes that belong to this tenant alone.
    pub fn opcodes(&self) -> std::ops::Range<u32> {
        let first = opcode::TENANT_BASE + (self.id << 20);
        first..first + (1 << 20)
    }

    /// Lets the tenant run, by a mask that is not zero, or stops it, by zero: then its slots fault.
    pub fn set_mask(&self, mask: u32) {
        self.control[control::TENANT_MASKS + self.id as usize].store(mask, Ordering::Relaxed);
    }

    /// The mask.
    pub fn mask(&self) -> u32 {
        self.control[control::TENANT_MASKS + self.id as usize].load(Ordering::Relaxed)
    }

    /// Sets how many slots of the tenant may be run at a time. With 0 its slots fault.
    pub fn set_quota(&self, slots: u32) {
        self.control[control::TENANT_QUOTAS + self.id as usize].store(slots, Ordering::Relaxed);
    }

    /// The quota.
    pub fn quota(&self) -> u32 {
        self.control[control::TENANT_QUOTAS + self.id as usize].load(Ordering::Relaxed)
    }
}
