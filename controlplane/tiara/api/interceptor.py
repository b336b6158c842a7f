# SPDX-License-Identifier: Apache-2.0
"""For every method: who calls and may they, and errors as statuses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, NoReturn

import grpc
import structlog
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from tiara.api.bounds import check_request
from tiara.api.errors import status_of
from tiara.domain.caller import Caller, set_caller
from tiara.domain.errors import InvalidField, TiaraError
from tiara.security.scopes import require

_Context = grpc.aio.ServicerContext[Any, Any]


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Servicers raise domain errors and get parsed requests; nothing else reaches a client.

    ``identify`` says who makes a call; what their scope does not hold never reaches a servicer.
    """

    def __init__(self, identify: Callable[[_Context], Caller]) -> None:
        self._identify = identify
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
        return None  # a kind of method that no service has: nothing goes round the checks above

    def _caller(self, context: _Context) -> Caller:
        caller = self._identify(context)
        set_caller(caller)
        return caller

    def _unary(self, method: str, handler: Any) -> Any:
        async def call(raw: bytes, context: _Context) -> Any:
            try:
                caller = self._caller(context)
                request = _parse(handler, raw)
                require(caller, method, request)
                check_request(request, len(raw))
                return await handler.unary_unary(request, context)
            except Exception as error:
                await self._abort(method, context, error)

        return call

    def _answers(self, method: str, handler: Any) -> Any:
        async def call(raw: bytes, context: _Context) -> AsyncIterator[Any]:
            try:
                require(self._caller(context), method)
                async with aclosing(handler.unary_stream(_checked(handler, raw), context)) as responses:
                    async for response in responses:
                        yield response
            except Exception as error:
                await self._abort(method, context, error)

        return call

    def _stream(self, method: str, handler: Any) -> Any:
        async def call(raws: AsyncIterator[bytes], context: _Context) -> AsyncIterator[Any]:
            try:
                require(self._caller(context), method)
                async for response in handler.stream_stream(
                    (_checked(handler, raw) async for raw in raws), context
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


def _checked(handler: Any, raw: bytes) -> Any:
    request = _parse(handler, raw)
    check_request(request, len(raw))
    return request


def _parse(handler: Any, raw: bytes) -> Any:
    try:
        return handler.request_deserializer(raw)
    except DecodeError as error:
        raise InvalidField("", f"the request cannot be parsed: {error}") from None
