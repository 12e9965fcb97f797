/* SPDX-License-Identifier: PMPL-1.0-or-later
 * A TCG plugin for `bench kernel`: counts the operations that cost far more on hardware than the one instruction they are,
 * between marks that the guest sets (servers-rs/lib/rt/src/measure.rs).
 *
 * The emulator's header is not packaged everywhere, so the few declarations it needs (plugin interface version 1) stand here.
 * Build: cc -shared -fPIC -O2 -o heavy-operations.so heavy-operations.c; use: -plugin ./heavy-operations.so -d plugin.
 * For one CPU.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct qemu_info qemu_info_t;
typedef void (*translated_fn)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*executed_fn)(unsigned int cpu, void *);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translated_fn);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, executed_fn, int flags, void *);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *, int operation, void *value, uint64_t immediate);
void qemu_plugin_outs(const char *);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;

enum { NO_REGISTERS = 0, INLINE_ADD_U64 = 0 };

/* Named as the columns of the table. */
#define OPERATIONS(X) X(cr3) X(syscall) X(sysret) X(iret) X(wrmsr) X(rdmsr) X(xsave) X(xrstor) X(port) X(invlpg) X(swapgs) X(fsgsbase)
enum operation {
#define X(name) name,
    OPERATIONS(X)
#undef X
    COUNT,
    NONE = COUNT
};
static const char *const names[COUNT] = {
#define X(name) #name,
    OPERATIONS(X)
#undef X
};

static uint64_t executed[COUNT], at_begin[COUNT], between[COUNT];
static unsigned reports;

/* Intel SDM volume 2. Prefixes first (operand size, repeat, REX), then one or two bytes of opcode, then ModRM. */
static enum operation classify(const uint8_t *code, size_t length)
{
    size_t at = 0;
    int repeat = 0;
    while (at < length && (code[at] == 0x66 || code[at] == 0xf2 || code[at] == 0xf3 || (code[at] & 0xf0) == 0x40))
        repeat |= code[at++] == 0xf3;
    if (at >= length)
        return NONE;
    uint8_t opcode = code[at];
    if (opcode == 0xcf)
        return iret;
    if ((opcode >= 0xe4 && opcode <= 0xe7) || (opcode >= 0xec && opcode <= 0xef))
        return port;
    if (opcode != 0x0f || at + 1 >= length)
        return NONE;
    uint8_t second = code[at + 1], modrm = at + 2 < length ? code[at + 2] : 0;
    int reg = modrm >> 3 & 7, memory = modrm >> 6 != 3;
    switch (second) {
    case 0x05: return syscall;
    case 0x07: return sysret;
    case 0x30: return wrmsr;
    case 0x32: return rdmsr;
    case 0x22: return reg == 3 ? cr3 : NONE;
    case 0x01: return modrm == 0xf8 ? swapgs : memory && reg == 7 ? invlpg : NONE;
    case 0xae:
        if (!memory)
            return repeat && reg < 4 ? fsgsbase : NONE;
        return reg == 0 || reg == 4 || reg == 6 ? xsave : reg == 1 || reg == 5 ? xrstor : NONE;
    case 0xc7: return memory && (reg == 4 || reg == 5) ? xsave : memory && reg == 3 ? xrstor : NONE;
    default: return NONE;
    }
}

/* The long no-operation with displacement 0x7f4652NN: NN says what the guest wants. */
enum { MARK_BEGIN = 1, MARK_END = 2, MARK_REPORT = 3, MARK_FORGET = 4 };
static int mark_of(const uint8_t *code, size_t length)
{
    return length == 7 && code[0] == 0x0f && code[1] == 0x1f && code[2] == 0x80 && code[4] == 0x52 && code[5] == 0x46 && code[6] == 0x7f
        ? code[3] : 0;
}

static void marked(unsigned int cpu, void *mark)
{
    char line[512];
    int n, length;
    (void)cpu;
    switch ((int)(intptr_t)mark) {
    case MARK_BEGIN:
        for (n = 0; n < COUNT; n++)
            at_begin[n] = executed[n];
        break;
    case MARK_END:
        for (n = 0; n < COUNT; n++)
            between[n] += executed[n] - at_begin[n];
        break;
    case MARK_REPORT:
        length = snprintf(line, sizeof line, "heavy: %u", reports++);
        for (n = 0; n < COUNT; n++)
            length += snprintf(line + length, sizeof line - length, " %s %" PRIu64, names[n], between[n]);
        snprintf(line + length, sizeof line - length, "\n");
        qemu_plugin_outs(line);
        /* fall through */
    case MARK_FORGET:
        for (n = 0; n < COUNT; n++)
            between[n] = 0;
        break;
    }
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    size_t count = qemu_plugin_tb_n_insns(tb);
    (void)id;
    for (size_t n = 0; n < count; n++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, n);
        const uint8_t *code = qemu_plugin_insn_data(insn);
        size_t length = qemu_plugin_insn_size(insn);
        enum operation operation = classify(code, length);
        int mark = mark_of(code, length);
        if (operation != NONE)
            qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD_U64, &executed[operation], 1);
        if (mark != 0)
            qemu_plugin_register_vcpu_insn_exec_cb(insn, marked, NO_REGISTERS, (void *)(intptr_t)mark);
    }
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    (void)info;
    (void)argc;
    (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
