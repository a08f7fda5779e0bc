//! Weights on disk, so that a trial whose machine was lost goes on from its last finished epoch.
//!
//! `RETRIAL_CHECKPOINT_DIR` is where to save, `RETRIAL_RESUME_FROM` where an earlier attempt has saved; without them
//! nothing is read or written. A file is replaced in one step, so a reader never sees half of one.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::network::{Network, parameter_count};
use crate::settings::Settings;

const FILE: &str = "weights.bin";
/// Identifies the file and its layout.
const MARK: &[u8; 8] = b"digits01";

/// The directory that a variable names, if it is set and not empty.
pub(crate) fn directory(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Saves the network as it is after `epoch`.
pub(crate) fn save(
    directory: &Path,
    settings: &Settings,
    network: &Network,
    epoch: usize,
) -> Result<(), String> {
    let describe = |e: std::io::Error| format!("cannot save the checkpoint in {}: {e}", directory.display());
    let temporary = directory.join(format!("{FILE}.tmp"));
    fs::create_dir_all(directory).map_err(describe)?;
    fs::write(&temporary, encode(settings, network, epoch)).map_err(describe)?;
    fs::rename(&temporary, directory.join(FILE)).map_err(describe)
}

/// The saved network and the epoch it had finished; nothing if the earlier attempt ended before its first.
pub(crate) fn load(directory: &Path, settings: &Settings) -> Result<Option<(Network, usize)>, String> {
    let path = directory.join(FILE);
    match fs::read(&path) {
        Ok(bytes) => decode(&bytes, settings).map(Some).map_err(|why| format!("{}: {why}", path.display())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(format!("{}: {e}", path.display())),
    }
}

/// What the weights depend on besides the data: a checkpoint of other settings must not be continued.
/// The number of epochs is left out, so that a finished training can be prolonged.
fn identity(settings: &Settings) -> String {
    let Settings { lr, hidden, momentum, activation, batch, epochs: _, distorted, weight_decay, seed } =
        settings;
    format!("{lr} {hidden} {momentum} {activation:?} {batch} {distorted} {weight_decay} {seed}")
}

fn encode(settings: &Settings, network: &Network, epoch: usize) -> Vec<u8> {
    let identity = identity(settings);
    let mut bytes = MARK.to_vec();
    bytes.extend((epoch as u64).to_le_bytes());
    bytes.extend((identity.len() as u64).to_le_bytes());
    bytes.extend(identity.as_bytes());
    bytes.extend(network.weights.iter().chain(&network.velocities).flat_map(|value| value.to_le_bytes()));
    bytes
}

fn decode(bytes: &[u8], settings: &Settings) -> Result<(Network, usize), String> {
    let cut = || "not a whole checkpoint of this trainer".to_owned();
    let rest = bytes.strip_prefix(MARK).ok_or_else(cut)?;
    let (epoch, rest) = rest.split_first_chunk().ok_or_else(cut)?;
    let (length, rest) = rest.split_first_chunk().ok_or_else(cut)?;
    let (saved, values) = rest.split_at_checked(u64::from_le_bytes(*length) as usize).ok_or_else(cut)?;
    let expected = identity(settings);
    if saved != expected.as_bytes() {
        return Err(format!(
            "saved with other settings ({}, now {expected})",
            String::from_utf8_lossy(saved)
        ));
    }
    let (values, remainder) = values.as_chunks();
    let mut weights: Vec<f64> = values.iter().map(|value| f64::from_le_bytes(*value)).collect();
    let count = parameter_count(settings.hidden);
    if weights.len() != 2 * count || !remainder.is_empty() {
        return Err(cut());
    }
    let velocities = weights.split_off(count);
    let network = Network { hidden: settings.hidden, activation: settings.activation, weights, velocities };
    Ok((network, u64::from_le_bytes(*epoch) as usize))
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};
    use crate::data::Split;
    use crate::network::Network;
    use crate::settings::Settings;

    #[test]
    fn a_resumed_training_ends_with_the_very_same_weights() -> Result<(), String> {
        let split = Split::load()?;
        let settings = Settings { hidden: 8, weight_decay: 1e-4, ..Settings::default() };
        let mut network = Network::new(&settings);
        network.train_epoch(&split.training, &settings, 1);
        let (mut resumed, epoch) = decode(&encode(&settings, &network, 1), &settings)?;
        assert_eq!((&resumed, epoch), (&network, 1));
        network.train_epoch(&split.training, &settings, 2);
        resumed.train_epoch(&split.training, &settings, 2);
        assert_eq!(resumed, network);
        Ok(())
    }

    #[test]
    fn a_cut_or_foreign_checkpoint_is_refused() {
        let settings = Settings { hidden: 8, ..Settings::default() };
        let bytes = encode(&settings, &Network::new(&settings), 1);
        for length in [0, 7, 8, 20, 30, bytes.len() / 2, bytes.len() - 1] {
            assert!(decode(&bytes[..length], &settings).is_err(), "{length} bytes");
        }
        let other = Settings { seed: 2, ..settings };
        let refusal = decode(&bytes, &other).map(|_| ());
        assert!(refusal.is_err_and(|why| why.contains("other settings")));
    }
}
