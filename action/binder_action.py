"""What the Binder action runs: has a service build a commit, shows how it goes, and says how it ended.

It needs nothing but Python 3.9. The service is shown a token that GitHub signs for it alone; the one for GitHub's API
goes to GitHub alone. What comes from a repository, its log above all, is shown and never obeyed.
Source: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import sys
import threading
import time
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Callable
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

MARKER = "<!-- binder-action -->"
_SHA = re.compile(r"[0-9a-f]{40}")
_LINK = re.compile(r"https?://[A-Za-z0-9\[\]:/._~%?=&@+,;$!*#-]+")
_HEADING = re.compile(r"==> (.*) {2}\[\d\d:\d\d:\d\d\]")
_NEAR = frozenset({"localhost", "127.0.0.1", "::1"})
_ANSWER_BYTES = 4 * 2**20
_ANSWER_SECONDS = 15.0
_PATIENCE_SECONDS = 300.0  # a service that is upgraded is away for a while
_COMMENT_SECONDS = 60.0
_LONGEST_PAUSE = 30.0
_MOST_FAULTS = 10  # a runner shows no more of a step
_STATUSES = {"succeeded": "success", "failed": "failure", "cancelled": "cancelled", "superseded": "superseded"}
_TITLES = {
    "success": "The notebooks can be opened",
    "failure": "The build failed",
    "cancelled": "The build was cancelled",
    "superseded": "A newer commit is built instead",
    "timeout": "The build takes too long",
    "neutral": "Nothing is built",
    "error": "The service could not be asked",
}


class Ended(Exception):
    """There is nothing to wait for, or no more: `status` and a sentence say why."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


class Later(Exception):
    """Somebody could not answer; trying again after some seconds may help."""

    def __init__(self, message: str, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class Cancelled(BaseException):
    """The runner was told to cancel the job."""


@dataclass(frozen=True)
class Asked:
    """What the workflow asks for, and where it runs. `pull` is the pull request's number, None where there is none."""

    service: str
    ref: str
    verify: list[str]
    fail_on: str
    timeout_seconds: float
    comments: bool
    github_token: str
    repository: str
    api_url: str
    server_url: str
    pull: int | None
    from_fork: bool


def read_asked(env: Mapping[str, str]) -> Asked:
    """Return what is asked for. Raises: ValueError, which says what to write instead."""
    service = env.get("BINDER_SERVICE", "").strip().rstrip("/")
    parts = urlsplit(service)
    if not _LINK.fullmatch(service) or (parts.scheme != "https" and parts.hostname not in _NEAR) or "@" in parts.netloc:
        raise ValueError("Write the address of a Binder service as “service”, such as https://binder.example.org")
    fail_on, minutes = env.get("BINDER_FAIL_ON") or "failure", env.get("BINDER_TIMEOUT") or "60"
    if fail_on not in {"failure", "repository", "never"}:
        raise ValueError("Write failure, repository or never as “fail-on”.")
    if not re.fullmatch(r"[0-9]{1,4}", minutes) or not 1 <= int(minutes) <= 1440:
        raise ValueError("Write a number of minutes as “timeout”, from 1 to 1440.")
    if (env.get("BINDER_COMMENT") or "false") not in {"true", "false"}:
        raise ValueError("Write true or false as “comment”.")
    with open(env["GITHUB_EVENT_PATH"], encoding="utf-8") as file:
        pull = json.load(file).get("pull_request") or {}
    head, base = (pull.get(side) or {} for side in ("head", "base"))
    head_id, base_id = ((side.get("repo") or {}).get("id") for side in (head, base))
    return Asked(
        service=service,
        ref=env.get("BINDER_REF", "").strip() or head.get("sha") or env["GITHUB_SHA"],
        verify=[path.strip() for path in env.get("BINDER_VERIFY", "").splitlines() if path.strip()],
        fail_on=fail_on,
        timeout_seconds=60.0 * int(minutes),
        comments=env.get("BINDER_COMMENT") == "true",
        github_token=env.get("BINDER_GITHUB_TOKEN", ""),
        repository=env["GITHUB_REPOSITORY"],
        api_url=env.get("GITHUB_API_URL", "https://api.github.com"),
        server_url=env.get("GITHUB_SERVER_URL", "https://github.com"),
        pull=pull.get("number"),
        from_fork=bool(pull) and head_id != base_id,
    )


# What a runner reads.


def one_line(text: object, most: int = 1000) -> str:
    """Return a text on one line that no runner takes for a command."""
    seen = (" " if one.isspace() else one for one in str(text) if one.isspace() or unicodedata.category(one)[0] != "C")
    return " ".join("".join(seen).split()).replace("##[", "#[")[:most]


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def command(name: str, message: str, **properties: object) -> None:
    """Give the runner a command; properties that are empty are left out."""
    given = ((key, _escaped(str(value))) for key, value in properties.items() if value)
    listed = ",".join(f"{key}={value.replace(':', '%3A').replace(',', '%2C')}" for key, value in given)
    print(f"::{name}{' ' + listed if listed else ''}::{_escaped(message)}", flush=True)


def code_span(text: object) -> str:
    """Return a text for Markdown, as code: in it GitHub knows no markup, no mention and no link."""
    line = one_line(text) or " "
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}"


def append_to(variable: str, text: str) -> None:
    """Add to one of the files that the runner reads after the step."""
    if path := os.environ.get(variable):
        with open(path, "a", encoding="utf-8", newline="\n") as file:
            file.write(text)


def write_output(name: str, value: str) -> None:
    """Set an output: nobody knows what ends its value before it is written."""
    end = f"binder-{secrets.token_hex(16)}"
    append_to("GITHUB_OUTPUT", f"{name}<<{end}\n{value}\n{end}\n")


class Log:
    """The log of a build in that of the step, each of its headings a group."""

    def __init__(self) -> None:
        self._label = ""
        self._in_group = False

    def show(self, label: object, lines: list[str]) -> None:
        """Show what is new."""
        plain: list[str] = []
        for line in lines:
            if heading := _HEADING.fullmatch(line):
                self._print(plain)
                self.close()
                command("group", one_line(heading[1]))
                self._in_group, plain = True, []
            else:
                plain.append(line)
        self._print(plain)
        if (told := one_line(label)) != self._label:
            self.close()
            self._label = told
            print(f"Binder: {told}", flush=True)

    def close(self) -> None:
        """End the group that is open."""
        if self._in_group:
            command("endgroup", "")
            self._in_group = False

    def _print(self, lines: list[str]) -> None:
        # What a build prints may look like commands, which a runner would obey but for these two lines.
        if lines:
            resume, text = secrets.token_hex(16), "\n".join(lines).splitlines()
            print(f"::stop-commands::{resume}", *(f"  {line}" for line in text), f"::{resume}::", sep="\n", flush=True)


# Who is asked.


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow nobody elsewhere: a token would go with it."""


def _answer(method: str, url: str, token: str, body: Any) -> Any:
    """Return an answer's JSON. Raises: Later; Ended, where whoever was asked refuses."""
    headers = {"Accept": "application/json", "User-Agent": "binder-action", "Authorization": f"Bearer {token}"}
    if not token:
        del headers["Authorization"]
    data = None if body is None else json.dumps(body).encode()
    host = urlsplit(url).netloc
    try:
        request = Request(url, data, {**headers, "Content-Type": "application/json"}, method=method)
        with build_opener(_NoRedirects).open(request, timeout=_ANSWER_SECONDS) as answer:
            return json.loads(answer.read(_ANSWER_BYTES))
    except HTTPError as error:
        with error:
            told, pause = error.read(2**16), error.headers.get("Retry-After", "")
        try:
            message = one_line(json.loads(told)["message"])
        except (ValueError, TypeError, KeyError):
            message = f"{host} does not answer as it should (HTTP {error.code})"
        if error.code == 429 or error.code >= 500:
            raise Later(message, float(pause) if pause.isdigit() and len(pause) < 6 else 0.0) from None
        raise Ended("error", message) from None
    except (OSError, HTTPException, ValueError) as error:  # no connection, or not what was to come
        raise Later(f"{host} does not answer: {one_line(error, 200)}") from None


class Asking:
    """Asks over HTTP in threads, so that a signal is heard at once, whatever the network does meanwhile."""

    def __init__(self) -> None:
        self.done = threading.Event()  # a thread that somebody waits for cannot be waited for again after a signal
        self.done.set()

    def ask(self, work: Callable[[], Any], until: float) -> Any:
        """Return what `work` returns, which is tried again for a while. Raises: Ended."""
        pause = 1.0
        while True:
            try:
                return self._once(work)
            except Later as error:
                pause = min(max(2 * pause, error.seconds), _LONGEST_PAUSE)
                if time.monotonic() + pause > until:
                    raise Ended("error", str(error)) from None
            time.sleep(pause)

    def _once(self, work: Callable[[], Any]) -> Any:
        box: list[Any] = []

        def run() -> None:
            try:
                box.append(work())
            except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
                box.append(error)
            done.set()

        done = self.done = threading.Event()
        threading.Thread(target=run, daemon=True).start()
        while not done.wait(0.1):
            pass
        if isinstance(box[0], Exception):
            raise box[0]
        return box[0]


class Service:
    """The Binder service, asked by the job's identity, or by nobody's (`public`), which starts nothing."""

    def __init__(self, asked: Asked, asking: Asking, env: Mapping[str, str]) -> None:
        self._asked = asked
        self._asking = asking
        self._url = env.get("ACTIONS_ID_TOKEN_REQUEST_URL", "")
        self._secret = env.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "")
        self._followed_by = ""
        self._address = f"{asked.service}/api/action"
        if not self._url and not asked.from_fork:
            raise Ended("error", "This job may not prove who it is: give it “permissions: id-token: write”.")
        self.public = not self._url

    def start(self, sha: str, until: float) -> Any:
        """Have a commit built, and return how its build stands."""
        if self.public:
            self._look_at = f"{self._address}/commits/{quote(self._asked.repository)}/{sha}"
            return None
        self._look_at = f"{self._address}/build"

        def once() -> Any:
            # Another token each time: the service takes each of them once.
            mark = "&" if "?" in self._url else "?"
            audience = urlencode({"audience": self._asked.service})
            token = _answer("GET", f"{self._url}{mark}{audience}", self._secret, None)["value"]
            command("add-mask", token)
            answer = _answer("POST", f"{self._address}/builds", token, {"sha": sha, "verify": self._asked.verify})
            command("add-mask", answer["follow"])
            self._followed_by = answer["follow"]
            return answer["build"]

        return self._asking.ask(once, until)

    def look(self, offset: int, until: float) -> Any:
        """Return how the build stands, with the lines of its log from an offset on."""
        return self._asking.ask(
            lambda: _answer("GET", f"{self._look_at}?from={offset}", self._followed_by, None), until
        )

    def give_up(self) -> str:
        """Have the build end with this job, in the few seconds that a runner leaves; return what became of it."""
        self._asking.done.wait(3.5)  # what is asked may be the build
        if not self._followed_by:
            return "Nothing was being built."
        said: list[str] = []

        def leave() -> None:
            try:
                why = _answer("DELETE", f"{self._address}/build", self._followed_by, None)["why"]
                said.append(f"The build goes on: {one_line(why)}" if why else "The build was cancelled.")
            except (Ended, Later) as error:
                said.append(f"The build goes on: {error}")

        thread = threading.Thread(target=leave, daemon=True)
        thread.start()
        thread.join(3.0)
        return said[0] if said else "The service was not told in time; the build may go on."


class GitHub:
    """GitHub's API, with the workflow's own token."""

    def __init__(self, asked: Asked, asking: Asking) -> None:
        self._asked = asked
        self._asking = asking
        self._here = f"{asked.api_url}/repos/{asked.repository}"

    def _ask(self, method: str, address: str, body: Any = None) -> Any:
        return _answer(method, f"{self._here}{address}", self._asked.github_token, body)

    def commit(self, ref: str, until: float) -> str:
        """Return the commit that a ref is at."""
        if _SHA.fullmatch(ref):
            return ref
        return str(self._asking.ask(lambda: self._ask("GET", f"/commits/{quote(ref, safe='')}"), until)["sha"])

    def comment(self, text: str, until: float) -> None:
        """Keep one comment on the pull request: looked for before it is made, each time."""
        self._asking.ask(lambda: self._comment(f"{MARKER}\n{text}"), until)

    def _comment(self, body: str) -> Any:
        for page in range(1, 11):
            listed = self._ask("GET", f"/issues/{self._asked.pull}/comments?per_page=100&page={page}")
            for one in listed:
                if one["user"]["login"] == "github-actions[bot]" and one["body"].startswith(MARKER):
                    return self._ask("PATCH", f"/issues/comments/{int(one['id'])}", {"body": body})
            if len(listed) < 100:
                break
        return self._ask("POST", f"/issues/{self._asked.pull}/comments", {"body": body})


# How it goes, and how it ended.


def follow(service: Service, asked: Asked, sha: str, deadline: float) -> Any:
    """Return what is told of the build once it is over, and the notebooks have run. Raises: Ended."""
    began, log, offset = time.monotonic(), Log(), 0
    build = service.start(sha, min(deadline, began + _PATIENCE_SECONDS))
    if build and build["state"] == "succeeded" and not asked.verify:
        return {"build": build, "notebooks": []}  # the log of what was built before is not shown again
    try:
        while True:
            now = time.monotonic()
            told = service.look(offset, min(deadline, now + _PATIENCE_SECONDS))
            if told["build"] is None:
                raise Ended("neutral", one_line(told["why"]))
            offset = int(told["next"])
            log.show(told["build"]["label"], told["lines"])
            if told["is_over"]:
                was_there = (build or told["build"])["was_there"]
                return {**told, "build": {**told["build"], "was_there": was_there}}
            if now > deadline:
                raise Ended("timeout", "It is not over after as long as “timeout” says, and goes on without this job.")
            time.sleep(0 if len(told["lines"]) > 1000 else 1 if now - began < 30 else 3)
    finally:
        log.close()


@dataclass(frozen=True)
class Outcome:
    """How it ended; the build, as far as there is one; and what was at fault: {party, message, file, line}."""

    status: str
    message: str
    sha: str = ""
    build: Any = None
    faults: Sequence[Mapping[str, Any]] = ()

    @property
    def has_image(self) -> bool:
        """Whether the notebooks can be opened."""
        return bool(self.build) and self.build["state"] == "succeeded"

    def link(self, asked: Asked, name: str) -> str:
        """Return one of the build's addresses, if it is one of the service's."""
        link = str((self.build or {}).get(name) or "")
        return link if _LINK.fullmatch(link) and link.startswith(f"{asked.service}/") else ""

    def fails(self, fail_on: str) -> bool:
        """Whether the step is to fail."""
        is_bad = self.status in {"failure", "cancelled", "timeout", "error"}
        is_repositorys = any(fault["party"] == "repository" for fault in self.faults)
        return is_bad and (fail_on == "failure" or (fail_on == "repository" and is_repositorys))


def outcome_of(told: Any, sha: str) -> Outcome:
    """Return how a build ended, and the notebooks that were to run in its image."""
    build, failed = told["build"], [one for one in told["notebooks"] if one["outcome"] != "passed"]
    status, faults = _STATUSES[build["state"]], []
    message = one_line((build["fault"] or {}).get("message") or build["facts"])
    if status == "failure":
        faults = [build["fault"] or {"party": "operator", "message": message}]
    elif status == "success" and told["notebooks"]:
        message = f"{len(told['notebooks']) - len(failed)} of {len(told['notebooks'])} notebooks ran; {message}"
        status = "failure" if failed else status
        stopped = {"party": "operator", "message": "It was stopped."}
        faults = [{**(one["fault"] or stopped), "file": one["path"]} for one in failed]
    return Outcome(status, message, sha, build, faults)


def run(asked: Asked, service: Service, github: GitHub) -> Outcome:
    """Have it built, wait, and return how it ended."""
    deadline = time.monotonic() + asked.timeout_seconds
    sha = ""
    try:
        sha = github.commit(asked.ref, min(deadline, time.monotonic() + _PATIENCE_SECONDS))
        print(f"Binder: commit {sha} of {one_line(asked.repository)} at {asked.service}", flush=True)
        return outcome_of(follow(service, asked, sha, deadline), sha)
    except Ended as error:
        return Outcome("neutral" if service.public else error.status, str(error), sha)
    except (KeyError, TypeError, AttributeError):
        return Outcome("error", f"{asked.service} answers what this version of the action does not understand.", sha)


def text_of(outcome: Outcome, asked: Asked) -> str:
    """Return how it ended, as Markdown."""
    build, page, url = outcome.build or {}, outcome.link(asked, "page"), outcome.link(asked, "url")
    lines = [
        f"**Binder: {title_of(outcome)}**" + (f" · [Open the notebooks]({url})" if outcome.has_image and url else "")
    ]
    lines += [code_span(outcome.message)] if outcome.message and (outcome.has_image or not outcome.faults) else []
    for fault in outcome.faults[:_MOST_FAULTS]:
        place = f"{fault['file']} line {fault['line']}" if fault.get("line") else fault.get("file")
        lines.append(code_span(fault["message"]) + (f" in {code_span(place)}" if place else ""))
    commit = f"Commit [`{outcome.sha[:7]}`]({asked.server_url}/{asked.repository}/commit/{outcome.sha})"
    parts = [commit] if outcome.sha else []
    if build.get("seconds") is not None:
        parts.append(f"{'there already, ' if build['was_there'] else ''}built in {float(build['seconds']):.0f} s")
    parts += [f"[Log of the build]({page})"] if page else []
    return "\n\n".join([*lines, " · ".join(parts)]).strip() + "\n"


def title_of(outcome: Outcome) -> str:
    """Return how it ended, in a few words."""
    is_of_notebooks = outcome.status == "failure" and outcome.has_image
    return "Not all notebooks run" if is_of_notebooks else _TITLES[outcome.status]


def tell(outcome: Outcome, asked: Asked, *, fails: bool) -> None:
    """Tell the runner how it ended: by annotations, the outputs, and the job's summary."""
    title, build, url = f"Binder: {title_of(outcome)}", outcome.build or {}, outcome.link(asked, "url")
    kind = "error" if fails else "notice" if outcome.status in {"success", "neutral", "superseded"} else "warning"
    for fault in outcome.faults[:_MOST_FAULTS]:
        command(kind, one_line(fault["message"]), title=title, file=fault.get("file"), line=fault.get("line"))
    if not outcome.faults:
        command(kind, url if outcome.status == "success" else outcome.message or title, title=title)
    told = {
        "status": outcome.status,
        "url": url if outcome.has_image else "",
        "image": one_line(build.get("image") or "") if outcome.has_image else "",
        "build-id": one_line(build.get("build") or ""),
        "duration": f"{float(build.get('seconds') or 0):.0f}" if build else "",
        "reused": str(bool(build.get("was_there"))).lower(),
    }
    for name, value in told.items():
        write_output(name, value)
    append_to("GITHUB_STEP_SUMMARY", text_of(outcome, asked))


def _cancel(*_: object) -> None:
    for one in _SIGNALS:
        signal.signal(one, signal.SIG_IGN)  # once is enough: what follows takes a few seconds
    raise Cancelled


_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]


def main() -> int:
    """Run the action, and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    for one in _SIGNALS:
        signal.signal(one, _cancel)
    asking, service = Asking(), None
    try:
        asked = read_asked(os.environ)
        github = GitHub(asked, asking)
        try:
            service = Service(asked, asking, os.environ)
            outcome = run(asked, service, github)
        except Ended as error:
            outcome = Outcome(error.status, str(error))
        fails = outcome.fails("never" if service and service.public else asked.fail_on)
        tell(outcome, asked, fails=fails)
        if asked.comments and asked.pull and not asked.from_fork and outcome.status not in {"cancelled", "superseded"}:
            try:
                github.comment(text_of(outcome, asked), time.monotonic() + _COMMENT_SECONDS)
            except Ended as error:
                command("warning", f"The pull request has no comment: {error}", title="Binder")
        return int(fails)
    except ValueError as error:
        command("error", str(error), title="Binder")
        return 1
    except Cancelled:
        print(f"Binder: the job was cancelled. {service.give_up() if service else ''}", flush=True)
        write_output("status", "cancelled")
        return 130


if __name__ == "__main__":
    sys.exit(main())
