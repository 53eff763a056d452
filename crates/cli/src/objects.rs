//! The stores that URLs lead to, if this program was built with them.

use gristmill::source::{is_url, Stores};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// The stores, set up from the environment when a URL is first used.
pub fn stores() -> Arc<dyn Stores> {
    static STORES: OnceLock<Arc<dyn Stores>> = OnceLock::new();
    Arc::clone(STORES.get_or_init(built_in))
}

#[cfg(feature = "objects")]
fn built_in() -> Arc<dyn Stores> {
    gristmill::objects::ObjectStores::from_env()
}

#[cfg(not(feature = "objects"))]
fn built_in() -> Arc<dyn Stores> {
    Arc::new(without::NoStores)
}

/// What says that URLs cannot be read.
#[cfg(not(feature = "objects"))]
mod without {
    use gristmill::source::{Names, Stores};
    use gristmill::uring::object::Listing;
    use std::path::Path;

    #[derive(Debug)]
    pub struct NoStores;

    impl Stores for NoStores {
        fn open(&self, url: &Path, _: Names) -> Result<Box<dyn Listing>, String> {
            // What follows the scheme may hold a secret.
            let url = url.to_string_lossy();
            let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
            Err(format!(
                "{scheme}://...: this gristmill reads no stores; build it with its feature `objects`"
            ))
        }
    }
}

/// Whether a path that was named is a URL.
pub fn any_url(paths: &[PathBuf]) -> bool {
    paths.iter().any(|path| is_url(path))
}
