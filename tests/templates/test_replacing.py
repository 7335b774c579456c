"""An operator's folder of templates: its files win by their paths, and what is wrong with one is said beforehand."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from build import plan
from templates import render, render_json, replacing_text, source_path, use_folder
from templates.faults import TemplateFault
from templates.replacing import is_rendered, parameters_of, replace_from, template_names

Given = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def given(tmp_path: Path) -> Iterator[Given]:
    """Make a folder of templates; none is used any more after the test."""

    def make(files: Mapping[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / "templates" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
        return tmp_path / "templates"

    yield make
    use_folder(None)
    plan.template.cache_clear()


def test_a_file_wins_by_its_path(given: Given) -> None:
    ours = render("pages/unavailable.html")
    replace_from(given({"pages/unavailable.html": "Gone fishing"}))
    assert render("pages/unavailable.html") == "Gone fishing" != ours
    assert render("pages/badge.svg").startswith("<svg")
    replace_from(None)
    assert render("pages/unavailable.html") == ours


def test_it_may_take_in_ours_and_its_own(given: Given) -> None:
    files = {
        "pages/unavailable.html": '{% include "own/banner.html" %}{% include "ours/pages/unavailable.html" %}',
        "own/banner.html": "<p>Planned work</p>",
    }
    ours = render("pages/unavailable.html")
    replace_from(given(files))
    assert render("pages/unavailable.html") == f"<p>Planned work</p>{ours}"


def test_a_manifest_is_replaced_whole(given: Given) -> None:
    manifest = json.loads(source_path("manifests/session-secret.json").read_text(encoding="utf-8"))
    manifest["metadata"]["labels"]["team"] = "of {{ instance }}"
    replace_from(given({"manifests/session-secret.json": json.dumps(manifest)}))
    rendered = render_json("manifests/session-secret.json", pod="p", instance="i", session="s", token="t")
    assert isinstance(rendered, dict)
    assert rendered["metadata"]["labels"]["team"] == "of i"  # type: ignore[index,call-overload]


@pytest.mark.parametrize("name", ["build/base.sh", "build/system.sh", "build/system.Containerfile"])
def test_what_images_are_made_with_is_part_of_their_keys(given: Given, name: str) -> None:
    text = source_path(name).read_text(encoding="utf-8")
    before = plan.system_layer(plan.base_layer("bookworm"), ["curl"]).key
    replace_from(given({name: f"{text}# changed\n"}))
    plan.template.cache_clear()
    assert plan.system_layer(plan.base_layer("bookworm"), ["curl"]).key != before
    assert replacing_text(name) == (f"{text}# changed\n",)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("pages/fault.html", "a\n{% if %}", "pages/fault.html line 2: it is no template"),
        (
            "pages/fault.html",
            "a\nb\n{{ nothing }}",
            "pages/fault.html line 3: it asks for `nothing`, which it is not given",
        ),
        ("pages/fault.html", "{% extends 'own/none.html' %}", "it takes in own/none.html, which is not there"),
        ("pages/fault.htm", "", "pages/fault.htm: it takes the place of none of ours. Is pages/fault.html meant?"),
        ("__init__.py", "", "__init__.py: it takes the place of none of ours."),
        ("manifests/session.json", '{\n"a": 1,\n}', "manifests/session.json line 3: it is no JSON"),
        ("manifests/session.json", '{\n"a": "{{ b }}"}', "manifests/session.json line 2: it asks for `b`"),
        ("manifests/session.json", '{\n"a": "{{ b"}', "manifests/session.json line 2: it is no template"),
        ("build/base.sh", "echo\r\n", "build/base.sh line 1: its lines end with carriage returns"),
        ("own/x.html", "{% block %}", "own/x.html line 1: it is no template"),
    ],
)
def test_a_broken_one_is_named_with_its_line(given: Given, name: str, text: str, says: str) -> None:
    ours = render("pages/unavailable.html")
    with pytest.raises(TemplateFault) as caught:
        replace_from(given({name: text, "pages/unavailable.html": "Replaced"}))
    assert says in caught.value.message
    assert (caught.value.party, caught.value.template) == ("operator", name)
    assert render("pages/unavailable.html") == ours


def test_what_is_no_text_is_refused(given: Given) -> None:
    folder = given({"pages/front.js": ""})
    (folder / "pages" / "front.js").write_bytes(b"a\nb\n\xff")
    with pytest.raises(TemplateFault, match=r"pages/front\.js line 3: it is not written in UTF-8"):
        replace_from(folder)
    with pytest.raises(TemplateFault, match="it is no folder"):
        replace_from(folder / "nowhere")


def test_what_goes_wrong_while_it_is_rendered_is_named_too(given: Given) -> None:
    replace_from(given({"pages/live_badge.svg": "<svg>\n{{ width / 0 }}\n</svg>"}))
    with pytest.raises(TemplateFault, match=r"pages/live_badge\.svg line 2: division by zero"):
        render("pages/live_badge.svg", word="w", colour="c", width=1)


def test_mounts_of_a_cluster_are_folders_of_links(given: Given) -> None:
    folder = given({"..2026/pages/unavailable.html": "Mounted"})
    (folder / "..data").symlink_to("..2026")
    (folder / "pages").symlink_to("..data/pages")
    replace_from(folder)
    assert render("pages/unavailable.html") == "Mounted"


@pytest.mark.parametrize("name", template_names())
def test_each_of_ours_could_stand_in_its_own_place(given: Given, name: str) -> None:
    replace_from(given({name: source_path(name).read_text(encoding="utf-8")}))


def test_the_parameters_of_templates_are_known() -> None:
    assert parameters_of("manifests/session-secret.json") == ("instance", "pod", "session", "token")
    assert parameters_of("pages/live_badge.svg") == ("colour", "width", "word")
    assert not is_rendered("build/base.sh")
