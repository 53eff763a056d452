//! What is said of one thing that a machine can or cannot do.

/// One thing that a machine can or cannot do.
pub struct Finding {
    /// `read path`, `back end`, `feature`.
    pub kind: &'static str,
    pub name: &'static str,
    /// The number of the device, as `--device` takes it.
    pub device: Option<usize>,
    pub works: bool,
    /// The reason, as it was observed.
    pub why: String,
    /// The step that would change the finding, if any.
    pub step: Option<String>,
}
