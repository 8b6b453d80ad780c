"""The checkpoint's bytes, read with tolerance."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from storage_sync.cache.checkpoint import Checkpoint, TableFacts, decode_checkpoint, encode_checkpoint

CHECKPOINT = Checkpoint(
    source_id="aa",
    epoch=0,
    generation=7,
    root="bb",
    digest="sha3-256",
    enc=1,
    window=1000,
    patterns=True,
    embeddings=False,
    config_hash="cc",
    proved_at=1700000000.25,
    primary_url="https://db.example",
    tool="0.1.0",
    tables={"episodes": TableFacts(primary=1200, expected=1000, refused=2, root="dd")},
)


def test_it_comes_back() -> None:
    assert decode_checkpoint(encode_checkpoint(CHECKPOINT)) == (CHECKPOINT, "")


def test_what_an_older_tool_did_not_say_is_not_known() -> None:
    fields = msgspec.json.decode(encode_checkpoint(CHECKPOINT))
    for name in ("imprint", "primary_url", "tool", "replication_index", "marks", "followed_at"):
        fields.pop(name, None)
    older, _ = decode_checkpoint(msgspec.json.encode(fields))
    assert older is not None
    assert (older.imprint, older.primary_url, older.tool) == ("", "", "")
    assert (older.replication_index, older.marks, older.followed_at) == (None, None, None)


def test_there_is_none() -> None:
    assert decode_checkpoint(None) == (None, "there is no checkpoint")


def test_a_newer_tool_may_say_more() -> None:
    fields = msgspec.json.decode(encode_checkpoint(CHECKPOINT)) | {"weather": {"today": "fine"}}
    assert decode_checkpoint(msgspec.json.encode(fields)) == (CHECKPOINT, "")


def test_an_older_tool_may_say_less() -> None:
    fields = msgspec.json.decode(encode_checkpoint(CHECKPOINT))
    del fields["tables"], fields["tool"]
    assert decode_checkpoint(msgspec.json.encode(fields)) == (replace(CHECKPOINT, tables={}, tool=""), "")
    checkpoint, _ = decode_checkpoint(
        msgspec.json.encode(fields | {"tables": {"episodes": {"primary": 3, "expected": 2}}})
    )
    assert checkpoint is not None
    assert checkpoint.tables == {"episodes": TableFacts(primary=3, expected=2, refused=0, root="")}


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b"\xff", b'{"generation": "seven"}'])
def test_a_broken_one_is_none_with_a_reason(data: bytes) -> None:
    checkpoint, reason = decode_checkpoint(data)
    assert checkpoint is None
    assert reason.startswith("the checkpoint cannot be read")


def test_every_flipped_bit_is_survived() -> None:
    whole = bytearray(encode_checkpoint(CHECKPOINT))
    for at in range(len(whole)):
        whole[at] ^= 0x80
        decode_checkpoint(bytes(whole))
        whole[at] ^= 0x80
