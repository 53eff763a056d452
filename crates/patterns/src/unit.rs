//! The CPU's vector unit.

/// A vector unit that this processor has: nothing but [`Unit::all`] makes one, apart from the one that needs none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit(Level);

/// The instructions of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, VL and VBMI.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// The name by which the environment asks for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
        }
    }
}

impl Unit {
    /// No vector unit.
    pub const PORTABLE: Self = Self(Level::Portable);

    /// Those that this processor has, the best one last.
    pub fn all() -> Vec<Self> {
        #[allow(unused_mut)] // Elsewhere there are no others.
        let mut all = vec![Self::PORTABLE];
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx2") {
                all.push(Self(Level::Avx2));
            }
            if std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512bw")
                && std::arch::is_x86_feature_detected!("avx512vl")
                && std::arch::is_x86_feature_detected!("avx512vbmi")
            {
                all.push(Self(Level::Avx512));
            }
        }
        all
    }

    /// The one to use: the best, or the one that `GRISTMILL_VECTOR` asks for, as VIR0's programs do. One that this
    /// processor lacks is not used.
    pub fn chosen() -> Self {
        let all = Self::all();
        let asked = std::env::var("GRISTMILL_VECTOR").ok();
        let asked = asked.and_then(|name| all.iter().find(|unit| unit.0.name() == name));
        asked.or(all.last()).copied().unwrap_or(Self::PORTABLE)
    }

    /// The instructions that the processor has.
    pub fn level(self) -> Level {
        self.0
    }
}
