"""Every command as it is typed. What a command does is imported when it is called, so that start-up stays cheap."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from console.cli.common_options import Group, setting_option
from console.cli.invocation import Answer, Invocation, Limits

_SECONDS = click.FloatRange(min=0)


def _named(context: click.Context, invocation: Invocation) -> None:
    """Note the command's first word, the document's `command`."""
    invocation.command = context.command_path.split()[1]


def _version(context: click.Context, option: click.Parameter, asked: bool) -> None:
    if not asked or context.resilient_parsing:
        return
    from console.cli.version import version_text

    click.echo(version_text())
    context.exit()


@click.group(cls=Group, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Show the version and exit."
)
@click.pass_context
def storage_sync(context: click.Context) -> Answer | None:
    """Keep a do-memory redb cache equal to its Turso primary, and prove it.

    Without a command, it opens the console on a terminal, and prints `status` elsewhere.
    """
    invocation = context.find_object(Invocation) or Invocation()
    if context.invoked_subcommand is not None:
        return None
    from console.cli import screen

    if screen.on_terminal() and not invocation.machine:
        invocation.command = "tui"
        return screen.console(invocation, plain=False)
    from console.cli import status as work

    invocation.command = "status"
    return work.status(invocation, check=False, max_age=None, nagios=False)


def _limits(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Options of how long and how often a command tries; it is called with them as `limits`."""

    def limited(command: Any) -> Any:
        @wraps(command)
        def with_limits(*given: Any, **named: Any) -> Any:
            told = {name: named.pop(name) for name in ("wait_s", "deadline", "max_attempts") if name in named}
            return command(*given, limits=Limits(**told), **named)

        made: Any = with_limits
        for option in reversed(options):
            made = option(made)
        return made

    return limited


_WAIT = click.option(
    "--wait",
    "wait_s",
    type=_SECONDS,
    default=5.0,
    metavar="S",
    show_default=True,
    help="Wait at most S seconds for a lock.",
)
_wait_option = _limits(_WAIT)
_run_options = _limits(
    _WAIT,
    click.option("--deadline", type=_SECONDS, metavar="S", help="Give up after S seconds."),
    click.option(
        "--max-attempts",
        type=click.IntRange(1),
        default=3,
        metavar="N",
        show_default=True,
        help="How often a request to the primary is tried.",
    ),
)


def _consent_options(command: Any) -> Any:
    """A plan to look at, and consent without a question."""
    command = click.option("--yes", is_flag=True, help="Do it without asking.")(command)
    return click.option("--plan", "plan_only", is_flag=True, help="Only say what would change.")(command)


@storage_sync.command()
@click.option("--check", is_flag=True, help="Ask the primary too.")
@click.option("--max-age", type=_SECONDS, metavar="S", help="Exit 10 when the last proof is older than S seconds.")
@click.option("--nagios", is_flag=True, help="One line and exit code 0, 1, 2 or 3, for a monitoring system.")
@click.option("--wait-in-sync", "wait_s", type=_SECONDS, metavar="S", help="Wait at most S seconds for IN_SYNC.")
@click.pass_context
def status(context: click.Context, check: bool, max_age: float | None, nagios: bool, wait_s: float | None) -> Answer:
    """Show the state of the cache, without asking the primary."""
    from console.cli import status as work

    invocation = _begin(context)
    if wait_s is None:
        return work.status(invocation, check=check, max_age=max_age, nagios=nagios)
    if nagios or max_age is not None:
        raise click.UsageError("--wait-in-sync cannot be combined with --nagios or --max-age", context)
    return work.wait_in_sync(invocation, wait_s, check=check)


def _begin(context: click.Context) -> Invocation:
    invocation = context.ensure_object(Invocation)
    _named(context, invocation)
    return invocation


@storage_sync.command()
@click.pass_context
def ping(context: click.Context) -> Answer:
    """Ask the primary: latency, authentication, capabilities."""
    from console.cli import core

    return core.ping(_begin(context))


@storage_sync.command()
@click.option("--plan", "plan_only", is_flag=True, help="Only say what would change.")
@click.option("--full", is_flag=True, help="Compare and fetch every row.")
@click.option(
    "--follow",
    "follows",
    is_flag=True,
    help="Take in only what was written since the last proof; make a new proof if that is not possible or the last one "
    "is too old.",
)
@click.option("--repair", is_flag=True, help="Repair a damaged cache first.")
@click.option("--strict", is_flag=True, help="Exit 7 when rows of the primary were rejected.")
@click.option(
    "--allow-shrink",
    is_flag=True,
    help="Consent to a primary that is empty, or that lost more rows than max_removal_ratio allows.",
)
@click.option(
    "--adopt",
    is_flag=True,
    help="Consent to another primary, to one whose log went back, or to a cache that does not look like its own.",
)
@setting_option("--batch-size", metavar="N", help="Rows in one batch.")
@_run_options
@click.pass_context
def sync(
    context: click.Context,
    /,
    limits: Limits,
    repair: bool,
    **switches: bool,
) -> Answer:
    """Make the cache equal to the primary, and prove it."""
    from console.cli import core
    from storage_sync.service.operations import Sync
    from storage_sync.values.options import Options

    options = Options(**switches)  # type: ignore[arg-type]
    against = {"plan": options.plan_only, "full": options.full, "adopt": options.adopt}
    if options.follows and any(against.values()):
        raise click.UsageError(
            f"--follow cannot be combined with --{min(name for name, on in against.items() if on)}", context
        )
    return core.sync(_begin(context), Sync(repairs=repair), options, limits)


@storage_sync.command(context_settings={"allow_interspersed_args": False}, options_metavar="[OPTIONS] --")
@click.option(
    "--deadline",
    type=_SECONDS,
    default=3.0,
    metavar="S",
    show_default=True,
    help="Start COMMAND after S seconds at the latest.",
)
@click.option(
    "--strict", is_flag=True, help="Do not start COMMAND when the update failed; exit with the code of the failure."
)
@click.option("--after", is_flag=True, help="Stay beside COMMAND, and update the cache again when it has ended.")
@click.argument("command", metavar="COMMAND…", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def exec(  # noqa: A001
    context: click.Context, deadline: float, strict: bool, after: bool, command: tuple[str, ...]
) -> None:
    """Bring the cache up to date, then become COMMAND.

    Use it to start do-memory's server."""
    from console.cli import exec as work

    work.run(_begin(context), command, deadline_s=deadline, strict=strict, after=after)


@storage_sync.command()
@setting_option("--interval", metavar="S", help="Seconds between two scheduled syncs.")
@click.option("--listen", metavar="HOST:PORT", help="Serve metrics for Prometheus at this address.")
@click.pass_context
def watch(context: click.Context, listen: str | None) -> Answer:
    """Sync at start, at intervals and after changes.

    Runs until SIGINT or SIGTERM."""
    from console.cli import watch as work

    return work.watch(_begin(context), listen=listen)


@storage_sync.command()
@click.option("--quick", "depth", flag_value="quick", default=True, help="Skip redb's own check (the default).")
@click.option("--deep", "depth", flag_value="deep", help="Run redb's own check too, and check every vector.")
@click.option(
    "--subset",
    metavar="n/t",
    help="Compare only part n of t, for example 2/7. The primary sends only that part of the rows; the whole cache is "
    "read. This is no proof, but t runs cover every row.",
)
@_run_options
@click.pass_context
def verify(context: click.Context, depth: str, subset: str | None, limits: Limits) -> Answer:
    """Check the cache against the primary; change nothing."""
    from console.cli import core
    from storage_sync.service.operations import Verify

    return core.verify(_begin(context), Verify(deep=depth == "deep"), subset, limits)


@storage_sync.command()
@click.option("--keys", is_flag=True, help="List every key, without columns.")
@_run_options
@click.pass_context
def diff(context: click.Context, keys: bool, limits: Limits) -> Answer:
    """List the rows that differ, by column; change nothing."""
    from console.cli import core
    from storage_sync.service.operations import Diff

    return core.diff(_begin(context), Diff(keys_only=keys), limits)


# ------------------------------------------------------------------------------------------- orphans


@storage_sync.group(invoke_without_command=True)
@click.pass_context
def orphans(context: click.Context) -> Answer | None:
    """List and quarantine embeddings that are broken."""
    if context.invoked_subcommand is not None:
        return None
    from console.cli import core

    return core.orphans(_begin(context), filter_text="", reason=None, form="table")


@orphans.command("list")
@click.option(
    "--filter",
    "filter_text",
    default="",
    metavar="EXPR",
    help="Words, key:WORD, reason:WORD, norm:<0.5; ! inverts.",
)
@click.option("--reason", metavar="R", help="Only those with this reason.")
@click.option("--format", "form", type=click.Choice(["table", "jsonl", "csv"]), default="table", show_default=True)
@click.pass_context
def orphans_list(context: click.Context, filter_text: str, reason: str | None, form: str) -> Answer:
    """List embeddings without an owner, and other broken ones."""
    from console.cli import core

    return core.orphans(_begin(context), filter_text=filter_text, reason=reason, form=form)


@orphans.command("show")
@click.argument("key")
@click.pass_context
def orphans_show(context: click.Context, key: str) -> Answer:
    """Show everything that is known about one embedding."""
    from console.cli import core

    return core.orphan(_begin(context), key)


@orphans.command("quarantine")
@click.argument("keys", metavar="KEY…", nargs=-1)
@click.option("--filter", "filter_text", default="", metavar="EXPR", help="All embeddings that match, as in list.")
@click.option("--reason", metavar="R", help="All embeddings with this reason.")
@_consent_options
@click.pass_context
def orphans_quarantine(
    context: click.Context, keys: tuple[str, ...], filter_text: str, reason: str | None, plan_only: bool, yes: bool
) -> Answer:
    """Take embeddings out of the cache; they can be restored."""
    from console.cli import core, edits

    invocation = _begin(context)
    chosen = core.chosen_orphans(invocation, keys, filter_text=filter_text, reason=reason)
    if isinstance(chosen, Answer):
        return chosen
    return edits.set_orphans_aside(invocation, chosen, plan_only=plan_only, yes=yes)


@orphans.command("expect")
@click.argument("keys", metavar="KEY…", nargs=-1, required=True)
@click.option("--note", default="expected by an operator", metavar="TEXT", help="Why they are expected.")
@click.pass_context
def orphans_expect(context: click.Context, keys: tuple[str, ...], note: str) -> Answer:
    """Mark embeddings as expected: checks no longer report them."""
    from console.cli import edits

    return edits.expect_orphans(_begin(context), keys, note)


@storage_sync.group(invoke_without_command=True)
@click.pass_context
def quarantine(context: click.Context) -> Answer | None:
    """List and restore rejected and quarantined rows."""
    if context.invoked_subcommand is not None:
        return None
    from console.cli import quarantine as work

    return work.listing(_begin(context))


@quarantine.command("list")
@click.pass_context
def quarantine_list(context: click.Context) -> Answer:
    """List rows, each with its reason."""
    from console.cli import quarantine as work

    return work.listing(_begin(context))


@quarantine.command("show")
@click.argument("identity", metavar="ID")
@click.pass_context
def quarantine_show(context: click.Context, identity: str) -> Answer:
    """Show everything that is known about one row."""
    from console.cli import quarantine as work

    return work.show(_begin(context), identity)


@quarantine.command("retry")
@click.argument("identities", metavar="ID…", nargs=-1, required=True)
@_wait_option
@click.pass_context
def quarantine_retry(context: click.Context, identities: tuple[str, ...], limits: Limits) -> Answer:
    """Fetch rejected rows again, with a full sync."""
    from console.cli import edits

    return edits.retry(_begin(context), identities, limits=limits)


@quarantine.command("restore")
@click.argument("identities", metavar="ID…", nargs=-1, required=True)
@_consent_options
@click.pass_context
def quarantine_restore(context: click.Context, identities: tuple[str, ...], plan_only: bool, yes: bool) -> Answer:
    """Restore quarantined rows, byte for byte."""
    from console.cli import edits

    return edits.restore(_begin(context), identities, plan_only=plan_only, yes=yes)


@quarantine.command("purge")
@_consent_options
@click.pass_context
def quarantine_purge(context: click.Context, plan_only: bool, yes: bool) -> Answer:
    """Delete old quarantined rows for good.

    Rows are old when they were quarantined more than quarantine_days ago."""
    from console.cli import edits

    return edits.purge(_begin(context), plan_only=plan_only, yes=yes)


@storage_sync.command()
@_consent_options
@click.option("--no-rebuild", is_flag=True, help="Never build a new cache.")
@_run_options
@click.pass_context
def repair(
    context: click.Context,
    plan_only: bool,
    yes: bool,
    no_rebuild: bool,
    limits: Limits,
) -> Answer:
    """Repair a damaged cache.

    Tries the smallest step first: let redb repair it, fetch rows again, build a new cache."""
    from console.cli import repair as repairing
    from storage_sync.service.operations import Repair

    operation = Repair(no_rebuild=no_rebuild)
    return repairing.repair(_begin(context), operation, plan_only=plan_only, yes=yes, limits=limits)


@storage_sync.command()
@_consent_options
@click.option("--discard", is_flag=True, help="Do not resume: throw away what an earlier run has built.")
@click.option("--staged", is_flag=True, help="Stop before the swap; possible while another process holds the cache.")
@click.option("--swap", is_flag=True, help="Only finish what --staged prepared.")
@_run_options
@click.pass_context
def rebuild(
    context: click.Context,
    /,
    plan_only: bool,
    yes: bool,
    limits: Limits,
    discard: bool,
    staged: bool,
    swap: bool,
) -> Answer:
    """Build a new cache, prove it, swap it in.

    It is built beside the old one. An earlier build that was interrupted is resumed."""
    from console.cli import repair as repairing
    from storage_sync.service.operations import Rebuild

    operation = Rebuild(discard=discard, swap=swap)
    return repairing.rebuild(_begin(context), operation, staged=staged, plan_only=plan_only, yes=yes, limits=limits)


@storage_sync.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@_consent_options
@_wait_option
@click.pass_context
def undo(context: click.Context, run_id: str | None, plan_only: bool, yes: bool, limits: Limits) -> Answer:
    """Undo the last run that changed the cache, or RUN."""
    from console.cli import edits

    return edits.undo(_begin(context), run_id, plan_only=plan_only, yes=yes, limits=limits)


@storage_sync.command()
@_consent_options
@_wait_option
@click.pass_context
def detach(context: click.Context, plan_only: bool, yes: bool, limits: Limits) -> Answer:
    """Remove this tool's tables from the cache; do-memory's rows stay."""
    from console.cli import edits

    return edits.detach(_begin(context), plan_only=plan_only, yes=yes, limits=limits)


@storage_sync.command()
@click.pass_context
def peek(context: click.Context) -> Answer:
    """Look at a held cache through a private copy."""
    from console.cli import edits

    return edits.peek(_begin(context))


@storage_sync.command()
@click.option("--plan", "plan_only", is_flag=True, help="Only say how much space would be gained.")
@_wait_option
@click.pass_context
def compact(context: click.Context, plan_only: bool, limits: Limits) -> Answer:
    """Give the cache's unused space back to the disk."""
    from console.cli import edits

    return edits.compact(_begin(context), plan_only=plan_only, limits=limits)


# ----------------------------------------------------------------------------------- what is on disk


@storage_sync.group(invoke_without_command=True)
@click.option("--since", metavar="WHEN", help="A date, or an age such as 7d, 12h, 30m.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="How many lines, the newest first; with --json how many runs.",
)
@click.pass_context
def history(context: click.Context, since: str | None, limit: int) -> Answer | None:
    """List earlier runs and how they ended."""
    if context.invoked_subcommand is not None:
        return None
    from console.cli import local

    return local.history(_begin(context), since=since, limit=limit)


@history.command("show")
@click.argument("run_id", metavar="RUN")
@click.pass_context
def history_show(context: click.Context, run_id: str) -> Answer:
    """Show the rows that RUN changed, field by field."""
    from console.cli import local

    return local.history_show(_begin(context), run_id)


@storage_sync.command()
@click.option("--textfile", metavar="FILE", help="Write the metrics to FILE, in one step.")
@click.pass_context
def metrics(context: click.Context, textfile: str | None) -> Answer:
    """Print the metrics for Prometheus."""
    from console.cli import local

    return local.metrics(_begin(context), textfile=textfile)


@storage_sync.group()
def config() -> None:
    """Show, check or write the configuration."""


@config.command("show")
@click.pass_context
def config_show(context: click.Context) -> Answer:
    """Show every setting: value, origin, meaning."""
    from console.cli import local

    return local.config_show(_begin(context))


@config.command("check")
@click.pass_context
def config_check(context: click.Context) -> Answer:
    """Check the configuration."""
    from console.cli import local

    return local.config_check(_begin(context))


@config.command("init")
@click.pass_context
def config_init(context: click.Context) -> Answer:
    """Write a configuration file with comments.

    Settings that are given as options are set in the file."""
    from console.cli import local

    return local.config_init(_begin(context))


@storage_sync.command()
@click.pass_context
def keys(context: click.Context) -> Answer:
    """List the keys of the console."""
    from console.cli import local

    return local.keys(_begin(context))


@storage_sync.command()
@click.pass_context
def doctor(context: click.Context) -> Answer:
    """Say what could stop a sync, and what to do about it."""
    from console.cli import core

    return core.doctor(_begin(context))


# ------------------------------------------------------------------------------------- on this machine


@storage_sync.group()
def service() -> None:
    """Install units for systemd, or write them to a folder."""


_root_option = click.option(
    "--root", default="/", metavar="DIR", help="Do it below DIR, to try it first.", show_default=True
)


@service.command("install")
@click.option("--plan", "plan_only", is_flag=True, help="Only say what would be written.")
@click.option("--user", metavar="NAME", help="User of the service; by default the owner of the cache.")
@click.option("--timer", is_flag=True, help="A sync every five minutes instead of watch.")
@click.option("--for", "unit", metavar="UNIT", help="Also start do-memory's own unit through exec.")
@_root_option
@click.pass_context
def service_install(
    context: click.Context, plan_only: bool, user: str | None, timer: bool, unit: str | None, root: str
) -> Answer:
    """Install the service, and say how to undo it.

    Makes the unit, the configuration, an empty token file and the folders, with the right owners and modes."""
    from console.cli import service as work

    return work.install(_begin(context), user=user, timer=timer, unit=unit, root=root, plan_only=plan_only)


@service.command("uninstall")
@click.option("--plan", "plan_only", is_flag=True, help="Only say what would be removed.")
@_root_option
@click.pass_context
def service_uninstall(context: click.Context, plan_only: bool, root: str) -> Answer:
    """Remove the units; configuration, token and state stay."""
    from console.cli import service as work

    return work.uninstall(_begin(context), root=root, plan_only=plan_only)


@service.command("files")
@click.argument("folder", metavar="DIR")
@click.pass_context
def service_files(context: click.Context, folder: str) -> Answer:
    """Write all files of a service into DIR.

    Units, cron line, alert rules, dashboard, man page and completions."""
    from console.cli import service as work

    return work.files(_begin(context), folder)


@storage_sync.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> Answer:
    """Print the completion script of a shell."""
    from console.cli import local

    return local.completion(_begin(context), shell)


# ------------------------------------------------------------------------------------------- screens


@storage_sync.command()
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed makes other rows.")
@click.option(
    "--episodes",
    type=click.IntRange(1, 100_000),
    default=240,
    show_default=True,
    help="How many episodes to begin with.",
)
@click.pass_context
def demo(context: click.Context, seed: int, episodes: int) -> Answer:
    """Open the console on a demo in a temporary folder.

    Without a terminal: sync the demo and print the document."""
    from console.cli import screen

    return screen.demo(_begin(context), seed=seed, episodes=episodes)


@storage_sync.command()
@click.option("--plain", is_flag=True, help="Plain lines instead of a screen, for screen readers.")
@click.option("--record", metavar="FILE", help="Record the session in FILE.")
@click.pass_context
def tui(context: click.Context, plain: bool, record: str | None) -> Answer:
    """Open the console."""
    from console.cli import screen

    return screen.console(_begin(context), plain=plain, record=record)


@storage_sync.command()
@click.argument("file", metavar="FILE")
@click.option("--seconds", type=_SECONDS, metavar="S", help="Record for S seconds, without a screen.")
@click.pass_context
def record(context: click.Context, file: str, seconds: float | None) -> Answer:
    """Open the console and record the session in FILE.

    Without a terminal, only the core is recorded, until a signal."""
    from console.cli import recordings, screen

    invocation = _begin(context)
    if seconds is None and screen.on_terminal() and not invocation.machine:
        return screen.console(invocation, plain=False, record=file)
    return recordings.record(invocation, file, seconds=seconds)


@storage_sync.command()
@click.argument("file", metavar="FILE")
@click.option(
    "--speed",
    type=click.FloatRange(0.25, 60),
    default=1.0,
    show_default=True,
    metavar="X",
    help="Play X times as fast.",
)
@click.option("--at", type=_SECONDS, default=0.0, metavar="S", help="Begin S seconds after the start.")
@click.pass_context
def replay(context: click.Context, file: str, speed: float, at: float) -> Answer:
    """Play a recording in the console.

    Without a terminal: print the recorded events."""
    from console.cli import recordings

    return recordings.replay(_begin(context), file, speed=speed, at=at)
