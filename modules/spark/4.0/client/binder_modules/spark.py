"""Spark from a notebook: `from binder_modules import spark`, then `spark.session()`.

What the session's Spark wants to be told is in `SPARK_MASTER`, `SPARK_SECRET` and the two sizes beside them.
"""

import json
import os
import sys
import tempfile
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

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


def settings() -> dict[str, str]:
    """Return the settings of a driver that uses the session's own master: the secret is among them."""
    master = os.environ["SPARK_MASTER"]
    offered = int(os.environ["SPARK_WORKER_MEMORY_BYTES"]) // _MIB - _OF_WORKER_MIB
    found = {
        "spark.master": master,
        "spark.authenticate": "true",
        "spark.authenticate.secret": os.environ["SPARK_SECRET"],
        "spark.executor.memory": f"{max(_LEAST_EXECUTOR_MIB, int(offered * _HEAP))}m",
        "spark.executor.extraJavaOptions": "-XX:+UseSerialGC",
        "spark.driver.memory": f"{int(os.environ['SPARK_DRIVER_MEMORY_BYTES']) // _MIB}m",
        "spark.driver.extraJavaOptions": "-XX:+UseSerialGC",
        "spark.ui.showConsoleProgress": "false",
        "spark.pyspark.python": sys.executable,
    }
    if "//127.0.0.1:" in master:
        found |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    return found


def _is_ready(master: str, worker: str | None) -> bool:
    """Whether a master is alive, at the address of its state; or a worker of it, by its number."""
    with urllib.request.urlopen(master, timeout=5) as answer:  # noqa: S310 - an address of this session
        state: dict[str, Any] = json.load(answer)
    if worker is None:
        return state["status"] == "ALIVE"
    port = f":{8081 + int(worker)}"
    return any(one["state"] == "ALIVE" and one["webuiaddress"].endswith(port) for one in state["workers"])


if __name__ == "__main__":
    sys.exit(0 if _is_ready(sys.argv[1], (*sys.argv[2:], None)[0]) else 1)
