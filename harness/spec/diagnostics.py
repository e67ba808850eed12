"""Diagnostics: every reason, flag, remark, note and failure as data. Programs read codes, people read messages."""

from typing import Literal, NamedTuple

import msgspec

Severity = Literal["error", "warning", "info"]
Value = str | int | float | bool | None


class Diagnostic(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One statement about a run or a row: `code` of the catalogue, `subject` (a row, a target), message, data."""

    code: str
    severity: Severity
    subject: str = ""
    message: str
    data: dict[str, Value | list[Value]] = {}


class Code(NamedTuple):
    """What a code means. "error": the row is failed or not eligible; "warning": read with care; "info": else."""

    severity: Severity
    meaning: str


CODES: dict[str, Code] = {
    # why a row has no place
    "failed": Code("error", "a trial, conversion or check of the cell failed; data.failure names how"),
    "skipped": Code("error", "the cell cannot run here, or was not run before the run ended"),
    "limit_broken": Code("error", "a limit is broken, with the policy's confidence"),
    "metric_unknown": Code("error", "a metric that the policy needs is not known"),
    "no_objective": Code("error", "no objective of the policy is known"),
    # how a row stands
    "undecided": Code("info", "the evidence cannot judge a limit or objective yet; data says what would settle it"),
    "dropped": Code("info", "the row left the race before its end"),
    "best_score": Code("info", "the row has the best score"),
    "tied": Code("info", "the row is not told apart from the rows named"),
    "dominated": Code("info", "another row is at least as good in every objective and better in one"),
    "behind": Code("info", "where the row loses most to the first one"),
    "dataset_limited": Code("info", "only a larger dataset could tell the row from a better one"),
    "one_trial": Code("info", "the row rests on a single trial, so its uncertainty is not known"),
    "limit_unchecked": Code("info", "a limit was not checked because its metric is not known"),
    "objective_unknown": Code("info", "an objective that is not known counts as utility 0"),
    # what to read with care
    "not_steady": Code("warning", "warm-up did not reach a steady state"),
    "saturated": Code("warning", "an open loop offered more than could be served, in some trials at least"),
    "generator_late": Code("warning", "late starts made latencies of an open loop longer than a stated bound"),
    "emulated": Code("warning", "a part of a core stands for a slower core"),
    "init_repeated": Code("warning", "INIT took longer than the platform allows and was repeated in the first request"),
    "artefact_resident": Code("warning", "the artefact was in memory at cold starts, though evicted"),
    "disturbed": Code("warning", "slices that the host disturbed change a result"),
    "quality_unknown": Code("warning", "predictions cannot be compared with the labels"),
    "gpu_throttled": Code("warning", "the GPU's clocks were held down while windows were measured"),
    "gpu_shared": Code("warning", "processes of others used the GPU while windows were measured"),
    "gpu_clock_changed": Code("warning", "the clock of the busy GPU changed within a trial"),
    "gpu_energy_doubtful": Code("warning", "the GPU's energy counter and its integrated power do not agree"),
    "package_energy_shared": Code("warning", "a row's energy by RAPL has much of what other processes took in it"),
    "winner_flagged": Code("warning", "a row that may be the best has warnings"),
    "evidence_damaged": Code("warning", "evidence that cannot be read was not used"),
    # what a variant is, beside the candidate in fp32
    "parity_missed": Code("warning", "a variant in lower precision differs from its candidate beyond `[parity]`"),
    "calibration_missing": Code("info", "int8 is dynamic, because the dataset has no calibration rows"),
    "dynamic_ranges": Code("info", "int8 is dynamic: a prediction depends on the rows that share its batch"),
    "weights_left": Code("info", "weights within branches of a model in int8 stay in fp32"),
    "fp16_casts": Code("info", "ONNX Runtime's CPU provider computes much of fp16 in fp32"),
    "against_fp32": Code("info", "the difference in quality to the candidate's row in fp32, paired by dataset row"),
    # remarks and notes
    "certified": Code("info", "what the samples alone certify about a latency limit"),
    "undisturbed": Code("info", "slices that the host disturbed do not change a result"),
    "no_upper_end": Code("info", "a percentile has no upper end, because trials differ; data says what would give one"),
    "trial_shape": Code("info", "samples within trials were not stationary"),
    "tie_at_top": Code("info", "several rows may be the best"),
    "rows_undecided": Code("info", "how many rows are undecided, and what would settle them"),
    "no_row_eligible": Code("info", "every row failed, was skipped, breaks a limit, or lacks a metric"),
    "no_ranking": Code("info", "the policy has no objective that is known"),
    "objective_left_out": Code("info", "an objective that is known for no row was left out of the score"),
    "single_trials": Code("info", "P(best) of some rows depends on an uncertainty that is not known"),
    "weights_robust": Code("info", "the first row is first under most weights"),
    "weights_matter": Code("info", "the first row depends on the weights"),
    "sensitivity": Code("info", "the difference that the run's blocks can detect"),
    "ended": Code("info", "why measuring ended, or that it has not"),
    "race_tied": Code("info", "the race ended in a tie"),
    "no_suite": Code("info", "no suite was given; a default policy ranks"),
    "ranked_by": Code("info", "the percentile that a run without a suite is ranked by, and why"),
    "instructions": Code("info", "the instructions of the CPUs that int8 rows ran on"),
    "host_noise": Code("info", "CPU time that the hypervisor and other processes took during trials"),
    "control_passed": Code("info", "a control came out as it should: twins alike, 5 % more work told apart"),
    "control_missed": Code("info", "a control did not come out as it should: so small a difference cannot be told"),
    "control_unknown": Code("info", "controls had too few blocks to say anything"),
    "budget_short": Code("info", "what the budget cannot buy, as said before measuring"),
    "windows_shortened": Code("info", "windows were shortened to keep to the budget"),
    "other_policy": Code("info", "the ranking uses another policy than the race did"),
    "tails_unmeasured": Code("info", "the budget did not suffice for the finalists' p99.9"),
    "not_emulated": Code("info", "what the emulation of a platform leaves out of a cold start, or adds for it"),
    "limit_not_enforced": Code("info", "a limit of a target that nothing on this machine could enforce"),
    "package_energy": Code("info", "what a row's energy by RAPL comprises"),
    "energy_unknown": Code("info", "why the energy of cells on the CPU is not known, which the policy asks for"),
    "gpu_trial_repeated": Code("info", "a trial in which the GPU was disturbed was measured once more"),
    "gpu_processes_unseen": Code("info", "NVML does not show the run's processes on the GPU"),
    "gpu_exclusive": Code("info", "a GPU takes one process at a time: its cells ran one after another, not in turns"),
    "cost_at_capacity": Code("info", "the cost is that of the capacity, the highest rate that keeps the latency limit"),
    "capacity_none": Code("warning", "no rate keeps the limit: requests that do not wait already break it"),
    "provisioned": Code("info", "what kept instances would cost and save; data has a column for each"),
    "users": Code("info", "the users that a fleet is simulated for, and what the simulation assumes"),
    "utilisation_assumed": Code("info", "the utilisation that cost assumes"),
    "price_other_machine": Code(
        "info", "a price is of a machine with another architecture or GPU than the one that was measured"
    ),
    "price_old": Code("info", "a price is more than a year old"),
    "inputs_synthetic": Code("info", "inputs were drawn from the model's signature"),
    "query_divided": Code("info", "the model takes fewer rows at once than a query has samples"),
    "rate_by_share": Code("info", "arrivals come at a share of each row's own throughput: rows had different loads"),
    "trace_in_part": Code("info", "windows replay parts of a longer trace"),
    "one_of_several": Code("info", "several processes serve; memory is that of one of them"),
    "batch_fixed": Code("info", "the model accepts one batch size only"),
    "batch_left_out": Code(
        "info", "batch sizes were left out: a request takes too long, or more rows than the model takes"
    ),
    # what a comparison of runs says
    "host_differs": Code("warning", "two runs are compared by force, though their hosts, GPUs or limits differ"),
    "suite_differs": Code("warning", "two runs are compared by force, though they did not measure the same"),
    "versions_differ": Code("info", "versions of runtimes, drivers or systems differ between two runs"),
    "variant_differs": Code("info", "the artefacts of rows differ between two runs"),
    "target_differs": Code("info", "a target is defined in another way in two runs"),
    "host_speed": Code("info", "how fast the host was in two runs, as the calibration kernel tells"),
    "moved_together": Code("info", "most rows of a run moved the same way"),
    "run_noise": Code("info", "what the noise from run to run is known from"),
    "measured_alone": Code("info", "why a suspect could not be measured side by side with the base"),
    "side_by_side": Code("info", "suspects were measured side by side with the base; what that cannot see"),
    # what `harness verify` finds: "error": the record does not hold
    "file_changed": Code("error", "a file has another content than when the decision was made"),
    "file_missing": Code("error", "a file that the decision rests on is not there"),
    "file_added": Code("error", "a file is there that was not when the decision was made"),
    "file_unreadable": Code("error", "a file that the decision rests on cannot be read"),
    "record_damaged": Code("error", "the decision's record is not as the program writes it"),
    "record_differs": Code("error", "the record says something else than the evidence"),
    "ranking_differs": Code("error", "the evidence gives another ranking than the record"),
    "not_derivable": Code("error", "no ranking can be derived from the evidence as it stands"),
    "approval_stale": Code("error", "an approval is for another decision than the record's"),
    "signature_wrong": Code("error", "the signature is not of this record by this key"),
    "signature_missing": Code("error", "a key was given, and the record is not signed"),
    "signature_unchecked": Code("info", "the record is signed; no key was given to check it with"),
    "signature_good": Code("info", "the signature is of this record, by the key given"),
    "decided_by_other": Code("info", "another version of the program or its libraries made the decision"),
}


def diagnostic(code: str, message: str, subject: str = "", **data: Value | list[Value]) -> Diagnostic:
    """Make a diagnostic; its severity is the catalogue's."""
    return Diagnostic(code=code, severity=CODES[code].severity, subject=subject, message=message, data=data)
