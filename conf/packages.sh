# Sourced by quickstart and check: which Debian packages are needed, and how
# the missing ones are installed. Says nothing when there is nothing to do.

BUILD_PACKAGES="gcc libc6-dev make autoconf automake pkg-config
	libssl-dev libsqlite3-dev libjansson-dev libunbound-dev libcrypt-dev
	libidn2-dev libunistring-dev libseccomp-dev libmilter-dev libpam0g-dev
	libopendkim-dev libcurl4-openssl-dev libgsasl-dev zlib1g-dev libzstd-dev
	libexpat1-dev libldns-dev dns-root-data"
RUN_PACKAGES="openssl python3 ca-certificates"
# clients and filters of the wire tests, clang for libFuzzer
TEST_PACKAGES="libcmocka-dev knot knot-dnsutils msmtp gsasl
	python3-aiosmtpd node-nodemailer perl libnet-ssleay-perl curl swaks isync neomutt
	mutt offlineimap3 getmail6 fetchmail mpop
	rspamd miltertest mandoc
	opendkim opendkim-tools opendmarc dbconfig-no-thanks
	spamass-milter spamassassin spamc spamd busybox-syslogd
	clamav-daemon clamav-milter mimedefang python3-milter
	python3-spf python3-yaml python3-dkim python3-nacl
	bsdextrautils git xz-utils g++ clang
	libclang-rt-14-dev"

# packages_missing NAME... : those that are not installed, one a line
packages_missing() {
	for p in "$@"; do
		dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null |
			grep -qx installed || echo "$p"
	done
}

# Package scripts must not start daemons here. A policy file that is there
# already is somebody's decision and is left alone.
POLICY=/usr/sbin/policy-rc.d
policy_add() {
	[ -e $POLICY ] && return 1
	printf '#!/bin/sh\nexit 101\n' | $1 tee $POLICY >/dev/null &&
		$1 chmod 755 $POLICY
}

# packages_install LOG NAME... : 0 when all are there afterwards
packages_install() {
	pk_log=$1; shift
	pk_need=$(packages_missing "$@")
	[ -n "$pk_need" ] || return 0
	if ! command -v apt-get >/dev/null 2>&1; then
		echo "no apt-get here; please install: "$pk_need >&2
		return 1
	fi
	pk_sudo=
	if [ "$(id -u)" != 0 ]; then
		if ! sudo -n true 2>/dev/null && [ ! -t 0 ]; then
			echo "please run as root: apt-get install" \
				"--no-install-recommends "$pk_need >&2
			return 1
		fi
		pk_sudo=sudo
	fi
	pk_mine=
	policy_add "$pk_sudo" && pk_mine=1
	pk_rc=0
	{
		$pk_sudo apt-get -q update || :
		$pk_sudo env DEBIAN_FRONTEND=noninteractive apt-get -qy \
			-o DPkg::Lock::Timeout=300 \
			install --no-install-recommends $pk_need
	} >>"$pk_log" 2>&1 </dev/null || pk_rc=1
	[ -z "$pk_mine" ] || $pk_sudo rm -f $POLICY
	return $pk_rc
}
