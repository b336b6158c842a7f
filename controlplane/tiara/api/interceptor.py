# SPDX-License-Identifier: Apache-2.0
"""Turns errors into statuses for every method, and what is no message into INVALID_ARGUMENT."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, NoReturn

import grpc
import structlog
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from tiara.api.bounds import check_request
from tiara.api.errors import status_of
from tiara.domain.errors import InvalidField, TiaraError

_Context = grpc.aio.ServicerContext[Any, Any]


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Servicers raise domain errors and get parsed requests; nothing else reaches a client."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("api")

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """See ``grpc.aio.ServerInterceptor``."""
        handler: Any = await continuation(handler_call_details)
        if handler is None:
            return handler
        method = handler_call_details.method
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(
                self._unary(method, handler), response_serializer=handler.response_serializer
            )
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(
                self._answers(method, handler), response_serializer=handler.response_serializer
            )
        if handler.stream_stream:
            return grpc.stream_stream_rpc_method_handler(
                self._stream(method, handler), response_serializer=handler.response_serializer
            )
        return handler  # type: ignore[no-any-return]

    def _unary(self, method: str, handler: Any) -> Any:
        async def call(raw: bytes, context: _Context) -> Any:
            try:
                return await handler.unary_unary(_parse(handler, raw), context)
            except Exception as error:
                await self._abort(method, context, error)

        return call

    def _answers(self, method: str, handler: Any) -> Any:
        async def call(raw: bytes, context: _Context) -> AsyncIterator[Any]:
            try:
                found = handler.unary_stream(_parse(handler, raw), context)
                if inspect.isawaitable(found):  # It writes to the context itself, as grpc.health.v1 does
                    await found
                    return
                async with aclosing(found) as responses:
                    async for response in responses:
                        yield response
            except Exception as error:
                await self._abort(method, context, error)

        return call

    def _stream(self, method: str, handler: Any) -> Any:
        async def call(raws: AsyncIterator[bytes], context: _Context) -> AsyncIterator[Any]:
            try:
                async for response in handler.stream_stream(
                    (_parse(handler, raw) async for raw in raws), context
                ):
                    yield response
            except Exception as error:
                await self._abort(method, context, error)

        return call

    async def _abort(self, method: str, context: _Context, error: Exception) -> NoReturn:
        if isinstance(error, grpc.aio.AbortError):
            raise error
        if isinstance(error, TiaraError):
            await context.abort_with_status(rpc_status.to_status(status_of(error)))
        self._log.error("call failed", method=method, exc_info=error)
        await context.abort(grpc.StatusCode.INTERNAL, "an unexpected error; the control plane's log has it")


def _parse(handler: Any, raw: bytes) -> Any:
    try:
        request = handler.request_deserializer(raw)
    except DecodeError as error:
        raise InvalidField("", f"the request cannot be parsed: {error}") from None
    check_request(request, len(raw))
    return request
