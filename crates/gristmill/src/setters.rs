//! The options of builders.

/// Defines the methods of a builder that set a field: `name(value: Type) { field = value }`.
macro_rules! setters {
    ($(
        $(#[$about:meta])*
        $name:ident($($argument:ident: $kind:ty),+) { $($field:ident).+ = $value:expr }
    )+) => {$(
        $(#[$about])*
        #[must_use]
        pub fn $name(mut self, $($argument: $kind),+) -> Self {
            self.$($field).+ = $value;
            self
        }
    )+};
}

pub(crate) use setters;
