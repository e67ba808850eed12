"""Stands in for `pynvml`: a GPU whose readings a test scripts, with NVML's ways of refusing."""

from __future__ import annotations

from types import SimpleNamespace

NOT_SUPPORTED, NOT_FOUND = 3, 6


class FakeNvml:
    """One GPU or more. `refused` maps functions to error codes; `processes` are (pid, bytes) on every GPU."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    class NVMLError(Exception):
        def __init__(self, value):
            super().__init__(f"error {value}")
            self.value = value

    def __init__(self, uuids=("GPU-11aa", "GPU-22bb"), refused=None, processes=(), **readings):
        self.uuids, self.refused, self.processes, self.open, self.calls = uuids, refused or {}, processes, 0, []
        self.readings = {
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=75, memory=30),
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=80 << 30, used=3 << 30, free=77 << 30),
            "nvmlDeviceGetPowerUsage": 250_000,
            "nvmlDeviceGetTotalEnergyConsumption": 123_456_789,
            "nvmlDeviceGetTemperature": 51,
            "nvmlDeviceGetCurrentClocksEventReasons": 0,
            "nvmlDeviceGetName": b"NVIDIA H100 80GB HBM3",
            "nvmlSystemGetDriverVersion": "580.65.06",
            "nvmlSystemGetCudaDriverVersion_v2": 13000,
            "nvmlDeviceGetComputeMode": 0,
            "nvmlDeviceGetMigMode": [0, 0],
            "nvmlDeviceGetEnforcedPowerLimit": 700_000,
            "nvmlDeviceGetMaxClockInfo": 1980,
        } | readings

    def __getattr__(self, name):
        if not name.startswith("nvml") or (name in self.readings and self.readings[name] is AttributeError):
            raise AttributeError(name)
        return lambda *arguments: self._call(name, *arguments)

    def _call(self, name, *arguments):
        self.calls.append(name)
        if name in self.refused:
            raise self.NVMLError(self.refused[name])
        return getattr(self, f"_{name}", lambda *_: self.readings[name])(*arguments)

    def _nvmlInit(self):
        self.open += 1

    def _nvmlShutdown(self):
        self.open -= 1

    def _nvmlDeviceGetCount(self):
        return len(self.uuids)

    def _nvmlDeviceGetHandleByIndex(self, index):
        if not 0 <= index < len(self.uuids):
            raise self.NVMLError(NOT_FOUND)
        return index

    def _nvmlDeviceGetHandleByUUID(self, uuid):
        return uuid

    def _nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle):
        return 0

    def _nvmlDeviceGetUUID(self, handle):
        return handle if isinstance(handle, str) else self.uuids[handle]

    def _nvmlDeviceGetClockInfo(self, handle, clock):
        return {self.NVML_CLOCK_SM: 1755, self.NVML_CLOCK_MEM: 2619}[clock]

    def _nvmlDeviceGetComputeRunningProcesses(self, handle):
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in self.processes]

    def _nvmlDeviceGetFieldValues(self, handle, fields):
        return [SimpleNamespace(nvmlReturn=0, value=SimpleNamespace(uiVal=301_000))]
