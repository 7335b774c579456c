"""Spark from a notebook: `from binder_modules import spark`, then `spark.session()`.

What the session's Spark wants to be told is in `SPARK_MASTER`, `SPARK_SECRET` and the two sizes beside them.
"""

import json
import os
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_LOCALHOST = "127.0.0.1"
_MASTER_PAGE = 8080
_WORKER_PAGE = 8081
_DRIVER_PAGE = 4040
_ALIVE = "ALIVE"
_PATIENCE_SECONDS = 5
_PAUSE_SECONDS = 0.3
"""Who asks whether it is ready waits here for a while: each question costs more than that."""
_MIB = 2**20
_LEAST_EXECUTOR_MIB = 456
"""Spark starts no executor with less."""
_OF_WORKER_MIB = 224
"""What a worker uses besides its executor: the rest is what it offers."""
_HEAP = 0.62
"""How much of what a worker offers is the executor's heap: its Python processes need the rest."""


def session(name: str = "notebook", config: Mapping[str, str] | None = None) -> "SparkSession":
    """Return the notebook's Spark session, connected to the session's own master; `config` are more of its settings."""
    from pyspark.sql import SparkSession  # noqa: PLC0415 - the services' health asks this file, and is in a hurry

    asked = os.environ.get("PYSPARK_SUBMIT_ARGS")
    # In a file, and for as long as Spark reads it: arguments could be read by others.
    with tempfile.NamedTemporaryFile("w", suffix=".conf", encoding="utf-8") as file:
        file.writelines(f"{key} {value}\n" for key, value in {**settings(), **(config or {})}.items())
        file.flush()
        os.environ["PYSPARK_SUBMIT_ARGS"] = f"--properties-file {file.name} pyspark-shell"
        try:
            return SparkSession.builder.appName(name).getOrCreate()
        finally:
            if asked is None:
                del os.environ["PYSPARK_SUBMIT_ARGS"]
            else:
                os.environ["PYSPARK_SUBMIT_ARGS"] = asked


def ui() -> str:
    """Return the path of the driver's page in this session, by way of the notebook server."""
    from jupyter_server.serverapp import list_running_servers  # noqa: PLC0415 - only the notebook has one

    base = next((server["base_url"] for server in list_running_servers()), "/")
    return f"{base}proxy/{_DRIVER_PAGE}/jobs/"


def settings() -> dict[str, str]:
    """Return the settings of a driver that uses the session's own master: the secret is among them."""
    master = os.environ["SPARK_MASTER"]
    offered = _offered(os.environ["SPARK_WORKER_MEMORY_BYTES"])
    here = _address(master.removeprefix("spark://").rpartition(":")[0])
    found = {
        "spark.master": master,
        # Not by name: that of a pod is known to nobody else.
        "spark.driver.host": here,
        "spark.driver.bindAddress": here,
        "spark.authenticate": "true",
        "spark.authenticate.secret": os.environ["SPARK_SECRET"],
        "spark.executor.memory": f"{max(_LEAST_EXECUTOR_MIB, int(offered * _HEAP))}m",
        "spark.executor.extraJavaOptions": "-XX:+UseSerialGC",
        "spark.driver.memory": f"{int(os.environ['SPARK_DRIVER_MEMORY_BYTES']) // _MIB}m",
        "spark.driver.extraJavaOptions": "-XX:+UseSerialGC",
        "spark.ui.showConsoleProgress": "false",
        "spark.pyspark.python": sys.executable,
    }
    if here == _LOCALHOST:
        # Workers of one pod have one address, but each its own files.
        found["spark.shuffle.readHostLocalDisk"] = "false"
    return found


def _address(master: str) -> str:
    """Return where others of the session reach this container: all of one pod by the loopback."""
    return master if master == _LOCALHOST else socket.gethostbyname(socket.gethostname())


def _run_master(master: str) -> None:
    """Become a master."""
    _become("master.Master", "--host", _address(master), "--port", "7077", "--webui-port", str(_MASTER_PAGE))


def _run_worker(master: str, index: str, cores: str, memory_bytes: str) -> None:
    """Become a worker; in one pod each has a port of its own for its page."""
    own = ("--host", _address(master), "--webui-port", str(_WORKER_PAGE + int(index)), "--work-dir", "/tmp/spark")  # noqa: S108
    _become("worker.Worker", *own, "--cores", cores, "--memory", f"{_offered(memory_bytes)}m", f"spark://{master}:7077")


def _become(main: str, *arguments: str) -> None:
    os.execvp("spark-class", ["spark-class", f"org.apache.spark.deploy.{main}", *arguments])  # noqa: S606


def _check(master: str, index: str | None = None) -> None:
    """End with an error unless a master is soon alive, or the worker of that number is one of its own."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while not _is_alive(master, index):
        if time.monotonic() > until:
            sys.exit("It is not ready.")
        time.sleep(_PAUSE_SECONDS)


def _is_alive(master: str, index: str | None) -> bool:
    try:
        with urllib.request.urlopen(f"http://{master}:{_MASTER_PAGE}/json/", timeout=2) as answer:
            state: dict[str, Any] = json.load(answer)
    except OSError:
        return False
    if index is None:
        return bool(state["status"] == _ALIVE)
    page = f":{_WORKER_PAGE + int(index)}"
    return any(one["state"] == _ALIVE and one["webuiaddress"].endswith(page) for one in state["workers"])


def _offered(memory_bytes: str) -> int:
    """Return how many MiB a worker has for its executor."""
    return int(memory_bytes) // _MIB - _OF_WORKER_MIB


if __name__ == "__main__":
    commands: dict[str, Callable[..., None]] = {"master": _run_master, "worker": _run_worker, "is-ready": _check}
    commands[sys.argv[1]](*sys.argv[2:])
