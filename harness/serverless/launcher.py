"""Launchers of instances: cold starts are done by the platform that a target names, all other jobs in processes.

A trial of such a target is an ordinary process under the limits that the target's memory buys. Its latency is then
that of the model in an instance that is kept busy, comparable with any other target's, and free of what emulating the
platform costs. What a request through the platform takes is measured beside it, in the cold starts (`warm_invoke`).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar

import msgspec

from harness.evidence.folder import write_job
from harness.launch.base import RunningJob, Terms
from harness.launch.cgroup import Group
from harness.launch.process import ProcessLauncher
from harness.serverless.cold_start import ColdStartJob, Grant
from harness.serverless.container_port import ContainerPort
from harness.serverless.door import Door
from harness.serverless.runtime_api import RuntimeApi
from harness.spec.outcome import Launched
from harness.spec.target import Target
from harness.spec.wire import ColdStart, Job, Resources


class _InstanceLauncher(ProcessLauncher):
    """Starts instances behind a door."""

    door: ClassVar[type[RuntimeApi] | type[ContainerPort]]

    def start(self, folder: Path, job: Job, terms: Terms) -> RunningJob:
        """Write the job with the resources granted here; a cold start begins when it is waited for."""
        if not isinstance(job, ColdStart):
            return super().start(folder, job, terms)
        resources, group = self._enforcer.grant(terms.limits, job)
        try:
            resources = _with_init(resources, job.target, group)
            job = msgspec.structs.replace(job, resources=resources)
            write_job(folder, job)
            door: Door = self.door(job.target.limits.memory_mib)
        except BaseException:
            if group is not None:
                group.remove()
            raise
        launched = Launched(
            launcher=self.name, wall_ns=0, begin_ns=time.monotonic_ns(), host=self._host, resources=resources
        )
        return ColdStartJob(folder, job, terms, door, Grant(launched, group, self.inherit, self.guard))


def _with_init(resources: Resources, target: Target, group: Group | None) -> Resources:
    """Say that INIT cannot have another quota than what follows it, where nothing here can change a quota."""
    own = target.lifecycle.init_cpus if target.lifecycle is not None else None
    if own is None or own == target.granted.cpus or (group is not None and group.changes_quota):
        return resources
    words = {"init_cpus": "not enforced: nothing here changes the quota of a process that runs"}
    unenforced = (*resources.unenforced, "init_cpus")
    return msgspec.structs.replace(resources, limits=resources.limits | words, unenforced=unenforced)


class FunctionLauncher(_InstanceLauncher):
    """AWS Lambda: the Runtime API, served here, and the real runtime interface client."""

    name = "function"
    door = RuntimeApi


class ContainerLauncher(_InstanceLauncher):
    """Containers as Cloud Run and Knative start them: HTTP on $PORT."""

    name = "container"
    door = ContainerPort
