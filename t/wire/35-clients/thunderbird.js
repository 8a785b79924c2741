// thunderbird.js - what thunderbird.t asks of Thunderbird, in its own words.
// Runs inside it: the arguments are the name of a step, what it needs, and
// the function that takes its answer.
'use strict';
const { MailServices } = ChromeUtils.importESModule(
	'resource:///modules/MailServices.sys.mjs');
const [step, args, finish] = arguments;

const listener = (resolve, reject) => ({
	QueryInterface: ChromeUtils.generateQI(['nsIUrlListener',
		'nsIMsgCopyServiceListener', 'nsIMsgSendListener']),
	ended: status => Components.isSuccessCode(status) ? resolve() :
		reject(new Error(`status ${status.toString(16)}`)),
	OnStartRunningUrl() {},
	OnStopRunningUrl(url, status) { this.ended(status); },
	onStartCopy() {}, onProgress() {}, setMessageKey() {},
	getMessageId() { return null; },
	onStopCopy(status) { this.ended(status); },
	onStartSending() {}, onSendProgress() {}, onStatus() {},
	onGetDraftFolderURI() {}, onSendNotPerformed() {},
	onTransportSecurityError() {},
	onStopSending(id, status) { this.ended(status); },
});
const waited = act => new Promise((resolve, reject) =>
	act(listener(resolve, reject)));

const server = () => MailServices.accounts.allServers.find(
	s => s.type === 'imap');
const folder = name => name === 'INBOX' ?
	server().rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox) :
	server().rootFolder.getChildNamed(name);
const update = f => waited(l => f.QueryInterface(
	Ci.nsIMsgImapMailFolder).updateFolderWithListener(null, l));
const messages = f => [...f.messages];
const find = (f, subject) => messages(f).find(
	m => m.mime2DecodedSubject === subject);
const until = async condition => {
	while (!condition())
		await new Promise(resolve => setTimeout(resolve, 100));
};

const trust = (certificate, ports) => {
	const made = Cc['@mozilla.org/security/x509certdb;1'].getService(
		Ci.nsIX509CertDB).constructX509FromBase64(certificate);
	const overrides = Cc['@mozilla.org/security/certoverride;1'].getService(
		Ci.nsICertOverrideService);

	for (const port of ports)
		overrides.rememberValidityOverride('localhost', port, {}, made,
			true);
};

const read = (f, message) => new Promise((resolve, reject) => {
	let text = '';
	const uri = f.getUriForMsg(message);

	MailServices.messageServiceFromURI(uri).streamMessage(uri, {
		QueryInterface: ChromeUtils.generateQI(['nsIStreamListener']),
		onStartRequest() {},
		onDataAvailable(request, stream, offset, count) {
			const binary = Cc['@mozilla.org/binaryinputstream;1']
				.createInstance(Ci.nsIBinaryInputStream);

			binary.setInputStream(stream);
			text += binary.readBytes(count);
		},
		onStopRequest(request, status) {
			if (Components.isSuccessCode(status))
				resolve(btoa(text));
			else
				reject(new Error(`status ${status}`));
		},
	}, null, null, false, '', false);
});

const steps = {
	async begin({ user, password, imaps, submissions, certificate }) {
		trust(certificate, [imaps, submissions]);
		const incoming = MailServices.accounts.createIncomingServer(user,
			'localhost', 'imap');
		incoming.port = imaps;
		incoming.socketType = Ci.nsMsgSocketType.SSL;
		incoming.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
		incoming.password = password;
		const outgoing = MailServices.outgoingServer.createServer('smtp');
		outgoing.QueryInterface(Ci.nsISmtpServer);
		outgoing.hostname = 'localhost';
		outgoing.port = submissions;
		outgoing.socketType = Ci.nsMsgSocketType.SSL;
		outgoing.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
		outgoing.username = user;
		outgoing.password = password;
		const identity = MailServices.accounts.createIdentity();
		identity.email = user;
		identity.fullName = 'Bob';
		identity.smtpServerKey = outgoing.key;
		const account = MailServices.accounts.createAccount();
		account.incomingServer = incoming;
		account.addIdentity(identity);
		incoming.performExpand(null);
		await until(() => folder('INBOX') && folder('Archive'));
		await update(folder('INBOX'));
		return folder('INBOX').getTotalMessages(false);
	},
	async read() {
		const out = {};

		for (const message of messages(folder('INBOX')))
			out[message.mime2DecodedSubject] = await read(
				folder('INBOX'), message);
		return out;
	},
	async flag({ subject }) {
		const inbox = folder('INBOX');

		inbox.markMessagesRead([find(inbox, subject)], true);
		inbox.markMessagesFlagged([find(inbox, subject)], true);
		await update(inbox);
		return true;
	},
	async move({ subject }) {
		const inbox = folder('INBOX');

		/* Its listener hears nothing of a move: the folder is watched. */
		MailServices.copy.copyMessages(inbox, [find(inbox, subject)],
			folder('Archive'), true, null, null, false);
		await until(() => !find(inbox, subject));
		return true;
	},
	async arrives({ subject }) {
		await until(() => find(folder('INBOX'), subject));
		return true;
	},
	async vanishes({ subject }) {
		await until(() => !find(folder('INBOX'), subject));
		return folder('INBOX').getTotalMessages(false);
	},
	async send({ path }) {
		const identity = MailServices.accounts.defaultAccount ?
			MailServices.accounts.allIdentities[0] : null;
		const fields = Cc['@mozilla.org/messengercompose/composefields;1']
			.createInstance(Ci.nsIMsgCompFields);
		const file = Cc['@mozilla.org/file/local;1'].createInstance(
			Ci.nsIFile);

		file.initWithPath(path);
		fields.from = identity.email;
		fields.to = 'alice@example.test';
		identity.fccFolderURI = folder('Sent').URI;
		await waited(l => Cc['@mozilla.org/messengercompose/send;1']
			.createInstance(Ci.nsIMsgSend).sendMessageFile(identity,
				'', fields, file, false, false,
				Ci.nsIMsgSend.nsMsgDeliverNow, null, l, null, ''));
		return true;
	},
};

steps[step](args).then(value => finish({ value }),
	error => finish({ error: `${error}\n${error.stack}` }));
