//! What of S3 and of folders may be reached: one object, or all below a prefix, and what may be done with it. A place can be
//! had from a rule only.

use super::Name;
use crate::store::Location;
use serde::Deserialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// All buckets: for those who bound what others grant.
const ANY_BUCKET: &str = "s3://*";

/// Folders of the system, in which reading and writing means something else; the credentials of this process among them.
const SYSTEM: [&str; 3] = ["/proc/", "/sys/", "/dev/"];

/// What may be done with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Reading it.
    Read,
    /// Writing it, anew or in place of what is there.
    Write,
    /// Learning its name, its size and its age.
    List,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::List => "list",
        })
    }
}

/// Where an object is, or where those are that are listed, as far as a rule goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In S3.
    S3 {
        /// The bucket.
        bucket: String,
        /// The key, or what keys begin with.
        key: String,
    },
    /// In a folder, which nothing leads out of.
    Folder {
        /// The folder that the rule names, without a slash at its end.
        root: String,
        /// The path below it, or what paths begin with.
        rest: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
            Self::Folder { root, rest } => write!(f, "{root}/{rest}"),
        }
    }
}

/// A grant of objects, or a bound of such grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    extent: Extent,
    read: bool,
    write: bool,
    list: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Extent {
    AnyBucket,
    /// All whose names begin with it.
    Below(Name),
    Object(Name),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.extent {
            Extent::AnyBucket => f.write_str(ANY_BUCKET)?,
            Extent::Below(name) | Extent::Object(name) => name.fmt(f)?,
        }
        let all = [Access::Read, Access::Write, Access::List].into_iter();
        let allowed = all.filter(|access| self.has(*access));
        let allowed: Vec<String> = allowed.map(|access| access.to_string()).collect();
        write!(f, " ({})", allowed.join(", "))
    }
}

impl Rule {
    /// A rule for a text without templates: `s3://bucket/prefix/` or `/absolute/folder/` with all below it, the same without
    /// the `/` at the end for one object, or `s3://*` for every bucket.
    ///
    /// # Errors
    /// What was expected.
    pub fn new(at: &str, allow: &[Access]) -> Result<Self, String> {
        let extent = Extent::read(at)?;
        if allow.is_empty() {
            return Err(
                "expected `allow` to name at least one of `read`, `write`, `list`".to_owned(),
            );
        }
        let list = allow.contains(&Access::List);
        if list && matches!(extent, Extent::Object(_)) {
            return Err(format!(
                "expected `{at}/`, with a `/` at its end: only what is below a prefix can be listed"
            ));
        }
        Ok(Self {
            extent,
            read: allow.contains(&Access::Read),
            write: allow.contains(&Access::Write),
            list,
        })
    }

    fn has(&self, access: Access) -> bool {
        match access {
            Access::Read => self.read,
            Access::Write => self.write,
            Access::List => self.list,
        }
    }

    /// Whether it is about S3.
    pub fn is_s3(&self) -> bool {
        match &self.extent {
            Extent::AnyBucket => true,
            Extent::Below(name) | Extent::Object(name) => matches!(name, Name::S3 { .. }),
        }
    }

    /// Whether something may be done with the object of a name, or with all whose names begin with a prefix.
    pub fn allows(&self, name: &Name, access: Access) -> bool {
        self.has(access) && self.extent.has(name)
    }

    /// Where an object is that something may be done with.
    pub fn place(&self, name: &Name, access: Access) -> Option<Place> {
        if !self.allows(name, access) {
            return None;
        }
        Some(match name {
            Name::S3 { bucket, key } => Place::S3 {
                bucket: bucket.clone(),
                key: key.clone(),
            },
            Name::File(path) => {
                let (root, rest) = path.split_at(self.extent.folder_bytes());
                Place::Folder {
                    root: root.trim_end_matches('/').to_owned(),
                    rest: rest.to_owned(),
                }
            }
        })
    }

    /// Whether all that another rule allows, this one allows too.
    pub fn covers(&self, other: &Self) -> bool {
        let all = [Access::Read, Access::Write, Access::List];
        let allowed = all
            .into_iter()
            .all(|access| self.has(access) || !other.has(access));
        allowed
            && match &other.extent {
                Extent::AnyBucket => self.extent == Extent::AnyBucket,
                Extent::Below(name) | Extent::Object(name) => self.extent.has(name),
            }
    }

    /// Whether it could reach into a store, as far as names tell; when in doubt, it could.
    pub fn overlaps(&self, store: &Location) -> bool {
        let name = match &self.extent {
            Extent::AnyBucket => return matches!(store, Location::S3(_)),
            Extent::Below(name) | Extent::Object(name) => name,
        };
        match (name, store) {
            (Name::S3 { bucket, key }, Location::S3(store)) => {
                *bucket == store.bucket && are_nested(key, &store.prefix)
            }
            (Name::File(path), Location::Folder(folder)) => {
                match (settled(Path::new(path)), settled(folder)) {
                    (Some(path), Some(folder)) => {
                        path.starts_with(&folder) || folder.starts_with(&path)
                    }
                    _ => true,
                }
            }
            (Name::S3 { .. }, Location::Folder(_)) | (Name::File(_), Location::S3(_)) => false,
        }
    }
}

impl Extent {
    fn read(at: &str) -> Result<Self, String> {
        if at == ANY_BUCKET {
            return Ok(Self::AnyBucket);
        }
        if at.contains('*') {
            return Err(
                "expected no `*`: a text that ends in `/` stands for all that begins with it"
                    .to_owned(),
            );
        }
        let name = Name::parse(at)?;
        match &name {
            Name::S3 { key, .. } if key.starts_with('/') || key.contains("//") => {
                return Err(
                    "expected no part of the prefix to be empty: some servers leave such parts out"
                        .to_owned(),
                );
            }
            Name::File(path) if is_system(path) => {
                return Err("expected a folder that is not the system's".to_owned());
            }
            Name::S3 { .. } | Name::File(_) => {}
        }
        Ok(if name.is_prefix() {
            Self::Below(name)
        } else {
            Self::Object(name)
        })
    }

    fn has(&self, name: &Name) -> bool {
        match self {
            Self::AnyBucket => matches!(name, Name::S3 { .. }),
            Self::Below(own) => own.begins(name),
            Self::Object(own) => own == name,
        }
    }

    /// How much of its path is the folder that files are looked for in.
    fn folder_bytes(&self) -> usize {
        match self {
            Self::Below(Name::File(path)) | Self::Object(Name::File(path)) => {
                path.rfind('/').map_or(0, |at| at + "/".len())
            }
            Self::AnyBucket | Self::Below(Name::S3 { .. }) | Self::Object(Name::S3 { .. }) => 0,
        }
    }
}

/// Whether a path is the root, a folder of the system, or in one.
fn is_system(path: &str) -> bool {
    let folder = format!("{}/", path.trim_end_matches('/'));
    path == "/" || SYSTEM.iter().any(|system| folder.starts_with(system))
}

/// Whether one of two prefixes begins with the other, part by part. Empty parts count for nothing: some servers leave
/// them out.
fn are_nested(one: &str, other: &str) -> bool {
    let mut pairs = parts(one).zip(parts(other));
    pairs.all(|(one, other)| one == other)
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split('/').filter(|part| !part.is_empty())
}

/// A path without links, whether all of it is there yet or not; none where that can't be said.
fn settled(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let mut rest = Vec::new();
    for known in path.ancestors() {
        if let Ok(real) = known.canonicalize() {
            return Some(rest.iter().rev().fold(real, |path, part| path.join(part)));
        }
        rest.push(known.file_name()?.to_owned());
    }
    None
}

#[cfg(test)]
mod tests;
