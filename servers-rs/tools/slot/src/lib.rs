// SPDX-License-Identifier: PMPL-1.0-or-later
