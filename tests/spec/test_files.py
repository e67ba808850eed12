"""Files that cannot be read, and suites and targets that cannot be found."""

from __future__ import annotations

import pytest

from harness.errors import SpecError
from harness.spec import toml
from harness.spec.find import known, load_policy, load_suite, load_target, load_targets
from harness.spec.target import Target

TARGET = 'description = "mine"\nruntime = "fake"\n'


def refusal(call, *arguments):
    with pytest.raises(SpecError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_what_is_not_toml_is_shown_with_line_and_column(tmp_path):
    path = tmp_path / "t.toml"
    path.write_text('description = "a"\nruntime = = 3\n')
    message = refusal(toml.read, path, Target)
    assert message.startswith(f"{path}: not TOML: ")
    assert "line 2, column 11" in message


def test_what_is_not_utf8_says_so(tmp_path):
    path = tmp_path / "t.toml"
    path.write_bytes('description = "ä"'.encode("latin-1"))
    assert refusal(toml.read, path, Target).startswith(f"{path}: not UTF-8 text: ")


def test_a_folder_is_not_a_file(tmp_path):
    assert refusal(toml.read, tmp_path, Target) == f"{tmp_path}: cannot be read: Is a directory"


def test_a_missing_file_comes_with_the_nearest_name(tmp_path):
    (tmp_path / "policy.toml").touch()
    (tmp_path / "weights.bin").touch()
    said = refusal(load_policy, tmp_path / "polcy.toml", ["a"])
    assert said == f"{tmp_path / 'polcy.toml'}: no such file (did you mean 'policy.toml'?)"


def test_a_missing_file_in_a_missing_folder_blames_the_folder(tmp_path):
    folder = tmp_path / "nowhere"
    assert refusal(toml.read, folder / "t.toml", Target).endswith(f"no such file (the folder {folder} does not exist)")


def test_a_full_folder_is_not_listed_whole(tmp_path):
    for number in range(100):
        (tmp_path / f"{number:04d}").touch()
    said = refusal(toml.read, tmp_path / "zzz", Target)
    assert said.endswith("(one of the 100 files there: 0000, 0001, 0002, 0003, 0004, 0005, 0006, 0007, …)")


def test_an_unknown_suite_comes_with_the_nearest():
    assert refusal(load_suite, "digit") == "suite: unknown suite 'digit' (did you mean 'digits'?)"


def test_an_unknown_target_comes_with_the_nearest_and_with_who_named_it():
    assert refusal(load_target, "cpu-onx") == "--target: unknown target 'cpu-onx' (did you mean 'cpu-onnx'?)"
    said = refusal(load_targets, ["cpu-onnx", "cpu-troch"], "s.toml: targets")
    assert said == "s.toml: targets: unknown target 'cpu-troch' (did you mean 'cpu-torch'?)"


def test_a_target_file_that_a_suite_names_is_looked_for_beside_it(tmp_path):
    (tmp_path / "mine.toml").write_text(TARGET)
    assert load_target("mine.toml", "s.toml", tmp_path).name == "mine"
    said = refusal(load_target, "mien.toml", "s.toml: targets", tmp_path)
    assert said == f"{tmp_path / 'mien.toml'}: no such file (named by s.toml: targets) (did you mean 'mine.toml'?)"


def test_a_target_twice_is_refused_also_by_another_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(TARGET)
    (tmp_path / "other.toml").write_text(TARGET + 'name = "mine"\n')
    said = refusal(load_targets, ["mine.toml", "other.toml"], "--target")
    assert said == "--target: target 'mine' is named twice"


def test_nearer_folders_win_over_the_package(tmp_path, monkeypatch):
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "cpu-onnx.toml").write_text(TARGET)
    monkeypatch.chdir(tmp_path)
    assert load_target("cpu-onnx").description == "mine"
    assert known("targets")["cpu-torch"].parent != tmp_path / "targets"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[limits]\ncpus = 0", "limits.cpus: must be > 0, is 0"),
        ("[limits]\ncpu_period_ms = 0", "limits.cpu_period_ms: must be >= 1, is 0"),
        ("[limits]\ncpu_period_ms = 1001", "limits.cpu_period_ms: must be <= 1000, is 1001"),
        ("[limits]\nmemory_above_baseline_mib = 0", "limits.memory_above_baseline_mib: must be >= 1, is 0"),
        (
            "[limits]\nmemory_mib = 64\nmemory_above_baseline_mib = 64",
            "limits: memory_mib and memory_above_baseline_mib are both given (give one of them)",
        ),
        (
            "[limits]\ncpus = 0.005",
            "limits.cpus: 0.005 CPUs are 0.5 ms of each 100 ms; Linux needs 1 ms (raise cpus or cpu_period_ms)",
        ),
        (
            'launcher = "function"',
            "lifecycle: missing; the launcher 'function' starts instances "
            "(write [lifecycle], if only to say init_s and timeout_s)",
        ),
        (
            "[lifecycle]",
            "lifecycle: the launcher 'process' starts no instances (launcher = one of: function, container)",
        ),
        (
            'launcher = "function"\n[lifecycle]\nmib_per_cpu = 1769',
            "lifecycle.mib_per_cpu: memory buys CPU time, but there is no limits.memory_mib (give it)",
        ),
        (
            'launcher = "function"\n[limits]\ncpus = 1\nmemory_mib = 512\n[lifecycle]\nmib_per_cpu = 1769',
            "lifecycle.mib_per_cpu: memory buys CPU time, but limits.cpus is given too (leave out one of them)",
        ),
        (
            'launcher = "container"\n[limits]\ncpus = 1\n[lifecycle]\ninit_cpus = 2',
            "lifecycle.init_cpus: 2 is more than the 1 CPU it is kept to",
        ),
        (
            'launcher = "container"\n[lifecycle]\ninit_cpus = 2',
            "lifecycle.init_cpus: there is no limit of CPU time to differ from (leave it out)",
        ),
        (
            'launcher = "container"\n[lifecycle]\nelsewhere_ms = 120',
            "lifecycle.elsewhere_source: missing (say who measured elsewhere_ms)",
        ),
        (
            'launcher = "function"\n[limits]\nmemory_mib = 64\ncpu_period_ms = 20\n[lifecycle]\nmib_per_cpu = 1769',
            "limits.cpus: 0.0361786 CPUs are 0.723573 ms of each 20 ms; Linux needs 1 ms (raise cpus or cpu_period_ms)",
        ),
        ("[limits]\ncpus = 1\ncpu_scale = 2", "limits.cpu_scale: must be <= 1, is 2"),
        (
            '[limits]\ncpu_scale = 0.5\ncpu_scale_source = "s"',
            "limits.cpu_scale: there is no limits.cpus (give it too)",
        ),
        (
            "[limits]\ncpus = 1\ncpu_scale = 0.5",
            "limits.cpu_scale_source: missing (say which ratio of the kernels of `harness doctor` it is)",
        ),
        ("[limits]\nmemory_mib = -1", "limits.memory_mib: must be >= 1, is -1"),
        ("[limits]\nmemory = 1", "limits.memory: unknown key (did you mean 'memory_mib'?)"),
        (
            '[price]\nmodel = "funktion"\nsource = "s"\nas_of = 2026-01-01',
            "price.model: 'funktion' is not one of the values (did you mean 'function'?)",
        ),
        (
            '[price]\nmodel = "function"\nusd_per_gb_s = 1\nusd_per_million_requests = 1\n'
            'source = "s"\nas_of = 2026-01-01',
            "price.model: it is billed by memory, and there is no limits.memory_mib (give it)",
        ),
        (
            '[limits]\nmemory_mib = 512\n[price]\nmodel = "container"\nusd_per_vcpu_s = 1\nusd_per_gib_s = 1\n'
            'source = "s"\nas_of = 2026-01-01',
            "price.model: 'container' is billed by vCPUs, and there is no limits.cpus (give it)",
        ),
        (
            '[price]\nmodel = "container"\nusd_per_vcpu = 1\nusd_per_gib_s = 1\nsource = "s"\nas_of = 2026-01-01',
            "price.usd_per_vcpu: unknown key (did you mean 'usd_per_vcpu_s'?)",
        ),
        ('name = "a/b"', "name: 'a/b' is not a name (letters, digits, '.', '_' and '-')"),
        ('launcher = "proces"', "launcher: 'proces' is not one of the values (did you mean 'process'?)"),
        (
            '[price]\nmodel = "hourly"\nusd_per_hour = -1\nsource = "s"\nas_of = 2026-01-01',
            "price.usd_per_hour: must be >= 0, is -1",
        ),
        (
            '[price]\nmodel = "hourly"\nusd_per_hour = 1\nsource = "s"\nas_of = 2026-01-01\nutilisation = 1.5',
            "price.utilisation: must be <= 1, is 1.5",
        ),
        (
            '[price]\nmodel = "hourly"\nusd_per_hour = nan\nsource = "s"\nas_of = 2026-01-01',
            "price.usd_per_hour: must be >= 0, is nan",
        ),
    ],
)
def test_what_a_target_cannot_be(tmp_path, text, said):
    path = tmp_path / "t.toml"
    path.write_text(TARGET + text)
    assert refusal(load_target, str(path)) == f"{path}: {said}"


def test_the_cpus_of_a_target_are_finite(tmp_path):
    path = tmp_path / "t.toml"
    path.write_text(TARGET + "[limits]\ncpus = inf")
    assert refusal(load_target, str(path)) == f"{path}: limits.cpus: must be finite, is inf"


def test_precision_and_conversion_options_are_open(tmp_path):
    path = tmp_path / "t.toml"
    path.write_text(TARGET + 'precision = "int8"\n[conversion]\nper_channel = true\n')
    target = load_target(str(path))
    assert (target.precision, target.conversion) == ("int8", {"per_channel": True})


def test_a_target_file_whose_stem_is_no_name_needs_one(tmp_path):
    path = tmp_path / "my target.toml"
    path.write_text(TARGET)
    assert "name: 'my target' is not a name" in refusal(load_target, str(path))
    path.write_text(TARGET + 'name = "mine"')
    assert load_target(str(path)).name == "mine"


def test_a_policy_file_holds_a_policy_and_nothing_else(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text("[policy.limits]\naccuracy = { min = 0.9 }\n")
    assert load_policy(path, ["a"]).limits["accuracy"].min == 0.9
    path.write_text('description = "x"\n[policy]\n')
    assert refusal(load_policy, path, ["a"]) == f"{path}: description: unknown key (one of: policy)"


@pytest.mark.parametrize("name", ["digits", "quick"])
def test_the_suites_that_come_along_are_right(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    suite, path = load_suite(name)
    assert suite.name == name
    load_targets(suite.targets, "t", path.parent)


def test_every_target_that_comes_along_is_right(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert {load_target(name).name for name in known("targets")} == set(known("targets"))
