//! How the paths of two manifests are made comparable.

use super::head::Head;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Which beginnings of paths do not count when manifests are compared.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Prefixes, of which a path loses the longest that it begins with. Where any is given, roots do not matter.
    pub strip: Vec<PathBuf>,
}

/// What the paths of one manifest lose.
#[derive(Debug, Clone, Default)]
pub(super) struct Stripped(Vec<Vec<u8>>);

impl Names {
    /// What the paths of two manifests lose. Where both have one root, and not the same, it is the root.
    pub(super) fn stripped(&self, old: &Head, new: &Head) -> (Stripped, Stripped) {
        let of = |paths: &[PathBuf]| {
            let mut prefixes: Vec<Vec<u8>> = (paths.iter())
                .map(|path| {
                    let bytes = path.as_os_str().as_bytes();
                    let end = bytes.iter().rposition(|byte| *byte != b'/');
                    bytes[..end.map_or(0, |end| end + 1)].to_vec()
                })
                .collect();
            prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
            Stripped(prefixes)
        };
        match (&*self.strip, &*old.roots, &*new.roots) {
            ([], [one], [other]) if one != other => (of(&old.roots), of(&new.roots)),
            ([], ..) => Default::default(),
            (strip, ..) => (of(strip), of(strip)),
        }
    }
}

impl Stripped {
    /// What is left of a path; nothing of a path that is the prefix itself.
    pub fn rest<'p>(&self, path: &'p [u8]) -> &'p [u8] {
        let rest = self.0.iter().find_map(|prefix| {
            let rest = path.strip_prefix(&**prefix)?;
            match rest {
                [] => Some(rest),
                [b'/', ..] => {
                    let begin = rest.iter().position(|byte| *byte != b'/');
                    Some(&rest[begin.unwrap_or(rest.len())..])
                }
                _ => None,
            }
        });
        rest.unwrap_or(path)
    }

    /// The name by which a file is compared: what is left of its path, or its own name where nothing is left.
    pub fn name<'p>(&self, path: &'p [u8]) -> &'p [u8] {
        match self.rest(path) {
            [] => last(path),
            rest => rest,
        }
    }
}

/// The last name of a path.
pub(super) fn last(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|byte| *byte == b'/');
    &path[slash.map_or(0, |slash| slash + 1)..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::digest::Algorithm;

    fn head(roots: &[&str]) -> Head {
        let roots = roots.iter().map(PathBuf::from);
        Head::new(Algorithm::Blake3.into(), None, roots)
    }

    #[test]
    fn paths_lose_the_only_root_where_it_is_another() {
        let (old, new) = Names::default().stripped(&head(&["/mnt/a/"]), &head(&["b"]));
        assert_eq!(old.name(b"/mnt/a/x/y"), b"x/y");
        assert_eq!(old.name(b"/mnt/ab/x"), b"/mnt/ab/x");
        assert_eq!(new.name(b"b/x/y"), b"x/y");
        assert_eq!(new.name(b"b"), b"b");
        assert_eq!(new.rest(b"b"), b"");
        for roots in [&["b"][..], &[], &["b", "c"]] {
            let (old, new) = Names::default().stripped(&head(&["b"]), &head(roots));
            assert_eq!(
                (old.name(b"b/x"), new.name(b"b/x")),
                (&b"b/x"[..], &b"b/x"[..])
            );
        }
        let (old, _) = Names::default().stripped(&head(&["/"]), &head(&["b"]));
        assert_eq!(old.name(b"/x"), b"x");
        let names = Names {
            strip: ["a", "a/b/"].map(PathBuf::from).into(),
        };
        let (old, new) = names.stripped(&head(&["c"]), &head(&["d"]));
        assert_eq!(
            (old.name(b"a/b/x"), new.name(b"a/x")),
            (&b"x"[..], &b"x"[..])
        );
        assert_eq!(old.name(b"c/x"), b"c/x");
    }
}
