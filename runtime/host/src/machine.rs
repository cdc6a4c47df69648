//! What Linux tells about the board and this process; everything may be unreadable, nothing is an error.

use std::fs;

/// Memory of a process in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Resident now.
    pub resident: u64,
    /// Most that was ever resident.
    pub peak: u64,
}

/// Resident memory of this process, now and at its peak.
pub fn memory() -> Option<Memory> {
    memory_of("self")
}

/// Resident memory of a process, given by its number.
pub fn memory_of(process: &str) -> Option<Memory> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
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

/// How often the processor has been slowed down for heat or want of power, and whether it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttling {
    /// Times since it was switched on, as far as it counts them.
    pub events: u64,
    /// At this moment.
    pub now: bool,
}

impl Throttling {
    /// Whether the processor was slowed down between `before` and this.
    pub fn since(&self, before: &Throttling) -> bool {
        self.now || before.now || self.events > before.events
    }
}

/// Throttling as Intel's counters or a Raspberry Pi's firmware tell it.
pub fn throttling() -> Option<Throttling> {
    let cores = fs::read_dir("/sys/devices/system/cpu").ok()?;
    let count = |core: fs::DirEntry| {
        let text = fs::read_to_string(core.path().join("thermal_throttle/core_throttle_count")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let events = cores.filter_map(|core| count(core.ok()?)).reduce(|sum, count| sum + count);
    let firmware = || {
        let text = fs::read_to_string("/sys/devices/platform/soc/soc:firmware/get_throttled").ok()?;
        firmware_throttling(&text)
    };
    events.map(|events| Throttling { events, now: false }).or_else(firmware)
}

/// The firmware's bits: what is so now in the lowest four, what has been so since the start sixteen bits higher.
fn firmware_throttling(text: &str) -> Option<Throttling> {
    let bits = u64::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()?;
    Some(Throttling { events: u64::from((bits >> 16 & 0xf).count_ones()), now: bits & 0xf != 0 })
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
    fn throttling_shows_in_bits_and_counts() {
        let cool = firmware_throttling("0\n").unwrap();
        assert!(!cool.since(&cool));
        let was = firmware_throttling("0x50000").unwrap();
        assert!(was.since(&cool) && !was.since(&was));
        assert!(firmware_throttling("50005").unwrap().since(&was));
        assert_eq!(firmware_throttling("?"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_peak_is_the_most() {
        let memory = memory().unwrap();
        assert!(memory.peak >= memory.resident && memory.resident > 0);
    }
}
