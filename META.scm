;; SPDX-License-Identifier: PMPL-1.0-or-later
;; How the project is developed. A unit test compares the decisions with docs/decisions.
(define meta
  '((license "PMPL-1.0-or-later")
    (languages "Rust (no_std kernel and servers)" "TypeScript (orchestrator)" "Nickel (configuration)")
    (commands (run "just run-qemu") (test "just test"))
    (decisions
      "0001-one-kernel-lock-first"
      "0002-pools-are-quotas"
      "0003-trailer-at-the-end-of-a-slot"
      "0004-rollback-index-in-a-firmware-variable"
      "0005-two-ways-into-the-kernel"
      "0006-nickel-from-the-wheel"
      "0007-trees-are-described-not-laid-out"
      "0008-our-own-authenticode-signer"
      "0009-ext4-for-data"
      "0010-a-lock-for-each-cpu"
      "0011-the-base-is-locked-debian-packages"
      "0012-mapped-pages-may-vanish")

    (rules
      "unsafe only in kernel-rs/{machine,boot,start} and servers-rs/lib/{sys,rt,mmio,dma}"
      "a number that we promise stands in docs/promises with the command that measures it"
      "what does not work yet stands in docs/caveats")))
