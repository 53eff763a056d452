//! Vector units, and the choice of one: the best that the processor has, or the one that the environment requests. If a
//! unit is requested but cannot be used, that is an error; it is never replaced by another unit.

use std::ffi::{OsStr, OsString};
use std::sync::OnceLock;

/// The environment variable that requests a vector unit by its [name](Level::name).
pub const LEVEL_VARIABLE: &str = "GRISTMILL_VECTOR";

/// A vector unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// The instructions that every processor of the target has.
    Portable,
    /// AVX2.
    Avx2,
    /// AVX-512 (F, BW, CD, DQ, VL).
    Avx512,
}

/// The reason why the vector unit that [`LEVEL_VARIABLE`] requests cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnusableLevel {
    /// No vector unit has this name.
    #[error("{LEVEL_VARIABLE}={0:?} names no vector unit; set it to portable, avx2 or avx512, or unset it")]
    Unknown(OsString),
    /// This processor does not have the vector unit.
    #[error("{LEVEL_VARIABLE}={}: this CPU does not have it; set it to {} or unset it", .0.name(), Level::best().name())]
    Unavailable(Level),
}

impl Level {
    /// Every level.
    pub const ALL: [Level; 3] = [Level::Portable, Level::Avx2, Level::Avx512];

    /// Whether this processor has it, together with the other features that are compiled in with it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Level::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("bmi2")
                    && is_x86_feature_detected!("popcnt")
                    && is_x86_feature_detected!("lzcnt")
            }
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                Level::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512cd")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 => false,
        }
    }

    /// The best level that this processor has.
    #[must_use]
    pub fn best() -> Level {
        Level::ALL
            .into_iter()
            .rfind(|level| level.is_available())
            .unwrap_or(Level::Portable)
    }

    /// The vector unit that [`LEVEL_VARIABLE`] requests; `None` if the variable is not set. The variable is read only
    /// once per process.
    ///
    /// # Errors
    /// [`UnusableLevel`] if it names no vector unit, or one that this processor does not have.
    pub fn asked() -> Result<Option<Level>, UnusableLevel> {
        static ASKED: OnceLock<Result<Option<Level>, UnusableLevel>> = OnceLock::new();
        ASKED
            .get_or_init(|| {
                std::env::var_os(LEVEL_VARIABLE)
                    .map(|name| Level::named(&name))
                    .transpose()
            })
            .clone()
    }

    /// The level that machines use by default: the [requested](Level::asked) one, or else the best. A program that runs
    /// machines for a user should stop if [`Level::asked`] returns an error; this function treats such a variable as
    /// not set.
    #[must_use]
    pub fn in_use() -> Level {
        match Level::asked() {
            Ok(Some(level)) => level,
            Ok(None) | Err(_) => Level::best(),
        }
    }

    fn named(name: &OsStr) -> Result<Level, UnusableLevel> {
        let level = Level::ALL.into_iter().find(|level| name == level.name());
        match level {
            Some(level) if level.is_available() => Ok(level),
            Some(level) => Err(UnusableLevel::Unavailable(level)),
            None => Err(UnusableLevel::Unknown(name.into())),
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Level::Portable => "portable",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_known_by_its_whole_name_and_used_where_the_processor_has_it() {
        for level in Level::ALL {
            let expected = if level.is_available() {
                Ok(level)
            } else {
                Err(UnusableLevel::Unavailable(level))
            };
            assert_eq!(Level::named(OsStr::new(level.name())), expected);
        }
        for unknown in ["", "AVX2", "avx", "avx2 ", "avx512f", "best"] {
            let error = Level::named(OsStr::new(unknown)).unwrap_err();
            assert_eq!(error, UnusableLevel::Unknown(unknown.into()));
            assert!(error.to_string().contains("portable, avx2 or avx512"));
        }
    }

    #[test]
    fn what_the_processor_lacks_is_refused_with_what_it_has() {
        let text = UnusableLevel::Unavailable(Level::Avx512).to_string();
        let best = format!("set it to {}", Level::best().name());
        assert!(text.starts_with("GRISTMILL_VECTOR=avx512: "), "{text}");
        assert!(text.contains(&best), "{text}");
    }
}
