"""The fields bodies and answers are made of. Every text is bounded and printable, every number in range."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Path
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

Name = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern="^[^\\x00-\\x20\\x7f][^\\x00-\\x1f\\x7f]*$")
]
"""What people call something."""
LongName = Annotated[
    str, StringConstraints(min_length=1, max_length=128, pattern="^[^\\x00-\\x20\\x7f][^\\x00-\\x1f\\x7f]*$")
]
Note = Annotated[str, StringConstraints(max_length=256, pattern="^[^\\x00-\\x1f\\x7f]*$")]
"""A sentence, or nothing."""
Reason = Annotated[
    str, StringConstraints(min_length=2, max_length=256, pattern="^[^\\x00-\\x20\\x7f][^\\x00-\\x1f\\x7f]*$")
]
"""Why somebody does something; asked for where the audit log is read later."""
Login = Annotated[
    str, StringConstraints(pattern="^[0-9A-Za-z\\u4e00-\\u9fff][0-9A-Za-z\\u4e00-\\u9fff._@-]{0,63}$")
]
NewPassword = Annotated[str, StringConstraints(min_length=10, max_length=128)]
Password = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Code = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]
"""Our own short names."""
Tag = Annotated[str, StringConstraints(pattern="^[0-9a-z\\u4e00-\\u9fff][0-9a-z\\u4e00-\\u9fff_.:-]{0,31}$")]
Number = Annotated[int, Field(ge=1, le=2**53)]
"""A row's number; what a browser's number can hold."""


def _unquoted(value: object) -> object:
    if isinstance(value, bool | str):
        raise ValueError("a number is written as a number")  # noqa: TRY004  # pydantic makes its own error of it
    return value


UNQUOTED: Final = BeforeValidator(_unquoted)
"""Last beside a number's type and bounds in a body: `true` is no number there and `"1"` is none, but 1.0 is an integer (JSON Schema validation 2020-12, 6.1.1)."""

RowNumber = Annotated[Number, UNQUOTED]
"""A row's number in a body."""


def _spelled_out(value: object) -> object:
    if isinstance(value, str) and ":" not in value:
        raise ValueError("a moment is written as in RFC 3339, with its zone")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_spelled_out)]
"""A moment that somebody asks for; pydantic alone would take `0` for 1970."""

GatewayIdPath = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9-]{2,62}$", description="the gateway's id")]
LoginPath = Annotated[
    str, Path(pattern="^[0-9A-Za-z\\u4e00-\\u9fff][0-9A-Za-z\\u4e00-\\u9fff._@-]{0,63}$", description="login")
]
NumberPath = Annotated[int, Path(ge=1, le=2**53)]


class Body(BaseModel):
    """A JSON object without surprises: `true` is no number and "1" is none, so numbers are `UNQUOTED` and flags `StrictBool`."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """What the server says."""

    model_config = ConfigDict(frozen=True)


class Done(Answer):
    """It is done; there is nothing more to say."""

    done: bool = True
