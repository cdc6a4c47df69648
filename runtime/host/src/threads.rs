//! How many threads a board lends to the runtime by default.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;

/// Most threads that can be asked for.
pub const MAX_THREADS: usize = 256;

/// Physical cores that this process may use: hyper-threads of one core count once, and the scheduler's affinity and a
/// container's quota are honoured. At least 1.
pub fn default_threads() -> usize {
    // Affinity and cgroup quotas (`cpu.max` and its older form) are in the standard library's answer.
    let allowed = thread::available_parallelism().map_or(1, usize::from);
    let cores = affinity().map_or(allowed, |cpus| physical_cores(Path::new("/sys/devices/system/cpu"), &cpus));
    allowed.min(cores).clamp(1, MAX_THREADS)
}

fn affinity() -> Option<Vec<usize>> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    cpu_list(list.trim())
}

/// Reads a list like `0-3,8`.
fn cpu_list(list: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        cpus.extend(first..=last.min(first + 4096));
    }
    Some(cpus)
}

/// Distinct cores among these CPUs; a CPU whose topology is not known counts as a core of its own.
fn physical_cores(folder: &Path, cpus: &[usize]) -> usize {
    let read = |cpu: usize, name: &str| {
        let text = fs::read_to_string(folder.join(format!("cpu{cpu}/topology/{name}"))).ok()?;
        text.trim().parse::<i64>().ok()
    };
    let cores: BTreeSet<_> = cpus
        .iter()
        .filter(|cpu| folder.join(format!("cpu{cpu}")).exists())
        .map(|&cpu| match (read(cpu, "physical_package_id"), read(cpu, "core_id")) {
            (Some(package), Some(core)) => (Some(package), core),
            _ => (None, cpu as i64),
        })
        .collect();
    if cores.is_empty() { cpus.len() } else { cores.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus() {
        assert_eq!(cpu_list("0-3,8"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(cpu_list("5"), Some(vec![5]));
        assert_eq!(cpu_list(""), None);
        assert_eq!(cpu_list("a-b"), None);
    }

    #[test]
    fn hyper_threads_of_a_core_count_once() {
        let folder = tempfile::tempdir().unwrap();
        for (cpu, package, core) in [(0, 0, 0), (1, 0, 1), (2, 0, 0), (3, 0, 1), (4, 1, 0)] {
            let topology = folder.path().join(format!("cpu{cpu}/topology"));
            fs::create_dir_all(&topology).unwrap();
            fs::write(topology.join("physical_package_id"), format!("{package}\n")).unwrap();
            fs::write(topology.join("core_id"), format!("{core}\n")).unwrap();
        }
        assert_eq!(physical_cores(folder.path(), &[0, 1, 2, 3, 4]), 3);
        assert_eq!(physical_cores(folder.path(), &[0, 2]), 1);
        assert_eq!(physical_cores(folder.path(), &[6, 7]), 2);
    }

    #[test]
    fn there_is_at_least_one() {
        assert!((1..=MAX_THREADS).contains(&default_threads()));
    }
}
