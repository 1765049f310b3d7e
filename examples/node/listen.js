// SPDX-License-Identifier: MIT
// Print what crosses the bus. AMQP_URL is in the environment; the arguments are a queue's name and a pattern of topics.
import amqp from "amqplib";

const [queue, pattern] = process.argv.slice(2);
const connection = await amqp.connect(process.env.AMQP_URL);
connection.on("error", () => {}); // "close" follows
connection.on("close", () => process.exit(1)); // let whatever started this start it again
const channel = await connection.createChannel();
channel.on("error", (error) => { console.error(error.message); process.exit(1); });
await channel.prefetch(100);
await channel.assertQueue(queue, { durable: true });
for (const exchange of ["amq.topic", "zmq.topic"]) await channel.bindQueue(queue, exchange, pattern);
await channel.consume(queue, (message) => {
  if (message === null) process.exit(1); // the queue was deleted
  const { headers, messageId } = message.properties;
  const body = JSON.parse(message.content.toString("utf8"));
  console.log(JSON.stringify({ id: messageId, topic: message.fields.routingKey, severity: headers.fedora_messaging_severity, body }));
  channel.ack(message); // after the work is done
});
