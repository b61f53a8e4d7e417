//! A computer made of files, as kernels write them: its temperature is what the test says.

use std::path::Path;

use tempfile::TempDir;

const FILES: &[(&str, &str)] = &[
    (
        "proc/stat",
        "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 50 0 50 400\ncpu1 50 0 50 400\nbtime 1767225600\n",
    ),
    (
        "proc/meminfo",
        "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 750 kB\n",
    ),
    ("proc/loadavg", "0.25 0.10 0.05 1/100 4242\n"),
    ("proc/uptime", "3600.25 7000.00\n"),
    ("proc/self/mountinfo", "22 27 0:21 / /proc rw - proc proc rw\n"),
    ("proc/net/dev", "Inter-|\n face |\n"),
    ("proc/sys/kernel/osrelease", "6.12.0\n"),
    ("proc/sys/kernel/hostname", "board\n"),
    (
        "proc/sys/kernel/random/boot_id",
        "cad1a997-dc01-4177-b51a-01f9c81785ef\n",
    ),
    ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
    ("sys/class/thermal/thermal_zone0/temp", "45000\n"),
];

pub(crate) struct Hardware(TempDir);

impl Hardware {
    pub(crate) fn new() -> Self {
        let hardware = Self(tempfile::tempdir().unwrap());
        for (path, content) in FILES {
            let path = hardware.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        hardware
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn celsius(&self, celsius: f64) {
        let zone = self.path().join("sys/class/thermal/thermal_zone0");
        // In one step: a kernel never shows half a number.
        std::fs::write(zone.join("next"), format!("{:.0}\n", celsius * 1_000.0)).unwrap();
        std::fs::rename(zone.join("next"), zone.join("temp")).unwrap();
    }
}
