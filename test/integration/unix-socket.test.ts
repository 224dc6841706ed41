// Real sockets: who may connect, what is removed, and what is said when it cannot be.
import assert from 'node:assert/strict';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { listenOnUnixSocket } from '../../src/server/unix-socket.ts';
import { startProcess } from '../support/process.ts';
import { createSocketFolder } from '../support/sockets.ts';

const sockets = createSocketFolder();
const servers: Server[] = [];
const server = () => {
  const made = createServer();
  servers.push(made);
  return made;
};
after(async () => {
  for (const each of servers) if (each.listening) await new Promise((resolve) => each.close(resolve));
  sockets.remove();
});

test('a socket has exactly the mode of the configuration, and the process keeps its mask', async () => {
  const mask = process.umask(0o002);
  try {
    for (const mode of [0o600, 0o660, 0o666]) {
      const address = sockets.address(`mode-${mode.toString(8)}.sock`, mode);
      assert.equal(await listenOnUnixSocket(server(), address), `unix://${address.path}`);
      assert.equal(statSync(address.path).mode & 0o777, mode);
    }
    assert.equal(process.umask(), 0o002);
  } finally {
    process.umask(mask);
  }
});

test('a living socket is left alone and named', async () => {
  const address = sockets.address('living.sock');
  await listenOnUnixSocket(server(), address);
  await assert.rejects(listenOnUnixSocket(server(), address), /living\.sock: another process listens/);
  assert.ok(existsSync(address.path));
});

test('a socket that a killed process left behind is replaced', async () => {
  const address = sockets.address('stale.sock');
  const script = `require('net').createServer().listen(${JSON.stringify(address.path)}, () => console.log('up'))`;
  const child = await startProcess(process.execPath, ['-e', script]);
  await child.waitForOutput(/up/);
  child.child.kill('SIGKILL');
  await child.exited;
  assert.ok(existsSync(address.path), 'it was left behind');
  await listenOnUnixSocket(server(), address);
});

test('a file, a missing directory, a relative or long path and an unknown group are refused by name', async () => {
  const file = sockets.address('file.sock');
  writeFileSync(file.path, 'kept');
  await assert.rejects(
    listenOnUnixSocket(server(), file),
    /file\.sock: there is a file that is not a socket/,
  );
  const nowhere = sockets.address(join('missing', 'x.sock'));
  await assert.rejects(
    listenOnUnixSocket(server(), nowhere),
    /the directory .*missing does not exist: create it/,
  );
  const base = sockets.address('x.sock');
  await assert.rejects(listenOnUnixSocket(server(), { ...base, path: 'x.sock' }), /a path from the root/);
  await assert.rejects(listenOnUnixSocket(server(), { ...base, path: '\0x' }), /a path from the root/);
  const long = sockets.address('x'.repeat(120));
  await assert.rejects(listenOnUnixSocket(server(), long), /longer than 107 bytes/);
  const group = { ...base, group: 'no-such-group-here' };
  await assert.rejects(listenOnUnixSocket(server(), group), /no group "no-such-group-here"/);
});

test('a group is set by name or number', async () => {
  const gid = process.getgid!();
  const address = { ...sockets.address('group.sock'), group: gid };
  await listenOnUnixSocket(server(), address);
  assert.equal(statSync(address.path).gid, gid);
  const named = { ...sockets.address('named.sock'), group: 'root' };
  if (process.getuid!() === 0) {
    await listenOnUnixSocket(server(), named);
    assert.equal(statSync(named.path).gid, 0);
  }
});
