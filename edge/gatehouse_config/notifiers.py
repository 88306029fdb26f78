"""The ways out to people who are not at the desk."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from gatehouse_config.buses import Baud
from gatehouse_config.part import FilePath, Id, Part, Port, Text

_PHONE = r"^\+?[0-9]{3,20}$"
_MAIL = r"^[^@\s,;<>]+@[^@\s,;<>]+$"


class WebhookContact(Part):
    """Somebody reached through the webhook."""

    via: Literal["webhook"]
    id: Id = Field(description="name of the contact")
    name: Text = Field(default="", description="who it is")
    to: Text = Field(default="", description="recipient as the webhook's server knows it")


class SmtpContact(Part):
    """Somebody reached by mail."""

    via: Literal["smtp"]
    id: Id = Field(description="name of the contact")
    name: Text = Field(default="", description="who it is")
    to: Annotated[str, StringConstraints(pattern=_MAIL, max_length=254)] = Field(description="mail address")


class GsmContact(Part):
    """Somebody reached by text message or call."""

    via: Literal["gsm"]
    id: Id = Field(description="name of the contact")
    name: Text = Field(default="", description="who it is")
    to: Annotated[str, StringConstraints(pattern=_PHONE)] = Field(description="telephone number, in quotes")
    call: bool = Field(default=False, description="true: ring as well as write")

    @model_validator(mode="after")
    def _is_no_public_number(self) -> GsmContact:
        if self.to.lstrip("+").removeprefix("86") in {"110", "119", "120", "122", "12345", "96333"}:
            raise ValueError(
                f"{self.to} is a public number and is never dialled by a machine; use prompt_120 (row 37)"
            )
        return self


Contact = Annotated[WebhookContact | SmtpContact | GsmContact, Field(discriminator="via")]


class Webhook(Part):
    """A server that takes notifications over HTTPS."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$", max_length=1024)] = Field(
        description="https address; http only to loopback"
    )
    token_file: FilePath | None = Field(default=None, description="file with the bearer token")
    ca_file: FilePath | None = Field(default=None, description="PEM file of the CA that signed the server")
    timeout_s: float = Field(default=5, gt=0, le=60, description="wait for the server")


class Smtp(Part):
    """A mail server."""

    host: str = Field(min_length=1, max_length=253, description="address or name")
    port: Port = Field(default=587, description="TCP port")
    security: Literal["starttls", "tls", "off"] = Field(default="starttls", description="off: loopback only")
    sender: Annotated[str, StringConstraints(pattern=_MAIL, max_length=254)] = Field(
        description="From address"
    )
    user: Text | None = Field(default=None, description="login name")
    password_file: FilePath | None = Field(default=None, description="file with the password")
    ca_file: FilePath | None = Field(default=None, description="PEM file of the CA that signed the server")
    timeout_s: float = Field(default=10, gt=0, le=60, description="wait for the server")


class Gsm(Part):
    """A modem with AT commands."""

    port: FilePath = Field(description="serial port")
    baud: Baud = Field(default=115200, description="bits per second")
    pin_file: FilePath | None = Field(default=None, description="file with the SIM's PIN")
    timeout_s: float = Field(default=30, gt=0, le=120, description="wait for the modem")


class Notifiers(Part):
    """Contacts and the ways to them."""

    contacts: tuple[Contact, ...] = Field(default=(), max_length=64, description="people")
    webhook: Webhook | None = Field(default=None, description="HTTPS")
    smtp: Smtp | None = Field(default=None, description="mail")
    gsm: Gsm | None = Field(default=None, description="modem")
    retry_s: float = Field(
        default=15, ge=1, le=600, description="pause before a failed notification is tried again"
    )
    give_up_after: int = Field(
        default=20, ge=1, le=1000, description="tries until the failure itself becomes an alarm"
    )
