//! Reads from the real NVMe driver, in the guest that `vm/run` boots (`vm/test` runs all of them). A module for each shape
//! of the guest; outside of it, its tests say `skipped:`. Those here read by commands of their own, to hold what the kernel
//! and the guest do; those in `driver` and `reader` are of the driver and the reader,
//! and those in `tool` run the tool itself.

mod driver;
mod iommu;
mod media_error;
mod reader;
mod removal;
mod root_bus;
mod silence;
mod switch;
mod tool;
