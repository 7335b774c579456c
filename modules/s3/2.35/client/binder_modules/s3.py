"""Object storage from a notebook: `from binder_modules import s3`, then `s3.client()`.

Where the session's server is, and who may use it, is in the variables that all of S3's clients read
(`AWS_ENDPOINT_URL_S3`); the bucket that is there from the start is `s3.BUCKET`.
"""

import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

BUCKET = os.environ.get("S3_BUCKET", "")
_CONFIG = Config(s3={"addressing_style": "path"})
"""Buckets are in the path: they have no names in the network."""


def client(**options: Any) -> Any:
    """Return boto3's client of the session's object storage."""
    return boto3.client("s3", **{"config": _CONFIG, **options})


def resource(**options: Any) -> Any:
    """Return boto3's resource of the session's object storage."""
    return boto3.resource("s3", **{"config": _CONFIG, **options})


def load(path: str) -> int:
    """Put a file into the bucket, or each file of a zip archive, and return how many objects that made."""
    storage = client()
    if not path.endswith(".zip"):
        storage.upload_file(path, BUCKET, Path(path).name)
        return 1
    with zipfile.ZipFile(path) as archive:
        files = [entry for entry in archive.infolist() if not entry.is_dir()]
        for entry in files:
            with archive.open(entry) as content:
                storage.upload_fileobj(content, BUCKET, entry.filename)
        return len(files)


if __name__ == "__main__":
    print(f"{sys.argv[1]}: {load(sys.argv[1])} objects")
