//! A machine of the test's own: a home, variables, a clock that stands until it is set, and chance that is none.

use engine::time::Timestamp;
use retrial_backends::cloud::credentials::{Choice, Refreshing, Surroundings, Web};
use retrial_backends::cloud::proxy::ProxySettings;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use tempfile::TempDir;

/// 2026-01-02T03:04:05Z, the time in the vectors.
pub const NOW: i64 = 1_767_323_045_000;

pub struct Machine {
    pub home: TempDir,
    pub surroundings: Surroundings,
    time: Arc<AtomicI64>,
}

impl Machine {
    pub fn new(variables: &[(&str, &str)]) -> Self {
        let time = Arc::new(AtomicI64::new(NOW));
        let clock = Arc::clone(&time);
        // Two calls give the nonce of the vectors.
        let calls = AtomicU64::new(0);
        let chance = move || match calls.fetch_add(1, Ordering::Relaxed) % 2 {
            0 => 0x1111_1111_2222_3333,
            _ => 0x4444_5555_5555_5555,
        };
        let home = tempfile::tempdir().unwrap();
        let surroundings = Surroundings::new(
            variables.iter().map(|(name, value)| (name.into(), value.into())),
            Some(home.path().to_owned()),
            Arc::new(move || Timestamp(clock.load(Ordering::Relaxed))),
            Arc::new(chance),
        );
        Self { home, surroundings, time }
    }

    /// One without a metadata service.
    pub fn alone(variables: &[(&str, &str)]) -> Self {
        let mut machine = Self::new(variables);
        machine.set("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true");
        machine
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.surroundings.variables.insert(name.to_owned(), value.to_owned());
    }

    pub fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    pub fn pass(&self, seconds: i64) {
        self.time.fetch_add(seconds * 1_000, Ordering::Relaxed);
    }

    pub fn provider(&self, choice: Choice) -> Refreshing {
        Refreshing::new(choice, self.surroundings.clone(), Arc::new(web()))
    }
}

/// The client that is really used, without any proxy.
pub fn web() -> Web {
    Web::new(ProxySettings::default()).unwrap()
}
