//! When rows are coloured.

/// When rows are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorWhen {
    Never,
    Auto,
    Always,
    Ansi,
}

impl ColorWhen {
    /// ripgrep's rule: colours on a terminal that has them, unless NO_COLOR is set.
    pub fn colors(self, terminal: bool) -> bool {
        match self {
            ColorWhen::Never => false,
            ColorWhen::Always | ColorWhen::Ansi => true,
            ColorWhen::Auto => {
                terminal
                    && std::env::var_os("NO_COLOR").is_none()
                    && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
            }
        }
    }
}
