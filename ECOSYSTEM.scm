;; SPDX-License-Identifier: PMPL-1.0-or-later
;; The module's place beside the other FlatRacoon modules. A unit test compares it with flatracoon-os.manifest.ncl.
(define ecosystem
  '((module "flatracoon-os")
    (layer "platform")
    (provides "immutable-os" "microkernel" "container-runtime")
    (requires)
    (config-schema "configs/schema.ncl")
    (stack-layers "access" "overlay" "storage" "network" "naming" "platform" "observability" "orchestration")))
