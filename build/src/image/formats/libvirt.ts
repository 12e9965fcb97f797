// SPDX-License-Identifier: PMPL-1.0-or-later
//
// A libvirt domain as a template: what a person copies, edits where it says so, and defines. Never a dump of a defined domain,
// since libvirt writes a host's absolute paths into those. `virt-xml-validate` checks it (libvirt.test.ts).
// Two of them: any UEFI, and UEFI with Secure Boot, where the firmware must be given our keys.

import { writeFile } from 'node:fs/promises';
import type { Format, FormatRequest } from './format.ts';

export const libvirt: Format = {
  suffix: '.libvirt.xml',
  makes: 'libvirt domain template',
  make: (request) => writeFile(request.out, domain(request, 'any')),
};

export const libvirtSecureBoot: Format = {
  suffix: '.secure-boot.libvirt.xml',
  makes: 'libvirt domain template with Secure Boot',
  make: (request) => writeFile(request.out, domain(request, 'secure')),
};

type Firmware = 'any' | 'secure';

export function domain({ about, machine, disk_name }: FormatRequest, firmware: Firmware): string {
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<!-- ${comment(`${about.name} ${about.version}, profile ${about.profile}${about.unreleased ? ', unreleased' : ''}`)}.`,
    '     Put the disk where <source file> says, or change it. Without KVM write type="qemu".',
    ...(firmware === 'secure' ? secureBootComment : []),
    '     Console: virsh console; the guest uses the first serial port. -->',
    '<domain type="kvm">',
    `  <name>${escaped(about.name)}</name>`,
    `  <title>${escaped(`${about.name} ${about.version}`)}</title>`,
    `  <memory unit="KiB">${machine.memory_bytes / 1024}</memory>`,
    `  <vcpu>${machine.cpus}</vcpu>`,
    ...os(firmware),
    '  <features>',
    '    <acpi/>',
    '    <apic/>',
    ...(firmware === 'secure' ? ['    <smm state="on"/>'] : []),
    '  </features>',
    '  <cpu mode="host-passthrough"/>',
    '  <clock offset="utc"/>',
    '  <on_poweroff>destroy</on_poweroff>',
    '  <on_reboot>restart</on_reboot>',
    '  <on_crash>destroy</on_crash>',
    '  <devices>',
    '    <disk type="file" device="disk">',
    '      <driver name="qemu" type="qcow2" discard="unmap"/>',
    `      <source file="/var/lib/libvirt/images/${escaped(disk_name)}"/>`,
    '      <target dev="vda" bus="virtio"/>',
    '      <boot order="1"/>',
    '    </disk>',
    '    <interface type="network">',
    '      <source network="default"/>',
    '      <model type="virtio"/>',
    '    </interface>',
    '    <serial type="pty"/>',
    '    <console type="pty"/>',
    '    <rng model="virtio">',
    '      <backend model="random">/dev/urandom</backend>',
    '    </rng>',
    ...(machine.tpm ? tpm : []),
    '    <video>',
    '      <model type="vga"/>',
    '    </video>',
    '    <graphics type="vnc" autoport="yes" listen="127.0.0.1"/>',
    '  </devices>',
    '</domain>',
  ];
  return `${lines.join('\n')}\n`;
}

function os(firmware: Firmware): string[] {
  if (firmware === 'any') {
    return [
      '  <os firmware="efi">',
      '    <type arch="x86_64" machine="q35">hvm</type>',
      '    <firmware>',
      '      <feature enabled="no" name="secure-boot"/>',
      '      <feature enabled="no" name="enrolled-keys"/>',
      '    </firmware>',
      '  </os>',
    ];
  }
  return [
    '  <os>',
    '    <type arch="x86_64" machine="q35">hvm</type>',
    '    <loader readonly="yes" secure="yes" type="pflash">/usr/share/OVMF/OVMF_CODE_4M.secboot.fd</loader>',
    '    <nvram template="/var/lib/libvirt/images/ovmf-vars-secure-boot.fd"/>',
    '  </os>',
  ];
}

const secureBootComment = [
  '     The firmware must know who signed the loader: put ovmf-vars-secure-boot.fd, which the build makes beside this file,',
  '     where <nvram template> says. <loader> is where Debian and Ubuntu keep OVMF with Secure Boot; both must be of one size (4M).',
];

const tpm = ['    <tpm model="tpm-crb">', '      <backend type="emulator" version="2.0"/>', '    </tpm>'];

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** "--" ends a comment in XML. */
const comment = (text: string): string => text.replaceAll('--', '- -').replaceAll('>', '');
