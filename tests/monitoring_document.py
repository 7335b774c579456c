"""What watches a service: `docs/metrics.md`, drawn from what is counted and from the alerts, and the dashboard."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from binder.figures import COUNTED, Counted
from proxy.metrics import LOOKED_AT

MONITORING: Final = Path(__file__).resolve().parents[1] / "deploy" / "chart" / "files" / "monitoring"
_SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
_WIDTH: Final = 8
_HEIGHT: Final = 8

_Query = tuple[str, str]


def _quantiles(name: str, by: str = "") -> Sequence[_Query]:
    """Return the median and the slowest twentieth of a histogram, for each value of a label."""
    grouped, legend = (f"le, {by}", f" {{{{{by}}}}}") if by else ("le", "")
    buckets = f"sum by ({grouped}) (rate({name}_bucket[$__rate_interval]))"
    return [
        (f"histogram_quantile({share}, {buckets})", f"{word}{legend}")
        for share, word in ((0.5, "half"), (0.95, "95 %"))
    ]


def _rates(name: str, *by: str) -> Sequence[_Query]:
    legend = " ".join(f"{{{{{label}}}}}" for label in by)
    return [(f"sum by ({', '.join(by)}) (rate({name}[$__rate_interval]))", legend)]


_ROWS: Final[Sequence[tuple[str, Sequence[tuple[str, str, Sequence[_Query]]]]]] = (
    (
        "Now",
        (
            (
                "Sessions",
                "none",
                [
                    ('max by (state) (binder_sessions{state=~"wanted|starting|standby|open"})', "{{state}}"),
                    ("max(binder_sessions_at_most)", "at most"),
                ],
            ),
            (
                "Builds",
                "none",
                [
                    ('max by (state) (binder_builds{state=~"queued|fetching|building|pushing|checking"})', "{{state}}"),
                    ("max(binder_builds_at_once)", "at once"),
                ],
            ),
            (
                "What waits",
                "none",
                [("sum(binder_queue_length)", "visitors"), ("max(binder_reports_owed)", "reports to GitHub")],
            ),
        ),
    ),
    (
        "From a push to a green status",
        (
            ("Deliveries", "reqps", _rates("binder_deliveries_received_total", "outcome")),
            ("Storing a delivery", "s", _quantiles("binder_delivery_store_duration_seconds")),
            ("Until a delivery is acted on", "s", _quantiles("binder_delivery_act_duration_seconds")),
            ("From the queue to the final status", "s", _quantiles("binder_commit_duration_seconds", "outcome")),
            ("Waiting for a build", "s", _quantiles("binder_build_wait_duration_seconds")),
            (
                "The longest waits",
                "s",
                [("max(binder_build_queue_seconds)", "build"), ("max(binder_delivery_queue_seconds)", "delivery")],
            ),
            ("Builds by way", "s", _quantiles("binder_build_duration_seconds", "way")),
            ("Phases of builds", "s", _quantiles("binder_build_phase_duration_seconds", "phase")),
            ("Checking an image", "s", _quantiles("binder_build_check_duration_seconds")),
            ("Notebooks that have to run", "s", _quantiles("binder_notebook_run_duration_seconds", "outcome")),
            ("How builds end", "ops", _rates("binder_build_duration_seconds_count", "outcome", "way")),
            ("Whose fault", "ops", _rates("binder_build_faults_total", "party")),
        ),
    ),
    (
        "From a click to a page",
        (
            ("Launches", "ops", _rates("binder_launches_total", "provider", "outcome")),
            ("From a click to a session", "s", _quantiles("binder_launch_duration_seconds", "result")),
            (
                "Clicks that found a standby",
                "percentunit",
                [
                    (
                        'sum(rate(binder_pool_claims_total{result="hit"}[$__rate_interval]))'
                        " / sum(rate(binder_pool_claims_total[$__rate_interval]))",
                        "hits",
                    )
                ],
            ),
            ("Starting a session", "s", _quantiles("binder_session_start_duration_seconds", "outcome")),
            ("Standbys' waits", "s", _quantiles("binder_session_standby_duration_seconds")),
            ("Sessions' lives", "s", _quantiles("binder_session_open_duration_seconds")),
        ),
    ),
    (
        "GitHub, disk and processes",
        (
            ("Reports to GitHub", "ops", _rates("binder_reports_total", "kind", "outcome")),
            ("Requests left", "percentunit", [("min(binder_github_allowance_ratio)", "of the least")]),
            (
                "Free on the disk of the cache",
                "bytes",
                [("min by (instance) (binder_cache_free_bytes)", "{{instance}}")],
            ),
            (
                "Garbage",
                "none",
                [("sum by (kind) (increase(binder_garbage_removed_total[1h]))", "{{kind}} removed in an hour")],
            ),
            ("Memory", "bytes", [('process_resident_memory_bytes{job=~"$job"}', "{{instance}}")]),
            (
                "Processors",
                "none",
                [('rate(process_cpu_seconds_total{job=~"$job"}[$__rate_interval])', "{{instance}}")],
            ),
        ),
    ),
)


def dashboard() -> str:
    """Return Grafana's dashboard."""
    value = {
        "title": "Binder",
        "uid": "binder",
        "tags": ["binder"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
                {
                    "name": "job",
                    "label": "Job",
                    "type": "query",
                    "datasource": _SOURCE,
                    "query": "label_values(binder_service_info, job)",
                    "refresh": 2,
                    "multi": True,
                    "includeAll": True,
                },
            ]
        },
        "panels": list(_panels()),
    }
    return json.dumps(value, indent=1) + "\n"


def _panels() -> Iterator[dict[str, Any]]:
    number, top = 0, 0
    for row, panels in _ROWS:
        number += 1
        yield {"id": number, "type": "row", "title": row, "gridPos": {"x": 0, "y": top, "w": 24, "h": 1}, "panels": []}
        top += 1
        for at, (title, unit, queries) in enumerate(panels):
            number += 1
            yield {
                "id": number,
                "type": "timeseries",
                "title": title,
                "datasource": _SOURCE,
                "gridPos": {
                    "x": at % 3 * _WIDTH,
                    "y": top + at // 3 * _HEIGHT,
                    "w": _WIDTH,
                    "h": _HEIGHT,
                },
                "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
                "targets": [
                    {"refId": chr(ord("A") + place), "datasource": _SOURCE, "expr": query, "legendFormat": legend}
                    for place, (query, legend) in enumerate(queries)
                ],
            }
        top += (len(panels) + 2) // 3 * _HEIGHT


def alerts() -> Sequence[dict[str, Any]]:
    """Return the alerts, each as Prometheus reads it."""
    rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text(encoding="utf-8"))
    return [rule for group in rules["groups"] for rule in group["rules"]]


def metrics_page() -> str:
    """Return `docs/metrics.md`."""
    lines = [
        "# Metrics and alerts",
        "",
        "Drawn by `make docs` from `binder/figures.py`, `proxy/metrics.py` and the alerts. How to have them is in",
        "[For operators](operators.md#monitoring). Times are in seconds, sizes in bytes. No label is anybody's name.",
        "",
        "## What each process counts",
        "",
        "Since it started: add up what several processes tell. A histogram has `_bucket`, `_sum` and `_count`.",
        "",
        *_table(COUNTED),
        "",
        "Besides: `binder_service_info{version}`, which is 1, and `process_…`: memory, processor time and open files.",
        "",
        "## What is looked up",
        "",
        "By whichever process with pages is asked, in the store that all share: take the `max`. The queue and the disk",
        "are each process's own. A controller that runs apart does not tell these.",
        "",
        *_table(LOOKED_AT),
        "",
        "## Alerts",
    ]
    for rule in alerts():
        lines += [
            "",
            f"### {rule['alert']}",
            "",
            f"{rule['annotations']['summary']} *{rule['labels']['severity']}*",
            "",
        ]
        waits = f" for {rule['for']}" if "for" in rule else ""
        lines += [
            *("```promql", f"{' '.join(rule['expr'].split())}{waits and '    #' + waits}", "```"),
            "",
            rule["annotations"]["runbook"],
        ]
    return "\n".join(lines) + "\n"


def _table(figures: Sequence[Counted]) -> Iterator[str]:
    yield from ("| name | kind | labels | what it tells |", "|---|---|---|---|")
    for one in figures:
        labels = "; ".join(f"`{label}`: {', '.join(values)}" for label, values in one.labels.items())
        yield f"| `{one.shown_as}` | {one.type} | {labels} | {one.text} |"


def queries() -> Iterator[tuple[str, str]]:
    """Give the queries of the dashboard and of the alerts, each with whose it is."""
    for panel in json.loads(dashboard())["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for rule in alerts():
        yield rule["alert"], rule["expr"]


def names_in(query: str) -> frozenset[str]:
    """Return the metrics that a query asks for."""
    return frozenset(re.findall(r"\b(?:binder|process)_[a-z0-9_]+\b", query))
