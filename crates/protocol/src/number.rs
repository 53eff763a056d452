//! A number of the protocol, with its name and what it means, and the macros that define lists of numbers.

/// A number of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    /// The name of its constant.
    pub name: &'static str,
    /// The number.
    pub value: u64,
    /// What it means: its constant's documentation.
    pub meaning: &'static str,
}

/// The name of a value, from a list in which each value occurs once.
pub(crate) fn name(numbers: &[Number], value: u32) -> Option<&'static str> {
    let mut numbers = numbers.iter();
    numbers
        .find(|number| number.value == value.into())
        .map(|number| number.name)
}

/// Defines constants, and a list of them.
macro_rules! numbers {
    ($(
        $(#[$about:meta])*
        pub $list:ident {
            $( $(#[doc = $meaning:literal])+ $name:ident: $kind:ty = $value:expr; )+
        }
    )+) => {$(
        $(
            $(#[doc = $meaning])+
            pub const $name: $kind = $value;
        )+
        $(#[$about])*
        pub const $list: &[$crate::number::Number] = &[$(
            $crate::number::Number {
                name: stringify!($name),
                // The value is a u32 or a usize; both fit in 64 bits.
                value: $name as u64,
                meaning: concat!($($meaning),+),
            }
        ),+];
    )+};
}

/// Defines a structure whose fields are words of an array, its encoder and decoder, the words' numbers as constants,
/// and a list of these constants. A field is one word (`u32`), a number in two words, the low one and the high one
/// (`u64`), or two separate words (`pair`).
macro_rules! layout {
    (
        $(#[$about:meta])*
        pub struct $name:ident: [u32; $words:expr], $(#[$list_about:meta])* $list:ident {
            $(
                #[doc = $meaning:literal]
                $field:ident: $kind:ident at $($word:ident = $at:literal),+;
            )+
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $name {
            $( #[doc = $meaning] pub $field: layout!(@type $kind), )+
        }

        $( $(
            #[doc = concat!("Word of [`", stringify!($name), "::", stringify!($field), "`].")]
            pub const $word: usize = $at;
        )+ )+

        $(#[$list_about])*
        pub const $list: &[$crate::number::Number] = &[$( $(
            $crate::number::Number {
                name: stringify!($word),
                value: $word as u64,
                meaning: $meaning,
            }
        ),+ ),+];

        impl $name {
            /// The words. Words that belong to no field are zero.
            #[inline]
            #[must_use]
            pub const fn encode(&self) -> [u32; $words] {
                let mut words = [0; $words];
                $( layout!(@put words, self.$field, $kind, $($word),+); )+
                words
            }

            /// Decodes the words. Words that belong to no field are ignored.
            #[inline]
            #[must_use]
            pub const fn decode(words: &[u32; $words]) -> Self {
                Self {
                    $( $field: layout!(@get words, $kind, $($word),+), )+
                }
            }
        }
    };
    (@type pair) => {
        [u32; 2]
    };
    (@type $kind:ident) => {
        $kind
    };
    (@put $words:ident, $value:expr, u32, $word:ident) => {
        $words[$word] = $value;
    };
    (@put $words:ident, $value:expr, u64, $low:ident, $high:ident) => {
        ($words[$low], $words[$high]) = $crate::words::split($value);
    };
    (@put $words:ident, $value:expr, pair, $first:ident, $second:ident) => {
        [$words[$first], $words[$second]] = $value;
    };
    (@get $words:ident, u32, $word:ident) => {
        $words[$word]
    };
    (@get $words:ident, u64, $low:ident, $high:ident) => {
        $crate::words::join($words[$low], $words[$high])
    };
    (@get $words:ident, pair, $first:ident, $second:ident) => {
        [$words[$first], $words[$second]]
    };
}
