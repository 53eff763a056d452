//! What is known of a device.

/// Describes a device and its abilities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The name of the back end that drives it.
    pub backend: &'static str,
    /// The device's name, as the driver reports it.
    pub name: String,
    /// The driver's name and version.
    pub driver: String,
    /// The device's resources: compute units, memory, lanes.
    pub details: String,
}

/// A device that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The device's description.
    pub info: DeviceInfo,
    /// Whether the device is a GPU.
    pub gpu: bool,
    /// The reason why the device cannot run the kernel; `None` if it can.
    pub refused: Option<String>,
}
