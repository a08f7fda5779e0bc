//! sled panics on damage. Here its panics become values, and stay silent.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::thread;

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Keeps panics inside [`contain`], and those of sled's own threads, from being printed; all others are printed as
/// before.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let ours = SILENT.with(Cell::get);
            let sleds = thread::current().name().is_some_and(|name| name.starts_with("sled-"));
            if !ours && !sleds {
                before(info);
            }
        }));
    });
}

/// Runs `work`; a panic in it becomes its message.
pub(crate) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    silence();
    let outer = SILENT.with(|s| s.replace(true));
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    SILENT.with(|s| s.set(outer));
    result.map_err(|payload| {
        let text = payload
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned());
        text.map_or_else(|| "sled panicked".to_owned(), |text| format!("sled panicked: {text}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message() {
        assert_eq!(contain(|| 7), Ok(7));
        let caught = contain(|| panic!("seven of {}", 9));
        assert_eq!(caught, Err::<(), _>("sled panicked: seven of 9".to_owned()));
    }
}
