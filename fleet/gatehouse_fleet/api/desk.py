"""What logging in, enrolment and certificates share in one worker; the other routers need only `Services`."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from gatehouse_fleet.people.first import FirstCode
from gatehouse_fleet.people.passwords import Passwords
from gatehouse_fleet.people.refusals import Refusals
from gatehouse_fleet.people.throttle import Throttle
from gatehouse_fleet.pki.authority import Authority
from gatehouse_fleet.pki.identity import Identifier
from gatehouse_fleet.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Passwords, codes and keys."""

    passwords: Passwords
    throttle: Throttle
    first_code: FirstCode
    refusals: Refusals
    authority: Authority
    identifier: Identifier

    @classmethod
    def open(cls, services: Services, authority: Authority, *, passwords: Passwords | None = None) -> Desk:
        """Return the desk of one worker."""
        return cls(
            passwords=passwords or Passwords(),
            throttle=Throttle(),
            first_code=FirstCode(services.settings.directory),
            refusals=Refusals(services.store, services.clock),
            authority=authority,
            identifier=Identifier(services.store, authority, services.clock, services.settings.server),
        )


def desk_of(request: Request) -> Desk:
    """Return the desk of the application a request came to."""
    desk = request.app.state.desk
    assert isinstance(desk, Desk)  # noqa: S101  # set by create_app
    return desk
