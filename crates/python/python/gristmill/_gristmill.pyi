from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias, TypedDict, final, type_check_only

from typing_extensions import Buffer, CapsuleType, Unpack

from ._errors import FileError
from ._jobs import Job

__all__ = [
    "__VERSION__",
    "Batch",
    "Pairs",
    "PatternSet",
    "Program",
    "Report",
    "Stream",
    "digest",
    "divided",
    "is_url",
    "run",
    "scan",
    "start_mill",
    "start_share",
    "stats",
]

__VERSION__: Final[str]

_Path: TypeAlias = str | bytes | PathLike[str] | PathLike[bytes]
_Paths: TypeAlias = _Path | Iterable[_Path]
_Patterns: TypeAlias = str | bytes | Iterable[str | bytes]
_Names: TypeAlias = str | Iterable[str]

# What says which files are read: docs/python.md explains each.
@type_check_only
class _FileOptions(TypedDict, total=False):
    ignore: bool | None
    hidden: bool | None
    require_git: bool | None
    ignore_file: _Paths | None
    follow: bool | None
    max_depth: int | None
    max_filesize: int | None
    one_file_system: bool | None
    glob: _Names | None
    iglob: _Names | None
    glob_ignore_case: bool | None
    type: _Names | None
    type_not: _Names | None
    type_add: _Names | None
    type_clear: _Names | None
    sort: Literal["path", "modified", "accessed", "created"] | None
    reverse: bool | None

# What says how they are read, and how that is told.
@type_check_only
class _RunOptions(TypedDict, total=False):
    encoding: str | None
    decompress: bool | None
    workers: int | None
    depth: int | None
    chunk_size: int | None
    memory: int | None
    direct: bool | None
    errors: Literal["warn", "collect", "raise"] | None
    progress: Callable[[int, int], object] | bool | None

@type_check_only
class _Options(_FileOptions, _RunOptions, total=False): ...

_Part: TypeAlias = tuple[bytes, int, int, tuple[int, int] | None, str | None]

def start_mill(paths: _Paths, jobs: dict[str, Job], **options: Unpack[_Options]) -> list[Stream]: ...
def divided(
    paths: _Paths, jobs: dict[str, Job], share_bytes: int, most_files: int, cut: bool, **options: Unpack[_FileOptions]
) -> tuple[list[list[_Part]], list[str]]: ...
def is_url(name: _Path) -> bool: ...
def start_share(parts: Iterable[_Part], jobs: dict[str, Job], **options: Unpack[_RunOptions]) -> list[Stream]: ...
def scan(
    paths: _Paths,
    patterns: _Patterns | PatternSet | None = None,
    *,
    rules: _Paths | None = None,
    fixed_strings: bool = False,
    ignore_case: bool = False,
    word_regexp: bool = False,
    line_regexp: bool = False,
    crlf: bool = False,
    unicode: bool = True,
    context_bytes: int | None = None,
    show_secrets: bool = False,
    max_match: int | None = None,
    regex_size_limit: int | None = None,
    set_memory: int | None = None,
    **options: Unpack[_Options],
) -> Stream: ...
def digest(paths: _Paths, algorithms: _Names | None = None, **options: Unpack[_Options]) -> Stream: ...
def stats(paths: _Paths, **options: Unpack[_Options]) -> Stream: ...
def run(
    program: Program | _Path, paths: _Paths, args: Mapping[str, int] | None = None, **options: Unpack[_Options]
) -> Stream: ...
@final
class Stream:
    @property
    def column_names(self) -> list[str]: ...
    @property
    def failures(self) -> list[FileError]: ...
    @property
    def failure_count(self) -> int: ...
    @property
    def notices(self) -> list[str]: ...
    @property
    def report(self) -> Report | None: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        *_exception: type[BaseException] | BaseException | TracebackType | None,
    ) -> None: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Batch: ...
    def __arrow_c_schema__(self) -> CapsuleType: ...
    def __arrow_c_stream__(self, requested_schema: Any = None) -> CapsuleType: ...

@final
class Pairs:
    def __new__(cls, streams: Sequence[Stream]) -> Self: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> tuple[int, Batch]: ...
    def close(self) -> None: ...

@final
class Batch:
    @property
    def num_rows(self) -> int: ...
    @property
    def column_names(self) -> list[str]: ...
    @property
    def nbytes(self) -> int: ...
    def __len__(self) -> int: ...
    def __arrow_c_schema__(self) -> CapsuleType: ...
    def __arrow_c_array__(self, requested_schema: Any = None) -> tuple[CapsuleType, CapsuleType]: ...

@final
class Report:
    @property
    def files(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def failures(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def workers(self) -> int: ...
    @property
    def read_paths(self) -> list[str]: ...
    @property
    def fallbacks(self) -> list[str]: ...
    @property
    def stopped(self) -> bool: ...

@final
class PatternSet:
    def __new__(
        cls,
        patterns: _Patterns | None = None,
        *,
        rules: _Paths | None = None,
        fixed_strings: bool = False,
        ignore_case: bool = False,
        word_regexp: bool = False,
        line_regexp: bool = False,
        crlf: bool = False,
        unicode: bool = True,
        regex_size_limit: int | None = None,
        set_memory: int | None = None,
    ) -> Self: ...
    @staticmethod
    def load(file: _Path, *, set_memory: int | None = None) -> PatternSet: ...
    @staticmethod
    def from_bytes(data: bytes, *, set_memory: int | None = None) -> PatternSet: ...
    def to_bytes(self) -> bytes: ...
    def save(self, file: _Path) -> None: ...
    def scan(self, data: Buffer) -> Batch: ...
    def explain(self) -> str: ...
    @property
    def names(self) -> list[str]: ...
    def __len__(self) -> int: ...

@final
class Program:
    def __new__(cls, text: str, name: str = "program.vasm") -> Self: ...
    @staticmethod
    def load(file: _Path, *, allow_include: _Paths | None = None) -> Program: ...
    @staticmethod
    def from_bytes(data: bytes, name: str = "program.vir0") -> Program: ...
    def to_bytes(self) -> bytes: ...
    def disassemble(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def arguments(self) -> dict[str, int | None]: ...
    @property
    def accumulators(self) -> dict[str, int]: ...
    @property
    def chunk(self) -> int: ...
    @property
    def instructions(self) -> int: ...
    def cost(self, size: int | None = None) -> int: ...
    def seconds(self, size: int | None = None) -> float: ...
