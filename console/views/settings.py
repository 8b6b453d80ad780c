"""Settings as they are shown, edited and previewed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from console.views.frame import Frame
from storage_sync.values import visible
from storage_sync.values.answers import PrimaryTried, SettingsPreview
from storage_sync.values.errors import ConfigError
from storage_sync.values.filters import TEXT, Fields, Row
from storage_sync.values.snapshot import Setting
from widgets import fmt
from widgets.facts import Fact, FactList
from widgets.glyphs import Role, Tone
from widgets.line import Line, Piece, muted, plain, toned

DIFF_LINES = 10
"""Lines of a diff that a dialog shows."""
NOTES = 3
NOT_SET = "not set"
_SECRET = frozenset({"notify.url", "notify.heartbeat_url"})
"""Settings whose value is never shown whole, and so is typed again."""
_EFFECT: Mapping[str, str] = {
    "now": "at once",
    "next sync": "with the next sync",
    "next full sync": "with the next full sync",
    "restart": "after a restart",
}
_TABLES = frozenset({"ui.keymap"})


def row(frame: Frame, setting: Setting, edit: str | None) -> tuple[Line, ...]:
    """`edit`: what waits to be written, '' to be taken out of the file."""
    key = (Piece(f" {frame.clean(setting.key)}"),)
    if edit is None:
        origin = muted(frame.clean(setting.origin))
        if setting.waiting:
            origin = toned(Role.ATTENTION, f"now {frame.clean(setting.waiting)}", glyphs=frame.look.glyphs)
        return (
            key,
            plain(frame.clean(setting.value)),
            origin,
            muted(frame.clean(setting.applies)),
        )
    value = (Piece(frame.clean(shown_edit(setting, edit)), Tone.STRONG),)
    was = f"unsaved (was {frame.clean(setting.value)})"
    return (key, value, toned(Role.ATTENTION, was, glyphs=frame.look.glyphs), muted(frame.clean(setting.applies)))


def shown_edit(setting: Setting, edit: str) -> str:
    """The text of an edit as it may be shown."""
    if not edit:
        return "removed from the file"
    return "changed, hidden" if setting.key in _SECRET else edit


def detail(frame: Frame, setting: Setting | None, edit: str | None, *, wrong: str, tried: str) -> FactList:
    """One setting; what is wrong with what was typed; what is wrong with the file."""
    glyphs = frame.look.glyphs
    config = frame.snapshot.config
    facts: list[Fact] = []
    if config.error:
        facts.append(Fact("file", toned(Role.FAILED, frame.clean(config.error), glyphs=glyphs)))
        facts.append(Fact("", muted("the settings that were in effect stay; the file is read again when it changes")))
    if wrong:
        facts.append(Fact("not taken", toned(Role.FAILED, frame.clean(wrong), glyphs=glyphs)))
    if setting is not None:
        facts.append(Fact("means", plain(frame.clean(setting.help) or "-")))
        facts.append(
            Fact("in effect", plain(frame.clean(setting.value)), extra=muted(f"from {frame.clean(setting.origin)}"))
        )
        if setting.waiting:
            said = f"from {frame.clean(setting.waits_from)}; quit and start again to use it"
            waits = toned(Role.ATTENTION, frame.clean(setting.waiting), glyphs=glyphs)
            facts.append(Fact("edited to", waits, extra=muted(said)))
        if edit is not None:
            facts.append(Fact("unsaved", plain(frame.clean(shown_edit(setting, edit))), extra=muted("w writes it")))
        facts.append(Fact("allowed", muted(frame.clean(allowed_words(setting)))))
        facts.append(
            Fact("a change", plain(f"takes effect {_EFFECT.get(setting.applies, frame.clean(setting.applies))}"))
        )
    if tried:
        facts.append(Fact("primary", plain(frame.clean(tried))))
    return FactList(frame.clean(setting.key) if setting is not None else "Setting", "", tuple(facts))


def waiting_words(settings: Iterable[Setting]) -> str:
    """How many of them were edited and take effect after a restart; '' for none."""
    many = sum(bool(setting.waiting) for setting in settings)
    return f" · {many} {'needs' if many == 1 else 'need'} a restart" if many else ""


def allowed_words(setting: Setting) -> str:
    from storage_sync.config.settings import BY_KEY, allowed

    field = BY_KEY.get(setting.key)
    return allowed(field) if field is not None else not_editable(setting)


def not_editable(setting: Setting) -> str:
    """Why a setting cannot be edited here; empty when it can."""
    from storage_sync.config.settings import BY_KEY

    if setting.key in _TABLES:
        return f"{setting.key} is a table: edit the file"
    if setting.key not in BY_KEY:
        return "the token is never stored here; name its file or its variable"
    if visible.clean(setting.value) != setting.value:
        return "its value has characters that cannot be typed, or is too long: edit the file"
    return ""


def entry_text(setting: Setting) -> str:
    """What the box holds when a setting is opened: its value, nothing for one that is not set or not shown whole."""
    value = setting.waiting or setting.value
    return "" if setting.key in _SECRET or value == NOT_SET else value


def wrong(key: str, text: str) -> str:
    """Why this text cannot be the setting's value; empty when it can. '' takes the setting out of the file."""
    from storage_sync.config.settings import BY_KEY, convert

    field = BY_KEY.get(key)
    if field is None:
        return f"{key} is not a setting"
    try:
        if text:
            convert(field, text, "typed", text=True)
    except ConfigError as error:
        return error.message.removeprefix("typed: ")
    return ""


def preview(frame: Frame, value: SettingsPreview) -> list[Line]:
    """The diff of the file, and when each change applies."""
    tones = {"+": Tone.OK, "-": Tone.FAILED, "@": Tone.MUTED}
    lines: list[Line] = [muted(f" {frame.clean(value.file)}"), ()]
    shown = value.diff[:DIFF_LINES]
    lines.extend((Piece(f" {frame.clean(text)}", tones.get(text[:1], Tone.PLAIN)),) for text in shown)
    left = len(value.diff) - DIFF_LINES
    if left > 0:
        lines.append(muted(f" and {fmt.plural(left, 'line')} more"))
    notes = [muted(f" {frame.clean(note)}") for note in value.notes[:NOTES]]
    unsaid = len(value.notes) - NOTES
    return [*lines, (), *notes, *((muted(f" and {fmt.plural(unsaid, 'setting')} more"),) if unsaid > 0 else ())]


def tried(value: PrimaryTried) -> str:
    digest = f"digests by {value.digest}" if value.digest else "no digest function"
    token = f", token from {value.token}" if value.token else ""
    return f"{value.url} answers in {fmt.milliseconds(value.ping_ms)}: {value.server or 'a file'}, {digest}{token}"


FIELDS: Fields = dict.fromkeys(("key", "value", "from", "applies"), TEXT)


def row_of(setting: Setting) -> Row:
    """What the filter looks at."""
    return {"key": setting.key, "value": setting.value, "from": setting.origin, "applies": setting.applies}


def as_row(setting: Setting) -> Mapping[str, object]:
    """One line of an export."""
    return {
        "v": 1,
        "key": setting.key,
        "value": setting.value,
        "from": setting.origin,
        "applies": setting.applies,
        "waiting": setting.waiting or None,
    }
