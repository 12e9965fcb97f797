// SPDX-License-Identifier: PMPL-1.0-or-later
// A static Linux program without a library. Linux starts it with rdi = 0: it says hello and exits with 42.
// A test personality starts it with another number in rdi, for what a guest might do besides.

#define SYS_write 1
#define SYS_getpid 39
#define SYS_exit 60

.text
.globl _start
_start:
  cmpq $(table_end - table) / 8, %rdi
  jae 1f
  leaq table(%rip), %rax
  jmpq *(%rax, %rdi, 8)
1:
  movl $99, %edi
  jmp exit

hello:
  movl $SYS_write, %eax
  movl $1, %edi
  leaq text(%rip), %rsi
  movl $(text_end - text), %edx
  syscall
  cmpq $(text_end - text), %rax
  jne 1b
  movl $42, %edi
exit:
  movl $SYS_exit, %eax
  syscall
  jmp exit

// A system call without end.
getpid:
  movl $SYS_getpid, %eax
  syscall
  jmp getpid

// Counts in r12 until somebody stops it.
spin:
  incq %r12
  jmp spin

// Adds 1 to the word at rsi, rdx times, while others do.
count:
  lock incq (%rsi)
  decq %rdx
  jnz count
  xorl %edi, %edi
  jmp exit

// The system call number rsi, with whatever stands in the other registers.
call:
  movq %rsi, %rax
  syscall
  xorl %edi, %edi
  jmp exit

// Reads the word at rsi.
read:
  movq (%rsi), %rax
  xorl %edi, %edi
  jmp exit

// Writes rdx to the word at rsi.
write:
  movq %rdx, (%rsi)
  xorl %edi, %edi
  jmp exit

// Instructions that are not a guest's, or that it has no gate for.
halt:
  hlt
port_in:
  inb $0x64, %al
port_out:
  outb %al, $0x64
old_gate:
  int $0x80
sysenter:
  sysenter
no_such:
  ud2
breakpoint:
  int3
  movl $7, %edi
  jmp exit
store_table:
  sidt -16(%rsp)
  movl $8, %edi
  jmp exit

// Reads the time stamp counter: every Linux program may.
clock:
  rdtsc
  xorl %edi, %edi
  jmp exit

// Fills the AVX registers from the 512 bytes at rsi, then compares rdx times, with a system call in each round.
vector:
  vmovdqu 0(%rsi), %ymm0
  vmovdqu 32(%rsi), %ymm1
  vmovdqu 64(%rsi), %ymm7
  vmovdqu 96(%rsi), %ymm15
1:
  movl $SYS_getpid, %eax
  syscall
  movl $20000, %eax
2:
  decl %eax
  jnz 2b
  vpcmpeqb 0(%rsi), %ymm0, %ymm2
  vpcmpeqb 32(%rsi), %ymm1, %ymm3
  vpand %ymm2, %ymm3, %ymm2
  vpcmpeqb 64(%rsi), %ymm7, %ymm3
  vpand %ymm2, %ymm3, %ymm2
  vpcmpeqb 96(%rsi), %ymm15, %ymm3
  vpand %ymm2, %ymm3, %ymm2
  vpmovmskb %ymm2, %eax
  cmpl $-1, %eax
  jne 3f
  decq %rdx
  jnz 1b
  xorl %edi, %edi
  jmp exit
3:
  movl $13, %edi
  jmp exit

// Whether all vector registers are as a program finds them when it starts: exits with 0, else with 13.
fresh:
  vpor %ymm0, %ymm1, %ymm2
  vpor %ymm3, %ymm4, %ymm5
  vpor %ymm2, %ymm5, %ymm2
  vpor %ymm7, %ymm15, %ymm5
  vpor %ymm2, %ymm5, %ymm2
  vptest %ymm2, %ymm2
  jnz 3b
  xorl %edi, %edi
  jmp exit

// Touches rdx pages from rsi on, one word in each.
touch:
  movq %rdx, (%rsi)
  addq $4096, %rsi
  decq %rdx
  jnz touch
  xorl %edi, %edi
  jmp exit

.section .rodata
text:
  .ascii "hello from a guest\n"
text_end:

.balign 8
table:
  .quad hello, getpid, spin, count, call, read, write, halt, port_in, port_out, old_gate, sysenter, no_such
  .quad breakpoint, store_table, clock, vector, fresh, touch
table_end:
