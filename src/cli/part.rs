//! A file that gets its name only when it is whole. Begin with [`Part::write`].

use crate::error::{Failure, exit};
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Error, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A whole file that has another name still: that of what it will be, with `.part` behind it. Dropping it removes it. What a
/// kill leaves under that name is nobody's, and is replaced.
#[derive(Debug)]
pub struct Part {
    file: PathBuf,
    path: PathBuf,
}

impl Part {
    /// Writes a file durably.
    pub fn write<T>(
        file: &Path,
        write: impl FnOnce(&mut dyn Write) -> Result<T, Failure>,
    ) -> Result<(Self, T), Failure> {
        let failed = |error| unwritten(file, &error);
        let mut path = file.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        // Its owner's alone, as the store is. The mode counts only for a new file.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let out = options.write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        let mut out = BufWriter::new(out);
        let part = Self { file: file.to_owned(), path };
        let written = write(&mut out)?;
        out.flush().and_then(|()| out.get_ref().sync_all()).map_err(failed)?;
        Ok((part, written))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens it to be read back.
    pub fn read(&self) -> Result<File, Failure> {
        File::open(&self.path).map_err(|error| unwritten(&self.file, &error))
    }

    /// Gives it its name, durably.
    pub fn complete(self) -> Result<(), Failure> {
        let parent = self.file.parent().filter(|parent| !parent.as_os_str().is_empty());
        fs::rename(&self.path, &self.file)
            .and_then(|()| File::open(parent.unwrap_or(Path::new(".")))?.sync_all())
            .map_err(|error| unwritten(&self.file, &error))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // What has its name is not there any more; anything else only takes room.
        let _ = fs::remove_file(&self.path);
    }
}

/// Why there is no such file.
pub fn unwritten(file: &Path, error: &Error) -> Failure {
    let cure = "name a new file in a directory that this user may write to";
    Failure::new(exit::FAILED, format!("failed to write {}: {error}", file.display()), cure)
}
