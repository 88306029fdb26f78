// The processor of a simulated node: the official MicroPython VM, its peripherals as functions of the module `_board`, and
// the console loop that a chip's firmware would have (boot.py, main.py, then the REPL that mpremote talks to).
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { loadMicroPython } from './node_modules/@micropython/micropython-webassembly-pyscript/micropython.mjs';
import { PowerSwitch, flashType } from './flash.mjs';

const { config, shared } = workerData;
const here = path.dirname(fileURLToPath(import.meta.url));
const pause = new Int32Array(new SharedArrayBuffer(4));
let mp = null;
let isRunning = false; // Python code runs: the interrupt character raises, everything else waits for input()
let isInterrupted = false;
let isStartKnown = false; // whoever holds the node has heard of this start
let typed = []; // console bytes not yet taken
let heard = []; // UART bytes not yet taken
let irqs = []; // what happened outside and has a handler inside: [kind, number, hex]
const uart = { rxbuf: 256, charMs: 10 / 115.2, sentAt: 0 };
const senses = { ...config.senses };
const outputs = {};

// ---- talking to the outside

function send(fd, bytes) {
  for (let at = 0, tries = 0; at < bytes.length;) {
    try {
      at += fs.writeSync(fd, bytes, at);
      tries = 0;
    } catch (error) {
      if (error.code !== 'EAGAIN' || ++tries > 200) return;
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}
const tell = (kind, fields) => send(config.control, Buffer.from(JSON.stringify({ kind, ...fields }) + '\n'));
function end(reason, fields = {}) {
  flush();
  tell('ended', { reason, cut_left: Atomics.load(shared, 2), ...fields });
  process.kill(process.pid, 'SIGKILL');
  Atomics.wait(pause, 0, 0);
}
const power = new PowerSwitch(shared, () => end('power_cut'));
if (config.cut) power.arm(config.cut.n, config.cut.how);

let out = [];
function flush() {
  if (!out.length) return;
  send(config.console, Buffer.from(out));
  out = [];
}
function emit(byte) {
  out.push(byte);
  if (out.length >= 256 || (byte === 10 && isRunning)) flush();
}
const say = (text) => { for (const byte of Buffer.from(text, 'latin1')) emit(byte); };

// ---- the mailbox

const TYPED_KEPT = 1 << 16; // more than any tool sends without waiting for an answer
const IRQS_KEPT = 256; // a chip's scheduler queues 8; what comes on top is lost there too

function type(bytes) {
  const interrupt = mp ? mp._module.ccall('mp_hal_get_interrupt_char', 'number', [], []) : -1;
  for (const byte of bytes) {
    if (isRunning && byte === interrupt) { isInterrupted = true; typed = []; }
    else if (typed.length < TYPED_KEPT) typed.push(byte);
  }
}
function happen(kind, number, hex = '', handle = 0) {
  if (irqs.length < IRQS_KEPT) irqs.push([kind, number, hex, handle]);
}
function take(message) {
  if (message.console) return type(message.console);
  if (message.uart) {
    // What finds no room in the receive buffer is lost, as on the chip.
    for (const byte of message.uart.subarray(0, Math.max(0, uart.rxbuf - heard.length))) heard.push(byte);
    return;
  }
  if (message.op === 'go') isStartKnown = true;
  if (message.op === 'cut') power.arm(message.n, message.how);
  if (message.op === 'ble') happen(message.event, message.number ?? 0, message.hex, message.handle);
  if (message.op === 'sense' && senses[message.name] !== message.value) {
    senses[message.name] = message.value;
    if (message.name.startsWith('pin')) happen('pin', Number(message.name.slice(3)));
  }
}
function listen() {
  for (let mail = receiveMessageOnPort(parentPort); mail; mail = receiveMessageOnPort(parentPort)) take(mail.message);
  if (isInterrupted && isRunning) {
    isInterrupted = false;
    mp._module.ccall('mp_sched_keyboard_interrupt', 'null', [], []);
    return true;
  }
  return false;
}
const TIME_UP = 0, UART_READY = 1, IRQ_PENDING = 2, INTERRUPTED = 4, TYPED = 8;
function wait(ms, wantsUart, wantsConsole = false) {
  if (ms > 1) flush();
  const until = performance.now() + ms;
  for (;;) {
    const seen = Atomics.load(shared, 0);
    if (listen()) return INTERRUPTED;
    if (irqs.length && !wantsConsole) return IRQ_PENDING; // at the prompt nobody is there to run a handler
    if (wantsUart && heard.length) return UART_READY;
    if (wantsConsole && typed.length) return TYPED;
    const left = until - performance.now();
    if (left <= 0) return TIME_UP;
    Atomics.wait(shared, 0, seen, left);
  }
}

const HEARING_MS = 2000; // a supervisor that is busy for longer is not waited for
function tellStart(cause) {
  // The console is another channel: nothing may be read there that the start which said it is not known of yet.
  isStartKnown = false;
  tell('booted', { cause });
  for (const until = performance.now() + HEARING_MS; !isStartKnown;) {
    const seen = Atomics.load(shared, 0);
    listen();
    const left = until - performance.now();
    if (left <= 0) return;
    if (!isStartKnown) Atomics.wait(shared, 0, seen, left);
  }
}

// ---- peripherals

const memory = (at, n) => mp._module.HEAPU8.subarray(at, at + n);
const nvsFile = (space) => path.join(config.nvs, `${space}.json`);
const readNvs = (space) => { try { return JSON.parse(fs.readFileSync(nvsFile(space), 'utf8')); } catch { return {}; } };
const rtcFile = path.join(config.nvs, '..', 'rtc.hex');
const covered = new Map();
const peripherals = {
  wait,
  irq_next() { return irqs.length ? irqs[0][0] : ''; },
  irq_number() { return irqs[0][1]; },
  irq_handle() { return irqs[0][3]; },
  irq_hex() { return irqs.shift()[2]; },
  end(reason, ms, pins) { end(reason, { ms, pins }); },
  tell(kind, json) { tell(kind, { value: JSON.parse(json) }); },
  sense(name) { listen(); const value = senses[name]; return value === undefined ? null : value === true ? 1 : value === false ? 0 : value; },
  set_pin(number, value) { if (outputs[number] !== value) { outputs[number] = value; tell('pin', { number, value }); } },
  pin(number) { return outputs[number] ?? 0; },
  fact(name) { return config[name]; },
  random(at, n) { crypto.randomFillSync(memory(at, n)); },
  watchdog(ms) { Atomics.store(shared, 1, ms); },
  uart_open(baud, bits, parity, stop, rxbuf) {
    uart.rxbuf = rxbuf;
    uart.charMs = ((1 + bits + (parity === null ? 0 : 1) + stop) * 1000) / baud;
    heard = [];
    tell('uart', { baud, bits, parity, stop });
  },
  uart_any() { listen(); return heard.length; },
  uart_read(at, n) {
    listen();
    const bytes = heard.splice(0, n);
    memory(at, n).set(bytes);
    return bytes.length;
  },
  uart_write(at, n) {
    // A bus driver that is not enabled puts nothing on the wire, however long the program "sends".
    const enable = senses.de_pin;
    const isOnWire = enable === undefined || enable === null || outputs[enable] === 1;
    uart.sentAt = Math.max(performance.now(), uart.sentAt) + n * uart.charMs;
    if (isOnWire) send(config.uart, Buffer.from(memory(at, n)));
    else tell('unheard', { bytes: n });
    return n;
  },
  uart_left_ms() { return Math.max(0, uart.sentAt - performance.now()); },
  aes_ecb(key, keyBytes, from, to, n, isEncrypting) {
    const make = isEncrypting ? crypto.createCipheriv : crypto.createDecipheriv;
    const cipher = make(`aes-${keyBytes * 8}-ecb`, Buffer.from(memory(key, keyBytes)), null);
    cipher.setAutoPadding(false);
    memory(to, n).set(cipher.update(Buffer.from(memory(from, n))));
  },
  nvs_get(space, key) { const value = readNvs(space)[key]; return value === undefined ? null : value; },
  // A key-value store on flash is a log: an entry is there or is not, it never tears.
  nvs_commit(space, json) {
    const whole = () => {
      const fresh = `${nvsFile(space)}.new`;
      fs.writeFileSync(fresh, JSON.stringify({ ...readNvs(space), ...JSON.parse(json) }, (_, value) => (value === null ? undefined : value)));
      fs.renameSync(fresh, nvsFile(space));
    };
    power.write(whole);
  },
  rtc_read() { try { return fs.readFileSync(rtcFile, 'ascii'); } catch { return ''; } },
  rtc_write(hex) { fs.writeFileSync(rtcFile, hex); },
  lines(file, text) {
    // Line coverage: a source file is named by the hash of what is on flash, so that a report finds it wherever it lies; a
    // compiled one, whose source is not here, by '-' and the name that the compiler was given.
    if (!covered.has(file)) {
      let hash = '-';
      try { hash = crypto.createHash('sha256').update(fs.readFileSync(path.join(config.flash, file))).digest('hex'); } catch { /* compiled */ }
      covered.set(file, hash);
    }
    fs.appendFileSync(config.coverage, `${covered.get(file)} ${file} ${text}\n`);
  },
};

// ---- boot.py, main.py, REPL

function putRom() {
  mp.FS.mkdir('/simrom');
  for (const name of fs.readdirSync(path.join(here, 'rom'))) {
    if (name.endsWith('.py')) mp.FS.writeFile(`/simrom/${name}`, fs.readFileSync(path.join(here, 'rom', name)));
  }
}
async function load() {
  const stdin = () => { flush(); while (!typed.length) if (wait(1000, false, true) === INTERRUPTED) return 3; return typed.shift(); };
  mp = await loadMicroPython({
    heapsize: 192 * 1024, pystack: 2048, linebuffer: false, stdin,
    url: new URL(`./node_modules/@micropython/micropython-webassembly-pyscript/micropython${config.settrace ? '-settrace' : ''}.wasm`, import.meta.url).pathname,
    stdout: (bytes) => emit(bytes[0]), stderr: (bytes) => emit(bytes[0]),
  });
  mp.registerJsModule('_board', peripherals);
  putRom();
  mp.FS.mkdir('/simflash');
  mp.FS.mount(flashType(mp.FS, config.flash, power), {}, '/simflash');
  mp.runPython("import vfs\nvfs.umount('/')\nvfs.mount(vfs.VfsPosix('/simrom'), '/rom')\nvfs.mount(vfs.VfsPosix('/simflash'), '/')\nimport sys\nsys.path[:] = ['/rom', '.frozen']\nimport simboot");
}
function run(file) {
  isRunning = true;
  let how = 'done';
  try {
    how = mp.runPython(`import simboot\nsimboot.run(${JSON.stringify(file)})`);
  } catch (error) {
    if (error.name !== 'PythonError') throw error; // the VM itself has crashed
    say(`${error.message ?? error}`.replace(/\n/g, '\r\n'));
  }
  isRunning = false;
  isInterrupted = false;
  flush();
  return how;
}
function enterRaw() { mp.replProcessChar(1); flush(); }

let isRaw = false;
let resetCause = config.reset_cause;
for (;;) {
  await load();
  mp.runPython(`import machine\nmachine._cause = ${resetCause}`);
  tellStart(resetCause);
  if (run('boot.py') === 'soft reset' || (!isRaw && run('main.py') === 'soft reset')) {
    resetCause = 5;
    continue;
  }
  mp.runPython('import simboot\nsimboot.leave()');
  mp.replInit();
  if (isRaw) enterRaw();
  flush();
  let line = 0; // characters of raw-mode input since the last command
  for (;;) {
    while (!typed.length) wait(1000, false, true);
    const byte = typed.shift();
    if (isRaw && byte === 5 && line === 0) {
      // Raw-paste probe (Ctrl-E A Ctrl-A): this port cannot wait for input inside the VM, so say that we understand but cannot.
      while (typed.length < 2) { wait(1, false); }
      typed.splice(0, 2);
      say('R\x00');
      flush();
      continue;
    }
    if (byte === 1) isRaw = true;
    if (byte === 2) isRaw = false;
    line = isRaw && byte !== 4 && byte !== 1 && byte !== 3 ? line + 1 : 0;
    isRunning = byte === 4 || byte === 13;
    const result = mp.replProcessChar(byte);
    isRunning = false;
    flush();
    if (result & 0x100) {
      say('MPY: soft reboot\r\n');
      flush();
      break;
    }
  }
  resetCause = 5;
}
