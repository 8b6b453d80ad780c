"""An error that nobody foresaw, as a file to send and a sentence."""

from __future__ import annotations

from console.cli.invocation import Invocation


def reported(invocation: Invocation, error: BaseException) -> str:
    """Write the report; the sentence about it."""
    from storage_sync.files.report import write_report

    said = (f"arguments: {' '.join(invocation.arguments)}",)
    report = write_report(error, said, invocation.secrets)
    place = f"the report is {report}" if report is not None else "no report could be written"
    return f"internal error ({type(error).__name__}); {place}"
