//! Mounts of jobs whose commands are processes: the folder of a bucket, under the path that the job names.
//!
//! A mount is a symbolic link, which needs no rights beyond those of the user. What is at the path already stays as it
//! is, and the job fails and says so. Links end with the simulator.

use super::job::Job;
use crate::oss::Script;
use serde_json::Value;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The folder of the bucket, or a folder in it.
    pub folder: PathBuf,
    /// Where the job expects it.
    pub path: PathBuf,
}

/// The mounts of a job: its data sources that name buckets whose objects are files here.
pub fn of(job: &Job, storage: &Script) -> Vec<Mount> {
    let sources = job.body.get("DataSources").and_then(Value::as_array);
    let mount = |source: &Value| {
        let text = |field: &str| source.get(field).and_then(Value::as_str);
        let (host, inside) = text("Uri")?.strip_prefix("oss://")?.split_once('/')?;
        let folder = storage.folder_of(host.split('.').next()?)?.join(plain(inside.trim_end_matches('/'))?);
        let path = Path::new("/").join(plain(text("MountPath").filter(|path| path.starts_with('/'))?)?);
        Some(Mount { folder, path })
    };
    sources.into_iter().flatten().filter_map(mount).collect()
}

/// A path that does not lead upwards.
fn plain(path: &str) -> Option<&Path> {
    let path = Path::new(path);
    let good = |part| matches!(part, Component::Normal(_) | Component::RootDir);
    path.components().all(good).then(|| path.strip_prefix("/").unwrap_or(path))
}

/// Makes the links that are not there, and gives those that were made.
pub fn make(mounts: &[Mount]) -> io::Result<Vec<PathBuf>> {
    let mut made = Vec::new();
    for Mount { folder, path } in mounts {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("{} cannot be mounted: {error}", path.display()))
        };
        fs::create_dir_all(folder).map_err(named)?;
        if fs::read_link(path).is_ok_and(|there| there == *folder) {
            continue;
        }
        fs::create_dir_all(path.parent().unwrap_or(path)).map_err(named)?;
        symlink(folder, path).map_err(named)?;
        made.push(path.clone());
    }
    Ok(made)
}
