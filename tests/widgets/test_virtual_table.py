"""The table of any length, in a terminal that is not there."""

from __future__ import annotations

from textual.app import App, ComposeResult

from widgets.glyphs import Look
from widgets.line import Line, plain
from widgets.virtual_table import VirtualTable


class TableApp(App[None]):
    def __init__(self, *, cursor: bool = True, follow: bool = False) -> None:
        super().__init__()
        self.drawn: list[int] = []
        self.events: list[tuple[str, int]] = []
        self.options = (cursor, follow)

    def compose(self) -> ComposeResult:
        cursor, follow = self.options
        yield VirtualTable(Look(), cursor=cursor, follow=follow, empty="nothing here")

    def on_virtual_table_moved(self, event: VirtualTable.Moved) -> None:
        self.events.append(("moved", event.index))

    def on_virtual_table_chosen(self, event: VirtualTable.Chosen) -> None:
        self.events.append(("chosen", event.index))

    @property
    def table(self) -> VirtualTable:
        return self.query_one(VirtualTable)

    def fill(self, rows: int, revision: object = 1) -> None:
        def draw(index: int, _width: int) -> Line:
            self.drawn.append(index)
            return plain(f" row {index}")

        self.table.show(rows, draw, revision)


def text(app: TableApp, y: int) -> str:
    return app.table.render_line(y).text.rstrip()


async def test_only_visible_rows_of_a_million_are_drawn() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.fill(1_000_000)
        await pilot.pause()
        assert set(app.drawn) <= set(range(11))
        await pilot.press("G")
        assert app.table.cursor == 999_999
        await pilot.pause()
        assert text(app, 9).endswith("row 999999")
        await pilot.press("g")
        assert app.table.cursor == 0


async def test_keys_move_and_choose() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.fill(30)
        await pilot.press("j", "down", "k", "pagedown", "enter")
        assert app.table.cursor == 10
        assert app.events[-1] == ("chosen", 10)
        await pilot.press("ctrl+u", "up", "home")
        assert app.table.cursor == 0


async def test_a_click_moves_and_a_second_one_chooses() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.fill(30)
        await pilot.click(VirtualTable, offset=(3, 4))
        assert app.table.cursor == 4
        await pilot.click(VirtualTable, offset=(3, 4))
        assert app.events[-1] == ("chosen", 4)


async def test_the_cursor_has_a_mark_and_stays_in_a_list_that_shrinks() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.fill(30)
        await pilot.press("G")
        app.fill(3, revision=2)
        await pilot.pause()
        assert app.table.cursor == 2
        assert text(app, 2) == "▌row 2"


async def test_an_equal_revision_draws_nothing() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.fill(5)
        await pilot.pause()
        app.drawn.clear()
        app.fill(5)
        await pilot.pause()
        assert app.drawn == []


async def test_a_log_follows_its_end_until_it_is_held() -> None:
    app = TableApp(cursor=False, follow=True)
    async with app.run_test(size=(40, 10)) as pilot:
        app.fill(50)
        await pilot.pause()
        assert text(app, 9) == " row 49"
        await pilot.press("up")
        app.fill(60, revision=2)
        await pilot.pause()
        assert text(app, 9) == " row 48"
        await pilot.press("G")
        await pilot.pause()
        assert text(app, 9) == " row 59"


async def test_an_empty_list_says_so() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.pause()
        assert text(app, 0) == " nothing here"
        await pilot.press("j", "enter", "G")
        assert app.table.cursor == 0
