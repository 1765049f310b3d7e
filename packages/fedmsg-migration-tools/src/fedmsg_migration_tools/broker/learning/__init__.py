# SPDX-License-Identifier: MIT
"""Who publishes what: learned from the old bus and from traffic, and what a proposed file would refuse of it.

Pure but for ``oldbus`` and ``recordings``, which read files, and ``listening``, which listens to publishers.
"""
