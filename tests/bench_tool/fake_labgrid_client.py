"""Speaks as labgrid-client 26.0.1 does: sentences and exit codes as its real output, with a coordinator made of one file."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

SHOW = """Place '{place}':
  matches:
    exp/{place}/*
  acquired: vm/tech
  acquired resources:
    exp/{place}/NetworkPowerPort/NetworkPowerPort
    exp/{place}/NetworkSerialPort/NetworkSerialPort
  created: 2026-11-25 22:37:01.660719
  changed: 2026-11-25 22:37:30.108590
Acquired resource 'NetworkPowerPort' (exp/{place}/NetworkPowerPort/NetworkPowerPort):
  {{'acquired': '{place}',
   'avail': True,
   'cls': 'NetworkPowerPort',
   'params': {{'extra': {{'proxy': 'localhost', 'proxy_required': False}},
              'host': 'http://127.0.0.1:18099/relay/{{index}}',
              'index': 1,
              'model': 'rest'}}}}
Acquired resource 'NetworkSerialPort' (exp/{place}/NetworkSerialPort/NetworkSerialPort):
  {{'acquired': '{place}',
   'avail': True,
   'cls': 'NetworkSerialPort',
   'params': {{'extra': {{'proxy': 'localhost', 'proxy_required': False}},
              'host': 'localhost',
              'port': 19000}}}}"""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("-x", dest="coordinator")
    parser.add_argument("-p", dest="place")
    parser.add_argument("command")
    parser.add_argument("action", nargs="?")
    args = parser.parse_args()
    file = Path(args.coordinator.partition(":")[0] + ".json")
    if not file.exists():
        sys.stderr.write("Server error: Error: Could not connect to coordinator\n")
        return 1
    places = json.loads(file.read_text(encoding="utf-8"))
    place = places.get(args.place)
    if place is None:
        return refuse(f"place pattern {args.place} matches nothing")
    if args.command == "acquire":
        if place["owner"]:
            owner = place["owner"]
            user = owner.partition("/")[2]
            return refuse(
                f"Place {args.place} is already acquired by {owner}. To work simultaneously, {user} can execute "
                f"'labgrid-client -p {args.place} allow vm/tech' on vm."
            )
        place["owner"] = "vm/tech"
        say(f"acquired place {args.place}")
    elif place["owner"] != "vm/tech":
        return refuse(f"place {args.place} is not acquired")
    elif args.command == "release":
        place["owner"] = ""
        say(f"released place {args.place}")
    elif args.command == "show":
        say(SHOW.format(place=args.place))
    elif args.action == "get":
        say(f"power for place {args.place} is {place['power']}")
    elif not place.get("stuck"):
        place["power"] = args.action
    place.setdefault("orders", []).append(f"{args.command} {args.action or ''}".strip())
    file.write_text(json.dumps(places), encoding="utf-8")
    return 0


def say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")


def refuse(sentence: str) -> int:
    sys.stderr.write(f"labgrid-client: Error: {sentence}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
