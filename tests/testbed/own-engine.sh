#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs dockerd as process 1 of namespaces of its own: own-engine.sh dockerd ARGUMENT...
set -e

# In a chroot the root is no mount, and no container could pivot from it: make it one.
if ! awk '$5 == "/" { found = 1 } END { exit !found }' /proc/self/mountinfo; then
	root=$(mktemp -d)
	mount --rbind / "$root"
	cd "$root"
	mount --move . / || {
		umount --recursive "$root"
		echo "in this chroot no container can have a root of its own"
		exit 1
	}
	exec chroot . "$0" "$@"
fi
# What is mounted from here on stays here.
mount --make-rprivate /

# Where nobody has mounted control groups (a plain chroot): here only, gone with the namespace.
if ! grep -q ' cgroup2\? ' /proc/mounts; then
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
exec "$@"
