"""What no run could make come true, although its types are right: it is said before a run is begun."""

from __future__ import annotations

import pytest

from harness.errors import SpecError
from harness.spec.find import load_suite, load_target
from harness.spec.metrics import nearest
from harness.spec.synthetic import read_line

LATENCY = "latency_p99_ms"


def limits(key, **ends):
    return lambda suite: suite["policy"].update(limits={key: ends})


def objective(key, target, limit):
    return lambda suite: suite["policy"].update(objectives={key: {"weight": 1, "target": target, "limit": limit}})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (limits("accuracy", min=93), "accuracy: 93 is above 1, and 'accuracy' is a fraction (93 % is 0.93)"),
        (limits("load_ms", max=-1), "load_ms: -1 is below 0, which 'load_ms' never is"),
        (
            limits(LATENCY, min=5),
            f"{LATENCY}: lower is better for '{LATENCY}', so a 'min' alone rules out the best (write max = 5)",
        ),
        (
            limits("accuracy", max=0.5),
            "accuracy: higher is better for 'accuracy', so a 'max' alone rules out the best (write min = 0.5)",
        ),
    ],
)
def test_a_limit_that_no_row_or_only_bad_ones_keep(suites, change, said):
    assert suites.refusal(change) == f"policy.limits.{said}"


@pytest.mark.parametrize(
    "change",
    [
        limits("accuracy", min=1),
        limits("accuracy", min=0.5, max=0.9),
        limits("latency_p50_ms", min=1, max=2),
        limits("offline.best_batch_size", min=2),
        limits("rmse", max=0),
        objective("accuracy", 1, 0),
    ],
)
def test_bounds_that_can_be_kept_are_read(suites, change):
    suites.write(suites.tables(change))
    assert load_suite(str(suites.folder / "mine.toml"))


def test_as_many_trials_as_there_may_be_are_read(suites):
    suites.write(suites.tables(lambda suite: suite["budget"].update(trials=4, max_trials=4)))
    assert load_suite(str(suites.folder / "mine.toml"))[0].budget.trials == 4


def test_an_objective_in_per_cent_is_refused(suites):
    said = suites.refusal(objective("accuracy", 99, 93))
    assert said == "policy.objectives.accuracy: 99 is above 1, and 'accuracy' is a fraction (93 % is 0.93)"


def test_a_scenario_that_times_no_requests_has_no_latency_percentiles(suites):
    said = suites.refusal(limits("offline.latency_p99_ms", max=5))
    assert said == (
        "policy: 'offline.latency_p99_ms': the scenario 'offline' (offline) gives no latency percentiles "
        "(take those of another scenario)"
    )


def test_nor_has_it_them_as_the_first(suites):
    def change(suite):
        suite["scenario"].reverse()
        suite["policy"]["limits"] = {}

    assert "the scenario 'offline' (offline) gives no latency percentiles" in suites.refusal(change)


def test_the_parity_of_a_precision_that_no_variant_has(suites):
    said = suites.refusal(lambda suite: suite.update(parity={"fp23": {"max_abs_diff": 1}}))
    assert said == "parity.fp23: no variant has this precision (did you mean 'fp32'?)"


def test_the_parity_of_a_candidates_own_precision_is_read(suites):
    def change(suite):
        suite["candidate"][0]["precision"] = "int4"
        suite["parity"] = {"int4": {"max_abs_diff": 1}, "int8": {"max_abs_diff": 1}}

    assert load_suite(str(suites.write(suites.tables(change))))


@pytest.mark.parametrize("pin", ["", "abc", "A" * 64, "0" * 65])
def test_a_pin_that_is_no_digest(suites, pin):
    said = suites.refusal(lambda suite: suite["candidate"][0].update(sha256=pin))
    assert said == f"candidate[0].sha256: '{pin}' is not 64 of 0-9 and a-f (see sha256sum)"


@pytest.mark.parametrize("builder", ["a b:f", "a..b:f", ".a:f", "a:f:g", "a:f()"])
def test_a_builder_that_no_module_can_be(suites, builder):
    said = suites.refusal(lambda suite: suite["candidate"].append({"name": "c", "builder": builder}))
    assert said == f"candidate[2].builder: '{builder}' is not of the form 'module:function'"


def test_a_folder_in_place_of_a_file_comes_with_what_is_in_it(suites):
    (suites.folder / "models").mkdir()
    (suites.folder / "models" / "m.onnx").touch()
    said = suites.refusal(lambda suite: suite["candidate"][0].update(path="models"))
    assert said == f"candidate[0].path: is a folder, not a file: {suites.folder / 'models'} (one of: m.onnx)"


@pytest.mark.parametrize("split", ["calibration", "production"])
def test_a_split_beside_synthetic_inputs_would_not_be_read(suites, split):
    said = suites.refusal(lambda suite: suite["dataset"].update({split: {"path": "c.npz"}}))
    assert said.startswith(f"dataset.{split}: synthetic inputs have no split beside them (give rows by dataset.path")


PRICE = 'description = "d"\nruntime = "fake"\n[price]\nmodel = "hourly"\nusd_per_hour = 1\n'


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('source = "s"\nas_of = "01.02.2026"', "price.as_of: '01.02.2026' is not a date"),
        ('source = "s"\nas_of = 2026', "price.as_of: '2026' is not a date"),
        ('source = "s"\nas_of = 2026-01-01T00:00:00', "price.as_of: '2026-01-01 00:00:00' is not a date"),
        ('source = " "\nas_of = 2026-01-01', "price.source: is empty (say where you read the price)"),
    ],
)
def test_a_price_without_a_date_or_a_source(tmp_path, lines, said):
    path = tmp_path / "t.toml"
    path.write_text(PRICE + lines)
    with pytest.raises(SpecError) as caught:
        load_target(str(path))
    mend = " (write as_of = 2026-01-31, without quotes)" if said.endswith("date") else ""
    assert str(caught.value) == f"{path}: {said}{mend}"


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        *(("int8", "0..128"), ("int8", "-129"), ("uint8", "-1..3"), ("uint8", "256"), ("bool", "0..2")),
        *(("int64", "1.5"), ("int32", "text"), ("object", "0..1"), ("float32", "text"), ("object", "normal")),
    ],
)
def test_values_that_a_dtype_cannot_hold_would_wrap_round(dtype, values):
    with pytest.raises(ValueError, match=f"{dtype} cannot hold '{values}'"):
        read_line(f"Nx3:{dtype}:{values}")


@pytest.mark.parametrize("line", ["int8:-128..127", "uint8:0..255", "bool:0..1", "object:text", "float16:-0.5..1.5"])
def test_the_ends_of_a_dtype_are_held(line):
    assert str(read_line(f"Nx3:{line}")) == f"Nx3:{line}"


def test_values_are_finite():
    with pytest.raises(ValueError, match="'1e999' is not a range of values"):
        read_line("Nx3:float32:1e999")


def test_a_word_that_begins_a_known_one_is_that_one():
    assert nearest("rate", ["trace", "rate_per_s"]) == "did you mean 'rate_per_s'?"
    assert nearest("ofline", ["offline", "online"]) == "did you mean 'offline'?"
