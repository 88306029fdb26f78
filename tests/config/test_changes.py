"""A reload restarts what changed and nothing else."""

from __future__ import annotations

import secrets

from gatehouse_config import diff, load


def changed(yard, edit):
    old = load(yard.write(yard.data()))
    data = yard.data()
    edit(data)
    return diff(old, load(yard.write(data)))


def test_the_same_file_changes_nothing(yard):
    assert not changed(yard, lambda data: None)


def test_a_changed_detector_restarts_its_bus_only(yard):
    changes = changed(yard, lambda data: data["devices"][0].update(poll_ms=2000))
    assert changes.devices.changed == {"gas-1"}
    assert changes.buses_to_restart == {"rs485-1"}
    assert not changes.buses
    assert not changes.outputs


def test_a_device_that_moves_touches_both_buses(yard):
    changes = changed(yard, lambda data: data["devices"][0].update(bus="cabinet"))
    assert changes.buses_to_restart == {"rs485-1", "cabinet"}


def test_a_new_key_in_the_same_file_is_a_change(yard):
    def rotate(data):
        (yard.folder / "keys/btn-17.1.key").write_text(secrets.token_hex(16), encoding="ascii")

    changes = changed(yard, rotate)
    assert changes.devices.changed == {"btn-17"}
    assert changes.buses_to_restart == {"ble0"}


def test_what_came_and_went_is_told(yard):
    changes = changed(
        yard,
        lambda data: (
            data["devices"].pop(1),
            data["outputs"][0].update(id="siren-2"),
            data["buses"][0].update(baud=19200),
        ),
    )
    assert changes.devices.removed == {"gas-2"}
    assert (changes.outputs.added, changes.outputs.removed) == ({"siren-2"}, {"siren-1"})
    assert changes.buses.changed == {"rs485-1"}


def test_a_changed_rule_is_a_section_and_restarts_no_bus(yard):
    changes = changed(
        yard, lambda data: data.update(rules={"lift": {"confirm_s": 7}}, storage={"ballast_mib": 9})
    )
    assert changes.sections == {"rules", "storage"}
    assert changes.needs_restart == {"storage"}
    assert changes.buses_to_restart == frozenset()
