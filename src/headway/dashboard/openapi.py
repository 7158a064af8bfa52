"""The OpenAPI document: the content of docs/http.md, for programs."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from headway.dashboard.analyses import SOURCES
from headway.files.query import PLACE, TEXT_MOST
from headway.tasks.states import FINAL_STATES, STATES

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["document"]

Schema = dict[str, Any]

_TIME: Schema = {"type": "number", "description": "seconds since 1970"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _map(of: Schema) -> Schema:
    return {"type": "object", "additionalProperties": of}


def _object(*, optional: Collection[str] = (), **properties: Schema) -> Schema:
    """An object that has all of these members except the optional ones; later versions may add members."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _named(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_TASK: Schema = {
    "serial": _COUNT,
    "id": _TEXT,
    "label": _TEXT,
    "unit": _TEXT,
    "parent": _or_null(_TEXT),
    "state": _named("State"),
    "count": {"type": "integer"},
    "total": _or_null({"type": "integer"}),
    "base": {"type": "integer"},
    "stage": _TEXT,
    "message": _TEXT,
    "error": _TEXT,
    "metrics": _map(_or_null({"type": "number"})),
    "rate": _or_null({"type": "number"}),
    **{name: _or_null(_TIME) for name in ("created", "started", "ended", "stage_entered", "beat")},
    "owner_pid": _COUNT,
    "owner_alive": _FLAG,
    "resumed_from": _or_null({"type": "integer"}),
    "stall_after": _or_null({"type": "number", "exclusiveMinimum": 0}),
}


def _pair(second: Schema) -> Schema:
    """A time, and the values at that time."""
    return {"type": "array", "prefixItems": [_TIME, second], "minItems": 2, "maxItems": 2}


_WHOLE_TASK: Schema = {
    **_TASK,
    "final": _FLAG,
    "fraction": _or_null({"type": "number", "minimum": 0, "maximum": 1}),
    "eta": _or_null({"type": "number"}),
    "elapsed": {"type": "number"},
    "idle": _or_null({"type": "number"}),
    "stalled": _FLAG,
    "stages": _list(_named("Stage")),
    "stages_left_out": _COUNT,
    "workers": _list(_named("Share")),
    "workers_lost": _list(_named("Share")),
    "lost_left_out": _COUNT,
    "owner": _COUNT,
    "durations": _or_null(_named("Durations")),
    "taken_at": _TIME,
    "result": {"description": "any JSON"},
    "series": _list(_pair({"type": "integer"})),
}
_SCHEMAS: dict[str, Schema] = {
    "Fault": _object(code=_TEXT, detail=_TEXT),
    "State": {"type": "string", "enum": list(STATES)},
    "Counts": _object(**dict.fromkeys((*STATES, "total", "ended", "stalled"), _COUNT)),
    "TimeLeft": _object(seconds=_or_null({"type": "number", "minimum": 0}), at_least=_FLAG, stalled=_COUNT),
    "Stage": _object(name=_TEXT, entered=_or_null(_TIME), left=_or_null(_TIME)),
    "Share": _object(
        pid=_COUNT,
        incarnation=_COUNT,
        count=_or_null({"type": "integer"}),
        beat=_or_null(_TIME),
        alive=_FLAG,
        item=_TEXT,
        item_seconds=_or_null({"type": "number"}),
    ),
    "Durations": _object(
        timed=_COUNT,
        quick=_COUNT,
        **{name: _or_null({"type": "number", "minimum": 0}) for name in ("p50", "p90", "p99", "max")},
        item=_TEXT,
        counts=_list(_COUNT),
    ),
    "Problem": _object(
        type=_TEXT,
        title=_TEXT,
        status={"type": "integer"},
        detail=_TEXT,
        code={"type": "string", "pattern": "^[a-z-]+$"},
    ),
    "Summary": _object(
        name=_TEXT,
        uuid=_or_null(_TEXT),
        host=_or_null(_TEXT),
        sequence=_or_null(_COUNT),
        taken_at=_or_null(_TIME),
        created_at=_or_null(_TIME),
        capacity=_or_null(_COUNT),
        worker_capacity=_or_null(_COUNT),
        dropped=_or_null(_COUNT),
        from_prev=_or_null(_FLAG),
        counts=_or_null(_named("Counts")),
        time_left=_or_null(_named("TimeLeft")),
        workers_alive=_or_null(_COUNT),
        workers_gone=_or_null(_COUNT),
        workers_lost=_or_null(_COUNT),
        rates=_or_null(_map({"type": "number"})),
        interval=_or_null({"type": "number"}),
        recorder_error=_or_null(_TEXT),
        recorder={"type": "string", "enum": ["alive", "gone", "unknown"]},
        silent_since=_or_null(_TIME),
        error=_or_null(_named("Fault")),
    ),
    "Row": _object(**_TASK, worker_count=_COUNT, lost_count=_COUNT),
    "Task": _object(**_WHOLE_TASK, metric_series=_map(_list(_pair(_or_null({"type": "number"}))))),
    "PastTask": _object(**_WHOLE_TASK, uuid=_TEXT, slot=_COUNT, generation=_COUNT, archived=_TIME),
    "History": _object(
        now=_TIME, board=_TEXT, tasks=_list(_named("PastTask")), next=_or_null(_TEXT), count=_or_null(_COUNT)
    ),
    "AnalysisResult": _object(status=_TEXT, error_message=_TEXT),
    "Analysis": _object(
        symbol=_TEXT,
        execution_id=_TEXT,
        start_time={"type": "string", "description": "ISO 8601, local time"},
        current_stage=_TEXT,
        overall_status={"type": "string", "enum": ["running", "success", "failed"]},
        support_resistance=_named("AnalysisResult"),
        ml_prediction=_named("AnalysisResult"),
        market_context=_named("AnalysisResult"),
        leverage_decision=_named("AnalysisResult"),
        final_signal=_TEXT,
        failure_stage=_TEXT,
        final_message=_TEXT,
    ),
    "Worker": _object(
        incarnation=_COUNT,
        pid=_COUNT,
        name=_TEXT,
        alive=_FLAG,
        started=_or_null(_TIME),
        beat=_or_null(_TIME),
        rate=_or_null({"type": "number"}),
        tasks=_list(_TEXT),
        task_count=_COUNT,
        item=_TEXT,
        item_since=_or_null(_TIME),
        item_until=_or_null(_TIME),
        stall_after=_or_null({"type": "number", "exclusiveMinimum": 0}),
    ),
    "Throughput": _object(
        at=_list(_TIME), running=_list(_COUNT), success=_list(_COUNT), rates=_map(_list(_or_null({"type": "number"})))
    ),
    "Moved": _object(
        serial=_list(_COUNT),
        count=_list({"type": "integer"}),
        rate=_list(_or_null({"type": "number"})),
        beat=_list(_or_null(_TIME)),
    ),
    "BoardsEvent": _object(
        now=_TIME, whole=_FLAG, boards=_list(_named("Summary")), removed=_list(_TEXT), error=_or_null(_named("Fault"))
    ),
    "BoardEvent": _object(
        now=_TIME,
        board=_TEXT,
        whole=_FLAG,
        **{"from": _or_null(_COUNT)},
        rev=_COUNT,
        summary=_or_null(_named("Summary")),
        tasks=_list(_named("Row")),
        moved=_named("Moved"),
        removed=_list(_COUNT),
        workers=_list(_named("Worker")),
        workers_removed=_list(_COUNT),
        throughput=_or_null(_named("Throughput")),
        optional=("throughput",),
    ),
}
_BOARD_PARAMETER: Schema = {
    "name": "board",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$"},
}
_ID: Schema = {"name": "id", "required": True, "schema": {"type": "string", "minLength": 1, "maxLength": 95}}


def _get(summary: str, content: dict[str, Schema], *parameters: Schema, safe: bool = False) -> Schema:
    operation: Schema = {
        "summary": summary,
        "responses": {
            "200": {"description": "as asked for", "content": content},
            "default": {
                "description": "what cannot be answered, by RFC 9457",
                "content": {"application/problem+json": {"schema": _named("Problem")}},
            },
        },
    }
    if parameters:
        operation["parameters"] = list(parameters)
    if safe:
        operation["security"] = []
    return {"get": operation}


def _json(*, optional: Collection[str] = (), **properties: Schema) -> dict[str, Schema]:
    return {"application/json": {"schema": _object(now=_TIME, optional=optional, **properties)}}


def _query(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "schema": schema}


def document() -> Schema:
    """The document, for a server of this version."""
    task = _json(board=_TEXT, taken_at=_TIME, task=_named("Task"))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Headway",
            "version": version("headway"),
            "summary": "How far every process of a program has got",
            "description": "Read only. Every answer is made of snapshot files; docs/http.md tells more.",
        },
        "servers": [{"url": "./", "description": "where this document is"}],
        "security": [{}, {"token": []}, {"header": []}],  # {}: with --no-token
        "paths": {
            "/api/boards": _get(
                "All boards at a glance", _json(boards=_list(_named("Summary")), error=_or_null(_named("Fault")))
            ),
            "/api/boards/{board}": _get(
                "A board with its tasks and workers",
                _json(
                    board=_TEXT,
                    summary=_named("Summary"),
                    tasks=_list(_named("Row")),
                    workers=_list(_named("Worker")),
                    throughput=_named("Throughput"),
                ),
                _BOARD_PARAMETER,
            ),
            "/api/boards/{board}/tasks": _get(
                "Everything about one task, whatever its id", task, _BOARD_PARAMETER, {**_ID, "in": "query"}
            ),
            "/api/boards/{board}/tasks/{id}": _get(
                "Everything about one task", task, _BOARD_PARAMETER, {**_ID, "in": "path"}
            ),
            "/api/boards/{board}/history": _get(
                "Tasks that have ended, the newest first",
                {"application/json": {"schema": _named("History")}},
                _BOARD_PARAMETER,
                _query("q", {"type": "string", "maxLength": TEXT_MOST}),
                _query("id", {"type": "string", "minLength": 1, "maxLength": 95}),
                _query("hours", {"type": "number", "exclusiveMinimum": 0, "maximum": 8760, "default": 24}),
                _query("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 200}),
                _query("state", {"type": "array", "items": {"type": "string", "enum": list(FINAL_STATES)}}),
                _query("uuid", {"type": "string"}),
                _query(
                    "before",
                    {"type": "string", "pattern": f"^{PLACE}$", "description": "the 'next' of the page before"},
                ),
            ),
            "/api/events": _get(
                "What changes, as server-sent events",
                {"text/event-stream": {"schema": {"type": "string"}}},
                {**_BOARD_PARAMETER, "in": "query", "required": False},
                {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}},
            ),
            "/api/analysis/progress/{id}": _get(
                "What an analysis looks like",
                {"application/json": {"schema": _named("Analysis")}},
                {**_ID, "in": "path"},
            ),
            "/api/analysis/recent": _get(
                "The analyses that were started lately, the newest first",
                {
                    "application/json": {
                        "schema": _object(
                            analyses=_list(_named("Analysis")), count=_COUNT, memory_count=_COUNT, file_count=_COUNT
                        )
                    }
                },
                _query("hours", {"type": "number", "default": 1}),
                _query("source", {"type": "string", "enum": list(SOURCES), "default": SOURCES[0]}),
            ),
            "/metrics": _get("Prometheus metrics", {"text/plain": {"schema": {"type": "string"}}}),
            "/healthz": _get(
                "Is the server there?",
                _json(status={"const": "ok"}, boards=_COUNT, listeners=_COUNT, optional=("boards", "listeners")),
                safe=True,
            ),
        },
        "components": {
            "schemas": _SCHEMAS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "Headway-Token"},
            },
        },
    }
