"""Everything the bench says to people, in Chinese and English: one catalogue.

A key is a fault's name (`fault.port_busy`), a task for the technician's hands (`task.zero_gas`), a step, a heading or a help
text. Both sentences of a key take the same facts in `{}`; a test keeps that true, and that every fault has its pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gatehouse_hil.bench.fault import BenchError


class Lang(StrEnum):
    """Languages of the bench."""

    ZH = "zh"
    EN = "en"


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence, twice."""

    zh: str
    en: str


class Words:
    """The catalogue in one language: `words("step.flash")`."""

    def __init__(self, lang: Lang) -> None:
        self.lang: Final = lang

    def __call__(self, key: str, /, **facts: object) -> str:
        """Return the sentence of `key` with its facts."""
        text = CATALOGUE[key]
        return (text.zh if self.lang is Lang.ZH else text.en).format(**facts)

    def fault(self, error: BenchError) -> str:
        """Return what happened and what to do."""
        return self(f"fault.{error.fault}", **error.facts)


def lang_of(wanted: str | None, environment: str) -> Lang:
    """Return the language: `--lang` first, then LANG (`en_US.UTF-8`); Chinese where neither says English."""
    if wanted:
        return Lang(wanted)
    return Lang.EN if environment.lower().startswith("en") else Lang.ZH


CATALOGUE: Final[dict[str, Text]] = {
    # Faults: what happened; what to do.
    "fault.rig_unreadable": Text(
        "读不了文件 {path}（{why}）。请检查路径和格式。",
        "Cannot read {path} ({why}). Check the path and the YAML.",
    ),
    "fault.rig_wrong": Text(
        "治具文件有误：{where}：{why}。改正后再运行。",
        "The rig file is wrong at {where}: {why}. Mend it and run again.",
    ),
    "fault.rig_unknown_key": Text(
        "治具文件里有未知的键“{key}”（{where}）。是不是想写“{near}”？",
        "Unknown key '{key}' in the rig file ({where}). Did you mean '{near}'?",
    ),
    "fault.plan_unreadable": Text(
        "读不了文件 {path}（{why}）。请检查路径和格式。",
        "Cannot read {path} ({why}). Check the path and the YAML.",
    ),
    "fault.plan_wrong": Text(
        "文件有误：{where}：{why}。改正后再运行。",
        "The file is wrong at {where}: {why}. Mend it and run again.",
    ),
    "fault.plan_no_limits": Text(
        "测量项“{name}”没有限值，什么都算合格，因此拒绝。请写上 low、high 或 equals。",
        "Measurement '{name}' has no limits, so nothing could fail it; refused. Write low, high or equals.",
    ),
    "fault.no_such_board": Text(
        "治具上没有名为“{board}”的板子。有：{known}。",
        "There is no board '{board}' on this rig. There are: {known}.",
    ),
    "fault.no_resource": Text(
        "这个治具没有“{part}”（有：{known}）。请写进治具文件，或换一个治具。",
        "This rig has no '{part}' (it has: {known}). Add it to the rig file or use another rig.",
    ),
    "fault.no_such_file": Text(
        "没有 {path}，或里面没有可用的内容。请检查路径。",
        "There is no {path}, or nothing usable in it. Check the path.",
    ),
    "fault.no_such_profile": Text(
        "没有燃气规约“{profile}”。有：{known}。",
        "There is no gas profile '{profile}'. There are: {known}.",
    ),
    "fault.no_radio": Text(
        "蓝牙不可用（{said}）。请插上蓝牙适配器，确认 bluetooth 服务在运行。",
        "Bluetooth does not work ({said}). Plug an adapter in and see that the bluetooth service runs.",
    ),
    "fault.gas_not_named": Text(
        "标定燃气探测器要知道用哪瓶气。请用 --gas 指定气瓶文件。",
        "Calibrating a gas detector needs to know the bottle. Name its file with --gas.",
    ),
    "fault.word_missing": Text("还缺 {what}。请在命令后补上。", "{what} is missing. Add it to the command."),
    "fault.wrong_chip": Text(
        "芯片不对：板上是 {found}，这里要 {wanted}。没有写入任何内容；请换板子。",
        "Wrong chip: the board has {found}, this place wants {wanted}. Nothing was written; put the right board in.",
    ),
    "fault.wrong_board": Text(
        "板子不对：MAC 是 {found}，应为 {wanted}。没有继续；请核对插座上的板子。",
        "Wrong board: its MAC is {found}, not {wanted}. Stopped; check which board stands in this place.",
    ),
    "fault.wrong_kind": Text(
        "这块板已经是 {found}，这里做的是 {wanted}。确要改作他用，请加 --take-over。",
        "This board already is a {found}; this place makes a {wanted}. If that is meant, add --take-over.",
    ),
    "fault.other_serial": Text(
        "这块板已有序列号 {found}，不是 {wanted}。确要重做，请加 --take-over。",
        "This board already carries serial number {found}, not {wanted}. If it is to be made anew, add --take-over.",
    ),
    "fault.no_answer": Text(
        "{port} 上没有应答。请检查供电、插头和 BOOT 键，再试一次。",
        "Nobody answers at {port}. Check power, plug and the BOOT button, then try again.",
    ),
    "fault.not_provisioned": Text(
        "板子“{board}”还没有身份。请先运行 provision。",
        "Board '{board}' has no identity yet. Run provision first.",
    ),
    "fault.half_written": Text(
        "写到一半停了（{port}：{said}）。板子现在不能用；请检查电缆，再烧录一次。",
        "Writing stopped half way ({port}: {said}). The board is unusable now; check the cable and flash it again.",
    ),
    "fault.hash_differs": Text(
        "文件 {file} 写进去后哈希不同。请再烧录一次；仍不同就换板子。",
        "File {file} reads back with another hash. Flash again; if it stays so, replace the board.",
    ),
    "fault.key_check_differs": Text(
        "{serial} 的密钥校验值不符，密钥没有写对。请再运行 provision；在此之前不要贴标签。",
        "The key check of {serial} does not match: the key did not arrive whole. Run provision again; do not label it before.",
    ),
    "fault.self_test_failed": Text(
        "自检不合格：{checks}。请检查该部件的焊接和接线。",
        "Self-test failed: {checks}. Check soldering and wiring of that part.",
    ),
    "fault.out_of_limits": Text(
        "{count} 项超限，第一项是“{zh}”：{value}，要求 {limits}。请检查该部件后重测。",
        "{count} out of limits, first '{en}': {value}, wanted {limits}. Check that part and test again.",
    ),
    "fault.calibration_refused": Text(
        "标定没有通过：{why}。请检查气路、流量和传感器后重做。",
        "Calibration refused: {why}. Check gas line, flow and sensor, then repeat.",
    ),
    "fault.node_refused": Text(
        "节点拒绝了：{said}。请核对固件版本后再试。",
        "The node refused: {said}. Check its firmware version and try again.",
    ),
    "fault.port_busy": Text(
        "{port} 正被别的程序占用。请关闭串口终端或另一个 gatehouse-bench。",
        "{port} is in use by another program. Close the serial terminal or the other gatehouse-bench.",
    ),
    "fault.port_gone": Text(
        "{port} 不见了。请插好电缆，用 list 查看端口；若当时正在烧录，请重新烧录。",
        "{port} is gone. Plug the cable in and look at the ports with list; a board that was being written must be flashed again.",
    ),
    "fault.port_forbidden": Text(
        "没有权限打开 {port}。请把当前用户加入 dialout 组，重新登录后再试。",
        "{port} may not be opened by this user. Add the user to the group dialout, log in again and retry.",
    ),
    "fault.power_stays_on": Text(
        "{part} 说已断电，但板子仍有电（{sign}）。这个治具在修好前不再使用；修好后运行 rig reset。",
        "{part} says off, but the board still has power ({sign}). The rig is out of use until mended; then run rig reset.",
    ),
    "fault.rig_broken": Text(
        "治具的 {part} 自 {since} 起有故障（{was}）。修好后运行：gatehouse-bench rig reset {part} --reason 原因",
        "{part} of this rig has been broken since {since} ({was}). Once mended: gatehouse-bench rig reset {part} --reason WHY",
    ),
    "fault.instrument_silent": Text(
        "仪器 {part} 没有给出数字。请检查接线和量程，修好后运行 rig reset。",
        "Instrument {part} gives no number. Check its cable and range; once mended, run rig reset.",
    ),
    "fault.place_taken": Text(
        "labgrid 位置 {place} 已被 {owner} 占用。请等待，或请对方释放。",
        "labgrid place {place} is held by {owner}. Wait, or ask them to release it.",
    ),
    "fault.labgrid_said": Text(
        "labgrid 报告：{said}。请检查协调器和治具文件。",
        "labgrid says: {said}. Check the coordinator and the rig file.",
    ),
    "fault.tool_absent": Text(
        "这台电脑上没有程序 {tool}。请安装后再试。",
        "The program {tool} is not on this computer. Install it and try again.",
    ),
    "fault.tool_failed": Text("{tool} 失败：{said}。", "{tool} failed: {said}."),
    "fault.printer_absent": Text(
        "标签打印机 {printer} 不可用（{said}）。标签已保存在 {path}，装好打印机后可再打印。",
        "Label printer {printer} is not available ({said}). The label is kept at {path}; print it once the printer is there.",
    ),
    "fault.image_damaged": Text(
        "运行时文件已损坏：{why}。请重新取得该文件。", "The runtime file is damaged: {why}. Fetch it again."
    ),
    "fault.image_other_chip": Text(
        "运行时文件是给 {found} 的，这块板要 {wanted}。请换文件。",
        "The runtime file is for {found}, this board wants {wanted}. Use the right file.",
    ),
    "fault.gas_expired": Text(
        "标准气 {bottle} 已于 {expires} 过期，不能用于标定。请换一瓶。",
        "Gas bottle {bottle} expired on {expires} and must not calibrate anything. Take another bottle.",
    ),
    "fault.no_fleet_key": Text(
        "没有平台公钥，密钥无法安全送出，因此不写入真实板子。请在治具文件的 fleet 下写 wrap_key_file。",
        "Without the fleet's public key a device key cannot leave the bench safely, so none is written to a real board. Set wrap_key_file under fleet in the rig file.",
    ),
    "fault.fleet_unreachable": Text(
        "平台 {url} 连不上（{why}）。{kept} 条已保存在本地；恢复后运行 record upload。",
        "The fleet at {url} cannot be reached ({why}). {kept} kept here; run record upload once it can.",
    ),
    "fault.fleet_refused": Text(
        "平台拒绝接收（HTTP {status}：{said}）。内容保留在本地；请核对令牌和版本。",
        "The fleet refused (HTTP {status}: {said}). It stays here; check token and version.",
    ),
    "fault.record_damaged": Text(
        "记录已损坏或被改动（{why}），不可采信。请从平台取原件。",
        "The record is damaged or was changed ({why}) and proves nothing. Fetch the original from the fleet.",
    ),
    "fault.record_stranger": Text(
        "记录完好，但签名密钥 {key} 不在本机信任之列。若确是贵方工位，请把它的 bench.pub 放进 trusted/。",
        "The record is whole, but its key {key} is not trusted here. If that bench is yours, put its bench.pub into trusted/.",
    ),
    "fault.history_broken": Text(
        "{serial} 的记录不连续：缺第 {number} 条或被调换。请从备份恢复。",
        "The records of {serial} do not follow each other: number {number} is missing or was exchanged. Restore it from a backup.",
    ),
    "fault.trace_differs": Text(
        "第 {number} 帧的应答与录音不同：得到 {got}，应为 {wanted}。请核对固件版本。",
        "Answer {number} differs from the trace: got {got}, wanted {wanted}. Check the firmware version.",
    ),
    # What only hands can do.
    "task.hold_boot": Text(
        "“{board}”：按住 BOOT，按一下 RESET，再松开 BOOT，然后按回车。",
        "'{board}': hold BOOT, press RESET, let BOOT go, then press Enter.",
    ),
    "task.zero_gas": Text(
        "“{board}”：通洁净空气，等读数稳定后按回车。",
        "'{board}': apply clean air, wait until it is steady, then press Enter.",
    ),
    "task.span_gas": Text(
        "“{board}”：通 {percent_lel} %LEL 标准气，稳定后按回车。",
        "'{board}': apply {percent_lel} %LEL span gas, wait until it is steady, then press Enter.",
    ),
    "task.go_to_floor": Text(
        "“{board}”：把轿厢停到 {floor} 层（{height_mm} mm），按回车。",
        "'{board}': bring the car to floor {floor} ({height_mm} mm), then press Enter.",
    ),
    # Steps.
    "step.flash": Text("烧录", "flash"),
    "step.identify": Text("核对", "identify"),
    "step.provision": Text("写密钥", "provision"),
    "step.self_test": Text("自检", "self-test"),
    "step.test": Text("测量", "test"),
    "step.calibrate": Text("标定", "calibrate"),
    "step.label": Text("标签", "label"),
    "verdict.passed": Text("合格", "passed"),
    "verdict.failed": Text("不合格", "failed"),
    # Lines of output.
    "out.record": Text("记录 {path}", "record {path}"),
    "out.label": Text("标签 {path}", "label {path}"),
    "out.labels": Text("全部标签一页打印：{path}", "all labels, ready to print: {path}"),
    "out.sent": Text("已上传 {sent} 条，本地保留 {kept} 条", "{sent} uploaded, {kept} kept here"),
    "out.kept": Text("平台未配置：{kept} 条保留在本地", "no fleet configured: {kept} kept here"),
    "out.true": Text(
        "记录真实：{serial} 第 {number} 次，{verdict}，工位密钥 {key}",
        "The record is true: {serial}, run {number}, {verdict}, bench key {key}",
    ),
    "out.stopped": Text(
        "已中断。正在烧录的板子不能使用，请重新烧录；没有写记录。",
        "Stopped. A board that was being written is unusable until it is flashed again; no record was made.",
    ),
    "out.page": Text(
        "调试台页面：{address}（一次有效，只在本机）",
        "the bench's page: {address} (good once, on this computer only)",
    ),
    "out.goes_on": Text(
        "还有 {count} 个动作在继续，会自己写完记录；再次打开页面即可看到。",
        "{count} still at work: they end by themselves with a record; open the page again to see them.",
    ),
    "out.exported": Text("{records} 条记录：{html}，{json}", "{records} records: {html}, {json}"),
    # What the page refuses.
    "page.foreign_host": Text(
        "地址不对：本页只在 127.0.0.1 上使用。", "Wrong address: this page is used at 127.0.0.1 only."
    ),
    "page.foreign_origin": Text("请求来自别的网页，已拒绝。", "The request came from another page; refused."),
    "page.no_session": Text(
        "没有打开会话。请打开 gatehouse-bench page 打印的地址。",
        "No session. Open the address that gatehouse-bench page prints.",
    ),
    "page.no_such_board": Text("治具上没有“{board}”。", "There is no '{board}' on this rig."),
    "page.no_such_run": Text("没有这次运行。", "There is no such run."),
    "page.no_such_file": Text("没有这个文件。", "There is no such file."),
    "page.board_busy": Text(
        "“{board}”正在执行 {verb}，一个端口一次只做一件事。请等它结束或先停止。",
        "'{board}' is busy with {verb}: one action per port. Wait for its end, or stop it.",
    ),
    "page.not_asked": Text("已经不再等这一步。", "It does not wait for that any more."),
    "page.word_missing": Text("还缺：{what}。", "Missing: {what}."),
    "page.not_printable": Text(
        "里面有不能显示的字符。请重新输入。", "It has characters that cannot be shown. Enter it again."
    ),
    "page.not_json": Text("不是 JSON。", "Not JSON."),
    "page.not_an_order": Text("看不懂的请求（{why}）。", "Not an order ({why})."),
    "page.disk": Text(
        "磁盘读写失败（{why}）。请清理磁盘后再试。", "The disk refuses ({why}). Make room and try again."
    ),
    "page.too_large": Text("请求太大。", "The request is too large."),
    "out.no_ports": Text("没有串口", "no serial ports"),
    "out.mended": Text("{part} 已恢复使用", "{part} is in use again"),
    "out.whole": Text("治具 {rig} 没有已知故障", "nothing known to be broken on rig {rig}"),
    "out.summary": Text(
        "{passed} 块合格，{failed} 块不合格，{took_s:.1f} 秒",
        "{passed} passed, {failed} failed, {took_s:.1f} s",
    ),
    "out.rounds": Text("{rounds} 轮，{failed} 轮不合格", "{rounds} rounds, {failed} failed"),
    "out.replayed": Text("{frames} 帧全部相符", "all {frames} frames agree"),
    # Headings.
    "head.ports": Text("端口", "ports"),
    "head.boards": Text("板子", "boards"),
    "head.rigs": Text("治具", "rigs"),
    # Help.
    "help.bench": Text(
        "技术员工位：从裸板到贴标、标定、签名的设备；也运行模拟小区",
        "the technician's bench: from a bare board to a labelled, calibrated, signed-for device; and the simulated estate",
    ),
    "help.lang": Text("语言：zh 或 en（默认看 LANG）", "language: zh or en (default: LANG)"),
    "help.json": Text("输出一个 JSON 对象", "print one JSON object"),
    "help.rig": Text("治具文件（默认：四块模拟板）", "rig file (default: four simulated boards)"),
    "help.directory": Text("记录、密钥和发件箱所在目录", "where records, keys and the outbox are"),
    "help.board": Text(
        "只处理这块板，可重复（默认：治具上全部）",
        "this board only; may be repeated (default: all of the rig)",
    ),
    "help.operator": Text(
        "操作员姓名，写入记录（默认：登录名）", "name of the operator, for the record (default: login name)"
    ),
    "help.runtime": Text("MicroPython 运行时文件", "MicroPython runtime file"),
    "help.app_only": Text("只写应用，不写运行时", "write the application only, not the runtime"),
    "help.room": Text("房间，写入记录（扫房间二维码）", "room, for the record (scan the room's code)"),
    "help.progress": Text(
        "进度写到标准错误，每行一个 JSON；要动手时从标准输入等一行",
        "write progress to standard error, a line of JSON each; where hands are wanted, wait for a line on standard input",
    ),
    "help.plan": Text(
        "测试计划（默认：随附的该类型计划）", "test plan (default: the one that comes with the bench)"
    ),
    "help.gas": Text("气瓶文件：气体、浓度、瓶号、有效期", "bottle file: gas, concentration, number, date"),
    "help.floors": Text("楼层文件：名称与高度", "floors file: names and heights"),
    "help.take_over": Text("允许重做已有身份的板子", "a board that already has an identity may be made anew"),
    "help.unit": Text("Modbus 站号或节点号", "Modbus unit id or node id"),
    "help.print": Text("在治具文件所写的打印机上打印", "print on the printer of the rig file"),
    "help.serial": Text("序列号", "serial number"),
    "help.file": Text("文件", "file"),
    "help.make": Text(
        "一条命令：裸板 → 烧录、核对、密钥、自检、测量、标定、标签、签名记录",
        "one command: bare board to flash, identify, provision, self-test, test, calibrate, label, signed record",
    ),
    "help.list": Text("列出端口、板子和治具状态", "list ports, boards and the state of the rig"),
    "help.identify": Text("问每块板：芯片、MAC、槽、版本", "ask each board: chip, MAC, slot, version"),
    "help.flash": Text(
        "烧录运行时和应用，逐个文件核对哈希", "flash runtime and application, every file compared by hash"
    ),
    "help.provision": Text(
        "生成密钥并写入节点，登记到平台", "make a key, write it to the node, register it with the fleet"
    ),
    "help.test": Text("按计划测量并比对限值", "measure by plan, against limits"),
    "help.calibrate": Text("标定燃气零点与量程，或电梯楼层", "calibrate gas zero and span, or lift floors"),
    "help.label": Text("重新生成某个序列号的标签", "make the label of a serial number again"),
    "help.page": Text(
        "在本机浏览器里使用工位：向导、串口日志、寄存器、蓝牙、相机、记录",
        "use the bench in a browser on this computer: wizard, serial log, registers, radio, camera, records",
    ),
    "help.page_port": Text(
        "127.0.0.1 上的端口（默认 8470；0：随便一个）", "port on 127.0.0.1 (default 8470; 0: any)"
    ),
    "help.no_browser": Text("不自动打开浏览器", "do not open a browser"),
    "help.console": Text("听一块板的串口，只听不发", "listen to a board's console; sends nothing"),
    "help.registers": Text(
        "反复读燃气探测器的寄存器：原值和含义",
        "read a gas detector's registers again and again, raw and decoded",
    ),
    "help.profile": Text("燃气规约（默认：自家节点）", "gas profile (default: our own node)"),
    "help.every": Text("每隔几秒（默认 1）", "seconds between reads (default 1)"),
    "help.scan": Text("听周围的蓝牙广播，解码 BTHome", "listen to Bluetooth adverts, decode BTHome"),
    "help.keys": Text(
        "密钥文件：地址到密钥的 JSON（默认：不解密）",
        "JSON file of keys by address (default: nothing is decrypted)",
    ),
    "help.aim": Text("对准相机：画面、清晰度、明暗", "aim a camera: still, sharpness, exposure"),
    "help.camera": Text("治具文件里的相机（默认：第一台）", "camera of the rig file (default: the first)"),
    "help.record_list": Text("列出全部设备和每次运行", "list all devices and every run"),
    "help.record_export": Text(
        "导出报告：一个网页文件和一个 JSON 文件", "export a report: one page and one JSON file"
    ),
    "help.since": Text("只要这一天以后的（年-月-日）", "only from this day on (YYYY-MM-DD)"),
    "help.record": Text("核验、查看、上传记录", "verify, show, upload records"),
    "help.record_verify": Text("核验一个记录文件的哈希与签名", "check hash and signature of a record file"),
    "help.record_history": Text("查看一个序列号的全部记录", "all records of a serial number"),
    "help.record_key": Text(
        "调试台公钥文件（首次使用时生成）", "file of the bench's public key, made at first use"
    ),
    "help.record_upload": Text("上传发件箱里的内容", "upload what waits in the outbox"),
    "help.rig_verb": Text("检查治具文件，或在修好后恢复使用", "check a rig file, or use a mended rig again"),
    "help.rig_check": Text(
        "检查治具文件并列出已知故障", "check the rig file and list what is known to be broken"
    ),
    "help.rig_reset": Text("说明修了什么，恢复使用", "say what was mended and use it again"),
    "help.part": Text("治具的哪个部件", "which part of the rig"),
    "help.reason": Text("修了什么", "what was mended"),
    "help.replay": Text(
        "把录下的线路对话重放给节点并比对应答",
        "replay a captured wire trace to a node and compare its answers",
    ),
    "help.soak": Text("反复断电、启动、测量", "power-cycle, start and test again and again"),
    "help.rounds": Text("多少轮", "how many rounds"),
    "help.estate": Text(
        "运行模拟小区和一台网关，直到 Ctrl-C", "run the simulated estate and a gateway on it until Ctrl-C"
    ),
    "help.estate_directory": Text("线路、密钥和数据所在目录", "where wires, keys and data are"),
    "help.port": Text(
        "控制台在 127.0.0.1 上的端口（默认 8443）", "port of the console on 127.0.0.1 (default 8443)"
    ),
    "help.fresh": Text("忘掉以前网关存下的内容", "forget what an earlier gateway has stored"),
    "help.no_gateway": Text(
        "只运行线路和设备，网关自己启动", "wires and devices only; start the gateway yourself"
    ),
    "help.fleet_port": Text(
        "平台服务器端口（默认 8460，模拟城市平台用下一个）",
        "port of the fleet server (default 8460; the simulated city platform takes the next one)",
    ),
    "help.no_fleet": Text("不启动平台服务器，小区独立运行", "no fleet server: the community stands alone"),
    "help.communities": Text("旁边的轻量小区数量（默认 20）", "light communities beside it (default 20)"),
    "help.city": Text("运行模拟的城市平台，直到按 Ctrl-C", "run a simulated city platform until Ctrl-C"),
    "help.scenarios": Text("列出可以播放的场景", "list what can be played"),
    "help.play": Text("在运行中的小区播放一个场景", "play a scenario on the running estate"),
    "help.scenario": Text("名称，见 scenarios", "name, see scenarios"),
    "help.target": Text("在哪个设备上播放", "device to play it on, where a scenario takes one"),
}
