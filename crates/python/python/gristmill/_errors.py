"""Exceptions, and the warning about files that failed."""

from __future__ import annotations

__all__ = [
    "FileError",
    "FilesError",
    "FileWarning",
    "GristmillError",
    "PatternError",
    "ProgramError",
    "RuleError",
    "RunError",
    "SetError",
]


class GristmillError(Exception):
    """What all exceptions of this module derive from."""

    __module__ = "gristmill"


class FileError(GristmillError):
    """A file, or a place of a directory tree, that could not be read or searched. `Stream.failures` lists them."""

    __module__ = "gristmill"

    path: str | None
    """The file, as `os.fsdecode` shows it; none where the failure is not about one."""
    offset: int | None
    """Where in the file it failed, in bytes; none where reading had not begun."""
    reason: str
    """What happened, and what to do."""

    def __init__(self, path: str | None, offset: int | None, reason: str) -> None:
        super().__init__(path, offset, reason)
        self.path = path
        self.offset = offset
        self.reason = reason

    def __str__(self) -> str:
        path = "" if self.path is None else f"{self.path}: "
        offset = "" if self.offset is None else f"offset {self.offset}: "
        return f"{path}{offset}{self.reason}"


class FilesError(GristmillError):
    """Files failed, and `errors="raise"` was given. It is raised behind the last row."""

    __module__ = "gristmill"

    failures: list[FileError]
    """The failures, at most 10,000."""
    count: int
    """How many there were."""

    def __init__(self, message: str, failures: list[FileError], count: int) -> None:
        super().__init__(message, failures, count)
        self.failures = failures
        self.count = count

    def __str__(self) -> str:
        return str(self.args[0])


class FileWarning(UserWarning):
    """Files failed, and the stream has come to its end."""

    __module__ = "gristmill"


class RunError(GristmillError):
    """A run that could not start, or not go on."""

    __module__ = "gristmill"


class _PlacedError(GristmillError, ValueError):
    def __str__(self) -> str:
        return str(self.args[0])


class PatternError(_PlacedError):
    """A pattern that is refused."""

    __module__ = "gristmill"

    reason: str
    """What is wrong with it."""
    pattern: int | None
    """Its number, from 0."""
    line: int | None
    """The line in the pattern, from 1."""
    column: int | None
    """The character in that line, from 1."""

    def __init__(
        self, message: str, reason: str, pattern: int | None, line: int | None, column: int | None
    ) -> None:
        super().__init__(message, reason, pattern, line, column)
        self.reason = reason
        self.pattern = pattern
        self.line = line
        self.column = column


class RuleError(_PlacedError):
    """A rule file that is refused."""

    __module__ = "gristmill"

    reason: str
    """What is wrong with it."""
    path: str
    """The file."""
    line: int | None
    """The line in the file, from 1."""
    column: int | None
    """The character in that line, from 1."""

    def __init__(self, message: str, reason: str, path: str, line: int | None, column: int | None) -> None:
        super().__init__(message, reason, path, line, column)
        self.reason = reason
        self.path = path
        self.line = line
        self.column = column


class ProgramError(_PlacedError):
    """A program that does not assemble, or that the verifier refuses."""

    __module__ = "gristmill"

    reason: str
    """What is wrong with it."""
    name: str
    """The program's file or name."""
    line: int | None
    """The line in its text, from 1."""
    column: int | None
    """The character in that line, from 1."""

    def __init__(self, message: str, reason: str, name: str, line: int | None, column: int | None) -> None:
        super().__init__(message, reason, name, line, column)
        self.reason = reason
        self.name = name
        self.line = line
        self.column = column


class SetError(_PlacedError):
    """A file that holds no compiled set, or a damaged one."""

    __module__ = "gristmill"

    reason: str
    """What is wrong with it."""
    path: str
    """The file."""

    def __init__(self, message: str, reason: str, path: str) -> None:
        super().__init__(message, reason, path)
        self.reason = reason
        self.path = path
