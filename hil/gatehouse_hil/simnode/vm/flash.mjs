// The node's file system: in memory for reading, written through to a host directory, and able to lose power in any write.
//
// A flash write is one write() of at most a block, one truncation, rename, removal or new directory. Like littlefs on the
// chip a rename replaces its target whole; unlike littlefs a file opened for writing is cut to nothing at once, which is what
// FAT does and what a careless program must not survive by luck.
import fs from 'node:fs';
import path from 'node:path';

const ENOENT = 44, ENOTEMPTY = 55, EINVAL = 28; // libc numbers of the VM
const DIR = 0o040777, FILE = 0o100666;
export const BLOCK_BYTES = 4096;

export class PowerSwitch {
  // Counts flash writes and cuts the power during the one that was asked for: 'before' it, 'torn' in its middle, or 'after' it.
  // How many are left stands in shared memory (word 2), so that whoever ends this process can say it.
  constructor(shared, lose) { this.shared = shared; this.lose = lose; }
  arm(n, how) { Atomics.store(this.shared, 2, n); this.how = how; }
  write(whole, torn) {
    const isLast = Atomics.load(this.shared, 2) > 0 && Atomics.sub(this.shared, 2, 1) === 1;
    if (isLast && this.how === 'before') this.lose();
    if (isLast && this.how === 'torn') { torn?.(); this.lose(); }
    whole();
    if (isLast) this.lose();
  }
}

export function flashType(FS, hostRoot, power) {
  const hostPath = (node) => (node.parent === node ? hostRoot : path.join(hostPath(node.parent), node.name));
  const patch = (node, from, bytes) => {
    const fd = fs.openSync(hostPath(node), 'r+');
    try { fs.writeSync(fd, bytes, 0, bytes.length, from); } finally { fs.closeSync(fd); }
  };
  function create(parent, name, mode) {
    const node = FS.createNode(parent, name, mode, 0);
    node.node_ops = nodeOps;
    node.stream_ops = streamOps;
    if (FS.isDir(mode)) node.children = {};
    else node.bytes = Buffer.alloc(0);
    if (parent) parent.children[name] = node;
    return node;
  }
  function load(node, directory) {
    for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
      const child = create(node, entry.name, entry.isDirectory() ? DIR : FILE);
      if (entry.isDirectory()) load(child, path.join(directory, entry.name));
      else child.bytes = fs.readFileSync(path.join(directory, entry.name));
    }
  }
  const nodeOps = {
    getattr(node) {
      const size = node.bytes?.length ?? 0;
      const at = new Date(node.mtime);
      return { dev: 1, ino: node.id, mode: node.mode, nlink: 1, uid: 0, gid: 0, rdev: 0, size, atime: at, mtime: at, ctime: at, blksize: BLOCK_BYTES, blocks: Math.ceil(size / BLOCK_BYTES) };
    },
    setattr(node, attr) {
      if (attr.mtime != null) node.mtime = attr.mtime;
      if (attr.size === undefined || attr.size === node.bytes.length) return;
      const kept = Buffer.alloc(attr.size);
      node.bytes.copy(kept);
      power.write(() => fs.truncateSync(hostPath(node), attr.size), () => {});
      node.bytes = kept;
    },
    lookup() { throw new FS.ErrnoError(ENOENT); },
    mknod(parent, name, mode) {
      const at = path.join(hostPath(parent), name);
      power.write(() => (FS.isDir(mode) ? fs.mkdirSync(at) : fs.writeFileSync(at, '')));
      return create(parent, name, mode);
    },
    rename(node, parent, name) {
      const target = parent.children[name];
      if (target && FS.isDir(target.mode) && Object.keys(target.children).length) throw new FS.ErrnoError(ENOTEMPTY);
      const from = hostPath(node);
      power.write(() => fs.renameSync(from, path.join(hostPath(parent), name)));
      if (target) FS.hashRemoveNode(target);
      delete node.parent.children[node.name];
      parent.children[name] = node;
      node.name = name;
    },
    unlink(parent, name) {
      power.write(() => fs.unlinkSync(path.join(hostPath(parent), name)));
      delete parent.children[name];
    },
    rmdir(parent, name) {
      if (Object.keys(parent.children[name].children).length) throw new FS.ErrnoError(ENOTEMPTY);
      power.write(() => fs.rmdirSync(path.join(hostPath(parent), name)));
      delete parent.children[name];
    },
    readdir: (node) => ['.', '..', ...Object.keys(node.children)],
  };
  const streamOps = {
    llseek(stream, offset, whence) {
      const origin = whence === 1 ? stream.position : whence === 2 ? stream.node.bytes.length : 0;
      if (origin + offset < 0) throw new FS.ErrnoError(EINVAL);
      return origin + offset;
    },
    read(stream, buffer, offset, length, position) {
      const piece = stream.node.bytes.subarray(position, position + length);
      buffer.set(piece, offset);
      return piece.length;
    },
    write(stream, buffer, offset, length, position) {
      const node = stream.node;
      const bytes = Buffer.from(buffer.subarray(offset, offset + length));
      if (node.bytes.length < position + length) node.bytes = Buffer.concat([node.bytes, Buffer.alloc(position + length - node.bytes.length)]);
      for (let at = 0; at < length; at += BLOCK_BYTES) {
        const piece = bytes.subarray(at, at + BLOCK_BYTES);
        power.write(() => patch(node, position + at, piece), () => patch(node, position + at, piece.subarray(0, piece.length >> 1)));
      }
      bytes.copy(node.bytes, position);
      node.mtime = Date.now();
      return length;
    },
  };
  return {
    mount() {
      const root = create(null, '/', DIR);
      load(root, hostRoot);
      return root;
    },
  };
}
