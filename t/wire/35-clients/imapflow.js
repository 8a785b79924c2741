// imapflow.js - what sync.t lets imapflow do: read all of a mailbox, append,
// move, flag, idle, and come back with QRESYNC after another one changed it.
'use strict';
const fs = require('fs');
const path = require('path');

const where = JSON.parse(process.argv[2]);
const { ImapFlow } = require(path.join(where.modules, 'imapflow'));

const connect = async () => {
	const client = new ImapFlow({
		host: 'localhost', port: where.port, secure: true, qresync: true,
		auth: { user: where.user, pass: where.password }, logger: false,
	});
	await client.connect();
	return client;
};

const once = (emitter, name) =>
	new Promise(resolve => emitter.once(name, resolve));

const readAll = async client => {
	const out = fs.openSync(where.out, 'w');
	const sizes = [];

	for await (const m of client.fetch('1:*', { source: true, uid: true })) {
		fs.writeSync(out, m.source);
		sizes.push(m.source.length);
	}
	fs.closeSync(out);
	return sizes;
};

const main = async () => {
	const one = await connect();
	const box = await one.mailboxOpen('big');
	const said = { sizes: await readAll(one) };
	const since = box.highestModseq;
	const other = await connect();

	await other.mailboxOpen('big');
	const moved = await other.messageMove('3:4', 'Archive', { uid: true });
	said.moved = [...moved.uidMap.keys()];
	await one.noop();

	const exists = once(one, 'exists');
	const idle = one.idle();
	const added = await other.append('big', 'Subject: new\r\n\r\nnew\r\n',
		['\\Seen']);
	said.appended = added.uid === where.many + 1;
	await exists;
	await one.noop();
	await idle;

	await one.mailboxClose();
	await other.messageFlagsAdd('10:11', ['\\Flagged'], { uid: true });
	await other.messageDelete('6:7', { uid: true });
	said.found = await other.search({ flagged: true }, { uid: true });

	const vanished = [];
	one.on('expunge', e => { if (e.vanished) vanished.push(e.uid); });
	const again = await one.mailboxOpen('big');
	said.exists = again.exists;
	said.changed = [];
	for await (const m of one.fetch('1:*', { flags: true, uid: true },
		{ uid: true, changedSince: since })) {
		if (m.flags.has('\\Flagged'))
			said.changed.push(m.uid);
	}
	said.vanished = vanished.filter(uid => uid > 4);
	await one.logout();
	await other.logout();
	console.log(JSON.stringify(said));
};

main().catch(error => {
	console.error(error);
	process.exit(1);
});
