# SPDX-License-Identifier: MIT
"""Who publishes what: learned from the old bus and from traffic, and what a proposed file would refuse of it.

Pure but for ``oldbus``, ``recordings`` and CA certificates, which are files, and ``listening``, which listens.
"""
