// SPDX-License-Identifier: PMPL-1.0-or-later
/* The first program of a Linux guest that runs one other: mounts what programs expect, raises the loopback, runs
 * /program with this program's own arguments, says how it ended, and resets the machine, which ends the emulator.
 *   gcc -O2 -static -o init peer-init.c
 * Arguments come from the kernel's command line, behind "--". Next: build/src/bench/linux-peer.ts.
 */
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	(void)argc;
	mkdir("/proc", 0755);
	mkdir("/dev", 0755);
	mkdir("/tmp", 01777);
	mount("proc", "/proc", "proc", 0, 0);
	mount("devtmpfs", "/dev", "devtmpfs", 0, 0);
	mount("tmpfs", "/tmp", "tmpfs", 0, 0);
	int s = socket(AF_INET6, SOCK_DGRAM, 0);
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	ioctl(s, SIOCSIFFLAGS, &lo);
	close(s);
	int status = -1;
	pid_t child = fork();
	if (!child) {
		argv[0] = "/program";
		execv(argv[0], argv);
		_exit(127);
	}
	waitpid(child, &status, 0);
	printf("peer: ended %d\n", status);
	fflush(stdout);
	sync();
	reboot(RB_AUTOBOOT);
	return 0;
}
