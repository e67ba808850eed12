"""A launcher of a third party starts the trials of the targets that name it; other jobs run as they always do."""

from __future__ import annotations

import csv
import os

import pytest

from harness.errors import BusyError
from harness.launch.base import held
from harness.launch.process import ProcessLauncher


def test_a_target_names_the_launcher_that_starts_its_jobs(bench, fake) -> None:
    done = bench.run({"m.fake.toml": fake}, target='launcher = "niced"\n[limits]\ncpus = 1\n')
    assert done.status == 0, done.text
    for folder, name in (("cells/m@place/trial-01", "niced"), ("prepare/target-place", "niced")):
        launched = done.read(f"{folder}/outcome.json")["launched"]
        assert launched["launcher"] == name
        assert launched["wall_ns"] > 0 and launched["host"]["cpus"] >= 1
    trial = done.read("cells/m@place/trial-01/outcome.json")
    assert set(trial["launched"]["resources"]["limits"]) == {"cpus"}
    assert done.read("prepare/dataset/outcome.json")["launched"]["launcher"] == "process"


def test_the_measured_process_itself_has_the_launchers_priority(bench, fake) -> None:
    """Not a wrapper around it: pid, limits and signals are for the process that measures."""
    slow = fake.replace("0.5", "60") + 'clock = "real"\n'
    done = bench.run({"m.fake.toml": slow}, target='launcher = "niced"\n')
    assert done.status == 0, done.text
    with (done.run / "cells/m@place/trial-01/telemetry.csv").open() as file:
        levels = [int(row["files.niceness"]) for row in csv.DictReader(file) if row["files.niceness"]]
    assert levels[-1] == min(19, os.nice(0) + 5)


def test_a_command_of_its_own_is_run_for_every_trial_alone(bench, fake) -> None:
    """Nothing is known of what it does with the pipes that turns go by."""
    done = bench.run({"m.fake.toml": fake, "n.fake.toml": fake}, target='launcher = "niced"\n', trials=2)
    assert done.status == 0, done.text
    for block in (1, 2):
        assert done.read(f"blocks/0{block}.json").get("groups", []) == []
        for name in "mn":
            outcome = done.read(f"cells/{name}@place/trial-0{block}/outcome.json")
            assert outcome.get("fresh", True) and "uncounted" not in outcome["windows"][0]


def test_a_failure_below_the_launcher_is_named(bench, fake) -> None:
    done = bench.run({"m.fake.toml": f'{fake}fail_at = "load"\nfail_how = "segfault"\n'}, target='launcher = "niced"\n')
    outcome = done.read("cells/m@place/cold-01/outcome.json")
    assert (outcome["failure"], outcome["phase"], outcome["by"]) == ("crash", "load", "launcher")
    assert outcome["launched"]["launcher"] == "niced"


def test_the_launchers_of_one_run_share_the_machines_lock() -> None:
    class Other(ProcessLauncher):
        name = "other"

    with held({"process": ProcessLauncher(), "other": Other()}, "mine") as ready:
        assert isinstance(ready["other"], Other)
        for launcher in (ProcessLauncher(), Other()):
            with pytest.raises(BusyError, match="mine"), launcher.hold("theirs"):
                pass
    with Other().hold("theirs"):
        pass


def test_an_unknown_launcher_is_refused_with_the_nearest(bench, fake) -> None:
    done = bench.run({"m.fake.toml": fake}, target='launcher = "nice"\n')
    assert (done.status, done.run) == (2, None)
    assert "place.toml: launcher: 'nice' is not one of the values" in done.text
    assert "did you mean 'niced'?" in done.text
