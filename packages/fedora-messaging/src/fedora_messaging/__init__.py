"""Publish and consume messages over RabbitMQ: at least once, blocking or asyncio, with schemas."""
