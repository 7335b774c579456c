"""Structured logs: one JSON object a line on standard error, or coloured text on a terminal.

Events are named in the past tense and carry `delivery`, `repository`, `commit`, `build`, `session` where they apply.
Pure modules do not log.
"""

import asyncio
import logging
import sys

import structlog

Logger = structlog.stdlib.BoundLogger


def set_up_logging(level: str, *, as_json: bool) -> None:
    """Send the logs of this process to standard error, those of libraries included."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    # A traceback says where, not with what: the variables of a function may hold secrets.
    if as_json:
        last: list[structlog.typing.Processor] = [
            structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ]
    else:
        plain = structlog.dev.plain_traceback
        last = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    handler.addFilter(_is_no_cancellation)
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for chatty in ("httpx", "httpcore", "urllib3", "github.Requester", "aiosqlite", "alembic"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """Whether a record is worth a line: a library that tells of having been stopped tells what we did."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def logger(name: str) -> Logger:
    """Return the logger of a module."""
    found: Logger = structlog.stdlib.get_logger(name)
    return found
