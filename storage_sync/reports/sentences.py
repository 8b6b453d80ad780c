"""Every sentence about a run, made of its counted changes and its proof: for screen, command line, log and notices.

Pure: an outcome in, words out. No other place says how a run ended, so no two of them can differ.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING

from msgspec import Struct

from storage_sync.cache.holders import describe
from storage_sync.values.followed import Followed
from storage_sync.values.outcome import CheckStatus, Outcome, Plan, PlanRow, TableChange, Word
from storage_sync.values.planned import file_back

if TYPE_CHECKING:
    from storage_sync.values.snapshot import RunSummary

FROM_THE_FUTURE = "the last proof is dated in the future, so it is ignored; the clock was wrong then, or is wrong now"
SILENT_EXITS = frozenset({0, 6, 11})
"""Ends that a job under cron need not hear of: done, the cache is held, another run is using it."""
NOT_PROVING = frozenset({"undo", "orphans", "quarantine", "detach", "compact", "peek"})
"""Commands that change or look at the cache without asking the primary: what they did is said, not a verdict."""

_CLAIMS = {
    Word.IN_SYNC: "The cache equals the primary",
    Word.STALE: "The primary changed since the last proof",
    Word.DRIFT: "The cache differs from what was proven",
    Word.UNKNOWN: "Nothing can be proven now",
    Word.DAMAGED: "The cache is damaged",
    Word.REFUSED: "A guard stopped the run; nothing was changed",
    Word.EMPTY: "There is nothing in the cache yet",
}
CAUSED = frozenset({Word.DRIFT, Word.UNKNOWN})
"""Verdicts that a change which this tool made by itself may be the cause of."""
MINUTE = 60
LEAST_S = 0.1
"""What is said of less."""
_OF_THE_FILE = frozenset({"orphaned_embeddings", "embedding_vectors"})
"""Checks of what the file holds by itself: a sync brings the same rows again."""


def plural(number: int, noun: str, many: str = "") -> str:
    """`1 row`, `1,200 rows`; `many` where the plural does not end in s."""
    return f"{number:,} {noun if number == 1 else many or noun + 's'}"


def rows(number: int) -> str:
    return plural(number, "row")


def a(noun: str) -> str:
    """`a sync`, `an undo`."""
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"


class Tally(Struct, frozen=True):
    """Rows of one run over all tables. `rejected` None: the run did not count them."""

    new: int = 0
    changed: int = 0
    removed: int = 0
    rejected: int | None = None
    only_cache: int = 0
    only_cache_episodes: int = 0
    quarantined: int = 0
    carried: int | None = None
    """Rows of the old file that the new one has unchanged; None: the file was not rebuilt."""

    @property
    def touched(self) -> int:
        return self.new + self.changed + self.removed

    @property
    def words(self) -> str:
        """`3 rows added, 1 changed, 2 removed` without what is 0; '' when nothing was touched. Of a new file what
        `rebuilt` says."""
        if self.carried is not None:
            return rebuilt(self.carried, self.new + self.changed, self.removed)
        named = ((self.new, "added"), (self.changed, "changed"), (self.removed, "removed"))
        told = [f"{number:,} {word}" for number, word in named if number]
        first = next((number for number, _ in named if number), 0)
        return ", ".join(told).replace(f"{first:,} ", f"{rows(first)} ", 1)


def tally(outcome: Outcome, *, planned: bool = False) -> Tally:
    """What the run did, or with `planned` what it would do."""
    changes = sums(outcome.plan if planned else outcome.applied)
    counted = [count.refused for count in outcome.counts.values() if count.refused is not None]
    proven = outcome.proof.refused if outcome.proof is not None else None
    aside = outcome.extra.get("set_aside")
    episodes = outcome.counts.get("episodes")
    return Tally(
        *changes,
        rejected=sum(counted) if counted else proven,
        only_cache=sum(count.cache_only or 0 for count in outcome.counts.values()),
        only_cache_episodes=(episodes.cache_only or 0) if episodes is not None else 0,
        quarantined=aside if isinstance(aside, int) else 0,
        carried=_carried(outcome, planned),
    )


def rebuilt(carried: int, fetched: int, dropped: int) -> str:
    """What a new file is made of, as the plan and the result of a repair or a rebuild say it."""
    left_out = f", {dropped:,} left out" if dropped else ""
    return f"{rows(carried)} carried over, {fetched:,} fetched{left_out}"


def _carried(outcome: Outcome, planned: bool) -> int | None:
    """Rows that a new file takes over; None for a run that made none, or where it was only planned."""
    numbers = outcome.extra.get("rebuild")
    made = planned or outcome.cache_writes.commits > 0
    if numbers is None or not made:
        return None
    return numbers["carried_rows"] + numbers["cache_only_rows"]


def sums(changes: Mapping[str, TableChange]) -> tuple[int, int, int]:
    """New, changed and removed rows of all tables."""
    each = changes.values()
    return sum(one.insert for one in each), sum(one.update for one in each), sum(one.remove for one in each)


def rejected_rows(outcome: Outcome) -> int:
    """Rows of the primary that the cache cannot take, as far as this run knows."""
    return tally(outcome).rejected or 0


# ------------------------------------------------------------------------------------------ the verdict


def verdict(outcome: Outcome) -> Word:
    """The word that may be said: never IN_SYNC without the proof."""
    return Word.UNKNOWN if outcome.verdict is Word.IN_SYNC and outcome.proof is None else outcome.verdict


def claim(outcome: Outcome) -> str:
    """What is proven, in one sentence, and never more than that."""
    word = verdict(outcome)
    told = _CLAIMS[word]
    subset = outcome.extra.get("subset")
    if word is Word.UNKNOWN and subset is not None:
        told = f"Part {subset['part']} of {subset['of']} equals the primary, which proves nothing about the rest"
    if (cause := outcome.extra.get("cause")) and word in CAUSED:
        told = f"{told}: {cause}"
    age = outcome.extra.get("proof_age_seconds")
    if word is Word.IN_SYNC and age is not None:
        told = f"In sync at the last proof, {span(age)} ago"
        if outcome.followed is not None:
            last = outcome.extra.get("followed_age_seconds")
            told = f"Proved {span(age)} ago; {followed_since(outcome.followed, span(last) if last is not None else '')}"
    return f"{told}{_except(outcome)}."


def followed_since(followed: Followed, last: str = "") -> str:
    """`3 changes followed since, the last 2 s ago`; `last`: how long that is, '' where it is not said."""
    if not followed.changes:
        return "no changes followed since"
    when = f", the last {last} ago" if last else ""
    return f"{plural(followed.changes, 'change')} followed since{when}"


def span(seconds: float) -> str:
    """`4 s`, `17 min`, `3 h`."""
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds // MINUTE:.0f} min" if seconds < 2 * MINUTE * MINUTE else f"{seconds // MINUTE // MINUTE:.0f} h"


def _except(outcome: Outcome) -> str:
    rejected = rejected_rows(outcome)
    return f", except for {plural(rejected, 'rejected row')}" if rejected and verdict(outcome) is Word.IN_SYNC else ""


def sentence(outcome: Outcome) -> str:
    """The verdict of a run with all that it did and left: for the command line and for monitoring."""
    counted = tally(outcome)
    told = [claim(outcome)]
    if counted.words:
        told.append(f"{counted.words}.")
    if verdict(outcome) is not Word.IN_SYNC and counted.rejected:
        told.append(f"{rows(counted.rejected)} of the primary rejected.")
    if only := only_in_cache(counted):
        told.append(f"{only}.")
    if failed := failed_checks(outcome):
        told.append(f"{plural(len(failed), 'check')} failed: {check_names(failed)}.")
    return " ".join(told)


def only_in_cache(counted: Tally) -> str:
    """What no primary could give back; '' when there is nothing of the kind."""
    if not counted.only_cache:
        return ""
    what, episodes = rows(counted.only_cache), counted.only_cache_episodes
    if episodes == counted.only_cache:
        what = plural(episodes, "episode")
    elif episodes:
        what = f"{plural(episodes, 'episode')} and {plural(counted.only_cache - episodes, 'other row')}"
    return f"{what} {'exists' if counted.only_cache == 1 else 'exist'} only in the cache"


def file_words(back: PlanRow) -> str:
    """What `file_back` found, as the plan of an undo says it."""
    return f"{back.text}, with its {rows(back.rows)}"


def plan_reads(plan: Plan) -> str:
    """What a plan's run compares and what the primary sends for it, as the run counts it; '' where none is asked."""
    if not plan.compared:
        return ""
    sent = "all of them" if plan.reads >= plan.compared else f"{plan.reads:,} of them" if plan.reads else "none of them"
    return f"{rows(plan.compared)} to compare; the primary sends {sent}"


def plan_takes(plan: Plan) -> str:
    """How long its run takes, as far as anybody knows: it looks again as the plan did, and writes."""
    if plan.looked_s is None:
        return ""
    if plan.looked_s < LEAST_S:
        return f"under {LEAST_S:.1f} s, as this plan took, plus the time to write"
    looked = f"{plan.looked_s:.1f} s" if plan.looked_s < 2 * MINUTE else span(plan.looked_s)
    return f"about {looked}, as this plan took, plus the time to write"


def undo_words(run: RunSummary) -> str:
    """What an undo did to a run of the list, as its result ends; '' for none."""
    undid = f", undid {run.undoes}" if run.undoes else ""
    return f"{undid}, undone by {run.undone_by}" if run.undone_by else undid


BRINGS_BACK = "the next sync brings the primary's rows back"
"""After an undo, a quarantine or a restore that left other rows than were proven."""


def own_change(newest_first: Iterable[RunSummary]) -> RunSummary | None:
    """The newest command of this tool that changed rows since the last run that asked the primary, if it left others
    than were proven; None: then something else changed the file."""
    for run in newest_first:
        if run.kind in NOT_PROVING and (run.undoes or changed_by(run)):
            return run if run.drifts else None
        if run.kind not in NOT_PROVING and run.generation is not None:
            return None
    return None


def changed_by(run: RunSummary) -> int:
    """Rows that it added, changed and removed."""
    return run.new + run.changed + run.gone


def own_words(run: RunSummary | None) -> str:
    """What `own_change` gives, in words: `undo of run s-1 undid 3 changes`; '' for none."""
    if run is None:
        return ""
    if run.undoes:
        return f"undo of run {run.undoes} undid {plural(changed_by(run), 'change') if changed_by(run) else 'all of it'}"
    return f"run {run.id} {_OWN.get(run.does, 'changed')} {rows(changed_by(run))}"


def cause_of(newest_first: Iterable[RunSummary]) -> str:
    """Why the cache is not what was proven, where this tool itself changed it, and what the next sync does; '' for
    none."""
    words = own_words(own_change(newest_first))
    return f"{words}; {BRINGS_BACK}" if words else ""


_OWN = {"restore": "restored", "quarantine": "quarantined"}


def coming_back(number: int) -> str:
    """Of an undo: rows that are now as the primary had them when last read, so that the next sync takes it back."""
    these, them = ("this row", "it") if number == 1 else (f"these {number:,} rows", "them")
    return f"the primary had {these} when it was last read; the next sync brings {them} back"


def failed_checks(outcome: Outcome) -> tuple[str, ...]:
    return tuple(check.name for check in outcome.checks if check.status is CheckStatus.FAIL)


def check_names(names: Collection[str]) -> str:
    """Checks as people read them: `episode count, orphaned embeddings`."""
    return ", ".join(name.replace("_", " ") for name in names)


# --------------------------------------------------------------------------------------------- the end


def headline(outcome: Outcome) -> str:
    """How it ended, in a few words: the verdict of a run that asked the primary, else what was done."""
    word = verdict(outcome)
    if outcome.command in NOT_PROVING and word is not Word.IN_SYNC:
        return _done(outcome)
    told = f"{word.replace('_', ' ').lower()}{_except(outcome)}"
    # first, so that no narrow place leaves it out
    return f"followed without a proof; {told}" if outcome.followed is not None else told


def _done(outcome: Outcome) -> str:
    """What a command did that asks no primary."""
    counted, extra = tally(outcome), outcome.extra
    purged = extra.get("purge")
    if outcome.command == "undo":
        kept, back = extra.get("file_restored"), file_back(outcome.proposal)
        run = f"run {extra['undone_run']}" if "undone_run" in extra else "the run"
        if kept and back is not None:
            return f"{run} was undone: {PurePath(kept).name} is the cache again, with its {rows(back.rows)}"
        return f"{run} was undone: {counted.words}" if counted.words else f"there was nothing to undo in {run}"
    if outcome.command == "orphans" and counted.touched:
        return f"{plural(counted.touched, 'embedding')} quarantined"
    if outcome.command == "quarantine" and purged is not None:
        return f"{rows(purged['removed'])} deleted"
    if outcome.command == "quarantine" and counted.touched:
        return f"{rows(counted.touched)} restored"
    return counted.words or "done"


def result_word(outcome: Outcome) -> str:
    """The word that history and metrics keep: an error's code, a verdict, or DONE for what asks no primary."""
    if outcome.error is not None:
        return outcome.error.code
    word = verdict(outcome)
    return "DONE" if outcome.command in NOT_PROVING and word is not Word.IN_SYNC else word.value


def done_before_failure(outcome: Outcome) -> str:
    """`3 rows added before it failed`: they were committed, and are not proven; '' where nothing was written."""
    words = tally(outcome).words
    return f"{words} before it failed" if words else ""


_CODES = {
    "primary_schema": "primary not usable",
    "local_io": "local file error",
    "guard": "stopped by a guard",
    "lease_held": "another run was active",
}
"""Codes that are no words."""


def ended(result: str) -> str:
    """What `result_word` gave, for people: a verdict or a code in words, anything else as it is."""
    if result in _CODES:
        return _CODES[result]
    return result.replace("_", " ").lower() if result.replace("_", "").isalpha() else result


def line(outcome: Outcome, *, planned: bool = False) -> str:
    """One line about the end of a run: for the log, the console's activity, notices and quiet jobs."""
    counted = tally(outcome)
    if outcome.error is not None:
        return "; ".join(part for part in (outcome.error.message, done_before_failure(outcome)) if part)
    if planned:
        if outcome.proposal is None:
            return "no plan"
        back = file_back(outcome.proposal)
        words = file_words(back) if back is not None else tally(outcome, planned=True).words
        return f"plan {outcome.proposal.id}{f' would do this: {words}' if words else ': nothing to do'}"
    parts = [headline(outcome)]
    if (cause := outcome.extra.get("cause")) and verdict(outcome) in CAUSED:
        parts.append(cause)
    if outcome.command in ("sync", "repair", "rebuild", "demo"):
        parts.append(counted.words or _unchanged(outcome))
        if (ended := outcome.extra.get("follow")) is not None:
            parts.append(f"not followed: {ended['detail']}")
    elif outcome.command not in NOT_PROVING and (pending := tally(outcome, planned=True).words):
        parts.append(f"a sync would do this: {pending}")
    if counted.touched and (many := outcome.extra.get("comes_back")):
        parts.append(coming_back(many))
    if counted.quarantined and outcome.command != "orphans":
        parts.append(f"{rows(counted.quarantined)} quarantined")
    if only := only_in_cache(counted):
        parts.append(only)
    if _waits_for_holder(outcome):
        # its checks fail as long as rows wait, which the number says better
        parts.append("compared with a copy of the file, which another process holds")
    elif failed := failed_checks(outcome):
        parts.append(f"{plural(len(failed), 'check')} failed: {check_names(failed)}")
    elif outcome.command == "verify":
        parts.append(f"{plural(len(outcome.checks), 'check')} made")
    return "; ".join(parts)


def summary(outcome: Outcome, *, planned: bool = False) -> str:
    """The line about the end of a run in a log: that, and what it cost."""
    told = line(outcome, planned=planned)
    steps = () if planned else repair_steps(outcome)
    repaired = f"; repaired: {', '.join(steps)}" if steps else ""
    transfer = outcome.transfer
    sent = f"{plural(transfer.requests, 'request')}, {plural(transfer.bytes_received, 'byte')}"
    # a plan ends well also where its run would end with rows that were rejected
    ended = "" if planned and outcome.error is None else f"exit {outcome.exit_code}, "
    return f"{told}{repaired}; {ended}{outcome.seconds.total:.2f} s, {sent}"


def repair_steps(outcome: Outcome) -> tuple[str, ...]:
    """Steps of a repair that ended well."""
    if outcome.error is not None:
        return ()
    return tuple(step["rung"] for step in outcome.extra.get("ladder", ()) if step["rung"] != "none")


def _unchanged(outcome: Outcome) -> str:
    """Why a run wrote no row."""
    if _waits_for_holder(outcome):
        return f"nothing written yet, {waits(outcome, 'its holder')}"
    return "nobody has written to the primary since it was read" if "renewed" in outcome.extra else "nothing changed"


def _waits_for_holder(outcome: Outcome) -> bool:
    """Whether there is something to write to a cache that another process holds."""
    held = outcome.look is not None and bool(outcome.look.held_by)
    return held and tally(outcome, planned=True).touched > 0


def waits(outcome: Outcome, holder: str) -> str:
    """What is to be written once a process lets the cache go."""
    pending = tally(outcome, planned=True).touched
    return f"{rows(pending)} {'waits' if pending == 1 else 'wait'} until {holder} has closed the cache"


def finding(outcome: Outcome) -> str:
    """What `doctor` and `orphans` found."""
    if outcome.command == "orphans":
        shown = len(outcome.orphans)
        found = outcome.extra.get("orphans_found", shown)
        if not found:
            return "No broken vectors."
        if shown == found:
            return f"{plural(found, 'broken vector')}."
        match = "matches" if shown == 1 else "match"
        return f"{shown or 'None'} of {plural(found, 'broken vector')} {match} what was asked for."
    failed = [check.name for check in outcome.checks if check.status in (CheckStatus.FAIL, CheckStatus.UNKNOWN)]
    if failed:
        return f"Look at {check_names(failed)}."
    if outcome.look is not None and outcome.look.held_by:
        who = describe(outcome.look.held_by[0])
        return f"A sync can fetch the missing rows and keep them; they are written once {who} has closed the cache."
    return "Nothing prevents a sync."


def next_step(failed: Collection[str], rejected: int) -> str | None:
    """The command that helps with these checks or rejected rows; None when there is nothing to do."""
    if "cache_integrity" in failed:
        return "storage-sync repair"
    if set(failed) - _OF_THE_FILE:
        return "storage-sync sync"
    if failed:
        return "storage-sync orphans list"
    return "storage-sync quarantine list" if rejected else None
