;; SPDX-License-Identifier: PMPL-1.0-or-later
;; Where the project stands. A unit test compares the components with the tree and the version with package.json.
(define state
  '((metadata
      (project "flatracoon-os")
      (version "0.1.0")
      (layer "platform"))
    (components
      ;; (name folder status): works, partial or planned
      ("abi" "kernel-rs/abi" works)
      ("machine" "kernel-rs/machine" partial)
      ("kernel" "kernel-rs/kernel" partial)
      ("start" "kernel-rs/start" works)
      ("loader" "kernel-rs/boot" works)
      ("root" "servers-rs/root" works)
      ("process" "servers-rs/servers/process" partial)
      ("storage" "servers-rs/servers/storage" partial)
      ("update" "servers-rs/servers/update" partial)
      ("uart" "servers-rs/drivers/uart" works)
      ("virtio-blk" "servers-rs/drivers/virtio-blk" works)
      ("virtio-rng" "servers-rs/drivers/virtio-rng" works)
      ("power-button" "servers-rs/drivers/power-button" works)
      ("rtc" "servers-rs/drivers/rtc" works)
      ("random" "servers-rs/servers/random" works)
      ("virtio-net" "servers-rs/drivers/virtio-net" works)
      ("network" "servers-rs/servers/network" partial)
      ("formats" "servers-rs/lib" works)
      ("orchestrator" "build" works)
      ("linux" "servers-rs/servers/linux" partial)
      ("userland" "build/src/base" works))
    (not-yet
      "cells in the shipped manifest, /proc and the network in a cell, containers"
      "download and installation of updates"
      "cloud image formats, installer, OCI base image")))
