"""One trial folder: what its telemetry flags, and what is refused as damaged."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analyse.trials import HostShares, host_shares, read_trial
from harness.errors import EvidenceError
from harness.trial.watch import COLUMNS


@pytest.fixture
def trial(recorded):
    return recorded / "cells" / "quick@box" / "trial-01"


def telemetry(folder, *looks):
    """Write looks of (child, steal, idle, total) ticks; None stays empty."""
    lines = [",".join(COLUMNS)]
    for child, steal, idle, total in looks:
        row = dict.fromkeys(COLUMNS, "")
        row |= {"cpu_ticks": child, "host_steal_ticks": steal, "host_idle_ticks": idle, "host_total_ticks": total}
        lines.append(",".join("" if row[key] is None else str(row[key]) for key in COLUMNS))
    (folder / "telemetry.csv").write_text("\n".join(lines) + "\n")


def test_shares_of_the_host_in_literal_numbers(tmp_path):
    telemetry(tmp_path, (0, 5, 100, 1000), (30, 7, 120, 1100), (50, 15, 150, 1200))
    assert host_shares(tmp_path) == HostShares(steal=10 / 200, others=(200 - 50 - 10 - 50) / 200)


@pytest.mark.parametrize(
    "looks",
    [
        [],
        [(0, 0, 0, 100)],
        [(0, 0, 0, 100), (1, 0, 0, 119)],  # too short to tell
        [(0, 0, 0, None), (1, 0, 0, None)],
        [(0, None, 0, 100), (1, None, 0, 200)],  # a host that does not say what is stolen
        [(0, 0, 0, "1oo"), (1, 0, 0, 200)],
    ],
)
def test_what_the_host_did_not_say_is_not_known(tmp_path, looks):
    telemetry(tmp_path, *looks)
    assert host_shares(tmp_path) is None


@given(st.binary(max_size=300))
def test_damaged_telemetry_never_stops_the_analysis(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("t")
    (folder / "telemetry.csv").write_bytes(",".join(COLUMNS).encode() + b"\n" + data)
    shares = host_shares(folder)
    assert shares is None or isinstance(shares.steal, float)


def test_telemetry_cut_off_in_its_last_line_is_still_read(trial):
    before = host_shares(trial)
    path = trial / "telemetry.csv"
    path.write_text(path.read_text() + "2000000000,5000")
    assert host_shares(trial) == before


def test_a_trial_without_telemetry_has_no_flags(trial):
    (trial / "telemetry.csv").unlink()
    assert read_trial(trial, 0, "interactive").flags == ()


@pytest.mark.parametrize(("steal", "others", "flags"), [
    (2, 50, ()),
    (3, 50, ("steal",)),
    (2, 51, ("other work on the machine",)),
])  # fmt: skip
def test_flags_begin_above_their_limits(trial, steal, others, flags):
    # of 200 ticks: 1 % is 2, 25 % is 50
    telemetry(trial, (0, 0, 0, 1000), (200 - steal - others, steal, 0, 1200))
    assert read_trial(trial, 0, "interactive").flags == flags


def edited(trial, **fields):
    outcome = json.loads((trial / "outcome.json").read_text())
    outcome["scenarios"][0] |= fields
    outcome["files"] = {}
    (trial / "outcome.json").write_text(json.dumps(outcome))


@pytest.mark.parametrize(
    "harm",
    [
        lambda trial: edited(trial, samples=39),
        lambda trial: edited(trial, elapsed_ns=0),
        lambda trial: (edited(trial, samples=0), np.save(trial / "samples/interactive.npy", np.zeros(0, np.int64))),
        lambda trial: (edited(trial), np.save(trial / "samples/interactive.npy", np.ones(40))),
        lambda trial: (edited(trial), np.save(trial / "samples/interactive.npy", np.ones((40, 2), np.int64))),
        lambda trial: (edited(trial), (trial / "samples/interactive.npy").unlink()),
        lambda trial: (trial / "samples/interactive.npy").unlink(),
        lambda trial: (trial / "outcome.json").write_text("{"),
    ],
)
def test_damaged_samples_are_refused_by_name(trial, harm):
    harm(trial)
    with pytest.raises(EvidenceError, match=r"interactive\.npy|outcome\.json"):
        read_trial(trial, 0, "interactive")


def test_values_the_child_could_not_read_are_left_out(trial):
    outcome = json.loads((trial / "outcome.json").read_text())
    outcome["memory"] = {"peak_bytes": 1 << 20}
    del outcome["load_ns"]
    (trial / "outcome.json").write_text(json.dumps(outcome))
    values = read_trial(trial, 0, "interactive").values
    assert values["memory_peak_mib"] == 1.0
    assert not {"memory_baseline_mib", "memory_loaded_mib", "load_ms"} & set(values)
