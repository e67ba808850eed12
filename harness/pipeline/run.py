"""The main job: prepare → start → measure → conclude. Each step takes what the one before gave."""

from pathlib import Path

from harness.evidence.run import RunRecord
from harness.launch.base import Launchers, held, launchers
from harness.pipeline.conclude import RankedRun, conclude
from harness.pipeline.controls import Controls
from harness.pipeline.measure import measure
from harness.pipeline.prepare import prepare
from harness.pipeline.progress import Observer, Silent
from harness.pipeline.starts import Starts


def run(
    folder: Path, record: RunRecord, observer: Observer | None = None, places: Launchers | None = None
) -> RankedRun:
    """Measure what `folder` still lacks and conclude; a new folder lacks everything.

    `places` are the launchers by name; those that the targets name, when None. Raises BusyError if another run is
    measuring, EvidenceError if evidence cannot be written, and SpecError if a target or the dataset is wrong.
    """
    observer = observer or Silent()
    places = places or launchers(target.launcher for target in record.targets)
    with held(places, str(folder)) as ready:
        prepared = prepare(folder, record, observer, ready)
        Starts(folder, record, prepared, observer, ready).run()
        race = measure(folder, record, prepared, observer, ready)
        if record.controls and race.leader:
            Controls(folder, record, prepared, observer, ready).run(race.leader)
    observer.say("ranking")
    return conclude(folder)
