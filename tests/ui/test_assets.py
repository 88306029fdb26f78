"""How static files are handed out: compressed, revalidated, nothing outside the folder."""

from __future__ import annotations

import subprocess
from importlib.resources import files
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from gatehouse_ui import STATIC, Assets
from gatehouse_ui.assets import without_comments

ESBUILD = Path(__file__).parents[2] / "edge" / "vendor" / "node_modules" / ".bin" / "esbuild"
CONSOLE = Path(str(files("gatehouse_edge.console") / "static"))
SCRIPTS = sorted([*STATIC.glob("*.js"), *CONSOLE.glob("*.js")])


@pytest.fixture
async def browser():
    app = Starlette(routes=[Mount("/ui", Assets(STATIC))])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://desk") as found:
        yield found


async def test_a_file_comes_compressed_and_is_not_sent_twice(browser):
    first = await browser.get("/ui/base.css")
    assert first.headers["content-encoding"] == "gzip"
    assert first.content == (STATIC / "base.css").read_bytes()
    again = await browser.get("/ui/base.css", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = await browser.get("/ui/base.css", headers={"Accept-Encoding": "identity"})
    assert plain.content == first.content


@pytest.mark.parametrize(
    "path", ["/ui/", "/ui/nothing.js", "/ui/../words.py", "/ui/%2e%2e/words.py", "/ui/vendor"]
)
async def test_nothing_else_is_handed_out(browser, path):
    assert (await browser.get(path)).status_code == 404
    assert (await browser.post("/ui/base.css")).status_code == 405


def test_comments_go_and_lines_stay():
    script = 'let a = 1; // stays\n  // goes\n/** goes\n * too */\nlet b = "// stays";\n'
    assert without_comments(script) == 'let a = 1; // stays\n\n\n\nlet b = "// stays";\n'


@pytest.mark.skipif(not ESBUILD.exists(), reason="esbuild is not installed: npm ci --prefix edge/vendor")
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_without_its_comments_is_the_same_program(path):
    text = path.read_text(encoding="utf-8")
    assert minified(without_comments(text)) == minified(text)


def minified(script):
    command = [ESBUILD, "--minify", "--loader=js", "--format=esm", "--target=es2022"]
    return subprocess.run(command, input=script.encode(), capture_output=True, check=True).stdout


def test_another_file_is_another_build(tmp_path):
    (tmp_path / "a.js").write_text("1", encoding="ascii")
    first = Assets(tmp_path).build
    assert Assets(tmp_path).build == first
    (tmp_path / "a.js").write_text("2", encoding="ascii")
    assert Assets(tmp_path).build != first
