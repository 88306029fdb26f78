// Which alarms may be played on which kind of device, the one that matters most first.

/** @type {Record<string, string[]>} */
const TYPES = {
  gas: ["gas.high_alarm", "gas.low_alarm", "gas.offline"],
  lift: ["lift.trapped", "lift.alarm_button", "lift.ebike_in_car", "lift.offline"],
  button: ["sos.pressed", "sos.supervision_lost"],
  camera: ["throw.object_falling", "throw.camera_lost"],
  io: ["gateway.mains_lost", "gateway.ups_low", "gateway.lid_open"],
  gateway: ["gateway.mains_lost", "gateway.ups_low"],
};

/** Codes that may be played on a device of this kind. @param {string} kind */
export function choicesFor(kind) {
  return TYPES[kind] ?? [];
}

/** Every kind with its first code: what a drill of each type plays. @returns {[string, string][]} */
export function firstOfEach() {
  return ["button", "gas", "lift", "camera", "gateway"].map((kind) => [kind, TYPES[kind][0]]);
}
