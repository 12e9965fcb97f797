/* SPDX-License-Identifier: PMPL-1.0-or-later
 * A TCG plugin that finds the longest runs of kernel instructions with interrupts off, and says them when the emulator ends.
 *
 * The kernel keeps interrupts off from each entry until it leaves to user code (`iretq`, `sysretq`) or idles (`sti`), so a run is
 * what a CPU executes in the upper half from one of these to the next. What comes before a CPU's first is its boot, and is not counted.
 * An iteration of a `rep` counts as an instruction, as it does under -icount.
 *
 * Build: cc -shared -fPIC -O2 -o interrupts-off.so interrupts-off.c; use: -plugin ./interrupts-off.so[,goal=5000][,must=20000] -d plugin.
 * Says, one line each:
 *   interrupts-off: longest=N runs=N over_goal=N over_must=N
 *   interrupts-off: run=N function=SYMBOL:N function=SYMBOL:N ...     the longest runs that differ in where most of them was
 *
 * The emulator's header is not packaged everywhere, so the declarations it needs (plugin interface version 1) stand here.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct qemu_info qemu_info_t;
typedef void (*translated_fn)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*executed_fn)(unsigned int cpu, void *);
typedef void (*exit_fn)(qemu_plugin_id_t, void *);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translated_fn);
uint64_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, uint64_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
uint64_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, executed_fn, int flags, void *);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, exit_fn, void *);
void qemu_plugin_outs(const char *);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;

enum { CPUS = 64, PLACES = 1024, LISTED = 12, NAMED = 6, BUCKETS = 1 << 16 };

/* A block of kernel code; blocks live for ever, translated again or not. */
struct block {
    struct block *next;
    uint64_t address;
    uint32_t instructions;
    uint32_t function;
    bool leaves; /* ends with interrupts on, or in user code */
    bool waits;  /* the `hlt` after `sti`: interrupts are on in it */
};

/* What one CPU is doing. */
static struct cpu {
    uint64_t run;
    uint32_t places; /* functions in `place` */
    bool counts;
    struct { uint32_t function; uint64_t instructions; } place[PLACES];
} cpus[CPUS];

static struct found {
    uint64_t run;
    uint32_t function[NAMED];
    uint64_t instructions[NAMED];
} longest[LISTED];

static struct block *blocks[BUCKETS];
static const char *functions[1 << 14] = { "?" };
static uint32_t function_count = 1;
static uint64_t runs, over_goal, over_must, goal = 5000, must = 20000;
static int lock;

static void take(void)
{
    while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
        ;
}

static void release(void)
{
    __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
}

static uint32_t function_of(const char *name)
{
    if (name == NULL || *name == 0)
        return 0;
    for (uint32_t n = 1; n < function_count; n++)
        if (strcmp(functions[n], name) == 0)
            return n;
    if (function_count == sizeof functions / sizeof *functions)
        return 0;
    functions[function_count] = strdup(name);
    return function_count++;
}

/* Keeps the longest run of each function that most of a run was in. Under the lock. */
static void keep(const struct cpu *cpu)
{
    struct found new = { .run = cpu->run };
    for (uint32_t n = 0; n < cpu->places; n++) {
        uint32_t function = cpu->place[n].function;
        uint64_t instructions = cpu->place[n].instructions;
        for (int at = 0; at < NAMED; at++) {
            if (instructions <= new.instructions[at])
                continue;
            uint64_t i = new.instructions[at];
            uint32_t f = new.function[at];
            new.instructions[at] = instructions, new.function[at] = function;
            instructions = i, function = f;
        }
    }
    int slot = LISTED - 1;
    for (int n = 0; n < LISTED; n++)
        if (longest[n].run > 0 && longest[n].function[0] == new.function[0])
            slot = n;
    if (longest[slot].run >= new.run)
        return;
    longest[slot] = new;
    for (int n = slot; n > 0 && longest[n].run > longest[n - 1].run; n--) {
        struct found higher = longest[n];
        longest[n] = longest[n - 1], longest[n - 1] = higher;
    }
}

static void end(struct cpu *cpu)
{
    if (cpu->counts && cpu->run > 0) {
        take();
        runs++;
        over_goal += cpu->run > goal;
        over_must += cpu->run > must;
        if (cpu->run > longest[LISTED - 1].run)
            keep(cpu);
        release();
    }
    cpu->run = 0;
    cpu->places = 0;
}

static void executed(unsigned int index, void *data)
{
    const struct block *block = data;
    struct cpu *cpu = &cpus[index % CPUS];
    if (block->waits)
        return;
    cpu->run += block->instructions;
    uint32_t n = cpu->places;
    while (n > 0 && cpu->place[n - 1].function != block->function)
        n--;
    if (n > 0) {
        cpu->place[n - 1].instructions += block->instructions;
    } else if (cpu->places < PLACES) {
        cpu->place[cpu->places].function = block->function;
        cpu->place[cpu->places++].instructions = block->instructions;
    }
    if (block->leaves) {
        end(cpu);
        cpu->counts = true;
    }
}

static bool is(const struct qemu_plugin_insn *instruction, const char *bytes, size_t length)
{
    return qemu_plugin_insn_size(instruction) == length && memcmp(qemu_plugin_insn_data(instruction), bytes, length) == 0;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    uint64_t address = qemu_plugin_tb_vaddr(tb), count = qemu_plugin_tb_n_insns(tb);
    if (address >> 63 == 0 || count == 0)
        return;
    struct qemu_plugin_insn *first = qemu_plugin_tb_get_insn(tb, 0), *last = qemu_plugin_tb_get_insn(tb, count - 1);
    take();
    uint32_t bucket = (uint32_t)(address ^ address >> 16) % BUCKETS;
    struct block *block = blocks[bucket];
    while (block != NULL && (block->address != address || block->instructions != count))
        block = block->next;
    if (block == NULL && (block = calloc(1, sizeof *block)) != NULL) {
        *block = (struct block){
            .next = blocks[bucket],
            .address = address,
            .instructions = (uint32_t)count,
            .function = function_of(qemu_plugin_insn_symbol(first)),
            .leaves = is(last, "\xfb", 1) || is(last, "\x48\xcf", 2) || is(last, "\x48\x0f\x07", 3),
            .waits = is(first, "\xf4", 1),
        };
        blocks[bucket] = block;
    }
    release();
    if (block != NULL)
        qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, 0, block);
}

static void ended(qemu_plugin_id_t id, void *unused)
{
    char line[4096];
    (void)id;
    (void)unused;
    snprintf(line, sizeof line, "interrupts-off: longest=%" PRIu64 " runs=%" PRIu64 " over_goal=%" PRIu64 " over_must=%" PRIu64 "\n",
             longest[0].run, runs, over_goal, over_must);
    qemu_plugin_outs(line);
    for (int n = 0; n < LISTED && longest[n].run > 0; n++) {
        int at = snprintf(line, sizeof line, "interrupts-off: run=%" PRIu64, longest[n].run);
        for (int f = 0; f < NAMED && longest[n].instructions[f] > 0 && at < (int)sizeof line; f++)
            at += snprintf(line + at, sizeof line - at, " function=%s:%" PRIu64, functions[longest[n].function[f]],
                           longest[n].instructions[f]);
        if (at < (int)sizeof line - 1)
            line[at++] = '\n', line[at] = 0;
        qemu_plugin_outs(line);
    }
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    (void)info;
    for (int n = 0; n < argc; n++) {
        if (strncmp(argv[n], "goal=", 5) == 0)
            goal = strtoull(argv[n] + 5, NULL, 10);
        else if (strncmp(argv[n], "must=", 5) == 0)
            must = strtoull(argv[n] + 5, NULL, 10);
        else
            return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, 0);
    return 0;
}
