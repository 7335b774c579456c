"""Redis from a notebook: `from binder_modules import redis`, then `redis.connect()`.

Where the session's server is, and who may use it, is in `REDIS_URL`.
"""

import csv
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import redis


def connect(**options: Any) -> "redis.Redis":
    """Return a client of the session's server, whose answers are texts; `options` are those of redis-py."""
    return redis.Redis.from_url(os.environ["REDIS_URL"], **{"decode_responses": True, **options})


def load_commands(path: str) -> int:
    """Run the commands of a file, one in each line, and return how many they were; `#` begins a comment."""
    client = connect()
    commands = [shlex.split(line, comments=True) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    there = [command for command in commands if command]
    for command in there:
        client.execute_command(*command)
    return len(there)


def load_csv(path: str) -> int:
    """Make a hash of each row of a CSV file, whose first line names the fields, and return how many they are.

    The key is the file's name and the row's first value: `planets:mars`.
    """
    with connect().pipeline() as pipeline, Path(path).open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        for row in rows:
            key = f"{Path(path).stem}:{next(iter(row.values()))}"
            pipeline.hset(key, mapping={field: value for field, value in row.items() if value})
        return len(pipeline.execute())


if __name__ == "__main__":
    many = load_csv(sys.argv[1]) if sys.argv[1].endswith(".csv") else load_commands(sys.argv[1])
    print(f"{sys.argv[1]}: {many} done")
