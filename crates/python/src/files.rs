//! The files of a run, and how they are read: keyword arguments with the command line's names and meanings.

use super::errors::value;
use super::options::{self, paths, Options};
use gristmill::decode::{Decode, Encoding, TextDecoding};
use gristmill::mill::{Mill, MillBuilder};
use gristmill::objects::ObjectStores;
use gristmill::source::{self, FileTypes, Share, ShareSource, SortKey, Source, Tree, TypeChange};
use gristmill::uring::object::path_of_url;
use pyo3::prelude::*;

/// Where files come from, and what reads them.
pub struct Files {
    pub source: Box<dyn Source>,
    pub mill: Mill,
}

/// Which files are passed over if nothing is said.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PassedOver {
    /// Hidden ones, and those that ignore files exclude.
    AsScan,
    /// None.
    Nothing,
}

impl Files {
    /// Takes what says which files are read, and how.
    pub fn take(
        options: &mut Options<'_>,
        named: &Bound<'_, PyAny>,
        passed_over: PassedOver,
    ) -> PyResult<Self> {
        let (source, sorted) = Self::source(options, named, passed_over, None)?;
        let mill = mill(options, Mill::builder().ordered(sorted))?;
        Ok(Self { source, mill })
    }

    /// Takes what says how the files of a share are read. Rows come in their order.
    pub fn of_share(options: &mut Options<'_>, share: Share) -> PyResult<Self> {
        Ok(Self {
            source: Box::new(ShareSource::new(share).objects(ObjectStores::from_env())),
            mill: mill(options, Mill::builder().ordered(true))?,
        })
    }

    /// Takes what says which files are read. Tells whether they come in an order, which is `default` if none is given.
    pub fn source(
        options: &mut Options<'_>,
        named: &Bound<'_, PyAny>,
        passed_over: PassedOver,
        default: Option<SortKey>,
    ) -> PyResult<(Box<dyn Source>, bool)> {
        let scan = passed_over == PassedOver::AsScan;
        let honoured = options.flag("ignore", scan)?;
        let named = paths(named)?;
        let urls = named.iter().any(|path| source::is_url(path));
        let mut tree = Tree::new(named)
            .objects(ObjectStores::from_env())
            .hidden(options.flag("hidden", !scan)?)
            .ignore_files(honoured)
            .require_git(options.flag("require_git", true)?)
            .follow(options.flag("follow", false)?)
            .max_depth(options.take("max_depth")?)
            .max_file_bytes(options.take("max_filesize")?)
            .one_file_system(options.flag("one_file_system", false)?)
            .globs_ignore_case(options.flag("glob_ignore_case", false)?);
        for file in options.paths("ignore_file")? {
            tree = tree.ignore_file(file);
        }
        for glob in options.strings("glob")? {
            tree = tree.glob(glob);
        }
        for glob in options.strings("iglob")? {
            tree = tree.iglob(glob);
        }
        if let Some(types) = types(options)? {
            tree = tree.types(types);
        }
        let sorted = options.take::<String>("sort")?;
        let reverse = options.flag("reverse", false)?;
        let key = sorted.as_deref().map(sort_key).transpose()?.or(default);
        if reverse && key.is_none() {
            return Err(value("reverse=True without an order; give sort, too"));
        }
        if urls && (reverse || key.is_some_and(|key| key != SortKey::Path)) {
            return Err(value(
                "objects come in their store's order, with sort='path', or as they finish; give one of these",
            ));
        }
        tree = match key {
            Some(SortKey::Path) if !reverse => tree.sorted(true),
            key => tree.sort(key, reverse),
        };
        let source = tree
            .walk()
            .map_err(|error| value(format!("glob: {error}")))?;
        Ok((Box::new(source), key.is_some()))
    }
}

/// Whether a name is a URL, of a store or of a file: every process finds the same by it.
#[pyfunction]
pub fn is_url(name: &Bound<'_, PyAny>) -> PyResult<bool> {
    let name = options::path(name)?;
    Ok(source::is_url(&name) || path_of_url(&name).is_some())
}

fn types(options: &mut Options<'_>) -> PyResult<Option<FileTypes>> {
    let mut changes = Vec::new();
    type Change = fn(String) -> TypeChange;
    let named: [(_, Change); 4] = [
        ("type_clear", TypeChange::Clear),
        ("type_add", TypeChange::Add),
        ("type", TypeChange::Select),
        ("type_not", TypeChange::Negate),
    ];
    for (name, change) in named {
        changes.extend(options.strings(name)?.into_iter().map(change));
    }
    if changes.is_empty() {
        return Ok(None);
    }
    FileTypes::new(changes).map(Some).map_err(|error| {
        value(format!(
            "{error}; `gristmill scan --type-list` lists all types"
        ))
    })
}

fn sort_key(name: &str) -> PyResult<SortKey> {
    Ok(match name {
        "path" => SortKey::Path,
        "modified" => SortKey::Modified,
        "accessed" => SortKey::Accessed,
        "created" => SortKey::Created,
        other => {
            return Err(value(format!(
                "sort='{other}': there are 'path', 'modified', 'accessed' and 'created'"
            )))
        }
    })
}

fn mill(options: &mut Options<'_>, mut mill: MillBuilder) -> PyResult<Mill> {
    if let Some(workers) = options.take("workers")? {
        mill = mill.workers(workers);
    }
    if let Some(depth) = options.take("depth")? {
        mill = mill.depth(depth);
    }
    if let Some(bytes) = options.take("chunk_size")? {
        mill = mill.chunk_bytes(bytes);
    }
    if let Some(bytes) = options.take("memory")? {
        mill = mill.memory(bytes);
    }
    mill = mill.direct(options.flag("direct", false)?);
    let text = match options.take::<String>("encoding")?.as_deref() {
        None | Some("none") => TextDecoding::Bytes,
        Some("auto") => TextDecoding::Marked,
        Some(label) => TextDecoding::Named(Encoding::of(label).ok_or_else(|| {
            value(format!(
                "encoding='{label}' is no label of the Encoding Standard; give one such as 'utf-16le', or 'auto'"
            ))
        })?),
    };
    let compressed = options.flag("decompress", false)?;
    mill = mill.decode(Decode { text, compressed });
    mill.build().map_err(value)
}
