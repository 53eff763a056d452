//! Flags that are more than the parser makes of each alone, such as their order.

/// Implements the parser's traits for `$args`, which `$args::of` makes of the flags as they are given, `$given`.
macro_rules! args_of {
    ($args:ty, $given:ty) => {
        impl clap::FromArgMatches for $args {
            fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
                let given = <$given as clap::FromArgMatches>::from_arg_matches(matches)?;
                Self::of(given, matches)
            }

            fn update_from_arg_matches(
                &mut self,
                matches: &clap::ArgMatches,
            ) -> Result<(), clap::Error> {
                *self = <Self as clap::FromArgMatches>::from_arg_matches(matches)?;
                Ok(())
            }
        }

        impl clap::Args for $args {
            fn group_id() -> Option<clap::Id> {
                None
            }

            fn augment_args(command: clap::Command) -> clap::Command {
                <$given as clap::Args>::augment_args(command)
            }

            fn augment_args_for_update(command: clap::Command) -> clap::Command {
                <$given as clap::Args>::augment_args_for_update(command)
                    .mut_args(|arg| arg.required(false))
            }
        }
    };
}

pub(crate) use args_of;
