//! stub
/// stub
pub fn image(_p: &crate::StreamJob) -> Result<Vec<u32>, gristmill_protocol::PipelineError> {
    Ok(vec![0])
}
