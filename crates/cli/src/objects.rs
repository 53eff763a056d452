//! The stores that URLs lead to, if this program was built with them.

use clap::ArgMatches;
use gristmill::source::{is_url, shown_name, Stores};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
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
                "{scheme}://...: this gristmill was built without object storage; build it with the feature `objects`"
            ))
        }
    }
}

/// Whether a path that was named is a URL.
pub fn any_url(paths: &[PathBuf]) -> bool {
    paths.iter().any(|path| is_url(path))
}

/// The arguments that take URLs, in all commands.
const TAKE_URLS: [&str; 4] = ["paths", "old", "new", "strip_prefix"];

/// Checks that no argument of a command that names a file of this machine is a URL of a store. As a file's name it would
/// be told with its password and query.
///
/// # Errors
/// A message with the URL, so far as it holds no secret.
pub fn check_files(matches: &ArgMatches) -> Result<(), String> {
    for id in matches.ids().filter(|id| !TAKE_URLS.contains(&id.as_str())) {
        // Groups, and arguments that are no paths, have other types.
        let Ok(Some(mut paths)) = matches.try_get_many::<PathBuf>(id.as_str()) else {
            continue;
        };
        if let Some(url) = paths.find(|path| is_url(path)) {
            return Err(format!(
                "{}: what is named here is a local file, not a URL; fetch it first, or write ./ before a file's name",
                shown_name(url).display()
            ));
        }
    }
    Ok(())
}

/// The URL at the end of a text.
fn url_in(text: &str) -> Option<&str> {
    let mut ends = text.char_indices().map(|(at, _)| &text[at..]);
    ends.find(|end| is_url(Path::new(end)))
}

/// A text, such as an error of the parser's, with the URLs among these arguments as they may be shown.
pub fn without_secrets(text: &str, arguments: &[OsString]) -> String {
    let mut text = text.to_owned();
    for argument in arguments {
        let argument = argument.to_string_lossy();
        // A value may stand behind its flag, and may be a list, whose parts the parser shows.
        let parts = argument.split(',').filter_map(url_in);
        for url in url_in(&argument).into_iter().chain(parts) {
            let shown = shown_name(Path::new(url));
            text = text.replace(url, &shown.display().to_string());
        }
    }
    text
}
