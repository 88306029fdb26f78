// Runs every line of the vector files (arguments) on the official MicroPython VM; prints one result per line.
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadMicroPython } from '../../hil/gatehouse_hil/simnode/vm/node_modules/@micropython/micropython-webassembly-pyscript/micropython.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const wire = path.join(here, '..', '..', 'firmware', 'gatehouse_wire');

// AES-CCM with a 4-byte tag; hex in, hex out, '' when the tag is wrong. A node brings its own cryptolib.
function ccmOpen(key, nonce, sealed) {
  const data = Buffer.from(sealed, 'hex');
  const cipher = crypto.createDecipheriv('aes-128-ccm', Buffer.from(key, 'hex'), Buffer.from(nonce, 'hex'), { authTagLength: 4 });
  cipher.setAuthTag(data.subarray(data.length - 4));
  try {
    const plain = cipher.update(data.subarray(0, data.length - 4));
    cipher.final();
    return plain.toString('hex');
  } catch {
    return '';
  }
}

const lines = process.argv.slice(2).flatMap((file) => fs.readFileSync(file, 'utf8').split('\n'))
  .filter((line) => line && !line.startsWith('#')).map((line) => line.split(' | '));

// 192 KiB: what an ESP32-C3 leaves to Python, more or less. The VM grows beyond it by itself, so memory is not proven here.
const mp = await loadMicroPython({ heapsize: 192 * 1024 });
mp.FS.mkdir('/rom');
mp.FS.mkdir('/rom/gatehouse_wire');
for (const name of fs.readdirSync(wire).filter((file) => file.endsWith('.py'))) {
  mp.FS.writeFile('/rom/gatehouse_wire/' + name, fs.readFileSync(path.join(wire, name)));
}
mp.FS.writeFile('/rom/replay.py', fs.readFileSync(path.join(here, 'replay.py')));
mp.registerJsModule('host', { ccm_open: ccmOpen, line: (index, part) => lines[index][part] });
mp.runPython(`
import sys
sys.path[:] = ["/rom"]
import host, replay
print("#", sys.implementation.name, sys.version)
for index in range(${lines.length}):
    print(replay.run(host.line(index, 0), host.line(index, 1), host.ccm_open))
`);
