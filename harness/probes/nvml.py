"""The GPU under a job, as NVIDIA's management library (NVML) tells it. Reads only: no setting is ever changed."""

import importlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import psutil

from harness.probes.nvml_device import COMPUTE_MODES, chosen, reason, throttling
from harness.spec.outcome import Fact

_POWER_INSTANT = 186  # NVML_FI_DEV_POWER_INSTANT; older bindings do not name it
_ENERGY_EVERY = 2
_FINAL = (3, 4, 13, 25)  # not supported, no permission, function not found, argument version mismatch


class Nvml:
    """NVML's functions. What a device does not tell is None, and is not asked again; `missing` says why."""

    def __init__(self, api: Any) -> None:
        self.api = api
        self.missing: dict[str, str] = {}

    def ask(self, name: str, *arguments: Any) -> Any:
        """Call a function of NVML; None where it fails."""
        if name in self.missing:
            return None
        function = getattr(self.api, name, None)
        if function is None:
            self.missing[name] = "the installed nvidia-ml-py does not know it"
            return None
        try:
            found = function(*arguments)
        except self.api.NVMLError as error:
            if error.value in _FINAL:
                self.missing[name] = str(error)
            return None
        return found.decode() if isinstance(found, bytes) else found


class NvmlProbe:
    """One GPU: use, memory, power, energy, clocks, temperature, reasons of low clocks, processes.

    `utilisation` is NVML's: the share of the last 1/6 to 1 s in which any kernel ran, not how much of the GPU it used.
    On a MIG instance, memory and processes are the instance's, all else the whole GPU's. The energy counter is read in
    every second sample: that takes 2.4 ms of CPU time, all else together 0.1 ms, and it is updated ten times a second
    (NVIDIA H200, driver 580.159). `api` stands in for pynvml.
    """

    period_s = 0.05
    columns: Mapping[str, str] = {
        "utilisation": "1",
        "memory_used_bytes": "bytes",
        "process_memory_bytes": "bytes",
        "power_w": "W",
        "energy_mj": "mJ",
        "sm_clock_mhz": "MHz",
        "memory_clock_mhz": "MHz",
        "temperature_c": "°C",
        "clock_reasons": "bits",
        "other_processes": "1",
    }

    def __init__(self, api: Any = None, visible: str | None = None) -> None:
        self._given, self._visible = api, visible if visible is not None else os.environ.get("CUDA_VISIBLE_DEVICES")
        self._device = "cpu"
        self._pids: frozenset[int] = frozenset()
        self._own: dict[int, bool] = {}
        self._others: dict[int, str] = {}
        self._seen, self._bits, self._samples, self._instant, self._open = False, 0, 0, False, False

    def about(self, device: str) -> None:
        """Say which device the job's target names; asked before anything else."""
        self._device = device

    def unavailable(self) -> str | None:
        """Say what is missing: a CUDA target, the package, a driver, the device."""
        try:
            name = chosen(self._device, self._visible)
        except LookupError as error:
            return str(error)
        try:
            api = importlib.import_module("pynvml") if self._given is None else self._given
        except ImportError:
            return "nvidia-ml-py is not installed: pip install nvidia-ml-py"
        try:
            api.nvmlInit()
            self._open, self._nvml = True, Nvml(api)
            self._gpu, self._part = _handles(api, name)
        except api.NVMLError as error:
            return reason(error.value, str(error))
        except LookupError as error:
            return str(error)
        self._instant = self._power_instant() is not None
        return None

    def start(self, pids: Sequence[int]) -> None:
        """Look for these processes from now on."""
        self._pids = self._pids | frozenset(pids)

    def sample(self) -> list[float | int | None]:
        """Read the GPU once."""
        ask, gpu, api = self._nvml.ask, self._gpu, self._nvml.api
        use, memory = ask("nvmlDeviceGetUtilizationRates", gpu), ask("nvmlDeviceGetMemoryInfo", self._part)
        self._samples += 1
        own, others = self._processes()
        return [
            None if use is None else use.gpu / 100,
            None if memory is None else int(memory.used),
            own,
            self._power_w(),
            ask("nvmlDeviceGetTotalEnergyConsumption", gpu) if self._samples % _ENERGY_EVERY == 1 else None,
            ask("nvmlDeviceGetClockInfo", gpu, api.NVML_CLOCK_SM),
            ask("nvmlDeviceGetClockInfo", gpu, api.NVML_CLOCK_MEM),
            ask("nvmlDeviceGetTemperature", gpu, api.NVML_TEMPERATURE_GPU),
            self._reasons(),
            others,
        ]

    def facts(self) -> dict[str, Fact]:
        """Return what the GPU is, how it is set, which processes shared it, and what it does not tell."""
        ask, gpu = self._nvml.ask, self._gpu
        memory, mig = ask("nvmlDeviceGetMemoryInfo", self._part), ask("nvmlDeviceGetMigMode", gpu)
        cuda, mode = ask("nvmlSystemGetCudaDriverVersion_v2"), ask("nvmlDeviceGetComputeMode", gpu)
        limit_mw = ask("nvmlDeviceGetEnforcedPowerLimit", gpu)
        return {
            "name": ask("nvmlDeviceGetName", gpu),
            "uuid": ask("nvmlDeviceGetUUID", self._part),
            "driver": ask("nvmlSystemGetDriverVersion"),
            "cuda_driver": None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
            "compute_mode": None if mode is None else COMPUTE_MODES.get(int(mode), str(mode)),
            "mig": None if mig is None else bool(mig[0]),
            "memory_total_bytes": None if memory is None else int(memory.total),
            "power_limit_w": None if limit_mw is None else limit_mw / 1000,
            "sm_clock_max_mhz": ask("nvmlDeviceGetMaxClockInfo", gpu, self._nvml.api.NVML_CLOCK_SM),
            "power": "instant" if self._instant else "as nvmlDeviceGetPowerUsage averages it",
            "clock_reasons": ", ".join(throttling(self._bits)),
            "processes_visible": self._seen,
            "other_processes": ", ".join(sorted(set(self._others.values()))) if self._seen else None,
            "not_told": "; ".join(f"{name}: {why}" for name, why in self._nvml.missing.items()),
        }

    def close(self) -> None:
        """Let go of NVML."""
        if self._open:
            self._open = False
            self._nvml.ask("nvmlShutdown")

    def _processes(self) -> tuple[int | None, int | None]:
        """Return the memory of the job's own processes on the GPU (bytes), and how many are there that are not ours.

        Both are None until NVML shows a process of the job: in a container it may show none, or by other numbers.
        """
        listed = self._nvml.ask("nvmlDeviceGetComputeRunningProcesses", self._part)
        if listed is None:
            return None, None
        own = [each.usedGpuMemory for each in listed if each.pid in self._pids]
        self._seen = self._seen or bool(own)
        if not self._seen:
            return None, None
        foreign = [each.pid for each in listed if each.pid not in self._pids and not self._is_ours(each.pid)]
        self._others |= {pid: _named(pid) for pid in foreign if pid not in self._others}
        known = [int(each) for each in own if each is not None]
        return (sum(known) if known else None), len(foreign)

    def _is_ours(self, pid: int) -> bool:
        """Whether a process belongs to this run: it descends from this one, as cells beside the job's do."""
        if pid not in self._own:
            self._own[pid] = pid == os.getpid() or os.getpid() in _ancestors(pid)
        return self._own[pid]

    def _power_w(self) -> float | None:
        found = self._power_instant() if self._instant else self._nvml.ask("nvmlDeviceGetPowerUsage", self._gpu)
        return None if found is None else found / 1000

    def _power_instant(self) -> int | None:
        """Return the power right now (mW); NVML's other number is a mean over a second on newer GPUs."""
        values = self._nvml.ask("nvmlDeviceGetFieldValues", self._gpu, [_POWER_INSTANT])
        if not values or values[0].nvmlReturn != 0:
            return None
        return int(values[0].value.uiVal) or None

    def _reasons(self) -> int | None:
        """Return the mask of reasons for the present clocks; the function was called otherwise before driver 535."""
        new, old = "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"
        found = self._nvml.ask(new, self._gpu)
        if found is None and new in self._nvml.missing:
            found = self._nvml.ask(old, self._gpu)
        self._bits |= found or 0
        return None if found is None else int(found)


def _handles(api: Any, name: int | str) -> tuple[Any, Any]:
    """Return NVML's handles of a GPU and of the part of it that is meant: a MIG instance, else the GPU itself.

    Raises NVMLError, or LookupError where no GPU has the UUID.
    """
    if isinstance(name, str) and name.startswith("MIG-"):
        part = api.nvmlDeviceGetHandleByUUID(name)
        return api.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(part), part
    found = api.nvmlDeviceGetHandleByIndex(name) if isinstance(name, int) else _by_uuid(api, name)
    return found, found


def _by_uuid(api: Any, beginning: str) -> Any:
    handles = [api.nvmlDeviceGetHandleByIndex(index) for index in range(api.nvmlDeviceGetCount())]
    for handle in handles:
        uuid = api.nvmlDeviceGetUUID(handle)
        if (uuid.decode() if isinstance(uuid, bytes) else uuid).startswith(beginning):
            return handle
    raise LookupError(f"no GPU has a UUID that begins with {beginning} (CUDA_VISIBLE_DEVICES)")


def _ancestors(pid: int) -> list[int]:
    with suppress(psutil.Error):
        return [each.pid for each in psutil.Process(pid).parents()]
    return []


def _named(pid: int) -> str:
    with suppress(psutil.Error):
        return f"{psutil.Process(pid).name()} ({pid})"
    return f"process {pid}"
