# SPDX-License-Identifier: PMPL-1.0-or-later
# The two ways in. `kernel_entry`: 64-bit mode, rdi = physical address of BootInfo, as abi::boot_info says.
# `pvh_entry`: 32-bit mode without paging, ebx = physical address of the hypervisor's start info; it builds page tables
# that are as the loader's would be and joins the other way.

# Adding this to an address of the image gives its physical address in a direct boot: 0x200000 - KERNEL_BASE.
.set PHYSICAL, 0x80200000

.section .note.pvh, "a", @note
.balign 4
  .long 4
  .long 8
  .long 18                                  # XEN_ELFNOTE_PHYS32_ENTRY
  .asciz "Xen"
  .quad pvh_entry + PHYSICAL

.section .bss.page, "aw", @nobits
.balign 4096
boot_root: .skip 4096
boot_low: .skip 4096
boot_high: .skip 4096
boot_image: .skip 4096
boot_directories: .skip 4 * 4096
.balign 4096
boot_stack: .skip 65536
boot_stack_top:

.section .text.boot, "ax"
.code64
.global kernel_entry
kernel_entry:
  cli
  cld
  movabsq $boot_stack_top, %rsp
  xorl %ebp, %ebp
  call {main}
  ud2

.code32
pvh_entry:
  cli
  cld
  movl $(boot_stack_top + PHYSICAL), %esp
  # Four directories of 2 MiB pages: the first 4 GiB. Present, writable, large.
  movl $(boot_directories + PHYSICAL), %edi
  movl $0x83, %eax
  movl $2048, %ecx
1:
  movl %eax, (%edi)
  movl $0, 4(%edi)
  addl $8, %edi
  addl $0x200000, %eax
  decl %ecx
  jnz 1b
  movl $(boot_low + PHYSICAL), %edi
  movl $(boot_directories + PHYSICAL + 3), %eax
  movl $4, %ecx
2:
  movl %eax, (%edi)
  addl $8, %edi
  addl $4096, %eax
  decl %ecx
  jnz 2b
  # The image: 32 MiB from 2 MiB on, at KERNEL_BASE.
  movl $(boot_image + PHYSICAL), %edi
  movl $0x200083, %eax
  movl $16, %ecx
3:
  movl %eax, (%edi)
  addl $8, %edi
  addl $0x200000, %eax
  decl %ecx
  jnz 3b
  movl $(boot_image + PHYSICAL + 3), boot_high + PHYSICAL + 8 * 510
  movl $(boot_low + PHYSICAL + 3), boot_root + PHYSICAL
  movl $(boot_low + PHYSICAL + 3), boot_root + PHYSICAL + 8 * 256
  movl $(boot_high + PHYSICAL + 3), boot_root + PHYSICAL + 8 * 511
  movl $(boot_root + PHYSICAL), %eax
  movl %eax, %cr3
  movl %cr4, %eax
  orl $0x20, %eax                           # physical address extension
  movl %eax, %cr4
  movl $0xc0000080, %ecx
  rdmsr
  orl $0x900, %eax                          # long mode, no-execute
  wrmsr
  movl %cr0, %eax
  orl $0x80010001, %eax                     # paging, write protection, protected mode
  movl %eax, %cr0
  lgdtl boot_gdt_pointer + PHYSICAL
  ljmpl $8, $(pvh_long + PHYSICAL)
.code64
pvh_long:
  movl $16, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  movabsq $pvh_high, %rax
  jmpq *%rax
pvh_high:
  movabsq $boot_stack_top, %rsp
  xorl %ebp, %ebp
  movl %ebx, %edi
  call {pvh}
  movq %rax, %rdi
  jmp kernel_entry

.balign 8
boot_gdt:
  .quad 0
  .quad 0x00af9b000000ffff
  .quad 0x00cf93000000ffff
boot_gdt_pointer:
  .word 23
  .long boot_gdt + PHYSICAL
