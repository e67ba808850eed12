"""The probe of the CPU packages' energy, on trees of files as powercap has them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.probes.base import Probes
from harness.probes.rapl import RaplProbe, zones

RANGE = 262_143_328_850
TWO_SOCKETS = {
    "intel-rapl:0": ("package-0", 1_000_000),
    "intel-rapl:0:0": ("dram", 10_000),
    "intel-rapl:0:1": ("core", 7),
    "intel-rapl:1": ("package-1", 2_000_000),
    "intel-rapl:1:0": ("dram", 20_000),
    "intel-rapl:2": ("psys", 9_000_000),
    "intel-rapl-mmio:0": ("package-0", 3_000_000),
}
AMD = {"intel-rapl:0": ("package-0", 500), "intel-rapl:0:0": ("core", 100)}


def machine(root, counters, limit=RANGE):
    for zone, (name, energy_uj) in counters.items():
        folder = root / "sys/class/powercap" / zone
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "energy_uj").write_text(f"{energy_uj}\n")
        if limit is not None:
            (folder / "max_energy_range_uj").write_text(f"{limit}\n")
    return root


def started(root):
    probe = RaplProbe(root)
    assert probe.unavailable() is None
    probe.start([1])
    return probe


def test_packages_and_dram_are_summed_over_sockets_in_millijoules_since_the_first_reading(tmp_path):
    probe = started(machine(tmp_path, TWO_SOCKETS))
    assert tuple(probe.columns) == ("package_mj", "dram_mj") and set(probe.columns.values()) == {"mJ"}
    assert probe.sample() == [0.0, 0.0]
    machine(tmp_path, {"intel-rapl:0": ("package-0", 1_005_000), "intel-rapl:1": ("package-1", 2_002_500)})
    machine(tmp_path, {"intel-rapl:1:0": ("dram", 20_400), "intel-rapl:2": ("psys", 99_000_000)})
    assert probe.sample() == [7.5, 0.4]
    assert probe.facts() == {"zones": "package-0, dram, package-1, dram"}


def test_without_dram_it_is_not_known_and_never_zero(tmp_path):
    probe = started(machine(tmp_path, AMD))
    assert probe.sample() == [0.0, None]
    machine(tmp_path, {"intel-rapl:0": ("package-0", 1500)})
    assert probe.sample() == [1.0, None]


@settings(max_examples=30)
@given(st.integers(0, 999), st.lists(st.integers(0, 999), min_size=1, max_size=30))
def test_a_counter_that_begins_again_goes_on_in_the_sum(tmp_path_factory, begin, steps):
    root = machine(tmp_path_factory.mktemp("m"), {"intel-rapl:0": ("package-0", begin)}, limit=1000)
    (zone,) = zones(root)
    assert zone.counted_uj() == 0
    for place in range(len(steps)):
        passed = sum(steps[: place + 1])
        (zone.folder / "energy_uj").write_text(str((begin + passed) % 1000))
        assert zone.counted_uj() == passed


def test_a_counter_that_falls_and_whose_range_is_not_told_is_not_known(tmp_path):
    probe = started(machine(tmp_path, AMD, limit=None))
    probe.sample()
    machine(tmp_path, {"intel-rapl:0": ("package-0", 400)}, limit=None)
    assert probe.sample() == [None, None]


def test_a_counter_that_is_gone_is_not_known_and_no_other_stands_for_it(tmp_path):
    probe = started(machine(tmp_path, TWO_SOCKETS))
    probe.sample()
    (tmp_path / "sys/class/powercap/intel-rapl:1/energy_uj").unlink()
    assert probe.sample() == [None, 0.0]


def test_a_machine_without_counters_says_so(tmp_path):
    assert RaplProbe(tmp_path).unavailable().startswith("no RAPL: /sys/class/powercap has no package")
    machine(tmp_path, {"intel-rapl:0": ("psys", 1)})
    assert RaplProbe(tmp_path).unavailable().startswith("no RAPL")


def test_without_permission_it_says_how_to_mend_it(tmp_path, monkeypatch):
    """Root may read all files: the refusal is raised as the kernel raises it."""
    root, read = machine(tmp_path, TWO_SOCKETS), Path.read_text

    def refused(self, *args, **kwargs):
        if self.name == "energy_uj":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return read(self, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", refused)
    said = RaplProbe(root).unavailable()
    assert said.startswith(f"{root}/sys/class/powercap/intel-rapl:0/energy_uj may be read by root only: ")
    assert "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj" in said
    assert zones(root)[0].counted_uj() is None


def test_a_counter_that_holds_no_number_says_so(tmp_path):
    machine(tmp_path, {"intel-rapl:0": ("package-0", "nonsense")})
    assert RaplProbe(tmp_path).unavailable().endswith("energy_uj holds no number")


def test_it_is_for_targets_on_the_cpu_and_jobs_that_run_alone(tmp_path, monkeypatch):
    root = machine(tmp_path, TWO_SOCKETS)
    probe = RaplProbe(root)
    probe.about("cuda")
    assert probe.unavailable() == "the target's device is 'cuda', not the CPU"
    monkeypatch.setattr("harness.probes.base.plugins.names", lambda group: ("rapl",))
    monkeypatch.setattr("harness.probes.base.plugins.load", lambda group, name: lambda: RaplProbe(root))
    alone, among = Probes("cpu", alone=True), Probes("cpu", alone=False)
    assert list(alone.fast) == ["rapl"] and not among.fast
    assert among.records()["rapl"].unavailable == "it tells nothing of one process between the turns of others"
