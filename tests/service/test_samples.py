"""The last minutes in samples: bounded, and nothing that is not known is a 0."""

from __future__ import annotations

from storage_sync.service.samples import KEPT, Samples
from storage_sync.values.snapshot import Sample


def test_a_sample_has_what_was_told_since_the_last() -> None:
    samples = Samples()
    for told in (41.23, 95.07, None):
        samples.pinged(told)
    samples.read(12)
    samples.read(3)
    samples.changed(7)
    assert samples.take(100.04, 12.34) == (Sample(100.0, 95.1, True, 12.3, 7, 15),)
    assert samples.take(110.0, None)[-1] == Sample(110.0)


def test_there_are_never_more_than_are_kept() -> None:
    samples = Samples()
    for moment in range(KEPT + 5):
        kept = samples.take(float(moment), None)
    assert [one.at for one in kept] == [float(moment) for moment in range(5, KEPT + 5)]
