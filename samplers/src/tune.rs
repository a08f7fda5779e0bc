#![allow(clippy::all, missing_docs)]
pub fn get(name: &str, default: f64) -> f64 {
    use std::sync::Mutex;
    use std::collections::BTreeMap;
    static C: Mutex<BTreeMap<String, f64>> = Mutex::new(BTreeMap::new());
    let mut c = C.lock().unwrap();
    *c.entry(name.to_string()).or_insert_with(|| std::env::var(format!("T_{name}")).ok().and_then(|v| v.parse().ok()).unwrap_or(default))
}
