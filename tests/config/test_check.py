"""Every mistake an installer can make is named, with its place, and all of them at once."""

from __future__ import annotations

import pytest

from gatehouse_config import FaultyConfigError, check, load


def said(faults, path):
    return " / ".join(fault.message for fault in faults if fault.path == path)


def test_a_right_file_has_no_fault_and_loads(yard):
    path = yard.write(yard.data())
    assert check(path) == []
    config = load(path)
    assert config.device("gas-2").max_silence_s == 10
    assert config.gas_profile(config.device("gas-2")).unit == "%LEL"
    assert len(config.key(config.device("btn-17").keys[0])) == 16


CASES = [
    ("unknown key at the top", lambda d: d.update(gatway={}), "gatway", "did you mean 'gateway'"),
    ("unknown key in a device", lambda d: d["devices"][0].update(pol_ms=1000), "devices[0].pol_ms", "did you mean 'poll_ms'"),
    ("unknown key in a rule", lambda d: d.update(rules={"lift": {"off_zone_stop": 50}}), "rules.lift.off_zone_stop", "'off_zone_stop_s'"),
    ("unknown key in a location", lambda d: d["devices"][3]["location"].update(flor=1), "devices[3].location.flor", "'floor'"),
    ("a key without a unit", lambda d: d["buses"][0].update(response_timeout=1), "buses[0].response_timeout", "'response_timeout_ms'"),
    ("a time out of nothing", lambda d: d["buses"][0].update(response_timeout_ms=0), "buses[0].response_timeout_ms", "greater than"),
    ("two devices on one unit id", lambda d: d["devices"][1].update(unit_id=1), "devices[1].unit_id", "already 'gas-1'"),
    ("broadcast as unit id", lambda d: d["devices"][0].update(unit_id=0), "devices[0].unit_id", "greater than"),
    ("two devices of one name", lambda d: d["devices"][1].update(id="gas-1"), "devices[1].id", "already the id of devices[0]"),
    ("a device with the name of a bus", lambda d: d["devices"][1].update(id="ble0"), "devices[1].id", "already the id of buses[3]"),
    ("two owners of one port", lambda d: d["buses"][2].update(port="/dev/ttyUSB0"), "buses[2].port", "one owner"),
    ("the modem on a bus", lambda d: d["notifiers"]["gsm"].update(port="/dev/ttyUSB0"), "notifiers.gsm.port", "already the wire"),
    ("a bus that is not there", lambda d: d["devices"][0].update(bus="rs485-2"), "devices[0].bus", "did you mean 'rs485-1'"),
    ("a lift on a Modbus bus", lambda d: d["devices"][2].update(bus="rs485-1"), "devices[2].bus", "must be serial"),
    ("a profile that is not there", lambda d: d["devices"][0].update(profile="cn6in1_unitregs"), "devices[0].profile", "did you mean 'cn6in1_unitreg'"),
    ("a lift profile for gas", lambda d: d["devices"][0].update(profile="chongqing"), "devices[0].profile", "is a lift profile"),
    ("a code table as a wire", lambda d: d["devices"][2].update(profile="chongqing"), "devices[2].profile", "without a wire"),
    ("a missing unit", lambda d: d["devices"][1].pop("unit"), "devices[1].unit", "does not tell it"),
    ("a unit against the detector's own", lambda d: d["devices"][0].update(unit="ppm"), "devices[0].unit", "already tells it"),
    ("a poll the vendor forbids", lambda d: d["devices"][1].update(poll_ms=900), "devices[1].poll_ms", "at least 1000"),
    ("silence shorter than polling", lambda d: d["devices"][0].update(max_silence_s=1), "devices[0].max_silence_s", "less than two polls"),
    ("two buttons on one address", lambda d: d["devices"][4].update(address="c3:28:40:ff:c1:94"), "devices[4].address", "already 'btn-17'"),
    ("buttons without a beacon", lambda d: d["devices"].pop(4), "buses[3].max_silence_s", "no device of kind beacon"),
    ("buttons without a radio", lambda d: d["buses"].pop(3), "devices[3].address", "no bus of kind ble"),
    ("no key file", lambda d: d["devices"][3]["keys"][0].update(file="keys/none.key"), "devices[3].keys[0].file", "there is no file"),
    ("a key that is used twice", lambda d: d["devices"][3]["keys"][0].update(file="keys/lift-3-2.1.key"), "devices[3].keys[0].file", "already in use"),
    ("a key number twice", lambda d: d["devices"][3]["keys"].append({"id": 1, "file": "keys/spare.key"}), "devices[3].keys[1].id", "twice"),
    ("our lift node without keys", lambda d: d["devices"][2].pop("keys"), "devices[2].keys", "missing"),
    ("keys for a detector that has none", lambda d: d["devices"][0].update(keys=[{"id": 1, "file": "keys/spare.key"}]), "devices[0].keys", "has no keys"),
    ("a camera without its sign", lambda d: d["devices"][6].update(sign_posted=False), "devices[6].sign_posted", "no camera without its sign"),
    ("a camera that says nothing of its sign", lambda d: d["devices"][6].pop("sign_posted"), "devices[6].sign_posted", "missing"),
    ("TLS off on the network", lambda d: d.update(console={"host": "192.0.2.1", "tls": "off"}), "console", "only on loopback"),
    ("a position without datum", lambda d: d["site"]["position"].pop("crs"), "site.position.crs", "missing"),
    ("a made-up datum", lambda d: d["site"]["position"].update(crs="BJ54"), "site.position.crs", "CGCS2000"),
    ("a kind that is not there", lambda d: d["devices"][0].update(kind="gaz"), "devices[0]", "kind or via"),
    ("an e-bike contact without lift", lambda d: d["devices"][5]["inputs"][1].pop("device"), "devices[5].inputs[1].device", "id of a lift"),
    ("a feedback contact without valve", lambda d: d["devices"][5]["inputs"][2].update(device="siren-1"), "devices[5].inputs[2].device", "gas_valve"),
    ("an input the board lacks", lambda d: d["devices"][5]["inputs"][0].update(point=8), "devices[5].inputs[0].point", "0 to 7"),
    ("a relay used twice", lambda d: d["outputs"][1].update(point=0), "outputs[1].point", "already drives siren-1"),
    ("a relay on a detector", lambda d: d["outputs"][0].update(io="gas-1"), "outputs[0].io", "not a device of kind io"),
    ("a valve that serves everybody", lambda d: d["outputs"][1].update(serves=["all"]), "outputs[1].serves[0]", "by name"),
    ("a siren for nobody", lambda d: d["outputs"][0].update(serves=["gas-9"]), "outputs[0].serves[0]", "no device 'gas-9'"),
    ("a ladder to nobody", lambda d: d["escalation"]["sos"][1].update(notify=["secnd"]), "escalation.sos[1].notify[0]", "did you mean 'second'"),
    ("a ladder out of order", lambda d: d["escalation"]["sos"][1].update(after_s=0), "escalation.sos[1].after_s", "order of time"),
    ("a family nobody knows", lambda d: d["devices"][3].update(resident={"family_contacts": ["son"]}), "devices[3].resident.family_contacts[0]", "no contact 'son'"),
    ("a machine that dials 120", lambda d: d["notifiers"]["contacts"][0].update(to="120"), "notifiers.contacts[0]", "public number"),
    ("a contact without a way", lambda d: d["notifiers"].pop("gsm"), "notifiers.contacts[0].via", "no section notifiers.gsm"),
    ("a webhook in the clear", lambda d: d["notifiers"].update(webhook={"url": "http://hook.example/x"}), "notifiers.webhook.url", "use https"),
    ("off-zone below 45 s", lambda d: d.update(rules={"lift": {"off_zone_stop_s": 44}}), "rules.lift.off_zone_stop_s", "greater than"),
    ("a number where text belongs to the law", lambda d: d["site"].update(division_code=371002002), "site.division_code", "string"),
    ("an alarm without a place", lambda d: d["devices"][0].update(location={"floor": "5"}), "devices[0].location", "building or a name"),
    ("a reserved name", lambda d: d["devices"][0].update(id="all"), "devices[0].id", "a meaning of its own"),
    ("not a number", lambda d: d["devices"][0].update(life_years=float("nan")), "devices[0].life_years", "valid number"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "path", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_mistake_is_named_at_its_place(yard, spoil, path, words):
    faults = yard.faults(spoil)
    assert words in said(faults, path), faults
    assert all(fault.line is not None for fault in faults)


def test_all_faults_are_named_at_once(yard):
    def spoil(data):
        for _, once, _, _ in CASES[:3]:
            once(data)
        data["site"]["position"].pop("crs")
        data["outputs"][0]["serves"] = ["gas-9"]
        data["devices"][6]["sign_posted"] = False

    paths = {fault.path for fault in yard.faults(spoil)}
    assert paths >= {
        "gatway", "devices[0].pol_ms", "rules.lift.off_zone_stop", "site.position.crs", "outputs[0].serves[0]",
        "devices[6].sign_posted",
    }  # fmt: skip


def test_a_faulty_part_does_not_make_references_to_it_faulty(yard):
    faults = yard.faults(lambda data: (data["buses"][0].update(baud=1), data["devices"][5].update(unit_id=0)))
    assert {fault.path for fault in faults} == {"buses[0].baud", "devices[5].unit_id"}


def test_loading_a_faulty_file_raises_with_every_fault(yard):
    data = yard.data()
    data["gatway"] = {}
    data["devices"][0]["unit_id"] = 0
    with pytest.raises(FaultyConfigError) as caught:
        load(yard.write(data))
    assert len(caught.value.faults) == 2
    assert "devices[0].unit_id" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("231d39c1d7cc1ab1aee224cd096db932", "out of an example"),
        ("00000000000000000000000000000000", "out of an example"),
        ("000102030405060708090a0b0c0d0e0f", "out of an example"),
        ("231d39c1d7cc1ab1", "32 hex digits"),
        ("zz1d39c1d7cc1ab1aee224cd096db932", "32 hex digits"),
        ("23 1d39c1d7cc1ab1aee224cd096db93", "32 hex digits"),
        ("", "32 hex digits"),
    ],
)
def test_a_key_that_is_none_is_refused_without_showing_it(yard, content, words):
    (yard.folder / "keys/btn-17.1.key").write_text(content, encoding="utf-8")
    faults = check(yard.write(yard.data()))
    assert words in said(faults, "devices[3].keys[0].file")
    assert not content or content not in str(faults)


@pytest.mark.parametrize(
    "secret", ["changeme", "your-token-here", "xxxxxxxxxx", "password", "请修改这个密码吧", "short", ""]
)
def test_a_placeholder_is_no_secret(yard, secret):
    (yard.folder / "token").write_text(secret + "\n", encoding="utf-8")
    faults = yard.faults(
        lambda data: data["notifiers"].update(
            webhook={"url": "https://hook.example/x", "token_file": "token"}
        )
    )
    assert said(faults, "notifiers.webhook.token_file")


def test_a_missing_file_is_one_fault(tmp_path):
    (fault,) = check(tmp_path / "none.yaml")
    assert "cannot be read" in fault.message
