"""Move an event bus from ZeroMQ (fedmsg) to RabbitMQ without a flag day."""
