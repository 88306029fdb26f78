"""A bus on a real line or a real connection, with slaves that were not written by the driver's author's codec."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from modbus_site import board, gas, gas_profile, io_profile, rtu, running, tcp, until

from gatehouse_config.devices import Input
from gatehouse_edge.drivers.io_board import Drive, Relay
from gatehouse_edge.drivers.modbus_gas import GasUnit
from gatehouse_edge.drivers.modbus_io import IoUnit
from gatehouse_edge.reading import (
    BusReading,
    GasFlag,
    GasReading,
    InputReading,
    OutputReading,
    Quality,
    Silence,
    SilenceReason,
)
from gatehouse_hil.gas_controller import GasController
from gatehouse_hil.gas_detector import Cn6in1Detector, Detector0x6000, GatehouseGasNode
from gatehouse_hil.line import Line
from gatehouse_hil.relay_board import RelayBoard


def unit(unit_id, *, poll_ms=100, gap_ms=0, profile="cn6in1_unitreg"):
    return GasUnit(gas(unit_id, poll_ms=poll_ms, profile=profile), gas_profile(profile, gap_ms=gap_ms))


@pytest.fixture
def line():
    with Line(baud=115_200) as line:
        yield line


async def test_a_reading_carries_value_unit_flags_and_set_points(line):
    detector = Cn6in1Detector(1)
    detector.gas(12.5)
    line.attach(detector)
    async with running(rtu(line.port), [unit(1)]) as (_, inbox):
        await until(lambda: inbox.of(GasReading))
    reading = inbox.of(GasReading)[0]
    assert (reading.device_id, reading.value, reading.unit, reading.quality) == (
        "gas-1",
        12.5,
        "%LEL",
        Quality.GOOD,
    )
    assert reading.flags == {GasFlag.LOW_ALARM}
    assert (reading.low_set, reading.high_set, reading.full_scale) == (10.0, 20.0, 100.0)


async def test_the_blocks_of_one_detector_make_one_reading(line):
    detector = Detector0x6000(2)
    detector.gas(25.0)
    line.attach(detector)
    async with running(rtu(line.port), [unit(2, profile="unnamed_0x6000")]) as (_, inbox):
        await until(lambda: len(inbox.of(GasReading)) >= 2)
    assert inbox.of(GasReading)[0].value == 25.0
    assert inbox.of(GasReading)[0].flags == {GasFlag.LOW_ALARM, GasFlag.HIGH_ALARM}


async def test_our_own_node_is_read_and_a_stopped_measurement_is_stale(line):
    node = GatehouseGasNode(4)
    node.gas(12.5)
    line.attach(node)
    device = gas(4, profile="gatehouse_gas_node").model_copy(update={"max_silence_s": 0.5})
    async with running(rtu(line.port), [GasUnit(device, gas_profile("gatehouse_gas_node"))]) as (_, inbox):
        await until(lambda: inbox.of(GasReading))
        assert (inbox.values("gas-4")[0], inbox.of(GasReading)[0].flags) == (12.5, {GasFlag.LOW_ALARM})
        node.is_frozen = True
        await until(lambda: inbox.of(GasReading)[-1].quality is Quality.STALE)
        assert inbox.values("gas-4")[-1] is None
        node.is_frozen = False
        await until(lambda: inbox.of(GasReading)[-1].quality is Quality.GOOD)
        node.sensor_fault()
        await until(lambda: inbox.of(GasReading)[-1].flags == {GasFlag.SENSOR_FAULT})
    assert inbox.values("gas-4")[-1] is None


async def test_a_silent_detector_is_reported_and_its_neighbours_are_still_read(line):
    slaves = [Cn6in1Detector(at) for at in range(1, 7)]
    for slave in slaves:
        line.attach(slave)
    slaves[2].kill()
    async with running(rtu(line.port), [unit(at, poll_ms=50) for at in range(1, 7)]) as (_, inbox):
        await until(lambda: min(len(inbox.values(f"gas-{at}")) for at in (1, 2, 4, 5, 6)) >= 20)
    assert set(inbox.reasons("gas-3")) == {SilenceReason.NO_ANSWER}
    # Ten times fewer questions to the dead than to the living.
    assert slaves[2].requests <= slaves[0].requests / 2


async def test_a_detector_that_comes_back_is_read_again(line):
    slave = Cn6in1Detector(1)
    slave.kill()
    line.attach(slave)
    async with running(rtu(line.port), [unit(1)]) as (_, inbox):
        await until(lambda: len(inbox.reasons("gas-1")) >= 3)
        slave.revive()
        await until(lambda: inbox.values("gas-1"))
    assert inbox.values("gas-1")[-1] == 0.0


async def test_an_answer_under_another_units_id_is_not_taken(line):
    slaves = [Cn6in1Detector(1), Cn6in1Detector(2)]
    slaves[0].gas(1.0)
    slaves[1].gas(90.0)
    slaves[1].manners.as_unit = 1
    for slave in slaves:
        line.attach(slave)
    async with running(rtu(line.port), [unit(1, poll_ms=30), unit(2, poll_ms=30)]) as (_, inbox):
        await until(lambda: len(inbox.values("gas-1")) >= 20 and inbox.reasons("gas-2"))
    assert set(inbox.values("gas-1")) == {1.0}
    assert inbox.values("gas-2") == []
    assert set(inbox.reasons("gas-2")) == {SilenceReason.WRONG_ANSWER}


@pytest.mark.parametrize("late_s", [0.055, 0.07, 0.12, 0.3])
async def test_a_late_answer_is_never_taken_for_anothers(line, late_s):
    slow, quick = Cn6in1Detector(1), Cn6in1Detector(2)
    slow.gas(77.0)
    quick.gas(5.0)
    slow.manners.late_s = late_s
    line.attach(slow)
    line.attach(quick)
    async with running(rtu(line.port, timeout_ms=50), [unit(1, poll_ms=30), unit(2, poll_ms=30)]) as (
        _,
        inbox,
    ):
        await until(lambda: len(inbox.values("gas-2")) >= 20 and len(inbox.reasons("gas-1")) >= 3)
    assert set(inbox.values("gas-2")) == {5.0}
    assert set(inbox.values("gas-1")) <= {77.0}


async def test_an_answer_byte_by_byte_is_read(line):
    slave = Cn6in1Detector(1)
    slave.gas(3.0)
    slave.manners.byte_gap_s = 0.002
    line.attach(slave)
    async with running(rtu(line.port, timeout_ms=200), [unit(1)]) as (_, inbox):
        await until(lambda: len(inbox.values("gas-1")) >= 3)
    assert set(inbox.values("gas-1")) == {3.0}
    assert inbox.of(Silence) == []


async def test_an_exception_is_reported_as_a_refusal(line):
    slave = Cn6in1Detector(1)
    slave.manners.exception = 4
    line.attach(slave)
    async with running(rtu(line.port), [unit(1)]) as (_, inbox):
        await until(lambda: len(inbox.reasons("gas-1")) >= 3)
    assert set(inbox.reasons("gas-1")) == {SilenceReason.REFUSED}


async def test_a_malformed_answer_is_reported_as_a_bad_frame(line):
    slave = Cn6in1Detector(1)
    slave.manners.mangle = lambda frame: frame[:-1] + bytes([frame[-1] ^ 1])
    line.attach(slave)
    async with running(rtu(line.port), [unit(1)]) as (_, inbox):
        await until(lambda: len(inbox.reasons("gas-1")) >= 2)
    assert set(inbox.reasons("gas-1")) == {SilenceReason.BAD_FRAME}


async def test_an_unknown_unit_code_is_a_wrong_answer_and_no_value(line):
    slave = Cn6in1Detector(1, unit_register=0xA000)
    line.attach(slave)
    async with running(rtu(line.port), [unit(1)]) as (_, inbox):
        await until(lambda: len(inbox.reasons("gas-1")) >= 2)
    assert set(inbox.reasons("gas-1")) == {SilenceReason.WRONG_ANSWER}
    assert inbox.of(GasReading) == []


async def test_warming_up_and_over_range_have_no_value(line):
    slaves = [Cn6in1Detector(1), Cn6in1Detector(2)]
    slaves[0].warm_up()
    slaves[1].over_range()
    for slave in slaves:
        line.attach(slave)
    async with running(rtu(line.port), [unit(1), unit(2)]) as (_, inbox):
        await until(lambda: inbox.of(GasReading, "gas-1") and inbox.of(GasReading, "gas-2"))
    assert (inbox.of(GasReading, "gas-1")[0].value, inbox.of(GasReading, "gas-1")[0].quality) == (
        None,
        "warming_up",
    )
    assert (inbox.of(GasReading, "gas-2")[0].value, inbox.of(GasReading, "gas-2")[0].quality) == (
        None,
        "over_range",
    )


async def test_noise_gives_faults_and_never_a_wrong_value(line):
    slaves = {at: Cn6in1Detector(at) for at in (1, 2, 3)}
    for at, slave in slaves.items():
        slave.gas(at * 1.5)
        line.attach(slave)
    line.faults.drop = line.faults.flip = line.faults.noise = 0.01
    async with running(rtu(line.port), [unit(at, poll_ms=20) for at in slaves]) as (_, inbox):
        await until(lambda: len(inbox.of(Silence)) >= 10 and len(inbox.of(GasReading)) >= 20, within_s=30)
    for at in slaves:
        assert set(inbox.values(f"gas-{at}")) <= {at * 1.5}


async def test_foreign_frames_between_answers_change_nothing(line):
    slave = Cn6in1Detector(1)
    slave.gas(4.0)
    line.attach(slave)
    async with running(rtu(line.port), [unit(1, poll_ms=20)]) as (_, inbox):
        for count in range(1, 15):
            line.inject(bytes.fromhex("0703020063b1ad") + os.urandom(5))
            await until(lambda count=count: len(inbox.of(GasReading)) >= count)
    assert set(inbox.values("gas-1")) == {4.0}
    assert [one.is_up for one in inbox.of(BusReading)] == [True]


async def test_an_echoing_adapter_is_tolerated(line):
    slave, relays = Cn6in1Detector(1), RelayBoard(30)
    slave.gas(4.0)
    line.attach(slave)
    line.attach(relays)
    line.faults.is_echo = True
    siren = Relay(output_id="siren", unit_id=30, point=0)
    async with running(rtu(line.port), [unit(1), IoUnit(board(), io_profile())], relays=[siren]) as (
        bus,
        inbox,
    ):
        bus.set_demand("siren", is_on=True)
        await until(lambda: len(inbox.values("gas-1")) >= 3 and relays.coils[0])
        await until(lambda: len(inbox.values("gas-1")) >= 6)
    assert all(one.is_ok for one in inbox.of(OutputReading))
    assert inbox.of(Silence) == []


async def test_an_unplugged_adapter_is_reported_and_found_again(line):
    slave = Cn6in1Detector(1)
    line.attach(slave)
    async with running(rtu(line.port), [unit(1)]) as (_, inbox):
        for count in range(1, 4):
            await until(
                lambda count=count: len(inbox.of(BusReading)) == 2 * count - 1 and inbox.of(GasReading)
            )
            line.unplug()
            await until(lambda count=count: len(inbox.of(BusReading)) == 2 * count)
            assert inbox.reasons("gas-1")[-1] == SilenceReason.PORT_LOST
            seen = len(inbox.of(GasReading))
            line.replug()
            await until(lambda seen=seen: len(inbox.of(GasReading)) > seen, within_s=3)


async def test_a_port_held_by_another_is_refused_with_a_clear_sentence(line):
    line.attach(Cn6in1Detector(1))
    fd = os.open(line.port, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    async with running(rtu(line.port), [unit(1)]) as (_, inbox):
        await until(lambda: inbox.of(BusReading))
        assert inbox.of(BusReading)[0].is_up is False
        assert "held by another program" in inbox.of(BusReading)[0].detail
        os.close(fd)
        await until(lambda: inbox.of(GasReading))


async def test_a_wrong_baud_rate_gives_faults_and_no_values(line):
    line.attach(Cn6in1Detector(1))
    async with running(rtu(line.port, baud=9600), [unit(1)]) as (_, inbox):
        await until(lambda: len(inbox.reasons("gas-1")) >= 2)
    assert inbox.of(GasReading) == []


async def test_the_vendors_gap_is_kept_towards_every_address():
    with Line(baud=9600) as line:
        slaves = [Cn6in1Detector(at, min_gap_s=0.5) for at in (1, 2)]
        for slave in slaves:
            line.attach(slave)
        units = [unit(at, poll_ms=20, gap_ms=500) for at in (1, 2)]
        async with running(rtu(line.port, baud=9600), units) as (_, inbox):
            await until(lambda: all(len(inbox.values(f"gas-{at}")) >= 4 for at in (1, 2)))
    assert [slave.hurried for slave in slaves] == [0, 0]
    assert inbox.of(Silence) == []


# --- TCP


async def test_a_tcp_controller_that_restarts_is_found_again():
    slave = Cn6in1Detector(1)
    async with GasController([slave]) as controller, running(tcp(controller.port), [unit(1)]) as (_, inbox):
        await until(lambda: inbox.of(GasReading))
        await controller.stop()
        await until(lambda: inbox.of(BusReading)[-1].is_up is False)
        seen = len(inbox.of(GasReading))
        await controller.start()
        await until(lambda: len(inbox.of(GasReading)) > seen)
    assert [one.is_up for one in inbox.of(BusReading)] == [True, False, True]


async def test_late_tcp_answers_belong_to_nobody():
    slow, quick = Cn6in1Detector(1), Cn6in1Detector(2)
    slow.gas(77.0)
    quick.gas(5.0)
    slow.manners.late_s = 0.15
    async with (
        GasController([slow, quick]) as controller,
        running(tcp(controller.port, timeout_ms=100), [unit(1, poll_ms=30), unit(2, poll_ms=30)]) as (
            _,
            inbox,
        ),
    ):
        await until(lambda: len(inbox.values("gas-2")) >= 10 and inbox.reasons("gas-1"))
    assert set(inbox.values("gas-2")) == {5.0}
    assert inbox.values("gas-1") == []


async def test_a_wrong_transaction_id_is_a_wrong_answer():
    async with GasController([Cn6in1Detector(1)]) as controller:
        controller.tid_shift = 1
        async with running(tcp(controller.port), [unit(1)]) as (_, inbox):
            await until(lambda: inbox.reasons("gas-1"))
    assert set(inbox.reasons("gas-1")) == {SilenceReason.WRONG_ANSWER}


async def test_a_tcp_answer_under_another_units_id_is_not_taken():
    slave = Cn6in1Detector(1)
    slave.manners.as_unit = 2
    async with GasController([slave]) as controller, running(tcp(controller.port), [unit(1)]) as (_, inbox):
        await until(lambda: inbox.reasons("gas-1"))
    assert set(inbox.reasons("gas-1")) == {SilenceReason.WRONG_ANSWER}
    assert inbox.of(GasReading) == []


async def test_a_gateways_exception_11_is_the_units_silence():
    async with (
        GasController([Cn6in1Detector(2)]) as controller,
        running(tcp(controller.port), [unit(1), unit(2)]) as (_, inbox),
    ):
        await until(lambda: len(inbox.reasons("gas-1")) >= 2 and len(inbox.values("gas-2")) >= 5)
    assert set(inbox.reasons("gas-1")) == {SilenceReason.NO_ANSWER}


async def test_a_stream_out_of_step_is_opened_anew():
    slave = Cn6in1Detector(1)
    async with GasController([slave]) as controller, running(tcp(controller.port), [unit(1)]) as (_, inbox):
        slave.manners.mangle = lambda frame: b"\x00\x01\xff\xff" + frame[4:]
        await until(lambda: SilenceReason.BAD_FRAME in inbox.reasons("gas-1"))
        slave.manners.mangle = None
        await until(lambda: inbox.of(GasReading))
    assert controller.connections >= 2


# --- outputs and inputs


SIREN = Relay(output_id="siren", unit_id=30, point=0)
VALVE = Relay(output_id="valve", unit_id=30, point=3, drive=Drive.PULSE, pulse_s=0.05, release_point=4)


@pytest.fixture
async def relays():
    relays = RelayBoard(30)
    async with GasController([relays]) as controller:
        relays.controller = controller
        yield relays


async def test_a_demand_is_written_and_read_back(relays):
    async with running(tcp(relays.controller.port), [IoUnit(board(), io_profile())], relays=[SIREN]) as (
        bus,
        inbox,
    ):
        await bus.drive({"siren": True, "elsewhere": True})
        await until(lambda: relays.coils[0] == 1)
        await bus.drive({"siren": False})
        await until(lambda: len(inbox.of(OutputReading)) == 2)
        assert relays.coils[0] == 0
    # The first is told although nothing was wrong: a fault that the run before left standing goes. The second is proof.
    assert [(one.wanted, one.is_on, one.is_ok) for one in inbox.of(OutputReading)] == [
        (True, True, True),
        (False, False, True),
    ]
    assert relays.writes == [(0, 1), (0, 0)]


async def test_nothing_is_switched_before_anything_was_demanded(relays):
    relays.coils[0] = 1
    async with running(
        tcp(relays.controller.port), [IoUnit(board(), io_profile())], relays=[SIREN, VALVE]
    ) as (bus, _):
        await until(lambda: relays.requests >= 6)
    assert relays.writes == []
    assert bus.output_ids == {"siren", "valve"}


async def test_a_stuck_relay_is_reported_and_its_recovery_too(relays):
    relays.stick(0, at=False)
    async with running(tcp(relays.controller.port), [IoUnit(board(), io_profile())], relays=[SIREN]) as (
        bus,
        inbox,
    ):
        bus.set_demand("siren", is_on=True)
        await until(lambda: inbox.of(OutputReading))
        assert inbox.of(OutputReading)[0].is_ok is False
        assert inbox.of(OutputReading)[0].is_on is False
        relays.loosen(0)
        await until(lambda: len(inbox.of(OutputReading)) == 2)
    assert inbox.of(OutputReading)[1].is_ok is True


async def test_a_board_that_lost_its_supply_is_put_right(relays):
    async with running(tcp(relays.controller.port), [IoUnit(board(), io_profile())], relays=[SIREN]) as (
        bus,
        _,
    ):
        bus.set_demand("siren", is_on=True)
        await until(lambda: relays.coils[0] == 1)
        relays.power_cycle()
        await until(lambda: relays.coils[0] == 1)


async def test_a_demand_made_while_the_board_is_away_is_met_when_it_is_back(relays):
    controller = relays.controller
    await controller.stop()
    async with running(tcp(controller.port), [IoUnit(board(), io_profile())], relays=[SIREN, VALVE]) as (
        bus,
        inbox,
    ):
        bus.set_demand("siren", is_on=True)
        bus.set_demand("valve", is_on=True)
        await until(lambda: inbox.of(BusReading))
        await controller.start()
        await until(lambda: relays.coils[0] == 1 and (3, 1) in relays.writes)


async def test_a_valve_is_closed_by_a_pulse_and_opened_only_after_a_demand_has_ended(relays):
    async with running(tcp(relays.controller.port), [IoUnit(board(), io_profile())], relays=[VALVE]) as (
        bus,
        inbox,
    ):
        bus.set_demand("valve", is_on=False)
        await until(lambda: relays.requests >= 4)
        assert not [write for write in relays.writes if write[1]]
        bus.set_demand("valve", is_on=True)
        await until(lambda: relays.writes[-1:] == [(3, 0)] and (3, 1) in relays.writes)
        assert (4, 1) not in relays.writes
        bus.set_demand("valve", is_on=False)
        await until(lambda: relays.writes[-1:] == [(4, 0)] and (4, 1) in relays.writes)
    assert all(one.is_ok for one in inbox.of(OutputReading))


async def test_inputs_are_said_on_change_with_role_and_subject(relays):
    inputs = (
        Input(point=0, role="mains", active="low"),
        Input(point=2, role="ebike", device="lift-3-2", debounce_ms=0),
    )
    async with running(tcp(relays.controller.port), [IoUnit(board(inputs=inputs), io_profile())]) as (
        _,
        inbox,
    ):
        await until(lambda: len(inbox.of(InputReading)) == 2)
        relays.set_input(2, True)
        await until(lambda: len(inbox.of(InputReading)) == 3)
    first, _, third = inbox.of(InputReading)
    assert (first.role, first.is_on, first.device_id) == ("mains", True, "io-1")
    assert (third.role, third.is_on, third.subject) == ("ebike", True, "lift-3-2")


async def test_a_bus_without_outputs_speaks_functions_1_to_4_only(line):
    slaves = [Cn6in1Detector(1), RelayBoard(30)]
    for slave in slaves:
        line.attach(slave)
    async with running(rtu(line.port), [unit(1), IoUnit(board(), io_profile())]) as (_, inbox):
        await until(lambda: len(inbox.of(GasReading)) >= 3)
    assert slaves[0].functions_seen == {3}
    assert slaves[1].functions_seen == {1, 2}


async def test_a_bus_ends_at_once_when_cancelled_and_frees_the_port(line):
    line.attach(Cn6in1Detector(1))
    async with asyncio.timeout(1), running(rtu(line.port), [unit(1)]) as (_, inbox):
        await until(lambda: inbox.of(GasReading))
    fd = os.open(line.port, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(fd)
