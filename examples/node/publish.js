// SPDX-License-Identifier: MIT
// Publish one message, in the documented wire format. AMQP_URL is in the environment; the arguments are topic and body.
import { randomUUID } from "node:crypto";
import amqp from "amqplib";

const [topic, body] = process.argv.slice(2);
const connection = await amqp.connect(process.env.AMQP_URL);
connection.on("error", () => {});
const channel = await connection.createConfirmChannel();
channel.on("error", (error) => { console.error(error.message); process.exit(1); }); // forbidden: the broker says what
channel.publish("amq.topic", topic, Buffer.from(JSON.stringify(JSON.parse(body))), {
  messageId: randomUUID(),
  contentType: "application/json",
  contentEncoding: "utf-8",
  deliveryMode: 2, // on disk where the queue is durable
  headers: {
    fedora_messaging_schema: "base.message",
    fedora_messaging_severity: 20, // INFO
    "sent-at": new Date().toISOString().replace(/\.\d+Z$/, "+00:00"),
  },
});
await channel.waitForConfirms(); // "channel.publish" alone says nothing about the broker
await connection.close();
