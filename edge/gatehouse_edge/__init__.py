"""The gateway: drivers, rules, alarms, ledger, console; `gateway` joins them, `cli` starts them."""
