# SPDX-License-Identifier: Apache-2.0
"""Every error that a caller of the control plane can meet, in one tree."""

from __future__ import annotations


class TiaraError(Exception):
    """Base of all errors below. ``str(error)`` is a whole sentence for people."""


class InvalidField(TiaraError):
    """A value breaks a rule. Nothing was changed.

    ``field`` is the path of the value in the request, as "backend_pool.vxlan.vni".
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.message = message

    def under(self, prefix: str) -> InvalidField:
        """The same error for a value that sits inside ``prefix``."""
        return InvalidField(f"{prefix}.{self.field}" if self.field else prefix, self.message)


class NotFound(TiaraError):
    """``resource`` does not exist. ``field`` is set where the request only referred to it."""

    def __init__(self, resource: str, field: str = "") -> None:
        super().__init__(f"{field}: {resource} does not exist" if field else f"{resource} does not exist")
        self.resource = resource
        self.field = field


class AlreadyExists(TiaraError):
    """``resource`` is taken by ``holder``, a resource name; ``field``: where the request asks for it."""

    def __init__(self, resource: str, holder: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.resource = resource
        self.holder = holder
        self.field = field


class Aborted(TiaraError):
    """The resource changed since the caller read it: read it again."""

    def __init__(self, resource: str, message: str) -> None:
        super().__init__(message)
        self.resource = resource


class FailedPrecondition(TiaraError):
    """Something else must be done first; ``subject`` says to what."""

    def __init__(self, subject: str, message: str) -> None:
        super().__init__(message)
        self.subject = subject


class Unauthenticated(TiaraError):
    """Who calls is not known, or not believed. Nothing was done."""


class PermissionDenied(TiaraError):
    """The caller is known and may not do this; ``needed`` is the scope that may. Nothing was done."""

    def __init__(self, needed: str, message: str) -> None:
        super().__init__(message)
        self.needed = needed


class Exhausted(TiaraError):
    """No room: disk, indices, or old generations that wait for a stopped worker."""


class Unavailable(TiaraError):
    """What is needed does not run now; the same call may work later."""


class DeadlineExceeded(TiaraError):
    """It was not done in the time the caller gave."""


class OutOfRange(TiaraError):
    """What is asked for is no longer kept."""


class Unimplemented(TiaraError):
    """This server does not know that format or feature."""


class StoreError(TiaraError):
    """The store cannot be read or written. Nothing was changed."""
