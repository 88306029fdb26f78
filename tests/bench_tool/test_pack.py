"""An application on its way to a node: everything arrives, the manifest last."""

from __future__ import annotations

import ast
import base64
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_hil.bench import application, pack
from gatehouse_hil.bench.fault import BenchError, Fault


def tree(root: Path, files: dict[str, bytes]) -> application.Application:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return application.read(root)


def unpacked(scripts: list[str]) -> dict[str, bytes]:
    """Read the calls of the scripts by hand: `f(name)`, `d(base64)`."""
    found: dict[str, bytes] = {}
    name = ""
    for script in scripts:
        for node in ast.parse(script).body:
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Call)
                and isinstance(node.value.func, ast.Name)
            ):
                argument = ast.literal_eval(node.value.args[0])
                if node.value.func.id == "f":
                    name = argument
                    found[name] = b""
                elif node.value.func.id == "d":
                    found[name] += zlib.decompress(base64.b64decode(argument), -pack.WINDOW_BITS)
    return found


@given(
    st.dictionaries(
        st.sampled_from(["main.py", "a/app.mpy", "a/lib/x.mpy", "a/MANIFEST"]),
        st.binary(max_size=12_000),
        min_size=1,
    )
)
def test_every_octet_of_every_file_is_in_the_scripts(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    made = tree(tmp_path_factory.mktemp("app"), files)
    assert unpacked(pack.scripts(made)) == files


def test_the_manifest_of_a_slot_is_written_last(tmp_path: Path) -> None:
    made = tree(tmp_path, {"a/MANIFEST": b"m", "a/zz.mpy": b"z", "main.py": b"x"})
    assert list(unpacked(pack.scripts(made)))[-1] == "a/MANIFEST"


def test_no_script_is_larger_than_a_node_can_hold(tmp_path: Path) -> None:
    import random

    made = tree(tmp_path, {"a/noise.bin": random.Random(1).randbytes(60_000)})
    assert max(map(len, pack.scripts(made))) < pack.SCRIPT_BYTES + 2 * pack.BLOCK_BYTES


def test_the_hash_of_a_tree_changes_with_any_name_and_any_octet(tmp_path: Path) -> None:
    digests = {
        tree(tmp_path / str(number), files).digest
        for number, files in enumerate([{"a": b"1"}, {"a": b"2"}, {"b": b"1"}, {"a": b"1", "b": b""}])
    }
    assert len(digests) == 4


def test_an_empty_folder_is_no_application(tmp_path: Path) -> None:
    with pytest.raises(BenchError) as caught:
        application.read(tmp_path)
    assert caught.value.fault is Fault.NO_SUCH_FILE
