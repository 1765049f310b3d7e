# SPDX-License-Identifier: MIT
"""The management API of a RabbitMQ: where it is, requests to it, and what its refusals mean to an operator."""
