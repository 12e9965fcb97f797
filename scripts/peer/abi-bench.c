// SPDX-License-Identifier: PMPL-1.0-or-later
/* abi-bench: what one Linux ABI primitive costs.  One file, no dependencies.
 *   gcc -O2 -static -pthread -o abi-bench abi-bench.c      (or musl-gcc)
 *   abi-bench [-s SCALE_PERCENT] [-d DIR] [NAME...]
 * Prints: name iterations ns_per_op   (one line each; "name skip errno" when not supported)
 * The clock is CLOCK_MONOTONIC by the syscall, so it needs no vdso.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long scale = 100;
static char dir[256] = "/tmp";
static char *self;
static int fail;			/* errno of the first thing that did not work */

static uint64_t now(void)
{
	struct timespec t;
	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + t.tv_nsec;
}
#define CK(x) do { if ((long)(x) < 0) { fail = errno ? errno : 1; return 0; } } while (0)

/* every test: run n operations, return elapsed ns (0 = failed, see fail) */
typedef uint64_t test_fn(long n);

static uint64_t t_loop(long n)
{
	uint64_t s = now();
	for (long i = 0; i < n; i++)
		__asm__ volatile("" ::: "memory");
	return now() - s;
}
static uint64_t t_getpid(long n)
{
	uint64_t s = now();
	for (long i = 0; i < n; i++)
		syscall(SYS_getpid);
	return now() - s;
}
static uint64_t t_clock_libc(long n)
{
	struct timespec t;
	uint64_t s = now();
	for (long i = 0; i < n; i++)
		clock_gettime(CLOCK_MONOTONIC, &t);
	return now() - s;
}
static uint64_t t_clock_sys(long n)
{
	struct timespec t;
	uint64_t s = now();
	for (long i = 0; i < n; i++)
		syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
	return now() - s;
}
static uint64_t t_read1(long n)
{
	char c;
	int f = open("/dev/zero", O_RDONLY);
	CK(f);
	uint64_t s = now();
	for (long i = 0; i < n; i++)
		CK(read(f, &c, 1));
	s = now() - s;
	close(f);
	return s;
}
static uint64_t t_write1(long n)
{
	char c = 0;
	int f = open("/dev/null", O_WRONLY);
	CK(f);
	uint64_t s = now();
	for (long i = 0; i < n; i++)
		CK(write(f, &c, 1));
	s = now() - s;
	close(f);
	return s;
}
static uint64_t t_openclose(long n)
{
	uint64_t s = now();
	for (long i = 0; i < n; i++) {
		int f = open("/dev/null", O_RDONLY);
		CK(f);
		close(f);
	}
	return now() - s;
}
static uint64_t t_stat(long n)
{
	struct stat b;
	uint64_t s = now();
	for (long i = 0; i < n; i++)
		CK(stat("/proc/self/exe", &b) < 0 ? stat("/", &b) : 0);
	return now() - s;
}
static uint64_t t_stat_file(long n)
{
	struct stat b;
	char p[300];
	snprintf(p, sizeof p, "%s/abi-bench.s", dir);
	int f = open(p, O_CREAT | O_RDWR, 0600);
	CK(f);
	close(f);
	uint64_t s = now();
	for (long i = 0; i < n; i++)
		CK(stat(p, &b));
	s = now() - s;
	unlink(p);
	return s;
}
static uint64_t t_creat_unlink(long n)
{
	char p[300];
	snprintf(p, sizeof p, "%s/abi-bench.c", dir);
	uint64_t s = now();
	for (long i = 0; i < n; i++) {
		int f = open(p, O_CREAT | O_EXCL | O_RDWR, 0600);
		CK(f);
		close(f);
		CK(unlink(p));
	}
	return now() - s;
}
static uint64_t t_readdir100(long n)
{
	char p[300], q[330];
	snprintf(p, sizeof p, "%s/abi-bench.d", dir);
	mkdir(p, 0700);
	for (int i = 0; i < 100; i++) {
		snprintf(q, sizeof q, "%s/entry%03d", p, i);
		int f = open(q, O_CREAT | O_RDWR, 0600);
		CK(f);
		close(f);
	}
	uint64_t s = now();
	for (long i = 0; i < n; i++) {
		DIR *d = opendir(p);
		if (!d) { fail = errno; return 0; }
		int c = 0;
		while (readdir(d))
			c++;
		closedir(d);
		if (c < 100) { fail = EIO; return 0; }
	}
	s = now() - s;
	for (int i = 0; i < 100; i++) {
		snprintf(q, sizeof q, "%s/entry%03d", p, i);
		unlink(q);
	}
	rmdir(p);
	return s;
}
static uint64_t t_fsync4k(long n)
{
	char p[300];
	static char b[4096];
	snprintf(p, sizeof p, "%s/abi-bench.f", dir);
	int f = open(p, O_CREAT | O_TRUNC | O_RDWR, 0600);
	CK(f);
	uint64_t s = now();
	for (long i = 0; i < n; i++) {
		b[0]++;
		CK(pwrite(f, b, sizeof b, (i & 63) * 4096));
		CK(fsync(f));
	}
	s = now() - s;
	close(f);
	unlink(p);
	return s;
}
#define SEQ (64l << 20)
static uint64_t seq(int which)
{
	char p[300];
	static char b[65536];
	uint64_t r = 0, s;
	snprintf(p, sizeof p, "%s/abi-bench.q", dir);
	int f = open(p, O_CREAT | O_TRUNC | O_RDWR, 0600);
	CK(f);
	s = now();
	for (long o = 0; o < SEQ; o += sizeof b)
		CK(write(f, b, sizeof b) - (long)sizeof b);
	if (which == 0)
		r = now() - s;
	fsync(f);
	if (which == 2)
		posix_fadvise(f, 0, 0, POSIX_FADV_DONTNEED);
	lseek(f, 0, SEEK_SET);
	s = now();
	for (long o = 0; o < SEQ; o += sizeof b)
		CK(read(f, b, sizeof b) - (long)sizeof b);
	if (which)
		r = now() - s;
	close(f);
	unlink(p);
	return r;
}
static uint64_t t_seqwrite(long n) { (void)n; return seq(0); }
static uint64_t t_seqread(long n) { (void)n; return seq(1); }
static uint64_t t_seqread_cold(long n) { (void)n; return seq(2); }

/* ping-pong over a pair of descriptors each way, with a forked child */
static uint64_t pingpong(int r0, int w0, int r1, int w1, long n)
{
	char c = 1;
	pid_t p = fork();
	CK(p);
	if (!p) {
		for (;;) {
			if (read(r0, &c, 1) != 1)
				_exit(1);
			if (c == 2)
				_exit(0);
			if (write(w1, &c, 1) != 1)
				_exit(1);
		}
	}
	uint64_t s = 0;
	for (long i = -8; i < n; i++) {
		if (i == 0)
			s = now();
		if (write(w0, &c, 1) != 1 || read(r1, &c, 1) != 1) { fail = errno; break; }
	}
	s = now() - s;
	c = 2;
	if (write(w0, &c, 1) < 0)
		kill(p, SIGKILL);
	waitpid(p, 0, 0);
	return fail ? 0 : s;
}
static uint64_t t_pipe(long n)
{
	int a[2], b[2];
	CK(pipe(a));
	CK(pipe(b));
	uint64_t s = pingpong(a[0], a[1], b[0], b[1], n);
	close(a[0]); close(a[1]); close(b[0]); close(b[1]);
	return s;
}
static uint64_t t_unix(long n)
{
	int a[2];
	CK(socketpair(AF_UNIX, SOCK_STREAM, 0, a));
	uint64_t s = pingpong(a[1], a[0], a[0], a[1], n);
	close(a[0]); close(a[1]);
	return s;
}
static uint64_t t_pipe_self(long n)
{
	int a[2];
	char c = 1;
	CK(pipe(a));
	uint64_t s = now();
	for (long i = 0; i < n; i++) {
		CK(write(a[1], &c, 1));
		CK(read(a[0], &c, 1));
	}
	s = now() - s;
	close(a[0]); close(a[1]);
	return s;
}
static uint64_t t_scm(long n)
{
	int a[2];
	CK(socketpair(AF_UNIX, SOCK_STREAM, 0, a));
	uint64_t s = now();
	for (long i = 0; i < n; i++) {
		char c = 0;
		union { struct cmsghdr h; char b[CMSG_SPACE(sizeof(int))]; } u;
		struct iovec v = { &c, 1 };
		struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof u };
		memset(&u, 0, sizeof u);
		u.h.cmsg_level = SOL_SOCKET; u.h.cmsg_type = SCM_RIGHTS; u.h.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&u.h), &a[0], sizeof(int));
		CK(sendmsg(a[0], &m, 0));
		m.msg_controllen = sizeof u;
		CK(recvmsg(a[1], &m, 0));
		int f;
		memcpy(&f, CMSG_DATA(&u.h), sizeof f);
		CK(close(f));
	}
	s = now() - s;
	close(a[0]); close(a[1]);
	return s;
}
static int tcp6(int *c, int *d)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	socklen_t l = sizeof a;
	int one = 1, s = socket(AF_INET6, SOCK_STREAM, 0);
	if (s < 0 || bind(s, (void *)&a, l) || listen(s, 1) || getsockname(s, (void *)&a, &l))
		return -1;
	*c = socket(AF_INET6, SOCK_STREAM, 0);
	if (*c < 0 || connect(*c, (void *)&a, l))
		return -1;
	*d = accept(s, 0, 0);
	if (*d < 0)
		return -1;
	setsockopt(*c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(*d, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	close(s);
	return 0;
}
static uint64_t t_tcp6(long n)
{
	int c, d;
	CK(tcp6(&c, &d));
	uint64_t s = pingpong(d, c, c, d, n);
	close(c); close(d);
	return s;
}
static uint64_t t_tcp6_connect(long n)
{
	uint64_t s = now();
	for (long i = 0; i < n; i++) {
		int c, d;
		CK(tcp6(&c, &d));
		close(c); close(d);
	}
	return now() - s;
}
#define THR (32l << 20)
static uint64_t thr(int c, int d)
{
	static char b[65536];
	uint64_t s = now();
	pid_t p = fork();
	CK(p);
	if (!p) {
		close(d);
		for (long o = 0; o < THR;) {
			long r = write(c, b, THR - o < (long)sizeof b ? THR - o : (long)sizeof b);
			if (r <= 0)
				_exit(1);
			o += r;
		}
		_exit(0);
	}
	close(c);
	for (long o = 0; o < THR;) {
		long r = read(d, b, sizeof b);
		if (r <= 0) { fail = errno ? errno : EPIPE; break; }
		o += r;
	}
	s = now() - s;
	close(d);
	waitpid(p, 0, 0);
	return fail ? 0 : s;
}
static uint64_t t_tcp6_thr(long n) { int c, d; (void)n; CK(tcp6(&c, &d)); return thr(c, d); }
static uint64_t t_unix_thr(long n) { int a[2]; (void)n; CK(socketpair(AF_UNIX, SOCK_STREAM, 0, a)); return thr(a[0], a[1]); }
static uint64_t t_pipe_thr(long n) { int a[2]; (void)n; CK(pipe(a)); return thr(a[1], a[0]); }

/* futex ping-pong between two threads */
static atomic_int fut;
static long fut_n;
static void fwait(int v) { syscall(SYS_futex, &fut, FUTEX_WAIT_PRIVATE, v, 0, 0, 0); }
static void fwake(void) { syscall(SYS_futex, &fut, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0); }
static void *fut_thread(void *x)
{
	(void)x;
	for (long i = 0; i < fut_n; i++) {
		while (atomic_load(&fut) != 1)
			fwait(0);
		atomic_store(&fut, 0);
		fwake();
	}
	return 0;
}
static uint64_t t_futex(long n)
{
	pthread_t t;
	atomic_store(&fut, 0);
	fut_n = n;
	int e = pthread_create(&t, 0, fut_thread, 0);
	if (e) { fail = e; return 0; }
	uint64_t s = now();
	for (long i = 0; i < n; i++) {
		atomic_store(&fut, 1);
		fwake();
		while (atomic_load(&fut) != 0)
			fwait(1);
	}
	s = now() - s;
	pthread_join(t, 0);
	return s;
}
static uint64_t t_futex_wake_none(long n)
{
	uint64_t s = now();
	for (long i = 0; i < n; i++)
		fwake();
	return now() - s;
}
static uint64_t t_mmap(long n)
{
	uint64_t s = now();
	for (long i = 0; i < n; i++) {
		void *p = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED) { fail = errno; return 0; }
		munmap(p, 65536);
	}
	return now() - s;
}
static uint64_t t_fault(long n)
{
	uint64_t s = 0;
	for (long left = n; left > 0; left -= 256) {
		volatile char *p = mmap(0, 256 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED) { fail = errno; return 0; }
		madvise((void *)p, 256 * 4096, MADV_NOHUGEPAGE);
		uint64_t a = now();
		for (int i = 0; i < 256; i++)
			p[i * 4096l] = 1;
		s += now() - a;
		munmap((void *)p, 256 * 4096);
	}
	return s;
}
static uint64_t t_mprotect(long n)
{
	void *p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) { fail = errno; return 0; }
	*(volatile char *)p = 1;
	uint64_t s = now();
	for (long i = 0; i < n; i++)
		CK(mprotect(p, 4096, i & 1 ? PROT_READ | PROT_WRITE : PROT_READ));
	s = now() - s;
	munmap(p, 4096);
	return s;
}
static uint64_t t_fork(long n)
{
	uint64_t s = now();
	for (long i = 0; i < n; i++) {
		pid_t p = fork();
		CK(p);
		if (!p)
			_exit(0);
		CK(waitpid(p, 0, 0));
	}
	return now() - s;
}
static uint64_t exec_n(long n, int v)
{
	char *a[] = { self, "--exit", 0 }, *e[] = { 0 };
	uint64_t s = now();
	for (volatile long i = 0; i < n; i++) {
		pid_t p = v ? vfork() : fork();
		CK(p);
		if (!p) {
			execve(self, a, e);
			_exit(127);
		}
		int st;
		CK(waitpid(p, &st, 0));
		if (st) { fail = ENOEXEC; return 0; }
	}
	return now() - s;
}
static uint64_t t_forkexec(long n) { return exec_n(n, 0); }
static uint64_t t_vforkexec(long n) { return exec_n(n, 1); }
static void *nop(void *x) { return x; }
static uint64_t t_thread(long n)
{
	uint64_t s = now();
	for (long i = 0; i < n; i++) {
		pthread_t t;
		int e = pthread_create(&t, 0, nop, 0);
		if (e) { fail = e; return 0; }
		pthread_join(t, 0);
	}
	return now() - s;
}
static uint64_t t_epoll(long n)
{
	int e = epoll_create1(0), v = eventfd(1, 0);
	struct epoll_event ev = { .events = EPOLLIN }, o[8];
	CK(e);
	CK(v);
	CK(epoll_ctl(e, EPOLL_CTL_ADD, v, &ev));
	uint64_t s = now();
	for (long i = 0; i < n; i++)
		CK(epoll_wait(e, o, 8, -1));
	s = now() - s;
	close(e); close(v);
	return s;
}
static uint64_t t_epoll0(long n)
{
	int e = epoll_create1(0);
	struct epoll_event o[8];
	CK(e);
	uint64_t s = now();
	for (long i = 0; i < n; i++)
		CK(epoll_wait(e, o, 8, 0));
	s = now() - s;
	close(e);
	return s;
}
static uint64_t t_poll(long n)
{
	int v = eventfd(1, 0);
	CK(v);
	struct pollfd p = { v, POLLIN, 0 };
	uint64_t s = now();
	for (long i = 0; i < n; i++)
		CK(poll(&p, 1, -1));
	s = now() - s;
	close(v);
	return s;
}
static volatile long sigs;
static void on_sig(int s) { (void)s; sigs++; }
static uint64_t t_signal(long n)
{
	struct sigaction a = { .sa_handler = on_sig };
	CK(sigaction(SIGUSR1, &a, 0));
	sigs = 0;
	pid_t me = getpid();
	uint64_t s = now();
	for (long i = 0; i < n; i++)
		CK(kill(me, SIGUSR1));
	s = now() - s;
	if (sigs != n) { fail = EIO; return 0; }
	return s;
}
static uint64_t t_sigprocmask(long n)
{
	sigset_t m;
	sigemptyset(&m);
	sigaddset(&m, SIGUSR2);
	uint64_t s = now();
	for (long i = 0; i < n; i++)
		CK(sigprocmask(i & 1 ? SIG_UNBLOCK : SIG_BLOCK, &m, 0));
	return now() - s;
}
/* two processes on one CPU that yield to each other: one op = one switch */
static uint64_t t_ctxsw(long n)
{
	cpu_set_t old, c;
	CPU_ZERO(&c);
	CPU_SET(0, &c);
	int pin = !sched_getaffinity(0, sizeof old, &old) && !sched_setaffinity(0, sizeof c, &c);
	int a[2], b[2];
	CK(pipe(a));
	CK(pipe(b));
	uint64_t s = pingpong(a[0], a[1], b[0], b[1], n);
	close(a[0]); close(a[1]); close(b[0]); close(b[1]);
	if (pin)
		sched_setaffinity(0, sizeof old, &old);
	return s / 2;
}
static uint64_t t_yield(long n)
{
	uint64_t s = now();
	for (long i = 0; i < n; i++)
		sched_yield();
	return now() - s;
}
static uint64_t t_nanosleep(long n)
{
	struct timespec t = { 0, 1000 };
	uint64_t s = now();
	for (long i = 0; i < n; i++)
		CK(nanosleep(&t, 0));
	return now() - s;
}

static const struct { const char *name; test_fn *f; long n; } T[] = {
	{ "loop", t_loop, 20000000 },
	{ "getpid", t_getpid, 200000 },
	{ "clock_gettime_libc", t_clock_libc, 200000 },
	{ "clock_gettime_syscall", t_clock_sys, 200000 },
	{ "read1_zero", t_read1, 100000 },
	{ "write1_null", t_write1, 100000 },
	{ "open_close_null", t_openclose, 20000 },
	{ "stat_proc_self_exe", t_stat, 20000 },
	{ "stat_file", t_stat_file, 20000 },
	{ "creat_unlink", t_creat_unlink, 2000 },
	{ "readdir_100", t_readdir100, 500 },
	{ "write_fsync_4k", t_fsync4k, 200 },
	{ "seq_write_64MiB", t_seqwrite, 1 },
	{ "seq_read_64MiB", t_seqread, 1 },
	{ "seq_read_64MiB_cold", t_seqread_cold, 1 },
	{ "pipe_self_1byte", t_pipe_self, 50000 },
	{ "pipe_pingpong_2proc", t_pipe, 10000 },
	{ "unix_pingpong_2proc", t_unix, 10000 },
	{ "tcp6_pingpong_2proc", t_tcp6, 5000 },
	{ "tcp6_connect_close", t_tcp6_connect, 500 },
	{ "tcp6_stream_32MiB", t_tcp6_thr, 1 },
	{ "unix_stream_32MiB", t_unix_thr, 1 },
	{ "pipe_stream_32MiB", t_pipe_thr, 1 },
	{ "scm_rights_1fd", t_scm, 10000 },
	{ "futex_pingpong_2thr", t_futex, 10000 },
	{ "futex_wake_none", t_futex_wake_none, 100000 },
	{ "ctxsw_pinned", t_ctxsw, 10000 },
	{ "sched_yield", t_yield, 50000 },
	{ "mmap_munmap_64k", t_mmap, 20000 },
	{ "page_fault_anon", t_fault, 51200 },
	{ "mprotect_4k", t_mprotect, 20000 },
	{ "fork_wait", t_fork, 300 },
	{ "fork_exec_wait", t_forkexec, 100 },
	{ "vfork_exec_wait", t_vforkexec, 100 },
	{ "thread_create_join", t_thread, 1000 },
	{ "epoll_wait_ready", t_epoll, 50000 },
	{ "epoll_wait_empty", t_epoll0, 50000 },
	{ "poll_ready", t_poll, 50000 },
	{ "signal_kill_handle", t_signal, 20000 },
	{ "sigprocmask", t_sigprocmask, 100000 },
	{ "nanosleep_1us", t_nanosleep, 500 },
};

int main(int argc, char **argv)
{
	int i = 1;
	if (argc > 1 && !strcmp(argv[1], "--exit"))
		_exit(0);
	static char me[4096];
	long l = readlink("/proc/self/exe", me, sizeof me - 1);
	self = l > 0 ? me : argv[0];
	signal(SIGPIPE, SIG_IGN);
	for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
		if (argv[i][1] == 's')
			scale = atol(argv[i + 1]);
		else if (argv[i][1] == 'd')
			snprintf(dir, sizeof dir, "%s", argv[i + 1]);
	}
	setvbuf(stdout, 0, _IOLBF, 0);
	for (unsigned k = 0; k < sizeof T / sizeof *T; k++) {
		int want = i >= argc;
		for (int j = i; j < argc; j++)
			want |= !strcmp(argv[j], T[k].name);
		if (!want)
			continue;
		long n = T[k].n == 1 ? 1 : T[k].n * scale / 100;
		if (n < 1)
			n = 1;
		fail = 0;
		errno = 0;
		fflush(stdout);
		uint64_t ns = T[k].f(n);
		if (fail)
			printf("%s skip %d\n", T[k].name, fail);
		else
			printf("%s %ld %llu.%01llu\n", T[k].name, n, (unsigned long long)(ns / n), (unsigned long long)(ns % n * 10 / n));
	}
	return 0;
}
