//! Reading, listing and writing files by their addresses.
//!
//! Begin with [`Files::read`]. One operator of the library is kept for each bucket; credentials are asked for with each
//! request, so that nothing has to be made anew when they change.

use super::address::{Address, Store};
use super::codes;
use super::disk;
use super::error::FileError;
use super::settings::Settings;
use super::transport::{Failure, Signer, Transport};
use crate::cloud::credentials::Provider;
use crate::cloud::http::Http;
use crate::cloud::locked::locked;
use crate::cloud::skew::Skew;
use crate::cloud::world::World;
use engine::ports::backend::{Chunk, ReadError};
use futures_util::TryStreamExt;
use opendal::raw::oio::{Read, ReadStream};
use opendal::raw::{OpRead, Service};
use opendal::services::{Oss, S3};
use opendal::{Builder, BytesRange, Executor, HttpTransporter, OperationContext, Operator};
use std::collections::BTreeMap;
use std::error::Error as _;
use std::fmt;
use std::sync::{Arc, Mutex};

/// Most bytes of one [`Files::read`], whatever it is asked for.
pub const READ_BOUND: usize = 8 << 20;
/// Most files of one [`Files::list`].
pub const LIST_BOUND: usize = 10_000;
/// Files that are asked for at once; no storage gives more.
const LIST_PAGE: usize = 1_000;

/// Files elsewhere.
pub struct Files {
    provider: Arc<dyn Provider>,
    world: Arc<dyn World>,
    http: Http,
    settings: Settings,
    skew: Arc<Skew>,
    operators: Mutex<BTreeMap<Store, Operator>>,
}

impl Files {
    /// `provider` gives the credentials for OSS; S3 has its own from the environment, the profile or the machine.
    pub fn new(provider: Arc<dyn Provider>, world: Arc<dyn World>, http: Http, settings: Settings) -> Self {
        Self { provider, world, http, settings, skew: Arc::default(), operators: Mutex::default() }
    }

    /// Reads at most `limit` bytes (and [`READ_BOUND`]) from a byte position. Behind the end there are no bytes, also
    /// where a file has become shorter than it was: nothing is read twice, and nothing that is not there.
    pub async fn read(&self, address: &Address, from: u64, limit: usize) -> Result<Chunk, ReadError> {
        let limit = limit.min(READ_BOUND);
        let empty = Chunk { bytes: Vec::new(), start: from, at_end: true };
        // No storage counts further.
        if i64::try_from(from).is_err() {
            return Ok(empty);
        }
        match self.part(address, from, limit).await {
            Ok(bytes) => Ok(Chunk { at_end: bytes.len() < limit, bytes, start: from }),
            Err(Failure::Beyond) => Ok(empty),
            Err(Failure::Error(error)) => Err(error.into()),
        }
    }

    /// Reads a whole file of at most `bound` bytes (and [`READ_BOUND`]), at one moment of its life.
    pub async fn read_whole(&self, address: &Address, bound: usize) -> Result<Vec<u8>, FileError> {
        let bound = bound.min(READ_BOUND);
        match self.part(address, 0, bound.saturating_add(1)).await {
            Ok(bytes) if bytes.len() > bound => {
                let cure = "keep what is not needed out of it";
                Err(FileError::new(codes::TOO_LARGE, format!("it has more than {bound} bytes"), cure)
                    .at(address))
            }
            Ok(bytes) => Ok(bytes),
            Err(Failure::Beyond) => Ok(Vec::new()),
            Err(Failure::Error(error)) => Err(error),
        }
    }

    /// The addresses of all files below a directory, however deep, sorted. A directory that does not exist is an empty
    /// one, since object storage does not know the difference.
    pub async fn list(&self, dir: &Address) -> Result<Vec<String>, FileError> {
        let keys = match &dir.store {
            Store::Disk => {
                let path = dir.path();
                let found = blocking(move || disk::list(&path, LIST_BOUND)).await;
                // What is not UTF-8 has no address.
                found.map(|paths| paths.iter().filter_map(|path| Some(path.to_str()?.to_owned())).collect())
            }
            Store::Oss { .. } | Store::S3 { .. } => self.keys(dir).await,
        };
        let keys: Vec<String> = keys.map_err(|error| error.at(dir))?;
        if keys.len() > LIST_BOUND {
            let cure = "name a directory that holds fewer";
            let what = format!("it holds more than {LIST_BOUND} files");
            return Err(FileError::new(codes::TOO_MANY, what, cure).at(dir));
        }
        let address = |key: String| {
            let key = key.trim_start_matches('/').to_owned();
            Address { store: dir.store.clone(), key }.to_string()
        };
        let mut found: Vec<String> = keys.into_iter().map(address).collect();
        found.sort_unstable();
        Ok(found)
    }

    /// Writes a whole file in place of what was there, so that nobody sees half of it.
    pub async fn write(&self, address: &Address, bytes: Vec<u8>) -> Result<(), FileError> {
        let written = match &address.store {
            Store::Disk => {
                let (path, new) = (address.path(), format!("{:032x}", self.world.random()));
                blocking(move || disk::write(&path, &bytes, &new)).await
            }
            store => match self.operator(store) {
                Ok(operator) => {
                    operator.write(&address.key, bytes).await.map(drop).map_err(|error| plain(&error))
                }
                Err(error) => Err(error),
            },
        };
        written.map_err(|error| error.at(address))
    }

    /// The keys below a directory of a bucket, at most one more than [`LIST_BOUND`].
    async fn keys(&self, dir: &Address) -> Result<Vec<String>, FileError> {
        let prefix = if dir.key.is_empty() { "/".to_owned() } else { format!("{}/", dir.key) };
        let operator = self.operator(&dir.store)?;
        let failed = |error: opendal::Error| plain(&error);
        let mut entries =
            operator.lister_with(&prefix).recursive(true).limit(LIST_PAGE).await.map_err(failed)?;
        let mut found = Vec::new();
        while let Some(entry) = entries.try_next().await.map_err(failed)? {
            // An object whose name ends with a slash is what consoles make to show an empty folder.
            if !entry.metadata().is_dir() {
                found.push(entry.path().to_owned());
                if found.len() > LIST_BOUND {
                    break;
                }
            }
        }
        Ok(found)
    }

    async fn part(&self, address: &Address, from: u64, limit: usize) -> Result<Vec<u8>, Failure> {
        let read = match &address.store {
            Store::Disk => {
                let path = address.path();
                blocking(move || disk::read(&path, from, limit)).await.map_err(Failure::Error)
            }
            store => match self.operator(store) {
                Ok(operator) => {
                    range(&operator, &address.key, from, limit).await.map_err(|error| failure(&error))
                }
                Err(error) => Err(Failure::Error(error)),
            },
        };
        read.map_err(|failure| match failure {
            Failure::Error(error) => Failure::Error(error.at(address)),
            Failure::Beyond => Failure::Beyond,
        })
    }

    /// The operator of a bucket.
    fn operator(&self, store: &Store) -> Result<Operator, FileError> {
        let mut operators = locked(&self.operators);
        if let Some(operator) = operators.get(store) {
            return Ok(operator.clone());
        }
        let operator = self.make(store)?;
        operators.insert(store.clone(), operator.clone());
        Ok(operator)
    }

    fn make(&self, store: &Store) -> Result<Operator, FileError> {
        let over = |operator: Operator, bucket: &str, signer: Option<Signer>| {
            let transport = Transport {
                http: self.http.clone(),
                world: Arc::clone(&self.world),
                bucket: bucket.to_owned(),
                signer,
            };
            operator
                .with_context(OperationContext::from_parts(HttpTransporter::new(transport), Executor::new()))
        };
        match store {
            Store::Disk => Err(FileError::new(codes::REFUSED, "a disk has no requests", "report this")),
            Store::Oss { bucket, host } => {
                let located = self.settings.oss.locate(host.as_deref())?;
                let style = if located.in_path { "path" } else { "virtual" };
                let builder =
                    Oss::default().bucket(bucket).endpoint(&located.endpoint).addressing_style(style);
                let signer =
                    Signer { provider: Arc::clone(&self.provider), located, skew: Arc::clone(&self.skew) };
                Ok(over(made(builder.skip_signature())?, bucket, Some(signer)))
            }
            Store::S3 { bucket } => {
                let Some(region) = &self.settings.s3.region else {
                    let what = "it is not known in which region the bucket is";
                    return Err(FileError::new(
                        codes::WRONG_ENDPOINT,
                        what,
                        "set AWS_REGION, such as eu-central-1",
                    ));
                };
                let builder = S3::default().bucket(bucket).region(region);
                let builder = match &self.settings.s3.endpoint {
                    Some(endpoint) => builder.endpoint(endpoint),
                    None => builder.enable_virtual_host_style(),
                };
                Ok(over(made(builder)?, bucket, None))
            }
        }
    }
}

fn made(builder: impl Builder) -> Result<Operator, FileError> {
    Operator::new(builder).map_err(|error| plain(&error))
}

/// Up to `limit` bytes from a position. The library's own way of reading wants to know beforehand how many there are,
/// which nobody knows of a file that grows; below that, the storage's answer is taken as it comes.
async fn range(operator: &Operator, key: &str, from: u64, limit: usize) -> opendal::Result<Vec<u8>> {
    let reader = operator.base_service().read(operator.context(), key, OpRead::new())?;
    let (_, mut stream) = reader.open(BytesRange::new(from, Some(limit as u64))).await?;
    Ok(stream.read_all().await?.to_vec())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, FileError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|_| {
        Err(FileError::new(codes::REFUSED, "reading or writing broke off", "report this"))
    })
}

/// What is inside of the library's error, or what its own words say.
fn failure(error: &opendal::Error) -> Failure {
    match error.source().and_then(|source| source.downcast_ref::<Failure>()) {
        Some(Failure::Beyond) => Failure::Beyond,
        Some(Failure::Error(error)) => Failure::Error(error.clone()),
        None => {
            Failure::Error(FileError::new(codes::REFUSED, error.to_string(), "see what the storage says"))
        }
    }
}

/// The same where no range was asked for.
fn plain(error: &opendal::Error) -> FileError {
    match failure(error) {
        Failure::Error(error) => error,
        Failure::Beyond => {
            FileError::new(codes::REFUSED, Failure::Beyond.to_string(), "see what the storage says")
        }
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("settings", &self.settings).finish_non_exhaustive()
    }
}
