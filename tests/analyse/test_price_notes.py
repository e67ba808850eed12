"""What is said of prices: that they are old, or of a machine with another GPU."""

from __future__ import annotations

from datetime import date

import pytest

from harness.analyse.price_notes import price_notes
from harness.analyse.reader import open_run
from harness.spec.outcome import Launched, ProbeRecord
from harness.spec.target import HourlyPrice

from .handwritten import cold, run_folder

READ = {"source": "made up", "as_of": date(2026, 6, 1)}


def notes(base, price, gpu=""):
    probes = {"nvml": ProbeRecord(facts={"name": gpu})} if gpu else {}
    launched = Launched(launcher="process", wall_ns=1, probes=probes)
    run = run_folder(base, "a", price=price)
    cold(run, "a", 1, launched=launched)
    return {note.code: note.message for note in price_notes(open_run(run))}


@pytest.mark.parametrize(
    ("gpu", "had", "said"),
    [
        ("A10G", "NVIDIA A10G", False),
        ("h100", "NVIDIA H100 80GB HBM3", False),
        ("A100", "NVIDIA A100-SXM4-40GB", False),
        ("L4", "NVIDIA L4", False),
        ("L4", "NVIDIA L40S", True),
        ("A10G", "NVIDIA H100 80GB HBM3", True),
        ("A10G", "", False),
        ("", "NVIDIA L4", False),
    ],
)
def test_a_price_of_a_machine_with_another_gpu_is_said(tmp_path, gpu, had, said):
    found = notes(tmp_path, HourlyPrice(usd_per_hour=1.0, gpu=gpu, **READ), gpu=had)
    assert ("price_other_machine" in found) == said
    if said:
        wanted = f"prices of box are for a machine with {gpu}, times from {had}: give your machine's price"
        assert found["price_other_machine"] == wanted


def test_old_prices_are_named_with_their_day(tmp_path):
    price = HourlyPrice(usd_per_hour=1.0, source="made up", as_of=date(2025, 6, 1))
    assert notes(tmp_path, price)["price_old"] == "prices more than a year old: box (2025-06-01)"
    (tmp_path / "none").mkdir()
    assert notes(tmp_path / "none", None) == {}
