//! The journal's own bounds, named with their units. Those shared with the core are in `engine::limits`.

/// Bytes of one mirror segment at most, header included.
pub const SEGMENT_BYTES: u64 = 16 * 1_048_576;
/// Bytes by which the active mirror segment is filled with zeros ahead of its records: a sync within them need not
/// record a new file length, which halves its cost on ext4.
pub const RESERVE_BYTES: u64 = 1_048_576;
/// Bytes of one sled segment. A log item above a quarter of it would go to a file that sled never syncs; sixteen
/// records of 64 KiB must stay below that.
pub const SLED_SEGMENT_BYTES: usize = 8 * 1_048_576;
/// Bytes of one sled value. Small enough for a leaf of sixteen to stay within sled's own file.
pub const CHUNK_BYTES: usize = 32_768;
/// Bytes after which sled takes what a tail file holds: many values at once, for one sync and few rewritten leaves.
pub const TAIL_BYTES: usize = 32 * CHUNK_BYTES;
/// Full tail files that may wait for sled; above it, appending blocks.
pub const TAILS_WAITING: usize = 4;
/// Milliseconds after which the bytes of a tail file that is not full are synced.
pub const TAIL_SYNC_EVERY_MS: u64 = 1_000;
/// Milliseconds between two rounds of sled's own thread, which reclaims the space of what it has rewritten.
pub const SLED_CLEAN_EVERY_MS: u64 = 1_000;
/// Bytes of sled's page cache: the history is read from the mirror, so sled needs little.
pub const SLED_CACHE_BYTES: u64 = 16 * 1_048_576;
/// Bytes of records handed over but not yet durable; above it, appending blocks.
pub const MAX_PENDING_BYTES: usize = 64 * 1_048_576;
/// Bytes that must be free on the device for [`Room::Plenty`](engine::ports::journal::Room::Plenty).
pub const LOW_ROOM_BYTES: u64 = 64 * 1_048_576;
/// Snapshots that are kept.
pub const SNAPSHOTS_KEPT: usize = 2;
/// Problems that a verification lists; further ones are counted only.
pub const MAX_PROBLEMS: usize = 100;
/// How long a lock is waited for whose holder has ended and left it to a process that it was just starting.
pub(crate) const DEAD_HOLDER_WAIT: std::time::Duration = std::time::Duration::from_secs(5);
/// How long that waits in between.
pub(crate) const DEAD_HOLDER_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);
/// How often a database that a thread of sled still holds is opened again.
pub(crate) const SLED_LINGERING_TRIES: u32 = 250;
/// How long that waits in between.
pub(crate) const SLED_LINGERING_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);
