"""What watches a service asks for what there is, in Prometheus's own words."""

import json
import re
from collections.abc import Mapping
from itertools import combinations
from math import prod
from typing import Any, get_args

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from binder.errors import Party
from binder.figures import COUNTED, PHASES, PROVIDERS, WAYS, Counted, Figures, Outcome, Supply
from binder.lifecycle import BuildState, DeliveryState, is_final
from build.ways import Way
from githubapp.buckets import KINDS
from proxy.metrics import LOOKED_AT
from proxy.providers import PROVIDERS as KNOWN
from tests.documents import ROOT
from tests.monitoring_document import MONITORING, alerts, dashboard, metrics_page, names_in, queries

_ALL = (*COUNTED, *LOOKED_AT)
_BY_NAME: Mapping[str, Counted] = {one.name: one for one in COUNTED}
_DURATION = re.compile(r"\A[1-9][0-9]*[smhd]\Z")
_FUNCTIONS = {"absent", "and", "by", "histogram_quantile", "increase", "max", "min", "rate", "sum", "time"}
_WORDS_OF_LABELS = {"le", "instance", "job"}


def _shown() -> Mapping[str, frozenset[str]]:
    """Return what is told of each name: name → labels."""
    shown = {one.shown_as: frozenset(one.labels) for one in _ALL if one.type != "histogram"}
    for one in _ALL:
        if one.type == "histogram":
            shown |= {f"{one.name}_{end}": frozenset(one.labels) for end in ("sum", "count", "bucket")}
    return shown | {"binder_service_info": frozenset({"version"})}


@pytest.mark.parametrize("one", _ALL, ids=lambda one: one.name)
def test_names_are_as_prometheus_wants_them(one: Counted) -> None:
    """Source: https://prometheus.io/docs/practices/naming/"""
    assert re.fullmatch(r"binder(_[a-z]+)+", one.name)
    assert not one.name.endswith(("_total", "_count", "_sum", "_bucket"))
    assert one.text.endswith(".")
    assert one.name.endswith("_seconds") or one.type != "histogram"
    assert not re.search(r"_(ms|milliseconds|minutes|hours|kb|mb|percent)\b", one.name)
    assert list(one.buckets) == sorted(set(one.buckets))
    assert prod(len(values) for values in one.labels.values()) <= 60
    assert all(re.fullmatch(r"[a-z_]+", label) for label in one.labels)


def test_labels_have_the_words_that_there_are() -> None:
    labels = {one.name: one.labels for one in COUNTED}
    assert set(PROVIDERS) == set(KNOWN)
    assert set(WAYS) == set(get_args(Way))
    assert labels["binder_launches"]["outcome"] == get_args(Outcome)
    assert (
        labels["binder_pool_claims"]["result"] == labels["binder_launch_duration_seconds"]["result"] == get_args(Supply)
    )
    assert labels["binder_build_faults"]["party"] == get_args(Party)
    assert labels["binder_reports"]["kind"] == KINDS
    ends = {state.value for state in BuildState if is_final(state)}
    assert set(labels["binder_commit_duration_seconds"]["outcome"]) == ends
    assert {*labels["binder_delivery_act_duration_seconds"]["state"], "stored"} == set(DeliveryState)
    pipeline = (ROOT / "build" / "pipeline.py").read_text(encoding="utf-8")
    assert {*re.findall(r'watch\.phase\("(\w+)"\)', pipeline), "other"} == set(PHASES)


def test_what_has_not_happened_yet_is_nothing_and_not_missing() -> None:
    text = generate_latest(Figures().registry).decode()
    found = {
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    for one in COUNTED:
        count = f"{one.name}_count" if one.type == "histogram" else one.shown_as
        told = [labels for name, labels in found if name == count]
        assert len(told) == prod(len(values) for values in one.labels.values()), one.name


def test_a_word_that_is_not_in_the_table_is_a_mistake_of_ours_that_tests_find() -> None:
    with pytest.raises(ValueError, match="label"):
        Figures().count("binder_launches", repository="ada/notebooks")
    with pytest.raises(KeyError):
        Figures().count("binder_nothing")


@pytest.mark.parametrize(("whose", "query"), [*queries()])
def test_queries_ask_for_what_there_is(whose: str, query: str) -> None:
    shown = _shown()
    names = names_in(query)
    assert names, whose
    assert {name for name in names if name.startswith("binder_")} <= set(shown), whose
    labels = _WORDS_OF_LABELS.union(*(shown[name] for name in names if name in shown))
    for group in re.findall(r"\bby \(([^)]*)\)", query):
        assert {label.strip() for label in group.split(",")} <= labels, whose
    for name, matchers in re.findall(r"(binder_\w+)\{([^}]*)\}", query):
        for label, _, values in re.findall(r'(\w+)(=~|=)"([^"]*)"', matchers):
            known = next(one for one in _ALL if name.startswith(one.name) and label in one.labels).labels[label]
            assert set(values.split("|")) <= set(known), whose
    assert query.count("(") == query.count(")"), whose
    assert set(re.findall(r"\b([a-z_]+) ?\(", query)) <= _FUNCTIONS, whose
    for counter in (one for one in COUNTED if one.type == "counter" and one.shown_as in names):
        assert re.search(rf"(rate|increase)\({counter.shown_as}", query), (
            f"{whose}: what counts up is asked for its rate"
        )


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_alerts_are_as_prometheus_reads_them(rule: dict[str, Any]) -> None:
    """Held against `promtool check rules` as well when they were written, which is too large for each run."""
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Binder[A-Za-z]+", rule["alert"])
    assert "for" not in rule or _DURATION.match(rule["for"])
    assert rule["labels"] in ({"severity": "warning"}, {"severity": "critical"})
    assert set(rule["annotations"]) == {"summary", "runbook"}
    assert all(text.endswith(".") for text in rule["annotations"].values())


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_a_runbook_names_what_there_is(rule: dict[str, Any]) -> None:
    """Events of the log, settings and commands: those that are said are in the code."""
    text = rule["annotations"]["runbook"]
    code = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("binder", "build", "deploy", "githubapp", "proxy")
        for path in (ROOT / folder).rglob("*.py")
    )
    for event in re.findall(r"`([a-z]+(?:_[a-z]+)+)`", text):
        assert f'"{event}"' in code, event
    settings = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for setting in re.findall(r"BINDER_[A-Z_]+", text):
        assert f"## {setting}\n" in settings, setting
    commands = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for command in re.findall(r"`binder ([a-z]+)", text):
        assert f"### binder {command}\n" in commands, command


def test_alerts_are_told_apart() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names)


def test_the_dashboard_is_drawn_and_its_panels_do_not_overlap() -> None:
    text = (MONITORING / "dashboard.json").read_text(encoding="utf-8")
    assert text == dashboard(), "run `make docs`"
    panels = json.loads(text)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below
        assert one["x"] + one["w"] <= 24


def test_each_figure_is_on_the_dashboard() -> None:
    suffix = re.compile(r"_(?:sum|count|bucket|total)\Z")
    asked = {suffix.sub("", name) for _, query in queries() for name in names_in(query)}
    left_out = {"binder_deliveries", "binder_standbys_at_most", "binder_garbage_freed_bytes"}
    assert {one.name for one in _ALL} - asked == left_out


def test_the_page_of_metrics_is_drawn() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8") == metrics_page(), "run `make docs`"
