//! The list of instructions. The encoder, assembler, disassembler, verifier, both interpreters, the generator of random
//! programs, the kernel's header and the tables in `docs/vir0.md` all take the instructions from here.
//!
//! Each row is `Name = number, "mnemonic", Shape, cost, weight, Class(semantics);`, with the instruction's effect as its
//! documentation, in the notation of [`Op`](super::Op). The cost and the weight are what one execution adds to
//! [`Cost`](crate::Cost) and [`Work`](crate::Work). The class says what kind of code executes the instruction, and the
//! semantics what is particular to this one:
//!
//! | class | semantics | what |
//! |---|---|---|
//! | `Compute` | `\|a, b\|` to a word | d is computed from a and b |
//! | `Fact` | `\|view, b\|` to a word | d is the same for every window of the chunk |
//! | `Load` | `\|view, at\|` to a word | d is loaded from the address a + b |
//! | `Select` | | d is b, or keeps its value |
//! | `ScratchLoad` | | d is a word of a scratch array |
//! | `Scratch` | `\|word, value\|` to a word | a word of a scratch array is updated |
//! | `Acc`, `Emit` | | an accumulator or record is written |
//! | `Control` | | the next instruction is chosen |
//!
//! A new instruction of the classes `Compute`, `Fact`, `Load` and `Scratch` needs a row here, the tables in `docs/vir0.md`
//! (`UPDATE_SPECIFICATION=1 cargo test -p gristmill-vir0 --test specification`), its number in the kernel's header
//! (`cargo xtask header`) and a case in `kernel/vir0.h`. The tests compare all of these with the list. The vectorised
//! interpreter executes it by its semantics, unless `vector/instructions.rs` has a faster way.
//!
//! A new class does not compile before both interpreters handle it. A new instruction of the class `Control` needs an arm
//! where the verifier, the analysis and the interpreters match blocks, and a place in random programs; `tests/agreement.rs`
//! fails as long as those lack it.

/// Calls a macro with all rows of the list, behind what else it is to be given.
macro_rules! for_each_op {
    ($with:ident $($more:tt)*) => {
        $with! {
            $($more)*
            // Moves and facts.
            /// d = b
            Mov = 0x01, "mov", DstB, 1, 1, Compute(|_, b| b);
            /// d = b if a is not 0; else d stays as it is
            Sel = 0x02, "sel", DstAB, 1, 6, Select;
            /// d = number of own bytes
            Len = 0x03, "len", Dst, 1, 1, Fact(|view, _| view.len as u32);
            /// d = bytes of halo that are there before the own bytes
            AvailBefore = 0x04, "avail.before", Dst, 1, 1, Fact(|view, _| view.before as u32);
            /// d = bytes of halo that are there after the own bytes
            AvailAfter = 0x05, "avail.after", Dst, 1, 1, Fact(|view, _| view.after as u32);
            /// d = low word of the base
            BaseLo = 0x06, "base.lo", Dst, 1, 1, Fact(|view, _| (view.base & 0xFFFF_FFFF) as u32);
            /// d = high word of the base
            BaseHi = 0x07, "base.hi", Dst, 1, 1, Fact(|view, _| (view.base >> 32) as u32);
            /// d = argument number n, from 0 on
            Arg = 0x08, "arg", DstN, 1, 1, Fact(|view, n| view.arg(n));
            // Arithmetic and logic.
            /// d = a + b, wrapping
            Add = 0x10, "add", DstAB, 1, 1, Compute(|a, b| a.wrapping_add(b));
            /// d = a - b, wrapping
            Sub = 0x11, "sub", DstAB, 1, 1, Compute(|a, b| a.wrapping_sub(b));
            /// d = low word of the product a * b
            Mul = 0x12, "mul", DstAB, 1, 1, Compute(|a, b| a.wrapping_mul(b));
            /// d = high word of the unsigned 64-bit product a * b
            Mulhi = 0x13, "mulhi", DstAB, 1, 1, Compute(|a, b| ((u64::from(a) * u64::from(b)) >> 32) as u32);
            /// d = a / b, unsigned, rounded down; 0xFFFFFFFF if b is 0
            Divu = 0x14, "divu", DstAB, 1, 12, Compute(|a, b| a.checked_div(b).unwrap_or(u32::MAX));
            /// d = a mod b, unsigned; a if b is 0
            Remu = 0x15, "remu", DstAB, 1, 12, Compute(|a, b| a.checked_rem(b).unwrap_or(a));
            /// d = the smaller of a and b, unsigned
            Min = 0x16, "min", DstAB, 1, 1, Compute(|a, b| a.min(b));
            /// d = the larger of a and b, unsigned
            Max = 0x17, "max", DstAB, 1, 1, Compute(|a, b| a.max(b));
            /// d = bitwise and of a and b
            And = 0x18, "and", DstAB, 1, 1, Compute(|a, b| a & b);
            /// d = bitwise or of a and b
            Or = 0x19, "or", DstAB, 1, 1, Compute(|a, b| a | b);
            /// d = bitwise exclusive or of a and b
            Xor = 0x1A, "xor", DstAB, 1, 1, Compute(|a, b| a ^ b);
            /// d = a shifted left by b mod 32, zeros coming in
            Shl = 0x1B, "shl", DstAB, 1, 1, Compute(|a, b| a << (b & 31));
            /// d = a shifted right by b mod 32, zeros coming in
            Shr = 0x1C, "shr", DstAB, 1, 1, Compute(|a, b| a >> (b & 31));
            /// d = a shifted right by b mod 32, copies of the top bit coming in
            Sar = 0x1D, "sar", DstAB, 1, 1, Compute(|a, b| ((a as i32) >> (b & 31)) as u32);
            /// d = a rotated left by b mod 32
            Rotl = 0x1E, "rotl", DstAB, 1, 1, Compute(|a, b| a.rotate_left(b & 31));
            /// d = bitwise complement of a
            Not = 0x20, "not", DstA, 1, 1, Compute(|a, _| !a);
            /// d = number of one bits in a
            Popcnt = 0x21, "popcnt", DstA, 1, 1, Compute(|a, _| a.count_ones());
            /// d = number of leading zero bits of a; 32 for 0
            Clz = 0x22, "clz", DstA, 1, 1, Compute(|a, _| a.leading_zeros());
            /// d = number of trailing zero bits of a; 32 for 0
            Ctz = 0x23, "ctz", DstA, 1, 1, Compute(|a, _| a.trailing_zeros());
            /// d = a with its four bytes reversed
            Bswap = 0x24, "bswap", DstA, 1, 1, Compute(|a, _| a.swap_bytes());
            // Comparisons.
            /// d = (a = b)
            Eq = 0x28, "eq", DstAB, 1, 1, Compute(|a, b| (a == b).into());
            /// d = (a ≠ b)
            Ne = 0x29, "ne", DstAB, 1, 1, Compute(|a, b| (a != b).into());
            /// d = (a < b), unsigned
            Ltu = 0x2A, "ltu", DstAB, 1, 1, Compute(|a, b| (a < b).into());
            /// d = (a ≤ b), unsigned
            Leu = 0x2B, "leu", DstAB, 1, 1, Compute(|a, b| (a <= b).into());
            /// d = (a < b), signed
            Lts = 0x2C, "lts", DstAB, 1, 1, Compute(|a, b| ((a as i32) < b as i32).into());
            /// d = (a ≤ b), signed
            Les = 0x2D, "les", DstAB, 1, 1, Compute(|a, b| (a as i32 <= b as i32).into());
            // Loads.
            /// d = the byte at chunk offset a + b, extended with zeros
            Ld8 = 0x30, "ld8", DstAB, 1, 6, Load(|view, at| view.byte(at).into());
            /// d = the four bytes from chunk offset a + b on, little-endian
            Ld32 = 0x31, "ld32", DstAB, 1, 6, Load(|view, at| view.word(at));
            /// d = the byte of the table at a + b, extended with zeros
            Tb8 = 0x32, "tb8", DstAB, 1, 6, Load(|view, at| view.table_byte(at).into());
            /// d = the four bytes of the table from a + b on, little-endian
            Tb32 = 0x33, "tb32", DstAB, 1, 6, Load(|view, at| view.table_word(at));
            // Scratch memory and results.
            /// d = scratch `array[b]`
            SLd = 0x38, "s.ld", DstArrayIndex, 1, 6, ScratchLoad;
            /// `array[b]` = a; at top level only
            SSt = 0x39, "s.st", ArrayIndexValue, 1, 12, Scratch(|_, value| value);
            /// `array[b]` = `array[b]` + a, wrapping
            SAdd = 0x3A, "s.add", ArrayIndexValue, 1, 12, Scratch(|word, value| word.wrapping_add(value));
            /// `array[b]` = the smaller of `array[b]` and a, unsigned
            SMin = 0x3B, "s.min", ArrayIndexValue, 1, 12, Scratch(|word, value| word.min(value));
            /// `array[b]` = the larger of `array[b]` and a, unsigned
            SMax = 0x3C, "s.max", ArrayIndexValue, 1, 12, Scratch(|word, value| word.max(value));
            /// `array[b]` = bitwise or of `array[b]` and a
            SOr = 0x3D, "s.or", ArrayIndexValue, 1, 12, Scratch(|word, value| word | value);
            /// `array[b]` = bitwise exclusive or of `array[b]` and a
            SXor = 0x3E, "s.xor", ArrayIndexValue, 1, 12, Scratch(|word, value| word ^ value);
            /// accumulator `array[b]` takes a, zero-extended to 64 bits
            Acc = 0x40, "acc", ArrayIndexValue, 1, 12, Acc;
            /// a record with position a (signed) and value b
            Emit = 0x41, "emit", AB, 1, 12, Emit;
            // Structure.
            /// the body runs for every window of n bytes, with d = the window's start
            Each = 0x48, "each", DstN, 1, 1, Control;
            /// the body runs n times
            Loop = 0x49, "loop", N, 1, 1, Control;
            /// the body runs if a is not 0
            If = 0x4A, "if", A, 1, 1, Control;
            /// begins the part of an `if` that runs if a was 0
            Else = 0x4B, "else", Bare, 0, 1, Control;
            /// ends an `each`, a `loop` or an `if`
            End = 0x4C, "end", Bare, 0, 1, Control;
            /// leaves the innermost `loop` if a is not 0
            Break = 0x4D, "break", A, 1, 1, Control;
            /// ends this window; at top level, the program
            Halt = 0x4E, "halt", Bare, 1, 1, Control;
        }
    };
}

/// A `match` over an opcode, whose arms a macro makes: it is called with the opcode's name, its class, and the semantics.
macro_rules! match_op {
    ($op:expr, $arm:ident) => {
        $crate::isa::for_each_op!(match_op @rows ($op) $arm)
    };
    (@rows ($op:expr) $arm:ident $(
        #[doc = $effect:literal]
        $name:ident = $number:literal, $mnemonic:literal, $shape:ident, $cost:literal, $weight:literal,
            $class:ident $(($semantics:expr))?;
    )*) => {
        match $op {
            $($crate::isa::Op::$name => $arm!($name $class $($semantics)?),)*
        }
    };
}

pub(crate) use {for_each_op, match_op};
