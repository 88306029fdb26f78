// One simulated node: this thread is its pins and clocks, a worker thread is its processor.
//
// The processor blocks while Python runs, so everything that comes from outside (console, UART, sensors) is taken here and
// laid into its mailbox, and the doorbell (a shared word) wakes it. The watchdog lives here too: a program that hangs in
// a loop must still be reset, as silicon would.
import fs from 'node:fs';
import net from 'node:net';
import { Worker } from 'node:worker_threads';

const config = JSON.parse(process.argv[2]);
const shared = new Int32Array(new SharedArrayBuffer(12)); // 0: doorbell, 1: milliseconds the watchdog still grants (0: not armed), 2: flash writes until the power cut
const board = new Worker(new URL('./board.mjs', import.meta.url), { workerData: { config, shared } });

function deliver(message) {
  board.postMessage(message);
  Atomics.add(shared, 0, 1);
  Atomics.notify(shared, 0);
}

function end(reason) {
  try { fs.writeSync(config.control, JSON.stringify({ kind: 'ended', reason, cut_left: Atomics.load(shared, 2) }) + '\n'); } catch { /* nobody is left to tell */ }
  process.kill(process.pid, 'SIGKILL');
}

const open = (fd) => new net.Socket({ fd, readable: true, writable: false });
for (const name of ['console', 'uart']) open(config[name]).on('data', (bytes) => deliver({ [name]: new Uint8Array(bytes) })).on('error', () => {});

let pending = '';
open(config.control)
  .on('data', (bytes) => {
    const lines = (pending + bytes).split('\n');
    pending = lines.pop();
    for (const line of lines) deliver(JSON.parse(line));
  })
  .on('end', () => process.kill(process.pid, 'SIGKILL')) // the supervisor is gone: no node outlives it
  .on('error', () => process.kill(process.pid, 'SIGKILL'));

const TICK_MS = 20;
let last = performance.now();
setInterval(() => {
  const now = performance.now();
  const left = Atomics.load(shared, 1);
  // A machine that stalls as a whole must not look like a node that hangs: one tick counts 5 ticks at most.
  if (left > 0 && Atomics.sub(shared, 1, Math.min(Math.round(now - last), 5 * TICK_MS)) <= Math.round(now - last)) end('watchdog');
  last = now;
}, TICK_MS);

board.on('error', (error) => {
  fs.writeSync(config.control, JSON.stringify({ kind: 'crash', value: `${error.stack ?? error}` }) + '\n');
  end('crash');
});
board.on('exit', () => end('crash'));
