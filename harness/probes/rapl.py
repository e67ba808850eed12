"""The energy of the CPUs' packages and of their DRAM, as the kernel's powercap interface tells it (RAPL; AMD too).

The counters are the whole package's: every process on it counts, and so does what it takes when idle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.probes.base import read_text
from harness.spec.outcome import Fact

_FOLDER = "sys/class/powercap"
_ZONES = "intel-rapl:*"
"""AMD's zones have this name too. Not `intel-rapl-mmio:*`: it tells of the same packages."""
DOMAINS = ("package", "dram")
"""What is counted. Not core and uncore, which are parts of the package, nor psys, which may include it."""
_NO_ZONE = "no RAPL: /sys/class/powercap has no package (a virtual machine, or a kernel without intel_rapl_common)"
_ROOT_ONLY = "{} may be read by root only: sudo chmod a+r /sys/class/powercap/{}/energy_uj (until the next boot)"


class Zone:
    """A counter that begins again at its range; its sum since the first reading does not."""

    def __init__(self, folder: Path, domain: str) -> None:
        self.folder, self.domain = folder, domain
        self.name = read_text(str(folder / "name")).strip()
        text = read_text(str(folder / "max_energy_range_uj")).strip()
        self._range_uj = int(text) if text.isdigit() else None
        self._last_uj: int | None = None
        self._sum_uj = 0

    def counted_uj(self) -> int | None:
        """Return the energy since the first reading; None where it cannot be read.

        The counter may begin again once between two readings: at 200 W a range of 65 kJ, the smallest, lasts 5 minutes.
        """
        text = read_text(str(self.folder / "energy_uj")).strip()
        if not text.isdigit():
            return None
        now = int(text)
        step = 0 if self._last_uj is None else now - self._last_uj
        if step < 0:
            if self._range_uj is None:
                return None
            step += self._range_uj
        self._last_uj, self._sum_uj = now, self._sum_uj + step
        return self._sum_uj


class RaplProbe:
    """Sums over all sockets, in mJ since the first sample. `system` stands for the root of the file system.

    The hardware updates its counters about once a millisecond; a reading takes some microseconds on a CPU of each
    package (Intel SDM, volume 3B, "RAPL interfaces"; Linux, Documentation/power/powercap/powercap.rst).
    """

    period_s = 0.02
    only_alone = True
    columns: Mapping[str, str] = {f"{domain}_mj": "mJ" for domain in DOMAINS}

    def __init__(self, system: Path = Path("/")) -> None:
        self._system, self._device = system, "cpu"
        self._zones: list[Zone] = []

    def about(self, device: str) -> None:
        """Say which device the job's target names; asked before anything else."""
        self._device = device

    def unavailable(self) -> str | None:
        """Say why the packages' energy cannot be read: another device, no counters, no permission."""
        if self._device != "cpu":
            return f"the target's device is '{self._device}', not the CPU"
        self._zones = zones(self._system)
        packages = [zone for zone in self._zones if zone.domain == "package"]
        if not packages:
            return _NO_ZONE
        return next((why for zone in packages if (why := _unreadable(zone)) is not None), None)

    def start(self, pids: Sequence[int]) -> None:
        """Do nothing: the counters do not tell processes apart."""

    def sample(self) -> list[float | int | None]:
        """Read every counter once."""
        counted = [(zone.domain, zone.counted_uj()) for zone in self._zones]
        return [_sum_mj([energy for of, energy in counted if of == domain]) for domain in DOMAINS]

    def facts(self) -> dict[str, Fact]:
        """Return which counters were summed."""
        return {"zones": ", ".join(zone.name for zone in self._zones)}


def zones(system: Path) -> list[Zone]:
    """Return the counters of packages and DRAM, one for each socket."""
    found = []
    for folder in sorted((system / _FOLDER).glob(_ZONES)):
        name = read_text(str(folder / "name")).strip()
        domain = next((each for each in DOMAINS if name.partition("-")[0] == each), None)
        if domain is not None:
            found.append(Zone(folder, domain))
    return found


def _unreadable(zone: Zone) -> str | None:
    """Say why a counter cannot be read; None when it can."""
    file = zone.folder / "energy_uj"
    try:
        text = file.read_text(encoding="ascii").strip()
    except PermissionError:
        return _ROOT_ONLY.format(file, _ZONES)
    except OSError as error:
        return f"{file}: {error.strerror}"
    return None if text.isdigit() else f"{file} holds no number"


def _sum_mj(energies_uj: Sequence[int | None]) -> float | None:
    """Return the sum in mJ; None where a counter is not known, or there is none."""
    known = [energy for energy in energies_uj if energy is not None]
    return sum(known) / 1e3 if known and len(known) == len(energies_uj) else None
