// SPDX-License-Identifier: PMPL-1.0-or-later
// Rules of the kernel, each with the change that breaks it. A place that is not found exactly once is a failure of the test:
// whoever moves the code moves the mutant.

export interface Mutant {
  /** The rule that is broken. */
  readonly rule: string;
  /** Below `kernel-rs`. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const table = 'kernel/src/objects/table.rs';

/** The first ones are those that `just test` tries; `just test-long` tries all. */
export const mutants: readonly Mutant[] = [
  {
    rule: 'an operation needs its right',
    file: table,
    from: 'if !slot.rights().contains(rights) {',
    to: 'if false && !slot.rights().contains(rights) {',
  },
  {
    rule: 'a reply right answers one call',
    file: 'kernel/src/ipc.rs',
    from: '&& t.reply_number == right.number)',
    to: ')',
  },
  {
    rule: 'a frame that is used is charged',
    file: 'kernel/src/objects/pool.rs',
    from: 'Some(used) => p.used = used,',
    to: 'Some(_) => {}',
  },
  {
    rule: 'a handle is of one life of its slot',
    file: table,
    from: 'if slot.generation() != handle.generation() {',
    to: 'if false && slot.generation() != handle.generation() {',
  },
  {
    rule: 'revoke takes all that was derived',
    file: table,
    from: 'return Ok(if table.is_none() { Flow::value(t.progress) } else { Flow::Again });',
    to: 'return Ok(Flow::value(t.progress));',
  },
  {
    rule: 'a frame that is given back is refunded',
    file: 'kernel/src/objects/pool.rs',
    from: 'p.used -= frames;',
    to: 'let _ = (p, frames);',
  },
  {
    rule: 'no page is writable and executable',
    file: 'kernel/src/objects/address_space.rs',
    from: 'if access.write && access.execute {',
    to: 'if false && access.write && access.execute {',
  },
  {
    rule: 'user mappings stay below the kernel',
    file: 'kernel/src/objects/address_space.rs',
    from: '.filter(|end| *end <= USER_END)',
    to: '.filter(|end| *end > 0)',
  },
  {
    rule: 'a derived capability has no more rights',
    file: table,
    from: 'let rights = parent.rights().intersect(rights).0 as u8;',
    to: 'let rights = rights.0 as u8;',
  },
  {
    rule: 'a call is answered once',
    file: 'kernel/src/ipc.rs',
    from: 'matches!(t.state, State::Replying(_)) &&',
    to: '',
  },
  {
    rule: 'time is charged to its payer',
    file: 'kernel/src/schedule.rs',
    from: 'p.left_ns = p.left_ns.saturating_sub(spent);',
    to: 'let _ = (p, spent);',
  },
  {
    rule: 'capabilities travel through endpoints with the transfer right only',
    file: 'kernel/src/ipc.rs',
    from: 'if tag.caps() > 0 && !slot.rights().contains(Rights::TRANSFER) {',
    to: 'if false && tag.caps() > 0 && !slot.rights().contains(Rights::TRANSFER) {',
  },
  {
    rule: 'the short way of a call checks rights',
    file: 'kernel/src/fast.rs',
    from: '(slot.kind == kind && slot.rights().contains(right))',
    to: '(slot.kind == kind && (true || slot.rights().contains(right)))',
  },
  {
    rule: 'a slot whose handles are used up is retired',
    file: table,
    from: 'if generation >> Handle::GENERATION_BITS != 0 {',
    to: 'if false && generation >> Handle::GENERATION_BITS != 0 {',
  },
  {
    rule: 'a running thread follows its place',
    file: 'kernel/src/schedule.rs',
    from: 't.affinity.is_some_and(|a| a != cpu))',
    to: 't.affinity.is_some_and(|a| a != cpu && false))',
  },
];
