# SPDX-License-Identifier: Apache-2.0
"""Domain errors as gRPC statuses with google.rpc details."""

from __future__ import annotations

from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from tiara.domain.errors import (
    Aborted,
    AlreadyExists,
    DeadlineExceeded,
    Exhausted,
    FailedPrecondition,
    InvalidField,
    NotFound,
    OutOfRange,
    PermissionDenied,
    StoreError,
    TiaraError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)

DOMAIN = "tiara.v1"

_CODES: tuple[tuple[type[TiaraError], int], ...] = (
    (InvalidField, code_pb2.INVALID_ARGUMENT),
    (NotFound, code_pb2.NOT_FOUND),
    (AlreadyExists, code_pb2.ALREADY_EXISTS),
    (Aborted, code_pb2.ABORTED),
    (FailedPrecondition, code_pb2.FAILED_PRECONDITION),
    (Unauthenticated, code_pb2.UNAUTHENTICATED),
    (PermissionDenied, code_pb2.PERMISSION_DENIED),
    (Exhausted, code_pb2.RESOURCE_EXHAUSTED),
    (Unavailable, code_pb2.UNAVAILABLE),
    (DeadlineExceeded, code_pb2.DEADLINE_EXCEEDED),
    (OutOfRange, code_pb2.OUT_OF_RANGE),
    (Unimplemented, code_pb2.UNIMPLEMENTED),
    (StoreError, code_pb2.INTERNAL),
)


def status_of(error: TiaraError) -> status_pb2.Status:
    """The status that a client gets: code, the sentence, and machine-readable details."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), code_pb2.INTERNAL)
    details = [_packed(detail) for detail in _details(error, code_pb2.Code.Name(code))]
    return status_pb2.Status(code=code, message=str(error), details=details)


def _details(error: TiaraError, reason: str) -> list[Message]:
    info = error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN)
    match error:
        case InvalidField(field=field, message=message):
            info.metadata["field"] = field
            return [info, _bad_request(field, message)]
        case NotFound(resource=resource, field=field):
            found: list[Message] = [info, _resource(resource, str(error))]
            if field:
                info.metadata["field"] = field
                found.append(_bad_request(field, str(error)))
            return found
        case AlreadyExists(resource=resource, holder=holder, field=field):
            info.metadata["holder"] = holder
            taken: list[Message] = [info, _resource(resource, str(error), holder)]
            return [*taken, _bad_request(field, str(error))] if field else taken
        case Aborted(resource=resource):
            return [info, _resource(resource, str(error))]
        case FailedPrecondition(subject=subject):
            violation = error_details_pb2.PreconditionFailure.Violation(
                type="STATE", subject=subject, description=str(error)
            )
            return [info, error_details_pb2.PreconditionFailure(violations=[violation])]
        case PermissionDenied(needed=needed):
            info.metadata["scope"] = needed
    return [info]


def _bad_request(field: str, message: str) -> error_details_pb2.BadRequest:
    violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=message)
    return error_details_pb2.BadRequest(field_violations=[violation])


def _resource(name: str, message: str, owner: str = "") -> error_details_pb2.ResourceInfo:
    return error_details_pb2.ResourceInfo(resource_name=name, owner=owner, description=message)


def _packed(detail: Message) -> Any:
    packed = Any()
    packed.Pack(detail)
    return packed
