// SPDX-License-Identifier: PMPL-1.0-or-later
// The shape that Nickel hands over: texts with units still in them. Nickel's contracts have checked every value already; this is the
// edge where `unknown` becomes a type, and a difference between it and the contracts is our fault, not the user's.
import { z } from 'zod';
import { InternalError } from '../errors.ts';

const reasoned = { because: z.string() };
const logLevel = z.enum(['silent', 'error', 'warning', 'info', 'debug']);
const kernelProfile = z.strictObject({ log_level: logLevel, serial_console: z.boolean(), debug: z.boolean() });
const policy = z.strictObject({ check_every: z.string(), rollout_over: z.string(), keep_failed: z.int() });

const component = z.strictObject({
  program: z.string(),
  from: z.string(),
  kind: z.enum(['service', 'oneshot']),
  memory: z.string(),
  stack: z.string(),
  heap: z.string().optional(),
  table_slots: z.int(),
  priority: z.int(),
  cpu: z.strictObject({ budget: z.string(), period: z.string() }).optional(),
  arguments: z.array(z.string()),
  devices: z.array(
    z.strictObject({ pci: z.strictObject({ vendor: z.int(), device: z.int(), alternatives: z.array(z.int()) }), ...reasoned }),
  ),
  io_ports: z.array(z.strictObject({ first: z.int(), last: z.int(), ...reasoned })),
  interrupts: z.array(z.strictObject({ gsi: z.int(), ...reasoned })),
  dma: z.string(),
  serves: z.array(z.string()),
  calls: z.array(z.strictObject({ interface: z.string(), ...reasoned })),
  inbound: z.array(
    z.strictObject({
      protocol: z.enum(['tcp', 'udp']),
      first: z.int(),
      last: z.int().optional(),
      from: z.enum(['components', 'link', 'anywhere']),
      ...reasoned,
    }),
  ),
  restart: z.strictObject({
    delay: z.string(),
    max_delay: z.string(),
    limit: z.int(),
    window: z.string(),
    at_limit: z.enum(['degrade', 'reboot']),
  }),
  health: z.strictObject({ ready_within: z.string(), heartbeat: z.string() }),
  log_level: logLevel,
});

const base = z.strictObject({
  source: z.enum(['Debian', 'Flatcar']),
  suite: z.string(),
  groups: z.record(
    z.string(),
    z.strictObject({
      packages: z.array(z.string()),
      users: z.array(z.strictObject({ name: z.string(), id: z.int(), home: z.string(), shell: z.string() })),
      links: z.array(z.strictObject({ path: z.string(), target: z.string() })),
      copies: z.array(z.strictObject({ from: z.string(), path: z.string() })),
      directories: z.array(z.strictObject({ path: z.string(), mode: z.string() })),
    }),
  ),
  profiles: z.strictObject({ dev: z.array(z.string()), prod: z.array(z.string()) }),
  supplied: z.array(z.strictObject({ package: z.string(), ...reasoned })),
  left_out: z.array(z.strictObject({ path: z.string(), except: z.array(z.string()), ...reasoned })),
});

const rawConfig = z.strictObject({
  kernel: z.strictObject({
    smallest_machine: z.string(),
    max_cpus: z.int(),
    timer_slice: z.string(),
    reserve: z.string(),
    root_table_slots: z.int(),
    root_priority: z.int(),
    profiles: z.strictObject({ dev: kernelProfile, prod: kernelProfile }),
  }),
  servers: z.strictObject({ components: z.record(z.string(), component) }),
  update: z.strictObject({
    channel: z.enum(['stable', 'beta', 'alpha']),
    policies: z.strictObject({ stable: policy, beta: policy, alpha: policy }),
    rollback_index: z.int(),
    confirm_within: z.string(),
    tries: z.int(),
    signing: z.strictObject({
      commit_key: z.string().optional(),
      commit_key_not_after: z.string().optional(),
      loader_key: z.string().optional(),
      loader_certificate: z.string().optional(),
    }),
  }),
  partitions: z.record(
    z.string(),
    z.strictObject({
      label: z.string(),
      type: z.string(),
      guid: z.string().optional(),
      size: z.string(),
      start: z.string().optional(),
      content: z.enum(['fat', 'slot', 'empty']),
      slot: z.enum(['A', 'B']).optional(),
      state: z.strictObject({ priority: z.int(), successful: z.boolean() }).optional(),
    }),
  ),
  base,
  variants: z.record(
    z.string(),
    z.strictObject({
      summary: z.string(),
      buildable: z.boolean(),
      formats: z.array(z.string()),
      base: z.array(z.string()),
      slot: z.string().optional(),
      disk: z.strictObject({ sector: z.string(), alignment: z.string(), size: z.string().optional() }),
    }),
  ),
  // Evaluated with the others, so that a wrong schema is seen; nothing in the build reads it.
  schema: z.unknown(),
});

export type RawConfig = z.infer<typeof rawConfig>;
export type RawComponent = z.infer<typeof component>;

export function parseRaw(value: unknown): RawConfig {
  const parsed = rawConfig.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new InternalError(
    `configs/contracts let something through that config/raw.ts does not know: ${issue?.path.join('.')}: ${issue?.message}`,
  );
}
