//! Vectorscan, a peer: its library is loaded where it is installed (Debian: libvectorscan5), and called through its C
//! interface, as its header `hs.h` declares it.

use libloading::Library;
use std::ffi::{c_char, c_int, c_uint, c_ulonglong, c_void, CStr, CString};
use std::ptr;

/// The name of the library with its version, which stands for its binary interface.
const LIBRARY: &str = "libhs.so.5";

/// Whole blocks of memory are searched, each by itself.
const MODE_BLOCK: c_uint = 1;

const FLAG_CASELESS: c_uint = 1;

type OnMatch =
    extern "C" fn(c_uint, c_ulonglong, c_ulonglong, c_uint, context: *mut c_void) -> c_int;

type CompileLiterals = unsafe extern "C" fn(
    *const *const c_char,
    flags: *const c_uint,
    ids: *const c_uint,
    lens: *const usize,
    elements: c_uint,
    mode: c_uint,
    platform: *const c_void,
    database: *mut *mut c_void,
    error: *mut *mut CompileError,
) -> c_int;

type CompileRegexes = unsafe extern "C" fn(
    *const *const c_char,
    flags: *const c_uint,
    ids: *const c_uint,
    elements: c_uint,
    mode: c_uint,
    platform: *const c_void,
    database: *mut *mut c_void,
    error: *mut *mut CompileError,
) -> c_int;

type AllocScratch = unsafe extern "C" fn(*const c_void, *mut *mut c_void) -> c_int;

type Scan = unsafe extern "C" fn(
    database: *const c_void,
    data: *const c_char,
    length: c_uint,
    flags: c_uint,
    scratch: *mut c_void,
    on_match: OnMatch,
    context: *mut c_void,
) -> c_int;

type Free = unsafe extern "C" fn(*mut c_void) -> c_int;

#[repr(C)]
struct CompileError {
    message: *const c_char,
    expression: c_int,
}

/// A set of strings or of regexes that Vectorscan has compiled.
pub struct Database {
    library: Library,
    database: *mut c_void,
    scratch: *mut c_void,
}

fn library() -> Result<Library, String> {
    // SAFETY: Vectorscan's library is what it says; its initialisers ask for the processor's features, no more.
    unsafe { Library::new(LIBRARY) }
        .map_err(|error| format!("{error}; on Debian install libvectorscan5"))
}

/// Why something could not be compiled.
struct Refused {
    reason: String,
    /// The number of the pattern that is refused, if it is one.
    pattern: Option<usize>,
}

impl Refused {
    /// What an answer that is not 0 means.
    fn new(error: *mut CompileError) -> Self {
        // SAFETY: where compiling fails, the library leaves an error. It is leaked, which happens for few patterns.
        let Some(error) = (unsafe { error.as_ref() }) else {
            return Self::other("no reason is given");
        };
        // SAFETY: its message ends with a zero, and nobody frees it.
        let message = unsafe { CStr::from_ptr(error.message) };
        Self {
            reason: message.to_string_lossy().into_owned(),
            pattern: usize::try_from(error.expression).ok(),
        }
    }

    fn other(reason: impl ToString) -> Self {
        Self {
            reason: reason.to_string(),
            pattern: None,
        }
    }

    fn text(&self) -> String {
        match self.pattern {
            Some(number) => format!("vectorscan: {} (pattern {number})", self.reason),
            None => format!("vectorscan: {}", self.reason),
        }
    }
}

impl Database {
    /// Compiles a set of strings; `fold` makes ASCII letters match in either case.
    pub fn strings(patterns: &[Vec<u8>], fold: bool) -> Result<Self, String> {
        let texts: Vec<*const c_char> = patterns.iter().map(|p| p.as_ptr().cast()).collect();
        let lens: Vec<usize> = patterns.iter().map(Vec::len).collect();
        let flags = vec![if fold { FLAG_CASELESS } else { 0 }; patterns.len()];
        let compiled = Self::compiled(patterns.len(), |library, ids, count, database, error| {
            // SAFETY: the symbol has this signature in hs.h. The arrays have `count` elements each, as `compiled` says of
            // `ids`, and live until after the call; texts need no zero at their end, as their lengths are given.
            unsafe {
                let compile = library.get::<CompileLiterals>(b"hs_compile_lit_multi\0")?;
                Ok(compile(
                    texts.as_ptr(),
                    flags.as_ptr(),
                    ids,
                    lens.as_ptr(),
                    count,
                    MODE_BLOCK,
                    ptr::null(),
                    database,
                    error,
                ))
            }
        });
        compiled.map_err(|refused| refused.text())
    }

    /// Compiles a set of regexes, of which those are left out that Vectorscan refuses; how many there are of these.
    pub fn regexes(patterns: &[String]) -> Result<(Self, usize), String> {
        let texts = patterns.iter().map(|text| CString::new(text.as_str()));
        let mut texts: Vec<CString> = texts.collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        loop {
            match Self::all_regexes(&texts) {
                Ok(database) => return Ok((database, patterns.len() - texts.len())),
                Err(refused) => match refused.pattern {
                    Some(number) if number < texts.len() => drop(texts.remove(number)),
                    _ => return Err(refused.text()),
                },
            }
        }
    }

    fn all_regexes(texts: &[CString]) -> Result<Self, Refused> {
        let pointers: Vec<*const c_char> = texts.iter().map(|text| text.as_ptr()).collect();
        let flags = vec![0; texts.len()];
        Self::compiled(texts.len(), |library, ids, count, database, error| {
            // SAFETY: the symbol has this signature in hs.h. The arrays have `count` elements each, as `compiled` says of
            // `ids`, and live until after the call, and each text ends with a zero.
            unsafe {
                let compile = library.get::<CompileRegexes>(b"hs_compile_multi\0")?;
                Ok(compile(
                    pointers.as_ptr(),
                    flags.as_ptr(),
                    ids,
                    count,
                    MODE_BLOCK,
                    ptr::null(),
                    database,
                    error,
                ))
            }
        })
    }

    /// What a call compiles of so many patterns. The call gets their numbers, how many these are, and where database and
    /// error go.
    fn compiled(
        patterns: usize,
        call: impl FnOnce(
            &Library,
            *const c_uint,
            c_uint,
            &mut *mut c_void,
            &mut *mut CompileError,
        ) -> Result<c_int, libloading::Error>,
    ) -> Result<Self, Refused> {
        let library = library().map_err(Refused::other)?;
        let count = c_uint::try_from(patterns).map_err(Refused::other)?;
        let ids: Vec<c_uint> = (0..count).collect();
        let (mut database, mut error) = (ptr::null_mut(), ptr::null_mut());
        let answer = call(&library, ids.as_ptr(), count, &mut database, &mut error);
        match answer.map_err(Refused::other)? {
            0 => Self::new(library, database).map_err(Refused::other),
            _ => Err(Refused::new(error)),
        }
    }

    /// Takes a database that `library` has compiled.
    fn new(library: Library, database: *mut c_void) -> Result<Self, String> {
        let mut compiled = Self {
            library,
            database,
            scratch: ptr::null_mut(),
        };
        // SAFETY: the symbol has this signature in hs.h; the database was compiled by this library.
        let answer = unsafe {
            let alloc = compiled
                .library
                .get::<AllocScratch>(b"hs_alloc_scratch\0")
                .map_err(|error| error.to_string())?;
            alloc(compiled.database, &mut compiled.scratch)
        };
        match answer {
            0 => Ok(compiled),
            error => Err(format!("no memory to search in: error {error}")),
        }
    }

    /// The number of matches in a text: of a regex, of places where one ends.
    pub fn count(&mut self, text: &[u8]) -> Result<u64, String> {
        extern "C" fn count(
            _id: c_uint,
            _from: c_ulonglong,
            _to: c_ulonglong,
            _flags: c_uint,
            context: *mut c_void,
        ) -> c_int {
            // SAFETY: `context` is the number that `Database::count` passes, which nobody else uses during the search.
            unsafe { *context.cast::<u64>() += 1 };
            0
        }
        let length = c_uint::try_from(text.len()).map_err(|_| "too long a text")?;
        let mut found = 0_u64;
        // SAFETY: the symbol has this signature in hs.h; database and scratch were made for each other, and `&mut self`
        // keeps others from the scratch; `text` has `length` bytes; `count` gets the number behind `context`.
        let answer = unsafe {
            let scan = self
                .library
                .get::<Scan>(b"hs_scan\0")
                .map_err(|error| error.to_string())?;
            scan(
                self.database,
                text.as_ptr().cast(),
                length,
                0,
                self.scratch,
                count,
                ptr::from_mut(&mut found).cast(),
            )
        };
        match answer {
            0 => Ok(found),
            error => Err(format!("vectorscan: the search failed: error {error}")),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        for (symbol, memory) in [
            (&b"hs_free_scratch\0"[..], self.scratch),
            (b"hs_free_database\0", self.database),
        ] {
            // SAFETY: the symbols have this signature in hs.h; both are freed once, and take null.
            unsafe {
                if let Ok(free) = self.library.get::<Free>(symbol) {
                    free(memory);
                }
            }
        }
    }
}
