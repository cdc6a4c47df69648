//! What Linux tells about the board and this process; everything may be unreadable, nothing is an error.

use std::fs;

/// Memory of this process in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Resident now.
    pub resident: u64,
    /// Most that was ever resident.
    pub peak: u64,
}

/// Resident memory of this process, now and at its peak.
pub fn memory() -> Option<Memory> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    Some(Memory { resident: kilobytes(&status, "VmRSS:")? * 1024, peak: kilobytes(&status, "VmHWM:")? * 1024 })
}

fn kilobytes(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The processor's name.
pub fn processor() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = |key: &str| {
        let line = info.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_string())
    };
    let board = || Some(fs::read_to_string("/proc/device-tree/model").ok()?.trim_matches(['\0', '\n']).to_string());
    board().or_else(|| named("model name")).or_else(|| named("Model"))
}

/// The frequency governor of the first CPU, as in `performance` or `schedutil`.
pub fn governor() -> Option<String> {
    let text = fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").ok()?;
    Some(text.trim().to_string())
}

/// The warmest thermal zone in degrees Celsius.
pub fn temperature() -> Option<f64> {
    let zones = fs::read_dir("/sys/class/thermal").ok()?;
    zones
        .filter_map(|zone| {
            let text = fs::read_to_string(zone.ok()?.path().join("temp")).ok()?;
            Some(text.trim().parse::<f64>().ok()? / 1000.0)
        })
        .filter(|degrees| (-50.0..200.0).contains(degrees))
        .reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_status() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1024 kB\n";
        assert_eq!(kilobytes(status, "VmRSS:"), Some(1024));
        assert_eq!(kilobytes(status, "VmSwap:"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_peak_is_the_most() {
        let memory = memory().unwrap();
        assert!(memory.peak >= memory.resident && memory.resident > 0);
    }
}
